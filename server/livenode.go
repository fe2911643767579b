package server

import (
	"errors"
	"net/http"
	"strings"

	"github.com/pargo-baas/pargo/server/config"
)

// LiveQueryOnly makes a server that serves live queries and nothing else: the
// events come from other servers through liveQueryServerOptions.redisURL,
// sessions, roles and permissions from the database that it shares with them.
func LiveQueryOnly() Option { return func(s *settings) { s.liveOnly = true } }

// liveNodeConfig adapts the options of a server to one that serves live queries only.
func liveNodeConfig(cfg *config.Config) error {
	if cfg.LiveQueryServerOptions.RedisURL == "" {
		return errors.New("a server for live queries alone needs liveQueryServerOptions.redisURL: the Redis that tells of the changes of others")
	}
	cfg.StartLiveQueryServer = true
	if port := cfg.LiveQueryServerOptions.Port; port != 0 { // it has no other
		cfg.Port, cfg.LiveQueryServerOptions.Port = port, 0
	}
	cfg.LiveQuery.RedisOptions = nil
	cfg.LiveQuery.RedisURL = "" // it changes nothing that others would have to be told
	return nil
}

// liveNode serves websockets on any path, and of the API what tells how the
// server is.
func liveNode(mount string, live http.Handler) http.Handler {
	mount = strings.TrimRight(mount, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isUpgrade(r) {
			switch strings.TrimPrefix(r.URL.Path, mount) {
			case "/health", "/livequery/stats", "/metrics":
			default:
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(`{"error":"This server serves live queries only."}`))
				return
			}
		}
		live.ServeHTTP(w, r)
	})
}
