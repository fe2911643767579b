package provider

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func newWeibo(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	return newCode(raw, e, flow{
		name: "Weibo",
		exchange: func(ctx context.Context, p *code, data *parse.Map) (string, string, error) {
			m, err := p.token(ctx, "https://api.weibo.com/oauth2/access_token", p.form(data), func(*answer) error { return p.invalid() })
			return get(m, "access_token"), "", err
		},
		user: func(ctx context.Context, p *code, token string, _ *parse.Map) (string, error) {
			a, err := p.client.post(ctx, "https://api.weibo.com/oauth2/get_token_info", url.Values{"access_token": {token}})
			if err != nil {
				return "", err
			}
			if !a.ok() {
				return "", p.invalid()
			}
			return get(a.object(), "uid"), nil
		},
	})
}
