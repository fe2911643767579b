package server_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

func policy(text string) func(*config.Config) {
	return func(c *config.Config) { c.PasswordPolicyOptions = json.RawMessage(text) }
}

// change is a change of ann's password by herself, who gets a new session.
func change(password string, text string) scenario.Step {
	st := scenario.Step{Name: "change to " + password, Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"password":"` + password + `"}`}
	if text != "" {
		st.Code, st.Error = parse.ValidationError, text
	} else {
		st.Save = map[string]string{"sessionToken": "ann.token"}
	}
	return st
}

func signUpWith(password, text string) scenario.Step {
	st := scenario.Step{Name: "sign up with " + password, Method: "POST", Path: "/users", Body: `{"username":"ann","password":"` + password + `"}`}
	if text != "" {
		st.Code, st.Error = parse.ValidationError, text
	} else {
		st.Status, st.Save = 201, map[string]string{"objectId": "ann.id", "sessionToken": "ann.token"}
	}
	return st
}

func TestPasswordPolicy(t *testing.T) {
	const standard = "Password does not meet the Password Policy requirements."
	scenario.Run(t, []scenario.Scenario{
		{Name: "pattern", Config: policy(`{"validatorPattern":"^(?=.*[a-z])(?=.*[A-Z])(?=.*\\d).{8,}$"}`), Steps: []scenario.Step{
			signUpWith("short1A", standard), signUpWith("nodigitsAA", standard), signUpWith("long3nough", standard),
			signUpWith("Long3nough", ""), change("worse", standard), change("Better1234", ""),
			{Name: "master, too", Method: "PUT", Path: "/users/{{ann.id}}", As: "master", Body: `{"password":"x"}`, Code: parse.ValidationError, Error: standard},
			{Name: "no password is missing first", Method: "POST", Path: "/users", Body: `{"username":"bob"}`, Code: parse.PasswordMissing},
		}},
		{Name: "own text and name", Config: policy(`{"validatorPattern":"^.{4,}$","validationError":"Four at least.","doNotAllowUsername":true}`), Steps: []scenario.Step{
			signUpWith("abc", "Four at least."), signUpWith("my-ann-pass", "Password cannot contain your username."),
			signUpWith("my-ANN-pass", ""), change("annnn", "Password cannot contain your username."), change("other", ""),
			{Name: "by the name that comes with it", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"username":"zoe","password":"my-zoe"}`, Code: parse.ValidationError},
		}},
		{Name: "history of three", Config: policy(`{"maxPasswordHistory":3}`), Steps: []scenario.Step{
			signUpWith("one", ""), change("one", "New password should not be the same as last 3 passwords."),
			change("two", ""), change("one", "New password should not be the same as last 3 passwords."),
			change("three", ""), change("one", "New password should not be the same as last 3 passwords."),
			change("four", ""), change("two", "New password should not be the same as last 3 passwords."),
			change("one", ""), change("two", ""),
		}},
		{Name: "history of one", Config: policy(`{"maxPasswordHistory":1}`), Steps: []scenario.Step{
			signUpWith("one", ""), change("one", "New password should not be the same as last 1 passwords."), change("two", ""), change("one", ""),
		}},
		{Name: "no history", Config: policy(`{"maxPasswordHistory":0}`), Steps: []scenario.Step{signUpWith("one", ""), change("one", "")}},
	})
}

func TestPasswordValidatorInCode(t *testing.T) {
	eachPost(t, policy(`{"validatorPattern":"a"}`), nil, func(p *mailServer) {
		for password, ok := range map[string]bool{"abc": false, "b-e": false, "abc-e": true} {
			st := scenario.Step{Name: password, Method: "POST", Path: "/users", Body: `{"username":"u` + password + `","password":"` + password + `"}`, Status: 201}
			if !ok {
				st.Status, st.Code = 0, parse.ValidationError
			}
			p.do(st)
		}
	}, server.WithUserFunctions(server.UserFunctions{ValidatePassword: func(s string) bool { return strings.HasSuffix(s, "e") }}))
}

func TestPasswordAge(t *testing.T) {
	const expired = "Your password has expired. Please reset your password."
	eachPost(t, policy(`{"maxPasswordAge":30}`), nil, func(p *mailServer) {
		p.signUp("ann")
		p.stored("ann", `"_password_changed_at":{"$exists":true}`)
		p.loggedIn("ann", "pass-ann")
		p.store("ann", `{"_password_changed_at":`+longAgo+`}`)
		p.refused("ann", "pass-ann", parse.ObjectNotFound, expired)
		p.refused("ann", "wrong", parse.ObjectNotFound, "Invalid username/password.")
		p.do(scenario.Step{Name: "verifyPassword does not mind", Method: "POST", Path: "/verifyPassword", Body: `{"username":"ann","password":"pass-ann"}`})
		p.reset("ann@example.com")
		path, query := p.link(p.mail())
		shows(t, p.open(path, nil, url.Values{"token": query["token"], "new_password": {"fresh"}}), titleChanged)
		p.loggedIn("ann", "fresh")
		// From before the policy: the age begins with the next login.
		p.store("ann", `{"_password_changed_at":{"__op":"Delete"}}`)
		p.loggedIn("ann", "fresh")
		p.stored("ann", `"_password_changed_at":{"$exists":true}`)
	})
}

