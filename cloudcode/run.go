package cloudcode

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

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

// PanicError is the cause (parse.Error.Err) of a hook or function that panicked.
type PanicError struct {
	Value any
	Stack []byte
	// RequestID is what the client was told and the log has.
	RequestID string
}

// Error returns what was thrown. It is for the log alone.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the error that was thrown, if it was one.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// scriptError makes any error one that a client may see.
func scriptError(err error) error {
	if err == nil {
		return nil
	}
	var pe *parse.Error
	if errors.As(err, &pe) {
		return err
	}
	return &parse.Error{Code: parse.ScriptFailed, Message: err.Error(), Err: err}
}

// request is implemented by the requests of all hooks.
type request interface {
	base() *Request
	input() Input
}

// invoke runs one hook, function or job: validators, time limit, panics,
// counters.
func invoke(ctx context.Context, a *App, t Trigger, name string, s *settings, stat *Stat, r request, call func(context.Context) error) (err error) {
	b := r.base()
	b.Trigger, b.app, b.name = t, a, name
	limit := s.timeout
	if limit == timeoutOfApp {
		limit = time.Duration(a.timeout.Load())
	}
	start := time.Now()
	timed, limited := limitTime(ctx, t, start, limit)
	for _, v := range s.validators {
		in := r.input()
		in.Request = b
		skip, err := v.run(limited, t, in)
		if err != nil {
			return err
		}
		if skip {
			return errSkip
		}
	}
	defer func() {
		if v := recover(); v != nil {
			err = a.panicked(ctx, t, name, v)
		}
		if timed != nil {
			if err != nil && timed.over() {
				err = &parse.Error{Code: parse.Timeout, Message: fmt.Sprintf("%s %s took longer than %s.", t, name, limit), Err: err}
			}
			timed.release()
		}
		stat.observe(a, time.Since(start), err)
	}()
	return scriptError(call(limited))
}

// limitTime returns the context of a hook with its time limit, which is nil if
// the context ends before by itself. What follows a write is done even if the
// client has gone.
func limitTime(ctx context.Context, t Trigger, start time.Time, limit time.Duration) (*timeLimit, context.Context) {
	outlives := t == TriggerAfterSave || t == TriggerAfterDelete
	if limit <= 0 {
		if outlives {
			return nil, context.WithoutCancel(ctx)
		}
		return nil, ctx
	}
	at := start.Add(limit)
	if end, ok := ctx.Deadline(); ok && end.Before(at) && !outlives {
		return nil, ctx
	}
	timed := &timeLimit{Context: ctx, at: at, detached: outlives}
	return timed, timed
}

// errSkip says that a validator passes over a hook.
var errSkip = errors.New("the hook is skipped")

// panicked logs a panic and returns what the client reads about it.
func (a *App) panicked(ctx context.Context, t Trigger, name string, v any) error {
	id := OriginOf(ctx).RequestID
	if id == "" {
		id = parse.NewObjectID(10)
	}
	stack := debug.Stack()
	a.Logger().ErrorContext(ctx, "cloud code panicked", "trigger", t, "name", name, "request_id", id, "panic", v, "stack", string(stack))
	text := unknownHookError
	if t == TriggerFunction || t == TriggerJob {
		text = unknownFunctionError
	}
	return &parse.Error{
		Code: parse.ScriptFailed, Message: text + " Request id: " + id,
		Err: &PanicError{Value: v, Stack: stack, RequestID: id},
	}
}

// chain runs the hooks of a before-trigger until one fails.
func chain[R any](ctx context.Context, a *App, t Trigger, class string, hooks []*hook[R], r *R) error {
	for i, h := range hooks {
		q, _ := any(r).(request)
		call := func(ctx context.Context) error { return h.plain(ctx, r) }
		passed := h.plain == nil // the rest is the hook's affair
		if passed {
			call = func(limited context.Context) error {
				return h.around(limited, r, func(inner context.Context) error {
					// The time limit of a hook is its own: only values of its context go on.
					return chain(joined{inner, ctx}, a, t, class, hooks[i+1:], r) //nolint:contextcheck // it is made of both
				})
			}
		}
		err := invoke(ctx, a, t, class, &h.settings, h.stat, q, call)
		if errors.Is(err, errSkip) {
			continue
		}
		if err != nil || passed {
			return err
		}
	}
	return nil
}

// joined has the values of one context and the end of another.
type joined struct {
	values context.Context
	context.Context
}

// Value implements context.Context.
func (j joined) Value(key any) any { return j.values.Value(key) }

