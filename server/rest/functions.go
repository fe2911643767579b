package rest

import (
	"context"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// function is POST /functions/:name (reference 06 §10).
func function(ctx context.Context, c *call) (reply, error) {
	name := c.params[0]
	app := c.objs.App()
	if !app.HasFunction(name) {
		return reply{}, parse.Errorf(parse.ScriptFailed, "Invalid function: %q", name)
	}
	params, err := c.queryParams()
	if err != nil {
		return reply{}, err
	}
	v, err := app.RunFunction(ctx, &cloudcode.FunctionRequest{
		Caller:  c.objs.Caller(c.principal),
		Name:    name,
		Params:  params,
		Context: c.context,
		Client:  c.objs.Client(c.principal),
	})
	if err != nil {
		return reply{}, err
	}
	out := append(c.bufs.out[:0], `{"result":`...)
	out = parse.AppendJSON(out, v)
	c.bufs.out = append(out, '}')
	return reply{json: c.bufs.out}, nil
}
