package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

var _ storage.Aggregator = (*DB)(nil)

// aggregation is the beginning of a pipeline as one statement: a count, a
// grouping by a column, or the columns that the rest of the pipeline needs in
// place of whole objects.
type aggregation struct {
	*where
	fields  []string // nil: all may be seen
	done    int
	outputs []output
	// counted: no document is made where the only number is 0.
	counted bool
	// summed are the columns of which there are sums. Behind the outputs, each
	// has a flag in the row: whether the sum is exact.
	summed []*column
}

// output is one field of the documents that the statement makes.
type output struct {
	key    string
	column *column     // that says how to read it; nil: value
	value  parse.Value // a constant
	null   bool        // what is not there is null
}

// rounding remembers the columns of which sums depend on the order in which
// their numbers are added; the database has an order of its own.
type rounding struct {
	mu sync.Mutex
	of map[*schema.Field]bool // guarded by mu
}

func (r *rounding) known(f *schema.Field) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[f]
}

func (r *rounding) note(f *schema.Field) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of) > 10_000 {
		r.of = map[*schema.Field]bool{}
	}
	r.of[f] = true
}

// Aggregate implements [storage.Aggregator].
func (d *DB) Aggregate(ctx context.Context, a *storage.Aggregate, emit func(*parse.Map) error) (done int, err error) {
	err = d.read(ctx, "aggregate", a.Class.Name, func(ctx context.Context, q querier) error {
		return d.onTable(ctx, q, a.Class, func(t *table) error {
			g, err := d.aggregation(t, a)
			if err != nil {
				return err
			}
			done = g.done
			_, err = each(ctx, q, string(g.SQL), g.Args, func(raw [][]byte, formats []int16) (bool, error) {
				m, err := d.document(g, raw, formats)
				if err != nil || m == nil {
					return true, err
				}
				return true, emit(m)
			})
			return err
		})
	})
	if errors.Is(err, storage.ErrNotPushed) {
		return 0, storage.ErrNotPushed
	}
	return done, err
}

