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
	h := newHasher(Algorithm{Cost: bcrypt.MinCost}, 1, nil)
	leave, err := take(t.Context(), h.slots, "")
	if err != nil {
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
	leave()
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
	h := newHasher(Algorithm{Cost: bcrypt.MinCost}, 2, nil)
	var leave func()
	for range 2 {
		var err error
		if leave, err = take(t.Context(), h.slots, ""); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range minQueue {
		wg.Go(func() {
			if _, err := h.hash(ctx, "x"); !errors.Is(err, context.Canceled) {
				t.Errorf("in the queue: %v", err)
			}
		})
	}
	for h.slots.Waiting() < minQueue {
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
	leave()
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
		h := newHasher(Algorithm{Cost: cost}, 1, nil)
		if got, err := bcrypt.Cost([]byte(h.dummy)); err != nil || got != cost {
			t.Errorf("cost %d: %d, %v", cost, got, err)
		}
		if err := bcrypt.CompareHashAndPassword([]byte(h.dummy), []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Errorf("cost %d: %v", cost, err)
		}
	}
}

// countFailure counts who was refused and whose context ended; there is no other failure.
func countFailure(t *testing.T, err error, refused, ended *atomic.Int64) {
	switch {
	case parse.CodeOf(err) == parse.RequestLimitExceeded:
		refused.Add(1)
	case errors.Is(err, context.Canceled):
		ended.Add(1)
	default:
		t.Error(err)
	}
}

// TestSuspectsWait: who has failed lately is checked one at a time, in a
// bounded queue, and does not keep others from the slots.
func TestSuspectsWait(t *testing.T) {
	h := newHasher(Algorithm{Cost: bcrypt.MinCost}, 2, nil)
	leave, err := take(t.Context(), h.suspects, "") // one is being checked
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var refused, ended atomic.Int64
	for range suspectQueue + 5 {
		wg.Go(func() {
			if _, err := h.verifySuspect(ctx, "net", "x", ""); err == nil {
				t.Error("one was compared")
			} else {
				countFailure(t, err, &refused, &ended)
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
	leave()
	if _, err := h.verifySuspect(t.Context(), "net", "x", ""); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// TestDoubtedGuesses: of many first guesses of one network at a time, one is
// compared; the others wait among the suspects.
func TestDoubtedGuesses(t *testing.T) {
	h := newHasher(Algorithm{Cost: bcrypt.MinCost}, 1, nil)
	if _, err := take(t.Context(), h.suspects, ""); err != nil { // which are not let on
		t.Fatal(err)
	}
	leave, err := take(t.Context(), h.slots, "x")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wrong, refused, ended atomic.Int64
	var wg sync.WaitGroup
	for range suspectQueue + 11 {
		wg.Go(func() {
			if _, err := h.verifyFrom(ctx, "net", "x", ""); err == nil {
				wrong.Add(1)
			} else {
				countFailure(t, err, &refused, &ended)
			}
		})
	}
	for h.slots.Waiting() < suspectQueue+11 {
		runtime.Gosched()
	}
	leave()
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
