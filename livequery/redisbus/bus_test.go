package redisbus_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/pargo-baas/pargo/internal/cache/redis/redistest"
	"github.com/pargo-baas/pargo/livequery/redisbus"
	"github.com/pargo-baas/pargo/parse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one server of a test: what it has been told, in order.
type node struct {
	mu  sync.Mutex
	got []string // guarded by mu
}

func (n *node) note(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got = append(n.got, s)
}

// Publish implements redisbus.Sink.
func (n *node) Publish(_ context.Context, changes []parse.Change) {
	for _, ch := range changes {
		o := ch.After
		if o == nil {
			o = ch.Before
		}
		n.note(fmt.Sprintf("%d %s/%s", ch.Action, ch.Class, o.ID))
	}
}

func (n *node) Lost(_ context.Context, classes ...string) {
	n.note("lost " + strings.Join(classes, " "))
}

func (n *node) told() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got)
}

func (n *node) count(s string) (c int) {
	for _, g := range n.told() {
		if g == s {
			c++
		}
	}
	return c
}

// start opens a bus and what it tells.
func start(t *testing.T, url, app string, change func(*redisbus.Options)) *tested {
	t.Helper()
	n := &node{}
	o := redisbus.Options{
		AppID: app, PublishURL: url, SubscribeURL: url, Sink: n,
		Revoked: func(ids []string, all bool) { n.note(fmt.Sprint("revoked ", ids, all)) },
	}
	if change != nil {
		change(&o)
	}
	b, err := redisbus.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return &tested{b, n}
}

type tested struct {
	bus  *redisbus.Bus
	node *node
}

func (x *tested) publish(action parse.Action, class, id string) {
	o := &parse.Object{ClassName: class, ID: id}
	ch := parse.Change{Class: class, Action: action, Before: o, After: o}
	switch action {
	case parse.Created:
		ch.Before = nil
	case parse.Deleted:
		ch.After = nil
	case parse.Updated:
	}
	x.bus.Publish(context.Background(), []parse.Change{ch})
}

var begin = []string{"revoked [] true", "lost "}

func TestChangesReachOthersInOrderAndOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		app := parse.NewObjectID(10)
		a, b := start(t, url, app, nil), start(t, url, app, nil)
		other := start(t, url, app+"x", nil)
		want := slices.Clone(begin)
		for i := range 300 {
			a.publish(parse.Created, "A", fmt.Sprint(i))
			want = append(want, fmt.Sprintf("1 A/%d", i))
		}
		a.publish(parse.Updated, "A", "x")
		a.bus.Revoke([]string{"ann", "bob"}, false)
		a.publish(parse.Deleted, "A", "x")
		want = append(want, "2 A/x", "revoked [ann] false", "revoked [bob] false", "3 A/x")
		redistest.Wait(t, "all changes", func() bool { return len(b.node.told()) >= len(want) })
		if got := b.node.told(); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		b.publish(parse.Created, "A", "back")
		redistest.Wait(t, "the way back", func() bool { return a.node.count("1 A/back") == 1 })
		if got := a.node.told(); !slices.Equal(got, append(slices.Clone(begin), "1 A/back")) {
			t.Errorf("a node hears itself: %v", got)
		}
		if got := other.node.told(); !slices.Equal(got, begin) {
			t.Errorf("another application hears %v", got)
		}
		if s := b.bus.Stats(); s.Received != 304 || !s.Listening || s.Published != 1 {
			t.Errorf("%+v", s)
		}
		a.bus.Revoke(nil, true)
		redistest.Wait(t, "a change of all rights", func() bool { return b.node.count("revoked [] true") == 2 })
	})
}

