package provider

import (
	"context"
	"encoding/json"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func newLine(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	return newCode(raw, e, flow{
		name:     "Line",
		exchange: exchange("https://api.line.me/oauth2/v2.1/token"),
		user: func(ctx context.Context, p *code, token string, _ *parse.Map) (string, error) {
			a, err := p.client.get(ctx, "https://api.line.me/v2/profile", "Authorization", "Bearer "+token)
			if err != nil {
				return "", err
			}
			if !a.ok() {
				return "", invalid("Failed to fetch Line user: %s", a.reason())
			}
			id := get(a.object(), "userId")
			if id == "" {
				return "", malformed("Invalid Line user data received.")
			}
			return id, nil
		},
	})
}
