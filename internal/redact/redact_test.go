package redact_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/redact"
	"github.com/pargo-baas/pargo/parse"
)

const hidden = "SECRET"

type account struct {
	Name   string
	Key    string `secret:""`
	Token  string
	Raw    json.RawMessage
	inside string
	Next   *account
}

type lazy struct{}

// LogValue implements slog.LogValuer.
func (lazy) LogValue() slog.Value {
	return slog.GroupValue(slog.String("password", hidden), slog.Int("n", 1))
}

func values() map[string]any {
	object := &parse.Object{ClassName: "_User", ID: "u1"}
	object.Set("username", "ann")
	object.Set("sessionToken", hidden)
	object.Set("authData", parse.NewMap(parse.MapField{Key: "google", Value: parse.NewMap(parse.MapField{Key: "x", Value: hidden})}))
	object.Set("list", parse.Array{parse.NewMap(parse.MapField{Key: "_hashed_password", Value: hidden}), "kept"})
	failed := &url.Error{Op: "Get", URL: "https://u:" + hidden + "@h/p?t=" + hidden, Err: errors.New("refused")}
	cycle := &account{Name: "ann", Key: hidden, Token: hidden, Raw: json.RawMessage(`{"access_token":"` + hidden + `","a":1}`), inside: hidden}
	cycle.Next = cycle
	return map[string]any{
		"object": object, "object by value": *object, "map": &object.Fields,
		"header":   http.Header{"X-Parse-Session-Token": {hidden}, "Authorization": {hidden}, "Accept": {"x"}},
		"struct":   cycle,
		"list":     []any{object, map[string]any{"master-key": hidden, "n": 1}},
		"url":      failed,
		"wrapped":  fmt.Errorf("pay: %w", errors.Join(errors.New("first"), failed)),
		"address":  &url.URL{Scheme: "https", Host: "h", RawQuery: "token=" + hidden},
		"lazy":     lazy{},
		"raw":      json.RawMessage(`[{"password":"` + hidden + `"}]`),
		"broken":   json.RawMessage(`{"password":"` + hidden),
		"bytes":    []byte(hidden),
		"function": func() string { return hidden },
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	for form, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		for name, v := range values() {
			var b bytes.Buffer
			log := slog.New(redact.Handler(handler(&b)))
			log.Info("a", "v", v, "sessionToken", hidden, slog.Group("g", "v", v, "password", hidden))
			log.With("v", v, "token", hidden).WithGroup("g").Info("b", "x-parse-master-key", hidden)
			if got := b.String(); strings.Contains(got, hidden) || strings.Count(got, "[redacted]") < 4 {
				t.Errorf("%s, %s: %s", form, name, got)
			}
		}
	}
}

func TestTheRestIsKept(t *testing.T) {
	v := values()
	when := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		v    any
		want string
	}{
		{v["object"], `{"authData":"[redacted]","className":"_User","list":[{"_hashed_password":"[redacted]"},"kept"],"objectId":"u1","sessionToken":"[redacted]","username":"ann"}`},
		{v["header"], `{"Accept":["x"],"Authorization":"[redacted]","X-Parse-Session-Token":"[redacted]"}`},
		{account{Name: "bob", Raw: json.RawMessage(`{"a":[1,true,null]}`)}, `{"Key":"[redacted]","Name":"bob","Next":null,"Raw":{"a":[1,true,null]},"Token":"[redacted]"}`},
		{v["url"], `"Get \"https://redacted@h/p?redacted\": refused"`},
		{v["wrapped"], `"pay: first\nGet \"https://redacted@h/p?redacted\": refused"`},
		{errors.New("plain"), `"plain"`},
		{struct {
			At  time.Time
			Per time.Duration
			N   uint8
			F   float32
			ACL *parse.ACL
		}{when, time.Second, 3, 1.5, nil}, `{"ACL":null,"At":"2030-01-02T03:04:05Z","F":"1.5","N":3,"Per":1000000000}`},
		{(*parse.Object)(nil), `null`},
		{nil, `null`},
	} {
		got, err := json.Marshal(redact.Value(tt.v))
		if text := strings.ReplaceAll(string(got), `\u003c`, "<"); err != nil || text != tt.want {
			t.Errorf("%T: %s, %v; want %s", tt.v, got, err, tt.want)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	log := slog.New(redact.Handler(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		log.Info("a line", "a", 1, "b", "x")
	}
}
