package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func newQQ(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	return newCode(raw, e, flow{
		name: "qq",
		exchange: func(ctx context.Context, p *code, data *parse.Map) (string, string, error) {
			a, err := p.client.get(ctx, "https://graph.qq.com/oauth2.0/token?"+p.form(data).Encode())
			if err != nil {
				return "", "", err
			}
			if !a.ok() {
				return "", "", p.failed()
			}
			// A form where it is a token, a call of a function where it is an error.
			if form, err := url.ParseQuery(string(a.body)); err == nil && form.Get("access_token") != "" {
				return form.Get("access_token"), "", nil
			}
			return get(unwrapped(a.body), "access_token"), "", nil
		},
		user: func(ctx context.Context, p *code, token string, _ *parse.Map) (string, error) {
			a, err := p.client.get(ctx, "https://graph.qq.com/oauth2.0/me?"+url.Values{"access_token": {token}}.Encode())
			if err != nil {
				return "", err
			}
			if !a.ok() {
				return "", p.failed()
			}
			return get(unwrapped(a.body), "openid"), nil
		},
	})
}

// unwrapped reads the object in a body such as "callback( {…} );".
func unwrapped(body []byte) *parse.Map {
	from, to := bytes.IndexByte(body, '{'), bytes.LastIndexByte(body, '}')
	if from < 0 || to < from {
		return nil
	}
	m, err := parse.DecodeMap(body[from:to+1], parse.DefaultLimits)
	if err != nil {
		return nil
	}
	return m
}
