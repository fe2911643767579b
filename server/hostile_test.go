package server_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

// inTx is a batch of one new object and one more request, as one transaction.
func inTx(method, path, body string) string {
	return `{"transaction":true,"requests":[{"method":"POST","path":"/parse/classes/A","body":{"n":1}},` +
		`{"method":"` + method + `","path":"/parse` + path + `","body":` + body + `}]}`
}

// TestHostileTransactions: routes that write by themselves would wait for the
// transaction they are in, and with them everybody else.
func TestHostileTransactions(t *testing.T) {
	steps := []scenario.Step{signUp("alice")}
	for _, r := range [][3]string{
		{"POST", "/login", `{"username":"alice","password":"pass-alice"}`},
		{"POST", "/loginAs", `{"userId":"x"}`},
		{"POST", "/logout", `{}`},
		{"POST", "/verifyPassword", `{"username":"alice","password":"pass-alice"}`},
		{"POST", "/functions/f", `{}`},
		{"GET", "/users/me", `{}`},
		{"GET", "/sessions/me", `{}`},
		{"POST", "/batch", `{"requests":[]}`},
	} {
		steps = append(steps, scenario.Step{Name: r[1], Method: "POST", Path: "/batch", As: "alice", Body: inTx(r[0], r[1], r[2]), Code: parse.InvalidJSON})
	}
	steps = append(steps,
		scenario.Step{Name: "sign-up", Method: "POST", Path: "/batch", Body: inTx("POST", "/users", `{"username":"carol","password":"x"}`)},
		scenario.Step{Name: "password", Method: "POST", Path: "/batch", As: "alice", Body: inTx("PUT", "/users/{{alice.id}}", `{"password":"pass-alice"}`)},
		scenario.Step{Name: "still served", Method: "POST", Path: "/login", Body: `{"username":"alice","password":"pass-alice"}`},
		scenario.Step{Name: "only what was done", Path: "/classes/A", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":2}`},
	)
	scenario.Run(t, []scenario.Scenario{{Name: "transactions", Config: open, Steps: steps}})
}

// fields are n members of a body, each with a comma before it.
func fields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"f` + strconv.Itoa(i) + `":1`)
	}
	return b.String()
}

// TestHostileQueries: requests that would cost far more than they are long.
func TestHostileQueries(t *testing.T) {
	deep := strings.Repeat("a.", 50_000) + "a"
	many := strings.Repeat("a,", 50_000) + "a"
	body := func(param, v string) string { return `{"_method":"GET","` + param + `":"` + v + `"}` }
	scenario.Run(t, []scenario.Scenario{{Name: "queries", Config: open, Steps: []scenario.Step{
		{Name: "class", Method: "POST", Path: "/classes/A", Body: `{"n":1}`, Status: 201},
		{Name: "deep include", Method: "POST", Path: "/classes/A", Body: body("include", deep), Code: parse.InvalidQuery},
		{Name: "deep keys", Method: "POST", Path: "/classes/A", Body: body("keys", deep), Code: parse.InvalidQuery},
		{Name: "deep excludeKeys", Method: "POST", Path: "/classes/A", Body: body("excludeKeys", deep), Code: parse.InvalidQuery},
		{Name: "deep path", Method: "POST", Path: "/classes/A", Body: `{"o` + strings.Repeat(".x", 50_000) + `":1}`, Code: parse.InvalidNestedKey},
		{Name: "too many fields", Method: "POST", Path: "/installations", Body: `{"deviceType":"ios","installationId":"i"` + fields(3000) + `}`, Code: parse.RequestLimitExceeded},
		{Name: "many keys", Method: "POST", Path: "/classes/A", Body: body("keys", many), Code: parse.InvalidQuery},
	}}})
}
