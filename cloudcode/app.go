package cloudcode

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// Function is a cloud function: what it returns is the result that the client
// reads. [NoResult] answers without one.
type Function func(ctx context.Context, r *FunctionRequest) (parse.Value, error)

// Job is a background job. The message that it returns is kept in _JobStatus
// if it is not empty; an error makes the job fail.
type Job func(ctx context.Context, r *JobRequest) (message string, err error)

type noResult struct{}

// NoResult is the result of a function that has none: the client reads an
// empty object, SDKs undefined. nil is null.
var NoResult parse.Value = noResult{}

// DefaultTimeout is how long a hook or a function may take if nobody says otherwise.
const DefaultTimeout = 30 * time.Second

// App is the cloud code of one application. A nil App has no hooks and no
// functions; make one that can be filled with [New].
type App struct {
	beforeSave    table[SaveRequest]
	afterSave     table[SaveRequest]
	beforeDelete  table[DeleteRequest]
	afterDelete   table[DeleteRequest]
	beforeFind    table[FindRequest]
	afterFind     table[FoundRequest]
	beforeLogin   table[LoginRequest]
	afterLogin    table[LoginRequest]
	afterLogout   table[LogoutRequest]
	passwordReset table[PasswordResetRequest]
	beforeConfig  table[ConfigRequest]
	afterConfig   table[ConfigRequest]
	connect       table[ConnectRequest]
	subscribe     table[SubscribeRequest]
	event         table[EventRequest]
	monitors      table[LiveQueryEvent]
	analytics     table[AnalyticsEvent]

	functions named[*function]
	jobs      named[*job]
	// aroundFunctions run around every function, the first outermost.
	aroundFunctions atomic.Pointer[[]aroundFunction]

	providersMu sync.Mutex
	providers   map[string]AuthProvider // guarded by providersMu
	sms         SMS                     // guarded by providersMu

	// parent has the counters of an App made by NewExtra.
	parent *App
	// filled: something was registered, so that requests need an origin.
	filled atomic.Bool

	mu    sync.Mutex // guards all below
	errs  []error
	rates []Rate
	stats []*Stat

	timeout  atomic.Int64
	log      atomic.Pointer[slog.Logger]
	observer atomic.Pointer[Observer]
}

// New returns an App without hooks.
func New() *App {
	a := &App{}
	a.timeout.Store(int64(DefaultTimeout))
	return a
}

// SetLogger sets where hooks report what a client must not learn. The server
// sets its own logger before it serves.
func (a *App) SetLogger(log *slog.Logger) { a.log.Store(log) }

// Logger returns the logger; before SetLogger one that discards.
func (a *App) Logger() *slog.Logger {
	if a != nil {
		if l := a.log.Load(); l != nil {
			return l
		}
	}
	return slog.New(slog.DiscardHandler)
}

// SetTimeout sets the time limit of hooks and functions that have none of
// their own ([Timeout]); 0 is none. Jobs have none unless they say so.
func (a *App) SetTimeout(d time.Duration) { a.timeout.Store(int64(d)) }

// Empty reports whether nothing was ever registered.
func (a *App) Empty() bool { return a == nil || !a.filled.Load() }

// NewExtra returns an App for [App.SetExtra]; its hooks count in the counters of a.
func (a *App) NewExtra() *App {
	extra := New()
	extra.parent = a
	return extra
}

// SetExtra puts the hooks of another App after the own ones and lets its
// functions win, in the place of those of an earlier SetExtra. It is for hooks
// that come and go while the server runs.
func (a *App) SetExtra(extra *App) {
	a.filled.Store(true)
	a.beforeSave.follow(&extra.beforeSave)
	a.afterSave.follow(&extra.afterSave)
	a.beforeDelete.follow(&extra.beforeDelete)
	a.afterDelete.follow(&extra.afterDelete)
	a.beforeFind.follow(&extra.beforeFind)
	a.afterFind.follow(&extra.afterFind)
	a.beforeLogin.follow(&extra.beforeLogin)
	a.afterLogin.follow(&extra.afterLogin)
	a.afterLogout.follow(&extra.afterLogout)
	a.passwordReset.follow(&extra.passwordReset)
	a.beforeConfig.follow(&extra.beforeConfig)
	a.afterConfig.follow(&extra.afterConfig)
	a.connect.follow(&extra.connect)
	a.subscribe.follow(&extra.subscribe)
	a.event.follow(&extra.event)
	a.functions.follow(&extra.functions)
}

