package query

import (
	"fmt"
	"time"

	"github.com/pargo-baas/pargo/internal/words"
	"github.com/pargo-baas/pargo/parse"
)

// Matcher is a compiled query tree. It is immutable and safe for concurrent use.
type Matcher struct{ root matcher }

// matcher is one node of the compiled tree.
type matcher interface {
	match(o *parse.Object, s *Scan) bool
}

// Compile prepares a tree for [Matcher.Match]. A nil tree matches everything.
// RelatedTo and SubQuery need other objects and are refused with a
// *parse.Error 102, as are regular expressions that are not valid.
func Compile(n Node) (*Matcher, error) {
	if n == nil {
		return &Matcher{}, nil
	}
	m, err := compile(n)
	if err != nil {
		return nil, err
	}
	return &Matcher{root: m}, nil
}

// Match reports whether o satisfies the query. It does not allocate, unless the
// query searches for words or has a regular expression with look-around and the
// like; of these, what takes longer than its limit does not match. Where that
// has to be an error, use [Matcher.Scan].
func (m *Matcher) Match(o *parse.Object) bool { return m.root == nil || m.root.match(o, nil) }

// Scan is one run of a Matcher over the objects of a query. It ends with an
// error when a regular expression takes too long, be it for one text or for all
// together. It is for one goroutine.
type Scan struct {
	root  matcher
	spent time.Duration // on patterns that are not quick by their nature
	slow  time.Duration // on slow matches
	most  time.Duration // bound of slow
	cuts  map[*search]*words.Cutter
	err   error
}

// Scan begins a run.
func (m *Matcher) Scan() *Scan { return &Scan{root: m.root, most: slowTime} }

// Within bounds the time that slow matches may take together, in place of a
// second.
func (s *Scan) Within(most time.Duration) *Scan {
	s.most = most
	return s
}

// Spent is the time that patterns took since the run began, but for those whose
// time is no question.
func (s *Scan) Spent() time.Duration { return s.spent }

// Match is [Matcher.Match] until something took too long, and false from then on.
func (s *Scan) Match(o *parse.Object) bool {
	return s.root == nil || s.err == nil && s.root.match(o, s) && s.err == nil
}

// Reset begins anew.
func (s *Scan) Reset() { s.spent, s.slow, s.err = 0, 0, nil }

// cutter returns the one of a search, which remembers stems; s may be nil.
func (s *Scan) cutter(text *search) *words.Cutter {
	if s == nil {
		return text.cutter()
	}
	cut := s.cuts[text]
	if cut == nil {
		if s.cuts == nil {
			s.cuts = map[*search]*words.Cutter{}
		}
		cut = text.cutter()
		s.cuts[text] = cut
	}
	return cut
}

// Err returns the *parse.Error that ended the run, or nil.
func (s *Scan) Err() error { return s.err }

type (
	allOf   []matcher
	anyOf   []matcher
	not     struct{ m matcher }
	never   struct{}
	allowed struct{ n *Permission }
	behind  struct{ n *After }
)

func (a allOf) match(o *parse.Object, s *Scan) bool {
	for _, m := range a {
		if !m.match(o, s) {
			return false
		}
	}
	return true
}

func (a anyOf) match(o *parse.Object, s *Scan) bool {
	for _, m := range a {
		if m.match(o, s) {
			return true
		}
	}
	return false
}

func (n not) match(o *parse.Object, s *Scan) bool     { return !n.m.match(o, s) }
func (never) match(*parse.Object, *Scan) bool         { return false }
func (a allowed) match(o *parse.Object, _ *Scan) bool { return o.ACL.Allows(a.n.Subjects, a.n.Write) }

func (b behind) match(o *parse.Object, _ *Scan) bool {
	for i := range b.n.Order {
		key := &b.n.Order[i]
		c := parse.SortCompare(SortKey(o, key.Path), b.n.Values[i])
		switch {
		case c == 0:
		case key.Desc:
			return c < 0
		default:
			return c > 0
		}
	}
	return false
}

