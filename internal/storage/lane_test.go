package storage_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func pattern(t *testing.T, text string) query.Node {
	t.Helper()
	n, err := query.ParseWhere(parse.NewMap(parse.MapField{Key: "s", Value: parse.NewMap(parse.MapField{Key: "$regex", Value: text})}), query.Limits{}, query.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// held is a store whose counts wait.
type held struct {
	able
	count func()
}

func (h *held) Count(context.Context, *schema.Class, query.Node, *query.Advice) (int64, error) {
	h.count()
	return 0, nil
}

// judging has costly patterns of its own.
type judging struct{ storage.Store }

func (judging) Costly(query.Node) bool { return true }

func (j judging) Unwrap() storage.Store { return j.Store }

// TestSlowLane: patterns that may take long run one at a time and wait in a
// bounded queue, while other queries pass, on every store.
func TestSlowLane(t *testing.T) {
	const slowQueue = 32
	evil, plain := pattern(t, `^(?=a)(a+)+$`), pattern(t, `^(a+)+$`)
	for name, tt := range map[string]struct {
		wrap func(storage.Store) storage.Store
		slow query.Node
	}{
		"back":     {func(s storage.Store) storage.Store { return s }, &query.Or{Nodes: []query.Node{plain, evil}}},
		"large":    {func(s storage.Store) storage.Store { return s }, pattern(t, `(x?){999}`)},
		"observed": {func(s storage.Store) storage.Store { return storage.Observed(s, &heard{}) }, evil},
		"judged":   {func(s storage.Store) storage.Store { return judging{s} }, plain},
	} {
		t.Run(name, func(t *testing.T) {
			var running, most, refused, done atomic.Int64
			first, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			var wg sync.WaitGroup
			inner := &held{able: able{Store: storagetest.NewModel(), calls: map[string]int{}}, count: func() {
				most.Store(max(most.Load(), running.Add(1)))
				once.Do(func() { close(first) })
				<-release
				running.Add(-1)
				done.Add(1)
			}}
			l := storage.Laned(tt.wrap(inner), nil)
			one := func() {
				_, err := l.Count(t.Context(), nil, tt.slow, nil)
				if parse.CodeOf(err) == parse.RequestLimitExceeded {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			}
			wg.Go(one)
			<-first
			for range slowQueue + 10 {
				wg.Go(one)
			}
			for deadline := time.Now().Add(20 * time.Second); refused.Load() < 10; <-time.After(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d were refused, want 10", refused.Load())
				}
			}
			if _, judged := tt.wrap(inner).(judging); !judged {
				if _, err := storage.AsAggregator(l).Aggregate(t.Context(), &storage.Aggregate{Where: plain}, nil); !errors.Is(err, errAsked) {
					t.Errorf("another query: %v", err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for _, err := range []error{
				second(l.Count(ctx, nil, tt.slow, nil)), second(l.Find(ctx, &storage.Find{Where: tt.slow})),
				second(storage.AsAggregator(l).Aggregate(ctx, &storage.Aggregate{Where: tt.slow}, nil)),
			} {
				if !errors.Is(err, context.Canceled) && parse.CodeOf(err) != parse.RequestLimitExceeded {
					t.Errorf("one that has gone: %v", err)
				}
			}
			close(release)
			wg.Wait()
			if most.Load() != 1 || done.Load() != slowQueue+1 || refused.Load() != 10 {
				t.Errorf("%d at a time, %d done, %d refused", most.Load(), done.Load(), refused.Load())
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// TestSharedLane: slow patterns go in the lane of all that takes long.
func TestSharedLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := fair.NewLane(1)
		turn, err := lane.Enter(t.Context(), "another")
		if err != nil {
			t.Fatal(err)
		}
		inner := &held{able: able{Store: storagetest.NewModel(), calls: map[string]int{}}, count: func() {}}
		l := storage.Laned(inner, lane)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Count(ctx, nil, pattern(t, `^(?=a)(a+)+$`), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while another is at work: %v", err)
		}
		turn.Leave()
		if _, err := l.Count(t.Context(), nil, pattern(t, `^(?=a)(a+)+$`), nil); err != nil {
			t.Error(err)
		}
	})
}
