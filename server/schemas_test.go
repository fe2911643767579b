package server_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

const (
	baseFields = `"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"}`
	openCLP    = `{"ACL":{"*":{"read":true,"write":true}},"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},` +
		`"update":{"*":true},"delete":{"*":true},"addField":{"*":true},"protectedFields":{"*":[]}}`
)

// schemaCall is a request to /schemas with the master key.
func schemaCall(method, path, body, answer string) scenario.Step {
	return scenario.Step{Method: method, Path: path, As: "master", Body: body, JSON: answer}
}

// refusal is a request to /schemas that fails.
func refusal(method, path, body string, code parse.Code, text string) scenario.Step {
	return scenario.Step{Name: method + " " + path + " " + body, Method: method, Path: path, As: "master", Body: body, Code: code, Error: text}
}

func TestSchemas(t *testing.T) {
	fields := func(more string) string {
		if more != "" {
			more = "," + more
		}
		return `{` + baseFields + more + `}`
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "life of a class", Steps: []scenario.Step{
			schemaCall("POST", "/schemas/Game", `{"className":"Game","fields":{"score":{"type":"Number","required":true,"defaultValue":5},"name":{"type":"String"},"owner":{"type":"Pointer","targetClass":"_User"},"fans":{"type":"Relation","targetClass":"_User"},"odd":{"type":"String","colour":"red"}},"indexes":{"byScore":{"score":1,"name":-1}}}`,
				`{"className":"Game","fields":`+fields(`"score":{"type":"Number","required":true,"defaultValue":5},"name":{"type":"String"},"owner":{"type":"Pointer","targetClass":"_User"},"fans":{"type":"Relation","targetClass":"_User"},"odd":{"type":"String","colour":"red"}`)+
					`,"classLevelPermissions":`+openCLP+`,"indexes":{"_id_":{"_id":1},"byScore":{"score":1,"name":-1}}}`),
			schemaCall("GET", "/schemas/Game", "", `{"className":"Game","fields":"*","classLevelPermissions":`+openCLP+`,"indexes":"*"}`),
			{Name: "the default is used", Method: "POST", Path: "/classes/Game", Body: `{"name":"x"}`, Status: 201, JSON: `{"score":5,"...":0}`, Save: map[string]string{"objectId": "id"}},
			schemaCall("PUT", "/schemas/Game", `{"className":"Game","fields":{"level":{"type":"Number"},"name":{"__op":"Delete"},"score":{"type":"Number"}},"classLevelPermissions":{"find":{"*":true},"get":{"pointerFields":["owner"]}},"indexes":{"byLevel":{"level":1},"byOwner":{"_p_owner":1}}}`,
				`{"className":"Game","fields":`+fields(`"score":{"type":"Number"},"level":{"type":"Number"},"owner":"*","fans":"*","odd":"*"`)+
					`,"classLevelPermissions":{"find":{"*":true},"get":{"pointerFields":["owner"]},"count":{},"create":{},"update":{},"delete":{},"addField":{},"protectedFields":{}},"indexes":{"_id_":{"_id":1},"byLevel":{"level":1},"byOwner":{"owner":1}}}`),
			{Name: "the field's data is gone", Path: "/classes/Game", As: "master", JSON: `{"results":[{"objectId":"{{id}}","score":5,"createdAt":"*","updatedAt":"*","fans":"*"}]}`},
			{Name: "permissions hold", Method: "POST", Path: "/classes/Game", Body: `{}`, Code: parse.OperationForbidden},
			{Name: "no default any more", Method: "POST", Path: "/classes/Game", As: "master", Body: `{}`, Status: 201, Lacks: []string{"score"}},
			schemaCall("PUT", "/schemas/Game", `{"classLevelPermissions":null,"indexes":{"byLevel":{"__op":"Delete"}}}`, `{"classLevelPermissions":`+openCLP+`,"indexes":{"_id_":{"_id":1},"byOwner":{"owner":1}},"...":0}`),
			schemaCall("PUT", "/schemas/Game", `{}`, `{"className":"Game","...":0}`),
			refusal("DELETE", "/schemas/Game", "", parse.InvalidSchemaOperation, "Class Game is not empty, contains 2 objects, cannot drop schema."),
			schemaCall("DELETE", "/purge/Game", "", `{}`),
			{Name: "purged", Path: "/classes/Game", JSON: `{"results":[]}`},
			schemaCall("GET", "/schemas/Game", "", `{"className":"Game","...":0}`),
			schemaCall("DELETE", "/schemas/Game", "", `{}`),
			refusal("GET", "/schemas/Game", "", parse.InvalidClassName, "Class Game does not exist."),
			schemaCall("DELETE", "/schemas/Game", "", `{}`),
			schemaCall("DELETE", "/purge/Game", "", `{}`),
			schemaCall("POST", "/schemas", `{"className":"Game","fields":{"score":{"type":"String"}}}`, `{"className":"Game","fields":`+fields(`"score":{"type":"String"}`)+`,"classLevelPermissions":`+openCLP+`}`),
			{Name: "a new class of the name", Method: "POST", Path: "/classes/Game", Body: `{"score":"high"}`, Status: 201},
		}},
		{Name: "system classes", Steps: []scenario.Step{
			schemaCall("GET", "/schemas/_User", "", `{"className":"_User","fields":`+fields(`"username":{"type":"String"},"password":{"type":"String"},"email":{"type":"String"},"emailVerified":{"type":"Boolean"},"authData":{"type":"Object"}`)+`,"...":0}`),
			schemaCall("GET", "/schemas/_Hooks", "", `{"className":"_Hooks","...":0}`),
			schemaCall("PUT", "/schemas/_User", `{"fields":{"nick":{"type":"String"},"username":{"type":"String","required":true}}}`, `{"...":0}`),
			{Name: "sign-up goes on", Method: "POST", Path: "/users", Body: `{"username":"al","password":"x","nick":"a"}`, Status: 201, Save: map[string]string{"sessionToken": "al.token"}},
			{Name: "al", Path: "/users/me", As: "al", JSON: `{"nick":"a","...":0}`},
			schemaCall("DELETE", "/purge/_Session", "", `{}`),
			{Name: "a purged session is over at once", Path: "/users/me", As: "al", Code: parse.InvalidSessionToken},
			schemaCall("DELETE", "/purge/_User", "", `{}`),
			schemaCall("DELETE", "/schemas/_User", "", `{}`),
			schemaCall("GET", "/schemas/_User", "", `{"className":"_User","fields":`+fields(`"username":"*","password":"*","email":"*","emailVerified":"*","authData":"*"`)+`,"...":0}`),
			{Name: "users are served again", Method: "POST", Path: "/users", Body: `{"username":"bo","password":"x"}`, Status: 201},
			{Name: "and unique", Method: "POST", Path: "/users", Body: `{"username":"bo","password":"x"}`, Code: parse.UsernameTaken},
			refusal("POST", "/schemas/_User", `{}`, parse.InvalidClassName, "Class _User already exists."),
			refusal("POST", "/schemas/_Hooks", `{}`, parse.InvalidClassName, "Class _Hooks already exists."),
			refusal("PUT", "/schemas/_User", `{"fields":{"username":{"__op":"Delete"}}}`, parse.ChangedImmutableField, "field username cannot be changed"),
			refusal("PUT", "/schemas/_User", `{"indexes":{"username_1":{"__op":"Delete"}}}`, parse.InvalidQuery, "Index username_1 belongs to the system, cannot delete."),
			schemaCall("POST", "/schemas/_Product", `{}`, `{"className":"_Product","...":0}`),
		}},
		{Name: "pargo's own keys", Steps: []scenario.Step{
			schemaCall("POST", "/schemas/Note", `{"ownerField":"user","fields":{"user":{"type":"Pointer","targetClass":"_User"},"n":{"type":"Number","validate":{"minimum":1},"comment":"a number"}},"indexes":{"n":{"n":1}},"indexOptions":{"n":{"unique":true}}}`, `{"ownerField":"user","indexOptions":{"n":{"unique":true}},"...":0}`),
			{Name: "unique", Method: "POST", Path: "/classes/Note", As: "master", Body: `{"n":1}`, Status: 201},
			{Name: "unique", Method: "POST", Path: "/classes/Note", As: "master", Body: `{"n":1}`, Code: parse.DuplicateValue},
			schemaCall("PUT", "/schemas/Note", `{"fields":{"n":{"type":"Number","required":true}},"ownerRoles":["admin"],"comment":"notes"}`, `{"ownerField":"user","ownerRoles":["admin"],"comment":"notes","fields":{"n":{"type":"Number","required":true,"validate":{"minimum":1},"comment":"a number"},"...":0},"...":0}`),
			{Name: "validated still", Method: "POST", Path: "/classes/Note", As: "master", Body: `{"n":0}`, Code: parse.ValidationError},
			refusal("PUT", "/schemas/Note", `{"fields":{"user":{"__op":"Delete"}}}`, parse.ChangedImmutableField, "field user cannot be changed: it holds the owner"),
			refusal("PUT", "/schemas/Note", `{"ownerField":"n"}`, parse.IncorrectType, ""),
			schemaCall("PUT", "/schemas/Note", `{"fields":{"m":{"type":"Number"}},"indexes":{"n":{"__op":"Delete"}}}`, `{"...":0}`),
			{Name: "no longer unique", Method: "POST", Path: "/classes/Note", As: "master", Body: `{"n":1}`, Status: 201},
			refusal("PUT", "/schemas/Note", `{"indexes":{"u":{"n":1}},"indexOptions":{"u":{"unique":true}}}`, parse.DuplicateValue, ""),
			schemaCall("GET", "/schemas/Note", "", `{"className":"Note","fields":"*","classLevelPermissions":"*","ownerField":"user","ownerRoles":["admin"],"comment":"notes"}`),
		}},
		{Name: "who may", Config: func(c *config.Config) { c.ReadOnlyMasterKey = "readonly"; c.EnableSanitizedErrorResponse = false }, Steps: []scenario.Step{
			{Name: "no key", Path: "/schemas", Status: 403, JSON: `{"error":"unauthorized: master key is required"}`},
			{Name: "no key", Method: "DELETE", Path: "/purge/A", Status: 403},
			{Name: "read-only reads", Path: "/schemas", Header: map[string]string{"X-Parse-Master-Key": "readonly"}, JSON: `{"results":[{"className":"_Installation","...":0},{"className":"_Role","...":0},{"className":"_Session","...":0},{"className":"_User","...":0}]}`},
			{Name: "read-only", Method: "POST", Path: "/schemas/A", Header: map[string]string{"X-Parse-Master-Key": "readonly"}, Code: parse.OperationForbidden, Error: "read-only masterKey isn't allowed to create a schema."},
			{Name: "read-only", Method: "PUT", Path: "/schemas/A", Header: map[string]string{"X-Parse-Master-Key": "readonly"}, Code: parse.OperationForbidden, Error: "read-only masterKey isn't allowed to update a schema."},
			{Name: "read-only", Method: "DELETE", Path: "/schemas/A", Header: map[string]string{"X-Parse-Master-Key": "readonly"}, Code: parse.OperationForbidden, Error: "read-only masterKey isn't allowed to delete a schema."},
			{Name: "read-only", Method: "DELETE", Path: "/purge/A", Header: map[string]string{"X-Parse-Master-Key": "readonly"}, Code: parse.OperationForbidden, Error: "read-only masterKey isn't allowed to purge a schema."},
			{Name: "features", Path: "/serverInfo", As: "master", JSON: `{"features":{"schemas":{"addField":true,"removeField":true,"addClass":true,"removeClass":true,"clearAllDataFromClass":true,"exportClass":false,"editClassLevelPermissions":true,"editPointerPermissions":true},"...":0},"...":0}`},
		}},
		{Name: "locked", Config: func(c *config.Config) {
			c.Schema = json.RawMessage(`{"definitions":[{"className":"A","fields":{"s":{"type":"String"}}}],"lockSchemas":true}`)
		}, Steps: []scenario.Step{
			refusal("POST", "/schemas/B", `{}`, parse.OperationForbidden, "Cannot perform this operation when schemas options is used."),
			refusal("PUT", "/schemas/A", `{}`, parse.OperationForbidden, "Cannot perform this operation when schemas options is used."),
			schemaCall("DELETE", "/purge/A", "", `{}`),
			schemaCall("DELETE", "/schemas/A", "", `{}`),
		}},
	})
}

