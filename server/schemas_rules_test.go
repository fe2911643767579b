package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// detailed lets refusals tell their reason.
func detailed(c *config.Config) { open(c); c.EnableSanitizedErrorResponse = false }

// TestPermissionTexts: reference 01 §11.4, in both verbs that take permissions.
func TestPermissionTexts(t *testing.T) {
	const fields = `"fields":{"a":{"type":"String"},"list":{"type":"Array"},"owner":{"type":"Pointer","targetClass":"_User"},"other":{"type":"Pointer","targetClass":"A"}}`
	steps := []scenario.Step{schemaCall("POST", "/schemas/A", `{`+fields+`}`, `{"...":0}`)}
	for clp, text := range map[string]string{
		`{"foo":{}}`:                             `foo is not a valid operation for class level permissions`,
		`{"find":"x"}`:                           `'x' is not a valid value for class level permissions find - must be an object`,
		`{"readUserFields":"x"}`:                 `'x' is not a valid value for class level permissions readUserFields - must be an array`,
		`{"find":{"bad key!":true}}`:             `'bad key!' is not a valid key for class level permissions`,
		`{"find":{"*":false}}`:                   `'false' is not a valid value for class level permissions acl find:*`,
		`{"find":{"role:":true}}`:                `'role:' is not a valid key for class level permissions`,
		`{"readUserFields":["nope"]}`:            `'nope' is not a valid column for class level pointer permissions readUserFields`,
		`{"writeUserFields":["other"]}`:          `'other' is not a valid column for class level pointer permissions writeUserFields`,
		`{"find":{"pointerFields":"x"}}`:         `'x' is not a valid value for find[pointerFields] - expected an array.`,
		`{"find":{"pointerFields":["a"]}}`:       `'a' is not a valid column for class level pointer permissions find`,
		`{"protectedFields":{"*":"x"}}`:          `'x' is not a valid value for protectedFields[*] - expected an array.`,
		`{"protectedFields":{"*":["objectId"]}}`: `Default field 'objectId' can not be protected`,
		`{"protectedFields":{"*":["nope"]}}`:     `Field 'nope' in protectedFields:* does not exist`,
		`{"protectedFields":{"bad key!":["a"]}}`: `'bad key!' is not a valid key for class level permissions`,
		`{"ACL":true}`:                           `'true' is not a valid value for class level permissions acl`,
		`{"ACL":{"*":{"foo":true}}}`:             `'foo' is not a valid key for class level permissions acl`,
		`{"ACL":{"*":{"read":1}}}`:               `'1' is not a valid value for class level permissions acl`,
		`"x"`:                                    `class level permissions must be an object`,
	} {
		steps = append(steps, refusal("PUT", "/schemas/A", `{"classLevelPermissions":`+clp+`}`, parse.InvalidJSON, text),
			refusal("POST", "/schemas/B", `{`+fields+`,"classLevelPermissions":`+clp+`}`, parse.InvalidJSON, text))
	}
	steps = append(steps,
		schemaCall("PUT", "/schemas/A", `{"classLevelPermissions":{"find":{"role:Admin":true,"abcdefghij":true,"requiresAuthentication":true,"pointerFields":["owner","list"]},"readUserFields":["owner"],"writeUserFields":["list"],"protectedFields":{"*":["a"],"authenticated":[],"role:x":["list"],"userField:owner":[]},"ACL":{"currentUser":{"read":true,"write":true},"role:x":{"read":true}}}}`,
			`{"className":"A","fields":"*","classLevelPermissions":{"ACL":{"currentUser":{"read":true,"write":true},"role:x":{"read":true}},"find":{"role:Admin":true,"abcdefghij":true,"requiresAuthentication":true,"pointerFields":["owner","list"]},"get":{},"count":{},"create":{},"update":{},"delete":{},"addField":{},"readUserFields":["owner"],"writeUserFields":["list"],"protectedFields":{"*":["a"],"authenticated":[],"role:x":["list"],"userField:owner":[]}}}`),
		schemaCall("PUT", "/schemas/A", `{"classLevelPermissions":{}}`, `{"classLevelPermissions":{"find":{},"get":{},"count":{},"create":{},"update":{},"delete":{},"addField":{},"protectedFields":{}},"...":0}`),
		schemaCall("PUT", "/schemas/A", `{"classLevelPermissions":null}`, `{"classLevelPermissions":`+openCLP+`,"...":0}`),
	)
	scenario.Run(t, []scenario.Scenario{{Name: "texts", Steps: steps}, {Name: "custom ids", Config: func(c *config.Config) { c.AllowCustomObjectID = true }, Steps: []scenario.Step{
		schemaCall("POST", "/schemas/A", `{"classLevelPermissions":{"find":{"a user@home":true}}}`, `{"classLevelPermissions":{"find":{"a user@home":true},"...":0},"...":0}`),
		schemaCall("GET", "/schemas/A", "", `{"classLevelPermissions":{"find":{"a user@home":true},"...":0},"...":0}`),
	}}})
}

