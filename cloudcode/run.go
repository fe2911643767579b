package cloudcode

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/pargo-baas/pargo/parse"
)

// Texts of failures that the code itself gave no text for (reference 06 §1).
const (
	unknownHookError     = "Script failed. Unknown error."
	unknownFunctionError = "Script failed."
)

// Err returns the error by which a hook or function refuses: the client reads
// code and text.
func Err(code parse.Code, format string, args ...any) error {
	return parse.Errorf(code, format, args...)
}

// PanicError is the cause (parse.Error.Err) of a hook or function that
// panicked. Its text is for the log alone.
type PanicError struct {
	Value any
	Stack []byte
}

// Error returns what was thrown and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Unwrap returns the error that was thrown, if it was one.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// scriptError makes any error one that a client may see.
func scriptError(err error) error {
	var pe *parse.Error
	if err == nil || errors.As(err, &pe) {
		return err
	}
	return &parse.Error{Code: parse.ScriptFailed, Message: err.Error(), Err: err}
}

func recovered(v any, text string) error {
	return &parse.Error{Code: parse.ScriptFailed, Message: text, Err: &PanicError{Value: v, Stack: debug.Stack()}}
}

func runOne[R any](ctx context.Context, f hook[R], r *R) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = recovered(v, unknownHookError)
		}
	}()
	return scriptError(f(ctx, r))
}

func runBefore[R any](ctx context.Context, hooks []hook[R], r *R) error {
	for _, f := range hooks {
		if err := runOne(ctx, f, r); err != nil {
			return err
		}
	}
	return nil
}

func runAfter[R any](ctx context.Context, hooks []hook[R], r *R) error {
	var first error
	for _, f := range hooks {
		switch err := runOne(ctx, f, r); {
		case err == nil:
		case first == nil:
			first = err
		default:
			first = errors.Join(first, err)
		}
	}
	return first
}

// RunBeforeSave runs the hooks of r.Class until one fails.
func (a *App) RunBeforeSave(ctx context.Context, r *SaveRequest) error {
	if a == nil {
		return nil
	}
	return runBefore(ctx, a.beforeSave.get(r.Class), r)
}

// RunAfterSave runs all hooks of r.Class.
func (a *App) RunAfterSave(ctx context.Context, r *SaveRequest) error {
	if a == nil {
		return nil
	}
	return runAfter(ctx, a.afterSave.get(r.Class), r)
}

// RunBeforeDelete runs the hooks of r.Class until one fails.
func (a *App) RunBeforeDelete(ctx context.Context, r *DeleteRequest) error {
	if a == nil {
		return nil
	}
	return runBefore(ctx, a.beforeDelete.get(r.Class), r)
}

// RunAfterDelete runs all hooks of r.Class.
func (a *App) RunAfterDelete(ctx context.Context, r *DeleteRequest) error {
	if a == nil {
		return nil
	}
	return runAfter(ctx, a.afterDelete.get(r.Class), r)
}

// RunBeforeFind runs the hooks of r.Class until one fails; afterwards r.Query
// is the query to ask, never nil if it was not before.
func (a *App) RunBeforeFind(ctx context.Context, r *FindRequest) error {
	if a == nil {
		return nil
	}
	for _, f := range a.beforeFind.get(r.Class) {
		asked := r.Query
		if err := runOne(ctx, f, r); err != nil {
			return err
		}
		if r.Query == nil {
			r.Query = asked
		}
	}
	return nil
}

// RunAfterFind runs the hooks of r.Class until one fails; afterwards r.Objects
// is what the caller gets.
func (a *App) RunAfterFind(ctx context.Context, r *FoundRequest) error {
	if a == nil {
		return nil
	}
	return runBefore(ctx, a.afterFind.get(r.Class), r)
}

// RunBeforeLogin runs the hooks until one fails.
func (a *App) RunBeforeLogin(ctx context.Context, r *LoginRequest) error {
	if a == nil {
		return nil
	}
	return runBefore(ctx, a.beforeLogin.get(""), r)
}

// RunAfterLogin runs all hooks.
func (a *App) RunAfterLogin(ctx context.Context, r *LoginRequest) error {
	if a == nil {
		return nil
	}
	return runAfter(ctx, a.afterLogin.get(""), r)
}

// RunAfterLogout runs all hooks.
func (a *App) RunAfterLogout(ctx context.Context, r *LogoutRequest) error {
	if a == nil {
		return nil
	}
	return runAfter(ctx, a.afterLogout.get(""), r)
}

// RunFunction calls the function r.Name; a missing one gives 141 as the
// protocol has it.
func (a *App) RunFunction(ctx context.Context, r *FunctionRequest) (result parse.Value, err error) {
	f := a.function(r.Name)
	if f == nil {
		return nil, Err(parse.ScriptFailed, "Invalid function: %q", r.Name)
	}
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, recovered(v, unknownFunctionError)
		}
	}()
	result, err = f(ctx, r)
	if err != nil {
		return nil, scriptError(err)
	}
	return result, nil
}
