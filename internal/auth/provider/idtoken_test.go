package provider_test

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/pargo-baas/pargo/internal/auth/provider"
	"github.com/pargo-baas/pargo/parse"
)

// tokenProviders are the providers whose users bring a token that the issuer
// has signed.
var tokenProviders = []struct {
	name, options string
	field         string // of authData
	keysAt        string
	issuer        string
	audience      string // claim of the one whose token it is
	claim         string // by which it is told
	wrongIssuer   string
	wrongAudience string
	missing       string
	more          map[string]string // answers of other addresses
}{
	{
		name: "apple", options: `{"clientId":["other.app","our.app"]}`, field: "token", keysAt: "appleid.apple.com/auth/keys",
		issuer: "https://appleid.apple.com", audience: "our.app", claim: "aud",
		wrongIssuer:   "id token not issued by correct OpenID provider - expected: https://appleid.apple.com | from: https://evil.example",
		wrongAudience: "jwt audience invalid. expected: other.app or our.app", missing: "id token is invalid for this user.",
	},
	{
		name: "google", options: `{"clientId":"our.app"}`, field: "id_token", keysAt: "www.googleapis.com/oauth2/v3/certs",
		issuer: "https://accounts.google.com", audience: "our.app", claim: "aud",
		wrongIssuer:   "id token not issued by correct provider - expected: accounts.google.com or https://accounts.google.com | from: https://evil.example",
		wrongAudience: "jwt audience invalid. expected: our.app", missing: "id token is invalid for this user.",
	},
	{
		name: "facebook", options: `{"appIds":["our.app"]}`, field: "token", keysAt: "www.facebook.com/.well-known/oauth/openid/jwks/",
		issuer: "https://www.facebook.com", audience: "our.app", claim: "aud",
		wrongIssuer:   "id token not issued by correct OpenID provider - expected: https://www.facebook.com | from: https://evil.example",
		wrongAudience: "jwt audience invalid. expected: our.app", missing: "Facebook auth is invalid for this user.",
	},
	{
		name: "keycloak", options: `{"config":{"auth-server-url":"https://kc.example/auth/","realm":"r","client-id":"our.app","resource":"x"}}`,
		field: "access_token", keysAt: "kc.example/auth/realms/r/protocol/openid-connect/certs",
		issuer: "https://kc.example/auth/realms/r", audience: "our.app", claim: "azp",
		wrongIssuer:   "access token not issued by correct provider - expected: https://kc.example/auth/realms/r | from: https://evil.example",
		wrongAudience: "access token is not authorized for this client - expected: our.app | from: their.app",
		missing:       "Missing access token and/or User id",
	},
	{
		name: "corp", options: `{"oidc":true,"issuer":"https://idp.example","clientId":"our.app"}`, field: "id_token", keysAt: "keys.example/jwks",
		issuer: "https://idp.example", audience: "our.app", claim: "aud",
		wrongIssuer:   "id token not issued by correct OpenID provider - expected: https://idp.example | from: https://evil.example",
		wrongAudience: "jwt audience invalid. expected: our.app", missing: "id token is invalid for this user.",
		more: map[string]string{"idp.example/.well-known/openid-configuration": `{"issuer":"https://idp.example","jwks_uri":"https://keys.example/jwks"}`},
	},
}

const mismatch = "auth data is invalid for this user."

func claims(issuer, claim, audience, subject string, expires time.Time, more string) string {
	return fmt.Sprintf(`{"iss":%q,%q:%q,"sub":%q,"exp":%d,"iat":%d%s}`, issuer, claim, audience, subject, expires.Unix(), expires.Unix()-600, more)
}

