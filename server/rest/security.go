package rest

import (
	"context"
	"net/http"
)

// security is GET /security (reference 04 §13).
func security(ctx context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	if c.h.o.Security == nil {
		return reply{}, &statusError{http.StatusConflict, "Enable Parse Server option `security.enableCheck` to run security check."}
	}
	return c.json(c.h.o.Security.Examine(ctx).JSON()), nil
}
