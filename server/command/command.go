// Package command is the command line of a pargo server, for programs that
// serve their own cloud code.
package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// Help prints the options that Serve takes; usage is how it is called.
func Help(w io.Writer, usage string) error {
	_, err := fmt.Fprint(w, "Usage: "+usage+` [FILE] [flags]

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

// Serve serves until ctx ends, with the options of arguments and environment.
// It tells on stdout where; version names the program there.
func Serve(ctx context.Context, version string, args, environ []string, stdout, stderr io.Writer, opts ...server.Option) error {
	cfg, err := config.Load(args, environ)
	if err != nil {
		return err
	}
	generated, err := cfg.FillSecrets()
	if err != nil {
		return err
	}
	log := NewLogger(cfg, stderr)
	s, err := server.New(ctx, cfg, append([]server.Option{server.WithLogger(log)}, opts...)...)
	if err != nil {
		return err
	}
	if !cfg.Silent {
		if err := banner(stdout, version, cfg, s, generated); err != nil {
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
func banner(w io.Writer, version string, cfg config.Config, s *server.Server, generated bool) error {
	db, err := cfg.Database()
	if err != nil {
		return err
	}
	data := db.Location
	switch {
	case db.Kind == config.PostgreSQL:
		data = "PostgreSQL"
	case db.Kind == config.MongoDB:
		data = "MongoDB"
	case data == "":
		data = "in memory (lost at the end)"
	default:
		data += " (SQLite, durability " + cfg.Durability + ")"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s is serving\n\n", version)
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

// NewLogger returns the logger that the options ask for.
func NewLogger(cfg config.Config, w io.Writer) *slog.Logger {
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

// Main is the whole of a main function: it serves until the process is told to
// stop, and ends it. The arguments are those of pargo serve; the word serve
// before them may be left out.
func Main(opts ...server.Option) {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "serve" {
		args = args[1:]
	}
	name := filepath.Base(os.Args[0])
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		if Help(os.Stdout, name) != nil {
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // it is the root of the program
	err := Serve(ctx, name, args, os.Environ(), os.Stdout, os.Stderr, opts...)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %s\n", name, err)
		os.Exit(1)
	}
}