// on registers a hook that has its place in the chain by its order.
func on[R any](a *App, t *table[R], kind Trigger, class string, f func(context.Context, *R) error, opts []Option) {
	add(a, t, kind, class, f == nil, hook[R]{plain: f}, opts)
}

func add[R any](a *App, t *table[R], kind Trigger, class string, missing bool, h hook[R], opts []Option) {
	var err error
	h.settings, err = a.settings(kind, class, opts)
	if !a.register(kind, class, missing, CheckTrigger(kind, class), err) {
		return
	}
	h.stat = a.stat(kind, class)
	a.filled.Store(true)
	t.add(class, &h)
}

// BeforeSave registers a hook that runs before an object of the class is
// stored, after the caller's rights were checked and before required fields
// and types are. It may change the Object.
func (a *App) BeforeSave(class string, f func(context.Context, *SaveRequest) error, opts ...Option) {
	on(a, &a.beforeSave, TriggerBeforeSave, class, f, opts)
}

// AroundSave registers a hook around those before a save that are registered
// later: they run when it calls next, whose error is theirs. Without the call
// they are passed over.
func (a *App) AroundSave(class string, f func(ctx context.Context, r *SaveRequest, next func(context.Context) error) error, opts ...Option) {
	add(a, &a.beforeSave, TriggerBeforeSave, class, f == nil, hook[SaveRequest]{around: f}, opts)
}

// AfterSave registers a hook that runs once the save is committed. Its error is logged, the save stays.
func (a *App) AfterSave(class string, f func(context.Context, *SaveRequest) error, opts ...Option) {
	on(a, &a.afterSave, TriggerAfterSave, class, f, opts)
}

// BeforeDelete registers a hook that may refuse a delete.
func (a *App) BeforeDelete(class string, f func(context.Context, *DeleteRequest) error, opts ...Option) {
	on(a, &a.beforeDelete, TriggerBeforeDelete, class, f, opts)
}

// AroundDelete is for deletes what AroundSave is for saves.
func (a *App) AroundDelete(class string, f func(ctx context.Context, r *DeleteRequest, next func(context.Context) error) error, opts ...Option) {
	add(a, &a.beforeDelete, TriggerBeforeDelete, class, f == nil, hook[DeleteRequest]{around: f}, opts)
}

// AfterDelete registers a hook that runs once the delete is committed. Its
// error is logged, the object is gone.
func (a *App) AfterDelete(class string, f func(context.Context, *DeleteRequest) error, opts ...Option) {
	on(a, &a.afterDelete, TriggerAfterDelete, class, f, opts)
}

// BeforeFind registers a hook that runs before objects of the class are read;
// it may change or replace the Query, put Objects in its place, or refuse it.
func (a *App) BeforeFind(class string, f func(context.Context, *FindRequest) error, opts ...Option) {
	on(a, &a.beforeFind, TriggerBeforeFind, class, f, opts)
}

// AfterFind registers a hook that sees the objects found and may replace them.
func (a *App) AfterFind(class string, f func(context.Context, *FoundRequest) error, opts ...Option) {
	on(a, &a.afterFind, TriggerAfterFind, class, f, opts)
}

// BeforeLogin registers a hook that runs when the credentials were right and
// no session exists yet; its error refuses the login.
func (a *App) BeforeLogin(f func(context.Context, *LoginRequest) error, opts ...Option) {
	on(a, &a.beforeLogin, TriggerBeforeLogin, userClass, f, opts)
}

// AfterLogin registers a hook that runs once the session exists. Its error
// fails the request, though the session stays.
func (a *App) AfterLogin(f func(context.Context, *LoginRequest) error, opts ...Option) {
	on(a, &a.afterLogin, TriggerAfterLogin, userClass, f, opts)
}

// AfterLogout registers a hook that runs once the session is gone. Its error
// fails the request, though the session is.
func (a *App) AfterLogout(f func(context.Context, *LogoutRequest) error, opts ...Option) {
	on(a, &a.afterLogout, TriggerAfterLogout, sessionClass, f, opts)
}

// BeforePasswordReset registers a hook that runs when a user was found who
// asks for a new password, before a token is made; its error refuses it.
func (a *App) BeforePasswordReset(f func(context.Context, *PasswordResetRequest) error, opts ...Option) {
	on(a, &a.passwordReset, TriggerBeforePasswordReset, userClass, f, opts)
}

