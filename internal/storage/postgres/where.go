package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// where writes conditions on the table of a class. An array takes one
// argument for lists of any length, so that they share a statement.
type where struct {
	sqlgen.Where[any]
	t *table
}

var _ sqlgen.Dialect = (*where)(nil)

// newWhere begins a statement about a table; before is how it begins.
func newWhere(t *table, before string) *where {
	w := &where{t: t}
	w.Where = sqlgen.Where[any]{Dialect: w, True: "true", False: "false", SQL: append(make([]byte, 0, 512), before...)}
	return w
}

// bind appends a placeholder for an argument.
func (w *where) bind(v any) {
	w.Args = append(w.Args, v)
	w.SQL = strconv.AppendInt(append(w.SQL, '$'), int64(len(w.Args)), 10)
}

// Compare implements [sqlgen.Dialect].
func (w *where) Compare(p query.Path, op query.Op, v parse.Value) (exact bool) {
	c := w.t.byField[string(p)]
	if c == nil {
		return w.compareDeep(p, op, v)
	}
	if v == nil {
		switch {
		case op != query.Eq:
			return w.Never()
		case c.typ == schema.Array:
			w.Add("(" + c.sql + " IS NULL OR " + c.sql + " @> '[null]')")
		default:
			w.Add(c.sql + " IS NULL")
		}
		return true
	}
	switch c.typ {
	case schema.Array:
		if op == query.Eq {
			return w.element(c, v)
		}
		return w.present(c)
	case schema.Object, schema.Bytes, schema.File, schema.GeoPoint, schema.Polygon:
		return w.present(c)
	default:
	}
	if s, ok := v.(string); ok && c.typ == schema.String && op != query.Eq && sqlgen.HasNUL(s) {
		return w.present(c)
	}
	x, ok := c.scalar(v)
	if !ok {
		if _, isDate := v.(parse.Date); isDate && c.typ == schema.Date && op != query.Eq {
			return w.present(c)
		}
		return w.Never()
	}
	if op != query.Eq && c.typ == schema.Pointer {
		return w.Never()
	}
	if op == query.Eq {
		w.Add(c.sql + " = ")
	} else {
		w.Add(c.inOrder(operators[op], byteOperators[op]))
	}
	w.bind(x)
	return true
}

var operators = map[query.Op]string{query.Lt: " < ", query.Lte: " <= ", query.Gt: " > ", query.Gte: " >= "}

// byteOperators compare texts by their bytes, whatever the language of the
// database, and are what an index with text_pattern_ops serves.
var byteOperators = map[query.Op]string{query.Lt: " ~<~ ", query.Lte: " ~<=~ ", query.Gt: " ~>~ ", query.Gte: " ~>=~ "}

// present narrows to rows with a value.
func (w *where) present(c *column) (exact bool) {
	w.Add(c.sql + " IS NOT NULL")
	return false
}

// plain reports whether jsonb finds a value as package query does: a text, a
// number, a boolean or null.
func plain(v parse.Value) bool {
	switch v := v.(type) {
	case nil, bool, float64, parse.Int:
		return true
	case string:
		return !sqlgen.HasNUL(v)
	}
	return false
}

// elementOf writes, as jsonb, an array that those with the value contain; ""
// if there are none, known is false if jsonb cannot tell.
func elementOf(v parse.Value) (sql string, exact, known bool) {
	exact = plain(v)
	switch v := v.(type) {
	case string:
		if !exact {
			return "", true, true
		}
	case parse.Pointer:
		if sqlgen.HasNUL(v.ClassName) || sqlgen.HasNUL(v.ObjectID) {
			return "", true, true
		}
	default:
		if !exact {
			return "", false, false
		}
	}
	return string(parse.AppendJSON(nil, parse.Array{v})), exact, true
}

