package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

// The advisories on authData. Those on single adapters are beside the
// adapters, in internal/auth/provider; those on codes are in mfa_test.go.

const acmeInvalid = "Acme auth is invalid for this user."

// acmeUser signs up somebody with the provider acme.
var acmeUser = scenario.Step{
	Name: "sign-up", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, Status: 201,
	Save: map[string]string{"objectId": "ann.id", "sessionToken": "ann.token"},
}

// who cannot prove an id does not learn that it has an account.
func TestAdvisory_GHSA_8w3j_g983_8jh5(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{Name: "link", Cloud: providers, Steps: []scenario.Step{
		acmeUser, signUp("bob"),
		{Name: "an id of another", Method: "PUT", Path: "/users/{{bob.id}}", As: "bob", Body: `{"authData":{"acme":{"id":"1","key":"bad"}}}`, Code: parse.ObjectNotFound, Error: acmeInvalid},
		{Name: "an id of nobody", Method: "PUT", Path: "/users/{{bob.id}}", As: "bob", Body: `{"authData":{"acme":{"id":"2","key":"bad"}}}`, Code: parse.ObjectNotFound, Error: acmeInvalid},
		{Name: "by sign-up", Method: "POST", Path: "/users", As: "bob", Body: `{"authData":{"acme":{"id":"1","key":"bad"}}}`, Code: parse.ObjectNotFound, Error: acmeInvalid},
	}}})
}

// the session of an anonymous user says so.
func TestAdvisory_GHSA_23r4_5mxp_c7g5(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{Name: "createdWith", Steps: []scenario.Step{
		{Name: "sign-up", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"d"}}}`, Status: 201, Save: map[string]string{"sessionToken": "a.token"}},
		{Name: "its session", Path: "/sessions/me", As: "a", JSON: `{"createdWith":{"action":"signup","authProvider":"anonymous"},"...":0}`},
		{Name: "login", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"d"}}}`, Status: 200, Save: map[string]string{"sessionToken": "b.token"}},
		{Name: "its session", Path: "/sessions/me", As: "b", JSON: `{"createdWith":{"action":"login","authProvider":"anonymous"},"...":0}`},
	}}})
}

// an id is a string, never an operator.
func TestAdvisory_GHSA_5fw2_8jcv_xh87(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{Name: "operators", Steps: []scenario.Step{
		{Name: "a victim", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"d"}}}`, Status: 201},
		failing(posting("$regex", "/users", `{"authData":{"anonymous":{"id":{"$regex":"."}}}}`), parse.InvalidValue, "Invalid authData id for provider 'anonymous'."),
		failing(posting("$ne", "/users", `{"authData":{"anonymous":{"id":{"$ne":null}}}}`), parse.InvalidValue, "Invalid authData id for provider 'anonymous'."),
		failing(posting("a list", "/users", `{"authData":{"anonymous":{"id":["d"]}}}`), parse.InvalidValue, "Invalid authData id for provider 'anonymous'."),
		failing(posting("true", "/users", `{"authData":{"anonymous":{"id":true}}}`), parse.InvalidValue, "Invalid authData id for provider 'anonymous'."),
	}}})
}

// names of providers that are not served reach no database.
func TestAdvisory_GHSA_g4cf_xj29_wqqr(t *testing.T) {
	const text = "This authentication method is unsupported."
	scenario.Run(t, []scenario.Scenario{{Name: "names", Cloud: providers, Steps: []scenario.Step{
		failing(posting("not configured", "/users", `{"authData":{"nosuch":{"id":"1"}}}`), parse.UnsupportedService, text),
		failing(posting("built in, not configured", "/users", `{"authData":{"facebook":{"id":"1","access_token":"t"}}}`), parse.UnsupportedService, text),
		failing(posting("toString", "/users", `{"authData":{"toString":{"id":"1"}}}`), parse.UnsupportedService, text),
		failing(posting("a path", "/users", `{"authData":{"acme.id":{"id":"1"}}}`), parse.UnsupportedService, text),
		failing(posting("an operator", "/users", `{"authData":{"$where":{"id":"1"}}}`), parse.UnsupportedService, text),
	}}})
}

// without data there is no session.
func TestAdvisory_GHSA_wjqw_r9x4_j59v(t *testing.T) {
	var list []scenario.Step
	for _, body := range []string{`{"authData":{}}`, `{"authData":{"anonymous":{}}}`, `{"authData":{"anonymous":null}}`, `{"authData":{"acme":{},"anonymous":null}}`} {
		list = append(list, failing(posting(body, "/users", body), parse.UsernameMissing, "bad or missing username"))
	}
	list = append(list, scenario.Step{Name: "no user was made", Path: "/users", As: "master", JSON: `{"results":[]}`})
	scenario.Run(t, []scenario.Scenario{{Name: "empty", Cloud: providers, Steps: list}})
}

// a login proves everything, also what is stored already.
func TestAdvisory_GHSA_pfj7_wv7c_22pr(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{Name: "subset", Cloud: providers, Steps: []scenario.Step{
		acmeUser,
		failing(posting("the id alone", "/users", `{"authData":{"acme":{"id":"1"}}}`), parse.ObjectNotFound, acmeInvalid),
		{Name: "with a session", Method: "POST", Path: "/users", As: "ann", Body: `{"authData":{"acme":{"id":"1"}}}`, Code: parse.ObjectNotFound, Error: acmeInvalid},
	}}})
}

// authData is written as a whole.
func TestAdvisory_PR_10223(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{Name: "dotted", Cloud: providers, Steps: []scenario.Step{
		acmeUser,
		{Name: "a part", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData.anonymous.id":"x"}`, Code: parse.InvalidKeyName, Error: "Invalid field name for update: authData.anonymous.id"},
		{Name: "by master", Method: "PUT", Path: "/users/{{ann.id}}", As: "master", Body: `{"authData.acme":{"id":"2"}}`, Code: parse.InvalidKeyName, Error: "Invalid field name for update: authData.acme"},
	}}})
}

