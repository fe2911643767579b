package rest

import (
	"context"
	"slices"

	"github.com/pargo-baas/pargo/parse"
)

// audienceClass has the stored queries of push audiences.
const audienceClass = "_Audience"

// forMaster is a handler for the master key alone. What the read-only one may
// not do, the objects refuse by themselves.
func forMaster(do handlerFunc) handlerFunc {
	return func(ctx context.Context, c *call) (reply, error) {
		if err := c.masterOnly(true); err != nil {
			return reply{}, err
		}
		return do(ctx, c)
	}
}

// readAudience answers audiences with their query as an object (reference 07
// §8); it is stored as text, and is text under /classes.
func readAudience(do handlerFunc) handlerFunc {
	return forMaster(func(ctx context.Context, c *call) (reply, error) {
		r, err := do(ctx, c)
		if err != nil {
			return r, err
		}
		// The answer is few and small: reading it back spares a second way to write it.
		m, err := parse.DecodeMap(slices.Clone(r.json), parse.Limits{})
		if err != nil {
			return reply{}, err
		}
		if v, ok := m.Get("results"); ok {
			list, _ := v.(parse.Array)
			for _, o := range list {
				if o, ok := o.(*parse.Map); ok {
					openQuery(o)
				}
			}
		} else {
			openQuery(m)
		}
		return c.json(m), nil
	})
}

// openQuery replaces the text of a query by what it says; text that is no
// JSON object stays.
func openQuery(o *parse.Map) {
	text := o.String("query")
	if text == "" {
		return
	}
	if q, err := parse.DecodeMap([]byte(text), parse.DefaultLimits); err == nil {
		o.Set("query", q)
	}
}
