package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/pargo-baas/pargo/internal/guard"
	"github.com/pargo-baas/pargo/server/config"
)

// livePort is the option liveQueryServerOptions.port. Its methods do nothing on nil.
type livePort struct {
	listener *guard.Listener
	http     *http.Server
}

// listenLive opens the port for live queries, if there is to be one.
func listenLive(ctx context.Context, cfg config.Config, connections int) (*livePort, error) {
	port := cfg.LiveQueryServerOptions.Port
	if port == 0 || !cfg.StartLiveQueryServer {
		return nil, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen for live queries: %w", err)
	}
	return &livePort{listener: guard.Listen(l, connections)}, nil
}

func (p *livePort) close() {
	if p != nil {
		_ = p.listener.Close()
	}
}

// serve begins to serve, and tells failed when that ends.
func (p *livePort) serve(failed chan<- error) {
	if p != nil {
		go func() { failed <- p.http.Serve(p.listener) }()
	}
}

// drain stops to accept connections. Those that are open are the hub's.
func (p *livePort) drain(ctx context.Context) error {
	if p == nil {
		return nil
	}
	if err := p.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("drain live queries: %w", err), p.http.Close())
	}
	return nil
}

// of returns the URL u with this port.
func (p *livePort) of(u string) string {
	parsed, err := url.Parse(u)
	if err != nil {
		return u
	}
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	parsed.Host = net.JoinHostPort(parsed.Hostname(), port)
	return parsed.String()
}