// TestIndexes: what an index may be, that it is made, and that it can be renamed away.
func TestIndexes(t *testing.T) {
	const fields = `"fields":{"s":{"type":"String"},"n":{"type":"Number"},"o":{"type":"Object"},"l":{"type":"Array"},"g":{"type":"GeoPoint"},"p":{"type":"Polygon"},"u":{"type":"Pointer","targetClass":"_User"},"r":{"type":"Relation","targetClass":"_User"}}`
	scenario.Run(t, []scenario.Scenario{
		{Name: "every kind", Steps: []scenario.Step{
			schemaCall("POST", "/schemas/A", `{`+fields+`,"indexes":{"plain":{"s":1},"down":{"n":-1},"compound":{"s":1,"n":-1,"createdAt":1},"pointer":{"_p_u":1},"text":{"s":"text"},"sphere":{"g":"2dsphere"},"ring":{"p":"2dsphere"},"inside":{"o.k":1,"_updated_at":-1},"list":{"l":1}}}`,
				`{"indexes":{"_id_":{"_id":1},"plain":{"s":1},"down":{"n":-1},"compound":{"s":1,"n":-1,"createdAt":1},"pointer":{"u":1},"text":{"s":"text"},"sphere":{"g":"2dsphere"},"ring":{"p":"2dsphere"},"inside":{"o.k":1,"updatedAt":-1},"list":{"l":1}},"...":0}`),
			{Name: "objects go in", Method: "POST", Path: "/classes/A", As: "master", Body: `{"s":"x","n":1,"o":{"k":[1,2]},"l":[1],"g":{"__type":"GeoPoint","latitude":1,"longitude":2},"p":{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1]]}}`, Status: 201},
			schemaCall("PUT", "/schemas/A", `{"indexes":{"text":{"__op":"Delete"},"list":{"__op":"Delete"},"words":{"s":"text"}}}`, `{"indexes":{"_id_":"*","plain":"*","down":"*","compound":"*","pointer":"*","sphere":"*","ring":"*","inside":"*","words":{"s":"text"}},"...":0}`),
			schemaCall("PUT", "/schemas/A", `{"fields":{"o":{"__op":"Delete"},"u":{"__op":"Delete"}}}`, `{"indexes":{"_id_":"*","plain":"*","down":"*","compound":"*","sphere":"*","ring":"*","words":"*"},"...":0}`),
			schemaCall("GET", "/schemas/A", "", `{"indexes":{"_id_":"*","plain":"*","down":"*","compound":"*","sphere":"*","ring":"*","words":"*"},"...":0}`),
		}},
		{Name: "mistakes", Steps: []scenario.Step{
			schemaCall("POST", "/schemas/A", `{`+fields+`}`, `{"...":0}`),
			refusal("PUT", "/schemas/A", `{"indexes":{"i":{"zz":1}}}`, parse.InvalidQuery, "Field zz does not exist, cannot add index."),
			refusal("PUT", "/schemas/A", `{"indexes":{"i":{"_p_zz":1}}}`, parse.InvalidQuery, "Field _p_zz does not exist, cannot add index."),
			refusal("PUT", "/schemas/A", `{"indexes":{"i":{"s.k":1}}}`, parse.InvalidQuery, "Field s.k does not exist, cannot add index."),
			refusal("PUT", "/schemas/A", `{"indexes":{"i":{"r":1}}}`, parse.InvalidQuery, "Field r does not exist, cannot add index."),
			refusal("PUT", "/schemas/A", `{"indexes":{"i":{"s":2}}}`, parse.InvalidQuery, ""),
			refusal("PUT", "/schemas/A", `{"indexes":{"i":{"s":"alphabetic"}}}`, parse.InvalidQuery, ""),
			refusal("PUT", "/schemas/A", `{"indexes":{"i":1}}`, parse.InvalidQuery, "Index i must be an object of fields and directions."),
			refusal("PUT", "/schemas/A", `{"indexes":{"i":{}}}`, parse.InvalidQuery, "Index i must be an object of fields and directions."),
			refusal("PUT", "/schemas/A", `{"indexes":{"a.b":{"s":1}}}`, parse.InvalidQuery, "Invalid index name: a.b"),
			refusal("PUT", "/schemas/A", `{"indexes":{"$a":{"s":1}}}`, parse.InvalidQuery, "Invalid index name: $a"),
			refusal("PUT", "/schemas/A", `{"indexes":{"":{"s":1}}}`, parse.InvalidQuery, "Invalid index name: "),
			refusal("PUT", "/schemas/A", `{"indexes":"x"}`, parse.InvalidJSON, "invalid JSON"),
			{Name: "one", Method: "POST", Path: "/classes/A", As: "master", Body: `{"s":"same"}`, Status: 201},
			{Name: "two", Method: "POST", Path: "/classes/A", As: "master", Body: `{"s":"same"}`, Status: 201},
			refusal("PUT", "/schemas/A", `{"indexes":{"i":{"s":1}},"indexOptions":{"i":{"unique":true}}}`, parse.DuplicateValue, "Index i cannot be unique: objects have the same value."),
			refusal("PUT", "/schemas/A", `{"indexes":{"i":{"s":1}},"indexOptions":{"i":{"odd":true}}}`, parse.InvalidQuery, "Index i: options are unique, sparse and caseInsensitive, each true or false."),
			schemaCall("GET", "/schemas/A", "", `{"className":"A","fields":"*","classLevelPermissions":"*"}`),
		}},
		{Name: "fields that do not exist yet", Config: func(c *config.Config) {
			c.DatabaseOptions = json.RawMessage(`{"disableIndexFieldValidation":true}`)
		}, Steps: []scenario.Step{
			schemaCall("POST", "/schemas/A", `{"indexes":{"i":{"later":1}},"indexOptions":{"i":{"unique":true,"sparse":true}}}`, `{"indexes":{"_id_":"*","i":{"later":1}},"...":0}`),
			schemaCall("PUT", "/schemas/A", `{"fields":{"later":{"type":"String"}}}`, `{"...":0}`),
			{Name: "one", Method: "POST", Path: "/classes/A", As: "master", Body: `{"later":"same"}`, Status: 201},
			{Name: "two", Method: "POST", Path: "/classes/A", As: "master", Body: `{"later":"same"}`, Code: parse.DuplicateValue},
		}},
	})
}

