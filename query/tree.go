package query

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Walk calls f for n and, as long as f returns true, for the nodes below it,
// parents first. The Where of a SubQuery belongs to another class and is not
// entered.
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

// Rewrite returns the tree in which every node is replaced by f(node),
// children first; what is unchanged is shared with n. A nil from f stands for
// "matches everything". As in [Walk], sub-queries are not entered. The first
// error of f ends it.
func Rewrite(n Node, f func(Node) (Node, error)) (Node, error) {
	if n == nil {
		return nil, nil
	}
	old := children(n)
	var nodes []Node // nil as long as nothing changed
	for i, c := range old {
		r, err := Rewrite(c, f)
		if err != nil {
			return nil, err
		}
		if r != c && nodes == nil {
			nodes = slices.Clone(old)
		}
		if nodes != nil {
			nodes[i] = orAll(r)
		}
	}
	if nodes != nil {
		switch n.(type) {
		case *And:
			n = &And{Nodes: nodes}
		case *Or:
			n = &Or{Nodes: nodes}
		case *Nor:
			n = &Nor{Nodes: nodes}
		}
	}
	return f(n)
}

// Types tells the target class of a field of type Pointer.
type Types func(field string) (pointerTarget string, isPointer bool)

// Normalize replaces bare strings by pointers in In, Nin and Ne on fields of
// type Pointer. n stays as it is; an unchanged tree is returned itself.
func Normalize(n Node, t Types) Node {
	// The function below never fails.
	out, _ := Rewrite(n, func(n Node) (Node, error) {
		switch n := n.(type) {
		case *Compare:
			if id, ok := n.Value.(string); ok && n.Op == Ne {
				if target, ok := t(string(n.Path)); ok {
					return &Compare{Path: n.Path, Op: Ne, Value: parse.Pointer{ClassName: target, ObjectID: id}}, nil
				}
			}
		case *Member:
			if n.Op == In || n.Op == Nin {
				return normalizeMember(n, t), nil
			}
		}
		return n, nil
	})
	return out
}

func normalizeMember(n *Member, t Types) *Member {
	isString := func(v parse.Value) bool { _, ok := v.(string); return ok }
	first := slices.IndexFunc(n.Values, isString)
	if first < 0 {
		return n
	}
	target, ok := t(string(n.Path))
	if !ok {
		return n
	}
	values := slices.Clone(n.Values)
	for i := first; i < len(values); i++ {
		if id, ok := values[i].(string); ok {
			values[i] = parse.Pointer{ClassName: target, ObjectID: id}
		}
	}
	return &Member{Path: n.Path, Op: n.Op, Values: values}
}

