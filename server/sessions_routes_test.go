package server_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

// The routes of sessions and roles, and the forms of a login, that other tests
// only pass by (reference 03 §3, §6.2, §7).
func TestSessionRoutes(t *testing.T) {
	const required, invalid = "Session token required.", "Permission denied"
	put := func(name, as, body string, code parse.Code, text string) scenario.Step {
		return scenario.Step{Name: name, Method: "PUT", Path: "/sessions/{{own}}", As: as, Body: body, Code: code, Error: text}
	}
	key := func(k, as, value string) scenario.Step {
		return put(k+" by "+as, as, `{"`+k+`":`+value+`}`, parse.InvalidKeyName, "Invalid key name: "+k)
	}
	scenario.Run(t, []scenario.Scenario{{Name: "sessions", Steps: []scenario.Step{
		signUp("ann"), signUp("bob"),
		{Name: "list", Path: "/sessions", As: "ann", JSON: `{"results":["*"]}`, Save: map[string]string{"results.0.objectId": "own"}},
		{Name: "get", Path: "/sessions/{{own}}", As: "ann", JSON: `{"objectId":"{{own}}","sessionToken":"{{ann.token}}","...":0}`},
		{Name: "get a foreign one", Path: "/sessions/{{own}}", As: "bob", Code: parse.ObjectNotFound, Error: "Object not found."},
		{Name: "get by nobody", Path: "/sessions/{{own}}", Code: parse.InvalidSessionToken, Error: invalid},
		{Name: "get by master", Path: "/sessions/{{own}}", As: "master", JSON: `{"objectId":"{{own}}","...":0}`},
		{Name: "create by nobody", Method: "POST", Path: "/sessions", Body: `{}`, Code: parse.InvalidSessionToken, Error: required},
		{
			Name: "create: what the server decides is decided by it", Method: "POST", Path: "/sessions", As: "ann", Status: 201,
			Body: `{"user":{"__type":"Pointer","className":"_User","objectId":"{{bob.id}}"},"sessionToken":"r:mine","createdWith":{"action":"login"},"note":"x"}`,
			JSON: `{"objectId":"*","sessionToken":"*","createdWith":{"action":"create"},"user":{"__type":"Pointer","className":"_User","objectId":"{{ann.id}}"},"note":"x","...":0}`, Lacks: []string{"r:mine"},
			Save: map[string]string{"objectId": "second", "sessionToken": "second.token"},
		},
		{Name: "create with an id", Method: "POST", Path: "/sessions", As: "ann", Body: `{"objectId":"abc"}`, Code: parse.InvalidKeyName, Error: "objectId is an invalid field name."},
		{Name: "create with an ACL", Method: "POST", Path: "/sessions", As: "ann", Body: `{"ACL":{}}`, Code: parse.InvalidKeyName, Error: "Cannot set ACL on a Session."},
		{Name: "create on an installation", Method: "POST", Path: "/sessions", As: "ann", Body: `{"installationId":"i1"}`, Status: 201, Save: map[string]string{"objectId": "third", "sessionToken": "third.token"}},
		{Name: "create on it again", Method: "POST", Path: "/sessions", As: "ann", Body: `{"installationId":"i1"}`, Status: 201},
		{Name: "which ends the one before", Path: "/sessions/me", As: "third", Code: parse.InvalidSessionToken},
		put("an own field", "ann", `{"note":"y"}`, 0, ""),
		put("by nobody", "", `{"note":"y"}`, parse.InvalidSessionToken, required),
		put("of another", "bob", `{"note":"y"}`, parse.ObjectNotFound, "Object not found."),
		put("an ACL", "ann", `{"ACL":{}}`, parse.InvalidKeyName, "Cannot set ACL on a Session."),
		key("installationId", "ann", `"x"`), key("installationId", "master", `"x"`), key("sessionToken", "master", `"r:x"`), key("sessionToken", "ann", `null`),
		key("expiresAt", "ann", `null`), key("createdWith", "ann", `{}`), key("user", "ann", `null`),
		put("its end, by master", "master", `{"expiresAt":{"__type":"Date","iso":"2100-01-01T00:00:00.000Z"}}`, 0, ""),
		{Name: "delete by nobody", Method: "DELETE", Path: "/sessions/{{second}}", Code: parse.InvalidSessionToken, Error: invalid},
		{Name: "delete a foreign one", Method: "DELETE", Path: "/sessions/{{second}}", As: "bob", Code: parse.ObjectNotFound},
		{Name: "delete", Method: "DELETE", Path: "/sessions/{{second}}", As: "ann", JSON: `{}`},
		{Name: "it is over at once", Path: "/users/me", As: "second", Code: parse.InvalidSessionToken},
		{Name: "delete by master", Method: "DELETE", Path: "/sessions/{{own}}", As: "master", JSON: `{}`},
		{Name: "over, too", Path: "/users/me", As: "ann", Code: parse.InvalidSessionToken},
	}}, {Name: "roles", Steps: []scenario.Step{
		signUp("ann"), signUp("bob"),
		{
			Name: "create", Method: "POST", Path: "/roles", As: "master", Status: 201, Save: map[string]string{"objectId": "role"},
			Body: `{"name":"editor","ACL":{"{{ann.id}}":{"read":true,"write":true}}}`,
		},
		{Name: "list", Path: "/roles", As: "ann", JSON: `{"results":[{"objectId":"{{role}}","name":"editor","users":{"__type":"Relation","className":"_User"},"roles":{"__type":"Relation","className":"_Role"},"...":0}]}`},
		{Name: "list by another", Path: "/roles", As: "bob", JSON: `{"results":[]}`},
		{Name: "find by name", Path: "/roles", As: "master", Query: map[string]string{"where": `{"name":"editor"}`, "count": "1", "limit": "0"}, JSON: `{"results":[],"count":1}`},
		{Name: "get", Path: "/roles/{{role}}", As: "ann", JSON: `{"name":"editor","...":0}`},
		{Name: "get by another", Path: "/roles/{{role}}", As: "bob", Code: parse.ObjectNotFound, Error: "Object not found."},
		{Name: "a member", Method: "PUT", Path: "/roles/{{role}}", As: "ann", Body: `{"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{bob.id}}"}]}}`},
		{Name: "roles of a member", Path: "/roles", As: "master", Query: map[string]string{"where": `{"users":{"__type":"Pointer","className":"_User","objectId":"{{bob.id}}"}}`}, JSON: `{"results":[{"name":"editor","...":0}]}`},
		{Name: "for editors", Method: "POST", Path: "/classes/Doc", As: "master", Status: 201, Body: `{"ACL":{"role:editor":{"read":true}}}`, Save: map[string]string{"objectId": "doc"}},
		{Name: "a member reads", Path: "/classes/Doc/{{doc}}", As: "bob"},
		{Name: "delete by a member", Method: "DELETE", Path: "/roles/{{role}}", As: "bob", Code: parse.ObjectNotFound},
		{Name: "delete", Method: "DELETE", Path: "/roles/{{role}}", As: "ann", JSON: `{}`},
		{Name: "nobody is a member any more", Path: "/classes/Doc/{{doc}}", As: "bob", Code: parse.ObjectNotFound},
	}}, {Name: "logins by URL", Steps: []scenario.Step{
		signUp("ann"),
		{Name: "login", Path: "/login", Query: map[string]string{"username": "ann", "password": "pass-ann"}, JSON: `{"objectId":"{{ann.id}}","sessionToken":"*","...":0}`},
		{Name: "login by address", Path: "/login", Query: map[string]string{"email": "ann@example.com", "password": "pass-ann"}, JSON: `{"objectId":"{{ann.id}}","sessionToken":"*","...":0}`},
		{Name: "login without a name", Path: "/login", Query: map[string]string{"password": "x"}, Code: parse.UsernameMissing, Error: "username/email is required."},
		{Name: "login without a password", Path: "/login", Query: map[string]string{"username": "ann"}, Code: parse.PasswordMissing, Error: "password is required."},
		{Name: "login with a wrong one", Path: "/login", Query: map[string]string{"username": "ann", "password": "x"}, Code: parse.ObjectNotFound, Error: wrongPassword},
		{Name: "verify", Path: "/verifyPassword", Query: map[string]string{"username": "ann", "password": "pass-ann"}, JSON: `{"objectId":"{{ann.id}}","...":0}`, Lacks: []string{"sessionToken"}},
		{Name: "verify by address", Path: "/verifyPassword", Query: map[string]string{"email": "ann@example.com", "password": "pass-ann"}, JSON: `{"objectId":"{{ann.id}}","...":0}`},
		{Name: "verify a wrong one", Path: "/verifyPassword", Query: map[string]string{"username": "ann", "password": "x"}, Code: parse.ObjectNotFound, Error: wrongPassword},
		{Name: "verify without a name", Path: "/verifyPassword", Query: map[string]string{"password": "x"}, Code: parse.UsernameMissing, Error: "username/email is required."},
		{Name: "no session was started by it", Path: "/sessions", As: "master", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":3}`},
	}}})
}
