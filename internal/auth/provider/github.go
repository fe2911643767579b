package provider

import (
	"context"
	"encoding/json"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func newGitHub(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	return newCode(raw, e, flow{
		name:     "GitHub",
		exchange: exchange("https://github.com/login/oauth/access_token"),
		user: func(ctx context.Context, p *code, token string, _ *parse.Map) (string, error) {
			a, err := p.client.get(ctx, "https://api.github.com/user", "Authorization", "Bearer "+token)
			if err != nil {
				return "", err
			}
			if !a.ok() {
				return "", malformed("Failed to fetch GitHub user: %s", a.reason())
			}
			m := a.object()
			if get(m, "id") == "" || get(m, "login") == "" {
				return "", malformed("Invalid GitHub user data received.")
			}
			return get(m, "id"), nil
		},
	})
}

// exchange asks for a token, and passes on what the provider says of a failure.
func exchange(target string) func(context.Context, *code, *parse.Map) (string, string, error) {
	return func(ctx context.Context, p *code, data *parse.Map) (string, string, error) {
		m, err := p.token(ctx, target, p.form(data), func(a *answer) error {
			m := a.object()
			for _, key := range [...]string{"error_description", "error"} {
				if said := get(m, key); said != "" && a.ok() {
					return invalid("%s", said)
				}
			}
			return malformed("Failed to exchange code for token: %s", a.reason())
		})
		return get(m, "access_token"), "", err
	}
}
