package auth_test

import (
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// A session in use is given a new life once half of it is over, not before.
func TestSessionsAreExtended(t *testing.T) {
	for _, extend := range []bool{true, false} {
		w := newWorld(t, func(o *auth.Options, _ *objects.Options) { o.ExtendOnUse = extend })
		alice := w.signUp("alice")
		ends := func() parse.Date {
			t.Helper()
			w.Wait()
			v, _ := w.sessions(master)[alice.token].Get("expiresAt")
			d, _ := v.(parse.Date)
			return d
		}
		first := ends()
		w.wait(29 * time.Minute)
		w.as(alice)
		diff(t, first, ends())
		w.wait(time.Minute)
		for range 3 {
			w.as(alice)
		}
		want := first
		if extend {
			want += parse.Date((30 * time.Minute).Milliseconds())
		}
		diff(t, want, ends())
		w.wait(31 * time.Minute) // beyond the first life
		if !extend {
			w.dead(alice, "Session token is expired.")
			continue
		}
		w.as(alice)
		if got := ends(); got <= want {
			t.Errorf("extended to %v, want later than %v", got, want)
		}
	}
}
