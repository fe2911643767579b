package objects

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// includeNode is one step of the include paths: what to do below a field.
type includeNode struct {
	children map[string]*includeNode
	keys     []string // wanted of the included object; nil: all
	exclude  []string
}

func (n *includeNode) child(name string) *includeNode {
	if n.children == nil {
		n.children = map[string]*includeNode{}
	}
	c := n.children[name]
	if c == nil {
		c = &includeNode{}
		n.children[name] = c
	}
	return c
}

func (n *includeNode) at(path string, make bool) *includeNode {
	for path != "" && n != nil {
		head, rest, _ := strings.Cut(path, ".")
		if make {
			n = n.child(head)
		} else {
			n = n.children[head]
		}
		path = rest
	}
	return n
}

// includes builds the tree of the query's include paths; nil without any.
func (r *reading) includes() *includeNode {
	q := &r.q
	top := &includeNode{}
	if q.IncludeAll {
		for name, f := range r.class.Fields {
			if f.Type == schema.Pointer || f.Type == schema.Array {
				top.child(name)
			}
		}
	}
	for _, path := range q.Include {
		top.at(path, true)
	}
	below := func(list []string, put func(n *includeNode, key string)) {
		for _, k := range list {
			dot := strings.LastIndexByte(k, '.')
			if dot < 0 {
				continue
			}
			f := r.class.Field(root(k))
			pointer := f != nil && f.Type == schema.Pointer
			if n := top.at(k[:dot], pointer); n != nil {
				put(n, k[dot+1:])
			}
		}
	}
	below(q.Keys, func(n *includeNode, key string) { n.keys = append(n.keys, key) })
	below(q.ExcludeKeys, func(n *includeNode, key string) { n.exclude = append(n.exclude, key) })
	if top.children == nil {
		return nil
	}
	return top
}

// project leaves of an included object what the query asks for.
func (n *includeNode) project(o *parse.Object) *parse.Object {
	if n.keys == nil && n.exclude == nil && n.children == nil {
		return o // nothing below it changes
	}
	c := *o
	if n.keys == nil && n.exclude == nil {
		c.Fields = *o.Fields.Clone()
		return &c
	}
	c.Fields = parse.Map{}
	for k, v := range o.Fields.All() {
		_, deeper := n.children[k]
		if (n.keys == nil || deeper || slices.Contains(n.keys, k)) && !slices.Contains(n.exclude, k) {
			c.Fields.Set(k, v)
		}
	}
	return &c
}

// Include returns copies of objects of a class, as a find of the caller has
// given them, with what q includes in them as he may see it now.
func (s *Service) Include(ctx context.Context, p *access.Principal, class string, list []*parse.Object, q *query.Query) ([]*parse.Object, error) {
	out := make([]*parse.Object, len(list))
	for i, o := range list {
		out[i] = o.Clone()
	}
	c, err := s.class(p, class, schema.Get)
	if err != nil || c == nil {
		return out, err
	}
	r := &reading{s: s, p: p, class: c, op: schema.Get, q: *q}
	if top := r.includes(); top != nil {
		err = s.include(ctx, p, out, top, q.Advice.ForIncludes(), nil)
	}
	return out, err
}

// CheckInclude refuses what a query includes if the caller may not get objects
// of a class that its pointers lead to. What stands in lists and in objects is
// known only once it is read.
func (s *Service) CheckInclude(ctx context.Context, p *access.Principal, class string, q *query.Query) error {
	c := s.reg.Current().Class(class)
	if c == nil {
		return nil
	}
	r := &reading{s: s, p: p, class: c, op: schema.Get, q: *q}
	return s.checkInclude(ctx, p, c, r.includes())
}

