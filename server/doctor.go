package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/pargo-baas/pargo/internal/doctor"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server/config"
)

// newDoctor makes the Doctor of a database, who makes more checks, too, if there
// are. Without stats he knows nothing of queries.
func newDoctor(store storage.Store, reg *schema.Registry, stats *doctor.Stats, slow time.Duration, more ...doctor.Group) *doctor.Doctor {
	groups := []doctor.Group{doctor.Database(store, reg), doctor.Queries(store, reg, stats, slow)}
	for _, g := range more {
		i := slices.IndexFunc(groups, func(h doctor.Group) bool { return h.Name == g.Name })
		if i < 0 {
			groups = append(groups, g)
			continue
		}
		first := groups[i].Run
		groups[i].Run = func(ctx context.Context) []doctor.Check { return append(first(ctx), g.Run(ctx)...) }
	}
	return doctor.New(stats, groups...)
}

// Examine opens the database that the options name and returns what GET
// /doctor would say about it, as far as that can be known without its server;
// security asks for the checks of GET /security as well.
// The embedded database must not be in use by a server.
func Examine(ctx context.Context, cfg config.Config, security bool, log *slog.Logger) (_ []byte, err error) {
	store, err := openStore(ctx, cfg, nil, log)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	reg := schema.NewRegistry(store)
	if err := reg.Load(ctx); err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	var more []doctor.Group
	if security {
		if more, err = securityGroups(cfg, store, reg); err != nil {
			return nil, err
		}
	}
	return parse.AppendJSON(nil, newDoctor(store, reg, nil, 0, more...).Examine(ctx).JSON()), nil
}
