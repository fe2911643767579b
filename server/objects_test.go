package server_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

const everyType = `"s":"text","n":1.5,"b":true,"a":[1,"x",{"k":null}],"o":{"z":1,"a":[2]},` +
	`"d":{"__type":"Date","iso":"2020-01-02T03:04:05.678Z"},"p":{"__type":"Pointer","className":"B","objectId":"b1"},` +
	`"g":{"__type":"GeoPoint","latitude":40.5,"longitude":-30.25},"y":{"__type":"Bytes","base64":"aGVsbG8="}`

func TestObjects(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{
		{Name: "types", Config: open, Steps: []scenario.Step{
			{Name: "create", Method: "POST", Path: "/classes/A", Body: `{` + everyType + `}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*"}`, Save: map[string]string{"objectId": "id", "createdAt": "at"}},
			{Name: "read", Path: "/classes/A/{{id}}", JSON: `{"objectId":"{{id}}","createdAt":"{{at}}","updatedAt":"{{at}}",` + everyType + `}`},
			{Name: "other type", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"n":"x"}`, Code: parse.IncorrectType, Error: "schema mismatch for A.n; expected Number but got String"},
			{Name: "other class", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"p":{"__type":"Pointer","className":"C","objectId":"x"}}`, Code: parse.IncorrectType, Error: "schema mismatch for A.p; expected Pointer<B> but got Pointer<C>"},
			{Name: "invalid date", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"d":{"__type":"Date"}}`, Code: parse.IncorrectType, Error: "This is not a valid Date"},
			{Name: "invalid field name", Method: "POST", Path: "/classes/A", Body: `{"a-b":1}`, Code: parse.InvalidKeyName, Error: "Invalid field name: a-b."},
			{Name: "internal field", Method: "POST", Path: "/classes/A", Body: `{"_x":1}`, Code: parse.InvalidKeyName},
			{Name: "nested key", Method: "POST", Path: "/classes/A", Body: `{"o":{"$x":1}}`, Code: parse.InvalidNestedKey},
			{Name: "own id", Method: "POST", Path: "/classes/A", Body: `{"objectId":"x"}`, Code: parse.InvalidKeyName, Error: "objectId is an invalid field name."},
			{Name: "unset", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"s":{"__op":"Delete"},"n":null}`, JSON: `{"updatedAt":"*"}`},
			{Name: "is gone", Path: "/classes/A/{{id}}", Query: map[string]string{"keys": "s,b"}, JSON: `{"objectId":"{{id}}","createdAt":"*","updatedAt":"*","b":true}`},
			{Name: "delete", Method: "DELETE", Path: "/classes/A/{{id}}", JSON: `{}`},
			{Name: "read nothing", Path: "/classes/A/{{id}}", Code: parse.ObjectNotFound, Error: "Object not found."},
			{Name: "update nothing", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"s":"x"}`, Code: parse.ObjectNotFound},
			{Name: "delete nothing", Method: "DELETE", Path: "/classes/A/{{id}}", Code: parse.ObjectNotFound},
		}},
		{Name: "operations", Config: open, Steps: []scenario.Step{
			{Name: "on create", Method: "POST", Path: "/classes/A", Body: `{"n":{"__op":"Increment","amount":2},"a":{"__op":"AddUnique","objects":[1,2]}}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","n":2,"a":[1,2]}`, Save: map[string]string{"objectId": "id"}},
			{Name: "on update", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"n":{"__op":"Increment","amount":-0.5},"a":{"__op":"Add","objects":[2]}}`, JSON: `{"updatedAt":"*","n":1.5,"a":[1,2,2]}`},
			{Name: "remove", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"a":{"__op":"Remove","objects":[2]}}`, JSON: `{"updatedAt":"*","a":[1]}`},
			{Name: "unique", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"a":{"__op":"AddUnique","objects":[1,3,3]}}`, JSON: `{"updatedAt":"*","a":[1,3]}`},
			{Name: "nested", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"o.k":{"__op":"Increment","amount":3}}`, JSON: `{"updatedAt":"*","o":{"k":3}}`},
			{Name: "bad amount", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"n":{"__op":"Increment","amount":"x"}}`, Code: parse.InvalidJSON},
			{Name: "unknown", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"n":{"__op":"Pow"}}`, Code: parse.CommandUnavailable, Error: "The Pow operator is not supported yet."},
			{Name: "relation", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"r":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"A","objectId":"{{id}}"}]}}`, JSON: `{"updatedAt":"*"}`},
			{Name: "members", Path: "/classes/A", Query: map[string]string{"where": `{"$relatedTo":{"object":{"__type":"Pointer","className":"A","objectId":"{{id}}"},"key":"r"}}`}, JSON: `{"results":[{"objectId":"{{id}}","r":{"__type":"Relation","className":"A"},"...":0}]}`},
			{Name: "remove a member", Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"r":{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"A","objectId":"{{id}}"}]}}`, JSON: `{"updatedAt":"*"}`},
			{Name: "no members", Path: "/classes/A", Query: map[string]string{"where": `{"$relatedTo":{"object":{"__type":"Pointer","className":"A","objectId":"{{id}}"},"key":"r"}}`}, JSON: `{"results":[]}`},
		}},
		{Name: "classes that are not there", Steps: []scenario.Step{
			{Name: "create", Method: "POST", Path: "/classes/Nope", Body: `{}`, Code: parse.OperationForbidden, Error: "Permission denied"},
			{Name: "find", Path: "/classes/Nope", Code: parse.OperationForbidden},
			{Name: "master creates", Method: "POST", Path: "/classes/Nope", Body: `{"n":1}`, As: "master", Status: 201},
			{Name: "then it is there", Path: "/classes/Nope", JSON: `{"results":[{"n":1,"...":0}]}`},
			{Name: "bad name", Method: "POST", Path: "/classes/1x", As: "master", Body: `{}`, Status: 400},
		}},
	})
}