// each runs all hooks of an after-trigger and joins their errors.
func each[R any](ctx context.Context, a *App, t Trigger, class string, hooks []*hook[R], r *R) error {
	var first error
	for i := range hooks {
		switch err := chain(ctx, a, t, class, hooks[i:i+1], r); {
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
	return chain(ctx, a, TriggerBeforeSave, r.Class, a.beforeSave.get(r.Class), r)
}

// RunAfterSave runs all hooks of r.Class.
func (a *App) RunAfterSave(ctx context.Context, r *SaveRequest) error {
	if a == nil {
		return nil
	}
	return each(ctx, a, TriggerAfterSave, r.Class, a.afterSave.get(r.Class), r)
}

// RunBeforeDelete runs the hooks of r.Class until one fails.
func (a *App) RunBeforeDelete(ctx context.Context, r *DeleteRequest) error {
	if a == nil {
		return nil
	}
	return chain(ctx, a, TriggerBeforeDelete, r.Class, a.beforeDelete.get(r.Class), r)
}

// RunAfterDelete runs all hooks of r.Class.
func (a *App) RunAfterDelete(ctx context.Context, r *DeleteRequest) error {
	if a == nil {
		return nil
	}
	return each(ctx, a, TriggerAfterDelete, r.Class, a.afterDelete.get(r.Class), r)
}

// RunBeforeFind runs the hooks of r.Class until one fails; afterwards r.Query
// is the query to ask, never nil if it was not before.
func (a *App) RunBeforeFind(ctx context.Context, r *FindRequest) error {
	if a == nil {
		return nil
	}
	hooks := a.beforeFind.get(r.Class)
	for i := range hooks {
		asked := r.Query
		if err := chain(ctx, a, TriggerBeforeFind, r.Class, hooks[i:i+1], r); err != nil {
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
	return chain(ctx, a, TriggerAfterFind, r.Class, a.afterFind.get(r.Class), r)
}

// RunBeforeLogin runs the hooks until one fails.
func (a *App) RunBeforeLogin(ctx context.Context, r *LoginRequest) error {
	if a == nil {
		return nil
	}
	return chain(ctx, a, TriggerBeforeLogin, userClass, a.beforeLogin.get(userClass), r)
}

// RunAfterLogin runs all hooks.
func (a *App) RunAfterLogin(ctx context.Context, r *LoginRequest) error {
	if a == nil {
		return nil
	}
	return each(ctx, a, TriggerAfterLogin, userClass, a.afterLogin.get(userClass), r)
}

// RunAfterLogout runs all hooks.
func (a *App) RunAfterLogout(ctx context.Context, r *LogoutRequest) error {
	if a == nil {
		return nil
	}
	return each(ctx, a, TriggerAfterLogout, sessionClass, a.afterLogout.get(sessionClass), r)
}

// RunBeforePasswordReset runs the hooks until one fails.
func (a *App) RunBeforePasswordReset(ctx context.Context, r *PasswordResetRequest) error {
	if a == nil {
		return nil
	}
	return chain(ctx, a, TriggerBeforePasswordReset, userClass, a.passwordReset.get(userClass), r)
}

// RunBeforeSaveConfig runs the hooks until one fails.
func (a *App) RunBeforeSaveConfig(ctx context.Context, r *ConfigRequest) error {
	if a == nil {
		return nil
	}
	return chain(ctx, a, TriggerBeforeSave, ConfigClass, a.beforeConfig.get(ConfigClass), r)
}

// RunAfterSaveConfig runs all hooks.
func (a *App) RunAfterSaveConfig(ctx context.Context, r *ConfigRequest) error {
	if a == nil {
		return nil
	}
	return each(ctx, a, TriggerAfterSave, ConfigClass, a.afterConfig.get(ConfigClass), r)
}

// RunBeforeConnect runs the hooks until one fails.
func (a *App) RunBeforeConnect(ctx context.Context, r *ConnectRequest) error {
	if a == nil {
		return nil
	}
	return chain(ctx, a, TriggerBeforeConnect, ConnectClass, a.connect.get(ConnectClass), r)
}

// RunBeforeSubscribe runs the hooks of r.Class until one fails.
func (a *App) RunBeforeSubscribe(ctx context.Context, r *SubscribeRequest) error {
	if a == nil {
		return nil
	}
	return chain(ctx, a, TriggerBeforeSubscribe, r.Class, a.subscribe.get(r.Class), r)
}

// RunAfterEvent runs the hooks of r.Class until one fails.
func (a *App) RunAfterEvent(ctx context.Context, r *EventRequest) error {
	if a == nil {
		return nil
	}
	return chain(ctx, a, TriggerAfterEvent, r.Class, a.event.get(r.Class), r)
}

// RunOnAnalytics runs all functions that get events.
func (a *App) RunOnAnalytics(ctx context.Context, r *AnalyticsEvent) error {
	if a == nil {
		return nil
	}
	return each(ctx, a, triggerAnalytics, "*", a.analytics.get(""), r)
}

// TellLiveQueryEvent tells all monitors. Only a panic can go wrong, and that is logged.
func (a *App) TellLiveQueryEvent(ctx context.Context, r *LiveQueryEvent) {
	if a == nil {
		return
	}
	_ = each(ctx, a, triggerLiveQuery, ConnectClass, a.monitors.get(""), r)
}
