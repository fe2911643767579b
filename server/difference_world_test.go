package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/server/config"
)

// callers of the difference fuzzer: nobody, a user, a member of hr through the
// role boss, and the owner of some objects.
var callers = []string{"", "ada", "bob", "cyd"}

func differenceConfig(c *config.Config) {
	detailed(c)
	c.AllowCustomObjectID = true
	c.EnforcePrivateUsers = false
	c.StartLiveQueryServer = true
	c.LiveQuery.ClassNames = []string{"Doc"}
	c.MaintenanceKey = "upkeep"
	c.DatabaseOptions = json.RawMessage(`{"allowPublicExplain":true}`)
	c.ProtectedFieldsSaveResponseExempt = false
	c.ProtectedFields = json.RawMessage(`{"_User":{"*":["email","phone"]}}`)
}

const (
	hiddenFields    = `"secret","pay","note","place","grades","hidden","inner"`
	hiddenFromHR    = `"secret","note","place","grades","hidden","inner"`
	hiddenFromOwner = `"secret","pay","place","grades","hidden","inner"`
)

// fieldsOf lists the fields that requests name, visible and hidden.
var fieldsOf = map[string][]string{
	"Doc":   {"objectId", "title", "n", "tags", "body", "owner", "parent", "vault", "links", "secret", "pay", "note", "place", "grades", "hidden", "inner", "createdAt"},
	"Vault": {"objectId", "code", "n"},
	"Mail":  {"objectId", "text", "n", "to", "cc"},
	"_User": {"objectId", "username", "email", "phone", "city", "authData", "emailVerified"},
	"_Role": {"objectId", "name", "note", "users", "roles"},
	// Not what is drawn: objectId, sessionToken, moments.
	"_Session": {"note", "user", "createdWith", "installationId"},
}

// indexesOf lists the indexes of classes, over visible and hidden fields.
var indexesOf = map[string][]string{
	"Doc":      {"byTitle", "bySecret", "byNPay", "byParent", "byTags", "byGrades"},
	"Vault":    {"byCode"},
	"Mail":     {"byText", "byTo"},
	"_User":    {"username_1", "email_1", "case_insensitive_email"},
	"_Role":    {"name_1"},
	"_Session": {"_id_"},
}

