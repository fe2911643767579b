package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// indexed makes class A with the fields s, n and p and an index on s.
var indexed = []scenario.Step{
	{Name: "class", Method: "POST", Path: "/schemas/A", As: "master", Body: `{"fields":{"s":{"type":"String"},"n":{"type":"Number"},"a":{"type":"Array"},` +
		`"p":{"type":"Pointer","targetClass":"A"}},"indexes":{"by_s":{"s":1,"createdAt":-1},"by_a":{"a":1}}}`},
	{Name: "one", Method: "POST", Path: "/classes/A", Body: `{"s":"x","n":1}`, Save: map[string]string{"objectId": "one"}},
	{Name: "two", Method: "POST", Path: "/classes/A", Body: `{"s":"y","n":2,"p":{"__type":"Pointer","className":"A","objectId":"{{one}}"}}`},
}

func after(first []scenario.Step, more ...scenario.Step) []scenario.Step {
	return append(append([]scenario.Step{}, first...), more...)
}

func TestExplain(t *testing.T) {
	const refusal = "Using the explain query parameter requires the master key"
	public := func(c *config.Config) {
		open(c)
		c.DatabaseOptions = json.RawMessage(`{"allowPublicExplain":true}`)
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "who and what", Config: open, Steps: after(indexed,
			scenario.Step{Name: "client", Path: "/classes/A", Query: map[string]string{"explain": "true"}, Code: parse.InvalidQuery, Error: refusal},
			scenario.Step{Name: "client, odd value", Path: "/classes/A", Query: map[string]string{"explain": "x"}, Code: parse.InvalidQuery, Error: refusal},
			scenario.Step{Name: "client, not asked", Path: "/classes/A", Query: map[string]string{"explain": "false", "keys": "n"}, JSON: `{"results":["*","*"]}`},
			scenario.Step{Name: "odd value", Path: "/classes/A", As: "master", Query: map[string]string{"explain": "x"}, Code: parse.InvalidQuery, Error: "Invalid value for explain"},
			scenario.Step{Name: "odd type", Path: "/classes/A", As: "master", Query: map[string]string{"explain": "1"}, Code: parse.InvalidQuery, Error: "Invalid value for explain"},
			scenario.Step{Name: "by default", Path: "/classes/A", As: "master", Query: map[string]string{"explain": "true"}, JSON: `{"results":{"queryPlanner":"*","...":0}}`},
			scenario.Step{Name: "plan", Path: "/classes/A", As: "master", Query: map[string]string{"explain": "queryPlanner", "where": `{"s":"x"}`}, JSON: `{"results":{"queryPlanner":"*","...":0}}`, Lacks: []string{"executionStats"}},
			scenario.Step{Name: "with a count", Path: "/classes/A", As: "master", Query: map[string]string{"explain": "executionStats", "count": "1"}, JSON: `{"results":{"queryPlanner":"*","...":0},"count":2}`},
			scenario.Step{Name: "over POST", Method: "POST", Path: "/classes/A", As: "master", Body: `{"_method":"GET","explain":true,"order":"-n","keys":"n","limit":1,"skip":1}`, JSON: `{"results":{"queryPlanner":"*","...":0}}`},
			scenario.Step{Name: "a get", Path: "/classes/A/{{one}}", As: "master", Query: map[string]string{"explain": "true"}, Code: parse.InvalidQuery, Error: "Improper encode of parameter"},
			scenario.Step{Name: "no rows", Path: "/classes/A", As: "master", Query: map[string]string{"explain": "true", "limit": "0"}, JSON: `{"results":[]}`},
		)},
		{Name: "for everybody", Config: public, Steps: after(indexed,
			scenario.Step{Name: "client", Path: "/classes/A", Query: map[string]string{"explain": "true"}, JSON: `{"results":{"queryPlanner":"*","...":0}}`},
			scenario.Step{Name: "odd value", Path: "/classes/A", Query: map[string]string{"explain": "x"}, Code: parse.InvalidQuery, Error: "Invalid value for explain"},
			// Rows that were read are those of others, too.
			scenario.Step{
				Name: "no statistics", Path: "/classes/A", Query: map[string]string{"explain": "executionStats", "where": `{"s":"x"}`}, JSON: `{"results":{"queryPlanner":"*","...":0}}`,
				Lacks: []string{"executionStats\"", "Rows", "Cost", "serverInfo"},
			},
			scenario.Step{Name: "permission to aggregate", Method: "PUT", Path: "/schemas/A", As: "master", Body: `{"classLevelPermissions":{"aggregate":{"*":true}}}`},
			scenario.Step{
				Name: "nor of aggregates", Path: "/aggregate/A", Query: map[string]string{"explain": `"allPlansExecution"`, "pipeline": `[{"$group":{"_id":"$s"}}]`},
				JSON: `{"results":[{"queryPlanner":"*","...":0}]}`, Lacks: []string{"executionStats\"", "Rows", "Cost", "serverInfo"},
			},
		)},
	})
}

