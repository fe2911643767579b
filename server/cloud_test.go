package server_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// counter counts hooks; the function "ran" tells and forgets what it counted.
type counter struct {
	mu sync.Mutex
	n  parse.Map // guarded by mu
}

func (c *counter) add(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, _ := c.n.Get(name)
	n, _ := v.(float64)
	c.n.Set(name, n+1)
	return nil
}

func (c *counter) take(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = parse.Map{}
	return &n, nil
}

// countAll registers hooks of every kind on the classes.
func countAll(app *cloudcode.App, classes ...string) *counter {
	c := &counter{}
	app.Function("ran", c.take)
	for _, class := range classes {
		app.BeforeSave(class, func(context.Context, *cloudcode.SaveRequest) error { return c.add("beforeSave " + class) })
		app.AfterSave(class, func(context.Context, *cloudcode.SaveRequest) error { return c.add("afterSave " + class) })
		app.BeforeDelete(class, func(context.Context, *cloudcode.DeleteRequest) error { return c.add("beforeDelete " + class) })
		app.AfterDelete(class, func(context.Context, *cloudcode.DeleteRequest) error { return c.add("afterDelete " + class) })
		app.BeforeFind(class, func(context.Context, *cloudcode.FindRequest) error { return c.add("beforeFind " + class) })
		app.AfterFind(class, func(context.Context, *cloudcode.FoundRequest) error { return c.add("afterFind " + class) })
	}
	app.BeforeLogin(func(context.Context, *cloudcode.LoginRequest) error { return c.add("beforeLogin") })
	app.AfterLogin(func(context.Context, *cloudcode.LoginRequest) error { return c.add("afterLogin") })
	app.AfterLogout(func(context.Context, *cloudcode.LogoutRequest) error { return c.add("afterLogout") })
	app.BeforePasswordReset(func(context.Context, *cloudcode.PasswordResetRequest) error {
		return c.add("beforePasswordResetRequest")
	})
	app.BeforeSaveConfig(func(context.Context, *cloudcode.ConfigRequest) error { return c.add("beforeSave @Config") })
	app.AfterSaveConfig(func(context.Context, *cloudcode.ConfigRequest) error { return c.add("afterSave @Config") })
	app.OnAnalytics(func(context.Context, *cloudcode.AnalyticsEvent) error { return c.add("onAnalytics") })
	return c
}

// ran expects which hooks have run since it was asked last, and no others.
func ran(name, counts string) scenario.Step {
	return scenario.Step{Name: "hooks of " + name, Method: "POST", Path: "/functions/ran", As: "master", JSON: `{"result":` + counts + `}`}
}

