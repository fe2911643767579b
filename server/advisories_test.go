package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// The published advisories of Parse Server, carried out against pargo.
// docs/security.md lists all of them; scenarios bear the ids that it names.

// attack is one request that must be refused, or must not tell anything. It is
// made three times: by itself, as a POST with _method, and in a batch.
type attack struct {
	method, path, as string
	body             string // of a GET: its parameters
	code             parse.Code
	text             string
	json             string // the answer, unless there is a code
}

// steps are the three ways to make the request.
func (a attack) steps() []scenario.Step {
	method, body := a.method, a.body
	if method == "" {
		method = "GET"
	}
	if body == "" {
		body = "{}"
	}
	name := strings.TrimSpace(method + " " + a.path + " " + body)
	direct := scenario.Step{Name: name, Method: method, Path: a.path, As: a.as, Code: a.code, Error: a.text, JSON: a.json}
	if method == "GET" {
		direct.Query = parameters(body)
	} else {
		direct.Body = body
	}
	override := direct
	override.Name, override.Method, override.Query = "_method "+name, "POST", nil
	override.Body = `{"_method":"` + method + `"` + strings.TrimSuffix(","+body[1:], ",}")
	if !strings.HasSuffix(override.Body, "}") {
		override.Body += "}"
	}
	item := scenario.Step{
		Name: "batch " + name, Method: "POST", Path: "/batch", As: a.as,
		Body: `{"requests":[{"method":"` + method + `","path":"/parse` + a.path + `","body":` + body + `}]}`,
		JSON: `[{"success":` + a.json + `}]`,
	}
	if a.code != 0 {
		item.JSON = fmt.Sprintf(`[{"error":{"code":%d,"error":"*"}}]`, a.code)
	}
	return []scenario.Step{direct, override, item}
}

// parameters are the members of a body as they stand in a URL.
func parameters(body string) map[string]string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		panic(err)
	}
	q := map[string]string{}
	for k, v := range members {
		var s string
		if json.Unmarshal(v, &s) != nil {
			s = string(v)
		}
		q[k] = s
	}
	return q
}

func attacks(list ...attack) []scenario.Step {
	var out []scenario.Step
	for _, a := range list {
		out = append(out, a.steps()...)
	}
	return out
}

// Permissions of the classes that are attacked.
const (
	everybody = `"find":{"*":true},"count":{"*":true},"get":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{"*":true}`
	hidden    = `"protectedFields":{"*":["secret","secretObj","hiddenRel"]}`
)

// guarded makes the classes that are attacked: Secret is closed, Doc hides
// fields, Pub is open, Ptr points at all of them.
var guarded = []scenario.Step{
	signUp("victim"), signUp("attacker"),
	guardedClass("Secret", `{"secret":{"type":"String"}}`, `{}`),
	guardedClass("Doc", `{"secret":{"type":"String"},"secretObj":{"type":"Object"},"open":{"type":"String"},"hiddenRel":{"type":"Relation","targetClass":"Pub"},"rel":{"type":"Relation","targetClass":"Pub"}}`, `{`+everybody+`,"addField":{},`+hidden+`}`),
	guardedClass("Pub", `{"a":{"type":"String"},"data":{"type":"Object"},"n":{"type":"Number"},"list":{"type":"Array"}}`, `{`+everybody+`,"addField":{"*":true}}`),
	guardedClass("Ptr", `{"secret":{"type":"Pointer","targetClass":"Secret"},"doc":{"type":"Pointer","targetClass":"Doc"},"rel":{"type":"Relation","targetClass":"Secret"},"jobs":{"type":"Relation","targetClass":"_JobStatus"}}`, `{`+everybody+`,"addField":{}}`),
	{Name: "secret", Method: "POST", Path: "/classes/Secret", As: "master", Body: `{"secret":"x"}`, Status: 201, Save: map[string]string{"objectId": "secret"}},
	{Name: "pub", Method: "POST", Path: "/classes/Pub", Body: `{"a":"x","n":1,"data":{"n":1,"x":"y"}}`, Status: 201, Save: map[string]string{"objectId": "pub"}},
	{
		Name: "doc", Method: "POST", Path: "/classes/Doc", As: "master", Status: 201, Save: map[string]string{"objectId": "doc"},
		Body: `{"secret":"abc","secretObj":{"k":1},"open":"x","hiddenRel":` + addPub + `,"rel":` + addPub + `}`,
	},
	{
		Name: "hidden doc", Method: "POST", Path: "/classes/Doc", As: "master", Status: 201, Save: map[string]string{"objectId": "private"},
		Body: `{"ACL":{"{{victim.id}}":{"read":true}},"rel":` + addPub + `}`,
	},
	{
		Name: "ptr", Method: "POST", Path: "/classes/Ptr", As: "master", Status: 201, Save: map[string]string{"objectId": "ptr"},
		Body: `{"secret":{"__type":"Pointer","className":"Secret","objectId":"{{secret}}"},"doc":{"__type":"Pointer","className":"Doc","objectId":"{{doc}}"},` +
			`"rel":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"Secret","objectId":"{{secret}}"}]}}`,
	},
}

