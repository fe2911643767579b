package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
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
// place of whole documents.
type aggregation struct {
	*where
	fields  []string // nil: all may be seen
	done    int
	outputs []output
	// counted: no document is made where the only number is 0.
	counted bool
}

// output is one field of the documents that the statement makes.
type output struct {
	key  string
	read func(v driver.Value) (value parse.Value, present bool)
}

// Aggregate implements [storage.Aggregator].
func (db *DB) Aggregate(ctx context.Context, a *storage.Aggregate, emit func(*parse.Map) error) (done int, err error) {
	g, err := db.aggregation(a)
	if err != nil {
		return 0, err
	}
	err = db.timed(ctx, func(ctx context.Context, c *conn) error {
		return c.query(ctx, string(g.SQL), g.Args, func(r []driver.Value) (bool, error) {
			m, err := g.document(r)
			if err != nil || m == nil {
				return true, err
			}
			return true, emit(m)
		})
	})
	if err != nil && strings.Contains(err.Error(), "integer overflow") { // of a sum, which is a float then
		return 0, storage.ErrNotPushed
	}
	return g.done, hintError(err)
}

// ExplainAggregate implements [storage.Aggregator].
func (db *DB) ExplainAggregate(ctx context.Context, a *storage.Aggregate, v query.Verbosity) (plan *parse.Map, done int, err error) {
	g, err := db.aggregation(a)
	if err != nil {
		return nil, 0, err
	}
	var steps parse.Array
	err = db.timed(ctx, func(ctx context.Context, c *conn) error {
		return c.query(ctx, "EXPLAIN QUERY PLAN "+string(g.SQL), g.Args, func(r []driver.Value) (bool, error) {
			steps = append(steps, fmt.Sprint(r[len(r)-1]))
			return true, nil
		})
	})
	if err != nil {
		return nil, 0, hintError(err)
	}
	plan = parse.NewMap(parse.MapField{Key: "queryPlanner", Value: parse.NewMap(
		parse.MapField{Key: "namespace", Value: a.Class.Name},
		parse.MapField{Key: "sql", Value: string(g.SQL)},
		parse.MapField{Key: "steps", Value: steps},
	)})
	if v == query.ExecutionStats || v == query.AllPlansExecution {
		start, n := time.Now(), 0
		if _, err := db.Aggregate(ctx, a, func(*parse.Map) error { n++; return nil }); err != nil {
			return nil, 0, err
		}
		plan.Set("executionStats", parse.NewMap(
			parse.MapField{Key: "executionSuccess", Value: true},
			parse.MapField{Key: "nReturned", Value: float64(n)},
			parse.MapField{Key: "executionTimeMillis", Value: float64(time.Since(start).Microseconds()) / 1000},
		))
	}
	return plan, g.done, nil
}

// document makes a document of a row; nil: the row makes none.
func (g *aggregation) document(r []driver.Value) (*parse.Map, error) {
	if n, ok := r[0].(int64); g.counted && ok && n == 0 {
		return nil, nil
	}
	m := &parse.Map{}
	for i := range g.outputs {
		if b, ok := r[i].([]byte); ok && len(b) == 1 && b[0] != 0 {
			return nil, storage.ErrNotPushed // a value of another type than that of the field
		}
		if v, ok := g.outputs[i].read(r[i]); ok {
			m.Set(g.outputs[i].key, v)
		}
	}
	return m, nil
}

// aggregation writes the statement, or says that there is none.
func (db *DB) aggregation(a *storage.Aggregate) (*aggregation, error) {
	t := db.tables.Of(a.Class)
	g := &aggregation{where: newWhere(t, ""), fields: a.Fields}
	var selects, tail string
	if len(a.Stages) > 0 {
		switch first := a.Stages[0]; first.Name {
		case "$count":
			if name, ok := first.Arg.(string); ok {
				selects, g.counted, g.done = "count(*)", true, 1
				g.outputs = []output{{name, readNumber}}
			}
		case "$group":
			m, _ := first.Arg.(*parse.Map)
			selects, tail = g.group(m)
		}
	}
	if selects == "" {
		selects = g.columns()
	}
	if selects == "" {
		return nil, storage.ErrNotPushed
	}
	g.Add("SELECT " + selects + " FROM " + t.sql)
	if a.Advice.Hinted() {
		if err := g.hint(a.Advice); err != nil {
			return nil, err
		}
	}
	g.Add(" WHERE ")
	if !g.Node(a.Where) {
		return nil, storage.ErrNotPushed
	}
	if g.done > 0 {
		g.Add(tail)
		return g, nil
	}
	g.page(a.Stages)
	return g, nil
}

// page writes the order and the part of the rows that the first stages ask for.
func (g *aggregation) page(stages []storage.Stage) {
	p := sqlgen.PageOf(stages, func(m *parse.Map) bool { return g.order(m) != "" })
	g.done = p.Done
	g.Add(" ORDER BY " + g.order(p.Sort) + "rowid")
	if p.Skip > 0 || p.Limit >= 0 {
		g.Add(" LIMIT ? OFFSET ?", int64(p.Limit), int64(p.Skip))
	}
}

// order writes the keys of a $sort, "" if they are not all columns.
func (g *aggregation) order(m *parse.Map) string {
	var b strings.Builder
	for k, v := range m.All() {
		col := g.column(k)
		if col == nil || v != 1.0 && v != -1.0 {
			return ""
		}
		b.WriteString(col.sql)
		if v == -1.0 {
			b.WriteString(" DESC")
		}
		b.WriteString(", ")
	}
	return b.String()
}

