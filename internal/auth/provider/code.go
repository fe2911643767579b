package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// code is a provider whose users bring a code of OAuth 2, which the server
// exchanges with its own secret for an access token, with which it asks who
// the user is. What the files of single providers say is in flow.
type code struct {
	flow
	client   *client
	options  codeOptions
	insecure bool
}

// flow is what sets one provider apart from the others.
type flow struct {
	// name is what errors call the provider.
	name string
	// exchange gets the access token for the code; id is the user's, if the
	// provider tells it at once.
	exchange func(ctx context.Context, p *code, data *parse.Map) (token, id string, err error)
	// user asks whose token it is. data are what the client sent.
	user func(ctx context.Context, p *code, token string, data *parse.Map) (id string, err error)
	// noCode is the error without a code, if it is not the usual one.
	noCode string
}

type codeOptions struct {
	common
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	RedirectURI  string `json:"redirectUri"`
}

var (
	_ cloudcode.AuthProvider  = (*code)(nil)
	_ cloudcode.AuthPreparer  = (*code)(nil)
	_ cloudcode.AuthPresenter = (*code)(nil)
)

func newCode(raw json.RawMessage, e *Env, f flow) (cloudcode.AuthProvider, error) {
	p := &code{flow: f, client: e.client}
	if string(raw) == "{}" {
		return nil, fmt.Errorf("%s options are required.", f.name)
	}
	if err := decode(raw, &p.options); err != nil {
		return nil, err
	}
	p.insecure = p.options.EnableInsecureAuth
	switch {
	case p.insecure:
	case p.options.ClientID == "":
		return nil, fmt.Errorf("%s clientId is required.", f.name)
	case p.options.ClientSecret == "":
		return nil, fmt.Errorf("%s clientSecret is required.", f.name)
	}
	return p, nil
}

func (p *code) invalid() error { return invalid("%s auth is invalid for this user.", p.name) }

// failed is the error of a request that the provider has refused.
func (p *code) failed() error { return invalid("%s API request failed.", p.name) }

// Prepare implements [cloudcode.AuthPreparer]: all that is to be checked is
// checked here, since the id comes from the provider.
func (p *code) Prepare(ctx context.Context, r *cloudcode.AuthRequest) error {
	sent, sentID := r.Data, r.Data.String("id")
	// A client that sends no code sends the token that it has got itself.
	if p.insecure && !sent.Has("code") {
		token := sent.String("access_token")
		if token == "" {
			return p.invalid()
		}
		id, err := p.user(ctx, p, token, sent)
		if err != nil {
			return err
		}
		if id == "" || id != sentID {
			return p.invalid()
		}
		return nil
	}
	if sent.String("code") == "" {
		if p.noCode != "" {
			return invalid("%s", p.noCode)
		}
		return malformed("%s code is required.", p.name)
	}
	if p.options.ClientID == "" || p.options.ClientSecret == "" {
		return p.invalid()
	}
	token, id, err := p.exchange(ctx, p, sent)
	if err != nil {
		return err
	}
	if token == "" {
		return p.invalid()
	}
	if p.user != nil {
		asked, err := p.user(ctx, p, token, withID(sent, id))
		if err != nil {
			return err
		}
		if id != "" && asked != id {
			return p.invalid()
		}
		id = asked
	}
	if id == "" || sentID != "" && sentID != id {
		return p.invalid()
	}
	r.Data = parse.NewMap(parse.MapField{Key: "id", Value: id}, parse.MapField{Key: "access_token", Value: token})
	return nil
}

// withID is data with the id that came with the token.
func withID(data *parse.Map, id string) *parse.Map {
	if id == "" {
		return data
	}
	data = data.Clone()
	data.Set("id", id)
	return data
}

// Authenticate implements [cloudcode.AuthProvider]. Data that are not prepared
// are those that are stored already.
func (*code) Authenticate(context.Context, *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	return nil, nil
}

// Present implements [cloudcode.AuthPresenter]: tokens stay on the server.
func (*code) Present(_ cloudcode.Caller, stored *parse.Map) *parse.Map {
	id, ok := stored.Get("id")
	if !ok {
		return &parse.Map{}
	}
	return parse.NewMap(parse.MapField{Key: "id", Value: id})
}

// form is the usual request for a token.
func (p *code) form(data *parse.Map, more ...string) url.Values {
	f := url.Values{
		"grant_type":    {"authorization_code"},
		"client_id":     {p.options.ClientID},
		"client_secret": {p.options.ClientSecret},
		"code":          {data.String("code")},
	}
	if uri := redirect(data, p.options.RedirectURI); uri != "" {
		f.Set("redirect_uri", uri)
	}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] != "" {
			f.Set(more[i], more[i+1])
		}
	}
	return f
}

// redirect is the address to which the provider sent the code: the client's,
// by either name, or the one that is configured. The provider compares it.
func redirect(data *parse.Map, configured string) string {
	for _, key := range [...]string{"redirect_uri", "redirectUri"} {
		if uri := data.String(key); uri != "" {
			return uri
		}
	}
	return configured
}

// token asks for a token by the usual form. failed makes the error of an
// answer that is none.
func (p *code) token(ctx context.Context, target string, form url.Values, failed func(*answer) error) (*parse.Map, error) {
	a, err := p.client.post(ctx, target, form)
	if err != nil {
		return nil, err
	}
	m := a.object()
	if !a.ok() || m == nil || m.Has("error") && get(m, "access_token") == "" {
		return nil, failed(a)
	}
	return m, nil
}

// simple is a flow of which the answers are JSON: the token is access_token,
// the user is at userURL under a field.
func simple(name, tokenURL, userURL, field string) flow {
	return flow{
		name: name,
		exchange: func(ctx context.Context, p *code, data *parse.Map) (string, string, error) {
			m, err := p.token(ctx, tokenURL, p.form(data), func(*answer) error { return p.failed() })
			return get(m, "access_token"), "", err
		},
		user: func(ctx context.Context, p *code, token string, _ *parse.Map) (string, error) {
			a, err := p.client.get(ctx, userURL, "Authorization", "Bearer "+token)
			if err != nil {
				return "", err
			}
			if !a.ok() {
				return "", p.failed()
			}
			return get(a.object(), field), nil
		},
	}
}
