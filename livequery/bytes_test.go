package livequery_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
)

// large is an object whose values take some 100 KiB, many times their text.
func large(id string) *parse.Object {
	list := make(parse.Array, 1000)
	for i := range list {
		list[i] = parse.NewMap(parse.MapField{Key: "a", Value: float64(i)})
	}
	return obj(id, nil, "n", 1.0, "list", list)
}

// TestPendingBytes: changes that wait are bounded by what they take, and give
// it back once they are told.
func TestPendingBytes(t *testing.T) {
	const limit = 1 << 20
	g := &gate{users: &users{tokens: map[string]*access.Principal{}}, shut: make(chan struct{})}
	g.set("r:ann", "ann")
	hub := livequery.NewHub(livequery.Options{Auth: g, PendingBytes: limit})
	srv := httptest.NewServer(hub.Handler())
	defer srv.Close()
	r := &rig{hub: hub, url: "ws" + strings.TrimPrefix(srv.URL, "http")}
	s := r.connect(t, `,"sessionToken":"r:ann"`)
	s.subscribe(1, `{"className":"Item","where":{}}`, "")
	g.on.Store(true)
	hub.Revoke([]string{"ann"}, false)
	published := 0
	waitFor(t, "changes overflow", func() bool {
		hub.Publish(t.Context(), []parse.Change{created(large("x"))})
		published++
		if st := hub.Stats(); st.PendingBytes > limit/2 || st.PendingBytes == 0 {
			t.Errorf("%d bytes wait, the limit of a class is %d", st.PendingBytes, limit/2)
		}
		return hub.Stats().Dropped > 0
	})
	if published < 3 || published > 20 {
		t.Errorf("%d changes of some 100 KiB fit into %d bytes", published-1, limit/2)
	}
	g.on.Store(false)
	close(g.shut)
	if code := s.closeCode(); code != livequery.CloseResync {
		t.Errorf("closed with %d", code)
	}
	waitFor(t, "nothing waits", func() bool { return hub.Stats().PendingBytes == 0 })
	if err := hub.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOversizedChange: a change beyond all limits is told if nothing else waits,
// but is not kept, and who comes back for it is told to query.
func TestOversizedChange(t *testing.T) {
	r := newRig(t, livequery.Options{ResumeWindow: time.Minute, AppID: "app", PendingBytes: 1 << 10, ResumeBytes: 64 << 10})
	s := r.connect(t, install)
	s.subscribe(1, itemQuery, "")
	s.acked(r)
	_ = s.ws.CloseNow()
	waitFor(t, "the server to notice", func() bool { return r.hub.Stats().Clients == 0 })
	other := r.connect(t, "")
	other.subscribe(1, itemQuery, "")
	r.publish(t, created(large("item000001")))
	if got := told([]string{other.next()}); got != "create 1" {
		t.Errorf("the change was told as %q", got)
	}
	if n := r.hub.Stats().KeptBytes; n > 64<<10 {
		t.Errorf("%d bytes are kept", n)
	}
	back := r.connect(t, install)
	back.subscribe(1, itemQuery, "")
	if got := told([]string{back.next()}); got != "error 4002" {
		t.Errorf("who comes back got %q", got)
	}
}

// TestKeptBytes: the oldest changes go for new ones, by what they take.
func TestKeptBytes(t *testing.T) {
	const limit = 4 << 20
	r := newRig(t, livequery.Options{ResumeWindow: time.Minute, AppID: "app", ResumeBytes: limit})
	s := r.connect(t, install)
	s.subscribe(1, itemQuery, "")
	s.acked(r)
	_ = s.ws.CloseNow()
	waitFor(t, "the server to notice", func() bool { return r.hub.Stats().Clients == 0 })
	for range 30 {
		r.publish(t, created(large("item000001")))
	}
	if n := r.hub.Stats().KeptBytes; n < limit/8 || n > limit/4 {
		t.Errorf("%d bytes are kept of one class, want up to %d", n, limit/4)
	}
	back := r.connect(t, install)
	back.subscribe(1, itemQuery, "")
	if got := told([]string{back.next()}); got != "error 4002" {
		t.Errorf("who missed more than is kept got %q", got)
	}
	for range 1000 {
		r.publish(t, created(item(2)))
	}
	if n := r.hub.Stats().KeptBytes; n == 0 || n > limit/4 {
		t.Errorf("%d bytes are kept of a thousand small changes", n)
	}
}