var differenceSetUp = func() []scenario.Step {
	user := func(name string) scenario.Step {
		return scenario.Step{
			Name: name, Method: "POST", Path: "/users", As: "master", Status: 201,
			Body: fmt.Sprintf(`{"objectId":%q,"username":%q,"password":"pw","email":"%s@example.com","phone":"1","city":"x"}`, userID(name), name, name),
		}
	}
	login := func(name string) scenario.Step {
		return scenario.Step{
			Name: "login", Method: "POST", Path: "/login", Body: fmt.Sprintf(`{"username":%q,"password":"pw"}`, name),
			Save: map[string]string{"sessionToken": name + ".token"},
		}
	}
	schemaOf := func(name, body string) scenario.Step {
		return scenario.Step{Name: name, Method: "POST", Path: "/schemas/" + name, As: "master", Body: body}
	}
	created := 0
	row := func(class, id, body string) scenario.Step {
		created++
		return scenario.Step{
			Name: id, Method: "POST", Path: "/classes/" + class, Header: map[string]string{"X-Parse-Maintenance-Key": "upkeep"}, Status: 201,
			Body: fmt.Sprintf(`{"objectId":%q,"createdAt":{"__type":"Date","iso":"2020-01-01T00:00:%02d.000Z"}%s}`, id, created, body),
		}
	}
	role := func(name, body string) scenario.Step {
		return scenario.Step{Name: name, Method: "POST", Path: "/roles", As: "master", Status: 201, Body: fmt.Sprintf(`{"objectId":%q,"name":%q,"ACL":{},%s}`, "r"+name, name, body)}
	}
	members := func(field, class, id string) string {
		return fmt.Sprintf(`%q:{"__op":"AddRelation","objects":[%s]}`, field, jsonText(ref(class, id)))
	}
	owned := func(by string) string { return `,"owner":` + jsonText(ref("_User", userID(by))) }
	steps := []scenario.Step{
		user("ada"), user("bob"), user("cyd"), login("ada"), login("bob"), login("cyd"),
		role("boss", members("users", "_User", userID("bob"))),
		role("hr", members("roles", "_Role", "rboss")),
		{Name: "session of bob", Method: "POST", Path: "/sessions", As: "master", Status: 201, Body: `{"objectId":"sbob","note":"base-0","user":` + jsonText(ref("_User", userID("bob"))) + `}`},
		{Name: "note of hr", Method: "PUT", Path: "/roles/rhr", As: "master", Body: `{"note":"base-0"}`},
		schemaOf("Vault", `{"fields":{"code":{"type":"String"},"n":{"type":"Number"}},"indexes":{"byCode":{"code":1}},"classLevelPermissions":{"create":{"*":true}}}`),
		schemaOf("Doc", `{"fields":{"title":{"type":"String"},"n":{"type":"Number"},"beat":{"type":"Number"},"tags":{"type":"Array"},"body":{"type":"Object"},
			"owner":{"type":"Pointer","targetClass":"_User"},"parent":{"type":"Pointer","targetClass":"Doc"},"vault":{"type":"Pointer","targetClass":"Vault"},
			"links":{"type":"Relation","targetClass":"Doc"},"hidden":{"type":"Relation","targetClass":"Doc"},
			"secret":{"type":"String"},"pay":{"type":"Number"},"note":{"type":"String"},"place":{"type":"GeoPoint"},"grades":{"type":"Array"},"inner":{"type":"Object"}},
			"indexes":{"byTitle":{"title":1},"bySecret":{"secret":1},"byNPay":{"n":1,"pay":-1},"byParent":{"_p_parent":1},"byTags":{"tags":1},"byGrades":{"grades":1}},
			"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{"*":true},"aggregate":{"*":true},
			"protectedFields":{"*":[`+hiddenFields+`],"role:hr":[`+hiddenFromHR+`],"userField:owner":[`+hiddenFromOwner+`]}}}`),
		schemaOf("Mail", `{"fields":{"text":{"type":"String"},"n":{"type":"Number"},"to":{"type":"Pointer","targetClass":"_User"},"cc":{"type":"Array"}},"indexes":{"byText":{"text":1},"byTo":{"_p_to":1,"n":-1}},
			"classLevelPermissions":{"find":{"pointerFields":["to"]},"get":{"pointerFields":["to"]},"count":{"pointerFields":["to"]},"aggregate":{"pointerFields":["to"]},"update":{"pointerFields":["to"]},"readUserFields":["cc"]}}`),
		row("Vault", "v0", `,"code":"base-0","n":1`),
		row("Vault", "v1", `,"code":"base-1","n":2`),
		row("Doc", "beacon", `,"beat":0`),
		row("Doc", "d7", `,"n":3,"title":"base-1","ACL":{"`+userID("bob")+`":{"read":true,"write":true}}`),
		row("Doc", "d8", `,"n":2,"title":"base-2","ACL":{"role:hr":{"read":true,"write":true}}`),
		row("Doc", "d9", `,"n":2,"title":"base-3","ACL":{}`),
		row("Mail", "m1", `,"text":"base-1","n":1,"to":`+jsonText(ref("_User", userID("bob")))),
		row("Mail", "m2", `,"text":"base-2","n":2,"to":`+jsonText(ref("_User", userID("ada")))),
		row("Mail", "m3", `,"text":"base-0","n":3,"cc":[`+jsonText(ref("_User", userID("cyd")))+`]`),
	}
	parents := []string{"d7", "d8", "d9", "d1", "d2", "d7"}
	for i, id := range []string{"d1", "d2", "d3", "d4", "d5", "d6"} {
		by := []string{"ada", "bob", "cyd"}[i%3]
		steps = append(steps, row("Doc", id, owned(by)+fmt.Sprintf(`,"title":"base-%d","n":%d,"tags":["base-%d",%d],"body":{"a":%d},"parent":%s,"vault":%s,
			"secret":"base-%d","pay":%d,"note":"base-%d","place":{"__type":"GeoPoint","latitude":%d,"longitude":1},"grades":[%d],"inner":{"a":%d},
			"links":{"__op":"AddRelation","objects":[%s,%s]},"hidden":{"__op":"AddRelation","objects":[%s]}`,
			i%4, i%3, i%2, i, i%3, jsonText(ref("Doc", parents[i])), jsonText(ref("Vault", "v"+string(rune('0'+i%2)))),
			i%4, i%3, i%4, i, i%3, i%3,
			jsonText(ref("Doc", "d7")), jsonText(ref("Doc", "d8")), jsonText(ref("Doc", "d9")))))
	}
	return steps
}()

func userID(name string) string { return name + "0000000" }

func ref(class, id string) map[string]any {
	return map[string]any{"__type": "Pointer", "className": class, "objectId": id}
}

