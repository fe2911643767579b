package server_test

import (
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// explained lets refusals by permissions say why.
func explained(c *config.Config) {
	open(c)
	c.EnableSanitizedErrorResponse = false
	c.ReadOnlyMasterKey, c.MaintenanceKey = "reader", "keeper"
}

// refused is a request that ends with an error.
func refused(method, path, body, as string, code parse.Code, text string) scenario.Step {
	return scenario.Step{Name: as + " " + method + " " + path + " " + body, Method: method, Path: path, Body: body, As: as, Code: code, Error: text}
}

// withKey sends a key in the place of a user.
func withKey(key string, st scenario.Step) scenario.Step {
	header := "X-Parse-Master-Key"
	if key == "keeper" {
		header = "X-Parse-Maintenance-Key"
	}
	st.Name = key + " " + st.Name
	st.Header = map[string]string{header: key}
	return st
}

func ofInstallation(id string, st scenario.Step) scenario.Step {
	st.Header = map[string]string{"X-Parse-Installation-Id": id}
	return st
}

const (
	badLogin   = "Invalid username/password."
	noToken    = "Invalid session token"
	needsToken = "Session token required."
	bobPointer = `{"__type":"Pointer","className":"_User","objectId":"{{bob.id}}"}`
)

func TestSignUpRows(t *testing.T) {
	up := func(body string, code parse.Code, text string) scenario.Step {
		return refused("POST", "/users", body, "", code, text)
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "refused", Config: explained, Steps: []scenario.Step{
			signUp("alice"),
			up(`{"objectId":"role:x","username":"a","password":"p"}`, parse.OperationForbidden, "Invalid object ID."),
			up(`{"objectId":"abc","username":"a","password":"p"}`, parse.InvalidKeyName, "objectId is an invalid field name."),
			up(`{"id":"abc","username":"a","password":"p"}`, parse.InvalidKeyName, "id is an invalid field name."),
			up(`{"username":1,"password":"p"}`, parse.UsernameMissing, "bad or missing username"),
			up(`{"username":"","password":"p"}`, parse.UsernameMissing, "bad or missing username"),
			up(`{"username":"a","password":1}`, parse.PasswordMissing, "password is required"),
			up(`{"username":"a","password":""}`, parse.PasswordMissing, "password is required"),
			up(`{"username":"a","password":"p","authData":null}`, parse.UnsupportedService, "This authentication method is unsupported."),
			up(`{"username":"a","password":"p","authData":{"x":"str"}}`, parse.UnsupportedService, ""),
			up(`{"authData":{"x":{}}}`, parse.UsernameMissing, ""),
			up(`{"authData":{"x":null}}`, parse.UsernameMissing, ""),
			up(`{"username":"a","password":"p","emailVerified":true}`, parse.OperationForbidden, "Clients aren't allowed to manually update email verification."),
			up(`{"username":"a","password":"p","email":1}`, parse.IncorrectType, "schema mismatch for _User.email; expected String but got Number"),
			up(`{"username":"a","password":"p","_hashed_password":"x"}`, parse.InvalidKeyName, "Invalid field name: _hashed_password."),
			withKey("reader", up(`{"username":"a","password":"p"}`, parse.OperationForbidden, "read-only masterKey isn't allowed to perform the create operation.")),
			{Name: "nobody was made", Path: "/users", As: "master", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":1}`},
		}},
		{Name: "what is kept", Config: open, Steps: []scenario.Step{
			{Name: "an ACL", Method: "POST", Path: "/users", Body: `{"username":"a","password":"p","ACL":{"*":{"read":true}}}`, Status: 201, Save: map[string]string{"objectId": "a"}},
			{Name: "with the owner", Path: "/users/{{a}}", JSON: `{"username":"a","ACL":{"*":{"read":true},"{{a}}":{"read":true,"write":true}},"...":0}`},
			{Name: "no address", Method: "POST", Path: "/users", Body: `{"username":"b","password":"p","email":null,"sessionToken":"r:mine"}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","sessionToken":"*"}`},
			{Name: "nor another", Method: "POST", Path: "/users", Body: `{"username":"c","password":"p","email":"","authData":{}}`, Status: 201, JSON: `{"sessionToken":"*","...":0}`},
			{Name: "a token of one's own is none", Path: "/users/me", Header: map[string]string{"X-Parse-Session-Token": "r:mine"}, Code: parse.InvalidSessionToken},
			{Name: "a long password", Method: "POST", Path: "/users", Body: `{"username":"d","password":"` + strings.Repeat("x", 80) + `"}`, Status: 201},
			{Name: "is cut to 72 bytes", Method: "POST", Path: "/login", Body: `{"username":"d","password":"` + strings.Repeat("x", 72) + `"}`},
			{Name: "and not to fewer", Method: "POST", Path: "/login", Body: `{"username":"d","password":"` + strings.Repeat("x", 71) + `"}`, Code: parse.ObjectNotFound},
			ofInstallation("cloud", scenario.Step{Name: "the cloud's", Method: "POST", Path: "/users", Body: `{"username":"e","password":"p"}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*"}`}),
		}},
	})
}