func lockout(text string) func(*config.Config) {
	return func(c *config.Config) { c.AccountLockoutOptions = json.RawMessage(text) }
}

const (
	wrongPassword = "Invalid username/password."
	lockedFor5    = "Your account is locked due to multiple failed login attempts. Please try again after 5 minute(s)"
)

func TestAccountLockout(t *testing.T) {
	eachPost(t, lockout(`{"duration":5,"threshold":3}`), nil, func(p *mailServer) {
		p.signUp("ann")
		p.signUp("bob")
		for range 2 {
			p.refused("ann", "wrong", parse.ObjectNotFound, wrongPassword)
		}
		p.loggedIn("ann", "pass-ann") // the count begins anew
		p.stored("ann", `"_failed_login_count":0`)
		for range 3 {
			p.refused("ann", "wrong", parse.ObjectNotFound, wrongPassword)
		}
		p.stored("ann", `"_failed_login_count":3,"_account_lockout_expires_at":{"$exists":true}`)
		p.refused("ann", "wrong", parse.ObjectNotFound, lockedFor5)
		p.refused("ann", "pass-ann", parse.ObjectNotFound, lockedFor5)
		p.do(scenario.Step{Method: "POST", Path: "/verifyPassword", Body: `{"username":"ann","password":"pass-ann"}`, Code: parse.ObjectNotFound, Error: lockedFor5})
		p.stored("ann", `"_failed_login_count":3`) // attempts at a locked account are not counted
		p.loggedIn("bob", "pass-bob")
		p.refused("nobody", "wrong", parse.ObjectNotFound, wrongPassword)

		// After its time the count goes on: one more failure locks again.
		p.store("ann", `{"_account_lockout_expires_at":`+longAgo+`}`)
		p.refused("ann", "wrong", parse.ObjectNotFound, lockedFor5)
		p.refused("ann", "pass-ann", parse.ObjectNotFound, lockedFor5)
		p.store("ann", `{"_account_lockout_expires_at":`+longAgo+`}`)
		p.loggedIn("ann", "pass-ann")
		p.stored("ann", `"_failed_login_count":0`)

		// A reset leaves the lock, unless the options say otherwise.
		for range 3 {
			p.refused("ann", "wrong", parse.ObjectNotFound, wrongPassword)
		}
		p.reset("ann@example.com")
		path, query := p.link(p.mail())
		shows(t, p.open(path, nil, url.Values{"token": query["token"], "new_password": {"fresh"}}), titleChanged)
		p.refused("ann", "fresh", parse.ObjectNotFound, lockedFor5)
	})
	eachPost(t, lockout(`{"duration":5,"threshold":1,"unlockOnPasswordReset":true}`), nil, func(p *mailServer) {
		p.signUp("ann")
		p.refused("ann", "wrong", parse.ObjectNotFound, wrongPassword)
		p.refused("ann", "pass-ann", parse.ObjectNotFound, lockedFor5)
		p.reset("ann@example.com")
		path, query := p.link(p.mail())
		shows(t, p.open(path, nil, url.Values{"token": query["token"], "new_password": {"fresh"}}), titleChanged)
		p.loggedIn("ann", "fresh")
	})
}

// Of a hundred guesses at a time, as many as the threshold are answered, and
// the lock is there afterwards.
func TestParallelGuesses(t *testing.T) {
	change := func(c *config.Config) {
		lockout(`{"duration":5,"threshold":7}`)(c)
		c.LoginThrottleOptions = json.RawMessage(`false`) // it would refuse most of the guesses
	}
	eachPost(t, change, nil, func(p *mailServer) {
		p.signUp("ann")
		const guesses = 100
		answers := make([]string, guesses)
		var wg sync.WaitGroup
		for i := range guesses {
			wg.Go(func() {
				w := p.post("/login", `{"username":"ann","password":"wrong"}`)
				answers[i] = w.Body.String()
			})
		}
		wg.Wait()
		wrong, locked := 0, 0
		for _, a := range answers {
			switch {
			case strings.Contains(a, wrongPassword):
				wrong++
			case strings.Contains(a, lockedFor5):
				locked++
			}
		}
		if wrong != 7 || locked != guesses-7 {
			t.Errorf("%d were told wrong, %d locked: %q", wrong, locked, answers[0])
		}
		p.refused("ann", "pass-ann", parse.ObjectNotFound, lockedFor5)
		p.stored("ann", `"_failed_login_count":{"$gte":7}`)
	})
}
