package rest

import (
	"context"

	"github.com/pargo-baas/pargo/parse"
)

// challenge is POST /challenge (reference 03 §8.4).
func challenge(ctx context.Context, c *call) (reply, error) {
	m, err := c.h.auth.Challenge(ctx, c.principal, c.body)
	if err != nil {
		return reply{}, err
	}
	return reply{json: parse.AppendJSON(nil, m)}, nil
}
