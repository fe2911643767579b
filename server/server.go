package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/appconfig"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/cache"
	"github.com/pargo-baas/pargo/internal/doctor"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/internal/guard"
	"github.com/pargo-baas/pargo/internal/hooks"
	"github.com/pargo-baas/pargo/internal/installation"
	"github.com/pargo-baas/pargo/internal/jobs"
	"github.com/pargo-baas/pargo/internal/logstore"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/redact"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/livequery/redisbus"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server/config"
	"github.com/pargo-baas/pargo/server/rest"
)

// drainTimeout bounds how long a stopping server waits for its clients.
const drainTimeout = 25 * time.Second

// appleTimeout bounds one question about a receipt.
const appleTimeout = 30 * time.Second

// Option changes how a server is built.
type Option func(*settings)

type settings struct {
	cloud      []func(*cloudcode.App)
	migrations []Migrations
	log        *slog.Logger
	mail       MailAdapter
	users      UserFunctions
	pages      PageFunctions
	now        func() time.Time
	liveOnly   bool
}

// WithClock sets the clock of the server: times of objects, sessions and jobs
// follow it. It is for tests.
func WithClock(now func() time.Time) Option { return func(s *settings) { s.now = now } }

// WithCloud adds cloud code: register is called once, before the first request.
func WithCloud(register func(*cloudcode.App)) Option {
	return func(s *settings) { s.cloud = append(s.cloud, register) }
}

// WithLogger sets the logger; the default writes to slog.Default.
func WithLogger(l *slog.Logger) Option { return func(s *settings) { s.log = l } }

// Server is one pargo server. Make it with New, serve it with Run.
type Server struct {
	cfg      config.Config
	log      *slog.Logger
	store    storage.Store
	guard    *storage.Guard
	registry *schema.Registry
	stats    *doctor.Stats
	hub      *livequery.Hub // nil without live queries
	live     *redisbus.Bus  // nil without a Redis for live queries
	users    *auth.Service
	shared   *shared
	post     *post
	custom   settings
	handler  http.Handler
	listener *guard.Listener
	http     *http.Server
	// livePort is the port for live queries alone, nil if they have none.
	livePort *livePort
	// conns are the limits of connections, memory what large bodies and answers may take.
	conns  guard.Limits
	memory config.Memory
	// lane is that of all that takes long, gate what lets requests in.
	lane *fair.Lane
	gate *fair.Gate
	// embedded: the database is this process's own. Nobody else changes it, and
	// it has unique indexes without regard to case.
	embedded bool
	now      func() time.Time
	logs     *logstore.Store
	objs     *objects.Service
	jobs     *jobs.Service
	hooks    *hooks.Service
	state    atomic.Pointer[string]
}

// States that /health reports.
var (
	stateStarting = "starting"
	stateOK       = "ok"
	stateStopping = "stopping"
)

