package objects

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

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
	Where  query.Node
	Advice *query.Advice
	// Explain, if set, asks for the plan in place of the results.
	Explain query.Verbosity
	// Meter bounds the memory of what is read; nil: nothing but the limits of a stage does.
	Meter storage.Meter
}

// clientLimits bound the aggregates of those who are no operators of the server.
var clientLimits = aggregate.Limits{Documents: 100_000, Bytes: 64 << 20, Stages: 100, Steps: 20_000_000}

// aggregating is one aggregation on its way.
type aggregating struct {
	s      *Service
	p      *access.Principal
	op     schema.Operation
	a      *Aggregation
	limits aggregate.Limits
	// others are the classes that stages read besides that of the request.
	others map[string]*reading
}

// Aggregate runs a pipeline over the objects of a class. Clients need the
// class's permission to aggregate and get at what they may read alone: their
// constraints and what is hidden from them come before the first stage. The
// hooks before a find run, those after it do not.
func (s *Service) Aggregate(ctx context.Context, p *access.Principal, class string, a *Aggregation) (parse.Array, error) {
	g := &aggregating{s: s, p: p, op: schema.Find, a: a, others: map[string]*reading{}}
	if !p.Bypass() {
		g.op, g.limits = schema.Aggregate, clientLimits
	}
	c, err := s.class(p, class, g.op)
	if err != nil {
		return nil, err
	}
	r := &reading{s: s, p: p, class: c, op: g.op, q: query.Query{Where: a.Where, Advice: a.Advice}, meter: a.Meter}
	if c != nil {
		if err := r.prepare(ctx); err != nil {
			return nil, err
		}
		if a.Distinct != "" {
			return g.distinct(ctx, r)
		}
	}
	pipe, err := g.compile(ctx, r)
	if err != nil || c == nil {
		return parse.Array{}, err
	}
	src := pipe.Source()
	if err := g.mayName(r, src.Named); err != nil {
		return nil, err
	}
	if a.Explain != "" {
		return g.explain(ctx, r, src, pipe.Stages())
	}
	docs, done, err := g.begin(ctx, r, src, pipe.Stages())
	if err != nil {
		return nil, err
	}
	if docs, err = pipe.Run(ctx, docs, done); err != nil {
		return nil, err
	}
	out := make(parse.Array, len(docs))
	for i, d := range docs {
		out[i] = pipe.Result(d)
	}
	return out, nil
}

func (g *aggregating) compile(ctx context.Context, r *reading) (*aggregate.Pipeline, error) {
	o := aggregate.Options{
		Class: r.class, RawNames: g.a.RawNames, RawValues: g.a.RawValues, Now: g.s.now(), Limits: g.limits,
		Resolve: func(class string) (*schema.Class, error) { return g.open(ctx, class) },
		Fetch: func(ctx context.Context, class string, src aggregate.Source) ([]*parse.Map, error) {
			r := g.others[class]
			if r == nil {
				return nil, nil
			}
			if err := g.mayName(r, src.Named); err != nil {
				return nil, err
			}
			docs, _, err := g.begin(ctx, r, src, nil)
			return docs, err
		},
	}
	if r.plan != nil {
		o.Hidden = r.plan.HiddenFields()
	}
	stages, err := aggregate.Stages(g.a.Pipeline)
	if err != nil {
		return nil, err
	}
	return aggregate.Compile(stages, o)
}

// open asks for permission to read another class in a stage.
func (g *aggregating) open(ctx context.Context, class string) (*schema.Class, error) {
	if r := g.others[class]; r != nil {
		return r.class, nil
	}
	c, err := g.s.class(g.p, class, g.op)
	if err != nil || c == nil {
		return nil, err
	}
	r := &reading{s: g.s, p: g.p, class: c, op: g.op, q: query.Query{Advice: g.a.Advice.ForIncludes()}, meter: g.a.Meter}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	g.others[class] = r
	return c, nil
}

// mayName refuses a pipeline that names a field which the caller may not see
// of all objects. It would find nothing there, which is no answer to give.
func (g *aggregating) mayName(r *reading, stored []string) error {
	for _, f := range r.plan.HiddenFields() {
		if slices.Contains(stored, f) || slices.Contains(stored, "_p_"+f) {
			return parse.Denyf(parse.OperationForbidden, "This user is not allowed to query %s on class %s", f, r.class.Name)
		}
	}
	return nil
}

