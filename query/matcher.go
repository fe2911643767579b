package query

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Matcher decides whether an object matches a query. It is immutable and safe
// for concurrent use.
type Matcher struct{ root test }

// test is one compiled node.
type test func(o *parse.Object) bool

// Compile makes a matcher of a tree without RelatedTo and SubQuery, which need
// a database. A nil node matches everything.
func Compile(n Node) (*Matcher, error) {
	t, err := compile(n)
	if err != nil {
		return nil, err
	}
	return &Matcher{root: t}, nil
}

// Match reports whether o matches. It allocates nothing.
func (m *Matcher) Match(o *parse.Object) bool { return m.root == nil || m.root(o) }

func compile(n Node) (test, error) {
	switch n := n.(type) {
	case nil:
		return nil, nil
	case *And:
		return compileAll(n.Nodes, func(tests []test) test {
			return func(o *parse.Object) bool {
				for _, t := range tests {
					if t != nil && !t(o) {
						return false
					}
				}
				return true
			}
		})
	case *Or:
		return compileAll(n.Nodes, func(tests []test) test { return anyOf(tests, true) })
	case *Nor:
		return compileAll(n.Nodes, func(tests []test) test { return anyOf(tests, false) })
	case *Compare:
		return compileCompare(n), nil
	case *Member:
		return compileMember(n), nil
	case *Exists:
		get := getter(n.Path)
		return func(o *parse.Object) bool { _, ok := get(o); return ok == n.Want }, nil
	case *Regex:
		re, err := compileRegex(n.Pattern, n.Options)
		if err != nil {
			return nil, err
		}
		return compileRegexTest(getter(n.Path), re), nil
	case *Permission:
		return func(o *parse.Object) bool { return o.ACL.Allows(n.Subjects, n.Write) }, nil
	case Never:
		return func(*parse.Object) bool { return false }, nil
	}
	return nil, fmt.Errorf("query: cannot match %T in memory", n)
}

func compileAll(nodes []Node, join func([]test) test) (test, error) {
	tests := make([]test, len(nodes))
	for i, n := range nodes {
		t, err := compile(n)
		if err != nil {
			return nil, err
		}
		tests[i] = t
	}
	return join(tests), nil
}

func anyOf(tests []test, want bool) test {
	return func(o *parse.Object) bool {
		for _, t := range tests {
			if t == nil || t(o) {
				return want
			}
		}
		return !want
	}
}

type getFunc func(o *parse.Object) (parse.Value, bool)

// getter finds the value at a path. Paths are split once, here.
func getter(p Path) getFunc {
	if !p.Dotted() {
		key := string(p)
		return func(o *parse.Object) (parse.Value, bool) { return o.Get(key) }
	}
	parts := strings.Split(string(p), ".")
	keys := make([]pathKey, len(parts))
	for i, s := range parts {
		n, err := strconv.Atoi(s)
		if err != nil {
			n = -1
		}
		keys[i] = pathKey{s, n}
	}
	return func(o *parse.Object) (parse.Value, bool) {
		v, ok := o.Get(keys[0].name)
		for _, k := range keys[1:] {
			if !ok {
				return nil, false
			}
			v, ok = k.step(v)
		}
		return v, ok
	}
}

// pathKey is one segment of a dotted path; index is -1 unless it is a number.
type pathKey struct {
	name  string
	index int
}

// step goes into objects by key and into arrays by index. Pointers are not
// traversed.
func (k pathKey) step(v parse.Value) (parse.Value, bool) {
	switch v := v.(type) {
	case *parse.Map:
		return v.Get(k.name)
	case parse.Array:
		if k.index >= 0 && k.index < len(v) {
			return v[k.index], true
		}
	}
	return nil, false
}

func compileCompare(n *Compare) test {
	get := getter(n.Path)
	want := n.Value
	switch n.Op {
	case Eq:
		return compileEq(get, want)
	case Ne:
		eq := compileEq(get, want)
		return func(o *parse.Object) bool { return !eq(o) }
	}
	holds := orderTest(n.Op)
	return func(o *parse.Object) bool {
		v, ok := get(o)
		if !ok {
			return false
		}
		if a, isArray := v.(parse.Array); isArray {
			for _, e := range a {
				if c, ok := parse.Compare(e, want); ok && holds(c) {
					return true
				}
			}
			return false
		}
		c, ok := parse.Compare(v, want)
		return ok && holds(c)
	}
}

