package aggregate

import (
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// each makes a stage that changes documents one by one.
func each(f func(e *env, d *parse.Map) (*parse.Map, error)) stage {
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		out := make([]*parse.Map, len(docs))
		b := budget{lim: r.lim}
		for i, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			var err error
			if out[i], err = f(r.env(d), d); err != nil {
				return nil, err
			}
			if err := r.fits(out[i]); err != nil {
				return nil, err
			}
			if err := b.add(out[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// fieldPath reads the name of a field that a stage writes.
func fieldPath(stage, name string) ([]string, error) {
	path := strings.Split(name, ".")
	for _, part := range path {
		if part == "" || part[0] == '$' || strings.ContainsAny(part, "'\"\x00") {
			return nil, errorf("Invalid %s :: '%s' is not a valid field path", stage, name)
		}
	}
	return path, nil
}

// assignment is a field that a stage computes.
type assignment struct {
	path []string
	x    expr
}

// assignments reads the computed fields of $addFields and $project; objects
// that are no operators go deeper.
func (c *compiler) assignments(stage, prefix string, m *parse.Map, out []assignment) ([]assignment, error) {
	for k, v := range m.All() {
		name := prefix + k
		path, err := fieldPath(stage, name)
		if err != nil {
			return nil, err
		}
		if inner, ok := v.(*parse.Map); ok && inner.Len() > 0 && !strings.HasPrefix(inner.At(0).Key, "$") {
			if out, err = c.assignments(stage, name+".", inner, out); err != nil {
				return nil, err
			}
			continue
		}
		x, err := c.expr(v)
		if err != nil {
			return nil, err
		}
		out = append(out, assignment{path, x})
	}
	return out, nil
}

func assign(e *env, d *parse.Map, list []assignment) (*parse.Map, error) {
	for _, a := range list {
		v, err := a.x(e)
		if err != nil {
			return nil, err
		}
		d = set(d, a.path, v)
	}
	return d, nil
}

func (c *compiler) addFields(s Stage) (stage, error) {
	m, ok := s.Arg.(*parse.Map)
	if !ok || m.Len() == 0 {
		return nil, errorf("%s specification stage must be an object with at least one field", s.Name)
	}
	list, err := c.assignments(s.Name, "", m, nil)
	if err != nil {
		return nil, err
	}
	return each(func(e *env, d *parse.Map) (*parse.Map, error) { return assign(e, d, list) }), nil
}

func (c *compiler) unset(arg parse.Value) (stage, error) {
	list, ok := arg.(parse.Array)
	if !ok {
		list = parse.Array{arg}
	}
	tree := &shape{}
	for _, e := range list {
		name, ok := e.(string)
		if !ok || name == "" {
			return nil, errorf("$unset specification must be a string or an array with strings only")
		}
		path, err := fieldPath("$unset", name)
		if err != nil {
			return nil, err
		}
		tree.add(path)
	}
	return each(func(_ *env, d *parse.Map) (*parse.Map, error) { return tree.exclude(d), nil }), nil
}

// shape is a tree of field names; one without children is the whole field.
type shape struct{ children map[string]*shape }

func (s *shape) add(path []string) {
	for _, name := range path {
		if s.children == nil {
			s.children = map[string]*shape{}
		}
		next := s.children[name]
		if next == nil {
			next = &shape{}
			s.children[name] = next
		}
		s = next
	}
}

// include keeps of m what is in the tree, in the order of m.
func (s *shape) include(m *parse.Map) *parse.Map {
	out := &parse.Map{}
	for k, v := range m.All() {
		child := s.children[k]
		if child == nil {
			continue
		}
		if child.children != nil {
			if v = child.inside(v, (*shape).include, false); isMissing(v) {
				continue
			}
		}
		out.Set(k, v)
	}
	return out
}

// exclude removes from m what is in the tree.
func (s *shape) exclude(m *parse.Map) *parse.Map {
	out := &parse.Map{}
	for k, v := range m.All() {
		child := s.children[k]
		if child != nil {
			if child.children == nil {
				continue
			}
			v = child.inside(v, (*shape).exclude, true)
		}
		out.Set(k, v)
	}
	return out
}

// inside applies f to the objects in v; what else there is, is kept or not.
func (s *shape) inside(v parse.Value, f func(*shape, *parse.Map) *parse.Map, keep bool) parse.Value {
	switch v := v.(type) {
	case *parse.Map:
		return f(s, v)
	case parse.Array:
		out := make(parse.Array, 0, len(v))
		for _, e := range v {
			if e = s.inside(e, f, keep); !isMissing(e) {
				out = append(out, e)
			}
		}
		return out
	}
	if keep {
		return v
	}
	return missing{}
}

// projection is a $project on its way through the compiler.
type projection struct {
	shape              shape
	computed           *parse.Map
	including, leaving int
	id                 string // "": not said
}

func (c *compiler) project(arg parse.Value) (stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok || m.Len() == 0 {
		return nil, errorf("$project specification must be an object with at least one field")
	}
	p := &projection{computed: &parse.Map{}}
	if err := p.read("", m); err != nil {
		return nil, err
	}
	if p.leaving > 0 && p.including+p.computed.Len() > 0 {
		return nil, errorf("Invalid $project :: cannot mix inclusion and exclusion")
	}
	list, err := c.assignments("$project", "", p.computed, nil)
	if err != nil {
		return nil, err
	}
	for _, a := range list { // it may go into an object that is there
		c.seen.see(a.path[0])
	}
	if p.leaving > 0 || p.including+p.computed.Len() == 0 && p.id == "out" {
		if p.id == "out" {
			p.shape.add([]string{keyID})
		}
		return each(func(_ *env, d *parse.Map) (*parse.Map, error) { return p.shape.exclude(d), nil }), nil
	}
	if p.id != "out" && !p.computed.Has(keyID) {
		p.shape.add([]string{keyID})
	}
	for name := range p.shape.children {
		c.seen.see(name)
	}
	c.seen.close()
	return each(func(e *env, d *parse.Map) (*parse.Map, error) { return assign(e, p.shape.include(d), list) }), nil
}

func (p *projection) read(prefix string, m *parse.Map) error {
	for k, v := range m.All() {
		name := prefix + k
		path, err := fieldPath("$project", name)
		if err != nil {
			return err
		}
		flag, isFlag := v.(bool)
		if n, ok := number(v); ok {
			flag, isFlag = n != 0, true
		}
		inner, isMap := v.(*parse.Map)
		switch {
		case isFlag && name == keyID:
			p.id = "out"
			if flag {
				p.id = "in"
			}
		case isFlag:
			p.shape.add(path)
			if flag {
				p.including++
			} else {
				p.leaving++
			}
		case isMap && inner.Len() > 0 && !strings.HasPrefix(inner.At(0).Key, "$"):
			if err := p.read(name+".", inner); err != nil {
				return err
			}
		default:
			p.computed.Set(name, v)
		}
	}
	return nil
}

func (c *compiler) replaceRoot(s Stage) (stage, error) {
	arg := s.Arg
	if s.Name == "$replaceRoot" {
		m, _ := arg.(*parse.Map)
		var ok bool
		if arg, ok = m.Get("newRoot"); !ok || m.Len() != 1 {
			return nil, errorf("no newRoot specified for the $replaceRoot stage")
		}
	}
	x, err := c.expr(arg)
	if err != nil {
		return nil, err
	}
	c.seen.close()
	return each(func(e *env, _ *parse.Map) (*parse.Map, error) {
		v, err := x(e)
		if err != nil {
			return nil, err
		}
		m, ok := v.(*parse.Map)
		if !ok {
			return nil, errorf("'newRoot' expression must evaluate to an object, but resulting value was of type: %s", typeName(v))
		}
		return m, nil
	}), nil
}
