package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

const public = "https://api.example.com/parse"

// mailbox is an adapter that hands the mails to the test.
type mailbox chan server.Mail

func (b mailbox) Send(_ context.Context, m *server.Mail) error {
	b <- *m
	return nil
}

// mailServer is a server that sends mails.
type mailServer struct {
	*scenario.Server
	t   *testing.T
	box mailbox
}

// eachPost runs f on every database.
func eachPost(t *testing.T, change func(*config.Config), cloud func(*cloudcode.App), f func(p *mailServer), opts ...server.Option) {
	t.Helper()
	scenario.Each(t, func(t *testing.T, db scenario.Database) { f(startPost(t, db.URI(t), change, cloud, opts...)) })
}

func startPost(t *testing.T, uri string, change func(*config.Config), cloud func(*cloudcode.App), opts ...server.Option) *mailServer {
	t.Helper()
	box := make(mailbox, 100)
	s := scenario.Start(t, uri, func(c *config.Config) {
		c.AppName, c.PublicServerURL, c.MaintenanceKey = "My <App>", public, "maintenance"
		if change != nil {
			change(c)
		}
	}, cloud, append(opts, server.WithMailAdapter(box))...)
	return &mailServer{Server: s, t: t, box: box}
}

// verifying turns verification on.
func verifying(c *config.Config) { c.VerifyUserEmails = true }

// mail waits for the next mail.
func (p *mailServer) mail() server.Mail {
	p.t.Helper()
	select {
	case m := <-p.box:
		return m
	case <-time.After(20 * time.Second):
		p.t.Fatal("no mail comes")
	}
	return server.Mail{}
}

// none asks that no mail is there but the one that a request of another user
// causes now, as the last of all.
func (p *mailServer) none(why string) {
	p.t.Helper()
	p.signUp("other" + parse.NewObjectID(6))
	p.reset(p.Var("last.email"))
	m := p.mail()
	if strings.HasPrefix(m.Subject, "Please verify") {
		m = p.mail() // that of the sign-up
	}
	if m.To != p.Var("last.email") || len(p.box) > 0 {
		p.t.Errorf("%s: there is a mail to %s, %q", why, m.To, m.Subject)
	}
}

var linkFormat = regexp.MustCompile(`https?://\S+`)

// link returns the link in a mail, as path and query below the public URL.
func (p *mailServer) link(m server.Mail) (path string, query url.Values) {
	p.t.Helper()
	text := linkFormat.FindString(m.Text)
	if !strings.Contains(m.HTML, strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(text, "&", "&amp;"), "/", "&#x2F;"), "=", "&#x3D;")) {
		p.t.Errorf("the HTML has another link than %s:\n%s", text, m.HTML)
	}
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(text, public+"/") {
		p.t.Fatalf("link %q: %v", text, err)
	}
	return strings.TrimPrefix(u.Path, "/parse"), u.Query()
}

func (p *mailServer) do(st scenario.Step) string {
	p.t.Helper()
	return p.Do(p.t, &st)
}

// signUp makes a user and saves <name>.id and, if there is one, <name>.token.
func (p *mailServer) signUp(name string) {
	p.t.Helper()
	email := name + "@example.com"
	p.do(scenario.Step{
		Name: "sign up " + name, Method: "POST", Path: "/users", Status: 201,
		Body: `{"username":"` + name + `","password":"pass-` + name + `","email":"` + email + `"}`, Save: map[string]string{"objectId": name + ".id"},
	})
	p.SetVar("last.email", email)
}

func (p *mailServer) login(name, password string) scenario.Step {
	return scenario.Step{Name: "login of " + name, Method: "POST", Path: "/login", Body: `{"username":"` + name + `","password":"` + password + `"}`}
}

func (p *mailServer) loggedIn(name, password string) {
	p.t.Helper()
	st := p.login(name, password)
	st.Save = map[string]string{"sessionToken": name + ".token"}
	p.do(st)
}

// refused is a login that fails.
func (p *mailServer) refused(name, password string, code parse.Code, text string) {
	p.t.Helper()
	st := p.login(name, password)
	st.Code, st.Error = code, text
	p.do(st)
}

