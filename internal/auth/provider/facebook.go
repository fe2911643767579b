package provider

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/go-jose/go-jose/v4"

	"github.com/pargo-baas/pargo/cloudcode"
)

const (
	facebookIssuer = "https://www.facebook.com"
	facebookKeys   = "https://www.facebook.com/.well-known/oauth/openid/jwks/"
	facebookGraph  = "https://graph.facebook.com/"
)

// facebook knows access tokens, and the signed tokens of limited login.
type facebook struct {
	client *client
	tokens *idTokens
	apps   oneOrMany
	secret string
}

func newFacebook(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		AppIDs          json.RawMessage `json:"appIds"`
		AppSecret       string          `json:"appSecret"`
		CacheMaxEntries float64         `json:"cacheMaxEntries"`
		CacheMaxAge     float64         `json:"cacheMaxAge"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if len(o.AppIDs) == 0 {
		return nil, errors.New("Facebook auth is not configured: appIds is missing.")
	}
	var apps []string
	if err := json.Unmarshal(o.AppIDs, &apps); err != nil {
		return nil, errors.New("appIds must be an array.")
	}
	if !oneOrMany(apps).noneEmpty() {
		return nil, errors.New("Facebook auth is not configured: appIds is empty.")
	}
	keys := newKeySet(e, facebookKeys, millis(o.CacheMaxAge), jose.RS256)
	return &facebook{
		client: e.client, apps: apps, secret: o.AppSecret,
		tokens: newIDTokens(e, keys, "id token not issued by correct OpenID provider - expected", facebookIssuer),
	}, nil
}

// Authenticate implements [cloudcode.AuthProvider].
func (p *facebook) Authenticate(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	if token := r.Data.String("token"); token != "" {
		id, _, err := p.tokens.verify(ctx, token, p.apps)
		if err != nil {
			return nil, err
		}
		return nil, sameUser(r, id.Subject, id.Nonce)
	}
	token, id := r.Data.String("access_token"), r.Data.String("id")
	if token == "" || id == "" {
		return nil, p.invalid()
	}
	// The app first: a token of another app is one that its owner can pass on.
	app, err := p.graph(ctx, "app", token)
	if err != nil {
		return nil, err
	}
	if !p.apps.has(app) {
		return nil, p.invalid()
	}
	user, err := p.graph(ctx, "me", token)
	if err != nil {
		return nil, err
	}
	if user != id {
		return nil, p.invalid()
	}
	return nil, nil
}

func (*facebook) invalid() error { return invalid("Facebook auth is invalid for this user.") }

// graph returns the id of what a token says at a path.
func (p *facebook) graph(ctx context.Context, path, token string) (string, error) {
	q := url.Values{"access_token": {token}}
	if path == "me" {
		q.Set("fields", "id")
	}
	if p.secret != "" {
		mac := hmac.New(sha256.New, []byte(p.secret))
		mac.Write([]byte(token))
		q.Set("appsecret_proof", hex.EncodeToString(mac.Sum(nil)))
	}
	a, err := p.client.get(ctx, facebookGraph+path+"?"+q.Encode())
	if err != nil {
		return "", err
	}
	if !a.ok() {
		return "", p.invalid()
	}
	return get(a.object(), "id"), nil
}
