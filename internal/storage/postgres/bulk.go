package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

var _ storage.Bulk = (*DB)(nil)

// InsertEach implements [storage.Bulk].
func (d *DB) InsertEach(ctx context.Context, class *schema.Class, objects []*parse.Object) []error {
	errs := make([]error, len(objects))
	for i, o := range objects {
		errs[i] = d.Insert(ctx, class, []*parse.Object{o})
	}
	return errs
}

// UpdateEach implements [storage.Bulk].
func (d *DB) UpdateEach(ctx context.Context, updates []*storage.Update) []storage.Updated {
	out := make([]storage.Updated, len(updates))
	for i, u := range updates {
		out[i].Before, out[i].After, out[i].Err = d.Update(ctx, u)
	}
	return out
}

var _ = pgx.Batch{}