// TestSystemClasses: reference 01 §12.
func TestSystemClasses(t *testing.T) {
	field := func(typ string, names ...string) string {
		var b strings.Builder
		for _, n := range names {
			b.WriteString(`,"` + n + `":{"type":"` + typ + `"}`)
		}
		return b.String()
	}
	pointer := func(typ, name, target string) string {
		return `,"` + name + `":{"type":"` + typ + `","targetClass":"` + target + `"}`
	}
	var known []scenario.Step
	volatile := []string{"_PushStatus", "_JobStatus", "_JobSchedule", "_Hooks", "_GlobalConfig", "_GraphQLConfig", "_Audience", "_Idempotency"}
	for class, more := range map[string]string{
		"_User":          field("String", "username", "password", "email") + field("Boolean", "emailVerified") + field("Object", "authData"),
		"_Installation":  field("String", "installationId", "deviceToken", "deviceType", "pushType", "GCMSenderId", "timeZone", "localeIdentifier", "appVersion", "appName", "appIdentifier", "parseVersion") + field("Array", "channels") + field("Number", "badge"),
		"_Role":          field("String", "name") + pointer("Relation", "users", "_User") + pointer("Relation", "roles", "_Role"),
		"_Session":       pointer("Pointer", "user", "_User") + field("String", "installationId", "sessionToken") + field("Date", "expiresAt") + field("Object", "createdWith"),
		"_PushStatus":    field("String", "pushTime", "source", "query", "payload", "title", "status", "pushHash") + field("Number", "expiry", "expiration_interval", "numSent", "numFailed", "count") + field("Object", "errorMessage", "sentPerType", "failedPerType", "sentPerUTCOffset", "failedPerUTCOffset"),
		"_JobStatus":     field("String", "jobName", "source", "status", "message") + field("Object", "params") + field("Date", "finishedAt"),
		"_JobSchedule":   field("String", "jobName", "description", "params", "startAfter", "timeOfDay") + field("Array", "daysOfWeek") + field("Number", "lastRun", "repeatMinutes"),
		"_Hooks":         field("String", "functionName", "className", "triggerName", "url"),
		"_GlobalConfig":  field("Object", "params", "masterKeyOnly"),
		"_GraphQLConfig": field("Object", "config"),
		"_Audience":      field("String", "name", "query") + field("Date", "lastUsed") + field("Number", "timesUsed"),
		"_Idempotency":   field("String", "reqId") + field("Date", "expire"),
	} {
		known = append(known, schemaCall("GET", "/schemas/"+class, "", `{"className":"`+class+`","fields":{`+baseFields+more+`},"classLevelPermissions":`+openCLP+`,"...":0}`),
			refusal("POST", "/schemas/"+class, `{}`, parse.InvalidClassName, "Class "+class+" already exists."))
	}
	known = append(known,
		refusal("GET", "/schemas/_Product", "", parse.InvalidClassName, "Class _Product does not exist."),
		schemaCall("POST", "/schemas/_Product", `{}`, `{"className":"_Product","fields":{`+baseFields+field("String", "productIdentifier", "downloadName", "title", "subtitle")+field("File", "download", "icon")+field("Number", "order")+`},"...":0}`),
		refusal("POST", "/schemas/_Foo", `{}`, parse.InvalidClassName, "Invalid classname: _Foo, classnames can only have alphanumeric characters and _, and must start with an alpha character "),
		refusal("POST", "/schemas/_Join:users:_Role", `{}`, parse.InvalidClassName, "Invalid classname: _Join:users:_Role, classnames can only have alphanumeric characters and _, and must start with an alpha character "),
		schemaCall("GET", "/schemas", "", `{"results":[{"className":"_Installation","...":0},{"className":"_Product","...":0},{"className":"_Role","...":0},{"className":"_Session","...":0},{"className":"_User","...":0}]}`),
	)

	var closed []scenario.Step
	for _, class := range append(volatile, "_Join:users:_Role") {
		for verb, path := range map[string]string{"find": "GET /classes/" + class, "get": "GET /classes/" + class + "/x", "create": "POST /classes/" + class, "update": "PUT /classes/" + class + "/x", "delete": "DELETE /classes/" + class + "/x"} {
			method, path, _ := strings.Cut(path, " ")
			st := scenario.Step{Method: method, Path: path, Code: parse.OperationForbidden, Error: "Clients aren't allowed to perform the " + verb + " operation on the " + class + " collection."}
			if method == "POST" || method == "PUT" {
				st.Body = `{}`
			}
			closed = append(closed, st)
		}
	}
	closed = append(closed,
		scenario.Step{Path: "/classes/_Installation", Code: parse.OperationForbidden, Error: "Clients aren't allowed to perform the find operation on the installation collection."},
		scenario.Step{Method: "DELETE", Path: "/classes/_Installation/x", Code: parse.OperationForbidden, Error: "Clients aren't allowed to perform the delete operation on the installation collection."},
		scenario.Step{Path: "/push_audiences", Status: 403, JSON: `{"error":"unauthorized: master key is required"}`},
		scenario.Step{Method: "POST", Path: "/push_audiences", Body: `{}`, Status: 403},
		scenario.Step{Method: "DELETE", Path: "/push_audiences/x", Status: 403},
	)

	served := []scenario.Step{{Name: "no hooks yet", Path: "/classes/_Hooks", As: "master", JSON: `{"results":[]}`}}
	for class, body := range map[string]string{
		"_PushStatus": `{"status":"pending","numSent":1,"sentPerType":{"ios":1}}`, "_JobStatus": `{"jobName":"j","params":{"a":1}}`,
		"_JobSchedule": `{"jobName":"j","daysOfWeek":[1],"lastRun":5}`, "_Hooks": `{"className":"A","triggerName":"beforeSave","url":"http://x"}`,
		"_GlobalConfig": `{"params":{"a":1},"masterKeyOnly":{"a":true}}`, "_GraphQLConfig": `{"config":{"x":1}}`,
		"_Audience": `{"name":"all","query":"{}","lastUsed":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"},"timesUsed":2}`, "_Idempotency": `{"reqId":"a"}`,
	} {
		dates := `"createdAt":"*","updatedAt":"*",`
		switch class {
		case "_Hooks", "_GlobalConfig", "_GraphQLConfig": // Parse Server stores them without dates
			dates = `"...":0,`
		}
		served = append(served,
			scenario.Step{Name: "create " + class, Method: "POST", Path: "/classes/" + class, As: "master", Body: body, Status: 201, Save: map[string]string{"objectId": "id"}},
			scenario.Step{
				Name: "find " + class, Path: "/classes/" + class, As: "master", JSON: `{"results":[{"objectId":"{{id}}",` + dates + body[1:] + `]}`,
				TypedJSON: `{"results":[{"objectId":"{{id}}","...":0,` + body[1:] + `]}`, // tables of Parse Server without dates
			},
			scenario.Step{Name: "get " + class, Path: "/classes/" + class + "/{{id}}", As: "master", JSON: `{"objectId":"{{id}}","...":0}`},
			scenario.Step{Name: "new field of " + class, Method: "PUT", Path: "/classes/" + class + "/{{id}}", As: "master", Body: `{"extra":1}`, JSON: `{"updatedAt":"*"}`},
			scenario.Step{Name: "delete " + class, Method: "DELETE", Path: "/classes/" + class + "/{{id}}", As: "master", JSON: `{}`},
		)
	}
	served = append(served,
		scenario.Step{Name: "a request id counts once", Method: "POST", Path: "/classes/_Idempotency", As: "master", Body: `{"reqId":"b"}`, Status: 201},
		scenario.Step{Name: "a request id counts once", Method: "POST", Path: "/classes/_Idempotency", As: "master", Body: `{"reqId":"b"}`, Code: parse.DuplicateValue},
		scenario.Step{Name: "one config", Method: "POST", Path: "/classes/_GlobalConfig", As: "master", Body: `{"params":{}}`, Status: 201, JSON: `{"objectId":"1","createdAt":"*"}`},
		scenario.Step{Name: "one config", Method: "POST", Path: "/classes/_GlobalConfig", As: "master", Body: `{"params":{}}`, Code: parse.DuplicateValue},
		schemaCall("GET", "/schemas", "", `{"results":[{"className":"_Installation","...":0},{"className":"_Role","...":0},{"className":"_Session","...":0},{"className":"_User","...":0}]}`),
		schemaCall("DELETE", "/purge/_Idempotency", "", `{}`),
		scenario.Step{Name: "purged", Path: "/classes/_Idempotency", As: "master", JSON: `{"results":[]}`},
	)
	readOnly := map[string]string{"X-Parse-Master-Key": "readonly"}
	scenario.Run(t, []scenario.Scenario{
		{Name: "known", Steps: known},
		{Name: "closed to clients", Config: detailed, Steps: closed},
		{Name: "open to the master key", Steps: served},
		{Name: "audiences", Config: func(c *config.Config) { detailed(c); c.ReadOnlyMasterKey = "readonly" }, Steps: []scenario.Step{
			{Method: "POST", Path: "/push_audiences", As: "master", Body: `{"name":"ios","query":"{\"deviceType\":\"ios\"}"}`, Status: 201, Save: map[string]string{"objectId": "id"}},
			{Name: "a query that is no text", Method: "POST", Path: "/push_audiences", As: "master", Body: `{"query":{"a":1}}`, Code: parse.IncorrectType, Error: "schema mismatch for _Audience.query; expected String but got Object"},
			{Path: "/push_audiences", As: "master", JSON: `{"results":[{"objectId":"{{id}}","createdAt":"*","updatedAt":"*","name":"ios","query":{"deviceType":"ios"}}]}`},
			{Path: "/push_audiences", Query: map[string]string{"where": `{"name":"none"}`, "count": "1"}, As: "master", JSON: `{"results":[],"count":0}`},
			{Path: "/push_audiences/{{id}}", Header: readOnly, JSON: `{"query":{"deviceType":"ios"},"...":0}`},
			{Name: "text under /classes", Path: "/classes/_Audience/{{id}}", As: "master", JSON: `{"query":"{\"deviceType\":\"ios\"}","...":0}`},
			{Method: "PUT", Path: "/push_audiences/{{id}}", As: "master", Body: `{"query":"no JSON"}`, JSON: `{"updatedAt":"*"}`},
			{Path: "/push_audiences/{{id}}", As: "master", JSON: `{"query":"no JSON","...":0}`},
			{Name: "read-only", Method: "POST", Path: "/push_audiences", Header: readOnly, Body: `{}`, Code: parse.OperationForbidden},
			{Method: "DELETE", Path: "/push_audiences/{{id}}", As: "master", JSON: `{}`},
			{Path: "/push_audiences/{{id}}", As: "master", Code: parse.ObjectNotFound, Error: "Object not found."},
		}},
		{Name: "products", Config: open, Steps: []scenario.Step{
			refusalOf("_Product", `{}`, parse.IncorrectType, "productIdentifier is required."),
			refusalOf("_Product", `{"productIdentifier":"p"}`, parse.IncorrectType, "icon is required."),
			refusalOf("_Product", `{"productIdentifier":"p","icon":{"__type":"File","name":"i.png"},"order":0,"title":""}`, parse.IncorrectType, "title is required."),
			{Name: "whole", Method: "POST", Path: "/classes/_Product", Body: `{"productIdentifier":"p","icon":{"__type":"File","name":"i.png"},"order":0,"title":"t","subtitle":"s","download":{"__type":"File","name":"d.zip","url":"http://x/d.zip"}}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","downloadName":"d.zip"}`, Save: map[string]string{"objectId": "id"}},
			{Name: "updated", Method: "PUT", Path: "/classes/_Product/{{id}}", Body: `{"title":"u"}`, JSON: `{"updatedAt":"*"}`},
			{Name: "column deleted", Method: "PUT", Path: "/classes/_Product/{{id}}", Body: `{"title":{"__op":"Delete"}}`, Code: parse.IncorrectType, Error: "title is required."},
			refusalOf("_Role", `{"ACL":{}}`, parse.IncorrectType, "name is required."),
			refusalOf("_Role", `{"name":"r"}`, parse.IncorrectType, "ACL is required."),
		}},
		{Name: "rows of relations", Config: open, Steps: []scenario.Step{
			{Name: "owner", Method: "POST", Path: "/classes/A", Body: `{}`, Status: 201, Save: map[string]string{"objectId": "a"}},
			{Name: "no such relation", Path: "/classes/_Join:fans:A", As: "master", JSON: `{"results":[]}`},
			{Name: "member", Method: "POST", Path: "/classes/B", Body: `{}`, Status: 201, Save: map[string]string{"objectId": "b"}},
			{Name: "member", Method: "POST", Path: "/classes/B", Body: `{}`, Status: 201, Save: map[string]string{"objectId": "c"}},
			{Name: "related", Method: "PUT", Path: "/classes/A/{{a}}", Body: `{"fans":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"B","objectId":"{{b}}"},{"__type":"Pointer","className":"B","objectId":"{{c}}"}]}}`},
			{Name: "rows", Path: "/classes/_Join:fans:A", Query: map[string]string{"count": "1"}, As: "master", JSON: `{"results":[{"objectId":"*","owningId":"{{a}}","relatedId":"{{b}}"},{"objectId":"*","owningId":"{{a}}","relatedId":"{{c}}"}],"count":2}`},
			{Name: "rows of a member", Path: "/classes/_Join:fans:A", Query: map[string]string{"where": `{"relatedId":"{{c}}"}`}, As: "master", JSON: `{"results":[{"objectId":"*","owningId":"{{a}}","relatedId":"{{c}}"}]}`, Save: map[string]string{"results.0.objectId": "row"}},
			{Name: "one row", Path: "/classes/_Join:fans:A/{{row}}", As: "master", JSON: `{"objectId":"{{row}}","owningId":"{{a}}","relatedId":"{{c}}"}`},
			{Name: "last first", Path: "/classes/_Join:fans:A", Query: map[string]string{"order": "-relatedId", "limit": "1", "keys": "relatedId"}, As: "master", JSON: `{"results":[{"objectId":"*","relatedId":"*"}]}`},
			{Name: "not written", Method: "POST", Path: "/classes/_Join:fans:A", As: "master", Body: `{"owningId":"x","relatedId":"y"}`, Code: parse.OperationForbidden, Error: "Class _Join:fans:A is written by AddRelation and RemoveRelation alone."},
			{Name: "not deleted", Method: "DELETE", Path: "/classes/_Join:fans:A/{{row}}", As: "master", Code: parse.OperationForbidden},
		}},
	})
}

// refusalOf is a create by the master key that fails.
func refusalOf(class, body string, code parse.Code, text string) scenario.Step {
	return scenario.Step{Name: class + " " + body, Method: "POST", Path: "/classes/" + class, As: "master", Body: body, Code: code, Error: text}
}
