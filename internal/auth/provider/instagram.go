package provider

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// instagram has one address for all users: an apiURL that a client sends is
// not regarded.
func newInstagram(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	f := simple("Instagram", "https://api.instagram.com/oauth/access_token", "", "")
	f.user = func(ctx context.Context, p *code, token string, _ *parse.Map) (string, error) {
		q := url.Values{"fields": {"id"}, "access_token": {token}}
		a, err := p.client.get(ctx, "https://graph.instagram.com/me?"+q.Encode())
		if err != nil {
			return "", err
		}
		if !a.ok() {
			return "", p.failed()
		}
		return get(a.object(), "id"), nil
	}
	return newCode(raw, e, f)
}
