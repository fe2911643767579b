package livequery_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(benchClientsEnv); spec != "" {
		if err := benchClients(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// The clock of regexp2 ends by itself a second after its last use.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock"))
}

const patience = 10 * time.Second

// users is an Authenticator over a table of tokens.
type users struct {
	mu     sync.Mutex
	tokens map[string]*access.Principal
	err    error
	asked  atomic.Int64
}

func (u *users) Principal(_ context.Context, token, installation, ip string) (*access.Principal, error) {
	u.asked.Add(1)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return nil, u.err
	}
	p := u.tokens[token]
	if p == nil {
		return nil, parse.Errorf(parse.InvalidSessionToken, "Invalid session token")
	}
	return p, nil
}

// set gives a token to a user with roles; an empty user takes it away.
func (u *users) set(token, user string, roles ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if user == "" {
		delete(u.tokens, token)
		return
	}
	slices.Sort(roles)
	u.tokens[token] = access.New(access.Principal{UserID: user, SessionToken: token, Roles: roles})
}

func (u *users) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
}

// classes is a schema.Source that can be changed.
type classes struct {
	snap atomic.Pointer[schema.Snapshot]
}

func (c *classes) Current() *schema.Snapshot { return c.snap.Load() }

func (c *classes) set(list ...*schema.Class) { c.snap.Store(schema.NewSnapshot(1, list...)) }

// rig is a hub behind a real HTTP server.
type rig struct {
	hub    *livequery.Hub
	users  *users
	schema *classes
	url    string
	fences float64
}

func newRig(tb testing.TB, o livequery.Options) *rig {
	tb.Helper()
	r := &rig{users: &users{tokens: map[string]*access.Principal{}}, schema: &classes{}}
	r.users.set("r:ann", "ann")
	r.users.set("r:bob", "bob", "Staff")
	r.schema.set()
	o.Auth, o.Schema = r.users, r.schema
	r.hub = livequery.NewHub(o)
	srv := httptest.NewServer(r.hub.Handler())
	r.url = "ws" + strings.TrimPrefix(srv.URL, "http") + "/any/path?x=1"
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
		defer cancel()
		if err := r.hub.Close(ctx); err != nil {
			tb.Errorf("close: %v", err)
		}
		srv.Close()
	})
	return r
}

func (r *rig) publish(tb testing.TB, changes ...parse.Change) {
	r.hub.Publish(tb.Context(), changes)
}

// socket is a client of the tests.
type socket struct {
	tb testing.TB
	ws *websocket.Conn
	id string
}

func (r *rig) dial(tb testing.TB) *socket {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, r.url, nil)
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ws.SetReadLimit(-1)
	tb.Cleanup(func() { _ = ws.CloseNow() })
	return &socket{tb: tb, ws: ws}
}

// stream reads on, so that pings are answered, and gives what arrives until the
// connection ends.
func (s *socket) stream() <-chan string {
	frames := make(chan string, 1000)
	ctx := context.WithoutCancel(s.tb.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(frames)
		for {
			_, b, err := s.ws.Read(ctx)
			if err != nil {
				return
			}
			frames <- string(b)
		}
	}()
	s.tb.Cleanup(func() {
		_ = s.ws.CloseNow()
		<-ended
	})
	return frames
}

// pings opens a connection that does nothing but answer pings, and counts them.
func (r *rig) pings(tb testing.TB) func() int64 {
	tb.Helper()
	var n atomic.Int64
	ws, resp, err := websocket.Dial(tb.Context(), r.url, &websocket.DialOptions{
		OnPingReceived: func(context.Context, []byte) bool { n.Add(1); return true },
	})
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	(&socket{tb: tb, ws: ws}).stream()
	return n.Load
}

