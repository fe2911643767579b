package server_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// renames lets a hook give users the name and the address that they ask for
// by the fields wantName and wantEmail.
func renames(app *cloudcode.App) {
	app.BeforeSave("_User", func(_ context.Context, r *cloudcode.SaveRequest) error {
		for from, to := range map[string]string{"wantName": "username", "wantEmail": "email"} {
			if v, ok := r.Object.Get(from); ok {
				r.Object.Set(to, v)
			}
		}
		return nil
	})
}

func TestLowercase(t *testing.T) {
	fold := func(c *config.Config) { c.ConvertUsernameToLowercase, c.ConvertEmailToLowercase = true, true }
	eachPost(t, func(c *config.Config) { fold(c); c.VerifyUserEmails = true }, renames, func(p *mailServer) {
		is := func(why, username, email string) {
			t.Helper()
			p.do(scenario.Step{Name: why, Path: "/users/{{ann.id}}", As: "master", JSON: `{"username":"` + username + `","email":"` + email + `","...":0}`})
		}
		p.signUp("Ann")
		p.do(scenario.Step{Name: "the user", Path: "/users", As: "master", Save: map[string]string{"results.0.objectId": "ann.id"}})
		is("signed up", "ann", "ann@example.com")
		path, query := p.link(p.mail()) // the mail finds its user
		shows(p.t, p.open(path, query, nil), titleVerified)
		for _, body := range []string{
			`{"username":"ANN","password":"pass-Ann"}`, `{"username":"ann","password":"pass-Ann"}`, `{"email":"Ann@Example.com","password":"pass-Ann"}`,
			`{"username":"Ann","email":"Ann@Example.com","password":"pass-Ann"}`, `{"username":"ANN@example.com","password":"pass-Ann"}`,
		} {
			p.do(scenario.Step{Name: "login by " + body, Method: "POST", Path: "/login", Body: body, JSON: `{"username":"ann","...":0}`, Save: map[string]string{"sessionToken": "ann.token"}})
		}
		p.do(scenario.Step{Name: "the name is taken", Method: "POST", Path: "/users", Body: `{"username":"aNN","password":"x"}`, Code: parse.UsernameTaken, Error: "Account already exists for this username."})
		p.do(scenario.Step{Name: "the same in capitals", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"username":"ANN","email":"ANN@EXAMPLE.COM"}`})
		is("nothing changed", "ann", "ann@example.com")
		p.stored("ann", `"emailVerified":true`)
		p.do(scenario.Step{Name: "a hook's", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"wantName":"Anna","wantEmail":"Anna@Example.com"}`})
		is("a hook's are stored so, too", "anna", "anna@example.com")
		p.mail() // for verification
		p.reset("ANNA@example.COM")
		path, query = p.link(p.mail())
		shows(p.t, p.open(path, nil, url.Values{"token": query["token"], "new_password": {"fresh"}}), titleChanged)
		p.loggedIn("AnnA", "fresh")
	})
	// Without the options names are kept, and told apart when logging in.
	eachPost(t, nil, nil, func(p *mailServer) {
		p.signUp("Ann")
		p.refused("ann", "pass-Ann", parse.ObjectNotFound, wrongPassword)
		p.stored("Ann", `"username":"Ann","email":"Ann@example.com"`)
	})
}

// What a hook makes of names and addresses has to be what a client may send.
func TestNamesOfHooks(t *testing.T) {
	put := func(name, body string, code parse.Code, text string) scenario.Step {
		return scenario.Step{Name: name, Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: body, Code: code, Error: text}
	}
	const missing, format = "bad or missing username", "Email address format is invalid."
	scenario.Run(t, []scenario.Scenario{{Name: "hooks", Cloud: renames, Steps: []scenario.Step{
		{Name: "sign up", Method: "POST", Path: "/users", Body: `{"username":"x","password":"p","wantEmail":"none"}`, Code: parse.InvalidEmailAddress, Error: format},
		{Name: "sign up without", Method: "POST", Path: "/users", Body: `{"username":"x","password":"p","wantName":""}`, Code: parse.UsernameMissing, Error: missing},
		signUp("ann"), signUp("bob"),
		put("an address", `{"wantEmail":"none"}`, parse.InvalidEmailAddress, format),
		put("no name", `{"wantName":null}`, parse.UsernameMissing, missing),
		put("an empty name", `{"wantName":""}`, parse.UsernameMissing, missing),
		put("a name that is taken", `{"wantName":"bob"}`, parse.UsernameTaken, "Account already exists for this username."),
		put("a right one", `{"wantName":"anna","wantEmail":"anna@example.com"}`, 0, ""),
		{Path: "/users/{{ann.id}}", As: "master", JSON: `{"username":"anna","email":"anna@example.com","...":0}`},
	}}})
}
