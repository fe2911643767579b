package livequery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

func TestOrder(t *testing.T) {
	r := newRig(t, livequery.Options{})
	s := r.connect(t, "")
	s.subscribe(1, `{"className":"Item","where":{"k":"v"},"keys":["n"],"watch":["n"]}`, "")
	s.fenceOn("Item")
	const n = 2000
	for i := range n {
		r.publish(t, updated(obj("x", nil, "k", "v", "n", float64(i)), obj("x", nil, "k", "v", "n", float64(i+1))))
	}
	got := s.frames(r, "Item")
	if len(got) != n {
		t.Fatalf("%d frames, want %d", len(got), n)
	}
	for i, f := range got {
		if !strings.Contains(f, fmt.Sprintf(`"object":{"className":"Item","objectId":"x","n":%d,`, i+1)) {
			t.Fatalf("frame %d: %s", i, f)
		}
	}
	if st := r.hub.Stats(); st.Events != n+1 || st.Dropped != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestStats(t *testing.T) {
	r := newRig(t, livequery.Options{})
	var list []*socket
	for i := range 3 {
		s := r.connect(t, "")
		s.subscribe(1, `{"className":"Item","where":{"a":1,"b":2}}`, "")
		s.subscribe(2, `{"className":"Item","where":{"b":2,"a":1},"keys":["a"]}`, "")
		s.subscribe(3, fmt.Sprintf(`{"className":"Item","where":{"a":%d}}`, 10+i), "")
		s.subscribe(3, `{"className":"Item","where":{"a":{"$gt":3}}}`, "")
		list = append(list, s)
	}
	want := livequery.Stats{Clients: 3, Subscriptions: 9, DistinctQueries: 2}
	var got livequery.Stats
	waitFor(t, "all is written", func() bool {
		got = r.hub.Stats()
		return got.QueuedBytes == 0 && got.WaitingBytes == 0
	})
	if got.HeldBytes == 0 {
		t.Error("no bytes of subscriptions")
	}
	got.HeldBytes = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	for _, s := range list {
		_ = s.ws.CloseNow()
	}
	waitFor(t, "clients are forgotten", func() bool { return r.hub.Stats() == livequery.Stats{} })
}

func TestSlowConsumer(t *testing.T) {
	r := newRig(t, livequery.Options{QueueBytes: 64 << 10})
	slow, quick := r.connect(t, ""), r.connect(t, "")
	slow.subscribe(1, `{"className":"Item","where":{}}`, "")
	quick.subscribe(1, `{"className":"Quick","where":{}}`, "")
	big := obj("x", nil, "text", strings.Repeat("x", 32<<10))
	waitFor(t, "the slow client is closed", func() bool {
		r.publish(t, created(big))
		return r.hub.Stats().Dropped > 0
	})
	if code := slow.closeCode(); code != livequery.CloseSlow {
		t.Errorf("closed with %d", code)
	}
	r.publish(t, parse.Change{Class: "Quick", Action: parse.Created, After: &parse.Object{ClassName: "Quick", ID: "q"}})
	if f := quick.next(); !strings.Contains(f, `"create"`) {
		t.Errorf("another client: %s", f)
	}
}

// TestLargeObject: an object beyond the bound of the queue is still delivered.
func TestLargeObject(t *testing.T) {
	r := newRig(t, livequery.Options{QueueBytes: 1 << 10})
	s := r.connect(t, "")
	s.subscribe(1, `{"className":"Item","where":{}}`, "")
	r.publish(t, created(obj("x", nil, "text", strings.Repeat("x", 200<<10))))
	if f := s.next(); len(f) < 200<<10 {
		t.Errorf("frame of %d bytes", len(f))
	}
}

// gate is an Authenticator that can be made to wait.
type gate struct {
	*users
	shut chan struct{}
	on   atomic.Bool
}

func (g *gate) Principal(ctx context.Context, token, installation, ip string) (*access.Principal, error) {
	if g.on.Load() {
		<-g.shut
	}
	return g.users.Principal(ctx, token, installation, ip)
}

func TestOverflow(t *testing.T) {
	g := &gate{users: &users{tokens: map[string]*access.Principal{}}, shut: make(chan struct{})}
	g.set("r:ann", "ann")
	hub := livequery.NewHub(livequery.Options{Auth: g, MaxPending: 2})
	srv := httptest.NewServer(hub.Handler())
	defer srv.Close()
	r := &rig{hub: hub, url: "ws" + strings.TrimPrefix(srv.URL, "http")}
	s, other := r.connect(t, `,"sessionToken":"r:ann"`), r.connect(t, "")
	s.subscribe(1, `{"className":"Item","where":{}}`, "")
	other.subscribe(1, `{"className":"Other","where":{}}`, "")

	g.on.Store(true)
	hub.Revoke([]string{"ann"}, false)
	waitFor(t, "changes overflow", func() bool {
		hub.Publish(t.Context(), []parse.Change{created(obj("x", nil))})
		return hub.Stats().Dropped > 0
	})
	g.on.Store(false)
	close(g.shut)
	if code := s.closeCode(); code != livequery.CloseResync {
		t.Errorf("closed with %d", code)
	}
	hub.Publish(t.Context(), []parse.Change{{Class: "Other", Action: parse.Created, After: &parse.Object{ClassName: "Other", ID: "o"}}})
	if f := other.next(); !strings.Contains(f, `"create"`) {
		t.Errorf("a client of another class: %s", f)
	}
	_ = other.ws.CloseNow()
	if err := hub.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whoever subscribes to a class of which changes may have been missed starts anew.
func TestLost(t *testing.T) {
	r := newRig(t, livequery.Options{})
	for _, tc := range []struct {
		classes []string
		cut     []string
	}{
		{[]string{"Nobody"}, nil},
		{[]string{"Item"}, []string{"Item"}},
		{nil, []string{"Item", "Other"}},
	} {
		clients := map[string]*socket{}
		for _, class := range []string{"Item", "Other"} {
			clients[class] = r.connect(t, "")
			clients[class].subscribe(1, `{"className":"`+class+`","where":{}}`, "")
		}
		r.hub.Lost(t.Context(), tc.classes...)
		for class, s := range clients {
			if slices.Contains(tc.cut, class) {
				if code := s.closeCode(); code != livequery.CloseResync {
					t.Errorf("%v lost: %s closed with %d", tc.classes, class, code)
				}
				continue
			}
			r.hub.Publish(t.Context(), []parse.Change{{Class: class, Action: parse.Created, After: &parse.Object{ClassName: class, ID: "o"}}})
			if f := s.next(); !strings.Contains(f, `"create"`) {
				t.Errorf("%v lost: a client of %s got %s", tc.classes, class, f)
			}
		}
	}
	if s := r.hub.Stats(); s.Changes == 0 || s.MatchNanos <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestRevoke(t *testing.T) {
	members := &schema.CLP{Ops: map[schema.Operation]*schema.Permission{
		schema.Find: {RequiresAuthentication: true}, schema.Get: {RequiresAuthentication: true},
	}}
	denied := `{"op":"error","error":"Permission denied","code":101,"reconnect":false,"requestId":1}`
	mine := frameOf("create", `{"className":"Item","objectId":"x",`+times+`}`, "")
	tests := []struct {
		name  string
		token string
		acl   *parse.ACL
		clp   *schema.CLP
		act   func(r *rig)
		want  []string // of a change before and one after act
	}{
		{"nothing", "r:ann", readable("ann"), nil, func(r *rig) { r.hub.Revoke(nil, true) }, []string{mine, mine}},
		{"logout", "r:ann", readable("ann"), nil, func(r *rig) {
			r.users.set("r:ann", "")
			r.hub.Revoke([]string{"ann"}, false)
		}, []string{mine}},
		{"another's logout", "r:ann", readable("ann"), nil, func(r *rig) {
			r.users.set("r:ann", "")
			r.hub.Revoke([]string{"bob"}, false)
		}, []string{mine, mine}},
		{"role lost", "r:bob", readable("role:Staff"), nil, func(r *rig) {
			r.users.set("r:bob", "bob")
			r.hub.Revoke(nil, true)
		}, []string{mine}},
		{"role won", "r:ann", readable("role:Staff"), nil, func(r *rig) {
			r.users.set("r:ann", "ann", "Staff")
			r.hub.Revoke([]string{"ann"}, false)
		}, []string{mine}},
		{"class closed to strangers", "r:ann", nil, members, func(r *rig) {
			r.users.set("r:ann", "")
			r.hub.Revoke(nil, true)
		}, []string{mine, denied}},
		{"class definition", "r:ann", nil, nil, func(r *rig) {
			r.schema.set(&schema.Class{Name: "Item", CLP: &schema.CLP{}})
		}, []string{mine, `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}`}},
		{"failure counts as a stranger", "r:ann", readable("ann"), nil, func(r *rig) {
			r.users.fail(errors.New("no database"))
			r.hub.Revoke(nil, true)
		}, []string{mine}},
	}
	for _, connection := range []bool{true, false} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s/connection=%t", tt.name, connection), func(t *testing.T) {
				r := newRig(t, livequery.Options{MasterKey: "mk"})
				r.schema.set(&schema.Class{Name: "Item", CLP: tt.clp})
				token := `,"sessionToken":"` + tt.token + `"`
				onConnect, onSubscribe := token, ""
				if !connection {
					onConnect, onSubscribe = "", token
				}
				s := r.connect(t, onConnect)
				s.subscribe(1, `{"className":"Item","where":{},"keys":["none"]}`, onSubscribe)
				watcher := r.connect(t, `,"masterKey":"mk"`)
				watcher.subscribe(1, `{"className":"Item","where":{}}`, "")
				publish := func() {
					o := obj("x", tt.acl)
					r.publish(t, created(o))
					watcher.next()
				}
				publish()
				tt.act(r)
				publish()
				// Once the watcher has the next change, which only he may read,
				// the one before has been handed to everybody.
				r.publish(t, created(obj("end", parse.NewACL())))
				watcher.next()
				s.send(`{"op":"unsubscribe","requestId":5}`)
				var got []string
				for f := s.next(); !strings.Contains(f, "Cannot find subscription"); f = s.next() {
					if i := strings.Index(f, `,"ACL"`); i >= 0 {
						f = f[:i] + "}}"
					}
					got = append(got, f)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("frames (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestRightsComeBack: a refused subscription lives on silently.
func TestRightsComeBack(t *testing.T) {
	r := newRig(t, livequery.Options{DetailedErrors: true, PingInterval: time.Second})
	open := &schema.Class{Name: "Item"}
	r.schema.set(open)
	s := r.connect(t, `,"sessionToken":"r:ann"`)
	s.subscribe(1, `{"className":"Item","where":{}}`, "")
	r.schema.set(&schema.Class{Name: "Item", CLP: &schema.CLP{}})
	for range 2 {
		r.publish(t, created(obj("x", nil)))
	}
	if f := s.next(); !strings.Contains(f, `"error":"Permission denied for action find on class Item."`) {
		t.Error(f)
	}
	r.schema.set(open)
	r.publish(t, created(obj("y", nil)))
	if f := s.next(); !strings.Contains(f, `"objectId":"y"`) {
		t.Error(f)
	}
	// A failure of the Authenticator passes, too.
	r.users.fail(errors.New("no database"))
	r.hub.Revoke(nil, true)
	r.publish(t, created(obj("z", readable("ann"))))
	r.users.fail(nil)
	waitFor(t, "the session is resolved again", func() bool {
		r.publish(t, created(obj("w", readable("ann"))))
		return r.hub.Stats().Events > 2
	})
	if f := s.next(); !strings.Contains(f, `"objectId":"w"`) && !strings.Contains(f, `"objectId":"z"`) {
		t.Error(f)
	}
}

func TestPing(t *testing.T) {
	r := newRig(t, livequery.Options{PingInterval: 200 * time.Millisecond})
	var pings atomic.Int32
	live, resp, err := websocket.Dial(t.Context(), r.url, &websocket.DialOptions{
		OnPingReceived: func(context.Context, []byte) bool { pings.Add(1); return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ended := live.CloseRead(t.Context())
	r.dial(t) // never reads, so it never answers
	waitFor(t, "the silent client is dropped and the other is not", func() bool {
		return pings.Load() > 5 && r.hub.Stats().Clients == 1
	})
	if ended.Err() != nil {
		t.Error("the client that answers was dropped")
	}
	_ = live.CloseNow()
}

func TestClose(t *testing.T) {
	hub := livequery.NewHub(livequery.Options{})
	srv := httptest.NewServer(hub.Handler())
	defer srv.Close()
	r := &rig{hub: hub, url: "ws" + strings.TrimPrefix(srv.URL, "http")}
	reading := r.connect(t, "")
	reading.subscribe(1, `{"className":"Item","where":{}}`, "")
	code := make(chan websocket.StatusCode, 1)
	go func() { code <- reading.closeCode() }()
	if err := hub.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	if c := <-code; c != websocket.StatusGoingAway {
		t.Errorf("closed with %d", c)
	}
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status after close: %d", resp.StatusCode)
	}
	hub.Publish(t.Context(), []parse.Change{created(obj("x", nil))})
	hub.Revoke(nil, true)
	if err := hub.Close(t.Context()); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// TestCloseCut: a peer that does not answer the close frame is cut when the context ends.
func TestCloseCut(t *testing.T) {
	hub := livequery.NewHub(livequery.Options{})
	srv := httptest.NewServer(hub.Handler())
	defer srv.Close()
	r := &rig{hub: hub, url: "ws" + strings.TrimPrefix(srv.URL, "http")}
	r.connect(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := hub.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
}

func TestNoUpgrade(t *testing.T) {
	r := newRig(t, livequery.Options{})
	resp, err := http.Get("http" + strings.TrimPrefix(r.url, "ws"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// A session that merely expires, of which nobody is told, ends once its token
// is looked at again.
func TestSessionAge(t *testing.T) {
	r := newRig(t, livequery.Options{PingInterval: 100 * time.Millisecond, SessionAge: time.Millisecond})
	s := r.connect(t, `,"sessionToken":"r:ann"`)
	s.subscribe(1, `{"className":"Item","where":{}}`, "")
	frames := s.stream()
	asked := r.users.asked.Load()
	r.users.set("r:ann", "")
	waitFor(t, "the token is looked at again, twice", func() bool { return r.users.asked.Load() >= asked+3 })
	r.publish(t, created(obj("hers", readable("ann"))), created(obj("all", nil)))
	if f := <-frames; !strings.Contains(f, `"objectId":"all"`) {
		t.Error(f)
	}
}
