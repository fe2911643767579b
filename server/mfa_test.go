package server_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// day is the period of codes in these tests: so long that none ends in between.
const day = 24 * 60 * 60

const (
	secretA = "JBSWY3DPEHPK3PXPJBSWY3DP"
	secretB = "GEZDGNBVGY3TQOJQGEZDGNBV"
)

// totpCode is the code of a secret, some steps from now.
func totpCode(t *testing.T, secret string, from int64) string {
	t.Helper()
	key, err := base32.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, time.Now().Unix()/day+from)
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[19]&0xf:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1_000_000)
}

func withAuth(options string) func(*config.Config) {
	return func(c *config.Config) { c.Auth = json.RawMessage(options) }
}

// messages is a telephone.
type messages struct {
	mu   sync.Mutex
	sent []string // number and code; guarded by mu
}

func (m *messages) register(app *cloudcode.App) {
	app.SendSMS(func(_ context.Context, code, mobile string) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sent = append(m.sent, mobile+" "+code)
		return nil
	})
}

func (m *messages) last() (mobile, code string, count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sent) > 0 {
		mobile, code, _ = strings.Cut(m.sent[len(m.sent)-1], " ")
	}
	return mobile, code, len(m.sent)
}

// onDatabases runs a test with a server of its own on every database.
func onDatabases(t *testing.T, change func(*config.Config), cloud func(*cloudcode.App), f func(t *testing.T, s *scenario.Server)) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) { f(t, scenario.Start(t, db.URI(t), change, cloud)) })
}

