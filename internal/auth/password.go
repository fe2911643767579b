package auth

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// hasher computes password hashes, only so many at a time that other requests
// find a free core: a storm of logins waits, within a bound, instead of
// starving everybody else.
type hasher struct {
	algorithm Algorithm
	slots     turns
	// suspects is the turn of those who have failed lately: one at a time, and
	// few of them wait, so that guesses do not hold up those who know their passwords.
	suspects chan struct{}
	doubted  atomic.Int64
	// dummy is compared against when there is no user, so that the time of an
	// answer does not tell who exists. It costs what new hashes do.
	dummy string
}

// At least minQueue may wait for a slot, and queuePerSlot for each: at the usual
// cost the last of them waits half a minute. Whoever comes then is better off
// trying again.
const minQueue, queuePerSlot = 1024, 256

// hashSlots is how many hashes are computed at a time on so many cores: a
// quarter of them, and of two cores one, stays for everything else.
func hashSlots(cores int) int { return max(1, cores*3/4) }

func newHasher(a Algorithm, slots int) *hasher {
	slots = max(1, slots)
	return &hasher{
		algorithm: a, suspects: make(chan struct{}, 1), dummy: a.dummy(),
		slots: turns{free: slots, queue: max(minQueue, slots*queuePerSlot), lines: map[string][]*waiter{}},
	}
}

func errTooManyPasswords() error {
	return &parse.Error{
		Code: parse.RequestLimitExceeded, Status: http.StatusServiceUnavailable,
		RetryAfter: 10 * time.Second, Message: "Too many passwords are being checked at the moment. Try again soon.",
	}
}

// hash returns a new hash of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if _, err := h.slots.acquire(ctx, ""); err != nil {
		return "", err
	}
	defer h.slots.release()
	return h.algorithm.hash(password)
}

// verify reports whether the password belongs to the hash, whatever algorithm
// it is of. An empty hash costs the time of a comparison and is never right.
func (h *hasher) verify(ctx context.Context, password, hash string) (bool, error) {
	if _, err := h.slots.acquire(ctx, ""); err != nil {
		return false, err
	}
	defer h.slots.release()
	return h.compare(password, hash), nil
}

// verifyFrom is verify for somebody of whom only is known where he comes from.
// Should others from there be found wrong while he waits, he is a suspect, too.
func (h *hasher) verifyFrom(ctx context.Context, from, password, hash string) (bool, error) {
	doubted, err := h.slots.acquire(ctx, from)
	if err != nil {
		return false, err
	}
	if doubted {
		return h.verifySuspect(ctx, password, hash)
	}
	defer h.slots.release()
	ok := h.compare(password, hash)
	if !ok {
		h.slots.doubt(from)
	}
	return ok, nil
}

func (h *hasher) compare(password, hash string) bool {
	if hash == "" || password == "" {
		matches(password, h.dummy)
		return false
	}
	return matches(password, hash)
}

// suspectQueue is how many suspects may wait.
const suspectQueue = 32

// verifySuspect is verify for who has failed lately. Each comparison is
// followed by a rest of the same length: guesses take half a core at most.
func (h *hasher) verifySuspect(ctx context.Context, password, hash string) (bool, error) {
	if h.doubted.Add(1) > suspectQueue {
		h.doubted.Add(-1)
		return false, errTooManyPasswords()
	}
	select {
	case h.suspects <- struct{}{}:
		h.doubted.Add(-1)
	case <-ctx.Done():
		h.doubted.Add(-1)
		return false, ctx.Err()
	}
	began := time.Now()
	ok, err := h.verify(ctx, password, hash)
	time.AfterFunc(time.Since(began), func() { <-h.suspects })
	return ok, err
}

// renewable reports whether a hash should be replaced by one of the algorithm
// in force, now that the password is known. That can wait for a quiet moment.
func (h *hasher) renewable(password, hash string) bool {
	return h.slots.idle() && h.algorithm.renews(password, hash)
}

// renewHash gives a user who has just proved to know the password a hash of
// the algorithm in force, if his is of another or a weaker one, and returns him
// as he is then. If that fails, the old hash still does.
func (s *Service) renewHash(ctx context.Context, user *parse.Object, password string) *parse.Object {
	old := user.String(hashField)
	if !s.hash.renewable(password, old) {
		return user
	}
	hash, err := s.hash.hash(ctx, password)
	if err != nil {
		return user
	}
	after, err := s.replaceHash(ctx, user.ID, old, hash)
	if err != nil {
		s.o.Log.WarnContext(ctx, "a password hash was not renewed", "error", err)
	}
	if after == nil {
		return user
	}
	return after
}
