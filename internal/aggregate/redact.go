package aggregate

import "github.com/pargo-baas/pargo/parse"

// verdict is what the expression of a $redact decides of an object: DESCEND,
// PRUNE or KEEP.
type verdict string

func (c *compiler) redactStage(arg parse.Value) (stage, error) {
	c.redact = true
	x, err := c.expr(arg)
	c.redact = false
	if err != nil {
		return nil, err
	}
	c.seen.whole() // it looks into objects of any name
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		var out []*parse.Map
		for _, d := range docs {
			v, err := redacted(r.env(d), x, d)
			if err != nil {
				return nil, err
			}
			if m, ok := v.(*parse.Map); ok {
				out = append(out, m)
			}
		}
		return out, nil
	}, nil
}

// redacted is what remains of an object, missing if nothing does.
func redacted(e *env, x expr, m *parse.Map) (parse.Value, error) {
	if err := e.r.step(); err != nil {
		return nil, err
	}
	inner := *e
	inner.doc = m
	v, err := x(&inner)
	if err != nil {
		return nil, err
	}
	switch v {
	case verdict("KEEP"):
		return m, nil
	case verdict("PRUNE"):
		return missing{}, nil
	case verdict("DESCEND"):
		out := &parse.Map{}
		for k, f := range m.All() {
			if f, err = redactedValue(e, x, f); err != nil {
				return nil, err
			}
			if !isMissing(f) {
				out.Set(k, f)
			}
		}
		return out, nil
	}
	return nil, errorf("$redact must evaluate to $$DESCEND, $$PRUNE or $$KEEP")
}

func redactedValue(e *env, x expr, v parse.Value) (parse.Value, error) {
	switch v := v.(type) {
	case *parse.Map:
		return redacted(e, x, v)
	case parse.Array:
		out := make(parse.Array, 0, len(v))
		for _, el := range v {
			el, err := redactedValue(e, x, el)
			if err != nil {
				return nil, err
			}
			if !isMissing(el) {
				out = append(out, el)
			}
		}
		return out, nil
	}
	return v, nil
}
