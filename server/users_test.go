package server_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// signUp makes a user and saves <name>.id and <name>.token.
func signUp(name string) scenario.Step {
	return scenario.Step{
		Name: "sign up " + name, Method: "POST", Path: "/users", Status: 201,
		Body: `{"username":"` + name + `","password":"pass-` + name + `","email":"` + name + `@example.com"}`,
		JSON: `{"objectId":"*","createdAt":"*","sessionToken":"*","...":0}`,
		Save: map[string]string{"objectId": name + ".id", "sessionToken": name + ".token"},
	}
}

func TestUsers(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{
		{Name: "sign-up and login", Steps: []scenario.Step{
			signUp("alice"),
			{Name: "no name", Method: "POST", Path: "/users", Body: `{"password":"x"}`, Code: parse.UsernameMissing, Error: "bad or missing username"},
			{Name: "no password", Method: "POST", Path: "/users", Body: `{"username":"x"}`, Code: parse.PasswordMissing, Error: "password is required"},
			{Name: "taken", Method: "POST", Path: "/users", Body: `{"username":"alice","password":"x"}`, Code: parse.UsernameTaken, Error: "Account already exists for this username."},
			{Name: "taken but for case", Method: "POST", Path: "/users", Body: `{"username":"ALICE","password":"x"}`, Code: parse.UsernameTaken},
			{Name: "address taken but for case", Method: "POST", Path: "/users", Body: `{"username":"al","password":"x","email":"Alice@example.com"}`, Code: parse.EmailTaken, Error: "Account already exists for this email address."},
			{Name: "bad address", Method: "POST", Path: "/users", Body: `{"username":"al","password":"x","email":"nope"}`, Code: parse.InvalidEmailAddress, Error: "Email address format is invalid."},
			{Name: "through the class route", Method: "POST", Path: "/classes/_User", Body: `{"username":"carol","password":"x"}`, Status: 201, JSON: `{"sessionToken":"*","...":0}`},
			{Name: "by GET", Path: "/login", Query: map[string]string{"username": "alice", "password": "pass-alice"}, JSON: `{"username":"alice","email":"alice@example.com","sessionToken":"*","ACL":{"{{alice.id}}":{"read":true,"write":true}},"...":0}`, Lacks: []string{"hashed", `"password"`}},
			{Name: "by POST", Method: "POST", Path: "/login", Body: `{"username":"alice","password":"pass-alice"}`, JSON: `{"sessionToken":"*","...":0}`},
			{Name: "by address", Method: "POST", Path: "/login", Body: `{"email":"alice@example.com","password":"pass-alice"}`, JSON: `{"sessionToken":"*","...":0}`},
			{Name: "a stale token does not matter", Method: "POST", Path: "/login", Header: map[string]string{"X-Parse-Session-Token": "r:stale"}, Body: `{"username":"alice","password":"pass-alice"}`},
			{Name: "wrong password", Method: "POST", Path: "/login", Body: `{"username":"alice","password":"x"}`, Code: parse.ObjectNotFound, Error: "Invalid username/password."},
			{Name: "unknown user", Method: "POST", Path: "/login", Body: `{"username":"nobody","password":"x"}`, Code: parse.ObjectNotFound, Error: "Invalid username/password."},
			{Name: "an operator as password", Method: "POST", Path: "/login", Body: `{"username":"alice","password":{"$ne":null}}`, Code: parse.ObjectNotFound},
			{Name: "an operator as name", Method: "POST", Path: "/login", Body: `{"username":{"$gt":""},"password":"pass-alice"}`, Code: parse.ObjectNotFound},
			{Name: "no name", Method: "POST", Path: "/login", Body: `{"password":"x"}`, Code: parse.UsernameMissing, Error: "username/email is required."},
			{Name: "no password", Method: "POST", Path: "/login", Body: `{"username":"alice"}`, Code: parse.PasswordMissing, Error: "password is required."},
			{Name: "verify", Method: "POST", Path: "/verifyPassword", Body: `{"username":"alice","password":"pass-alice"}`, JSON: `{"username":"alice","...":0}`, Lacks: []string{"sessionToken"}},
		}},
		{Name: "me and others", Steps: []scenario.Step{
			signUp("alice"), signUp("bob"),
			{Name: "me", Path: "/users/me", As: "alice", JSON: `{"objectId":"{{alice.id}}","username":"alice","email":"alice@example.com","sessionToken":"{{alice.token}}","...":0}`, Lacks: []string{"hashed"}},
			{Name: "me without a session", Path: "/users/me", Code: parse.InvalidSessionToken},
			{Name: "a wrong token fails everything", Path: "/classes/A", Header: map[string]string{"X-Parse-Session-Token": "r:wrong"}, Code: parse.InvalidSessionToken, Error: "Invalid session token"},
			{Name: "own row has the token", Path: "/users/{{alice.id}}", As: "alice", JSON: `{"sessionToken":"{{alice.token}}","...":0}`},
			{Name: "a private user is not seen", Path: "/users/{{alice.id}}", As: "bob", Code: parse.ObjectNotFound},
			{Name: "nor by anybody", Path: "/users", JSON: `{"results":[]}`},
			{Name: "change oneself", Method: "PUT", Path: "/users/{{alice.id}}", As: "alice", Body: `{"nick":"al"}`, JSON: `{"updatedAt":"*"}`},
			{Name: "a known field", Method: "PUT", Path: "/users/{{alice.id}}", As: "alice", Body: `{"email":"new@example.com"}`, JSON: `{"updatedAt":"*"}`},
			{Name: "change another", Method: "PUT", Path: "/users/{{alice.id}}", As: "bob", Body: `{"email":"bob2@example.com"}`, Code: parse.SessionMissing},
			{Name: "change without a session", Method: "PUT", Path: "/users/{{alice.id}}", Body: `{"email":"x@example.com"}`, Code: parse.SessionMissing},
			{Name: "delete another", Method: "DELETE", Path: "/users/{{alice.id}}", As: "bob", Code: parse.SessionMissing},
			{Name: "delete without a session", Method: "DELETE", Path: "/users/{{alice.id}}", Code: parse.SessionMissing, Error: "Insufficient auth to delete user"},
			{Name: "empty password", Method: "PUT", Path: "/users/{{alice.id}}", As: "alice", Body: `{"password":""}`, Code: parse.PasswordMissing},
			{Name: "the hash is no field", Path: "/users", As: "master", Query: map[string]string{"where": `{"_hashed_password":{"$exists":true}}`}, Code: parse.InvalidKeyName},
			{Name: "delete oneself", Method: "DELETE", Path: "/users/{{alice.id}}", As: "alice", JSON: `{}`},
			{Name: "then the session is dead", Path: "/users/me", As: "alice", Code: parse.InvalidSessionToken},
		}},
		{Name: "sessions", Steps: []scenario.Step{
			signUp("alice"), signUp("bob"),
			{Name: "own sessions only", Path: "/sessions", As: "alice", JSON: `{"results":[{"sessionToken":"{{alice.token}}","user":{"__type":"Pointer","className":"_User","objectId":"{{alice.id}}"},"createdWith":{"action":"signup","authProvider":"password"},"expiresAt":"*","...":0}]}`, Save: map[string]string{"results.0.objectId": "session"}},
			{Name: "none without a user", Path: "/sessions", Code: parse.InvalidSessionToken},
			{Name: "all for master", Path: "/sessions", As: "master", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":2}`},
			{Name: "the current one", Path: "/sessions/me", As: "alice", JSON: `{"objectId":"{{session}}","...":0}`},
			{Name: "current without a token", Path: "/sessions/me", Code: parse.InvalidSessionToken, Error: "Session token required."},
			{Name: "foreign session", Path: "/sessions/{{session}}", As: "bob", Code: parse.ObjectNotFound},
			{Name: "end a foreign session", Method: "DELETE", Path: "/sessions/{{session}}", As: "bob", Code: parse.ObjectNotFound},
			{Name: "steal a session", Method: "PUT", Path: "/sessions/{{session}}", As: "alice", Body: `{"user":{"__type":"Pointer","className":"_User","objectId":"{{bob.id}}"}}`, Code: parse.InvalidKeyName, Error: "Invalid key name: user"},
			{Name: "set a token", Method: "PUT", Path: "/sessions/{{session}}", As: "alice", Body: `{"sessionToken":"r:mine"}`, Code: parse.InvalidKeyName},
			{Name: "another session", Method: "POST", Path: "/sessions", As: "alice", Body: `{}`, Status: 201, JSON: `{"sessionToken":"*","createdWith":{"action":"create"},"...":0}`, Save: map[string]string{"sessionToken": "second.token"}},
			{Name: "is the same user", Path: "/users/me", As: "second", JSON: `{"objectId":"{{alice.id}}","...":0}`},
			{Name: "logout", Method: "POST", Path: "/logout", As: "second", JSON: `{}`},
			{Name: "is over", Path: "/users/me", As: "second", Code: parse.InvalidSessionToken},
			{Name: "the first goes on", Path: "/users/me", As: "alice"},
			{Name: "a new password", Method: "PUT", Path: "/users/{{alice.id}}", As: "alice", Body: `{"password":"fresh"}`, JSON: `{"updatedAt":"*","sessionToken":"*"}`, Save: map[string]string{"sessionToken": "fresh.token"}},
			{Name: "ends the old session", Path: "/users/me", As: "alice", Code: parse.InvalidSessionToken},
			{Name: "and starts one", Path: "/users/me", As: "fresh"},
			{Name: "logout without a session", Method: "POST", Path: "/logout", JSON: `{}`},
			{Name: "login as", Method: "POST", Path: "/loginAs", As: "master", Body: `{"userId":"{{bob.id}}"}`, JSON: `{"objectId":"{{bob.id}}","sessionToken":"*","...":0}`},
			{Name: "login as by a client", Method: "POST", Path: "/loginAs", As: "bob", Body: `{"userId":"{{alice.id}}"}`, Code: parse.OperationForbidden},
		}},
		{Name: "anonymous users", Steps: []scenario.Step{
			{Name: "first time", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"d-1"}}}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","username":"*","sessionToken":"*","...":0}`, Save: map[string]string{"objectId": "id", "sessionToken": "anon.token"}},
			{Name: "again", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"d-1"}}}`, Status: 200, JSON: `{"objectId":"{{id}}","sessionToken":"*","...":0}`},
			{Name: "unknown provider", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1"}}}`, Code: parse.UnsupportedService, Error: "This authentication method is unsupported."},
			{Name: "no credentials at all", Method: "POST", Path: "/users", Body: `{"authData":{}}`, Code: parse.UsernameMissing},
			{Name: "become a user", Method: "PUT", Path: "/users/{{id}}", As: "anon", Body: `{"username":"named","password":"x","authData":{"anonymous":null}}`, JSON: `{"updatedAt":"*","sessionToken":"*","...":0}`},
			{Name: "the id is dead", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"d-1"}}}`, Status: 201},
			{Name: "the name works", Method: "POST", Path: "/login", Body: `{"username":"named","password":"x"}`, JSON: `{"objectId":"{{id}}","...":0}`},
		}},
		{Name: "no anonymous users", Config: func(c *config.Config) { c.EnableAnonymousUsers = false }, Steps: []scenario.Step{
			{Name: "refused", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"d-1"}}}`, Code: parse.UnsupportedService},
		}},
		{Name: "master signs up", Steps: []scenario.Step{
			{Name: "without a session", Method: "POST", Path: "/users", As: "master", Body: `{"username":"m","password":"x"}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*"}`},
		}},
	})
}

