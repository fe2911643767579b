package cloudcode

import (
	"context"
	"errors"
	"slices"

	"github.com/pargo-baas/pargo/parse"
)

type function struct {
	call Function
	settings
	stat *Stat
}

type job struct {
	call Job
	settings
	stat *Stat
}

// Upload is a file among the parameters of a function that was called with a
// form (multipart/form-data). It is a field of the struct of [Func]; without
// one it is an Object with the keys filename, contentType and data.
type Upload struct {
	Filename, ContentType string
	Data                  []byte
}

type aroundFunction func(ctx context.Context, r *FunctionRequest, next Function) (parse.Value, error)

var errNoName = errors.New("the name is empty")

func nameOK(name string) error {
	if name == "" {
		return errNoName
	}
	return nil
}

// Function registers a cloud function; a second one of the same name replaces
// the first. Dots in the name have no meaning.
func (a *App) Function(name string, f func(context.Context, *FunctionRequest) (parse.Value, error), opts ...Option) {
	set, err := a.settings(TriggerFunction, name, opts)
	if !a.register(TriggerFunction, name, f == nil, nameOK(name), err) {
		return
	}
	a.filled.Store(true)
	a.functions.set(name, &function{call: f, settings: set, stat: a.stat(TriggerFunction, name)})
}

// AroundFunction registers code around every function, the first registered
// outermost. What it returns is the result; next runs the rest and then the
// function, after its validator.
func (a *App) AroundFunction(f func(ctx context.Context, r *FunctionRequest, next Function) (parse.Value, error)) {
	if !a.register(TriggerFunction, "*", f == nil) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []aroundFunction
	if old := a.aroundFunctions.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = append(list, f)
	a.aroundFunctions.Store(&list)
}

// Job registers a background job; a second one of the same name replaces the
// first. It has no time limit unless [Timeout] gives it one, and may run again
// if the server dies while it runs.
func (a *App) Job(name string, f func(context.Context, *JobRequest) (string, error), opts ...Option) {
	set, err := a.settings(TriggerJob, name, opts)
	if !a.register(TriggerJob, name, f == nil, nameOK(name), err) {
		return
	}
	if set.timeout == timeoutOfApp {
		set.timeout = 0
	}
	a.filled.Store(true)
	a.jobs.set(name, &job{call: f, settings: set, stat: a.stat(TriggerJob, name)})
}

// HasFunction reports whether a function of that name is registered.
func (a *App) HasFunction(name string) bool {
	if a == nil {
		return false
	}
	_, ok := a.functions.get(name)
	return ok
}

// Functions returns the names of all functions, sorted.
func (a *App) Functions() []string {
	if a == nil {
		return nil
	}
	return a.functions.names()
}

// HasJob reports whether a job of that name is registered.
func (a *App) HasJob(name string) bool {
	if a == nil {
		return false
	}
	_, ok := a.jobs.get(name)
	return ok
}

// Jobs returns the names of all jobs, sorted.
func (a *App) Jobs() []string {
	if a == nil {
		return nil
	}
	return a.jobs.names()
}

// RunFunction calls the function r.Name; a missing one gives 141 as the
// protocol has it.
func (a *App) RunFunction(ctx context.Context, r *FunctionRequest) (parse.Value, error) {
	var f *function
	if a != nil {
		f, _ = a.functions.get(r.Name)
	}
	if f == nil {
		return nil, Err(parse.ScriptFailed, "Invalid function: %q", r.Name)
	}
	var result parse.Value
	err := invoke(ctx, a, TriggerFunction, r.Name, &f.settings, f.stat, r, func(ctx context.Context) error {
		call := f.call
		if list := a.aroundFunctions.Load(); list != nil {
			for _, around := range slices.Backward(*list) {
				inner := call
				call = func(ctx context.Context, r *FunctionRequest) (parse.Value, error) { return around(ctx, r, inner) }
			}
		}
		var err error
		result, err = call(ctx, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// RunJob runs the job r.Name and returns its message.
func (a *App) RunJob(ctx context.Context, r *JobRequest) (message string, err error) {
	var j *job
	if a != nil {
		j, _ = a.jobs.get(r.Name)
	}
	if j == nil {
		return "", Err(parse.ScriptFailed, "Invalid job.")
	}
	err = invoke(ctx, a, TriggerJob, r.Name, &j.settings, j.stat, r, func(ctx context.Context) (err error) {
		message, err = j.call(ctx, r)
		return err
	})
	return message, err
}
