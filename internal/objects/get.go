package objects

import (
	"context"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Get returns one object. Of q, which may be nil, it uses keys and includes.
// What is missing or may not be seen gives 101.
func (s *Service) Get(ctx context.Context, p *access.Principal, class, id string, q *query.Query) (*parse.Object, error) {
	return s.GetWithin(ctx, p, class, id, q, nil)
}

// GetWithin is Get for an answer that m bounds the memory of, as in [Service.FindWithin].
func (s *Service) GetWithin(ctx context.Context, p *access.Principal, class, id string, q *query.Query, m storage.Meter) (*parse.Object, error) {
	c, err := s.class(p, class, schema.Get)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, parse.ErrNotFound()
	}
	r := &reading{s: s, p: p, class: c, op: schema.Get, meter: m}
	if q != nil {
		r.q = query.Query{Keys: q.Keys, ExcludeKeys: q.ExcludeKeys, Include: q.Include, IncludeAll: q.IncludeAll, Advice: q.Advice}
	}
	r.q.Where, r.q.Limit = query.ByID(id), 1
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	r.q.Limit = 1
	list, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, parse.ErrNotFound()
	}
	return list[0], nil
}
