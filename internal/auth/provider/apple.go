package provider

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/go-jose/go-jose/v4"

	"github.com/pargo-baas/pargo/cloudcode"
)

const (
	appleIssuer = "https://appleid.apple.com"
	appleKeys   = "https://appleid.apple.com/auth/keys"
)

// idToken is a provider whose users present a token that its issuer has
// signed; the subject of the token is the id.
type idToken struct {
	tokens   *idTokens
	clientID oneOrMany
	field    string // of authData with the token
}

var _ cloudcode.AuthProvider = (*idToken)(nil)

// idTokenOptions are the options of apple and google. How many keys are cached
// is not limited: it is as many as the issuer has.
type idTokenOptions struct {
	common
	ClientID        oneOrMany `json:"clientId"`
	CacheMaxEntries float64   `json:"cacheMaxEntries"`
	CacheMaxAge     float64   `json:"cacheMaxAge"` // ms
}

func newApple(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o idTokenOptions
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if !o.ClientID.noneEmpty() {
		return nil, errors.New("Apple auth is not configured: clientId is missing.")
	}
	keys := newKeySet(e, appleKeys, millis(o.CacheMaxAge), jose.RS256)
	return &idToken{
		tokens:   newIDTokens(e, keys, "id token not issued by correct OpenID provider - expected", appleIssuer),
		clientID: o.ClientID, field: "token",
	}, nil
}

// Authenticate implements [cloudcode.AuthProvider].
func (p *idToken) Authenticate(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	token := r.Data.String(p.field)
	if token == "" {
		return nil, invalid("id token is invalid for this user.")
	}
	id, _, err := p.tokens.verify(ctx, token, p.clientID)
	if err != nil {
		return nil, err
	}
	return nil, sameUser(r, id.Subject, id.Nonce)
}

// sameUser checks that a token was made for the user, and for this login if
// the client has asked the issuer to put a nonce into the token.
func sameUser(r *cloudcode.AuthRequest, subject, nonce string) error {
	if subject == "" || subject != r.Data.String("id") {
		return invalid("auth data is invalid for this user.")
	}
	if want := r.Data.String("nonce"); want != "" && want != nonce {
		return invalid("auth data is invalid for this user.")
	}
	return nil
}