func (s *Service) checkInclude(ctx context.Context, p *access.Principal, c *schema.Class, n *includeNode) error {
	if n == nil || c == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		f := c.Field(name)
		if f == nil || f.Type != schema.Pointer {
			continue
		}
		target, err := s.class(p, f.TargetClass, schema.Get)
		if err != nil {
			return err
		}
		if target == nil {
			continue
		}
		rule, _ := s.rule(target.Name)
		if err := rule.Authorize(ctx, p, schema.Get); err != nil {
			return err
		}
		if _, err := s.o.Gate.Authorize(p, target, schema.Get); err != nil {
			return err
		}
		if err := s.checkInclude(ctx, p, target, n.children[name]); err != nil {
			return err
		}
	}
	return nil
}

// level is one step of an include: objects and what to include in them.
type level struct {
	node    *includeNode
	objects []*parse.Object
	times   []int // how often each object will be in the answer; nil: once
}

// maxRepeats bounds the bytes of included objects that an answer has more than
// once: a list of pointers to itself, included in depth, would have no end.
const maxRepeats = 64 << 20

// include replaces pointers by their objects, level by level, with one query
// for each class of a level. Each class is read with the caller's rights; a
// pointer to what is missing or may not be seen goes away.
func (s *Service) include(ctx context.Context, p *access.Principal, list []*parse.Object, top *includeNode, advice *query.Advice, m storage.Meter) error {
	now := []level{{node: top, objects: list}}
	size := repeats{meter: m}
	for len(now) > 0 {
		want := map[string]*wanted{}
		values := map[*includeNode][]parse.Value{} // of each child, in the order of its objects
		for _, l := range now {
			for name, n := range l.node.children {
				list := make([]parse.Value, len(l.objects))
				for i, o := range l.objects {
					list[i], _ = o.Fields.Get(name)
					collect(list[i], n, want, len(l.objects))
				}
				values[n] = list
			}
		}
		if len(want) == 0 {
			return nil
		}
		for _, class := range slices.Sorted(maps.Keys(want)) {
			if err := s.fetch(ctx, p, class, want[class], advice, m); err != nil {
				return err
			}
		}
		var next []level
		for _, l := range now {
			for name, n := range l.node.children {
				in := &includer{got: want, made: map[*includeNode][]*included{}, times: 1}
				for i, o := range l.objects {
					if l.times != nil {
						in.times = l.times[i]
					}
					v := values[n][i]
					switch v.(type) {
					case parse.Pointer, parse.Array, *parse.Map:
					default:
						continue // nothing to include
					}
					if out, keep := in.replace(v, n); keep {
						o.Fields.Set(name, out)
					} else {
						o.Fields.Delete(name)
					}
				}
				for node, made := range in.made {
					if err := size.add(made); err != nil {
						return err
					}
					if node.children != nil {
						next = append(next, levelOf(node, made))
					}
				}
			}
		}
		now = next
	}
	return nil
}

func levelOf(node *includeNode, made []*included) level {
	l := level{node: node, objects: make([]*parse.Object, 0, len(made)), times: make([]int, 0, len(made))}
	for _, m := range made {
		l.objects, l.times = append(l.objects, m.object), append(l.times, m.times)
	}
	return l
}

// repeats adds up what included objects take beyond their first occurrence.
type repeats struct {
	bytes   int
	scratch []byte
	meter   storage.Meter // nil: nothing is weighed
}

// add counts objects before anything is included in them.
func (r *repeats) add(made []*included) error {
	for _, m := range made {
		if m.times == 1 {
			continue
		}
		was := r.bytes
		r.scratch = m.object.AppendJSON(r.scratch[:0])
		if more := m.times - 1; more > maxRepeats/len(r.scratch) {
			r.bytes = maxRepeats + 1
		} else {
			r.bytes += more * len(r.scratch)
		}
		if r.bytes > maxRepeats {
			return parse.Errorf(parse.InvalidQuery, "include would repeat objects too often")
		}
		if r.meter != nil {
			if err := r.meter.Weigh(r.bytes - was); err != nil {
				return err
			}
		}
	}
	return nil
}