func compile(n Node) (matcher, error) {
	switch n := n.(type) {
	case nil:
		return allOf(nil), nil
	case *And:
		list, err := compileAll(n.Nodes)
		return allOf(list), err
	case *Or:
		list, err := compileAll(n.Nodes)
		return anyOf(list), err
	case *Nor:
		list, err := compileAll(n.Nodes)
		return not{anyOf(list)}, err
	case *Compare:
		return negate(n.Op == Ne, newLeaf(n.Path, leaf{op: positive(n.Op), value: n.Value})), nil
	case *Member:
		l := leaf{op: positive(n.Op), values: n.Values}
		l.index()
		return negate(n.Op == Nin, newLeaf(n.Path, l)), nil
	case *Exists:
		return negate(!n.Want, newLeaf(n.Path, leaf{op: opExists})), nil
	case *Regex:
		re, err := n.pattern()
		if err != nil {
			return nil, err
		}
		return newLeaf(n.Path, leaf{op: opRegex, re: re}), nil
	case *Text:
		return newLeaf(n.Path, leaf{op: opText, text: n.search}), nil
	case *Near:
		return newLeaf(n.Path, leaf{op: opGeo, geo: newGeo(n.Area())}), nil
	case *Within:
		return newLeaf(n.Path, leaf{op: opGeo, geo: newGeo(n.Area)}), nil
	case *Intersects:
		return newLeaf(n.Path, leaf{op: opGeo, geo: &geo{holds: true, point: n.Point}}), nil
	case *Permission:
		return allowed{n}, nil
	case *After:
		return behind{n}, nil
	case Never:
		return never{}, nil
	case *RelatedTo:
		return nil, parse.Errorf(parse.InvalidQuery, "$relatedTo is not supported here")
	case *SubQuery:
		return nil, parse.Errorf(parse.InvalidQuery, "%s is not supported here", n.operator())
	}
	return nil, fmt.Errorf("query: unknown node %T", n)
}

