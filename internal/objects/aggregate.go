package objects

import (
	"cmp"
	"context"
	"slices"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/aggregate"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Aggregation is a request for an aggregate, or for the distinct values of a field.
type Aggregation struct {
	// Pipeline has the parameters of the request, in one of the forms of
	// reference 01 §10.1.
	Pipeline *parse.Map
	// RawNames and RawValues leave names and values as the database has them.
	RawNames, RawValues bool
	// Distinct, if not empty, is a field whose values are asked for; Pipeline
	// is not regarded then.
	Distinct string
	// Where narrows the objects before all else; nil: all.
	Where query.Node
}

// Aggregate runs a pipeline over the objects of a class. It is for callers that
// see everything; the hooks before a find run, those after it do not.
func (s *Service) Aggregate(ctx context.Context, p *access.Principal, class string, a *Aggregation) (parse.Array, error) {
	c, err := s.class(p, class, schema.Find)
	if err != nil {
		return nil, err
	}
	o := aggregate.Options{
		Class: c, RawNames: a.RawNames, RawValues: a.RawValues, Now: s.now(),
		Fetch: func(ctx context.Context, class string) ([]*parse.Map, error) {
			other, err := s.class(p, class, schema.Find)
			if err != nil || other == nil {
				return nil, err
			}
			return s.documents(ctx, p, other, nil, query.NoLimit)
		},
	}
	var stages []aggregate.Stage
	if a.Distinct == "" {
		if stages, err = aggregate.Stages(a.Pipeline); err != nil {
			return nil, err
		}
	}
	pipe, err := aggregate.Compile(stages, o)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return parse.Array{}, nil
	}
	where, limit := pipe.Source()
	docs, err := s.documents(ctx, p, c, query.AllOf(a.Where, where), limit)
	if err != nil {
		return nil, err
	}
	if a.Distinct != "" {
		return aggregate.Distinct(c, a.Distinct, docs)
	}
	if docs, err = pipe.Run(ctx, docs); err != nil {
		return nil, err
	}
	out := make(parse.Array, len(docs))
	for i, d := range docs {
		out[i] = pipe.Result(d)
	}
	return out, nil
}

// aggregatePage is how many objects are read at a time, so that the memory
// they take is known before the next are read.
const aggregatePage = 2000

// documents reads objects in their stored form, oldest first.
func (s *Service) documents(ctx context.Context, p *access.Principal, c *schema.Class, where query.Node, limit int) ([]*parse.Map, error) {
	r := &reading{s: s, p: p, class: c, op: schema.Find, q: query.Query{Where: where}}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	meter := aggregate.NewMeter(aggregate.Limits{})
	var docs []*parse.Map
	take := func(list []*parse.Object) error {
		for _, o := range list {
			d := aggregate.Document(r.rule.Present(p, r.plan.Strip(o)))
			docs = append(docs, d)
			if err := meter.Add(d); err != nil {
				return err
			}
		}
		return nil
	}
	first := aggregatePage
	if limit >= 0 {
		first = min(first, limit)
	}
	list, err := s.store.Find(ctx, &storage.Find{Class: c, Where: r.where, Limit: first})
	if err != nil {
		return nil, err
	}
	if len(list) < aggregatePage || limit == aggregatePage {
		err = take(list)
		return docs, err
	}
	// There are more: page by id, which every database finds by an index.
	type dated struct {
		created parse.Date
		doc     *parse.Map
	}
	var last string
	var all []dated
	for {
		find := &storage.Find{Class: c, Where: r.where, Order: []query.Sort{{Path: parse.KeyObjectID}}, Limit: aggregatePage}
		if last != "" {
			find.Where = query.AllOf(r.where, &query.Compare{Path: parse.KeyObjectID, Op: query.Gt, Value: last})
		}
		if list, err = s.store.Find(ctx, find); err != nil {
			return nil, err
		}
		n := len(docs)
		created := make([]parse.Date, len(list))
		for i, o := range list {
			created[i], last = o.CreatedAt, o.ID
		}
		if err := take(list); err != nil {
			return nil, err
		}
		for i, at := range created {
			all = append(all, dated{at, docs[n+i]})
		}
		if len(list) < aggregatePage {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b dated) int { return cmp.Compare(a.created, b.created) })
	for i := range all {
		docs[i] = all[i].doc
	}
	if limit >= 0 {
		docs = docs[:min(limit, len(docs))]
	}
	return docs, nil
}
