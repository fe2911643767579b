package rest

import (
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Complexity is the option requestComplexity as far as requests show it. A
// zero field is no limit. It does not hold for master and maintenance keys.
type Complexity struct {
	Where                                     *query.Complexity
	IncludeDepth, IncludeCount, BatchRequests int
}

// parseQuery reads the parameters of a query of a class.
func (c *call) parseQuery(class string, params *parse.Map) (*query.Query, error) {
	x := c.h.o.Complexity
	if x == nil || c.principal.Bypass() {
		return query.ParseQuery(params, c.h.o.Limits, c.scope())
	}
	if where, ok := params.Get("where"); ok {
		if s, ok := where.(string); ok {
			if v, err := parse.Decode([]byte(s), parse.Limits{}); err == nil { // as ParseQuery does
				params, where = params.Clone(), v
				params.Set("where", where)
			}
		}
		if err := x.Where.Check(where); err != nil {
			return nil, err
		}
	}
	q, err := query.ParseQuery(params, c.h.o.Limits, c.scope())
	if err != nil {
		return nil, err
	}
	return q, x.CheckInclude(q, c.objs.Registry().Current(), class)
}

// CheckInclude checks the paths of include, those that follow from dotted keys
// among them.
func (x *Complexity) CheckInclude(q *query.Query, s *schema.Snapshot, class string) error {
	deepest := 0
	for _, path := range q.Include {
		deepest = max(deepest, strings.Count(path, ".")+1)
	}
	if x.IncludeDepth > 0 && deepest > x.IncludeDepth {
		return parse.Errorf(parse.InvalidQuery, "Include depth of %d exceeds maximum allowed depth of %d", deepest, x.IncludeDepth)
	}
	if x.IncludeCount == 0 {
		return nil
	}
	n := len(q.Include)
	if q.IncludeAll {
		n += implied(q, s, class)
	}
	if n > x.IncludeCount {
		return parse.Errorf(parse.InvalidQuery, "Number of include fields (%d) exceeds maximum allowed (%d)", n, x.IncludeCount)
	}
	return nil
}

// implied counts the includes that includeAll adds to those that are named.
func implied(q *query.Query, s *schema.Snapshot, class string) int {
	c := s.Class(class)
	if c != nil && q.Redirect != "" {
		if f := c.Field(q.Redirect); f != nil && f.TargetClass != "" {
			c = s.Class(f.TargetClass)
		}
	}
	if c == nil {
		return 0
	}
	named := make(map[string]bool, len(q.Include))
	for _, path := range q.Include {
		named[path] = true
	}
	n := 0
	for name, f := range c.Fields {
		if (f.Type == schema.Pointer || f.Type == schema.Array) && !named[name] {
			n++
		}
	}
	return n
}

// checkBatch bounds the items of a batch by the option requestComplexity.
func (c *call) checkBatch(items int) error {
	x := c.h.o.Complexity
	if x == nil || x.BatchRequests == 0 || items <= x.BatchRequests || c.principal.Bypass() {
		return nil
	}
	return tooManyItems(items, x.BatchRequests)
}

func tooManyItems(n, limit int) error {
	return parse.Errorf(parse.InvalidJSON, "Batch request contains %d sub-requests, which exceeds the limit of %d.", n, limit)
}