func TestMFACodes(t *testing.T) {
	const token, data = "Invalid MFA token", "Invalid MFA data"
	onDatabases(t, withAuth(`{"mfa":{"options":["TOTP"],"period":86400}}`), providers, func(t *testing.T, s *scenario.Server) {
		do := func(st scenario.Step) string { t.Helper(); return s.Do(t, &st) }
		set := func(name, body string, code parse.Code, text string) string {
			t.Helper()
			return do(scenario.Step{Name: name, Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"mfa":` + body + `}}`, Code: code, Error: text})
		}
		login := func(name, authData string, code parse.Code, text string) string {
			t.Helper()
			return do(scenario.Step{Name: name, Method: "POST", Path: "/login", Body: `{"username":"ann","password":"pass-ann"` + authData + `}`, Code: code, Error: text})
		}
		with := func(token string) string { return `,"authData":{"mfa":{"token":"` + token + `"}}` }
		do(signUp("ann"))
		set("a short secret", `{"secret":"JBSWY3DPEHPK3PXP","token":"123456"}`, parse.ScriptFailed, data)
		set("no code", `{"secret":"`+secretA+`"}`, parse.ScriptFailed, data)
		set("no secret", `{"token":"123456"}`, parse.ScriptFailed, data)
		set("a wrong code", `{"secret":"`+secretA+`","token":"`+totpCode(t, secretA, 5)+`"}`, parse.ScriptFailed, token)
		login("nothing is set up yet", "", 0, "")
		answer := do(scenario.Step{
			Name: "set up", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann",
			Body: `{"authData":{"mfa":{"secret":"` + secretA + `","token":"` + totpCode(t, secretA, 0) + `"}}}`,
			JSON: `{"updatedAt":"*","authDataResponse":{"mfa":{"recovery":"*"}}}`,
		})
		m := regexp.MustCompile(`"recovery":"([A-Za-z0-9]{30}), ([A-Za-z0-9]{30})"`).FindStringSubmatch(answer)
		if m == nil {
			t.Fatalf("no recovery codes: %s", answer)
		}
		do(scenario.Step{Name: "read", Path: "/users/me", As: "ann", JSON: `{"authData":{"mfa":{"status":"enabled"}},"...":0}`})
		do(scenario.Step{Name: "read by master: no code in plain", Path: "/users/{{ann.id}}", As: "master", JSON: `{"authData":{"mfa":{"secret":"` + secretA + `","recovery":["*","*"]}},"...":0}`, Lacks: m[1:]})
		set("what is shown, sent back, is nothing", `{"status":"enabled"}`, 0, "")
		login("no code", "", parse.OtherCause, "Missing additional authData mfa")
		login("a wrong code", with(totpCode(t, secretA, 5)), parse.ScriptFailed, token)
		login("no string", `,"authData":{"mfa":{"token":123456}}`, parse.ScriptFailed, token)
		login("an empty one", `,"authData":{"mfa":{}}`, parse.ScriptFailed, token)
		do(scenario.Step{
			Name: "a code", Method: "POST", Path: "/login", Body: `{"username":"ann","password":"pass-ann"` + with(totpCode(t, secretA, -1)) + `}`,
			JSON: `{"authData":{"mfa":{"status":"enabled"}},"authDataResponse":{},"sessionToken":"*","...":0}`, Lacks: []string{secretA, "recovery"},
		})
		login("the code again", with(totpCode(t, secretA, -1)), parse.ScriptFailed, token)
		login("the next", with(totpCode(t, secretA, 0)), 0, "")
		login("an older one", with(totpCode(t, secretA, -1)), parse.ScriptFailed, token)
		login("a recovery code", with(m[1]), 0, "")
		login("the recovery code again", with(m[1]), parse.ScriptFailed, token)
		set("a new secret without the old", `{"secret":"`+secretB+`","token":"`+totpCode(t, secretB, 0)+`"}`, parse.ScriptFailed, token)
		set("with a wrong old one", `{"secret":"`+secretB+`","token":"`+totpCode(t, secretB, 0)+`","old":"`+m[1]+`"}`, parse.ScriptFailed, token)
		set("with the old one", `{"secret":"`+secretB+`","token":"`+totpCode(t, secretB, 0)+`","old":"`+m[2]+`"}`, 0, "")
		login("the old secret", with(totpCode(t, secretA, 1)), parse.ScriptFailed, token)
		login("the new one", with(totpCode(t, secretB, 1)), 0, "")
		do(scenario.Step{Name: "master sees it", Path: "/users/{{ann.id}}", As: "master", Save: map[string]string{"authData.mfa.recovery.0": "hash"}})
		login("a hash is no code", with(s.Var("hash")), parse.ScriptFailed, token)
		do(scenario.Step{Name: "as Parse Server stores it", Method: "PUT", Path: "/users/{{ann.id}}", As: "master", Body: `{"authData":{"mfa":{"secret":"` + secretA + `","recovery":["abcdefghijklmnopqrstuvwxyzabcd"]}}}`})
		login("its recovery code", with("abcdefghijklmnopqrstuvwxyzabcd"), 0, "")
		login("its recovery code again", with("abcdefghijklmnopqrstuvwxyzabcd"), parse.ScriptFailed, token)
		set("remove", `null`, 0, "")
		login("is gone", "", 0, "")

		// a login by another provider shows no more, and asks for the code, too.
		do(scenario.Step{Name: "a provider", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"acme":{"id":"1","key":"good"},"mfa":{"secret":"` + secretA + `","token":"` + totpCode(t, secretA, 0) + `"}}}`})
		do(scenario.Step{Name: "without code", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"}}}`, Code: parse.OtherCause, Error: "Missing additional authData mfa"})
		do(scenario.Step{
			Name: "with code", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"},"mfa":{"token":"` + totpCode(t, secretA, 0) + `"}}}`, Status: 200,
			JSON: `{"authData":{"acme":{"id":"1"},"mfa":{"status":"enabled"}},"sessionToken":"*","...":0}`, Lacks: []string{secretA, "recovery", "sha256"},
		})
		do(scenario.Step{Name: "with the code again", Method: "POST", Path: "/users", Body: `{"authData":{"acme":{"id":"1","key":"good"},"mfa":{"token":"` + totpCode(t, secretA, 0) + `"}}}`, Code: parse.ScriptFailed, Error: token})
	})
}

// Codes are guessed no more often than passwords, by whatever way.
func TestMFALockout(t *testing.T) {
	change := func(c *config.Config) {
		lockout(`{"duration":5,"threshold":3}`)(c)
		withAuth(`{"mfa":{"options":["TOTP"],"period":86400}}`)(c)
	}
	eachPost(t, change, providers, func(p *mailServer) {
		with := func(code string) string {
			return `"authData":{"acme":{"id":"1","key":"good"},"mfa":{"token":"` + code + `"}}`
		}
		login := func(name, password, code string, want parse.Code, text string) {
			t.Helper()
			p.do(scenario.Step{Name: name, Method: "POST", Path: "/login", Body: `{"username":"ann","password":"` + password + `","authData":{"mfa":{"token":"` + code + `"}}}`, Code: want, Error: text})
		}
		linked := func(name, code string, want parse.Code, text string) {
			t.Helper()
			p.do(scenario.Step{Name: name, Method: "POST", Path: "/users", Body: "{" + with(code) + "}", Code: want, Error: text})
		}
		const token = "Invalid MFA token"
		p.signUp("ann")
		p.loggedIn("ann", "pass-ann")
		p.do(scenario.Step{Name: "set up", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"acme":{"id":"1","key":"good"},"mfa":{"secret":"` + secretA + `","token":"` + totpCode(p.t, secretA, 0) + `"}}}`})
		wrong := totpCode(p.t, secretA, 5)
		login("first", "pass-ann", wrong, parse.ScriptFailed, token)
		p.do(scenario.Step{Name: "the password alone", Method: "POST", Path: "/verifyPassword", Body: `{"username":"ann","password":"pass-ann"}`})
		p.do(scenario.Step{Name: "no code", Method: "POST", Path: "/login", Body: `{"username":"ann","password":"pass-ann"}`, Code: parse.OtherCause, Error: "Missing additional authData mfa"})
		p.stored("ann", `"_failed_login_count":1`)
		linked("by the provider", wrong, parse.ScriptFailed, token)
		p.stored("ann", `"_failed_login_count":2`)
		login("a right one", "pass-ann", totpCode(p.t, secretA, -1), 0, "")
		p.stored("ann", `"_failed_login_count":0`) // the count begins anew
		login("wrong again", "pass-ann", wrong, parse.ScriptFailed, token)
		login("a wrong password", "wrong", wrong, parse.ObjectNotFound, wrongPassword)
		p.do(scenario.Step{Name: "a wrong old code", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"mfa":{"secret":"` + secretB + `","token":"` + totpCode(p.t, secretB, 0) + `","old":"` + wrong + `"}}}`, Code: parse.ScriptFailed, Error: token})
		right := totpCode(p.t, secretA, 0)
		login("is locked", "pass-ann", right, parse.ObjectNotFound, lockedFor5)
		linked("by the provider, too", right, parse.ObjectNotFound, lockedFor5)
		p.store("ann", `{"_account_lockout_expires_at":`+longAgo+`}`)
		linked("after its time", right, 0, "")
		p.stored("ann", `"_failed_login_count":0`)
	})
}

