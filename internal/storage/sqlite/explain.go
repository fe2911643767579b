package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// hint names the index to use, after the name of the table.
func (w *where) hint(a *query.Advice) error {
	ix, err := sqlgen.Hinted(w.t.class, a, w.t.indexable)
	if err != nil {
		return err
	}
	name := w.t.idIndex()
	if ix != nil {
		name = indexName(w.t.class.Name, ix.Name)
	}
	w.Add(" INDEXED BY " + quote(name))
	return nil
}

// idIndex is the name that SQLite gives to the index of the primary key.
func (t *table) idIndex() string { return "sqlite_autoindex_" + tableName(t.class.Name) + "_1" }

// indexable reports whether SQLite has the index, which a class may declare
// with keys that only other databases can index.
func (t *table) indexable(ix *schema.Index) bool {
	for _, k := range ix.Keys {
		if _, ok := t.indexKey(ix, k); !ok {
			return false
		}
	}
	return len(ix.Keys) > 0
}

// isHintError recognises SQLite's complaint about INDEXED BY, which comes
// before the first row.
func isHintError(err error) bool {
	if err == nil {
		return false
	}
	s := err.Error()
	return strings.Contains(s, "no such index: ") || strings.Contains(s, "no query solution")
}

// hintError turns SQLite's complaint about INDEXED BY into the client's mistake.
func hintError(err error) error {
	if isHintError(err) {
		return &parse.Error{Code: parse.InvalidQuery, Message: "hint: the index cannot serve this query", Err: err}
	}
	return err
}

// Explain implements [storage.Explainer].
func (db *DB) Explain(ctx context.Context, f *storage.Find, v query.Verbosity) (out *parse.Map, err error) {
	err = db.timed(ctx, func(ctx context.Context, c *conn) error {
		out, err = db.explain(ctx, c, f, v)
		return err
	})
	return out, err
}

// Explain implements [storage.Explainer].
func (x *tx) Explain(ctx context.Context, f *storage.Find, v query.Verbosity) (out *parse.Map, err error) {
	err = x.with(ctx, false, func(c *conn) error {
		out, err = x.db.explain(ctx, c, f, v)
		return err
	})
	return out, err
}

func (db *DB) explain(ctx context.Context, c *conn, f *storage.Find, v query.Verbosity) (*parse.Map, error) {
	s, err := db.statement(f, false)
	if err != nil {
		return nil, err
	}
	var steps parse.Array
	var index parse.Value
	sort := "none"
	switch {
	case !s.sorted:
		sort = "memory" // by pargo
	case len(f.Order) > 0:
		sort = "index"
	}
	err = c.query(ctx, "EXPLAIN QUERY PLAN "+s.sql, s.args, func(r []driver.Value) (bool, error) {
		step := fmt.Sprint(r[len(r)-1])
		if name := s.t.usedIndex(step); name != "" && index == nil {
			index = name
		}
		// The last sort of a paged statement is that of the page.
		if parent, _ := r[1].(int64); s.sorted && strings.HasPrefix(step, "USE TEMP B-TREE") && (!s.paged || parent != 0) {
			sort = "database"
		}
		steps = append(steps, step)
		return true, nil
	})
	if err != nil {
		return nil, hintError(err)
	}
	planner := parse.NewMap(
		parse.MapField{Key: "namespace", Value: f.Class.Name},
		parse.MapField{Key: "sql", Value: s.sql},
		parse.MapField{Key: "steps", Value: steps},
		parse.MapField{Key: "index", Value: index},
		parse.MapField{Key: "sort", Value: sort},
		parse.MapField{Key: "leftToMatcher", Value: s.t.left(f.Where)},
	)
	out := parse.NewMap(parse.MapField{Key: "queryPlanner", Value: planner})
	if v != query.ExecutionStats && v != query.AllPlansExecution {
		return out, nil
	}
	start := time.Now()
	rows := 0
	if f.Limit != 0 {
		if err := s.run(ctx, c, func(found) { rows++ }); err != nil {
			return nil, hintError(err)
		}
	}
	out.Set("executionStats", parse.NewMap(
		parse.MapField{Key: "executionSuccess", Value: true},
		parse.MapField{Key: "nReturned", Value: float64(rows)},
		parse.MapField{Key: "rowsRead", Value: float64(s.read)},
		parse.MapField{Key: "executionTimeMillis", Value: float64(time.Since(start).Microseconds()) / 1000},
	))
	return out, nil
}

// usedIndex returns the name in the class of the index that a step of a plan uses, or "".
func (t *table) usedIndex(step string) string {
	for _, before := range [...]string{" USING INDEX ", " USING COVERING INDEX "} {
		_, rest, ok := strings.Cut(step, before)
		if !ok {
			continue
		}
		if strings.HasPrefix(rest, t.idIndex()) {
			return schema.IDIndex
		}
		// A name may be the beginning of another one.
		longest := ""
		for i := range t.class.Indexes {
			name := t.class.Indexes[i].Name
			if len(name) > len(longest) && strings.HasPrefix(rest, indexName(t.class.Name, name)) {
				longest = name
			}
		}
		return longest
	}
	return ""
}

// left lists the constraints that SQL does not say in full.
func (t *table) left(n query.Node) parse.Array {
	return sqlgen.Left(n, func(n query.Node) bool { return newWhere(t, "").Node(n) })
}
