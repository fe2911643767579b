package auth_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

const lockedText = "Your account is locked due to multiple failed login attempts. Please try again after 10 minute(s)"

func locking(threshold int) func(*auth.Options, *objects.Options) {
	return func(o *auth.Options, _ *objects.Options) {
		o.Lockout = auth.Lockout{Duration: 10 * time.Minute, Threshold: threshold}
	}
}

func TestALockEndsWithItsTime(t *testing.T) {
	w := newWorld(t, locking(2))
	m := w.signUp("ann")
	try := func(password, text string) {
		t.Helper()
		_, err := w.Login(t.Context(), nobody, body(t, `{"username":"ann","password":"`+password+`"}`))
		if text == "" && err == nil {
			return
		}
		wantError(t, err, parse.ObjectNotFound, text)
	}
	try("wrong", "Invalid username/password.")
	try("wrong", "Invalid username/password.")
	before := w.stored(m.id)
	try("pass-ann", lockedText)
	w.wait(10*time.Minute - time.Second)
	try("pass-ann", lockedText)
	w.wait(time.Second)
	try("wrong", lockedText) // the count goes on
	w.wait(10 * time.Minute)
	try("pass-ann", "")
	after := w.stored(m.id)
	if n, _ := after.Number("_failed_login_count"); n != 0 {
		t.Errorf("failed logins after one that succeeded: %v", n)
	}
	if before.UpdatedAt != after.UpdatedAt {
		t.Error("counting changes updatedAt")
	}
	w.as(m) // the session from before goes on
}

// Of guesses at a time the right one wins only if it is answered before the
// account is locked: nobody learns the outcome of more than threshold guesses.
func TestTheRightGuessAmongMany(t *testing.T) {
	const threshold, guesses = 3, 40
	w := newWorld(t, locking(threshold))
	w.signUp("ann")
	var mu sync.Mutex
	told, locked := 0, 0
	var wg sync.WaitGroup
	for i := range guesses {
		password := "wrong"
		if i == guesses-1 {
			password = "pass-ann"
		}
		wg.Go(func() {
			_, err := w.VerifyPassword(t.Context(), nobody, body(t, `{"username":"ann","password":"`+password+`"}`))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && strings.Contains(err.Error(), "account is locked"):
				locked++
			case err == nil || parse.CodeOf(err) == parse.ObjectNotFound:
				told++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// A right guess that is answered in time begins the count anew, once.
	if told > 2*threshold || told+locked != guesses {
		t.Errorf("%d guesses were answered, %d locked", told, locked)
	}
}