// BeforeSaveConfig registers a hook that may refuse a change of the configuration.
func (a *App) BeforeSaveConfig(f func(context.Context, *ConfigRequest) error, opts ...Option) {
	on(a, &a.beforeConfig, TriggerBeforeSave, ConfigClass, f, opts)
}

// AfterSaveConfig registers a hook that sees the changed configuration. Its error is logged.
func (a *App) AfterSaveConfig(f func(context.Context, *ConfigRequest) error, opts ...Option) {
	on(a, &a.afterConfig, TriggerAfterSave, ConfigClass, f, opts)
}

// BeforeConnect registers a hook that may refuse the connection of a live-query client.
func (a *App) BeforeConnect(f func(context.Context, *ConnectRequest) error, opts ...Option) {
	on(a, &a.connect, TriggerBeforeConnect, ConnectClass, f, opts)
}

// BeforeSubscribe registers a hook that may refuse a subscription to the class
// or change its query.
func (a *App) BeforeSubscribe(class string, f func(context.Context, *SubscribeRequest) error, opts ...Option) {
	on(a, &a.subscribe, TriggerBeforeSubscribe, class, f, opts)
}

// AfterEvent registers a hook that runs for each event of a live query and each
// subscription that gets it, before what its caller may not see is removed: it
// may change or replace the objects, change the event, or keep it back.
func (a *App) AfterEvent(class string, f func(context.Context, *EventRequest) error, opts ...Option) {
	on(a, &a.event, TriggerAfterEvent, class, f, opts)
}

// OnAnalytics registers a function that gets the events that clients report.
// Its error is logged; clients do not learn of it.
func (a *App) OnAnalytics(f func(context.Context, *AnalyticsEvent) error) {
	if !a.register(triggerAnalytics, "*", f == nil) {
		return
	}
	a.filled.Store(true)
	a.analytics.add("", &hook[AnalyticsEvent]{
		plain: f, settings: settings{timeout: timeoutOfApp}, stat: a.stat(triggerAnalytics, "*"),
	})
}

// OnLiveQueryEvent registers a function that is told when live-query clients
// come, go, subscribe and unsubscribe. It cannot change anything.
func (a *App) OnLiveQueryEvent(f func(context.Context, *LiveQueryEvent)) {
	if !a.register(triggerLiveQuery, ConnectClass, f == nil) {
		return
	}
	a.filled.Store(true)
	a.monitors.add("", &hook[LiveQueryEvent]{
		plain: func(ctx context.Context, r *LiveQueryEvent) error {
			f(ctx, r)
			return nil
		},
		settings: settings{timeout: timeoutOfApp}, stat: a.stat(triggerLiveQuery, ConnectClass),
	})
}

// has reports whether a class has hooks in the table.
func has[R any](t *table[R], class string) bool { return len(t.get(class)) > 0 }

// HasBeforeSave reports whether the class has such a hook, so that the caller
// can spare himself the request.
func (a *App) HasBeforeSave(class string) bool { return a != nil && has(&a.beforeSave, class) }

// HasAfterSave is as HasBeforeSave.
func (a *App) HasAfterSave(class string) bool { return a != nil && has(&a.afterSave, class) }

// HasBeforeDelete is as HasBeforeSave.
func (a *App) HasBeforeDelete(class string) bool { return a != nil && has(&a.beforeDelete, class) }

// HasAfterDelete is as HasBeforeSave.
func (a *App) HasAfterDelete(class string) bool { return a != nil && has(&a.afterDelete, class) }

// HasBeforeFind is as HasBeforeSave.
func (a *App) HasBeforeFind(class string) bool { return a != nil && has(&a.beforeFind, class) }

// HasAfterFind is as HasBeforeSave.
func (a *App) HasAfterFind(class string) bool { return a != nil && has(&a.afterFind, class) }

// HasBeforeConnect is as HasBeforeSave.
func (a *App) HasBeforeConnect() bool { return a != nil && has(&a.connect, ConnectClass) }

// HasBeforeSubscribe is as HasBeforeSave.
func (a *App) HasBeforeSubscribe(class string) bool { return a != nil && has(&a.subscribe, class) }

// HasAfterEvent is as HasBeforeSave.
func (a *App) HasAfterEvent(class string) bool { return a != nil && has(&a.event, class) }

// HasMonitor is as HasBeforeSave.
func (a *App) HasMonitor() bool { return a != nil && !a.monitors.empty() }
