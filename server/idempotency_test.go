package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

func once(options string) func(*config.Config) {
	return func(c *config.Config) {
		open(c)
		c.IdempotencyOptions = json.RawMessage(options)
	}
}

// withID is a step with a request id.
func withID(id string, st scenario.Step) scenario.Step {
	st.Header = map[string]string{"X-Parse-Request-Id": id}
	st.Name += " with id " + id[:min(len(id), 10)]
	return st
}

// counting registers a function that counts its calls, and one that fails.
func counting(app *cloudcode.App) {
	var n atomic.Int64
	app.Function("next", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) {
		return float64(n.Add(1)), nil
	})
	app.Function("fail", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) {
		return nil, parse.Errorf(parse.ValidationError, "failed %d times", n.Add(1))
	})
}

func TestIdempotency(t *testing.T) {
	post := func(path, body string) scenario.Step {
		return scenario.Step{Name: path + body, Method: "POST", Path: path, Body: body}
	}
	count := func(path, want string) scenario.Step {
		return scenario.Step{Name: "count " + path, Path: path, As: "master", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":` + want + `}`}
	}
	dup := func(st scenario.Step) scenario.Step {
		st.Name += " again"
		st.Status, st.Code, st.Error, st.JSON = 400, parse.DuplicateRequest, "Duplicate request", `{"code":159,"error":"Duplicate request"}`
		return st
	}
	is := func(want string, st scenario.Step) scenario.Step {
		st.JSON = want
		return st
	}
	fails := func(text string, st scenario.Step) scenario.Step {
		st.Code, st.Error = parse.ValidationError, text
		return st
	}
	by := func(name string, st scenario.Step) scenario.Step {
		st.As = name
		return st
	}
	thing, next, fail := post("/classes/A", `{"n":1}`), post("/functions/next", `{}`), post("/functions/fail", `{}`)
	long := strings.Repeat("x", 5000)
	expire := func(row string) scenario.Step {
		return scenario.Step{Name: "time passes", Method: "PUT", Path: "/classes/_Idempotency/{{" + row + "}}", As: "master", Body: `{"expire":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}}`}
	}
	find := func(id, save string) scenario.Step {
		return scenario.Step{Name: "row of " + id, Path: "/classes/_Idempotency", As: "master", Query: map[string]string{"where": `{"reqId":"` + id + `"}`}, Save: map[string]string{"results.0.objectId": save}}
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "off", Config: once(`{"ttl":10}`), Steps: []scenario.Step{withID("a", thing), withID("a", thing)}},
		{Name: "duplicates", Config: once(`{"paths":["functions/.*","classes/A","users"]}`), Cloud: counting, Steps: []scenario.Step{
			withID("a", thing), dup(withID("a", thing)), thing, count("/classes/A", "2"),
			dup(withID("a", post("/classes/A", `{"other":1}`))), dup(withID("a", next)), dup(by("master", withID("a", thing))),
			withID("a", post("/classes/B", `{}`)), withID("a", post("/classes/B", `{}`)),
			is(`{"result":1}`, withID("b", next)), dup(withID("b", next)), is(`{"result":2}`, withID("c", next)),
			fails("failed 3 times", withID("d", fail)), dup(withID("d", fail)),
			withID(long, thing), dup(withID(long, thing)),
			withID("e", post("/users", `{"username":"u","password":"p"}`)), dup(withID("e", post("/users", `{"username":"v","password":"p"}`))),
			withID("a", scenario.Step{Name: "find", Path: "/classes/A"}),
			withID("a", scenario.Step{Name: "find by post", Method: "POST", Path: "/classes/A", Body: `{"_method":"GET"}`, JSON: `{"results":"*"}`}),
			withID("a", post("/roles", `{"name":"r","ACL":{}}`)),
			{Name: "not for clients", Path: "/classes/_Idempotency", Code: parse.OperationForbidden},
			withID("f", thing), find("f", "row"), expire("row"), withID("f", thing), dup(withID("f", thing)),
		}},
		{Name: "sweep", Config: once(`{"paths":["classes/A"]}`), Steps: []scenario.Step{
			by("master", post("/classes/_Idempotency", `{"reqId":"old1","expire":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}}`)),
			by("master", post("/classes/_Idempotency", `{"reqId":"old2","expire":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}}`)),
			by("master", post("/classes/_Idempotency", `{"reqId":"new","expire":{"__type":"Date","iso":"2120-01-01T00:00:00.000Z"}}`)),
			withID("a", thing), count("/classes/_Idempotency", "2"), dup(withID("new", thing)),
		}},
		{Name: "replays", Config: once(`{"paths":[".*"],"replay":true}`), Cloud: counting, Steps: []scenario.Step{
			signUp("alice"), signUp("bob"),
			{
				Name: "create", Method: "POST", Path: "/classes/A", As: "alice", Body: `{"n":1}`, Status: 201, Save: map[string]string{"objectId": "id", "createdAt": "at"},
				Header: map[string]string{"X-Parse-Request-Id": "a"},
			},
			{
				Name: "create again", Method: "POST", Path: "/classes/A", As: "alice", Body: `{"n":1}`, Status: 201, JSON: `{"objectId":"{{id}}","createdAt":"{{at}}"}`,
				Header: map[string]string{"X-Parse-Request-Id": "a"},
			},
			count("/classes/A", "1"),
			dup(by("bob", withID("a", thing))), dup(withID("a", thing)),
			dup(by("alice", withID("a", post("/classes/A", `{"n":2}`)))),
			dup(by("alice", withID("a", post("/classes/B", `{"n":1}`)))),
			is(`{"result":1}`, withID("b", next)), is(`{"result":1}`, withID("b", next)), is(`{"result":2}`, withID("c", next)),
			fails("failed 3 times", withID("d", fail)), fails("failed 3 times", withID("d", fail)),
			withID("u", scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"u","password":"p"}`, Status: 201, Save: map[string]string{"sessionToken": "u.token"}}),
			withID("u", scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"u","password":"p"}`, Status: 201, JSON: `{"sessionToken":"{{u.token}}","...":0}`}),
			dup(withID("u", scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"u","password":"guess"}`})),
			withID("p", scenario.Step{Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"n":{"__op":"Increment","amount":1}}`, JSON: `{"n":2,"updatedAt":"*"}`}),
			withID("p", scenario.Step{Method: "PUT", Path: "/classes/A/{{id}}", Body: `{"n":{"__op":"Increment","amount":1}}`, JSON: `{"n":2,"updatedAt":"*"}`}),
		}},
	})
}

