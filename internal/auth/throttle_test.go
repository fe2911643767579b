package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/cache"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// throttled is a world with the default throttle and the users alice and bob.
func throttled(t *testing.T, change func(*auth.Throttle)) *world {
	t.Helper()
	w := newWorld(t, func(ao *auth.Options, _ *objects.Options) {
		ao.Throttle = auth.DefaultThrottle
		ao.Throttle.Counters = cache.NewMemory(1<<20, ao.Now)
		if change != nil {
			change(&ao.Throttle)
		}
	})
	w.signUp("alice")
	w.signUp("bob")
	return w
}

// at is a client at an address.
func at(ip string) *access.Principal { return access.New(access.Principal{IP: ip}) }

// guesses logs in n times and returns how often each answer came: "in",
// "wrong", "throttled".
func (w *world) guesses(n int, p *access.Principal, name, password string) string {
	w.t.Helper()
	var in, wrong, refused int
	for range n {
		_, err := w.Login(w.t.Context(), p, body(w.t, fmt.Sprintf(`{"username":%q,"password":%q}`, name, password)))
		var pe *parse.Error
		switch {
		case err == nil:
			in++
		case parse.CodeOf(err) == parse.ObjectNotFound:
			wrong++
		case errors.As(err, &pe) && pe.Code == parse.RequestLimitExceeded && pe.Status == http.StatusTooManyRequests && pe.RetryAfter > 0:
			refused++
		default:
			w.t.Fatal(err)
		}
	}
	return fmt.Sprintf("%d in, %d wrong, %d refused", in, wrong, refused)
}

func TestThrottle(t *testing.T) {
	const right, wrong = "pass-alice", "no"
	type step struct {
		n                  int
		ip, name, password string
		wait               time.Duration // before it
		want               string
	}
	many := func(n int, f func(i int) step) (out []step) {
		for i := range n {
			out = append(out, f(i))
		}
		return out
	}
	for name, steps := range map[string][]step{
		"one network on one account": {
			{n: 12, ip: "198.51.100.1", name: "alice", password: wrong, want: "0 in, 10 wrong, 2 refused"},
			{n: 1, ip: "198.51.100.1", name: "alice", password: right, want: "0 in, 0 wrong, 1 refused"},
			{n: 1, ip: "198.51.100.1", name: " ALICE", password: wrong, want: "0 in, 0 wrong, 1 refused"},
			{n: 1, ip: "198.51.100.2", name: "alice", password: right, want: "1 in, 0 wrong, 0 refused"},
			{n: 1, ip: "198.51.100.1", name: "bob", password: "pass-bob", want: "1 in, 0 wrong, 0 refused"},
			{n: 1, ip: "198.51.100.1", name: "alice", password: right, wait: 9 * time.Minute, want: "0 in, 0 wrong, 1 refused"},
			{n: 1, ip: "198.51.100.1", name: "alice", password: right, wait: time.Minute, want: "1 in, 0 wrong, 0 refused"},
		},
		"nobody's account": {
			{n: 12, ip: "198.51.100.1", name: "nobody", password: wrong, want: "0 in, 10 wrong, 2 refused"},
		},
		"a success begins anew": {
			{n: 9, ip: "198.51.100.1", name: "alice", password: wrong, want: "0 in, 9 wrong, 0 refused"},
			{n: 30, ip: "198.51.100.1", name: "alice", password: right, want: "30 in, 0 wrong, 0 refused"},
			{n: 12, ip: "198.51.100.1", name: "alice", password: wrong, want: "0 in, 10 wrong, 2 refused"},
		},
		"a network of IPv6": {
			{n: 5, ip: "2001:db8::1", name: "alice", password: wrong, want: "0 in, 5 wrong, 0 refused"},
			{n: 6, ip: "2001:db8::2", name: "alice", password: wrong, want: "0 in, 5 wrong, 1 refused"},
			{n: 1, ip: "2001:db8:0:1::1", name: "alice", password: right, want: "1 in, 0 wrong, 0 refused"},
		},
		"one network on all accounts": append(many(10, func(i int) step {
			return step{n: 10, ip: "198.51.100.1", name: fmt.Sprint("user", i), password: wrong, want: "0 in, 10 wrong, 0 refused"}
		}),
			step{n: 1, ip: "198.51.100.1", name: "alice", password: right, want: "0 in, 0 wrong, 1 refused"},
			step{n: 1, ip: "198.51.100.2", name: "alice", password: right, want: "1 in, 0 wrong, 0 refused"},
		),
		"a success elsewhere does not help": append(many(10, func(i int) step {
			return step{n: 9, ip: "198.51.100.1", name: fmt.Sprint("user", i), password: wrong, want: "0 in, 9 wrong, 0 refused"}
		}),
			step{n: 1, ip: "198.51.100.1", name: "alice", password: right, want: "1 in, 0 wrong, 0 refused"},
			step{n: 9, ip: "198.51.100.1", name: "other", password: wrong, want: "0 in, 9 wrong, 0 refused"},
			step{n: 9, ip: "198.51.100.1", name: "another", password: wrong, want: "0 in, 1 wrong, 8 refused"},
		),
		"what may be a proxy is no network": append(many(30, func(i int) step {
			return step{n: 10, ip: "10.0.0.1", name: fmt.Sprint("user", i), password: wrong, want: "0 in, 10 wrong, 0 refused"}
		}),
			step{n: 1, ip: "10.0.0.1", name: "alice", password: right, want: "1 in, 0 wrong, 0 refused"},
		),
		"an account under siege": append(many(10, func(i int) step {
			return step{n: 5, ip: fmt.Sprint("203.0.113.", i), name: "alice", password: wrong, want: "0 in, 5 wrong, 0 refused"}
		}),
			step{n: 1, ip: "203.0.113.1", name: "alice", password: right, want: "0 in, 0 wrong, 1 refused"},
			step{n: 5, ip: "203.0.113.77", name: "alice", password: wrong, want: "0 in, 3 wrong, 2 refused"},
			step{n: 2, ip: "2001:db8::1", name: "alice", password: wrong, want: "0 in, 2 wrong, 0 refused"},
			step{n: 2, ip: "2001:db8:0:1::1", name: "alice", password: wrong, want: "0 in, 1 wrong, 1 refused"},
			step{n: 5, ip: "198.51.100.1", name: "alice", password: right, want: "5 in, 0 wrong, 0 refused"},
			step{n: 5, ip: "198.51.100.1", name: "bob", password: "pass-bob", want: "5 in, 0 wrong, 0 refused"},
		),
	} {
		t.Run(name, func(t *testing.T) {
			w := throttled(t, nil)
			for i, s := range steps {
				w.wait(s.wait)
				if got := w.guesses(s.n, at(s.ip), s.name, s.password); got != s.want {
					t.Errorf("step %d, %s from %s: %s, want %s", i, s.name, s.ip, got, s.want)
				}
			}
		})
	}
}

