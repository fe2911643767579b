package aggregate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Pipeline is a compiled pipeline. It may be run from many goroutines.
type Pipeline struct {
	o         Options
	stages    []stage
	relations []*schema.Field
	byPointer bool          // a $group is by a pointer, whose id is that of the row
	scans     []*query.Scan // of regular expressions, which may take too long
	list      []Stage
	source    Source
	others    []string
}

// Source is what a pipeline needs to know of the objects of its class.
type Source struct {
	// Where narrows them: all that the pipeline lets pass satisfies it.
	Where query.Node
	// Matched: Where is what a $match at the beginning says, no more and no
	// less, so that this stage need not be run.
	Matched bool
	// Limit is how many objects the pipeline looks at; query.NoLimit: all.
	Limit int
	// Fields are the stored names of those that it looks at, sorted; nil: all.
	Fields []string
	// Named are those that it looks at by name, whether or not it looks at all.
	Named []string
}

// stage turns documents into others. It changes no document that it gets.
type stage func(r *run, docs []*parse.Map) ([]*parse.Map, error)

// compiler compiles one request.
type compiler struct {
	o      Options
	p      *Pipeline
	stages int
	depth  int      // of pipelines within pipelines
	scope  []string // variables that are defined
	// redact: $$DESCEND, $$PRUNE and $$KEEP are defined.
	redact bool
	// seen are the fields of the documents at hand that are looked at.
	seen *sight
}

// Compile checks and compiles a pipeline. All errors are *parse.Error.
func Compile(list []Stage, o Options) (*Pipeline, error) {
	o.Limits = o.Limits.withDefaults()
	p := &Pipeline{o: o}
	if o.Class != nil {
		for _, f := range o.Class.Fields {
			if f.Type == schema.Relation && !slices.Contains(o.Hidden, f.Name) {
				p.relations = append(p.relations, f)
			}
		}
		slices.SortFunc(p.relations, func(a, b *schema.Field) int { return strings.Compare(a.Name, b.Name) })
	}
	c := &compiler{o: o, p: p, seen: &sight{}}
	p.list = make([]Stage, len(list))
	for i, s := range list {
		if o.RawValues {
			arg, err := fromEJSON(s.Arg)
			if err != nil {
				return nil, err
			}
			s.Arg = arg
		}
		s = c.translate(s)
		s.Arg = stored(s.Arg)
		p.list[i] = s
	}
	var err error
	if p.stages, err = c.pipeline(p.list, top); err != nil {
		return nil, err
	}
	p.source = sourceOf(p.list, o.Class)
	p.source.Fields, p.source.Named = c.seen.names(), c.seen.named()
	return p, nil
}

// sourceOf finds out what the database may do: narrow by a leading $match, stop
// at a leading $limit.
func sourceOf(list []Stage, class *schema.Class) Source {
	src := Source{Limit: query.NoLimit}
	if len(list) == 0 {
		return src
	}
	switch first := list[0]; first.Name {
	case "$match":
		m, _ := first.Arg.(*parse.Map)
		src.Where, src.Matched = pushable(m, class)
	case "$geoNear":
		m, _ := first.Arg.(*parse.Map)
		src.Where = nearby(m, class)
	case "$limit":
		if n, ok := whole(first.Arg); ok {
			src.Limit = n
		}
	}
	return src
}

// Source tells what documents the pipeline needs.
func (p *Pipeline) Source() Source { return p.source }

// Stages returns the stages in stored names and values. The caller must not
// change them.
func (p *Pipeline) Stages() []Stage { return p.list }

// Classes returns the names of the other classes that the pipeline reads.
func (p *Pipeline) Classes() []string { return p.others }

// Run runs the pipeline over documents, which it does not change, but for the
// first done stages, which gave these documents. Errors are *parse.Error 102 or
// the context's.
func (p *Pipeline) Run(ctx context.Context, docs []*parse.Map, done int) ([]*parse.Map, error) {
	return runStages(&run{ctx: ctx, p: p, lim: p.o.Limits, steps: new(int), finding: new(time.Duration)}, p.stages[done:], docs)
}

