package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/auth/provider"
	"github.com/pargo-baas/pargo/parse"
)

func TestOAuth2(t *testing.T) {
	const (
		at      = `{"oauth2":true,"tokenIntrospectionEndpointUrl":"https://idp.example/introspect"`
		invalid = "OAuth2 access token is invalid for this user."
		app     = "OAuth2: Invalid app ID."
		failed  = "OAuth2 token introspection request failed."
	)
	tests := []struct {
		name, options, answer, data, text string
	}{
		{"right", at + `}`, `{"active":true,"sub":"u1"}`, `{"id":"u1","access_token":"t"}`, ""},
		{"another user", at + `}`, `{"active":true,"sub":"u2"}`, `{"id":"u1","access_token":"t"}`, invalid},
		{"not active", at + `}`, `{"active":false,"sub":"u1"}`, `{"id":"u1","access_token":"t"}`, invalid},
		{"active, it says", at + `}`, `{"active":"true","sub":"u1"}`, `{"id":"u1","access_token":"t"}`, invalid},
		{"no user", at + `}`, `{"active":true}`, `{"id":"u1","access_token":"t"}`, invalid},
		{"no id", at + `}`, `{"active":true}`, `{"access_token":"t"}`, invalid},
		{"no token", at + `}`, `{"active":true,"sub":"u1"}`, `{"id":"u1"}`, invalid},
		{"a field of its own", at + `,"useridField":"uid"}`, `{"active":true,"sub":"x","uid":7}`, `{"id":"7","access_token":"t"}`, ""},
		{"the header", at + `,"authorizationHeader":"Basic xyz"}`, `{"active":true,"sub":"u1"}`, `{"id":"u1","access_token":"t"}`, ""},
		{"our app", at + `,"appidField":"client_id","appIds":["a","b"]}`, `{"active":true,"sub":"u1","client_id":"b"}`, `{"id":"u1","access_token":"t"}`, ""},
		{"one of many", at + `,"appidField":"aud","appIds":["a","b"]}`, `{"active":true,"sub":"u1","aud":["x","a"]}`, `{"id":"u1","access_token":"t"}`, ""},
		{"another app", at + `,"appidField":"client_id","appIds":["a","b"]}`, `{"active":true,"sub":"u1","client_id":"c"}`, `{"id":"u1","access_token":"t"}`, app},
		{"part of our app", at + `,"appidField":"client_id","appIds":["abc"]}`, `{"active":true,"sub":"u1","client_id":"b"}`, `{"id":"u1","access_token":"t"}`, app},
		{"no app", at + `,"appidField":"client_id","appIds":["a"]}`, `{"active":true,"sub":"u1"}`, `{"id":"u1","access_token":"t"}`, app},
		{"no JSON", at + `}`, `yes`, `{"id":"u1","access_token":"t"}`, failed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t)
			w.handle("idp.example/introspect", func(rw http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.FormValue("token") != "t" || strings.Contains(tt.options, "xyz") != (r.Header.Get("Authorization") == "Basic xyz") {
					t.Errorf("asked with %s %v %v", r.Method, r.Form, r.Header)
				}
				_, _ = rw.Write([]byte(tt.answer))
			})
			code := parse.ObjectNotFound
			if tt.text == "" {
				code = 0
			}
			wantError(t, setUp(t, w.make("any", tt.options), tt.data).err, code, tt.text)
		})
	}
	w := newWeb(t)
	w.serve("idp.example/introspect", `{"active":true,"sub":"u1"}`, http.StatusUnauthorized)
	wantError(t, setUp(t, w.make("any", at+`}`), `{"id":"u1","access_token":"t"}`).err, parse.ObjectNotFound, failed)
	for options, text := range map[string]string{
		`{"oauth2":true}`: "OAuth2 token introspection endpoint URL is missing.",
		`{"oauth2":true,"tokenIntrospectionEndpointUrl":"idp.example"}`: "tokenIntrospectionEndpointUrl must be a URL starting with http:// or https://",
		at + `,"appidField":"aud"}`:                                     "OAuth2 configuration is missing app IDs.",
		at + `,"appidField":"aud","appIds":[]}`:                         "OAuth2 configuration is missing app IDs.",
		at + `,"appidField":"aud","appIds":"123"}`:                      "appIds must be an array.",
		at + `,"nosuch":1}`:                                             `unknown field "nosuch"`,
		`{"clientId":"x"}`:                                              "*",
	} {
		_, err := provider.New("any", []byte(options), w.env())
		if err == nil || text != "*" && err.Error() != "auth.any: "+text {
			t.Errorf("%s: %v", options, err)
		}
	}
}

