package rest

import (
	"context"
	"net/url"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// aggregation is GET /aggregate/:className (reference 01 §10). It is for the
// master keys and, where the class says so, for others.
func aggregation(ctx context.Context, c *call) (reply, error) {
	class := c.params[0]
	if err := c.mayAggregate(class); err != nil {
		return reply{}, err
	}
	params, err := c.queryParams()
	if err != nil {
		return reply{}, err
	}
	a, err := c.aggregation(class, params)
	if err != nil {
		return reply{}, err
	}
	var results parse.Array
	err = c.withRoom(ctx, func(m storage.Meter) (err error) {
		a.Meter = m
		results, err = c.objs.Aggregate(ctx, c.principal, class, a)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	if c.large() {
		return reply{pieces: inPieces(len(results)+1, func(out []byte, i int) []byte {
			if i == 0 {
				out = append(out, `{"results":[`...)
			}
			if i == len(results) {
				return append(out, "]}"...)
			}
			if i > 0 {
				out = append(out, ',')
			}
			return parse.AppendJSON(out, results[i])
		})}, nil
	}
	out := append(c.bufs.out[:0], `{"results":`...)
	out = append(parse.AppendJSON(out, results), '}')
	c.bufs.out = out
	return reply{json: out}, nil
}

// mayAggregate answers as Parse Server does unless the class has a permission
// to aggregate: what it then says is for the gate to enforce.
func (c *call) mayAggregate(class string) error {
	switch c.principal.Kind {
	case access.ReadOnlyMaster:
		if c.h.o.NoReadOnlyAggregate {
			return parse.Denyf(parse.OperationForbidden, "Cannot run an aggregation pipeline when using the readOnlyMasterKey")
		}
	case access.Client:
		if d := c.objs.Registry().Current().Class(class); d != nil && d.CLP != nil && d.CLP.Ops[schema.Aggregate] != nil {
			return nil
		}
	case access.Master, access.Maintenance:
	}
	return c.masterOnly(true)
}

// queryOptions are the parameters that aggregates share with finds.
var queryOptions = [...]string{"where", "hint", "explain", "comment", "readPreference"}

// aggregation reads the parameters of an aggregate or distinct.
func (c *call) aggregation(class string, params *parse.Map) (*objects.Aggregation, error) {
	a := &objects.Aggregation{Pipeline: c.inOrder(params)}
	shared := &parse.Map{}
	for _, key := range queryOptions {
		if v, ok := params.Get(key); ok {
			shared.Set(key, v)
		}
	}
	q, err := c.parseQuery(class, shared)
	if err != nil {
		return nil, err
	}
	a.Where, a.Advice, a.Explain = q.Where, q.Advice, q.Explain
	if v, ok := params.Get("distinct"); ok && parse.Truthy(v) {
		if a.Distinct, ok = v.(string); !ok {
			return nil, parse.Errorf(parse.InvalidQuery, "distinct must be the name of a field")
		}
		return a, nil
	}
	flag := func(key string, def bool) bool {
		v, ok := params.Get(key)
		if !ok {
			return def
		}
		return v != "false" && parse.Truthy(v)
	}
	a.RawNames, a.RawValues = flag("rawFieldNames", c.h.o.RawAggregateNames), flag("rawValues", c.h.o.RawAggregateValues)
	if x := c.h.o.Complexity; x != nil && !c.principal.Bypass() {
		if err := x.Where.Check(a.Pipeline); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// inOrder puts parameters of the URL, which may be stages, into the order in
// which they stand there.
func (c *call) inOrder(params *parse.Map) *parse.Map {
	if c.nested || c.req.URL.RawQuery == "" {
		return params
	}
	out := c.body.Clone()
	for pair := range strings.SplitSeq(c.req.URL.RawQuery, "&") {
		text, _, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(text)
		if v, ok := params.Get(key); ok && err == nil {
			out.Set(key, v)
		}
	}
	return out
}
