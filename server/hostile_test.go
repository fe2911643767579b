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

// TestHostileUsers is a table of attacks on users, roles, sessions and owners,
// all of which are refused; bob is the admin.
func TestHostileUsers(t *testing.T) {
	find := func(as, class, where string, code parse.Code) scenario.Step {
		return scenario.Step{Name: as + " asks " + class + " for " + where, Path: "/classes/" + class, As: as, Query: map[string]string{"where": where, "count": "1"}, Code: code}
	}
	put := func(as, path, body string, code parse.Code) scenario.Step {
		return scenario.Step{Name: as + " puts " + path + " " + body, Method: "PUT", Path: path, As: as, Body: body, Code: code}
	}
	signUpWith := func(member string, code parse.Code) scenario.Step {
		return scenario.Step{Name: "sign-up with " + member, Method: "POST", Path: "/users", Body: `{"username":"m","password":"x","email":"m@x",` + member + `}`, Code: code}
	}
	pointer := func(name string) string {
		return `{"__type":"Pointer","className":"_User","objectId":"{{` + name + `.id}}"}`
	}
	method, role, join := "/classes/PaymentMethod/{{method}}", "/roles/{{role}}", `{"users":{"__op":"AddRelation","objects":[`+pointer("alice")+`]}}`
	steps := []scenario.Step{
		signUp("alice"), signUp("bob"),
		{
			Name: "admin", Method: "POST", Path: "/roles", As: "master", Status: 201, Save: map[string]string{"objectId": "role"},
			Body: `{"name":"admin","ACL":{"*":{"read":true}},"users":{"__op":"AddRelation","objects":[` + pointer("bob") + `]}}`,
		},
		{Name: "method", Method: "POST", Path: "/classes/PaymentMethod", As: "alice", Body: `{"type":"card","details":"x"}`, Status: 201, Save: map[string]string{"objectId": "method"}},

		find("bob", "_User", `{"email":"alice@example.com"}`, parse.OperationForbidden),
		find("bob", "_User", `{"$or":[{"$nor":[{"role":{"$regex":"^a"}}]}]}`, parse.OperationForbidden),
		find("bob", "_User", `{"authData.anonymous.id":{"$regex":"^"}}`, parse.OperationForbidden),
		find("bob", "_User", `{"_hashed_password":{"$regex":"^"}}`, parse.InvalidKeyName),
		find("bob", "_User", `{"_rperm":"*"}`, parse.InvalidKeyName),
		find("bob", "_User", `{"ACL":{"$exists":true}}`, parse.InvalidQuery),
		find("bob", "PaymentMethod", `{"user":{"$inQuery":{"className":"_User","where":{"email":{"$regex":"^a"}}}}}`, parse.OperationForbidden),
		find("alice", "PaymentMethod", `{"details":{"$select":{"key":"email","query":{"className":"_User"}}}}`, parse.OperationForbidden),
		find("alice", "PaymentMethod", `{"details":{"$select":{"key":"_hashed_password","query":{"className":"_User"}}}}`, parse.InvalidQuery),
		find("alice", "PaymentMethod", `{"user":{"$inQuery":{"className":"_Join:users:_Role","where":{}}}}`, parse.OperationForbidden),
		find("alice", "_Join:users:_Role", `{}`, parse.OperationForbidden),
		find("alice", "_SCHEMA", `{}`, parse.OperationForbidden),
		find("alice", "_Installation", `{}`, parse.OperationForbidden),
		find("", "_Session", `{}`, parse.InvalidSessionToken),
		{Name: "sort by email", Path: "/users", As: "bob", Query: map[string]string{"order": "email"}, Code: parse.OperationForbidden},
		{Name: "include tells no address", Path: method, As: "bob", Query: map[string]string{"include": "user", "keys": "user.email,user._hashed_password,user.role,user.sessionToken"}, Lacks: []string{"alice@", "hashed", "client", "sessionToken"}},
		{Name: "foreign sessions do not match", Path: "/sessions", As: "alice", Query: map[string]string{"where": `{"user":` + pointer("bob") + `}`}, JSON: `{"results":[]}`},

		put("alice", role, join, parse.OperationForbidden),
		put("bob", role, join, parse.OperationForbidden),
		put("alice", "/users/{{alice.id}}", `{"role":{"__op":"Delete"}}`, parse.OperationForbidden),
		put("alice", "/users/{{alice.id}}", `{"_hashed_password":"x"}`, parse.InvalidKeyName),
		put("alice", "/users/{{alice.id}}", `{"authData.anonymous.id":"x"}`, parse.InvalidKeyName),
		put("alice", "/users/{{alice.id}}", `{"emailVerified":true}`, parse.OperationForbidden),
		put("bob", "/users/{{alice.id}}", `{"username":"x"}`, parse.SessionMissing),
		signUpWith(`"role":"admin"`, parse.OperationForbidden),
		signUpWith(`"role.x":"admin"`, parse.IncorrectType),
		signUpWith(`"_hashed_password":"x"`, parse.InvalidKeyName),
		signUpWith(`"_session_token":"x"`, parse.InvalidKeyName),
		signUpWith(`"authData.anonymous":{"id":"x"}`, parse.InvalidKeyName),
		signUpWith(`"authData":{"facebook":{"id":"x"}}`, parse.UnsupportedService),
		signUpWith(`"objectId":"role:admin"`, parse.OperationForbidden),
		signUpWith(`"extra":1`, parse.OperationForbidden),

		put("alice", method, `{"user":`+pointer("bob")+`}`, parse.OperationForbidden),
		put("alice", method, `{"user":{"__op":"Delete"}}`, parse.OperationForbidden),
		put("alice", method, `{"user":null}`, parse.OperationForbidden),
		put("alice", method, `{"user.objectId":"{{bob.id}}"}`, parse.IncorrectType),
		put("alice", method, `{"user":{"__op":"AddRelation","objects":[`+pointer("bob")+`]}}`, parse.IncorrectType),
		put("alice", method, `{"user":{"__type":"Object","className":"_User","objectId":"{{bob.id}}"}}`, parse.IncorrectType),
		put("alice", method, `{"_wperm":["*"]}`, parse.InvalidKeyName),
		put("alice", method, `{"ACL.*":{"read":true}}`, parse.IncorrectType),
		put("alice", method, `{"extra":{"__op":"Increment","amount":1}}`, parse.OperationForbidden),
		put("alice", method, `{"__proto__":{"x":1}}`, parse.InvalidKeyName),
		put("bob", method, `{"details":"y"}`, parse.ObjectNotFound),
		{Name: "an ACL is not the client's", Method: "PUT", Path: method, As: "alice", Body: `{"ACL":{"*":{"read":true,"write":true}}}`},
		{Name: "and stays", Path: method, As: "alice", JSON: `{"details":"x","user":` + pointer("alice") + `,"ACL":{"{{alice.id}}":{"read":true,"write":true},"role:admin":{"read":true}},"...":0}`},
		{Name: "a function cannot be undone", Method: "POST", Path: "/batch", As: "alice", Body: `{"transaction":true,"requests":[{"method":"POST","path":"/parse/functions/processPayment","body":{"amount":5,"paymentMethod":"{{method}}","idempotencyKey":"k"}},{"method":"POST","path":"/parse/classes/Nope","body":{}}]}`, Code: parse.InvalidJSON},
		{Name: "and did nothing", Path: "/classes/Payment", As: "alice", JSON: `{"results":[]}`},
	}
	scenario.Run(t, []scenario.Scenario{{Name: "refused", Config: gateway, Steps: steps}})
}
