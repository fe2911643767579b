// Package sqlgen has what the databases with SQL share: the walk from a query
// tree to a condition, and what can be told of a condition from its text.
//
// The rule of the walk is that of DESIGN.md in the folder above: a condition is
// said exactly, or widened to one that holds for all matches and more, and never
// widened below a negation.
package sqlgen

import (
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// ManyNodes is how many branches of an And or Or go into SQL, whose expressions
// a database nests to some depth only.
const ManyNodes = 300

// Dialect writes the leaves of a query tree in the SQL of one database. Each
// method reports whether what it wrote says exactly what the node does; SQL
// may yield NULL for false.
type Dialect interface {
	// Compare writes Eq, Lt, Lte, Gt or Gte.
	Compare(p query.Path, op query.Op, v parse.Value) (exact bool)
	In(n *query.Member) (exact bool)
	// All writes that an array has all of a list, which is not empty.
	All(n *query.Member) (exact bool)
	// ContainedBy writes that all elements of an array are in a list.
	ContainedBy(n *query.Member) (exact bool)
	Exists(p query.Path) (exact bool)
	Regex(n *query.Regex) (exact bool)
	Text(n *query.Text) (exact bool)
	// Area writes that a point lies in an area; nil: anywhere.
	Area(p query.Path, a query.Area) (exact bool)
	Intersects(n *query.Intersects) (exact bool)
	// Permission is always said exactly.
	Permission(n *query.Permission)
}

// Where is a condition in SQL that is being written, with its arguments.
type Where[A any] struct {
	Dialect Dialect
	// True and False are the constants of the database.
	True, False string

	SQL  []byte
	Args []A
}

// Add appends SQL and the arguments of its placeholders.
func (w *Where[A]) Add(sql string, args ...A) {
	w.SQL = append(w.SQL, sql...)
	w.Args = append(w.Args, args...)
}

// Wide gives up on a condition.
func (w *Where[A]) Wide() (exact bool) {
	w.Add(w.True)
	return false
}

// Never writes that nothing matches.
func (w *Where[A]) Never() (exact bool) {
	w.Add(w.False)
	return true
}

// Matcher writes the condition n and returns what is left to test in Go, nil
// if the SQL is exact.
func (w *Where[A]) Matcher(n query.Node) (*query.Matcher, error) {
	if w.Node(n) {
		return nil, nil
	}
	return query.Compile(n)
}

// Node writes n and reports whether the SQL says exactly what n does.
func (w *Where[A]) Node(n query.Node) (exact bool) {
	d := w.Dialect
	switch n := n.(type) {
	case nil:
		w.Add(w.True)
		return true
	case *query.And:
		return w.list(n.Nodes, " AND ", w.True)
	case *query.Or:
		return w.list(n.Nodes, " OR ", w.False)
	case *query.Nor:
		return w.Not(func() bool { return w.list(n.Nodes, " OR ", w.False) })
	case *query.Compare:
		if n.Op == query.Ne {
			return w.Not(func() bool { return d.Compare(n.Path, query.Eq, n.Value) })
		}
		return d.Compare(n.Path, n.Op, n.Value)
	case *query.Member:
		switch n.Op {
		case query.In:
			return d.In(n)
		case query.Nin:
			return w.Not(func() bool { return d.In(n) })
		case query.All:
			switch {
			case len(n.Values) == 0:
				return w.Never()
			case len(n.Values) > ManyNodes:
				return w.Wide()
			}
			return d.All(n)
		case query.ContainedBy:
			return d.ContainedBy(n)
		default:
			return w.Wide()
		}
	case *query.Exists:
		if n.Want {
			return d.Exists(n.Path)
		}
		return w.Not(func() bool { return d.Exists(n.Path) })
	case *query.Regex:
		return d.Regex(n)
	case *query.Text:
		return d.Text(n)
	case *query.Near:
		return d.Area(n.Path, n.Area())
	case *query.Within:
		return d.Area(n.Path, n.Area)
	case *query.Intersects:
		return d.Intersects(n)
	case *query.Permission:
		d.Permission(n)
		return true
	case query.Never:
		return w.Never()
	}
	return w.Wide()
}

func (w *Where[A]) list(nodes []query.Node, join, empty string) (exact bool) {
	if len(nodes) == 0 {
		w.Add(empty)
		return true
	}
	if len(nodes) > ManyNodes {
		return w.Wide()
	}
	exact = true
	for i, n := range nodes {
		if i > 0 {
			w.Add(join)
		}
		w.Add("(")
		exact = w.Node(n) && exact
		w.Add(")")
	}
	return exact
}

// Not negates what f writes, if that is exact: the negation of something wider
// would be too narrow.
func (w *Where[A]) Not(f func() bool) (exact bool) {
	sql, args := len(w.SQL), len(w.Args)
	w.Add("((")
	if !f() {
		w.SQL, w.Args = w.SQL[:sql], w.Args[:args]
		return w.Wide()
	}
	w.Add(") IS NOT TRUE)")
	return true
}

// Each writes an All as one comparison for each of the values.
func (w *Where[A]) Each(n *query.Member) (exact bool) {
	exact = true
	for i, v := range n.Values {
		if i > 0 {
			w.Add(" AND ")
		}
		w.Add("(")
		exact = w.Dialect.Compare(n.Path, query.Eq, v) && exact
		w.Add(")")
	}
	return exact
}

// LiteralPrefix returns the ASCII text with which every match of an anchored
// pattern begins, "" if none is plain to see.
func LiteralPrefix(n *query.Regex) string {
	rest, ok := strings.CutPrefix(n.Pattern, "^")
	if !ok || strings.ContainsAny(n.Options, "imx") {
		return ""
	}
	if quoted, ok := strings.CutPrefix(rest, `\Q`); ok {
		text, tail, closed := strings.Cut(quoted, `\E`)
		if !closed || tail != "" && tail != ".*" && tail != "$" {
			return ""
		}
		return ASCII(text)
	}
	if strings.ContainsAny(rest, `|\`) || strings.Contains(rest, "(?#") {
		return ""
	}
	end := strings.IndexAny(rest, `.+*?()[]{}^$`)
	if end < 0 {
		return ASCII(rest)
	}
	if strings.IndexByte("+*?{", rest[end]) >= 0 { // it may be about the letter before
		end--
	}
	if end <= 0 {
		return ""
	}
	return ASCII(rest[:end])
}

// ASCII cuts s before its first byte that is no printable ASCII.
func ASCII(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return s[:i]
		}
	}
	return s
}

// Behind returns the least text that is greater than all texts that begin with
// a prefix of printable ASCII.
func Behind(prefix string) string {
	return prefix[:len(prefix)-1] + string(rune(prefix[len(prefix)-1]+1))
}

// Quote makes an identifier of a name.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// HasNUL reports whether a text has the byte that SQL texts end at.
func HasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// Left lists the constraints of a condition that SQL does not say in full, in
// the form of [query.Canonical]; said reports whether it says one.
func Left(n query.Node, said func(query.Node) bool) parse.Array {
	nodes := []query.Node{n}
	if and, ok := n.(*query.And); ok {
		nodes = and.Nodes
	}
	out := parse.Array{}
	for _, n := range nodes {
		if !said(n) {
			out = append(out, query.Canonical(n))
		}
	}
	return out
}