func (p *mailServer) reset(email string) {
	p.t.Helper()
	p.do(scenario.Step{Name: "reset of " + email, Method: "POST", Path: "/requestPasswordReset", Body: `{"email":"` + email + `"}`, JSON: `{}`})
}

var asMaintenance = map[string]string{"X-Parse-Maintenance-Key": "maintenance"}

// stored asks that the row of a user, internal fields included, meets a query.
func (p *mailServer) stored(name, where string) {
	p.t.Helper()
	p.do(scenario.Step{
		Name: name + " is " + where, Path: "/users", As: "master", JSON: `{"results":[],"count":1}`,
		Query: map[string]string{"where": `{"objectId":"{{` + name + `.id}}",` + where + `}`, "count": "1", "limit": "0"},
	})
}

// store sets internal fields of a user.
func (p *mailServer) store(name, body string) {
	p.t.Helper()
	p.do(scenario.Step{Name: "store " + body, Method: "PUT", Path: "/users/{{" + name + ".id}}", Header: asMaintenance, Body: body})
}

const longAgo = `{"__type":"Date","iso":"2000-01-01T00:00:00.000Z"}`

// open requests a page: with a form a POST of it, else a GET.
func (p *mailServer) open(path string, query, form url.Values, header ...string) *httptest.ResponseRecorder {
	p.t.Helper()
	target := "/parse" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r := httptest.NewRequestWithContext(p.t.Context(), http.MethodGet, target, nil)
	if form != nil {
		r = httptest.NewRequestWithContext(p.t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.Handler.ServeHTTP(w, r)
	return w
}

// shows asks that a page with that title is there.
func shows(t *testing.T, w *httptest.ResponseRecorder, title string) {
	t.Helper()
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<h1>"+title+"</h1>") || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("want %q, got %d %s", title, w.Code, w.Body)
	}
}

const (
	titleVerified    = "Address confirmed"
	titleInvalid     = "This link cannot be used"
	titleExpired     = "This link has expired"
	titleSent        = "Mail sent"
	titleNotSent     = "No mail was sent"
	titleChoose      = "Choose a new password"
	titleChanged     = "Password changed"
	textInvalidToken = "Failed to reset password: username / email / token is invalid"
)

func TestVerification(t *testing.T) {
	eachPost(t, verifying, nil, func(p *mailServer) {
		p.signUp("ann")
		m := p.mail()
		if m.To != "ann@example.com" || m.Subject != "Please verify your e-mail for My <App>" {
			t.Errorf("mail: %+v", m)
		}
		path, query := p.link(m)
		if path != "/apps/app/verify_email" || len(query.Get("token")) != 25 || len(query) != 1 {
			t.Errorf("link %s %v", path, query)
		}
		p.stored("ann", `"emailVerified":false,"_email_verify_token":"`+query.Get("token")+`","_email_verify_token_expires_at":{"$exists":false}`)
		p.loggedIn("ann", "pass-ann") // an unverified address does not matter by default
		for _, bad := range []url.Values{nil, {"token": {"wrong"}}, {"token": {""}}, {"token": {query.Get("token"), query.Get("token")}}, {"token[$regex]": {"."}}} {
			shows(t, p.open(path, bad, nil), titleInvalid)
		}
		shows(t, p.open(path, query, nil), titleVerified)
		p.stored("ann", `"emailVerified":true,"_email_verify_token":{"$exists":false}`)
		p.do(scenario.Step{Name: "the session goes on, and sees it", Path: "/users/me", As: "ann", JSON: `{"emailVerified":true,"...":0}`})
		shows(t, p.open(path, query, nil), titleInvalid)

		// A new address is to be verified anew, the same one is not.
		p.do(scenario.Step{Name: "same address", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"email":"ann@example.com"}`})
		p.do(scenario.Step{Name: "new address", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"email":"new@example.com"}`, JSON: `{"updatedAt":"*","emailVerified":false}`})
		m = p.mail()
		_, second := p.link(m)
		if m.To != "new@example.com" || second.Get("token") == query.Get("token") {
			t.Errorf("mail: %+v", m)
		}
		p.do(scenario.Step{Name: "clients cannot verify themselves", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"emailVerified":true}`, Code: parse.OperationForbidden})
		p.do(scenario.Step{Name: "no address", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"email":{"__op":"Delete"}}`})
		shows(t, p.open(path, second, nil), titleInvalid)

		// Whoever is gone has no link any more.
		p.signUp("bob")
		_, query = p.link(p.mail())
		p.do(scenario.Step{Method: "DELETE", Path: "/users/{{bob.id}}", As: "master"})
		shows(t, p.open(path, query, nil), titleInvalid)

		p.do(scenario.Step{Name: "no address", Method: "POST", Path: "/users", Body: `{"username":"carl","password":"x"}`, Status: 201})
		p.do(scenario.Step{Name: "anonymous", Method: "POST", Path: "/users", Body: `{"authData":{"anonymous":{"id":"1"}}}`, Status: 201})
		p.none("users without an address")
	})
}

