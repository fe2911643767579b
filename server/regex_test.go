package server_test

import (
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// TestEvilRegex: a pattern that takes too long ends its query with one error on
// every database, be it that it goes back or that it and the texts are large,
// and others are served.
func TestEvilRegex(t *testing.T) {
	const back, large = `^(?=a)(a|aa)+$`, `(a?){1000}c`
	for _, db := range scenario.Databases() {
		t.Run(db.Name, func(t *testing.T) {
			s := scenario.Start(t, db.URI(t), open, nil)
			s.Do(t, &scenario.Step{Name: "long text", Method: "POST", Path: "/classes/A", Body: `{"t":"` + strings.Repeat("a", 100_000) + `b"}`})
			s.Do(t, &scenario.Step{Name: "short text", Method: "POST", Path: "/classes/B", Body: `{"t":"aa"}`})
			for name, body := range map[string]string{
				"goes back": `"where":{"t":{"$regex":"` + back + `"}}`,
				"count":     `"where":{"t":{"$regex":"` + back + `"}},"count":1,"limit":0`,
				"large":     `"where":{"t":{"$regex":"` + large + `"}}`,
				"beside":    `"where":{"$or":[{"n":1},{"t":{"$regex":"` + back + `"}}]}`,
			} {
				st := &scenario.Step{Name: name, Method: "POST", Path: "/classes/A", Body: `{"_method":"GET",` + body + `}`, Code: parse.InvalidQuery, Error: query.SlowRegex}
				if db.Name != "mongodb" {
					s.Do(t, st)
					continue
				}
				// It bounds each text by itself, and some of its kind take that for no match.
				if got := s.Ask(t, st); !strings.Contains(got, query.SlowRegex) && !strings.HasPrefix(got, `{"results":[]`) {
					t.Errorf("%s: %.200s", name, got)
				}
			}
			s.Do(t, &scenario.Step{Name: "others", Method: "POST", Path: "/classes/B", Body: `{"_method":"GET","where":{"t":{"$regex":"` + back + `"}},"count":1,"limit":0}`, JSON: `{"results":[],"count":1}`})
		})
	}
}
