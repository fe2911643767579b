package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// acme is a provider whose users know a password that all of them share.
type acme struct {
	policy cloudcode.AuthPolicy
	mu     sync.Mutex
	steps  []cloudcode.AuthStep // guarded by mu
}

func (p *acme) Authenticate(_ context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	p.mu.Lock()
	p.steps = append(p.steps, r.Step)
	p.mu.Unlock()
	switch r.Data.String("key") {
	case "good":
		return nil, nil
	case "reply":
		return &cloudcode.AuthResponse{Reply: parse.NewMap(parse.MapField{Key: "hello", Value: r.Data.String("id")}), Keep: true}, nil
	case "save":
		return &cloudcode.AuthResponse{Save: parse.NewMap(parse.MapField{Key: "id", Value: r.Data.String("id")}, parse.MapField{Key: "saved", Value: true})}, nil
	case "broken":
		return nil, errors.New("the line is down")
	}
	return nil, cloudcode.Err(parse.ObjectNotFound, "Acme auth is invalid for this user.")
}

func (p *acme) Policy(*parse.Map) cloudcode.AuthPolicy { return p.policy }

func (p *acme) Prepare(_ context.Context, r *cloudcode.AuthRequest) error {
	if code := r.Data.String("code"); code != "" {
		r.Data.Delete("code")
		r.Data.Set("id", code)
		r.Data.Set("key", "good")
	}
	return nil
}

func (p *acme) Present(c cloudcode.Caller, stored *parse.Map) *parse.Map {
	if c.Master {
		return stored
	}
	return parse.NewMap(parse.MapField{Key: "id", Value: stored.String("id")})
}

func (p *acme) Challenge(_ context.Context, r *cloudcode.AuthRequest) (parse.Value, error) {
	switch r.Challenge {
	case "fail":
		return nil, errors.New("no")
	case "refuse":
		return nil, cloudcode.Err(parse.ScriptFailed, "not now")
	case "who":
		if r.User != nil {
			return r.User.String("username"), nil
		}
	}
	return nil, nil
}

// plainProvider has nothing but what it must have.
type plainProvider struct{}

func (plainProvider) Authenticate(context.Context, *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	return nil, nil
}

func providers(app *cloudcode.App) {
	app.AuthProvider("acme", &acme{})
	app.AuthProvider("other", &acme{})
	app.AuthProvider("solo", &acme{policy: cloudcode.AuthSolo})
	app.AuthProvider("more", &acme{policy: cloudcode.AuthAdditional})
	app.AuthProvider("plain", plainProvider{})
}

func posting(name, path, body string) scenario.Step {
	return scenario.Step{Name: name, Method: "POST", Path: path, Body: body}
}

// failing expects a step to fail.
func failing(st scenario.Step, code parse.Code, text string) scenario.Step {
	st.Code, st.Error = code, text
	return st
}

