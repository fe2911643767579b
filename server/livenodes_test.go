package server_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// shareLive has two servers tell each other of the class Doc.
func shareLive(url string) func(*config.Config) {
	return func(c *config.Config) {
		c.CacheAdapter = nil // the Redis of live queries is enough
		c.StartLiveQueryServer = true
		c.AppID = scenario.AppID
		c.LiveQuery.ClassNames = []string{"Doc"}
		c.LiveQuery.RedisURL, c.LiveQueryServerOptions.RedisURL = url, url
		c.Schema = json.RawMessage(`{"definitions":[{"className":"Doc","fields":{"amount":{"type":"Number"},"inner":{"type":"String"}},"classLevelPermissions":{"get":{"*":true},"find":{"*":true},"protectedFields":{"*":["inner"]}}}]}`)
	}
}

// Events of one server reach the clients of the other under the rights of each
// client, and a right that one server takes away counts for what comes after it.
func TestLiveQueriesOfOtherServers(t *testing.T) {
	n := startNodes(t, shareLive("redis://"+miniredis.RunT(t).Addr()))
	a, b := n.a, n.b
	n.do(a, signUp("alice"))
	n.soon(b, "/users/me", a.Var("alice.token"), 200)
	n.do(a, scenario.Step{Method: "POST", Path: "/roles", As: "master", Body: `{"name":"staff","ACL":{},` + users("AddRelation", a.Var("alice.id"))[1:], Status: 201, Save: map[string]string{"objectId": "staff"}})
	own, far := dial(t, a, "Doc", a.Var("alice.token")), dial(t, b, "Doc", a.Var("alice.token"))
	stranger := dial(t, b, "Doc", "")
	n.do(a, scenario.Step{Method: "POST", Path: "/classes/Doc", As: "master", Body: `{"amount":1,"inner":"x","ACL":{"role:staff":{"read":true}}}`, Status: 201, Save: map[string]string{"objectId": "doc"}})
	own.want("create", 1)
	if f := far.next(); f.Op != "create" || f.Object["amount"] != 1.0 || f.Object["inner"] != nil {
		t.Errorf("got %+v", f)
	}
	for i := range 20 {
		amount := strconv.Itoa(2 + i)
		n.do(a, scenario.Step{Method: "PUT", Path: "/roles/{{staff}}", As: "master", Body: users("RemoveRelation", a.Var("alice.id"))})
		n.do(a, scenario.Step{Method: "PUT", Path: "/classes/Doc/{{doc}}", As: "master", Body: `{"amount":1000}`})
		// Rights are those of the moment of the decision: it is waited for.
		n.do(a, scenario.Step{Method: "POST", Path: "/classes/Doc", As: "master", Body: `{"amount":-1}`, Status: 201})
		for name, l := range map[string]*live{"own": own, "far": far, "stranger": stranger} {
			if f := l.next(); f.Object["amount"] != -1.0 {
				t.Fatalf("%s: an event by a right that was taken away: %+v", name, f)
			}
		}
		n.do(a, scenario.Step{Method: "PUT", Path: "/roles/{{staff}}", As: "master", Body: users("AddRelation", a.Var("alice.id"))})
		n.soon(b, "/classes/Doc/"+a.Var("doc"), a.Var("alice.token"), 200)
		n.do(a, scenario.Step{Method: "PUT", Path: "/classes/Doc/{{doc}}", As: "master", Body: `{"amount":` + amount + `}`})
		for name, l := range map[string]*live{"own": own, "far": far} {
			if f := l.next(); f.Object["amount"] != float64(2+i) {
				t.Fatalf("%s: no event by a right that was given: %+v", name, f)
			}
		}
	}
	n.do(a, scenario.Step{Method: "POST", Path: "/classes/Doc", As: "master", Body: `{"amount":5}`, Status: 201})
	stranger.want("create", 5) // and nothing before it
}

// Without Redis, the clients of a server hear of its own changes; when it comes
// back, they hear of those of others again.
func TestLiveQueriesWithoutTheirRedis(t *testing.T) {
	m := miniredis.RunT(t)
	n := startNodes(t, shareLive("redis://"+m.Addr()))
	create := func(s *scenario.Server, amount int) {
		t.Helper()
		n.do(s, scenario.Step{Method: "POST", Path: "/classes/Doc", As: "master", Body: `{"amount":` + strconv.Itoa(amount) + `}`, Status: 201})
	}
	own := dial(t, n.a, "Doc", "")
	create(n.a, 1)
	own.want("create", 1)
	m.Close()
	for i := 2; i < 5; i++ {
		create(n.a, i)
		own.want("create", float64(i))
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	// Who was cut off from the others is made to start anew.
	if _, _, err := own.ws.Read(t.Context()); err == nil {
		t.Fatal("a client is not told that it may have missed something")
	}
	own = dial(t, n.a, "Doc", "")
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		_, _, _ = own.ws.Read(t.Context())
	}()
	for i := 10; ; i++ {
		create(n.b, i)
		select {
		case <-arrived:
			return
		case <-time.After(50 * time.Millisecond):
		}
		if i > 200 {
			t.Fatal("changes of the other server do not come any more")
		}
	}
}