func TestRolesAndACL(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{Name: "roles", Config: open, Steps: []scenario.Step{
		signUp("alice"), signUp("bob"),
		{Name: "no ACL", Method: "POST", Path: "/roles", As: "master", Body: `{"name":"editor"}`, Code: parse.IncorrectType, Error: "ACL is required."},
		{Name: "no name", Method: "POST", Path: "/roles", As: "master", Body: `{"ACL":{}}`, Code: parse.IncorrectType, Error: "name is required."},
		{Name: "editor", Method: "POST", Path: "/roles", As: "master", Body: `{"name":"editor","ACL":{}}`, Status: 201, Save: map[string]string{"objectId": "editor"}},
		{Name: "twice", Method: "POST", Path: "/roles", As: "master", Body: `{"name":"editor","ACL":{}}`, Code: parse.DuplicateValue},
		{Name: "chief inherits", Method: "POST", Path: "/roles", As: "master", Body: `{"name":"chief","ACL":{}}`, Status: 201, Save: map[string]string{"objectId": "chief"}},
		{Name: "chiefs are editors", Method: "PUT", Path: "/roles/{{editor}}", As: "master", Body: `{"roles":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_Role","objectId":"{{chief}}"}]}}`},
		{Name: "an object for editors", Method: "POST", Path: "/classes/Doc", As: "alice", Body: `{"t":1,"ACL":{"role:editor":{"read":true,"write":true},"{{alice.id}}":{"read":true}}}`, Status: 201, Save: map[string]string{"objectId": "doc"}},
		{Name: "the creator reads", Path: "/classes/Doc/{{doc}}", As: "alice", JSON: `{"t":1,"ACL":{"role:editor":{"read":true,"write":true},"{{alice.id}}":{"read":true}},"...":0}`},
		{Name: "but does not write", Method: "PUT", Path: "/classes/Doc/{{doc}}", As: "alice", Body: `{"t":2}`, Code: parse.ObjectNotFound},
		{Name: "bob does not see it", Path: "/classes/Doc/{{doc}}", As: "bob", Code: parse.ObjectNotFound},
		{Name: "bob becomes a chief", Method: "PUT", Path: "/roles/{{chief}}", As: "master", Body: `{"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{bob.id}}"}]}}`},
		{Name: "and writes", Method: "PUT", Path: "/classes/Doc/{{doc}}", As: "bob", Body: `{"t":3}`},
		{Name: "in a find, too", Path: "/classes/Doc", As: "bob", JSON: `{"results":[{"t":3,"...":0}]}`},
		{Name: "bob is no chief any more", Method: "PUT", Path: "/roles/{{chief}}", As: "master", Body: `{"users":{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{bob.id}}"}]}}`},
		{Name: "and sees nothing", Path: "/classes/Doc", As: "bob", JSON: `{"results":[]}`},
		{Name: "clients see no objects without rights", Path: "/classes/Doc", Query: map[string]string{"count": "1"}, JSON: `{"results":[],"count":0}`},
		{Name: "clients do not change roles", Method: "PUT", Path: "/roles/{{editor}}", As: "bob", Body: `{"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{bob.id}}"}]}}`, Code: parse.ObjectNotFound},
		{Name: "lock", Method: "PUT", Path: "/classes/Doc/{{doc}}", As: "master", Body: `{"ACL":{}}`},
		{Name: "locked", Path: "/classes/Doc/{{doc}}", As: "alice", Code: parse.ObjectNotFound},
		{Name: "master sees it", Path: "/classes/Doc/{{doc}}", As: "master", JSON: `{"ACL":{},"...":0}`},
		{Name: "sub-queries see no more", Path: "/classes/Other", As: "master", JSON: `{"results":[]}`},
	}}})
}