func runStages(r *run, stages []stage, docs []*parse.Map) ([]*parse.Map, error) {
	for _, s := range stages {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if docs, err = s(r, docs); err != nil {
			return nil, err
		}
		for _, scan := range r.p.scans {
			if err := scan.Err(); err != nil {
				return nil, err
			}
		}
	}
	return docs, nil
}

// place is where a pipeline stands, which some stages are not allowed in.
type place uint8

const (
	top     place = iota
	faceted       // in a $facet
	joined        // in a $lookup or $unionWith
)

// maxNested is how deep pipelines may stand within pipelines, as in MongoDB.
const maxNested = 20

// pipeline compiles stages. Where they leave documents as they are in some
// field, all fields have been looked at in the end.
func (c *compiler) pipeline(list []Stage, at place) ([]stage, error) {
	if c.depth++; c.depth > maxNested {
		return nil, errorf("Pipelines are nested deeper than the maximum of %d", maxNested)
	}
	out := make([]stage, 0, len(list))
	for i, s := range list {
		if c.stages++; c.stages > c.o.Limits.Stages {
			return nil, errorf("Pipeline has more than the maximum allowed %d stages", c.o.Limits.Stages)
		}
		if s.Name == "$geoNear" && (i > 0 || at == faceted) {
			return nil, errorf("$geoNear was not the first stage in the pipeline.")
		}
		compiled, err := c.stage(s, at)
		if err != nil {
			return nil, err
		}
		out = append(out, compiled)
	}
	c.depth--
	c.seen.whole()
	return out, nil
}

// within compiles a pipeline over the documents of another class and notes
// which of their fields it looks at.
func (c *compiler) within(list []Stage, at place, o *other) ([]stage, error) {
	outer, class := c.seen, c.o.Class
	c.seen, c.o.Class = &sight{}, o.class
	stages, err := c.pipeline(list, at)
	o.src.Fields, o.src.Named = c.seen.names(), c.seen.named()
	c.seen, c.o.Class = outer, class
	return stages, err
}

// subPipeline reads the pipeline that stands in a stage.
func subPipeline(op string, v parse.Value) ([]Stage, error) {
	list, ok := v.(parse.Array)
	if !ok {
		return nil, errorf("the pipeline of %s must be an array", op)
	}
	return fromArray(list)
}

func (c *compiler) stage(s Stage, at place) (stage, error) {
	switch s.Name {
	case "$match":
		return c.match(s.Arg)
	case "$project":
		return c.project(s.Arg)
	case "$addFields", "$set":
		return c.addFields(s)
	case "$unset":
		return c.unset(s.Arg)
	case "$group":
		return c.group(s.Arg)
	case "$sort":
		return c.sort(s.Arg)
	case "$limit", "$skip":
		return c.page(s)
	case "$unwind":
		return c.unwind(s.Arg)
	case "$lookup":
		return c.lookup(s.Arg)
	case "$graphLookup":
		return c.graphLookup(s.Arg)
	case "$unionWith":
		return c.unionWith(s.Arg)
	case "$facet":
		if at == faceted {
			return nil, errorf("$facet is not allowed to be used within a $facet stage")
		}
		return c.facet(s.Arg)
	case "$count":
		return c.count(s.Arg)
	case "$sample":
		return c.sample(s.Arg)
	case "$sortByCount":
		return c.sortByCount(s.Arg)
	case "$replaceRoot", "$replaceWith":
		return c.replaceRoot(s)
	case "$bucket":
		return c.bucket(s.Arg)
	case "$bucketAuto":
		return c.bucketAuto(s.Arg)
	case "$redact":
		return c.redactStage(s.Arg)
	case "$geoNear":
		return c.geoNear(s.Arg)
	case "$setWindowFields":
		return c.windows(s.Arg)
	case "$densify":
		return c.densify(s.Arg)
	case "$fill":
		return c.fill(s.Arg)
	}
	// $out, $merge and what tells of the database are among these.
	return nil, errorf("Unrecognized pipeline stage name: '%s'", s.Name)
}
