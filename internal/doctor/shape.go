package doctor

import (
	"strings"

	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Kind is what a constraint asks of its field, as far as an index cares.
type Kind uint8

// Kinds, the most useful to an index first.
const (
	Equality Kind = iota + 1
	In
	Prefix // of text
	Range
	Place
	Other // what no index narrows, and all that stands below $or and $nor
)

var kindNames = [...]string{Equality: "equality", In: "in", Prefix: "prefix", Range: "range", Place: "place", Other: "other"}

// String returns the name of the kind in reports.
func (k Kind) String() string { return kindNames[k] }

// Constraint is a field of a shape.
type Constraint struct {
	Path string
	Kind Kind
}

// Key is one key of an order.
type Key struct {
	Path string
	Desc bool
}

// What of a query makes its shape: enough to tell queries apart, and bounded.
const (
	maxConstraints = 8
	maxKeys        = 4
	maxPath        = 64
)

// outline is a shape before it has a name. It lives on the stack.
type outline struct {
	class       *schema.Class
	constraints [maxConstraints]Constraint
	n           int
	keys        [maxKeys]Key
	k           int
	limit       byte // see limitNames; 'c' for a count
}

// limitNames are the sizes of limits that shapes tell apart.
var limitNames = map[byte]string{'1': "1", '2': "≤ 10", '3': "≤ 100", '4': "≤ 1000", '5': "> 1000", 'a': "all", 'c': ""}

func limitClass(n int) byte {
	switch {
	case n < 0:
		return 'a'
	case n == 1:
		return '1'
	case n <= 10:
		return '2'
	case n <= 100:
		return '3'
	case n <= 1000:
		return '4'
	}
	return '5'
}

// add takes in the constraints of a tree, in order of path and kind.
func (o *outline) add(n query.Node, below bool) {
	switch n := n.(type) {
	case nil, *query.Permission, *query.After, query.Never:
	case *query.And:
		for _, c := range n.Nodes {
			o.add(c, below)
		}
	case *query.Or:
		for _, c := range n.Nodes {
			o.add(c, true)
		}
	case *query.Nor:
		for _, c := range n.Nodes {
			o.add(c, true)
		}
	default:
		if below {
			o.put(query.PathOf(n), Other)
			return
		}
		o.put(query.PathOf(n), kindOf(n))
	}
}

func kindOf(n query.Node) Kind {
	switch n := n.(type) {
	case *query.Compare:
		switch n.Op {
		case query.Eq:
			return Equality
		case query.Lt, query.Lte, query.Gt, query.Gte:
			return Range
		default:
			return Other
		}
	case *query.Member:
		if n.Op == query.In || n.Op == query.All {
			return In
		}
	case *query.Regex:
		if strings.HasPrefix(n.Pattern, "^") && !strings.ContainsAny(n.Options, "imx") {
			return Prefix
		}
	case *query.Near, *query.Within, *query.Intersects:
		return Place
	}
	return Other
}

// name is a path as shapes have it: fields that the class does not have are
// all alike, so that clients cannot make shapes at will.
func (o *outline) name(p query.Path) string {
	s := string(p)
	root, _, dotted := strings.Cut(s, ".")
	if o.class.Field(root) == nil && !strings.HasPrefix(root, "_") {
		return "?"
	}
	if dotted && len(s) > maxPath {
		return root + ".…"
	}
	return s
}

func (o *outline) put(p query.Path, k Kind) {
	if p == "" {
		return
	}
	c := Constraint{o.name(p), k}
	at := 0
	for at < o.n && (o.constraints[at].Path < c.Path || o.constraints[at].Path == c.Path && o.constraints[at].Kind < c.Kind) {
		at++
	}
	if at < o.n && o.constraints[at] == c || o.n == maxConstraints {
		return
	}
	copy(o.constraints[at+1:o.n+1], o.constraints[at:o.n])
	o.constraints[at] = c
	o.n++
}

func (o *outline) order(order []query.Sort) {
	for i := range order {
		if o.k == maxKeys {
			return
		}
		path := o.name(order[i].Path)
		switch {
		case order[i].From != nil:
			path = "distance"
		case order[i].Path == query.ScoreField:
			path = query.ScoreKey
		}
		o.keys[o.k] = Key{path, order[i].Desc}
		o.k++
	}
}

// appendKey writes what tells this shape from others.
func (o *outline) appendKey(b []byte) []byte {
	b = append(append(b, o.class.Name...), o.limit)
	for _, c := range o.constraints[:o.n] {
		b = append(append(b, c.Path...), byte(c.Kind))
	}
	for _, k := range o.keys[:o.k] {
		b = append(append(b, 0xff), k.Path...)
		if k.Desc {
			b = append(b, '-')
		}
	}
	return b
}