func TestTokenProviders(t *testing.T) {
	for _, tt := range tokenProviders {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t)
			a, b := newSigner(t, "A", 0), newSigner(t, "B", 1)
			w.serve(tt.keysAt, jwks(t, a))
			for at, body := range tt.more {
				w.serve(at, body)
			}
			p := w.make(tt.name, tt.options)
			soon := start.Add(10 * time.Minute)
			data := func(id, token string) string { return fmt.Sprintf(`{"id":%q,%q:%q}`, id, tt.field, token) }
			good := claims(tt.issuer, tt.claim, tt.audience, "u1", soon, "")
			ask := func(name, data string, code parse.Code, text string) {
				t.Helper()
				t.Log(name)
				wantError(t, setUp(t, p, data).err, code, text)
			}
			ask("right", data("u1", a.sign(good)), 0, "")
			ask("again", data("u1", a.sign(good)), 0, "")
			diff(t, 1, w.requests(tt.keysAt))
			ask("another user", data("u2", a.sign(good)), parse.ObjectNotFound, mismatch)
			ask("no token", `{"id":"u1"}`, parse.ObjectNotFound, tt.missing)
			ask("no string", `{"id":"u1","`+tt.field+`":{"a":1}}`, parse.ObjectNotFound, tt.missing)
			ask("no JWT", data("u1", "a.b.c"), parse.ObjectNotFound, "provided token does not decode as JWT")
			ask("another audience", data("u1", a.sign(claims(tt.issuer, tt.claim, "their.app", "u1", soon, ""))), parse.ObjectNotFound, tt.wrongAudience)
			ask("another issuer", data("u1", a.sign(claims("https://evil.example", tt.claim, tt.audience, "u1", soon, ""))), parse.ObjectNotFound, tt.wrongIssuer)
			ask("expired", data("u1", a.sign(claims(tt.issuer, tt.claim, tt.audience, "u1", start.Add(-time.Second), ""))), parse.ObjectNotFound, "jwt expired")
			ask("not yet", data("u1", a.sign(claims(tt.issuer, tt.claim, tt.audience, "u1", soon, fmt.Sprintf(`,"nbf":%d`, soon.Unix()+3600)))), parse.ObjectNotFound, "jwt not active")
			ask("another's signature", data("u1", signWith(t, jose.RS256, b.priv, "A", good)), parse.ObjectNotFound, "invalid signature")
			parts := strings.Split(a.sign(good), ".")
			parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(good, `"u1"`, `"u9"`, 1)))
			ask("changed", data("u9", strings.Join(parts, ".")), parse.ObjectNotFound, "invalid signature")
			ask("a nonce", fmt.Sprintf(`{"id":"u1","nonce":"n1",%q:%q}`, tt.field, a.sign(claims(tt.issuer, tt.claim, tt.audience, "u1", soon, `,"nonce":"n1"`))), 0, "")
			ask("another nonce", fmt.Sprintf(`{"id":"u1","nonce":"n2",%q:%q}`, tt.field, a.sign(claims(tt.issuer, tt.claim, tt.audience, "u1", soon, `,"nonce":"n1"`))), parse.ObjectNotFound, mismatch)

			// A key that nobody knows is not asked for again and again …
			w.wait(time.Minute)
			before := w.requests(tt.keysAt)
			for range 5 {
				ask("an unknown key", data("u1", b.sign(good)), parse.ObjectNotFound, "Unable to find matching key for Key ID: B")
			}
			diff(t, before+1, w.requests(tt.keysAt))
			// … but a new one of the issuer is found,
			w.serve(tt.keysAt, jwks(t, b))
			w.wait(20 * time.Second)
			ask("a new key", data("u1", b.sign(good)), 0, "")
			// and an old one no longer holds.
			ask("the old key", data("u1", a.sign(good)), parse.ObjectNotFound, "Unable to find matching key for Key ID: A")
			w.wait(2 * time.Hour)
			later := claims(tt.issuer, tt.claim, tt.audience, "u1", w.clock().Add(time.Minute), "")
			w.serve(tt.keysAt, ``, http.StatusBadGateway)
			if err := setUp(t, p, data("u1", b.sign(later))).err; err == nil {
				t.Error("accepted by a key that is too old")
			}
		})
	}
}

// the algorithm is never the token's choice.
func TestAdvisory_GHSA_4q3h_vp4r_prv2(t *testing.T) {
	for _, tt := range tokenProviders {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t)
			a := newSigner(t, "A", 0)
			ec := newECSigner(t, "E")
			w.serve(tt.keysAt, jwks(t, a, ec))
			for at, body := range tt.more {
				w.serve(at, body)
			}
			p := w.make(tt.name, tt.options)
			good := claims(tt.issuer, tt.claim, tt.audience, "u1", start.Add(time.Minute), "")
			public, err := x509.MarshalPKIXPublicKey(a.priv.Public())
			if err != nil {
				t.Fatal(err)
			}
			b64 := base64.RawURLEncoding.EncodeToString
			for name, token := range map[string]string{
				"none":               b64([]byte(`{"alg":"none","kid":"A"}`)) + "." + b64([]byte(good)) + ".",
				"HMAC by public key": signWith(t, jose.HS256, public, "A", good),
				"another algorithm":  ec.sign(good),
				"another hash":       signWith(t, jose.RS512, a.priv, "A", good),
			} {
				got := setUp(t, p, fmt.Sprintf(`{"id":"u1",%q:%q}`, tt.field, token))
				if parse.CodeOf(got.err) != parse.ObjectNotFound {
					t.Errorf("%s: %v", name, got.err)
				}
			}
			// A key without a name is not tried.
			wantError(t, setUp(t, p, fmt.Sprintf(`{"id":"u1",%q:%q}`, tt.field, signWith(t, jose.RS256, a.priv, "", good))).err,
				parse.ObjectNotFound, "Unable to find matching key for Key ID: ")
		})
	}
}

