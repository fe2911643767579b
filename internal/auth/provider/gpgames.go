package provider

import (
	"context"
	"encoding/json"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func newPlayGames(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	return newCode(raw, e, flow{
		name:     "Google Play Games Services",
		exchange: exchange("https://oauth2.googleapis.com/token"),
		user: func(ctx context.Context, p *code, token string, data *parse.Map) (string, error) {
			want := data.String("id")
			if want == "" {
				return "", p.invalid()
			}
			// The player of the token: of any player, anybody may read a page.
			a, err := p.client.get(ctx, "https://www.googleapis.com/games/v1/players/me", "Authorization", "Bearer "+token)
			if err != nil {
				return "", err
			}
			if !a.ok() {
				return "", malformed("Failed to fetch Google Play Games Services user: %s", a.reason())
			}
			if get(a.object(), "playerId") != want {
				return "", malformed("Invalid Google Play Games Services user data received.")
			}
			return want, nil
		},
	})
}
