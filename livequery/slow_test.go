package livequery_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/livequery"
)

// TestMuteClient: a websocket that does not connect is closed, one that has
// connected is not.
func TestMuteClient(t *testing.T) {
	r := newRig(t, livequery.Options{PingInterval: 200 * time.Millisecond, Patience: 300 * time.Millisecond})
	quiet := r.connect(t, "")
	ended := quiet.ws.CloseRead(t.Context())
	mute := r.dial(t)
	if _, _, err := mute.ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("the mute one: %v", err)
	}
	waitFor(t, "one client is left", func() bool { return r.hub.Stats().Clients == 1 })
	if ended.Err() != nil {
		t.Errorf("the one that has connected: %v", ended.Err())
	}
}

// TestMessageInDrops: a message that does not arrive ends the connection, also
// of a client that answers pings.
func TestMessageInDrops(t *testing.T) {
	r := newRig(t, livequery.Options{PingInterval: 10 * time.Millisecond, Patience: 50 * time.Millisecond})
	c := r.connect(t, "")
	w, err := c.ws.Writer(t.Context(), websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(`{"op":"subscribe","x":"` + strings.Repeat("x", 8<<10))); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.ws.CloseRead(t.Context()).Done(): // it answers pings while it waits
	case <-time.After(patience):
		t.Fatal("the message may take for ever")
	}
	waitFor(t, "the client is gone", func() bool { return r.hub.Stats().Clients == 0 })
}

// TestLargeMessages: many large messages at a time are all served, one after
// the other.
func TestLargeMessages(t *testing.T) {
	r := newRig(t, livequery.Options{PingInterval: time.Hour}) // who waits for his turn does not answer
	const clients = 100
	list := strings.Repeat(`"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",`, 5000) + `"x"` // 200 kB
	var wg sync.WaitGroup
	for i := range clients {
		c := r.connect(t, "")
		wg.Go(func() { c.subscribe(i, `{"className":"Item","where":{"a":{"$in":[`+list+`]}}}`, "") })
	}
	wg.Wait()
	if s := r.hub.Stats(); s.Subscriptions != clients {
		t.Errorf("%d subscriptions, want %d", s.Subscriptions, clients)
	}
}

// TestManyMessages: the messages of a network that sends many wait in the lane,
// those of others do not, and who waits is not taken for dead.
func TestManyMessages(t *testing.T) {
	lane := fair.NewLane(1)
	turn, err := lane.Enter(t.Context(), "another")
	if err != nil {
		t.Fatal(err)
	}
	r := networked(t, livequery.Options{Lane: lane, PingInterval: time.Hour})
	const messages = 1200
	c, other := r.from(t, "203.0.113.1"), r.from(t, "203.0.113.2")
	var answers, others atomic.Int64
	count := func(s *socket, n *atomic.Int64, most int) {
		for range most {
			if f, err := s.read(); err != nil || !strings.HasPrefix(f, `{"op":"error"`) {
				t.Errorf("%s, %v", f, err)
				return
			}
			n.Add(1)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { count(c, &answers, messages) })
	wg.Go(func() { count(other, &others, 5) })
	for range messages {
		c.send(`{"op":"unsubscribe"}`)
	}
	waitFor(t, "a message waits", func() bool { return lane.Waiting() == 1 })
	waitFor(t, "the first are answered", func() bool { return answers.Load() >= 900 })
	for i := range int64(5) {
		r.hub.Ask("") // pings all, which c cannot answer
		other.send(`{"op":"unsubscribe"}`)
		waitFor(t, "another is served", func() bool { return others.Load() > i })
	}
	if n := answers.Load(); n == messages {
		t.Errorf("all of %d were answered before", n)
	}
	turn.Leave()
	waitFor(t, "all are answered", func() bool { return answers.Load() == messages })
	wg.Wait()
}

// TestFirstMessageBytes: who has not connected may not send much.
func TestFirstMessageBytes(t *testing.T) {
	r := newRig(t, livequery.Options{})
	c := r.dial(t)
	c.send(fmt.Sprintf(`{"op":"connect","applicationId":"app","sessionToken":%q}`, strings.Repeat("x", 64<<10)))
	if _, _, err := c.ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("%v", err)
	}
}
