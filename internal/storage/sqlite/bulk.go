package sqlite

import (
	"context"
	"database/sql/driver"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

var (
	_ storage.Bulk    = (*DB)(nil)
	_ storage.Ordered = (*DB)(nil)
)

// InsertEach implements [storage.Bulk]: one job for the writer and one commit.
// Rows share a prepared statement; one statement of many rows was no faster,
// since nothing travels between the process and its database.
func (db *DB) InsertEach(ctx context.Context, class *schema.Class, objects []*parse.Object) []error {
	t := db.tables.Of(class)
	rows := make([][]driver.Value, len(objects))
	for i, o := range objects {
		rows[i] = t.row(o)
	}
	errs := make([]error, len(rows))
	err := db.change(ctx, true, func(ctx context.Context, c *conn) error {
		for i := range rows {
			errs[i] = t.insertRows(ctx, c, rows[i:i+1])
			if errs[i] != nil && !harmless(errs[i]) {
				return errs[i]
			}
		}
		return nil
	}, func() []parse.Change { return createdAll(class, objects, errs) })
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

// UpdateEach implements [storage.Bulk].
func (db *DB) UpdateEach(ctx context.Context, updates []*storage.Update) []storage.Updated {
	out := make([]storage.Updated, len(updates))
	err := db.change(ctx, true, func(ctx context.Context, c *conn) error {
		for i, u := range updates {
			r := &out[i]
			r.Before, r.After, r.Err = db.update(ctx, c, u)
			if r.Err != nil && !harmless(r.Err) {
				return r.Err
			}
		}
		return nil
	}, func() []parse.Change {
		list := make([]parse.Change, 0, len(out))
		for i := range out {
			if out[i].Err == nil {
				list = append(list, updated(updates[i], out[i].Before, out[i].After))
			}
		}
		return list
	})
	if err != nil {
		for i := range out {
			out[i] = storage.Updated{Err: err}
		}
	}
	return out
}