// element asks for an element of an array.
func (w *where) element(c *column, v parse.Value) (exact bool) {
	sql, exact, known := elementOf(v)
	switch {
	case !known:
		return w.present(c)
	case sql == "":
		return w.Never()
	}
	w.Add(c.sql + " @> ")
	w.bind(sql)
	w.Add("::jsonb")
	return exact
}

// deep finds the column and the path of a dotted name. known is false if there
// is no column, and so no value; ok if SQL can ask for the path.
func (w *where) deep(p query.Path) (c *column, path string, known, ok bool) {
	root, rest, dotted := strings.Cut(string(p), ".")
	c = w.t.byField[root]
	if c == nil || !dotted {
		return nil, "", false, false
	}
	path, ok = literalPath(rest)
	return c, path, true, ok && (c.typ == schema.Object || c.typ == schema.Array)
}

// compareDeep writes a comparison of what has no column of its own.
func (w *where) compareDeep(p query.Path, op query.Op, v parse.Value) (exact bool) {
	c, path, known, ok := w.deep(p)
	if !known {
		if v == nil && op == query.Eq {
			w.Add(w.True)
			return true
		}
		return w.Never()
	}
	if !ok || op != query.Eq || v == nil || !plain(v) {
		return w.Wide()
	}
	if s, isString := v.(string); isString {
		if id := w.t.providerID(p); id != "" {
			w.Add(id + " = ") // exactly as the index has it
			w.bind(s)
			return false
		}
	}
	// An array anywhere on the way may hold the value too.
	w.Add("(" + c.sql + " #> " + path + " = ")
	w.bind(string(parse.AppendJSON(nil, v)))
	w.Add("::jsonb OR jsonb_typeof(" + c.sql + " #> " + path + ") = 'array')")
	return false
}

// In implements [sqlgen.Dialect].
func (w *where) In(n *query.Member) (exact bool) {
	c := w.t.byField[string(n.Path)]
	if c == nil {
		if _, _, known, _ := w.deep(n.Path); known {
			return w.Wide()
		}
		for _, v := range n.Values {
			if v == nil {
				w.Add(w.True)
				return true
			}
		}
		return w.Never()
	}
	null := false
	for _, v := range n.Values {
		null = null || v == nil
	}
	switch c.typ {
	case schema.Array:
		return w.inArray(c, n.Values)
	case schema.Object, schema.Bytes, schema.File, schema.GeoPoint, schema.Polygon:
		if null {
			return w.Wide()
		}
		return w.present(c)
	default:
	}
	list, some := c.list(n.Values)
	switch {
	case !some && !null:
		return w.Never()
	case !some:
		w.Add(c.sql + " IS NULL")
		return true
	}
	w.Add("(" + c.sql + " = ANY(")
	w.bind(list)
	w.Add(")")
	if null {
		w.Add(" OR " + c.sql + " IS NULL")
	}
	w.Add(")")
	return true
}

// list returns those of the values that a scalar column can hold, as one argument.
func (c *column) list(values []parse.Value) (list any, some bool) {
	switch c.typ {
	case schema.Number:
		return collect[float64](c, values)
	case schema.Boolean:
		return collect[bool](c, values)
	case schema.Date:
		return collect[instant](c, values)
	default:
		return collect[string](c, values)
	}
}

func collect[T any](c *column, values []parse.Value) (list any, some bool) {
	out := make([]T, 0, len(values))
	for _, v := range values {
		if x, ok := c.scalar(v); ok {
			if t, ok := x.(T); ok {
				out = append(out, t)
			}
		}
	}
	return out, len(out) > 0
}

