package auth_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func TestUserChangesAreSeen(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	p := w.as(alice)
	if w.as(alice) != p {
		t.Error("the principal is not cached")
	}
	w.mustUpdate(master, user, alice.id, `{"nick":"al"}`)
	diff(t, "al", w.as(alice).User.String("nick"))
	diff(t, "", p.User.String("nick")) // that of a request under way does not change
	told, all := w.revoked.take()
	diff(t, []any{[]string{alice.id}, 0}, []any{told, all})
}

// Another server may have changed the database: after CacheTTL it is read again.
func TestCacheTTL(t *testing.T) {
	w := newWorld(t, func(o *auth.Options, _ *objects.Options) { o.CacheTTL = 5 * time.Second })
	alice := w.signUp("alice")
	w.as(alice)
	w.wait(3 * time.Second)
	w.as(alice)
	if _, err := w.objs.Store().Delete(t.Context(), w.objs.Registry().Current().Class(session), query.Equal("sessionToken", alice.token)); err != nil {
		t.Fatal(err)
	}
	w.wait(2 * time.Second)
	w.as(alice)
	w.wait(time.Millisecond)
	w.dead(alice, invalidToken)
}

// Once the end of a session is acknowledged it never resolves again, however
// many requests read it meanwhile.
func TestEndedSessionsStayDead(t *testing.T) {
	w := newWorld(t, nil)
	const rounds = 40
	ends := []func(m member) error{
		func(m member) error { return w.Logout(t.Context(), w.principal(m)) },
		func(m member) error {
			return w.objs.Delete(t.Context(), master, session, w.sessions(master)[m.token].ID)
		},
		func(m member) error {
			_, err := w.objs.Update(t.Context(), master, &objects.Write{Class: user, ID: m.id, Body: body(t, `{"password":"new"}`)})
			return err
		},
		func(m member) error { return w.objs.Delete(t.Context(), master, user, m.id) },
	}
	for i := range rounds {
		m := w.signUp("user" + strconv.Itoa(i))
		var ended, stop atomic.Bool
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				for !stop.Load() {
					was := ended.Load()
					_, err := w.Principal(t.Context(), m.token, "", strconv.Itoa(n))
					switch {
					case err == nil && was:
						t.Error("an ended session was resolved")
						return
					case err != nil && parse.CodeOf(err) != parse.InvalidSessionToken:
						t.Error(err)
						return
					}
				}
			})
		}
		err := ends[i%len(ends)](m)
		ended.Store(true)
		w.dead(m, invalidToken)
		stop.Store(true)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A role that is taken away is gone with the answer, whoever reads meanwhile.
func TestLostRolesStayLost(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	admin := w.role("admin")
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				if _, err := w.Principal(t.Context(), alice.token, "", ""); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 30 {
		w.relate(admin, "users", "AddRelation", user, alice)
		diff(t, []string{"admin"}, w.as(alice).Roles)
		w.relate(admin, "users", "RemoveRelation", user, alice)
		diff(t, []string(nil), w.as(alice).Roles)
	}
	stop.Store(true)
	wg.Wait()
}

func BenchmarkPrincipalCached(b *testing.B) {
	w := newWorld(b, func(o *auth.Options, _ *objects.Options) { o.Now = nil })
	alice := w.signUp("alice")
	w.role("admin", alice)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.Principal(ctx, alice.token, "inst", "127.0.0.1"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkPrincipalCold(b *testing.B) {
	w := newWorld(b, nil)
	alice := w.signUp("alice")
	w.role("admin", alice)
	forget := []parse.Change{{Class: user, Action: parse.Updated, Before: w.as(alice).User}}
	ctx := b.Context()
	for b.Loop() {
		w.Publish(ctx, forget)
		if _, err := w.Principal(ctx, alice.token, "inst", "127.0.0.1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMe(b *testing.B) {
	w := newWorld(b, nil)
	p := w.as(w.signUp("alice"))
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Me(ctx, p, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