func orderTest(op Op) func(int) bool {
	switch op {
	case Lt:
		return func(c int) bool { return c < 0 }
	case Lte:
		return func(c int) bool { return c <= 0 }
	case Gt:
		return func(c int) bool { return c > 0 }
	}
	return func(c int) bool { return c >= 0 }
}

func compileEq(get getFunc, want parse.Value) test {
	switch w := want.(type) {
	case nil:
		return func(o *parse.Object) bool {
			v, ok := get(o)
			if a, isArray := v.(parse.Array); isArray {
				return contains(a, nil)
			}
			return !ok || v == nil
		}
	case string: // the commonest, without the detour over an interface
		return func(o *parse.Object) bool {
			v, _ := get(o)
			switch v := v.(type) {
			case string:
				return v == w
			case parse.Array:
				return contains(v, want)
			}
			return false
		}
	}
	return func(o *parse.Object) bool {
		v, ok := get(o)
		return ok && holdsEqual(v, want)
	}
}

// holdsEqual reports whether a field's value equals want, or has it as an element.
func holdsEqual(v, want parse.Value) bool {
	if parse.Equal(v, want) {
		return true
	}
	a, ok := v.(parse.Array)
	return ok && contains(a, want)
}

func contains(a parse.Array, want parse.Value) bool {
	for _, e := range a {
		if parse.Equal(e, want) {
			return true
		}
	}
	return false
}

func compileMember(n *Member) test {
	get := getter(n.Path)
	set := newValueSet(n.Values)
	switch n.Op {
	case In, Nin:
		want := n.Op == In
		return func(o *parse.Object) bool {
			v, ok := get(o)
			if !ok {
				v = nil
			}
			return set.holds(v) == want
		}
	case All:
		return func(o *parse.Object) bool {
			v, ok := get(o)
			if !ok || len(n.Values) == 0 {
				return false
			}
			for _, want := range n.Values {
				if !holdsEqual(v, want) {
					return false
				}
			}
			return true
		}
	}
	return func(o *parse.Object) bool { // ContainedBy
		v, _ := get(o)
		a, ok := v.(parse.Array)
		if !ok {
			return false
		}
		for _, e := range a {
			if !set.has(e) {
				return false
			}
		}
		return true
	}
}

// valueSet is a list of values with a fast path for those that hash.
type valueSet struct {
	strings  map[string]struct{}
	pointers map[parse.Pointer]struct{}
	rest     []parse.Value
}

func newValueSet(values []parse.Value) *valueSet {
	s := &valueSet{strings: map[string]struct{}{}, pointers: map[parse.Pointer]struct{}{}}
	for _, v := range values {
		switch v := v.(type) {
		case string:
			s.strings[v] = struct{}{}
		case parse.Pointer:
			s.pointers[v] = struct{}{}
		default:
			s.rest = append(s.rest, v)
		}
	}
	return s
}

func (s *valueSet) has(v parse.Value) bool {
	switch v := v.(type) {
	case string:
		_, ok := s.strings[v]
		return ok
	case parse.Pointer:
		if _, ok := s.pointers[v]; ok {
			return true
		}
	case *parse.Object:
		if _, ok := s.pointers[v.Self()]; ok {
			return true
		}
	}
	for _, w := range s.rest {
		if parse.Equal(v, w) {
			return true
		}
	}
	return false
}

// holds reports whether the value, or an element of it, is in the set.
func (s *valueSet) holds(v parse.Value) bool {
	if s.has(v) {
		return true
	}
	if a, ok := v.(parse.Array); ok {
		for _, e := range a {
			if s.has(e) {
				return true
			}
		}
	}
	return false
}

func compileRegexTest(get getFunc, re *regexp.Regexp) test {
	return func(o *parse.Object) bool {
		v, _ := get(o)
		switch v := v.(type) {
		case string:
			return re.MatchString(v)
		case parse.Array:
			for _, e := range v {
				if s, ok := e.(string); ok && re.MatchString(s) {
					return true
				}
			}
		}
		return false
	}
}

// Less returns a comparison of objects by an order, for slices.SortStableFunc.
func Less(order []Sort) func(a, b *parse.Object) int {
	gets := make([]getFunc, len(order))
	for i, s := range order {
		gets[i] = getter(s.Path)
	}
	return func(a, b *parse.Object) int {
		for i, get := range gets {
			va, _ := get(a)
			vb, _ := get(b)
			c := parse.SortCompare(va, vb)
			if c == 0 {
				continue
			}
			if order[i].Desc {
				return -c
			}
			return c
		}
		return 0
	}
}
