package query

import (
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Op is the operator of a Compare or Member.
type Op uint8

// Operators of Compare and Member.
const (
	Eq Op = iota + 1
	Ne
	Lt
	Lte
	Gt
	Gte
	In
	Nin
	All
	ContainedBy
)

// Node is one node of a query tree: *And, *Or, *Nor, *Compare, *Member,
// *Exists, *Regex, *Text, *Near, *Within, *Intersects, *RelatedTo, *SubQuery,
// *Permission, *After or Never. A nil Node matches everything. Trees are immutable once built.
type Node interface{ isNode() }

// Path is a field name or a dotted path, as on the wire (objectId, createdAt,
// "obj.a.b").
type Path string

// Root returns the part before the first dot.
func (p Path) Root() string {
	root, _, _ := strings.Cut(string(p), ".")
	return root
}

// Dotted reports whether the path goes into the field.
func (p Path) Dotted() bool { return strings.IndexByte(string(p), '.') >= 0 }

// And matches when all nodes match; an empty And matches everything.
type And struct{ Nodes []Node }

// Or matches when any node matches.
type Or struct{ Nodes []Node }

// Nor matches when no node matches.
type Nor struct{ Nodes []Node }

// Compare is Eq, Ne, Lt, Lte, Gt or Gte against one value.
type Compare struct {
	Path  Path
	Op    Op
	Value parse.Value
	// Relative: the client wrote a time that depends on the clock. Value is
	// the Date of it; on a field of another type it is a mistake.
	Relative bool
}

// Member is In, Nin, All or ContainedBy against a list.
type Member struct {
	Path   Path
	Op     Op
	Values []parse.Value
	// Distinct: the values are strings and all different, as far as their
	// maker knows, which spares a storage the looking.
	Distinct bool
}

// Exists asks whether a field is present (or absent).
type Exists struct {
	Path Path
	Want bool
}

// Regex matches strings (or any string in an array) against a PCRE pattern;
// Options are letters of "imxsu". [NewRegex] makes one that is compiled.
type Regex struct {
	Path    Path
	Pattern string
	Options string

	compiled *pattern // nil: by whoever needs it
}

// Near matches GeoPoints, nearest first: see [NearOrder].
type Near struct {
	Path  Path
	Point parse.GeoPoint
	// MaxDistance, if Limited, is the length of the longest great circle
	// between Point and a match, in radians.
	Limited     bool
	MaxDistance float64
}

// Within matches GeoPoints inside an area or on its edge.
type Within struct {
	Path Path
	Area Area
}

// Intersects matches Polygons that Point is inside of or on the edge of.
type Intersects struct {
	Path  Path
	Point parse.GeoPoint
}

// RelatedTo holds the members of the relation Key of Object. The objects
// package replaces it before a storage sees it.
type RelatedTo struct {
	Object parse.Pointer
	Key    string
}

// SubQuery is $inQuery, $notInQuery, $select or $dontSelect. The objects
// package replaces it by a Member before a storage sees it.
type SubQuery struct {
	Path      Path
	Negate    bool   // $notInQuery, $dontSelect
	ClassName string // class of the inner query
	Where     Node
	Key       Path   // $select: the inner field; empty for $inQuery
	Redirect  string // redirectClassNameForKey
}

// Permission is the ACL constraint of one caller: it matches objects without
// an ACL and those whose ACL gives the right to one of Subjects. Only the
// access package makes it; it has no wire form.
type Permission struct {
	Write    bool
	Subjects []string // with "*", without duplicates
}

// After matches the objects that come behind a position in an order. Only the
// objects package makes it, for pages; it has no wire form.
type After struct {
	Order  []Sort        // none by distance
	Values []parse.Value // of the position, one for each key: see [SortKey]
}

// Never matches nothing.
type Never struct{}

func (*And) isNode()        {}
func (*Or) isNode()         {}
func (*Nor) isNode()        {}
func (*Compare) isNode()    {}
func (*Member) isNode()     {}
func (*Exists) isNode()     {}
func (*Regex) isNode()      {}
func (*Text) isNode()       {}
func (*Near) isNode()       {}
func (*Within) isNode()     {}
func (*Intersects) isNode() {}
func (*RelatedTo) isNode()  {}
func (*SubQuery) isNode()   {}
func (*Permission) isNode() {}
func (*After) isNode()      {}
func (Never) isNode()       {}

// AllOf joins nodes with And; nil nodes are left out, nested Ands flattened.
func AllOf(nodes ...Node) Node {
	var out []Node
	for _, n := range nodes {
		switch n := n.(type) {
		case nil:
		case *And:
			out = append(out, n.Nodes...)
		default:
			out = append(out, n)
		}
	}
	switch len(out) {
	case 0:
		return nil
	case 1:
		return out[0]
	}
	return &And{Nodes: out}
}

// ByID returns the constraint objectId == id.
func ByID(id string) Node { return &Compare{Path: parse.KeyObjectID, Op: Eq, Value: id} }

// Equal returns the constraint path == v.
func Equal(path string, v parse.Value) Node { return &Compare{Path: Path(path), Op: Eq, Value: v} }

// Sort is one key of an order.
type Sort struct {
	Path Path
	Desc bool
	// From, if set, asks for the order of the distance of a GeoPoint from
	// this one; what is no GeoPoint is the farthest.
	From *parse.GeoPoint
}

// NoLimit as Limit asks for all rows.
const NoLimit = -1

// Query is a find as a client states it.
type Query struct {
	Where       Node
	Order       []Sort
	Skip        int
	Limit       int // rows; 0: none at all; NoLimit: all
	Count       bool
	Keys        []string // nil: all; always with the four system fields
	ExcludeKeys []string
	Include     []string // dotted paths, every prefix listed before its continuation
	IncludeAll  bool
	// Redirect is redirectClassNameForKey.
	Redirect string
	// Cursor, if not nil, asks for pages: "" for the first one, or what the page
	// before said.
	Cursor *string
	// Advice is nil for nearly all queries.
	Advice *Advice
	// Explain, if set, asks for the plan of the query in place of its results.
	Explain Verbosity
}
