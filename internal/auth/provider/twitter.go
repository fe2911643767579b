package provider

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // OAuth 1.0a signs with HMAC-SHA1
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

const (
	twitterToken  = "https://api.twitter.com/oauth/access_token" //nolint:gosec // an address
	twitterVerify = "https://api.twitter.com/1.1/account/verify_credentials.json"
)

// twitter speaks OAuth 1.0a: the client brings a verifier, which the server
// exchanges; or, in the insecure form, a token with its secret.
type twitter struct {
	env         *Env
	key, secret string
	insecure    bool
}

var (
	_ cloudcode.AuthPreparer  = (*twitter)(nil)
	_ cloudcode.AuthPresenter = (*twitter)(nil)
)

func newTwitter(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		ConsumerKey    string `json:"consumer_key"`
		ConsumerSecret string `json:"consumer_secret"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if o.ConsumerKey == "" || o.ConsumerSecret == "" {
		return nil, errors.New("Consumer key and secret are required for secure Twitter auth.")
	}
	if o.EnableInsecureAuth && !e.Insecure {
		return nil, errors.New("enableInsecureAuth needs the option enableInsecureAuthAdapters")
	}
	return &twitter{env: e, key: o.ConsumerKey, secret: o.ConsumerSecret, insecure: o.EnableInsecureAuth}, nil
}

func (*twitter) invalid() error { return invalid("Twitter auth is invalid for this user.") }

// Prepare implements [cloudcode.AuthPreparer].
func (p *twitter) Prepare(ctx context.Context, r *cloudcode.AuthRequest) error {
	id := r.Data.String("id")
	if p.insecure && r.Data.String("auth_token") != "" {
		a, err := p.signed(ctx, "GET", twitterVerify, r.Data.String("auth_token"), r.Data.String("auth_token_secret"), nil)
		if err != nil {
			return err
		}
		if !a.ok() || id == "" || get(a.object(), "id_str") != id {
			return p.invalid()
		}
		return nil
	}
	token, verifier := r.Data.String("oauth_token"), r.Data.String("oauth_verifier")
	if token == "" || verifier == "" {
		return malformed("Twitter code is required.")
	}
	a, err := p.signed(ctx, "POST", twitterToken, token, r.Data.String("oauth_token_secret"), url.Values{"oauth_verifier": {verifier}})
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(a.body))
	user := form.Get("user_id")
	if err != nil || !a.ok() || form.Get("oauth_token") == "" || user == "" || id != "" && id != user {
		return p.invalid()
	}
	r.Data = parse.NewMap(
		parse.MapField{Key: "id", Value: user},
		parse.MapField{Key: "auth_token", Value: form.Get("oauth_token")},
		parse.MapField{Key: "auth_token_secret", Value: form.Get("oauth_token_secret")},
	)
	return nil
}

// Authenticate implements [cloudcode.AuthProvider].
func (*twitter) Authenticate(context.Context, *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	return nil, nil
}

// Present implements [cloudcode.AuthPresenter].
func (*twitter) Present(c cloudcode.Caller, stored *parse.Map) *parse.Map {
	return (*code)(nil).Present(c, stored)
}

// signed makes a request with the signature of OAuth 1.0a (RFC 5849).
func (p *twitter) signed(ctx context.Context, method, target, token, tokenSecret string, form url.Values) (*answer, error) {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // crypto/rand.Read never fails
	oauth := map[string]string{
		"oauth_consumer_key":     p.key,
		"oauth_nonce":            hex.EncodeToString(nonce),
		"oauth_signature_method": "HMAC-SHA1",
		"oauth_timestamp":        strconv.FormatInt(p.env.Now().Unix(), 10),
		"oauth_token":            token,
		"oauth_version":          "1.0",
	}
	oauth["oauth_signature"] = signature(method, target, oauth, form, p.secret, tokenSecret)
	var fields []string
	for _, k := range slices.Sorted(maps.Keys(oauth)) {
		fields = append(fields, k+`="`+escape(oauth[k])+`"`)
	}
	header := []string{"Authorization", "OAuth " + strings.Join(fields, ", ")}
	if method == "GET" {
		return p.env.client.get(ctx, target, header...)
	}
	return p.env.client.post(ctx, target, form, header...)
}

// signature signs the method, the address and all parameters (RFC 5849 §3.4).
func signature(method, target string, oauth map[string]string, form url.Values, secret, tokenSecret string) string {
	var params []string
	for k, v := range oauth {
		params = append(params, escape(k)+"="+escape(v))
	}
	for k, list := range form {
		for _, v := range list {
			params = append(params, escape(k)+"="+escape(v))
		}
	}
	slices.Sort(params)
	mac := hmac.New(sha1.New, []byte(escape(secret)+"&"+escape(tokenSecret)))
	mac.Write([]byte(method + "&" + escape(target) + "&" + escape(strings.Join(params, "&"))))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// escape is the percent-encoding of RFC 3986, in which a blank is %20.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