func TestVerificationRequest(t *testing.T) {
	request := func(body string) scenario.Step {
		return scenario.Step{Name: "request " + body, Method: "POST", Path: "/verificationEmailRequest", Body: body, JSON: `{}`}
	}
	fails := func(body string, code parse.Code, text string) scenario.Step {
		st := request(body)
		st.JSON, st.Code, st.Error = "", code, text
		return st
	}
	eachPost(t, func(c *config.Config) {
		verifying(c)
		c.EmailVerifyTokenValidityDuration = json.RawMessage("3600")
	}, nil, func(p *mailServer) {
		p.do(fails(`{}`, parse.EmailMissing, "you must provide an email"))
		p.do(fails(`{"email":""}`, parse.EmailMissing, "you must provide an email"))
		p.do(fails(`{"email":{"$ne":1}}`, parse.InvalidEmailAddress, "you must provide a valid email string"))
		p.do(request(`{"email":"nobody@example.com"}`))
		p.signUp("ann")
		path, first := p.link(p.mail())
		p.do(request(`{"email":"ann@example.com"}`))
		_, second := p.link(p.mail())
		if first.Get("token") == second.Get("token") {
			t.Error("the token is not new")
		}
		shows(t, p.open(path, first, nil), titleInvalid)

		// A link whose time is over offers another one.
		p.store("ann", `{"_email_verify_token_expires_at":`+longAgo+`}`)
		w := p.open(path, second, nil)
		shows(t, w, titleExpired)
		if !strings.Contains(w.Body.String(), `value="`+second.Get("token")+`"`) {
			t.Errorf("no form: %s", w.Body)
		}
		resend := "/apps/app/resend_verification_email"
		w = p.open(resend, nil, url.Values{"token": {second.Get("token")}})
		to := w.Header().Get("Location")
		if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, public+"/apps/email_verification_send_success.html?") || w.Body.String() != "Found. Redirecting to "+to {
			t.Errorf("%d %s %s", w.Code, to, w.Body)
		}
		shows(t, p.open(strings.TrimPrefix(to, public), nil, nil), titleSent)
		_, third := p.link(p.mail())
		for _, form := range []url.Values{{"token": {"unknown"}}, {"username": {"nobody"}}} {
			if w := p.open(resend, nil, form); !strings.Contains(w.Header().Get("Location"), "email_verification_send_success") {
				t.Errorf("%v tells who is known: %v", form, w.Header())
			}
		}
		for _, form := range []url.Values{{}, {"token": {"a", "b"}}, {"token[$ne]": {"a"}}} {
			if w := p.open(resend, nil, form); !strings.Contains(w.Header().Get("Location"), "email_verification_link_invalid") {
				t.Errorf("%v: %v", form, w.Header())
			}
		}
		shows(t, p.open(path, third, nil), titleVerified)
		p.do(request(`{"email":"ann@example.com"}`))
		p.none("who is verified")
	})
	eachPost(t, func(c *config.Config) {
		verifying(c)
		c.EmailVerifyTokenValidityDuration, c.EmailVerifyTokenReuseIfValid = json.RawMessage("3600"), true
		c.EmailVerifySuccessOnInvalidEmail = false
	}, nil, func(p *mailServer) {
		p.do(fails(`{"email":"nobody@example.com"}`, parse.EmailNotFound, "No user found with email nobody@example.com"))
		p.signUp("ann")
		path, first := p.link(p.mail())
		p.do(request(`{"email":"ann@example.com"}`))
		_, second := p.link(p.mail())
		if first.Get("token") != second.Get("token") {
			t.Error("a token that is valid is not used again")
		}
		p.store("ann", `{"_email_verify_token_expires_at":`+longAgo+`}`)
		w := p.open("/apps/app/resend_verification_email", nil, url.Values{"username": {"ann"}})
		if !strings.Contains(w.Header().Get("Location"), "email_verification_send_success") {
			t.Errorf("resend: %v", w.Header())
		}
		_, third := p.link(p.mail())
		if first.Get("token") == third.Get("token") {
			t.Error("a token whose time is over is used again")
		}
		shows(t, p.open(path, third, nil), titleVerified)
		p.do(fails(`{"email":"ann@example.com"}`, parse.OtherCause, "Email ann@example.com is already verified."))
		w = p.open("/apps/app/resend_verification_email", nil, url.Values{"token": {"unknown"}})
		to := w.Header().Get("Location")
		if !strings.Contains(to, "email_verification_send_fail") {
			t.Errorf("unknown: %v", w.Header())
		}
		shows(t, p.open(strings.TrimPrefix(to, public), nil, nil), titleNotSent)
	})
}