// A Parse Server reads and writes the channels directly.
func TestParseServerOnTheSameRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		o, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		c := redis.NewClient(o)
		defer func() { _ = c.Close() }()
		app := parse.NewObjectID(10)
		ps := c.Subscribe(t.Context(), app+"afterSave", app+"afterDelete", app+"clearCache")
		defer func() { _ = ps.Close() }()
		for range 3 {
			if _, err := ps.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		a := start(t, url, app, func(o *redisbus.Options) {
			o.Classes = func(class string) bool { return class == "A" }
			o.Permissions = func(string) []byte { return []byte(`{"find":{}}`) }
		})
		if a.bus.Wants("B") || !a.bus.Wants("A") {
			t.Error("wants other classes than it publishes")
		}
		a.publish(parse.Created, "B", "1")
		a.publish(parse.Created, "A", "2")
		a.bus.Revoke([]string{"ann"}, false)
		a.publish(parse.Deleted, "A", "2")
		for _, want := range []struct{ channel, body string }{
			{"afterSave", `"currentParseObject":{"__type":"Object","className":"A","objectId":"2"},"classLevelPermissions":{"find":{}}}`},
			{"clearCache", `"userId":"ann"}`},
			{"afterDelete", `"currentParseObject":{"__type":"Object","className":"A","objectId":"2"},"classLevelPermissions":{"find":{}}}`},
		} {
			m, err := ps.ReceiveMessage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if m.Channel != app+want.channel || !strings.HasSuffix(m.Payload, `},`+want.body) {
				t.Errorf("%s: %s, want %s: …%s", m.Channel, m.Payload, want.channel, want.body)
			}
		}
		for _, m := range [][2]string{
			{"afterSave", `{"currentParseObject":{"__type":"Object","className":"C","objectId":"1"}}`},
			{"afterSave", `{"currentParseObject":1}`},
			{"clearCache", `{"userId":"bob"}`},
			{"afterDelete", `{"currentParseObject":{"__type":"Object","className":"C","objectId":"1"}}`},
		} {
			if err := c.Publish(t.Context(), app+m[0], m[1]).Err(); err != nil {
				t.Fatal(err)
			}
		}
		want := append(slices.Clone(begin), "1 C/1", "revoked [bob] false", "3 C/1")
		redistest.Wait(t, "what the Parse Server tells", func() bool { return len(a.node.told()) >= len(want) })
		if got := a.node.told(); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if s := a.bus.Stats(); s.Refused != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A message that is sent again, because its answer was lost, is taken once.
func TestTheSameMessageTwice(t *testing.T) {
	m := miniredis.RunT(t)
	b := start(t, "redis://"+m.Addr(), "app", nil)
	const body = `{"pargo":{"node":"other","seq":%d},"currentParseObject":{"__type":"Object","className":"A","objectId":"%d"}}`
	for _, n := range []int{1, 2, 1, 2, 3} {
		m.Publish("appafterSave", fmt.Sprintf(body, n, n))
	}
	redistest.Wait(t, "the last one", func() bool { return b.node.count("1 A/3") == 1 })
	if got, want := b.node.told(), append(slices.Clone(begin), "1 A/1", "1 A/2", "1 A/3"); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestQueueBytes: changes that wait for Redis are bounded by what they take, but
// for one that waits alone.
func TestQueueBytes(t *testing.T) {
	m := miniredis.RunT(t)
	a := start(t, "redis://"+m.Addr(), "app", func(o *redisbus.Options) { o.QueueBytes, o.SubscribeURL = 1<<10, "" })
	m.Close()
	for i := range 3 {
		a.bus.Publish(t.Context(), []parse.Change{{Class: "A", Action: parse.Created, After: &parse.Object{
			ClassName: "A", ID: fmt.Sprint(i), Fields: *parse.NewMap(parse.MapField{Key: "s", Value: strings.Repeat("x", 2<<10)}),
		}}})
	}
	if s := a.bus.Stats(); s.Dropped != 2 || s.Waiting != 2 { // one, and that others were lost
		t.Errorf("%+v", s)
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, "the queue is empty", func() bool { return a.bus.Stats().Waiting == 0 })
	a.bus.Publish(t.Context(), []parse.Change{{Class: "A", Action: parse.Created, After: &parse.Object{ClassName: "A", ID: "after"}}})
	redistest.Wait(t, "there is room again", func() bool { s := a.bus.Stats(); return s.Waiting == 0 && s.Dropped == 2 && s.Published >= 2 })
}

func TestRedisGoesAndComes(t *testing.T) {
	m := miniredis.RunT(t)
	url := "redis://" + m.Addr()
	var out redistest.Logs
	a := start(t, url, "app", func(o *redisbus.Options) { o.Queue, o.SubscribeURL = 3, "" })
	b := start(t, url, "app", func(o *redisbus.Options) { o.PublishURL, o.Log = "", slog.New(slog.NewTextHandler(&out, nil)) })
	a.publish(parse.Created, "A", "0")
	redistest.Wait(t, "a change", func() bool { return b.node.count("1 A/0") == 1 })

	m.Close()
	redistest.Wait(t, "the outage is noticed", func() bool { return !b.bus.Stats().Listening })
	for i := range 5 {
		a.publish(parse.Created, "A", fmt.Sprint("kept", i))
	}
	a.publish(parse.Created, "B", "1")
	a.bus.Revoke([]string{"ann"}, false) // does not fit: all are to be read anew
	if s := a.bus.Stats(); s.Dropped != 3 || s.Waiting != 4 {
		t.Errorf("%+v", s)
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, "the receiver is back", func() bool { return b.bus.Stats().Listening })
	if got := b.node.count("lost "); got != 2 {
		t.Errorf("told %d times that anything may be missing, want once for each connection", got)
	}
	redistest.Wait(t, "the queue is empty", func() bool { return a.bus.Stats().Waiting == 0 })
	a.publish(parse.Created, "A", "after")
	redistest.Wait(t, "a change after the outage", func() bool { return b.node.count("1 A/after") == 1 })
	redistest.Wait(t, "the log", func() bool { return out.Count("redis is back") == 1 })
	if n := out.Count("cannot be reached"); n != 1 {
		t.Errorf("the outage is logged %d times", n)
	}
	// What was queued may have gone before the receiver was back; if it came, then
	// in order, and what was dropped is told.
	if b.node.count("1 A/kept0") == 1 && b.node.count("lost A B") != 1 {
		t.Errorf("dropped changes are not told: %v", b.node.told())
	}
}

// A receiver that was there all the time is told which classes have a gap.
func TestDroppedChangesAreTold(t *testing.T) {
	near, far := miniredis.RunT(t), miniredis.RunT(t)
	addr := far.Addr()
	far.Close()
	a := start(t, "redis://"+addr, "app", func(o *redisbus.Options) { o.Queue, o.SubscribeURL = 2, "redis://"+near.Addr() })
	for i := range 4 {
		a.publish(parse.Created, "A", fmt.Sprint(i))
	}
	if err := far.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	sub := far.NewSubscriber()
	defer sub.Close()
	for _, c := range []string{"appafterSave", "apppargo"} {
		sub.Subscribe(c)
	}
	var got []string
	for len(got) < 3 {
		select {
		case m := <-sub.Messages():
			got = append(got, m.Channel+m.Message[strings.IndexByte(m.Message, '}'):])
		case <-time.After(10 * time.Second):
			t.Fatalf("got %v", got)
		}
	}
	if got[2] != `apppargo},"lost":["A"]}` || !strings.Contains(got[0], `"objectId":"0"`) || !strings.Contains(got[1], `"objectId":"1"`) {
		t.Errorf("got %v", got)
	}
	near.Publish("apppargo", `{"pargo":{"node":"x","seq":0},"lost":["A","B"],"revoked":true}`)
	redistest.Wait(t, "the notice", func() bool { return a.node.count("lost A B") == 1 && a.node.count("revoked [] true") == 2 })
}

func TestWhatWaitsIsSentAtTheEnd(t *testing.T) {
	m := miniredis.RunT(t)
	b := start(t, "redis://"+m.Addr(), "app", nil)
	a, err := redisbus.Open(t.Context(), redisbus.Options{AppID: "app", PublishURL: "redis://" + m.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	x := &tested{a, nil}
	x.publish(parse.Created, "A", "last")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, "the last change", func() bool { return b.node.count("1 A/last") == 1 })
}

func TestWrongURL(t *testing.T) {
	for _, o := range []redisbus.Options{{PublishURL: "http://x:secret@y"}, {SubscribeURL: "http://x:secret@y", PublishURL: "redis://127.0.0.1:1"}} {
		if _, err := redisbus.Open(t.Context(), o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	}
}
