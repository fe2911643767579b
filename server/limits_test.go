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
