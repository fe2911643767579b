package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// DefaultSlow is from which 95th percentile on a query without an index is
// worth a finding.
const DefaultSlow = 20 * time.Millisecond

// Database checks that the database answers and has the indexes that its
// classes declare. An index that this database cannot make is no finding.
func Database(store storage.Store, reg *schema.Registry) Group {
	return Group{"Database", func(ctx context.Context) []Check {
		answers := Check{Title: "The database answers", State: Success}
		if err := store.Ping(ctx); err != nil {
			answers.State, answers.Warning = Fail, "It does not answer: "+err.Error()
			answers.Solution = "Look at the database and at the option databaseURI."
			return []Check{answers}
		}
		return append([]Check{answers}, declaredIndexes(ctx, store, reg)...)
	}}
}

func declaredIndexes(ctx context.Context, store storage.Store, reg *schema.Registry) []Check {
	all := Check{Title: "Declared indexes exist", State: Success}
	x := storage.AsIndexer(store)
	if x == nil {
		all.State = Unknown
		return []Check{all}
	}
	var out []Check
	for _, c := range reg.Current().Classes() {
		if len(c.Indexes) == 0 {
			continue
		}
		have, err := x.Indexes(ctx, c)
		if err != nil {
			all.State, all.Warning = Unknown, err.Error()
			return []Check{all}
		}
		for i := range c.Indexes {
			ix := &c.Indexes[i]
			possible := !slices.ContainsFunc(ix.Keys, func(k schema.IndexKey) bool { return k.Kind != "" || !x.CanIndex(c, k.Field, false) })
			if possible && !slices.ContainsFunc(have, func(h schema.Index) bool { return h.Name == ix.Name }) {
				out = append(out, Check{
					Title: "Declared indexes exist", State: Fail,
					Warning:  fmt.Sprintf("class %s declares index %s, which the database does not have", c.Name, ix.Name),
					Solution: "Remove it from the class and declare it again.",
				})
			}
		}
	}
	if out == nil {
		return []Check{all}
	}
	return out
}

// Queries looks for shapes of queries that no index serves and that take
// long: their 95th percentile is slow or more. Without statistics nothing is known.
func Queries(store storage.Store, reg *schema.Registry, stats *Stats, slow time.Duration) Group {
	return Group{"Queries", func(ctx context.Context) []Check {
		all := Check{Title: "Indexes serve the queries", State: Success}
		if stats == nil {
			all.State = Unknown
			all.Solution = "Statistics are in the memory of a server: ask the one that runs."
			return []Check{all}
		}
		x := storage.AsIndexer(store)
		snap := reg.Current()
		indexes := map[string][]schema.Index{}
		var out []Check
		for _, s := range stats.Shapes() {
			c := snap.Class(s.Class)
			if c == nil || s.P95 < slow {
				continue
			}
			have, known := indexes[c.Name]
			if !known {
				have = c.Indexes
				if x != nil {
					var err error
					if have, err = x.Indexes(ctx, c); err != nil {
						all.State, all.Warning = Unknown, err.Error()
						return []Check{all}
					}
				}
				indexes[c.Name] = have
			}
			if check := missing(&s, c, have, x); check != nil {
				out = append(out, *check)
			}
		}
		if out == nil {
			return []Check{all}
		}
		return out
	}}
}

// missing is the finding about one shape; nil if there is nothing to do.
func missing(s *Shape, c *schema.Class, have []schema.Index, x storage.Indexer) *Check {
	name, service := serve(s, have)
	if service == Full || service == Unneeded {
		return nil
	}
	ix := suggest(s, c, func(field string, sorted bool) bool {
		return c.Field(root(field)) != nil && (x == nil || x.CanIndex(c, field, sorted))
	})
	if ix == nil || slices.ContainsFunc(have, func(h schema.Index) bool {
		return slices.Equal(h.Keys, ix.Keys) && !h.Sparse && !h.CaseInsensitive
	}) {
		return nil
	}
	served := "no index serves it"
	if service == Part {
		served = fmt.Sprintf("index %s serves it in part", name)
	}
	op := "finds"
	if s.Count {
		op = "counts"
	}
	keys := keysOf(ix)
	return &Check{
		Title: s.Title(), State: Fail,
		Warning:  fmt.Sprintf("%s; %s p95 over %s %s", served, duration(s.P95), thousands(s.Calls), op),
		Solution: fmt.Sprintf("suggested index %s: %s", ix.Name, parse.AppendJSON(nil, keys)),
		Schema:   parse.NewMap(parse.MapField{Key: "indexes", Value: parse.NewMap(parse.MapField{Key: ix.Name, Value: keys})}),
	}
}

func root(path string) string {
	for i := range len(path) {
		if path[i] == '.' {
			return path[:i]
		}
	}
	return path
}