// numbers are the objects that queries look for.
var numbers = scenario.Step{Name: "objects", Method: "POST", Path: "/batch", Body: `{"requests":[
	{"method":"POST","path":"/parse/classes/N","body":{"n":1,"s":"one","odd":true,"tags":["a","b"]}},
	{"method":"POST","path":"/parse/classes/N","body":{"n":2,"s":"two","odd":false,"tags":["b"]}},
	{"method":"POST","path":"/parse/classes/N","body":{"n":3,"s":"three","odd":true,"tags":[]}},
	{"method":"POST","path":"/parse/classes/N","body":{"n":4,"s":"four","odd":false}}]}`, Save: map[string]string{"0.success.objectId": "one", "1.success.objectId": "two"}}

func TestQueries(t *testing.T) {
	find := func(name, where, want string, more ...string) scenario.Step {
		q := map[string]string{"where": where, "order": "n", "keys": "n"}
		for i := 0; i+1 < len(more); i += 2 {
			q[more[i]] = more[i+1]
		}
		list := ""
		for i, c := range want {
			if i > 0 {
				list += ","
			}
			list += `{"n":` + string(c) + `,"...":0}`
		}
		return scenario.Step{Name: name, Path: "/classes/N", Query: q, JSON: `{"results":[` + list + `],"...":0}`}
	}
	scenario.Run(t, []scenario.Scenario{{Name: "find", Config: open, Steps: []scenario.Step{
		numbers,
		find("all", `{}`, "1234"),
		find("equal", `{"s":"two"}`, "2"),
		find("not equal", `{"s":{"$ne":"two"}}`, "134"),
		find("less", `{"n":{"$lt":3}}`, "12"),
		find("between", `{"n":{"$gte":2,"$lte":3}}`, "23"),
		find("greater", `{"n":{"$gt":3}}`, "4"),
		find("in", `{"n":{"$in":[1,4,9]}}`, "14"),
		find("in nothing", `{"n":{"$in":[]}}`, ""),
		find("not in", `{"n":{"$nin":[1,4]}}`, "23"),
		find("exists", `{"tags":{"$exists":true}}`, "123"),
		find("does not exist", `{"tags":{"$exists":false}}`, "4"),
		find("element of an array", `{"tags":"b"}`, "12"),
		find("all elements", `{"tags":{"$all":["a","b"]}}`, "1"),
		find("no such element", `{"tags":{"$ne":"b"}}`, "34"),
		find("or", `{"$or":[{"n":1},{"s":"four"}]}`, "14"),
		find("and", `{"$and":[{"odd":true},{"n":{"$gt":1}}]}`, "3"),
		find("nor", `{"$nor":[{"n":1},{"n":2}]}`, "34"),
		find("null is missing", `{"tags":null}`, "4"),
		find("pattern", `{"s":{"$regex":"^t"}}`, "23"),
		find("pattern with options", `{"s":{"$regex":"^\\QTW","$options":"i"}}`, "2"),
		find("by id", `{"objectId":"{{one}}"}`, "1"),
		find("descending", `{}`, "4321", "order", "-n"),
		find("two keys of order", `{}`, "2413", "order", "odd,n"),
		find("skip and limit", `{}`, "23", "skip", "1", "limit", "2"),
		find("unknown field", `{"zzz":1}`, ""),
		find("other type", `{"n":"1"}`, ""),
		{Name: "count", Path: "/classes/N", Query: map[string]string{"where": `{"odd":true}`, "count": "1", "limit": "0"}, JSON: `{"results":[],"count":2}`},
		{Name: "count beside results", Path: "/classes/N", Query: map[string]string{"count": "true", "limit": "1", "order": "n", "keys": "s"}, JSON: `{"results":[{"objectId":"{{one}}","createdAt":"*","updatedAt":"*","s":"one"}],"count":4}`},
		{Name: "keys left out", Path: "/classes/N", Query: map[string]string{"excludeKeys": "tags,s,odd", "limit": "1", "order": "n"}, JSON: `{"results":[{"objectId":"{{one}}","createdAt":"*","updatedAt":"*","n":1}]}`},
		{Name: "bad operator", Path: "/classes/N", Query: map[string]string{"where": `{"n":{"$not":1}}`}, Code: parse.InvalidJSON, Error: "bad constraint: $not"},
		{Name: "bad key", Path: "/classes/N", Query: map[string]string{"where": `{"$where":"1"}`}, Code: parse.InvalidKeyName},
		{Name: "bad order", Path: "/classes/N", Query: map[string]string{"order": "a-b"}, Code: parse.InvalidKeyName, Error: "Invalid field name: a-b."},
	}}})
}

