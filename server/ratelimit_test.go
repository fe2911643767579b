package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// limiting is a configuration with one rule of an hour, to which rule adds.
func limiting(path string, count int, rule string) func(*config.Config) {
	return func(c *config.Config) {
		open(c)
		c.TrustProxy = "loopback"
		c.MasterKeyIPs = []string{"0.0.0.0/0"}
		c.RateLimit = json.RawMessage(`{"requestPath":` + strconv.Quote(path) + `,"requestTimeWindow":3600000,"requestCount":` + strconv.Itoa(count) + rule + `}`)
	}
}

// from is a step by a client at an address.
func from(ip string, st scenario.Step) scenario.Step {
	if st.Header == nil {
		st.Header = map[string]string{}
	}
	st.Header["X-Forwarded-For"] = ip
	return st
}

func TestRateLimit(t *testing.T) {
	const a, b = "10.0.0.1", "10.0.0.2"
	over := func(st scenario.Step) scenario.Step {
		st.Name += " over the limit"
		st.Status, st.Code, st.Error, st.JSON = http.StatusTooManyRequests, parse.ConnectionFailed, "Too many requests.", `{"code":100,"error":"Too many requests."}`
		return st
	}
	get := func(path, as string) scenario.Step {
		return scenario.Step{Name: path + " by " + as, Path: path, As: as}
	}
	post := func(path, body string) scenario.Step {
		return scenario.Step{Name: path, Method: "POST", Path: path, Body: body}
	}
	loginAs := func(name string) scenario.Step {
		return scenario.Step{Name: "login of " + name, Method: "POST", Path: "/login", Body: `{"username":"` + name + `","password":"pass-` + name + `"}`, Save: map[string]string{"sessionToken": name + "2.token"}}
	}
	item := `{"method":"GET","path":"/parse/classes/A"}`
	thing := get("/classes/A", "")
	scenario.Run(t, []scenario.Scenario{
		{Name: "by address", Config: limiting("/classes/:c", 2, ""), Steps: []scenario.Step{
			from(a, post("/classes/A", `{}`)), from(a, thing), from(a, over(thing)), from(b, thing), from(b, get("/classes/B", "")), from(b, over(thing)),
			from(a, over(get("/Classes/A/", ""))),
			from(a, over(post("/classes/A", `{"_method":"GET"}`))),
			from(a, get("/classes/A", "master")),
			{Name: "internal", Path: "/classes/A"},
			{Name: "internal again", Path: "/classes/A"},
			{Name: "and again", Path: "/classes/A"},
			from("2001:db8::1", thing), from("2001:db8::2", thing), from("2001:db8::3", over(thing)), from("2001:db8:0:1::1", thing),
		}},
		{Name: "everything", Config: limiting("/*all", 1, `,"zone":"global","includeMasterKey":true,"includeInternalRequests":true,"errorResponseMessage":"Later!"`), Steps: []scenario.Step{
			get("/classes/A", "master"),
			{Name: "any client", Path: "/classes/A", Status: 429, Code: parse.ConnectionFailed, Error: "Later!"},
			{Name: "master", Path: "/classes/A", As: "master", Status: 429, Code: parse.ConnectionFailed, Error: "Later!"},
			{Name: "but not the health", Path: "/health"},
		}},
		{Name: "by method", Config: limiting("/classes/*any", 1, `,"requestMethods":["POST","DELETE"]`), Steps: []scenario.Step{
			from(a, thing), from(a, thing), from(a, post("/classes/A", `{}`)), from(a, over(post("/classes/A", `{}`))), from(a, thing),
		}},
		{Name: "by a pattern of methods", Config: limiting("/classes/*any", 1, `,"requestMethods":"^P"`), Steps: []scenario.Step{
			from(a, post("/classes/A", `{}`)), from(a, over(post("/classes/A", `{}`))), from(a, thing), from(a, thing),
		}},
		{Name: "by user", Config: limiting("/classes/*any", 1, `,"zone":"user"`), Steps: []scenario.Step{
			signUp("alice"), signUp("bob"), from(a, loginAs("alice")),
			from(a, get("/classes/A", "alice")), from(b, over(get("/classes/A", "alice"))), from(b, over(get("/classes/A", "alice2"))),
			from(a, get("/classes/A", "bob")),
			from(a, thing), from(a, over(thing)), from(b, thing),
		}},
		{Name: "by session", Config: limiting("/classes/*any", 1, `,"zone":"session"`), Steps: []scenario.Step{
			signUp("alice"), from(a, loginAs("alice")),
			from(a, get("/classes/A", "alice")), from(b, over(get("/classes/A", "alice"))), from(b, get("/classes/A", "alice2")),
			from(a, thing), from(a, over(thing)),
		}},
		{Name: "login with a session", Config: limiting("/login", 1, `,"zone":"session"`), Steps: []scenario.Step{
			signUp("alice"), from(a, loginAs("alice")),
			from(a, over(scenario.Step{Method: "POST", Path: "/login", As: "alice", Body: `{}`})),
		}},
		{Name: "batch", Config: limiting("/classes/*any", 2, ""), Steps: []scenario.Step{
			from(a, post("/batch", `{"requests":[`+item+`,`+item+`]}`)),
			from(a, scenario.Step{Name: "again", Method: "POST", Path: "/batch", Body: `{"requests":[` + item + `]}`, Code: parse.ConnectionFailed, Error: "Too many requests."}),
			from(b, scenario.Step{
				Name: "nothing of it is done", Method: "POST", Path: "/batch", Code: parse.ConnectionFailed,
				Body: `{"requests":[{"method":"POST","path":"/parse/classes/A","body":{}},` + item + `,` + item + `]}`,
			}),
			{Name: "nothing was written", Path: "/classes/A", JSON: `{"results":[]}`},
			{Name: "the master key", Method: "POST", Path: "/batch", As: "master", Body: `{"requests":[` + item + `,` + item + `,` + item + `]}`},
		}},
		{Name: "batch as a post", Config: limiting("/classes/*any", 1, `,"requestMethods":"POST"`), Steps: []scenario.Step{
			from(a, post("/batch", `{"requests":[`+item+`]}`)),
			from(a, scenario.Step{Name: "again", Method: "POST", Path: "/batch", Body: `{"requests":[` + item + `]}`, Code: parse.ConnectionFailed}),
		}},
	})
}