// without the application's own id nothing starts.
func TestAdvisory_GHSA_x6fw_778m_wr9v(t *testing.T) {
	e := newWeb(t).env()
	for _, tt := range []struct{ name, options, text string }{
		{"google", `{}`, "Google auth is not configured: clientId is missing."},
		{"google", `{"clientId":""}`, "Google auth is not configured: clientId is missing."},
		{"google", `{"clientId":["a",""]}`, "Google auth is not configured: clientId is missing."},
		{"apple", `{}`, "Apple auth is not configured: clientId is missing."},
		{"facebook", `{}`, "Facebook auth is not configured: appIds is missing."},
		{"facebook", `{"appIds":[]}`, "Facebook auth is not configured: appIds is empty."},
		{"facebook", `{"appIds":"123"}`, "appIds must be an array."},
		{"keycloak", `{}`, "Missing keycloak configuration"},
		{"keycloak", `{"config":{"auth-server-url":"https://k","realm":"r"}}`, "Keycloak auth is not configured. Missing client-id."},
		{"keycloak", `{"config":{"auth-server-url":"k","realm":"r","client-id":"c"}}`, "auth-server-url must be a URL starting with http:// or https://"},
		{"corp", `{"oidc":true,"clientId":"c"}`, "issuer must be a URL starting with http:// or https://"},
		{"corp", `{"oidc":true,"issuer":"https://i"}`, "clientId is missing"},
		{"corp", `{"oidc":true,"issuer":"https://i","clientId":"c","algorithms":["HS256"]}`, `algorithms: "HS256" is none of [RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA]`},
	} {
		_, err := provider.New(tt.name, []byte(tt.options), e)
		if err == nil || err.Error() != "auth."+tt.name+": "+tt.text {
			t.Errorf("%s %s: got %v", tt.name, tt.options, err)
		}
	}
}

// a token that was issued to another client of the realm, and roles
// that the token does not have.
func TestAdvisory_GHSA_48mh_j4p5_7j9v(t *testing.T) {
	w := newWeb(t)
	a := newSigner(t, "A", 0)
	w.serve("kc.example/realms/r/protocol/openid-connect/certs", jwks(t, a))
	p := w.make("keycloak", `{"config":{"auth-server-url":"https://kc.example","realm":"r","client-id":"ours"}}`)
	token := func(azp, more string) string {
		return a.sign(claims("https://kc.example/realms/r", "azp", azp, "u1", start.Add(time.Minute), more))
	}
	for _, tt := range []struct {
		name, token, more string
		code              parse.Code
		text              string
	}{
		{"ours", token("ours", ""), "", 0, ""},
		{"theirs", token("theirs", `,"aud":"ours"`), "", parse.ObjectNotFound, "access token is not authorized for this client - expected: ours | from: theirs"},
		{"no azp", a.sign(claims("https://kc.example/realms/r", "aud", "ours", "u1", start.Add(time.Minute), "")), "", parse.ObjectNotFound, "access token is not authorized for this client - expected: ours | from: "},
		{"roles", token("ours", `,"roles":["b","a"],"groups":["g"]`), `,"roles":["a","b"],"groups":["g"]`, 0, ""},
		{"realm roles", token("ours", `,"realm_access":{"roles":["a"]}`), `,"roles":["a"]`, 0, ""},
		{"more roles", token("ours", `,"roles":["a"]`), `,"roles":["a","admin"]`, parse.ObjectNotFound, "Invalid authentication"},
		{"fewer groups", token("ours", `,"groups":["g","h"]`), `,"groups":["g"]`, parse.ObjectNotFound, "Invalid authentication"},
		{"roles of nobody", token("ours", ""), `,"roles":["admin"]`, parse.ObjectNotFound, "Invalid authentication"},
		{"no list", token("ours", ""), `,"roles":"admin"`, parse.ObjectNotFound, "Invalid authentication"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, setUp(t, p, `{"id":"u1","access_token":"`+tt.token+`"`+tt.more+`}`).err, tt.code, tt.text)
		})
	}
}

