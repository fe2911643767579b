package rest

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/parse"
)

// address is that of all clients here.
func address() string { return "203.0.113.1" }

// decoding takes room for a body, and decodes nothing.
func decoding(ctx context.Context, b *budget, s *share, text []byte) error {
	turn, err := b.decode(ctx, s, text, address)
	turn.Leave()
	return err
}

func TestBodyBudget(t *testing.T) {
	const limit = 1 << 20
	b := newBudget(limit, nil)
	var small, one, two share
	if err := b.grow(&small, largeBody); err != nil || small != (share{}) {
		t.Errorf("a small body is counted: %v, %v", small, err)
	}
	for _, n := range []int{32 << 10, 64 << 10, 900 << 10} {
		if err := b.grow(&one, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.grow(&two, 200<<10); parse.CodeOf(err) != parse.RequestLimitExceeded || two.read != 0 {
		t.Errorf("beyond the limit: %v, %v", two, err)
	}
	if err := b.grow(&two, 100<<10); err != nil {
		t.Errorf("what is left: %v", err)
	}
	text := []byte("[" + strings.Repeat("1,", 20<<10) + "1]") // more values than there is room for
	if err := decoding(t.Context(), b, &one, text); err != nil || one.decoded != limit {
		t.Errorf("decode: %v, %v", one, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it does not wait
	if err := decoding(ctx, b, &two, text); parse.CodeOf(err) != parse.RequestLimitExceeded {
		t.Errorf("decode beyond the limit: %v", err)
	}
	b.free(&one)
	if err := decoding(t.Context(), b, &two, text); err != nil {
		t.Errorf("decode after the other: %v", err)
	}
	b.free(&two)
	if n := b.read.Load(); n != 0 || one != (share{}) || two != (share{}) {
		t.Errorf("%d bytes are kept", n)
	}
	if b.decoded.Held() != 0 {
		t.Error("room for values is kept")
	}
}

// TestLargeValues: what a small body becomes counts, too, and while others wait,
// large ones are followed by a rest.
func TestLargeValues(t *testing.T) {
	b := newBudget(1<<20, nil)
	var rests []func()
	b.after = func(d time.Duration, f func()) *time.Timer {
		if d <= 0 || d > longestRest {
			t.Errorf("a rest of %v", d)
		}
		rests = append(rests, f)
		return nil
	}
	var small, one, two share
	if err := decoding(t.Context(), b, &small, []byte(`{"a":[1,2,3],"s":"`+strings.Repeat("x", 30<<10)+`"}`)); err != nil || small.decoded != 0 {
		t.Errorf("a body of few values is counted: %v, %v", small, err)
	}
	text := []byte("[" + strings.Repeat("{},", 5<<10) + "1]") // 15 KiB
	if err := decoding(t.Context(), b, &one, text); err != nil || one.decoded != b.limit {
		t.Errorf("decode: %v, %v", one, err)
	}
	done := make(chan error, 1)
	go func() { done <- decoding(t.Context(), b, &two, text) }()
	for b.decoded.Waiting() == 0 {
		runtime.Gosched()
	}
	one.began = time.Now().Add(-time.Hour)
	if b.free(&one); len(rests) != 1 {
		t.Fatalf("%d rests, want one", len(rests))
	}
	select {
	case err := <-done:
		t.Fatalf("the next does not wait for the end of the rest: %v", err)
	default:
	}
	rests[0]()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if b.free(&two); len(rests) != 1 || b.decoded.Held() != 0 {
		t.Error("a rest although nobody waits")
	}
}

// TestLongDecode: what takes long to decode waits for its turn in the lane, and
// does not keep the memory if its time is over.
func TestLongDecode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := fair.NewLane(1)
		b := newBudget(64<<20, lane)
		turn, err := lane.Enter(t.Context(), "another")
		if err != nil {
			t.Fatal(err)
		}
		var short, long share
		if err := decoding(t.Context(), b, &short, []byte("["+strings.Repeat("1,", 4<<10)+"1]")); err != nil || short.decoded == 0 {
			t.Errorf("one that takes no time: %v, %d", err, short.decoded)
		}
		text := []byte("[" + strings.Repeat("{},", 32<<10) + "1]")
		if err := decoding(t.Context(), b, &long, text); parse.CodeOf(err) != parse.RequestLimitExceeded {
			t.Errorf("one that waits for too long: %v", err)
		}
		b.free(&long)
		b.free(&short)
		if n := b.decoded.Held(); n != 0 {
			t.Errorf("%d bytes are kept", n)
		}
		turn.Leave()
		if err := decoding(t.Context(), b, &long, text); err != nil {
			t.Error(err)
		}
		b.free(&long)
	})
}
