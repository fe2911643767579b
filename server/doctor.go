package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pargo-baas/pargo/internal/doctor"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server/config"
)

// newDoctor makes the Doctor of a database. Without stats he knows nothing of queries.
func newDoctor(store storage.Store, reg *schema.Registry, stats *doctor.Stats, slow time.Duration) *doctor.Doctor {
	return doctor.New(stats, doctor.Database(store, reg), doctor.Queries(store, reg, stats, slow))
}

// Examine opens the database that the options name and returns what GET
// /doctor would say about it, as far as that can be known without its server.
// The embedded database must not be in use by a server.
func Examine(ctx context.Context, cfg config.Config, log *slog.Logger) (_ []byte, err error) {
	store, err := openStore(ctx, cfg, nil, log)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	reg := schema.NewRegistry(store)
	if err := reg.Load(ctx); err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	return parse.AppendJSON(nil, newDoctor(store, reg, nil, 0).Examine(ctx).JSON()), nil
}