// visible lists the stored names of the fields that stages may see: those
// wanted, or all if that is nil, without what is hidden. nil: there is nothing
// to leave out.
func (g *aggregating) visible(r *reading, wanted []string) []string {
	wanted = slices.DeleteFunc(slices.Clone(wanted), internalName)
	if g.p.Bypass() {
		return wanted
	}
	if wanted == nil {
		wanted = []string{"_id", "_rperm", "_wperm"}
		for name := range r.class.Fields {
			wanted = append(wanted, aggregate.StoredName(r.class, name))
		}
		slices.Sort(wanted)
	}
	hidden := r.plan.HiddenFields()
	return slices.DeleteFunc(wanted, func(name string) bool {
		return slices.Contains(hidden, strings.TrimPrefix(name, "_p_"))
	})
}

// internalName reports whether a stored name is that of an internal field, such
// as a password's hash, which nobody sees here.
func internalName(stored string) bool {
	switch stored {
	case "_id", "_created_at", "_updated_at", "_rperm", "_wperm":
		return false
	}
	return strings.HasPrefix(strings.TrimPrefix(stored, "_p_"), "_")
}

// begin reads documents and lets the database do of the stages what it can; it
// returns how many these were.
func (g *aggregating) begin(ctx context.Context, r *reading, src aggregate.Source, stages []aggregate.Stage) ([]*parse.Map, int, error) {
	// What a store is asked tells of fields, whether or not documents have them.
	if err := r.plan.CheckQuery(&query.Query{Where: src.Where}); err != nil {
		return nil, 0, err
	}
	fields := g.visible(r, src.Fields)
	if x, q, done := g.forStore(r, src, fields, stages); x != nil {
		meter := aggregate.NewMeter(g.limits)
		var docs []*parse.Map
		n, err := x.Aggregate(ctx, q, func(d *parse.Map) error {
			docs = append(docs, d)
			return g.weigh(meter, d)
		})
		if !errors.Is(err, storage.ErrNotPushed) {
			return docs, done + n, err
		}
	}
	docs, err := g.documents(ctx, r, src, fields)
	return docs, 0, err
}

// weigh counts a document that is kept.
func (g *aggregating) weigh(m *aggregate.Meter, d *parse.Map) error {
	n, err := m.Add(d)
	if err != nil || g.a.Meter == nil {
		return err
	}
	return g.a.Meter.Weigh(n)
}

// forStore is the aggregation as the store is asked it, and how many of the
// stages its condition has in it; x is nil if it is not for the store.
func (g *aggregating) forStore(r *reading, src aggregate.Source, fields []string, stages []aggregate.Stage) (x storage.Aggregator, q *storage.Aggregate, done int) {
	if x = storage.AsAggregator(g.s.store); x == nil || !plainlyStored(r.class.Name, fields) {
		return nil, nil, 0
	}
	if src.Matched && len(stages) > 0 {
		done = 1
	}
	q = &storage.Aggregate{Class: r.class, Where: query.AllOf(r.where, src.Where), Fields: fields, Advice: r.q.Advice}
	for _, s := range stages[done:] {
		q.Stages = append(q.Stages, storage.Stage(s))
	}
	return x, q, done
}

// special are the fields of the server's own classes that are not as they are
// stored, or that a class rule has a say in.
var special = []string{"authData", "password", "sessionToken", "expiresAt", "lastUsed", "timesUsed"}

// plainlyStored reports whether all that an aggregation may see is what the
// database has: of the server's own classes that is so for certain fields.
func plainlyStored(class string, fields []string) bool {
	if !strings.HasPrefix(class, "_") {
		return true
	}
	return fields != nil && !slices.ContainsFunc(fields, func(f string) bool { return slices.Contains(special, f) })
}

