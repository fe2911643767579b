package auth_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/cache"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// countingStore counts the reads of objects and relations.
type countingStore struct {
	storage.Store
	reads atomic.Int64
}

func (c *countingStore) Unwrap() storage.Store { return c.Store }

func (c *countingStore) Find(ctx context.Context, f *storage.Find) ([]*parse.Object, error) {
	c.reads.Add(1)
	return c.Store.Find(ctx, f)
}

func (c *countingStore) Count(ctx context.Context, cl *schema.Class, where query.Node, advice *query.Advice) (int64, error) {
	c.reads.Add(1)
	return c.Store.Count(ctx, cl, where, advice)
}

func (c *countingStore) Related(ctx context.Context, r storage.Join, owner string) ([]string, error) {
	c.reads.Add(1)
	return c.Store.Related(ctx, r, owner)
}

func (c *countingStore) Owning(ctx context.Context, r storage.Join, ids []string) ([]string, error) {
	c.reads.Add(1)
	return c.Store.Owning(ctx, r, ids)
}

func (c *countingStore) Links(ctx context.Context, r storage.Join, owners []string) ([]storage.Link, error) {
	c.reads.Add(1)
	return c.Store.Links(ctx, r, owners)
}

// reading returns how many statements f needs to read.
func (c *countingStore) reading(f func()) int64 {
	was := c.reads.Load()
	f()
	return c.reads.Load() - was
}

