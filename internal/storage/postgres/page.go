package postgres

import (
	"context"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

var _ storage.Pager = (*session)(nil)

// Page implements [storage.Pager]: the primary key has ids in the order of the
// database's language.
func (s *session) Page(ctx context.Context, class *schema.Class, after string, limit int) (out []*parse.Object, err error) {
	err = s.read(ctx, "read", class.Name, func(ctx context.Context, q querier) error {
		return s.db.onTable(ctx, q, class, func(t *table) error {
			st := statement{t: t, sorted: true, limit: query.NoLimit, args: []any{after, int64(limit)}}
			st.columns, st.sql = t.selected(nil)
			st.sql = "SELECT " + st.sql + " FROM " + t.sql + ` WHERE "objectId" > $1 ORDER BY "objectId" LIMIT $2`
			out, err = st.run(ctx, q)
			return err
		})
	})
	return out, err
}
