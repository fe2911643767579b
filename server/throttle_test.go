package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// throttling is a configuration that believes in X-Forwarded-For of this
// machine and has the option loginThrottle, "" for the default.
func throttling(option string) func(*config.Config) {
	return func(c *config.Config) {
		c.TrustProxy = "loopback"
		c.LoginThrottleOptions = json.RawMessage(option)
	}
}

func TestLoginThrottle(t *testing.T) {
	const near, far = "198.51.100.1", "198.51.100.2"
	login := func(password string) scenario.Step {
		return scenario.Step{Name: "login with " + password, Method: "POST", Path: "/login", Body: `{"username":"alice","password":"` + password + `"}`}
	}
	verify := func(password string) scenario.Step {
		return scenario.Step{Name: "verifyPassword with " + password, Path: "/verifyPassword", Query: map[string]string{"username": "alice", "password": password}}
	}
	wrong := func(st scenario.Step) scenario.Step {
		st.Code, st.Error = parse.ObjectNotFound, "Invalid username/password."
		return from(near, st)
	}
	refused := func(st scenario.Step) scenario.Step {
		st.Name += " over the limit"
		st.Status, st.Code, st.Error = http.StatusTooManyRequests, parse.RequestLimitExceeded, "Too many failed logins. Try again in 600 seconds."
		return st
	}
	const right = "pass-alice"
	item := `{"method":"POST","path":"/parse/login","body":{"username":"alice","password":"pass-alice"}}`
	many := []scenario.Step{signUp("alice")}
	for range 30 {
		many = append(many, from(near, login(right)), from(near, verify(right)))
	}
	guesses := []scenario.Step{signUp("alice")}
	for range 5 {
		guesses = append(guesses, wrong(login("no")), wrong(verify("no")))
	}
	off := append([]scenario.Step(nil), guesses...)
	scenario.Run(t, []scenario.Scenario{
		{Name: "by default", Config: throttling(""), Options: []server.Option{atOnce()}, Steps: append(guesses,
			from(near, refused(login("no"))), from(near, refused(login(right))), from(near, refused(verify(right))),
			from(far, login(right)),
			from(near, scenario.Step{Name: "in a batch", Method: "POST", Path: "/batch", Body: `{"requests":[` + item + `]}`, JSON: `[{"error":{"code":155,"error":"Too many failed logins. Try again in 600 seconds."}}]`}),
			from(near, refused(scenario.Step{Name: "_method", Method: "POST", Path: "/login", Body: `{"_method":"GET","username":"alice","password":"no"}`})),
			scenario.Step{Name: "loginAs", Method: "POST", Path: "/loginAs", As: "master", Body: `{"userId":"{{alice.id}}"}`},
			scenario.Step{Name: "other requests", Path: "/users/me", As: "alice"},
		)},
		{Name: "successes", Config: throttling(""), Steps: many},
		{Name: "narrower", Config: throttling(`{"failures":2,"window":60}`), Steps: []scenario.Step{
			signUp("alice"), wrong(login("a")), wrong(login("b")),
			from(near, scenario.Step{Name: "third", Method: "POST", Path: "/login", Body: `{"username":"alice","password":"c"}`, Status: http.StatusTooManyRequests, Code: parse.RequestLimitExceeded}),
		}},
		{Name: "off", Config: throttling(`false`), Steps: append(off, wrong(login("no")), from(near, login(right)))},
	})
}

// atOnce stops the clock of a server: what is told in seconds is then the same
// on a slow machine.
func atOnce() server.Option {
	now := time.Now()
	return server.WithClock(func() time.Time { return now })
}

// TestThrottleTellsWhen: the header says when to try again.
func TestThrottleTellsWhen(t *testing.T) {
	s := scenario.Start(t, "sqlite::memory:", throttling(`{"failures":1}`), nil, atOnce())
	for i, want := range []string{"", "600"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/parse/login", strings.NewReader(`{"username":"a","password":"b"}`))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Parse-Application-Id", scenario.AppID)
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("login %d: Retry-After %q, want %q: %s", i, got, want, w.Body)
		}
	}
}

// TestMailThrottle: whoever asks for mails too often is refused, whether there
// is a user or not.
func TestMailThrottle(t *testing.T) {
	eachPost(t, func(c *config.Config) {
		throttling("")(c)
		c.VerifyUserEmails = true
	}, nil, func(p *mailServer) {
		p.Do(p.t, &scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"alice","password":"x","email":"alice@example.com"}`})
		p.mail()
		for _, address := range []string{"alice@example.com", "nobody@example.com"} {
			ask := func(path, address string, status int) {
				st := scenario.Step{Name: path + " for " + address, Method: "POST", Path: path, Body: `{"email":"` + address + `"}`, Status: status}
				if status != http.StatusOK {
					st.Code, st.Error = parse.RequestLimitExceeded, "Too many mails were asked for. Try again in 600 seconds."
				}
				p.Do(p.t, &st)
			}
			for range 2 {
				ask("/requestPasswordReset", address, http.StatusOK)
				ask("/verificationEmailRequest", address, http.StatusOK)
			}
			ask("/requestPasswordReset", address, http.StatusOK)
			ask("/requestPasswordReset", strings.ToUpper(address), http.StatusTooManyRequests)
			ask("/verificationEmailRequest", address, http.StatusTooManyRequests)
		}
	}, atOnce())
}
