package rest

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/appconfig"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/doctor"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/internal/hooks"
	"github.com/pargo-baas/pargo/internal/jobs"
	"github.com/pargo-baas/pargo/internal/logstore"
	"github.com/pargo-baas/pargo/internal/metrics"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Keys are the credentials of the application; an empty one is not in use.
type Keys struct {
	AppID          string
	Master         string `secret:""`
	ReadOnlyMaster string `secret:""`
	Maintenance    string `secret:""`
	// Client lists the client keys; if there is any, clients must present one.
	Client []string `secret:""`
}

// IPList says from which addresses a key may be used.
type IPList []netip.Prefix

// Allows reports whether the address is in the list. An IPv4 address that
// comes in IPv6 form is taken as IPv4.
func (l IPList) Allows(ip string) bool {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	for _, p := range l {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Options are the settings of the API; see the options of the same name in
// server/config.
type Options struct {
	Keys           Keys
	MasterIPs      IPList
	ReadOnlyIPs    IPList
	MaintenanceIPs IPList

	MountPath string // "/parse", or "" for the root
	// PublicURL is the URL clients see, with the mount path; "" derives it from each request.
	PublicURL string
	// ServerURL is the server's own URL; its path is a prefix that batch items may use, too.
	ServerURL string
	MaxBody   int64
	// BodyMemory is what all large bodies together may take; 0: DefaultBodyMemory.
	BodyMemory int64
	// Lane is where what takes long waits for its turn; nil: nothing does.
	Lane *fair.Lane
	// Answers bounds the memory of large answers; nil: by the default.
	Answers *Answers
	// Gate lets requests in; nil: it is always open.
	Gate *fair.Gate
	// Extend gives a part of an answer the time to be read; nil: nothing does.
	Extend       func(http.ResponseWriter)
	AllowOrigin  []string
	AllowHeaders []string
	// RouteAllowList has the patterns of the routes open to clients, each for a
	// whole route; nil: all are open, empty: none.
	RouteAllowList []*regexp.Regexp
	// Sanitize replaces the text of refusals by "Permission denied".
	Sanitize bool
	// LockSchemas forbids to create and change classes over /schemas.
	LockSchemas bool
	// Schemas are the rules for what is written to /schemas.
	Schemas schema.Rules
	// ClientIP finds the address of the client behind trusted proxies.
	ClientIP func(*http.Request) string
	// State is what /health reports: "ok", "starting", "error" ….
	State  func() string
	Limits query.Limits
	// Doctor makes the one who answers GET /doctor; slow is from which 95th
	// percentile on a query without an index is a finding, security whether the
	// checks of GET /security are part of it.
	Doctor func(slow time.Duration, security bool) *doctor.Doctor
	// Security answers GET /security; nil: it is not enabled.
	Security *doctor.Doctor
	// PublicExplain lets clients ask for the plans of their queries.
	PublicExplain bool
	// NoReadOnlyAggregate refuses aggregates of the read-only master key.
	NoReadOnlyAggregate bool
	// RawAggregateNames and RawAggregateValues hold for aggregates that say
	// nothing of rawFieldNames and rawValues.
	RawAggregateNames, RawAggregateValues bool
	// Complexity narrows what clients may ask; nil: nothing is narrowed.
	Complexity *Complexity
	// Rates limit how often requests may come.
	Rates []RateLimit
	// LiveStats tells what live queries are at work; nil: none are served.
	LiveStats func() livequery.Stats
	// Metrics writes what GET /metrics shows beside the counters of requests.
	Metrics func(*metrics.Writer)
	// Idempotency serves each request id once; nil: ids are not regarded.
	Idempotency *Idempotency
	// Pages serves what is below PagesPath, one segment below the mount path;
	// it asks for no credentials. nil: nothing.
	Pages     http.Handler
	PagesPath string
	Jobs      *jobs.Service
	Config    *appconfig.Service
	Hooks     *hooks.Service
	Logs      *logstore.Store
	// Apple judges receipts; nil: /validate_purchase is not served.
	Apple *AppleReceipts
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger
}

func (o *Options) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

// Handler serves the API.
type Handler struct {
	requests *requests
	bodies   *budget
	o        Options
	objs     *objects.Service
	auth     *auth.Service
	engine   *gin.Engine
	routes   []route
	cors     corsHeaders
	// prefixes are the path prefixes that batch items may begin with.
	prefixes []string
}

// New returns the handler of the API over the services.
func New(objs *objects.Service, users *auth.Service, o Options) *Handler {
	o.MountPath = strings.TrimRight(o.MountPath, "/")
	if o.Answers == nil {
		o.Answers = NewAnswers(0, o.Lane)
	}
	h := &Handler{o: o, objs: objs, auth: users, bodies: newBudget(o.BodyMemory, o.Lane), cors: newCORS(o.AllowOrigin, o.AllowHeaders)}
	h.prefixes = batchPrefixes(o)
	h.routes = routeTable(o.Apple != nil)
	h.requests = newRequests(h.routes)
	gin.SetMode(gin.ReleaseMode)
	h.engine = gin.New()
	h.engine.RedirectTrailingSlash = false
	h.engine.RedirectFixedPath = false
	h.engine.HandleMethodNotAllowed = false
	h.engine.UseRawPath = true
	h.engine.UnescapePathValues = true
	for i, r := range h.routes {
		h.engine.Handle(r.method, o.MountPath+r.pattern, ginHandler(r, firstRoute+i))
	}
	h.engine.NoRoute(func(c *gin.Context) { callOf(c.Writer).notFound(c.Writer) })
	return h
}

// ginHandler adapts a route to gin. The call travels as the response writer
// that gin wraps, which costs no allocation and no context value.
func ginHandler(r route, at int) gin.HandlerFunc {
	return func(c *gin.Context) {
		call := callOf(c.Writer)
		call.at = at
		for i, name := range r.params {
			call.params[i] = c.Param(name)
		}
		ctx := call.origin(c.Request.Context())
		if r.once {
			if id := call.requestID(); id != "" {
				call.once(ctx, id, r.do)
				return
			}
		}
		call.finish(r.do(ctx, call))
	}
}

func callOf(w http.ResponseWriter) *call {
	for {
		switch v := w.(type) {
		case *call:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			panic("rest: no call below the response writer")
		}
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := newCall(h, w, r)
	defer func() {
		// The one place where a panic of a handler ends.
		if v := recover(); v != nil {
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				c.free()
				panic(v)
			}
			h.o.Log.ErrorContext(r.Context(), "panic while serving a request", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			if !c.wrote {
				c.fail(errInternal)
			}
			h.requests.count(c.at, http.StatusInternalServerError)
			c.free()
			return // the buffers of a call that panicked are not used again
		}
		h.requests.count(c.at, c.status)
		c.release()
	}()
	h.cors.set(w.Header(), r)
	if r.Method == http.MethodOptions {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		c.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte("OK"))
		return
	}
	path, ok := h.normalise(r.URL.Path)
	if !ok {
		c.notFound(c)
		return
	}
	c.req = c.rewrite(path)
	if path == h.o.MountPath+"/health" && c.req.Method == http.MethodGet {
		c.at = healthRoute
		if err := h.healthAllowed(c); err != nil {
			c.fail(err)
			return
		}
		h.health(c)
		return
	}
	if h.o.Pages != nil && strings.HasPrefix(path[len(h.o.MountPath):], h.o.PagesPath+"/") {
		c.at = pagesRoute
		h.o.Pages.ServeHTTP(c, c.req)
		c.WriteHeader(http.StatusOK) // unless it has written another one
		return
	}
	if err := c.open(); err != nil {
		c.fail(err)
		return
	}
	if err := h.routeAllowed(c.principal, c.req.Method, c.route()); err != nil {
		c.fail(err)
		return
	}
	if path == h.o.MountPath+"/metrics" && c.req.Method == http.MethodGet {
		c.at = metricsRoute
		h.metrics(c)
		return
	}
	h.engine.ServeHTTP(c, c.req)
}

// normalise brings a path into the form of the route table: one slash after
// the mount path, no trailing slash, the first segment in lower case, since
// routing does not regard case (reference 01 §1.1). ok is false outside of the mount path.
func (h *Handler) normalise(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, h.o.MountPath)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	changed := false
	if strings.HasPrefix(rest, "//") {
		rest, changed = rest[1:], true
	}
	if len(rest) > 1 && rest[len(rest)-1] == '/' {
		rest, changed = rest[:len(rest)-1], true
	}
	if low := lowerFirstSegment(rest); low != rest {
		rest, changed = low, true
	}
	if !changed {
		return path, true
	}
	return h.o.MountPath + rest, true
}

func lowerFirstSegment(p string) string {
	end := len(p)
	for i := 1; i < len(p); i++ {
		if p[i] == '/' {
			end = i
			break
		}
	}
	head, tail := p[:end], p[end:]
	low := strings.ToLower(head)
	// The camel-case routes keep their spelling in the table.
	for _, name := range camelRoutes {
		if strings.EqualFold(head, name) {
			low = name
			break
		}
	}
	if low == head {
		return p
	}
	return low + tail
}

var camelRoutes = [...]string{"/serverInfo", "/verifyPassword", "/loginAs", "/upgradeToRevocableSession", "/requestPasswordReset", "/verificationEmailRequest"}

// routeAllowed applies routeAllowList (reference 01 §15.3) to clients.
func (h *Handler) routeAllowed(p *access.Principal, method, route string) error {
	if h.o.RouteAllowList == nil || p.Kind == access.Master || p.Kind == access.Maintenance {
		return nil
	}
	id := strings.TrimPrefix(route, "/")
	for _, re := range h.o.RouteAllowList {
		if re.MatchString(id) {
			return nil
		}
	}
	return parse.Denyf(parse.OperationForbidden, "Route not allowed by routeAllowList: %s %s", method, id)
}

// healthAllowed is routeAllowed for /health, which asks for no credentials: they
// are looked at only where somebody without any is not allowed.
func (h *Handler) healthAllowed(c *call) error {
	err := h.routeAllowed(access.Anonymous(), c.req.Method, c.route())
	if err != nil && c.open() == nil {
		return h.routeAllowed(c.principal, c.req.Method, c.route())
	}
	return err
}
