package server_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

const passkeyInvalid = "Passkey auth is invalid for this user."

// keyring is a client with an authenticator.
type keyring struct {
	*scenario.Authenticator
	t *testing.T
	s *scenario.Server
}

func newKeyring(t *testing.T, s *scenario.Server) *keyring {
	return &keyring{&scenario.Authenticator{Origin: "https://app.example", RPID: "app.example"}, t, s}
}

// challenge asks for a challenge of a ceremony.
func (k *keyring) challenge(as, data string) (options, state string) {
	k.t.Helper()
	answer := k.s.Do(k.t, &scenario.Step{Name: "challenge", Method: "POST", Path: "/challenge", As: as, Body: `{"challengeData":{"passkey":` + data + `}}`})
	var m struct {
		ChallengeData struct {
			Passkey json.RawMessage `json:"passkey"`
		} `json:"challengeData"`
	}
	var st struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal([]byte(answer), &m); err != nil {
		k.t.Fatal(err)
	}
	if err := json.Unmarshal(m.ChallengeData.Passkey, &st); err != nil {
		k.t.Fatal(err)
	}
	return string(m.ChallengeData.Passkey), st.State
}

func authData(credential, state, more string) string {
	return fmt.Sprintf(`{"authData":{"passkey":{"credential":%s,"state":%q%s}}}`, credential, state, more)
}

// register answers a challenge to register.
func (k *keyring) register(as, data, more string) string {
	k.t.Helper()
	options, state := k.challenge(as, data)
	return authData(k.Create(k.t, options), state, more)
}

// login answers a challenge to log in.
func (k *keyring) login() string {
	k.t.Helper()
	options, state := k.challenge("", `{"ceremony":"login"}`)
	return authData(k.Get(k.t, options), state, "")
}