// wrong types in a challenge.
func TestAdvisory_PR_10224(t *testing.T) {
	var list []scenario.Step
	for _, body := range []string{`{"challengeData":[1]}`, `{"challengeData":"x"}`, `{"challengeData":7}`, `{"challengeData":true}`} {
		list = append(list, failing(posting(body, "/challenge", body), parse.OtherCause, "challengeData should be an object."))
	}
	for _, v := range []string{`null`, `"x"`, `7`, `[]`} {
		body := `{"challengeData":{"acme":{}},"authData":{"acme":` + v + `}}`
		list = append(list, failing(posting(body, "/challenge", body), parse.OtherCause, "authData.acme should be an object."))
	}
	scenario.Run(t, []scenario.Scenario{{Name: "types", Cloud: providers, Steps: list}})
}

// one id at the same time makes one user.
func TestAdvisory_PR_10149(t *testing.T) {
	onDatabases(t, nil, nil, func(t *testing.T, s *scenario.Server) {
		var made atomic.Int32
		onlyOne(t, "sign-up", func() (int, string) {
			status, body := send(t, s.Handler, "POST", "/users", `{"authData":{"anonymous":{"id":"d"}}}`)
			if status == 200 {
				return 202, "a login" // only the sign-up counts
			}
			if status == 201 {
				made.Add(1)
				return 200, body
			}
			return status, body
		}, regexp.MustCompile(`^a login$`))
		if made.Load() != 1 {
			t.Errorf("%d users", made.Load())
		}
	})
}

// authData cannot be asked about.
func TestAdvisory_authData_oracle(t *testing.T) {
	where := func(w string) scenario.Step {
		return scenario.Step{Name: w, Path: "/users", As: "ann", Query: map[string]string{"where": w}, Code: parse.OperationForbidden}
	}
	scenario.Run(t, []scenario.Scenario{{Name: "where", Cloud: providers, Steps: []scenario.Step{
		acmeUser,
		{Name: "the user is public", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"ACL":{"*":{"read":true}}}`},
		where(`{"authData.acme.id":{"$regex":"^1"}}`), where(`{"authData":{"$exists":true}}`), where(`{"$or":[{"authData.mfa.secret":{"$gt":"A"}}]}`),
		where(`{"objectId":"{{ann.id}}","authData.acme.key":{"$regex":"^g"}}`), where(`{"objectId":"{{ann.id}}","email":"x","authData.acme.key":"good"}`),
		{Name: "his address he may", Path: "/users", As: "ann", Query: map[string]string{"where": `{"objectId":"{{ann.id}}","email":"x"}`}, JSON: `{"results":[]}`},
		{Name: "by nobody", Path: "/users", Query: map[string]string{"where": `{"authData.acme.id":"1"}`}, Code: parse.OperationForbidden},
	}}})
}

// an adapter asks no address of the client's, and takes no token of another application.
func TestAdvisory_GHSA_3f5f_xgrj_97pf(t *testing.T) {
	var asked atomic.Int32
	lure := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = fmt.Fprint(w, `{"id":"1"}`)
	}))
	t.Cleanup(lure.Close)
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"active":true,"sub":"1","client_id":%q}`, r.FormValue("token"))
	}))
	t.Cleanup(idp.Close)
	change := withAuth(fmt.Sprintf(`{"corp":{"oauth2":true,"tokenIntrospectionEndpointUrl":%q,"appidField":"client_id","appIds":["ours"]}}`, idp.URL))
	onDatabases(t, change, nil, func(t *testing.T, s *scenario.Server) {
		st := failing(posting("another application", "/users", fmt.Sprintf(`{"authData":{"corp":{"id":"1","access_token":"theirs","apiURL":%q,"tokenIntrospectionEndpointUrl":%q}}}`, lure.URL, lure.URL)), parse.ObjectNotFound, "OAuth2: Invalid app ID.")
		s.Do(t, &st)
		st = scenario.Step{Name: "ours", Method: "POST", Path: "/users", Body: fmt.Sprintf(`{"authData":{"corp":{"id":"1","access_token":"ours","apiURL":%q}}}`, lure.URL), Status: 201}
		s.Do(t, &st)
	})
	if asked.Load() > 0 {
		t.Error("the client's address was asked")
	}
}

// A login that meets a changed link does not go on: who cuts a link ends it.
func TestUnlinkedDuringLogin(t *testing.T) {
	cloud := func(app *cloudcode.App) {
		providers(app)
		app.BeforeLogin(cutLink)
	}
	scenario.Run(t, []scenario.Scenario{{Name: "cut", Cloud: cloud, Steps: []scenario.Step{
		acmeUser,
		failing(posting("login", "/users", `{"authData":{"acme":{"id":"1","key":"good","n":2}}}`), parse.ScriptFailed, "Invalid auth data"),
		{Name: "no session of the login", Path: "/sessions", As: "ann", JSON: `{"results":["*"]}`},
	}}})
}

// cutLink unlinks the provider of whoever logs in.
func cutLink(ctx context.Context, r *cloudcode.LoginRequest) error {
	authData := parse.NewMap(parse.MapField{Key: "acme", Value: nil})
	_, err := r.Client.AsMaster().Update(ctx, "_User", r.User.ID, parse.NewMap(parse.MapField{Key: "authData", Value: authData}))
	return err
}
