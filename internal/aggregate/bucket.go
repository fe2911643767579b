package aggregate

import (
	"math"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

func (c *compiler) sortByCount(arg parse.Value) (stage, error) {
	s, isPath := arg.(string)
	if _, isMap := arg.(*parse.Map); !isMap && (!isPath || !strings.HasPrefix(s, "$")) {
		return nil, errorf("the sortByCount field must be defined as a $-prefixed path or an expression inside an object")
	}
	group, err := c.group(parse.NewMap(
		parse.MapField{Key: keyID, Value: arg},
		parse.MapField{Key: "count", Value: parse.NewMap(parse.MapField{Key: "$sum", Value: 1.0})}))
	if err != nil {
		return nil, err
	}
	byCount := []string{"count"}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		docs, err := group(r, docs)
		slices.SortStableFunc(docs, func(a, b *parse.Map) int { return compare(at(b, byCount), at(a, byCount)) })
		return docs, err
	}, nil
}

func (c *compiler) bucket(arg parse.Value) (stage, error) {
	m, _ := arg.(*parse.Map)
	for k := range m.All() {
		if !slices.Contains([]string{"groupBy", "boundaries", "default", "output"}, k) {
			return nil, errorf("Unrecognized option to $bucket: %s.", k)
		}
	}
	byArg, hasBy := m.Get("groupBy")
	v, _ := m.Get("boundaries")
	bounds, _ := v.(parse.Array)
	if !hasBy || len(bounds) < 2 {
		return nil, errorf("$bucket requires 'groupBy' and at least 2 'boundaries' to be specified.")
	}
	for i := range bounds[1:] {
		if compare(bounds[i], bounds[i+1]) >= 0 {
			return nil, errorf("The 'boundaries' option to $bucket must be sorted, without duplicates")
		}
	}
	by, err := c.expr(byArg)
	if err != nil {
		return nil, err
	}
	list, err := c.bucketOutput("$bucket", m)
	if err != nil {
		return nil, err
	}
	other, hasDefault := m.Get("default")
	c.seen.close()
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		buckets := make([]*bundle, len(bounds)) // the last is the default
		b := budget{lim: r.lim}
		for _, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			e := r.env(d)
			v, err := by(e)
			if err != nil {
				return nil, err
			}
			i, exact := slices.BinarySearchFunc(bounds, v, compare)
			if !exact {
				i--
			}
			var id parse.Value
			switch {
			case i >= 0 && i < len(bounds)-1:
				id = bounds[i]
			case hasDefault:
				i, id = len(bounds)-1, other
			default:
				return nil, errorf("$switch could not find a matching branch for an input, and no default was specified.")
			}
			if buckets[i] == nil {
				buckets[i] = newBundle(id, list)
			}
			if err := buckets[i].add(e, &b, list); err != nil {
				return nil, err
			}
		}
		return finish(r, slices.DeleteFunc(buckets, func(g *bundle) bool { return g == nil }), list)
	}, nil
}

// bucketOutput compiles what is gathered of each bucket, by default a count.
func (c *compiler) bucketOutput(op string, m *parse.Map) ([]gathering, error) {
	v, ok := m.Get("output")
	output, isMap := v.(*parse.Map)
	if !ok {
		output, isMap = parse.NewMap(parse.MapField{Key: "count", Value: parse.NewMap(parse.MapField{Key: "$sum", Value: 1.0})}), true
	}
	if !isMap {
		return nil, errorf("The %s 'output' field must be an object", op)
	}
	return c.gatherings(output)
}

// bucketAuto makes buckets of about the same number of documents. Documents
// with equal values are in one bucket.
func (c *compiler) bucketAuto(arg parse.Value) (stage, error) {
	m, _ := arg.(*parse.Map)
	if m.Has("granularity") {
		return nil, errorf("$bucketAuto: 'granularity' is not supported")
	}
	if err := checkArguments("$bucketAuto", m, []string{"groupBy", "buckets"}, []string{"output"}); err != nil {
		return nil, err
	}
	v, _ := m.Get("buckets")
	n, ok := whole(v)
	if !ok || n < 1 || n > math.MaxInt32 {
		return nil, errorf("The $bucketAuto 'buckets' field must be a positive integer")
	}
	v, _ = m.Get("groupBy")
	by, err := c.expr(v)
	if err != nil {
		return nil, err
	}
	list, err := c.bucketOutput("$bucketAuto", m)
	if err != nil {
		return nil, err
	}
	c.seen.close()
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		rows := make([]keyed, len(docs))
		for i, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			v, err := by(r.env(d))
			if err != nil {
				return nil, err
			}
			rows[i] = keyed{[]parse.Value{orNull(v)}, d}
		}
		slices.SortStableFunc(rows, func(a, b keyed) int { return compare(a.keys[0], b.keys[0]) })
		size := max(1, int(math.Round(float64(len(rows))/float64(n))))
		var groups []*bundle
		b := budget{lim: r.lim}
		for from := 0; from < len(rows); {
			to := min(from+size, len(rows))
			if len(groups) == n-1 {
				to = len(rows)
			}
			for to < len(rows) && compare(rows[to].keys[0], rows[to-1].keys[0]) == 0 {
				to++
			}
			most := rows[to-1].keys[0]
			if to < len(rows) {
				most = rows[to].keys[0]
			}
			g := newBundle(parse.NewMap(parse.MapField{Key: "min", Value: rows[from].keys[0]}, parse.MapField{Key: "max", Value: most}), list)
			if err := b.add(g.id); err != nil {
				return nil, err
			}
			for _, row := range rows[from:to] {
				d, _ := row.value.(*parse.Map)
				if err := g.add(r.env(d), &b, list); err != nil {
					return nil, err
				}
			}
			groups = append(groups, g)
			from = to
		}
		return finish(r, groups, list)
	}, nil
}
