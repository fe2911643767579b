package aggregate

import (
	"slices"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// other is another class that a stage reads.
type other struct {
	name  string
	class *schema.Class // nil: there is none
	src   Source
}

// open asks for permission to read another class.
func (c *compiler) open(op string, v parse.Value) (*other, error) {
	name, ok := v.(string)
	if !ok || name == "" {
		return nil, errorf("%s requires the name of a class, found %s", op, parse.AppendJSON(nil, v))
	}
	o := &other{name: name, src: Source{Limit: query.NoLimit}}
	if c.o.Resolve != nil {
		var err error
		if o.class, err = c.o.Resolve(name); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(c.p.others, name) {
		c.p.others = append(c.p.others, name)
	}
	return o, nil
}

// fetch reads documents of the class, further narrowed.
func (o *other) fetch(r *run, where query.Node) ([]*parse.Map, error) {
	if r.p.o.Fetch == nil || o.class == nil {
		return nil, nil
	}
	src := o.src
	src.Where = query.AllOf(src.Where, where)
	return r.p.o.Fetch(r.ctx, o.name, src)
}

// join is a $lookup.
type join struct {
	from           *other
	local, foreign []string // of the fields to compare; nil: none are
	as             []string
	names          []string // of variables
	values         []expr
	pipeline       []stage // nil: none
	correlated     bool    // the pipeline sees variables
}

func (c *compiler) lookup(arg parse.Value) (stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		return nil, errorf("the $lookup stage specification must be an object")
	}
	required, optional := []string{"from", "as"}, []string{"let", "pipeline", "localField", "foreignField"}
	if !m.Has("pipeline") || m.Has("localField") || m.Has("foreignField") {
		required, optional = []string{"from", "localField", "foreignField", "as"}, []string{"let", "pipeline"}
	}
	if err := checkArguments("$lookup", m, required, optional); err != nil {
		return nil, err
	}
	j := &join{}
	for name, to := range map[string]*[]string{"localField": &j.local, "foreignField": &j.foreign, "as": &j.as} {
		v, given := m.Get(name)
		if !given {
			continue
		}
		s, _ := v.(string)
		var err error
		if *to, err = fieldPath("$lookup", s); err != nil {
			return nil, errorf("$lookup requires a string for '%s'", name)
		}
	}
	if j.local != nil {
		c.seen.see(j.local[0])
	}
	v, _ := m.Get("from")
	var err error
	if j.from, err = c.open("$lookup", v); err != nil {
		return nil, err
	}
	if err := c.joinPipeline(j, m); err != nil {
		return nil, err
	}
	if j.foreign != nil {
		j.from.src.Named = append(j.from.src.Named, j.foreign[0])
	}
	return j.stage, nil
}

// joinPipeline compiles the pipeline of a $lookup and the variables that it sees.
func (c *compiler) joinPipeline(j *join, m *parse.Map) error {
	v, given := m.Get("pipeline")
	if !given {
		if m.Has("let") {
			return errorf("$lookup with 'let' needs a 'pipeline'")
		}
		return nil
	}
	if let, ok := m.Get("let"); ok {
		var err error
		if j.names, j.values, err = c.variables("$lookup", let); err != nil {
			return err
		}
	}
	list, err := subPipeline("$lookup", v)
	if err != nil {
		return err
	}
	n := len(c.scope)
	c.scope = append(c.scope, j.names...)
	j.correlated = len(c.scope) > 0
	stages, err := c.within(list, joined, j.from)
	c.scope = c.scope[:n]
	if err != nil {
		return err
	}
	if j.pipeline = stages; stages == nil {
		j.pipeline = []stage{}
	}
	if j.from.src.Fields != nil && j.foreign != nil {
		j.from.src.Fields = append(j.from.src.Fields, j.foreign[0])
	}
	if src := sourceOf(list, j.from.class); j.local == nil {
		j.from.src.Where, j.from.src.Limit = src.Where, src.Limit
	} else {
		j.from.src.Where = src.Where
	}
	return nil
}

func (j *join) stage(r *run, docs []*parse.Map) ([]*parse.Map, error) {
	if len(docs) == 0 {
		return nil, nil
	}
	others, byKey, err := j.read(r, docs)
	if err != nil {
		return nil, err
	}
	var shared parse.Array // what a pipeline gives that depends on no document
	b := budget{lim: r.lim}
	out := make([]*parse.Map, len(docs))
	for i, d := range docs {
		if err := r.step(); err != nil {
			return nil, err
		}
		list := shared
		if list == nil {
			if list, err = j.matches(r, d, others, byKey); err != nil {
				return nil, err
			}
			if j.local == nil && !j.correlated {
				shared = list
			}
		}
		out[i] = set(d, j.as, list)
		if err := b.kept(r, out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mostJoinValues is up to how many values the database is asked for by the
// other class's documents that have one of them, not for all.
const mostJoinValues = 10_000

// read fetches the other class, with an index by the keys of its documents.
func (j *join) read(r *run, docs []*parse.Map) (others []*parse.Map, byKey map[string][]int, err error) {
	if j.local == nil {
		others, err = j.from.fetch(r, nil)
		return others, nil, err
	}
	var where query.Node
	if len(j.foreign) == 1 && j.from.class != nil {
		if values := j.wanted(docs); values != nil {
			where = anyOfValues(j.from.class, j.foreign[0], values)
		}
	}
	if others, err = j.from.fetch(r, where); err != nil {
		return nil, nil, err
	}
	byKey = map[string][]int{}
	for i, o := range others {
		if err := r.step(); err != nil {
			return nil, nil, err
		}
		for _, k := range joinKeys(o, j.foreign) {
			byKey[k] = append(byKey[k], i)
		}
	}
	return others, byKey, nil
}

// wanted are the values by which documents look others up; nil if there are
// too many.
func (j *join) wanted(docs []*parse.Map) []parse.Value {
	values := newSet()
	for _, d := range docs {
		for _, v := range joinValues(d, j.local) {
			values.add(v)
		}
		if len(values.list) > mostJoinValues {
			return nil
		}
	}
	return values.list
}

// matches lists the documents of the other class that belong to one.
func (j *join) matches(r *run, d *parse.Map, others []*parse.Map, byKey map[string][]int) (parse.Array, error) {
	found := others
	if j.local != nil {
		var at []int
		for _, k := range joinKeys(d, j.local) {
			at = append(at, byKey[k]...)
		}
		slices.Sort(at)
		at = slices.Compact(at)
		found = make([]*parse.Map, len(at))
		for i, n := range at {
			found[i] = others[n]
		}
	}
	if j.pipeline != nil {
		vars, err := bind(r.env(d), j.names, j.values)
		if err != nil {
			return nil, err
		}
		if found, err = runStages(r.with(vars), j.pipeline, found); err != nil {
			return nil, err
		}
	}
	list := make(parse.Array, len(found))
	for i, m := range found {
		list[i] = m
	}
	return list, nil
}

// joinValues are the values by which $lookup finds a document; missing counts
// as null.
func joinValues(d parse.Value, path []string) []parse.Value {
	var out []parse.Value
	for _, v := range reachOne(d, path) {
		list, ok := v.(parse.Array)
		if !ok {
			out = append(out, orNull(v))
		}
		out = append(out, list...)
	}
	return out
}

func joinKeys(d parse.Value, path []string) []string {
	var out []string
	for _, v := range joinValues(d, path) {
		if key := string(appendKey(nil, v)); !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}

func (c *compiler) unionWith(arg parse.Value) (stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		m = parse.NewMap(parse.MapField{Key: "coll", Value: arg})
	}
	if err := checkArguments("$unionWith", m, []string{"coll"}, []string{"pipeline"}); err != nil {
		return nil, err
	}
	v, _ := m.Get("coll")
	from, err := c.open("$unionWith", v)
	if err != nil {
		return nil, err
	}
	var stages []stage
	if v, given := m.Get("pipeline"); given {
		list, err := subPipeline("$unionWith", v)
		if err != nil {
			return nil, err
		}
		if stages, err = c.within(list, joined, from); err != nil {
			return nil, err
		}
		src := sourceOf(list, from.class)
		from.src.Where, from.src.Limit = src.Where, src.Limit
	}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		more, err := from.fetch(r, nil)
		if err != nil {
			return nil, err
		}
		if more, err = runStages(r, stages, more); err != nil {
			return nil, err
		}
		b := budget{lim: r.lim}
		out := slices.Concat(docs, more)
		for _, d := range out {
			if err := b.add(d); err != nil {
				return nil, err
			}
		}
		return out, nil
	}, nil
}

// graph is a $graphLookup.
type graph struct {
	from       *other
	start      expr
	fromField  []string
	toField    []string
	as         []string
	depthField []string // nil: none
	most       int      // levels; -1: all
	only       filter
}

func (c *compiler) graphLookup(arg parse.Value) (stage, error) {
	m, _ := arg.(*parse.Map)
	if err := checkArguments("$graphLookup", m, []string{"from", "startWith", "connectFromField", "connectToField", "as"},
		[]string{"maxDepth", "depthField", "restrictSearchWithMatch"}); err != nil {
		return nil, err
	}
	g := &graph{most: -1, only: allOf(nil)}
	for name, to := range map[string]*[]string{"connectFromField": &g.fromField, "connectToField": &g.toField, "as": &g.as, "depthField": &g.depthField} {
		v, given := m.Get(name)
		if !given {
			continue
		}
		s, _ := v.(string)
		var err error
		if *to, err = fieldPath("$graphLookup", s); err != nil {
			return nil, err
		}
	}
	if v, given := m.Get("maxDepth"); given {
		var ok bool
		if g.most, ok = whole(v); !ok || g.most < 0 {
			return nil, errorf("$graphLookup requires 'maxDepth' to be an integer that is not negative")
		}
	}
	v, _ := m.Get("startWith")
	var err error
	if g.start, err = c.expr(v); err != nil {
		return nil, err
	}
	v, _ = m.Get("from")
	if g.from, err = c.open("$graphLookup", v); err != nil {
		return nil, err
	}
	g.from.src.Named = []string{g.fromField[0], g.toField[0]}
	if v, given := m.Get("restrictSearchWithMatch"); given {
		outer := c.seen
		c.seen = &sight{}
		g.only, err = c.filter(v)
		g.from.src.Named = append(g.from.src.Named, c.seen.named()...)
		c.seen = outer
		if err != nil {
			return nil, err
		}
		restrict, _ := v.(*parse.Map)
		g.from.src.Where, _ = pushable(restrict, g.from.class)
	}
	return g.stage, nil
}

func (g *graph) stage(r *run, docs []*parse.Map) ([]*parse.Map, error) {
	if len(docs) == 0 {
		return nil, nil
	}
	all, err := g.from.fetch(r, nil)
	if err != nil {
		return nil, err
	}
	byKey := map[string][]int{}
	for i, o := range all {
		ok, err := g.only(r.env(o))
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		for _, k := range joinKeys(o, g.toField) {
			byKey[k] = append(byKey[k], i)
		}
	}
	b := budget{lim: r.lim}
	out := make([]*parse.Map, len(docs))
	for i, d := range docs {
		list, err := g.reached(r, d, all, byKey)
		if err != nil {
			return nil, err
		}
		out[i] = set(d, g.as, list)
		if err := b.kept(r, out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// reached walks level by level from the values at which a document begins.
func (g *graph) reached(r *run, d *parse.Map, all []*parse.Map, byKey map[string][]int) (parse.Array, error) {
	v, err := g.start(r.env(d))
	if err != nil {
		return nil, err
	}
	next := joinKeys(parse.NewMap(parse.MapField{Key: keyID, Value: v}), []string{keyID})
	if isMissing(v) {
		next = nil
	}
	asked, seen, out := map[string]bool{}, map[int]bool{}, parse.Array{}
	for depth := 0; len(next) > 0 && (g.most < 0 || depth <= g.most); depth++ {
		var level []int
		for _, k := range next {
			if asked[k] {
				continue
			}
			asked[k] = true
			for _, n := range byKey[k] {
				if err := r.step(); err != nil {
					return nil, err
				}
				if !seen[n] {
					seen[n] = true
					level = append(level, n)
				}
			}
		}
		next = nil
		for _, n := range level {
			o := all[n]
			for _, v := range reachOne(o, g.fromField) {
				if !isMissing(v) {
					next = append(next, joinKeys(o, g.fromField)...)
					break
				}
			}
			if g.depthField != nil {
				o = set(o, g.depthField, float64(depth))
			}
			out = append(out, o)
		}
	}
	return out, nil
}
