package server_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

func TestSessionUpgrade(t *testing.T) {
	legacy := func(token string) map[string]string { return map[string]string{"X-Parse-Session-Token": token} }
	const upgrade = "/upgradeToRevocableSession"
	scenario.Run(t, []scenario.Scenario{
		{Name: "of a session", Steps: []scenario.Step{
			signUp("alice"),
			{
				Name: "one more", Method: "POST", Path: upgrade, As: "alice", Status: 200, Header: map[string]string{"X-Parse-Installation-Id": "i"},
				JSON: `{"objectId":"*","createdAt":"*","updatedAt":"*","user":{"__type":"Pointer","className":"_User","objectId":"{{alice.id}}"},"installationId":"i","sessionToken":"*","expiresAt":"*","createdWith":{"action":"upgrade"}}`,
				Save: map[string]string{"sessionToken": "new.token"},
			},
			{Name: "is good", Path: "/users/me", As: "new"},
			{Name: "as the old one is", Path: "/users/me", As: "alice"},
			{Name: "nobody has none", Method: "POST", Path: upgrade, Code: parse.ObjectNotFound, Error: "invalid session"},
			{Name: "nor has the master", Method: "POST", Path: upgrade, As: "master", Code: parse.ObjectNotFound, Error: "invalid session"},
			{Name: "an unknown one", Method: "POST", Path: upgrade, Header: legacy("r:unknown"), Code: parse.InvalidSessionToken, Error: "Invalid session token"},
		}},
		{Name: "of a legacy token", Config: func(c *config.Config) { c.MaintenanceKey = "keep" }, Steps: []scenario.Step{
			signUp("alice"),
			{
				Name: "an old database has one", Method: "PUT", Path: "/users/{{alice.id}}", Body: `{"_session_token":"old"}`, Untyped: true,
				Header: map[string]string{"X-Parse-Maintenance-Key": "keep"},
			},
			{Name: "is not good for anything else", Path: "/users/me", Header: legacy("old"), Code: parse.InvalidSessionToken, Error: "Invalid session token"},
			{Name: "unknown", Method: "POST", Path: upgrade, Header: legacy("other"), Code: parse.InvalidSessionToken, Error: "invalid legacy session token"},
			{Name: "upgraded", Method: "POST", Path: upgrade, Header: legacy("old"), Untyped: true, Status: 200, JSON: `{"sessionToken":"*","...":0}`, Save: map[string]string{"sessionToken": "new.token"}},
			{Name: "is good", Path: "/users/me", As: "new", Untyped: true, JSON: `{"objectId":"{{alice.id}}","...":0}`, Lacks: []string{"_session_token"}},
			{Name: "once", Method: "POST", Path: upgrade, Header: legacy("old"), Code: parse.InvalidSessionToken, Error: "invalid legacy session token"},
		}},
	})
}

// Who signs up or changes his password in a transaction gets his session with it.
func TestSessionsOfTransactions(t *testing.T) {
	batch := func(items string) string { return `{"transaction":true,"requests":[` + items + `]}` }
	up := func(name string) string {
		return `{"method":"POST","path":"/parse/users","body":{"username":"` + name + `","password":"p"}}`
	}
	scenario.Run(t, []scenario.Scenario{{Name: "batch", Config: open, Steps: []scenario.Step{
		{
			Name: "sign-up", Method: "POST", Path: "/batch", Body: batch(up("alice") + `,{"method":"POST","path":"/parse/classes/A","body":{"n":1}}`),
			JSON: `[{"success":{"objectId":"*","createdAt":"*","sessionToken":"*"}},{"success":{"objectId":"*","createdAt":"*"}}]`,
			Save: map[string]string{"0.success.objectId": "alice.id", "0.success.sessionToken": "alice.token"},
		},
		{Name: "the session", Path: "/sessions/me", As: "alice", JSON: `{"createdWith":{"action":"signup","authProvider":"password"},"...":0}`},
		{
			Name: "a new password", Method: "POST", Path: "/batch", As: "alice", Body: batch(`{"method":"PUT","path":"/parse/users/{{alice.id}}","body":{"password":"q"}}`),
			JSON: `[{"success":{"updatedAt":"*","sessionToken":"*"}}]`, Save: map[string]string{"0.success.sessionToken": "again.token"},
		},
		{Name: "ends the session", Path: "/users/me", As: "alice", Code: parse.InvalidSessionToken},
		{Name: "and starts one", Path: "/users/me", As: "again"},
		{Name: "by the master", Method: "POST", Path: "/batch", As: "master", Body: batch(up("bob")), JSON: `[{"success":{"objectId":"*","createdAt":"*"}}]`},
		{Name: "all or none", Method: "POST", Path: "/batch", Body: batch(up("carol") + `,` + up("ALICE")), Code: parse.UsernameTaken},
		{Name: "nobody was left behind", Path: "/users", As: "master", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":2}`},
		{Name: "nor a session", Path: "/sessions", As: "master", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":1}`},
	}}})
}
