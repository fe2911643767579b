package auth

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/pargo-baas/pargo/parse"
)

// The hasher's bound cannot be seen from outside without taking seconds.
func TestHasherIsBounded(t *testing.T) {
	h := newHasher(Algorithm{Cost: bcrypt.MinCost}, 1)
	if _, err := h.slots.acquire(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.hash(over, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("hash: %v", err)
	}
	if _, err := h.verify(over, "x", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("verify: %v", err)
	}
	h.slots.release()
	hash, err := h.hash(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := h.verify(t.Context(), "x", hash); err != nil || !ok {
		t.Errorf("verify: %t, %v", ok, err)
	}
}

// What does not fit into the queue is told so, instead of waiting for ever.
func TestHasherQueueIsBounded(t *testing.T) {
	h := newHasher(Algorithm{Cost: bcrypt.MinCost}, 2)
	for range 2 {
		if _, err := h.slots.acquire(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range h.slots.queue {
		wg.Go(func() {
			if _, err := h.hash(ctx, "x"); !errors.Is(err, context.Canceled) {
				t.Errorf("in the queue: %v", err)
			}
		})
	}
	for h.slots.waits() < h.slots.queue {
		runtime.Gosched()
	}
	_, err := h.verify(t.Context(), "x", "")
	var pe *parse.Error
	if !errors.As(err, &pe) || pe.Code != parse.RequestLimitExceeded || pe.Status != http.StatusServiceUnavailable {
		t.Errorf("beyond the queue: %v, want 155 with status 503", err)
	}
	if h.renewable("x", "none") {
		t.Error("hashes are renewed although others wait")
	}
	cancel()
	wg.Wait()
	h.slots.release()
	if _, err := h.hash(t.Context(), "x"); err != nil {
		t.Errorf("after the storm: %v", err)
	}
	if !h.renewable("x", "none") {
		t.Error("hashes are not renewed although nobody waits")
	}
}

// A comparison with the dummy must cost what one with a real hash does.
func TestDummyCostsAsMuch(t *testing.T) {
	for _, cost := range []int{bcrypt.MinCost, 5} {
		h := newHasher(Algorithm{Cost: cost}, 1)
		if got, err := bcrypt.Cost([]byte(h.dummy)); err != nil || got != cost {
			t.Errorf("cost %d: %d, %v", cost, got, err)
		}
		if err := bcrypt.CompareHashAndPassword([]byte(h.dummy), []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Errorf("cost %d: %v", cost, err)
		}
	}
}

// TestSuspectsWait: who has failed lately is checked one at a time, in a
// bounded queue, and does not keep others from the slots.
func TestSuspectsWait(t *testing.T) {
	h := newHasher(Algorithm{Cost: bcrypt.MinCost}, 2)
	h.suspects <- struct{}{} // one is being checked
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var refused, ended atomic.Int64
	for range suspectQueue + 5 {
		wg.Go(func() {
			switch _, err := h.verifySuspect(ctx, "x", ""); {
			case parse.CodeOf(err) == parse.RequestLimitExceeded:
				refused.Add(1)
			case errors.Is(err, context.Canceled):
				ended.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	for deadline := time.Now().Add(20 * time.Second); refused.Load() < 5; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d were refused, want 5", refused.Load())
		}
	}
	if _, err := h.verify(t.Context(), "x", ""); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	cancel()
	wg.Wait()
	if refused.Load() != 5 || ended.Load() != suspectQueue {
		t.Errorf("%d refused, %d ended", refused.Load(), ended.Load())
	}
	<-h.suspects
	if _, err := h.verifySuspect(t.Context(), "x", ""); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// TestTurns: those who wait come in turn by where they come from, and with one
// who was wrong, all from there are doubted.
func TestTurns(t *testing.T) {
	s := turns{free: 1, queue: 100, lines: map[string][]*waiter{}}
	if _, err := s.acquire(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 100)
	var wg sync.WaitGroup
	wait := func(ctx context.Context, from string) {
		n := s.waits()
		wg.Go(func() {
			switch doubted, err := s.acquire(ctx, from); {
			case err != nil:
				got <- from + " left"
			case doubted:
				got <- from + " doubted"
			default:
				got <- from
			}
		})
		for s.waits() == n {
			runtime.Gosched()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	wait(ctx, "c")
	for range 3 {
		wait(t.Context(), "a")
	}
	wait(t.Context(), "b")
	wait(t.Context(), "")
	wait(t.Context(), "b")
	next := func(want string) {
		t.Helper()
		if s := <-got; s != want {
			t.Fatalf("%q, want %q", s, want)
		}
	}
	cancel()
	next("c left")
	for _, want := range []string{"a", "b", "", "a", "b"} {
		s.release()
		next(want)
	}
	s.doubt("b")
	s.doubt("a")
	next("a doubted")
	wg.Wait()
	if s.release(); s.waits() != 0 || s.free != 1 || len(s.lines)+len(s.order) > 0 {
		t.Errorf("%d wait, %d slots, %v, %v", s.waits(), s.free, s.lines, s.order)
	}
}

// TestDoubtedGuesses: of many first guesses of one network at a time, one is
// compared; the others wait among the suspects.
func TestDoubtedGuesses(t *testing.T) {
	h := newHasher(Algorithm{Cost: bcrypt.MinCost}, 1)
	h.suspects <- struct{}{} // which are not let on
	if _, err := h.slots.acquire(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wrong, refused, ended atomic.Int64
	var wg sync.WaitGroup
	for range suspectQueue + 11 {
		wg.Go(func() {
			switch _, err := h.verifyFrom(ctx, "net", "x", ""); {
			case err == nil:
				wrong.Add(1)
			case parse.CodeOf(err) == parse.RequestLimitExceeded:
				refused.Add(1)
			case errors.Is(err, context.Canceled):
				ended.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	for h.slots.waits() < suspectQueue+11 {
		runtime.Gosched()
	}
	h.slots.release()
	for refused.Load() < 10 || wrong.Load() < 1 {
		runtime.Gosched()
	}
	if _, err := h.verifyFrom(t.Context(), "other", "x", ""); err != nil {
		t.Errorf("another network: %v", err)
	}
	cancel()
	wg.Wait()
	if wrong.Load() != 1 || refused.Load() != 10 || ended.Load() != suspectQueue {
		t.Errorf("%d compared, %d refused, %d waited", wrong.Load(), refused.Load(), ended.Load())
	}
}
