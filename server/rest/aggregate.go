package rest

import (
	"context"
	"net/url"
	"strings"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// aggregation is GET /aggregate/:className (reference 01 §10).
func aggregation(ctx context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	params, err := c.queryParams()
	if err != nil {
		return reply{}, err
	}
	a, err := c.aggregation(params)
	if err != nil {
		return reply{}, err
	}
	results, err := c.objs.Aggregate(ctx, c.principal, c.params[0], a)
	if err != nil {
		return reply{}, err
	}
	out := append(c.bufs.out[:0], `{"results":`...)
	out = append(parse.AppendJSON(out, results), '}')
	c.bufs.out = out
	return reply{json: out}, nil
}

// aggregation reads the parameters of an aggregate or distinct.
func (c *call) aggregation(params *parse.Map) (*objects.Aggregation, error) {
	if v, ok := params.Get("explain"); ok && parse.Truthy(v) {
		return nil, parse.Errorf(parse.InvalidQuery, "explain is not supported in this version")
	}
	a := &objects.Aggregation{Pipeline: c.inOrder(params)}
	where, _ := params.Get("where")
	if s, ok := where.(string); ok && s != "" {
		v, err := parse.Decode([]byte(s), parse.DefaultLimits)
		if err != nil {
			return nil, &parse.Error{Code: parse.InvalidJSON, Message: "where parameter is not valid JSON", Err: err}
		}
		where = v
	} else if ok {
		where = nil
	}
	var err error
	if a.Where, err = query.ParseWhere(where, c.h.o.Limits, c.scope()); err != nil {
		return nil, err
	}
	if v, ok := params.Get("distinct"); ok && parse.Truthy(v) {
		if a.Distinct, ok = v.(string); !ok {
			return nil, parse.Errorf(parse.InvalidQuery, "distinct must be the name of a field")
		}
		return a, nil
	}
	flag := func(key string) bool {
		v, _ := params.Get(key)
		return v != "false" && parse.Truthy(v)
	}
	a.RawNames, a.RawValues = flag("rawFieldNames"), flag("rawValues")
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