func TestUnverifiedLogin(t *testing.T) {
	const unverified = "User email is not verified."
	eachPost(t, func(c *config.Config) {
		verifying(c)
		c.PreventLoginWithUnverifiedEmail = true
	}, nil, func(p *mailServer) {
		text := p.do(scenario.Step{
			Method: "POST", Path: "/users", Status: 201, Body: `{"username":"ann","password":"pass-ann","email":"ann@example.com"}`,
			Lacks: []string{"sessionToken"}, Save: map[string]string{"objectId": "ann.id"},
		})
		if !strings.Contains(text, "objectId") {
			t.Errorf("sign-up: %s", text)
		}
		p.refused("ann", "pass-ann", parse.EmailNotFound, unverified)
		p.refused("ann", "wrong", parse.ObjectNotFound, "Invalid username/password.")
		verify := scenario.Step{Name: "verify password", Method: "POST", Path: "/verifyPassword", Body: `{"username":"ann","password":"pass-ann","ignoreEmailVerification":true}`}
		verify.Code = parse.EmailNotFound
		p.do(verify)
		verify.Code, verify.As = 0, "master"
		p.do(verify)
		p.do(scenario.Step{Method: "POST", Path: "/login", As: "master", Body: `{"username":"ann","password":"pass-ann"}`, Code: parse.EmailNotFound})
		p.do(scenario.Step{Method: "POST", Path: "/login", As: "master", Body: `{"username":"ann","password":"pass-ann","ignoreEmailVerification":true}`})
		p.do(scenario.Step{Name: "loginAs", Method: "POST", Path: "/loginAs", As: "master", Body: `{"userId":"{{ann.id}}"}`, Save: map[string]string{"sessionToken": "ann.token"}})
		path, query := p.link(p.mail())
		shows(t, p.open(path, query, nil), titleVerified)
		p.loggedIn("ann", "pass-ann")
		p.do(scenario.Step{Name: "new address", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"email":"new@example.com"}`})
		p.mail()
		p.do(scenario.Step{Name: "the session goes on", Path: "/users/me", As: "ann"})
		p.refused("ann", "pass-ann", parse.EmailNotFound, unverified)
		p.do(scenario.Step{Name: "without an address", Method: "POST", Path: "/users", Status: 201, Body: `{"username":"bob","password":"x"}`, Lacks: []string{"sessionToken"}})
		p.do(scenario.Step{Name: "anonymous", Method: "POST", Path: "/users", Status: 201, Body: `{"authData":{"anonymous":{"id":"1"}}}`, JSON: `{"sessionToken":"*","...":0}`})
		p.do(scenario.Step{
			Name: "master vouches", Method: "POST", Path: "/users", As: "master", Status: 201,
			Body: `{"username":"carl","password":"pass-carl","email":"carl@example.com","emailVerified":true}`,
		})
		p.loggedIn("carl", "pass-carl")
	})
	eachPost(t, func(c *config.Config) {
		verifying(c)
		c.PreventLoginWithUnverifiedEmail, c.PreventSignupWithUnverifiedEmail = true, true
	}, nil, func(p *mailServer) {
		p.do(scenario.Step{
			Method: "POST", Path: "/users", Body: `{"username":"ann","password":"pass-ann","email":"ann@example.com"}`,
			Code: parse.EmailNotFound, Error: unverified,
		})
		path, query := p.link(p.mail())
		shows(t, p.open(path, query, nil), titleVerified)
		p.loggedIn("ann", "pass-ann") // the user is there all the same
	})
}

// Hooks and functions of the embedding program decide about single users.
func TestVerificationByFunctions(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		var asked []string
		domain := func(r *cloudcode.EmailVerificationRequest, domain string) bool {
			return strings.HasSuffix(r.Object.String("email"), domain)
		}
		functions := server.UserFunctions{
			VerifyUserEmails: func(_ context.Context, r *cloudcode.EmailVerificationRequest) (bool, error) {
				if r.Object.String("email") == "broken@example.com" {
					return false, cloudcode.Err(parse.ValidationError, "not this one")
				}
				asked = append(asked, r.CreatedWith.String("action"))
				return !domain(r, "@trusted.example.com"), nil
			},
			PreventLoginWithUnverifiedEmail: func(_ context.Context, r *cloudcode.EmailVerificationRequest) (bool, error) {
				return domain(r, "@strict.example.com"), nil
			},
			SendUserEmailVerification: func(_ context.Context, r *cloudcode.EmailVerificationRequest) (bool, error) {
				return !domain(r, "@quiet.example.com"), nil
			},
		}
		cloud := func(app *cloudcode.App) {
			app.BeforeSave("_User", func(_ context.Context, r *cloudcode.SaveRequest) error {
				if r.Object.String("email") == "hook@example.com" {
					r.Object.Set("emailVerified", true)
				}
				return nil
			})
		}
		p := startPost(t, db.URI(t), nil, cloud, server.WithUserFunctions(functions))
		sign := func(name, email string) {
			p.do(scenario.Step{
				Method: "POST", Path: "/users", Status: 201, Body: `{"username":"` + name + `","password":"pass-` + name + `","email":"` + email + `"}`,
				Save: map[string]string{"objectId": name + ".id"},
			})
		}
		sign("a", "a@trusted.example.com")
		p.stored("a", `"_email_verify_token":{"$exists":false},"emailVerified":{"$exists":false}`)
		if len(asked) == 0 || asked[0] != "signup" {
			t.Errorf("asked %v", asked)
		}
		sign("b", "b@strict.example.com")
		if m := p.mail(); m.To != "b@strict.example.com" {
			t.Errorf("mail to %s", m.To)
		}
		p.refused("b", "pass-b", parse.EmailNotFound, "")
		sign("c", "c@quiet.example.com")
		p.stored("c", `"_email_verify_token":{"$exists":true}`) // all the same
		p.loggedIn("c", "pass-c")
		sign("d", "hook@example.com")
		p.stored("d", `"_email_verify_token":{"$exists":false},"emailVerified":true`)
		p.do(scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"e","password":"x","email":"broken@example.com"}`, Code: parse.ValidationError, Error: "not this one"})
		p.none("those who get no mail")
	})
}

