package server_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// Who has the master key reads the counters; nobody else does.
func TestMetrics(t *testing.T) {
	s := scenario.Start(t, scenario.Databases()[0].URI(t), func(c *config.Config) { gateway(c); c.StartLiveQueryServer = true }, nil)
	get := func(path, user, password string) (int, string, http.Header) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/parse"+path, nil)
		r.RemoteAddr = "127.0.0.1:1"
		if user != "" {
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
		}
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		return w.Code, w.Body.String(), w.Header()
	}
	s.Do(t, new(signUp("alice")))
	client := dial(t, s, "TransactionHistory", s.Var("alice.token"))
	s.Do(t, &scenario.Step{Method: "POST", Path: "/classes/TransactionHistory", As: "alice", Body: `{"amount":1,"status":"pending","timestamp":` + now + `}`, Status: 201})
	client.want("create", 1)
	for range 3 {
		get("/health", "", "")
	}
	get("/nowhere", scenario.AppID, scenario.MasterKey)
	if status, _, _ := get("/metrics", "", ""); status != http.StatusForbidden && status != http.StatusUnauthorized {
		t.Errorf("without a key: %d", status)
	}
	if status, _, _ := get("/metrics", scenario.AppID, "wrong"); status != http.StatusForbidden {
		t.Errorf("with a wrong key: %d", status)
	}
	status, body, head := get("/metrics", scenario.AppID, scenario.MasterKey)
	if status != http.StatusOK || head.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("%d %v %s", status, head, body)
	}
	for _, want := range []string{
		`pargo_http_requests_total{method="any",route="/health",status="200"} 3` + "\n",
		`pargo_http_requests_total{method="POST",route="/users",status="201"} 1` + "\n",
		`pargo_http_requests_total{method="POST",route="/classes/:className",status="201"} 1` + "\n",
		`pargo_http_requests_total{method="any",route="other",status="404"} 1` + "\n",
		"# TYPE pargo_livequery_connections gauge\npargo_livequery_connections 1\n",
		"\npargo_livequery_subscriptions 1\n", "\npargo_livequery_distinct_queries 1\n", "\npargo_livequery_events_total 1\n",
		"\npargo_livequery_changes_total 1\n", "\npargo_livequery_queue_bytes 0\n", "\npargo_livequery_dropped_total 0\n",
		`pargo_hook_duration_seconds_count{trigger="beforeSave",name="TransactionHistory"} 1` + "\n",
		"\ngo_goroutines ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}
