package sqlite

import (
	"context"
	"database/sql/driver"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/schema"
)

var _ storage.Indexer = (*DB)(nil)

// Indexes implements [storage.Indexer].
func (db *DB) Indexes(ctx context.Context, class *schema.Class) ([]schema.Index, error) {
	there := map[string]bool{}
	err := db.read(ctx, func(c *conn) error {
		return c.query(ctx, "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?", []driver.Value{tableName(class.Name)},
			func(r []driver.Value) (bool, error) {
				name, _ := r[0].(string)
				there[name] = true
				return true, nil
			})
	})
	if err != nil {
		return nil, err
	}
	var out []schema.Index
	for _, ix := range class.Indexes {
		if there[indexName(class.Name, ix.Name)] {
			out = append(out, ix)
		}
	}
	return out, nil
}

// CanIndex implements [storage.Indexer].
func (db *DB) CanIndex(class *schema.Class, field string, sorted bool) bool {
	t := db.tables.Of(class)
	if col := t.byField[field]; col != nil {
		return !sorted || col.typ != schema.Pointer // which are all alike in an order
	}
	_, ok := t.indexKey(&schema.Index{}, schema.IndexKey{Field: field})
	return ok && !sorted
}
