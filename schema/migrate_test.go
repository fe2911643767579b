package schema_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/schema"
)

// sharedStore is a store of a schema that several registries use.
type sharedStore struct {
	mu      sync.Mutex
	store   fakeStore
	version uint64
	log     []string
	lost    bool // the lock is lost as soon as it is held
}

func (s *sharedStore) say(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, what)
}

// heard returns what happened since the last call.
func (s *sharedStore) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.log, ", ")
	s.log = nil
	return out
}

func (s *sharedStore) LoadSchema(ctx context.Context) ([]*schema.Class, error) {
	s.say("load")
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.LoadSchema(ctx)
}

func (s *sharedStore) ApplySchema(ctx context.Context, steps []schema.Step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.say("apply")
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.ApplySchema(ctx, steps)
}

func (s *sharedStore) SchemaVersion(context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version, nil
}

func (s *sharedStore) AnnounceSchema(context.Context) (uint64, error) {
	s.say("announce")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	return s.version, nil
}

func (s *sharedStore) SchemaPrint(context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.store.have.Classes())), nil
}

func (s *sharedStore) LockSchema(ctx context.Context) (context.Context, func(), error) {
	s.say("lock")
	ctx, cancel := context.WithCancelCause(ctx)
	if s.lost {
		cancel(errLost)
	}
	return ctx, func() { cancel(nil); s.say("unlock") }, nil
}

var errLost = errors.New("the lock is lost")

func addField(name string) func(*schema.Snapshot) ([]schema.Step, error) {
	return func(s *schema.Snapshot) ([]schema.Step, error) {
		return schema.Diff(s, []*schema.Class{game(&schema.Field{Name: name, Type: schema.Number})})
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	s := &sharedStore{store: fakeStore{have: schema.NewSnapshot(0)}}
	migrate := func(m schema.Migration) error {
		return schema.NewRegistry(s).Migrate(t.Context(), m)
	}
	note := func(what string) func(context.Context) error {
		return func(context.Context) error { s.say(what); return nil }
	}
	for _, tc := range []struct {
		name string
		m    schema.Migration
		want string
		err  error
	}{
		{
			"all that there is to do",
			schema.Migration{Plan: addField("a"), Before: note("before"), After: note("after")},
			"load, lock, load, apply, announce, before, apply, announce, after, unlock", nil,
		},
		{"nothing to do", schema.Migration{Plan: addField("a")}, "load", nil},
		{"code has to run all the same", schema.Migration{Plan: addField("a"), After: note("after")}, "load, lock, load, after, unlock", nil},
		{"step by step", schema.Migration{Plan: addField("b"), Each: func(st schema.Step, do func() error) error {
			s.say("step " + st.Field.Name)
			return do()
		}}, "load, lock, load, step b, apply, announce, unlock", nil},
		{"the code before fails", schema.Migration{Plan: addField("c"), Before: func(context.Context) error { return errLost }}, "load, lock, load, unlock", errLost},
		{"a mistake is told without a lock", schema.Migration{Plan: func(*schema.Snapshot) ([]schema.Step, error) { return nil, errLost }}, "load", errLost},
	} {
		if err := migrate(tc.m); !errors.Is(err, tc.err) {
			t.Errorf("%s: error %v, want %v", tc.name, err, tc.err)
		}
		if got := s.heard(); got != tc.want {
			t.Errorf("%s: %s\nwant %s", tc.name, got, tc.want)
		}
	}
	s.lost = true
	if err := migrate(schema.Migration{Plan: addField("d")}); !errors.Is(err, errLost) {
		t.Errorf("without the lock: %v", err)
	}
	if got := s.heard(); strings.Contains(got, "apply") {
		t.Errorf("without the lock: %s", got)
	}
}

// TestOthersChanges: a registry sees what others have announced before it
// changes anything itself, and by itself after a while.
func TestOthersChanges(t *testing.T) {
	t.Parallel()
	s := &sharedStore{store: fakeStore{have: schema.NewSnapshot(0)}}
	a, b := schema.NewRegistry(s), schema.NewRegistry(s)
	for _, r := range []*schema.Registry{a, b} {
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Apply(t.Context(), addField("a")); err != nil {
		t.Fatal(err)
	}
	s.heard()
	user := b.Current().Class("_User")
	snap, err := b.Apply(t.Context(), addField("b"))
	if err != nil || snap.Class("Game").Field("a") == nil || snap.Class("Game").Field("b") == nil {
		t.Errorf("%v, %v", snap.Class("Game"), err)
	}
	if got := s.heard(); got != "load, apply, announce" {
		t.Errorf("a change after another's: %s", got)
	}
	if snap.Class("_User") != user {
		t.Error("a class that did not change is another one")
	}
	if _, err := b.Apply(t.Context(), addField("c")); err != nil || s.heard() != "apply, announce" {
		t.Errorf("a change after an own one: %v, %s", err, s.heard())
	}

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		a.Follow(ctx, schema.Pace{Announced: time.Millisecond, Any: 3 * time.Millisecond}, slog.New(slog.DiscardHandler))
	})
	defer wg.Wait()
	defer stop()
	sees := func(what string, ok func(*schema.Snapshot) bool) {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for end := time.After(20 * time.Second); !ok(a.Current()); {
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("%s is not seen", what)
			}
		}
	}
	sees("an announced change", func(s *schema.Snapshot) bool { return s.Class("Game").Field("c") != nil })
	s.mu.Lock()
	s.store.have, err = schema.Apply(s.store.have, []schema.Step{{Kind: schema.CreateClass, Class: "Theirs", Def: &schema.Class{Name: "Theirs"}}})
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	sees("a change that nobody announced", func(s *schema.Snapshot) bool { return s.Class("Theirs") != nil })
	if !slices.ContainsFunc(a.Current().Classes(), func(c *schema.Class) bool { return c.Name == "_User" }) {
		t.Error("classes are lost")
	}
}
