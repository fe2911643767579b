package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/auth/provider"
	"github.com/pargo-baas/pargo/parse"
)

// echo answers every request with the same body.
type echo struct{ body string }

func (e *echo) RoundTrip(*http.Request) (*http.Response, error) {
	if e.body == "" {
		return nil, errors.New("there is no network")
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(e.body))}, nil
}

// FuzzProviders gives all providers what a client may send, what a provider
// may answer and what a database may have: none of it is more than refused.
func FuzzProviders(f *testing.F) {
	for _, seed := range [][3]string{
		{`{"id":"1","access_token":"t"}`, `{"id":"1","active":true,"sub":"1"}`, ``},
		{`{"id":"1","code":"c","redirect_uri":"https://x"}`, `{"access_token":"t","id":1,"openid":"o"}`, `{"id":"1"}`},
		{`{"id":"1","token":"a.b.c","id_token":"a.b.c"}`, `{"keys":[{"kty":"RSA"}]}`, ``},
		{`{"id":"1","publicKeyUrl":"https://static.gc.apple.com/x.cer","timestamp":1,"signature":"AA==","salt":"AA=="}`, `-----BEGIN CERTIFICATE-----`, ``},
		{`{"oauth_token":"a","oauth_verifier":"b"}`, `oauth_token=x&user_id=1`, ``},
		{`{"secret":"JBSWY3DPEHPK3PXPJBSWY3DP","token":"123456","old":"1"}`, ``, `{"secret":"x","recovery":["a",1,null],"lastStep":"x"}`},
		{`{"mobile":"+1 555","token":"request"}`, ``, `{"mobile":"+1555","token":"1","expiry":7,"pending":{"+1555":null}}`},
		{`{"credential":{"id":"AA","rawId":"AA","type":"public-key","response":{}},"state":"a.b"}`, ``, `{"id":"AA","credentials":[null,{"id":"AA","transports":7}],"spent":{"x":"y"}}`},
		{`{"remove":"AA"}`, ``, `{"id":"*","credentials":[{"id":"AA"}]}`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	net := &echo{}
	e := provider.Env{
		Transport: net, Secret: []byte("s"), Insecure: true,
		SendSMS: func(context.Context, string, string) error { return nil },
	}
	all := map[string]cloudcode.AuthProvider{}
	add := func(name, options string) {
		p, err := provider.New(name, json.RawMessage(options), e)
		if err != nil {
			f.Fatal(err)
		}
		all[name] = p
	}
	for _, tt := range codeProviders {
		add(tt.name, client)
	}
	for _, tt := range tokenProviders {
		add(tt.name, tt.options)
	}
	add("any", `{"oauth2":true,"tokenIntrospectionEndpointUrl":"https://x/y"}`)
	add("gcenter", `{"bundleId":"b"}`)
	add("twitter", `{"consumer_key":"k","consumer_secret":"s"}`)
	add("mfa", `{"options":["TOTP","SMS"]}`)
	add("passkey", `{"rpId":"app.example"}`)
	add("meetup", `{"enableInsecureAuth":true}`)
	add("vkontakte", `{"enableInsecureAuth":true,"appIds":"a","appSecret":"s"}`)
	add("janrainengage", `{"enableInsecureAuth":true,"api_key":"k"}`)
	add("janraincapture", `{"janrain_capture_host":"x"}`)
	f.Fuzz(func(t *testing.T, data, reply, stored string) {
		sent, err := parse.DecodeMap([]byte(data), parse.DefaultLimits)
		if err != nil {
			return
		}
		have, err := parse.DecodeMap([]byte(stored), parse.DefaultLimits)
		if err != nil {
			have = nil
		}
		net.body = reply
		for name, p := range all {
			for step := cloudcode.AuthSetUp; step <= cloudcode.AuthChallenge; step++ {
				r := &cloudcode.AuthRequest{Provider: name, Step: step, Data: sent.Clone(), Stored: have, Challenge: sent}
				if step == cloudcode.AuthSetUp {
					r.Stored = nil
				} else if have == nil {
					continue
				}
				ask(t.Context(), p, r)
				if c, ok := p.(cloudcode.AuthChallenger); ok {
					_, _ = c.Challenge(t.Context(), r)
				}
			}
			if s, ok := p.(cloudcode.AuthPresenter); ok && have != nil {
				s.Present(cloudcode.Caller{}, have)
			}
			if s, ok := p.(cloudcode.AuthPoliced); ok {
				s.Policy(have)
			}
		}
	})
}