// wanted are the objects of one class that a level has to fetch, each once.
type wanted struct {
	ids   []parse.Value
	index map[string]int // of an id in found
	found []found
}

// found is an object that was wanted: nil if it is missing or may not be seen.
type found struct {
	object *parse.Object
	// node is the step that made was made for, more has what was made for others.
	node *includeNode
	made included
	more map[*includeNode]*included
}

// collect gathers the pointers that one level has to fetch, about n of a class.
func collect(v parse.Value, node *includeNode, want map[string]*wanted, n int) {
	switch v := v.(type) {
	case parse.Pointer:
		w := want[v.ClassName]
		if w == nil {
			w = &wanted{ids: make([]parse.Value, 0, n), index: make(map[string]int, n)}
			want[v.ClassName] = w
		}
		if _, known := w.index[v.ObjectID]; !known {
			w.index[v.ObjectID] = len(w.ids)
			w.ids = append(w.ids, v.ObjectID)
		}
	case parse.Array:
		for _, e := range v {
			collect(e, node, want, n)
		}
	case *parse.Map:
		for name, c := range node.children {
			if inner, ok := v.Get(name); ok {
				collect(inner, c, want, n)
			}
		}
	}
}

// fetch reads the objects of one class that a level needs.
func (s *Service) fetch(ctx context.Context, p *access.Principal, class string, w *wanted, advice *query.Advice, m storage.Meter) error {
	w.found = make([]found, len(w.ids))
	c, err := s.class(p, class, schema.Get)
	if err != nil || c == nil {
		return err
	}
	r := &reading{s: s, p: p, class: c, op: schema.Get, included: true, meter: m}
	r.q.Where, r.q.Limit, r.q.Advice = &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: w.ids, Distinct: true}, query.NoLimit, advice
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.q.Limit = query.NoLimit
	list, err := r.run(ctx)
	if err != nil {
		return err
	}
	for _, o := range list {
		if i, ok := w.index[o.ID]; ok { // a hook may have added others
			w.found[i].object = o
		}
	}
	return nil
}

// includer puts fetched objects in the place of pointers.
type includer struct {
	got   map[string]*wanted           // by class
	made  map[*includeNode][]*included // one copy of an object for each step
	times int                          // how often what is looked at will be in the answer
}

// included is one copy of an object and how often it will be in the answer.
type included struct {
	object *parse.Object
	times  int
}

func (in *includer) replace(v parse.Value, n *includeNode) (out parse.Value, keep bool) {
	switch v := v.(type) {
	case parse.Pointer:
		return in.object(v, n)
	case parse.Array:
		list := make(parse.Array, 0, len(v))
		for _, e := range v {
			if e, keep := in.replace(e, n); keep {
				list = append(list, e)
			}
		}
		return list, true
	case *parse.Map:
		var m *parse.Map
		for name, c := range n.children {
			old, ok := v.Get(name)
			if !ok {
				continue
			}
			if m == nil {
				m = v.Clone()
			}
			if e, keep := in.replace(old, c); keep {
				m.Set(name, e)
			} else {
				m.Delete(name)
			}
		}
		if m != nil {
			return m, true
		}
	}
	return v, true
}

func (in *includer) object(ptr parse.Pointer, n *includeNode) (parse.Value, bool) {
	w := in.got[ptr.ClassName]
	f := &w.found[w.index[ptr.ObjectID]]
	if f.object == nil {
		return nil, false
	}
	m := &f.made
	switch {
	case f.node == nil:
		f.node = n
	case f.node != n:
		if m = f.more[n]; m == nil {
			if f.more == nil {
				f.more = map[*includeNode]*included{}
			}
			m = &included{}
			f.more[n] = m
		}
	}
	if m.object == nil {
		m.object = n.project(f.object)
		in.made[n] = append(in.made[n], m)
	}
	m.times += in.times
	return m.object, true
}
