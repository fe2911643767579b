package auth_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

const hashed = "_hashed_password"

var (
	cheapBcrypt = auth.Algorithm{Cost: bcrypt.MinCost}
	cheapArgon  = auth.Algorithm{Argon2id: &auth.Argon2id{Memory: 64, Time: 1, Threads: 1}}
)

func hashing(a auth.Algorithm) func(*auth.Options, *objects.Options) {
	return func(o *auth.Options, _ *objects.Options) { o.Passwords = a }
}

// setHash gives a user a hash as an older database may have it.
func (w *world) setHash(m member, hash string) {
	w.t.Helper()
	if _, _, err := w.objs.Store().Update(w.t.Context(), &storage.Update{
		Class: w.objs.Registry().Current().Class(user), Where: query.ByID(m.id),
		Ops: parse.NewMap(parse.MapField{Key: hashed, Value: hash}),
	}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tryLogin(name, password string) error {
	_, err := w.Login(w.t.Context(), nobody, parse.NewMap(
		parse.MapField{Key: "username", Value: name}, parse.MapField{Key: "password", Value: password}))
	return err
}

// Hashes of all libraries that Parse servers have used verify, and those of
// argon2id.
func TestHashesOfOldDatabases(t *testing.T) {
	b, err := bcrypt.GenerateFromPassword([]byte("pass-alice"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	tail := string(b[3:])
	long := strings.Repeat("0123456789", 8)
	cutOff, err := bcrypt.GenerateFromPassword([]byte(long[:72]), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	// Made by the reference implementation of argon2.
	const argon = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	tests := []struct {
		name, hash, password string
		ok                   bool
	}{
		{"a", "$2a" + tail, "pass-alice", true},
		{"b", "$2b" + tail, "pass-alice", true},
		{"x", "$2x" + tail, "pass-alice", true},
		{"y", "$2y" + tail, "pass-alice", true},
		{"wrong", "$2y" + tail, "pass-bob", false},
		{"cut at 72 bytes", string(cutOff), long, true},
		{"by what is behind", string(cutOff), long[:72] + "other", true},
		{"argon2id", argon, "password", true},
		{"argon2id, wrong", argon, "Password", false},
		{"argon2id of another version", strings.Replace(argon, "v=19", "v=16", 1), "password", false},
		{"argon2id that asks for too much", strings.Replace(argon, "m=256", "m=4000000000", 1), "password", false},
		{"argon2id without passes", strings.Replace(argon, "t=2", "t=0", 1), "password", false},
		{"argon2id, broken", argon[:40], "password", false},
		{"none", "", "pass-alice", false},
		{"no hash", "pass-alice", "pass-alice", false},
	}
	w := newWorld(t, hashing(cheapBcrypt))
	alice := w.signUp("alice")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.setHash(alice, tt.hash)
			err := w.tryLogin("alice", tt.password)
			if tt.ok && err != nil {
				t.Error(err)
			}
			if !tt.ok {
				wantError(t, err, parse.ObjectNotFound, "Invalid username/password.")
			}
		})
	}
}

// A login renews a hash of another algorithm or of a lower cost, and no other.
func TestLoginRenewsHashes(t *testing.T) {
	costly := auth.Algorithm{Cost: bcrypt.MinCost + 1}
	big := auth.Algorithm{Argon2id: &auth.Argon2id{Memory: 128, Time: 1, Threads: 1}}
	long := strings.Repeat("long", 20)
	tests := []struct {
		name     string
		from, to auth.Algorithm
		password string
		renewed  bool
	}{
		{"the same bcrypt", cheapBcrypt, cheapBcrypt, "p", false},
		{"a higher cost", cheapBcrypt, costly, "p", true},
		{"a lower cost", costly, cheapBcrypt, "p", false},
		{"to argon2id", cheapBcrypt, cheapArgon, "p", true},
		{"back to bcrypt", cheapArgon, cheapBcrypt, "p", true},
		{"the same argon2id", cheapArgon, cheapArgon, "p", false},
		{"more memory", cheapArgon, big, "p", true},
		{"less memory", big, cheapArgon, "p", false},
		{"bcrypt has not seen all of it", cheapBcrypt, cheapArgon, long, false},
		{"argon2id has", cheapArgon, cheapBcrypt, long, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := newWorld(t, hashing(tt.from))
			m := old.signUpAs(nobody, `{"username":"alice","password":"`+tt.password+`"}`)
			before := old.stored(m.id)

			w := newWorld(t, hashing(tt.to))
			m = w.signUpAs(nobody, `{"username":"alice","password":"other"}`)
			w.setHash(m, before.String(hashed))
			was := w.stored(m.id)
			w.revoked.take()
			for range 2 {
				if err := w.tryLogin("alice", tt.password); err != nil {
					t.Fatal(err)
				}
			}
			is := w.stored(m.id)
			if got := is.String(hashed) != was.String(hashed); got != tt.renewed {
				t.Errorf("renewed: %t, want %t", got, tt.renewed)
			}
			diff(t, was.UpdatedAt, is.UpdatedAt)
			wantError(t, w.tryLogin("alice", "wrong"), parse.ObjectNotFound, "")
			w.as(m) // the session goes on
		})
	}
}

// Many logins at once renew a hash, and every one of them is let in.
func TestRenewalDuringManyLogins(t *testing.T) {
	w := newWorld(t, hashing(cheapArgon))
	alice := w.signUp("alice")
	for range 10 {
		b, err := bcrypt.GenerateFromPassword([]byte("pass-alice"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		w.setHash(alice, string(b))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := w.tryLogin("alice", "pass-alice"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// BenchmarkGetDuringLogins tells how long a get of an object takes while many
// log in at once: without a bound on hashing, with one for each core, and with
// the default, which leaves a part of the cores alone.
func BenchmarkGetDuringLogins(b *testing.B) {
	const clients, arrival = 64, 2 * time.Millisecond
	for _, bb := range []struct {
		name  string
		slots int
	}{{"unbounded", clients}, {"one per core", runtime.GOMAXPROCS(0)}, {"default", 0}} {
		b.Run(bb.name, func(b *testing.B) {
			w := newWorld(b, func(o *auth.Options, _ *objects.Options) {
				o.HashSlots, o.Passwords, o.Now = bb.slots, auth.Algorithm{Cost: 10}, nil
			})
			m := w.signUp("alice")
			id := w.create(w.as(m), "Doc", `{"n":1}`).Object.ID
			var stop atomic.Bool
			var logins atomic.Int64
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for !stop.Load() {
						if err := w.tryLogin("alice", "wrong"); parse.CodeOf(err) != parse.ObjectNotFound {
							b.Error(err)
							return
						}
						logins.Add(1)
					}
				})
			}
			var took []time.Duration
			began := time.Now()
			for b.Loop() {
				// As by a request that comes in: the goroutine has to be woken.
				start := time.Now().Add(arrival)
				<-time.After(arrival)
				p, err := w.Principal(b.Context(), m.token, "", "")
				if err != nil {
					b.Fatal(err)
				}
				if _, err := w.objs.Get(b.Context(), p, "Doc", id, nil); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			rate := float64(logins.Load()) / time.Since(began).Seconds()
			stop.Store(true)
			wg.Wait()
			slices.Sort(took)
			for _, q := range []int{50, 99} {
				b.ReportMetric(float64(took[len(took)*q/100].Microseconds()), fmt.Sprintf("p%d-us", q))
			}
			b.ReportMetric(rate, "logins/s")
		})
	}
}