const addPub = `{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"Pub","objectId":"{{pub}}"}]}`

func guardedClass(name, fields, clp string) scenario.Step {
	return scenario.Step{Name: "class " + name, Method: "POST", Path: "/schemas/" + name, As: "master", Body: `{"className":"` + name + `","fields":` + fields + `,"classLevelPermissions":` + clp + `}`}
}

// against is a scenario on the guarded classes.
func against(id string, steps ...scenario.Step) scenario.Scenario {
	return scenario.Scenario{Name: id, Steps: after(guarded, steps...)}
}

func TestAdvisory_Queries(t *testing.T) {
	where := func(path, w string, code parse.Code) attack {
		return attack{path: path, as: "attacker", body: `{"where":` + w + `}`, code: code}
	}
	var internal, fake []attack
	for _, k := range []string{"_perishable_token", "_email_verify_token", "_hashed_password", "_auth_data_x", "_failed_login_count", "_session_token"} {
		internal = append(internal, where("/classes/_User", `{"`+k+`":{"$regex":"^a"}}`, parse.InvalidKeyName),
			where("/classes/_User", `{"$or":[{"`+k+`":{"$exists":true}}]}`, parse.InvalidKeyName))
	}
	for _, op := range []string{"$or", "$and", "$nor"} {
		fake = append(fake, where("/classes/Doc", `{"`+op+`":{"0":{"secret":"abc"},"length":1}}`, parse.InvalidQuery),
			where("/classes/Pub", `{"`+op+`":{"0":{"a":1},"length":1}}`, parse.InvalidQuery),
			where("/classes/Doc", `{"$or":[{"`+op+`":{"0":{"secret":"abc"},"length":1}}]}`, parse.InvalidQuery))
	}
	scenario.Run(t, []scenario.Scenario{
		against("GHSA-2m6g-crv8-p3c6", attacks(internal...)...),
		against("GHSA-mmg8-87c5-jrc2", attacks(fake...)...),
		against("GHSA-9cp7-3q5w-j92g", attacks(where("/classes/Pub", `{"a":{"$regex":"["}}`, parse.InvalidQuery), where("/classes/Pub", `{"a":{"$regex":"(?<"}}`, parse.InvalidQuery))...),
		against("GHSA-xqp8-w826-hh6x", attacks(
			attack{path: "/classes/Pub", body: `{"explain":true}`, code: parse.InvalidQuery, text: "Using the explain query parameter requires the master key"},
			attack{path: "/classes/Pub", body: `{"explain":"x"}`, code: parse.InvalidQuery, text: "Using the explain query parameter requires the master key"},
		)...),
		{Name: "PR-10290", Config: func(c *config.Config) { c.MaintenanceKey = "upkeep" }, Steps: after(guarded,
			scenario.Step{Name: "maintenance", Path: "/classes/Doc", Header: map[string]string{"X-Parse-Maintenance-Key": "upkeep"}, Query: map[string]string{"where": `{"secret":"abc"}`}, JSON: `{"results":["*"]}`},
		)},
		against("GHSA-72hp-qff8-4pvv", attacks(
			where("/classes/Doc", `{"$or":[{"open":"x"},{"secret":"abc"}]}`, parse.OperationForbidden),
			where("/classes/Doc", `{"$and":[{"$nor":[{"$or":[{"secret":{"$gt":"a"}}]}]}]}`, parse.OperationForbidden),
		)...),
		against("GHSA-r2m8-pxm9-9c4g", attacks(
			where("/classes/Doc", `{"secretObj.k":1}`, parse.OperationForbidden),
			attack{path: "/classes/Doc", body: `{"order":"secretObj.k"}`, code: parse.OperationForbidden},
			attack{path: "/classes/Doc", body: `{"order":"-secret"}`, code: parse.OperationForbidden},
			attack{path: "/classes/Doc", body: `{"keys":"secret,secretObj.k","where":{"open":"x"}}`, json: `{"results":[{"objectId":"*","rel":"*","createdAt":"*","updatedAt":"*"}]}`},
		)...),
		against("A-70", attacks(
			attack{path: "/classes/Doc", body: `{"count":1,"limit":0,"where":{"secret":"abc"}}`, code: parse.OperationForbidden},
			where("/classes/Ptr", `{"doc":{"$inQuery":{"className":"Doc","where":{"secret":"abc"}}}}`, parse.OperationForbidden),
			where("/classes/Ptr", `{"doc":{"$notInQuery":{"className":"Doc","where":{"secret":"abc"}}}}`, parse.OperationForbidden),
			where("/classes/Pub", `{"a":{"$select":{"key":"open","query":{"className":"Doc","where":{"secret":"abc"}}}}}`, parse.OperationForbidden),
			where("/classes/Pub", `{"a":{"$select":{"key":"secret","query":{"className":"Doc","where":{}}}}}`, parse.OperationForbidden),
		)...),
		against("GHSA-wmwx-jr2p-4j4r", attacks(
			where("/classes/Pub", `{"$relatedTo":{"key":"hiddenRel","object":{"__type":"Pointer","className":"Doc","objectId":"{{doc}}"}}}`, parse.OperationForbidden),
			attack{path: "/classes/Pub", as: "attacker", body: `{"count":1,"limit":0,"where":{"$relatedTo":{"key":"hiddenRel","object":{"__type":"Pointer","className":"Doc","objectId":"{{doc}}"}}}}`, code: parse.OperationForbidden},
			attack{path: "/classes/Pub", as: "attacker", body: `{"where":{"$relatedTo":{"key":"rel","object":{"__type":"Pointer","className":"Doc","objectId":"{{private}}"}}}}`, json: `{"results":[]}`},
			attack{path: "/classes/Pub", as: "attacker", body: `{"where":{"$or":[{"$relatedTo":{"key":"rel","object":{"__type":"Pointer","className":"Doc","objectId":"{{private}}"}}}]}}`, json: `{"results":[]}`},
			attack{path: "/classes/Pub", as: "victim", body: `{"where":{"$relatedTo":{"key":"rel","object":{"__type":"Pointer","className":"Doc","objectId":"{{private}}"}}}}`, json: `{"results":["*"]}`},
		)...),
		against("GHSA-rmhf-xv62-rm99", attacks(
			attack{path: "/classes/Pub", as: "attacker", body: `{"count":1,"limit":0,"where":{"$relatedTo":{"key":"rel","object":{"__type":"Pointer","className":"Doc","objectId":"{{private}}"}}}}`, json: `{"results":[],"count":0}`},
			attack{path: "/classes/Pub", as: "victim", body: `{"count":1,"limit":0,"where":{"$relatedTo":{"key":"rel","object":{"__type":"Pointer","className":"Doc","objectId":"{{private}}"}}}}`, json: `{"results":[],"count":1}`},
		)...),
		against("A-67", attacks(
			where("/classes/Ptr", `{"secret":{"$inQuery":{"className":"Secret","where":{}}}}`, parse.OperationForbidden),
			where("/classes/Pub", `{"a":{"$select":{"key":"secret","query":{"className":"Secret","where":{}}}}}`, parse.OperationForbidden),
			where("/classes/Pub", `{"a":{"$select":{"key":"message","query":{"className":"_JobStatus","where":{}}}}}`, parse.OperationForbidden),
		)...),
		against("GHSA-fcv6-fg5r-jm9q", attacks(
			attack{path: "/classes/Ptr", as: "attacker", body: `{"include":"secret"}`, code: parse.OperationForbidden},
			attack{path: "/classes/Ptr/{{ptr}}", as: "attacker", body: `{"include":"secret"}`, code: parse.OperationForbidden},
		)...),
		against("GHSA-6r2j-cxgf-495f", attacks(
			attack{path: "/classes/Ptr", as: "attacker", body: `{"redirectClassNameForKey":"rel"}`, code: parse.OperationForbidden},
			attack{path: "/classes/Ptr", as: "attacker", body: `{"redirectClassNameForKey":"jobs"}`, code: parse.OperationForbidden},
		)...),
	})
}

