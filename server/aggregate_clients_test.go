package server_test

import (
	"encoding/json"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// TestAggregateForClients lets clients aggregate, and looks for ways around
// what they may not see.
func TestAggregateForClients(t *testing.T) {
	signUp := func(name string) scenario.Step {
		return scenario.Step{
			Name: "sign up " + name, Method: "POST", Path: "/users", Status: 201, Body: `{"username":"` + name + `","password":"pw","email":"` + name + `@example.com"}`,
			Save: map[string]string{"sessionToken": name + ".token", "objectId": name},
		}
	}
	class := func(name, body string) scenario.Step {
		return scenario.Step{Name: "class " + name, Method: "POST", Path: "/schemas/" + name, As: "master", Body: body}
	}
	create := func(class, body string) scenario.Step {
		return scenario.Step{Name: "create", Method: "POST", Path: "/classes/" + class, As: "master", Body: body, Status: 201}
	}
	ask := func(as, class, pipeline, want string) scenario.Step {
		return scenario.Step{Name: as + " asks " + pipeline, Path: "/aggregate/" + class, As: as, Query: map[string]string{"pipeline": pipeline}, JSON: want, Lacks: []string{"topsecret"}}
	}
	refused := func(as, class, pipeline string, code parse.Code, text string) scenario.Step {
		return scenario.Step{Name: as + " is refused " + pipeline, Path: "/aggregate/" + class, As: as, Query: map[string]string{"pipeline": pipeline}, Code: code, Error: text, Lacks: []string{"topsecret"}}
	}
	const fields = `"fields":{"n":{"type":"Number"},"kind":{"type":"String"},"secret":{"type":"String"},"owner":{"type":"Pointer","targetClass":"_User"}}`
	open := func(permission, more string) string {
		return `{` + fields + `,"classLevelPermissions":{"find":{},"get":{},"create":{"*":true},"aggregate":` + permission + more + `}}`
	}
	setUp := []scenario.Step{
		signUp("ada"), signUp("bob"),
		{Name: "role", Method: "POST", Path: "/roles", As: "master", Status: 201, Body: `{"name":"staff","ACL":{},"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{bob}}"}]}}`},
		class("Deal", open(`{"requiresAuthentication":true}`, `,"protectedFields":{"*":["secret"]}`)),
		class("Closed", open(`{}`, ``)),
		class("Staff", open(`{"role:staff":true}`, ``)),
		class("Mine", open(`{"pointerFields":["owner"]}`, ``)),
		class("Readers", `{`+fields+`,"classLevelPermissions":{"find":{},"readUserFields":["owner"]}}`),
		class("Group", open(`{"*":true}`, `,"protectedFields":{"*":["secret"],"userField:owner":[]}`)),
		create("Deal", `{"n":1,"kind":"a","secret":"topsecret1"}`),
		create("Deal", `{"n":2,"kind":"a","secret":"topsecret2","ACL":{"{{ada}}":{"read":true}}}`),
		create("Deal", `{"n":4,"kind":"b","secret":"topsecret3","ACL":{"role:staff":{"read":true}}}`),
		create("Closed", `{"n":8,"kind":"a","secret":"topsecret4"}`),
		create("Staff", `{"n":16,"kind":"a","secret":"topsecret5"}`),
		create("Mine", `{"n":32,"owner":{"__type":"Pointer","className":"_User","objectId":"{{ada}}"}}`),
		create("Mine", `{"n":64,"owner":{"__type":"Pointer","className":"_User","objectId":"{{bob}}"}}`),
		create("Readers", `{"n":1,"owner":{"__type":"Pointer","className":"_User","objectId":"{{ada}}"}}`),
		create("Group", `{"n":1,"kind":"g","secret":"topsecret6","owner":{"__type":"Pointer","className":"_User","objectId":"{{ada}}"}}`),
	}
	const sum = `[{"$group":{"_id":null,"sum":{"$sum":"$n"}}}]`
	const forbidden = "Permission denied"
	steps := append(setUp[:len(setUp):len(setUp)],
		ask("ada", "Deal", sum, `{"results":[{"objectId":null,"sum":3}]}`),
		ask("bob", "Deal", sum, `{"results":[{"objectId":null,"sum":5}]}`),
		ask("master", "Deal", sum, `{"results":[{"objectId":null,"sum":7}]}`),
		scenario.Step{Name: "no user", Path: "/aggregate/Deal", Query: map[string]string{"pipeline": sum}, Code: parse.ObjectNotFound, Error: forbidden},
		scenario.Step{Name: "an empty permission", Path: "/aggregate/Closed", As: "ada", Query: map[string]string{"pipeline": sum}, Code: parse.OperationForbidden},
		scenario.Step{Name: "no permission", Path: "/aggregate/Readers", As: "ada", Query: map[string]string{"pipeline": sum}, Status: 403, JSON: `{"error":"Permission denied"}`},
		refused("ada", "Staff", sum, parse.OperationForbidden, forbidden),
		ask("bob", "Staff", sum, `{"results":[{"objectId":null,"sum":16}]}`),
		ask("ada", "Mine", sum, `{"results":[{"objectId":null,"sum":32}]}`),
		scenario.Step{Name: "nobody's pointers", Path: "/aggregate/Mine", Query: map[string]string{"pipeline": `[{"$count":"c"}]`}, JSON: `{"results":[]}`},
		ask("ada", "Deal", `[{"$match":{"n":{"$gte":4}}},{"$count":"c"}]`, `{"results":[]}`),
		ask("bob", "Deal", `[{"$sort":{"n":1}},{"$project":{"n":1}}]`, `{"results":[{"objectId":"*","n":1},{"objectId":"*","n":4}]}`),

		// Ways to a hidden field.
		refused("ada", "Deal", `[{"$match":{"secret":{"$regex":"^topsecret1"}}},{"$count":"c"}]`, parse.OperationForbidden, forbidden),
		refused("ada", "Deal", `[{"$match":{"$or":[{"n":1},{"secret":"topsecret1"}]}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$match":{"$expr":{"$eq":["$secret","topsecret1"]}}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$group":{"_id":"$secret"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$group":{"_id":null,"x":{"$max":"$secret"}}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$sort":{"secret":1}},{"$project":{"n":1}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$project":{"secret":1}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$project":{"x":{"$substr":["$secret",0,3]}}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$facet":{"x":[{"$match":{"secret":"topsecret1"}}]}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$addFields":{"x":"$$ROOT.secret"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$addFields":{"x":"$$CURRENT.secret"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$unwind":"$secret"}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$lookup":{"from":"Deal","localField":"secret","foreignField":"secret","as":"x"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$lookup":{"from":"Deal","pipeline":[{"$match":{"secret":"topsecret1"}}],"as":"x"}},{"$project":{"x":1}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$unionWith":{"coll":"Deal","pipeline":[{"$project":{"secret":1}}]}}]`, parse.OperationForbidden, ""),
		ask("ada", "Deal", `[{"$match":{"n":1}},{"$project":{"_id":0,"keys":{"$map":{"input":{"$objectToArray":"$$ROOT"},"in":"$$this.k"}}}}]`, `{"results":[{"keys":"*"}]}`),
		ask("ada", "Deal", `[{"$match":{"n":1}},{"$replaceWith":{"x":{"$getField":{"field":{"$concat":["sec","ret"]},"input":"$$ROOT"}},"k":{"$size":{"$filter":{"input":{"$objectToArray":"$$ROOT"},"cond":{"$eq":["$$this.k",{"$concat":["sec","ret"]}]}}}}}}]`, `{"results":[{"k":0}]}`),
		ask("ada", "Deal", `[{"$group":{"_id":null,"all":{"$push":"$$ROOT"}}}]`, `{"results":[{"objectId":null,"all":"*"}]}`),
		ask("ada", "Deal", `[{"$redact":"$$DESCEND"},{"$sort":{"n":1}},{"$limit":1}]`, `{"results":[{"objectId":"*","createdAt":"*","updatedAt":"*","n":1,"kind":"a"}]}`),
		ask("ada", "Deal", `[{"$lookup":{"from":"Deal","localField":"kind","foreignField":"kind","as":"x"}},{"$match":{"n":1}},{"$project":{"_id":0,"c":{"$size":"$x"},"s":"$x.secret"}}]`, `{"results":[{"c":2,"s":[]}]}`),
		refused("ada", "Deal", `[{"$graphLookup":{"from":"Deal","startWith":"$kind","connectFromField":"secret","connectToField":"kind","as":"x"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$graphLookup":{"from":"Deal","startWith":"topsecret1","connectFromField":"kind","connectToField":"secret","as":"x"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$graphLookup":{"from":"Deal","startWith":"$kind","connectFromField":"n","connectToField":"kind","restrictSearchWithMatch":{"secret":{"$ne":"topsecret1"}},"as":"x"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$addFields":{"guess":[null,"topsecret1"]}},{"$lookup":{"from":"Deal","localField":"guess","foreignField":"secret","as":"x"}},{"$project":{"c":{"$size":"$x"}}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$facet":{"x":[{"$lookup":{"from":"Deal","let":{"s":"$secret"},"pipeline":[],"as":"x"}}]}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$setWindowFields":{"sortBy":{"secret":1},"output":{"r":{"$rank":{}}}}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$group":{"_id":null,"x":{"$top":{"sortBy":{"secret":1},"output":"$n"}}}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$fill":{"sortBy":{"n":1},"output":{"secret":{"method":"locf"}}}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$densify":{"field":"secret","range":{"step":1,"bounds":"full"}}}]`, parse.OperationForbidden, ""),
		ask("ada", "Deal", `[{"$group":{"_id":null,"x":{"$push":{"$getField":"secret"}}}},{"$project":{"_id":0,"x":1}}]`, `{"results":[{"x":[]}]}`),
		ask("ada", "Deal", `[{"$match":{"n":1}},{"$unionWith":"Deal"},{"$group":{"_id":null,"n":{"$sum":"$n"},"x":{"$addToSet":"$$ROOT"}}},{"$project":{"_id":0,"n":1,"s":"$x.secret"}}]`, `{"results":[{"n":4,"s":[]}]}`),
		scenario.Step{Name: "distinct of a hidden field", Path: "/aggregate/Deal", As: "ada", Query: map[string]string{"distinct": "secret"}, Code: parse.OperationForbidden, Lacks: []string{"topsecret"}},
		scenario.Step{Name: "distinct where a hidden field", Path: "/aggregate/Deal", As: "ada", Query: map[string]string{"distinct": "kind", "where": `{"secret":"topsecret1"}`}, Code: parse.OperationForbidden},
		scenario.Step{Name: "where a hidden field", Path: "/aggregate/Deal", As: "ada", Query: map[string]string{"pipeline": sum, "where": `{"secret":"topsecret1"}`}, Code: parse.OperationForbidden},
		scenario.Step{Name: "distinct", Path: "/aggregate/Deal", As: "ada", Query: map[string]string{"distinct": "n"}, JSON: `{"results":[1,2]}`},
		scenario.Step{Name: "raw", Path: "/aggregate/Deal", As: "ada", Query: map[string]string{"pipeline": `[{"$match":{"n":1}}]`, "rawFieldNames": "true", "rawValues": "true"}, JSON: `{"results":[{"_id":"*","_created_at":"*","_updated_at":"*","n":1,"kind":"a"}]}`, Lacks: []string{"topsecret"}},
		ask("ada", "Group", `[]`, `{"results":[{"objectId":"*","createdAt":"*","updatedAt":"*","n":1,"kind":"g","owner":{"__type":"Pointer","className":"_User","objectId":"{{ada}}"}}]}`),
		refused("ada", "Group", `[{"$group":{"_id":"$secret"}}]`, parse.OperationForbidden, ""),

		scenario.Step{Name: "users may be counted", Method: "PUT", Path: "/schemas/_User", As: "master", Body: `{"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"create":{"*":true},"update":{"*":true},"aggregate":{"*":true},"protectedFields":{"*":["email"]}}}`},
		scenario.Step{Name: "without what is theirs", Path: "/aggregate/_User", As: "ada", Query: map[string]string{"pipeline": `[{"$match":{"username":"bob"}}]`}, JSON: `{"results":[{"objectId":"{{bob}}","createdAt":"*","updatedAt":"*","username":"bob"}]}`, Lacks: []string{"$2a$", "example.com"}},
		scenario.Step{Name: "nor anybody's hash", Path: "/aggregate/_User", As: "ada", Query: map[string]string{"pipeline": `[{"$project":{"username":1,"x":"$_hashed_password","y":"$_auth_data_anonymous","z":"$$ROOT._session_token"}},{"$match":{"objectId":"{{bob}}"}}]`}, JSON: `{"results":[{"objectId":"{{bob}}","username":"bob","...":0}]}`, Lacks: []string{"$2a$", `"x"`}},
		refused("ada", "_User", `[{"$group":{"_id":"$email"}}]`, parse.OperationForbidden, ""),
		refused("ada", "_User", `[{"$group":{"_id":"$authData.facebook.id"}}]`, parse.OperationForbidden, ""),
		ask("ada", "_User", `[{"$match":{"_hashed_password":{"$regex":"^.2a"}}},{"$count":"c"}]`, `{"results":[]}`),

		// Ways to another class.
		refused("ada", "Deal", `[{"$lookup":{"from":"Closed","localField":"kind","foreignField":"kind","as":"x"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$lookup":{"from":"Readers","pipeline":[],"as":"x"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$unionWith":"Staff"}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$graphLookup":{"from":"_Role","startWith":"$kind","connectFromField":"a","connectToField":"b","as":"x"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$facet":{"x":[{"$unionWith":"Closed"}]}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$lookup":{"from":"Deal","pipeline":[{"$unionWith":"Closed"}],"as":"x"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$lookup":{"from":"_Session","pipeline":[],"as":"x"}}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$unionWith":"_Join:users:_Role"}]`, parse.OperationForbidden, ""),
		refused("ada", "Deal", `[{"$unionWith":"_Hooks"}]`, parse.OperationForbidden, ""),
		ask("bob", "Deal", `[{"$match":{"n":1}},{"$lookup":{"from":"Staff","localField":"kind","foreignField":"kind","as":"x"}},{"$project":{"_id":0,"n":"$x.n"}}]`, `{"results":[{"n":[16]}]}`),
		ask("bob", "Deal", `[{"$match":{"n":1}},{"$lookup":{"from":"Mine","pipeline":[{"$project":{"n":1}}],"as":"x"}},{"$project":{"_id":0,"n":"$x.n"}}]`, `{"results":[{"n":[64]}]}`),
		refused("ada", "Deal", `[{"$match":{"$where":"1"}}]`, parse.InvalidQuery, "unknown top level operator: $where"),
		refused("ada", "Deal", `[{"$addFields":{"x":{"$function":{"body":"1"}}}}]`, parse.InvalidQuery, "$function is not allowed: no JavaScript runs here"),
		refused("ada", "Deal", `[{"$out":"Deal"}]`, parse.InvalidQuery, "Unrecognized pipeline stage name: '$out'"),
		scenario.Step{Name: "explain", Path: "/aggregate/Deal", As: "ada", Query: map[string]string{"pipeline": sum, "explain": "true"}, Code: parse.InvalidQuery, Error: "Using the explain query parameter requires the master key"},
		scenario.Step{Name: "the permission is told", Path: "/schemas/Deal", As: "master", JSON: `{"className":"Deal","fields":"*","classLevelPermissions":{"aggregate":{"requiresAuthentication":true},"protectedFields":{"*":["secret"]},"find":{},"get":{},"create":{"*":true},"count":{},"update":{},"delete":{},"addField":{},"...":0},"...":0}`},
		scenario.Step{Name: "and taken away", Method: "PUT", Path: "/schemas/Deal", As: "master", Body: `{"classLevelPermissions":{"find":{"*":true}}}`},
		scenario.Step{Name: "no longer", Path: "/aggregate/Deal", As: "ada", Query: map[string]string{"pipeline": sum}, Status: 403},
		scenario.Step{Name: "a wrong one", Method: "PUT", Path: "/schemas/Deal", As: "master", Body: `{"classLevelPermissions":{"aggregate":{"nobody knows":true}}}`, Code: parse.InvalidJSON, Error: "'nobody knows' is not a valid key for class level permissions"},
	)
	scenario.Run(t, []scenario.Scenario{
		{Name: "clients", Config: func(c *config.Config) {
			c.ProtectedFields, c.ProtectedFieldsOwnerExempt, c.EnforcePrivateUsers = json.RawMessage(`{"_User":{"*":[]}}`), false, false
		}, Steps: steps},
		{Name: "options", Config: func(c *config.Config) {
			c.ReadOnlyMasterKey, c.AllowReadOnlyAggregate = "readonly", false
			c.Query = json.RawMessage(`{"aggregationRawValues":true,"aggregationRawFieldNames":true}`)
			c.RequestComplexity = json.RawMessage(`{"queryDepth":1,"allowRegex":false}`)
		}, Steps: []scenario.Step{
			class("Deal", open(`{"*":true}`, ``)), create("Deal", `{"n":1,"kind":"a"}`),
			{Name: "read-only key", Path: "/aggregate/Deal", Header: map[string]string{"X-Parse-Master-Key": "readonly"}, Query: map[string]string{"pipeline": sum}, Code: parse.OperationForbidden, Error: forbidden},
			ask("master", "Deal", `[{"$project":{"n":1}}]`, `{"results":[{"_id":"*","n":1}]}`),
			{Name: "not raw", Path: "/aggregate/Deal", As: "master", Query: map[string]string{"pipeline": `[{"$project":{"n":1}}]`, "rawFieldNames": "false"}, JSON: `{"results":[{"objectId":"*","n":1}]}`},
			refused("", "Deal", `[{"$match":{"$or":[{"$or":[{"n":1}]}]}}]`, parse.InvalidQuery, "Query condition nesting depth exceeds maximum allowed depth of 1"),
			refused("", "Deal", `[{"$match":{"kind":{"$regex":"a"}}}]`, parse.InvalidQuery, "$regex operator is not allowed"),
			refused("", "Deal", `[{"$project":{"x":{"$regexMatch":{"input":"$kind","regex":"a"}}}}]`, parse.InvalidQuery, "$regex operator is not allowed"),
			ask("", "Deal", sum, `{"results":[{"_id":null,"sum":1}]}`),
			{Name: "explain", Path: "/aggregate/Deal", As: "master", Query: map[string]string{"pipeline": `[{"$match":{"n":1}},{"$group":{"_id":"$kind","c":{"$sum":1}}},{"$redact":"$$KEEP"}]`, "explain": "true"}, JSON: `{"results":[{"stagesOfDatabase":["$match","$group"],"stagesOfServer":["$redact"],"...":0}]}`},
			{Name: "hint", Path: "/aggregate/Deal", As: "master", Query: map[string]string{"pipeline": sum, "hint": `"_id_"`, "comment": "why", "readPreference": "SECONDARY_PREFERRED"}, JSON: `{"results":[{"_id":null,"sum":1}]}`},
		}},
	})
}