// a code that comes many times at once opens the account once, by
// password and by provider.
func TestAdvisory_GHSA_2299_ghjr_6vjp(t *testing.T) {
	onDatabases(t, withAuth(`{"mfa":{"options":["TOTP"],"period":86400}}`), providers, func(t *testing.T, s *scenario.Server) {
		st := signUp("ann")
		s.Do(t, &st)
		answer := s.Do(t, &scenario.Step{
			Method: "PUT", Path: "/users/{{ann.id}}", As: "ann",
			Body: `{"authData":{"acme":{"id":"1","key":"good"},"mfa":{"secret":"` + secretA + `","token":"` + totpCode(t, secretA, 0) + `"}}}`,
		})
		recovery := regexp.MustCompile(`"recovery":"([A-Za-z0-9]{30}), ([A-Za-z0-9]{30})"`).FindStringSubmatch(answer)
		for _, tt := range []struct{ name, path, body, code string }{
			{"code", "/login", `{"username":"ann","password":"pass-ann","authData":{"mfa":{"token":"%s"}}}`, totpCode(t, secretA, -1)},
			{"recovery code", "/login", `{"username":"ann","password":"pass-ann","authData":{"mfa":{"token":"%s"}}}`, recovery[1]},
			{"code by provider", "/users", `{"authData":{"acme":{"id":"1","key":"good"},"mfa":{"token":"%s"}}}`, totpCode(t, secretA, 0)},
			{"recovery code by provider", "/users", `{"authData":{"acme":{"id":"1","key":"good"},"mfa":{"token":"%s"}}}`, recovery[2]},
		} {
			onlyOne(t, tt.name, func() (int, string) {
				return send(t, s.Handler, "POST", tt.path, fmt.Sprintf(tt.body, tt.code))
			}, regexp.MustCompile(`^\{"code":141,"error":"(Invalid auth data|Invalid MFA token)"\}$`))
		}
	})
}