func TestAuthDataSignUpAndLogin(t *testing.T) {
	const unsupported = "This authentication method is unsupported."
	scenario.Run(t, []scenario.Scenario{
		{Name: "a provider", Cloud: providers, Steps: []scenario.Step{
			{Name: "sign-up", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","username":"*","sessionToken":"*","authDataResponse":{},"...":0}`, Lacks: []string{"good"}, Save: map[string]string{"objectId": "id", "sessionToken": "ann.token"}},
			{Name: "login", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good","more":2}}}`, Status: 200, JSON: `{"objectId":"{{id}}","sessionToken":"*","authDataResponse":{},"authData":{"acme":{"id":"1"}},"...":0}`},
			{Name: "data are merged", Path: "/users/{{id}}", As: "master", JSON: `{"authData":{"acme":{"id":"1","key":"good","more":2}},"...":0}`},
			{Name: "the user sees what the provider shows", Path: "/users/me", As: "ann", JSON: `{"authData":{"acme":{"id":"1"}},"...":0}`},
			{Name: "so he does in a query", Path: "/users", As: "ann", JSON: `{"results":[{"authData":{"acme":{"id":"1"}},"...":0}]}`},
			{Name: "by a code", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"code":"1"}}}`, Status: 200, JSON: `{"objectId":"{{id}}","...":0}`},
			{Name: "a reply, and nothing stored", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"reply"}}}`, Status: 200, JSON: `{"authDataResponse":{"acme":{"hello":"1"}},"...":0}`},
			{Name: "what was stored remains", Path: "/users/{{id}}", As: "master", JSON: `{"authData":{"acme":{"id":"1","key":"good"}},"...":0}`},
			{Name: "the provider stores something else", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"save"}}}`, Status: 200},
			{Name: "which is there", Path: "/users/{{id}}", As: "master", JSON: `{"authData":{"acme":{"id":"1","saved":true}},"...":0}`},
			failing(posting("refused", "/users", `{"authData":{"acme":{"id":"1","key":"bad"}}}`), parse.ObjectNotFound, "Acme auth is invalid for this user."),
			failing(posting("a provider that fails", "/users", `{"authData":{"acme":{"id":"1","key":"broken"}}}`), parse.ScriptFailed, "Auth failed. Unknown error."),
			failing(posting("unknown provider", "/users", `{"authData":{"nosuch":{"id":"1"}}}`), parse.UnsupportedService, unsupported),
			failing(posting("one of two unknown", "/users", `{"authData":{"acme":{"id":"1","key":"good"},"nosuch":{"id":"1"}}}`), parse.UnsupportedService, unsupported),
			failing(posting("a name from a prototype", "/users", `{"authData":{"toString":{"id":"1"}}}`), parse.UnsupportedService, unsupported),
			failing(posting("no id", "/users", `{"authData":{"plain":{"x":1}}}`), parse.InvalidValue, "Invalid authData id for provider 'plain'."),
			failing(posting("an id that is an object", "/users", `{"authData":{"acme":{"id":{"$regex":"."},"key":"good"}}}`), parse.InvalidValue, "Invalid authData id for provider 'acme'."),
			failing(posting("an id that is a number", "/users", `{"authData":{"acme":{"id":1,"key":"good"}}}`), parse.InvalidValue, "Invalid authData id for provider 'acme'."),
			failing(posting("no object", "/users", `{"username":"a","password":"b","authData":{"acme":"1"}}`), parse.InvalidValue, ""),
			failing(posting("unknown and no object", "/users", `{"username":"a","password":"b","authData":{"x":"1"}}`), parse.UnsupportedService, unsupported),
			failing(posting("null with credentials", "/users", `{"username":"a","password":"b","authData":null}`), parse.UnsupportedService, unsupported),
			failing(posting("nothing", "/users", `{"authData":{}}`), parse.UsernameMissing, "bad or missing username"),
			failing(posting("an empty provider", "/users", `{"authData":{"acme":{}}}`), parse.UsernameMissing, "bad or missing username"),
			failing(posting("a null provider", "/users", `{"authData":{"acme":null}}`), parse.UsernameMissing, "bad or missing username"),
			failing(posting("an additional provider alone", "/users", `{"authData":{"more":{"key":"good"}}}`), parse.UsernameMissing, "bad or missing username"),
			{Name: "credentials and a null provider", Method: "POST", Path: "/users", Body: `{"username":"bob","password":"b","authData":{"acme":null}}`, Status: 201, Lacks: []string{"authData"}},
			{Name: "credentials and a provider", Method: "POST", Path: "/users", Body: `{"username":"cat","password":"c","authData":{"acme":{"id":"3","key":"good"}}}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","sessionToken":"*","authDataResponse":{}}`, Save: map[string]string{"objectId": "cat"}},
			{Name: "one account", Method: "POST", Path: "/login", Body: `{"username":"cat","password":"c"}`, JSON: `{"objectId":"{{cat}}","...":0}`},
		}},
		{Name: "several providers", Cloud: providers, Steps: []scenario.Step{
			{Name: "one", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, Status: 201, Save: map[string]string{"objectId": "one"}},
			{Name: "two", Method: "POST", Path: "/users", Body: `{"authData":{"other":{"id":"2","key":"good"}}}`, Status: 201},
			failing(posting("of two users", "/users", `{"authData":{"acme":{"id":"1","key":"good"},"other":{"id":"2","key":"good"}}}`), parse.AccountAlreadyLinked, "this auth is already used"),
			failing(posting("without proof: no word about accounts", "/users", `{"authData":{"acme":{"id":"1","key":"good"},"other":{"id":"2","key":"bad"}}}`), parse.ObjectNotFound, "Acme auth is invalid for this user."),
			{Name: "a login links one more", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"},"other":{"id":"3","key":"good"}}}`, Status: 200, JSON: `{"objectId":"{{one}}","authData":{"acme":{"id":"1"},"other":{"id":"3"}},"...":0}`, Save: map[string]string{"sessionToken": "one.token"}},
			{Name: "the session says by what", Path: "/sessions/me", As: "one", JSON: `{"createdWith":{"action":"login","authProvider":"acme,other"},"...":0}`},
			{Name: "both open it", Method: "POST", Path: "/users", Body: `{"authData":{"other":{"id":"3","key":"good"}}}`, Status: 200, JSON: `{"objectId":"{{one}}","...":0}`},
		}},
		{Name: "the master key", Cloud: providers, Steps: []scenario.Step{
			{Name: "signs up without a session", Method: "POST", Path: "/users", As: "master", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, Status: 201, Lacks: []string{"sessionToken"}, Save: map[string]string{"objectId": "id"}},
			{Name: "logs in without one", Method: "POST", Path: "/users", As: "master", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, Status: 200, JSON: `{"objectId":"{{id}}","authData":{"acme":{"id":"1","key":"good"}},"...":0}`, Lacks: []string{"sessionToken"}},
			{Name: "but for an installation", Method: "POST", Path: "/users", As: "master", Header: map[string]string{"X-Parse-Installation-Id": "i"}, Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, Status: 200, JSON: `{"sessionToken":"*","...":0}`},
		}},
		{Name: "a locked user", Cloud: providers, Steps: []scenario.Step{
			{Name: "sign-up", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, Status: 201, Save: map[string]string{"objectId": "id"}},
			{Name: "lock", Method: "PUT", Path: "/users/{{id}}", As: "master", Body: `{"ACL":{}}`},
			failing(posting("cannot log in", "/users", `{"authData":{"acme":{"id":"1","key":"good"}}}`), parse.AccountAlreadyLinked, "this auth is already used"),
		}},
		{Name: "a hook bars the login", Cloud: func(app *cloudcode.App) {
			providers(app)
			app.BeforeLogin(func(context.Context, *cloudcode.LoginRequest) error {
				return cloudcode.Err(parse.OperationForbidden, "barred")
			})
		}, Steps: []scenario.Step{
			{Name: "sign-up is none", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, Status: 201, Save: map[string]string{"objectId": "id"}},
			failing(posting("login", "/users", `{"authData":{"acme":{"id":"1","key":"good","x":1}}}`), parse.OperationForbidden, "barred"),
			{Name: "nothing is stored", Path: "/users/{{id}}", As: "master", JSON: `{"authData":{"acme":{"id":"1","key":"good"}},"...":0}`},
		}},
	})
}

