package server_test

import (
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

// TestValues writes each kind of value (reference 01 §5.1, §5.7 to §5.9) and
// reads it back; "" as stored means that it comes back as it was sent.
func TestValues(t *testing.T) {
	const ptr = `{"__type":"Pointer","className":"B","objectId":"1"}`
	const point = `{"__type":"GeoPoint","latitude":1,"longitude":2}`
	const nested = "Nested keys should not contain the '$' or '.' characters"
	rows := []struct {
		name, body string
		code       parse.Code
		text       string // of the error, or what is stored
	}{
		{"string", `{"v":"\u0000x😀\ud83d\ude00"}`, 0, `{"v":"\u0000x😀😀"}`},
		{"empty string", `{"v":""}`, 0, ""},
		{"number", `{"v":-1.5e-7}`, 0, ""},
		{"large number", `{"v":1e308}`, 0, ""},
		{"null", `{"v":null}`, 0, ""},
		{"object", `{"v":{"z":1,"a":{"y":null,"b":[]},"e":{}}}`, 0, ""},
		{"array", `{"v":[[1,[2]],null,{"a":null},"x",` + ptr + `,` + point + `,{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}]}`, 0, ""},
		{"unknown types inside", `{"v":[{"__type":"Nope"},{"__op":"x"}],"w":{"in":{"__op":"Delete"}}}`, 0, ""},
		{"embedded object inside", `{"v":[{"__type":"Object","className":"B","objectId":"1","x":1}]}`, 0, ""},
		{"date without milliseconds", `{"v":{"__type":"Date","iso":"2020-01-01T00:00:00Z"}}`, 0, `{"v":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}}`},
		{"date", `{"v":{"__type":"Date","iso":"x"}}`, 111, "This is not a valid Date"},
		{"date without iso", `{"v":{"__type":"Date"}}`, 111, "This is not a valid Date"},
		{"pointer", `{"v":` + ptr + `}`, 0, ""},
		{"pointer without class", `{"v":{"__type":"Pointer","objectId":"1"}}`, 111, "This is not a valid Pointer"},
		{"pointer without id", `{"v":{"__type":"Pointer","className":"B"}}`, 111, "This is not a valid Pointer"},
		{"relation", `{"v":{"__type":"Relation","className":"B"}}`, 0, ""},
		{"relation without class", `{"v":{"__type":"Relation"}}`, 111, "This is not a valid Relation"},
		{"point", `{"v":` + point + `}`, 0, ""},
		{"half a point", `{"v":{"__type":"GeoPoint","latitude":1}}`, 111, "This is not a valid GeoPoint"},
		{"point on the moon", `{"v":{"__type":"GeoPoint","latitude":100,"longitude":2}}`, 111, "This is not a valid GeoPoint"},
		{"two points", `{"v":` + point + `,"w":` + point + `}`, 111, "there can only be one geopoint field in a class"},
		{"polygon", `{"v":{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1]]}}`, 0, `{"v":{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1],[0,0]]}}`},
		{"flat polygon", `{"v":{"__type":"Polygon","coordinates":[[0,0],[0,1]]}}`, 111, "This is not a valid Polygon"},
		{"polygon without points", `{"v":{"__type":"Polygon"}}`, 111, "This is not a valid Polygon"},
		{"file", `{"v":{"__type":"File","name":"n.txt"}}`, 0, ""},
		{"file without name", `{"v":{"__type":"File","url":"http://h/x"}}`, 111, "This is not a valid File"},
		{"bytes", `{"v":{"__type":"Bytes","base64":"aGVsbG8="}}`, 0, ""},
		{"no bytes", `{"v":{"__type":"Bytes","base64":""}}`, 111, "This is not a valid Bytes"},
		{"embedded object", `{"v":{"__type":"Object","className":"B","objectId":"1"}}`, 111, "This is not a valid Object"},
		{"unknown type", `{"v":{"__type":"Nope"}}`, 111, "This is not a valid Nope"},
		{"dollar in a key", `{"v":{"$b":1}}`, 121, nested},
		{"dot in a key", `{"v":{"a":{"x.y":1}}}`, 121, nested},
		{"dollar in an array", `{"v":[{"$b":1}]}`, 121, nested},
		{"denied key", `{"v":{"constructor":1}}`, 105, `Prohibited keyword in request data: {"key":"constructor"}.`},
		{"denied pair", `{"v":{"_bsontype":"Code"}}`, 105, `Prohibited keyword in request data: {"key":"_bsontype","value":"Code"}.`},
		{"half of a denied pair", `{"v":{"_bsontype":"Other"}}`, 0, ""},
		{"id", `{"objectId":"x"}`, 105, "objectId is an invalid field name."},
		{"id of old clients", `{"id":"x"}`, 105, "id is an invalid field name."},
		{"empty id", `{"objectId":"","v":1}`, 0, `{"v":1}`},
		{"createdAt", `{"createdAt":"x"}`, 111, "schema mismatch for {{class}}.createdAt; expected Date but got String"},
		{"createdAt of its type is passed over", `{"createdAt":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"},"v":1}`, 0, `{"v":1}`},
		{"internal field", `{"_foo":1}`, 105, "Invalid field name: _foo."},
		{"field with a dash", `{"a-b":1}`, 105, "Invalid field name: a-b."},
		{"length", `{"length":1}`, 105, "Invalid field name: length."},
		{"className", `{"className":"x"}`, 105, "Invalid field name: className."},
		{"name of Object's prototype", `{"toString":1}`, 105, "Invalid field name: toString."},
		{"path that ends in a dot", `{"v.":1}`, 105, "Invalid field name: v.."},
		{"path with an empty part", `{"v..w":1}`, 105, "Invalid field name: v..w."},
		{"path", `{"v.w.x":1}`, 0, `{"v":{"w":{"x":1}}}`},
		{"ACL", `{"ACL":{"*":{"read":1,"write":0},"role:a":{"write":true}}}`, 0, `{"ACL":{"*":{"read":true},"role:a":{"write":true}}}`},
		{"ACL of nobody", `{"ACL":{}}`, 0, ""},
		{"ACL that is none", `{"ACL":"x"}`, 123, "Invalid ACL."},
		{"ACL that is a list", `{"ACL":[]}`, 123, "Invalid ACL."},
		{"no ACL", `{"ACL":null}`, 0, `{}`},
		{"ACL of an unsaved user", `{"ACL":{"*unresolved":{"read":true}}}`, 123, "Invalid ACL."},
		{"array as body", `[1]`, 105, "Invalid field name: 0."},
		{"increment", `{"v":{"__op":"Increment","amount":2}}`, 0, `{"v":2}`},
		{"increment by nothing", `{"v":{"__op":"Increment"}}`, 107, "incrementing must provide a number"},
		{"increment by text", `{"v":{"__op":"Increment","amount":"1"}}`, 107, "incrementing must provide a number"},
		{"add", `{"v":{"__op":"Add","objects":[1,1]}}`, 0, `{"v":[1,1]}`},
		{"add no list", `{"v":{"__op":"Add","objects":1}}`, 107, "objects to add must be an array"},
		{"add unique", `{"v":{"__op":"AddUnique","objects":[1,1]}}`, 0, `{"v":[1]}`},
		{"remove", `{"v":{"__op":"Remove","objects":[1]}}`, 0, `{"v":[]}`},
		{"remove no list", `{"v":{"__op":"Remove","objects":"x"}}`, 107, "objects to remove must be an array"},
		{"unset", `{"v":{"__op":"Delete"}}`, 0, `{}`},
		{"set on insert", `{"v":{"__op":"SetOnInsert","amount":1}}`, 108, "The SetOnInsert operator is not supported yet."},
		{"unknown operator", `{"v":{"__op":"Pow"}}`, 108, "The Pow operator is not supported yet."},
		{"relate nothing", `{"v":{"__op":"AddRelation","objects":[]}}`, 107, "objects of a relation must be an array of pointers"},
		{"relate text", `{"v":{"__op":"AddRelation","objects":["x"]}}`, 107, "objects of a relation must be an array of pointers"},
		{"relate", `{"v":{"__op":"AddRelation","objects":[` + ptr + `]}}`, 0, `{"v":{"__type":"Relation","className":"B"}}`},
		{"other operators in a batch", `{"v":{"__op":"Batch","ops":[{"__op":"Increment","amount":1}]}}`, 107, "a Batch may hold AddRelation and RemoveRelation only"},
	}
	var steps []scenario.Step
	for i, r := range rows {
		class := "V" + string(rune('A'+i/26)) + string(rune('A'+i%26)) // each its own, for types stay
		create := scenario.Step{Name: r.name, Method: "POST", Path: "/classes/" + class, Body: r.body, Untyped: strings.Contains(r.body, `\u0000`)}
		if r.code != 0 {
			create.Code, create.Error = r.code, strings.ReplaceAll(r.text, "{{class}}", class)
			steps = append(steps, create)
			continue
		}
		create.Status, create.Save = 201, map[string]string{"objectId": class}
		want := r.text
		if want == "" {
			want = r.body
		}
		want = strings.Replace(want, "{", `{"objectId":"{{`+class+`}}","createdAt":"*","updatedAt":"*",`, 1)
		steps = append(steps, create, scenario.Step{
			Name: r.name + ", read", Path: "/classes/" + class + "/{{" + class + "}}", As: "master",
			JSON: strings.Replace(want, ",}", "}", 1), Untyped: create.Untyped || r.body == `{"v":null}`,
		})
	}
	scenario.Run(t, []scenario.Scenario{{Name: "values", Config: open, Steps: steps}})
}

// TestUpdates changes one object step by step (reference 01 §5.4, §6).
func TestUpdates(t *testing.T) {
	const p1, p2 = `{"__type":"Pointer","className":"X","objectId":"1"}`, `{"__type":"Pointer","className":"X","objectId":"2"}`
	const day = `{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}`
	rows := []struct {
		body, answer string // answer: besides updatedAt
		code         parse.Code
		text         string
		field, after string // one field as it is then
	}{
		{`{"n":{"__op":"Increment","amount":2}}`, `"n":3`, 0, "", "n", `3`},
		{`{"n":{"__op":"Increment","amount":"x"}}`, "", 107, "incrementing must provide a number", "n", `3`},
		{`{"s":{"__op":"Increment","amount":1}}`, "", 111, "schema mismatch for U.s; expected String but got Number", "s", `"a"`},
		{`{"s":{"__op":"Add","objects":[1]}}`, "", 111, "schema mismatch for U.s; expected String but got Array", "s", `"a"`},
		{`{"l":{"__op":"Add","objects":[1,2]}}`, `"l":[1,{"k":1},"x",1,2]`, 0, "", "l", `[1,{"k":1},"x",1,2]`},
		{`{"l":{"__op":"AddUnique","objects":[{"k":1},3]}}`, `"l":[1,{"k":1},"x",1,2,3]`, 0, "", "l", `[1,{"k":1},"x",1,2,3]`},
		{`{"l":{"__op":"Remove","objects":[1,{"k":1}]}}`, `"l":["x",2,3]`, 0, "", "l", `["x",2,3]`},
		{`{"l":{"__op":"Add","objects":"x"}}`, "", 107, "objects to add must be an array", "l", `["x",2,3]`},
		{`{"l":{"__op":"Remove","objects":"x"}}`, "", 107, "objects to remove must be an array", "l", `["x",2,3]`},
		{`{"l.0":"first"}`, "", 0, "", "l", `["first",2,3]`},
		{`{"l.9":1}`, "", 111, "*", "l", `["first",2,3]`},
		{`{"l.0.k":1}`, "", 111, "*", "l", `["first",2,3]`},
		{`{"ps":{"__op":"AddUnique","objects":[{"objectId":"1","className":"X","__type":"Pointer"},` + p2 + `]}}`, `"ps":[` + p1 + `,` + p2 + `]`, 0, "", "ps", `[` + p1 + `,` + p2 + `]`},
		{`{"ps":{"__op":"Remove","objects":[{"className":"X","objectId":"1","__type":"Pointer"}]}}`, `"ps":[` + p2 + `]`, 0, "", "ps", `[` + p2 + `]`},
		{`{"ds":{"__op":"AddUnique","objects":[` + day + `]}}`, `"ds":[` + day + `]`, 0, "", "ds", `[` + day + `]`},
		{`{"ds":{"__op":"Remove","objects":[` + day + `]}}`, `"ds":[]`, 0, "", "ds", `[]`},
		{`{"o.x":5}`, "", 0, "", "o", `{"x":5,"y":{"z":2}}`},
		{`{"o.y.z":{"__op":"Increment","amount":0.5}}`, `"o":{"y":{"z":2.5}}`, 0, "", "o", `{"x":5,"y":{"z":2.5}}`},
		{`{"o.y.w":9}`, "", 0, "", "o", `{"x":5,"y":{"z":2.5,"w":9}}`},
		{`{"o.q":{"__op":"Delete"}}`, "", 0, "", "o", `{"x":5,"y":{"z":2.5,"w":9}}`},
		{`{"o.y":{"__op":"Delete"}}`, "", 0, "", "o", `{"x":5}`},
		{`{"o.x":{"__op":"Add","objects":[1]}}`, "", 111, "*", "o", `{"x":5}`},
		{`{"n.x":1}`, "", 111, "schema mismatch for U.n; expected Number but got Object", "n", `3`},
		{`{"p.x":1}`, "", 111, "schema mismatch for U.p; expected Pointer<X> but got Object", "p", p1},
		{`{"p":{"__type":"Pointer","className":"Y","objectId":"1"}}`, "", 111, "schema mismatch for U.p; expected Pointer<X> but got Pointer<Y>", "p", p1},
		{`{"d":"2021"}`, "", 111, "schema mismatch for U.d; expected Date but got String", "d", day},
		{`{"fresh.deep":{"__op":"Increment","amount":1}}`, `"fresh":{"deep":1}`, 0, "", "fresh", `{"deep":1}`},
		{`{"gone":{"__op":"Delete"}}`, "", 0, "", "s", `"a"`},
		{`{"n":{"__op":"Delete"}}`, "", 0, "", "s", `"a"`},
		{`{"n":{"__op":"Increment","amount":7}}`, `"n":7`, 0, "", "n", `7`},
		{`{"n":null}`, "", 0, "", "n", `null`},
		{`{"objectId":"other"}`, "", 0, "", "s", `"a"`},
		{`{"createdAt":` + day + `}`, "", 0, "", "s", `"a"`},
		{`{"createdAt":1}`, "", 111, "schema mismatch for U.createdAt; expected Date but got Number", "s", `"a"`},
		{`{"ACL":null}`, "", 0, "", "s", `"a"`},
		{`{"ACL":{"u":{"read":true}}}`, "", 0, "", "ACL", `{"u":{"read":true}}`},
		{`{"ACL":{"__op":"Delete"}}`, "", 0, "", "ACL", `{}`},
		{`{}`, "", 0, "", "s", `"a"`},
	}
	steps := []scenario.Step{{
		Name: "create", Method: "POST", Path: "/classes/U", Save: map[string]string{"objectId": "id"},
		Body: `{"n":1,"s":"a","l":[1,{"k":1},"x"],"o":{"x":1,"y":{"z":2}},"p":` + p1 + `,"ps":[` + p1 + `],"d":` + day + `,"ds":[` + day + `]}`,
	}}
	for _, r := range rows {
		st := scenario.Step{Name: r.body, Method: "PUT", Path: "/classes/U/{{id}}", As: "master", Body: r.body, Code: r.code}
		null := r.after == "null"
		if r.text != "*" {
			st.Error = r.text
		}
		if r.code == 0 {
			st.JSON = strings.Replace(`{"updatedAt":"*",`+r.answer+`}`, ",}", "}", 1)
		}
		steps = append(steps, st, scenario.Step{
			Name: r.body + ", read", Path: "/classes/U/{{id}}", As: "master", Query: map[string]string{"keys": r.field},
			JSON: `{"objectId":"{{id}}","` + r.field + `":` + r.after + `,"...":0}`, Untyped: null,
		})
	}
	scenario.Run(t, []scenario.Scenario{{Name: "updates", Config: open, Steps: steps}})
}

// TestBodies sends what is no JSON object (reference 01 §1.3).
func TestBodies(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{Name: "bodies", Config: open, Steps: []scenario.Step{
		{Name: "none", Method: "POST", Path: "/classes/Z", Status: 201},
		{Name: "cut short", Method: "POST", Path: "/classes/Z", Body: `{"a":1`, Status: 400, JSON: `{"error":"*"}`},
		{Name: "no JSON", Method: "POST", Path: "/classes/Z", Body: `nope`, Status: 400, JSON: `{"error":"*"}`},
		{Name: "bare string", Method: "POST", Path: "/classes/Z", Body: `"x"`, Status: 400, JSON: `{"error":"*"}`},
		{Name: "bare number", Method: "POST", Path: "/classes/Z", Body: `5`, Status: 400, JSON: `{"error":"*"}`},
		{Name: "not a number", Method: "POST", Path: "/classes/Z", Body: `{"a":NaN}`, Status: 400, JSON: `{"error":"*"}`},
		{Name: "too deep", Method: "POST", Path: "/classes/Z", Body: `{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, Status: 400, Code: parse.InvalidJSON, Error: "JSON is nested deeper than 128 levels"},
		{Name: "a key twice: the last counts", Method: "POST", Path: "/classes/Z", Body: `{"a":1,"a":2}`, Status: 201, Save: map[string]string{"objectId": "z"}},
		{Name: "read", Path: "/classes/Z/{{z}}", JSON: `{"a":2,"...":0}`},
	}}})
}
