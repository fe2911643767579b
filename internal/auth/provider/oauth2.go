package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// introspection is any provider that tells about its access tokens (RFC 7662).
type introspection struct {
	client        *client
	endpoint      string
	authorization string
	userField     string
	appField      string
	apps          oneOrMany
}

var _ cloudcode.AuthProvider = (*introspection)(nil)

func newOAuth2(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		OAuth2        bool            `json:"oauth2"`
		Endpoint      string          `json:"tokenIntrospectionEndpointUrl"`
		UserIDField   string          `json:"useridField"`
		AppIDField    string          `json:"appidField"`
		AppIDs        json.RawMessage `json:"appIds"`
		Authorization string          `json:"authorizationHeader"`
		Debug         bool            `json:"debug"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if o.Endpoint == "" {
		return nil, errors.New("OAuth2 token introspection endpoint URL is missing.")
	}
	if err := checkURL("tokenIntrospectionEndpointUrl", o.Endpoint); err != nil {
		return nil, err
	}
	p := &introspection{
		client: e.client, endpoint: o.Endpoint, authorization: o.Authorization, userField: o.UserIDField, appField: o.AppIDField,
	}
	if p.userField == "" {
		p.userField = "sub"
	}
	if len(o.AppIDs) > 0 {
		var apps []string
		if err := json.Unmarshal(o.AppIDs, &apps); err != nil {
			return nil, errors.New("appIds must be an array.")
		}
		p.apps = apps
	}
	if p.appField != "" && !p.apps.noneEmpty() {
		return nil, errors.New("OAuth2 configuration is missing app IDs.")
	}
	return p, nil
}

// Authenticate implements [cloudcode.AuthProvider].
func (p *introspection) Authenticate(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	token, id := r.Data.String("access_token"), r.Data.String("id")
	if token == "" || id == "" {
		return nil, invalid("OAuth2 access token is invalid for this user.")
	}
	var header []string
	if p.authorization != "" {
		header = []string{"Authorization", p.authorization}
	}
	a, err := p.client.post(ctx, p.endpoint, url.Values{"token": {token}}, header...)
	if err != nil {
		return nil, err
	}
	m := a.object()
	if !a.ok() || m == nil {
		return nil, invalid("OAuth2 token introspection request failed.")
	}
	if active, _ := m.Get("active"); active != true {
		return nil, invalid("OAuth2 access token is invalid for this user.")
	}
	if p.appField != "" && !p.forUs(m) {
		return nil, invalid("OAuth2: Invalid app ID.")
	}
	if get(m, p.userField) != id {
		return nil, invalid("OAuth2 access token is invalid for this user.")
	}
	return nil, nil
}

// forUs reports whether the token was issued to one of our applications.
func (p *introspection) forUs(m *parse.Map) bool {
	v, _ := m.Get(p.appField)
	if list, ok := v.(parse.Array); ok {
		return slices.ContainsFunc(list, func(v parse.Value) bool { return p.apps.has(text(v)) })
	}
	return p.apps.has(text(v))
}
