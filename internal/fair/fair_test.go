package fair_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pargo-baas/pargo/internal/fair"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// crowd lets some wait, one after the other, and writes down who is served.
type crowd struct {
	t      *testing.T
	q      *fair.Queue
	mu     sync.Mutex
	served []string
	wg     sync.WaitGroup
}

// wait has somebody wait for n units and give them back, after they have cost
// him something.
func (c *crowd) wait(ctx context.Context, name string, n, cost int64) {
	from, _, _ := strings.Cut(name, "-")
	c.wg.Go(func() {
		err := c.q.Acquire(ctx, from, n)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.served = append(c.served, fmt.Sprintf("%s: %v", name, err))
			return
		}
		c.served = append(c.served, name)
		c.q.Release(from, n, cost)
	})
	synctest.Wait()
}

func (c *crowd) want(names ...string) {
	c.t.Helper()
	c.wg.Wait()
	if !slices.Equal(c.served, names) {
		c.t.Errorf("served: %v, want %v", c.served, names)
	}
	if c.q.Held() != 0 || c.q.Waiting() != 0 {
		c.t.Errorf("%d units are in use, %d wait", c.q.Held(), c.q.Waiting())
	}
}

// taken is a queue all of which somebody has.
func taken(t *testing.T, units int64, most int) *crowd {
	q := fair.NewQueue(units, most)
	if err := q.Acquire(t.Context(), "first", units); err != nil {
		t.Fatal(err)
	}
	return &crowd{t: t, q: q}
}

func (c *crowd) begin(units int64) { c.q.Release("first", units, 0) }

func TestOrder(t *testing.T) {
	type want struct {
		name    string
		n, cost int64
	}
	for name, tt := range map[string]struct {
		units  int64
		crowd  []want
		served []string
	}{
		"in turn": {
			1,
			[]want{{"a-1", 1, 0}, {"a-2", 1, 0}, {"b-1", 1, 0}, {"a-3", 1, 0}, {"c-1", 1, 0}, {"b-2", 1, 0}},
			[]string{"a-1", "b-1", "c-1", "a-2", "b-2", "a-3"},
		},
		"by what they cost": {
			1,
			[]want{{"a-1", 1, 10}, {"a-2", 1, 1}, {"b-1", 1, 3}, {"b-2", 1, 3}, {"b-3", 1, 3}, {"b-4", 1, 3}, {"b-5", 1, 3}},
			[]string{"a-1", "b-1", "b-2", "b-3", "b-4", "a-2", "b-5"},
		},
		"a large one is not passed": {
			4,
			[]want{{"a-1", 4, 0}, {"b-1", 2, 0}, {"c-1", 3, 0}},
			[]string{"a-1", "b-1", "c-1"},
		},
		"more than there is": {4, []want{{"a-1", 100, 0}, {"b-1", 1, 0}}, []string{"a-1", "b-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := taken(t, tt.units, 0)
				for _, w := range tt.crowd {
					c.wait(t.Context(), w.name, w.n, w.cost)
				}
				c.begin(tt.units)
				c.want(tt.served...)
			})
		})
	}
}

// TestLately: who has had much has to wait for those who have not, even if he
// does not stand there all the time.
func TestLately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := taken(t, 1, 0)
		c.wait(t.Context(), "a-1", 1, 100)
		c.begin(1)
		c.wg.Wait()
		if err := c.q.Acquire(t.Context(), "first", 1); err != nil {
			t.Fatal(err)
		}
		c.wait(t.Context(), "a-2", 1, 1)
		c.wait(t.Context(), "b-1", 1, 1)
		c.wait(t.Context(), "b-2", 1, 1)
		c.begin(1)
		c.want("a-1", "b-1", "b-2", "a-2")
	})
}

// TestHolding: who holds something is behind those who hold nothing.
func TestHolding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.NewQueue(2, 0)
		for _, from := range []string{"a", "b"} {
			if err := q.Acquire(t.Context(), from, 1); err != nil {
				t.Fatal(err)
			}
		}
		c := &crowd{t: t, q: q}
		c.wait(t.Context(), "a-1", 1, 0)
		c.wait(t.Context(), "b-1", 1, 0)
		q.Release("b", 1, 50)
		c.wg.Wait()
		q.Release("a", 1, 0)
		c.want("b-1", "a-1")
	})
}

