package aggregate

import (
	"context"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Pipeline is a compiled pipeline. It may be run from many goroutines.
type Pipeline struct {
	o         Options
	stages    []stage
	relations []*schema.Field
	byPointer bool // a $group is by a pointer, whose id is that of the row
	where     query.Node
	limit     int
	scans     []*query.Scan // of regular expressions, which may take too long
}

// stage turns documents into others. It changes no document that it gets.
type stage func(r *run, docs []*parse.Map) ([]*parse.Map, error)

// compiler compiles one request.
type compiler struct {
	o      Options
	p      *Pipeline
	stages int
	scope  []string // variables that are defined
}

// Compile checks and compiles a pipeline. All errors are *parse.Error.
func Compile(list []Stage, o Options) (*Pipeline, error) {
	o.Limits = o.Limits.withDefaults()
	p := &Pipeline{o: o, limit: query.NoLimit}
	if o.Class != nil {
		for _, f := range o.Class.Fields {
			if f.Type == schema.Relation {
				p.relations = append(p.relations, f)
			}
		}
		slices.SortFunc(p.relations, func(a, b *schema.Field) int { return strings.Compare(a.Name, b.Name) })
	}
	c := &compiler{o: o, p: p}
	translated := make([]Stage, len(list))
	for i, s := range list {
		if o.RawValues {
			arg, err := fromEJSON(s.Arg)
			if err != nil {
				return nil, err
			}
			s.Arg = arg
		}
		translated[i] = c.translate(s)
	}
	var err error
	if p.stages, err = c.pipeline(translated, false); err != nil {
		return nil, err
	}
	p.source(translated)
	return p, nil
}

// source finds out what the database may do: narrow by a leading $match, stop
// at a leading $limit.
func (p *Pipeline) source(list []Stage) {
	if len(list) == 0 {
		return
	}
	switch first := list[0]; first.Name {
	case "$match":
		m, _ := first.Arg.(*parse.Map)
		p.where = pushable(m, p.o.Class)
	case "$limit":
		if n, ok := whole(first.Arg); ok {
			p.limit = n
		}
	}
}

// Source tells what documents the pipeline needs: those that satisfy a
// constraint, which may be more than the pipeline lets pass, and how many.
func (p *Pipeline) Source() (where query.Node, limit int) { return p.where, p.limit }

// Run runs the pipeline over documents, which it does not change. Errors are
// *parse.Error 102 or the context's.
func (p *Pipeline) Run(ctx context.Context, docs []*parse.Map) ([]*parse.Map, error) {
	return runStages(&run{ctx: ctx, p: p, lim: p.o.Limits}, p.stages, docs)
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

// pipeline compiles stages; inner ones are those of a $facet.
func (c *compiler) pipeline(list []Stage, inner bool) ([]stage, error) {
	out := make([]stage, 0, len(list))
	for _, s := range list {
		if c.stages++; c.stages > c.o.Limits.Stages {
			return nil, errorf("Pipeline has more than the maximum allowed %d stages", c.o.Limits.Stages)
		}
		compiled, err := c.stage(s, inner)
		if err != nil {
			return nil, err
		}
		out = append(out, compiled)
	}
	return out, nil
}

func (c *compiler) stage(s Stage, inner bool) (stage, error) {
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
	case "$facet":
		if inner {
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
	}
	return nil, errorf("Unrecognized pipeline stage name: '%s'", s.Name)
}
