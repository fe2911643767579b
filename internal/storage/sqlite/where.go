package sqlite

import (
	"database/sql/driver"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

const (
	// manyNodes is how many branches of an And or Or go into SQL, whose
	// expressions may be nested a thousand deep at most.
	manyNodes = 300
	// manyValues is from how many values on a list is passed as one JSON
	// text, so that lists of all lengths share a statement.
	manyValues = 8
	// mostValues is how many placeholders a list may have.
	mostValues = 2000
)

// where writes the condition of a query tree in SQL. What SQL cannot say
// exactly is widened to a condition that holds for all matches and more.
type where struct {
	t    *table
	sql  []byte
	args []driver.Value
}

func (w *where) add(sql string, args ...driver.Value) {
	w.sql = append(w.sql, sql...)
	w.args = append(w.args, args...)
}

// node writes n and reports whether the SQL says exactly what n does. SQL may
// yield NULL for false.
func (w *where) node(n query.Node) (exact bool) {
	switch n := n.(type) {
	case nil:
		w.add("1")
		return true
	case *query.And:
		return w.list(n.Nodes, " AND ", "1")
	case *query.Or:
		return w.list(n.Nodes, " OR ", "0")
	case *query.Nor:
		return w.not(func() bool { return w.list(n.Nodes, " OR ", "0") })
	case *query.Compare:
		if n.Op == query.Ne {
			return w.not(func() bool { return w.compare(n.Path, query.Eq, n.Value) })
		}
		return w.compare(n.Path, n.Op, n.Value)
	case *query.Member:
		switch n.Op {
		case query.In:
			return w.in(n)
		case query.Nin:
			return w.not(func() bool { return w.in(n) })
		case query.All:
			return w.all(n)
		default:
			return w.wide()
		}
	case *query.Exists:
		if n.Want {
			return w.exists(n.Path)
		}
		return w.not(func() bool { return w.exists(n.Path) })
	case *query.Regex:
		return w.regex(n)
	case *query.Text:
		return w.text(n)
	case *query.Near:
		return w.area(n.Path, n.Area())
	case *query.Within:
		return w.area(n.Path, n.Area)
	case *query.Intersects:
		return w.wide()
	case *query.Permission:
		w.permission(n)
		return true
	case query.Never:
		w.add("0")
		return true
	}
	return w.wide()
}

// wide gives up on a condition.
func (w *where) wide() bool {
	w.add("1")
	return false
}

func (w *where) list(nodes []query.Node, join, empty string) (exact bool) {
	if len(nodes) == 0 {
		w.add(empty)
		return true
	}
	if len(nodes) > manyNodes {
		return w.wide()
	}
	exact = true
	for i, n := range nodes {
		if i > 0 {
			w.add(join)
		}
		w.add("(")
		exact = w.node(n) && exact
		w.add(")")
	}
	return exact
}

// not negates what f writes, if that is exact: the negation of something wider
// would be too narrow.
func (w *where) not(f func() bool) (exact bool) {
	sql, args := len(w.sql), len(w.args)
	w.add("((")
	if !f() {
		w.sql, w.args = w.sql[:sql], w.args[:args]
		return w.wide()
	}
	w.add(") IS NOT TRUE)")
	return true
}

func (w *where) compare(p query.Path, op query.Op, v parse.Value) (exact bool) {
	col := w.t.byField[string(p)]
	if col == nil {
		return op == query.Eq && w.equalDoc(p, v) || op != query.Eq && w.wide()
	}
	if v == nil {
		if op != query.Eq {
			w.add("0")
			return true
		}
		w.add(col.sql + " IS NULL")
		return true
	}
	x, ok := col.sqlValue(v)
	if !ok || op != query.Eq && col.typ == schema.Pointer {
		w.add("0")
		return true
	}
	w.add(col.sql+operators[op], x)
	return true
}

var operators = map[query.Op]string{
	query.Eq: " = ?", query.Lt: " < ?", query.Lte: " <= ?", query.Gt: " > ?", query.Gte: " >= ?",
}

// equalDoc writes an equality on a field without a column.
func (w *where) equalDoc(p query.Path, v parse.Value) (exact bool) {
	path, ok := jsonPath(string(p))
	if !ok {
		return w.wide()
	}
	f := w.t.class.Field(p.Root())
	s, isString := v.(string)
	switch {
	case isString && strings.IndexByte(s, 0) >= 0:
		return w.wide()
	case isString && !p.Dotted() && f != nil && f.Type == schema.Array:
		w.add("EXISTS (SELECT 1 FROM json_each("+colDoc+", "+path+") WHERE value = ? AND type = 'text')", s)
		return true
	case isString && !p.Dotted() && f != nil:
		w.add("0") // no other type is a string
		return true
	case isString && w.t.class.Name == schema.UserClass && providerID(p):
		w.add("json_extract("+colDoc+", "+path+") = ?", s) // exactly as the index has it
		return false
	case isString && w.plain(p):
		// An array anywhere on the way may hold the value too.
		w.add("(json_extract("+colDoc+", "+path+") = ?", s)
		for prefix, rest := "", string(p); rest != ""; {
			var part string
			part, rest, _ = strings.Cut(rest, ".")
			prefix = strings.TrimPrefix(prefix+"."+part, ".")
			if sub, ok := jsonPath(prefix); ok {
				w.add(" OR json_type(" + colDoc + ", " + sub + ") = 'array'")
			}
		}
		w.add(")")
		return false
	case v == nil && !p.Dotted() && (f == nil || f.Type != schema.Array):
		w.add("coalesce(json_type(" + colDoc + ", " + path + "), 'null') = 'null'")
		return f != nil
	}
	return w.wide()
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

func (w *where) in(n *query.Member) (exact bool) {
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
			text = text && isString && strings.IndexByte(s, 0) < 0
			fits = append(fits, x)
		}
	}
	switch {
	case len(fits) == 0:
		w.add("(0")
	case len(fits) >= manyValues && text:
		list := make(parse.Array, len(fits))
		for i, x := range fits {
			list[i] = x
		}
		w.add("("+col.sql+" IN (SELECT value FROM json_each(?))", string(parse.AppendJSON(nil, list)))
	case len(fits) > mostValues:
		return w.wide()
	default:
		w.add("("+col.sql+" IN (?"+strings.Repeat(",?", len(fits)-1)+")", fits...)
	}
	if null {
		w.add(" OR " + col.sql + " IS NULL")
	}
	w.add(")")
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
		w.sql = append(w.sql[:len(w.sql)-len(w.t.sql)], `(SELECT value AS "~id" FROM json_each(?)) CROSS JOIN `...)
		w.args = append(w.args, string(parse.AppendJSON(nil, list)))
		w.add(w.t.sql + " ON " + colID + ` = "~id"`)
		return query.AllOf(slices.Delete(slices.Clone(nodes), i, i+1)...)
	}
	return n
}

