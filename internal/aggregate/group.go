package aggregate

import (
	"math"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// accumulator gathers the values of one field of one group.
type accumulator interface {
	// add takes a value; b, if not nil, counts what is kept.
	add(b *budget, v parse.Value) error
	result() parse.Value
}

// accumulators is a constant table.
var accumulators = map[string]func() accumulator{
	"$sum": func() accumulator { return newTally("$sum") }, "$avg": func() accumulator { return newTally("$avg") },
	"$min": func() accumulator { return newTally("$min") }, "$max": func() accumulator { return newTally("$max") },
	"$stdDevPop": func() accumulator { return newTally("$stdDevPop") }, "$stdDevSamp": func() accumulator { return newTally("$stdDevSamp") },
	"$first": func() accumulator { return &picked{first: true} }, "$last": func() accumulator { return &picked{} },
	"$push": func() accumulator { return &pushing{} }, "$addToSet": func() accumulator { return &pushing{seen: map[string]bool{}} },
	"$mergeObjects": func() accumulator { return &merging{} },
	"$count":        func() accumulator { return newTally("$sum") },
}

// tally computes from numbers, or finds the least or greatest value.
type tally struct {
	op        string
	n         float64
	sum, lost float64 // lost: what rounding took from sum (Neumaier)
	mean, m2  float64
	best      parse.Value
	any       bool
}

func newTally(op string) *tally { return &tally{op: op} }

func (t *tally) add(_ *budget, v parse.Value) error {
	if t.op == "$min" || t.op == "$max" {
		if !absent(v) && (!t.any || compare(v, t.best) < 0 == (t.op == "$min")) {
			t.best, t.any = v, true
		}
		return nil
	}
	x, ok := number(v)
	if !ok {
		return nil
	}
	t.n++
	sum := t.sum + x
	if math.Abs(t.sum) >= math.Abs(x) {
		t.lost += t.sum - sum + x
	} else {
		t.lost += x - sum + t.sum
	}
	t.sum = sum
	delta := x - t.mean
	t.mean += delta / t.n
	t.m2 += delta * (x - t.mean)
	return nil
}

func (t *tally) result() parse.Value {
	total := t.sum
	if !math.IsInf(total, 0) {
		total += t.lost
	}
	switch t.op {
	case "$sum":
		return total
	case "$avg":
		if t.n > 0 {
			return total / t.n
		}
	case "$stdDevPop":
		if t.n > 0 {
			return math.Sqrt(t.m2 / t.n)
		}
	case "$stdDevSamp":
		if t.n > 1 {
			return math.Sqrt(t.m2 / (t.n - 1))
		}
	default:
		return t.best
	}
	return nil
}

type picked struct {
	first, any bool
	value      parse.Value
}

func (p *picked) add(_ *budget, v parse.Value) error {
	if !p.any || !p.first {
		p.value, p.any = orNull(v), true
	}
	return nil
}

func (p *picked) result() parse.Value { return p.value }

// pushing is $push, or $addToSet if it remembers what it has seen.
type pushing struct {
	list parse.Array
	seen map[string]bool
}

func (p *pushing) add(b *budget, v parse.Value) error {
	if isMissing(v) {
		return nil
	}
	if p.seen != nil {
		key := string(appendKey(nil, v))
		if p.seen[key] {
			return nil
		}
		p.seen[key] = true
	}
	p.list = append(p.list, v)
	return b.grow(v)
}

func (p *pushing) result() parse.Value {
	if p.list == nil {
		return parse.Array{}
	}
	return p.list
}

type merging struct{ m parse.Map }

func (m *merging) add(b *budget, v parse.Value) error {
	if absent(v) {
		return nil
	}
	from, ok := v.(*parse.Map)
	if !ok {
		return errorf("$mergeObjects requires object inputs, but input is of type %s", typeName(v))
	}
	for k, v := range from.All() {
		m.m.Set(k, v)
	}
	return b.grow(v)
}

func (m *merging) result() parse.Value { return &m.m }

// gathering is one accumulated field of a group.
type gathering struct {
	name string
	make func() accumulator
	x    expr
}

// gatherings compiles the accumulated fields of $group and $bucket.
func (c *compiler) gatherings(m *parse.Map) ([]gathering, error) {
	var out []gathering
	for k, v := range m.All() {
		if k == keyID {
			continue
		}
		if path, err := fieldPath("$group", k); err != nil || len(path) != 1 {
			return nil, errorf("The field name '%s' cannot contain '.' nor be an operator name", k)
		}
		spec, _ := v.(*parse.Map)
		if spec.Len() != 1 {
			return nil, errorf("The field '%s' must be an accumulator object", k)
		}
		f := spec.At(0)
		acc, ok := accumulators[f.Key]
		if !ok {
			return nil, errorf("unknown group operator '%s'", f.Key)
		}
		if f.Key == "$count" {
			f.Value = 1.0
		}
		x, err := c.expr(f.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, gathering{k, acc, x})
	}
	return out, nil
}

// bundle is one group while it is gathered.
type bundle struct {
	id   parse.Value
	accs []accumulator
}

func newBundle(id parse.Value, list []gathering) *bundle {
	b := &bundle{id: id, accs: make([]accumulator, len(list))}
	for i := range list {
		b.accs[i] = list[i].make()
	}
	return b
}

func (g *bundle) add(e *env, b *budget, list []gathering) error {
	for i := range list {
		v, err := list[i].x(e)
		if err != nil {
			return err
		}
		if err := g.accs[i].add(b, v); err != nil {
			return err
		}
	}
	return nil
}

func (g *bundle) document(list []gathering) *parse.Map {
	out := parse.NewMap(parse.MapField{Key: keyID, Value: g.id})
	for i := range list {
		out.Set(list[i].name, g.accs[i].result())
	}
	return out
}

func (c *compiler) group(arg parse.Value) (stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		return nil, errorf("a group's fields must be specified in an object")
	}
	idArg, ok := m.Get(keyID)
	if !ok {
		return nil, errorf("Invalid parameter for query: group. Missing key _id")
	}
	id, err := c.expr(idArg)
	if err != nil {
		return nil, err
	}
	list, err := c.gatherings(m)
	if err != nil {
		return nil, err
	}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		groups := map[string]*bundle{}
		var order []*bundle
		b := budget{lim: r.lim}
		var key []byte
		for _, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			e := &env{r: r, doc: d}
			v, err := id(e)
			if err != nil {
				return nil, err
			}
			v = orNull(v)
			if err := r.fits(v); err != nil {
				return nil, err
			}
			key = appendKey(key[:0], v)
			g := groups[string(key)]
			if g == nil {
				g = newBundle(v, list)
				groups[string(key)] = g
				order = append(order, g)
				if err := b.add(v); err != nil {
					return nil, err
				}
			}
			if err := g.add(e, &b, list); err != nil {
				return nil, err
			}
		}
		return finish(r, order, list)
	}, nil
}

func finish(r *run, groups []*bundle, list []gathering) ([]*parse.Map, error) {
	out := make([]*parse.Map, len(groups))
	for i, g := range groups {
		out[i] = g.document(list)
		if err := r.fits(out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

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
	out, ok := m.Get("output")
	output, isMap := out.(*parse.Map)
	if !ok {
		output, isMap = parse.NewMap(parse.MapField{Key: "count", Value: parse.NewMap(parse.MapField{Key: "$sum", Value: 1.0})}), true
	}
	if !isMap {
		return nil, errorf("The $bucket 'output' field must be an object")
	}
	list, err := c.gatherings(output)
	if err != nil {
		return nil, err
	}
	other, hasDefault := m.Get("default")
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		buckets := make([]*bundle, len(bounds)) // the last is the default
		b := budget{lim: r.lim}
		for _, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			e := &env{r: r, doc: d}
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
