package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

const vkVersion = "5.123"

func newVkontakte(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		AppIDs    oneOrMany `json:"appIds"`
		AppSecret string    `json:"appSecret"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if err := o.acceptedGlobally(e); err != nil {
		return nil, err
	}
	if !o.AppIDs.noneEmpty() || o.AppSecret == "" {
		return nil, errors.New("Vk auth is not configured. Missing appIds or appSecret.")
	}
	return &bearer{name: "Vk", owner: func(ctx context.Context, data *parse.Map) (string, error) {
		token := data.String("access_token")
		if token == "" {
			return "", nil
		}
		q := url.Values{
			"client_id": {o.AppIDs[0]}, "client_secret": {o.AppSecret}, "v": {vkVersion}, "grant_type": {"client_credentials"},
		}
		a, err := e.client.get(ctx, "https://oauth.vk.com/access_token?"+q.Encode())
		if err != nil {
			return "", err
		}
		if get(a.object(), "access_token") == "" {
			return "", invalid("Vk appIds parameter is incorrect.")
		}
		a, err = e.client.get(ctx, "https://api.vk.com/method/users.get?"+url.Values{"access_token": {token}, "v": {vkVersion}}.Encode())
		if err != nil || !a.ok() {
			return "", err
		}
		v, _ := a.object().Get("response")
		list, _ := v.(parse.Array)
		if len(list) == 0 {
			return "", nil
		}
		user, _ := list[0].(*parse.Map)
		return get(user, "id"), nil
	}}, nil
}
