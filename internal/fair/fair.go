// Package fair shares out what is bounded, such as memory or time of a core,
// among those who want it: who has least of it, and had least of it lately,
// is next. Where somebody comes from decides who he is, so that whoever wants
// much stands in his own way and not in that of others.
package fair

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"sync"
)

var (
	// ErrDismissed is what those get who waited when [Queue.Dismiss] sent them away.
	ErrDismissed = errors.New("fair: dismissed")
	// ErrFull is what those get who would have to wait where too many do.
	ErrFull = errors.New("fair: too many wait")
)

// Queue shares out a number of units. The zero Queue has none; see [NewQueue].
type Queue struct {
	most int // may wait; 0: as many as want to

	mu      sync.Mutex // guards all below
	limit   int64
	free    int64 // less than none if the limit has shrunk
	waiting int
	sources map[string]*source // those who hold something, wait, or have had more than others
	order   order              // those who wait
	turns   uint64             // numbers given to them
	now     int64              // what the last one served had had by then
	sweep   int                // the number of sources from which on those that count no more are forgotten
}

// source is where those come from who stand in one line.
type source struct {
	from string
	held int64  // units in use
	had  int64  // units in use times how long they were, above the measure of all
	turn uint64 // when it came into order or was last served
	line []*waiter
	at   int // in order, or -1
}

// waiter waits for n units.
type waiter struct {
	n     int64
	ready chan error // nil: the units are his
}

// minSweep is how many sources are kept before any are forgotten.
const minSweep = 64

// NewQueue returns a queue of so many units, for which at most so many wait; 0: any number.
func NewQueue(limit int64, most int) *Queue {
	return &Queue{limit: limit, most: most, free: limit, sources: map[string]*source{}, sweep: minSweep}
}

// Acquire waits for n units, at most all there are, which Release has to give
// back. It fails with the error of the context, with [ErrFull] or with [ErrDismissed].
func (q *Queue) Acquire(ctx context.Context, from string, n int64) error {
	q.mu.Lock()
	n = min(n, q.limit)
	s := q.source(from)
	if q.waiting == 0 && q.free >= n {
		q.free -= n
		s.held += n
		q.mu.Unlock()
		return nil
	}
	err := ctx.Err()
	if err == nil && q.most > 0 && q.waiting >= q.most {
		err = ErrFull
	}
	if err != nil {
		q.forget(s)
		q.mu.Unlock()
		return err
	}
	w := &waiter{n: n, ready: make(chan error, 1)}
	s.line = append(s.line, w)
	q.waiting++
	if s.at < 0 {
		q.turns++
		s.turn = q.turns
		heap.Push(&q.order, s)
	}
	q.mu.Unlock()
	select {
	case err := <-w.ready:
		return err
	case <-ctx.Done():
	}
	if !q.leave(s, w) && <-w.ready == nil { // it came at the same time
		q.Release(from, n, 0)
	}
	return ctx.Err()
}

// Release gives n units back that Acquire took; cost is how long they were in
// use, in any measure that all callers share, and so that the sum of what is
// used does not exceed an int64: milliseconds, if units are bytes.
func (q *Queue) Release(from string, n, cost int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, q.limit)
	s := q.source(from)
	q.free += n
	s.held -= n
	s.had = max(s.had, q.now) + n*cost
	if s.at >= 0 {
		heap.Fix(&q.order, s.at)
	}
	q.forget(s)
	q.serve()
}

// SetLimit changes how many units there are, of which each may have but one.
func (q *Queue) SetLimit(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free += n - q.limit
	q.limit = n
	q.serve()
}

// Dismiss sends away all who wait and come from somewhere.
func (q *Queue) Dismiss(from string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.sources[from]
	if s == nil || s.at < 0 {
		return
	}
	for _, w := range s.line {
		w.ready <- ErrDismissed
	}
	q.waiting -= len(s.line)
	s.line = nil
	heap.Remove(&q.order, s.at)
	q.forget(s)
	q.serve() // the next may want less
}

// Waiting is how many wait.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// Held is how many units are in use.
func (q *Queue) Held() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limit - q.free
}

// source finds a source; mu is held.
func (q *Queue) source(from string) *source {
	s := q.sources[from]
	if s == nil {
		if len(q.sources) >= q.sweep {
			q.forgetAll()
		}
		s = &source{from: from, had: q.now, at: -1}
		q.sources[from] = s
	}
	return s
}

// counts reports whether a source differs from one that has never been here.
func (q *Queue) counts(s *source) bool { return s.held > 0 || s.at >= 0 || s.had > q.now }

// forget forgets a source that does not count any more; mu is held.
func (q *Queue) forget(s *source) {
	if !q.counts(s) {
		delete(q.sources, s.from)
	}
}

// forgetAll forgets all that do not count any more, and, lest somebody from
// everywhere fill the memory, those of the others that only had much; mu is held.
func (q *Queue) forgetAll() {
	for _, s := range q.sources {
		q.forget(s)
	}
	if len(q.sources) > q.sweep/2 {
		for from, s := range q.sources {
			if s.held == 0 && s.at < 0 {
				delete(q.sources, from)
			}
		}
	}
	q.sweep = max(minSweep, 2*len(q.sources))
}

// leave takes somebody out of his line, if he still stands there.
func (q *Queue) leave(s *source, w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range s.line {
		if s.line[i] == w {
			q.take(s, i)
			q.forget(s)
			q.serve() // the next may want less
			return true
		}
	}
	return false
}

// take takes one out of a line; mu is held.
func (q *Queue) take(s *source, i int) *waiter {
	w := s.line[i]
	copy(s.line[i:], s.line[i+1:])
	s.line[len(s.line)-1] = nil
	s.line = s.line[:len(s.line)-1]
	q.waiting--
	if len(s.line) == 0 {
		s.line = nil
		heap.Remove(&q.order, s.at)
	}
	return w
}

// serve gives units to those who are next, as long as there are enough; mu is held.
func (q *Queue) serve() {
	for len(q.order) > 0 {
		s := q.order[0]
		n := s.line[0].n
		if n > q.free {
			return
		}
		q.free -= n
		s.held += n
		s.had = max(s.had, q.now)
		q.now = s.had
		w := q.take(s, 0)
		if s.at >= 0 {
			q.turns++
			s.turn = q.turns
			heap.Fix(&q.order, s.at)
		}
		w.ready <- nil
	}
}

// order is a heap: the first is next.
type order []*source

func (o order) Len() int { return len(o) }
func (o order) Less(i, j int) bool {
	a, b := o[i], o[j]
	return cmp.Or(cmp.Compare(a.held, b.held), cmp.Compare(a.had, b.had), cmp.Compare(a.turn, b.turn)) < 0
}

func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].at, o[j].at = i, j
}

// Push implements heap.Interface.
func (o *order) Push(x any) {
	s, _ := x.(*source)
	s.at = len(*o)
	*o = append(*o, s)
}

// Pop implements heap.Interface.
func (o *order) Pop() any {
	last := len(*o) - 1
	s := (*o)[last]
	(*o)[last] = nil
	*o = (*o)[:last]
	s.at = -1
	return s
}