// distinct lists the values of a field.
func (g *aggregating) distinct(ctx context.Context, r *reading) (parse.Array, error) {
	path, err := aggregate.DistinctPath(r.class, g.a.Distinct)
	if err != nil {
		return nil, err
	}
	src := aggregate.Source{Limit: query.NoLimit, Fields: path[:1], Named: path[:1]}
	if err := g.mayName(r, src.Named); err != nil {
		return nil, err
	}
	stages := aggregate.DistinctStages(r.class, path)
	if g.a.Explain != "" {
		return g.explain(ctx, r, src, stages)
	}
	docs, done, err := g.begin(ctx, r, src, stages)
	if err != nil {
		return nil, err
	}
	if done > 0 && done == len(stages) {
		for i, d := range docs {
			v, _ := d.Get("_id")
			docs[i] = parse.NewMap(parse.MapField{Key: path[0], Value: v})
		}
	}
	return aggregate.Distinct(r.class, path, docs), nil
}

// explain tells what the database does of an aggregation, with its own plan of
// that, and what is done here.
func (g *aggregating) explain(ctx context.Context, r *reading, src aggregate.Source, stages []aggregate.Stage) (parse.Array, error) {
	var plan *parse.Map
	done := 0
	err := storage.ErrNotPushed
	fields := g.visible(r, src.Fields)
	if x, q, matched := g.forStore(r, src, fields, stages); x != nil {
		if plan, done, err = x.ExplainAggregate(ctx, q, g.a.Explain); err == nil {
			done += matched
		}
	}
	if errors.Is(err, storage.ErrNotPushed) {
		x := storage.AsExplainer(g.s.store)
		if x == nil {
			return nil, parse.Errorf(parse.InvalidQuery, "explain is not available on this database")
		}
		done = 0
		plan, err = x.Explain(ctx, &storage.Find{
			Class: r.class, Where: query.AllOf(r.where, src.Where), Limit: src.Limit, Keys: keysOf(fields), Advice: r.q.Advice,
		}, g.a.Explain)
	}
	if err != nil {
		return nil, err
	}
	names := func(list []aggregate.Stage) parse.Array {
		out := make(parse.Array, len(list))
		for i, s := range list {
			out[i] = s.Name
		}
		return out
	}
	out := plan.Clone()
	out.Set("stagesOfDatabase", names(stages[:done]))
	out.Set("stagesOfServer", names(stages[done:]))
	return parse.Array{out}, nil
}

// aggregatePage is how many objects are read at a time, so that the memory
// they take is known before the next are read.
const aggregatePage = 2000

// keysOf are the fields of stored names as a find asks for them; nil: all.
func keysOf(stored []string) []string {
	if stored == nil {
		return nil
	}
	out := make([]string, 0, len(stored))
	for _, name := range stored {
		if name = strings.TrimPrefix(name, "_p_"); !strings.HasPrefix(name, "_") {
			out = append(out, name)
		}
	}
	return out
}

// documents reads objects in their stored form, oldest first.
func (g *aggregating) documents(ctx context.Context, r *reading, src aggregate.Source, fields []string) ([]*parse.Map, error) {
	meter := aggregate.NewMeter(g.limits)
	var docs []*parse.Map
	take := func(list []*parse.Object) error {
		for _, o := range list {
			d := aggregate.Document(r.class, r.rule.Present(g.p, r.plan.Strip(o)), fields)
			docs = append(docs, d)
			if _, err := meter.Add(d); err != nil {
				return err
			}
		}
		return nil
	}
	first := aggregatePage
	if src.Limit >= 0 {
		first = min(first, src.Limit)
	}
	where := query.AllOf(r.where, src.Where)
	find := func(where query.Node, order []query.Sort, limit int) ([]*parse.Object, error) {
		return g.s.store.Find(ctx, &storage.Find{
			Class: r.class, Where: where, Order: order, Limit: limit, Keys: keysOf(fields), Advice: r.q.Advice,
			Meter: g.a.Meter,
		})
	}
	list, err := find(where, nil, first)
	if err != nil {
		return nil, err
	}
	if len(list) < aggregatePage || src.Limit == aggregatePage {
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
		page := where
		if last != "" {
			page = query.AllOf(where, &query.Compare{Path: parse.KeyObjectID, Op: query.Gt, Value: last})
		}
		if list, err = find(page, []query.Sort{{Path: parse.KeyObjectID}}, aggregatePage); err != nil {
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
	if src.Limit >= 0 {
		docs = docs[:min(src.Limit, len(docs))]
	}
	return docs, nil
}
