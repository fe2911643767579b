package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/livequery/redisbus"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server/config"
	"github.com/pargo-baas/pargo/server/rest"
)

// buildLive makes the live-query hub; o are the options of the REST API, with
// which it shares keys and addresses.
func (s *Server) buildLive(gate *access.Gate, objs *objects.Service, users *auth.Service, complexity *rest.Complexity, o rest.Options, classes func(string) bool) {
	cfg := s.cfg
	var where *query.Complexity
	if complexity != nil {
		where = complexity.Where
	}
	live := cfg.LiveQueryServerOptions
	s.hub = livequery.NewHub(livequery.Options{
		Complexity: where,
		Classes:    classes, Schema: s.registry, Gate: gate, Auth: users,
		AppID: cfg.AppID, MasterKeyAllowed: o.MasterIPs.Allows, DetailedErrors: !cfg.EnableSanitizedErrorResponse,
		KeyPairs: live.KeyPairs, QueueBytes: live.QueueBytes, TotalQueueBytes: live.TotalQueueBytes, TotalSubscriptions: live.MaxSubscriptions, SubscriptionBytes: live.SubscriptionBytes,
		Lane:         s.lane,
		PingInterval: time.Duration(live.WebsocketTimeout) * time.Millisecond,
		SessionAge:   live.SessionAge(),
		ResumeWindow: resumeWindow(live.ResumeWindow), ResumeChanges: live.ResumeChanges,
		QueryLimits: query.Limits{RegexTime: regexTime(cfg.LiveQuery.RegexTimeout)},
		ClientIP:    o.ClientIP, App: objs.App(), Request: objs.Request, Log: s.log,
		Find: func(ctx context.Context, p *access.Principal, class string, q *query.Query) ([]*parse.Object, error) {
			// A frame waits with the others for the client to read it.
			found, err := objs.FindWithin(ctx, p, class, q, &rest.Bounded{Max: max(live.QueueBytes, livequery.DefaultQueueBytes)})
			if err != nil {
				return nil, err
			}
			return found.Objects, nil
		},
		Includes: liveIncludes{objs, complexity},
	})
	users.OnRevoke(s.hub.Revoke)
}

// liveIncludes reads what live-query events include as a find does.
type liveIncludes struct {
	*objects.Service
	complexity *rest.Complexity // nil: no limit
}

// CheckInclude implements livequery.Includer.
func (i liveIncludes) CheckInclude(ctx context.Context, p *access.Principal, class string, q *query.Query) error {
	if i.complexity != nil && !p.Bypass() {
		if err := i.complexity.CheckInclude(q, i.Registry().Current(), class); err != nil {
			return err
		}
	}
	return i.Service.CheckInclude(ctx, p, class, q)
}

// openLiveBus joins the live queries of other servers, as far as the options
// name a Redis for that.
func (s *Server) openLiveBus(ctx context.Context, gate *access.Gate, users *auth.Service, classes func(string) bool) error {
	o := redisbus.Options{
		AppID: s.cfg.AppID, PublishURL: s.cfg.LiveQuery.Redis(), Classes: classes,
		Permissions: s.livePermissions(gate), Revoked: users.ForgetUsers, Log: s.log,
	}
	if s.hub != nil {
		o.SubscribeURL, o.Sink = s.cfg.LiveQueryServerOptions.Redis(), s.hub
	}
	if o.PublishURL == "" && o.SubscribeURL == "" {
		return nil
	}
	bus, err := redisbus.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("open live query bus: %w", err)
	}
	s.live = bus
	users.OnOwnRevoke(bus.Revoke)
	return nil
}

// livePermissions gives the permissions of a class as Parse Servers on the same
// bus need them: with what the option protectedFields adds.
func (s *Server) livePermissions(gate *access.Gate) func(class string) []byte {
	type made struct {
		of   *schema.Class
		text []byte
	}
	var known sync.Map // class name to made: definitions change rarely
	return func(class string) []byte {
		def := s.registry.Current().Class(class)
		if def == nil {
			return nil
		}
		if v, ok := known.Load(class); ok {
			if m, ok := v.(made); ok && m.of == def {
				return m.text
			}
		}
		m := made{def, parse.AppendJSON(nil, publishedCLP(def, gate.Protected[class]))}
		known.Store(class, m)
		return m.text
	}
}

func publishedCLP(def *schema.Class, protected map[string][]string) *parse.Map {
	clp := def.CLP.Map()
	if len(protected) == 0 {
		return clp
	}
	v, _ := clp.Get("protectedFields")
	groups := &parse.Map{}
	if m, ok := v.(*parse.Map); ok {
		groups = m.Clone()
	}
	for _, group := range slices.Sorted(maps.Keys(protected)) {
		v, _ := groups.Get(group)
		list, _ := v.(parse.Array)
		list = slices.Clone(list)
		for _, field := range protected[group] {
			if !slices.Contains(list, parse.Value(field)) {
				list = append(list, field)
			}
		}
		groups.Set(group, list)
	}
	clp = clp.Clone()
	clp.Set("protectedFields", groups)
	return clp
}

// upgrading serves websockets by the hub, on any path, and all else by api; with
// a port for live queries alone, each by itself.
func (s *Server) upgrading(api http.Handler) http.Handler {
	if s.hub == nil {
		return api
	}
	ws := s.hub.Handler()
	if s.livePort != nil {
		s.livePort.http = s.httpServer(ws, s.livePort.listener)
		return api
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isUpgrade(r) {
			ws.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// resumeWindow is how long live-query clients may take to come back.
func resumeWindow(seconds *int) time.Duration {
	if seconds == nil {
		return livequery.DefaultResumeWindow
	}
	return time.Duration(*seconds) * time.Second
}

func isUpgrade(r *http.Request) bool {
	v := r.Header["Upgrade"]
	return len(v) > 0 && strings.EqualFold(v[0], "websocket")
}

// liveClasses says which classes publish live-query events: those of
// liveQuery.classNames, each a regular expression for a whole name, or else
// those of the schema file.
func liveClasses(cfg config.Config, file *schema.Document) (func(string) bool, error) {
	if len(cfg.LiveQuery.ClassNames) == 0 {
		set := map[string]bool{}
		if file != nil {
			for _, c := range file.Classes {
				set[c.Name] = true
			}
		}
		return func(class string) bool { return set[class] }, nil
	}
	pattern, err := regexp.Compile("^(?:" + strings.Join(cfg.LiveQuery.ClassNames, "|") + ")$")
	if err != nil {
		return nil, fmt.Errorf("liveQuery.classNames: %w", err)
	}
	var known sync.Map // class name to bool: a name is matched once
	return func(class string) bool {
		if v, ok := known.Load(class); ok {
			return v == true
		}
		is := pattern.MatchString(class)
		known.Store(class, is)
		return is
	}, nil
}
