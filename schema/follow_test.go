package schema_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pargo-baas/pargo/schema"
)

// toldStore is a shared store that tells of changes, and counts the looks at it.
type toldStore struct {
	*sharedStore
	told             chan schema.Word
	versions, prints atomic.Int64
}

func (s *toldStore) SchemaChanges(context.Context) <-chan schema.Word { return s.told }

func (s *toldStore) SchemaVersion(ctx context.Context) (uint64, error) {
	s.versions.Add(1)
	return s.sharedStore.SchemaVersion(ctx)
}

func (s *toldStore) SchemaPrint(ctx context.Context) (uint64, error) {
	s.prints.Add(1)
	return s.sharedStore.SchemaPrint(ctx)
}

// A registry that is told of changes looks when it is told, at once but no more
// often than it would by itself; where nobody tells, or no longer, it looks by itself.
func TestFollowTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &toldStore{sharedStore: &sharedStore{store: fakeStore{have: schema.NewSnapshot(0)}}, told: make(chan schema.Word, 1)}
		r := schema.NewRegistry(s)
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Follow(ctx, schema.Pace{Announced: time.Second, Any: time.Hour}, slog.New(slog.DiscardHandler))
		}()
		defer func() { stop(); <-done }()
		after := func(what string, d time.Duration, versions, thorough int64) {
			t.Helper()
			s.versions.Store(0)
			s.prints.Store(0)
			time.Sleep(d) // by the clock of the bubble
			synctest.Wait()
			if v, th := s.versions.Load(), s.prints.Load(); v != versions || th != thorough {
				t.Errorf("%s: looked %d times, %d times at all; want %d, %d", what, v, th, versions, thorough)
			}
		}
		tell := func(words ...schema.Word) {
			for _, w := range words {
				schema.Tell(s.told, w)
				synctest.Wait()
			}
		}
		after("nobody tells", 10*time.Second+time.Millisecond, 10, 0)

		s.versions.Store(0)
		tell(schema.Changed)
		if s.prints.Load() != 1 {
			t.Error("it does not look as soon as it is told")
		}
		after("nothing happens", 10*time.Second, 0, 0)
		for range 5 {
			tell(schema.Changed)
		}
		after("five changes at once", 10*time.Second, 1, 1) // and one of them at once

		tell(schema.Changed, schema.Changed, schema.Deaf)
		after("deaf with a look to do", 500*time.Millisecond, 0, 0)
		after("deaf", 10*time.Second, 11, 1)
		tell(schema.Deaf)
		after("deaf again", 10*time.Second, 10, 0)
		tell(schema.Changed)
		after("heard again", 10*time.Second, 0, 0)
		after("by itself", time.Hour, 1, 1)
	})
}

// Of words that nobody has heard the last one counts.
func TestTell(t *testing.T) {
	told := make(chan schema.Word, 1)
	for _, w := range []schema.Word{schema.Changed, schema.Deaf, schema.Changed, schema.Deaf} {
		schema.Tell(told, w)
	}
	if got := <-told; got != schema.Deaf || len(told) != 0 {
		t.Errorf("heard %d, and %d more wait", got, len(told))
	}
}
