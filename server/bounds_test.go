package server_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

// repeat joins n copies of a text by commas.
func repeat(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }

// TestBounds: every limit of requests that holds without an option, at it and
// one beyond it. docs/security.md lists them.
func TestBounds(t *testing.T) {
	var keys strings.Builder
	for i := range 10_001 {
		keys.WriteString(`"k` + strconv.Itoa(i) + `":1,`)
	}
	object := func(n int) string {
		text := keys.String()
		for range 10_001 - n {
			text = text[:strings.LastIndexByte(text[:len(text)-1], ',')+1]
		}
		return "{" + strings.TrimSuffix(text, ",") + "}"
	}
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	post := func(body string) func() scenario.Step {
		return func() scenario.Step { return scenario.Step{Method: "POST", Path: "/classes/A", Body: body} }
	}
	where := func(w string) func() scenario.Step {
		return post(`{"_method":"GET","where":` + w + `}`)
	}
	param := func(name, v string) func() scenario.Step { return post(`{"_method":"GET","` + name + `":"` + v + `"}`) }
	or := func(n int) string { return strings.Repeat(`{"$or":[`, n) + `{"n":1}` + strings.Repeat(`]}`, n) }
	var steps []scenario.Step
	for _, tt := range []struct {
		name       string
		at, beyond func() scenario.Step
		status     int // of what is beyond
		code       parse.Code
	}{
		{"nesting of JSON", post(`{"o":` + nested(80) + `}`), post(`{"o":` + nested(128) + `}`), http.StatusBadRequest, parse.InvalidJSON},
		{"keys of an object", post(`{"m":` + object(10_000) + `}`), post(`{"m":` + object(10_001) + `}`), http.StatusBadRequest, parse.InvalidJSON},
		{"values of a body", nil, post(`{"l":[` + repeat("1", 1_000_000) + `]}`), http.StatusBadRequest, parse.InvalidJSON},
		{"values of $in", where(`{"n":{"$in":[` + repeat("1", 10_000) + `]}}`), where(`{"n":{"$in":[` + repeat("1", 10_001) + `]}}`), http.StatusBadRequest, parse.InvalidQuery},
		{"constraints", where(`{"$or":[` + repeat(`{"n":1}`, 490) + `]}`), where(`{"$or":[` + repeat(`{"n":1}`, 1001) + `]}`), http.StatusBadRequest, parse.InvalidQuery},
		{"nesting of a query", where(or(49)), where(or(51)), http.StatusBadRequest, parse.InvalidQuery},
		{"length of a pattern", where(`{"s":{"$regex":"` + strings.Repeat("a", 4096) + `"}}`), where(`{"s":{"$regex":"` + strings.Repeat("a", 4097) + `"}}`), http.StatusBadRequest, parse.InvalidQuery},
		{"names in keys", param("keys", repeat("a", 1000)), param("keys", repeat("a", 1001)), http.StatusBadRequest, parse.InvalidQuery},
		{"names in include", nil, param("include", repeat("a", 1001)), http.StatusBadRequest, parse.InvalidQuery},
		{"parts of a path", param("keys", strings.Repeat("a.", 49)+"a"), param("keys", strings.Repeat("a.", 50)+"a"), http.StatusBadRequest, parse.InvalidQuery},
		{
			"items of a batch", nil,
			func() scenario.Step {
				return scenario.Step{Method: "POST", Path: "/batch", Body: `{"requests":[` + repeat(`{"method":"GET","path":"/parse/classes/A"}`, 5001) + `]}`}
			},
			http.StatusBadRequest, parse.InvalidJSON,
		},
	} {
		if tt.at != nil {
			st := tt.at()
			st.Name = tt.name + " at the limit"
			steps = append(steps, st)
		}
		st := tt.beyond()
		st.Name, st.Status, st.Code = tt.name+" beyond it", tt.status, tt.code
		steps = append(steps, st)
	}
	first := scenario.Step{Name: "class", Method: "POST", Path: "/classes/A", Body: `{"n":1,"s":"x"}`}
	scenario.Run(t, []scenario.Scenario{{Name: "limits", Config: open, Steps: append([]scenario.Step{first}, steps...)}})
}
