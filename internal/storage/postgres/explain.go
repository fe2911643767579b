package postgres

import (
	"context"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

var _ storage.Explainer = (*session)(nil)

// plan asks for the plan of a statement; the database runs it if figures of that are wanted.
func plan(ctx context.Context, q querier, sql string, args []any, verbosity query.Verbosity) (v parse.Value, err error) {
	options := ""
	switch {
	case analyzes(verbosity):
		options = "ANALYZE, BUFFERS, "
	case verbosity == query.Outline:
		options = "COSTS OFF, "
	}
	_, err = each(ctx, q, "EXPLAIN ("+options+"FORMAT JSON) "+sql, args, func(raw [][]byte, _ []int16) (bool, error) {
		v, err = parse.Decode(raw[0], storedLimits)
		return true, err
	})
	if list, ok := v.(parse.Array); ok && len(list) == 1 {
		v = list[0]
	}
	return v, err
}

func analyzes(v query.Verbosity) bool {
	return v == query.ExecutionStats || v == query.AllPlansExecution
}

// Explain implements [storage.Explainer]: the plan is that of PostgreSQL, as
// EXPLAIN (FORMAT JSON) gives it.
func (s *session) Explain(ctx context.Context, f *storage.Find, v query.Verbosity) (out *parse.Map, err error) {
	err = s.read(ctx, "explain", f.Class.Name, func(ctx context.Context, q querier) error {
		out, err = s.db.explain(ctx, q, f, v)
		return err
	})
	return out, err
}

func (d *DB) explain(ctx context.Context, q querier, f *storage.Find, v query.Verbosity) (*parse.Map, error) {
	t := d.tables.Of(f.Class)
	s, err := newStatement(t, f)
	if err != nil {
		return nil, err
	}
	p, err := plan(ctx, q, s.sql, s.args, v)
	if err != nil {
		return nil, err
	}
	sort := "none"
	switch {
	case !s.sorted:
		sort = "memory" // by pargo
	case len(f.Order) > 0:
		sort = "database"
	}
	planner := parse.NewMap(
		parse.MapField{Key: "namespace", Value: f.Class.Name},
		parse.MapField{Key: "sql", Value: s.sql},
		parse.MapField{Key: "plan", Value: p},
		parse.MapField{Key: "index", Value: t.usedIndex(p)},
		parse.MapField{Key: "sort", Value: sort},
		parse.MapField{Key: "leftToMatcher", Value: t.left(f.Where)},
	)
	out := parse.NewMap(parse.MapField{Key: "queryPlanner", Value: planner})
	if !analyzes(v) {
		return out, nil
	}
	start := time.Now()
	list, err := s.run(ctx, q)
	if err != nil {
		return nil, err
	}
	out.Set("executionStats", parse.NewMap(
		parse.MapField{Key: "executionSuccess", Value: true},
		parse.MapField{Key: "nReturned", Value: float64(len(list))},
		parse.MapField{Key: "rowsRead", Value: float64(s.read)},
		parse.MapField{Key: "executionTimeMillis", Value: float64(time.Since(start).Microseconds()) / 1000},
	))
	return out, nil
}

// usedIndex returns the name in the class of the first index that a plan uses; nil without one.
func (t *table) usedIndex(p parse.Value) parse.Value {
	switch p := p.(type) {
	case parse.Array:
		for _, el := range p {
			if name := t.usedIndex(el); name != nil {
				return name
			}
		}
	case *parse.Map:
		if real := p.String("Index Name"); real != "" {
			if real == shorten(t.class.Name+"_pkey") {
				return schema.IDIndex
			}
			for i := range t.class.Indexes {
				for _, name := range indexNames(t.class.Name, &t.class.Indexes[i]) {
					if name == real {
						return t.class.Indexes[i].Name
					}
				}
			}
			return real
		}
		for _, v := range p.All() {
			if name := t.usedIndex(v); name != nil {
				return name
			}
		}
	}
	return nil
}

// left lists the constraints that SQL does not say in full.
func (t *table) left(n query.Node) parse.Array {
	return sqlgen.Left(n, func(n query.Node) bool { return newWhere(t, "").Node(n) })
}
