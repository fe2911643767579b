package provider_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/auth/provider"
	"github.com/pargo-baas/pargo/parse"
)

const client = `{"clientId":"our-id","clientSecret":"our-secret"}`

// codeProviders are the providers whose users bring a code: where they are,
// what they answer to right requests, and what comes of it.
var codeProviders = []struct {
	name, display string
	data          string // that a client sends
	tokenAt       string
	token         string
	userAt        string
	user          string
	id            string
	// what is expected of a provider that refuses
	tokenCode parse.Code
	tokenText string
	userCode  parse.Code
	userText  string
	other     string // the answer about another user
	otherText string // "": the usual
}{
	{
		name: "github", display: "GitHub", data: `{"code":"c0de"}`,
		tokenAt: "github.com/login/oauth/access_token", token: `{"access_token":"t0ken"}`,
		userAt: "api.github.com/user", user: `{"id":123456789,"login":"ann"}`, id: "123456789",
		tokenCode: parse.ValidationError, tokenText: "Failed to exchange code for token: Bad Request",
		userCode: parse.ValidationError, userText: "Failed to fetch GitHub user: Bad Request", other: `{"id":9,"login":"x"}`,
	},
	{
		name: "gpgames", display: "Google Play Games Services", data: `{"id":"p1","code":"c0de","redirectUri":"https://app.example"}`,
		tokenAt: "oauth2.googleapis.com/token", token: `{"access_token":"t0ken"}`,
		userAt: "www.googleapis.com/games/v1/players/me", user: `{"playerId":"p1"}`, id: "p1",
		tokenCode: parse.ValidationError, tokenText: "Failed to exchange code for token: Bad Request",
		userCode: parse.ValidationError, userText: "Failed to fetch Google Play Games Services user: Bad Request",
		other: `{"playerId":"p2"}`, otherText: "Invalid Google Play Games Services user data received.",
	},
	{
		name: "instagram", display: "Instagram", data: `{"code":"c0de","apiURL":"https://evil.example"}`,
		tokenAt: "api.instagram.com/oauth/access_token", token: `{"access_token":"t0ken","user_id":17}`,
		userAt: "graph.instagram.com/me", user: `{"id":"17"}`, id: "17",
		tokenCode: parse.ObjectNotFound, tokenText: "Instagram API request failed.",
		userCode: parse.ObjectNotFound, userText: "Instagram API request failed.", other: `{"id":"18"}`,
	},
	{
		name: "linkedin", display: "LinkedIn", data: `{"code":"c0de","redirect_uri":"https://app.example","is_mobile_sdk":true}`,
		tokenAt: "www.linkedin.com/oauth/v2/accessToken", token: `{"access_token":"t0ken"}`,
		userAt: "api.linkedin.com/v2/me", user: `{"id":"L1"}`, id: "L1",
		tokenCode: parse.ObjectNotFound, tokenText: "LinkedIn API request failed.",
		userCode: parse.ObjectNotFound, userText: "LinkedIn API request failed.", other: `{"id":"L2"}`,
	},
	{
		name: "microsoft", display: "Microsoft", data: `{"code":"c0de","redirect_uri":"https://app.example"}`,
		tokenAt: "login.microsoftonline.com/common/oauth2/v2.0/token", token: `{"access_token":"t0ken"}`,
		userAt: "graph.microsoft.com/v1.0/me", user: `{"id":"M1"}`, id: "M1",
		tokenCode: parse.ObjectNotFound, tokenText: "Microsoft API request failed.",
		userCode: parse.ObjectNotFound, userText: "Microsoft API request failed.", other: `{"id":"M2"}`,
	},
	{
		name: "spotify", display: "Spotify", data: `{"code":"c0de","redirect_uri":"https://app.example","code_verifier":"v"}`,
		tokenAt: "accounts.spotify.com/api/token", token: `{"access_token":"t0ken"}`,
		userAt: "api.spotify.com/v1/me", user: `{"id":"S1"}`, id: "S1",
		tokenCode: parse.ObjectNotFound, tokenText: "Spotify API request failed.",
		userCode: parse.ObjectNotFound, userText: "Spotify API request failed.", other: `{"id":"S2"}`,
	},
	{
		name: "line", display: "Line", data: `{"code":"c0de","redirect_uri":"https://app.example"}`,
		tokenAt: "api.line.me/oauth2/v2.1/token", token: `{"access_token":"t0ken"}`,
		userAt: "api.line.me/v2/profile", user: `{"userId":"U1"}`, id: "U1",
		tokenCode: parse.ValidationError, tokenText: "Failed to exchange code for token: Bad Request",
		userCode: parse.ObjectNotFound, userText: "Failed to fetch Line user: Bad Request", other: `{"userId":"U2"}`,
	},
	{
		name: "qq", display: "qq", data: `{"code":"c0de","redirect_uri":"https://app.example"}`,
		tokenAt: "graph.qq.com/oauth2.0/token", token: `access_token=t0ken&expires_in=7776000`,
		userAt: "graph.qq.com/oauth2.0/me", user: `callback( {"client_id":"our-id","openid":"Q1"} );`, id: "Q1",
		tokenCode: parse.ObjectNotFound, tokenText: "qq API request failed.",
		userCode: parse.ObjectNotFound, userText: "qq API request failed.", other: `callback( {"openid":"Q2"} );`,
	},
	{
		name: "wechat", display: "WeChat", data: `{"code":"c0de"}`,
		tokenAt: "api.weixin.qq.com/sns/oauth2/access_token", token: `{"access_token":"t0ken","openid":"W1"}`,
		userAt: "api.weixin.qq.com/sns/auth", user: `{"errcode":0,"errmsg":"ok"}`, id: "W1",
		tokenCode: parse.ObjectNotFound, tokenText: "WeChat auth is invalid for this user.",
		userCode: parse.ObjectNotFound, userText: "WeChat auth is invalid for this user.", other: `{"errcode":40003}`,
	},
	{
		name: "weibo", display: "Weibo", data: `{"code":"c0de","redirect_uri":"https://app.example"}`,
		tokenAt: "api.weibo.com/oauth2/access_token", token: `{"access_token":"t0ken","uid":"B1"}`,
		userAt: "api.weibo.com/oauth2/get_token_info", user: `{"uid":77}`, id: "77",
		tokenCode: parse.ObjectNotFound, tokenText: "Weibo auth is invalid for this user.",
		userCode: parse.ObjectNotFound, userText: "Weibo auth is invalid for this user.", other: `{"uid":78}`,
	},
}

