package provider

import (
	"context"
	"encoding/json"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func newLinkedIn(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	f := simple("LinkedIn", "https://www.linkedin.com/oauth/v2/accessToken", "", "")
	f.user = func(ctx context.Context, p *code, token string, data *parse.Map) (string, error) {
		header := []string{"Authorization", "Bearer " + token, "x-li-format", "json"}
		if v, _ := data.Get("is_mobile_sdk"); parse.Truthy(v) {
			header = append(header, "x-li-src", "msdk")
		}
		a, err := p.client.get(ctx, "https://api.linkedin.com/v2/me", header...)
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