// TestThrottledGuessesAtOnce: of many guesses at a time no more are answered
// than one after the other.
func TestThrottledGuessesAtOnce(t *testing.T) {
	w := throttled(t, nil)
	var answered atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, err := w.Login(t.Context(), at("198.51.100.1"), body(t, `{"username":"alice","password":"no"}`))
			if parse.CodeOf(err) == parse.ObjectNotFound {
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	if n := answered.Load(); n != 10 {
		t.Errorf("%d guesses were answered, want 10", n)
	}
}

func TestThrottleSpares(t *testing.T) {
	w := throttled(t, nil)
	if got, want := w.guesses(40, master, "alice", "no"), "0 in, 40 wrong, 0 refused"; got != want {
		t.Errorf("the master key: %s, want %s", got, want)
	}
	w = throttled(t, func(o *auth.Throttle) { o.Failures, o.AccountFailures = 0, 0 })
	if got, want := w.guesses(102, at("198.51.100.1"), "alice", "no"), "0 in, 100 wrong, 2 refused"; got != want {
		t.Errorf("networks alone: %s, want %s", got, want)
	}
}

// TestThrottleByAddress: a user who has two names can be tried by both, so that
// the limit of one does not tell that the other is his.
func TestThrottleByAddress(t *testing.T) {
	w := throttled(t, nil)
	w.guesses(12, at("198.51.100.1"), "alice", "no")
	if got, want := w.guesses(12, at("198.51.100.1"), "alice@x.y", "no"), "0 in, 10 wrong, 2 refused"; got != want {
		t.Errorf("by address: %s, want %s", got, want)
	}
	_, err := w.VerifyPassword(t.Context(), at("198.51.100.1"), body(t, `{"email":"alice@x.y","password":"pass-alice"}`))
	if parse.CodeOf(err) != parse.RequestLimitExceeded || !strings.Contains(err.Error(), "Try again in 600 seconds.") {
		t.Errorf("verifyPassword: %v", err)
	}
}
