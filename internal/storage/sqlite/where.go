package sqlite

import (
	"database/sql/driver"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

const (
	// manyValues is from how many values on a list is passed as one JSON
	// text, so that lists of all lengths share a statement.
	manyValues = 8
	// mostValues is how many placeholders a list may have.
	mostValues = 2000
)

// where writes conditions on the table of a class.
type where struct {
	sqlgen.Where[driver.Value]
	t *table
}

var _ sqlgen.Dialect = (*where)(nil)

// newWhere begins a statement about a table; before is how it begins.
func newWhere(t *table, before string) *where {
	w := &where{t: t}
	w.Where = sqlgen.Where[driver.Value]{Dialect: w, True: "1", False: "0", SQL: append(make([]byte, 0, 256), before...)}
	return w
}

// All implements [sqlgen.Dialect].
func (w *where) All(n *query.Member) (exact bool) { return w.Each(n) }

// ContainedBy implements [sqlgen.Dialect].
func (w *where) ContainedBy(*query.Member) (exact bool) { return w.Wide() }

// Intersects implements [sqlgen.Dialect].
func (w *where) Intersects(*query.Intersects) (exact bool) { return w.Wide() }

// Compare implements [sqlgen.Dialect].
func (w *where) Compare(p query.Path, op query.Op, v parse.Value) (exact bool) {
	col := w.t.byField[string(p)]
	if col == nil {
		return op == query.Eq && w.equalDoc(p, v) || op != query.Eq && w.Wide()
	}
	if v == nil {
		if op != query.Eq {
			w.Add("0")
			return true
		}
		w.Add(col.sql + " IS NULL")
		return true
	}
	x, ok := col.sqlValue(v)
	if !ok || op != query.Eq && col.typ == schema.Pointer {
		w.Add("0")
		return true
	}
	w.Add(col.sql+operators[op], x)
	return true
}

var operators = map[query.Op]string{
	query.Eq: " = ?", query.Lt: " < ?", query.Lte: " <= ?", query.Gt: " > ?", query.Gte: " >= ?",
}

// equalDoc writes an equality on a field without a column.
func (w *where) equalDoc(p query.Path, v parse.Value) (exact bool) {
	path, ok := jsonPath(string(p))
	if !ok {
		return w.Wide()
	}
	f := w.t.class.Field(p.Root())
	s, isString := v.(string)
	switch {
	case isString && sqlgen.HasNUL(s):
		return w.Wide()
	case isString && !p.Dotted() && f != nil && f.Type == schema.Array:
		w.Add("EXISTS (SELECT 1 FROM json_each("+colDoc+", "+path+") WHERE value = ? AND type = 'text')", s)
		return true
	case isString && !p.Dotted() && f != nil:
		w.Add("0") // no other type is a string
		return true
	case isString && w.t.class.Name == schema.UserClass && providerID(p):
		w.Add("json_extract("+colDoc+", "+path+") = ?", s) // exactly as the index has it
		return false
	case isString && w.plain(p):
		// An array anywhere on the way may hold the value too.
		w.Add("(json_extract("+colDoc+", "+path+") = ?", s)
		for prefix, rest := "", string(p); rest != ""; {
			var part string
			part, rest, _ = strings.Cut(rest, ".")
			prefix = strings.TrimPrefix(prefix+"."+part, ".")
			if sub, ok := jsonPath(prefix); ok {
				w.Add(" OR json_type(" + colDoc + ", " + sub + ") = 'array'")
			}
		}
		w.Add(")")
		return false
	case v == nil && !p.Dotted() && (f == nil || f.Type != schema.Array):
		w.Add("coalesce(json_type(" + colDoc + ", " + path + "), 'null') = 'null'")
		return f != nil
	}
	return w.Wide()
}

// providerID reports whether a path is authData.<provider>.id, which holds a
// string or nothing.
func providerID(p query.Path) bool {
	parts := strings.Split(string(p), ".")
	return len(parts) == 3 && parts[0] == "authData" && parts[2] == "id"
}

// plain reports whether a path leads through JSON objects alone, as far as the
// class tells: a path into a Pointer, a Date or the ACL means something else.
func (w *where) plain(p query.Path) bool {
	f := w.t.class.Field(p.Root())
	return f == nil && strings.HasPrefix(p.Root(), "_") || f != nil && f.Type == schema.Object
}

// In implements [sqlgen.Dialect].
func (w *where) In(n *query.Member) (exact bool) {
	col := w.t.byField[string(n.Path)]
	if col == nil {
		return w.inDoc(n)
	}
	null := false
	fits := make([]driver.Value, 0, len(n.Values))
	text := true // all are strings that JSON can carry
	for _, v := range n.Values {
		if v == nil {
			null = true
			continue
		}
		if x, ok := col.sqlValue(v); ok {
			s, isString := x.(string)
			text = text && isString && !sqlgen.HasNUL(s)
			fits = append(fits, x)
		}
	}
	switch {
	case len(fits) == 0:
		w.Add("(0")
	case len(fits) >= manyValues && text:
		list := make(parse.Array, len(fits))
		for i, x := range fits {
			list[i] = x
		}
		w.Add("("+col.sql+" IN (SELECT value FROM json_each(?))", string(parse.AppendJSON(nil, list)))
	case len(fits) > mostValues:
		return w.Wide()
	default:
		w.Add("("+col.sql+" IN (?"+strings.Repeat(",?", len(fits)-1)+")", fits...)
	}
	if null {
		w.Add(" OR " + col.sql + " IS NULL")
	}
	w.Add(")")
	return true
}

// joinIDs takes a list of ids out of a condition and lets it drive the query:
// one lookup for each id, where IN would first sort the list into a table of
// its own. It returns what remains of the condition.
func (w *where) joinIDs(n query.Node) query.Node {
	nodes := []query.Node{n}
	if and, ok := n.(*query.And); ok {
		nodes = and.Nodes
	}
	for i, c := range nodes {
		m, ok := c.(*query.Member)
		if !ok || m.Op != query.In || m.Path != parse.KeyObjectID || len(m.Values) < manyValues {
			continue
		}
		list, ok := distinctTexts(m)
		if !ok {
			return n
		}
		// The name of the column cannot be that of a field.
		w.SQL = append(w.SQL[:len(w.SQL)-len(w.t.sql)], `(SELECT value AS "~id" FROM json_each(?)) CROSS JOIN `...)
		w.Args = append(w.Args, string(parse.AppendJSON(nil, list)))
		w.Add(w.t.sql + " ON " + colID + ` = "~id"`)
		return query.AllOf(slices.Delete(slices.Clone(nodes), i, i+1)...)
	}
	return n
}

// distinctTexts returns the values of a list, each once; ok is false if one of
// them is no text that JSON can carry.
func distinctTexts(m *query.Member) (list parse.Array, ok bool) {
	for _, v := range m.Values {
		if s, ok := v.(string); !ok || sqlgen.HasNUL(s) {
			return nil, false
		}
	}
	if m.Distinct {
		return m.Values, true
	}
	seen := make(map[parse.Value]bool, len(m.Values))
	list = make(parse.Array, 0, len(m.Values))
	for _, v := range m.Values {
		if !seen[v] {
			seen[v] = true
			list = append(list, v)
		}
	}
	return list, true
}

// inDoc writes the membership of any element of an array of strings.
func (w *where) inDoc(n *query.Member) (exact bool) {
	f := w.t.class.Field(string(n.Path))
	path, ok := jsonPath(string(n.Path))
	if !ok || f == nil || f.Type != schema.Array {
		return w.Wide()
	}
	for _, v := range n.Values {
		if s, ok := v.(string); !ok || sqlgen.HasNUL(s) {
			return w.Wide()
		}
	}
	w.Add("EXISTS (SELECT 1 FROM json_each("+colDoc+", "+path+") WHERE type = 'text' AND value IN (SELECT value FROM json_each(?)))",
		string(parse.AppendJSON(nil, parse.Array(n.Values))))
	return true
}

// Exists implements [sqlgen.Dialect].
func (w *where) Exists(p query.Path) (exact bool) {
	col := w.t.byField[string(p)]
	if col != nil && sqlgen.IsSystemField(string(p)) {
		w.Add(col.sql + " IS NOT NULL")
		return true
	}
	path, ok := jsonPath(string(p))
	if !ok || p.Dotted() {
		return w.Wide()
	}
	w.Add("(")
	if col != nil {
		w.Add(col.sql + " IS NOT NULL OR ")
	}
	// An explicit null is a value that is present.
	w.Add("json_type(" + colDoc + ", " + path + ") IS NOT NULL)")
	return true
}

// Regex implements [sqlgen.Dialect]: it asks for the text of a literal pattern, or narrows to strings with the
// literal beginning of an anchored one.
func (w *where) Regex(n *query.Regex) (exact bool) {
	col := w.t.byField[string(n.Path)]
	if col == nil {
		return w.Wide()
	}
	if col.typ != schema.String {
		w.Add("0")
		return true
	}
	switch kind, text := n.Literal(); kind {
	case query.Prefix:
		return w.begins(col, sqlgen.ASCII(text)) && sqlgen.ASCII(text) == text
	case query.Whole:
		w.Add(col.sql+" IN (?, ?)", text, text+"\n")
		return true
	case query.Contained:
		if !sqlgen.HasNUL(text) {
			w.Add("instr("+col.sql+", ?)", text)
			return true
		}
	case query.NoLiteral:
	}
	w.begins(col, sqlgen.LiteralPrefix(n))
	return false
}

// begins asks for strings that begin with printable ASCII.
func (w *where) begins(col *column, prefix string) (exact bool) {
	if prefix == "" {
		w.Add(col.sql + " IS NOT NULL")
		return false
	}
	w.Add("("+col.sql+" >= ?", prefix)
	w.Add(" AND "+col.sql+" < ?", sqlgen.Behind(prefix))
	w.Add(")")
	return true
}

// Area implements [sqlgen.Dialect]: it narrows to points in a box around the area.
func (w *where) Area(p query.Path, a query.Area) (exact bool) {
	f, path := w.t.class.Field(string(p)), ""
	if f != nil && f.Type == schema.GeoPoint {
		path, _ = jsonPath(string(p))
	}
	if path == "" {
		return w.Wide()
	}
	if a == nil {
		w.Add("json_type(" + colDoc + ", " + path + ") = 'object'")
		return false
	}
	for i, key := range [...]string{"latitude", "longitude"} {
		if i > 0 {
			w.Add(" AND ")
		}
		sub, _ := jsonPath(string(p) + "." + key)
		box := a.Bounds()
		low, high := box.South, box.North
		if i > 0 {
			low, high = box.West, box.East
		}
		w.Add("json_extract("+colDoc+", "+sub+") BETWEEN ? AND ?", low, high)
	}
	return false
}

// Permission implements [sqlgen.Dialect].
func (w *where) Permission(n *query.Permission) {
	col := colRead
	if n.Write {
		col = colWrite
	}
	w.Add("(" + col + " IS NULL")
	if len(n.Subjects) > manyValues {
		// An expression must not become as deep as a user has roles.
		list := make(parse.Array, len(n.Subjects))
		for i, s := range n.Subjects {
			list[i] = "|" + escapeSubject.Replace(s) + "|"
		}
		w.Add(" OR EXISTS (SELECT 1 FROM json_each(?) WHERE instr("+col+", value)))", string(parse.AppendJSON(nil, list)))
		return
	}
	for _, s := range n.Subjects {
		w.Add(" OR instr("+col+", ?)", "|"+escapeSubject.Replace(s)+"|")
	}
	w.Add(")")
}

// indexOf returns the index that yields what matches in the order of a field:
// one of equalities that must hold, if any, and then the field. An index of
// an equality alone is better than one of the field alone.
func (t *table) indexOf(where query.Node, field query.Path) (name string, ok bool) {
	best := -1
	for i := range t.class.Indexes {
		ix := &t.class.Indexes[i]
		equal := 0
		for equal < len(ix.Keys) && equated(where, ix.Keys[equal].Field) {
			equal++
		}
		if equal > best && equal < len(ix.Keys) && ix.Keys[equal].Field == string(field) && !ix.Sparse && !ix.CaseInsensitive && t.indexable(ix) {
			name, ok, best = ix.Name, true, equal
		} else if equal > 0 && best <= 0 {
			name, ok, best = "", false, 0
		}
	}
	return name, ok
}

// equated reports whether a field must be equal to one value.
func equated(n query.Node, field string) bool {
	switch n := n.(type) {
	case *query.And:
		return slices.ContainsFunc(n.Nodes, func(n query.Node) bool { return equated(n, field) })
	case *query.Compare:
		return n.Op == query.Eq && string(n.Path) == field
	}
	return false
}

// orderBy writes the order; ok is false if SQL cannot sort that way.
func (t *table) orderBy(order []query.Sort) (sql string, ok bool) {
	var b strings.Builder
	b.WriteString(" ORDER BY ")
	for _, s := range order {
		col := t.byField[string(s.Path)]
		if col == nil || s.From != nil {
			return "", false
		}
		b.WriteString(col.sql)
		if col.typ == schema.Pointer { // all pointers are alike
			b.WriteString(" IS NOT NULL")
		}
		if s.Desc {
			b.WriteString(" DESC")
		}
		b.WriteString(", ")
	}
	b.WriteString("rowid")
	return b.String(), true
}
