package query_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func params(t *testing.T, text string) *parse.Map {
	t.Helper()
	m, err := parse.DecodeMap([]byte(text), parse.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAdvice(t *testing.T) {
	tests := []struct {
		name, params string
		want         *query.Advice
		err          string
	}{
		{"none", `{"limit":1}`, nil, ""},
		{"empty", `{"hint":"","comment":null,"readPreference":""}`, nil, ""},
		{"hint", `{"hint":"by_s"}`, &query.Advice{Hint: "by_s"}, ""},
		{"comment", `{"comment":{"a":1}}`, &query.Advice{Comment: `{"a":1}`}, ""},
		{"preferences", `{"readPreference":"nearest","includeReadPreference":"Secondary"}`, &query.Advice{Read: query.Nearest, IncludeRead: query.Secondary}, ""},
		{"hint of a wrong type", `{"hint":7}`, nil, "hint must be the name of an index or an object with its keys"},
		{"no preference", `{"readPreference":"NEAR"}`, nil, "Not supported read preference."},
		{"preference of a wrong type", `{"subqueryReadPreference":{}}`, nil, "Not supported read preference."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, err := query.ParseQuery(params(t, tt.params), query.Limits{}, query.Scope{})
			if tt.err != "" {
				if parse.CodeOf(err) != parse.InvalidQuery || !strings.HasSuffix(err.Error(), tt.err) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, q.Advice); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAdviceInParts(t *testing.T) {
	a := &query.Advice{Hint: "x", Comment: "c", Read: query.Nearest, SubqueryRead: query.Primary}
	if d := cmp.Diff(&query.Advice{Read: query.Nearest}, a.ForIncludes()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(&query.Advice{Read: query.Primary}, a.ForSubqueries()); d != "" {
		t.Error(d)
	}
	if got := (&query.Advice{Hint: "x"}).ForIncludes(); got != nil {
		t.Errorf("a hint went to the includes: %+v", got)
	}
	var none *query.Advice
	if none.ForIncludes() != nil || none.ForSubqueries() != nil || none.Hinted() {
		t.Error("no advice became some")
	}
}
