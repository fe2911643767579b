package rest

import "context"

// requestPasswordReset is POST /requestPasswordReset (reference 03 §14).
func requestPasswordReset(ctx context.Context, c *call) (reply, error) {
	if err := c.h.auth.RequestPasswordReset(ctx, c.principal, c.body); err != nil {
		return reply{}, err
	}
	return reply{json: emptyObject}, nil
}

// verificationEmailRequest is POST /verificationEmailRequest (reference 03 §11.3).
func verificationEmailRequest(ctx context.Context, c *call) (reply, error) {
	if err := c.h.auth.RequestVerification(ctx, c.principal, c.body); err != nil {
		return reply{}, err
	}
	return reply{json: emptyObject}, nil
}
