package query

import (
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Walk calls f for every node, parents first; if f returns false the node's
// children are left out. Sub-queries are nodes of another class: their Where
// is not entered.
func Walk(n Node, f func(Node) bool) {
	if n == nil || !f(n) {
		return
	}
	for _, c := range children(n) {
		Walk(c, f)
	}
}

func children(n Node) []Node {
	switch n := n.(type) {
	case *And:
		return n.Nodes
	case *Or:
		return n.Nodes
	case *Nor:
		return n.Nodes
	}
	return nil
}

// Rewrite replaces nodes bottom-up by what f returns for them; n itself is not
// changed. Returning nil removes a constraint. Where of a sub-query is not entered.
func Rewrite(n Node, f func(Node) (Node, error)) (Node, error) {
	list := children(n)
	if list == nil {
		if n == nil {
			return nil, nil
		}
		return f(n)
	}
	var fresh []Node
	for i, c := range list {
		r, err := Rewrite(c, f)
		if err != nil {
			return nil, err
		}
		if fresh == nil && r != c {
			fresh = slices.Clone(list)
		}
		if fresh != nil {
			if r == nil {
				r = &And{}
			}
			fresh[i] = r
		}
	}
	if fresh == nil {
		return f(n)
	}
	switch n.(type) {
	case *Or:
		return f(&Or{fresh})
	case *Nor:
		return f(&Nor{fresh})
	}
	return f(&And{fresh})
}

// path returns the path of a constraint, "" for other nodes.
func path(n Node) Path {
	switch n := n.(type) {
	case *Compare:
		return n.Path
	case *Member:
		return n.Path
	case *Exists:
		return n.Path
	case *Regex:
		return n.Path
	case *SubQuery:
		return n.Path
	}
	return ""
}

// Roots returns the top-level fields that a query looks at, sorted.
func Roots(n Node) []string {
	var out []string
	Walk(n, func(n Node) bool {
		if p := path(n); p != "" {
			out = append(out, p.Root())
		}
		return true
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// EqualityKey is a constraint field == value that every match satisfies.
type EqualityKey struct {
	Path  string
	Value parse.Value // string, float64, bool, Date or Pointer
}

// EqualityKeys returns the equality constraints under which an index may find
// a query: those that must hold for every object that matches. A field that
// holds an array matches by any of its elements.
func EqualityKeys(n Node) []EqualityKey {
	var out []EqualityKey
	var collect func(Node)
	collect = func(n Node) {
		switch n := n.(type) {
		case *And:
			for _, c := range n.Nodes {
				collect(c)
			}
		case *Compare:
			if n.Op != Eq || n.Path.Dotted() {
				return
			}
			switch n.Value.(type) {
			case string, float64, bool, parse.Date, parse.Pointer:
				out = append(out, EqualityKey{string(n.Path), n.Value})
			}
		}
	}
	collect(n)
	return out
}

// Types tells of a top-level field whether it is a pointer, and to which class.
type Types func(field string) (pointerTarget string, isPointer bool)

// Normalize gives bare ids in $in, $nin and $ne on pointer fields the class
// that they point to (reference 01 §8.3).
func Normalize(n Node, types Types) Node {
	if n == nil || types == nil {
		return n
	}
	out, _ := Rewrite(n, func(n Node) (Node, error) {
		switch n := n.(type) {
		case *Compare:
			id, isString := n.Value.(string)
			if n.Op != Ne || !isString || n.Path.Dotted() {
				return n, nil
			}
			if target, ok := types(string(n.Path)); ok {
				return &Compare{n.Path, Ne, parse.Pointer{ClassName: target, ObjectID: id}}, nil
			}
		case *Member:
			if n.Op != In && n.Op != Nin || n.Path.Dotted() || !slices.ContainsFunc(n.Values, isString) {
				return n, nil
			}
			target, ok := types(string(n.Path))
			if !ok {
				return n, nil
			}
			values := slices.Clone(n.Values)
			for i, v := range values {
				if id, ok := v.(string); ok {
					values[i] = parse.Pointer{ClassName: target, ObjectID: id}
				}
			}
			return &Member{n.Path, n.Op, values}, nil
		}
		return n, nil
	})
	return out
}

func isString(v parse.Value) bool { _, ok := v.(string); return ok }

// Canonical returns a text that is the same for queries that are the same but
// for the order of their constraints. Equal texts mean equal queries.
func Canonical(n Node) string {
	if n == nil {
		return ""
	}
	return string(appendCanonical(nil, n))
}

var opNames = [...]string{Eq: "=", Ne: "!=", Lt: "<", Lte: "<=", Gt: ">", Gte: ">=", In: "in", Nin: "nin", All: "all", ContainedBy: "by"}

func appendCanonical(b []byte, n Node) []byte {
	list := func(name string, nodes []Node) []byte {
		parts := make([]string, len(nodes))
		for i, c := range nodes {
			parts[i] = Canonical(c)
		}
		slices.Sort(parts)
		b = append(append(b, name...), '(')
		b = append(b, strings.Join(parts, ";")...)
		return append(b, ')')
	}
	quoted := func(s string) { b = parse.AppendJSON(b, s) }
	switch n := n.(type) {
	case *And:
		return list("and", n.Nodes)
	case *Or:
		return list("or", n.Nodes)
	case *Nor:
		return list("nor", n.Nodes)
	case *Compare:
		quoted(string(n.Path))
		return parse.AppendJSON(append(b, opNames[n.Op]...), n.Value)
	case *Member:
		parts := make([]string, len(n.Values))
		for i, v := range n.Values {
			parts[i] = string(parse.AppendJSON(nil, v))
		}
		slices.Sort(parts)
		quoted(string(n.Path))
		b = append(append(b, opNames[n.Op]...), '[')
		b = append(b, strings.Join(slices.Compact(parts), ",")...)
		return append(b, ']')
	case *Exists:
		quoted(string(n.Path))
		if n.Want {
			return append(b, '?')
		}
		return append(b, "!?"...)
	case *Regex:
		quoted(string(n.Path))
		b = append(b, '~')
		quoted(n.Pattern)
		return append(append(b, '/'), n.Options...)
	case *RelatedTo:
		b = append(b, "related:"...)
		b = parse.AppendJSON(b, n.Object)
		quoted(n.Key)
		return b
	case *SubQuery:
		quoted(string(n.Path))
		if n.Negate {
			b = append(b, '!')
		}
		b = append(b, "sub:"...)
		quoted(n.ClassName)
		quoted(string(n.Key))
		quoted(n.Redirect)
		return append(append(append(b, '('), Canonical(n.Where)...), ')')
	case *Permission:
		subjects := slices.Sorted(slices.Values(n.Subjects))
		b = append(b, "may:"...)
		if n.Write {
			b = append(b, 'w')
		}
		quoted(strings.Join(subjects, ","))
		return b
	}
	return append(b, "never"...)
}
