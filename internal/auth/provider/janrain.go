package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)

func newJanrainCapture(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		Host string `json:"janrain_capture_host"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if !hostName.MatchString(o.Host) {
		return nil, errors.New("janrain_capture_host must be the name of a host")
	}
	return &bearer{name: "Janrain capture", owner: func(ctx context.Context, data *parse.Map) (string, error) {
		token := data.String("access_token")
		if token == "" {
			return "", nil
		}
		q := url.Values{"access_token": {token}, "attribute_name": {"uuid"}}
		a, err := e.client.get(ctx, "https://"+o.Host+"/entity?"+q.Encode())
		if err != nil || !a.ok() {
			return "", err
		}
		m := a.object()
		if get(m, "stat") != "ok" {
			return "", nil
		}
		return get(m, "result"), nil
	}}, nil
}

func newJanrainEngage(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		APIKey string `json:"api_key"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if err := o.acceptedGlobally(e); err != nil {
		return nil, err
	}
	if o.APIKey == "" {
		return nil, errors.New("api_key is missing")
	}
	return &bearer{name: "Janrain engage", owner: func(ctx context.Context, data *parse.Map) (string, error) {
		token := data.String("auth_token")
		if token == "" {
			return "", nil
		}
		a, err := e.client.post(ctx, "https://rpxnow.com/api/v2/auth_info", url.Values{
			"token": {token}, "apiKey": {o.APIKey}, "format": {"json"},
		})
		if err != nil || !a.ok() {
			return "", err
		}
		m := a.object()
		v, _ := m.Get("profile")
		profile, _ := v.(*parse.Map)
		if get(m, "stat") != "ok" {
			return "", nil
		}
		return get(profile, "identifier"), nil
	}}, nil
}