// the id is compared, whatever the options leave out.
func TestAdvisory_GHSA_fr88_w35c_r596(t *testing.T) {
	w := newWeb(t)
	w.serve("idp.example/i", `{"active":true,"sub":"me"}`)
	p := w.make("any", `{"oauth2":true,"tokenIntrospectionEndpointUrl":"https://idp.example/i"}`)
	wantError(t, setUp(t, p, `{"id":"victim","access_token":"t"}`).err, parse.ObjectNotFound, "*")
}

// two providers with different options stay apart.
func TestAdvisory_GHSA_2cjm_2gwv_m892(t *testing.T) {
	w := newWeb(t)
	w.serve("one.example/i", `{"active":true,"sub":"u1","client_id":"one"}`)
	w.serve("two.example/i", `{"active":true,"sub":"u1","client_id":"one"}`)
	one := w.make("one", `{"oauth2":true,"tokenIntrospectionEndpointUrl":"https://one.example/i","appidField":"client_id","appIds":["one"]}`)
	two := w.make("two", `{"oauth2":true,"tokenIntrospectionEndpointUrl":"https://two.example/i","appidField":"client_id","appIds":["two"]}`)
	data := `{"id":"u1","access_token":"t"}`
	for range 2 {
		wantError(t, setUp(t, one, data).err, 0, "")
		wantError(t, setUp(t, two, data).err, parse.ObjectNotFound, "OAuth2: Invalid app ID.")
	}
	diff(t, []int{2, 2}, []int{w.requests("one.example/i"), w.requests("two.example/i")})
}

func TestTwitter(t *testing.T) {
	w := newWeb(t)
	options := `{"consumer_key":"xvz1evFS4wEEPTGEFPHBog","consumer_secret":"kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw"}`
	w.handle("api.twitter.com/oauth/access_token", func(rw http.ResponseWriter, r *http.Request) {
		auth := r.Header.Get("Authorization")
		if r.FormValue("oauth_verifier") != "v" || !strings.HasPrefix(auth, `OAuth oauth_consumer_key="xvz1evFS4wEEPTGEFPHBog"`) || !strings.Contains(auth, `oauth_token="rt"`) || !strings.Contains(auth, `oauth_signature="`) {
			http.Error(rw, "no", http.StatusUnauthorized)
			return
		}
		_, _ = rw.Write([]byte(url.Values{"oauth_token": {"at"}, "oauth_token_secret": {"ats"}, "user_id": {"42"}, "screen_name": {"ann"}}.Encode()))
	})
	const invalid = "Twitter auth is invalid for this user."
	for _, name := range []string{"twitter", "digits"} {
		p := w.make(name, options)
		got := setUp(t, p, `{"oauth_token":"rt","oauth_verifier":"v"}`)
		wantError(t, got.err, 0, "")
		diff(t, `{"id":"42","auth_token":"at","auth_token_secret":"ats"}`, got.saved)
		diff(t, `{"id":"42"}`, encode(p.(cloudcode.AuthPresenter).Present(cloudcode.Caller{}, object(t, got.saved))))
		wantError(t, setUp(t, p, `{"id":"42","oauth_token":"rt","oauth_verifier":"v"}`).err, 0, "")
		wantError(t, setUp(t, p, `{"id":"43","oauth_token":"rt","oauth_verifier":"v"}`).err, parse.ObjectNotFound, invalid)
		wantError(t, setUp(t, p, `{"oauth_token":"rt","oauth_verifier":"x"}`).err, parse.ObjectNotFound, invalid)
		wantError(t, setUp(t, p, `{"id":"42","auth_token":"at","auth_token_secret":"ats"}`).err, parse.ValidationError, "Twitter code is required.")
	}
	insecure := strings.TrimSuffix(options, "}") + `,"enableInsecureAuth":true}`
	if _, err := provider.New("twitter", []byte(insecure), w.env()); err == nil {
		t.Error("insecure without the option of the server")
	}
	if _, err := provider.New("twitter", []byte(`{}`), w.env()); err == nil || err.Error() != "auth.twitter: Consumer key and secret are required for secure Twitter auth." {
		t.Errorf("got %v", err)
	}
	w.serve("api.twitter.com/1.1/account/verify_credentials.json", `{"id_str":"42"}`)
	p := w.make("twitter", insecure, func(e *provider.Env) { e.Insecure = true })
	wantError(t, setUp(t, p, `{"id":"42","auth_token":"at","auth_token_secret":"ats"}`).err, 0, "")
	wantError(t, setUp(t, p, `{"id":"43","auth_token":"at","auth_token_secret":"ats"}`).err, parse.ObjectNotFound, invalid)
}