func TestSchemaMistakes(t *testing.T) {
	bad := func(name string) string {
		return "Invalid classname: " + name + ", classnames can only have alphanumeric characters and _, and must start with an alpha character "
	}
	steps := []scenario.Step{
		schemaCall("POST", "/schemas/A", `{"fields":{"a":{"type":"String"},"g":{"type":"GeoPoint"},"p":{"type":"Pointer","targetClass":"_User"}},"indexes":{"i":{"a":1}}}`, `{"...":0}`),
		refusal("POST", "/schemas", `{}`, parse.MissingRequiredField, "POST /schemas needs a class name."),
		refusal("POST", "/schemas/B", `{"className":"C"}`, parse.InvalidClassName, "Class name mismatch between Body and Path."),
		refusal("PUT", "/schemas/A", `{"className":"C"}`, parse.InvalidClassName, "Class name mismatch between Body and Path."),
		refusal("POST", "/schemas/A", `{}`, parse.InvalidClassName, "Class A already exists."),
		refusal("POST", "/schemas/1x", `{}`, parse.InvalidClassName, bad("1x")),
		refusal("DELETE", "/schemas/1x", "", parse.InvalidClassName, bad("1x")),
		refusal("PUT", "/schemas/Nope", `{}`, parse.InvalidClassName, "Class Nope does not exist."),
		refusal("PUT", "/schemas/_Hooks", `{}`, parse.InvalidClassName, "Class _Hooks does not exist."),
		refusal("POST", "/schemas/B", `{"fields":{"objectId":{"type":"String"}}}`, parse.ChangedImmutableField, "field objectId cannot be added"),
		refusal("PUT", "/schemas/A", `{"fields":{"objectId":{"__op":"Delete"}}}`, parse.ChangedImmutableField, "field objectId cannot be changed"),
		refusal("PUT", "/schemas/A", `{"fields":{"a":{"type":"Number"}}}`, parse.InvalidSchemaOperation, "Field a exists, cannot update."),
		refusal("PUT", "/schemas/A", `{"fields":{"p":{"type":"Pointer","targetClass":"B"}}}`, parse.IncorrectType, "schema mismatch for A.p; expected Pointer<_User> but got Pointer<B>"),
		refusal("PUT", "/schemas/A", `{"fields":{"zz":{"__op":"Delete"}}}`, parse.InvalidSchemaOperation, "Field zz does not exist, cannot delete."),
		refusal("PUT", "/schemas/A", `{"fields":{"h":{"type":"GeoPoint"}}}`, parse.IncorrectType, "currently, only one GeoPoint field may exist in an object. Adding h when g already exists."),
		refusal("PUT", "/schemas/A", `{"fields":"x"}`, parse.InvalidJSON, "invalid JSON"),
		refusal("PUT", "/schemas/A", `{"indexes":{"i":{"a":1}}}`, parse.InvalidQuery, "Index i exists, cannot update."),
		refusal("PUT", "/schemas/A", `{"indexes":{"_id_":{"a":1}}}`, parse.InvalidQuery, "Index _id_ exists, cannot update."),
		refusal("PUT", "/schemas/A", `{"indexes":{"j":{"__op":"Delete"}}}`, parse.InvalidQuery, "Index j does not exist, cannot delete."),
		refusal("PUT", "/schemas/A", `{"classLevelPermissions":{"foo":{}}}`, parse.InvalidJSON, "foo is not a valid operation for class level permissions"),
		refusal("PUT", "/schemas/A", `{"classLevelPermissions":{"find":{"pointerFields":["a"]}}}`, parse.InvalidJSON, "'a' is not a valid column for class level pointer permissions find"),
		refusal("PUT", "/schemas/A", `{"classLevelPermissions":{"protectedFields":{"*":["nope"]}}}`, parse.InvalidJSON, "Field 'nope' in protectedFields:* does not exist"),
		refusal("PUT", "/schemas/A", `{"fields":{"a":{"__op":"Delete"},"n":{"type":"String"}},"indexes":{"j":{"zz":1}}}`, parse.InvalidQuery, "Field zz does not exist, cannot add index."),
	}
	for body, want := range map[string]struct {
		code parse.Code
		text string
	}{
		`{"1x":{"type":"String"}}`:                    {parse.InvalidKeyName, "invalid field name: 1x"},
		`{"x":{"type":"Zip"}}`:                        {parse.IncorrectType, "invalid field type: Zip"},
		`{"x":{}}`:                                    {parse.InvalidJSON, "invalid JSON"},
		`{"x":{"type":1}}`:                            {parse.InvalidJSON, "invalid JSON"},
		`{"x":"String"}`:                              {parse.InvalidJSON, "invalid JSON"},
		`{"x":{"type":"Pointer"}}`:                    {parse.MissingRequiredField, "type Pointer needs a class name"},
		`{"x":{"type":"Relation","targetClass":1}}`:   {parse.InvalidJSON, "invalid JSON"},
		`{"x":{"type":"Pointer","targetClass":"1z"}}`: {parse.InvalidClassName, bad("1z")},
		`{"x":{"type":"String","defaultValue":1}}`:    {parse.IncorrectType, "schema mismatch for %.x default value; expected String but got Number"},
		`{"x":{"type":"Relation","targetClass":"F","defaultValue":{"__type":"Relation","className":"F"}}}`: {parse.IncorrectType, "The 'default value' option is not applicable for Relation<F>"},
		`{"x":{"type":"Relation","targetClass":"F","required":true}}`:                                      {parse.IncorrectType, "The 'required' option is not applicable for Relation<F>"},
	} {
		for _, to := range [][2]string{{"POST", "B"}, {"PUT", "A"}} {
			steps = append(steps, refusal(to[0], "/schemas/"+to[1], `{"fields":`+body+`}`, want.code, strings.ReplaceAll(want.text, "%", to[1])))
		}
	}
	steps = append(steps,
		schemaCall("GET", "/schemas/A", "", `{"className":"A","fields":{`+baseFields+`,"a":{"type":"String"},"g":"*","p":"*"},"classLevelPermissions":`+openCLP+`,"indexes":{"_id_":"*","i":{"a":1}}}`),
		refusal("GET", "/schemas/B", "", parse.InvalidClassName, "Class B does not exist."),
		scenario.Step{Name: "not within a transaction", Method: "POST", Path: "/batch", As: "master", Body: inTx("POST", "/schemas/T", `{}`), Code: parse.InvalidJSON},
	)
	scenario.Run(t, []scenario.Scenario{{Name: "refused", Config: open, Steps: steps}})
}

