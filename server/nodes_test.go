package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/pargo-baas/pargo/internal/cache/redis/redistest"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// nodes are two servers on one MongoDB and one Redis.
type nodes struct {
	t    *testing.T
	a, b *scenario.Server
}

func startNodes(t *testing.T, change func(*config.Config)) *nodes {
	t.Helper()
	for _, db := range scenario.Databases() {
		if db.Name != "mongodb" {
			continue
		}
		uri, redis := db.URI(t), redistest.URL(t)
		set := func(c *config.Config) {
			open(c)
			c.CacheAdapter = json.RawMessage(strconv.Quote(redis))
			c.CacheTTL = 3_600_000 // nothing is found out by age
			if change != nil {
				change(c)
			}
		}
		return &nodes{t, scenario.Start(t, uri, set, nil), scenario.Start(t, uri, set, nil)}
	}
	t.Fatal("no MongoDB among the databases")
	return nil
}

// get is a request to a server, with a session.
func (n *nodes) get(s *scenario.Server, path, token string) (status int, body string) {
	n.t.Helper()
	r := httptest.NewRequestWithContext(n.t.Context(), http.MethodGet, "/parse"+path, nil)
	r.RemoteAddr = "10.1.1.1:1"
	r.Header.Set("X-Parse-Application-Id", scenario.AppID)
	if token != "" {
		r.Header.Set("X-Parse-Session-Token", token)
	}
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// soon waits until a server answers with a status, at most a second after what
// came before, as promised to operators.
func (n *nodes) soon(s *scenario.Server, path, token string, want int) {
	n.t.Helper()
	began := time.Now()
	for {
		status, body := n.get(s, path, token)
		if status == want {
			return
		}
		if time.Since(began) > time.Second {
			n.t.Fatalf("%s: %d %s a second later, want %d", path, status, body, want)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (n *nodes) do(s *scenario.Server, st scenario.Step) {
	n.t.Helper()
	s.Do(n.t, &st)
}

func users(op, id string) string {
	return `{"users":{"__op":"` + op + `","objects":[{"__type":"Pointer","className":"_User","objectId":"` + id + `"}]}}`
}

// What is taken away on one server is refused by the other within a second.
func TestRevocationReachesOtherServers(t *testing.T) {
	n := startNodes(t, func(c *config.Config) {
		c.StartLiveQueryServer = true
		c.LiveQuery.ClassNames = []string{"Doc"}
		c.Schema = json.RawMessage(`{"definitions":[{"className":"Doc","fields":{"amount":{"type":"Number"}},"classLevelPermissions":{"get":{"*":true},"find":{"*":true}}}]}`)
	})
	a, b := n.a, n.b
	for _, name := range []string{"alice", "bob", "carol"} {
		n.do(a, signUp(name))
		n.soon(b, "/users/me", a.Var(name+".token"), 200)
	}
	n.do(a, scenario.Step{Method: "POST", Path: "/roles", As: "master", Body: `{"name":"staff","ACL":{}}`, Status: 201, Save: map[string]string{"objectId": "staff"}})
	n.do(a, scenario.Step{Method: "POST", Path: "/roles", As: "master", Body: `{"name":"reader","ACL":{},"roles":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_Role","objectId":"{{staff}}"}]}}`, Status: 201, Save: map[string]string{"objectId": "reader"}})
	n.do(a, scenario.Step{Method: "POST", Path: "/classes/Doc", As: "master", Body: `{"amount":1,"ACL":{"role:reader":{"read":true}}}`, Status: 201, Save: map[string]string{"objectId": "doc"}})
	doc, alice := "/classes/Doc/"+a.Var("doc"), a.Var("alice.token")

	n.soon(b, doc, alice, 404)
	n.do(a, scenario.Step{Method: "PUT", Path: "/roles/{{staff}}", As: "master", Body: users("AddRelation", a.Var("alice.id"))})
	n.soon(b, doc, alice, 200)
	feed := dial(t, b, "Doc", alice)
	write := func(amount string) {
		t.Helper()
		b.Do(t, &scenario.Step{Method: "PUT", Path: doc, As: "master", Body: `{"amount":` + amount + `}`})
	}
	write("2")
	feed.want("update", 2)

	n.do(a, scenario.Step{Method: "PUT", Path: "/roles/{{staff}}", As: "master", Body: users("RemoveRelation", a.Var("alice.id"))})
	n.soon(b, doc, alice, 404)
	write("3") // not for her any more
	n.do(a, scenario.Step{Method: "PUT", Path: "/roles/{{staff}}", As: "master", Body: users("AddRelation", a.Var("alice.id"))})
	n.soon(b, doc, alice, 200)
	write("4")
	if f := feed.next(); f.Object["amount"] != 4.0 {
		t.Errorf("an event by a right that was taken away: %+v", f)
	}
	n.do(a, scenario.Step{Name: "the role holds no more", Method: "PUT", Path: "/roles/{{reader}}", As: "master", Body: `{"roles":{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"_Role","objectId":"{{staff}}"}]}}`})
	n.soon(b, doc, alice, 404)

	n.do(a, scenario.Step{Name: "logout", Method: "POST", Path: "/logout", As: "alice"})
	n.soon(b, "/users/me", alice, 400)
	n.do(a, scenario.Step{Name: "a new password", Method: "PUT", Path: "/users/{{bob.id}}", As: "master", Body: `{"password":"new"}`})
	n.soon(b, "/users/me", a.Var("bob.token"), 400)
	n.do(a, scenario.Step{Name: "no user any more", Method: "DELETE", Path: "/users/{{carol.id}}", As: "master"})
	n.soon(b, "/users/me", a.Var("carol.token"), 400)
}

// Limits with redisUrl hold for all servers together.
func TestRateLimitIsShared(t *testing.T) {
	redis := redistest.URL(t)
	// The counters of a real server outlive the test: each run has its own limit.
	path := "/classes/A" + strconv.FormatInt(time.Now().UnixNano(), 36)
	n := startNodes(t, func(c *config.Config) {
		c.RateLimit = json.RawMessage(`{"requestPath":"` + path + `","requestTimeWindow":3600000,"requestCount":4,"redisUrl":` + strconv.Quote(redis) + `}`)
	})
	for i, s := range []*scenario.Server{n.a, n.b, n.a, n.b} {
		if status, body := n.get(s, path, ""); status != 200 {
			t.Fatalf("request %d: %d %s", i, status, body)
		}
	}
	for _, s := range []*scenario.Server{n.a, n.b} {
		if status, body := n.get(s, path, ""); status != 429 || !strings.Contains(body, "Too many requests.") {
			t.Errorf("over the limit: %d %s", status, body)
		}
	}
}

// Without its Redis, a server goes on: limits hold for it alone, and what was
// read is believed for a second.
func TestServerWithoutItsRedis(t *testing.T) {
	m := miniredis.RunT(t)
	url := "redis://" + m.Addr()
	m.Close()
	n := startNodes(t, func(c *config.Config) {
		c.CacheAdapter = json.RawMessage(strconv.Quote(url))
		c.RateLimit = json.RawMessage(`{"requestPath":"/classes/*any","requestTimeWindow":3600000,"requestCount":2,"redisUrl":` + strconv.Quote(url) + `}`)
	})
	for i, want := range []int{200, 200, 429} {
		if status, body := n.get(n.a, "/classes/A", ""); status != want {
			t.Errorf("request %d: %d %s, want %d", i, status, body, want)
		}
	}
	n.do(n.a, signUp("alice"))
	token := n.a.Var("alice.token")
	n.soon(n.b, "/users/me", token, 200)
	n.do(n.a, scenario.Step{Method: "POST", Path: "/logout", As: "alice"})
	deadline := time.Now().Add(10 * time.Second)
	for {
		if status, _ := n.get(n.b, "/users/me", token); status == 400 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an ended session is believed for ever")
		}
		<-time.After(20 * time.Millisecond)
	}
}
