package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func pattern(t *testing.T, text string) query.Node {
	t.Helper()
	n, err := query.ParseWhere(parse.NewMap(parse.MapField{Key: "s", Value: parse.NewMap(parse.MapField{Key: "$regex", Value: text})}), query.Limits{}, query.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSlowLane: patterns that go back run one at a time and wait in a bounded
// queue, while other queries pass.
func TestSlowLane(t *testing.T) {
	l := newSlowLane()
	evil, plain := pattern(t, `^(?=a)(a+)+$`), pattern(t, `^(a+)+$`)
	if !query.Backtracks(&query.Or{Nodes: []query.Node{plain, evil}}) || query.Backtracks(plain) {
		t.Fatal("which patterns go back is told wrongly")
	}
	var running, most, refused, done atomic.Int64
	first, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	one := func() {
		err := l.run(t.Context(), evil, func() error {
			most.Store(max(most.Load(), running.Add(1)))
			once.Do(func() { close(first) })
			<-release
			running.Add(-1)
			done.Add(1)
			return nil
		})
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
	passed := false
	if err := l.run(t.Context(), plain, func() error { passed = true; return nil }); err != nil || !passed {
		t.Errorf("another query: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.run(ctx, evil, func() error { return nil }); !errors.Is(err, context.Canceled) && parse.CodeOf(err) != parse.RequestLimitExceeded {
		t.Errorf("one that has gone: %v", err)
	}
	close(release)
	wg.Wait()
	if most.Load() != 1 || done.Load() != slowQueue+1 || refused.Load() != 10 {
		t.Errorf("%d at a time, %d done, %d refused", most.Load(), done.Load(), refused.Load())
	}
}