// secret is something that few may see.
type secret struct {
	name string
	// path is where the master key sees it; relation, the where that it takes.
	path     string
	relation map[string]any
	// seers are the callers who may see it.
	seers []string
	// set are requests that give it its n-th value, or another than that.
	set func(n int, other bool) []request
}

func (s *secret) seenBy(who string) bool { return slices.Contains(s.seers, who) }

// setField returns a setter of one field.
func setField(path, field string, value func(n int) any) func(int, bool) []request {
	return func(n int, other bool) []request {
		if other {
			n += 4
		}
		return []request{{Method: http.MethodPut, Path: path, Body: map[string]any{field: value(n)}}}
	}
}

func label(n int) any  { return fmt.Sprintf("base-%d", n) }
func number(n int) any { return n }

func secrets() []secret {
	const docs = "/classes/Doc"
	doc := func(id, field string, seers []string, value func(int) any) secret {
		return secret{name: id + "." + field, path: docs, seers: seers, set: setField(docs+"/"+id, field, value)}
	}
	inner := func(n int) any { return map[string]any{"a": n} }
	place := func(n int) any { return map[string]any{"__type": "GeoPoint", "latitude": n, "longitude": 2} }
	hidden := map[string]any{"$relatedTo": map[string]any{"object": ref("Doc", "d4"), "key": "hidden"}}
	return []secret{
		doc("d1", "secret", nil, label),
		doc("d2", "pay", []string{"bob"}, number),
		doc("d3", "note", []string{"cyd"}, label),
		doc("d5", "place", nil, place),
		doc("d5", "grades", nil, func(n int) any { return []any{n} }),
		doc("d6", "inner", nil, inner),
		doc("d7", "title", []string{"bob"}, label),
		doc("d7", "parent", []string{"bob"}, func(n int) any { return ref("Doc", fmt.Sprintf("d%d", n)) }),
		doc("d8", "n", []string{"bob"}, number),
		{name: "existence of d9", path: docs, set: func(n int, other bool) []request {
			if other {
				return []request{{Method: http.MethodDelete, Path: docs + "/d9"}}
			}
			return []request{
				{Method: http.MethodPost, Path: docs, Body: map[string]any{"objectId": "d9", "ACL": map[string]any{}, "n": n}},
				{Method: http.MethodPut, Path: docs + "/d9", Body: map[string]any{"title": label(n)}},
			}
		}},
		{name: "members of d4.hidden", path: docs, relation: hidden, set: func(_ int, other bool) []request {
			op := "RemoveRelation"
			if other {
				op = "AddRelation"
			}
			return []request{{Method: http.MethodPut, Path: docs + "/d4", Body: map[string]any{"hidden": map[string]any{"__op": op, "objects": []any{ref("Doc", "d2")}}}}}
		}},
		{name: "rhr.note", path: "/classes/_Role", set: setField("/roles/rhr", "note", label)},
		{name: "note of bob's session", path: "/classes/_Session", seers: []string{"bob"}, set: setField("/sessions/sbob", "note", label)},
		{name: "v0.code", path: "/classes/Vault", set: setField("/classes/Vault/v0", "code", label)},
		{name: "m1.text", path: "/classes/Mail", seers: []string{"bob"}, set: setField("/classes/Mail/m1", "text", label)},
		{name: "m3.n", path: "/classes/Mail", seers: []string{"cyd"}, set: setField("/classes/Mail/m3", "n", number)},
		{name: "bob's phone", path: "/classes/_User", seers: []string{"bob"}, set: setField("/users/"+userID("bob"), "phone", label)},
		{name: "bob's email", path: "/classes/_User", seers: []string{"bob"}, set: setField("/users/"+userID("bob"), "email", func(n int) any { return fmt.Sprintf("base-%d@example.com", n) })},
	}
}

// differenceCloud registers a function that finds as its caller.
func differenceCloud(app *cloudcode.App) {
	app.Function("find", func(ctx context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
		v, err := parse.Decode([]byte(r.Params.String("where")), parse.DefaultLimits)
		if err != nil {
			return nil, err
		}
		where, err := query.ParseWhere(v, query.Limits{}, query.Scope{})
		if err != nil {
			return nil, err
		}
		found, err := r.Client.Find(ctx, r.Params.String("class"), query.Query{Where: where, Limit: query.NoLimit})
		if err != nil {
			return nil, err
		}
		list := make(parse.Array, len(found))
		for i, o := range found {
			list[i] = o
		}
		return list, nil
	})
}
