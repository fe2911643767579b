package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// live is a live-query client of a test.
type live struct {
	t     *testing.T
	ws    *websocket.Conn
	token string
}

// frame is what a test looks at in a message of the server.
type frame struct {
	Op        string
	RequestID int
	Code      parse.Code
	Error     string
	Object    map[string]any
	Original  map[string]any
}

// connect opens a connection that has no user.
func connect(t *testing.T, s *scenario.Server) *live {
	t.Helper()
	return connectWith(t, s, "")
}

// connectWith connects with more members in the message, each after a comma.
func connectWith(t *testing.T, s *scenario.Server, members string) *live {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	l := &live{t: t, ws: ws}
	l.send(`{"op":"connect","applicationId":"` + scenario.AppID + `"` + members + `}`)
	if f := l.next(); f.Op != "connected" {
		t.Fatalf("connect: %+v", f)
	}
	return l
}

// dial connects and subscribes to a class as the user of a session.
func dial(t *testing.T, s *scenario.Server, class, token string) *live {
	t.Helper()
	l := connect(t, s)
	l.token = token
	l.send(`{"op":"subscribe","requestId":1,"query":{"className":"` + class + `","where":{}},"sessionToken":"` + token + `"}`)
	if f := l.next(); f.Op != "subscribed" {
		t.Fatalf("subscribe: %+v", f)
	}
	return l
}

func (l *live) send(s string) {
	l.t.Helper()
	if err := l.ws.Write(l.t.Context(), websocket.MessageText, []byte(s)); err != nil {
		l.t.Fatal(err)
	}
}

// raw returns the next message as it stands.
func (l *live) raw() string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	_, data, err := l.ws.Read(ctx)
	if err != nil {
		l.t.Fatalf("no event: %v", err)
	}
	return string(data)
}

func (l *live) next() frame {
	l.t.Helper()
	text := l.raw()
	var f frame
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		l.t.Fatalf("%s: %v", text, err)
	}
	return f
}

// want fails the test unless the next event is op about an object with that amount.
func (l *live) want(op string, amount float64) {
	l.t.Helper()
	if f := l.next(); f.Op != op || f.Object["amount"] != amount {
		l.t.Errorf("want %s of %v, got %+v", op, amount, f)
	}
}

// TestLiveQueriesOfTheGateway: two users watch the same class; each hears of
// his own objects, whatever way they are written, and of nothing else.
func TestLiveQueriesOfTheGateway(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), func(c *config.Config) { gateway(c); c.StartLiveQueryServer = true }, nil)
		do := func(st scenario.Step) { t.Helper(); s.Do(t, &st) }
		do(signUp("alice"))
		do(signUp("bob"))
		do(signUp("carol"))
		alice := dial(t, s, "TransactionHistory", s.Var("alice.token"))
		bob := dial(t, s, "TransactionHistory", s.Var("bob.token"))
		carol := dial(t, s, "TransactionHistory", s.Var("carol.token"))

		transaction := func(as, amount string) scenario.Step {
			return scenario.Step{
				Name: "make", Method: "POST", Path: "/classes/TransactionHistory", As: as,
				Body: `{"amount":` + amount + `,"status":"pending","timestamp":` + now + `}`, Status: 201, Save: map[string]string{"objectId": "t"},
			}
		}
		do(transaction("alice", "1"))
		alice.want("create", 1)
		do(scenario.Step{Name: "cancel", Method: "PUT", Path: "/classes/TransactionHistory/{{t}}", As: "alice", Body: `{"status":"cancelled"}`})
		alice.want("update", 1)
		do(scenario.Step{Name: "delete", Method: "DELETE", Path: "/classes/TransactionHistory/{{t}}", As: "alice"})
		alice.want("delete", 1)
		do(scenario.Step{Name: "by batch", Method: "POST", Path: "/batch", As: "alice", Body: `{"requests":[{"method":"POST","path":"/parse/classes/TransactionHistory","body":{"amount":2,"status":"pending","timestamp":` + now + `}}]}`})
		alice.want("create", 2)
		do(scenario.Step{Name: "card", Method: "POST", Path: "/classes/PaymentMethod", As: "alice", Body: `{"type":"card","details":"tok_approve"}`, Status: 201, Save: map[string]string{"objectId": "card"}})
		do(scenario.Step{Name: "by a function", Method: "POST", Path: "/functions/processPayment", As: "alice", Body: `{"amount":3,"paymentMethod":"{{card}}","idempotencyKey":"k"}`})
		alice.want("create", 3)

		// Bob's first event is his own: nothing of alice's came before it.
		do(transaction("bob", "4"))
		bob.want("create", 4)

		// Carol becomes an admin, who sees all, and then is none any more.
		do(scenario.Step{
			Name: "role", Method: "POST", Path: "/roles", As: "master", Status: 201, Save: map[string]string{"objectId": "role"},
			Body: `{"name":"admin","ACL":{},"users":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{carol.id}}"}]}}`,
		})
		do(transaction("bob", "5"))
		carol.want("create", 5)
		do(scenario.Step{
			Name: "no role", Method: "PUT", Path: "/roles/{{role}}", As: "master",
			Body: `{"users":{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{carol.id}}"}]}}`,
		})
		do(transaction("bob", "6"))
		do(transaction("carol", "7"))
		carol.want("create", 7)
	})
}