// fillRoles stores n roles r0, r1 …; each of the first depth holds the next,
// and the last of these the first.
func (w *world) fillRoles(n, depth int) {
	w.t.Helper()
	ctx, store := w.t.Context(), w.objs.Store()
	list := make([]*parse.Object, n)
	for i := range list {
		id := fmt.Sprintf("r%d", i)
		list[i] = &parse.Object{ClassName: role, ID: id, CreatedAt: 1, UpdatedAt: 1, ACL: parse.NewACL()}
		list[i].Fields.Set("name", "name-"+id)
	}
	if err := store.Insert(ctx, w.objs.Registry().Current().Class(role), list); err != nil {
		w.t.Fatal(err)
	}
	for i := range depth {
		holder := fmt.Sprintf("r%d", (i+1)%depth)
		if err := store.AddRelated(ctx, storage.Join{Class: role, Key: "roles"}, holder, []string{fmt.Sprintf("r%d", i)}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Ten thousand roles, some in a cycle of twenty: a request with a session that
// is in memory reads nothing, and a change of a role reads that role alone.
func TestManyRoles(t *testing.T) {
	const many, depth = 10_000, 20
	var store *countingStore
	w := newWorldOn(t, func(s storage.Store) storage.Store {
		store = &countingStore{Store: s}
		return store
	}, nil)
	w.fillRoles(many, depth)
	alice, bob := w.signUp("alice"), w.signUp("bob")
	w.relate(member{id: "r0"}, "users", "AddRelation", user, alice)
	w.relate(member{id: "r9999"}, "users", "AddRelation", user, bob)
	both := func() {
		t.Helper()
		if n := len(w.as(alice).Roles); n != depth {
			t.Errorf("alice has %d roles, want %d", n, depth)
		}
		diff(t, []string{"name-r9999"}, w.as(bob).Roles)
	}
	both()
	steps := []struct {
		name string
		do   func()
		want int64
	}{
		{"nothing happened", func() {}, 0},
		// The role and the roles that it lists.
		{"a role of one of them is renamed", func() { w.mustUpdate(master, role, "r7", `{"name":"renamed"}`) }, 2},
		{"nothing happened to their roles", func() { w.mustUpdate(master, role, "r7", `{"note":"n"}`) }, 0},
		{"a new role", func() { w.create(master, role, `{"name":"another","ACL":{}}`) }, 2},
		// Session, user and the roles that list him.
		{"somebody joins a role", func() { w.relate(member{id: "r5000"}, "users", "AddRelation", user, member{id: "stranger"}) }, 0},
		{"a user changes", func() { w.mustUpdate(master, user, bob.id, `{"nick":"b"}`) }, 3},
		{"all together", func() {
			w.relate(member{id: "r0"}, "users", "AddRelation", user, alice)
			w.relate(member{id: "r1"}, "roles", "AddRelation", role, member{id: "r0"})
		}, 3 + 2},
	}
	for _, s := range steps {
		s.do()
		if n := store.reading(both); n != s.want {
			t.Errorf("%s: %d statements to read, want %d", s.name, n, s.want)
		}
		if n := store.reading(both); n != 0 {
			t.Errorf("%s: %d statements for warm requests", s.name, n)
		}
	}
	w.remove(role, member{id: "r3"})
	diff(t, []string{"name-r0", "name-r1", "name-r2"}, w.as(alice).Roles)
}

// More roles than fit into the bound are looked up in the database.
func TestMoreRolesThanFit(t *testing.T) {
	for name, bound := range map[string][2]int{"roles": {50, 1000}, "links": {1000, 10}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.BoundRoles(bound[0], bound[1])
			w.fillRoles(49, 5)
			alice := w.signUp("alice")
			w.relate(member{id: "r0"}, "users", "AddRelation", user, alice)
			want := []string{"name-r0", "name-r1", "name-r2", "name-r3", "name-r4"}
			diff(t, want, w.as(alice).Roles)
			for i := range 10 { // over the bound
				r := w.role(fmt.Sprintf("over%d", i))
				w.holds(member{id: "r40"}, r)
				w.holds(member{id: "r41"}, r)
			}
			diff(t, want, w.as(alice).Roles)
			w.mustUpdate(master, role, "r1", `{"name":"renamed"}`)
			diff(t, []string{"name-r0", "name-r2", "name-r3", "name-r4", "renamed"}, w.as(alice).Roles)
			w.relate(member{id: "r2"}, "roles", "RemoveRelation", role, member{id: "r1"})
			diff(t, []string{"name-r0", "renamed"}, w.as(alice).Roles)
		})
	}
}

// second is another server on the database of w.
func (w *world) second(change func(*auth.Options)) *world {
	w.t.Helper()
	pub := &relay{}
	o := auth.Options{Now: w.clock, Passwords: auth.Algorithm{Cost: 4}, SessionLength: time.Hour, CacheTTL: 5 * time.Second}
	change(&o)
	other := &world{t: w.t, app: w.app, pub: pub, now: w.now}
	other.objs = objects.New(w.objs.Store(), w.objs.Registry(), w.app, objects.Options{Now: w.clock, Publisher: pub})
	var err error
	if other.Service, err = auth.New(other.objs, o); err != nil {
		w.t.Fatal(err)
	}
	pub.Service = other.Service
	other.OnRevoke(other.revoked.add)
	w.t.Cleanup(other.Close)
	return other
}

// clock is the time of w.
func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// What another server did is seen once what is in memory is too old.
func TestRolesChangedByAnotherServer(t *testing.T) {
	w := newWorld(t, nil)
	other := w.second(func(*auth.Options) {})
	alice := w.signUp("alice")
	reader := w.role("reader", alice)
	gone := w.role("gone", alice)
	diff(t, []string{"gone", "reader"}, other.as(alice).Roles)
	var writer member
	steps := []struct {
		name string
		do   func()
		want []string
	}{
		{"renamed", func() { w.mustUpdate(master, role, reader.id, `{"name":"lector"}`) }, []string{"gone", "lector"}},
		{"a new role", func() { writer = w.role("writer"); w.holds(reader, writer) }, []string{"gone", "lector", "writer"}},
		{"deleted", func() { w.remove(role, gone) }, []string{"lector", "writer"}},
		{"one deleted, one made", func() { w.remove(role, writer); w.role("fresh", alice) }, []string{"fresh", "lector"}},
		{"left", func() { w.relate(reader, "users", "RemoveRelation", user, alice) }, []string{"fresh"}},
	}
	was := other.as(alice).Roles
	for _, s := range steps {
		s.do()
		diff(t, was, other.as(alice).Roles) // believed for a while
		w.wait(6 * time.Second)
		diff(t, s.want, other.as(alice).Roles)
		was = s.want
	}
	w.wait(time.Hour)
	other.dead(alice, "Session token is expired.")
}

// brokenBus is a bus that can break.
type brokenBus struct {
	*cache.Local
	broken atomic.Bool
}

type brokenSub struct {
	cache.Subscription
	bus *brokenBus
}

func (b *brokenBus) Publish(channel string, m []byte) {
	if !b.broken.Load() {
		b.Local.Publish(channel, m)
	}
}

func (b *brokenBus) Subscribe(channel string, f func([]byte)) cache.Subscription {
	return brokenSub{b.Local.Subscribe(channel, f), b}
}

func (s brokenSub) Since() time.Time {
	if s.bus.broken.Load() {
		return time.Time{}
	}
	return s.Subscription.Since()
}

// Over the bus, another server knows at once; while it is broken, what was
// read is believed for a second.
func TestChangesTravelByTheBus(t *testing.T) {
	bus := &brokenBus{Local: cache.NewLocal()}
	on := func(o *auth.Options) { o.Bus, o.Channel, o.CacheTTL = bus, "c", time.Hour }
	w := newWorld(t, func(o *auth.Options, _ *objects.Options) { on(o) })
	other := w.second(on)
	alice, bob, carol := w.signUp("alice"), w.signUp("bob"), w.signUp("carol")
	staff := w.role("staff", alice)
	diff(t, []string{"staff"}, other.as(alice).Roles)
	other.as(bob)
	other.revoked.take()

	w.relate(staff, "users", "RemoveRelation", user, alice)
	diff(t, []string(nil), other.as(alice).Roles)
	told, all := other.revoked.take()
	diff(t, []any{[]string{alice.id}, 0}, []any{told, all})
	w.mustUpdate(master, role, staff.id, `{"name":"crew"}`)
	if _, all := other.revoked.take(); all != 1 {
		t.Errorf("told %d times of all after a role changed", all)
	}
	w.mustUpdate(master, user, bob.id, `{"password":"new"}`)
	other.dead(bob, invalidToken)
	if err := w.Logout(t.Context(), w.as(carol)); err != nil {
		t.Fatal(err)
	}
	other.dead(carol, invalidToken)

	dave, erin := w.signUp("dave"), w.signUp("erin")
	other.as(dave)
	other.as(erin)
	bus.broken.Store(true)
	if err := w.Logout(t.Context(), w.as(dave)); err != nil {
		t.Fatal(err)
	}
	w.wait(2 * time.Second)
	other.dead(dave, invalidToken)
	other.as(erin)
	if err := w.Logout(t.Context(), w.as(erin)); err != nil {
		t.Fatal(err)
	}
	bus.broken.Store(false)
	other.revoked.take()
	bus.Local.Publish("c", nil) // the bus tells that something is missing
	other.dead(erin, invalidToken)
	if _, all := other.revoked.take(); all != 1 {
		t.Error("a gap must be told to live queries")
	}
	bus.Local.Publish("c", []byte("{")) // what is not understood may matter
	if _, all := other.revoked.take(); all != 1 {
		t.Error("an unknown message must be told to live queries")
	}
}

// TestGraphModel compares the roles in memory with a model, whatever happens.
func TestGraphModel(t *testing.T) {
	w := newWorld(t, nil)
	rounds := 0
	rapid.Check(t, func(rt *rapid.T) {
		rounds++
		alice := w.signUp(fmt.Sprintf("alice%d", rounds))
		var ids []string
		names, holds := map[string]string{}, map[string]map[string]bool{} // holds: member → holders
		direct := map[string]bool{}
		for i := range rapid.IntRange(1, 6).Draw(rt, "roles") {
			name := fmt.Sprintf("m%d-%d", rounds, i)
			m := w.role(name)
			ids, names[m.id] = append(ids, m.id), name
		}
		pick := func(label string) string { return ids[rapid.IntRange(0, len(ids)-1).Draw(rt, label)] }
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			id := pick("role")
			if names[id] == "" {
				continue
			}
			op := rapid.SampledFrom([]string{"AddRelation", "RemoveRelation"}).Draw(rt, "op")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				w.relate(member{id: id}, "users", op, user, alice)
				direct[id] = op == "AddRelation"
			case 1:
				m := pick("member")
				w.relate(member{id: id}, "roles", op, role, member{id: m})
				if holds[m] == nil {
					holds[m] = map[string]bool{}
				}
				holds[m][id] = op == "AddRelation"
			case 2:
				names[id] += "x"
				w.mustUpdate(master, role, id, `{"name":"`+names[id]+`"}`)
			case 3:
				w.remove(role, member{id: id})
				delete(names, id)
			}
			want := map[string]bool{}
			var visit func(id string)
			visit = func(id string) {
				if name := names[id]; name != "" && !want[name] {
					want[name] = true
					for h, is := range holds[id] {
						if is {
							visit(h)
						}
					}
				}
			}
			for id, is := range direct {
				if is {
					visit(id)
				}
			}
			got := w.as(alice).Roles
			if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(sorted, got) {
				rt.Fatalf("got %q, want %q", got, sorted)
			}
		}
	})
}

// Rights follow the last change, however many requests compute them meanwhile.
func TestGraphUnderLoad(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	a, b := w.role("a", alice), w.role("b")
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
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
		w.holds(a, b)
		diff(t, []string{"a", "b"}, w.as(alice).Roles)
		w.relate(b, "roles", "RemoveRelation", role, a)
		diff(t, []string{"a"}, w.as(alice).Roles)
	}
	stop.Store(true)
	wg.Wait()
}

func BenchmarkManyRoles(b *testing.B) {
	w := newWorld(b, nil)
	w.fillRoles(10_000, 20)
	alice := w.signUp("alice")
	w.relate(member{id: "r0"}, "users", "AddRelation", user, alice)
	b.Run("warm", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.as(alice)
		}
	})
	b.Run("a role changed", func(b *testing.B) {
		change := []parse.Change{{Class: role, Action: parse.Deleted, Before: &parse.Object{ClassName: role, ID: "r1"}}}
		for b.Loop() {
			w.Publish(b.Context(), change)
			w.as(alice)
		}
	})
	b.Run("all read anew", func(b *testing.B) {
		for b.Loop() {
			w.Forget()
			w.as(alice)
		}
	})
}
