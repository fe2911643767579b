package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// record is a log that a test reads while a server writes it.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *record) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// broken is a provider whose service repeats what it was sent in its errors.
type broken struct{}

func (broken) Authenticate(_ context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	token := r.Data.String("access_token")
	return nil, &url.Error{Op: "Get", URL: "https://id.example/check?access_token=" + token, Err: errors.New("connection refused")}
}

// chatty logs all that hooks get, and panics with it.
func chatty(app *cloudcode.App) {
	app.AuthProvider("broken", broken{})
	app.BeforeSave("_User", func(_ context.Context, r *cloudcode.SaveRequest) error {
		r.Log().Info("before save", "request", r, "object", r.Object, "caller", r.Caller, "headers", r.Headers)
		if r.Object.String("nick") == "panic" {
			panic(r.Object)
		}
		return nil
	})
	app.AfterLogin(func(_ context.Context, r *cloudcode.LoginRequest) error {
		r.Log().Info("login", "user", r.User, "in a list", []any{r.User, *r.User}, slog.Group("g", "sessionToken", r.User.String("sessionToken")))
		r.Log().With("user", r.User).Error("again", "request", r)
		return nil
	})
	app.Function("panics", func(_ context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
		r.Log().Warn("called", "params", r.Params, "request", *r)
		panic(r.Params)
	})
	app.Function("fails", func(_ context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
		return nil, &url.Error{Op: "Post", URL: "https://bank.example/pay?token=" + r.Params.String("token"), Err: errors.New("timeout")}
	})
}

// secretBox are the secrets of a run, by what they are.
type secretBox map[string]string

// sought fails the test for each secret that a text has.
func (s secretBox) sought(t *testing.T, where, text string) {
	t.Helper()
	for what, secret := range s {
		for _, form := range []string{secret, url.QueryEscape(secret)} {
			if form == "" {
				t.Errorf("there was no %s", what)
				continue
			}
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("%s has the %s: …%s…", where, what, text[max(0, i-200):min(len(text), i+len(form)+50)])
				break
			}
		}
	}
}

// TestSecretsAreNotTold: of all secrets of a run of requests, none is in the
// log, at its most verbose, nor in the answer to a request that failed.
func TestSecretsAreNotTold(t *testing.T) {
	for _, form := range []string{"text", "json"} {
		t.Run(form, func(t *testing.T) {
			scenario.Each(t, func(t *testing.T, db scenario.Database) { seekSecrets(t, form, db.URI(t)) })
		})
	}
}

