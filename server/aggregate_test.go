package server_test

import (
	"context"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

func TestAggregate(t *testing.T) {
	create := func(body string) scenario.Step {
		return scenario.Step{Name: "create", Method: "POST", Path: "/classes/Sale", Body: body, Status: 201}
	}
	sales := []scenario.Step{
		{Name: "create a shop", Method: "POST", Path: "/classes/Shop", Body: `{"name":"north"}`, Status: 201, Save: map[string]string{"objectId": "shop"}},
		create(`{"n":1,"kind":"a","tags":["x","y"],"at":{"__type":"Date","iso":"2024-01-02T00:00:00.000Z"},"shop":{"__type":"Pointer","className":"Shop","objectId":"{{shop}}"}}`),
		create(`{"n":2,"kind":"b","tags":["y"],"at":{"__type":"Date","iso":"2024-02-02T00:00:00.000Z"},"shop":{"__type":"Pointer","className":"Shop","objectId":"{{shop}}"}}`),
		create(`{"n":4,"kind":"a"}`),
	}
	ask := func(name, pipeline, want string) scenario.Step {
		return scenario.Step{Name: name, Path: "/aggregate/Sale", As: "master", Query: map[string]string{"pipeline": pipeline}, JSON: want}
	}
	refused := func(name, pipeline string, code parse.Code, text string) scenario.Step {
		return scenario.Step{Name: name, Path: "/aggregate/Sale", As: "master", Query: map[string]string{"pipeline": pipeline}, Code: code, Error: text}
	}
	distinct := func(field, where, want string) scenario.Step {
		return scenario.Step{Name: "distinct " + field, Path: "/aggregate/Sale", As: "master", Query: map[string]string{"distinct": field, "where": where}, JSON: want}
	}
	readOnly := func(c *config.Config) { open(c); c.ReadOnlyMasterKey = "readonly" }
	scenario.Run(t, []scenario.Scenario{
		{Name: "aggregate", Config: readOnly, Steps: append(sales[:len(sales):len(sales)],
			ask("group", `[{"$group":{"_id":"$kind","sum":{"$sum":"$n"}}},{"$sort":{"_id":1}}]`, `{"results":[{"objectId":"a","sum":5},{"objectId":"b","sum":2}]}`),
			ask("group by pointer", `[{"$match":{"shop":"{{shop}}"}},{"$group":{"_id":"$shop","c":{"$sum":1}}}]`, `{"results":[{"objectId":"{{shop}}","c":2}]}`),
			ask("group by null", `{"$group":{"_id":null,"avg":{"$avg":"$n"},"last":{"$max":"$createdAt"}}}`, `{"results":[{"objectId":null,"avg":"*","last":{"__type":"Date","iso":"*"}}]}`),
			ask("match a date", `[{"$match":{"at":{"$gt":"2024-01-15T00:00:00Z"}}},{"$project":{"n":1,"at":1,"shop":1}}]`,
				`{"results":[{"objectId":"*","n":2,"at":{"__type":"Date","iso":"2024-02-02T00:00:00.000Z"},"shop":{"__type":"Pointer","className":"Shop","objectId":"{{shop}}"}}]}`),
			ask("match a time", `[{"$match":{"createdAt":{"$lt":"2000-01-01T00:00:00Z"}}}]`, `{"results":[]}`),
			ask("whole objects", `[{"$match":{"n":4}}]`, `{"results":[{"objectId":"*","createdAt":"*","updatedAt":"*","n":4,"kind":"a"}]}`),
			ask("unwind", `[{"$unwind":"$tags"},{"$sortByCount":"$tags"}]`, `{"results":[{"objectId":"y","count":2},{"objectId":"x","count":1}]}`),
			ask("lookup", `[{"$match":{"n":1}},{"$addFields":{"key":{"$arrayElemAt":[{"$split":["$_p_shop",{"$literal":"$"}]},1]}}},{"$lookup":{"from":"Shop","localField":"key","foreignField":"_id","as":"s"}},{"$project":{"_id":0,"name":{"$first":"$s.name"}}}]`, `{"results":[{"name":"north"}]}`),
			ask("raw", `[{"$match":{"at":{"$gt":"2024-01-15T00:00:00Z"}}},{"$project":{"_id":0,"n":1}}]`, `{"results":[{"n":2}]}`),
			scenario.Step{
				Name: "raw names and values", Method: "POST", Path: "/aggregate/Sale", As: "master", Body: `{"_method":"GET","rawValues":true,"rawFieldNames":true,"pipeline":[{"$match":{"at":{"$gt":{"$date":"2024-01-15T00:00:00Z"}}}},{"$project":{"at":1}}]}`,
				JSON: `{"results":[{"_id":"*","at":{"$date":"2024-02-02T00:00:00.000Z"}}]}`,
			},
			scenario.Step{Name: "stages in order", Path: "/aggregate/Sale?$match=%7B%22kind%22:%22a%22%7D&$count=c", As: "master", JSON: `{"results":[{"c":2}]}`},
			scenario.Step{Name: "stages as parameters", Path: "/aggregate/Sale", As: "master", Query: map[string]string{"$match": `{"kind":"a"}`, "$project": `{"n":1}`, "$sort": `{"n":1}`}, JSON: `{"results":[{"objectId":"*","n":1},{"objectId":"*","n":4}]}`},
			scenario.Step{Name: "read-only master key", Path: "/aggregate/Sale", Header: map[string]string{"X-Parse-Master-Key": "readonly"}, Query: map[string]string{"pipeline": `[{"$count":"c"}]`}, JSON: `{"results":[{"c":3}]}`},
			scenario.Step{Name: "no class", Path: "/aggregate/Nothing", As: "master", Query: map[string]string{"pipeline": `[{"$count":"c"}]`}, JSON: `{"results":[]}`},
			scenario.Step{Name: "no master key", Path: "/aggregate/Sale", Status: 403, JSON: `{"error":"Permission denied"}`},
			distinct("kind", "", `{"results":["a","b"]}`),
			distinct("tags", `{"n":{"$gt":1}}`, `{"results":["y"]}`),
			distinct("shop", "", `{"results":[{"__type":"Pointer","className":"Shop","objectId":"{{shop}}"}]}`),
			distinct("nothing", "", `{"results":[]}`),
			scenario.Step{Name: "bad where", Path: "/aggregate/Sale", As: "master", Query: map[string]string{"distinct": "n", "where": `{x`}, Code: parse.InvalidJSON},
			scenario.Step{Name: "a group of constants", Path: "/aggregate/Sale", As: "master", Query: map[string]string{"pipeline": `[{"$group":{"_id":null,"x":{"$sum":"$createdAt"}}}]`}, JSON: `{"results":[{"objectId":null,"x":0}]}`},
			scenario.Step{Name: "nothing but a group", Path: "/aggregate/Sale", As: "master", Query: map[string]string{"pipeline": `[{"$group":{"_id":"all"}}]`}, JSON: `{"results":[{"objectId":"all"}]}`},
			scenario.Step{Name: "a group of none", Path: "/aggregate/Sale", As: "master", Query: map[string]string{"pipeline": `[{"$match":{"n":-1}},{"$group":{"_id":null,"x":{"$sum":"$kind"}}}]`}, JSON: `{"results":[]}`},
			scenario.Step{Name: "bad name", Path: "/aggregate/Sale", As: "master", Query: map[string]string{"distinct": "a'b"}, Code: parse.InvalidKeyName, Error: "Invalid field name: a'b"},
			refused("no dollar", `[{"group":{"_id":null}}]`, parse.InvalidQuery, "Invalid aggregate stage 'group'."),
			refused("two keys", `[{"$match":{},"$limit":1}]`, parse.InvalidQuery, "Pipeline stages should only have one key but found $match, $limit."),
			refused("no _id", `[{"$group":{}}]`, parse.InvalidQuery, "Invalid parameter for query: group. Missing key _id"),
			refused("objectId", `[{"$group":{"_id":null,"objectId":"$n"}}]`, parse.InvalidQuery, "Cannot use 'objectId' in aggregation stage $group."),
			refused("writes", `[{"$out":"Sale"}]`, parse.InvalidQuery, "Unrecognized pipeline stage name: '$out'"),
		)},
		{Name: "no secrets", Config: open, Steps: []scenario.Step{
			{Name: "sign up", Method: "POST", Path: "/users", Body: `{"username":"ada","password":"secret-word"}`, Status: 201},
			{Name: "password hash", Path: "/aggregate/_User", As: "master", Query: map[string]string{"pipeline": `[{"$project":{"username":1,"x":"$_hashed_password"}}]`}, JSON: `{"results":[{"objectId":"*","username":"ada","...":0}]}`, Lacks: []string{"$2a$", `"x":`}},
		}},
		{Name: "hooks", Config: open, Cloud: func(app *cloudcode.App) {
			app.BeforeFind("Sale", func(context.Context, *cloudcode.FindRequest) error {
				return parse.Errorf(parse.ScriptFailed, "not today")
			})
		}, Steps: []scenario.Step{
			sales[0], sales[1],
			{Name: "the hook refuses", Path: "/aggregate/Sale", As: "master", Query: map[string]string{"pipeline": `[]`}, Code: parse.ScriptFailed, Error: "not today"},
		}},
	})
}
