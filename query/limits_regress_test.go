package query_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// A request must not cost time in the square of its length.
func TestParseQueryBoundsNames(t *testing.T) {
	deep := strings.Repeat("a.", 200_000) + "a"
	wide := make([]string, 100_000)
	for i := range wide {
		wide[i] = "f" + strconv.Itoa(i)
	}
	many := strings.Join(wide, ",")
	spread := make([]string, 900) // few names, but many includes
	for i := range spread {
		spread[i] = "f" + strconv.Itoa(i) + ".b.c"
	}
	for name, params := range map[string]*parse.Map{
		"deep include":     {},
		"deep keys":        {},
		"deep excludeKeys": {},
		"deep order":       {},
		"many include":     {},
		"many keys":        {},
		"many excludeKeys": {},
		"many order":       {},
		"spread include":   {},
	} {
		kind, param, _ := strings.Cut(name, " ")
		params.Set(param, map[string]string{"deep": deep, "many": many, "spread": strings.Join(spread, ",")}[kind])
		_, err := query.ParseQuery(params, query.Limits{}, query.Scope{})
		if parse.CodeOf(err) != parse.InvalidQuery {
			t.Errorf("%s: %v, want 102", name, err)
		}
	}
	ok := parse.NewMap(parse.MapField{Key: "include", Value: "a.b.c,d"}, parse.MapField{Key: "keys", Value: "a.b,e"})
	if _, err := query.ParseQuery(ok, query.Limits{IncludeDepth: 3, Names: 4}, query.Scope{}); err != nil {
		t.Error(err)
	}
}
