// Package provider has the identity providers that the option auth may name:
// each checks what a client says of itself, with the provider itself or by a
// signature of it (reference 03 §9, §10). An adapter keeps no state but keys
// that it caches, and never trusts an address, an algorithm or an issuer that
// a client names. One client, in client.go, makes all requests.
package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// Env is what providers share.
type Env struct {
	// Transport carries requests; nil: http.DefaultTransport.
	Transport http.RoundTripper
	Now       func() time.Time
	// Insecure allows providers that only repeat what a client says.
	Insecure bool
	// Secret seals what a client carries from a challenge to its answer. All
	// servers of one application have the same.
	Secret []byte
	// Origin is the URL of the application, if it is known.
	Origin string
	// SendSMS sends a code to a telephone number; nil: there is no way to.
	SendSMS func(ctx context.Context, code, mobile string) error

	client *client
}

// maker makes an adapter out of its options, a JSON object.
type maker func(o json.RawMessage, e *Env) (cloudcode.AuthProvider, error)

// makers lists the adapters by name.
func makers() map[string]maker {
	return map[string]maker{
		"apple":          newApple,
		"facebook":       newFacebook,
		"gcenter":        newGameCenter,
		"github":         newGitHub,
		"google":         newGoogle,
		"gpgames":        newPlayGames,
		"instagram":      newInstagram,
		"janraincapture": newJanrainCapture,
		"janrainengage":  newJanrainEngage,
		"keycloak":       newKeycloak,
		"ldap":           newLDAP,
		"line":           newLine,
		"linkedin":       newLinkedIn,
		"meetup":         newMeetup,
		"mfa":            newMFA,
		"microsoft":      newMicrosoft,
		"passkey":        newPasskey,
		"phantauth":      newPhantAuth,
		"qq":             newQQ,
		"spotify":        newSpotify,
		"twitter":        newTwitter,
		"digits":         newTwitter,
		"vkontakte":      newVkontakte,
		"wechat":         newWeChat,
		"weibo":          newWeibo,
	}
}

// New makes the provider of one entry of the option auth. Options with
// "oauth2" or "oidc" make one of that kind under any name. An error says what
// is wrong with the options.
func New(name string, options json.RawMessage, e Env) (cloudcode.AuthProvider, error) {
	if e.Now == nil {
		e.Now = time.Now
	}
	e.client = newClient(e.Transport)
	var kind struct {
		OAuth2 bool `json:"oauth2"`
		OIDC   bool `json:"oidc"`
	}
	if err := json.Unmarshal(options, &kind); err != nil {
		return nil, fmt.Errorf("auth.%s: %w", name, err)
	}
	all := makers()
	all["anonymous"] = func(json.RawMessage, *Env) (cloudcode.AuthProvider, error) {
		return nil, errors.New("is switched by the option enableAnonymousUsers")
	}
	mk, ok := all[name]
	switch {
	case kind.OAuth2:
		mk = newOAuth2
	case kind.OIDC:
		mk = newOIDC
	case !ok:
		return nil, fmt.Errorf("auth.%s: there is no such provider: it must be one of %s, or have the option oauth2 or oidc", name, strings.Join(slices.Sorted(maps.Keys(makers())), ", "))
	}
	p, err := mk(options, &e)
	if err != nil {
		return nil, fmt.Errorf("auth.%s: %w", name, err)
	}
	return p, nil
}

// common are the options of every provider.
type common struct {
	Enabled            bool `json:"enabled"`
	EnableInsecureAuth bool `json:"enableInsecureAuth"`
}

// decode reads options; one that is not known is a mistake of the operator,
// and may be one that was to protect something.
func decode(raw json.RawMessage, into any) error {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typ):
		return fmt.Errorf("option %s must not be a %s", typ.Field, typ.Value)
	case err != nil && !errors.Is(err, io.EOF):
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// oneOrMany is an option that is a string or a list of them.
type oneOrMany []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *oneOrMany) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		if s != "" {
			*l = []string{s}
		}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return errors.New("must be a string or a list of strings")
	}
	*l = list
	return nil
}

func (l oneOrMany) has(s string) bool { return s != "" && slices.Contains(l, s) }

// noneEmpty reports whether there is an entry, and none is empty.
func (l oneOrMany) noneEmpty() bool { return len(l) > 0 && !slices.Contains(l, "") }

// invalid is the refusal of a user: 101 with a text of the reference.
func invalid(format string, args ...any) error {
	return parse.Errorf(parse.ObjectNotFound, format, args...)
}

func malformed(format string, args ...any) error {
	return parse.Errorf(parse.ValidationError, format, args...)
}

// text returns an id as a string: some providers have numbers.
func text(v parse.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case parse.Int:
		return strconv.FormatInt(int64(v), 10)
	case float64:
		if v == float64(int64(v)) {
			return strconv.FormatInt(int64(v), 10)
		}
	}
	return ""
}

// get returns a field as text.
func get(m *parse.Map, key string) string {
	v, _ := m.Get(key)
	return text(v)
}
