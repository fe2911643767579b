package livequery_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
)

// text is an object of a class with a text of n letters.
func text(class string, seq, n int) *parse.Object {
	o := &parse.Object{ClassName: class, ID: "x"}
	o.Set("n", 1.0)
	o.Set("seq", float64(seq))
	o.Set("text", strings.Repeat("x", n))
	return o
}

// TestWaitingBytes: what waits for all clients is bounded: those for whom more
// waits than their part are closed, who reads is not.
func TestWaitingBytes(t *testing.T) {
	const clients, limit, size = 8, 2 << 20, 8 << 10
	r := newRig(t, livequery.Options{TotalQueueBytes: limit})
	slow := make([]*socket, clients)
	for i := range slow { // each has a class, so that they share nothing
		slow[i] = r.connect(t, "")
		slow[i].subscribe(1, fmt.Sprintf(`{"className":"Slow%d","where":{}}`, i), "")
	}
	quick := r.connect(t, "")
	quick.subscribe(1, `{"className":"Quick","where":{}}`, "")
	most, told := int64(0), 0
	waitFor(t, "the slow clients are closed", func() bool {
		for i := range slow {
			r.publish(t, created(text(fmt.Sprintf("Slow%d", i), 0, size)))
		}
		r.publish(t, created(text("Quick", told, size)))
		if f := quick.next(); !strings.Contains(f, `"seq":`+strconv.Itoa(told)+",") {
			t.Fatalf("event %d of who reads: %.100s", told, f)
		}
		told++
		s := r.hub.Stats()
		most = max(most, s.WaitingBytes)
		if s.QueuedBytes > clients*livequery.DefaultQueueBytes/2 {
			t.Fatalf("%d bytes wait, and nobody is closed", s.QueuedBytes)
		}
		return s.Dropped == clients
	})
	// One frame of each is let in by then, and a batch of each is being written.
	if most < limit/2 || most > limit+clients*(size+32<<10) {
		t.Errorf("%d bytes waited, the limit is %d", most, limit)
	}
	for i, s := range slow {
		if code := s.closeCode(); code != livequery.CloseSlow {
			t.Errorf("client %d closed with %d", i, code)
		}
	}
	waitFor(t, "nothing waits", func() bool { return r.hub.Stats().WaitingBytes == 0 })
}

// TestWaitingBytesShared: what many clients wait for counts once.
func TestWaitingBytesShared(t *testing.T) {
	const clients, size = 20, 32 << 10
	r := newRig(t, livequery.Options{TotalQueueBytes: 8 << 20})
	for range clients {
		s := r.connect(t, "")
		s.subscribe(1, itemQuery, "")
	}
	waitFor(t, "half a MiB waits for each", func() bool {
		r.publish(t, created(text("Item", 0, size)))
		return r.hub.Stats().QueuedBytes > clients<<19
	})
	if s := r.hub.Stats(); s.WaitingBytes > s.QueuedBytes/4 || s.WaitingBytes < 10*size || s.Dropped > 0 {
		t.Errorf("%+v", s)
	}
}

// TestWaitingBytesOfStories: events that are yet to be made keep their objects.
func TestWaitingBytesOfStories(t *testing.T) {
	block := make(chan struct{})
	app := cloudcode.New()
	app.AfterEvent("Item", func(ctx context.Context, _ *cloudcode.EventRequest) error {
		select {
		case <-block:
		case <-ctx.Done():
		}
		return nil
	})
	r := newRig(t, livequery.Options{App: app})
	s := r.connect(t, "")
	s.subscribe(1, itemQuery, "")
	ch := created(large("x"))
	for range 5 {
		r.publish(t, ch)
	}
	waitFor(t, "four wait", func() bool { return r.hub.Stats().WaitingBytes > 4*int64(ch.Size()) })
	close(block)
	for range 5 {
		if f := s.next(); !strings.HasPrefix(f, `{"op":"create"`) {
			t.Errorf("%.100s", f)
		}
	}
	waitFor(t, "nothing waits", func() bool { return r.hub.Stats().WaitingBytes == 0 })
}

// TestMixedSizes: large texts, which are not copied, come in their order.
func TestMixedSizes(t *testing.T) {
	r := newRig(t, livequery.Options{QueueBytes: 64 << 20})
	s := r.connect(t, "")
	s.subscribe(1, itemQuery, "")
	size := func(i int) int { return []int{1, 100, 4000, 5000, 20_000, 70_000}[i*i%17%6] }
	const n = 500
	for i := range n {
		r.publish(t, created(text("Item", i, size(i))))
	}
	for i := range n {
		want := `"seq":` + strconv.Itoa(i) + `,"text":"` + strings.Repeat("x", size(i)) + `"`
		if f := s.next(); !strings.Contains(f, want) {
			t.Fatalf("event %d is %.200s, of %d bytes", i, f, len(f))
		}
	}
	waitFor(t, "nothing waits", func() bool { return r.hub.Stats().WaitingBytes == 0 })
}