// ExplainAggregate implements [storage.Aggregator].
func (d *DB) ExplainAggregate(ctx context.Context, a *storage.Aggregate, v query.Verbosity) (out *parse.Map, done int, err error) {
	g, err := d.aggregation(d.tables.Of(a.Class), a)
	if err != nil {
		return nil, 0, err
	}
	var p parse.Value
	err = d.read(ctx, "explain", a.Class.Name, func(ctx context.Context, q querier) error {
		p, err = plan(ctx, q, string(g.SQL), g.Args, v)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	out = parse.NewMap(parse.MapField{Key: "queryPlanner", Value: parse.NewMap(
		parse.MapField{Key: "namespace", Value: a.Class.Name},
		parse.MapField{Key: "sql", Value: string(g.SQL)},
		parse.MapField{Key: "plan", Value: p},
	)})
	if analyzes(v) {
		start, n := time.Now(), 0
		if _, err := d.Aggregate(ctx, a, func(*parse.Map) error { n++; return nil }); err != nil {
			return nil, 0, err
		}
		out.Set("executionStats", parse.NewMap(
			parse.MapField{Key: "executionSuccess", Value: true},
			parse.MapField{Key: "nReturned", Value: float64(n)},
			parse.MapField{Key: "executionTimeMillis", Value: float64(time.Since(start).Microseconds()) / 1000},
		))
	}
	return out, g.done, nil
}

// document makes a document of a row; nil: the row makes none.
func (d *DB) document(g *aggregation, raw [][]byte, formats []int16) (*parse.Map, error) {
	for i, c := range g.summed {
		if flag := raw[len(g.outputs)+i]; len(flag) == 1 && flag[0] == 0 {
			d.rounding.note(g.t.class.Fields[c.field])
			return nil, storage.ErrNotPushed
		}
	}
	m := &parse.Map{}
	for i := range g.outputs {
		o := &g.outputs[i]
		if o.column == nil {
			m.Set(o.key, o.value)
			continue
		}
		v, ok, err := o.column.decode(raw[i], formats[i])
		if err != nil {
			return nil, err
		}
		if g.counted && v == 0.0 {
			return nil, nil
		}
		if p, isPointer := v.(parse.Pointer); isPointer {
			v = p.ClassName + "$" + p.ObjectID
		}
		if ok || o.null {
			m.Set(o.key, v)
		}
	}
	return m, nil
}

// aNumber says how to read a number that is no column.
var aNumber = &column{typ: schema.Number}

// aggregation writes the statement, or says that there is none.
func (d *DB) aggregation(t *table, a *storage.Aggregate) (*aggregation, error) {
	if t.bare {
		return nil, storage.ErrNotPushed
	}
	if err := t.hinted(a.Advice); err != nil {
		return nil, err
	}
	g := &aggregation{where: newWhere(t, ""), fields: a.Fields}
	var selects, tail string
	if len(a.Stages) > 0 {
		switch first := a.Stages[0]; first.Name {
		case "$count":
			if name, ok := first.Arg.(string); ok {
				selects, g.counted, g.done = "count(*)::float8", true, 1
				g.outputs = []output{{key: name, column: aNumber}}
			}
		case "$group":
			m, _ := first.Arg.(*parse.Map)
			selects, tail = g.group(d, m)
		}
	}
	if selects == "" {
		selects = g.columns()
	}
	if selects == "" {
		return nil, storage.ErrNotPushed
	}
	g.Add("SELECT " + selects + " FROM " + t.sql + " WHERE ")
	if !g.Node(a.Where) {
		return nil, storage.ErrNotPushed
	}
	if g.done > 0 {
		g.Add(tail)
		return g, nil
	}
	p := sqlgen.PageOf(a.Stages, func(m *parse.Map) bool { return g.order(m) != "" })
	g.done = p.Done
	g.Add(" ORDER BY " + g.order(p.Sort) + t.age())
	if p.Limit >= 0 {
		g.Add(" LIMIT ")
		g.bind(int64(p.Limit))
	}
	if p.Skip > 0 {
		g.Add(" OFFSET ")
		g.bind(int64(p.Skip))
	}
	return g, nil
}

// order writes the keys of a $sort, "" if they are not all columns.
func (g *aggregation) order(m *parse.Map) string {
	var b strings.Builder
	for k, v := range m.All() {
		c := g.column(k)
		if c == nil || v != 1.0 && v != -1.0 {
			return ""
		}
		desc := v == -1.0
		b.WriteString(c.sorted(desc))
		b.WriteString(pick(desc, " NULLS LAST, ", " NULLS FIRST, "))
	}
	return b.String()
}

// column returns the column of a field by its stored name, nil if it has none,
// may not be seen, or has a value that is no scalar.
func (g *aggregation) column(stored string) *column {
	if g.fields != nil && stored != "_id" && !slices.Contains(g.fields, stored) {
		return nil
	}
	name, isPointer := sqlgen.StoredField(stored)
	c := g.t.byField[name]
	if c == nil || isPointer != (c.typ == schema.Pointer) {
		return nil
	}
	switch c.typ {
	case schema.String, schema.Number, schema.Boolean, schema.Date, schema.Pointer:
		return c
	default:
		return nil
	}
}

// columns selects the columns of the fields that are wanted; "" if they are not
// all scalars.
func (g *aggregation) columns() string {
	if g.fields == nil {
		return ""
	}
	list := []string{g.t.id}
	g.outputs = []output{{key: "_id", column: g.t.byField[parse.KeyObjectID]}}
	for _, name := range g.fields {
		if name == "_id" {
			continue
		}
		c := g.column(name)
		if c == nil {
			if g.t.class.Fields[strings.TrimPrefix(name, "_p_")] != nil || strings.HasPrefix(name, "_") {
				return ""
			}
			continue // a field that the class does not have
		}
		list = append(list, c.sql)
		g.outputs = append(g.outputs, output{key: name, column: c})
	}
	return strings.Join(list, ", ")
}

// group selects a $group by one column, or by nothing, of sums, averages and
// the like over columns; "" if it is another. Groups come in the order in which
// their first objects came to be.
func (g *aggregation) group(d *DB, m *parse.Map) (selects, tail string) {
	group, ok := sqlgen.GroupOf(m)
	if !ok {
		return "", ""
	}
	by := output{key: "_id", value: group.ID}
	list, key := []string{"NULL"}, ""
	if group.By != "" {
		c := g.column(group.By)
		if c == nil {
			return "", ""
		}
		by.column, by.null, key, list[0] = c, true, c.sql, c.sql
	}
	g.outputs, g.summed = []output{by}, nil
	for i := range group.Accumulators {
		a := &group.Accumulators[i]
		sql, c := g.accumulator(d, a)
		if sql == "" {
			return "", ""
		}
		list = append(list, sql)
		g.outputs = append(g.outputs, output{key: a.Name, column: c, null: true})
	}
	for _, c := range g.summed {
		// Multiples of 1/1024 up to such a sum are added without rounding.
		list = append(list, "coalesce(bool_and("+c.sql+" * 1024 = trunc("+c.sql+" * 1024)) AND sum(abs("+c.sql+")) < "+fmt.Sprint(int64(math.Pow(2, 42)))+", true)")
	}
	g.done = 1
	selects = strings.Join(list, ", ")
	if key == "" {
		return selects, " HAVING count(*) > 0"
	}
	return selects, " GROUP BY " + key + " ORDER BY min(" + colCreated + ")"
}

// accumulator writes an accumulator and says how to read it; "" if there is no
// such one in SQL.
func (g *aggregation) accumulator(d *DB, a *sqlgen.Accumulator) (sql string, c *column) {
	if a.Op == "" {
		return fmt.Sprintf("(count(*) * %d)::float8", a.Times), aNumber
	}
	if c = g.column(a.Field); c == nil {
		return "", nil
	}
	if a.Op == "$sum" || a.Op == "$avg" {
		switch {
		case c.typ != schema.Number && a.Op == "$sum":
			return "0::float8", aNumber
		case c.typ != schema.Number:
			return "NULL::float8", aNumber
		case d.rounding.known(g.t.class.Fields[c.field]):
			return "", nil
		}
		if !slices.Contains(g.summed, c) {
			g.summed = append(g.summed, c)
		}
		if a.Op == "$sum" {
			return "coalesce(sum(" + c.sql + "), 0)", aNumber
		}
		return "sum(" + c.sql + ") / nullif(count(" + c.sql + "), 0)", aNumber
	}
	switch c.typ {
	case schema.Boolean:
		return pick(a.Op == "$min", "bool_and(", "bool_or(") + c.sql + ")", c
	case schema.String, schema.Pointer:
		return a.Op[1:] + "(" + c.sql + ` COLLATE "C")`, c
	default:
		return a.Op[1:] + "(" + c.sql + ")", c
	}
}