// inArray asks for an array with any of the values as an element. All values
// are one argument: lists of any length share a statement.
func (w *where) inArray(c *column, values []parse.Value) (exact bool) {
	var texts, elements []string
	exact, null := true, false
	for _, v := range values {
		text, isText := v.(string)
		switch {
		case v == nil:
			null = true
		case isText && plain(v):
			texts = append(texts, text)
		default:
			sql, isExact, known := elementOf(v)
			if !known {
				if slices.Contains(values, nil) {
					return w.Wide()
				}
				return w.present(c)
			}
			exact = exact && isExact
			if sql != "" {
				elements = append(elements, sql)
			}
		}
	}
	switch {
	case len(elements) == 0 && !null && len(texts) == 0:
		return w.Never()
	case len(elements) == 0 && !null:
		w.Add(c.sql + " ?| ")
		w.bind(texts)
		return true
	}
	for _, text := range texts {
		sql, _, _ := elementOf(text)
		elements = append(elements, sql)
	}
	w.Add("(" + c.sql + " @> ANY(")
	w.bind(elements)
	w.Add("::jsonb[])")
	if null {
		w.Add(" OR " + c.sql + " IS NULL OR " + c.sql + " @> '[null]'")
	}
	w.Add(")")
	return exact
}

// All implements [sqlgen.Dialect].
func (w *where) All(n *query.Member) (exact bool) {
	c := w.t.byField[string(n.Path)]
	if c == nil || c.typ != schema.Array {
		return w.Each(n)
	}
	for _, v := range n.Values {
		if v == nil || !plain(v) {
			return w.Each(n)
		}
	}
	w.Add(c.sql + " @> ")
	w.bind(string(parse.AppendJSON(nil, parse.Array(n.Values))))
	w.Add("::jsonb")
	return true
}

// ContainedBy implements [sqlgen.Dialect].
func (w *where) ContainedBy(n *query.Member) (exact bool) {
	c := w.t.byField[string(n.Path)]
	if c == nil {
		if _, _, known, _ := w.deep(n.Path); known {
			return w.Wide()
		}
		return w.Never()
	}
	if c.typ != schema.Array {
		return w.Never()
	}
	for _, v := range n.Values {
		if !plain(v) {
			return w.present(c)
		}
	}
	w.Add(c.sql + " <@ ")
	w.bind(string(parse.AppendJSON(nil, parse.Array(n.Values))))
	w.Add("::jsonb")
	return true
}

// Exists implements [sqlgen.Dialect].
func (w *where) Exists(p query.Path) (exact bool) {
	if c := w.t.byField[string(p)]; c != nil {
		w.Add(c.sql + " IS NOT NULL")
		return true
	}
	c, path, known, ok := w.deep(p)
	switch {
	case !known:
		return w.Never()
	case !ok:
		return w.Wide()
	}
	w.Add(c.sql + " #> " + path + " IS NOT NULL")
	return false
}

// Regex implements [sqlgen.Dialect]: it asks for the text of a literal
// pattern, or narrows to strings with the literal beginning of an anchored one.
func (w *where) Regex(n *query.Regex) (exact bool) {
	c := w.t.byField[string(n.Path)]
	if c == nil {
		if _, _, known, _ := w.deep(n.Path); known {
			return w.Wide()
		}
		// A pattern that is not valid is told by whoever compiles it.
		w.Add(w.False)
		return false
	}
	switch c.typ {
	case schema.String:
	case schema.Array:
		return w.present(c)
	default:
		w.Add(w.False)
		return false
	}
	switch kind, text := n.Literal(); {
	case kind == query.NoLiteral || sqlgen.HasNUL(text):
	case kind == query.Prefix:
		if plain := sqlgen.ASCII(text); plain == text && text != "" {
			return w.begins(c, text)
		}
		w.Add("starts_with(" + c.sql + ", ")
		w.bind(text)
		w.Add(")")
		return true
	case kind == query.Whole:
		w.Add(c.sql + " = ANY(")
		w.bind([]string{text, text + "\n"})
		w.Add(")")
		return true
	case kind == query.Contained:
		w.Add("strpos(" + c.sql + ", ")
		w.bind(text)
		w.Add(") > 0")
		return true
	}
	if prefix := sqlgen.LiteralPrefix(n); prefix != "" {
		w.begins(c, prefix)
		return false
	}
	return w.present(c)
}

