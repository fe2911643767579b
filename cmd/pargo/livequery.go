package main

import (
	"context"
	"fmt"
	"io"

	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/command"
	"github.com/pargo-baas/pargo/server/config"
)

const liveHelp = `Usage: pargo livequery [FILE] [flags]

Serves live queries and nothing else, beside servers that run "pargo serve" (or
Parse Server) and tell of their changes through Redis. Takes the options of
"pargo serve", of which these matter:

  liveQueryServerOptions   {"redisURL":"redis://…"} is needed: where changes are told;
                           the servers that make them have the same in liveQuery.redisURL
  databaseURI              the database of the other servers (not SQLite, which has one
                           process): sessions, roles and permissions are read from it
  appId, masterKey         those of the other servers
  host, port, mountPath    where to listen; GET …/health, /livequery/stats and /metrics
                           are served there as well

The schema file is not applied. "pargo serve --help" lists all options.
`

// liveCommand is `pargo livequery`.
func liveCommand(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if wantsHelp(args) {
		_, err := io.WriteString(stdout, liveHelp)
		return err
	}
	cfg, err := config.Load(args, environ)
	if err != nil {
		return err
	}
	log := command.NewLogger(cfg, stderr)
	s, err := server.New(ctx, cfg, server.WithLogger(log), server.LiveQueryOnly())
	if err != nil {
		return err
	}
	if !cfg.Silent {
		if _, err := fmt.Fprintf(stdout, "%s is serving\n\n  Live Query    %s\n  Health        %s/health\n  App id        %s\n\nStop with Ctrl-C.\n",
			versionText(), s.LiveQueryURL(), s.URL(), cfg.AppID); err != nil {
			return err
		}
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	log.InfoContext(ctx, "stopped")
	return nil
}