// distinctTexts returns the values of a list, each once; ok is false if one of
// them is no text that JSON can carry.
func distinctTexts(m *query.Member) (list parse.Array, ok bool) {
	for _, v := range m.Values {
		if s, ok := v.(string); !ok || strings.IndexByte(s, 0) >= 0 {
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
		return w.wide()
	}
	for _, v := range n.Values {
		if s, ok := v.(string); !ok || strings.IndexByte(s, 0) >= 0 {
			return w.wide()
		}
	}
	w.add("EXISTS (SELECT 1 FROM json_each("+colDoc+", "+path+") WHERE type = 'text' AND value IN (SELECT value FROM json_each(?)))",
		string(parse.AppendJSON(nil, parse.Array(n.Values))))
	return true
}

func (w *where) all(n *query.Member) (exact bool) {
	if len(n.Values) == 0 {
		w.add("0")
		return true
	}
	if len(n.Values) > manyNodes {
		return w.wide()
	}
	exact = true
	for i, v := range n.Values {
		if i > 0 {
			w.add(" AND ")
		}
		exact = w.compare(n.Path, query.Eq, v) && exact
	}
	return exact
}

func (w *where) exists(p query.Path) (exact bool) {
	col := w.t.byField[string(p)]
	if col != nil && isSystemField(string(p)) {
		w.add(col.sql + " IS NOT NULL")
		return true
	}
	path, ok := jsonPath(string(p))
	if !ok || p.Dotted() {
		return w.wide()
	}
	w.add("(")
	if col != nil {
		w.add(col.sql + " IS NOT NULL OR ")
	}
	// An explicit null is a value that is present.
	w.add("json_type(" + colDoc + ", " + path + ") IS NOT NULL)")
	return true
}

// regex asks for the text of a literal pattern, or narrows to strings with the
// literal beginning of an anchored one.
func (w *where) regex(n *query.Regex) (exact bool) {
	col := w.t.byField[string(n.Path)]
	if col == nil {
		return w.wide()
	}
	if col.typ != schema.String {
		w.add("0")
		return true
	}
	switch kind, text := n.Literal(); kind {
	case query.Prefix:
		return w.begins(col, ascii(text)) && ascii(text) == text
	case query.Whole:
		w.add(col.sql+" IN (?, ?)", text, text+"\n")
		return true
	case query.Contained:
		if strings.IndexByte(text, 0) < 0 {
			w.add("instr("+col.sql+", ?)", text)
			return true
		}
	case query.NoLiteral:
	}
	w.begins(col, literalPrefix(n))
	return false
}

// begins asks for strings that begin with printable ASCII.
func (w *where) begins(col *column, prefix string) (exact bool) {
	if prefix == "" {
		w.add(col.sql + " IS NOT NULL")
		return false
	}
	w.add("("+col.sql+" >= ?", prefix)
	w.add(" AND "+col.sql+" < ?", prefix[:len(prefix)-1]+string(rune(prefix[len(prefix)-1]+1)))
	w.add(")")
	return true
}

// literalPrefix returns the ASCII text with which every match of an anchored
// pattern begins, "" if none is plain to see.
func literalPrefix(n *query.Regex) string {
	rest, ok := strings.CutPrefix(n.Pattern, "^")
	if !ok || strings.ContainsAny(n.Options, "imx") {
		return ""
	}
	if quoted, ok := strings.CutPrefix(rest, `\Q`); ok {
		text, tail, closed := strings.Cut(quoted, `\E`)
		if !closed || tail != "" && tail != ".*" && tail != "$" {
			return ""
		}
		return ascii(text)
	}
	if strings.ContainsAny(rest, `|\`) || strings.Contains(rest, "(?#") {
		return ""
	}
	end := strings.IndexAny(rest, `.+*?()[]{}^$`)
	if end < 0 {
		return ascii(rest)
	}
	if strings.IndexByte("+*?{", rest[end]) >= 0 { // it may be about the letter before
		end--
	}
	if end <= 0 {
		return ""
	}
	return ascii(rest[:end])
}

// ascii cuts s before its first byte that is no printable ASCII.
func ascii(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return s[:i]
		}
	}
	return s
}

// area narrows to points in a box around the area.
func (w *where) area(p query.Path, a query.Area) (exact bool) {
	f, path := w.t.class.Field(string(p)), ""
	if f != nil && f.Type == schema.GeoPoint {
		path, _ = jsonPath(string(p))
	}
	if path == "" {
		return w.wide()
	}
	if a == nil {
		w.add("json_type(" + colDoc + ", " + path + ") = 'object'")
		return false
	}
	for i, key := range [...]string{"latitude", "longitude"} {
		if i > 0 {
			w.add(" AND ")
		}
		sub, _ := jsonPath(string(p) + "." + key)
		box := a.Bounds()
		low, high := box.South, box.North
		if i > 0 {
			low, high = box.West, box.East
		}
		w.add("json_extract("+colDoc+", "+sub+") BETWEEN ? AND ?", low, high)
	}
	return false
}

func (w *where) permission(n *query.Permission) {
	col := colRead
	if n.Write {
		col = colWrite
	}
	w.add("(" + col + " IS NULL")
	if len(n.Subjects) > manyValues {
		// An expression must not become as deep as a user has roles.
		list := make(parse.Array, len(n.Subjects))
		for i, s := range n.Subjects {
			list[i] = "|" + escapeSubject.Replace(s) + "|"
		}
		w.add(" OR EXISTS (SELECT 1 FROM json_each(?) WHERE instr("+col+", value)))", string(parse.AppendJSON(nil, list)))
		return
	}
	for _, s := range n.Subjects {
		w.add(" OR instr("+col+", ?)", "|"+escapeSubject.Replace(s)+"|")
	}
	w.add(")")
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
