package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// strongKey passes for a key that nobody guesses.
const strongKey = "Abcdefg1234567!"

// secured are options without a fault, as far as the database allows.
func secured(c *config.Config) {
	c.MasterKey, c.ReadOnlyMasterKey, c.ReadOnlyMasterKeyIPs = strongKey, "reader", []string{"127.0.0.1"}
	c.SecurityOptions = json.RawMessage(`{"enableCheck":true}`)
	c.RequestComplexity = json.RawMessage(`{"includeDepth":5,"includeCount":50,"queryDepth":5,"subqueryDepth":5,"batchRequestLimit":100}`)
	c.PasswordPolicyOptions = json.RawMessage(`{"validatorPattern":"^.{8,}$"}`)
}

// failures asks for the report and returns the titles of the checks that failed.
func failures(t *testing.T, s *scenario.Server, key string) map[string]string {
	t.Helper()
	text := s.Do(t, &scenario.Step{Name: "security", Path: "/security", Header: map[string]string{"X-Parse-Master-Key": key}})
	var answer struct {
		Report struct {
			State  string
			Groups []struct {
				Name, State string
				Checks      []struct{ Title, State, Warning, Solution string }
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	out, state := map[string]string{}, "success"
	for _, g := range answer.Report.Groups {
		for _, c := range g.Checks {
			if c.State != "fail" {
				if c.Warning != "" || c.Solution != "" {
					t.Errorf("%s did not fail and has a warning", c.Title)
				}
				continue
			}
			if c.Warning == "" || c.Solution == "" || g.State != "fail" {
				t.Errorf("%s says nothing, or its group is %s", c.Title, g.State)
			}
			out[c.Title], state = c.Warning, "fail"
		}
	}
	if answer.Report.State != state {
		t.Errorf("the report is %s, not %s", answer.Report.State, state)
	}
	return out
}

// TestSecurity: reference 04 §13.
func TestSecurity(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{
		{Name: "off", Steps: []scenario.Step{
			{Name: "master", Path: "/security", As: "master", Status: http.StatusConflict, JSON: "{\"error\":\"Enable Parse Server option `security.enableCheck` to run security check.\"}"},
			{Name: "client", Path: "/security", Status: http.StatusForbidden, JSON: `{"error":"Permission denied"}`},
			{Name: "announced", Path: "/serverInfo", As: "master", JSON: `{"features":{"settings":{"securityCheck":true},"...":0},"...":0}`},
		}},
		{Name: "on", Config: func(c *config.Config) {
			c.SecurityOptions, c.ReadOnlyMasterKey = json.RawMessage(`{"enableCheck":true,"checkGroups":["Parse Server Configuration"]}`), "reader"
		}, Steps: []scenario.Step{
			{Name: "client", Path: "/security", Status: http.StatusForbidden},
			{Name: "master", Path: "/security", As: "master", JSON: `{"report":{"version":"1.0.0","state":"fail","groups":[{"name":"Parse Server Configuration","state":"fail","checks":[
				{"title":"Secure master key","state":"fail","warning":"*","solution":"*"},
				{"title":"Security log disabled","state":"success"},
				{"title":"Client class creation disabled","state":"success"},
				{"title":"Users are created without public access","state":"success"},
				{"title":"Insecure auth adapters disabled","state":"success"},
				{"title":"GraphQL public introspection disabled","state":"success"},
				{"title":"GraphQL Playground disabled","state":"success"},
				{"title":"Public database explain disabled","state":"success"},
				{"title":"Read-only master key IP range restricted","state":"fail","warning":"*","solution":"*"},
				{"title":"Request complexity limits enabled","state":"fail","warning":"*","solution":"*"},
				{"title":"Password reset endpoint user enumeration mitigated","state":"success"},
				{"title":"Email verification endpoint user enumeration mitigated","state":"success"},
				{"title":"LiveQuery regex timeout enabled","state":"success"}]}]}}`},
			{Name: "read-only", Path: "/security", Header: map[string]string{"X-Parse-Master-Key": "reader"}},
			{Name: "doctor", Path: "/doctor", As: "master", Query: map[string]string{"security": "true"}, JSON: `{"report":{"version":"1.0.0","state":"fail","groups":[
				{"name":"Database","...":0},{"name":"Queries","...":0},{"name":"Parse Server Configuration","...":0}]},"...":0}`},
		}},
	})
}

// TestSecurityChecks: each fault is found, alone.
func TestSecurityChecks(t *testing.T) {
	zero := 0
	start := func(t *testing.T, change func(*config.Config)) *scenario.Server {
		return scenario.Start(t, "sqlite::memory:", func(c *config.Config) { secured(c); change(c) }, nil)
	}
	// Roles are open by default, as in Parse Server.
	const roles = "Roles are not created by clients"
	for title, change := range map[string]func(*config.Config){
		"":                  func(*config.Config) {},
		"Secure master key": func(c *config.Config) { c.MasterKey = "abcdefghijklmnop" },
		"Security log disabled": func(c *config.Config) {
			c.SecurityOptions = json.RawMessage(`{"enableCheck":true,"enableCheckLog":true}`)
		},
		"Client class creation disabled":           func(c *config.Config) { c.AllowClientClassCreation = true },
		"Users are created without public access":  func(c *config.Config) { c.EnforcePrivateUsers = false },
		"Insecure auth adapters disabled":          func(c *config.Config) { c.EnableInsecureAuthAdapters = true },
		"Public database explain disabled":         func(c *config.Config) { c.DatabaseOptions = json.RawMessage(`{"allowPublicExplain":true}`) },
		"Read-only master key IP range restricted": func(c *config.Config) { c.ReadOnlyMasterKeyIPs = []string{"10.0.0.1", "::0"} },
		"Request complexity limits enabled":        func(c *config.Config) { c.RequestComplexity = json.RawMessage(`{"includeDepth":5}`) },
		"Password reset endpoint user enumeration mitigated": func(c *config.Config) {
			c.PasswordPolicyOptions = json.RawMessage(`{"validatorPattern":"^.{8,}$","resetPasswordSuccessOnInvalidEmail":false}`)
		},
		"Email verification endpoint user enumeration mitigated": func(c *config.Config) { c.EmailVerifySuccessOnInvalidEmail = false },
		"LiveQuery regex timeout enabled":                        func(c *config.Config) { c.StartLiveQueryServer, c.LiveQuery.RegexTimeout = true, &zero },
		"Keys are not those of examples":                         func(c *config.Config) { c.ReadOnlyMasterKey = scenario.AppID },
		"Master key IP range restricted":                         func(c *config.Config) { c.MasterKeyIPs = []string{"0.0.0.0/0"} },
		"Clients connect by TLS":                                 func(c *config.Config) { c.PublicServerURL = "http://api.example.com/parse" },
		"Addresses of clients are known":                         func(c *config.Config) { c.PublicServerURL = "https://api.example.com/parse" },
		"Passwords have a policy":                                func(c *config.Config) { c.PasswordPolicyOptions = nil },
		"Guesses at passwords are limited":                       func(c *config.Config) { c.LoginThrottleOptions = json.RawMessage(`false`) },
		"Development mode disabled":                              func(c *config.Config) { c.Development = true },
	} {
		t.Run(title, func(t *testing.T) {
			key := strongKey
			if title == "Secure master key" {
				key = "abcdefghijklmnop"
			}
			got := failures(t, start(t, change), key)
			if _, open := got[roles]; !open {
				t.Errorf("%s: not found", roles)
			}
			delete(got, roles)
			if title != "" {
				if _, found := got[title]; !found {
					t.Error("not found")
				}
				delete(got, title)
			}
			if len(got) > 0 {
				t.Errorf("found as well: %v", got)
			}
		})
	}
}

// TestSecurityOfClasses: what the classes and the database are looked at for.
func TestSecurityOfClasses(t *testing.T) {
	const owned = "Objects with owners are not public"
	key := map[string]string{"X-Parse-Master-Key": strongKey}
	fields := `{"fields":{"owner":{"type":"Pointer","targetClass":"_User"}}`
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), secured, nil)
		do := func(method, path, body string) {
			t.Helper()
			s.Do(t, &scenario.Step{Name: path, Method: method, Path: path, Header: key, Body: body})
		}
		do("POST", "/schemas/Note", fields+`}`)
		if got := failures(t, s, strongKey)[owned]; !strings.Contains(got, "class Note") || !strings.Contains(got, "(owner)") {
			t.Errorf("an open class is not found: %q", got)
		}
		for name, clp := range map[string]string{
			"a default ACL": `{"find":{"*":true},"get":{"*":true},"update":{"*":true},"ACL":{"currentUser":{"read":true,"write":true}}}`,
			"pointers":      `{"find":{"pointerFields":["owner"]},"get":{"pointerFields":["owner"]},"create":{"*":true}}`,
		} {
			do("PUT", "/schemas/Note", `{"classLevelPermissions":`+clp+`}`)
			if got := failures(t, s, strongKey)[owned]; got != "" {
				t.Errorf("%s: %s", name, got)
			}
		}
		do("PUT", "/schemas/_Role", `{"classLevelPermissions":{"find":{"*":true},"get":{"*":true}}}`)
		got := failures(t, s, strongKey)
		if text, open := got["Roles are not created by clients"]; open {
			t.Error(text)
		}
		if text, bad := got["Names and tokens are unique by index"]; bad {
			t.Error(text)
		}
	})
}
