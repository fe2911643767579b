package provider

import (
	"context"
	"encoding/json"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func newMeetup(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	return newUserInfo(raw, e, "Meetup", "https://api.meetup.com/2/member/self", "id")
}

// newUserInfo makes a provider that tells the owner of a token under a field.
func newUserInfo(raw json.RawMessage, e *Env, name, target, field string) (cloudcode.AuthProvider, error) {
	var o common
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if err := o.accepted(); err != nil {
		return nil, err
	}
	return &bearer{name: name, owner: func(ctx context.Context, data *parse.Map) (string, error) {
		token := data.String("access_token")
		if token == "" {
			return "", nil
		}
		a, err := e.client.get(ctx, target, "Authorization", "Bearer "+token)
		if err != nil || !a.ok() {
			return "", err
		}
		return get(a.object(), field), nil
	}}, nil
}