func TestAuthDataLinking(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{
		{Name: "link and unlink", Cloud: providers, Steps: []scenario.Step{
			signUp("ann"), signUp("bob"),
			{Name: "link", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, JSON: `{"updatedAt":"*","authDataResponse":{}}`},
			{Name: "a code", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"other":{"code":"7"}}}`, JSON: `{"updatedAt":"*","authDataResponse":{}}`},
			{Name: "both are there", Path: "/users/me", As: "ann", JSON: `{"authData":{"acme":{"id":"1"},"other":{"id":"7"}},"...":0}`},
			{Name: "what is shown, sent back, changes nothing", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"acme":{"id":"1"},"other":{"id":"7"}}}`},
			{Name: "indeed", Path: "/users/{{ann.id}}", As: "master", JSON: `{"authData":{"acme":{"id":"1","key":"good"},"other":{"id":"7","key":"good"}},"...":0}`},
			{Name: "changed", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"acme":{"id":"2","key":"good"}}}`},
			{Name: "a wrong proof", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"acme":{"id":"9","key":"bad"}}}`, Code: parse.ObjectNotFound},
			{Name: "unknown", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"nosuch":{"id":"9"}}}`, Code: parse.UnsupportedService},
			{Name: "a dotted key", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData.acme.id":"9"}`, Code: parse.InvalidKeyName, Error: "Invalid field name for update: authData.acme.id"},
			{Name: "nobody links for another", Method: "PUT", Path: "/users/{{ann.id}}", As: "bob", Body: `{"authData":{"acme":{"id":"5","key":"good"}}}`, Code: parse.SessionMissing},
			{Name: "taken", Method: "PUT", Path: "/users/{{bob.id}}", As: "bob", Body: `{"authData":{"acme":{"id":"2","key":"good"}}}`, Code: parse.AccountAlreadyLinked, Error: "this auth is already used"},
			{Name: "taken, says who can prove it", Method: "PUT", Path: "/users/{{bob.id}}", As: "bob", Body: `{"authData":{"acme":{"id":"2","key":"bad"}}}`, Code: parse.ObjectNotFound, Error: "Acme auth is invalid for this user."},
			{Name: "a session of another", Method: "POST", Path: "/users", As: "bob", Body: `{"authData":{"acme":{"id":"2","key":"good"}}}`, Code: parse.AccountAlreadyLinked},
			{Name: "a session of the same", Method: "POST", Path: "/users", As: "ann", Body: `{"authData":{"acme":{"id":"2","key":"good"}}}`, Status: 200, JSON: `{"objectId":"{{ann.id}}","...":0}`},
			{Name: "linking starts no session", Path: "/sessions", As: "bob", JSON: `{"results":["*"]}`},
			{Name: "others do not see it", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"ACL":{"*":{"read":true}}}`},
			{Name: "indeed not", Path: "/users/{{ann.id}}", As: "bob", JSON: `{"username":"ann","...":0}`, Lacks: []string{"authData"}},
			{Name: "unlink", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"acme":null}}`, JSON: `{"updatedAt":"*","authDataResponse":{}}`},
			{Name: "is gone", Path: "/users/me", As: "ann", JSON: `{"authData":{"other":{"id":"7"}},"...":0}`},
			{Name: "and free", Method: "PUT", Path: "/users/{{bob.id}}", As: "bob", Body: `{"authData":{"acme":{"id":"2","key":"good"}}}`},
			{Name: "the master key links", Method: "PUT", Path: "/users/{{ann.id}}", As: "master", Body: `{"authData":{"acme":{"id":"8","key":"good"}}}`},
			{Name: "the master key proves, too", Method: "PUT", Path: "/users/{{ann.id}}", As: "master", Body: `{"authData":{"acme":{"id":"9","key":"bad"}}}`, Code: parse.ObjectNotFound},
			{Name: "not in a transaction", Method: "POST", Path: "/batch", As: "ann", Body: `{"transaction":true,"requests":[{"method":"PUT","path":"/parse/users/{{ann.id}}","body":{"authData":{"acme":{"id":"9","key":"good"}}}}]}`, Code: parse.OperationForbidden},
		}},
		{Name: "expired data are not asked again", Cloud: providers, Config: func(c *config.Config) { c.AllowExpiredAuthDataToken = true }, Steps: []scenario.Step{
			signUp("ann"),
			{Name: "link", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`},
			{Name: "they are known", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"nick":"a","authData":{"acme":{"id":"1"},"other":{"id":"7","key":"good"}}}`},
			{Name: "and stay", Path: "/users/{{ann.id}}", As: "master", JSON: `{"authData":{"acme":{"id":"1","key":"good"},"other":{"id":"7","key":"good"}},"...":0}`},
			failing(posting("but in a login", "/users", `{"authData":{"acme":{"id":"1"}}}`), parse.ObjectNotFound, "Acme auth is invalid for this user."),
		}},
	})
}