func TestOpenID(t *testing.T) {
	w := newWeb(t)
	ec := newECSigner(t, "E")
	w.serve("keys.example/jwks", jwks(t, ec))
	discovery := "idp.example/tenant/.well-known/openid-configuration"
	w.serve(discovery, `{"issuer":"https://idp.example/tenant","jwks_uri":"https://keys.example/jwks"}`)
	p := w.make("corp", `{"oidc":true,"issuer":"https://idp.example/tenant","clientId":["web","app"],"algorithms":["ES256"],"requireNonce":true}`)
	token := func(aud, more string) string {
		return ec.sign(fmt.Sprintf(`{"iss":"https://idp.example/tenant","aud":%s,"sub":"u1","exp":%d%s}`, aud, start.Unix()+60, more))
	}
	for _, tt := range []struct {
		name, data, text string
	}{
		{"right", `"nonce":"n","id_token":"` + token(`"app"`, `,"nonce":"n"`) + `"`, ""},
		{"no nonce", `"id_token":"` + token(`"app"`, `,"nonce":"n"`) + `"`, "nonce is missing."},
		{"no nonce in the token", `"nonce":"n","id_token":"` + token(`"app"`, ``) + `"`, mismatch},
		{"given to another", `"nonce":"n","id_token":"` + token(`["app","x"]`, `,"nonce":"n","azp":"x"`) + `"`, mismatch},
		{"given to nobody", `"nonce":"n","id_token":"` + token(`["app","x"]`, `,"nonce":"n"`) + `"`, mismatch},
		{"given to us", `"nonce":"n","id_token":"` + token(`["app","x"]`, `,"nonce":"n","azp":"web"`) + `"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := parse.ObjectNotFound
			if tt.text == "" {
				code = 0
			}
			wantError(t, setUp(t, p, `{"id":"u1",`+tt.data+`}`).err, code, tt.text)
		})
	}
	for name, answer := range map[string]string{
		"another issuer": `{"issuer":"https://evil.example","jwks_uri":"https://keys.example/jwks"}`,
		"no TLS":         `{"issuer":"https://idp.example/tenant","jwks_uri":"http://keys.example/jwks"}`,
		"no keys":        `{"issuer":"https://idp.example/tenant"}`,
	} {
		w.serve(discovery, answer)
		p := w.make("corp", `{"oidc":true,"issuer":"https://idp.example/tenant","clientId":"app","algorithms":["ES256"]}`)
		if err := setUp(t, p, `{"id":"u1","id_token":"`+token(`"app"`, "")+`"}`).err; err == nil {
			t.Error(name)
		}
	}
}

// Many who come at once ask an issuer for its keys once.
func TestKeysAreReadOnce(t *testing.T) {
	w := newWeb(t)
	a := newSigner(t, "A", 0)
	w.serve("www.googleapis.com/oauth2/v3/certs", jwks(t, a))
	p := w.make("google", `{"clientId":"our.app"}`)
	token := a.sign(claims("accounts.google.com", "aud", "our.app", "u1", start.Add(time.Minute), ""))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { wantError(t, setUp(t, p, `{"id":"u1","id_token":"`+token+`"}`).err, 0, "") })
	}
	wg.Wait()
	diff(t, 1, w.requests("www.googleapis.com/oauth2/v3/certs"))
}

func TestFacebookAccessToken(t *testing.T) {
	w := newWeb(t)
	app, me, secret := `{"id":"our.app"}`, `{"id":"u1"}`, ""
	answer := func(body *string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("access_token") != "t" || (q.Get("appsecret_proof") != "") != (secret != "") {
				t.Errorf("asked with %v", q)
			}
			_, _ = rw.Write([]byte(*body))
		}
	}
	w.handle("graph.facebook.com/app", answer(&app))
	w.handle("graph.facebook.com/me", answer(&me))
	p := w.make("facebook", `{"appIds":["our.app"]}`)
	const text = "Facebook auth is invalid for this user."
	wantError(t, setUp(t, p, `{"id":"u1","access_token":"t"}`).err, 0, "")
	wantError(t, setUp(t, p, `{"id":"u2","access_token":"t"}`).err, parse.ObjectNotFound, text)
	wantError(t, setUp(t, p, `{"access_token":"t"}`).err, parse.ObjectNotFound, text)
	secret = "s"
	p = w.make("facebook", `{"appIds":["our.app"],"appSecret":"s"}`)
	wantError(t, setUp(t, p, `{"id":"u1","access_token":"t"}`).err, 0, "")
	app = `{"id":"their.app"}` // of another application
	wantError(t, setUp(t, p, `{"id":"u1","access_token":"t"}`).err, parse.ObjectNotFound, text)
	app = `{}`
	wantError(t, setUp(t, p, `{"id":"u1","access_token":"t"}`).err, parse.ObjectNotFound, text)
}