func TestLoginRows(t *testing.T) {
	in := func(body string, code parse.Code, text string) scenario.Step {
		return refused("POST", "/login", body, "", code, text)
	}
	var steps []scenario.Step
	steps = append(steps, signUp("alice"), signUp("bob"))
	for _, path := range []string{"/login", "/verifyPassword"} {
		for _, st := range []scenario.Step{
			in(`{}`, parse.UsernameMissing, "username/email is required."),
			in(`{"username":""}`, parse.UsernameMissing, ""),
			in(`{"username":"alice"}`, parse.PasswordMissing, "password is required."),
			in(`{"username":"alice","password":""}`, parse.PasswordMissing, ""),
			in(`{"username":"alice","password":1}`, parse.ObjectNotFound, badLogin),
			in(`{"username":1,"password":"p"}`, parse.ObjectNotFound, badLogin),
			in(`{"username":"alice","email":1,"password":"pass-alice"}`, parse.ObjectNotFound, badLogin),
			in(`{"username":"alice","email":"bob@example.com","password":"pass-alice"}`, parse.ObjectNotFound, badLogin),
			in(`{"username":"ALICE","password":"pass-alice"}`, parse.ObjectNotFound, badLogin),
			in(`{"email":"ALICE@example.com","password":"pass-alice"}`, parse.ObjectNotFound, badLogin),
			{Name: "both", Method: "POST", Body: `{"username":"alice","email":"alice@example.com","password":"pass-alice"}`, JSON: `{"objectId":"{{alice.id}}","...":0}`},
			{Name: "an address as name", Method: "POST", Body: `{"username":"alice@example.com","password":"pass-alice"}`, JSON: `{"objectId":"{{alice.id}}","...":0}`},
			{Name: "all from the query", Method: "POST", Body: `{"password":"other"}`, Query: map[string]string{"email": "alice@example.com", "password": "pass-alice"}, JSON: `{"objectId":"{{alice.id}}","...":0}`},
			{Name: "by GET", Query: map[string]string{"username": "alice", "password": "pass-alice"}, JSON: `{"objectId":"{{alice.id}}","...":0}`},
			{Name: "wrong by GET", Query: map[string]string{"username": "alice", "password": "x"}, Code: parse.ObjectNotFound, Error: badLogin},
			{Name: "nothing by GET", Code: parse.UsernameMissing},
		} {
			st.Path = path
			steps = append(steps, st)
		}
	}
	stale := map[string]string{"X-Parse-Session-Token": "r:stale"}
	steps = append(steps,
		scenario.Step{Name: "stale, with a slash", Method: "POST", Path: "/login/", Header: stale, Body: `{"username":"alice","password":"pass-alice"}`},
		scenario.Step{Name: "stale, in capitals", Method: "POST", Path: "/LOGIN", Header: stale, Body: `{"username":"alice","password":"pass-alice"}`},
		scenario.Step{Name: "stale elsewhere", Method: "POST", Path: "/verifyPassword", Header: stale, Body: `{"username":"alice","password":"pass-alice"}`, Code: parse.InvalidSessionToken, Error: noToken},
		scenario.Step{Name: "lock bob out", Method: "PUT", Path: "/users/{{bob.id}}", As: "master", Body: `{"ACL":{}}`},
		in(`{"username":"bob","password":"pass-bob"}`, parse.ObjectNotFound, badLogin),
		refused("POST", "/verifyPassword", `{"username":"bob","password":"pass-bob"}`, "", parse.ObjectNotFound, badLogin),
		scenario.Step{Name: "the master may", Method: "POST", Path: "/login", As: "master", Body: `{"username":"bob","password":"pass-bob"}`, JSON: `{"ACL":{},"username":"bob","...":0}`},
		scenario.Step{Name: "not seen by himself", Method: "PUT", Path: "/users/{{bob.id}}", As: "master", Body: `{"ACL":{"{{alice.id}}":{"read":true}}}`},
		scenario.Step{Name: "is his id alone", Method: "POST", Path: "/login", Body: `{"username":"bob","password":"pass-bob"}`, JSON: `{"objectId":"{{bob.id}}","sessionToken":"*"}`},
		scenario.Step{Name: "verified, too", Method: "POST", Path: "/verifyPassword", Body: `{"username":"bob","password":"pass-bob"}`, JSON: `{"objectId":"{{bob.id}}"}`},
		refused("GET", "/users/me", "", "bob", parse.InvalidSessionToken, noToken),
	)
	as := func(by, body string, code parse.Code, text string) scenario.Step {
		return refused("POST", "/loginAs", body, by, code, text)
	}
	const noID = "userId must not be empty, null, or undefined"
	scenario.Run(t, []scenario.Scenario{
		{Name: "login and verifyPassword", Config: explained, Steps: steps},
		{Name: "loginAs and logout", Config: explained, Steps: []scenario.Step{
			signUp("alice"),
			as("", `{"userId":"{{alice.id}}"}`, parse.OperationForbidden, "master key is required"),
			as("alice", `{"userId":"{{alice.id}}"}`, parse.OperationForbidden, "master key is required"),
			withKey("keeper", as("", `{"userId":"{{alice.id}}"}`, parse.OperationForbidden, "master key is required")),
			withKey("reader", as("", `{"userId":"{{alice.id}}"}`, parse.OperationForbidden, "read-only masterKey isn't allowed to login as another user.")),
			as("master", `{}`, parse.InvalidValue, noID),
			as("master", `{"userId":""}`, parse.InvalidValue, noID),
			as("master", `{"userId":null}`, parse.InvalidValue, noID),
			as("master", `{"userId":{"$ne":""}}`, parse.InvalidValue, noID),
			as("master", `{"userId":"nobody"}`, parse.ObjectNotFound, "user not found"),
			{Name: "by query", Method: "POST", Path: "/loginAs", As: "master", Query: map[string]string{"userId": "{{alice.id}}"}, JSON: `{"objectId":"{{alice.id}}","sessionToken":"*","...":0}`, Save: map[string]string{"sessionToken": "lent.token"}},
			{Name: "its session", Path: "/sessions/me", As: "lent", JSON: `{"createdWith":{"action":"login","authProvider":"masterkey"},"...":0}`},
			{Name: "logout", Method: "POST", Path: "/logout", As: "lent", JSON: `{}`},
			refused("POST", "/logout", "", "lent", parse.InvalidSessionToken, noToken),
			{Name: "of the master", Method: "POST", Path: "/logout", As: "master", JSON: `{}`},
			{Name: "her own goes on", Path: "/users/me", As: "alice"},
		}},
	})
}