// connect dials and connects, with further members of the message as JSON.
func (r *rig) connect(tb testing.TB, members string) *socket {
	tb.Helper()
	s := r.dial(tb)
	s.send(`{"op":"connect","applicationId":"app"` + members + `}`)
	if f := s.next(); !strings.HasPrefix(f, `{"op":"connected"`) {
		tb.Fatalf("connect: %s", f)
	}
	return s
}

// subscribe subscribes and waits for the confirmation.
func (s *socket) subscribe(id int, query, members string) {
	s.tb.Helper()
	s.send(fmt.Sprintf(`{"op":"subscribe","requestId":%d,"query":%s%s}`, id, query, members))
	if f := s.next(); !strings.HasPrefix(f, `{"op":"subscribed"`) {
		s.tb.Fatalf("subscribe: %s", f)
	}
}

func (s *socket) send(msg string) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), patience)
	defer cancel()
	if err := s.ws.Write(ctx, websocket.MessageText, []byte(msg)); err != nil {
		s.tb.Fatalf("write: %v", err)
	}
}

var clientID = regexp.MustCompile(`"clientId":"([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"`)

// next returns the next frame, the client's own id in it replaced by ID.
func (s *socket) next() string {
	s.tb.Helper()
	f, err := s.read()
	if err != nil {
		s.tb.Fatalf("read: %v", err)
	}
	return f
}

func (s *socket) read() (string, error) {
	ctx, cancel := context.WithTimeout(s.tb.Context(), patience)
	defer cancel()
	_, b, err := s.ws.Read(ctx)
	f := string(b)
	if m := clientID.FindStringSubmatch(f); m != nil && strings.HasPrefix(f, `{"op":"connected"`) {
		s.id = m[1]
	}
	if s.id != "" {
		f = strings.ReplaceAll(f, s.id, "ID")
	}
	return f, err
}

// closeCode reads until the connection ends and returns the code.
func (s *socket) closeCode() websocket.StatusCode {
	s.tb.Helper()
	for {
		if _, err := s.read(); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

const (
	fence   = 99
	fenceID = "zzFence"
)

// frames returns all that arrives up to a fence: an object that the socket
// subscribed to by fenceOn, published after what the test looks at. Fences of
// other sockets are passed over.
func (s *socket) frames(r *rig, class string) []string {
	s.tb.Helper()
	r.fences++
	o := &parse.Object{ClassName: class, ID: fenceID}
	o.Set("fence", r.fences)
	r.publish(s.tb, parse.Change{Class: class, Action: parse.Created, After: o})
	mine := fmt.Sprintf(`"requestId":%d,"object":{"className":%q,"objectId":%q,"fence":%d}`, fence, class, fenceID, int(r.fences))
	out := []string{}
	for {
		f := s.next()
		if strings.Contains(f, mine) {
			return out
		}
		if !strings.Contains(f, fenceID) {
			out = append(out, f)
		}
	}
}

func (s *socket) fenceOn(class string) {
	s.tb.Helper()
	s.subscribe(fence, fmt.Sprintf(`{"className":%q,"where":{"objectId":%q}}`, class, fenceID), "")
}

// waitFor polls until ok holds.
func waitFor(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

// obj makes an object of class Item from pairs of names and values.
func obj(id string, acl *parse.ACL, pairs ...any) *parse.Object {
	o := &parse.Object{ClassName: "Item", ID: id, CreatedAt: 1e12, UpdatedAt: 1e12, ACL: acl}
	for i := 0; i < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

func created(o *parse.Object) parse.Change {
	return parse.Change{Class: o.ClassName, Action: parse.Created, After: o}
}

func updated(b, a *parse.Object) parse.Change {
	return parse.Change{Class: a.ClassName, Action: parse.Updated, Before: b, After: a}
}

func deleted(o *parse.Object) parse.Change {
	return parse.Change{Class: o.ClassName, Action: parse.Deleted, Before: o}
}

func readable(subjects ...string) *parse.ACL {
	a := parse.NewACL()
	for _, s := range subjects {
		a.Set(s, true, false)
	}
	return a
}
