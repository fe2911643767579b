package livequery_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
)

const (
	install   = `,"installationId":"phone"`
	itemQuery = `{"className":"Item","where":{"n":{"$gt":0}}}`
)

// lasting is a hub that keeps changes for clients that come back.
func lasting(tb testing.TB, changes int) *rig {
	return newRig(tb, livequery.Options{ResumeWindow: time.Minute, ResumeChanges: changes, AppID: "app"})
}

func item(n int) *parse.Object { return obj(fmt.Sprintf("item%06d", n), nil, "n", float64(n)) }

// objectIDs of event frames, with their op.
func told(frames []string) string {
	var out []string
	for _, f := range frames {
		var m struct {
			Op        string
			Object    struct{ ObjectID string }
			Code      int
			RequestID int
		}
		if err := json.Unmarshal([]byte(f), &m); err != nil {
			return err.Error()
		}
		if m.Op == "error" {
			if out = append(out, fmt.Sprintf("error %d", m.Code)); m.RequestID == fence {
				out[len(out)-1] += " of the fence"
			}
			continue
		}
		out = append(out, m.Op+" "+strings.TrimLeft(m.Object.ObjectID, "item0"))
	}
	return strings.Join(out, ", ")
}

func TestComeBack(t *testing.T) {
	deny := readable("ann")
	tests := []struct {
		name         string
		first, again string // members of connect
		query        string // of the second subscription; "": the same
		leave        func(s *socket)
		kept         int
		want         string
	}{
		{"after a broken connection", install, install, "", nil, 100, "create 2, create 3, update 2, delete 3"},
		{"with a session", install + `,"sessionToken":"r:ann"`, install + `,"sessionToken":"r:ann"`, "", nil, 100, "create 2, create 3, update 2, delete 3, create 4"},
		{"as somebody else", install + `,"sessionToken":"r:ann"`, install + `,"sessionToken":"r:bob"`, "", nil, 100, ""},
		{"without an installation", "", "", "", nil, 100, ""},
		{"on another installation", install, `,"installationId":"tablet"`, "", nil, 100, ""},
		{"with another query", install, install, `{"className":"Item","where":{"n":{"$gt":1}}}`, nil, 100, ""},
		{"with other keys", install, install, `{"className":"Item","where":{"n":{"$gt":0}},"keys":["n"]}`, nil, 100, ""},
		{"after leaving in due form", install, install, "", func(s *socket) { _ = s.ws.Close(websocket.StatusNormalClosure, "") }, 100, ""},
		{"before the server notices", install, install, "", func(*socket) {}, 100, "create 2, create 3, update 2, delete 3"},
		{"when changes are no longer known", install, install, "", nil, 3, "error 4002"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := lasting(t, tt.kept)
			s := r.connect(t, tt.first)
			s.subscribe(1, itemQuery, "")
			r.publish(t, created(item(1)))
			if f := s.next(); !strings.Contains(f, "create") {
				t.Fatal(f)
			}
			s.acked(r)
			if tt.leave == nil {
				_ = s.ws.CloseNow()
			} else {
				tt.leave(s)
			}
			if tt.name != "before the server notices" {
				waitFor(t, "the server to notice", func() bool { return r.hub.Stats().Clients == 0 })
			}
			changed := item(2)
			changed.Set("x", true)
			secret := item(4)
			secret.ACL = deny
			r.publish(t, created(item(2)), created(item(3)), updated(item(2), changed), deleted(item(3)), created(secret), created(item(0)))

			back := r.connect(t, tt.again)
			query := tt.query
			if query == "" {
				query = itemQuery
			}
			back.subscribe(1, query, "")
			got := strings.TrimSuffix(told(append(back.fenceAmong("Item"), back.frames(r, "Item")...)), ", error 4002 of the fence")
			if got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
}

// acked waits until the hub knows that the client has had everything so far;
// nothing but the end is read from it afterwards.
func (s *socket) acked(r *rig) {
	s.tb.Helper()
	s.fenceOn("Item")
	s.frames(r, "Item") // what came before the fence has been told to all
	go func() {         // answers pings
		for {
			if _, _, err := s.ws.Read(s.tb.Context()); err != nil {
				return
			}
		}
	}()
	moment := r.hub.Ask("")
	waitFor(s.tb, "the client's progress to be known", func() bool { return r.hub.Acked("", moment) })
}

// fenceAmong is fenceOn while other frames are under way, which it returns.
func (s *socket) fenceAmong(class string) (others []string) {
	s.tb.Helper()
	s.send(fmt.Sprintf(`{"op":"subscribe","requestId":%d,"query":{"className":%q,"where":{"objectId":%q}}}`, fence, class, fenceID))
	for {
		f := s.next()
		if strings.HasPrefix(f, `{"op":"subscribed"`) {
			return others
		}
		others = append(others, f)
	}
}

func TestPositions(t *testing.T) {
	r := lasting(t, 6)
	s := r.connect(t, "")
	s.send(`{"op":"subscribe","requestId":1,"query":` + itemQuery + `,"resume":""}`)
	position := func(f string) string {
		t.Helper()
		var m struct{ Position string }
		if err := json.Unmarshal([]byte(f), &m); err != nil || m.Position == "" {
			t.Fatalf("no position in %s", f)
		}
		return m.Position
	}
	first := position(s.next())
	// Positions tell nothing but that: not how many changes there were, which
	// the client may not have seen.
	r.publish(t, created(obj("hidden", readable("ann"), "n", 1.0)))
	s.fenceOn("Item")
	s.frames(r, "Item")
	other := r.connect(t, "")
	other.send(`{"op":"subscribe","requestId":1,"query":` + itemQuery + `,"resume":""}`)
	if again := position(other.next()); len(again) != len(first) || again == first || strings.Contains(again, ".") {
		t.Errorf("positions %s and %s", first, again)
	}
	plain := r.connect(t, "")
	plain.subscribe(1, itemQuery, "")
	r.publish(t, created(item(1)))
	second := position(s.next())
	if f := plain.next(); strings.Contains(f, "position") {
		t.Errorf("a client that did not ask for positions gets one: %s", f)
	}
	_ = s.ws.Close(websocket.StatusNormalClosure, "")
	r.publish(t, created(item(2)), created(item(3)))
	plain.next()
	plain.next()
	for _, tt := range []struct {
		from, want string
		resumed    bool
	}{
		{first, "create 1, create 2, create 3", true},
		{second, "create 2, create 3", true},
		{"", "", false},
		{"other.1", "", false},
		{first[1:] + first[:1], "", false},
		{first + "A", "", false},
		{"nonsense", "", false},
	} {
		c := r.connect(t, "")
		c.send(fmt.Sprintf(`{"op":"subscribe","requestId":1,"query":%s,"resume":%q}`, itemQuery, tt.from))
		if f := c.next(); !strings.Contains(f, fmt.Sprintf(`"resumed":%v,"position"`, tt.resumed)) {
			t.Errorf("from %q: %s", tt.from, f)
		}
		var got []string
		for range strings.Count(tt.want, "create") {
			got = append(got, c.next())
		}
		if told(got) != tt.want {
			t.Errorf("from %q: %s", tt.from, told(got))
		}
	}
	r.publish(t, created(item(4)), created(item(5)))
	plain.next()
	plain.next()
	c := r.connect(t, "")
	c.send(fmt.Sprintf(`{"op":"subscribe","requestId":1,"query":%s,"resume":%q}`, itemQuery, first))
	if f := c.next(); !strings.Contains(f, `"resumed":false`) {
		t.Errorf("too far back: %s", f)
	}
}

// TestNothingLost kills the sockets of clients a thousand times while objects
// are created, changed, moved out of the query and in again, and deleted. At
// the end the view of each client must be what a query would answer.
func TestNothingLost(t *testing.T) {
	const clients, kills, objects = 5, 200, 40
	r := lasting(t, 100_000)
	turns := make(chan struct{}) // readers let the writer go on
	var mu sync.Mutex
	state := map[string]*parse.Object{} // guarded by mu
	var writer, readers sync.WaitGroup
	// queried is what a query answers.
	queried := func() map[string]float64 {
		mu.Lock()
		defer mu.Unlock()
		view := map[string]float64{}
		for id, o := range state {
			if n, _ := o.Number("n"); n > 0 {
				view[id], _ = o.Number("v")
			}
		}
		return view
	}
	writer.Go(func() {
		rng := rand.New(rand.NewPCG(1, 2))
		for i := 1; ; i++ {
			if i%3 == 0 {
				if _, open := <-turns; !open {
					return
				}
			}
			id := fmt.Sprintf("item%06d", rng.IntN(objects))
			mu.Lock()
			was := state[id]
			now := obj(id, nil, "n", float64(rng.IntN(4)-1), "v", float64(i))
			switch {
			case was == nil:
				r.publish(t, created(now))
				state[id] = now
			case rng.IntN(4) == 0:
				r.publish(t, deleted(was))
				delete(state, id)
			default:
				r.publish(t, updated(was, now))
				state[id] = now
			}
			mu.Unlock()
		}
	})
	views := make([]map[string]float64, clients)
	sockets := make([]*socket, clients)
	for c := range clients {
		readers.Go(func() {
			view := map[string]float64{}
			views[c] = view
			members := fmt.Sprintf(`,"installationId":"i%d"`, c)
			rng := rand.New(rand.NewPCG(3, uint64(c)))
			for k := range kills {
				s := r.connect(t, members)
				s.subscribe(1, itemQuery, "")
				read := make(chan struct{})
				go func() {
					defer close(read)
					for {
						f, err := s.read()
						if err != nil {
							return
						}
						if strings.Contains(f, `"code":4002`) { // missed too much: query again
							view = queried()
							views[c] = view
							continue
						}
						apply(t, view, f)
					}
				}()
				for range 1 + rng.IntN(4) {
					turns <- struct{}{}
				}
				if k%4 == 0 { // in life most connections last until all has arrived
					moment := r.hub.Ask(fmt.Sprintf("i%d", c))
					waitFor(t, "progress", func() bool { return r.hub.Acked(fmt.Sprintf("i%d", c), moment) })
				}
				_ = s.ws.CloseNow()
				<-read
			}
			sockets[c] = r.connect(t, members)
			sockets[c].subscribe(1, itemQuery, "")
		})
	}
	readers.Wait()
	close(turns)
	writer.Wait()
	want := queried()
	for c, s := range sockets {
		for _, f := range append(s.fenceAmong("Item"), s.frames(r, "Item")...) {
			apply(t, views[c], f)
		}
		if fmt.Sprint(views[c]) != fmt.Sprint(want) {
			t.Errorf("client %d sees\n%v\nwant\n%v", c, views[c], want)
		}
	}
	if st := r.hub.Stats(); st.Replayed == 0 {
		t.Error("nothing was replayed")
	}
}

// apply changes a client's view of the query by one frame.
func apply(t *testing.T, view map[string]float64, frame string) {
	t.Helper()
	var m struct {
		Op     string
		Object struct {
			ObjectID string
			V        float64
		}
	}
	if err := json.Unmarshal([]byte(frame), &m); err != nil {
		t.Errorf("%s: %v", frame, err)
	}
	switch m.Op {
	case "create", "enter", "update":
		view[m.Object.ObjectID] = m.Object.V
	case "leave", "delete":
		delete(view, m.Object.ObjectID)
	default:
		t.Errorf("unexpected frame %s", frame)
	}
}
