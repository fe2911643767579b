package auth

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// The hasher's bound cannot be seen from outside without taking seconds.
func TestHasherIsBounded(t *testing.T) {
	h := newHasher(bcrypt.MinCost, 1)
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

// A comparison with the dummy must cost what one with a real hash does.
func TestDummyCostsAsMuch(t *testing.T) {
	for _, cost := range []int{bcrypt.MinCost, 5} {
		h := newHasher(cost, 1)
		if got, err := bcrypt.Cost(h.dummy); err != nil || got != cost {
			t.Errorf("cost %d: %d, %v", cost, got, err)
		}
		if err := bcrypt.CompareHashAndPassword(h.dummy, []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Errorf("cost %d: %v", cost, err)
		}
	}
}
