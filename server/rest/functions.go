package rest

import (
	"context"
	"maps"
	"net/http"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// origin lets cloud code know where it comes from. Without cloud code there is
// nobody to know it.
func (c *call) origin(ctx context.Context) context.Context {
	if c.objs.App().Empty() {
		return ctx
	}
	return cloudcode.WithOrigin(ctx, &cloudcode.Origin{
		Headers: c.req.Header, RequestID: first(c.req.Header, "X-Parse-Request-Id"), Context: c.context,
	})
}

// function is POST /functions/:name (reference 06 §10).
func function(ctx context.Context, c *call) (reply, error) {
	name := c.params[0]
	app := c.objs.App()
	if !app.HasFunction(name) {
		return reply{}, parse.Errorf(parse.ScriptFailed, "Invalid function: %q", name)
	}
	params, err := c.functionParams()
	if err != nil {
		return reply{}, err
	}
	r := &cloudcode.FunctionRequest{Request: c.objs.Request(ctx, c.principal), Name: name, Params: params}
	v, err := app.RunFunction(ctx, r)
	if err != nil {
		return reply{}, err
	}
	out := reply{status: r.Status, json: emptyObject}
	if v != cloudcode.NoResult {
		b := append(c.bufs.out[:0], `{"result":`...)
		b = parse.AppendJSON(b, v)
		c.bufs.out = append(b, '}')
		out.json = c.bufs.out
	}
	if c.nested {
		return out, nil
	}
	maps.Copy(c.Header(), r.Header)
	if r.Status != 0 && (r.Status < http.StatusOK || r.Status > 599) {
		return reply{}, parse.Errorf(parse.ScriptFailed, "Function %s answers with the status %d, which is none.", name, r.Status)
	}
	return out, nil
}

// functionParams are the body with the parameters of the URL over it, which
// are texts whatever they look like.
func (c *call) functionParams() (*parse.Map, error) {
	if !c.nested && c.isMultipart() {
		body, err := c.readMultipart()
		if err != nil {
			return nil, err
		}
		c.body = body
	}
	if c.nested || c.req.URL.RawQuery == "" {
		return c.body, nil
	}
	m := c.body.Clone()
	for k, list := range inOrder(c.req.URL.Query()) {
		m.Set(k, list[0])
	}
	return m, nil
}
