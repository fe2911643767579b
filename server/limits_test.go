package server_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// denying is a configuration with a denylist; "" is the default one.
func denying(list string) func(*config.Config) {
	return func(c *config.Config) {
		open(c)
		if list != "" {
			c.RequestKeywordDenylist = json.RawMessage(list)
		}
	}
}

func TestDenylist(t *testing.T) {
	const path = "/classes/A"
	post := func(body, entry string) scenario.Step {
		st := scenario.Step{Name: body, Method: "POST", Path: path, Body: body}
		if entry != "" {
			st.Code, st.Error = parse.InvalidKeyName, "Prohibited keyword in request data: "+entry+"."
		}
		return st
	}
	const code, ctor, proto = `{"key":"_bsontype","value":"Code"}`, `{"key":"constructor"}`, `{"key":"__proto__"}`
	scenario.Run(t, []scenario.Scenario{
		{Name: "defaults", Config: denying(""), Steps: []scenario.Step{
			post(`{"o":{"_bsontype":"Code"}}`, code),
			post(`{"o":{"_bsontype":"ObjectID"}}`, ""),
			post(`{"constructor":1}`, ctor),
			post(`{"myconstructorx":1}`, ctor),
			post(`{"o":{"ok":1,"deep":[1,{"a":[{"constructor":null}]}]}}`, ctor),
			post(`{"o":{"first":{},"__proto__":{}}}`, proto),
			post(`{"l":{"__op":"Add","objects":[{"constructor":1}]}}`, ctor),
			post(`{"s":"constructor","l":["__proto__"]}`, ""),
			{Name: "object", Method: "POST", Path: path, Body: `{"o":{}}`, Save: map[string]string{"objectId": "id"}},
			{Name: "update", Method: "PUT", Path: path + "/{{id}}", Body: `{"o.constructor.x":1}`, Code: parse.InvalidKeyName, Error: "Prohibited keyword in request data: " + ctor + "."},
			{Name: "by the master key", Method: "PUT", Path: path + "/{{id}}", As: "master", Body: `{"o":{"__proto__":1}}`, Code: parse.InvalidKeyName},
			{Name: "sign-up", Method: "POST", Path: "/users", Body: `{"username":"u","password":"p","o":{"constructor":1}}`, Code: parse.InvalidKeyName},
			{
				Name: "in a batch", Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"POST","path":"/parse/classes/A","body":{"o":{"constructor":1}}}]}`,
				JSON: `[{"error":{"code":105,"error":"Prohibited keyword in request data: {\"key\":\"constructor\"}."}}]`,
			},
			{Name: "unchanged", Path: path + "/{{id}}", JSON: `{"o":{},"...":0}`},
		}},
		{Name: "own entries", Config: denying(`[{"value":"^bad"},{"key":"k","value":7},{"key":"^latitude$"}, { "value": true }]`), Steps: []scenario.Step{
			post(`{"s":"badly"}`, `{"value":"^bad"}`),
			post(`{"s":"not bad"}`, ""),
			post(`{"a":["x",["bad"]]}`, `{"value":"^bad"}`),
			post(`{"p":{"__type":"Pointer","className":"Other","objectId":"bad1"}}`, `{"value":"^bad"}`),
			post(`{"o":{"key":7}}`, `{"key":"k","value":7}`),
			post(`{"o":{"key":8,"n":7}}`, ""),
			post(`{"g":{"__type":"GeoPoint","latitude":1,"longitude":1}}`, `{"key":"^latitude$"}`),
			post(`{"b":true}`, `{"value":true}`),
			post(`{"e":{"constructor":1}}`, ""),
		}},
		{Name: "none", Config: denying(`[]`), Steps: []scenario.Step{post(`{"o":{"constructor":1}}`, "")}},
		{
			Name: "what a hook sets", Config: denying(""),
			Cloud: func(app *cloudcode.App) {
				app.BeforeSave("A", func(_ context.Context, r *cloudcode.SaveRequest) error {
					r.Object.Set("o", parse.NewMap(parse.MapField{Key: "constructor", Value: 1.0}))
					return nil
				})
			},
			Steps: []scenario.Step{
				post(`{}`, ctor),
				{Name: "nothing was saved", Path: path, JSON: `{"results":[]}`},
			},
		},
	})
}

func TestComplexity(t *testing.T) {
	config := func(c *config.Config) {
		open(c)
		c.RequestComplexity = json.RawMessage(`{"queryDepth":2,"subqueryDepth":1,"subqueryLimit":1,"includeDepth":2,"includeCount":3,"batchRequestLimit":2,"allowRegex":false}`)
	}
	const (
		deep    = "Query condition nesting depth exceeds maximum allowed depth of 2"
		sub     = "Subquery nesting depth exceeds maximum allowed depth of 1"
		regex   = "$regex operator is not allowed"
		or1     = `{"$or":[{"n":1}]}`
		or2     = `{"$and":[` + or1 + `]}`
		or3     = `{"$nor":[` + or2 + `]}`
		inQuery = `{"p":{"$inQuery":{"className":"A","where":`
	)
	find := func(params map[string]string, text string) scenario.Step {
		st := scenario.Step{Path: "/classes/A", Query: params, Error: text}
		st.Name = params["where"] + params["include"] + params["keys"] + params["includeAll"]
		if text != "" {
			st.Code = parse.InvalidQuery
		}
		return st
	}
	where := func(where, text string) scenario.Step { return find(map[string]string{"where": where}, text) }
	batch := func(n int) string {
		list := make([]map[string]string, n)
		for i := range list {
			list[i] = map[string]string{"method": "GET", "path": "/parse/classes/A"}
		}
		b, _ := json.Marshal(map[string]any{"requests": list})
		return string(b)
	}
	asMaster := where(or3, "")
	asMaster.As = "master"
	inBody := where("", deep)
	inBody.Method, inBody.Query, inBody.Body, inBody.Name = "POST", nil, `{"_method":"GET","where":`+or3+`}`, "in the body"
	scenario.Run(t, []scenario.Scenario{{Name: "requests", Config: config, Steps: []scenario.Step{
		{Name: "target", Method: "POST", Path: "/classes/B", Body: `{"n":1}`, Save: map[string]string{"objectId": "b1"}},
		{Name: "other target", Method: "POST", Path: "/classes/B", Body: `{"n":1}`, Save: map[string]string{"objectId": "b2"}},
		{Name: "first", Method: "POST", Path: "/classes/A", Body: `{"n":1,"q":{},"p":{"__type":"Pointer","className":"B","objectId":"{{b1}}"}}`, Status: 201, Save: map[string]string{"objectId": "id"}},
		{Name: "second", Method: "POST", Path: "/classes/A", Body: `{"n":2,"l":[],"m":[],"p":{"__type":"Pointer","className":"B","objectId":"{{b2}}"}}`, Status: 201},
		where(or2, ""), where(or3, deep), asMaster, inBody,
		where(inQuery+`{}}}}`, ""),
		where(inQuery+or2+`}}}`, ""),
		where(inQuery+or3+`}}}`, deep),
		where(inQuery+inQuery+`{}}}}}}}`, sub),
		where(`{"n":{"$select":{"key":"n","query":{"className":"B","where":`+inQuery+`{}}}}}}}}`, sub),
		where(`{"n":{"$regex":"a"}}`, regex),
		where(`{"n":{"$all":[{"$regex":"^\\Qa"}]}}`, regex),
		where(inQuery+`{"s":{"$regex":"a"}}}}}`, regex),
		find(map[string]string{"include": "p,q.r"}, ""),
		find(map[string]string{"include": "p.q.r"}, "Include depth of 3 exceeds maximum allowed depth of 2"),
		find(map[string]string{"include": "p,q.r,s"}, "Number of include fields (4) exceeds maximum allowed (3)"),
		find(map[string]string{"keys": "p.a,q.a,r.a,s.a"}, "Number of include fields (4) exceeds maximum allowed (3)"),
		find(map[string]string{"includeAll": "1"}, ""),
		find(map[string]string{"includeAll": "1", "include": "p.q"}, "Number of include fields (4) exceeds maximum allowed (3)"),
		{Name: "get", Path: "/classes/A/{{id}}", Query: map[string]string{"include": "p.q.r"}, Code: parse.InvalidQuery},
		{
			Name: "rows of a sub-query", Path: "/classes/A", JSON: `{"results":[{"n":1,"...":0}]}`,
			Query: map[string]string{"where": inQuery[:len(inQuery)-len(`"A","where":`)] + `"B","where":{"n":1}}}}`},
		},
		{
			Name: "rows for the master key", Path: "/classes/A", As: "master", JSON: `{"results":[],"count":2}`,
			Query: map[string]string{"where": inQuery[:len(inQuery)-len(`"A","where":`)] + `"B","where":{"n":1}}}}`, "count": "1", "limit": "0"},
		},
		{Name: "batch", Method: "POST", Path: "/batch", Body: batch(2)},
		{Name: "long batch", Method: "POST", Path: "/batch", Body: batch(3), Code: parse.InvalidJSON, Error: "Batch request contains 3 sub-requests, which exceeds the limit of 2."},
		{Name: "long batch of the master key", Method: "POST", Path: "/batch", As: "master", Body: batch(3)},
	}}})
}

// TestComplexityOfSubscriptions: live queries are clients' queries, too.
func TestComplexityOfSubscriptions(t *testing.T) {
	s := scenario.Start(t, "sqlite::memory:", func(c *config.Config) {
		open(c)
		c.StartLiveQueryServer = true
		c.LiveQuery.ClassNames = []string{"A"}
		c.RequestComplexity = json.RawMessage(`{"queryDepth":1,"allowRegex":false}`)
	}, nil)
	s.Do(t, &scenario.Step{Name: "class", Method: "POST", Path: "/classes/A", Body: `{"n":1}`})
	l := dial(t, s, "A", "")
	for where, want := range map[string]string{
		`{"$or":[{"n":1}]}`:              "",
		`{"$or":[{"$and":[{"n":1}]}]}`:   "Query condition nesting depth exceeds maximum allowed depth of 1",
		`{"$or":[{"s":{"$regex":"x"}}]}`: "$regex operator is not allowed",
	} {
		l.send(`{"op":"subscribe","requestId":2,"query":{"className":"A","where":` + where + `}}`)
		if f := l.next(); f.Error != want || (f.Op == "subscribed") != (want == "") {
			t.Errorf("%s: %+v", where, f)
		}
		if want == "" {
			l.send(`{"op":"unsubscribe","requestId":2}`)
			l.next()
		}
	}
}
