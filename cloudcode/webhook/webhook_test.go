package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/cloudcode/webhook"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// hook is a webhook that answers always the same and keeps what it got.
type hook struct {
	*httptest.Server
	status int
	answer string
	got    string
	header http.Header
	calls  int
}

func newHook(t *testing.T, answer string) *hook {
	t.Helper()
	h := &hook{answer: answer, status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.got, h.header = string(b), r.Header
		h.calls++
		w.WriteHeader(h.status)
		_, _ = io.WriteString(w, h.answer)
	}))
	t.Cleanup(h.Close)
	return h
}

func client(t *testing.T, o webhook.Options) *webhook.Client {
	t.Helper()
	c, err := webhook.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		status       int
		answer, want string
		text         string
	}{
		"success":             {200, `{"success":{"a":1}}`, `{"a":1}`, ""},
		"null":                {200, `{"success":null}`, `null`, ""},
		"text of an error":    {200, `{"error":"no"}`, "", "no"},
		"an error object":     {200, `{"error":{"code":105,"message":"m"}}`, "", "m"},
		"without a message":   {200, `{"error":{"code":1}}`, "", `{"code":1}`},
		"a number":            {200, `{"error":7}`, "", "7"},
		"no error":            {200, `{"error":null,"success":1}`, "1", ""},
		"empty":               {200, ``, "none", ""},
		"nothing":             {200, `{}`, "none", ""},
		"no JSON":             {200, `<html>`, "none", ""},
		"no object":           {200, `"x"`, "none", ""},
		"a status":            {404, `{"success":1}`, "", "The webhook answered with status 404."},
		"a status of its own": {201, `{"success":1}`, "1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t, tt.answer)
			h.status = tt.status
			app := cloudcode.New()
			webhook.Register(app, []webhook.Hook{{Function: "f", URL: h.URL}}, client(t, webhook.Options{}))
			v, err := app.RunFunction(t.Context(), &cloudcode.FunctionRequest{Name: "f", Params: &parse.Map{}})
			if tt.text != "" {
				var pe *parse.Error
				if !errors.As(err, &pe) || pe.Code != parse.ScriptFailed || pe.Message != tt.text {
					t.Errorf("got %v, want %s", err, tt.text)
				}
				return
			}
			got := "none"
			if v != cloudcode.NoResult {
				got = string(parse.AppendJSON(nil, v))
			}
			if err != nil || got != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func request(trigger cloudcode.Trigger) cloudcode.Request {
	user := &parse.Object{ClassName: "_User", ID: "u", CreatedAt: 1, UpdatedAt: 1}
	user.Set("username", "ann")
	return cloudcode.Request{
		Trigger: trigger,
		Caller:  cloudcode.Caller{User: user, InstallationID: "inst", IP: "10.0.0.1"},
		Headers: http.Header{"X-Parse-Session-Token": {"r:1"}, "X-Parse-Master-Key": {"secret"}, "X-Own": {"v"}},
		Context: parse.NewMap(parse.MapField{Key: "c", Value: true}),
	}
}

const commonJSON = `"master":false,"isReadOnly":false,"user":{"objectId":"u","createdAt":"1970-01-01T00:00:00.001Z","updatedAt":"1970-01-01T00:00:00.001Z","username":"ann","sessionToken":"r:1"},` +
	`"installationId":"inst","headers":{"x-parse-session-token":"r:1","x-own":"v"},"ip":"10.0.0.1","context":{"c":true}`

const liveUserJSON = `"user":{"objectId":"u","createdAt":"1970-01-01T00:00:00.001Z","updatedAt":"1970-01-01T00:00:00.001Z","username":"ann","sessionToken":"r:2"}`

func TestPayloads(t *testing.T) {
	h := newHook(t, ``)
	app := cloudcode.New()
	hooks := []webhook.Hook{{Function: "f", URL: h.URL}}
	for _, trigger := range []cloudcode.Trigger{"beforeSave", "beforeDelete", "beforeFind", "afterFind", "beforeSubscribe", "afterEvent"} {
		hooks = append(hooks, webhook.Hook{Class: "C", Trigger: trigger, URL: h.URL})
	}
	hooks = append(hooks, webhook.Hook{Class: "_User", Trigger: "beforeLogin", URL: h.URL}, webhook.Hook{Class: "_User", Trigger: "afterLogin", URL: h.URL},
		webhook.Hook{Class: "_User", Trigger: "beforePasswordResetRequest", URL: h.URL}, webhook.Hook{Class: "_Session", Trigger: "afterLogout", URL: h.URL},
		webhook.Hook{Class: "@Connect", Trigger: "beforeConnect", URL: h.URL})
	for i := range hooks {
		if err := hooks[i].Check(); err != nil {
			t.Fatal(hooks[i], err)
		}
	}
	webhook.Register(app, hooks, client(t, webhook.Options{}))
	o := &parse.Object{ClassName: "C", ID: "o", CreatedAt: 1, UpdatedAt: 1}
	o.Set("n", 2.0)
	before := o.Clone()
	before.Set("n", 1.0)
	const oJSON = `{"objectId":"o","createdAt":"1970-01-01T00:00:00.001Z","updatedAt":"1970-01-01T00:00:00.001Z","n":2,"className":"C"}`
	const bJSON = `{"objectId":"o","createdAt":"1970-01-01T00:00:00.001Z","updatedAt":"1970-01-01T00:00:00.001Z","n":1,"className":"C"}`
	params := parse.NewMap(parse.MapField{Key: "at", Value: parse.Date(1)}, parse.MapField{Key: "p", Value: parse.Pointer{ClassName: "C", ObjectID: "o"}})
	where := query.AllOf(query.Equal("n", 1.0), &query.Compare{Path: "m", Op: query.Gt, Value: 2.0}, &query.Member{Path: "k", Op: query.In, Values: []parse.Value{"a"}},
		&query.Or{Nodes: []query.Node{query.Equal("x", true), &query.Exists{Path: "y", Want: true}}})
	const qJSON = `{"where":{"n":1,"m":{"$gt":2},"k":{"$in":["a"]},"$or":[{"x":true},{"y":{"$exists":true}}]},"limit":5}`
	q := &query.Query{Where: where, Limit: 5}
	for name, tt := range map[string]struct {
		run  func(ctx context.Context) error
		want string
	}{
		"function": {func(ctx context.Context) error {
			_, err := app.RunFunction(ctx, &cloudcode.FunctionRequest{Request: request(""), Name: "f", Params: params})
			return err
		}, `{"params":{"at":{"__type":"Date","iso":"1970-01-01T00:00:00.001Z"},"p":{"__type":"Pointer","className":"C","objectId":"o"}},` + commonJSON + `,"functionName":"f"}`},
		"beforeSave": {func(ctx context.Context) error {
			return app.RunBeforeSave(ctx, &cloudcode.SaveRequest{Request: request(""), Class: "C", Object: o, Original: before})
		}, `{"triggerName":"beforeSave","object":` + oJSON + `,"original":` + bJSON + `,` + commonJSON + `}`},
		"beforeDelete": {func(ctx context.Context) error {
			return app.RunBeforeDelete(ctx, &cloudcode.DeleteRequest{Request: request(""), Class: "C", Object: o})
		}, `{"triggerName":"beforeDelete","object":` + oJSON + `,` + commonJSON + `}`},
		"beforeFind": {func(ctx context.Context) error {
			return app.RunBeforeFind(ctx, &cloudcode.FindRequest{Request: request(""), Class: "C", Query: q, Count: true})
		}, `{"triggerName":"beforeFind","query":` + qJSON + `,"count":true,"isGet":false,` + commonJSON + `}`},
		"afterFind": {func(ctx context.Context) error {
			return app.RunAfterFind(ctx, &cloudcode.FoundRequest{Request: request(""), Class: "C", Query: q, Objects: []*parse.Object{o}, IsGet: true})
		}, `{"triggerName":"afterFind","object":null,"objects":[` + strings.TrimSuffix(oJSON, `,"className":"C"}`) + `}],"query":` + qJSON + `,"isGet":true,` + commonJSON + `}`},
		"beforeLogin": {func(ctx context.Context) error {
			return app.RunBeforeLogin(ctx, &cloudcode.LoginRequest{Request: request(""), User: o})
		}, `{"triggerName":"beforeLogin","object":` + oJSON + `,` + commonJSON + `}`},
		"afterLogin": {func(ctx context.Context) error {
			return app.RunAfterLogin(ctx, &cloudcode.LoginRequest{Request: request(""), User: o})
		}, `{"triggerName":"afterLogin","object":` + oJSON + `,` + commonJSON + `}`},
		"afterLogout": {func(ctx context.Context) error {
			return app.RunAfterLogout(ctx, &cloudcode.LogoutRequest{Request: request(""), Session: o})
		}, `{"triggerName":"afterLogout","object":` + oJSON + `,` + commonJSON + `}`},
		"password reset": {func(ctx context.Context) error {
			return app.RunBeforePasswordReset(ctx, &cloudcode.PasswordResetRequest{Request: request(""), User: o})
		}, `{"triggerName":"beforePasswordResetRequest","object":` + oJSON + `,` + commonJSON + `}`},
		"beforeConnect": {func(ctx context.Context) error {
			return app.RunBeforeConnect(ctx, &cloudcode.ConnectRequest{Request: request(""), ClientID: "c", SessionToken: "r:2", Clients: 3, Subscriptions: 4})
		}, `{"triggerName":"beforeConnect","event":"connect","clients":3,"subscriptions":4,"useMasterKey":false,"sessionToken":"r:2",` + liveUserJSON + `,"installationId":"inst"}`},
		"beforeSubscribe": {func(ctx context.Context) error {
			return app.RunBeforeSubscribe(ctx, &cloudcode.SubscribeRequest{
				Request: request(""), Class: "C", Op: "subscribe", RequestID: 7.0, SessionToken: "r:2",
				Where: parse.NewMap(parse.MapField{Key: "n", Value: 1.0}), Keys: []string{"n", "m"}, Watch: []string{"n"}, Include: []string{"p"},
			})
		}, `{"triggerName":"beforeSubscribe","className":"C","op":"subscribe","requestId":7,"query":{"where":{"n":1},"keys":"n,m","watch":"n","include":"p"},"sessionToken":"r:2",` + liveUserJSON + `}`},
		"afterEvent": {func(ctx context.Context) error {
			return app.RunAfterEvent(ctx, &cloudcode.EventRequest{
				Request: request(""), Class: "C", Event: "update", Object: o, Original: before, SendEvent: true, SessionToken: "r:2", Clients: 3, Subscriptions: 4,
			})
		}, `{"triggerName":"afterEvent","event":"update","clients":3,"subscriptions":4,"useMasterKey":false,"sessionToken":"r:2",` + liveUserJSON +
			`,"installationId":"inst","object":` + oJSON + `,"original":` + bJSON + `,"sendEvent":true}`},
		"afterSave": {func(context.Context) error {
			h.got = string(webhook.AfterSave(&cloudcode.SaveRequest{Request: request(""), Class: "C", Object: o}))
			return nil
		}, `{"triggerName":"afterSave","object":` + oJSON + `,` + commonJSON + `}`},
		"afterDelete": {func(context.Context) error {
			h.got = string(webhook.AfterDelete(&cloudcode.DeleteRequest{Request: request(""), Class: "C", Object: o}))
			return nil
		}, `{"triggerName":"afterDelete","object":` + oJSON + `,` + commonJSON + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tt.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := json.Unmarshal([]byte(h.got), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBeforeSaveAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		answer       string
		create, want string // what is stored after a create, and after an update of {"a":1,"b":2} by {"a":5}
	}{
		"nothing":         {``, `{"a":5}`, `{"a":5,"b":2}`},
		"true":            {`{"success":true}`, `{"a":5}`, `{"a":5,"b":2}`},
		"an empty object": {`{"success":{}}`, `{}`, `{"a":1,"b":2}`},
		"another object":  {`{"success":{"c":7,"className":"C","createdAt":"x","objectId":"y"}}`, `{"c":7}`, `{"a":1,"b":2,"c":7}`},
		"operations":      {`{"success":{"b":{"__op":"Increment","amount":3},"a":{"__op":"Delete"}}}`, `{"b":3}`, `{"b":5}`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t, tt.answer)
			app := cloudcode.New()
			webhook.Register(app, []webhook.Hook{{Class: "C", Trigger: "beforeSave", URL: h.URL}}, client(t, webhook.Options{}))
			fields := func(ab ...float64) *parse.Object {
				o := &parse.Object{ClassName: "C"}
				o.Set("a", ab[0])
				if len(ab) > 1 {
					o.Set("b", ab[1])
				}
				return o
			}
			created, updated := fields(5), fields(5, 2)
			for _, err := range []error{
				app.RunBeforeSave(t.Context(), &cloudcode.SaveRequest{Class: "C", Object: created}),
				app.RunBeforeSave(t.Context(), &cloudcode.SaveRequest{Class: "C", Object: updated, Original: fields(1, 2)}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			got := []string{string(parse.AppendJSON(nil, &created.Fields)), string(parse.AppendJSON(nil, &updated.Fields))}
			if diff := cmp.Diff([]string{tt.create, tt.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSignature(t *testing.T) {
	h := newHook(t, `{}`)
	at := time.Unix(1614265330, 0)
	c := client(t, webhook.Options{Key: "k", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Now: func() time.Time { return at }})
	if _, err := c.Send(t.Context(), h.URL, "msg_p5jXN8AQM9LWM0D4loKWxJek", []byte(`{"test": 2432232314}`)); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"X-Parse-Webhook-Key": "k", "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "Webhook-Timestamp": "1614265330",
		// The example of the Standard Webhooks specification.
		"Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	}
	for k, v := range want {
		if got := h.header.Get(k); got != v {
			t.Errorf("%s: %s, want %s", k, got, v)
		}
	}
	if _, err := webhook.NewClient(webhook.Options{Secret: "whsec_%"}); err == nil {
		t.Error("a secret that is no base64 is taken")
	}
}

func TestGuards(t *testing.T) {
	h := newHook(t, `{"success":1}`)
	blocked := client(t, webhook.Options{BlockPrivate: true})
	for target, text := range map[string]string{
		h.URL:                      "127.0.0.1: it is no public address",
		"http://10.1.2.3/":         "10.1.2.3: it is no public address",
		"http://[fd00::1]/":        "fd00::1: it is no public address",
		"http://169.254.169.254/x": "169.254.169.254: it is no public address",
		"http://100.64.0.1/":       "100.64.0.1: it is no public address",
		"http://[::ffff:10.1.2.3]": "10.1.2.3: it is no public address",
		// Gateways lead from these to any IPv4 address.
		"http://[64:ff9b::a01:203]/":    "64:ff9b::a01:203: it is no public address",
		"http://[64:ff9b:1::a01:203]/":  "64:ff9b:1::a01:203: it is no public address",
		"http://[2002:a01:203::1]/":     "2002:a01:203::1: it is no public address",
		"http://[fec0::1]/":             "fec0::1: it is no public address",
		"http://198.18.0.1/":            "198.18.0.1: it is no public address",
		"http://192.0.0.192/":           "192.0.0.192: it is no public address",
		"http://240.0.0.1/":             "240.0.0.1: it is no public address",
		"ftp://u:pw@host/?token=secret": "The webhook has no usable URL",
		"file:///etc/passwd":            "The webhook has no usable URL",
		"nonsense":                      "The webhook has no usable URL",
	} {
		if _, err := blocked.Send(t.Context(), target, "m", nil); err == nil || !strings.Contains(err.Error(), text) || !errors.Is(err, webhook.ErrFailed) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", target, err)
		}
	}
	if h.calls != 0 {
		t.Error("the guard let a call pass")
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	c := client(t, webhook.Options{Timeout: 10 * time.Millisecond})
	if _, err := c.Send(t.Context(), slow.URL, "m", nil); parse.CodeOf(err) != parse.ScriptFailed || !strings.Contains(err.Error(), "cannot be reached") {
		t.Error(err)
	}
}

// TestRedirects: what proves that a call is the server's goes to the host that
// was declared, and to no other that it may name.
func TestRedirects(t *testing.T) {
	end := newHook(t, `{"success":1}`)
	there := newHook(t, ``)
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/end":
			there.Config.Handler.ServeHTTP(w, r)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
		default:
			http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
		}
	}))
	defer here.Close()
	c := client(t, webhook.Options{Key: "key", Secret: "secret"})
	secrets := []string{"X-Parse-Webhook-Key", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}
	if _, err := c.Send(t.Context(), here.URL+"/?to=/end", "m", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for _, name := range secrets {
		if there.header.Get(name) == "" {
			t.Errorf("on the same host %s is missing", name)
		}
	}
	if _, err := c.Send(t.Context(), here.URL+"/?to="+end.URL, "m", []byte("{}")); err != nil || end.got != "{}" {
		t.Fatal(err, end.got)
	}
	for _, name := range secrets {
		if got := end.header.Get(name); got != "" {
			t.Errorf("another host gets %s: %s", name, got)
		}
	}
	if _, err := c.Send(t.Context(), here.URL+"/loop", "m", nil); err == nil {
		t.Error("redirects without end are followed")
	}
}

func TestBreaker(t *testing.T) {
	now := time.Unix(0, 0)
	h := newHook(t, `{"success":1}`)
	c := client(t, webhook.Options{Now: func() time.Time { return now }})
	send := func(calls int, text string) {
		t.Helper()
		_, err := c.Send(t.Context(), h.URL, "m", nil)
		if text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) || h.calls != calls {
			t.Errorf("%d calls, want %d; %v", h.calls, calls, err)
		}
	}
	h.status = http.StatusBadGateway
	for i := range 5 {
		send(i+1, "status 502")
	}
	send(5, "left alone for 31 more seconds")
	now = now.Add(31 * time.Second)
	send(6, "status 502")
	send(6, "left alone")
	now = now.Add(31 * time.Second)
	h.status = http.StatusOK
	send(7, "")
	h.status = http.StatusBadRequest // a refusal: the host is well
	for i := range 6 {
		send(8+i, "status 400")
	}
}

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		hook webhook.Hook
		text string
	}{
		"nothing":      {webhook.Hook{}, "invalid hook declaration"},
		"no URL":       {webhook.Hook{Function: "f"}, "invalid hook declaration"},
		"both":         {webhook.Hook{Function: "f", Class: "C", Trigger: "beforeSave", URL: "u"}, "invalid hook declaration"},
		"no trigger":   {webhook.Hook{Class: "C", URL: "u"}, "invalid hook declaration"},
		"no such":      {webhook.Hook{Class: "C", Trigger: "duringSave", URL: "u"}, "invalid hook declaration"},
		"config":       {webhook.Hook{Class: "@Config", Trigger: "beforeSave", URL: "u"}, "invalid hook declaration"},
		"connections":  {webhook.Hook{Class: "C", Trigger: "beforeConnect", URL: "u"}, "only @Connect has the trigger beforeConnect"},
		"files":        {webhook.Hook{Class: "@File", Trigger: "beforeSave", URL: "u"}, "there are no files, so Parse.File has no triggers"},
		"sessions":     {webhook.Hook{Class: "_Session", Trigger: "beforeSave", URL: "u"}, "Only the afterLogout trigger is allowed for the _Session class."},
		"not of users": {webhook.Hook{Class: "C", Trigger: "beforeLogin", URL: "u"}, "Only the _User class is allowed for the beforeLogin, afterLogin, and beforePasswordResetRequest triggers"},
	} {
		t.Run(name, func(t *testing.T) {
			var pe *parse.Error
			if err := tt.hook.Check(); !errors.As(err, &pe) || pe.Code != 143 || pe.Message != tt.text {
				t.Error(err)
			}
		})
	}
}