func TestAuthPolicies(t *testing.T) {
	const missing = "Missing additional authData more"
	scenario.Run(t, []scenario.Scenario{
		{Name: "additional", Cloud: providers, Steps: []scenario.Step{
			signUp("ann"),
			{Name: "one more", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"more":{"key":"good","n":1},"acme":{"id":"1","key":"good"},"solo":{"id":"1","key":"good"}}}`},
			failing(posting("by password", "/login", `{"username":"ann","password":"pass-ann"}`), parse.OtherCause, missing),
			failing(posting("a wrong password says no more", "/login", `{"username":"ann","password":"x"}`), parse.ObjectNotFound, "Invalid username/password."),
			failing(posting("null is none", "/login", `{"username":"ann","password":"pass-ann","authData":{"more":null}}`), parse.OtherCause, missing),
			failing(posting("by a provider", "/users", `{"authData":{"acme":{"id":"1","key":"good"}}}`), parse.OtherCause, missing),
			failing(posting("wrong", "/login", `{"username":"ann","password":"pass-ann","authData":{"more":{"key":"bad"}}}`), parse.ObjectNotFound, ""),
			failing(posting("no object", "/login", `{"username":"ann","password":"pass-ann","authData":"more"}`), parse.UnsupportedService, ""),
			{Name: "both", Method: "POST", Path: "/login", Body: `{"username":"ann","password":"pass-ann","authData":{"more":{"key":"good","n":2}}}`, JSON: `{"objectId":"{{ann.id}}","sessionToken":"*","authDataResponse":{},"...":0}`},
			{Name: "merged", Path: "/users/{{ann.id}}", As: "master", JSON: `{"authData":{"more":{"key":"good","n":2},"acme":{"id":"1","key":"good"},"solo":{"id":"1","key":"good"}},"...":0}`},
			{Name: "a reply", Method: "POST", Path: "/login", Body: `{"username":"ann","password":"pass-ann","authData":{"more":{"key":"reply","id":"x"}}}`, JSON: `{"authDataResponse":{"more":{"hello":"x"}},"...":0}`},
			{Name: "provider and additional", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"},"more":{"key":"good"}}}`, Status: 200},
			{Name: "solo is enough", Method: "POST", Path: "/users", Body: `{"authData":{"solo":{"id":"1","key":"good"}}}`, Status: 200, JSON: `{"objectId":"{{ann.id}}","...":0}`},
			failing(posting("solo has to be proved", "/users", `{"authData":{"solo":{"id":"1","key":"bad"}}}`), parse.ObjectNotFound, ""),
			failing(posting("solo of nobody", "/login", `{"username":"ann","password":"pass-ann","authData":{"solo":{"id":"1","key":"bad"}}}`), parse.ObjectNotFound, ""),
			{Name: "no second factor to verify a password", Method: "POST", Path: "/verifyPassword", Body: `{"username":"ann","password":"pass-ann"}`},
			signUp("bob"),
			failing(posting("a login links nothing that is another's", "/login", `{"username":"bob","password":"pass-bob","authData":{"acme":{"id":"1","key":"good"}}}`), parse.AccountAlreadyLinked, "this auth is already used"),
			failing(posting("a login links nothing unproved", "/login", `{"username":"bob","password":"pass-bob","authData":{"acme":{"id":"2","key":"bad"}}}`), parse.ObjectNotFound, ""),
			{Name: "a login links", Method: "POST", Path: "/login", Body: `{"username":"bob","password":"pass-bob","authData":{"acme":{"code":"2"}}}`, JSON: `{"authData":{"acme":{"id":"2"}},"...":0}`},
		}},
	})
}