// Roots returns the top-level fields that the tree touches, sorted, each once.
// Fields of the class of a sub-query are not among them.
func Roots(n Node) []string {
	var out []string
	Walk(n, func(n Node) bool {
		if p := PathOf(n); p != "" {
			out = append(out, p.Root())
		}
		return true
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// PathOf returns the path that a node itself constrains, "" if it has none.
func PathOf(n Node) Path {
	switch n := n.(type) {
	case *Compare:
		return n.Path
	case *Member:
		return n.Path
	case *Exists:
		return n.Path
	case *Regex:
		return n.Path
	case *Text:
		return n.Path
	case *Near:
		return n.Path
	case *Within:
		return n.Path
	case *Intersects:
		return n.Path
	case *SubQuery:
		return n.Path
	}
	return ""
}

// EqualityKey is a constraint that an index can answer: a match has one of
// Values at Path, or an array with one in it.
type EqualityKey struct {
	Path   string
	Values []parse.Value
}

// maxKeyValues is how long a list may be to count as an EqualityKey.
const maxKeyValues = 100

// EqualityKeys returns the equalities that every match must satisfy: Eq and In
// against strings, numbers, booleans, Dates or Pointers at the top level or
// inside nested Ands, in order.
func EqualityKeys(n Node) []EqualityKey {
	var out []EqualityKey
	Walk(n, func(n Node) bool {
		switch n := n.(type) {
		case *And:
			return true
		case *Compare:
			if n.Op == Eq && indexable(n.Value) {
				out = append(out, EqualityKey{string(n.Path), []parse.Value{n.Value}})
			}
		case *Member:
			if n.Op == In && len(n.Values) > 0 && len(n.Values) <= maxKeyValues && !slices.ContainsFunc(n.Values, func(v parse.Value) bool { return !indexable(v) }) {
				out = append(out, EqualityKey{string(n.Path), n.Values})
			}
		}
		return false
	})
	return out
}

func indexable(v parse.Value) bool {
	switch v.(type) {
	case string, float64, parse.Int, bool, parse.Date, parse.Pointer:
		return true
	}
	return false
}

// Less returns the comparison of an order, for slices.SortStableFunc: negative
// if a comes before b. Objects that are equal in all keys compare as 0.
func Less(order []Sort) func(a, b *parse.Object) int {
	return func(a, b *parse.Object) int {
		for i := range order {
			c := order[i].compare(a, b)
			if order[i].Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	}
}

// compare is the ascending order of one key.
func (s *Sort) compare(a, b *parse.Object) int {
	if s.From == nil {
		return compareAt(string(s.Path), a, b)
	}
	x, _ := parse.Lookup(a, string(s.Path))
	y, _ := parse.Lookup(b, string(s.Path))
	return cmp.Compare(distanceTo(*s.From, x), distanceTo(*s.From, y))
}

func compareAt(path string, a, b *parse.Object) int {
	switch path {
	case parse.KeyObjectID:
		return cmp.Compare(a.ID, b.ID)
	case parse.KeyCreatedAt:
		return cmp.Compare(a.CreatedAt, b.CreatedAt)
	case parse.KeyUpdatedAt:
		return cmp.Compare(a.UpdatedAt, b.UpdatedAt)
	}
	x, _ := parse.Lookup(a, path)
	y, _ := parse.Lookup(b, path)
	return parse.SortCompare(x, y)
}

// SortKey returns what an object is sorted by for a path, as
// [parse.SortCompare] takes it. An empty Map stands for all values that have no
// order among each other.
func SortKey(o *parse.Object, path Path) parse.Value {
	switch path {
	case parse.KeyObjectID:
		return o.ID
	case parse.KeyCreatedAt:
		return dateKey(o.CreatedAt)
	case parse.KeyUpdatedAt:
		return dateKey(o.UpdatedAt)
	}
	v, _ := parse.Lookup(o, string(path))
	switch v.(type) {
	case nil, bool, float64, parse.Int, string, parse.Date:
		return v
	}
	return &parse.Map{}
}

// dateKey is a system date; the zero Date stands for a missing one.
func dateKey(d parse.Date) parse.Value {
	if d == 0 {
		return nil
	}
	return d
}

// Canonical returns a text that is the same for trees that differ only in the
// order of children, of list values or of duplicates, and different for trees
// that match different objects. It is a key for maps, not a wire form.
func Canonical(n Node) string { return string(appendCanonical(nil, n)) }

func appendCanonical(b []byte, n Node) []byte {
	switch n := n.(type) {
	case nil:
		return append(b, "and()"...)
	case *And:
		return appendNodes(append(b, "and"...), n.Nodes)
	case *Or:
		return appendNodes(append(b, "or"...), n.Nodes)
	case *Nor:
		return appendNodes(append(b, "nor"...), n.Nodes)
	case *Compare:
		b = appendOp(b, n.Op, n.Path)
		return append(appendValue(b, n.Value), ')')
	case *Member:
		texts := make([]string, len(n.Values))
		for i, v := range n.Values {
			texts[i] = string(appendValue(nil, v))
		}
		return appendSorted(append(appendOp(b, n.Op, n.Path), '('), texts, ")")
	case *Exists:
		b = append(strconv.AppendQuote(append(b, "exists("...), string(n.Path)), ',')
		return append(strconv.AppendBool(b, n.Want), ')')
	case *Regex:
		options := strings.Split(n.Options, "")
		slices.Sort(options)
		return appendStrings(b, "regex", string(n.Path), n.Pattern, strings.Join(slices.Compact(options), ""))
	case *Text:
		b = appendStrings(b, "text", string(n.Path), n.Term, n.Language)
		return append(strconv.AppendBool(strconv.AppendBool(append(b, '('), n.CaseSensitive), n.DiacriticSensitive), ')')
	case *Near:
		b = append(strconv.AppendQuote(append(b, "near("...), string(n.Path)), ',')
		b = appendFloats(b, n.Point.Latitude, n.Point.Longitude)
		if n.Limited {
			b = appendFloats(b, n.MaxDistance)
		}
		return append(b, ')')
	case *Within:
		b = append(strconv.AppendQuote(append(b, "within("...), string(n.Path)), ',')
		return append(n.Area.canonical(b), ')')
	case *Intersects:
		b = append(strconv.AppendQuote(append(b, "intersects("...), string(n.Path)), ',')
		return append(appendFloats(b, n.Point.Latitude, n.Point.Longitude), ')')
	case *RelatedTo:
		return appendStrings(b, "relatedTo", n.Object.ClassName, n.Object.ObjectID, n.Key)
	case *SubQuery:
		b = appendStrings(b, n.operator(), string(n.Path), n.ClassName, string(n.Key), n.Redirect)
		return append(appendCanonical(append(b, '['), n.Where), ']')
	case *After:
		b = append(b, "after("...)
		for i, s := range n.Order {
			b = strconv.AppendBool(append(strconv.AppendQuote(b, string(s.Path)), ','), s.Desc)
			b = append(appendValue(append(b, ','), n.Values[i]), ';')
		}
		return append(b, ')')
	case *Permission:
		texts := make([]string, len(n.Subjects))
		for i, s := range n.Subjects {
			texts[i] = strconv.Quote(s)
		}
		return appendSorted(append(strconv.AppendBool(append(b, "permission("...), n.Write), '('), texts, ")")
	}
	return append(b, "never()"...)
}

// operator is the wire name of the sub-query.
func (n *SubQuery) operator() string {
	switch {
	case n.Key == "" && !n.Negate:
		return "$inQuery"
	case n.Key == "":
		return "$notInQuery"
	case !n.Negate:
		return "$select"
	}
	return "$dontSelect"
}

func appendNodes(b []byte, nodes []Node) []byte {
	texts := make([]string, len(nodes))
	for i, n := range nodes {
		texts[i] = Canonical(n)
	}
	return appendSorted(append(b, '('), texts, "")
}

// appendSorted writes the distinct texts in order, tail and a parenthesis.
func appendSorted(b []byte, texts []string, tail string) []byte {
	slices.Sort(texts)
	for i, t := range slices.Compact(texts) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, t...)
	}
	return append(append(b, tail...), ')')
}

func appendStrings(b []byte, name string, args ...string) []byte {
	b = append(append(b, name...), '(')
	for i, s := range args {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, s)
	}
	return append(b, ')')
}

var opNames = [...]string{
	Eq: "eq", Ne: "ne", Lt: "lt", Lte: "lte", Gt: "gt", Gte: "gte",
	In: "in", Nin: "nin", All: "all", ContainedBy: "containedBy",
}

func appendOp(b []byte, op Op, path Path) []byte {
	b = append(append(b, opNames[op]...), '(')
	return append(strconv.AppendQuote(b, string(path)), ',')
}

// appendValue writes the wire form, with the keys of objects in order.
func appendValue(b []byte, v parse.Value) []byte {
	switch v := v.(type) {
	case *parse.Map:
		texts := make([]string, 0, v.Len())
		for key, e := range v.All() {
			texts = append(texts, string(appendValue(append(strconv.AppendQuote(nil, key), ':'), e)))
		}
		return appendSorted(append(b, "{("...), texts, "}")
	case parse.Array:
		b = append(b, '[')
		for _, e := range v {
			b = append(appendValue(b, e), ',')
		}
		return append(b, ']')
	case *parse.Object:
		return parse.AppendJSON(b, v.Self())
	}
	return parse.AppendJSON(b, v)
}
