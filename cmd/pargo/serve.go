package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/server/config"
)

// health asks a server's health endpoint: what a container's HEALTHCHECK runs,
// since the image has no other program.
func health(ctx context.Context, args, environ []string, stdout io.Writer) error {
	cfg, err := config.Load(args, environ)
	if err != nil {
		return err
	}
	host := cfg.Host
	if host == "0.0.0.0" || host == "::" || host == "" {
		host = "127.0.0.1"
	}
	url := "http://" + host + ":" + strconv.Itoa(cfg.Port) + strings.TrimRight(cfg.MountPath, "/") + "/health"
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if cfg.RouteAllowList != nil { // which need not name /health
		req.Header.Set("X-Parse-Application-Id", cfg.AppID)
		req.Header.Set("X-Parse-Master-Key", cfg.MasterKey)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("not reachable: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not well: %s %s", resp.Status, body)
	}
	_, err = fmt.Fprintln(stdout, string(body))
	return err
}