func TestCodeProviders(t *testing.T) {
	for _, tt := range codeProviders {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t)
			p := w.make(tt.name, client)
			right := func() {
				w.handle(tt.tokenAt, func(rw http.ResponseWriter, r *http.Request) {
					if err := r.ParseForm(); err != nil {
						t.Error(err)
					}
					secret := r.Form.Get("client_secret") + r.Form.Get("secret")
					if r.Form.Get("code") != "c0de" || secret != "our-secret" || r.Form.Get("client_id")+r.Form.Get("appid") != "our-id" {
						t.Errorf("asked for a token with %v", r.Form)
					}
					if strings.Contains(tt.data, "app.example") && r.Form.Get("redirect_uri") != "https://app.example" {
						t.Errorf("redirect_uri %q", r.Form.Get("redirect_uri"))
					}
					if strings.Contains(tt.data, "code_verifier") && r.Form.Get("code_verifier") != "v" {
						t.Error("the verifier is missing")
					}
					_, _ = rw.Write([]byte(tt.token))
				})
				w.handle(tt.userAt, func(rw http.ResponseWriter, r *http.Request) {
					if err := r.ParseForm(); err != nil {
						t.Error(err)
					}
					if r.Header.Get("Authorization") != "Bearer t0ken" && r.Form.Get("access_token") != "t0ken" {
						t.Error("asked for the user without the token")
					}
					_, _ = rw.Write([]byte(tt.user))
				})
			}
			right()
			got := setUp(t, p, tt.data)
			wantError(t, got.err, 0, "")
			diff(t, `{"id":"`+tt.id+`","access_token":"t0ken"}`, got.saved)
			shown := p.(cloudcode.AuthPresenter).Present(cloudcode.Caller{}, object(t, got.saved))
			diff(t, `{"id":"`+tt.id+`"}`, encode(shown))

			with := object(t, tt.data)
			with.Set("id", "somebody else")
			got = setUp(t, p, encode(with))
			text := tt.otherText
			if text == "" {
				text = tt.display + " auth is invalid for this user."
			}
			if tt.otherText == "" {
				wantError(t, got.err, parse.ObjectNotFound, text)
			} else {
				wantError(t, got.err, parse.ValidationError, text)
			}

			asked := w.total()
			noCode, want := parse.ValidationError, tt.display+" code is required."
			if tt.name == "wechat" {
				noCode, want = parse.ObjectNotFound, "WeChat auth requires a code to be sent."
			}
			for _, data := range []string{`{"id":"` + tt.id + `"}`, `{"id":"` + tt.id + `","access_token":"t0ken"}`, `{"code":{"$ne":""}}`, `{"code":""}`} {
				wantError(t, setUp(t, p, data).err, noCode, want)
			}
			diff(t, asked, w.total())

			w.serve(tt.tokenAt, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			wantError(t, setUp(t, p, tt.data).err, tt.tokenCode, tt.tokenText)
			right()
			w.serve(tt.userAt, `{}`, http.StatusBadRequest)
			wantError(t, setUp(t, p, tt.data).err, tt.userCode, tt.userText)
			w.serve(tt.userAt, `no JSON`)
			if err := setUp(t, p, tt.data).err; err == nil {
				t.Error("a user was made of nothing")
			}
			w.serve(tt.tokenAt, ``)
			if err := setUp(t, p, tt.data).err; err == nil {
				t.Error("a token was made of nothing")
			}
		})
	}
}

