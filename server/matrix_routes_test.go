package server_test

import (
	"context"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// routeCell is a request to a route that has rules of its own.
type routeCell struct {
	op, method, path string
	params, body     map[string]any
	// want is the answer; "" if this caller does not ask, because it would take
	// away what others ask for.
	want func(c *matrixCaller) string
	// says is the rule in words, for the table.
	says string
}

// Rules of routes.
func isMaster(c *matrixCaller) bool { return c.key == "master" }

func asMaster(c *matrixCaller) bool { return c.key == "master" || c.key == "readonly" }

func okFor(yes bool, code int) string {
	if yes {
		return said()
	}
	return denial(code)
}

// forMaster: reads are for both master keys, writes for one.
func forMaster(writes bool) func(c *matrixCaller) string {
	return func(c *matrixCaller) string {
		if c.key == "readonly" && writes {
			return denial(119)
		}
		return okFor(asMaster(c), 403)
	}
}

// own: the user himself and the keys that may; others get a code, and nobody another.
func own(write bool, others, nobody int) func(c *matrixCaller) string {
	return func(c *matrixCaller) string {
		switch {
		case c.key == "readonly" && write:
			return denial(119)
		case c.key != "" || c.user == theOwn:
			return said()
		case c.user == "":
			return denial(nobody)
		}
		return denial(others)
	}
}

// refusedOnly leaves out those who would be served.
func refusedOnly(want func(c *matrixCaller) string) func(c *matrixCaller) string {
	return func(c *matrixCaller) string {
		if text := want(c); text != said() {
			return text
		}
		return ""
	}
}

// sessionsOf changes a rule of objects into that of reading sessions, which the
// maintenance key does not see.
func sessionsOf(want func(c *matrixCaller) string) func(c *matrixCaller) string {
	return func(c *matrixCaller) string {
		if c.key == "maintenance" {
			return denial(209)
		}
		return want(c)
	}
}

func everyone(*matrixCaller) string { return said() }

// byKeys: nobody but who has a key; of the read-only one, not for writes.
func byKeys(write bool) func(c *matrixCaller) string {
	return func(c *matrixCaller) string {
		return okFor(c.key != "" && !(write && c.key == "readonly"), 119)
	}
}

func signedIn(code int) func(c *matrixCaller) string {
	return func(c *matrixCaller) string { return okFor(c.user != "", code) }
}

// routeCells are asked on every surface. In paths, bodies and names {unique} stands for
// something that no other cell has, {session} for the owner's session.
var routeCells = func() []routeCell {
	name := map[string]any{"name": "{unique}", "ACL": map[string]any{}}
	fields := map[string]any{"fields": map[string]any{"a": field("String")}}
	hook := map[string]any{"functionName": "{unique}", "url": "https://example.com"}
	list := []routeCell{
		{op: "users: get", method: "GET", path: "/users/" + theOwn, want: own(false, 101, 101), says: "the user himself, keys"},
		{op: "users: update", method: "PUT", path: "/users/" + theOwn, body: map[string]any{"city": "x"}, want: own(true, 206, 206), says: "the user himself, keys that write"},
		{op: "users: delete", method: "DELETE", path: "/users/" + theOwn, want: refusedOnly(own(true, 206, 206)), says: "the user himself, keys that write"},
		{op: "users: me", method: "GET", path: "/users/me", want: signedIn(209), says: "users"},
		{op: "users: as a class", method: "GET", path: "/classes/_User/" + theOwn, want: own(false, 101, 101), says: "the user himself, keys"},
		{op: "users: hidden field", method: "GET", path: "/users", params: map[string]any{"where": map[string]any{"email": "x"}}, want: func(c *matrixCaller) string { return okFor(c.key != "", 119) }, says: "keys"},
		{op: "users: loginAs", method: "POST", path: "/loginAs", body: map[string]any{"userId": theOwn}, want: func(c *matrixCaller) string { return okFor(isMaster(c), 119) }, says: "the master key"},
		{op: "sessions: get", method: "GET", path: "/sessions/{session}", want: sessionsOf(own(false, 101, 209)), says: "the user himself, master keys"},
		{op: "sessions: as a class", method: "GET", path: "/classes/_Session/{session}", want: sessionsOf(own(false, 101, 209)), says: "the user himself, master keys"},
		{op: "sessions: update", method: "PUT", path: "/sessions/{session}", body: map[string]any{"note": "x"}, want: own(true, 101, 209), says: "the user himself, keys that write"},
		{op: "sessions: delete", method: "DELETE", path: "/sessions/{session}", want: refusedOnly(own(true, 101, 209)), says: "the user himself, keys that write"},
		{op: "sessions: me", method: "GET", path: "/sessions/me", want: signedIn(209), says: "users"},
		{op: "roles: get", method: "GET", path: "/roles/staff", want: func(c *matrixCaller) string { return okFor(c.key != "", 101) }, says: "by the ACL, here `{}`: keys"},
		{op: "roles: create", method: "POST", path: "/roles", body: name, want: func(c *matrixCaller) string { return okFor(c.key != "readonly", 119) }, says: "by the class, here everybody"},
		{op: "roles: update", method: "PUT", path: "/roles/staff", body: map[string]any{"note": "x"}, want: func(c *matrixCaller) string {
			if c.key == "readonly" {
				return denial(119)
			}
			return okFor(c.key != "", 101)
		}, says: "by the ACL, here `{}`: keys that write"},
		{op: "installations: find", method: "GET", path: "/installations", want: byKeys(false), says: "keys"},
		{op: "installations: delete", method: "DELETE", path: "/installations/none", want: refusedOnly(func(c *matrixCaller) string {
			if c.key != "" && c.key != "readonly" {
				return denial(101)
			}
			return denial(119)
		}), says: "keys that write"},
		{op: "schemas: list", method: "GET", path: "/schemas", want: forMaster(false), says: "master keys"},
		{op: "schemas: get", method: "GET", path: "/schemas/Holder", want: forMaster(false), says: "master keys"},
		{op: "schemas: create", method: "POST", path: "/schemas/{unique}", body: fields, want: forMaster(true), says: "the master key"},
		{op: "schemas: update", method: "PUT", path: "/schemas/Holder", body: map[string]any{}, want: forMaster(true), says: "the master key"},
		{op: "schemas: delete", method: "DELETE", path: "/schemas/Holder", want: refusedOnly(forMaster(true)), says: "the master key"},
		{op: "purge", method: "DELETE", path: "/purge/Holder", want: refusedOnly(forMaster(true)), says: "the master key"},
		{op: "functions: call", method: "POST", path: "/functions/open", body: map[string]any{}, want: everyone, says: "everybody"},
		{op: "functions: requireUser", method: "POST", path: "/functions/users", body: map[string]any{}, want: func(c *matrixCaller) string { return okFor(c.user != "" || asMaster(c), 142) }, says: "users, master keys"},
		{op: "functions: requireMaster", method: "POST", path: "/functions/masters", body: map[string]any{}, want: func(c *matrixCaller) string { return okFor(asMaster(c), 142) }, says: "master keys"},
		{op: "functions: requireAnyUserRoles", method: "POST", path: "/functions/staff", body: map[string]any{}, want: func(c *matrixCaller) string { return okFor(slices.Contains(c.roles, staff) || asMaster(c), 142) }, says: "members of the role, master keys"},
		{op: "jobs: start", method: "POST", path: "/jobs/{unique}", body: map[string]any{}, want: refusedOnly(forMaster(true)), says: "the master key"},
		{op: "jobs: schedules", method: "GET", path: "/cloud_code/jobs", want: forMaster(false), says: "master keys"},
		{op: "hooks: list", method: "GET", path: "/hooks/functions", want: forMaster(false), says: "master keys"},
		{op: "hooks: create", method: "POST", path: "/hooks/functions", body: hook, want: forMaster(true), says: "the master key"},
		{op: "config: read", method: "GET", path: "/config", want: everyone, says: "everybody"},
		{op: "config: write", method: "PUT", path: "/config", body: map[string]any{"params": map[string]any{"a": 1}}, want: forMaster(true), says: "the master key"},
		{op: "push audiences: find", method: "GET", path: "/push_audiences", want: forMaster(false), says: "master keys"},
		{op: "server: info", method: "GET", path: "/serverInfo", want: forMaster(false), says: "master keys"},
		{op: "server: log", method: "GET", path: "/scriptlog", want: forMaster(false), says: "master keys"},
		{op: "server: doctor", method: "GET", path: "/doctor", want: forMaster(false), says: "master keys"},
		{op: "server: security", method: "GET", path: "/security", want: forMaster(false), says: "master keys"},
	}
	for _, class := range []string{"_JobStatus", "_PushStatus", "_Hooks", "_GlobalConfig", "_GraphQLConfig", "_JobSchedule", "_Audience", "_Idempotency", "_Join:links:Hidden"} {
		read, write := "classes of the server: read", "classes of the server: write"
		list = append(list,
			routeCell{op: read, method: "GET", path: "/classes/" + class, want: byKeys(false), says: "keys"},
			routeCell{op: read, method: "GET", path: "/classes/" + class + "/none", want: func(c *matrixCaller) string {
				if c.key != "" {
					return denial(101)
				}
				return denial(119)
			}, says: "keys"},
			routeCell{op: read, method: "GET", path: "/classes/Holder", params: map[string]any{"where": map[string]any{"title": map[string]any{"$select": map[string]any{"key": "objectId", "query": map[string]any{"className": class, "where": map[string]any{}}}}}}, want: byKeys(false), says: "keys"},
			routeCell{op: write, method: "POST", path: "/classes/" + class, body: map[string]any{}, want: refusedOnly(byKeys(true)), says: "keys that write"},
			routeCell{op: write, method: "PUT", path: "/classes/" + class + "/none", body: map[string]any{}, want: refusedOnly(byKeys(true)), says: "keys that write"},
			routeCell{op: write, method: "DELETE", path: "/classes/" + class + "/none", want: refusedOnly(byKeys(true)), says: "keys that write"},
		)
	}
	return list
}()

// matrixFunctions registers the functions that are called.
func matrixFunctions(app *cloudcode.App) {
	run := func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return "ran", nil }
	app.Function("open", run)
	app.Function("users", run, cloudcode.Validator{RequireUser: true})
	app.Function("masters", run, cloudcode.Validator{RequireMaster: true})
	app.Function("staff", run, cloudcode.Validator{RequireAnyUserRoles: []string{"staff"}})
}

func (m *matrix) askRoutes(c *matrixCaller) {
	session := m.must("GET", "/sessions?where="+`{"user":`+jsonText(ref("_User", theOwn))+`}`, nil)["results"].([]any)
	for i := range routeCells {
		rc := &routeCells[i]
		want := rc.want(c)
		if want == "" {
			continue
		}
		for j, by := range surfaces {
			if !m.takes(c.name, by.name, rc.op, rc.path) {
				continue
			}
			unique := newField(c, string(rune('A'+j)))
			fill := strings.NewReplacer("{unique}", unique, "{session}", idOf(session[0]))
			body := map[string]any{}
			for k, v := range rc.body {
				if s, ok := v.(string); ok {
					v = fill.Replace(s)
				}
				body[k] = v
			}
			if rc.body == nil {
				body = nil
			}
			x := exchange{method: rc.method, path: fill.Replace(rc.path), params: rc.params, body: body}
			m.cell(c, by.name, rc.op, rc.path, want, by.send(m, c, x).wrote())
		}
	}
}
