package objects

import (
	"context"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Find returns the objects that match and that the caller may see. A class
// that does not exist is empty for those who may know that. q is not changed.
func (s *Service) Find(ctx context.Context, p *access.Principal, class string, q *query.Query) (*Found, error) {
	return s.FindWithin(ctx, p, class, q, nil)
}

// FindWithin is Find for an answer that m bounds the memory of. If it refuses
// more the find fails with its error, and may be tried again.
func (s *Service) FindWithin(ctx context.Context, p *access.Principal, class string, q *query.Query, m storage.Meter) (*Found, error) {
	c, err := s.class(p, class, schema.Find)
	if err != nil {
		return nil, err
	}
	found := &Found{}
	if c == nil {
		found.HasCount = q.Count
		return found, nil
	}
	if q.Redirect != "" {
		inner, target := *q, redirect(c, q.Redirect)
		inner.Redirect = ""
		if found, err = s.FindWithin(ctx, p, target, &inner, m); err == nil {
			found.ClassName = target
		}
		return found, err
	}
	op := schema.Find
	if _, one := onlyID(q.Where); one {
		op = schema.Get
	}
	r := &reading{s: s, p: p, class: c, op: op, q: *q, asked: q.Where, meter: m}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	switch {
	case r.q.Limit == query.UnsetLimit:
		r.q.Limit = s.o.DefaultLimit
	case s.o.MaxLimit > 0 && (r.q.Limit > s.o.MaxLimit || r.q.Limit < 0) && !p.Bypass():
		r.q.Limit = s.o.MaxLimit
	}
	switch {
	case r.q.Limit == 0: // nothing to read, but hooks may have something to give
		if found.Objects, err = r.afterFind(ctx, nil); err != nil {
			return nil, err
		}
	case r.q.Explain != "":
		if found.Plan, err = r.explain(ctx); err != nil {
			return nil, err
		}
	default:
		if q.Cursor != nil {
			if r.page, err = r.newPage(*q.Cursor); err != nil {
				return nil, err
			}
		}
		if found.Objects, err = r.run(ctx); err != nil {
			return nil, err
		}
		if r.page != nil {
			found.Cursor = r.page.next
		}
	}
	found.HasCount = q.Count && r.given == nil // what a hook gave is not counted
	if found.HasCount {
		if found.Count, err = r.count(ctx); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// redirect returns the class that a redirected query runs on: the other one
// of a relation, or else the class itself.
func redirect(c *schema.Class, key string) string {
	if f := c.Field(key); f != nil && f.Type == schema.Relation {
		return f.TargetClass
	}
	return c.Name
}

// onlyID reports whether a query asks for one object by its id and nothing
// else: the protocol counts that as a get.
func onlyID(n query.Node) (string, bool) {
	c, ok := n.(*query.Compare)
	if !ok || c.Op != query.Eq || c.Path != parse.KeyObjectID {
		return "", false
	}
	id, ok := c.Value.(string)
	return id, ok
}

// reading is one query of one class on its way.
type reading struct {
	s     *Service
	p     *access.Principal
	class *schema.Class
	op    schema.Operation
	q     query.Query
	rule  ClassRule
	plan  *access.Plan
	// resolved is the where clause without sub-queries; where, what the caller may find of it.
	resolved, where query.Node
	meter           storage.Meter // nil: nothing is weighed
	// included: the objects are for an include of others.
	included bool
	// page is set, and asked is what the caller asked for before hooks saw it,
	// where the query has a cursor.
	page  *page
	asked query.Node
	// hooked: hooks before the find have run, and left context. If they gave
	// objects in place of those of the database, given is not nil.
	hooked  bool
	context *parse.Map
	given   []*parse.Object
}

// fetchObjects reads from the store, or takes what a hook gave.
func (r *reading) fetchObjects(ctx context.Context, inc *includeNode) ([]*parse.Object, error) {
	switch {
	case r.given != nil:
	case r.page != nil:
		return r.page.read(ctx, r, r.storageFind(inc))
	default:
		return r.s.store.Find(ctx, r.storageFind(inc))
	}
	list := make([]*parse.Object, 0, len(r.given))
	var ids []parse.Value
	for _, o := range r.given {
		list = append(list, o.Clone()) // they are the hook's
		if o.ID != "" {
			ids = append(ids, o.ID)
		}
	}
	if r.p.Bypass() || len(ids) == 0 {
		return list, nil
	}
	// What the caller gets is what is stored and what he may read of it.
	where := query.AllOf(&query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids}, r.plan.Constraint(false))
	stored, err := r.s.store.Find(ctx, &storage.Find{
		Class: r.class, Where: r.rule.Constrain(r.p, where), Limit: query.NoLimit, AnyOrder: true,
	})
	if err != nil {
		return nil, err
	}
	of := make(map[string]*parse.Object, len(stored))
	for _, o := range stored {
		of[o.ID] = o
	}
	list = list[:0]
	for _, o := range r.given {
		if s := of[o.ID]; s != nil {
			list = append(list, s.Clone())
		}
	}
	return list, nil
}

// prepare asks for permission, runs the hooks before the find and turns the
// query into one that a store can run.
func (r *reading) prepare(ctx context.Context) error {
	r.rule, _ = r.s.rule(r.class.Name)
	if err := r.rule.Authorize(ctx, r.p, r.op); err != nil {
		return err
	}
	plan, err := r.s.o.Gate.Authorize(r.p, r.class, r.op)
	if err != nil {
		return err
	}
	r.plan = plan
	if err := plan.CheckQuery(&r.q); err != nil {
		return err
	}
	if err := plan.CheckHint(r.class, r.q.Advice); err != nil {
		return err
	}
	if r.s.app.HasBeforeFind(r.class.Name) {
		q := r.q
		req := &cloudcode.FindRequest{
			Request: r.s.Request(ctx, r.p), Class: r.class.Name, Query: &q, Count: q.Count, IsGet: r.op == schema.Get,
		}
		if err := r.s.app.RunBeforeFind(ctx, req); err != nil {
			return err
		}
		if req.Query != nil {
			r.q = *req.Query
		}
		r.given, r.hooked, r.context = req.Objects, true, req.Context
	}
	where, err := r.resolve(ctx, r.q.Where, r.q.Advice.ForSubqueries())
	if err != nil {
		return err
	}
	r.resolved = where
	r.where = r.rule.Constrain(r.p, query.AllOf(where, plan.Constraint(false)))
	return r.ensureText(ctx)
}

// run fetches the objects and makes them ready to leave.
func (r *reading) run(ctx context.Context) ([]*parse.Object, error) {
	inc := r.includes()
	list, err := r.fetchObjects(ctx, inc)
	if err != nil {
		return nil, err
	}
	if r.hooked && inc != nil { // those of includes see what this one left
		ctx = cloudcode.WithContext(ctx, r.context)
	}
	relations := r.relations()
	scored, scoreWanted := r.scored(), r.scoreWanted()
	kept := storage.Find{Meter: r.meter, Lazy: r.lazy()}
	for i, o := range list {
		packed := o.Fields.Lazy()
		var score parse.Value
		if scored {
			score, _ = takeScore(o)
		}
		o = r.project(r.plan.Strip(o))
		if scored && scoreWanted {
			o.Set(keyScore, score)
		}
		for _, f := range relations {
			if !r.plan.Hides(o, f.Name) {
				o.Set(f.Name, parse.Relation{ClassName: f.TargetClass})
			}
		}
		if r.included && r.class.Name == classUser && !r.p.Bypass() {
			o.Fields.Delete("authData")
			o.Fields.Delete("sessionToken")
		}
		list[i] = o
		if packed && !o.Fields.Lazy() { // its fields had to be looked at
			if err := kept.Keep(o); err != nil {
				return nil, err
			}
		}
	}
	if inc != nil {
		if err := r.s.include(ctx, r.p, list, inc, r.q.Advice.ForIncludes(), r.meter); err != nil {
			return nil, err
		}
	}
	return r.afterFind(ctx, list)
}

// afterFind runs the hooks after the find and lets the rule of the class
// present what leaves.
func (r *reading) afterFind(ctx context.Context, list []*parse.Object) ([]*parse.Object, error) {
	if r.s.app.HasAfterFind(r.class.Name) {
		if r.hooked {
			ctx = cloudcode.WithContext(ctx, r.context)
		}
		req := &cloudcode.FoundRequest{
			Request: r.s.Request(ctx, r.p), Class: r.class.Name, Query: &r.q, Objects: list, IsGet: r.op == schema.Get,
		}
		if err := r.s.app.RunAfterFind(ctx, req); err != nil {
			return nil, err
		}
		list = req.Objects
	}
	for i, o := range list {
		list[i] = r.rule.Present(r.p, o)
	}
	return list, nil
}

// storageFind is the find as a store is asked it.
func (r *reading) storageFind(inc *includeNode) *storage.Find {
	return &storage.Find{
		Class: r.class, Where: r.where, Order: r.order(), Skip: r.q.Skip, Limit: r.q.Limit, Keys: r.fetch(inc),
		AnyOrder: r.included, Score: r.scored(), Advice: r.q.Advice, Meter: r.meter,
		Lazy: r.lazy(),
	}
}

// lazy reports whether nobody looks at every field, as the rules of the server's
// classes and hooks do.
func (r *reading) lazy() bool {
	return !strings.HasPrefix(r.class.Name, "_") && !r.s.app.HasAfterFind(r.class.Name)
}

// explain asks the store how it would run the query.
func (r *reading) explain(ctx context.Context) (*parse.Map, error) {
	x := storage.AsExplainer(r.s.store)
	if x == nil {
		return nil, parse.Errorf(parse.InvalidQuery, "explain is not available on this database")
	}
	return x.Explain(ctx, r.storageFind(r.includes()), r.q.Explain)
}

// count counts what the caller may count, which need not be what he may find.
func (r *reading) count(ctx context.Context) (int64, error) {
	if err := r.rule.Authorize(ctx, r.p, schema.Count); err != nil {
		return 0, err
	}
	plan, err := r.s.o.Gate.Authorize(r.p, r.class, schema.Count)
	if err != nil {
		return 0, err
	}
	return r.s.store.Count(ctx, r.class, r.rule.Constrain(r.p, query.AllOf(r.resolved, plan.Constraint(false))), r.q.Advice)
}

// order is that of the query or, if it has none, by distance; it leaves out
// fields that the class does not have.
func (r *reading) order() []query.Sort {
	order := r.q.Order
	if len(order) == 0 {
		order = query.NearOrder(r.q.Where)
	}
	unknown := func(o query.Sort) bool {
		if o.Path == query.ScoreField {
			return query.TextOf(r.where) == nil
		}
		return r.class.Field(o.Path.Root()) == nil
	}
	if slices.ContainsFunc(order, unknown) {
		return slices.DeleteFunc(slices.Clone(order), unknown)
	}
	return order
}

// wanted reports whether the answer has the field.
func (r *reading) wanted(field string) bool {
	if slices.Contains(r.q.ExcludeKeys, field) {
		return false
	}
	if r.q.Keys == nil {
		return true
	}
	for _, k := range r.q.Keys {
		if k == field || strings.HasPrefix(k, field) && len(k) > len(field) && k[len(field)] == '.' {
			return true
		}
	}
	if r.q.IncludeAll {
		f := r.class.Field(field)
		return f != nil && (f.Type == schema.Pointer || f.Type == schema.Array)
	}
	return false
}

// fetch lists the fields to read from the store; nil: all.
func (r *reading) fetch(inc *includeNode) []string {
	if r.q.Keys == nil {
		return nil
	}
	out := []string{}
	add := func(f string) {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	for _, k := range r.q.Keys {
		if k != query.ScoreKey {
			add(root(k))
		}
	}
	if inc != nil && r.q.IncludeAll {
		for f := range inc.children {
			add(f)
		}
	}
	for _, f := range r.plan.Needs() {
		add(f)
	}
	return out
}

// project leaves of an object what the query asks for.
func (r *reading) project(o *parse.Object) *parse.Object {
	if r.q.Keys == nil && len(r.q.ExcludeKeys) == 0 {
		return o
	}
	var fields parse.Map
	for k, v := range o.Fields.All() {
		if r.wanted(k) {
			fields.Set(k, v)
		}
	}
	o.Fields = fields
	return o
}

// relations are the relation fields of the class, which all answers have.
func (r *reading) relations() []*schema.Field {
	var out []*schema.Field
	for _, f := range r.class.Fields {
		if f.Type == schema.Relation {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *schema.Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}
