package provider

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func newWeChat(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	return newCode(raw, e, flow{
		name:   "WeChat",
		noCode: "WeChat auth requires a code to be sent.",
		exchange: func(ctx context.Context, p *code, data *parse.Map) (string, string, error) {
			q := url.Values{
				"appid": {p.options.ClientID}, "secret": {p.options.ClientSecret},
				"code": {data.String("code")}, "grant_type": {"authorization_code"},
			}
			a, err := p.client.get(ctx, "https://api.weixin.qq.com/sns/oauth2/access_token?"+q.Encode())
			if err != nil {
				return "", "", err
			}
			m := a.object()
			if !a.ok() || refusedByWeChat(m) || get(m, "openid") == "" {
				return "", "", p.invalid()
			}
			return get(m, "access_token"), get(m, "openid"), nil
		},
		user: func(ctx context.Context, p *code, token string, data *parse.Map) (string, error) {
			id := data.String("id")
			q := url.Values{"access_token": {token}, "openid": {id}}
			a, err := p.client.get(ctx, "https://api.weixin.qq.com/sns/auth?"+q.Encode())
			if err != nil {
				return "", err
			}
			if m := a.object(); !a.ok() || m == nil || refusedByWeChat(m) {
				return "", p.invalid()
			}
			return id, nil
		},
	})
}

// refusedByWeChat reports whether an answer, which is never more than a good
// status, tells of an error.
func refusedByWeChat(m *parse.Map) bool {
	v := get(m, "errcode")
	return v != "" && v != "0"
}