func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := taken(t, 4, 3)
		ctx, cancel := context.WithCancel(t.Context())
		c.wait(ctx, "a-1", 4, 0)
		c.wait(t.Context(), "b-1", 1, 0)
		c.wait(t.Context(), "c-1", 1, 0)
		c.wait(t.Context(), "d-1", 1, 0)
		if want := []string{"d-1: " + fair.ErrFull.Error()}; !slices.Equal(c.served, want) {
			t.Errorf("%v, want %v", c.served, want)
		}
		c.q.Release("first", 2, 0)
		synctest.Wait()
		if len(c.served) != 1 {
			t.Errorf("the first was passed: %v", c.served)
		}
		cancel() // the others need not wait any more
		synctest.Wait()
		slices.Sort(c.served)
		if want := []string{"a-1: context canceled", "b-1", "c-1", "d-1: " + fair.ErrFull.Error()}; !slices.Equal(c.served, want) {
			t.Errorf("%v, want %v", c.served, want)
		}
		c.served = nil
		c.wait(ctx, "e-1", 3, 0) // whose context has ended already
		c.wait(t.Context(), "e-2", 3, 0)
		c.wait(t.Context(), "e-3", 3, 0)
		c.wait(t.Context(), "f-1", 1, 0)
		c.q.Dismiss("nobody")
		c.q.Dismiss("e")
		synctest.Wait()
		c.q.Release("first", 2, 0)
		slices.Sort(c.served)
		c.want("e-1: context canceled", "e-2: "+fair.ErrDismissed.Error(), "e-3: "+fair.ErrDismissed.Error(), "f-1")
	})
}

// TestManySources: those who come from everywhere are not kept in mind for ever.
func TestManySources(t *testing.T) {
	q := fair.NewQueue(1, 0)
	for i := range 100_000 {
		from := fmt.Sprint(i)
		if err := q.Acquire(t.Context(), from, 1); err != nil {
			t.Fatal(err)
		}
		q.Release(from, 1, 1000)
	}
	if n := q.Sources(); n > 200 {
		t.Errorf("%d sources are kept", n)
	}
}

// TestNoneIsLost: what is taken is given back, and all who wait are served,
// whatever happens at the same time.
func TestNoneIsLost(t *testing.T) {
	const units = 7
	q := fair.NewQueue(units, 0)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 2000 {
				from, n := fmt.Sprint(r.IntN(5)), 1+r.Int64N(units)
				ctx, cancel := context.WithCancel(t.Context())
				if r.IntN(3) == 0 {
					go cancel()
				}
				err := q.Acquire(ctx, from, n)
				switch {
				case err == nil:
					if r.IntN(10) == 0 {
						q.Dismiss(fmt.Sprint(r.IntN(5)))
					}
					q.Release(from, n, r.Int64N(10))
				case !errors.Is(err, context.Canceled) && !errors.Is(err, fair.ErrDismissed):
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if q.Held() != 0 || q.Waiting() != 0 {
		t.Errorf("%d units are in use, %d wait", q.Held(), q.Waiting())
	}
	if err := q.Acquire(t.Context(), "", units); err != nil {
		t.Error(err)
	}
}

// TestLane: long work is followed by a rest while others wait.
func TestLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := fair.NewLane(1)
		began := time.Now()
		var at []time.Duration
		work := func(d time.Duration) {
			turn, err := l.Enter(t.Context(), "a")
			if err != nil {
				t.Error(err)
			}
			at = append(at, time.Since(began))
			time.Sleep(d)
			turn.Leave()
		}
		var wg sync.WaitGroup
		for _, d := range []time.Duration{100 * time.Millisecond, 10 * time.Millisecond, 10 * time.Second, 100 * time.Millisecond} {
			wg.Go(func() { work(d) })
			synctest.Wait()
		}
		wg.Wait()
		work(0) // nobody waited when the last one left
		want := []time.Duration{0, 300 * time.Millisecond, 310 * time.Millisecond, 12310 * time.Millisecond, 12410 * time.Millisecond}
		if !slices.Equal(at, want) {
			t.Errorf("%v, want %v", at, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		turn, err := l.Enter(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Enter(ctx, "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second one: %v", err)
		}
		turn.Leave()
	})
	var none *fair.Lane
	turn, err := none.Enter(t.Context(), "")
	if err != nil {
		t.Error(err)
	}
	turn.Leave()
}

func BenchmarkQueue(b *testing.B) {
	b.ReportAllocs()
	q := fair.NewQueue(1000, 0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := q.Acquire(b.Context(), "203.0.113.1", 1); err != nil {
				b.Error(err)
			}
			q.Release("203.0.113.1", 1, 1)
		}
	})
}
