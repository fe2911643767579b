package fair_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pargo-baas/pargo/internal/fair"
)

// machine acts a machine whose requests all want a core.
type machine struct {
	gate   *fair.Gate
	cores  int
	inside atomic.Int64
	most   atomic.Int64
}

func newMachine(cores int) *machine {
	m := &machine{cores: cores}
	m.gate = fair.NewGate(cores, func() int { return int(m.inside.Load()) - m.cores })
	return m
}

// serve serves a request that takes so long on its own.
func (m *machine) serve(ctx context.Context, from string, d time.Duration) error {
	pass, err := m.gate.Enter(ctx, from)
	if err != nil {
		return err
	}
	defer pass.Leave()
	m.most.Store(max(m.most.Load(), m.inside.Add(1)))
	defer m.inside.Add(-1)
	time.Sleep(d)
	return nil
}

func TestGateIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(2)
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 34 { // as many as cores can soon do
			wg.Go(func() {
				if err := m.serve(t.Context(), fmt.Sprint(i%3), time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v, somebody had to wait", took)
		}
		m.gate.Close()
	})
	var none *fair.Gate
	pass, err := none.Enter(t.Context(), "")
	if err != nil {
		t.Error(err)
	}
	pass.Leave()
}

// TestGateWaitsForNoDatabase: what waits for something else than a core keeps
// nobody out.
func TestGateWaitsForNoDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := fair.NewGate(2, func() int { return 0 })
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				pass, err := g.Enter(t.Context(), "a")
				if err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				pass.Leave()
			})
		}
		synctest.Wait()
		if g.Inside() != 1000 {
			t.Errorf("%d are let in", g.Inside())
		}
		wg.Wait()
		g.Close()
	})
}

// TestGateInAFlood: while a flood goes on, who asks little is let in at once,
// and nobody is forgotten.
func TestGateInAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(2)
		var wg sync.WaitGroup
		var served [3]atomic.Int64
		for i := range 6000 {
			wg.Go(func() {
				if err := m.serve(t.Context(), fmt.Sprint("flood", i%3), 10*time.Millisecond); err != nil {
					t.Error(err)
				}
				served[i%3].Add(1)
			})
			if i%60 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		var waits []time.Duration
		for range 20 {
			began := time.Now()
			if err := m.serve(t.Context(), "honest", 0); err != nil {
				t.Error(err)
			}
			waits = append(waits, time.Since(began))
			time.Sleep(time.Millisecond)
		}
		if m.gate.Waiting() < 1000 {
			t.Errorf("no flood: %d wait", m.gate.Waiting())
		}
		if longest := slices.Max(waits); longest > 10*time.Millisecond {
			t.Errorf("who asks little waits %v", longest)
		}
		a, b, c := served[0].Load(), served[1].Load(), served[2].Load()
		if max(a, b, c)-min(a, b, c) > 30 {
			t.Errorf("not in turn: %d %d %d", a, b, c)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.serve(ctx, "flood1", 0); !errors.Is(err, context.Canceled) {
			t.Errorf("one that has gone: %v", err)
		}
		wg.Wait()
		time.Sleep(2 * time.Second) // it is open a while after
		if n := served[0].Load() + served[1].Load() + served[2].Load(); n != 6000 || m.gate.Inside() != 0 || m.gate.Waiting() != 0 {
			t.Errorf("%d served, %d are inside, %d wait", n, m.gate.Inside(), m.gate.Waiting())
		}
		m.most.Store(0)
		for range 20 { // all in again
			wg.Go(func() {
				if err := m.serve(t.Context(), "", time.Millisecond); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if m.most.Load() != 20 {
			t.Errorf("%d at a time", m.most.Load())
		}
		m.gate.Close()
	})
}

// TestGateCloses: who waits is let in when the server ends.
func TestGateCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(1)
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if err := m.serve(t.Context(), "a", 5*time.Millisecond); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(100 * time.Microsecond)
		}
		synctest.Wait()
		if m.gate.Waiting() == 0 {
			t.Error("nobody waits")
		}
		m.gate.Close()
		synctest.Wait()
		if m.gate.Waiting() != 0 {
			t.Errorf("%d still wait", m.gate.Waiting())
		}
		wg.Wait()
		m.gate.Close()
	})
}

func TestRunnable(t *testing.T) {
	if n := fair.Runnable(); n < 0 || n > 1<<20 {
		t.Errorf("%d goroutines wait for a core", n)
	}
}

func BenchmarkGate(b *testing.B) {
	b.ReportAllocs()
	g := fair.NewGate(1000, func() int { return 0 })
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pass, err := g.Enter(b.Context(), "203.0.113.1")
			if err != nil {
				b.Error(err)
			}
			pass.Leave()
		}
	})
}

func BenchmarkRunnable(b *testing.B) {
	for b.Loop() {
		fair.Runnable()
	}
}