// TestPurgeInBatches: more objects than one batch, and no hook is asked.
func TestPurgeInBatches(t *testing.T) {
	steps := []scenario.Step{schemaCall("POST", "/schemas/A", `{"fields":{"n":{"type":"Number"}}}`, `{"...":0}`)}
	for i := range 11 {
		var b strings.Builder
		for j := range 50 {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`{"method":"POST","path":"/parse/classes/A","body":{"n":` + strconv.Itoa(i*50+j) + `}}`)
		}
		steps = append(steps, scenario.Step{Name: "fill", Method: "POST", Path: "/batch", As: "master", Body: `{"requests":[` + b.String() + `]}`})
	}
	steps = append(steps,
		refusal("DELETE", "/schemas/A", "", parse.InvalidSchemaOperation, "Class A is not empty, contains 550 objects, cannot drop schema."),
		schemaCall("DELETE", "/purge/A", "", `{}`),
		scenario.Step{Name: "empty", Path: "/classes/A", Query: map[string]string{"count": "1"}, JSON: `{"results":[],"count":0}`},
	)
	scenario.Run(t, []scenario.Scenario{{Name: "purge", Steps: steps, Cloud: func(app *cloudcode.App) {
		app.BeforeDelete("A", func(context.Context, *cloudcode.DeleteRequest) error {
			t.Error("a purge asked a hook")
			return nil
		})
	}}})
}