func TestHookCounts(t *testing.T) {
	item := func(method, path, body string) string {
		return `{"method":"` + method + `","path":"/parse` + path + `","body":` + body + `}`
	}
	scenario.Run(t, []scenario.Scenario{{
		Name: "every surface", Config: open, Cloud: func(app *cloudcode.App) { countAll(app, "Thing", "Part", "_User", "_Role") },
		Steps: []scenario.Step{
			{Name: "create", Method: "POST", Path: "/classes/Part", Body: `{"n":1}`, Status: 201, Save: map[string]string{"objectId": "part"}},
			ran("create", `{"beforeSave Part":1,"afterSave Part":1}`),
			{Name: "with a pointer", Method: "POST", Path: "/classes/Thing", Body: `{"part":{"__type":"Pointer","className":"Part","objectId":"{{part}}"}}`, Status: 201, Save: map[string]string{"objectId": "thing"}},
			ran("create with a pointer", `{"beforeSave Thing":1,"afterSave Thing":1}`),
			{Name: "update", Method: "PUT", Path: "/classes/Thing/{{thing}}", Body: `{"a":2}`},
			ran("update", `{"beforeSave Thing":1,"afterSave Thing":1}`),
			{Name: "get", Path: "/classes/Thing/{{thing}}"},
			ran("get", `{"beforeFind Thing":1,"afterFind Thing":1}`),
			{Name: "find with include", Path: "/classes/Thing", Query: map[string]string{"include": "part"}},
			ran("find with include", `{"beforeFind Thing":1,"afterFind Thing":1,"beforeFind Part":1,"afterFind Part":1}`),
			{Name: "sub-query", Path: "/classes/Thing", Query: map[string]string{"where": `{"part":{"$inQuery":{"className":"Part","where":{"n":1}}}}`}},
			ran("sub-query", `{"beforeFind Thing":1,"afterFind Thing":1,"beforeFind Part":1,"afterFind Part":1}`),
			{Name: "aggregate", Path: "/aggregate/Thing", As: "master", Query: map[string]string{"distinct": "a"}, JSON: `{"results":[2]}`},
			ran("aggregate", `{"beforeFind Thing":1}`),
			{Name: "batch", Method: "POST", Path: "/batch", Body: `{"requests":[` + item("POST", "/classes/Thing", `{"a":3}`) + `,` +
				item("POST", "/classes/Thing", `{"a":4}`) + `,` + item("PUT", "/classes/Thing/{{thing}}", `{"a":5}`) + `]}`, Save: map[string]string{"0.success.objectId": "third"}},
			ran("batch", `{"beforeSave Thing":3,"afterSave Thing":3}`),
			{Name: "delete", Method: "DELETE", Path: "/classes/Thing/{{third}}"},
			ran("delete", `{"beforeDelete Thing":1,"afterDelete Thing":1}`),
			{Name: "refused", Method: "DELETE", Path: "/classes/Thing/{{third}}", Code: parse.ObjectNotFound, Error: "Object not found for delete."},
			ran("refused delete", `{}`),
			{Name: "sign-up", Method: "POST", Path: "/users", Body: `{"username":"ann","password":"pass"}`, Status: 201},
			ran("sign-up", `{"beforeSave _User":1,"afterSave _User":1}`),
			{Name: "login", Method: "POST", Path: "/login", Body: `{"username":"ann","password":"pass"}`, Save: map[string]string{"sessionToken": "ann.token"}},
			ran("login", `{"beforeLogin":1,"afterLogin":1,"beforeFind _User":1,"afterFind _User":1}`),
			{Name: "a wrong password", Method: "POST", Path: "/login", Body: `{"username":"ann","password":"x"}`, Code: parse.ObjectNotFound},
			ran("a wrong password", `{}`),
			{Name: "logout", Method: "POST", Path: "/logout", As: "ann"},
			ran("logout", `{"afterLogout":1}`),
			{Name: "role", Method: "POST", Path: "/roles", As: "master", Body: `{"name":"r","ACL":{}}`, Status: 201},
			ran("role", `{"beforeSave _Role":1,"afterSave _Role":1}`),
		},
	}})
}

