package provider

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// keycloak checks access tokens of one realm that were issued to one client.
type keycloak struct {
	tokens   *idTokens
	clientID string
}

func newKeycloak(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		Config *struct {
			AuthServerURL string `json:"auth-server-url"`
			Realm         string `json:"realm"`
			ClientID      string `json:"client-id"`
		} `json:"config"`
		CacheMaxEntries float64 `json:"cacheMaxEntries"`
		CacheMaxAge     float64 `json:"cacheMaxAge"`
	}
	// A keycloak.json has more than is asked for here.
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	c := o.Config
	switch {
	case c == nil || c.AuthServerURL == "" || c.Realm == "":
		return nil, errors.New("Missing keycloak configuration")
	case c.ClientID == "":
		return nil, errors.New("Keycloak auth is not configured. Missing client-id.")
	}
	if err := checkURL("auth-server-url", c.AuthServerURL); err != nil {
		return nil, err
	}
	issuer := strings.TrimRight(c.AuthServerURL, "/") + "/realms/" + c.Realm
	keys := newKeySet(e, issuer+"/protocol/openid-connect/certs", millis(o.CacheMaxAge), jose.RS256)
	return &keycloak{
		tokens:   newIDTokens(e, keys, "access token not issued by correct provider - expected", issuer),
		clientID: c.ClientID,
	}, nil
}

// Authenticate implements [cloudcode.AuthProvider].
func (p *keycloak) Authenticate(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	token, id := r.Data.String("access_token"), r.Data.String("id")
	if token == "" || id == "" {
		return nil, invalid("Missing access token and/or User id")
	}
	t, claims, err := p.tokens.verify(ctx, token, nil)
	if err != nil {
		return nil, err
	}
	if azp := get(claims, "azp"); azp != p.clientID {
		return nil, invalid("access token is not authorized for this client - expected: %s | from: %s", p.clientID, azp)
	}
	if err := sameUser(r, t.Subject, t.Nonce); err != nil {
		return nil, err
	}
	access, _ := claims.Get("realm_access")
	realm, _ := access.(*parse.Map)
	roles, ok := claims.Get("roles")
	if !ok {
		roles, _ = realm.Get("roles")
	}
	groups, _ := claims.Get("groups")
	if !sameList(r.Data, "roles", roles) || !sameList(r.Data, "groups", groups) {
		return nil, invalid("Invalid authentication")
	}
	return nil, nil
}

// sameList reports whether the client says the same of roles or groups as the
// token, if it says anything: what it says is stored.
func sameList(data *parse.Map, key string, claim parse.Value) bool {
	sent, ok := data.Get(key)
	if !ok || sent == nil {
		return true
	}
	want, ok := set(sent)
	have, _ := set(claim)
	return ok && slices.Equal(want, have)
}

// set returns the strings of a list, sorted; ok is false for anything else.
func set(v parse.Value) (out []string, ok bool) {
	list, ok := v.(parse.Array)
	if !ok {
		return nil, false
	}
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return slices.Compact(out), true
}