func TestLegacyProviders(t *testing.T) {
	tests := []struct {
		name, display, options string
		global                 bool // needs the option of the server as well
		at, answer, data       string
		refusal                string
	}{
		{"meetup", "Meetup", `{"enableInsecureAuth":true}`, false, "api.meetup.com/2/member/self", `{"id":7}`, `{"id":"7","access_token":"t"}`, `{"id":8}`},
		{"phantauth", "PhantAuth", `{"enableInsecureAuth":true}`, false, "phantauth.net/auth/userinfo", `{"sub":"7"}`, `{"id":"7","access_token":"t"}`, `{}`},
		{"vkontakte", "Vk", `{"enableInsecureAuth":true,"appIds":"a","appSecret":"s"}`, true, "api.vk.com/method/users.get", `{"response":[{"id":7}]}`, `{"id":"7","access_token":"t"}`, `{"response":[]}`},
		{"janrainengage", "Janrain engage", `{"enableInsecureAuth":true,"api_key":"k"}`, true, "rpxnow.com/api/v2/auth_info", `{"stat":"ok","profile":{"identifier":"7"}}`, `{"id":"7","auth_token":"t"}`, `{"stat":"fail","profile":{"identifier":"7"}}`},
		{"janraincapture", "Janrain capture", `{"janrain_capture_host":"app.janraincapture.com"}`, false, "app.janraincapture.com/entity", `{"stat":"ok","result":"7"}`, `{"id":"7","access_token":"t"}`, `{"stat":"error","result":"7"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t)
			insecure := func(e *provider.Env) { e.Insecure = true }
			w.serve("oauth.vk.com/access_token", `{"access_token":"server"}`)
			if _, err := provider.New(tt.name, []byte(tt.options), w.env()); (err != nil) != tt.global {
				t.Errorf("without the option of the server: %v", err)
			}
			e := w.env()
			e.Insecure = true
			plain := strings.Replace(strings.Replace(tt.options, `"enableInsecureAuth":true`, ``, 1), "{,", "{", 1)
			if _, err := provider.New(tt.name, []byte(plain), e); (err == nil) != (plain == tt.options) {
				t.Errorf("without its own option: %v", err)
			}
			p := w.make(tt.name, tt.options, insecure)
			invalid := tt.display + " auth is invalid for this user."
			w.serve(tt.at, tt.answer)
			wantError(t, setUp(t, p, tt.data).err, 0, "")
			wantError(t, setUp(t, p, strings.Replace(tt.data, `"7"`, `"8"`, 1)).err, parse.ObjectNotFound, invalid)
			wantError(t, setUp(t, p, `{"id":"7"}`).err, parse.ObjectNotFound, invalid)
			wantError(t, setUp(t, p, strings.Replace(tt.data, `"id":"7",`, ``, 1)).err, parse.ObjectNotFound, invalid)
			w.serve(tt.at, tt.refusal)
			wantError(t, setUp(t, p, tt.data).err, parse.ObjectNotFound, invalid)
			w.serve(tt.at, tt.answer, http.StatusForbidden)
			wantError(t, setUp(t, p, tt.data).err, parse.ObjectNotFound, invalid)
		})
	}
}
