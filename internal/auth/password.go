package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/parse"
)

// hasher computes password hashes, only so many at a time that other requests
// find a free core: a storm of logins waits, within a bound, instead of
// starving everybody else. Who has had least of it is next.
type hasher struct {
	algorithm Algorithm
	slots     *fair.Queue
	// suspects is the turn of those who have failed lately: one at a time, and
	// few of them wait, so that guesses do not hold up those who know their
	// passwords. They go in the lane of all that may wait.
	suspects *fair.Queue
	lane     *fair.Lane
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

func newHasher(a Algorithm, slots int, lane *fair.Lane) *hasher {
	slots = max(1, slots)
	return &hasher{
		algorithm: a, dummy: a.dummy(), lane: lane,
		slots: fair.NewQueue(int64(slots), max(minQueue, slots*queuePerSlot)), suspects: fair.NewQueue(1, suspectQueue),
	}
}

// take waits for a place in a queue and returns what gives it back.
func take(ctx context.Context, q *fair.Queue, from string) (leave func(), err error) {
	if err := q.Acquire(ctx, from, 1); err != nil {
		if errors.Is(err, fair.ErrFull) {
			err = errTooManyPasswords()
		}
		return nil, err
	}
	began := time.Now()
	return func() { q.Release(from, 1, int64(time.Since(began))) }, nil
}

func errTooManyPasswords() error {
	return &parse.Error{
		Code: parse.RequestLimitExceeded, Status: http.StatusServiceUnavailable,
		RetryAfter: 10 * time.Second, Message: "Too many passwords are being checked at the moment. Try again soon.",
	}
}

// hash returns a new hash of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	leave, err := take(ctx, h.slots, "")
	if err != nil {
		return "", err
	}
	defer leave()
	return h.algorithm.hash(password)
}

// verify reports whether the password belongs to the hash, whatever algorithm
// it is of. An empty hash costs the time of a comparison and is never right.
func (h *hasher) verify(ctx context.Context, password, hash string) (bool, error) {
	return h.verifyAs(ctx, "", password, hash)
}

// verifyAs is verify for somebody in a line of its own.
func (h *hasher) verifyAs(ctx context.Context, line, password, hash string) (bool, error) {
	leave, err := take(ctx, h.slots, line)
	if err != nil {
		return false, err
	}
	defer leave()
	return h.compare(password, hash), nil
}

// verifyFrom is verify for somebody of whom only is known where he comes from.
// Should others from there be found wrong while he waits, he is a suspect, too.
func (h *hasher) verifyFrom(ctx context.Context, from, password, hash string) (bool, error) {
	leave, err := take(ctx, h.slots, from)
	if errors.Is(err, fair.ErrDismissed) {
		return h.verifySuspect(ctx, from, password, hash)
	}
	if err != nil {
		return false, err
	}
	defer leave()
	ok := h.compare(password, hash)
	if !ok {
		h.slots.Dismiss(from)
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

// suspectQueue is how many suspects may wait, suspectLine is the line of that
// one of them whose turn it is.
const (
	suspectQueue = 32
	suspectLine  = "suspects"
)

// verifySuspect is verify for who has failed lately. Each comparison is
// followed by a rest of the same length: guesses take half a core at most.
func (h *hasher) verifySuspect(ctx context.Context, from, password, hash string) (bool, error) {
	leave, err := take(ctx, h.suspects, from)
	if err != nil {
		return false, err
	}
	turn, err := h.lane.Enter(ctx, from)
	if err != nil {
		leave()
		return false, err
	}
	began := time.Now()
	ok, err := h.verifyAs(ctx, suspectLine, password, hash)
	turn.Leave()
	time.AfterFunc(time.Since(began), leave)
	return ok, err
}

// renewable reports whether a hash should be replaced by one of the algorithm
// in force, now that the password is known. That can wait for a quiet moment.
func (h *hasher) renewable(password, hash string) bool {
	return h.slots.Waiting() == 0 && h.algorithm.renews(password, hash)
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
