package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/pargo-baas/pargo/cloudcode"
)

// openID is any issuer of OpenID Connect, found by discovery.
type openID struct {
	tokens *idTokens
	id     oneOrMany
	nonce  bool
}

// algorithms that an operator may name; all are signatures with a public key.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func newOIDC(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		OIDC         bool      `json:"oidc"`
		Issuer       string    `json:"issuer"`
		ClientID     oneOrMany `json:"clientId"`
		Algorithms   []string  `json:"algorithms"`
		RequireNonce bool      `json:"requireNonce"`
		CacheMaxAge  float64   `json:"cacheMaxAge"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if err := checkURL("issuer", o.Issuer); err != nil {
		return nil, err
	}
	if !o.ClientID.noneEmpty() {
		return nil, errors.New("clientId is missing")
	}
	algs := []jose.SignatureAlgorithm{jose.RS256}
	if len(o.Algorithms) > 0 {
		algs = nil
		for _, a := range o.Algorithms {
			if !slices.Contains(algorithms, jose.SignatureAlgorithm(a)) {
				return nil, fmt.Errorf("algorithms: %q is none of %v", a, algorithms)
			}
			algs = append(algs, jose.SignatureAlgorithm(a))
		}
	}
	d := &discovery{client: e.client, issuer: o.Issuer}
	keys := newKeySetAt(e, d.keys, millis(o.CacheMaxAge), algs...)
	return &openID{
		tokens: newIDTokens(e, keys, "id token not issued by correct OpenID provider - expected", o.Issuer),
		id:     o.ClientID, nonce: o.RequireNonce,
	}, nil
}

// Authenticate implements [cloudcode.AuthProvider].
func (p *openID) Authenticate(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	token := r.Data.String("id_token")
	if token == "" {
		return nil, invalid("id token is invalid for this user.")
	}
	id, claims, err := p.tokens.verify(ctx, token, p.id)
	if err != nil {
		return nil, err
	}
	// A token for several audiences says to whom it was given.
	if azp := get(claims, "azp"); (len(id.Audience) > 1 || azp != "") && !p.id.has(azp) {
		return nil, invalid("auth data is invalid for this user.")
	}
	if p.nonce && r.Data.String("nonce") == "" {
		return nil, invalid("nonce is missing.")
	}
	return nil, sameUser(r, id.Subject, id.Nonce)
}

// discovery finds out where an issuer has its keys.
type discovery struct {
	client *client
	issuer string
}

func (d *discovery) keys(ctx context.Context) (string, error) {
	a, err := d.client.get(ctx, strings.TrimRight(d.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", fmt.Errorf("discover %s: %w", d.issuer, err)
	}
	m := a.object()
	if !a.ok() || get(m, "issuer") != d.issuer {
		return "", fmt.Errorf("discover %s: the answer (status %d) is of the issuer %q", d.issuer, a.status, get(m, "issuer"))
	}
	target := get(m, "jwks_uri")
	if err := checkURL("jwks_uri", target); err != nil {
		return "", fmt.Errorf("discover %s: %w", d.issuer, err)
	}
	if strings.HasPrefix(d.issuer, "https:") && !strings.HasPrefix(target, "https:") {
		return "", fmt.Errorf("discover %s: jwks_uri is not secret on its way: %s", d.issuer, target)
	}
	return target, nil
}
