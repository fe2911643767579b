package cache_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/cache"
)

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newCache(maxBytes int) (*cache.Memory, *clock) {
	c := &clock{at: time.Unix(1000, 0)}
	return cache.NewMemory(maxBytes, c.now), c
}

func TestCountsInFixedWindows(t *testing.T) {
	m, clock := newCache(1 << 20)
	ctx := t.Context()
	for i, step := range []struct {
		key  string
		pass time.Duration
		want int
		ends int64
	}{
		{"a", 0, 1, 1010},
		{"a", 9 * time.Second, 2, 1010},
		{"b", 0, 1, 1019},
		{"a", time.Second, 1, 1020}, // the window does not move with each count
		{"b", 0, 2, 1019},
	} {
		clock.pass(step.pass)
		n, ends, err := m.Count(ctx, step.key, 10*time.Second)
		if n != step.want || ends.Unix() != step.ends || err != nil {
			t.Errorf("step %d: %d until %d, %v; want %d until %d", i, n, ends.Unix(), err, step.want, step.ends)
		}
	}
}

func TestValuesExpire(t *testing.T) {
	m, clock := newCache(1 << 20)
	ctx := t.Context()
	if err := m.Set(ctx, "k", []byte("v"), time.Second); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := m.Get(ctx, "k"); string(v) != "v" || !ok || err != nil {
		t.Errorf("%q, %v, %v", v, ok, err)
	}
	if _, ok, _ := m.Get(ctx, "other"); ok {
		t.Error("there is no other")
	}
	clock.pass(time.Second)
	if _, ok, _ := m.Get(ctx, "k"); ok {
		t.Error("the value has expired")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const kept = 64 << 10
	m, _ := newCache(kept)
	ctx := t.Context()
	value := []byte(strings.Repeat("v", 100))
	for i := range 10_000 {
		if err := m.Set(ctx, strconv.Itoa(i), value, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for i := range 10_000 {
		if _, ok, _ := m.Get(ctx, strconv.Itoa(i)); ok {
			n++
		}
	}
	if n == 0 || n*len(value) > kept {
		t.Errorf("%d values are kept", n)
	}
	if err := m.Set(ctx, "huge", make([]byte, kept), time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := m.Get(ctx, "huge"); ok {
		t.Error("a value beyond the bound is kept")
	}
}

func TestCounters(t *testing.T) {
	m, clock := newCache(1 << 20)
	ctx := t.Context()
	for key, n := range map[string]int{"a": 3, "b": 1} {
		for range n {
			if _, _, err := m.Count(ctx, key, 10*time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	ends := time.Unix(1010, 0)
	got, err := m.Counters(ctx, "b", "none", "a")
	if want := []cache.Counter{{N: 1, Ends: ends}, {}, {N: 3, Ends: ends}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	clock.pass(10 * time.Second)
	if got, err := m.Counters(ctx, "a"); err != nil || got[0] != (cache.Counter{}) {
		t.Errorf("after its window: %v, %v", got, err)
	}
}

// TestLongCountersStay: what is evicted ends soon, so that a flood of other
// keys does not set a long window back.
func TestLongCountersStay(t *testing.T) {
	m, _ := newCache(1 << 20)
	ctx := t.Context()
	for range 5 {
		if _, _, err := m.Count(ctx, "long", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50_000 {
		if _, _, err := m.Count(ctx, "flood"+strconv.Itoa(i), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if n, _, _ := m.Count(ctx, "long", time.Hour); n != 6 {
		t.Errorf("counted %d, want 6", n)
	}
}

func TestConcurrentCounts(t *testing.T) {
	m, _ := newCache(1 << 20)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if _, _, err := m.Count(t.Context(), "k", time.Hour); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, _, _ := m.Count(t.Context(), "k", time.Hour); n != 8001 {
		t.Errorf("counted %d, want 8001", n)
	}
}

func BenchmarkCount(b *testing.B) {
	m, _ := newCache(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := m.Count(b.Context(), "key", time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}