func TestUserRows(t *testing.T) {
	const user = "/users/{{alice.id}}"
	cannot := "Cannot modify user {{alice.id}}."
	own := func(body string, code parse.Code, text string) scenario.Step {
		return refused("PUT", user, body, "alice", code, text)
	}
	steps := []scenario.Step{
		signUp("alice"), signUp("bob"),
		refused("GET", user, "", "", parse.ObjectNotFound, "Object not found."),
		refused("GET", user, "", "bob", parse.ObjectNotFound, "Object not found."),
		{Name: "the master has no token of hers", Path: user, As: "master", JSON: `{"email":"alice@example.com","...":0}`, Lacks: []string{"sessionToken"}},
		refused("PUT", user, `{"nick":"x"}`, "", parse.SessionMissing, cannot),
		refused("PUT", user, `{"nick":"x"}`, "bob", parse.SessionMissing, "Insufficient auth."),
		refused("PUT", "/users/nobody", `{"nick":"x"}`, "alice", parse.SessionMissing, "Insufficient auth."),
		refused("PUT", "/users/nobody", `{"nick":"x"}`, "master", parse.ObjectNotFound, "Object not found."),
		refused("DELETE", user, "", "", parse.SessionMissing, "Insufficient auth to delete user"),
		refused("DELETE", user, "", "bob", parse.SessionMissing, "Insufficient auth."),
		refused("DELETE", "/users/nobody", "", "master", parse.ObjectNotFound, "Object not found."),
		withKey("reader", refused("PUT", user, `{"nick":"x"}`, "", parse.OperationForbidden, "read-only masterKey isn't allowed to perform the update operation.")),
		withKey("reader", refused("DELETE", user, "", "", parse.OperationForbidden, "read-only masterKey isn't allowed to perform the delete operation.")),

		own(`{"username":{"__op":"Delete"}}`, parse.UsernameMissing, "bad or missing username"),
		own(`{"username":""}`, parse.UsernameMissing, ""),
		own(`{"username":1}`, parse.IncorrectType, ""),
		own(`{"username":"BOB"}`, parse.UsernameTaken, "Account already exists for this username."),
		own(`{"email":"Bob@example.com"}`, parse.EmailTaken, "Account already exists for this email address."),
		own(`{"email":"x"}`, parse.InvalidEmailAddress, "Email address format is invalid."),
		own(`{"password":{"__op":"Delete"}}`, parse.PasswordMissing, "password is required"),
		own(`{"password":null}`, parse.PasswordMissing, ""),
		own(`{"password":1}`, parse.IncorrectType, ""),
		own(`{"emailVerified":true}`, parse.OperationForbidden, "Clients aren't allowed to manually update email verification."),
		own(`{"authData.x.y":1}`, parse.InvalidKeyName, "Invalid field name for update: authData.x.y"),
		own(`{"_session_token":"x"}`, parse.InvalidKeyName, "Invalid field name: _session_token."),
		own(`{"authData":1}`, parse.IncorrectType, ""),
		{Name: "capitals of one's own name", Method: "PUT", Path: user, As: "alice", Body: `{"username":"Alice"}`},
		{Name: "and back", Method: "PUT", Path: user, As: "alice", Body: `{"username":"alice","email":""}`},
		{Name: "no address", Path: user, As: "alice", JSON: `{"username":"alice","...":0}`, Lacks: []string{`"email"`}},
		{Name: "an address again", Method: "PUT", Path: user, As: "alice", Body: `{"email":"alice@example.com","ACL":{"*":{"read":true,"write":true}}}`},
		{Name: "everybody sees her, but for the address", Path: user, As: "bob", JSON: `{"username":"alice","ACL":{"*":{"read":true,"write":true},"{{alice.id}}":{"read":true,"write":true}},"...":0}`, Lacks: []string{"alice@example.com"}},
		refused("PUT", user, `{"password":"stolen"}`, "bob", parse.SessionMissing, "Insufficient auth."),
		refused("PUT", user, `{"nick":"x"}`, "", parse.SessionMissing, cannot),
		refused("DELETE", user, "", "bob", parse.SessionMissing, "Insufficient auth."),
		{Name: "an ACL without her", Method: "PUT", Path: user, As: "alice", Body: `{"ACL":{}}`},
		{Name: "has her", Path: user, As: "alice", JSON: `{"sessionToken":"{{alice.token}}","ACL":{"{{alice.id}}":{"read":true,"write":true}},"...":0}`},
	}
	asks := func(as, key, value string, code parse.Code, text string) {
		st := refused("GET", "/users", "", as, code, text)
		st.Query = map[string]string{key: value}
		st.Name += key + " " + value
		steps = append(steps, st)
	}
	for _, by := range []string{"", "bob", "alice"} {
		asks(by, "where", `{"email":"alice@example.com"}`, parse.OperationForbidden, "This user is not allowed to query email on class _User")
		asks(by, "where", `{"authData.anonymous.id":"x"}`, parse.OperationForbidden, "This user is not allowed to query authData.anonymous.id on class _User")
		asks(by, "where", `{"_email_verify_token":"x"}`, parse.InvalidKeyName, "Invalid key name: _email_verify_token")
		asks(by, "order", "email", parse.OperationForbidden, "This user is not allowed to sort by email on class _User")
		asks(by, "order", "authData.anonymous.id", parse.InvalidKeyName, "Cannot sort by authData.anonymous.id")
		asks(by, "order", "_hashed_password", parse.InvalidKeyName, "Invalid field name: _hashed_password.")
		steps = append(steps, scenario.Step{Name: by + " no password is found", Path: "/users", As: by, Query: map[string]string{"where": `{"password":{"$exists":true}}`}, JSON: `{"results":[]}`})
	}
	steps = append(steps,
		scenario.Step{Name: "one's own address", Path: "/users", As: "alice", Query: map[string]string{"where": `{"objectId":"{{alice.id}}","email":"alice@example.com"}`}, JSON: `{"results":[{"username":"alice","...":0}]}`},
		scenario.Step{Name: "keys of me", Path: "/users/me", As: "alice", Query: map[string]string{"keys": "username"}, JSON: `{"username":"alice","sessionToken":"{{alice.token}}","...":0}`, Lacks: []string{"@example.com"}},
		refused("GET", "/users/me", "", "master", parse.InvalidSessionToken, noToken),
		scenario.Step{Name: "by the master", Method: "PUT", Path: user, As: "master", Body: `{"password":"fresh"}`, JSON: `{"updatedAt":"*"}`},
		refused("GET", "/users/me", "", "alice", parse.InvalidSessionToken, noToken),
	)
	scenario.Run(t, []scenario.Scenario{
		{Name: "who may do what", Config: explained, Steps: steps},
		{Name: "sanitised", Config: open, Steps: []scenario.Step{
			signUp("alice"), signUp("bob"),
			refused("PUT", user, `{"nick":"x"}`, "", parse.SessionMissing, "Permission denied"),
			refused("PUT", user, `{"nick":"x"}`, "bob", parse.SessionMissing, "Permission denied"),
			refused("DELETE", user, "", "bob", parse.SessionMissing, "Permission denied"),
			refused("DELETE", user, "", "", parse.SessionMissing, "Insufficient auth to delete user"),
			refused("GET", "/sessions", "", "", parse.InvalidSessionToken, "Permission denied"),
			refused("GET", "/users/me", "", "", parse.InvalidSessionToken, "Permission denied"),
			refused("GET", "/sessions/me", "", "", parse.InvalidSessionToken, needsToken),
			refused("POST", "/loginAs", `{"userId":"x"}`, "alice", parse.OperationForbidden, "Permission denied"),
			refused("POST", "/users", `{"username":"c","password":"p","emailVerified":true}`, "", parse.OperationForbidden, "Permission denied"),
		}},
	})
}