// TestDefinedSchemas: a second start with other definitions, on the same data.
func TestDefinedSchemas(t *testing.T) {
	const first = `{"classes":[
		{"className":"A","fields":{"keep":{"type":"String"},"extra":{"type":"Number"},"typed":{"type":"String"}},"indexes":{"old":{"extra":1},"byTyped":{"typed":1}}},
		{"className":"B","fields":{"x":{"type":"String"}}}]}`
	const second = `{"strict":true,"deleteExtraFields":true,"recreateModifiedFields":true,"definitions":[
		{"className":"A","fields":{"keep":{"type":"String"},"typed":{"type":"Number","defaultValue":7}},"indexes":{"byTyped":{"typed":1}},
		 "classLevelPermissions":{"find":{"*":true},"create":{"*":true},"addField":{"*":true}}}]}`
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		uri := db.URI(t)
		run := func(name, file string, steps []scenario.Step) {
			t.Run(name, func(t *testing.T) {
				s := scenario.Start(t, uri, func(c *config.Config) {
					open(c)
					c.Schema = json.RawMessage(file)
				}, nil)
				for i := range steps {
					s.Do(t, &steps[i])
				}
			})
		}
		run("first", first, []scenario.Step{
			{Name: "data", Method: "POST", Path: "/classes/A", Body: `{"keep":"k","extra":1,"typed":"text"}`, Status: 201},
			{Name: "data", Method: "POST", Path: "/classes/B", Body: `{"x":"y"}`, Status: 201},
		})
		run("second", second, []scenario.Step{
			schemaCall("GET", "/schemas/A", "", `{"className":"A","fields":{`+baseFields+`,"keep":{"type":"String"},"typed":{"type":"Number","defaultValue":7}},`+
				`"classLevelPermissions":{"find":{"*":true},"get":{},"count":{},"create":{"*":true},"update":{},"delete":{},"addField":{},"protectedFields":{}},"indexes":{"_id_":"*","byTyped":{"typed":1}}}`),
			{Name: "what was not defined is gone", Path: "/classes/A", JSON: `{"results":[{"objectId":"*","createdAt":"*","updatedAt":"*","keep":"k"}]}`},
			{Name: "the new type", Method: "POST", Path: "/classes/A", Body: `{"typed":1}`, Status: 201},
			{Name: "clients add no fields", Method: "POST", Path: "/classes/A", Body: `{"new":1}`, Code: parse.OperationForbidden},
			{Name: "nor elsewhere", Method: "POST", Path: "/classes/B", Body: `{"new":1}`, Code: parse.OperationForbidden},
			{Name: "but write there", Method: "POST", Path: "/classes/B", Body: `{"x":"z"}`, Status: 201},
			schemaCall("PUT", "/schemas/A", `{"fields":{"more":{"type":"String"}}}`, `{"...":0}`),
		})
		run("third", second, []scenario.Step{
			schemaCall("GET", "/schemas/A", "", `{"className":"A","fields":{`+baseFields+`,"keep":"*","typed":"*"},"classLevelPermissions":"*","indexes":"*"}`),
			{Name: "nothing else is lost", Path: "/classes/A", Query: map[string]string{"where": `{"typed":1}`, "count": "1", "limit": "0"}, As: "master", JSON: `{"results":[],"count":1}`},
		})
	})
}
