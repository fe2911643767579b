package rest

import (
	"context"
	"time"

	"github.com/pargo-baas/pargo/internal/doctor"
	"github.com/pargo-baas/pargo/parse"
)

// examine is GET /doctor, which Parse Server does not have. The parameter slow
// is the 95th percentile, in milliseconds, from which on a query without an
// index is a finding; with security=true the checks of GET /security are part of it.
func examine(ctx context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	params, err := c.queryParams()
	if err != nil {
		return reply{}, err
	}
	slow, withSecurity := doctor.DefaultSlow, false
	for k, v := range params.All() {
		if on, ok := v.(bool); k == "security" && ok {
			withSecurity = on
			continue
		}
		ms, ok := v.(float64)
		switch {
		case k != "slow":
			return reply{}, parse.Errorf(parse.InvalidQuery, "Invalid parameter for query: %s", k)
		case !ok || ms < 0 || ms > 3_600_000:
			return reply{}, parse.Errorf(parse.InvalidQuery, "slow must be a number of milliseconds")
		}
		slow = time.Duration(ms * float64(time.Millisecond))
	}
	return c.json(c.h.o.Doctor(slow, withSecurity).Examine(ctx).JSON()), nil
}
