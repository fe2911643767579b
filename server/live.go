package server

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server/config"
	"github.com/pargo-baas/pargo/server/rest"
)

// buildLive makes the live-query hub; o are the options of the REST API, with
// which it shares keys and addresses.
func (s *Server) buildLive(gate *access.Gate, objs *objects.Service, users *auth.Service, complexity *rest.Complexity, o rest.Options, file *schema.Document) error {
	cfg := s.cfg
	classes, err := liveClasses(cfg, file)
	if err != nil {
		return err
	}
	var where *query.Complexity
	if complexity != nil {
		where = complexity.Where
	}
	live := cfg.LiveQueryServerOptions
	s.hub = livequery.NewHub(livequery.Options{
		Complexity: where,
		Classes:    classes, Schema: s.registry, Gate: gate, Auth: users,
		AppID: cfg.AppID, MasterKeyAllowed: o.MasterIPs.Allows, DetailedErrors: !cfg.EnableSanitizedErrorResponse,
		KeyPairs: live.KeyPairs, QueueBytes: live.QueueBytes,
		PingInterval: time.Duration(live.WebsocketTimeout) * time.Millisecond,
		ResumeWindow: resumeWindow(live.ResumeWindow), ResumeChanges: live.ResumeChanges,
		QueryLimits: query.Limits{RegexTime: regexTime(cfg.LiveQuery.RegexTimeout)},
		ClientIP:    o.ClientIP, App: objs.App(), Request: objs.Request, Log: s.log,
		Find: func(ctx context.Context, p *access.Principal, class string, q *query.Query) ([]*parse.Object, error) {
			found, err := objs.Find(ctx, p, class, q)
			if err != nil {
				return nil, err
			}
			return found.Objects, nil
		},
	})
	users.OnRevoke(s.hub.Revoke)
	return nil
}

// upgrading serves websockets by the hub, on any path, and all else by api.
func upgrading(hub *livequery.Hub, api http.Handler) http.Handler {
	if hub == nil {
		return api
	}
	ws := hub.Handler()
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
