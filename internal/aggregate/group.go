package aggregate

import "github.com/pargo-baas/pargo/parse"

// gathering is one accumulated field of a group.
type gathering struct {
	name string
	make func() accumulator
	x    expr
}

// gatherings compiles the accumulated fields of $group and $bucket.
func (c *compiler) gatherings(m *parse.Map) ([]gathering, error) {
	var out []gathering
	for k, v := range m.All() {
		if k == keyID {
			continue
		}
		if path, err := fieldPath("$group", k); err != nil || len(path) != 1 {
			return nil, errorf("The field name '%s' cannot contain '.' nor be an operator name", k)
		}
		spec, _ := v.(*parse.Map)
		if spec.Len() != 1 {
			return nil, errorf("The field '%s' must be an accumulator object", k)
		}
		g, err := c.accumulator(spec.At(0).Key, spec.At(0).Value)
		if err != nil {
			return nil, err
		}
		g.name = k
		out = append(out, g)
	}
	return out, nil
}

// bundle is one group while it is gathered.
type bundle struct {
	id   parse.Value
	accs []accumulator
}

func newBundle(id parse.Value, list []gathering) *bundle {
	b := &bundle{id: id, accs: make([]accumulator, len(list))}
	for i := range list {
		b.accs[i] = list[i].make()
	}
	return b
}

func (g *bundle) add(e *env, b *budget, list []gathering) error {
	for i := range list {
		v, err := list[i].x(e)
		if err != nil {
			return err
		}
		if err := g.accs[i].add(b, v); err != nil {
			return err
		}
	}
	return nil
}

func (g *bundle) document(list []gathering) *parse.Map {
	out := parse.NewMap(parse.MapField{Key: keyID, Value: g.id})
	for i := range list {
		out.Set(list[i].name, g.accs[i].result())
	}
	return out
}

func (c *compiler) group(arg parse.Value) (stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		return nil, errorf("a group's fields must be specified in an object")
	}
	idArg, ok := m.Get(keyID)
	if !ok {
		return nil, errorf("Invalid parameter for query: group. Missing key _id")
	}
	id, err := c.expr(idArg)
	if err != nil {
		return nil, err
	}
	list, err := c.gatherings(m)
	if err != nil {
		return nil, err
	}
	c.seen.close()
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		groups := map[string]*bundle{}
		var order []*bundle
		b := budget{lim: r.lim}
		var key []byte
		for _, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			e := r.env(d)
			v, err := id(e)
			if err != nil {
				return nil, err
			}
			v = orNull(v)
			if err := r.fits(v); err != nil {
				return nil, err
			}
			key = appendKey(key[:0], v)
			g := groups[string(key)]
			if g == nil {
				g = newBundle(v, list)
				groups[string(key)] = g
				order = append(order, g)
				if err := b.add(v); err != nil {
					return nil, err
				}
			}
			if err := g.add(e, &b, list); err != nil {
				return nil, err
			}
		}
		return finish(r, order, list)
	}, nil
}

func finish(r *run, groups []*bundle, list []gathering) ([]*parse.Map, error) {
	out := make([]*parse.Map, len(groups))
	for i, g := range groups {
		out[i] = g.document(list)
		if err := r.fits(out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
