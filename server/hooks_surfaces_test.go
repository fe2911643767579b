package server_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// TestHookCountsBySurface: which hooks each request runs, and how often, beyond
// those of plain objects.
func TestHookCountsBySurface(t *testing.T) {
	const id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	none := func(name string) scenario.Step { return ran(name, `{}`) }
	item := func(method, path, body string) string {
		return `{"method":"` + method + `","path":"/parse` + path + `","body":` + body + `}`
	}
	cloud := func(classes ...string) func(*cloudcode.App) {
		return func(app *cloudcode.App) { countAll(app, classes...) }
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "objects", Config: open, Cloud: func(app *cloudcode.App) {
			countAll(app, "Thing")
			app.BeforeSave("Thing", func(_ context.Context, r *cloudcode.SaveRequest) error {
				if r.Object.String("say") == "no" {
					return cloudcode.Err(parse.OperationForbidden, "no")
				}
				return nil
			})
		}, Steps: []scenario.Step{
			{Name: "create", Method: "POST", Path: "/classes/Thing", Body: `{"n":1}`, Status: 201, Save: map[string]string{"objectId": "thing"}},
			ran("create", `{"beforeSave Thing":1,"afterSave Thing":1}`),
			{Name: "refused by a hook", Method: "POST", Path: "/classes/Thing", Body: `{"say":"no"}`, Code: parse.OperationForbidden, Error: "no"},
			ran("refused create", `{"beforeSave Thing":1}`),
			{Name: "a wrong type", Method: "POST", Path: "/classes/Thing", Body: `{"n":"x"}`, Code: parse.IncorrectType},
			none("a wrong type"),
			{Name: "update of nothing", Method: "PUT", Path: "/classes/Thing/none", Body: `{"n":2}`, Code: parse.ObjectNotFound},
			none("update of nothing"),
			{Name: "find by POST", Method: "POST", Path: "/classes/Thing", Body: `{"_method":"GET","where":{"n":1}}`, JSON: `{"results":[{"n":1,"...":0}]}`},
			ran("find by POST", `{"beforeFind Thing":1,"afterFind Thing":1}`),
			{Name: "count alone", Path: "/classes/Thing", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":1}`},
			ran("count alone", `{"beforeFind Thing":1,"afterFind Thing":1}`),
			{Name: "get of nothing", Path: "/classes/Thing/none", Code: parse.ObjectNotFound},
			ran("get of nothing", `{"beforeFind Thing":1,"afterFind Thing":1}`),
			{Name: "pipeline", Path: "/aggregate/Thing", As: "master", Query: map[string]string{"pipeline": `[{"$match":{"n":1}}]`}},
			ran("pipeline", `{"beforeFind Thing":1}`),
			{
				Name: "transaction", Method: "POST", Path: "/batch", Body: `{"transaction":true,"requests":[` +
					item("POST", "/classes/Thing", `{"n":2}`) + `,` + item("PUT", "/classes/Thing/{{thing}}", `{"n":3}`) + `,` + item("GET", "/classes/Thing/{{thing}}", `{}`) + `]}`,
				Save: map[string]string{"0.success.objectId": "second"},
			},
			ran("transaction", `{"beforeSave Thing":2,"beforeFind Thing":1,"afterFind Thing":1,"afterSave Thing":2}`),
			{Name: "transaction that fails", Method: "POST", Path: "/batch", Body: `{"transaction":true,"requests":[` +
				item("POST", "/classes/Thing", `{"n":4}`) + `,` + item("POST", "/classes/Thing", `{"say":"no"}`) + `]}`, Code: parse.OperationForbidden},
			ran("transaction that fails", `{"beforeSave Thing":2}`),
			{Name: "batch of deletes", Method: "POST", Path: "/batch", Body: `{"requests":[` +
				item("DELETE", "/classes/Thing/{{thing}}", `{}`) + `,` + item("DELETE", "/classes/Thing/{{second}}", `{}`) + `,` + item("DELETE", "/classes/Thing/none", `{}`) + `]}`},
			ran("batch of deletes", `{"beforeDelete Thing":2,"afterDelete Thing":2}`),
			{Name: "batch with a refusal", Method: "POST", Path: "/batch", Body: `{"requests":[` +
				item("POST", "/classes/Thing", `{"n":5}`) + `,` + item("POST", "/classes/Thing", `{"say":"no"}`) + `]}`},
			ran("batch with a refusal", `{"beforeSave Thing":2,"afterSave Thing":1}`),
			{Name: "schema", Path: "/schemas/Thing", As: "master"},
			{Name: "purge", Method: "DELETE", Path: "/purge/Thing", As: "master"},
			none("schema and purge"),
		}},
		{Name: "users", Config: open, Cloud: cloud("_User"), Steps: []scenario.Step{
			signUp("ann"),
			ran("sign-up", `{"beforeSave _User":1,"afterSave _User":1}`),
			{Name: "sign-up in a batch", Method: "POST", Path: "/batch", Body: `{"requests":[` + item("POST", "/users", `{"username":"bea","password":"p"}`) + `]}`},
			ran("sign-up in a batch", `{"beforeSave _User":1,"afterSave _User":1}`),
			{Name: "a taken name", Method: "POST", Path: "/users", Body: `{"username":"ann","password":"p"}`, Code: parse.UsernameTaken},
			none("a taken name"),
			{Name: "by a provider", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"` + id + `"}}}`, Status: 201, Save: map[string]string{"objectId": "anon", "sessionToken": "anon.token"}},
			ran("sign-up by a provider", `{"beforeSave _User":1,"afterSave _User":1}`),
			{Name: "login by a provider", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"` + id + `"}}}`},
			ran("login by a provider", `{"beforeLogin":1,"beforeFind _User":1,"afterFind _User":1}`),
			{Name: "login by GET", Path: "/login", Query: map[string]string{"username": "ann", "password": "pass-ann"}},
			ran("login by GET", `{"beforeLogin":1,"afterLogin":1,"beforeFind _User":1,"afterFind _User":1}`),
			{Name: "loginAs", Method: "POST", Path: "/loginAs", As: "master", Body: `{"userId":"{{ann.id}}"}`},
			{Name: "verifyPassword", Path: "/verifyPassword", Query: map[string]string{"username": "ann", "password": "pass-ann"}},
			ran("loginAs and verifyPassword", `{"beforeFind _User":2,"afterFind _User":2}`),
			{Name: "me", Path: "/users/me", As: "ann"},
			ran("me", `{"beforeFind _User":1,"afterFind _User":1}`),
			{Name: "get", Path: "/users/{{ann.id}}", As: "ann"},
			ran("get", `{"beforeFind _User":1,"afterFind _User":1}`),
			{Name: "find", Path: "/users", As: "master"},
			ran("find", `{"beforeFind _User":1,"afterFind _User":1}`),
			{Name: "update", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"nick":"a"}`},
			ran("update", `{"beforeSave _User":1,"afterSave _User":1}`),
			{Name: "new password", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"password":"other"}`, Save: map[string]string{"sessionToken": "ann.token"}},
			ran("new password", `{"beforeSave _User":1,"afterSave _User":1}`),
			{Name: "link", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"anonymous":{"id":"other"}}}`},
			ran("link", `{"beforeSave _User":1,"afterSave _User":1}`),
			{Name: "delete", Method: "DELETE", Path: "/users/{{anon}}", As: "anon"},
			ran("delete", `{"beforeDelete _User":1,"afterDelete _User":1}`),
		}},
		{Name: "sessions, installations and roles", Config: open, Cloud: cloud("_Role", "_Installation"), Steps: []scenario.Step{
			signUp("ann"),
			{Name: "own session", Path: "/sessions/me", As: "ann", Save: map[string]string{"objectId": "session"}},
			{Name: "sessions", Path: "/sessions", As: "ann"},
			{Name: "change one", Method: "PUT", Path: "/sessions/{{session}}", As: "ann", Body: `{"note":"x"}`},
			{Name: "another one", Method: "POST", Path: "/sessions", As: "ann", Body: `{}`, Status: 201, Save: map[string]string{"objectId": "other", "sessionToken": "second.token"}},
			{Name: "delete one", Method: "DELETE", Path: "/sessions/{{other}}", As: "ann"},
			none("sessions"),
			{Name: "logout", Method: "POST", Path: "/logout", As: "ann"},
			ran("logout", `{"afterLogout":1}`),
			{Name: "logout twice", Method: "POST", Path: "/logout", As: "ann", Code: parse.InvalidSessionToken},
			none("logout twice"),
			{Name: "install", Method: "POST", Path: "/installations", Body: `{"deviceType":"ios","installationId":"i1","deviceToken":"t1"}`, Status: 201, Save: map[string]string{"objectId": "inst"}},
			ran("install", `{"beforeSave _Installation":1,"afterSave _Installation":1}`),
			{Name: "install again", Method: "POST", Path: "/installations", Body: `{"deviceType":"ios","installationId":"i1","deviceToken":"t2"}`},
			ran("install again", `{"beforeSave _Installation":1,"afterSave _Installation":1}`),
			{Name: "badge", Method: "PUT", Path: "/installations/{{inst}}", Body: `{"badge":1}`},
			ran("badge", `{"beforeSave _Installation":1,"afterSave _Installation":1}`),
			{Name: "find installations", Path: "/installations", As: "master"},
			ran("find installations", `{"beforeFind _Installation":1,"afterFind _Installation":1}`),
			{Name: "uninstall", Method: "DELETE", Path: "/installations/{{inst}}", As: "master"},
			ran("uninstall", `{"beforeDelete _Installation":1,"afterDelete _Installation":1}`),
			{Name: "role", Method: "POST", Path: "/roles", As: "master", Body: `{"name":"r","ACL":{}}`, Status: 201, Save: map[string]string{"objectId": "role"}},
			ran("role", `{"beforeSave _Role":1,"afterSave _Role":1}`),
			{Name: "member", Method: "PUT", Path: "/roles/{{role}}", As: "master", Body: `{"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{ann.id}}"}]}}`},
			ran("member", `{"beforeSave _Role":1,"afterSave _Role":1}`),
			{Name: "a request of a member", Method: "POST", Path: "/login", Body: `{"username":"ann","password":"pass-ann"}`, Save: map[string]string{"sessionToken": "ann.token"}},
			ran("the roles of a login", `{"beforeLogin":1,"afterLogin":1}`),
			{Name: "find of a member", Path: "/classes/Thing", As: "ann"},
			none("the roles of a find"),
			{Name: "get role", Path: "/roles/{{role}}", As: "master"},
			ran("get role", `{"beforeFind _Role":1,"afterFind _Role":1}`),
			{Name: "delete role", Method: "DELETE", Path: "/roles/{{role}}", As: "master"},
			ran("delete role", `{"beforeDelete _Role":1,"afterDelete _Role":1}`),
		}},
		{Name: "config, password and events", Config: func(c *config.Config) {
			open(c)
			c.AppName, c.PublicServerURL = "App", "http://localhost/parse"
			c.Development, c.EmailAdapter = true, json.RawMessage(`"capture"`)
		}, Cloud: cloud(), Steps: []scenario.Step{
			signUp("ann"),
			{Name: "config", Method: "PUT", Path: "/config", As: "master", Body: `{"params":{"a":1}}`},
			ran("config", `{"beforeSave @Config":1,"afterSave @Config":1}`),
			{Name: "read it", Path: "/config"},
			none("reading the config"),
			{Name: "reset", Method: "POST", Path: "/requestPasswordReset", Body: `{"email":"ann@example.com"}`},
			ran("reset", `{"beforePasswordResetRequest":1}`),
			{Name: "reset of nobody", Method: "POST", Path: "/requestPasswordReset", Body: `{"email":"nobody@example.com"}`},
			none("reset of nobody"),
			{Name: "event", Method: "POST", Path: "/events/Seen", Body: `{}`},
			ran("event", `{"onAnalytics":1}`),
		}},
	})
}

// TestHookCountsOfLiveQueries: what runs when clients connect, subscribe and
// get events. A change runs the hooks of the save once, and those of its event
// once for each subscription that it concerns.
func TestHookCountsOfLiveQueries(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), func(c *config.Config) {
			open(c)
			c.LiveQuery.ClassNames, c.StartLiveQueryServer = []string{"Thing", "Other"}, true
		}, func(app *cloudcode.App) {
			count := countAll(app, "Thing")
			app.BeforeConnect(func(context.Context, *cloudcode.ConnectRequest) error { return count.add("beforeConnect") })
			app.BeforeSubscribe("Thing", func(_ context.Context, r *cloudcode.SubscribeRequest) error {
				if r.Caller.UserID() == "" {
					return cloudcode.Err(parse.OperationForbidden, "no")
				}
				return count.add("beforeSubscribe Thing")
			})
			app.AfterEvent("Thing", func(_ context.Context, r *cloudcode.EventRequest) error {
				return count.add("afterEvent Thing " + r.Event)
			})
		})
		do := func(st scenario.Step) { s.Do(t, &st) }
		ran := func(name, counts string) { do(ran(name, counts)) }
		do(signUp("ann"))
		nobody, ann, bob := connect(t, s), connectAs(t, s, s.Var("ann.token")), connectAs(t, s, s.Var("ann.token"))
		ran("three connections", `{"beforeConnect":3}`)
		if f := nobody.subscribe(1, "Thing", `"where":{}`); f.Op != "error" || f.Error != "no" {
			t.Errorf("refused: %+v", f)
		}
		if f := nobody.subscribe(2, "Other", `"where":{}`); f.Op != "subscribed" {
			t.Errorf("a class without hooks: %+v", f)
		}
		ran("subscriptions that are refused or without hooks", `{}`)
		for l, where := range map[*live]string{ann: `"where":{"n":1}`, bob: `"where":{}`} {
			if f := l.subscribe(1, "Thing", where); f.Op != "subscribed" {
				t.Fatalf("subscribe: %+v", f)
			}
		}
		ran("subscriptions", `{"beforeSubscribe Thing":2}`)
		next := func(op string, clients ...*live) {
			t.Helper()
			for _, l := range clients {
				if f := l.next(); f.Op != op {
					t.Errorf("want %s, got %+v", op, f)
				}
			}
		}
		do(scenario.Step{Name: "create", Method: "POST", Path: "/classes/Thing", Body: `{"n":1}`, Status: 201, Save: map[string]string{"objectId": "id"}})
		next("create", ann, bob)
		ran("create", `{"beforeSave Thing":1,"afterSave Thing":1,"afterEvent Thing create":2}`)
		do(scenario.Step{Name: "update", Method: "PUT", Path: "/classes/Thing/{{id}}", Body: `{"n":2}`})
		next("leave", ann)
		next("update", bob)
		ran("update", `{"beforeSave Thing":1,"afterSave Thing":1,"afterEvent Thing leave":1,"afterEvent Thing update":1}`)
		do(scenario.Step{Name: "update of what one does not watch", Method: "PUT", Path: "/classes/Thing/{{id}}", Body: `{"n":3}`})
		next("update", bob)
		ran("update for one", `{"beforeSave Thing":1,"afterSave Thing":1,"afterEvent Thing update":1}`)
		do(scenario.Step{Name: "delete", Method: "DELETE", Path: "/classes/Thing/{{id}}"})
		next("delete", bob)
		ran("delete", `{"beforeDelete Thing":1,"afterDelete Thing":1,"afterEvent Thing delete":1}`)
		do(scenario.Step{Name: "without a listener's hook", Method: "POST", Path: "/classes/Other", Body: `{}`, Status: 201})
		next("create", nobody)
		ran("a class without hooks", `{}`)
	})
}
