package rest

import (
	"context"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/cloudcode/webhook"
	"github.com/pargo-baas/pargo/internal/hooks"
	"github.com/pargo-baas/pargo/parse"
)

// The routes below /hooks keep webhooks (reference 06 §11.1).

func hookBody(h *webhook.Hook) *parse.Map {
	if h.Function != "" {
		return parse.NewMap(parse.MapField{Key: "functionName", Value: h.Function}, parse.MapField{Key: "url", Value: h.URL})
	}
	return parse.NewMap(parse.MapField{Key: "className", Value: h.Class},
		parse.MapField{Key: "triggerName", Value: string(h.Trigger)}, parse.MapField{Key: "url", Value: h.URL})
}

// listHooks answers all hooks of functions, or of triggers.
func listHooks(functions bool) handlerFunc {
	return forMaster(func(_ context.Context, c *call) (reply, error) {
		list := parse.Array{}
		for _, h := range c.h.o.Hooks.List(functions) {
			list = append(list, hookBody(&h))
		}
		c.bufs.out = parse.AppendJSON(c.bufs.out[:0], list)
		return reply{json: c.bufs.out}, nil
	})
}

// named is the hook that the path names.
func (c *call) named(function bool) webhook.Hook {
	if function {
		return webhook.Hook{Function: c.params[0]}
	}
	return webhook.Hook{Class: c.params[0], Trigger: cloudcode.Trigger(c.params[1])}
}

func getHook(function bool) handlerFunc {
	return forMaster(func(_ context.Context, c *call) (reply, error) {
		want := c.named(function)
		for _, h := range c.h.o.Hooks.List(function) {
			if h.Function == want.Function && h.Class == want.Class && h.Trigger == want.Trigger {
				return c.json(hookBody(&h)), nil
			}
		}
		return reply{}, hooks.Unknown(&want)
	})
}

func createHook(function bool) handlerFunc {
	return forMaster(func(ctx context.Context, c *call) (reply, error) {
		h := webhook.Hook{URL: c.body.String("url")}
		if function {
			h.Function = c.body.String("functionName")
		} else {
			h.Class, h.Trigger = c.body.String("className"), cloudcode.Trigger(c.body.String("triggerName"))
		}
		if err := c.h.o.Hooks.Create(ctx, c.principal, h); err != nil {
			return reply{}, err
		}
		return c.json(hookBody(&h)), nil
	})
}

// updateHook is also the way to remove a hook: there is no other.
func updateHook(function bool) handlerFunc {
	return forMaster(func(ctx context.Context, c *call) (reply, error) {
		h := c.named(function)
		if c.body.String("__op") == "Delete" {
			if err := c.h.o.Hooks.Delete(ctx, c.principal, h); err != nil {
				return reply{}, err
			}
			return reply{json: emptyObject}, nil
		}
		h.URL = c.body.String("url")
		if err := c.h.o.Hooks.Update(ctx, c.principal, h); err != nil {
			return reply{}, err
		}
		return c.json(hookBody(&h)), nil
	})
}
