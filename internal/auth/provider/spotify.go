package provider

import (
	"context"
	"encoding/json"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func newSpotify(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	f := simple("Spotify", "", "https://api.spotify.com/v1/me", "id")
	f.exchange = func(ctx context.Context, p *code, data *parse.Map) (string, string, error) {
		form := p.form(data, "code_verifier", data.String("code_verifier"))
		m, err := p.token(ctx, "https://accounts.spotify.com/api/token", form, func(*answer) error { return p.failed() })
		return get(m, "access_token"), "", err
	}
	return newCode(raw, e, f)
}