func compileAll(nodes []Node) ([]matcher, error) {
	out := make([]matcher, len(nodes))
	for i, n := range nodes {
		var err error
		if out[i], err = compile(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// positive is the operator of which op is the negation, or op itself.
func positive(op Op) Op {
	switch op {
	case Ne:
		return Eq
	case Nin:
		return In
	default:
		return op
	}
}

func negate(yes bool, m matcher) matcher {
	if yes {
		return not{m}
	}
	return m
}

// Operators of a leaf besides those of the tree.
const (
	opExists Op = 100 + iota
	opRegex
	opGeo
	opText
)

type source uint8

const (
	fromField source = iota
	fromPath
	fromID
	fromCreated
	fromUpdated
)

// leaf tests the value at one path.
type leaf struct {
	from   source
	path   string
	op     Op
	value  parse.Value
	values []parse.Value // of a Member; of an indexed one, what is not in the sets
	re     *pattern
	geo    *geo
	text   *search

	null     bool // values has null
	strings  map[string]struct{}
	pointers map[parse.Pointer]struct{}
	others   *parse.Set // values, if there are so many that it pays
}

// manyValues is from how many values on a list is looked up in a set: the time
// of a match may not grow with the length of the list in the query times that
// in the object.
const manyValues = 16

func newLeaf(path Path, l leaf) *leaf {
	l.path = string(path)
	switch {
	case path == parse.KeyObjectID:
		l.from = fromID
	case path == parse.KeyCreatedAt:
		l.from = fromCreated
	case path == parse.KeyUpdatedAt:
		l.from = fromUpdated
	case path.Dotted():
		l.from = fromPath
	}
	return &l
}

// index puts the strings and pointers of In and ContainedBy into sets.
func (l *leaf) index() {
	if l.op == All {
		return
	}
	var rest []parse.Value
	for _, v := range l.values {
		switch v := v.(type) {
		case nil:
			l.null = true
			rest = append(rest, v)
		case string:
			if l.strings == nil {
				l.strings = make(map[string]struct{}, len(l.values))
			}
			l.strings[v] = struct{}{}
		case parse.Pointer:
			if l.pointers == nil {
				l.pointers = make(map[parse.Pointer]struct{}, len(l.values))
			}
			l.pointers[v] = struct{}{}
		default:
			rest = append(rest, v)
		}
	}
	l.values = rest
	if len(rest) > manyValues {
		l.others = parse.NewSet(rest)
	}
}

// match passes the system fields on from here, not through Object.Get, so that
// they are put into an interface on the stack.
func (l *leaf) match(o *parse.Object, s *Scan) bool {
	switch l.from {
	case fromID:
		return l.test(s, o.ID, o.ID != "")
	case fromCreated:
		return l.test(s, o.CreatedAt, o.CreatedAt != 0)
	case fromUpdated:
		return l.test(s, o.UpdatedAt, o.UpdatedAt != 0)
	case fromPath:
		v, ok := parse.Lookup(o, l.path)
		return l.test(s, v, ok)
	case fromField:
	}
	v, ok := o.Fields.Get(l.path)
	return l.test(s, v, ok)
}

func (l *leaf) test(s *Scan, v parse.Value, ok bool) bool {
	if !ok {
		v = nil
	}
	switch l.op {
	case opExists:
		return ok
	case opGeo:
		return l.geo.match(v)
	case opText:
		return l.text.match(v, s.cutter(l.text))
	case All:
		if len(l.values) == 0 {
			return false
		}
		if list, ok := v.(parse.Array); ok && len(l.values) > manyValues && len(list) > manyValues {
			return l.allOf(list)
		}
		for _, want := range l.values {
			if !contains(v, want) {
				return false
			}
		}
		return true
	case ContainedBy:
		list, ok := v.(parse.Array)
		if !ok {
			return false
		}
		for _, e := range list {
			if !l.one(s, e) {
				return false
			}
		}
		return true
	case Eq:
		return contains(v, l.value)
	default:
	}
	if l.one(s, v) {
		return true
	}
	list, _ := v.(parse.Array)
	for _, e := range list {
		if l.one(s, e) {
			return true
		}
	}
	return false
}

// allOf is All for two long lists.
func (l *leaf) allOf(list parse.Array) bool {
	have := parse.NewSet(list)
	for _, want := range l.values {
		if !have.Has(want) && !parse.Equal(list, want) {
			return false
		}
	}
	return true
}

// contains reports whether v is want or an array that holds it.
func contains(v, want parse.Value) bool {
	if s, ok := v.(string); ok {
		w, ok := want.(string)
		return ok && s == w
	}
	if parse.Equal(v, want) {
		return true
	}
	list, _ := v.(parse.Array)
	for _, e := range list {
		if parse.Equal(e, want) {
			return true
		}
	}
	return false
}

// one tests a single value, an array as a whole.
func (l *leaf) one(s *Scan, v parse.Value) bool {
	switch l.op {
	case opRegex:
		text, ok := v.(string)
		return ok && l.re.match(text, s)
	case In, ContainedBy:
		return l.listed(v)
	default:
	}
	c, ok := parse.Compare(v, l.value)
	if !ok {
		return false
	}
	switch l.op {
	case Lt:
		return c < 0
	case Lte:
		return c <= 0
	case Gt:
		return c > 0
	case Gte:
		return c >= 0
	default:
		return false
	}
}

func (l *leaf) listed(v parse.Value) bool {
	switch v := v.(type) {
	case nil:
		return l.null
	case string:
		_, ok := l.strings[v]
		return ok
	case parse.Pointer:
		if _, ok := l.pointers[v]; ok {
			return true
		}
	case *parse.Object:
		if _, ok := l.pointers[v.Self()]; ok {
			return true
		}
	}
	if l.others != nil {
		return l.others.Has(v)
	}
	for _, want := range l.values {
		if parse.Equal(v, want) {
			return true
		}
	}
	return false
}