func TestSessionRows(t *testing.T) {
	const session = "/sessions/{{session}}"
	var steps []scenario.Step
	steps = append(steps, signUp("alice"), signUp("bob"),
		scenario.Step{Name: "her session", Path: "/sessions/me", As: "alice", Save: map[string]string{"objectId": "session"}},
		withKey("keeper", refused("GET", "/sessions", "", "", parse.InvalidSessionToken, noToken)),
		refused("GET", session, "", "", parse.InvalidSessionToken, noToken),
		refused("GET", session, "", "bob", parse.ObjectNotFound, "Object not found."),
		scenario.Step{Name: "those of others are not asked for", Path: "/sessions", As: "alice", Query: map[string]string{"where": `{"user":` + bobPointer + `}`}, JSON: `{"results":[]}`},
		scenario.Step{Name: "an unknown one", Path: "/sessions/me", Header: map[string]string{"X-Parse-Session-Token": "r:x"}, Code: parse.InvalidSessionToken, Error: "Session token not found."},
		refused("PUT", session, `{"note":"n"}`, "", parse.InvalidSessionToken, needsToken),
		refused("PUT", session, `{"note":"n"}`, "bob", parse.ObjectNotFound, "Object not found."),
	)
	for key, value := range map[string]string{"installationId": "null", "sessionToken": `""`, "createdWith": "null", "expiresAt": "null", "user": bobPointer} {
		steps = append(steps, refused("PUT", session, `{"`+key+`":`+value+`}`, "alice", parse.InvalidKeyName, "Invalid key name: "+key))
	}
	steps = append(steps,
		refused("PUT", session, `{"user":{"__op":"Delete"}}`, "alice", parse.InvalidKeyName, "Invalid key name: user"),
		refused("PUT", session, `{"ACL":{}}`, "alice", parse.InvalidKeyName, "Cannot set ACL on a Session."),
		refused("PUT", session, `{"sessionToken":"r:x"}`, "master", parse.InvalidKeyName, "Invalid key name: sessionToken"),
		refused("PUT", session, `{"installationId":"x"}`, "master", parse.InvalidKeyName, "Invalid key name: installationId"),
		refused("POST", "/sessions", `{}`, "", parse.InvalidSessionToken, needsToken),
		refused("POST", "/classes/_Session", `{}`, "", parse.InvalidSessionToken, needsToken),
		refused("POST", "/sessions", `{"objectId":"x"}`, "alice", parse.InvalidKeyName, "objectId is an invalid field name."),
		refused("POST", "/sessions", `{"ACL":{}}`, "alice", parse.InvalidKeyName, "Cannot set ACL on a Session."),
		scenario.Step{
			Name: "what the server decides is not heard", Method: "POST", Path: "/sessions", As: "alice", Status: 201,
			Body: `{"user":` + bobPointer + `,"sessionToken":"r:x","expiresAt":{"__type":"Date","iso":"2100-01-01T00:00:00.000Z"},"createdWith":{"action":"x"},"installationId":"i1","note":"n"}`,
			JSON: `{"objectId":"*","createdAt":"*","sessionToken":"*","createdWith":{"action":"create"},"expiresAt":"*","user":{"__type":"Pointer","className":"_User","objectId":"{{alice.id}}"},"installationId":"i1","note":"n"}`,
			Save: map[string]string{"objectId": "second", "sessionToken": "second.token"}, Lacks: []string{"2100", "r:x"},
		},
		scenario.Step{Name: "a field of one's own", Method: "PUT", Path: session, As: "alice", Body: `{"note":"m"}`, JSON: `{"updatedAt":"*"}`},
		refused("DELETE", "/sessions/{{second}}", "", "", parse.InvalidSessionToken, noToken),
		refused("DELETE", "/sessions/{{second}}", "", "bob", parse.ObjectNotFound, "Object not found."),
		scenario.Step{Name: "end it", Method: "DELETE", Path: "/sessions/{{second}}", As: "alice", JSON: `{}`},
		refused("GET", "/users/me", "", "second", parse.InvalidSessionToken, noToken),
		scenario.Step{Name: "the master makes any", Method: "POST", Path: "/sessions", As: "master", Body: `{"user":` + bobPointer + `,"sessionToken":"r:made"}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*"}`},
		scenario.Step{Name: "which is good, and for ever", Path: "/sessions/me", Header: map[string]string{"X-Parse-Session-Token": "r:made"}, Lacks: []string{"expiresAt"}},
		scenario.Step{Name: "an old one", Method: "POST", Path: "/sessions", As: "master", Body: `{"user":` + bobPointer + `,"sessionToken":"r:old","expiresAt":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}}`, Status: 201},
		scenario.Step{Name: "is over", Path: "/classes/A", Header: map[string]string{"X-Parse-Session-Token": "r:old"}, Code: parse.InvalidSessionToken, Error: "Session token is expired."},
		scenario.Step{Name: "a user goes", Method: "DELETE", Path: "/users/{{bob.id}}", As: "bob", JSON: `{}`},
		refused("POST", "/logout", "", "bob", parse.InvalidSessionToken, noToken),
		scenario.Step{Name: "but his sessions are there", Path: "/sessions", As: "master", Query: map[string]string{"where": `{"user":` + bobPointer + `}`, "count": "1", "limit": "0"}, JSON: `{"results":[],"count":3}`},
	)
	login := func(installation, token string) scenario.Step {
		return ofInstallation(installation, scenario.Step{
			Name: token, Method: "POST", Path: "/login", Body: `{"username":"alice","password":"pass-alice"}`,
			Save: map[string]string{"sessionToken": token + ".token"},
		})
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "who may do what", Config: explained, Steps: steps},
		{Name: "one for each installation", Config: explained, Steps: []scenario.Step{
			signUp("alice"),
			login("phone", "one"), login("phone", "two"), login("tablet", "three"),
			refused("GET", "/sessions/me", "", "one", parse.InvalidSessionToken, "Session token not found."),
			{Name: "two", Path: "/sessions/me", As: "two", JSON: `{"installationId":"phone","createdWith":{"action":"login","authProvider":"password"},"...":0}`},
			{Name: "a new one for the phone", Method: "POST", Path: "/sessions", As: "three", Body: `{"installationId":"phone"}`, Status: 201, Save: map[string]string{"sessionToken": "four.token"}},
			refused("GET", "/sessions/me", "", "two", parse.InvalidSessionToken, "Session token not found."),
			{Name: "three", Path: "/users/me", As: "three"},
			{Name: "four", Path: "/users/me", As: "four"},
			{Name: "that of no installation", Path: "/users/me", As: "alice"},
		}},
		{Name: "kept with a new password", Config: func(c *config.Config) { c.RevokeSessionOnPasswordReset = false }, Steps: []scenario.Step{
			signUp("alice"),
			{Name: "change", Method: "PUT", Path: "/users/{{alice.id}}", As: "alice", Body: `{"password":"n"}`, JSON: `{"updatedAt":"*","sessionToken":"*"}`, Save: map[string]string{"sessionToken": "more.token"}},
			{Name: "the old", Path: "/users/me", As: "alice"},
			{Name: "and the new", Path: "/sessions/me", As: "more", JSON: `{"createdWith":{"action":"login","authProvider":"password"},"...":0}`},
		}},
		{Name: "without an end", Config: func(c *config.Config) { c.ExpireInactiveSessions = false }, Steps: []scenario.Step{
			signUp("alice"),
			{Name: "none", Path: "/sessions/me", As: "alice", Lacks: []string{"expiresAt"}},
		}},
	})
}

