package postgres

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// alone runs write while nobody else writes the same names, and only if no
// other object than that of the id has them: see [storage.Claim].
func (d *DB) alone(ctx context.Context, q querier, t *table, id string, wanted []storage.Claim, write func(context.Context, querier) error) error {
	if len(wanted) == 0 {
		return write(ctx, q)
	}
	return transact(ctx, q, func(ctx context.Context, tx querier) error {
		b := &pgx.Batch{}
		for i := range wanted {
			b.Queue("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || $1, 1))", wanted[i].Key)
		}
		// A statement of its own sees what was written before the lock was had.
		for i := range wanted {
			c := t.byField[wanted[i].Field]
			b.Queue("SELECT 1 FROM "+t.sql+" WHERE lower("+c.sql+") = lower($1) AND "+t.id+" <> $2 LIMIT 1", wanted[i].Value, id)
		}
		answers := tx.SendBatch(ctx, b)
		for range wanted {
			if _, err := answers.Exec(); err != nil {
				_ = answers.Close()
				return err
			}
		}
		taken := -1
		for i := range wanted {
			tag, err := answers.Exec()
			if err != nil {
				_ = answers.Close()
				return err
			}
			if tag.RowsAffected() > 0 && taken < 0 {
				taken = i
			}
		}
		if err := answers.Close(); err != nil {
			return err
		}
		if taken >= 0 {
			return wanted[taken].Taken()
		}
		return write(ctx, tx)
	})
}

// folded lets the index on lower(…) lead to the objects of a condition. Other
// letters than those of ASCII are not the same in lower case for every database.
func (w *where) folded(f *query.Compare) {
	if f == nil {
		return
	}
	c, text := w.t.byField[string(f.Path)], ""
	if c != nil && c.typ == schema.String {
		text, _ = f.Value.(string)
	}
	if text == "" || sqlgen.HasNUL(text) || strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		return
	}
	w.Add(" AND lower(" + c.sql + ") = lower(")
	w.bind(text)
	w.Add(")")
}
