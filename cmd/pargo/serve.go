package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

func serveHelp(w io.Writer) error {
	_, err := fmt.Fprint(w, `Usage: pargo serve [FILE] [flags]

Serves the Parse API. FILE (or --config FILE) is a JSON object whose keys are
the options below. Precedence, highest first: flags, environment, file, default.
Without options it keeps data in an SQLite file in ./pargo-data and makes its
own keys there.

Options:
`)
	if err != nil {
		return err
	}
	return config.Help(w)
}

func serve(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	cfg, err := config.Load(args, environ)
	if err != nil {
		return err
	}
	generated, err := cfg.FillSecrets()
	if err != nil {
		return err
	}
	log := newLogger(cfg, stderr)
	s, err := server.New(ctx, cfg, server.WithLogger(log))
	if err != nil {
		return err
	}
	if !cfg.Silent {
		if err := banner(stdout, cfg, s, generated); err != nil {
			return err
		}
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	log.InfoContext(ctx, "stopped")
	return nil
}

// banner tells where the server is and where its keys and data are.
func banner(w io.Writer, cfg config.Config, s *server.Server, generated bool) error {
	db, err := cfg.Database()
	if err != nil {
		return err
	}
	data := db.Location
	switch {
	case db.Kind != config.SQLite:
		data = "MongoDB"
	case data == "":
		data = "in memory (lost at the end)"
	default:
		data += " (SQLite, durability " + cfg.Durability + ")"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s is serving\n\n", versionText())
	fmt.Fprintf(&b, "  REST API      %s\n", s.URL())
	if u := s.LiveQueryURL(); u != "" {
		fmt.Fprintf(&b, "  Live Query    %s\n", u)
	}
	if u := s.MailURL(); u != "" {
		fmt.Fprintf(&b, "  Mails         %s (development: everybody on this machine can read them)\n", u)
	}
	fmt.Fprintf(&b, "  Health        %s/health\n", s.URL())
	fmt.Fprintf(&b, "  App id        %s\n", cfg.AppID)
	if generated {
		fmt.Fprintf(&b, "  Master key    in %s\n", cfg.SecretsFile())
	}
	fmt.Fprintf(&b, "  Data          %s\n", data)
	var own []string
	for _, name := range s.Classes() {
		if !strings.HasPrefix(name, "_") {
			own = append(own, name)
		}
	}
	if len(own) > 0 {
		fmt.Fprintf(&b, "  Classes       %s\n", strings.Join(own, ", "))
	}
	b.WriteString("\nStop with Ctrl-C.\n")
	_, err = io.WriteString(w, b.String())
	return err
}

func newLogger(cfg config.Config, w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	switch cfg.LogLevel {
	case "error":
		level = slog.LevelError
	case "warn":
		level = slog.LevelWarn
	case "debug", "verbose", "silly":
		level = slog.LevelDebug
	}
	if cfg.Verbose {
		level = slog.LevelDebug
	}
	if cfg.Silent {
		level = slog.LevelError
	}
	o := &slog.HandlerOptions{Level: level}
	if cfg.JSONLogs {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

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