// New opens the database, applies the schema and listens. The caller must call
// Run, which also releases what New has opened. If New fails, nothing stays open.
func New(ctx context.Context, cfg config.Config, opts ...Option) (_ *Server, err error) {
	var set settings
	for _, o := range opts {
		o(&set)
	}
	if set.log == nil {
		set.log = slog.Default()
	}
	if set.liveOnly {
		if err := liveNodeConfig(&cfg); err != nil {
			return nil, err
		}
	}
	cfg.Embed(set.users.VerifyUserEmails != nil, set.mail != nil)
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.AppID == "" || cfg.MasterKey == "" {
		return nil, errors.New("appId and masterKey must be set")
	}
	for _, w := range cfg.Warnings {
		set.log.WarnContext(ctx, w)
	}
	if set.now == nil {
		set.now = time.Now
	}
	logs := &logstore.Store{}
	set.log = slog.New(redact.Handler(logs.Handler(set.log.Handler())))
	s := &Server{cfg: cfg, log: set.log, now: set.now, logs: logs, custom: set}
	s.state.Store(&stateStarting)
	var closers []func()
	defer func() {
		if err == nil {
			return
		}
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}()

	// The port comes first: a second server on the same one fails before it
	// touches the database.
	var lc net.ListenConfig
	port, err := lc.Listen(ctx, "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	conns, memory, err := newGuard(cfg)
	if err != nil {
		return nil, errors.Join(err, port.Close())
	}
	s.conns, s.memory = conns, memory
	s.listener = guard.Listen(port, conns.Connections)
	closers = append(closers, func() { _ = s.listener.Close() })
	if s.livePort, err = listenLive(ctx, cfg, conns.Connections); err != nil {
		return nil, err
	}
	closers = append(closers, s.livePort.close)
	s.develop()
	cfg = s.cfg

	file, err := schemaFile(cfg.Schema)
	if err != nil {
		return nil, err
	}
	app, err := buildApp(cfg, file, set.cloud)
	if err != nil {
		return nil, err
	}
	app.SetLogger(set.log)
	providers, err := newProviders(cfg, app)
	if err != nil {
		return nil, err
	}
	if set.liveOnly {
		file = nil // the servers that write apply it
	}
	if s.store, err = openStore(ctx, cfg, providerNames(providers), set.log); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	closers = append(closers, func() { _ = s.store.Close() })
	if db, err := cfg.Database(); err == nil && db.Kind == config.SQLite {
		s.embedded = true
	}
	s.shared = newShared(set.log)
	closers = append(closers, func() { _ = s.shared.close() })
	if s.post, err = s.openMail(ctx); err != nil {
		return nil, err
	}
	closers = append(closers, func() { _ = s.post.close(ctx) })
	s.registry = schema.NewRegistry(s.store)
	s.stats = doctor.NewStats(time.Now())
	use, err := cfg.DatabaseUse()
	if err != nil {
		return nil, err
	}
	s.store, s.guard = storage.Guarded(ctx, s.store, storage.GuardOptions{InFlight: use.MaxInFlight, Stall: use.Stall, Log: s.log})
	cores := runtime.GOMAXPROCS(0)
	s.lane, s.gate = fair.NewLane(fair.Cores(cores)), fair.NewGate(cores, nil)
	patterns := s.lane
	if db, err := cfg.Database(); err == nil && db.Kind == config.MongoDB {
		patterns = nil // it matches them itself
	}
	s.store = storage.Laned(storage.Observed(s.store, s.stats), patterns)
	gate, err := newGate(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.applySchema(ctx, file, set.migrations, parts{gate: gate, providers: providers}); err != nil {
		return nil, err
	}
	closers = append(closers, func() {
		if s.live != nil {
			_ = s.live.Close()
		}
	})
	if err := s.build(ctx, cfg, gate, app, providers, file); err != nil {
		return nil, err
	}
	s.state.Store(&stateOK)
	return s, nil
}

// build makes the services and the handler.
func (s *Server) build(ctx context.Context, cfg config.Config, gate *access.Gate, app *cloudcode.App, providers map[string]cloudcode.AuthProvider, file *schema.Document) error {
	limits := query.Limits{}
	pub := &publisher{}
	complexity, _, err := newComplexity(cfg)
	if err != nil {
		return err
	}
	bus, err := s.bus()
	if err != nil {
		return err
	}
	objs, users, err := s.services(parts{gate, app, pub, bus, providers})
	if err != nil {
		return err
	}
	s.objs = objs
	s.jobs = jobs.New(objs, jobs.Options{Now: s.now, Log: s.log})
	if err := s.newHooks(ctx, objs); err != nil {
		return err
	}
	s.users = users
	inst, err := cfg.Installations()
	if err != nil {
		return err
	}
	installation.Register(objs, installation.Options{
		Update: inst.Action == "update", PreferID: inst.MergePriority == "installationId", EnforceAuth: inst.EnforceAuth, Log: s.log,
	})
	// Caches are told of a change before live queries are, so that these
	// judge by the rights in force.
	pub.to = append(pub.to, users)
	proxies, err := cfg.Proxies()
	if err != nil {
		return err
	}
	clientIP := clientIPFunc(proxies)
	keys := rest.Keys{
		AppID: cfg.AppID, Master: cfg.MasterKey, ReadOnlyMaster: cfg.ReadOnlyMasterKey, Maintenance: cfg.MaintenanceKey,
	}
	for _, k := range []string{cfg.ClientKey, cfg.JavaScriptKey, cfg.DotNetKey, cfg.RESTAPIKey} {
		if k != "" {
			keys.Client = append(keys.Client, k)
		}
	}
	o := rest.Options{
		Keys: keys, MountPath: cfg.MountPath, PublicURL: strings.TrimRight(cfg.PublicServerURL, "/"), ServerURL: cfg.ServerURL,
		AllowOrigin: cfg.AllowOrigin, AllowHeaders: cfg.AllowHeaders, Sanitize: cfg.EnableSanitizedErrorResponse,
		ClientIP: clientIP, State: func() string { return *s.state.Load() }, Limits: limits, Complexity: complexity, Log: s.log,
	}
	use, err := cfg.DatabaseUse()
	if err != nil {
		return err
	}
	o.BodyMemory, o.Answers = s.memory.Bodies, rest.NewAnswers(s.memory.Answers, s.lane)
	o.Lane, o.Gate, o.Extend = s.lane, s.gate, s.conns.Extend
	o.PublicExplain = use.AllowPublicExplain
	o.Jobs, o.Hooks, o.Config, o.Logs, o.Now = s.jobs, s.hooks, appconfig.New(objs), s.logs, s.now
	if cfg.EnableProductPurchaseLegacyAPI {
		o.Apple = &rest.AppleReceipts{
			Production: "https://buy.itunes.apple.com/verifyReceipt", Sandbox: "https://sandbox.itunes.apple.com/verifyReceipt",
			Client: &http.Client{Timeout: appleTimeout},
		}
	}
	o.NoReadOnlyAggregate = !cfg.AllowReadOnlyAggregate
	raw, err := cfg.RawAggregates()
	if err != nil {
		return err
	}
	o.RawAggregateNames, o.RawAggregateValues = raw.Names, raw.Values
	checks, err := securityGroups(cfg, s.store, s.registry)
	if err != nil {
		return err
	}
	o.Doctor = func(slow time.Duration, security bool) *doctor.Doctor {
		if security {
			return newDoctor(s.store, s.registry, s.stats, slow, checks...)
		}
		return newDoctor(s.store, s.registry, s.stats, slow)
	}
	if o.Security, err = openSecurity(ctx, cfg, checks, s.log); err != nil {
		return err
	}
	o.LockSchemas = file != nil && file.LockSchemas
	o.Schemas = schema.Rules{AnyUserID: cfg.AllowCustomObjectID, AnyIndexField: use.AnyIndexField}
	for into, list := range map[*rest.IPList][]string{
		&o.MasterIPs: cfg.MasterKeyIPs, &o.ReadOnlyIPs: cfg.ReadOnlyMasterKeyIPs, &o.MaintenanceIPs: cfg.MaintenanceKeyIPs,
	} {
		for _, e := range list {
			r, err := config.ParseIPRange(e)
			if err != nil {
				return err
			}
			*into = append(*into, r)
		}
	}
	if o.Idempotency, err = newIdempotency(cfg); err != nil {
		return err
	}
	if o.Rates, err = newRates(cfg, app, s.shared); err != nil {
		return err
	}
	if o.MaxBody, err = cfg.MaxBody(); err != nil {
		return err
	}
	if cfg.RouteAllowList != nil {
		o.RouteAllowList = make([]*regexp.Regexp, 0, len(cfg.RouteAllowList))
	}
	for _, re := range cfg.RouteAllowList {
		compiled, err := regexp.Compile("^(?:" + re + ")$")
		if err != nil {
			return err
		}
		o.RouteAllowList = append(o.RouteAllowList, compiled)
	}
	if o.PagesPath, err = s.openPages(users, clientIP); err != nil {
		return err
	}
	o.Pages = s.post.pages
	classes, err := liveClasses(cfg, file)
	if err != nil {
		return err
	}
	if s.custom.liveOnly {
		classes = nil // the servers that publish choose
	}
	if cfg.StartLiveQueryServer {
		s.buildLive(gate, objs, users, complexity, o, classes)
		pub.to = append(pub.to, s.hub)
		o.LiveStats = s.hub.Stats
	}
	if err := s.openLiveBus(ctx, gate, users, classes); err != nil {
		return err
	}
	if s.live != nil {
		pub.to = append(pub.to, s.live)
	}
	o.Metrics = s.expose(app)
	s.handler = s.showingMails(s.upgrading(rest.New(objs, users, o)))
	if s.custom.liveOnly {
		s.handler = liveNode(cfg.MountPath, s.handler)
	}
	s.http = s.httpServer(s.handler, s.listener)
	return nil
}

// httpServer makes the server of a port.
func (s *Server) httpServer(h http.Handler, on *guard.Listener) *http.Server {
	hs := s.conns.Server(h, on)
	hs.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	return hs
}

// bus tells other servers of what the caches have to forget; nil without any.
func (s *Server) bus() (cache.Bus, error) {
	if s.embedded { // nobody else writes, and nobody has to be told
		return nil, nil
	}
	url, err := s.cfg.RedisURL()
	if err != nil {
		return nil, err
	}
	// Who shares live queries shares the knowledge of sessions and roles.
	if url = cmp.Or(url, s.cfg.LiveQuery.Redis(), s.cfg.LiveQueryServerOptions.Redis()); url == "" {
		return nil, nil
	}
	return s.shared.redis(url)
}

// parts are what the services are made of besides the options.
type parts struct {
	gate      *access.Gate
	app       *cloudcode.App
	pub       objects.Publisher
	bus       cache.Bus
	providers map[string]cloudcode.AuthProvider
}

// services makes the services of objects and users.
func (s *Server) services(p parts) (*objects.Service, *auth.Service, error) {
	denylist, err := newDenylist(s.cfg)
	if err != nil {
		return nil, nil, err
	}
	_, subqueryLimit, err := newComplexity(s.cfg)
	if err != nil {
		return nil, nil, err
	}
	objs := objects.New(s.store, s.registry, p.app, objects.Options{
		Gate:                     p.gate,
		Publisher:                p.pub,
		ObjectIDSize:             s.cfg.ObjectIDSize,
		DefaultLimit:             s.cfg.DefaultLimit,
		MaxLimit:                 s.cfg.MaxLimit,
		AllowClientClassCreation: s.cfg.AllowClientClassCreation,
		AllowCustomObjectID:      s.cfg.AllowCustomObjectID,
		QueryLimits:              query.Limits{},
		Denylist:                 denylist,
		SubqueryLimit:            subqueryLimit,
		CursorSecret:             []byte(s.cfg.MasterKey),
		Now:                      s.now,
		Log:                      s.log,
	})
	sessionLength := time.Duration(s.cfg.SessionLength) * time.Second
	if !s.cfg.ExpireInactiveSessions {
		sessionLength = 0
	}
	cacheTTL := time.Duration(s.cfg.CacheTTL) * time.Millisecond
	if s.embedded {
		cacheTTL = 0 // nobody else writes
	}
	algorithm, err := passwords(s.cfg)
	if err != nil {
		return nil, nil, err
	}
	ao := auth.Options{
		SessionLength:                sessionLength,
		Passwords:                    algorithm,
		Lane:                         s.lane,
		ExtendOnUse:                  s.cfg.ExtendSessionOnUse,
		Providers:                    p.providers,
		EnableAnonymous:              s.cfg.EnableAnonymousUsers,
		AllowExpiredAuthData:         s.cfg.AllowExpiredAuthDataToken,
		EnforcePrivateUsers:          s.cfg.EnforcePrivateUsers,
		LowercaseUsername:            s.cfg.ConvertUsernameToLowercase,
		LowercaseEmail:               s.cfg.ConvertEmailToLowercase,
		RevokeSessionOnPasswordReset: s.cfg.RevokeSessionOnPasswordReset,
		FoldedNames:                  s.embedded,
		CacheTTL:                     cacheTTL,
		CacheSize:                    s.cfg.CacheMaxSize,
		Bus:                          p.bus,
		Channel:                      "pargo:" + s.cfg.AppID + ":changes",
		Now:                          s.now,
		Log:                          s.log,
	}
	if ao.Throttle, err = newThrottle(s.cfg, s.shared, s.now); err != nil {
		return nil, nil, err
	}
	if err := s.userOptions(&ao); err != nil {
		return nil, nil, err
	}
	users, err := auth.New(objs, ao)
	return objs, users, err
}

// publisher hands changes to all who want them, in order.
type publisher struct{ to []objects.Publisher }

func (p *publisher) Wants(class string) bool {
	for _, t := range p.to {
		if t.Wants(class) {
			return true
		}
	}
	return false
}

func (p *publisher) Publish(ctx context.Context, changes []parse.Change) {
	for _, t := range p.to {
		t.Publish(ctx, changes)
	}
}

// clientIPFunc finds the client's address: the peer's, or what trusted proxies
// say in X-Forwarded-For, read from the right (the nearest hop) to the left.
func clientIPFunc(trust config.ProxyTrust) func(*http.Request) string {
	trusted := func(ip string, hop int) bool {
		if trust.All || hop < trust.Hops {
			return true
		}
		a, err := netip.ParseAddr(ip)
		if err != nil {
			return false
		}
		for _, r := range trust.Ranges {
			if r.Contains(a.Unmap().WithZone("")) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) string {
		ip := r.RemoteAddr
		if i := strings.LastIndexByte(ip, ':'); i >= 0 {
			ip = strings.Trim(ip[:i], "[]")
		}
		if !trust.All && trust.Hops == 0 && len(trust.Ranges) == 0 {
			return ip
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0 && trusted(ip, len(hops)-1-i); i-- {
			hop := strings.TrimSpace(hops[i])
			if hop == "" {
				break
			}
			ip = bare(hop)
		}
		return ip
	}
}

// bare is an address without the port and the brackets that some proxies write:
// with them each connection would count as a network of its own.
func bare(hop string) string {
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return ap.Addr().String()
	}
	if inner, ok := strings.CutPrefix(hop, "["); ok {
		return strings.TrimSuffix(inner, "]")
	}
	return hop
}

// Client returns a client with full rights, for the program around the server.
func (s *Server) Client() cloudcode.Client { return s.objs.Client(access.MasterKey()) }

// RunDue starts the jobs that are due now and waits for those of this server.
// The server does so by itself every few seconds; this is for tests with a
// clock of their own.
func (s *Server) RunDue(ctx context.Context) error {
	err := s.jobs.Tick(ctx)
	s.jobs.Wait()
	return err
}

// Handler returns the server's HTTP handler, for embedding into another one.
func (s *Server) Handler() http.Handler { return s.handler }

// URL returns the URL of the API as reached from this machine, or the
// configured serverURL.
func (s *Server) URL() string {
	if s.cfg.ServerURL != "" {
		return s.cfg.ServerURL
	}
	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	host := s.cfg.Host
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = "localhost"
	}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: strings.TrimRight(s.cfg.MountPath, "/")}
	return u.String()
}

// LiveQueryURL returns the websocket URL, or "" if live queries are off.
func (s *Server) LiveQueryURL() string {
	if s.hub == nil {
		return ""
	}
	u := "ws" + strings.TrimPrefix(s.URL(), "http")
	if s.livePort == nil {
		return u
	}
	return s.livePort.of(u)
}

// Classes returns the names of all classes in service, sorted.
func (s *Server) Classes() []string {
	var names []string
	for _, c := range s.registry.Current().Classes() {
		names = append(names, c.Name)
	}
	return names
}

// Run serves until ctx ends, then drains: it stops accepting, lets requests
// finish, closes websockets with a close frame and closes the database.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 2)
	go func() { failed <- s.http.Serve(s.listener) }()
	s.livePort.serve(failed)
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	var background sync.WaitGroup
	background.Go(func() { s.registry.Follow(working, s.pace(), s.log) })
	if !s.custom.liveOnly { // jobs and webhooks are for servers that write
		background.Go(func() { s.jobs.Run(working) })
		background.Go(func() { s.hooks.Run(working) })
	}
	var serveErr error
	select {
	case <-ctx.Done():
	case serveErr = <-failed:
	}
	s.state.Store(&stateStopping)
	// Draining outlives the context that asked for it.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	var errs []error
	if serveErr != nil && !errors.Is(serveErr, http.ErrServerClosed) {
		errs = append(errs, fmt.Errorf("serve: %w", serveErr))
	}
	if err := s.http.Shutdown(drain); err != nil {
		errs = append(errs, fmt.Errorf("drain requests: %w", err), s.http.Close())
	}
	if err := s.livePort.drain(drain); err != nil {
		errs = append(errs, err)
	}
	if s.live != nil {
		if err := s.live.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close live query bus: %w", err))
		}
	}
	if s.hub != nil {
		if err := s.hub.Close(drain); err != nil {
			errs = append(errs, fmt.Errorf("close live queries: %w", err))
		}
	}
	s.gate.Close()
	if err := s.post.close(drain); err != nil {
		errs = append(errs, fmt.Errorf("stop mails: %w", err))
	}
	stopWorking()
	background.Wait() // jobs end, or are left to another server
	s.users.Close()
	if err := s.shared.close(); err != nil {
		errs = append(errs, fmt.Errorf("close redis: %w", err))
	}
	if err := s.store.Close(); err != nil {
		errs = append(errs, fmt.Errorf("close database: %w", err))
	}
	return errors.Join(errs...)
}