func TestInclude(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{Name: "include", Config: open, Steps: []scenario.Step{
		{Name: "grandparent", Method: "POST", Path: "/classes/G", Body: `{"name":"g"}`, Status: 201, Save: map[string]string{"objectId": "g"}},
		{Name: "parent", Method: "POST", Path: "/classes/P", Body: `{"name":"p","g":{"__type":"Pointer","className":"G","objectId":"{{g}}"}}`, Status: 201, Save: map[string]string{"objectId": "p"}},
		{Name: "child", Method: "POST", Path: "/classes/C", Body: `{"name":"c","p":{"__type":"Pointer","className":"P","objectId":"{{p}}"},"list":[{"__type":"Pointer","className":"G","objectId":"{{g}}"},{"__type":"Pointer","className":"G","objectId":"gone"},7]}`, Status: 201, Save: map[string]string{"objectId": "c"}},
		{Name: "none", Path: "/classes/C/{{c}}", JSON: `{"p":{"__type":"Pointer","className":"P","objectId":"{{p}}"},"...":0}`},
		{Name: "one level", Path: "/classes/C/{{c}}", Query: map[string]string{"include": "p"}, JSON: `{"p":{"__type":"Object","className":"P","objectId":"{{p}}","name":"p","g":{"__type":"Pointer","className":"G","objectId":"{{g}}"},"...":0},"...":0}`},
		{Name: "two levels", Path: "/classes/C", Query: map[string]string{"include": "p.g"}, JSON: `{"results":[{"p":{"g":{"__type":"Object","className":"G","name":"g","...":0},"...":0},"...":0}]}`},
		{Name: "in an array", Path: "/classes/C/{{c}}", Query: map[string]string{"include": "list", "keys": "list"}, JSON: `{"objectId":"{{c}}","createdAt":"*","updatedAt":"*","list":[{"__type":"Object","name":"g","...":0},7]}`},
		{Name: "sub-query", Path: "/classes/C", Query: map[string]string{"where": `{"p":{"$inQuery":{"className":"P","where":{"name":"p"}}}}`, "keys": "name"}, JSON: `{"results":[{"name":"c","...":0}]}`},
		{Name: "negated sub-query", Path: "/classes/C", Query: map[string]string{"where": `{"p":{"$notInQuery":{"className":"P","where":{"name":"p"}}}}`}, JSON: `{"results":[]}`},
		{Name: "select", Path: "/classes/G", Query: map[string]string{"where": `{"name":{"$select":{"query":{"className":"G","where":{}},"key":"name"}}}`}, JSON: `{"results":[{"name":"g","...":0}]}`},
	}}})
}