func TestChallenge(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{
		{Name: "challenges", Cloud: providers, Steps: []scenario.Step{
			signUp("ann"), signUp("bob"),
			{Name: "link", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`},
			{Name: "of nobody", Method: "POST", Path: "/challenge", Body: `{"challengeData":{"acme":"who","plain":{},"nosuch":{}}}`, JSON: `{"challengeData":{"acme":true}}`},
			{Name: "of the caller", Method: "POST", Path: "/challenge", As: "bob", Body: `{"challengeData":{"acme":"who"}}`, JSON: `{"challengeData":{"acme":"bob"}}`},
			{Name: "by password", Method: "POST", Path: "/challenge", Body: `{"username":"ann","password":"pass-ann","challengeData":{"acme":"who","other":{}}}`, JSON: `{"challengeData":{"acme":"ann","other":true}}`},
			{Name: "by address", Method: "POST", Path: "/challenge", Body: `{"email":"ann@example.com","password":"pass-ann","challengeData":{"acme":"who"}}`, JSON: `{"challengeData":{"acme":"ann"}}`},
			{Name: "by provider", Method: "POST", Path: "/challenge", Body: `{"authData":{"acme":{"id":"1","key":"good"},"other":{"x":1}},"challengeData":{"other":"who"}}`, JSON: `{"challengeData":{"other":"ann"}}`},
			failing(posting("no password", "/challenge", `{"username":"ann","challengeData":{"acme":{}}}`), parse.OtherCause, "You provided username or email, you need to also provide password."),
			failing(posting("wrong password", "/challenge", `{"username":"ann","password":"x","challengeData":{"acme":{}}}`), parse.ObjectNotFound, "Invalid username/password."),
			failing(posting("nothing", "/challenge", `{}`), parse.OtherCause, "Nothing to challenge."),
			failing(posting("a string", "/challenge", `{"challengeData":"acme"}`), parse.OtherCause, "challengeData should be an object."),
			failing(posting("a list", "/challenge", `{"challengeData":["acme"]}`), parse.OtherCause, "challengeData should be an object."),
			failing(posting("authData a string", "/challenge", `{"challengeData":{"acme":{}},"authData":"acme"}`), parse.OtherCause, "authData should be an object."),
			failing(posting("both", "/challenge", `{"challengeData":{"acme":{}},"username":"ann","password":"pass-ann","authData":{"acme":{"id":"1"}}}`), parse.OtherCause, "You cannot provide username/email and authData, only use one identification method."),
			failing(posting("no object", "/challenge", `{"challengeData":{"acme":{}},"authData":{"acme":"1"}}`), parse.OtherCause, "authData.acme should be an object."),
			failing(posting("two ids", "/challenge", `{"challengeData":{"acme":{}},"authData":{"acme":{"id":"1"},"other":{"id":"1"}}}`), parse.OtherCause, "You cannot provide more than one authData provider with an id."),
			failing(posting("unknown user", "/challenge", `{"challengeData":{"acme":{}},"authData":{"acme":{"id":"2","key":"good"}}}`), parse.ObjectNotFound, "User not found."),
			failing(posting("without proof", "/challenge", `{"challengeData":{"acme":{}},"authData":{"acme":{"id":"1","key":"bad"}}}`), parse.ObjectNotFound, "User not found."),
			failing(posting("unknown provider", "/challenge", `{"challengeData":{"acme":{}},"authData":{"nosuch":{"id":"1"}}}`), parse.ObjectNotFound, "User not found."),
			failing(posting("no id", "/challenge", `{"challengeData":{"acme":{}},"authData":{"acme":{"key":"good"}}}`), parse.ObjectNotFound, "User not found."),
			failing(posting("it fails", "/challenge", `{"challengeData":{"acme":"fail"}}`), parse.ScriptFailed, "Challenge failed. Unknown error."),
			failing(posting("it refuses", "/challenge", `{"challengeData":{"acme":"refuse"}}`), parse.ScriptFailed, "not now"),
		}},
	})
}

// Whoever comes with one new id at the same time becomes one user.
func TestAuthDataRace(t *testing.T) {
	const clients = 100
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), nil, providers)
		var wg sync.WaitGroup
		status := make([]int, clients)
		for i := range clients {
			wg.Go(func() {
				status[i], _ = send(t, s.Handler, "POST", "/users", `{"authData":{"acme":{"id":"same","key":"good"}}}`)
			})
		}
		wg.Wait()
		made := 0
		for _, st := range status {
			switch st {
			case 201:
				made++
			case 200:
			default:
				t.Errorf("status %d", st)
			}
		}
		if made != 1 {
			t.Errorf("%d users were made", made)
		}
		s.Do(t, &scenario.Step{Path: "/users", As: "master", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":1}`})
	})
}

// send makes a request without a session and returns status and body.
func send(t *testing.T, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/parse"+path, strings.NewReader(body))
	r.Header.Set("X-Parse-Application-Id", scenario.AppID)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}
