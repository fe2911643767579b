package server_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// TestNames: reference 01 §5.7.
func TestNames(t *testing.T) {
	long := strings.Repeat("n", 121)
	var steps []scenario.Step
	for name, ok := range map[string]bool{
		"A": true, "a1_": true, "constructor": false, "toString": false, "hasOwnProperty": false, "length": false, "className": false,
		"1a": false, "a-b": false, "Ä": false, long: false, long[:120]: true,
	} {
		st := scenario.Step{Name: "class " + name, Method: "POST", Path: "/classes/" + name, Body: `{}`, Status: 201}
		if !ok {
			st.Status, st.Code, st.Error = 0, parse.InvalidJSON, "schema class name does not revalidate"
		}
		steps = append(steps, st, scenario.Step{Name: "find " + name, Path: "/classes/" + name, Query: map[string]string{"limit": "0"}, JSON: `{"results":[]}`})
	}
	for name, ok := range map[string]bool{
		"a": true, "a1_": true, "Z": true, "constructor": false, "toString": false, "valueOf": false, "isPrototypeOf": false, "length": false,
		"className": false, "1a": false, "a-b": false, "_a": false, "__proto__": false, "é": false, "": false, long: false, long[:120]: true,
	} {
		st := scenario.Step{Name: "field " + name, Method: "POST", Path: "/classes/F", As: "master", Body: `{"` + name + `":1}`, Status: 201}
		if !ok {
			st.Status, st.Code = 0, parse.InvalidKeyName
			if name != "constructor" && name != "__proto__" { // those are on the denylist as well
				st.Error = "Invalid field name: " + name + "."
			}
		}
		steps = append(steps, st)
	}
	steps = append(steps,
		scenario.Step{Name: "internal", Method: "POST", Path: "/classes/F", Header: map[string]string{"X-Parse-Maintenance-Key": "upkeep"}, Body: `{"_x":1}`, Status: 201, Untyped: true},
		scenario.Step{Name: "a prototype's name in a path", Method: "POST", Path: "/classes/F", Body: `{"toString.a":1}`, Code: parse.InvalidKeyName},
		scenario.Step{Name: "className of a hook", Method: "POST", Path: "/classes/_Hooks", As: "master", Body: `{"className":"A"}`, Status: 201},
		scenario.Step{Name: "a system name", Method: "POST", Path: "/classes/_Foo", As: "master", Body: `{}`, Code: parse.InvalidClassName, Error: "invalid className: _Foo"},
	)
	scenario.Run(t, []scenario.Scenario{
		{Name: "open", Config: func(c *config.Config) { detailed(c); c.MaintenanceKey = "upkeep" }, Steps: steps},
		{Name: "closed", Config: func(c *config.Config) { c.EnableSanitizedErrorResponse = false }, Steps: []scenario.Step{
			{Name: "find", Path: "/classes/Foo", Code: parse.OperationForbidden, Error: "This user is not allowed to access non-existent class: Foo"},
			{Name: "create", Method: "POST", Path: "/classes/Foo", Body: `{}`, Code: parse.OperationForbidden, Error: "This user is not allowed to access non-existent class: Foo"},
			{Name: "update", Method: "PUT", Path: "/classes/Foo/x", Body: `{}`, Code: parse.OperationForbidden, Error: "This user is not allowed to access non-existent class: Foo"},
			{Name: "master finds nothing", Path: "/classes/Foo", As: "master", JSON: `{"results":[]}`},
			{Name: "master creates", Method: "POST", Path: "/classes/Foo", As: "master", Body: `{}`, Status: 201},
			{Name: "then everybody", Method: "POST", Path: "/classes/Foo", Body: `{}`, Status: 201},
			{Name: "a system class", Path: "/classes/_Product", JSON: `{"results":[]}`},
		}},
	})
}

