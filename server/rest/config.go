package rest

import (
	"context"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/logstore"
	"github.com/pargo-baas/pargo/parse"
)

// readConfig is GET /config (reference 06 §13).
func readConfig(ctx context.Context, c *call) (reply, error) {
	conf, err := c.h.o.Config.Get(ctx, c.principal)
	if err != nil {
		return reply{}, err
	}
	if conf == nil {
		return reply{json: []byte(`{"params":{}}`)}, nil
	}
	return c.json(parse.NewMap(
		parse.MapField{Key: "params", Value: conf.Params}, parse.MapField{Key: "masterKeyOnly", Value: conf.MasterKeyOnly})), nil
}

// writeConfig is PUT /config.
func writeConfig(ctx context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	var parts [2]*parse.Map
	for i, name := range [...]string{"params", "masterKeyOnly"} {
		switch v, _ := c.body.Get(name); v := v.(type) {
		case nil:
			parts[i] = &parse.Map{}
		case *parse.Map:
			parts[i] = v
		default:
			return reply{}, parse.Errorf(parse.InvalidJSON, "%s must be an object", name)
		}
	}
	if err := c.h.o.Config.Set(ctx, c.principal, parts[0], parts[1]); err != nil {
		return reply{}, err
	}
	return reply{json: []byte(`{"result":true}`)}, nil
}

// event is POST /events/:eventName: something that a client wants counted. That
// nobody counts it, or fails to, is nothing to the client.
func event(ctx context.Context, c *call) (reply, error) {
	app := c.objs.App()
	r := &cloudcode.AnalyticsEvent{Request: c.objs.Request(ctx, c.principal), Name: c.params[0], At: c.h.o.now()}
	if v, ok := c.body.Get("dimensions"); ok {
		r.Dimensions, _ = v.(*parse.Map)
	}
	if v, ok := c.body.Get("at"); ok {
		if d, ok := v.(parse.Date); ok {
			r.At = d.Time()
		}
	}
	if err := app.RunOnAnalytics(ctx, r); err != nil {
		c.h.o.Log.WarnContext(ctx, "an event was not counted", "event", r.Name, "error", err)
	}
	return reply{json: emptyObject}, nil
}

// scriptLog is GET /scriptlog: the last lines of the log.
func scriptLog(_ context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	params, err := c.queryParams()
	if err != nil {
		return reply{}, err
	}
	now := c.h.o.now()
	q := logstore.Query{
		Errors: params.String("level") == "error", Oldest: params.String("order") == "asc",
		From: now.AddDate(0, 0, -7), Until: now, Limit: 10,
	}
	for name, into := range map[string]*time.Time{"from": &q.From, "until": &q.Until} {
		v, _ := params.Get(name)
		switch v := v.(type) {
		case nil:
		case parse.Date:
			*into = v.Time()
		case string:
			d, ok := parse.ParseDate(v)
			if !ok {
				return reply{}, parse.Errorf(parse.InvalidQuery, "%s is no date", name)
			}
			*into = d.Time()
		default:
			return reply{}, parse.Errorf(parse.InvalidQuery, "%s is no date", name)
		}
	}
	for _, name := range [...]string{"size", "n"} { // n wins
		if v, ok := params.Get(name); ok {
			n, ok := v.(float64)
			if !ok || n < 0 {
				return reply{}, parse.Errorf(parse.InvalidQuery, "%s must be a number that is not negative", name)
			}
			q.Limit = int(min(n, 1e6))
		}
	}
	out := append(c.bufs.out[:0], '[')
	for i, l := range c.h.o.Logs.Lines(q) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, l.JSON...)
	}
	c.bufs.out = append(out, ']')
	return reply{json: c.bufs.out}, nil
}