func TestExplainSQLite(t *testing.T) {
	s := scenario.Start(t, scenario.Databases()[0].URI(t), open, nil)
	for i := range indexed {
		s.Do(t, &indexed[i])
	}
	explain := func(query map[string]string, want string) {
		t.Helper()
		query["explain"] = "executionStats"
		s.Do(t, &scenario.Step{Name: query["where"] + query["order"], Path: "/classes/A", As: "master", Query: query, JSON: want})
	}
	plan := func(index, sort, left, stats string) string {
		return `{"results":{"queryPlanner":{"namespace":"A","sql":"*","steps":"*","index":` + index + `,"sort":"` + sort + `","leftToMatcher":` + left + `},` +
			`"executionStats":{"executionSuccess":true,` + stats + `,"executionTimeMillis":"*"}}}`
	}
	explain(map[string]string{"where": `{"s":"x"}`}, plan(`"by_s"`, "database", `[]`, `"nReturned":1,"rowsRead":1`))
	explain(map[string]string{"where": `{"s":"x"}`, "order": "-createdAt"}, plan(`"by_s"`, "index", `[]`, `"nReturned":1,"rowsRead":1`))
	explain(map[string]string{"where": `{"n":{"$gt":0}}`, "order": "n"}, plan(`null`, "database", `[]`, `"nReturned":2,"rowsRead":2`))
	explain(map[string]string{"where": `{"objectId":"{{one}}"}`}, plan(`"_id_"`, "none", `[]`, `"nReturned":1,"rowsRead":1`))
	explain(map[string]string{"where": `{"s":{"$regex":"y$"},"n":2}`, "order": "p.x"}, plan(`null`, "memory", `["regex(\"s\",\"y$\",\"\")"]`, `"nReturned":1,"rowsRead":"*"`))
	explain(map[string]string{"hint": "by_s", "where": `{"n":1}`}, plan(`"by_s"`, "database", `[]`, `"nReturned":1,"rowsRead":1`))
}

