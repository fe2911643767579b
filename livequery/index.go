package livequery

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// subscription is one query of one client. All but the last group of fields
// is fixed once it is made.
type subscription struct {
	*inquiry
	client    *client
	requestID parse.Value
	head      []byte // see eventHead
	bytes     int64  // what it takes itself

	// master, own (the token of the subscription) and base (the token of the
	// connection), in this order, say who is asking.
	master *access.Principal
	own    *identity
	base   *identity

	// since is until when the client needs nothing, begun when it was confirmed
	// and told what it had missed, both by the hub's clock; 0: not yet.
	since, begun atomic.Int64

	// Guarded by shard.mu: where the subscription stands in its class's index.
	// With placed set and view nil it is refused: it keeps its place in
	// classIndex.refused, in case its rights come back.
	placed bool
	view   *view
	pos    int // in view.subs
}

// identities returns the identities that the subscription depends on.
func (s *subscription) identities() []*identity {
	out := make([]*identity, 0, 2)
	if s.own != nil {
		out = append(out, s.own)
	}
	if s.base != nil && s.base != s.own {
		out = append(out, s.base)
	}
	return out
}

func (s *subscription) stale() bool {
	return s.own != nil && s.own.stale() || s.base != nil && s.base.stale()
}

// principal returns who is asking: the user of the subscription's token, else
// that of the connection's.
func (s *subscription) principal(stranger *access.Principal) *access.Principal {
	switch {
	case s.master != nil:
		return s.master
	case s.own != nil && s.own.principal.Load().UserID != "":
		return s.own.principal.Load()
	case s.base != nil:
		return s.base.principal.Load()
	}
	return stranger
}

// classIndex holds the subscriptions to one class.
//
//	distinct query → group (callers with equal rights) → view (equal keys and watch) → subscriptions
type classIndex struct {
	name string
	// source is the definition that all plans were made under, nil if the
	// class did not exist; def is the same, never nil.
	source *schema.Class
	def    *schema.Class

	queries map[string]*distinct // by canonical where
	paths   []*pathIndex
	scan    []*distinct // those without an equality to find them by
	refused map[*subscription]struct{}
	costly  int // how many of the queries are
	// queryTime: see Hub.queryTime.
	queryTime time.Duration
}

// pathIndex finds queries by the value that they ask for at one field.
type pathIndex struct {
	field  string
	values map[any][]*distinct
}

// distinct is one query, however many subscribe to it.
type distinct struct {
	canon string
	scan  *query.Scan // only the shard's dispatcher touches it, and who holds mu alone
	record
	field  string // the field it is indexed by, or ""
	values []any  // of which a match has one
	groups []*group
	byPlan map[string]*group // nil if they are few

	// seen is the number of the last change this query was considered for.
	// Only the shard's dispatcher touches it.
	seen uint64
}

// group is the subscribers of a query whose access plans have equal keys.
type group struct {
	query *distinct
	key   string
	plan  *access.Plan
	views []*view
	pos   int // in query.groups
}

// view is the subscribers of a group that see the same fields of an event: what
// of the inquiry its viewKey tells.
type view struct {
	*inquiry
	group *group
	subs  []*subscription
}

// fewGroups is up to how many groups are looked through.
const fewGroups = 8

// find returns the group of a plan, or nil.
func (d *distinct) find(key string) *group {
	if d.byPlan != nil {
		return d.byPlan[key]
	}
	for _, g := range d.groups {
		if g.key == key {
			return g
		}
	}
	return nil
}

// add enters a new group.
func (d *distinct) add(key string, plan *access.Plan) *group {
	g := &group{query: d, key: key, plan: plan, pos: len(d.groups)}
	d.groups = append(d.groups, g)
	switch {
	case d.byPlan != nil:
		d.byPlan[key] = g
	case len(d.groups) > fewGroups:
		d.byPlan = make(map[string]*group, 2*len(d.groups))
		for _, g := range d.groups {
			d.byPlan[g.key] = g
		}
	}
	return g
}

func newClassIndex(name string, source *schema.Class, queryTime time.Duration) *classIndex {
	ci := &classIndex{name: name, queryTime: queryTime, queries: map[string]*distinct{}, refused: map[*subscription]struct{}{}}
	ci.define(source)
	return ci
}

// define sets the definition that subscriptions are planned under from now on.
func (ci *classIndex) define(source *schema.Class) {
	ci.source, ci.def = source, definition(ci.name, source)
}

// definition returns that of a class; one that does not exist asks for nothing.
func definition(name string, source *schema.Class) *schema.Class {
	if source == nil {
		return &schema.Class{Name: name}
	}
	return source
}

// all returns the subscriptions that get events and those that are refused.
func (ci *classIndex) all() (placed, refused []*subscription) {
	for _, d := range ci.queries {
		for _, g := range d.groups {
			for _, v := range g.views {
				placed = append(placed, v.subs...)
			}
		}
	}
	for sub := range ci.refused {
		refused = append(refused, sub)
	}
	return placed, refused
}

func (ci *classIndex) empty() bool { return len(ci.queries) == 0 && len(ci.refused) == 0 }