func TestRoleRows(t *testing.T) {
	const role = "/roles/{{role}}"
	steps := []scenario.Step{
		refused("POST", "/roles", `{}`, "", parse.IncorrectType, "name is required."),
		refused("POST", "/roles", `{"name":"","ACL":{}}`, "", parse.IncorrectType, "name is required."),
		refused("POST", "/roles", `{"name":null,"ACL":{}}`, "", parse.IncorrectType, "name is required."),
		refused("POST", "/roles", `{"name":1,"ACL":{}}`, "", parse.IncorrectType, "schema mismatch for _Role.name; expected String but got Number"),
		refused("POST", "/roles", `{"name":"r"}`, "", parse.IncorrectType, "ACL is required."),
		refused("POST", "/roles", `{"name":"r","ACL":null}`, "", parse.IncorrectType, "ACL is required."),
		{Name: "anybody makes one, of any name", Method: "POST", Path: "/roles", Body: `{"name":"a*é!","ACL":{"*":{"read":true}}}`, Status: 201, Save: map[string]string{"objectId": "role"}},
		{Name: "another", Method: "POST", Path: "/classes/_Role", Body: `{"name":"other","ACL":{}}`, Status: 201},
		refused("POST", "/roles", `{"name":"other","ACL":{}}`, "", parse.DuplicateValue, "A duplicate value for a field with unique values was provided"),
		refused("PUT", role, `{"name":"other"}`, "master", parse.DuplicateValue, ""),
		refused("PUT", role, `{"name":"mine"}`, "", parse.ObjectNotFound, "Object not found."),
		refused("DELETE", role, "", "", parse.ObjectNotFound, "Object not found."),
		refused("PUT", role, `{"name":{"__op":"Delete"}}`, "master", parse.IncorrectType, "name is required."),
		refused("PUT", role, `{"name":""}`, "master", parse.IncorrectType, "name is required."),
		refused("PUT", role, `{"users":[]}`, "master", parse.IncorrectType, ""),
		refused("PUT", role, `{"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_Role","objectId":"x"}]}}`, "master", parse.IncorrectType, ""),
		{Name: "renamed", Method: "PUT", Path: role, As: "master", Body: `{"name":"named","ACL":null}`, JSON: `{"updatedAt":"*"}`},
		{Name: "seen as it was", Path: role, JSON: `{"name":"named","ACL":{"*":{"read":true}},"...":0}`},
		refused("GET", "/classes/_Join:users:_Role", "", "", parse.OperationForbidden, "Clients aren't allowed to perform the find operation on the _Join:users:_Role collection."),
		{Name: "gone", Method: "DELETE", Path: role, As: "master", JSON: `{}`},
		refused("GET", role, "", "master", parse.ObjectNotFound, "Object not found."),
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "what a role is", Config: explained, Steps: steps},
		{Name: "a new name is the name of what its members may", Config: open, Steps: []scenario.Step{
			signUp("alice"),
			{Name: "a role", Method: "POST", Path: "/roles", As: "master", Body: `{"name":"before","ACL":{},"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{alice.id}}"}]}}`, Status: 201, Save: map[string]string{"objectId": "role"}},
			{Name: "for the old name", Method: "POST", Path: "/classes/Doc", Body: `{"n":1,"ACL":{"role:before":{"read":true}}}`, Status: 201},
			{Name: "for the new one", Method: "POST", Path: "/classes/Doc", Body: `{"n":2,"ACL":{"role:after":{"read":true}}}`, Status: 201},
			{Name: "sees the first", Path: "/classes/Doc", As: "alice", JSON: `{"results":[{"n":1,"...":0}]}`},
			{Name: "rename", Method: "PUT", Path: role, As: "master", Body: `{"name":"after"}`},
			{Name: "sees the second", Path: "/classes/Doc", As: "alice", JSON: `{"results":[{"n":2,"...":0}]}`},
		}},
	})
}
