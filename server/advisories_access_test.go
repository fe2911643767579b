package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// TestAdvisory_Bodies: bodies of wrong types get an answer of the client's fault, on every route.
func TestAdvisory_Bodies(t *testing.T) {
	onDatabases(t, open, nil, func(t *testing.T, s *scenario.Server) {
		for _, path := range []string{
			"/classes/A", "/users", "/login", "/loginAs", "/verifyPassword", "/batch", "/functions/f", "/roles", "/sessions", "/installations",
			"/schemas", "/challenge", "/logout", "/push_audiences",
		} {
			for _, body := range []string{`null`, `1`, `"x"`, `[]`, `[[]]`, `{"a":`, `{"a":1}}`, `{"a" 1}`, "\xff\xfe", `{"a":"` + "\x00" + `"}`} {
				status, answer := send(t, s.Handler, "POST", path, body)
				if status >= 500 || strings.Contains(answer, "goroutine") {
					t.Errorf("%s %q: %d %s", path, body, status, answer)
				}
			}
		}
		s.Do(t, &scenario.Step{Name: "alive", Path: "/health"})
	})
	scenario.Run(t, []scenario.Scenario{
		{Name: "PR-10230", Config: open, Steps: []scenario.Step{
			failing(posting("requests", "/batch", `{"requests":"x"}`), parse.InvalidJSON, "requests must be an array"),
			failing(posting("null", "/batch", `{"requests":[null]}`), parse.InvalidJSON, ""),
			failing(posting("path", "/batch", `{"requests":[{"path":1}]}`), parse.InvalidJSON, "batch request path must be a string"),
			failing(posting("method", "/batch", `{"requests":[{"path":"/parse/classes/A","method":1}]}`), parse.InvalidJSON, ""),
			failing(posting("op", "/classes/A", `{"a":{"__op":"Nope"}}`), parse.CommandUnavailable, ""),
			failing(posting("op object", "/classes/A", `{"a":{"__op":{"x":1}}}`), parse.CommandUnavailable, ""),
			failing(posting("nested", "/batch", `{"requests":[{"method":"POST","path":"/parse/batch","body":{"requests":[]}}]}`), parse.InvalidJSON, "nested batch requests are not allowed"),
		}},
		{Name: "PR-10209", Config: open, Steps: []scenario.Step{
			signUp("ann"),
			failing(posting("login", "/login", `{"username":{"$ne":""},"password":"pass-ann"}`), parse.ObjectNotFound, "Invalid username/password."),
			{Name: "loginAs", Method: "POST", Path: "/loginAs", As: "master", Body: `{"userId":{"$ne":1}}`, Code: parse.InvalidValue},
		}},
		{Name: "A-138", Config: open, Steps: []scenario.Step{
			{Name: "object", Method: "POST", Path: "/classes/A", Body: `{"data":{"n":1}}`, Status: 201, Save: map[string]string{"objectId": "id"}},
			{Name: "a nested operation is inert", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"data":{"n":{"__op":"Increment","amount":"1"}}}`},
			{Name: "and comes back as it was sent", Path: "/classes/A/{{id}}", JSON: `{"data":{"n":{"__op":"Increment","amount":"1"}},"...":0}`},
			{Name: "still to be written", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"data":{"n":2}}`},
		}},
	})
}