// begins asks for texts that begin with printable ASCII.
func (w *where) begins(c *column, prefix string) (exact bool) {
	w.Add("(" + c.inOrder(" >= ", " ~>=~ "))
	w.bind(prefix)
	w.Add(" AND " + c.inOrder(" < ", " ~<~ "))
	w.bind(sqlgen.Behind(prefix))
	w.Add(")")
	return true
}

// Text implements [sqlgen.Dialect]: the matcher searches.
func (w *where) Text(n *query.Text) (exact bool) {
	if len(n.Terms()) == 0 {
		return w.Never()
	}
	c := w.t.byField[string(n.Path)]
	if c == nil {
		if _, _, known, _ := w.deep(n.Path); known {
			return w.Wide()
		}
		return w.Never()
	}
	return w.present(c)
}

// Area implements [sqlgen.Dialect]: it narrows to points in a box around the
// area, whose edges PostgreSQL takes generously.
func (w *where) Area(p query.Path, a query.Area) (exact bool) {
	c := w.t.byField[string(p)]
	switch {
	case c == nil:
		if _, _, known, _ := w.deep(p); known {
			return w.Wide()
		}
		return w.Never()
	case c.typ != schema.GeoPoint:
		return w.present(c)
	case a == nil:
		w.Add(c.sql + " IS NOT NULL")
		return true
	}
	box := a.Bounds()
	w.Add(c.sql + " <@ box(point(")
	w.bind(box.West)
	w.Add(", ")
	w.bind(box.South)
	w.Add("), point(")
	w.bind(box.East)
	w.Add(", ")
	w.bind(box.North)
	w.Add("))")
	return false
}

// Intersects implements [sqlgen.Dialect]: it narrows to polygons with the
// point in the box around them.
func (w *where) Intersects(n *query.Intersects) (exact bool) {
	c := w.t.byField[string(n.Path)]
	switch {
	case c == nil:
		if _, _, known, _ := w.deep(n.Path); known {
			return w.Wide()
		}
		return w.Never()
	case c.typ != schema.Polygon:
		return w.present(c)
	}
	w.Add("box(" + c.sql + ") @> point(")
	w.bind(n.Point.Longitude)
	w.Add(", ")
	w.bind(n.Point.Latitude)
	w.Add(")")
	return false
}

// Permission implements [sqlgen.Dialect].
func (w *where) Permission(n *query.Permission) {
	if w.t.bare {
		w.Add(w.True)
		return
	}
	col := colRead
	if n.Write {
		col = colWrite
	}
	w.Add("(" + col + " IS NULL OR " + col + " && ")
	w.bind(n.Subjects)
	w.Add(")")
}

// orderBy writes the order; ok is false if SQL cannot sort that way. Values
// that have no order among each other come behind those that are missing.
func (t *table) orderBy(order []query.Sort) (sql string, ok bool) {
	var b strings.Builder
	whole := false // no two rows are equal
	for _, s := range order {
		c := t.byField[string(s.Path)]
		switch {
		case s.From != nil || s.Path == query.ScoreField || c == nil && s.Path.Dotted():
			return "", false
		case c == nil:
			continue // nobody has a value
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		switch c.typ {
		case schema.String, schema.Number, schema.Boolean, schema.Date:
			b.WriteString(c.sorted(s.Desc))
		default:
			b.WriteString("(" + c.sql + " IS NOT NULL)")
			b.WriteString(pick(s.Desc, " DESC", ""))
		}
		if !sqlgen.IsSystemField(c.field) { // those are never missing
			b.WriteString(pick(s.Desc, " NULLS LAST", " NULLS FIRST"))
		}
		whole = whole || c.field == parse.KeyObjectID
	}
	if !whole {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.age())
	}
	return " ORDER BY " + b.String(), true
}

// age is the order in which rows came to be, as good as it can be told.
func (t *table) age() string {
	if t.bare {
		return "ctid"
	}
	return colCreated + ", ctid"
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