// TestRateHeaders: clients can read how many requests they have left, and when
// there are more.
func TestRateHeaders(t *testing.T) {
	s := scenario.Start(t, "sqlite::memory:", func(c *config.Config) {
		limiting("/classes/*any", 2, `,"includeInternalRequests":true`)(c)
		c.RateLimit = json.RawMessage(`[` + string(c.RateLimit) + `,{"requestPath":"/*all","requestTimeWindow":1000,"requestCount":1000,"includeInternalRequests":true}]`)
	}, nil)
	began := time.Now().Unix()
	for i, want := range []struct {
		status    int
		remaining string
		retry     bool
	}{{200, "1", false}, {200, "0", false}, {429, "0", true}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/parse/classes/A", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Parse-Application-Id", scenario.AppID)
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		h := w.Header()
		if w.Code != want.status || h.Get("X-RateLimit-Limit") != "2" || h.Get("X-RateLimit-Remaining") != want.remaining {
			t.Errorf("request %d: %d, %v", i, w.Code, h)
		}
		reset, _ := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
		if reset < began+3600 || reset > time.Now().Unix()+3601 {
			t.Errorf("request %d: reset at %d", i, reset)
		}
		after, _ := strconv.Atoi(h.Get("Retry-After"))
		if want.retry != (after > 3500 && after <= 3600) {
			t.Errorf("request %d: retry after %d", i, after)
		}
	}
}