// TestAdvisory_Names: names of the prototype chain and paths are names that nobody registered.
func TestAdvisory_Names(t *testing.T) {
	cloud := func(app *cloudcode.App) {
		app.Function("val", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return "ran", nil })
	}
	var functions, apps, keywords []scenario.Step
	for _, name := range []string{"constructor", "__proto__", "toString", "a.b.c", "val.__proto__.constructor", "val.prototype.constructor", "hasOwnProperty"} {
		functions = append(functions, failing(posting(name, "/functions/"+name, `{}`), parse.ScriptFailed, fmt.Sprintf("Invalid function: %q", name)))
		apps = append(apps, scenario.Step{Name: name, Path: "/classes/Pub", Header: map[string]string{"X-Parse-Application-Id": name}, Status: 403, JSON: `{"error":"unauthorized"}`},
			scenario.Step{Name: "in the body: " + name, Method: "POST", Path: "/classes/Pub", Header: map[string]string{"X-Parse-Application-Id": ""}, Body: `{"_method":"GET","_ApplicationId":"` + name + `"}`, Status: 403, JSON: `{"error":"unauthorized"}`})
	}
	for _, body := range []string{
		`{"data":{"_bsontype":"Code"}}`, `{"data":{"a":{"__proto__":{}}}}`, `{"constructor":1}`, `{"__proto__":1}`,
		`{"data":{"a":{"b":{}},"c":{"d":[{"constructor":1}]}}}`, `{"list":[[{"_bsontype":"Code"}]]}`,
	} {
		keywords = append(keywords, attacks(attack{method: "POST", path: "/classes/Pub", body: body, code: parse.InvalidKeyName}, attack{method: "PUT", path: "/classes/Pub/{{pub}}", body: body, code: parse.InvalidKeyName})...)
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "GHSA-5j86-7r7m-p8h6", Cloud: cloud, Steps: functions},
		against("GHSA-3v4q-4q9g-x83q", apps...),
		against("GHSA-p6h4-93qp-jhcm", keywords...),
		against("GHSA-9ccr-fpp6-78qf",
			scenario.Step{Name: "a field under __proto__", Method: "POST", Path: "/classes/Doc", Body: `{"__proto__":{"newf":1}}`, Code: parse.InvalidKeyName},
			scenario.Step{Name: "a field", Method: "POST", Path: "/classes/Doc", Body: `{"newf":1}`, Code: parse.OperationForbidden},
			scenario.Step{Name: "schema", Path: "/schemas/Doc", As: "master", Lacks: []string{"newf"}},
		),
		against("GHSA-445j-ww4h-339m",
			scenario.Step{Name: "header", Path: "/classes/Pub", Header: map[string]string{"X-Parse-Cloud-Context": `{"__proto__":{"polluted":1}}`}},
			scenario.Step{Name: "malformed", Path: "/classes/Pub", Header: map[string]string{"X-Parse-Cloud-Context": `[1`}, Code: parse.InvalidJSON, Error: "Invalid object for context."},
		),
		{Name: "A-46", Config: open, Steps: []scenario.Step{
			failing(posting("class", "/classes/constructor", `{}`), parse.InvalidJSON, ""),
			failing(posting("class", "/classes/__proto__", `{}`), parse.InvalidClassName, ""),
			failing(posting("provider", "/users", `{"authData":{"constructor":{"id":"1"}}}`), parse.UnsupportedService, ""),
		}},
	})
}

// TestAdvisory_Depth: what is nested or long beyond use is refused before it is walked.
func TestAdvisory_Depth(t *testing.T) {
	nest := func(open, inner, close string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(close, n)
	}
	deep := func(w string) scenario.Step {
		return scenario.Step{Name: w[:20], Method: "POST", Path: "/classes/Pub", Body: `{"_method":"GET","where":` + w + `}`, Status: 400, JSON: `{"code":107,"error":"JSON is nested deeper than 128 levels"}`}
	}
	limited := func(c *config.Config) {
		c.RequestComplexity = []byte(`{"includeDepth":2,"includeCount":3,"queryDepth":2,"subqueryDepth":1,"batchRequestLimit":2}`)
	}
	where := func(w string, code parse.Code) attack {
		a := attack{path: "/classes/Pub", body: `{"where":` + w + `}`, code: code}
		if code == 0 {
			a.json = `{"results":[]}`
		}
		return a
	}
	sub := func(inner string) string {
		return `{"a":{"$inQuery":{"className":"Pub","where":` + inner + `}}}`
	}
	item := `{"method":"GET","path":"/parse/classes/Pub"}`
	many := attacks(
		where(`{"$or":[{"$and":[{"a":"y"}]}]}`, 0), where(`{"$or":[{"$and":[{"$nor":[{"a":"x"}]}]}]}`, parse.InvalidQuery),
		where(`{"list":{"$elemMatch":{"$or":[{"$and":[{"$or":[{"a":1}]}]}]}}}`, parse.InvalidQuery),
		where(sub(sub(`{}`)), parse.InvalidQuery),
		attack{path: "/classes/Ptr", body: `{"include":"a.b.c"}`, code: parse.InvalidQuery},
		attack{path: "/classes/Ptr", body: `{"include":"a,b,c,d"}`, code: parse.InvalidQuery},
	)
	var lists []scenario.Step
	lists = append(
		lists,
		scenario.Step{Name: "write", Method: "PUT", Path: "/classes/Pub/{{pub}}", Body: `{"list":[` + nest("[", `{"__type":"Pointer","className":"Pub","objectId":"{{pub}}"}`, "]", 30) + `]}`},
		scenario.Step{Name: "include", Path: "/classes/Pub/{{pub}}", Query: map[string]string{"include": "list,list.list,list.list.list"}, JSON: `{"objectId":"{{pub}}","...":0}`},
	)
	scenario.Run(t, []scenario.Scenario{
		{Name: "GHSA-cmj3-wx7h-ffvg", Config: limited, Steps: after(guarded, many...)},
		{Name: "PR-10265", Config: limited, Steps: after(guarded,
			failing(posting("batch", "/batch", `{"requests":[`+item+`,`+item+`,`+item+`]}`), parse.InvalidJSON, "Batch request contains 3 sub-requests, which exceeds the limit of 2."),
			posting("as many as allowed", "/batch", `{"requests":[`+item+`,`+item+`]}`),
		)},
		against("GHSA-9xp9-j92r-p88v", deep(nest(`{"$and":[`, `{}`, `]}`, 20_000)), deep(`{"a":`+nest(`{"$not":`, `{}`, `}`, 20_000)+`}`), deep(`{"a":`+nest("[", "", "]", 20_000)+`}`),
			scenario.Step{Name: "alive", Path: "/classes/Pub", JSON: `{"results":["*"]}`}),
		against("GHSA-cgxm-vr2f-6fj8", lists...),
		against("GHSA-38m6-82c8-4xfm",
			scenario.Step{Name: "header", Path: "/classes/Pub", Header: map[string]string{"X-Parse-Client-Version": strings.Repeat("0", 12_000) + "x"}},
			scenario.Step{Name: "body", Method: "POST", Path: "/classes/Pub", Header: map[string]string{"X-Parse-Application-Id": ""}, Body: `{"_method":"GET","_ApplicationId":"app","_ClientVersion":"` + strings.Repeat("1.", 500_000) + `"}`},
		),
		against("A-30", failing(posting("nested", "/batch", `{"requests":[{"method":"POST","path":"/parse/batch","body":{"requests":[]}}]}`), parse.InvalidJSON, "nested batch requests are not allowed")),
	})
}