func TestAdvice(t *testing.T) {
	find := func(name string, query map[string]string, want string) scenario.Step {
		return scenario.Step{Name: name, Path: "/classes/A", Query: query, JSON: want}
	}
	const one, both = `{"results":[{"objectId":"{{one}}","...":0}]}`, `{"results":["*","*"]}`
	noIndex := func(name, hint string) scenario.Step {
		return scenario.Step{Name: name, Path: "/classes/A", Query: map[string]string{"hint": hint}, Code: parse.InvalidQuery}
	}
	scenario.Run(t, []scenario.Scenario{{Name: "accepted", Config: open, Steps: after(indexed,
		find("hint by name", map[string]string{"hint": "by_s", "where": `{"s":"x"}`}, one),
		find("hint by keys", map[string]string{"hint": `{"s":1,"createdAt":-1}`, "where": `{"s":"x"}`}, one),
		find("hint by stored keys", map[string]string{"hint": `{"s":1,"_created_at":-1}`, "where": `{"s":"x"}`}, one),
		find("hint of the id", map[string]string{"hint": "_id_", "order": "objectId"}, both),
		find("hint and count", map[string]string{"hint": "by_s", "where": `{"s":"x"}`, "count": "1", "limit": "0"}, `{"results":[],"count":1}`),
		find("comment", map[string]string{"comment": "who asks"}, both),
		find("comment like a number", map[string]string{"comment": "7"}, both),
		find("read preference", map[string]string{"readPreference": "primary", "count": "1"}, `{"results":["*","*"],"count":2}`),
		find("read preferences", map[string]string{
			"readPreference": "NEAREST", "includeReadPreference": "SECONDARY_PREFERRED", "subqueryReadPreference": "primary_preferred",
			"include": "p", "where": `{"p":{"$inQuery":{"className":"A","where":{"s":"x"}}}}`,
		}, `{"results":[{"s":"y","p":{"__type":"Object","s":"x","...":0},"...":0}]}`),
		scenario.Step{Name: "get with a read preference", Path: "/classes/A/{{one}}", Query: map[string]string{"readPreference": "NEAREST", "includeReadPreference": "primary"}, JSON: `{"objectId":"{{one}}","...":0}`},
		scenario.Step{Name: "bad read preference", Path: "/classes/A", Query: map[string]string{"readPreference": "MAYBE"}, Code: parse.InvalidQuery, Error: "Not supported read preference."},
		scenario.Step{Name: "bad read preference of includes", Path: "/classes/A", Query: map[string]string{"includeReadPreference": "7"}, Code: parse.InvalidQuery, Error: "Not supported read preference."},
		scenario.Step{Name: "bad read preference of a get", Path: "/classes/A/{{one}}", Query: map[string]string{"subqueryReadPreference": "x"}, Code: parse.InvalidQuery, Error: "Not supported read preference."},
		scenario.Step{Name: "hint of another type", Path: "/classes/A", Query: map[string]string{"hint": "7"}, Code: parse.InvalidQuery},
	)}})
	for _, db := range scenario.Databases() {
		if db.Name == "mongodb" {
			continue // it refuses them itself, and in other words
		}
		t.Run("unknown indexes on "+db.Name, func(t *testing.T) {
			s := scenario.Start(t, db.URI(t), open, nil)
			for _, st := range after(indexed, noIndex("name", "nope"), noIndex("keys", `{"n":1}`), noIndex("direction", `{"s":-1,"createdAt":-1}`), noIndex("one that the database lacks", "by_a")) {
				s.Do(t, &st)
			}
			s.Do(t, &scenario.Step{Name: "text", Path: "/classes/A", Query: map[string]string{"hint": "nope"}, Code: parse.InvalidQuery, Error: "hint: class A has no index nope"})
			s.Do(t, &scenario.Step{Name: "count", Path: "/classes/A", Query: map[string]string{"hint": "nope", "limit": "0", "count": "1"}, Code: parse.InvalidQuery})
			for _, stage := range []string{`{"$group":{"_id":"$s"}}`, `{"$redact":"$$KEEP"}`} {
				s.Do(t, &scenario.Step{Name: stage, Path: "/aggregate/A", As: "master", Query: map[string]string{"pipeline": "[" + stage + "]", "hint": `"nope"`}, Code: parse.InvalidQuery})
			}
		})
	}
}

func TestMaxTime(t *testing.T) {
	const slow = `{"t":{"$regex":"(a|b)*c(a|b)*c$"}}`
	items := make([]string, 1500)
	for i := range items {
		items[i] = `{"method":"POST","path":"/parse/classes/A","body":{"t":"` + strings.Repeat("ab", 250) + "c" + strings.Repeat("ab", 250) + `"}}`
	}
	for _, db := range scenario.Databases() {
		if db.Name == "mongodb" {
			continue // it measures the time itself, and does not look at texts as it is told to
		}
		t.Run(db.Name, func(t *testing.T) {
			s := scenario.Start(t, db.URI(t), func(c *config.Config) {
				open(c)
				c.DatabaseOptions = json.RawMessage(`{"maxTimeMS":20}`)
			}, nil)
			s.Do(t, &scenario.Step{Name: "fill", Method: "POST", Path: "/batch", Body: `{"requests":[` + strings.Join(items, ",") + `]}`})
			refused := func(name, path string, query map[string]string) {
				t.Helper()
				s.Do(t, &scenario.Step{Name: name, Path: path, As: "master", Query: query, Code: 124, Error: "The query takes longer than the server allows."})
			}
			refused("find", "/classes/A", map[string]string{"where": slow})
			refused("count", "/classes/A", map[string]string{"where": slow, "count": "1", "limit": "0"})
		})
	}
}
