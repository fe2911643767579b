package server_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
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

// TestSpellingsAreCounted: however a route is spelled, it is served and counted
// as the same one, or not served at all.
func TestSpellingsAreCounted(t *testing.T) {
	spellings := func(path string) []string {
		return []string{
			path, path + "/", "/" + path, strings.ToUpper(path[:3]) + path[3:], strings.ReplaceAll(path, "/functions/f", "/functions/%66"), strings.ReplaceAll(path, "/functions/fun", "/functions/f%75n"),
			strings.ReplaceAll(path, "/login", "/%6cogin"), strings.ReplaceAll(path, "/login", "/LogIn"), strings.ReplaceAll(path, "/functions", "/%66unctions"),
			"/classes/.." + path, "/." + path, path + "?a=1", path + "%20", path + ";x", path + "//", "/x/..%2f" + path[1:],
		}
	}
	cloud := func(app *cloudcode.App) {
		app.Function("fun", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return "served", nil })
	}
	for _, path := range []string{"/login", "/functions/fun"} {
		s := scenario.Start(t, "sqlite::memory:", limiting(path, 1, ""), cloud)
		signed := signUp("ann")
		s.Do(t, &signed)
		body := `{"username":"ann","password":"pass-ann"}`
		first := from("10.0.0.1", scenario.Step{Method: "POST", Path: path, Body: body})
		s.Do(t, &first)
		for _, p := range spellings(path) {
			for _, st := range []scenario.Step{
				{Method: "POST", Path: p, Body: body},
				{Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"POST","path":"/parse` + p + `","body":` + body + `}]}`},
			} {
				st = from("10.0.0.1", st)
				if got := s.Ask(t, &st); strings.Contains(got, "served") || strings.Contains(got, "sessionToken") {
					t.Errorf("%s, %s, is served and not counted: %s", st.Path, st.Body, got)
				}
			}
		}
	}
}