// onlyOne sends a request ten times at once; one must succeed, the others be refused.
func onlyOne(t *testing.T, name string, send func() (int, string), refusal *regexp.Regexp) {
	t.Helper()
	var wg sync.WaitGroup
	status, bodies := make([]int, 10), make([]string, 10)
	for i := range status {
		wg.Go(func() { status[i], bodies[i] = send() })
	}
	wg.Wait()
	good := 0
	for i := range status {
		switch {
		case status[i] == 200:
			good++
		case !refusal.MatchString(bodies[i]):
			t.Errorf("%s: %d %s", name, status[i], bodies[i])
		}
	}
	if good != 1 {
		t.Errorf("%s: %d logins", name, good)
	}
}

func TestMFAMobile(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		phone := &messages{}
		cloud := func(app *cloudcode.App) {
			phone.register(app)
			providers(app)
		}
		s := scenario.Start(t, db.URI(t), withAuth(`{"mfa":{"options":["SMS","TOTP"],"period":86400,"digits":8}}`), cloud)
		do := func(st scenario.Step) string { t.Helper(); return s.Do(t, &st) }
		set := func(name, body string, code parse.Code, text string) {
			t.Helper()
			do(scenario.Step{Name: name, Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"mfa":` + body + `}}`, Code: code, Error: text})
		}
		login := func(name, authData string, code parse.Code, text string) {
			t.Helper()
			do(scenario.Step{Name: name, Method: "POST", Path: "/login", Body: `{"username":"ann","password":"pass-ann"` + authData + `}`, Code: code, Error: text})
		}
		with := func(token string) string { return `,"authData":{"mfa":{"token":"` + token + `"}}` }
		do(signUp("ann"))
		_, _, before := phone.last()
		set("no number", `{"mobile":"ann"}`, parse.ScriptFailed, "Invalid mobile number.")
		set("an object", `{"mobile":{"a":1}}`, parse.ScriptFailed, "Invalid mobile number.")
		set("start", `{"mobile":"+1555 555.01-00"}`, 0, "")
		mobile, code, n := phone.last()
		if mobile != "+15555550100" || len(code) != 8 || n != before+1 {
			t.Fatalf("%q got %q, %d messages", mobile, code, n-before)
		}
		do(scenario.Step{Name: "pending", Path: "/users/me", As: "ann", JSON: `{"authData":{"mfa":{"status":"disabled"}},"...":0}`})
		login("no factor yet", "", 0, "")
		set("a wrong code", `{"mobile":"+15555550100","token":"1"}`, parse.ScriptFailed, "Invalid MFA token")
		set("another number", `{"mobile":"+15555550101","token":"`+code+`"}`, parse.ScriptFailed, "This number is not pending")
		set("one code at a time", `{"mobile":"+15555550100"}`, parse.ScriptFailed, "MFA is already set up on this account")
		set("confirm", `{"mobile":"+1555-555-0100","token":"`+code+`"}`, 0, "")
		do(scenario.Step{Name: "enabled", Path: "/users/me", As: "ann", JSON: `{"authData":{"mfa":{"status":"enabled"}},"...":0}`})
		do(scenario.Step{Name: "stored", Path: "/users/{{ann.id}}", As: "master", JSON: `{"authData":{"mfa":{"mobile":"+15555550100"}},"...":0}`})
		set("set up already", `{"mobile":"+15555550100"}`, parse.ScriptFailed, "MFA is already set up on this account")
		login("needs a factor", "", parse.OtherCause, "Missing additional authData mfa")
		login("a code of nothing", with("123"), parse.ScriptFailed, "Invalid MFA token 1")
		login("request a code", with("request"), parse.ScriptFailed, "Please enter the token")
		_, code, n = phone.last()
		login("no second message while the first is good", with("request"), parse.ScriptFailed, "Please enter the token")
		if _, _, again := phone.last(); again != n {
			t.Errorf("%d more messages", again-n)
		}
		login("a wrong code", with("00"), parse.ScriptFailed, "Invalid MFA token 1")
		do(scenario.Step{Name: "a provider whose name comes after mfa", Method: "PUT", Path: "/users/{{ann.id}}", As: "ann", Body: `{"authData":{"other":{"id":"1","key":"good"}}}`})
		do(scenario.Step{Name: "nobody tries codes without the first factor", Method: "POST", Path: "/users", Body: `{"authData":{"mfa":{"token":"00"},"other":{"id":"1","key":"bad"}}}`, Code: parse.ObjectNotFound, Error: acmeInvalid})
		// once, even at once.
		onlyOne(t, "the code", func() (int, string) {
			return send(t, s.Handler, "POST", "/login", `{"username":"ann","password":"pass-ann"`+with(code)+`}`)
		}, regexp.MustCompile(`^\{"code":141,"error":"(Invalid auth data|Invalid MFA token 1)"\}$`))
		login("an expired code, as Parse Server stores it", "", parse.OtherCause, "")
		do(scenario.Step{Name: "expire", Method: "PUT", Path: "/users/{{ann.id}}", As: "master", Body: `{"authData":{"mfa":{"mobile":"+15555550100","token":"77","expiry":"2020-01-01T00:00:00.000Z"}}}`})
		login("expired", with("77"), parse.ScriptFailed, "Invalid MFA token 2")
		do(scenario.Step{Name: "a date", Method: "PUT", Path: "/users/{{ann.id}}", As: "master", Body: `{"authData":{"mfa":{"mobile":"+15555550100","token":"78","expiry":{"__type":"Date","iso":"2999-01-01T00:00:00.000Z"}}}}`})
		login("good for long", with("78"), 0, "")
	})
}

func TestMFAOptions(t *testing.T) {
	for options, text := range map[string]string{
		`{}`:                                      "mfa.options must be an array",
		`{"options":"TOTP"}`:                      "mfa.options must be an array",
		`{"options":["x"]}`:                       "mfa.options must include SMS or TOTP",
		`{"options":["TOTP"],"digits":"6"}`:       "mfa.digits must be a number",
		`{"options":["TOTP"],"period":"6"}`:       "mfa.period must be a number",
		`{"options":["TOTP"],"digits":3}`:         "mfa.digits must be between 4 and 10",
		`{"options":["TOTP"],"digits":11}`:        "mfa.digits must be between 4 and 10",
		`{"options":["TOTP"],"period":5}`:         "mfa.period must be greater than 10",
		`{"options":["TOTP"],"algorithm":"MD5"}`:  "mfa.algorithm must be SHA1, SHA224, SHA256, SHA384 or SHA512",
		`{"options":["SMS"]}`:                     "mfa.sendSMS callback must be defined when using SMS OTPs",
		`{"options":["TOTP"],"sendSms":"nosuch"}`: `unknown field "sendSms"`,
	} {
		if err := startError(t, withAuth(`{"mfa":`+options+`}`)); err == nil || err.Error() != "auth.mfa: "+text {
			t.Errorf("%s: %v", options, err)
		}
	}
	for options, text := range map[string]string{
		`[]`:                  "The option auth must be an object that maps names of providers to their options.",
		`{"a b":{}}`:          `The option auth has the invalid provider name "a b": a name is a letter, then letters, digits and underscores.`,
		`{"google":true}`:     "The option auth.google must be an object of options.",
		`{"anonymous":{}}`:    "auth.anonymous: is switched by the option enableAnonymousUsers",
		`{"constructor":{}}`:  "*",
		`{"github":{"id":1}}`: "*",
	} {
		if err := startError(t, withAuth(options)); err == nil || text != "*" && err.Error() != text {
			t.Errorf("%s: %v", options, err)
		}
	}
	if err := startError(t, withAuth(`{"github":{"enabled":false,"nosuch":1}}`)); err != nil {
		t.Errorf("a provider that is not enabled: %v", err)
	}
}

// startError starts a server and returns why it does not start.
func startError(t *testing.T, change func(*config.Config)) error {
	t.Helper()
	cfg := config.Default()
	cfg.AppID, cfg.MasterKey = scenario.AppID, scenario.MasterKey
	cfg.Host, cfg.Port, cfg.DatabaseURI, cfg.DataDir = "127.0.0.1", 0, "sqlite::memory:", t.TempDir()
	change(&cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := server.New(t.Context(), cfg, server.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	return nil
}