func TestHookRequests(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{
		Name: "what hooks see and change", Config: open,
		Cloud: func(app *cloudcode.App) {
			app.BeforeSave("Thing", func(_ context.Context, r *cloudcode.SaveRequest) error {
				r.Object.Set("ip", r.Caller.IP)
				r.Object.Set("installation", r.Caller.InstallationID)
				r.Object.Set("header", r.Headers.Get("X-Own"))
				r.Object.Set("sent", r.Context.String("word"))
				r.Object.Set("dirty", r.Dirty("a"))
				r.SetContext("word", "from the hook")
				return nil
			})
			app.AfterSave("Thing", func(_ context.Context, r *cloudcode.SaveRequest) error {
				r.Object.Set("later", r.Context.String("word"))
				return nil
			})
			app.BeforeFind("Thing", func(_ context.Context, r *cloudcode.FindRequest) error {
				if r.Context.String("word") == "only a 1" {
					r.Query.Where = query.AllOf(r.Query.Where, query.Equal("a", 1.0))
				}
				return nil
			})
			app.BeforeDelete("Thing", func(_ context.Context, r *cloudcode.DeleteRequest) error {
				return cloudcode.Err(parse.OperationForbidden, "%s stays", r.Context.String("word"))
			})
			app.AfterDelete("Gone", func(context.Context, *cloudcode.DeleteRequest) error {
				return cloudcode.Err(parse.ScriptFailed, "too late")
			})
			app.BeforeSave("Broken", func(_ context.Context, r *cloudcode.SaveRequest) error { panic(r.Original.ID) })
			app.BeforeSave("Slow", func(ctx context.Context, _ *cloudcode.SaveRequest) error { <-ctx.Done(); return ctx.Err() }, cloudcode.Timeout(time.Millisecond))
			app.BeforeSave("Guarded", func(context.Context, *cloudcode.SaveRequest) error { return nil }, cloudcode.Validator{RequireUser: true})
			app.Function("limited", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return cloudcode.NoResult, nil },
				cloudcode.Validator{RateLimit: &cloudcode.RateLimit{Count: 1, Window: time.Hour, IncludeInternal: true}})
			app.Function("teapot", func(_ context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
				r.Status, r.Header = http.StatusTeapot, http.Header{"X-Own": {"v"}}
				return r.Params, nil
			})
			app.Function("both", func(ctx context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
				err := r.Client.InTx(ctx, func(ctx context.Context, c cloudcode.Client) error {
					if _, err := c.Create(ctx, "Kept", &parse.Map{}); err != nil {
						return err
					}
					_, err := c.Create(ctx, "Refused", &parse.Map{})
					return err
				})
				return nil, err
			})
			app.BeforeSave("Refused", func(ctx context.Context, r *cloudcode.SaveRequest) error {
				n, err := r.Client.Count(ctx, "Kept", query.Query{})
				if err != nil {
					return err
				}
				return cloudcode.Err(parse.OperationForbidden, "the hook sees %d in the transaction", n)
			})
		},
		Steps: []scenario.Step{
			{
				Name: "save", Method: "POST", Path: "/classes/Thing", Body: `{"a":1}`, Status: 201,
				Header: map[string]string{"X-Own": "h", "X-Parse-Installation-Id": "inst", "X-Parse-Cloud-Context": `{"word":"hello"}`},
				JSON:   `{"objectId":"*","createdAt":"*","ip":"127.0.0.1","installation":"inst","header":"h","sent":"hello","dirty":true,"later":"from the hook"}`, Save: map[string]string{"objectId": "id"},
			},
			{
				Name: "in the body", Method: "POST", Path: "/classes/Thing", Header: map[string]string{"X-Parse-Application-Id": ""},
				Body: `{"_ApplicationId":"app","_context":{"word":"body"},"a":2}`, Status: 201, JSON: `{"sent":"body","...":0}`,
			},
			{Name: "a context that is none", Path: "/classes/Thing", Header: map[string]string{"X-Parse-Cloud-Context": `[]`}, Code: parse.InvalidJSON, Error: "Invalid object for context."},
			{Name: "find", Path: "/classes/Thing", Query: map[string]string{"keys": "a"}, Header: map[string]string{"X-Parse-Cloud-Context": `{"word":"only a 1"}`}, JSON: `{"results":[{"a":1,"...":0}]}`},
			{Name: "delete", Method: "DELETE", Path: "/classes/Thing/{{id}}", Header: map[string]string{"X-Parse-Cloud-Context": `{"word":"It"}`}, Code: parse.OperationForbidden, Error: "It stays"},
			{Name: "gone", Method: "POST", Path: "/classes/Gone", Body: `{}`, Status: 201, Save: map[string]string{"objectId": "gone"}},
			{Name: "an error after the delete", Method: "DELETE", Path: "/classes/Gone/{{gone}}", Code: parse.ScriptFailed, Error: "too late"},
			{Name: "the object has gone", Path: "/classes/Gone/{{gone}}", Code: parse.ObjectNotFound},
			{Name: "panic", Method: "POST", Path: "/classes/Broken", Body: `{}`, Header: map[string]string{"X-Parse-Request-Id": "req-7"}, Code: parse.ScriptFailed, Error: "Script failed. Unknown error. Request id: req-7"},
			{Name: "time", Method: "POST", Path: "/classes/Slow", Body: `{}`, Code: parse.Timeout, Error: "beforeSave Slow took longer than 1ms."},
			{Name: "validator", Method: "POST", Path: "/classes/Guarded", Body: `{}`, Code: parse.ValidationError, Error: "Validation failed. Please login to continue."},
			{Name: "no result", Method: "POST", Path: "/functions/limited", JSON: `{}`},
			{Name: "rate limit", Method: "POST", Path: "/functions/limited", Status: 429, Code: parse.ConnectionFailed, Error: "Too many requests."},
			{
				Name: "status and parameters", Method: "POST", Path: "/functions/teapot", Query: map[string]string{"a": "1"}, Body: `{"a":5,"b":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}`, Status: 418,
				JSON: `{"result":{"a":"1","b":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}}`,
			},
			{Name: "prepare", Method: "POST", Path: "/classes/Kept", Body: `{}`, Status: 201},
			{Name: "transaction", Method: "POST", Path: "/functions/both", As: "master", Code: parse.OperationForbidden, Error: "the hook sees 2 in the transaction"},
			{Name: "is undone", Path: "/classes/Kept", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":1}`},
		},
	}})
}
