package server_test

import (
	"context"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// TestProtectedInAnswers: what the answer of a write tells of hidden fields.
func TestProtectedInAnswers(t *testing.T) {
	const class = `{"fields":{"n":{"type":"Number"},"set":{"type":"Number"},"list":{"type":"Array"},"o":{"type":"Object"}},"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"create":{"*":true},"update":{"*":true},"protectedFields":{"*":["n","set","list","o"]}}}`
	hook := func(app *cloudcode.App) {
		app.BeforeSave("A", func(_ context.Context, r *cloudcode.SaveRequest) error {
			r.Object.Set("set", 7.0)
			return nil
		})
	}
	setUp := []scenario.Step{
		{Name: "class", Method: "POST", Path: "/schemas/A", As: "master", Body: class},
		{Name: "object", Method: "POST", Path: "/classes/A", As: "master", Body: `{"n":1,"list":[1],"o":{"a":1}}`, Status: 201, Save: map[string]string{"objectId": "id"}},
	}
	write := func(as, body, want string) scenario.Step {
		return scenario.Step{Name: as + " writes " + body, Method: "PUT", Path: "/classes/A/{{id}}", As: as, Body: body, JSON: want}
	}
	operations := after(setUp,
		write("", `{"n":{"__op":"Increment","amount":0}}`, `{"updatedAt":"*"}`),
		write("", `{"list":{"__op":"AddUnique","objects":[1]}}`, `{"updatedAt":"*"}`),
		write("", `{"list":{"__op":"Remove","objects":[2]}}`, `{"updatedAt":"*"}`),
		write("", `{"o.a":{"__op":"Increment","amount":0}}`, `{"updatedAt":"*"}`),
		write("master", `{"n":{"__op":"Increment","amount":0},"o.a":{"__op":"Increment","amount":1}}`, `{"updatedAt":"*","n":1,"o":{"a":2}}`),
	)
	create := func(as, want string) scenario.Step {
		return scenario.Step{Name: "create by " + as, Method: "POST", Path: "/classes/A", As: as, Body: `{}`, Status: 201, JSON: want}
	}
	strict := func(c *config.Config) { open(c); c.ProtectedFieldsSaveResponseExempt = false }
	scenario.Run(t, []scenario.Scenario{
		{Name: "operations", Config: open, Steps: operations},
		{Name: "hooks", Config: open, Cloud: hook, Steps: after(setUp, create("", `{"objectId":"*","createdAt":"*","set":7}`))},
		{Name: "hooks, not exempt", Config: strict, Cloud: hook, Steps: after(setUp,
			create("", `{"objectId":"*","createdAt":"*"}`), create("master", `{"objectId":"*","createdAt":"*","set":7}`))},
	})
}

// TestUserSensitiveFields: the old option hides what protectedFields does.
func TestUserSensitiveFields(t *testing.T) {
	user := func(name string) scenario.Step {
		return scenario.Step{
			Name: name, Method: "POST", Path: "/users", Body: `{"username":"` + name + `","password":"p","email":"` + name + `@example.com","phone":"1","city":"x"}`, Status: 201,
			Save: map[string]string{"objectId": name, "sessionToken": name + ".token"},
		}
	}
	scenario.Run(t, []scenario.Scenario{{
		Name: "phone", Config: func(c *config.Config) {
			open(c)
			c.EnforcePrivateUsers, c.UserSensitiveFields = false, []string{"phone"}
		}, Steps: []scenario.Step{
			user("ada"), user("bob"),
			{Name: "of another", Path: "/users/{{ada}}", As: "bob", JSON: `{"objectId":"*","username":"ada","city":"x","createdAt":"*","updatedAt":"*","ACL":"*"}`},
			{Name: "of nobody", Path: "/users/{{ada}}", JSON: `{"objectId":"*","username":"ada","city":"x","createdAt":"*","updatedAt":"*","ACL":"*"}`},
			{Name: "one's own", Path: "/users/{{ada}}", As: "ada", JSON: `{"phone":"1","email":"ada@example.com","...":0}`},
			{Name: "by a filter", Path: "/users", As: "bob", Query: map[string]string{"where": `{"phone":"1"}`}, Code: parse.OperationForbidden},
		},
	}})
}

// TestProtectedFieldsOption: what the option names is hidden besides the addresses of users.
func TestProtectedFieldsOption(t *testing.T) {
	look := func(name, option string, exempt bool, want string) scenario.Scenario {
		return scenario.Scenario{
			Name: name, Config: func(c *config.Config) {
				open(c)
				c.EnforcePrivateUsers, c.ProtectedFields, c.ProtectedFieldsOwnerExempt = false, []byte(option), exempt
			}, Steps: []scenario.Step{
				{Name: "user", Method: "POST", Path: "/users", Body: `{"username":"ann","password":"p","email":"ann@example.com","phone":"1"}`, Status: 201, Save: map[string]string{"objectId": "ann"}},
				{Name: "look", Path: "/users/{{ann}}", JSON: `{"objectId":"*","username":"ann","createdAt":"*","updatedAt":"*","ACL":"*"` + want + `}`},
			},
		}
	}
	const email, phone = `,"email":"ann@example.com"`, `,"phone":"1"`
	scenario.Run(t, []scenario.Scenario{
		look("of another class", `{"A":{"*":["x"]}}`, true, phone),
		look("of users", `{"_User":{"*":["phone"]}}`, true, ``),
		look("of users, without exemption", `{"_User":{"*":["phone"]}}`, false, email),
		look("of another group, without exemption", `{"_User":{"authenticated":["phone"]}}`, false, phone),
	})
}

// TestProxyHops: with a number of hops, the address that many before the server counts.
func TestProxyHops(t *testing.T) {
	master := func(forwarded string, status int) scenario.Step {
		return scenario.Step{Name: forwarded, Path: "/serverInfo", As: "master", Header: map[string]string{"X-Forwarded-For": forwarded}, Status: status}
	}
	hops := func(v any) func(*config.Config) {
		return func(c *config.Config) { c.MasterKeyIPs, c.TrustProxy = []string{"10.0.0.1"}, v }
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "none", Config: hops(0.0), Steps: []scenario.Step{master("10.0.0.1", 403)}},
		{Name: "one", Config: hops(1.0), Steps: []scenario.Step{
			master("10.0.0.1", 200), master("1.2.3.4, 10.0.0.1", 200), master("10.0.0.1, 1.2.3.4", 403), master("", 403),
		}},
		{Name: "addresses as proxies write them", Config: hops(1.0), Steps: []scenario.Step{
			master("10.0.0.1:4711", 200), master("::ffff:10.0.0.1", 200), master("[::ffff:10.0.0.1]:4711", 200), master("[::ffff:10.0.0.1]", 200),
			master("10.0.0.1:", 403), master("10.0.0.1:x", 403), master("unknown", 403), master("10.0.0.1%25eth0", 403), master("127.0.0.1, ", 403), master(",,,", 403),
		}},
		{Name: "private networks", Config: hops("loopback, uniquelocal"), Steps: []scenario.Step{
			master("10.0.0.1, 192.168.7.7, 172.16.0.9", 200), master("10.0.0.1, 1.2.3.4, 192.168.7.7", 403),
		}},
		{Name: "an address in the form of IPv6", Config: func(c *config.Config) { c.MasterKeyIPs, c.TrustProxy = []string{"::ffff:10.0.0.1"}, "loopback" }, Steps: []scenario.Step{
			master("10.0.0.1", 200), master("::ffff:10.0.0.1", 200), master("10.0.0.2", 403), master("::1", 403),
		}},
		{Name: "a range in the form of IPv6", Config: func(c *config.Config) {
			c.MasterKeyIPs, c.TrustProxy = []string{"::ffff:10.0.0.0/124"}, "loopback"
		}, Steps: []scenario.Step{
			master("10.0.0.15", 200), master("10.0.0.16", 403),
		}},
		{Name: "two, as text", Config: hops("2"), Steps: []scenario.Step{
			master("10.0.0.1", 200), master("10.0.0.1, 1.2.3.4", 200), master("10.0.0.1, 1.2.3.4, 1.2.3.4", 403),
		}},
	})
}