// TestAdvisory_Injection: names with quotes are refused or mean themselves,
// and never are part of a statement. The canary is unchanged in the end.
func TestAdvisory_Injection(t *testing.T) {
	quoted := func(s string) string { return string(parse.AppendJSON(nil, s)) }
	evil := []string{`x' ASC; UPDATE Pub SET n=2--`, `x"; DROP TABLE Pub; --`, `x'||pg_sleep(3)||'`, `x$$;--`, "x`y", `x\`}
	canary := scenario.Step{Name: "canary", Path: "/classes/Pub/{{pub}}", JSON: `{"a":"x","n":1,"data":{"n":1,"x":"y"},"...":0}`}
	var regex, order, keys, ops, names []attack
	for _, e := range append(evil, `A'B'; SELECT PG_SLEEP(3); --`, `\QA'B\E; SELECT 1; --`, `^\Q'; DROP TABLE x; \E`) {
		if !strings.HasSuffix(e, `\`) && !strings.Contains(e, "||") { // those are a bad pattern, and one that matches all
			regex = append(regex, attack{path: "/classes/Pub", body: `{"where":{"a":{"$regex":` + quoted(e) + `}}}`, json: `{"results":[]}`})
		}
	}
	for _, e := range evil {
		order = append(order, attack{path: "/classes/Pub", body: `{"order":` + quoted(e) + `}`, code: parse.InvalidKeyName},
			attack{path: "/classes/Pub", as: "master", body: `{"order":` + quoted("-"+e) + `}`, code: parse.InvalidKeyName})
		keys = append(keys, attack{path: "/classes/Pub", body: `{"where":{` + quoted(e) + `:1}}`, code: parse.InvalidKeyName},
			attack{path: "/classes/Pub", as: "master", body: `{"where":{` + quoted("data."+e) + `:1}}`, code: parse.InvalidKeyName})
		names = append(names, attack{method: "POST", path: "/classes/Pub", as: "master", body: `{` + quoted(e) + `:1}`, code: parse.InvalidKeyName})
	}
	for _, v := range []string{`"1"`, `"1); DROP TABLE Pub; --"`, `null`, `{"n":1}`, `[1]`, `true`} {
		for _, f := range []string{"n", "data.n"} {
			ops = append(ops, attack{method: "PUT", path: "/classes/Pub/{{pub}}", body: `{"` + f + `":{"__op":"Increment","amount":` + v + `}}`, code: parse.InvalidJSON})
		}
	}
	scenario.Run(t, []scenario.Scenario{
		against("GHSA-6927-3vr9-fxf2", append(attacks(regex...), canary)...),
		against("GHSA-qpr4-jrj4-6f27", append(attacks(order...), canary)...),
		against("GHSA-c442-97qw-j6c6", append(attacks(keys...), canary)...),
		against("GHSA-q3vj-96h2-gwvg", append(attacks(ops...), canary)...),
		against("GHSA-gqpp-xgvh-9h7h",
			scenario.Step{Name: "increment", Method: "PUT", Path: "/classes/Pub/{{pub}}", Body: `{"data.a'b":{"__op":"Increment","amount":1}}`},
			scenario.Step{Name: "that key alone", Path: "/classes/Pub/{{pub}}", JSON: `{"n":1,"data":{"n":1,"x":"y","a'b":1},"...":0}`},
			scenario.Step{Name: "delete", Method: "PUT", Path: "/classes/Pub/{{pub}}", Body: `{"data.a'b":{"__op":"Delete"}}`}, canary,
		),
		against("PR-10261",
			scenario.Step{Name: "write", Method: "PUT", Path: "/classes/Pub/{{pub}}", Body: `{"data":{"a'b\"c\\":1}}`},
			scenario.Step{Name: "read", Path: "/classes/Pub/{{pub}}", JSON: `{"data":{"a'b\"c\\":1},"...":0}`},
		),
		against("GHSA-p2w6-rmh7-w8q3",
			scenario.Step{Name: "distinct", Path: "/aggregate/Pub", As: "master", Query: map[string]string{"distinct": "a'b"}, Code: parse.InvalidKeyName},
			scenario.Step{Name: "group", Path: "/aggregate/Pub", As: "master", Query: map[string]string{"pipeline": `[{"$group":{"_id":"$a'b"}}]`}, Code: parse.InvalidKeyName, Error: "Invalid field name: a'b"},
			scenario.Step{Name: "project", Path: "/aggregate/Pub", As: "master", Query: map[string]string{"pipeline": `[{"$project":{"a\"; DROP TABLE Pub; --":1}}]`}, Code: parse.InvalidQuery}, canary,
		),
		against("A-21", append(attacks(names...),
			scenario.Step{Name: "class", Method: "POST", Path: "/schemas", As: "master", Body: `{"className":"a'b","fields":{}}`, Code: parse.InvalidClassName},
			scenario.Step{Name: "field", Method: "PUT", Path: "/schemas/Pub", As: "master", Body: `{"fields":{"q\"z":{"type":"String"}}}`, Code: parse.InvalidKeyName},
			scenario.Step{Name: "index", Method: "PUT", Path: "/schemas/Pub", As: "master", Body: `{"indexes":{"i'\"; DROP TABLE Pub; --":{"n":1}}}`}, canary)...),
		against("A-22", append(attacks(
			attack{path: "/classes/Pub", body: `{"where":{"list":{"$containedBy":"x' OR 1=1"}}}`, code: parse.InvalidJSON, text: "bad $containedBy: should be an array"},
			attack{path: "/classes/Pub", body: `{"where":{"list":{"$containedBy":["x' OR 1=1 --"]}}}`, json: `{"results":[]}`},
		), canary)...),
	})
}
