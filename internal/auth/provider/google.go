package provider

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/pargo-baas/pargo/cloudcode"
)

const (
	googleIssuer = "https://accounts.google.com"
	googleKeys   = "https://www.googleapis.com/oauth2/v3/certs"
)

func newGoogle(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o idTokenOptions
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if !o.ClientID.noneEmpty() {
		return nil, errors.New("Google auth is not configured: clientId is missing.")
	}
	keys := newKeySet(e, googleKeys, millis(o.CacheMaxAge), jose.RS256)
	return &idToken{
		tokens: newIDTokens(e, keys, "id token not issued by correct provider - expected",
			"accounts.google.com", googleIssuer),
		clientID: o.ClientID, field: "id_token",
	}, nil
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