func TestPasswordReset(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		var refuse, seen []string
		cloud := func(app *cloudcode.App) {
			app.BeforePasswordReset(func(_ context.Context, r *cloudcode.PasswordResetRequest) error {
				seen = append(seen, r.User.String("username"))
				for _, name := range refuse {
					if r.User.String("username") == name {
						return errors.New("not you")
					}
				}
				return nil
			})
		}
		p := startPost(t, db.URI(t), nil, cloud)
		for body, want := range map[string]struct {
			code parse.Code
			text string
		}{
			`{}`:                       {parse.EmailMissing, "you must provide an email"},
			`{"email":""}`:             {parse.EmailMissing, "you must provide an email"},
			`{"token":{"$regex":"a"}}`: {parse.InvalidValue, "token must be a string"},
			`{"token":"unknown"}`:      {parse.InvalidEmailAddress, "you must provide a valid email string"},
			`{"email":{"$ne":1}}`:      {parse.InvalidEmailAddress, "you must provide a valid email string"},
			`{"email":["a@b.c"]}`:      {parse.InvalidEmailAddress, "you must provide a valid email string"},
		} {
			p.do(scenario.Step{Name: body, Method: "POST", Path: "/requestPasswordReset", Body: body, Code: want.code, Error: want.text})
		}
		p.reset("nobody@example.com")
		p.signUp("ann")
		p.loggedIn("ann", "pass-ann")
		p.reset("ann@example.com")
		m := p.mail()
		if m.To != "ann@example.com" || m.Subject != "Password Reset for My <App>" || !strings.Contains(m.Text, "(your username is 'ann')") {
			t.Errorf("mail: %+v", m)
		}
		path, first := p.link(m)
		if path != "/apps/app/request_password_reset" || len(first.Get("token")) != 25 || len(first) != 1 {
			t.Errorf("link %s %v", path, first)
		}
		p.reset("ann@example.com")
		_, query := p.link(p.mail())
		shows(t, p.open(path, first, nil), titleInvalid) // replaced
		w := p.open(path, query, nil)
		shows(t, w, titleChoose)
		token := query.Get("token")
		if !strings.Contains(w.Body.String(), `name="token" value="`+token+`"`) || !strings.Contains(w.Body.String(), `action="`+strings.ReplaceAll(public, "/", "&#x2F;")) {
			t.Errorf("form: %s", w.Body)
		}
		for _, bad := range []url.Values{nil, {"token": {"wrong"}}, {"token": {token, token}}, {"token[$ne]": {"x"}}} {
			shows(t, p.open(path, bad, nil), titleInvalid)
		}
		for _, form := range []url.Values{{}, {"token": {token}}, {"new_password": {"x"}}, {"token": {token, token}, "new_password": {"x"}}} {
			if w := p.open(path, nil, form); w.Code != http.StatusSeeOther || !strings.Contains(w.Header().Get("Location"), "/apps/password_reset_link_invalid.html?") {
				t.Errorf("%v: %d %v", form, w.Code, w.Header())
			}
		}
		xhr := func(form url.Values, status int, want string) {
			t.Helper()
			if w := p.open(path, nil, form, "X-Requested-With", "XMLHttpRequest"); w.Code != status || w.Body.String() != want || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
				t.Errorf("%v: %d %s", form, w.Code, w.Body)
			}
		}
		xhr(url.Values{}, 400, `{"code":-1,"error":"Missing token"}`)
		xhr(url.Values{"token": {token}}, 400, `{"code":201,"error":"Missing password"}`)
		xhr(url.Values{"token": {"wrong"}, "new_password": {"x"}}, 400, `{"code":-1,"error":"`+textInvalidToken+`"}`)
		xhr(url.Values{"token": {token}, "new_password": {"x"}, "confirm_new_password": {"y"}}, 400, `{"code":-1,"error":"The passwords are not the same."}`)
		w = p.open(path, nil, url.Values{"token": {"wrong"}, "new_password": {"x"}})
		shows(t, w, titleChoose)
		if !strings.Contains(w.Body.String(), `role="alert">Failed to reset password: username &#x2F; email`) {
			t.Errorf("error: %s", w.Body)
		}
		p.do(scenario.Step{Name: "the old session is there", Path: "/users/me", As: "ann"})
		shows(t, p.open(path, nil, url.Values{"token": {token}, "new_password": {"new-ann"}, "confirm_new_password": {"new-ann"}}), titleChanged)
		p.do(scenario.Step{Name: "the old session is gone", Path: "/users/me", As: "ann", Code: parse.InvalidSessionToken})
		p.refused("ann", "pass-ann", parse.ObjectNotFound, "Invalid username/password.")
		p.loggedIn("ann", "new-ann")
		shows(t, p.open(path, query, nil), titleInvalid)
		xhr(url.Values{"token": {token}, "new_password": {"again"}}, 400, `{"code":-1,"error":"`+textInvalidToken+`"}`)
		p.reset("ann@example.com")
		_, query = p.link(p.mail())
		xhr(url.Values{"token": query["token"], "new_password": {"new-ann"}}, 200, `"Password successfully reset"`)

		// A change of password or address voids what was asked for before.
		p.loggedIn("ann", "new-ann")
		for i, body := range []string{`{"email":"second@example.com"}`, `{"password":"third"}`} {
			p.reset([]string{"ann@example.com", "second@example.com"}[i])
			_, query = p.link(p.mail())
			p.do(scenario.Step{Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: body})
			shows(t, p.open(path, query, nil), titleInvalid)
		}

		// A name that is an address, of a user without one.
		p.do(scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"bob@example.com","password":"x"}`, Status: 201})
		p.do(scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"third@example.com","password":"x","email":"other@example.com"}`, Status: 201})
		p.reset("third@example.com")
		p.reset("bob@example.com")
		if m := p.mail(); m.To != "bob@example.com" {
			t.Errorf("mail to %s", m.To)
		}
		refuse = []string{"ann"}
		p.do(scenario.Step{Method: "POST", Path: "/requestPasswordReset", Body: `{"email":"second@example.com"}`, Code: parse.ScriptFailed, Error: "not you"})
		refuse = nil
		p.none("who was refused")
		if len(seen) == 0 || seen[0] != "ann" {
			t.Errorf("the hook saw %v", seen)
		}
	})
}

