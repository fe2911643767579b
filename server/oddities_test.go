package server_test

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// TestLongNames: texts that are too long for a place in a database, for a URL or
// a name are refused with an error that says so.
func TestLongNames(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	text := func(n int) string { // that no index can pack
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[random.IntN(62)]
		}
		return string(b)
	}
	custom := func(c *config.Config) {
		open(c)
		c.AllowCustomObjectID = true
	}
	pointer := func(class, id string) string {
		return `{"__type":"Pointer","className":"` + class + `","objectId":"` + id + `"}`
	}
	steps := []scenario.Step{
		{Name: "id", Method: "POST", Path: "/classes/A", Body: `{"objectId":"` + text(1000) + `"}`, Status: http.StatusCreated},
		{Name: "longer id", Method: "POST", Path: "/classes/A", Body: `{"objectId":"` + text(1001) + `"}`, Code: parse.InvalidJSON, Error: "objectId must not be longer than 1000 bytes"},
	}
	for _, class := range []string{"a b", "A-", "1A", "_Foo", `A\u0000`, "__proto__", strings.Repeat("x", 300)} {
		steps = append(
			steps,
			scenario.Step{Name: "pointer to " + class, Method: "POST", Path: "/classes/A", Body: `{"p":` + pointer(class, "x") + `}`, Code: parse.InvalidClassName},
			scenario.Step{Name: "relation to " + class, Method: "POST", Path: "/classes/A", Body: `{"r":{"__op":"AddRelation","objects":[` + pointer(class, "x") + `]}}`, Code: parse.InvalidClassName},
		)
	}
	steps = append(steps, scenario.Step{Name: "no field", Path: "/schemas/A", As: "master", JSON: `{"className":"A","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"ACL":{"type":"ACL"}},"...":0}`})
	scenario.Run(t, []scenario.Scenario{{Name: "names", Config: custom, Steps: steps}})

	// What a database takes differs, but it says so.
	for _, db := range scenario.Databases() {
		t.Run(db.Name, func(t *testing.T) {
			s := scenario.Start(t, db.URI(t), custom, nil)
			got := s.Ask(t, &scenario.Step{Method: "POST", Path: "/classes/A", Body: `{"r":{"__op":"AddRelation","objects":[` + pointer("B", text(8000)) + `]}}`})
			if !strings.HasPrefix(got, `{"objectId":`) && !strings.HasPrefix(got, `{"code":116,`) {
				t.Errorf("a long id in a relation: %.200s", got)
			}
		})
	}
}

// TestHintOfHidden: an index of hidden fields tells their order, and which
// objects have them. It is not for those who may not sort by them.
func TestHintOfHidden(t *testing.T) {
	const clp = `"classLevelPermissions":{"find":{"*":true},"count":{"*":true},"get":{"*":true},"aggregate":{"*":true},"protectedFields":{"*":["secret"]}}`
	refused := func(name, as, path string, query map[string]string, code parse.Code) scenario.Step {
		return scenario.Step{Name: name, As: as, Path: path, Query: query, Code: code}
	}
	scenario.Run(t, []scenario.Scenario{{Name: "indexes", Config: open, Steps: []scenario.Step{
		{Name: "class", Method: "POST", Path: "/schemas/A", As: "master", Body: `{"className":"A","fields":{"n":{"type":"Number"},"secret":{"type":"Number"}},"indexes":{"hidden":{"secret":1},"seen":{"n":1}},` + clp + `}`},
		{Name: "object", Method: "POST", Path: "/classes/A", As: "master", Body: `{"n":1,"secret":2}`, Status: http.StatusCreated},
		refused("by name", "", "/classes/A", map[string]string{"hint": "hidden"}, parse.OperationForbidden),
		refused("by keys", "", "/classes/A", map[string]string{"hint": `{"secret":1}`}, parse.OperationForbidden),
		refused("count", "", "/classes/A", map[string]string{"hint": "hidden", "count": "1", "limit": "0"}, parse.OperationForbidden),
		refused("aggregate", "", "/aggregate/A", map[string]string{"hint": `"hidden"`, "pipeline": `[{"$project":{"n":1}}]`}, parse.OperationForbidden),
		refused("no such index", "", "/classes/A", map[string]string{"hint": "nope"}, parse.InvalidQuery),
		{Name: "seen", Path: "/classes/A", Query: map[string]string{"hint": "seen", "where": `{"n":1}`}, JSON: `{"results":[{"n":1,"...":0}]}`},
		{Name: "master", As: "master", Path: "/classes/A", Query: map[string]string{"hint": "hidden", "where": `{"secret":2}`}, JSON: `{"results":[{"n":1,"secret":2,"...":0}]}`},
	}}})
}

// TestSameMistakeEachTime: of several mistakes the same one is told each time.
func TestSameMistakeEachTime(t *testing.T) {
	s := scenario.Start(t, "sqlite::memory:", open, nil)
	s.Do(t, &scenario.Step{Name: "class", Method: "POST", Path: "/classes/A", Body: `{"n":1}`, Status: http.StatusCreated})
	for range 40 {
		s.Do(t, &scenario.Step{
			Path: "/classes/A", Query: map[string]string{"where": `{"_wperm":1}`, "maxTimeMS": "1", "limit": "x", "readPreference": "MAYBE"},
			Code: parse.InvalidQuery, Error: "limit must be a number",
		})
	}
}