// TestLiveClasses: entries of liveQuery.classNames are patterns of whole names,
// and the master key can see what is at work.
func TestLiveClasses(t *testing.T) {
	s := scenario.Start(t, "sqlite::memory:", func(c *config.Config) {
		open(c)
		c.StartLiveQueryServer = true
		c.LiveQuery.ClassNames = []string{"Note", "Log.*"}
	}, nil)
	clients := map[string]*live{}
	for _, class := range []string{"Note", "Notes", "LogEntry"} {
		clients[class] = dial(t, s, class, "")
		s.Do(t, &scenario.Step{Method: "POST", Path: "/classes/" + class, Body: `{"n":1}`, Status: 201})
	}
	for _, class := range []string{"Note", "LogEntry"} {
		if f := clients[class].next(); f.Op != "create" || f.Object["className"] != class {
			t.Errorf("%s: %+v", class, f)
		}
	}
	s.Do(t, &scenario.Step{Path: "/livequery/stats", Status: 403})
	s.Do(t, &scenario.Step{Path: "/livequery/stats", As: "master", JSON: `{"clients":3,"subscriptions":3,"distinctQueries":3,"events":2,"queuedBytes":"*","dropped":0,"replayed":0,"resyncs":0,"...":0}`})
}

// TestChangesInOrder: however many write to one object, its events come in the
// order in which the database took the writes.
func TestChangesInOrder(t *testing.T) {
	const writers, writes = 8, 25
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), func(c *config.Config) {
			open(c)
			c.StartLiveQueryServer = true
			c.LiveQuery.ClassNames = []string{"Counter"}
		}, nil)
		s.Do(t, &scenario.Step{Method: "POST", Path: "/classes/Counter", Body: `{"n":0}`, Status: 201, Save: map[string]string{"objectId": "id"}})
		client := dial(t, s, "Counter", "")
		path := "/parse/classes/Counter/" + s.Var("id")
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range writes {
					r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, path, strings.NewReader(`{"n":{"__op":"Increment","amount":1}}`))
					r.Header.Set("X-Parse-Application-Id", scenario.AppID)
					w := httptest.NewRecorder()
					if s.Handler.ServeHTTP(w, r); w.Code != http.StatusOK {
						t.Errorf("%d %s", w.Code, w.Body)
					}
				}
			})
		}
		for want := 1; want <= writers*writes; want++ {
			if f := client.next(); f.Op != "update" || f.Object["n"] != float64(want) {
				t.Fatalf("event %d: %+v", want, f)
			}
		}
		wg.Wait()
	})
}
