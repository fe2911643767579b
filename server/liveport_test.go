package server_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// TestLiveQueryPort: live queries with a port of their own are served there
// and nowhere else, and nothing else is.
func TestLiveQueryPort(t *testing.T) {
	port := freePort(t)
	s := scenario.Start(t, "sqlite::memory:", func(c *config.Config) {
		open(c)
		c.StartLiveQueryServer = true
		c.LiveQuery.ClassNames = []string{"Note"}
		c.LiveQueryServerOptions.Port = port
	}, nil)
	own := &scenario.Server{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	l := dial(t, own, "Note", "")
	s.Do(t, &scenario.Step{Method: "POST", Path: "/classes/Note", Body: `{"n":1}`, Status: 201})
	if f := l.next(); f.Op != "create" {
		t.Errorf("%+v", f)
	}
	if ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http"), nil); err == nil {
		_ = ws.CloseNow()
		t.Error("the port of the API serves live queries as well")
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, own.URL+"/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("the port of live queries answers %d", answer.StatusCode)
	}
}

// TestLiveQueryURL: what is printed at the start names the right port.
func TestLiveQueryURL(t *testing.T) {
	port := freePort(t)
	cfg := config.Default()
	cfg.AppID, cfg.MasterKey, cfg.DatabaseURI, cfg.Host, cfg.Port = "a", "m", "sqlite::memory:", "127.0.0.1", 0
	cfg.StartLiveQueryServer, cfg.LiveQueryServerOptions.Port = true, port
	s, err := server.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("ws://127.0.0.1:%d/parse", port); s.LiveQueryURL() != want {
		t.Errorf("got %s, want %s", s.LiveQueryURL(), want)
	}
	if _, err := server.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "listen for live queries") {
		t.Errorf("a port that is taken: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}