func TestResetOptions(t *testing.T) {
	eachPost(t, func(c *config.Config) {
		c.PasswordPolicyOptions = json.RawMessage(`{"resetTokenValidityDuration":3600,"resetTokenReuseIfValid":true,"resetPasswordSuccessOnInvalidEmail":false,
			"validatorPattern":"^(?=.*\\d).{4,}$","validationError":"Four characters, one a digit."}`)
	}, nil, func(p *mailServer) {
		p.do(scenario.Step{Method: "POST", Path: "/requestPasswordReset", Body: `{"email":"nobody@example.com"}`, Code: parse.ObjectNotFound, Error: "A user with that email does not exist."})
		p.do(scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"ann","password":"pass1","email":"ann@example.com"}`, Status: 201, Save: map[string]string{"objectId": "ann.id"}})
		p.reset("ann@example.com")
		path, first := p.link(p.mail())
		p.reset("ann@example.com")
		if _, second := p.link(p.mail()); second.Get("token") != first.Get("token") {
			t.Error("a valid token is not used again")
		}
		form := url.Values{"token": first["token"], "new_password": {"abc"}}
		w := p.open(path, nil, form)
		shows(t, w, titleChoose)
		if !strings.Contains(w.Body.String(), `role="alert">Four characters, one a digit.`) || !strings.Contains(w.Body.String(), first.Get("token")) {
			t.Errorf("policy: %s", w.Body)
		}
		w = p.open(path, nil, form, "X-Requested-With", "XMLHttpRequest")
		if w.Body.String() != `{"code":-1,"error":"Four characters, one a digit."}` {
			t.Errorf("policy: %s", w.Body)
		}
		p.store("ann", `{"_perishable_token_expires_at":`+longAgo+`}`)
		shows(t, p.open(path, first, nil), titleInvalid)
		form.Set("new_password", "pass2")
		if w = p.open(path, nil, form, "X-Requested-With", "XMLHttpRequest"); w.Body.String() != `{"code":-1,"error":"The password reset link has expired"}` {
			t.Errorf("expired: %s", w.Body)
		}
		w = p.open(path, nil, form)
		shows(t, w, titleChoose)
		if !strings.Contains(w.Body.String(), `role="alert">The password reset link has expired`) {
			t.Errorf("expired: %s", w.Body)
		}
		// The token of an expired mail asks for another one.
		p.do(scenario.Step{Method: "POST", Path: "/requestPasswordReset", Body: `{"token":"` + first.Get("token") + `"}`, JSON: `{}`})
		_, third := p.link(p.mail())
		if third.Get("token") == first.Get("token") {
			t.Error("an expired token is used again")
		}
		form.Set("token", third.Get("token"))
		shows(t, p.open(path, nil, form), titleChanged)
		p.loggedIn("ann", "pass2")
	})
}

// One of many requests with one token wins.
func TestOneResetForOneToken(t *testing.T) {
	eachPost(t, nil, nil, func(p *mailServer) {
		p.signUp("ann")
		p.reset("ann@example.com")
		path, query := p.link(p.mail())
		codes := make(chan int, 10)
		for range cap(codes) {
			go func() {
				codes <- p.open(path, nil, url.Values{"token": query["token"], "new_password": {"x-" + parse.NewObjectID(5)}}, "X-Requested-With", "XMLHttpRequest").Code
			}()
		}
		won := 0
		for range cap(codes) {
			if <-codes == http.StatusOK {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d of %d requests changed the password", won, cap(codes))
		}
	})
}

func TestWithoutMail(t *testing.T) {
	const text = "An appName, publicServerURL, and emailAdapter are required for password reset and email verification functionality."
	scenario.Run(t, []scenario.Scenario{{Name: "not configured", Steps: []scenario.Step{
		{Method: "POST", Path: "/requestPasswordReset", Body: `{"email":"a@b.c"}`, Status: 400, Code: parse.InternalServerError, Error: text},
		{Method: "POST", Path: "/verificationEmailRequest", Body: `{}`, Status: 400, Code: parse.InternalServerError, Error: text},
		{Path: "/apps/app/verify_email", Status: 404},
		{Path: "/apps/other/verify_email", Status: 403, JSON: `{"error":"unauthorized"}`},
	}}})
}

func TestDevelopmentShowsMails(t *testing.T) {
	s := scenario.Start(t, "sqlite::memory:", func(c *config.Config) {
		c.Development, c.VerifyUserEmails = true, true
	}, nil)
	s.Do(t, &scenario.Step{Method: "POST", Path: "/users", Status: 201, Body: `{"username":"ann","password":"x","email":"ann@example.com"}`})
	get := func(host string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/dev/mail.json", nil)
		r.RemoteAddr, r.Host = "127.0.0.1:1", host
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		return w
	}
	var list []struct{ To, Text string }
	deadline := time.After(20 * time.Second)
	for len(list) == 0 {
		select {
		case <-deadline:
			t.Fatal("no mail is captured")
		case <-time.After(5 * time.Millisecond):
		}
		if err := json.Unmarshal(get("localhost").Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
	}
	// Name and URL are those of development.
	if list[0].To != "ann@example.com" || !strings.Contains(list[0].Text, "with pargo") || !strings.Contains(list[0].Text, s.URL+"/apps/app/verify_email?token=") {
		t.Errorf("captured: %+v", list)
	}
	if w := get("evil.example.com"); w.Code != http.StatusForbidden {
		t.Errorf("by another name: %d", w.Code)
	}
	plain := scenario.Start(t, "sqlite::memory:", nil, nil)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/dev/mail", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
	w := httptest.NewRecorder()
	plain.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound {
		t.Errorf("outside of development: %d", w.Code)
	}
}

// post sends a body to a route of the API.
func (p *mailServer) post(path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(p.t.Context(), http.MethodPost, "/parse"+path, strings.NewReader(body))
	r.Header.Set("X-Parse-Application-Id", scenario.AppID)
	w := httptest.NewRecorder()
	p.Handler.ServeHTTP(w, r)
	return w
}

// stepWithLocale signs up somebody who speaks German.
var stepWithLocale = scenario.Step{
	Name: "sign up in German", Method: "POST", Path: "/users", Status: 201,
	Body: `{"username":"ann","password":"pass-ann","email":"ann@example.com","locale":"de_AT"}`,
}
