package objects

import (
	"context"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// resolve replaces the constraints of a query that need other objects, and
// puts pointers where strings stand for them.
func (r *reading) resolve(ctx context.Context, where query.Node, advice *query.Advice) (query.Node, error) {
	s, p, c := r.s, r.p, r.class
	if where == nil {
		return nil, nil
	}
	if _, one := onlyID(where); one {
		return where, nil
	}
	where = query.Normalize(where, pointerTypes(c))
	return query.Rewrite(where, func(n query.Node) (query.Node, error) {
		switch n := n.(type) {
		case *query.SubQuery:
			m, err := r.subQuery(ctx, n, advice)
			if err != nil {
				return nil, err
			}
			if isRelation(c, n.Path) {
				return s.owning(ctx, c, n.Path, m.Op, m.Values)
			}
			return m, nil
		case *query.RelatedTo:
			return s.relatedTo(ctx, p, n, advice)
		case *query.Compare:
			if f := c.Field(string(n.Path)); n.Relative && f != nil && f.Type != schema.Date {
				return nil, parse.Errorf(parse.InvalidJSON, "$relativeTime can only be used with Date field")
			}
			if isRelation(c, n.Path) {
				return s.owning(ctx, c, n.Path, n.Op, []parse.Value{n.Value})
			}
			if text, ok := n.Value.(string); ok && n.Path == "expiresAt" {
				// The protocol takes text for a Date here, as with createdAt.
				if f := c.Field(string(n.Path)); f != nil && f.Type == schema.Date {
					if d, ok := parse.ParseDate(text); ok {
						return &query.Compare{Path: n.Path, Op: n.Op, Value: d}, nil
					}
				}
			}
		case *query.Member:
			if isRelation(c, n.Path) {
				return s.owning(ctx, c, n.Path, n.Op, n.Values)
			}
		case *query.Exists:
			if isRelation(c, n.Path) {
				return query.Never{}, nil
			}
		}
		return n, nil
	})
}

func pointerTypes(c *schema.Class) query.Types {
	return func(field string) (string, bool) {
		if f := c.Field(field); f != nil && f.Type == schema.Pointer {
			return f.TargetClass, true
		}
		return "", false
	}
}

func isRelation(c *schema.Class, path query.Path) bool {
	f := c.Field(string(path))
	return f != nil && f.Type == schema.Relation
}

// subQuery runs the inner query as the same caller and lists what it found.
func (r *reading) subQuery(ctx context.Context, n *query.SubQuery, advice *query.Advice) (*query.Member, error) {
	m := &query.Member{Path: n.Path, Op: query.In, Values: []parse.Value{}}
	if n.Negate {
		m.Op = query.Nin
	}
	q := &query.Query{Where: n.Where, Limit: query.NoLimit, Redirect: n.Redirect, Keys: []string{}, Advice: advice}
	if n.Key != "" {
		q.Keys = []string{string(n.Key)}
	}
	// All of them: the limits that protect answers do not apply.
	list, err := r.s.all(ctx, r.p, n.ClassName, q, string(n.Key), r.meter)
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		if n.Key == "" {
			m.Values = append(m.Values, o.Self())
			continue
		}
		switch v, _ := parse.Lookup(o, string(n.Key)); v := v.(type) {
		case nil:
		case parse.Array: // as of any list in a list
			m.Values = append(m.Values, v...)
		default:
			m.Values = append(m.Values, v)
		}
	}
	return m, nil
}

// all is Find without a limit. key is the field whose values are wanted, if they are.
func (s *Service) all(ctx context.Context, p *access.Principal, class string, q *query.Query, key string, m storage.Meter) ([]*parse.Object, error) {
	c, err := s.class(p, class, schema.Find)
	if err != nil || c == nil {
		return nil, err
	}
	if q.Redirect != "" {
		inner := *q
		inner.Redirect = ""
		return s.all(ctx, p, redirect(c, q.Redirect), &inner, key, m)
	}
	r := &reading{s: s, p: p, class: c, op: schema.Find, q: *q, meter: m}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	if key != "" && r.plan.ProtectsField(key) {
		return nil, parse.Denyf(parse.OperationForbidden, "This user is not allowed to query %s on class %s", key, c.Name)
	}
	r.q.Limit = query.NoLimit
	if s.o.SubqueryLimit > 0 && !p.Bypass() {
		r.q.Limit = s.o.SubqueryLimit
	}
	return r.run(ctx)
}

// relatedTo lists the members of a relation of an object that the caller may read.
func (s *Service) relatedTo(ctx context.Context, p *access.Principal, n *query.RelatedTo, advice *query.Advice) (query.Node, error) {
	c, err := s.class(p, n.Object.ClassName, schema.Get)
	if err != nil {
		return nil, err
	}
	if c == nil || !isRelation(c, query.Path(n.Key)) {
		return query.Never{}, nil
	}
	if !p.Bypass() {
		plan, err := s.o.Gate.Authorize(p, c, schema.Get)
		if err != nil {
			return nil, err
		}
		if plan.ProtectsField(n.Key) {
			return nil, parse.Denyf(parse.OperationForbidden, "This user is not allowed to query %s on class %s", n.Key, c.Name)
		}
		_, err = s.Get(ctx, p, c.Name, n.Object.ObjectID, &query.Query{Keys: []string{}, Advice: advice})
		if parse.CodeOf(err) == parse.ObjectNotFound {
			return query.Never{}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	ids, err := s.store.Related(ctx, storage.Join{Class: c.Name, Key: n.Key}, n.Object.ObjectID)
	if err != nil {
		return nil, err
	}
	return idsIn(ids, false), nil
}

// owning lists the objects whose relation has (or has not) any of the pointers.
func (s *Service) owning(ctx context.Context, c *schema.Class, path query.Path, op query.Op, values []parse.Value) (query.Node, error) {
	switch op {
	case query.Eq, query.Ne, query.In, query.Nin:
	case query.Lt, query.Lte, query.Gt, query.Gte, query.All, query.ContainedBy:
		return query.Never{}, nil
	}
	var members []string
	for _, v := range values {
		if ptr, ok := v.(parse.Pointer); ok {
			members = append(members, ptr.ObjectID)
		}
	}
	if len(members) == 0 && len(values) > 0 {
		return query.Never{}, nil
	}
	ids, err := s.store.Owning(ctx, storage.Join{Class: c.Name, Key: string(path)}, members)
	if err != nil {
		return nil, err
	}
	return idsIn(ids, op == query.Ne || op == query.Nin), nil
}

func idsIn(ids []string, negate bool) query.Node {
	m := &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: make([]parse.Value, len(ids))}
	if negate {
		m.Op = query.Nin
	}
	for i, id := range ids {
		m.Values[i] = id
	}
	return m
}