// With enableInsecureAuth a client may bring the token itself; whose it is, is asked.
func TestCodeProvidersInsecure(t *testing.T) {
	for _, tt := range codeProviders {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t)
			p := w.make(tt.name, `{"enableInsecureAuth":true}`)
			w.serve(tt.userAt, tt.user)
			invalid := tt.display + " auth is invalid for this user."
			data := `{"id":"` + tt.id + `","access_token":"t0ken"}`
			got := setUp(t, p, data)
			wantError(t, got.err, 0, "")
			diff(t, data, got.saved)
			wantError(t, setUp(t, p, `{"id":"`+tt.id+`"}`).err, parse.ObjectNotFound, invalid)
			if err := setUp(t, p, `{"access_token":"t0ken"}`).err; err == nil {
				t.Error("accepted without an id")
			}
			w.serve(tt.userAt, tt.other)
			if err := setUp(t, p, data).err; err == nil {
				t.Error("accepted with the token of another")
			}
			// There is no secret to exchange a code with.
			wantError(t, setUp(t, p, tt.data).err, parse.ObjectNotFound, invalid)
		})
	}
}

func TestCodeProviderOptions(t *testing.T) {
	e := newWeb(t).env()
	for _, tt := range codeProviders {
		for _, o := range []struct{ options, text string }{
			{`{}`, tt.display + " options are required."},
			{`{"clientSecret":"s"}`, tt.display + " clientId is required."},
			{`{"clientId":"c"}`, tt.display + " clientSecret is required."},
			{`{"clientId":5,"clientSecret":"s"}`, "option clientId must not be a number"},
			{`{"clientId":"c","clientSecret":"s","clientid":1,"nosuch":1}`, "*"},
		} {
			_, err := provider.New(tt.name, []byte(o.options), e)
			if err == nil || o.text != "*" && err.Error() != "auth."+tt.name+": "+o.text {
				t.Errorf("%s %s: got %v, want %q", tt.name, o.options, err, o.text)
			}
		}
	}
}

// GitHub tells of a bad code with a good status.
func TestGitHubRefusal(t *testing.T) {
	w := newWeb(t)
	p := w.make("github", client)
	w.serve("github.com/login/oauth/access_token", `{"error":"bad_verification_code","error_description":"The code passed is incorrect or expired."}`)
	wantError(t, setUp(t, p, `{"code":"c0de"}`).err, parse.ObjectNotFound, "The code passed is incorrect or expired.")
	w.serve("github.com/login/oauth/access_token", `{"access_token":"t"}`)
	w.serve("api.github.com/user", `{"id":1}`)
	wantError(t, setUp(t, p, `{"code":"c0de"}`).err, parse.ValidationError, "Invalid GitHub user data received.")
}
