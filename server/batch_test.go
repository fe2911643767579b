package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

// batchOf is a batch of requests to one class.
func batchOf(transaction bool, requests ...string) string {
	return fmt.Sprintf(`{"transaction":%v,"requests":[%s]}`, transaction, strings.Join(requests, ","))
}

func creating(class, body string) string {
	return `{"method":"POST","path":"/parse/classes/` + class + `","body":` + body + `}`
}

func updating(class, id, body string) string {
	return `{"method":"PUT","path":"/parse/classes/` + class + `/` + id + `","body":` + body + `}`
}

func deleting(class, id string) string {
	return `{"method":"DELETE","path":"/parse/classes/` + class + `/` + id + `"}`
}

// Items of a batch that do the same are carried out together: each must end as
// if it had been sent alone, and stand at its place in the answer.
func TestBatchTogether(t *testing.T) {
	const made = `{"success":{"objectId":"*","createdAt":"*"}}`
	const gone = `{"error":{"code":101,"error":"Object not found."}}`
	unique := scenario.Step{
		Name: "a unique field", Method: "POST", Path: "/schemas/Part", As: "master",
		Body: `{"fields":{"code":{"type":"String","required":true},"n":{"type":"Number","defaultValue":3}},"indexes":{"code_1":{"code":1}},"indexOptions":{"code_1":{"unique":true,"sparse":true}}}`,
	}
	var before, after atomic.Int64
	scenario.Run(t, []scenario.Scenario{
		{Name: "each for itself", Config: open, Steps: []scenario.Step{
			unique,
			{
				Name: "creates", Method: "POST", Path: "/batch",
				Body: batchOf(false, creating("Part", `{"code":"a"}`), creating("Other", `{"x":1}`), creating("Part", `{}`),
					creating("Part", `{"code":"b","n":1,"fresh":{"__type":"GeoPoint","latitude":1,"longitude":2}}`), creating("Part", `{"code":"c","n":"x"}`), creating("Other", `{"x":2}`)),
				JSON: `[{"success":{"objectId":"*","createdAt":"*","n":3}},` + made + `,{"error":{"code":142,"error":"code is required"}},` + made +
					`,{"error":{"code":111,"error":"schema mismatch for Part.n; expected Number but got String"}},` + made + `]`,
				Save: map[string]string{"0.success.objectId": "a", "1.success.objectId": "o1", "3.success.objectId": "b", "5.success.objectId": "o2"},
			},
			{
				Name: "a duplicate among others", Method: "POST", Path: "/batch",
				Body: batchOf(false, creating("Part", `{"code":"d"}`), creating("Part", `{"code":"a"}`), creating("Part", `{"code":"e"}`)),
				JSON: `[{"success":{"...":0}},{"error":{"code":137,"error":"A duplicate value for a field with unique values was provided"}},{"success":{"...":0}}]`,
			},
			{
				Name: "a new field is one to query by", Path: "/classes/Part", Query: map[string]string{"where": `{"fresh":{"$exists":true}}`, "keys": "code"},
				JSON: `{"results":[{"objectId":"{{b}}","code":"b","createdAt":"*","updatedAt":"*"}]}`,
			},
			{
				Name: "updates and deletes", Method: "POST", Path: "/batch",
				Body: batchOf(false, updating("Part", "{{a}}", `{"n":{"__op":"Increment","amount":4}}`), updating("Part", "{{b}}", `{"code":"a"}`), updating("Part", "none", `{"n":1}`),
					deleting("Other", "{{o1}}"), deleting("Other", "none"), deleting("Other", "{{o2}}"), deleting("Other", "{{o2}}")),
				JSON: `[{"success":{"updatedAt":"*","n":7}},{"error":{"code":137,"error":"*"}},` + gone + `,{"success":{}},` + gone + `,{"success":{}},` + gone + `]`,
			},
			{Name: "what is left", Path: "/classes/Other", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":0}`},
			{
				Name: "relations", Method: "POST", Path: "/batch",
				Body: batchOf(false, updating("Part", "{{a}}", `{"mates":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"Part","objectId":"{{b}}"}]}}`), updating("Part", "{{b}}", `{"n":9}`)),
				JSON: `[{"success":{"updatedAt":"*"}},{"success":{"updatedAt":"*"}}]`,
			},
			{
				Name: "related", Path: "/classes/Part", Query: map[string]string{"where": `{"$relatedTo":{"object":{"__type":"Pointer","className":"Part","objectId":"{{a}}"},"key":"mates"}}`, "keys": "n"},
				JSON: `{"results":[{"objectId":"{{b}}","n":9,"mates":"*","createdAt":"*","updatedAt":"*"}]}`,
			},
		}},
		{
			Name: "hooks", Config: open,
			Cloud: func(app *cloudcode.App) {
				app.BeforeSave("Part", func(_ context.Context, r *cloudcode.SaveRequest) error {
					before.Add(1)
					if n, _ := r.Object.Number("n"); n > 100 {
						return cloudcode.Err(parse.ValidationError, "too many")
					}
					r.Object.Set("seen", true)
					return nil
				})
				app.AfterSave("Part", func(context.Context, *cloudcode.SaveRequest) error { after.Add(1); return nil })
			},
			Steps: []scenario.Step{
				{
					Name: "creates", Method: "POST", Path: "/batch", Body: batchOf(false, creating("Part", `{"n":1}`), creating("Part", `{"n":101}`), creating("Part", `{"n":2}`)),
					JSON: `[{"success":{"objectId":"*","createdAt":"*","seen":true}},{"error":{"code":142,"error":"too many"}},{"success":{"objectId":"*","createdAt":"*","seen":true}}]`,
					Save: map[string]string{"0.success.objectId": "a", "2.success.objectId": "b"},
				},
				{
					Name: "updates, one object twice", Method: "POST", Path: "/batch",
					Body: batchOf(false, updating("Part", "{{a}}", `{"n":{"__op":"Increment","amount":1}}`), updating("Part", "{{a}}", `{"n":{"__op":"Increment","amount":1}}`), updating("Part", "{{b}}", `{"n":200}`)),
					JSON: `[{"success":{"updatedAt":"*","n":"*"}},{"success":{"updatedAt":"*","n":"*"}},{"error":{"code":142,"error":"too many"}}]`,
				},
				{Name: "none is lost", Path: "/classes/Part/{{a}}", Query: map[string]string{"keys": "n"}, JSON: `{"objectId":"{{a}}","n":3,"createdAt":"*","updatedAt":"*"}`},
			},
		},
		{Name: "permissions", Config: open, Steps: []scenario.Step{
			{Name: "alice", Method: "POST", Path: "/users", Body: `{"username":"alice","password":"x"}`, Save: map[string]string{"objectId": "alice", "sessionToken": "alice.token"}},
			{
				Name: "own objects", Method: "POST", Path: "/batch", As: "alice",
				Body: batchOf(false, creating("Note", `{"ACL":{"{{alice}}":{"read":true,"write":true}}}`), creating("Note", `{}`)),
				Save: map[string]string{"0.success.objectId": "own", "1.success.objectId": "free"},
			},
			{
				Name: "a stranger's updates", Method: "POST", Path: "/batch", Body: batchOf(false, updating("Note", "{{own}}", `{"n":1}`), updating("Note", "{{free}}", `{"n":1}`)),
				JSON: `[` + gone + `,{"success":{"updatedAt":"*"}}]`,
			},
			{
				Name: "a stranger's deletes", Method: "POST", Path: "/batch", Body: batchOf(false, deleting("Note", "{{own}}"), deleting("Note", "{{free}}")),
				JSON: `[` + gone + `,{"success":{}}]`,
			},
		}},
	})
	// On each database: two creates and two updates were saved, six were asked for.
	if n := after.Load() / 4; n == 0 || after.Load() != 4*n || before.Load() < 6*n {
		t.Errorf("%d hooks before, %d after", before.Load(), after.Load())
	}
}

// In a transaction creates that follow one another are one insert, and all or
// nothing holds as before.
func TestBatchTransactionTogether(t *testing.T) {
	s := scenario.Start(t, scenario.Databases()[0].URI(t), open, nil)
	for _, st := range []scenario.Step{
		{
			Name: "a unique field", Method: "POST", Path: "/schemas/Part", As: "master",
			Body: `{"fields":{"code":{"type":"String"}},"indexes":{"code_1":{"code":1}},"indexOptions":{"code_1":{"unique":true,"sparse":true}}}`,
		},
		{
			Name: "all", Method: "POST", Path: "/batch", Body: batchOf(true, creating("Part", `{"code":"a"}`), creating("Part", `{"code":"b"}`), creating("Other", `{}`), creating("Part", `{"code":"c","late":1}`)),
			JSON: `[{"success":{"...":0}},{"success":{"...":0}},{"success":{"...":0}},{"success":{"...":0}}]`,
		},
		{Name: "or none", Method: "POST", Path: "/batch", Body: batchOf(true, creating("Part", `{"code":"d"}`), creating("Part", `{"code":"a"}`)), Code: parse.DuplicateValue},
		{Name: "is there", Path: "/classes/Part", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":3}`},
		{Name: "and can be found", Path: "/classes/Part", Query: map[string]string{"where": `{"late":1}`, "count": "1", "limit": "0"}, JSON: `{"results":[],"count":1}`},
	} {
		s.Do(t, &st)
	}
}
