package fair

import (
	"context"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// The measures of a [Gate], the first three for each core.
const (
	// watchFrom is from how many at work on it is looked whether they are too many.
	watchFrom = 4
	// tooMany is how many goroutines may wait for a core before some of those
	// who come have to wait at the gate; waiting there costs nothing.
	tooMany = 16
	// fewest are let in, however much there is to do.
	fewest = 2
	// look is how often it is looked, calm how often all must be well before
	// that ends. Too many are too many only if they were at each of so many
	// looks: the runtime hears of many connections at a time, whose goroutines
	// are soon done.
	look  = 2 * time.Millisecond
	looks = 5
	calm  = 500
	// longestWait is how long somebody stands in line.
	longestWait = 10 * time.Second
)

// Gate lets requests in, all at once as long as the cores can do them, and
// when they cannot, so many at a time that a core can soon be had: the others
// stand in line, each source in its own. One that floods the server then waits
// for itself, and whoever asks little is served as if it were not there.
//
// What is at work but waits for something else than a core, such as a database,
// does not keep others out: how many are let in follows from how many goroutines
// wait for a core.
type Gate struct {
	cores    int
	runnable func() int
	inside   atomic.Int64
	limiting atomic.Bool
	queue    *Queue // used while limiting

	mu       sync.Mutex
	watching bool // guarded by mu
	closed   bool // guarded by mu
	quit     chan struct{}
	wg       sync.WaitGroup
}

// NewGate returns the gate of a machine with so many cores. runnable tells how
// many goroutines wait for a core; nil: the runtime does.
func NewGate(cores int, runnable func() int) *Gate {
	if runnable == nil {
		runnable = Runnable
	}
	return &Gate{cores: cores, runnable: runnable, queue: NewQueue(unlimited, 0), quit: make(chan struct{})}
}

// unlimited is what a queue has that nobody has to wait for.
const unlimited = 1 << 40

// Runnable is how many goroutines wait for a core.
func Runnable() int {
	s := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0 // a runtime that does not know
	}
	return int(s[0].Value.Uint64())
}

// Pass is what somebody has who is let in.
type Pass struct {
	gate   *Gate
	from   string
	queued bool
}

// Limiting reports whether there is a line, in which it matters where somebody
// comes from.
func (g *Gate) Limiting() bool { return g != nil && g.limiting.Load() }

// Enter waits until somebody is let in, who has to leave. After ten seconds it
// fails. A nil gate is open.
func (g *Gate) Enter(ctx context.Context, from string) (Pass, error) {
	if g == nil {
		return Pass{}, nil
	}
	p := Pass{gate: g, from: from, queued: g.limiting.Load()}
	if p.queued {
		ctx, cancel := context.WithTimeout(ctx, longestWait)
		defer cancel()
		if err := g.queue.Acquire(ctx, from, 1); err != nil {
			return Pass{}, err
		}
	}
	if n := g.inside.Add(1); n > int64(watchFrom*g.cores) && !p.queued {
		g.watch()
	}
	return p, nil
}

// Leave ends what was let in.
func (p Pass) Leave() {
	if p.gate == nil {
		return
	}
	p.gate.inside.Add(-1)
	if p.queued {
		p.gate.queue.Release(p.from, 1, 1)
	}
}

// Inside is how many are let in, Waiting how many stand in line.
func (g *Gate) Inside() int { return int(g.inside.Load()) }

// Waiting is how many stand in line.
func (g *Gate) Waiting() int { return g.queue.Waiting() }

// Close opens the gate for all that still come.
func (g *Gate) Close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.quit)
	}
	g.mu.Unlock()
	g.wg.Wait()
}

// watch looks after the gate until all is calm, if nobody does.
func (g *Gate) watch() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watching || g.closed {
		return
	}
	g.watching = true
	g.wg.Go(func() {
		defer func() {
			g.limiting.Store(false)
			g.queue.SetLimit(unlimited) // somebody may have come in between
			g.mu.Lock()
			g.watching = false
			g.mu.Unlock()
		}()
		tick := time.NewTicker(look)
		defer tick.Stop()
		limit, well, crowded := int64(0), 0, 0
		for well < calm {
			select {
			case <-g.quit:
				return
			case <-tick.C:
			}
			inside := g.inside.Load()
			if g.runnable() > tooMany*g.cores {
				well = 0
				if crowded++; crowded < looks {
					continue
				}
				crowded = 0
				if limit == 0 || limit > inside {
					limit = inside
				}
				limit = max(limit-limit/8-1, int64(fewest*g.cores))
				g.queue.SetLimit(limit)
				g.limiting.Store(true)
				continue
			}
			crowded = 0
			switch {
			case limit > 0 && g.queue.Waiting() > 0:
				limit, well = limit+limit/8+1, 0
				g.queue.SetLimit(limit)
			case inside > int64(watchFrom*g.cores):
				well = 0
			default:
				well++
			}
		}
	})
}
