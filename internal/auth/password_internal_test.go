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
	if err := h.acquire(t.Context()); err != nil {
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
	h.release()
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
		if err := h.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range h.queue {
		wg.Go(func() {
			if _, err := h.hash(ctx, "x"); !errors.Is(err, context.Canceled) {
				t.Errorf("in the queue: %v", err)
			}
		})
	}
	for h.waiting.Load() < h.queue {
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
	h.release()
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
