package auth

import (
	"context"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// maxPassword is where bcrypt stops looking; longer passwords are cut, as
// Parse Server does (reference 03 §5).
const maxPassword = 72

// hasher computes bcrypt hashes, at most as many at a time as there are cores:
// a burst of logins then waits instead of starving every other request.
type hasher struct {
	cost  int
	slots chan struct{}
	// dummy is compared against when there is no user, so that the time of an
	// answer does not tell who exists. Its cost is that of new hashes.
	dummy []byte
}

// dummyTail is salt and digest of a hash that belongs to no known password.
const dummyTail = "7EqJtq98hPqEX7fNZaFWoOhi5BcX4Z3lZ0Z8b5m6uJ0VtP1cVqYyG"

func newHasher(cost, parallel int) *hasher {
	return &hasher{
		cost:  cost,
		slots: make(chan struct{}, max(1, parallel)),
		dummy: fmt.Appendf(nil, "$2a$%02d$%s", cost, dummyTail),
	}
}

func cut(password string) []byte {
	b := []byte(password)
	if len(b) > maxPassword {
		b = b[:maxPassword]
	}
	return b
}

func (h *hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hasher) release() { <-h.slots }

// hash returns the bcrypt hash of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	b, err := bcrypt.GenerateFromPassword(cut(password), h.cost)
	return string(b), err
}

// verify reports whether the password belongs to the hash. An empty hash costs
// the time of a comparison and is never right.
func (h *hasher) verify(ctx context.Context, password, hash string) (bool, error) {
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer h.release()
	if hash == "" || password == "" {
		_ = bcrypt.CompareHashAndPassword(h.dummy, cut(password))
		return false, nil
	}
	return bcrypt.CompareHashAndPassword([]byte(hash), cut(password)) == nil, nil
}
