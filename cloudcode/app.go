package cloudcode

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pargo-baas/pargo/parse"
)

// hook is one registered function.
type hook[R any] func(context.Context, *R) error

// table maps a class to its hooks. Readers load one pointer and look into a
// map that never changes; a writer replaces the map.
type table[R any] struct {
	mu sync.Mutex
	m  atomic.Pointer[map[string][]hook[R]]
}

func (t *table[R]) add(class string, f hook[R]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[string][]hook[R]{}
	if old := t.m.Load(); old != nil {
		next = maps.Clone(*old)
	}
	next[class] = append(slices.Clip(next[class]), f)
	t.m.Store(&next)
}

func (t *table[R]) get(class string) []hook[R] {
	if m := t.m.Load(); m != nil {
		return (*m)[class]
	}
	return nil
}

// Function is a cloud function: what it returns is the result that the client reads.
type Function func(ctx context.Context, r *FunctionRequest) (parse.Value, error)

// App is the cloud code of one application. A nil App has no hooks and no
// functions; make one that can be filled with [New].
type App struct {
	beforeSave   table[SaveRequest]
	afterSave    table[SaveRequest]
	beforeDelete table[DeleteRequest]
	afterDelete  table[DeleteRequest]
	beforeFind   table[FindRequest]
	afterFind    table[FoundRequest]
	beforeLogin  table[LoginRequest]
	afterLogin   table[LoginRequest]
	afterLogout  table[LogoutRequest]

	functionsMu sync.Mutex
	functions   atomic.Pointer[map[string]Function]

	providersMu sync.Mutex
	providers   map[string]AuthProvider // guarded by providersMu
	sms         SMS                     // guarded by providersMu

	log atomic.Pointer[slog.Logger]
}

// New returns an App without hooks.
func New() *App { return &App{} }

// SetLogger sets where hooks report what a client must not learn. The server
// sets its own logger before it serves.
func (a *App) SetLogger(log *slog.Logger) { a.log.Store(log) }

// Logger returns the logger; before SetLogger one that discards.
func (a *App) Logger() *slog.Logger {
	if l := a.log.Load(); l != nil {
		return l
	}
	return slog.New(slog.DiscardHandler)
}

// BeforeSave registers a hook that runs before an object of the class is
// stored, after the caller's rights were checked and before required fields
// and types are. It may change the Object.
func (a *App) BeforeSave(class string, f func(context.Context, *SaveRequest) error) {
	a.beforeSave.add(class, f)
}

// AfterSave registers a hook that runs once the save is committed. Its error is logged, the save stays.
func (a *App) AfterSave(class string, f func(context.Context, *SaveRequest) error) {
	a.afterSave.add(class, f)
}

// BeforeDelete registers a hook that may refuse a delete.
func (a *App) BeforeDelete(class string, f func(context.Context, *DeleteRequest) error) {
	a.beforeDelete.add(class, f)
}

// AfterDelete registers a hook that runs once the delete is committed. Its
// error reaches the client, although the object is gone.
func (a *App) AfterDelete(class string, f func(context.Context, *DeleteRequest) error) {
	a.afterDelete.add(class, f)
}

// BeforeFind registers a hook that runs before objects of the class are read;
// it may change or replace the Query, or refuse it.
func (a *App) BeforeFind(class string, f func(context.Context, *FindRequest) error) {
	a.beforeFind.add(class, f)
}

// AfterFind registers a hook that sees the objects found and may replace them.
func (a *App) AfterFind(class string, f func(context.Context, *FoundRequest) error) {
	a.afterFind.add(class, f)
}

// BeforeLogin registers a hook that runs when the credentials were right and
// no session exists yet; its error refuses the login.
func (a *App) BeforeLogin(f func(context.Context, *LoginRequest) error) {
	a.beforeLogin.add("", f)
}

// AfterLogin registers a hook that runs once the session exists. Its error
// fails the request, though the session stays.
func (a *App) AfterLogin(f func(context.Context, *LoginRequest) error) {
	a.afterLogin.add("", f)
}

// AfterLogout registers a hook that runs once the session is gone.
func (a *App) AfterLogout(f func(context.Context, *LogoutRequest) error) {
	a.afterLogout.add("", f)
}

// Function registers a cloud function; a second one of the same name replaces
// the first. Dots in the name have no meaning.
func (a *App) Function(name string, f func(context.Context, *FunctionRequest) (parse.Value, error)) {
	a.functionsMu.Lock()
	defer a.functionsMu.Unlock()
	next := map[string]Function{}
	if old := a.functions.Load(); old != nil {
		next = maps.Clone(*old)
	}
	next[name] = f
	a.functions.Store(&next)
}

func (a *App) function(name string) Function {
	if a == nil {
		return nil
	}
	if m := a.functions.Load(); m != nil {
		return (*m)[name]
	}
	return nil
}

// HasBeforeSave reports whether the class has such a hook, so that the caller
// can spare himself the request.
func (a *App) HasBeforeSave(class string) bool { return a != nil && len(a.beforeSave.get(class)) > 0 }

// HasAfterSave is as HasBeforeSave.
func (a *App) HasAfterSave(class string) bool { return a != nil && len(a.afterSave.get(class)) > 0 }

// HasBeforeDelete is as HasBeforeSave.
func (a *App) HasBeforeDelete(class string) bool {
	return a != nil && len(a.beforeDelete.get(class)) > 0
}

// HasAfterDelete is as HasBeforeSave.
func (a *App) HasAfterDelete(class string) bool {
	return a != nil && len(a.afterDelete.get(class)) > 0
}

// HasBeforeFind is as HasBeforeSave.
func (a *App) HasBeforeFind(class string) bool { return a != nil && len(a.beforeFind.get(class)) > 0 }

// HasAfterFind is as HasBeforeSave.
func (a *App) HasAfterFind(class string) bool { return a != nil && len(a.afterFind.get(class)) > 0 }

// HasBeforeLogin is as HasBeforeSave.
func (a *App) HasBeforeLogin() bool { return a != nil && len(a.beforeLogin.get("")) > 0 }

// HasAfterLogin is as HasBeforeSave.
func (a *App) HasAfterLogin() bool { return a != nil && len(a.afterLogin.get("")) > 0 }

// HasAfterLogout is as HasBeforeSave.
func (a *App) HasAfterLogout() bool { return a != nil && len(a.afterLogout.get("")) > 0 }

// HasFunction reports whether a function of that name is registered.
func (a *App) HasFunction(name string) bool { return a.function(name) != nil }

// Functions returns the names of all functions, sorted.
func (a *App) Functions() []string {
	if a == nil {
		return nil
	}
	if m := a.functions.Load(); m != nil {
		return slices.Sorted(maps.Keys(*m))
	}
	return nil
}