// TestAdvisory_Keys: which key may what, and from where.
func TestAdvisory_Keys(t *testing.T) {
	reader := map[string]string{"X-Parse-Master-Key": "reader"}
	readOnly := func(c *config.Config) { open(c); c.ReadOnlyMasterKey = "reader" }
	refused := func(method, path, body string) scenario.Step {
		return scenario.Step{Name: method + " " + path, Method: method, Path: path, Header: reader, Body: body, Code: parse.OperationForbidden}
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "GHSA-vm5r-c87r-pf6x", Config: func(c *config.Config) { open(c); c.MasterKeyIPs = []string{"10.0.0.1"} }, Steps: []scenario.Step{
			{Name: "forged address", Path: "/classes/A", As: "master", Header: map[string]string{"X-Forwarded-For": "10.0.0.1"}, Status: 403, JSON: `{"error":"unauthorized"}`},
			{Name: "by other names", Path: "/classes/A", As: "master", Header: map[string]string{"X-Real-Ip": "10.0.0.1", "Forwarded": "for=10.0.0.1"}, Status: 403},
		}},
		{Name: "GHSA-vc89-5g3r-cmhh", Config: readOnly, Steps: []scenario.Step{
			signUp("ann"),
			refused("POST", "/classes/A", `{}`), refused("PUT", "/classes/A/x", `{"n":1}`), refused("DELETE", "/classes/A/x", ``),
			refused("POST", "/users", `{"username":"x","password":"x"}`), refused("PUT", "/users/{{ann.id}}", `{"password":"x"}`), refused("DELETE", "/users/{{ann.id}}", ``),
			refused("POST", "/roles", `{"name":"r","ACL":{}}`), refused("POST", "/sessions", `{}`), refused("POST", "/installations", `{"deviceType":"ios","installationId":"i"}`),
			refused("POST", "/schemas", `{"className":"N"}`), refused("PUT", "/schemas/A", `{}`), refused("DELETE", "/schemas/A", ``), refused("DELETE", "/purge/A", ``),
			refused("POST", "/loginAs", `{"userId":"{{ann.id}}"}`), refused("POST", "/push_audiences", `{"name":"a","query":"{}"}`),
			refused("POST", "/classes/_Hooks", `{"functionName":"f","url":"http://127.0.0.1/"}`), refused("POST", "/classes/_JobSchedule", `{}`),
			{Name: "by _method", Method: "POST", Path: "/users/{{ann.id}}", Header: reader, Body: `{"_method":"PUT","password":"x"}`, Code: parse.OperationForbidden},
			{Name: "in a batch", Method: "POST", Path: "/batch", Header: reader, Body: `{"requests":[{"method":"POST","path":"/parse/classes/A","body":{}}]}`, JSON: `[{"error":{"code":119,"error":"*"}}]`},
			{Name: "it reads", Path: "/users", Header: reader, JSON: `{"results":["*"]}`},
			{Name: "it aggregates", Path: "/aggregate/_User", Header: reader, Query: map[string]string{"pipeline": `[{"$count":"n"}]`}},
		}},
		{Name: "A-50", Config: func(c *config.Config) { readOnly(c); c.AllowReadOnlyAggregate = false }, Steps: []scenario.Step{
			{Name: "aggregate", Path: "/aggregate/_User", Header: reader, Query: map[string]string{"pipeline": `[{"$count":"n"}]`}, Code: parse.OperationForbidden},
		}},
		{Name: "GHSA-p84r-h6rx-f2xr", Config: func(c *config.Config) { open(c); c.RouteAllowList = []string{"batch", "classes/Open"} }, Steps: []scenario.Step{
			failing(posting("through a batch", "/batch", `{"requests":[{"method":"GET","path":"/parse/classes/Open"},{"method":"GET","path":"/parse/users"}]}`), parse.OperationForbidden, "Permission denied"),
			failing(posting("in capitals", "/batch", `{"requests":[{"method":"GET","path":"/parse/USERS/"}]}`), parse.OperationForbidden, "Permission denied"),
		}},
	})
}