// TestReplayAfterDisconnect: the client that has not waited for its answer
// gets it when it asks again, and only then.
func TestReplayAfterDisconnect(t *testing.T) {
	started, proceed := make(chan struct{}), make(chan struct{})
	s := scenario.Start(t, "sqlite::memory:", once(`{"paths":["functions/"],"replay":true}`), func(app *cloudcode.App) {
		app.Function("slow", func(ctx context.Context, _ *cloudcode.FunctionRequest) (parse.Value, error) {
			close(started)
			<-proceed
			return "done", ctx.Err()
		})
	})
	send := func(ctx context.Context) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/parse/functions/slow", strings.NewReader(`{}`))
		r.Header.Set("X-Parse-Application-Id", scenario.AppID)
		r.Header.Set("X-Parse-Request-Id", "id")
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		return w
	}
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		send(ctx)
	}()
	<-started
	leave()
	if w := send(t.Context()); !strings.Contains(w.Body.String(), "Duplicate request") {
		t.Errorf("while the first is served: %d %s", w.Code, w.Body)
	}
	close(proceed)
	<-ended
	w := send(t.Context())
	if w.Code != http.StatusOK || w.Body.String() != `{"result":"done"}` || w.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("the repeat: %d %s %v", w.Code, w.Body, w.Header())
	}
}

// TestOneOfMany: of requests that come at once with one id, one is served.
func TestOneOfMany(t *testing.T) {
	const senders = 16
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), once(`{"paths":["classes/"]}`), nil)
		codes := make(chan int, senders)
		for range senders {
			go func() {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/parse/classes/A", strings.NewReader(`{"n":1}`))
				r.Header.Set("X-Parse-Application-Id", scenario.AppID)
				r.Header.Set("X-Parse-Request-Id", "id")
				w := httptest.NewRecorder()
				s.Handler.ServeHTTP(w, r)
				codes <- w.Code
			}()
		}
		got := map[int]int{}
		for range senders {
			got[<-codes]++
		}
		if got[http.StatusCreated] != 1 || got[http.StatusBadRequest] != senders-1 {
			t.Errorf("answers: %v", got)
		}
	})
}