func TestPasskeys(t *testing.T) {
	onDatabases(t, withAuth(`{"passkey":{"rpId":"app.example"},"mfa":{"options":["TOTP"],"period":86400}}`), nil, func(t *testing.T, s *scenario.Server) {
		do := func(st scenario.Step) string { t.Helper(); return s.Do(t, &st) }
		users := func(name, body string, st scenario.Step) string {
			t.Helper()
			st.Name, st.Method, st.Path, st.Body = name, "POST", "/users", body
			return do(st)
		}
		refused := scenario.Step{Code: parse.ObjectNotFound, Error: passkeyInvalid}
		phone := newKeyring(t, s)

		// Sign-up without a password.
		sent := phone.register("", `{"ceremony":"register","name":"ann"}`, `,"name":"phone"`)
		users("sign-up", sent, scenario.Step{Status: 201, JSON: `{"objectId":"*","createdAt":"*","username":"*","sessionToken":"*","authDataResponse":{},"...":0}`, Lacks: []string{"publicKey"}, Save: map[string]string{"objectId": "ann.id", "sessionToken": "ann.token"}})
		users("the same once more", sent, refused)
		users("login", phone.login(), scenario.Step{Status: 200, JSON: `{"objectId":"{{ann.id}}","sessionToken":"*","authData":{"passkey":{"id":"*","credentials":[{"id":"` + phone.ID() + `","name":"phone","createdAt":"*","lastUsedAt":"*"}]}},"...":0}`, Lacks: []string{"publicKey", "spent", "signCount"}})
		do(scenario.Step{Name: "the master key sees all", Path: "/users/{{ann.id}}", As: "master", JSON: `{"authData":{"passkey":{"id":"*","credentials":[{"publicKey":"*","signCount":0,"...":0}],"spent":"*"}},"...":0}`})
		answer := phone.login()
		users("an answer", answer, scenario.Step{Status: 200})
		users("an answer again", answer, refused)
		answer = phone.login()
		onlyOne(t, "an answer many times at once", func() (int, string) { return send(t, s.Handler, "POST", "/users", answer) },
			regexp.MustCompile(`Invalid auth data|Passkey auth is invalid`))

		// What is wrong with an answer.
		for name, change := range map[string]func(k *keyring) string{
			"another site":   func(k *keyring) string { k.Origin = "https://evil.example"; return k.login() },
			"another domain": func(k *keyring) string { k.RPID = "evil.example"; return k.login() },
			"no finger":      func(k *keyring) string { k.Unverified = true; return k.login() },
			"another's key": func(k *keyring) string {
				k.register("", `{"ceremony":"register","name":"x"}`, "")
				k.Impersonate(phone.Authenticator)
				return k.login()
			},
			"no such user":    func(k *keyring) string { k.register("", `{"ceremony":"register","name":"x"}`, ""); return k.login() },
			"no state":        func(k *keyring) string { o, _ := k.challenge("", `{}`); return authData(k.Get(t, o), "", "") },
			"a changed state": func(k *keyring) string { o, st := k.challenge("", `{}`); return authData(k.Get(t, o), "f"+st[1:], "") },
			"another state": func(k *keyring) string {
				o, _ := k.challenge("", `{}`)
				_, st := k.challenge("", `{}`)
				return authData(k.Get(t, o), st, "")
			},
			"a login to sign up": func(k *keyring) string {
				_, st := k.challenge("", `{}`)
				o, _ := k.challenge("", `{"ceremony":"register","name":"x"}`)
				return authData(k.Create(t, o), st, "")
			},
			"no credential": func(k *keyring) string { _, st := k.challenge("", `{}`); return authData(`null`, st, "") },
			"no object":     func(k *keyring) string { _, st := k.challenge("", `{}`); return authData(`"x"`, st, "") },
			"an id alone":   func(*keyring) string { return `{"authData":{"passkey":{"id":"` + s.Var("ann.id") + `"}}}` },
		} {
			k := *phone
			a := *phone.Authenticator
			k.Authenticator = &a
			users(name, change(&k), refused)
		}

		// A second passkey, of the user who is logged in, and its removal.
		laptop := newKeyring(t, s)
		put := func(name, as, body string, st scenario.Step) {
			t.Helper()
			st.Name, st.Method, st.Path, st.As, st.Body = name, "PUT", "/users/{{ann.id}}", as, body
			do(st)
		}
		put("a challenge of nobody", "ann", laptop.register("", `{"ceremony":"register","name":"x"}`, ""), refused)
		put("a second passkey", "ann", laptop.register("ann", `{"ceremony":"register"}`, `,"name":"laptop"`), scenario.Step{JSON: `{"updatedAt":"*","authDataResponse":{}}`})
		users("opens the same account", laptop.login(), scenario.Step{Status: 200, JSON: `{"objectId":"{{ann.id}}","...":0}`})
		put("remove", "ann", `{"authData":{"passkey":{"remove":"`+phone.ID()+`"}}}`, scenario.Step{})
		users("is closed", phone.login(), refused)
		put("remove what is not there", "ann", `{"authData":{"passkey":{"remove":"x"}}}`, scenario.Step{Code: parse.ValidationError, Error: "There is no such passkey."})
		put("remove the last", "ann", `{"authData":{"passkey":{"remove":"`+laptop.ID()+`"}}}`, scenario.Step{Code: parse.ValidationError, Error: "The last passkey goes with the provider: set it to null."})

		// A counter that does not rise tells of a copy.
		laptop.Counting, laptop.Counter = true, 5
		users("counts", laptop.login(), scenario.Step{Status: 200})
		users("counts on", laptop.login(), scenario.Step{Status: 200})
		laptop.Counter = 6
		users("counts no more", laptop.login(), refused)
		laptop.Counter = 9
		users("counts again", laptop.login(), scenario.Step{Status: 200})

		// A passkey with a verified user is two factors.
		put("a second factor", "ann", `{"authData":{"mfa":{"secret":"`+secretA+`","token":"`+totpCode(t, secretA, 0)+`"}}}`, scenario.Step{})
		users("is not asked for", laptop.login(), scenario.Step{Status: 200})

		// Nobody registers a passkey for another.
		do(signUp("bob"))
		bobs := newKeyring(t, s)
		stolen := bobs.register("bob", `{"ceremony":"register"}`, "")
		put("for another", "ann", stolen, refused)
		do(scenario.Step{Name: "for himself", Method: "PUT", Path: "/users/{{bob.id}}", As: "bob", Body: stolen})
		put("unlink", "ann", `{"authData":{"passkey":null}}`, scenario.Step{})
		users("nothing is open", laptop.login(), refused)
		do(scenario.Step{Name: "no ceremony", Method: "POST", Path: "/challenge", Body: `{"challengeData":{"passkey":{"ceremony":"x"}}}`, Code: parse.ValidationError, Error: "The ceremony of a passkey is login or register."})
		do(scenario.Step{Name: "no name", Method: "POST", Path: "/challenge", Body: `{"challengeData":{"passkey":{"ceremony":"register"}}}`, Code: parse.ValidationError, Error: "The name of a user with a passkey has 1 to 64 bytes."})
		do(scenario.Step{Name: "identifies nobody for a challenge", Method: "POST", Path: "/challenge", Body: `{"challengeData":{"passkey":{}},"authData":{"passkey":{"id":"x"}}}`, Code: parse.ObjectNotFound, Error: "User not found."})
	})
	for options, text := range map[string]string{
		`{}`: "rpId is missing: it is the domain of the application",
		`{"rpId":"a.example","userVerification":"x"}`: "userVerification must be required, preferred or discouraged",
	} {
		if err := startError(t, withAuth(`{"passkey":`+options+`}`)); err == nil || err.Error() != "auth.passkey: "+text {
			t.Errorf("%s: %v", options, err)
		}
	}
}