// TestAdvisory_Classes: classes and rows that are the server's, and sessions.
func TestAdvisory_Classes(t *testing.T) {
	var internal []attack
	for _, c := range []string{"_JobStatus", "_PushStatus", "_Hooks", "_GlobalConfig", "_GraphQLConfig", "_JobSchedule", "_Audience", "_Idempotency", "_Join:users:_Role", "_Join:roles:_Role"} {
		for _, m := range []string{"GET /", "POST /", "GET /x", "PUT /x", "DELETE /x"} {
			method, id, _ := strings.Cut(m, " ")
			internal = append(internal, attack{method: method, path: "/classes/" + c + strings.TrimSuffix(id, "/"), as: "attacker", code: parse.OperationForbidden})
		}
	}
	var fields []scenario.Step
	for _, k := range []string{"sessionToken", "expiresAt", "user", "createdWith"} {
		for _, v := range []string{`null`, `0`, `""`, `{"__op":"Delete"}`, `"r:x"`} {
			st := scenario.Step{Name: k + " " + v, Method: "PUT", Path: "/sessions/{{own}}", As: "attacker", Body: `{"` + k + `":` + v + `}`, Status: 400}
			if v == `null` || v[0] == '{' {
				st.Code = parse.InvalidKeyName // of the others, some have the wrong type, which is told first
			}
			fields = append(fields, st)
		}
	}
	fields = append(fields, scenario.Step{Name: "unchanged", Path: "/sessions/me", As: "attacker", JSON: `{"objectId":"{{own}}","sessionToken":"{{attacker.token}}","createdWith":"*","expiresAt":"*","user":{"__type":"Pointer","className":"_User","objectId":"{{attacker.id}}"},"...":0}`})
	own := scenario.Step{Name: "own session", Path: "/sessions/me", As: "attacker", Save: map[string]string{"objectId": "own"}}
	theirs := scenario.Step{Name: "foreign session", Path: "/sessions/me", As: "victim", Save: map[string]string{"objectId": "theirs"}}
	scenario.Run(t, []scenario.Scenario{
		against("GHSA-7xg7-rqf6-pw6c", attacks(internal...)...),
		{Name: "GHSA-8xq9-g7ch-35hg", Config: func(c *config.Config) { open(c); c.AllowCustomObjectID = true }, Steps: []scenario.Step{
			failing(posting("sign-up", "/users", `{"objectId":"role:admin","username":"x","password":"x"}`), parse.OperationForbidden, ""),
			{Name: "by master", Method: "POST", Path: "/users", As: "master", Body: `{"objectId":"role:admin","username":"x","password":"x"}`, Code: parse.OperationForbidden},
		}},
		against("GHSA-6w4q-23cf-j9jp", append([]scenario.Step{theirs}, attacks(
			attack{path: "/sessions/{{theirs}}", as: "attacker", code: parse.ObjectNotFound},
			attack{method: "PUT", path: "/sessions/{{theirs}}", as: "attacker", body: `{"x":1}`, code: parse.ObjectNotFound},
			attack{method: "DELETE", path: "/sessions/{{theirs}}", as: "attacker", code: parse.ObjectNotFound},
			attack{path: "/classes/_Session", as: "attacker", body: `{"where":{"objectId":"{{theirs}}"}}`, json: `{"results":[]}`},
		)...)...),
		against("GHSA-5v7g-9h8f-8pgg",
			scenario.Step{
				Name: "a session of one's own making", Method: "POST", Path: "/sessions", As: "attacker", Status: 201, Save: map[string]string{"objectId": "made"},
				Body: `{"sessionToken":"r:mine","expiresAt":{"__type":"Date","iso":"2999-01-01T00:00:00.000Z"},"user":{"__type":"Pointer","className":"_User","objectId":"{{victim.id}}"},"createdWith":{"action":"login"}}`,
			},
			scenario.Step{Name: "the server's values", Path: "/sessions/{{made}}", As: "attacker", JSON: `{"user":{"__type":"Pointer","className":"_User","objectId":"{{attacker.id}}"},"createdWith":{"action":"create"},"...":0}`, Lacks: []string{"r:mine", "2999"}},
			scenario.Step{Name: "an id", Method: "POST", Path: "/sessions", As: "attacker", Body: `{"objectId":"x"}`, Code: parse.InvalidKeyName},
		),
		against("GHSA-jc39-686j-wp6q", append([]scenario.Step{own}, fields...)...),
		against("PR-10213",
			scenario.Step{Name: "PUT", Method: "PUT", Path: "/sessions/me", Header: map[string]string{"X-Parse-Session-Token": "r:bad"}, Body: `{}`, Code: parse.InvalidSessionToken},
			scenario.Step{Name: "DELETE", Method: "DELETE", Path: "/sessions/me", Header: map[string]string{"X-Parse-Session-Token": "r:bad"}, Code: parse.InvalidSessionToken},
		),
		against("GHSA-75v4-m273-5j49",
			scenario.Step{Name: "nobody gets users", Method: "PUT", Path: "/schemas/_User", As: "master", Body: `{"classLevelPermissions":{"find":{},"get":{},"create":{},"update":{}}}`},
			scenario.Step{Name: "login", Method: "POST", Path: "/login", Body: `{"username":"victim","password":"pass-victim"}`, JSON: `{"objectId":"*","sessionToken":"*"}`},
			scenario.Step{Name: "verifyPassword", Method: "POST", Path: "/verifyPassword", Body: `{"username":"victim","password":"pass-victim"}`, Lacks: []string{"email", "hashed"}},
			failing(posting("GHSA-4m9m-p9j9-5hjw: a taken name", "/users", `{"username":"victim","password":"x"}`), parse.OperationForbidden, "Permission denied"),
			failing(posting("a free name", "/users", `{"username":"free","password":"x"}`), parse.OperationForbidden, "Permission denied"),
			failing(posting("a taken address", "/users", `{"username":"free","password":"x","email":"victim@example.com"}`), parse.OperationForbidden, "Permission denied"),
		),
		against("A-141",
			guardedClass("Own", `{"owner":{"type":"Pointer","targetClass":"_User"}}`, `{"find":{},"count":{},"get":{},"create":{"*":true},"readUserFields":["owner"]}`),
			scenario.Step{Name: "object", Method: "POST", Path: "/classes/Own", Body: `{"owner":{"__type":"Pointer","className":"_User","objectId":"{{victim.id}}"}}`, Status: 201},
			scenario.Step{Name: "count of a stranger", Path: "/classes/Own", As: "attacker", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":0}`},
			scenario.Step{Name: "count of nobody", Path: "/classes/Own", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":0}`},
			scenario.Step{Name: "count of the owner", Path: "/classes/Own", As: "victim", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":1}`},
		),
		{Name: "GHSA-cc6h-c8m4-hgrx", Config: open, Steps: []scenario.Step{
			{Name: "one", Method: "POST", Path: "/installations", Body: `{"installationId":"one","deviceType":"ios","deviceToken":"t1"}`, Status: 201},
			{Name: "two", Method: "POST", Path: "/installations", Body: `{"installationId":"two","deviceType":"ios","deviceToken":"t2"}`, Status: 201},
			failing(posting("token", "/installations", `{"installationId":"one","deviceType":"ios","deviceToken":{"$ne":"x"}}`), parse.InvalidNestedKey, ""),
			failing(posting("object", "/installations", `{"installationId":"one","deviceType":"ios","deviceToken":{"ne":"x"}}`), parse.IncorrectType, ""),
			failing(posting("id", "/installations", `{"installationId":{"$ne":"x"},"deviceType":"ios"}`), parse.InvalidNestedKey, ""),
			{Name: "all are there", Path: "/installations", As: "master", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":2}`},
		}},
	})
}
