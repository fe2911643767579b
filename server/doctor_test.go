package server_test

import (
	"net/http"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

func TestDoctor(t *testing.T) {
	const well = `{"report":{"version":"1.0.0","state":"success","groups":[` +
		`{"name":"Database","state":"success","checks":[{"title":"The database answers","state":"success"},{"title":"Declared indexes exist","state":"success"}]},` +
		`{"name":"Queries","state":"success","checks":[{"title":"Indexes serve the queries","state":"success"}]}]},"statistics":{"since":"*","shapes":"*"}}`
	finding := func(title, index, schema string) string {
		return `{"report":{"version":"1.0.0","state":"fail","groups":["*",{"name":"Queries","state":"fail","checks":[` +
			`{"title":"` + title + `","state":"fail","warning":"*","solution":"` + index + `","schema":` + schema + `}]}]},"statistics":"*"}`
	}
	all := map[string]string{"slow": "0"}
	scenario.Run(t, []scenario.Scenario{{Name: "doctor", Config: func(c *config.Config) { open(c); c.ReadOnlyMasterKey = "reader" }, Steps: after(indexed,
		scenario.Step{Name: "client", Path: "/doctor", Status: http.StatusForbidden, JSON: `{"error":"Permission denied"}`},
		scenario.Step{Name: "unknown parameter", Path: "/doctor", As: "master", Query: map[string]string{"nope": "1"}, Code: parse.InvalidQuery},
		scenario.Step{Name: "odd parameter", Path: "/doctor", As: "master", Query: map[string]string{"slow": "x"}, Code: parse.InvalidQuery, Error: "slow must be a number of milliseconds"},
		scenario.Step{Name: "read-only key", Path: "/doctor", Header: map[string]string{"X-Parse-Master-Key": "reader"}, Query: map[string]string{"slow": "3600000"}, JSON: well},
		scenario.Step{Name: "served", Path: "/classes/A", Query: map[string]string{"where": `{"s":"x"}`, "order": "-createdAt"}},
		scenario.Step{Name: "nothing to say", Path: "/doctor", As: "master", Query: all, JSON: well},
		scenario.Step{Name: "not served", Path: "/classes/A", Query: map[string]string{"where": `{"p":{"__type":"Pointer","className":"A","objectId":"x"}}`, "order": "-createdAt"}},
		scenario.Step{Name: "finding", Path: "/doctor", As: "master", Query: all, JSON: finding("class A: equality p, order -createdAt", `suggested index p_createdAt: {\"p\":1,\"createdAt\":-1}`, `{"indexes":{"p_createdAt":{"p":1,"createdAt":-1}}}`)},
		scenario.Step{Name: "follow it", Method: "PUT", Path: "/schemas/A", As: "master", Body: `{"indexes":{"p_createdAt":{"p":1,"createdAt":-1}}}`},
		scenario.Step{Name: "served now", Path: "/doctor", As: "master", Query: all, JSON: well},
	)}})
}