// place puts a planned subscription into the index.
func (ci *classIndex) place(sub *subscription, pl *planned) error {
	d := ci.queries[pl.canon]
	if d == nil {
		m, err := query.Compile(pl.where)
		if err != nil {
			return err
		}
		d = &distinct{canon: pl.canon, scan: m.Scan().Within(ci.queryTime), record: newRecord(pl.where)}
		if d.costly {
			ci.costly++
		}
		ci.queries[pl.canon] = d
		ci.file(d, pl.where)
	}
	key := pl.plan.Key()
	g := d.find(key)
	if g == nil {
		g = d.add(key, pl.plan)
	}
	i := slices.IndexFunc(g.views, func(v *view) bool { return v.viewKey == sub.viewKey })
	if i < 0 {
		i = len(g.views)
		g.views = append(g.views, &view{inquiry: sub.inquiry, group: g})
	}
	v := g.views[i]
	sub.placed, sub.view, sub.pos = true, v, len(v.subs)
	v.subs = append(v.subs, sub)
	return nil
}

// refuse keeps a subscription whose rights are gone, without events.
func (ci *classIndex) refuse(sub *subscription) {
	ci.refused[sub] = struct{}{}
	sub.placed, sub.view = true, nil
}

// remove takes a subscription out, and all that it alone kept alive.
func (ci *classIndex) remove(sub *subscription) {
	if !sub.placed {
		return
	}
	v := sub.view
	sub.placed, sub.view = false, nil
	if v == nil {
		delete(ci.refused, sub)
		return
	}
	last := len(v.subs) - 1
	v.subs[sub.pos] = v.subs[last]
	v.subs[sub.pos].pos = sub.pos
	v.subs[last] = nil
	v.subs = v.subs[:last]
	if last > 0 {
		return
	}
	g := v.group
	g.views = slices.DeleteFunc(g.views, func(x *view) bool { return x == v })
	if len(g.views) > 0 {
		return
	}
	d := g.query
	delete(d.byPlan, g.key)
	last = len(d.groups) - 1
	d.groups[g.pos] = d.groups[last]
	d.groups[g.pos].pos = g.pos
	d.groups[last] = nil
	d.groups = d.groups[:last]
	if last > 0 {
		return
	}
	delete(ci.queries, d.canon)
	if d.costly {
		ci.costly--
	}
	ci.unfile(d)
}

// file enters a query into the index of its best equality, or the scan list.
func (ci *classIndex) file(d *distinct, where query.Node) {
	best := worstRank
	for _, k := range query.EqualityKeys(where) {
		// A dotted path may lead through arrays, which only the matcher knows.
		if query.Path(k.Path).Dotted() {
			continue
		}
		values := make([]any, 0, len(k.Values))
		for _, v := range k.Values {
			if v, ok := indexValue(v); ok && !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		// One value before a list of the same kind.
		if r := 2*rank(k.Path, values[0]) + min(len(values)-1, 1); r < best {
			best, d.field, d.values = r, k.Path, values
		}
	}
	if d.field == "" {
		ci.scan = append(ci.scan, d)
		return
	}
	p := ci.path(d.field)
	if p == nil {
		p = &pathIndex{field: d.field, values: map[any][]*distinct{}}
		ci.paths = append(ci.paths, p)
	}
	for _, v := range d.values {
		p.values[v] = append(p.values[v], d)
	}
}

func (ci *classIndex) unfile(d *distinct) {
	is := func(x *distinct) bool { return x == d }
	if d.field == "" {
		ci.scan = slices.DeleteFunc(ci.scan, is)
		return
	}
	p := ci.path(d.field)
	for _, v := range d.values {
		if list := slices.DeleteFunc(p.values[v], is); len(list) > 0 {
			p.values[v] = list
		} else {
			delete(p.values, v)
		}
	}
	if len(p.values) == 0 {
		ci.paths = slices.DeleteFunc(ci.paths, func(x *pathIndex) bool { return x == p })
	}
}

func (ci *classIndex) path(field string) *pathIndex {
	for _, p := range ci.paths {
		if p.field == field {
			return p
		}
	}
	return nil
}

// find calls f for the queries that ask for the value of o at the path's field.
func (p *pathIndex) find(o *parse.Object, f func(*distinct)) {
	if o == nil {
		return
	}
	v, ok := o.Get(p.field)
	if !ok {
		return
	}
	if list, ok := v.(parse.Array); ok { // an equality holds for any element
		for _, e := range list {
			p.findValue(e, f)
		}
		return
	}
	p.findValue(v, f)
}

func (p *pathIndex) findValue(v parse.Value, f func(*distinct)) {
	k, ok := indexValue(v)
	if !ok {
		return
	}
	for _, d := range p.values[k] {
		f(d)
	}
}

// indexValue returns v as a key of a map such that equal values give equal
// keys. Others may, too: the matcher has the last word.
func indexValue(v parse.Value) (any, bool) {
	switch v := v.(type) {
	case bool, float64, string, parse.Date, parse.Pointer:
		return v, true
	case parse.Int:
		return float64(v), true
	case *parse.Object:
		return v.Self(), true
	}
	return nil, false
}

const worstRank = 99

// rank orders equalities by how few objects they are likely to hold for.
func rank(field string, v any) int {
	if field == parse.KeyObjectID {
		return 0
	}
	switch v.(type) {
	case parse.Pointer:
		return 1
	case string:
		return 2
	case bool:
		return 4
	}
	return 3
}

// listText returns equal texts for equal lists alone; nil differs from empty.
func listText(list []string) string {
	if list == nil {
		return ""
	}
	return "=" + strings.Join(list, "\x00")
}