// TestInference: reference 01 §5.10.
func TestInference(t *testing.T) {
	const (
		pointer  = `{"__type":"Pointer","className":"B","objectId":"x"}`
		geo      = `{"__type":"GeoPoint","latitude":1,"longitude":2}`
		relation = `{"__type":"Relation","className":"B"}`
	)
	values := []struct{ field, value, typ string }{
		{"string", `"x"`, `{"type":"String"}`},
		{"number", `1`, `{"type":"Number"}`},
		{"bool", `true`, `{"type":"Boolean"}`},
		{"array", `[1]`, `{"type":"Array"}`},
		{"object", `{"a":1}`, `{"type":"Object"}`},
		{"date", `{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}`, `{"type":"Date"}`},
		{"pointer", pointer, `{"type":"Pointer","targetClass":"B"}`},
		{"relation", relation, `{"type":"Relation","targetClass":"B"}`},
		{"geo", geo, `{"type":"GeoPoint"}`},
		{"polygon", `{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1]]}`, `{"type":"Polygon"}`},
		{"file", `{"__type":"File","name":"f.txt"}`, `{"type":"File"}`},
		{"bytes", `{"__type":"Bytes","base64":"aGVsbG8="}`, `{"type":"Bytes"}`},
		{"inc", `{"__op":"Increment","amount":1}`, `{"type":"Number"}`},
		{"add", `{"__op":"Add","objects":[1]}`, `{"type":"Array"}`},
		{"addUnique", `{"__op":"AddUnique","objects":[1]}`, `{"type":"Array"}`},
		{"remove", `{"__op":"Remove","objects":[1]}`, `{"type":"Array"}`},
		{"addRelation", `{"__op":"AddRelation","objects":[` + pointer + `]}`, `{"type":"Relation","targetClass":"B"}`},
		{"batch", `{"__op":"Batch","ops":[{"__op":"AddRelation","objects":[` + pointer + `]}]}`, `{"type":"Relation","targetClass":"B"}`},
	}
	var body, types []string
	for _, v := range values {
		body = append(body, `"`+v.field+`":`+v.value)
		types = append(types, `"`+v.field+`":`+v.typ)
	}
	typeText := func(def string) string {
		var f struct{ Type, TargetClass string }
		if err := json.Unmarshal([]byte(def), &f); err != nil {
			t.Fatal(err)
		}
		if f.TargetClass != "" {
			return f.Type + "<" + f.TargetClass + ">"
		}
		return f.Type
	}
	steps := []scenario.Step{
		{Name: "all types", Method: "POST", Path: "/classes/A", Body: `{` + strings.Join(body, ",") + `,"null":null,"gone":{"__op":"Delete"}}`, Status: 201, Save: map[string]string{"objectId": "id"}},
		schemaCall("GET", "/schemas/A", "", `{"fields":{`+baseFields+`,`+strings.Join(types, ",")+`},"...":0}`),
		{Name: "null and Delete say nothing of a type", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"null":null,"gone":{"__op":"Delete"},"string":null,"number":{"__op":"Delete"}}`},
	}
	// Every value in every field of another type.
	for _, f := range values {
		for _, v := range values {
			want, got := typeText(f.typ), typeText(v.typ)
			if want == got {
				continue
			}
			if v.typ == `{"type":"GeoPoint"}` {
				continue // below
			}
			steps = append(steps, scenario.Step{
				Name: v.value + " in " + f.field, Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"` + f.field + `":` + v.value + `}`,
				Code: parse.IncorrectType, Error: "schema mismatch for A." + f.field + "; expected " + want + " but got " + got,
			})
		}
	}
	steps = append(steps,
		scenario.Step{Name: "another class", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"pointer":{"__type":"Pointer","className":"C","objectId":"x"}}`, Code: parse.IncorrectType, Error: "schema mismatch for A.pointer; expected Pointer<B> but got Pointer<C>"},
		scenario.Step{Name: "another relation", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"relation":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"C","objectId":"x"}]}}`, Code: parse.IncorrectType, Error: "schema mismatch for A.relation; expected Relation<B> but got Relation<C>"},
		scenario.Step{Name: "geo in a string", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"string":` + geo + `}`, Code: parse.IncorrectType, Error: "schema mismatch for A.string; expected String but got GeoPoint"},
		scenario.Step{Name: "the same geo again", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"geo":` + geo + `}`},
		scenario.Step{Name: "a second place later", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"geo2":` + geo + `}`, Code: parse.IncorrectType, Error: "MongoDB only supports one GeoPoint field in a class."},
		scenario.Step{Name: "two places at once", Method: "POST", Path: "/classes/G", Body: `{"a":` + geo + `,"b":` + geo + `}`, Code: parse.IncorrectType, Error: "there can only be one geopoint field in a class"},
		scenario.Step{Name: "the refused write left nothing", Path: "/schemas/G", As: "master", Code: parse.InvalidClassName},
		scenario.Step{Name: "dotted keys", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"o.x":1,"l.0":1,"object.deep.er":true}`},
		schemaCall("GET", "/schemas/A", "", `{"fields":{"o":{"type":"Object"},"l":{"type":"Array"},"...":0},"...":0}`),
		scenario.Step{Name: "dotted into a number", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"number.x":1}`, Code: parse.IncorrectType, Error: "schema mismatch for A.number; expected Number but got Object"},
		scenario.Step{Name: "an unknown class on update", Method: "PUT", Path: "/classes/Never/x", Body: `{"a":1}`, Code: parse.ObjectNotFound},
	)
	scenario.Run(t, []scenario.Scenario{{Name: "types", Config: detailed, Steps: steps}})
}

// TestDefaults: reference 01 §5.11.
func TestDefaults(t *testing.T) {
	const defined = `{"definitions":[{"className":"D","fields":{"at":{"type":"Date","defaultValue":"2020-01-02T03:04:05.678Z"},"ms":{"type":"Date","defaultValue":1577934245678},"raw":{"type":"Bytes","defaultValue":"aGVsbG8="}},"classLevelPermissions":{"create":{"*":true},"get":{"*":true}}}]}`
	const date = `{"__type":"Date","iso":"2020-01-02T03:04:05.678Z"}`
	scenario.Run(t, []scenario.Scenario{
		{Name: "options", Config: open, Steps: []scenario.Step{
			schemaCall("POST", "/schemas/A", `{"fields":{"d":{"type":"Number","defaultValue":5},"r":{"type":"String","required":true},"both":{"type":"String","required":true,"defaultValue":"x"},"zero":{"type":"Number","defaultValue":0},"no":{"type":"Boolean","defaultValue":false},"o":{"type":"Object","defaultValue":{"a":[1]}},"p":{"type":"Pointer","targetClass":"B","defaultValue":{"__type":"Pointer","className":"B","objectId":"b"}}}}`, `{"...":0}`),
			{Name: "required", Method: "POST", Path: "/classes/A", Body: `{}`, Code: parse.ValidationError, Error: "r is required"},
			{Name: "required, master", Method: "POST", Path: "/classes/A", As: "master", Body: `{"r":""}`, Code: parse.ValidationError, Error: "r is required"},
			{Name: "required, null", Method: "POST", Path: "/classes/A", Body: `{"r":null}`, Code: parse.ValidationError, Error: "r is required"},
			{Name: "required, deleted", Method: "POST", Path: "/classes/A", Body: `{"r":{"__op":"Delete"}}`, Code: parse.ValidationError, Error: "r is required"},
			{Name: "null is not the default, and is none", Method: "POST", Path: "/classes/A", Body: `{"r":"y","both":null}`, Code: parse.ValidationError, Error: "both is required"},
			{Name: "defaults are told", Method: "POST", Path: "/classes/A", Body: `{"r":"y","d":{"__op":"Delete"}}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","d":5,"both":"x","zero":0,"no":false,"o":{"a":[1]}}`, Save: map[string]string{"objectId": "id"}},
			{Name: "defaults are stored", Path: "/classes/A/{{id}}", JSON: `{"objectId":"*","createdAt":"*","updatedAt":"*","r":"y","d":5,"both":"x","zero":0,"no":false,"o":{"a":[1]},"p":{"__type":"Pointer","className":"B","objectId":"b"}}`},
			{Name: "null stays null", Method: "POST", Path: "/classes/A", Body: `{"r":"y","d":null}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","both":"x","zero":0,"no":false,"o":"*"}`, Save: map[string]string{"objectId": "nul"}},
			{Name: "what is not sent stays", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"d":6}`, JSON: `{"updatedAt":"*"}`},
			{Name: "required on update", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"r":{"__op":"Delete"}}`, Code: parse.ValidationError, Error: "r is required"},
			{Name: "required on update", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"both":null}`, Code: parse.ValidationError, Error: "both is required"},
			{Name: "an update brings no default back", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"d":{"__op":"Delete"}}`, JSON: `{"updatedAt":"*"}`},
			{Name: "gone", Path: "/classes/A/{{id}}", Lacks: []string{`"d"`}},
		}},
		{Name: "defined", Config: func(c *config.Config) { c.Schema = json.RawMessage(defined) }, Steps: []scenario.Step{
			schemaCall("GET", "/schemas/D", "", `{"fields":{`+baseFields+`,"at":{"type":"Date","defaultValue":`+date+`},"ms":{"type":"Date","defaultValue":`+date+`},"raw":{"type":"Bytes","defaultValue":{"__type":"Bytes","base64":"aGVsbG8="}}},"...":0}`),
			{Name: "used", Method: "POST", Path: "/classes/D", Body: `{}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","at":` + date + `,"ms":` + date + `,"raw":{"__type":"Bytes","base64":"aGVsbG8="}}`},
		}},
	})
}

// TestFirstWrites: of many first writes with different types some succeed, all
// of one type; the others are told which it is.
func TestFirstWrites(t *testing.T) {
	values := []struct{ typ, json string }{{"String", `"x"`}, {"Number", `1`}, {"Boolean", `true`}, {"Array", `[]`}}
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), detailed, nil)
		answers := make([]string, 24)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				answers[i] = s.Ask(t, &scenario.Step{Method: "POST", Path: "/classes/Race", Body: `{"f":` + values[i%len(values)].json + `}`})
			})
		}
		wg.Wait()
		got := s.Do(t, &scenario.Step{Path: "/schemas/Race", As: "master"})
		var c struct {
			Fields map[string]struct{ Type string }
		}
		if err := json.Unmarshal([]byte(got), &c); err != nil {
			t.Fatal(err)
		}
		won := c.Fields["f"].Type
		for i, a := range answers {
			typ := values[i%len(values)].typ
			want := `"error":"schema mismatch for Race.f; expected ` + won + ` but got ` + typ + `"`
			if typ == won {
				want = `"objectId"`
			}
			if !strings.Contains(a, want) {
				t.Errorf("%s: %s, want %s", typ, a, want)
			}
		}
	})
}