// column returns the column of a field by its stored name, nil if it has none
// or may not be seen.
func (g *aggregation) column(stored string) *column {
	if g.fields != nil && stored != "_id" && !slices.Contains(g.fields, stored) {
		return nil
	}
	name, isPointer := sqlgen.StoredField(stored)
	col := g.t.byField[name]
	if col == nil || isPointer != (col.typ == schema.Pointer) {
		return nil
	}
	return col
}

// nullMark stands for an explicit null in a column's place, which is not the
// same as no value; another byte for a value that the column does not hold.
const nullMark = 0

// columns selects the columns of the fields that are wanted; "" if they are not
// all in columns.
func (g *aggregation) columns() string {
	if g.fields == nil {
		return ""
	}
	list := []string{colID}
	g.outputs = []output{{"_id", readText("")}}
	for _, name := range g.fields {
		if name == "_id" {
			continue
		}
		col := g.column(name)
		if col == nil {
			if g.t.class.Fields[strings.TrimPrefix(name, "_p_")] != nil || strings.HasPrefix(name, "_") {
				return ""
			}
			continue // a field that the class does not have
		}
		sql := col.sql
		if path, ok := jsonPath(col.field); !sqlgen.IsSystemField(col.field) {
			if !ok {
				return ""
			}
			null := " WHEN 'null' THEN x'00'"
			if col.typ == schema.Pointer { // a null does not stand under the name of a pointer
				null = ""
			}
			sql = "ifnull(" + col.sql + ", CASE json_type(" + colDoc + ", " + path + ")" + null + otherTypes + " END)"
		}
		list = append(list, sql)
		g.outputs = append(g.outputs, output{name, col.reader()})
	}
	return strings.Join(list, ", ")
}

// otherTypes are the values of JSON that are not null.
const otherTypes = " WHEN 'text' THEN x'01' WHEN 'integer' THEN x'01' WHEN 'real' THEN x'01' WHEN 'true' THEN x'01'" +
	" WHEN 'false' THEN x'01' WHEN 'object' THEN x'01' WHEN 'array' THEN x'01'"

// reader reads what the column holds in stored form.
func (c *column) reader() func(driver.Value) (parse.Value, bool) {
	switch c.typ {
	case schema.Date:
		return readDate
	case schema.Boolean:
		return readBool
	case schema.Number:
		return readNumber
	case schema.Pointer:
		return readText(c.target + "$")
	default:
		return readText("")
	}
}

// absent reads a value that is none.
func absent(v driver.Value) (parse.Value, bool) {
	b, ok := v.([]byte)
	return nil, ok && len(b) == 1 && b[0] == nullMark
}

func readText(prefix string) func(driver.Value) (parse.Value, bool) {
	return func(v driver.Value) (parse.Value, bool) {
		if s, ok := v.(string); ok {
			return prefix + s, true
		}
		return absent(v)
	}
}

func readDate(v driver.Value) (parse.Value, bool) {
	if n, ok := v.(int64); ok {
		return parse.Date(n), true
	}
	return absent(v)
}

func readBool(v driver.Value) (parse.Value, bool) {
	if n, ok := v.(int64); ok {
		return n != 0, true
	}
	return absent(v)
}

func readNumber(v driver.Value) (parse.Value, bool) {
	switch n := v.(type) {
	case int64:
		if f := float64(n); f < 1<<63 && int64(f) == n {
			return f, true
		}
		return parse.Int(n), true
	case float64:
		return n, true
	}
	return absent(v)
}

// orNull makes a value that is none null.
func orNull(read func(driver.Value) (parse.Value, bool)) func(driver.Value) (parse.Value, bool) {
	return func(v driver.Value) (parse.Value, bool) {
		out, _ := read(v)
		return out, true
	}
}

// group selects a $group by one column, or by nothing, of sums, averages and
// the like over columns; "" if it is another. Groups come in the order in which
// their first documents do.
func (g *aggregation) group(m *parse.Map) (selects, tail string) {
	group, ok := sqlgen.GroupOf(m)
	if !ok {
		return "", ""
	}
	by := output{"_id", func(driver.Value) (parse.Value, bool) { return group.ID, true }}
	list, key := []string{"min(NULL)"}, "" // an aggregate, as HAVING asks for one
	if group.By != "" {
		col := g.column(group.By)
		if col == nil {
			return "", ""
		}
		by.read, key, list[0] = orNull(col.reader()), col.sql, col.sql
	}
	outputs := []output{by}
	for i := range group.Accumulators {
		sql, read := g.accumulator(&group.Accumulators[i])
		if sql == "" {
			return "", ""
		}
		list = append(list, sql)
		outputs = append(outputs, output{group.Accumulators[i].Name, read})
	}
	g.outputs, g.done = outputs, 1
	selects = strings.Join(list, ", ")
	if key == "" {
		return selects, " HAVING count(*) > 0"
	}
	return selects, " GROUP BY " + key + " ORDER BY min(rowid)"
}

// accumulator writes an accumulator; "" if there is no such one in SQL.
func (g *aggregation) accumulator(a *sqlgen.Accumulator) (sql string, read func(driver.Value) (parse.Value, bool)) {
	if a.Op == "" {
		return fmt.Sprintf("count(*) * %d", a.Times), readNumber
	}
	col := g.column(a.Field)
	if col == nil {
		return "", nil
	}
	numeric := col.typ == schema.Number
	switch a.Op {
	case "$sum":
		if !numeric {
			return "0", readNumber
		}
		return "ifnull(sum(" + col.sql + "), 0)", readNumber
	case "$avg":
		if !numeric {
			return "NULL", orNull(readNumber)
		}
		return "avg(" + col.sql + ")", orNull(readNumber)
	}
	return a.Op[1:] + "(" + col.sql + ")", orNull(col.reader())
}