func seekSecrets(t *testing.T, form, uri string) {
	secrets := secretBox{
		"master key": "secret-master-key", "maintenance key": "secret-maintenance-key", "client key": "secret-client-key",
		"webhook key": "secret-webhook-key", "password": "secret-pass-1", "new password": "secret-pass-2", "wrong password": "secret-pass-3",
		"access token": "secret-access-token", "made-up session": "r:secretsession", "wrong key": "secret-wrong-key",
		"token of a webhook": "secret-hook-token", "password of a webhook": "secret-hook-pass", "MFA secret": secretA, "key pair": "secret-key-pair",
	}
	var log record
	o := &slog.HandlerOptions{Level: slog.LevelDebug}
	logger := slog.New(slog.NewTextHandler(&log, o))
	if form == "json" {
		logger = slog.New(slog.NewJSONHandler(&log, o))
	}
	box := make(mailbox, 100)
	s := scenario.Start(t, uri, func(c *config.Config) {
		open(c)
		c.AppName, c.PublicServerURL = "App", public
		c.MasterKey, c.MaintenanceKey, c.RESTAPIKey, c.WebhookKey = secrets["master key"], secrets["maintenance key"], secrets["client key"], secrets["webhook key"]
		c.VerifyUserEmails, c.Verbose = true, true
		c.EnableSanitizedErrorResponse = false
		c.Auth = json.RawMessage(`{"mfa":{"options":["TOTP"],"digits":6,"period":86400,"algorithm":"SHA1"},"facebook":{"appIds":["1"],"appSecret":"x"}}`)
		c.StartLiveQueryServer = true
		c.LiveQueryServerOptions.KeyPairs = map[string]string{"clientKey": secrets["key pair"]}
	}, chatty, server.WithLogger(logger), server.WithMailAdapter(box))
	seen := 0
	send := func(method, path, body string, header map[string]string) string {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, "/parse"+path, strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Parse-Application-Id", scenario.AppID)
		r.Header.Set("X-Parse-REST-API-Key", secrets["client key"])
		for k, v := range header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		if w.Code >= 400 {
			seen++
			secrets.sought(t, "the answer to "+method+" "+path, w.Body.String())
		}
		return w.Body.String()
	}
	post := func(path, body string, header map[string]string) *parse.Map {
		t.Helper()
		m, err := parse.DecodeMap([]byte(send(http.MethodPost, path, body, header)), parse.DefaultLimits)
		if err != nil {
			return &parse.Map{}
		}
		return m
	}
	pass, other, wrong, access := secrets["password"], secrets["new password"], secrets["wrong password"], secrets["access token"]
	master := map[string]string{"X-Parse-Master-Key": secrets["master key"]}

	in := post("/users", `{"username":"ann","password":"`+pass+`","email":"ann@example.com"}`, nil)
	secrets["session token"] = in.String("sessionToken")
	id := in.String("objectId")
	ann := map[string]string{"X-Parse-Session-Token": secrets["session token"]}
	var m server.Mail
	select {
	case m = <-box:
	case <-time.After(20 * time.Second):
		t.Fatal("no mail comes")
	}
	_, query := (&mailServer{t: t}).link(m)
	secrets["token of a verification"] = query.Get("token")

	send("POST", "/users", `{"username":"ann","password":"`+wrong+`"}`, nil)
	send("POST", "/users", `{"username":"bea","password":"`+wrong+`","nick":"panic"}`, nil)
	send("POST", "/users", `{"username":"bea","password":["`+wrong+`"]}`, nil)
	send("POST", "/users", `{"username":"bea","password":"`+wrong+`","sessionToken":"`+wrong+`","_hashed_password":"`+wrong+`"}`, nil)
	send("POST", "/users", `{"username":"bea","password":"`+wrong+`"`, nil)
	send("POST", "/users", `{"username":"bea","password":"`+wrong+`\x"}`, nil)
	send("POST", "/users", `{"authData":{"broken":{"id":"1","access_token":"`+access+`"}}}`, nil)
	send("POST", "/users", `{"authData":{"broken":{"id":"1","access_token":["`+access+`"]}}}`, nil)
	send("POST", "/users", `{"authData":{"unknown":{"id":"1","access_token":"`+access+`"}}}`, nil)
	send("POST", "/users", `{"authData":{"anonymous":{"id":"1"},"facebook":{"id":{"`+access+`":1},"access_token":"`+access+`"}}}`, nil)
	send("POST", "/challenge", `{"authData":{"broken":{"id":"1","access_token":"`+access+`"}},"challengeData":{"mfa":{"token":"`+access+`"}}}`, nil)
	for _, path := range []string{"/login", "/verifyPassword"} {
		for _, p := range []string{pass, wrong} {
			send("POST", path, `{"username":"ann","password":"`+p+`"}`, nil)
			send("GET", path+"?username=ann&password="+p, "", nil)
			send("POST", path, `{"username":"ann","password":{"`+p+`":1}}`, nil)
		}
	}
	send("GET", "/users/me", "", map[string]string{"X-Parse-Session-Token": secrets["made-up session"]})
	send("POST", "/classes/A", `{"_ApplicationId":"app","_SessionToken":"`+secrets["made-up session"]+`"}`, map[string]string{"X-Parse-Application-Id": ""})
	send("POST", "/classes/A", `{"_ApplicationId":"app","_SessionToken":["`+secrets["made-up session"]+`"],"_MasterKey":"`+secrets["wrong key"]+`"}`, map[string]string{"X-Parse-Application-Id": ""})
	send("GET", "/schemas", "", map[string]string{"X-Parse-Master-Key": secrets["wrong key"], "X-Parse-REST-API-Key": secrets["wrong key"]})
	send("GET", "/schemas", "", map[string]string{"X-Parse-Master-Key": secrets["master key"] + "x"})
	send("GET", `/sessions?where={"sessionToken":"`+secrets["session token"]+`"}`, "", ann)
	send("GET", `/users?where={"_session_token":"`+secrets["session token"]+`","password":"`+pass+`"}`, "", ann)
	send("GET", `/users?where={"authData.broken.id":"`+access+`"}`, "", nil)
	send("PUT", "/users/"+id, `{"password":{"__op":"Increment","amount":"`+other+`"}}`, ann)
	send("PUT", "/users/"+id, `{"authData":{"broken":{"id":"1","access_token":"`+access+`"}}}`, ann)
	send("PUT", "/users/"+id, `{"authData":{"mfa":{"secret":"`+secretA+`","token":"000000"}}}`, ann)
	secrets["code"] = totpCode(t, secretA, 0)
	recovery := post("/users/"+id, `{"_method":"PUT","authData":{"mfa":{"secret":"`+secretA+`","token":"`+secrets["code"]+`"}}}`, ann)
	if v, _ := recovery.Get("authDataResponse"); v != nil {
		if mfa, _ := v.(*parse.Map).Get("mfa"); mfa != nil {
			if all, _ := mfa.(*parse.Map).Get("recovery"); all != nil {
				secrets["recovery codes"], _, _ = strings.Cut(all.(string), ",")
			}
		}
	}
	secrets["next code"] = totpCode(t, secretA, 1)
	for _, code := range []string{"111111", secrets["code"], secrets["next code"]} {
		send("POST", "/login", `{"username":"ann","password":"`+pass+`","authData":{"mfa":{"token":"`+code+`"}}}`, nil)
	}
	post("/requestPasswordReset", `{"email":"ann@example.com"}`, nil)
	select {
	case m = <-box:
	case <-time.After(20 * time.Second):
		t.Fatal("no mail comes")
	}
	_, query = (&mailServer{t: t}).link(m)
	secrets["token of a reset"] = query.Get("token")
	send("POST", "/requestPasswordReset", `{"token":"`+secrets["token of a reset"]+`"}`, nil)
	send("GET", "/apps/app/request_password_reset?token="+secrets["token of a reset"]+"x", "", nil)
	send("POST", "/apps/app/request_password_reset", "token="+secrets["token of a reset"]+"&new_password="+other, map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	send("GET", "/apps/app/verify_email?token="+secrets["token of a verification"]+"y", "", nil)
	for _, name := range []string{"panics", "fails"} {
		send("POST", "/functions/"+name, `{"password":"`+pass+`","token":"`+access+`","deep":[{"authData":{"x":{"id":"`+access+`"}}}]}`, ann)
	}
	hook := "http://user:" + secrets["password of a webhook"] + "@127.0.0.1:1/hook?token=" + secrets["token of a webhook"]
	send("POST", "/hooks/functions", `{"functionName":"hooked","url":"`+hook+`"}`, master)
	send("POST", "/hooks/functions", `{"functionName":"hooked","url":"`+hook+`"}`, master)
	send("POST", "/functions/hooked", `{"password":"`+pass+`"}`, nil)
	send("PUT", "/config", `{"params":{"a.b":"`+access+`"}}`, map[string]string{"X-Parse-Session-Token": secrets["made-up session"]})
	send("POST", "/batch", `{"transaction":true,"requests":[{"method":"POST","path":"/parse/users","body":{"username":"ann","password":"`+wrong+`"}}]}`, nil)
	secretLive(t, s, secrets)

	lines := send("GET", "/scriptlog?size=2000", "", master)
	s.Stop()
	secrets.sought(t, "the log", log.text())
	secrets.sought(t, "/scriptlog", lines)
	if all := log.text(); seen < 30 || strings.Count(all, "\n") < 20 || !strings.Contains(all, "[redacted]") || !strings.Contains(all, "connection refused") {
		t.Errorf("%d requests failed, and this was logged: %s", seen, all)
	}
}

// secretLive fails to connect in many ways.
func secretLive(t *testing.T, s *scenario.Server, secrets secretBox) {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	answers := 0
	for _, msg := range []string{
		`{"op":"connect","applicationId":"app","clientKey":"` + secrets["wrong key"] + `"}`,
		`{"op":"connect","applicationId":"app","clientKey":["` + secrets["key pair"] + `"]}`,
		`{"op":"connect","applicationId":"app","clientKey":"` + secrets["key pair"] + `","masterKey":"` + secrets["master key"] + `","sessionToken":"` + secrets["made-up session"] + `"}`,
		`{"op":"subscribe","requestId":1,"query":{"className":"_Session","where":{"sessionToken":"` + secrets["session token"] + `"}},"sessionToken":"` + secrets["made-up session"] + `"}`,
		`{"op":"subscribe","requestId":1,"query":{"className":"A","where":{"_session_token":"` + secrets["session token"] + `"}}}`,
		`{"op":"unsubscribe","requestId":"` + secrets["session token"] + `"}`,
	} {
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(msg)); err != nil {
			t.Fatal(err)
		}
		_, data, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		secrets.sought(t, "the answer to "+msg, string(data))
		answers++
	}
	// What is no JSON is not answered.
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"op":"connect","sessionToken":"`+secrets["session token"])); err != nil {
		t.Fatal(err)
	}
}
