package doctor

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// maxShapes bounds the statistics; the shape that was not used for longest goes first.
const maxShapes = 500

// buckets of a histogram: two for each power of two of microseconds. The last
// one begins at 67 seconds.
const buckets = 53

// Stats counts queries by shape. Its zero value is not usable: see [NewStats].
type Stats struct {
	since time.Time
	mu    sync.RWMutex // guards shapes; what is in them is atomic
	// shapes by what outline.appendKey writes.
	shapes map[string]*counters
	// clock numbers insertions, so that uses between two of them are alike for
	// the choice of the shape that goes.
	clock atomic.Int64
}

// counters are the statistics of one shape.
type counters struct {
	outline
	used, count, rows, nanos, longest atomic.Int64
	histogram                         [buckets]atomic.Uint32
}

var _ storage.Observer = (*Stats)(nil)

// NewStats returns empty statistics that begin now.
func NewStats(now time.Time) *Stats {
	return &Stats{since: now, shapes: map[string]*counters{}}
}

// ObserveFind implements [storage.Observer].
func (s *Stats) ObserveFind(f *storage.Find, rows int, took time.Duration) {
	o := outline{class: f.Class, limit: limitClass(f.Limit)}
	o.add(f.Where, false)
	o.order(f.Order)
	s.observe(&o, rows, took)
}

// ObserveCount implements [storage.Observer].
func (s *Stats) ObserveCount(class *schema.Class, where query.Node, took time.Duration) {
	o := outline{class: class, limit: 'c'}
	o.add(where, false)
	s.observe(&o, 0, took)
}

func (s *Stats) observe(o *outline, rows int, took time.Duration) {
	var scratch [256]byte
	key := o.appendKey(scratch[:0])
	s.mu.RLock()
	c := s.shapes[string(key)]
	s.mu.RUnlock()
	if c == nil {
		c = s.insert(key, o)
	}
	if now := s.clock.Load(); c.used.Load() != now {
		c.used.Store(now)
	}
	c.count.Add(1)
	c.rows.Add(int64(rows))
	c.nanos.Add(int64(took))
	for {
		old := c.longest.Load()
		if int64(took) <= old || c.longest.CompareAndSwap(old, int64(took)) {
			break
		}
	}
	c.histogram[bucketOf(took)].Add(1)
}

func (s *Stats) insert(key []byte, o *outline) *counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.shapes[string(key)]; c != nil {
		return c
	}
	if len(s.shapes) >= maxShapes {
		var oldest string
		var least int64
		for k, c := range s.shapes {
			if used := c.used.Load(); oldest == "" || used < least {
				oldest, least = k, used
			}
		}
		delete(s.shapes, oldest)
	}
	c := &counters{outline: *o}
	c.used.Store(s.clock.Add(1))
	s.shapes[string(key)] = c
	return c
}

func bucketOf(took time.Duration) int {
	us := uint64(max(took.Microseconds(), 0))
	if us < 2 {
		return int(us)
	}
	n := bits.Len64(us) - 1 // us is in [2^n, 2^(n+1))
	return min(2*n+int(us>>(n-1)&1), buckets-1)
}

// bucketEnd is the time at which a bucket ends.
func bucketEnd(i int) time.Duration {
	if i < 2 {
		return time.Duration(i+1) * time.Microsecond
	}
	n := i / 2
	return time.Duration(uint64(1)<<n+uint64(i%2+1)<<(n-1)) * time.Microsecond
}

// Shape is one shape and its statistics.
type Shape struct {
	Class       string
	Count       bool // a count and no find
	Constraints []Constraint
	Order       []Key
	Limit       string
	Calls, Rows int64
	Total, Max  time.Duration
	// P50, P95 and P99 are upper bounds, at most half as much again as the true ones.
	P50, P95, P99 time.Duration
}

// Since tells when the statistics began.
func (s *Stats) Since() time.Time { return s.since }

// Shapes returns the statistics, those that took the most time in all first.
func (s *Stats) Shapes() []Shape {
	s.mu.RLock()
	all := make([]*counters, 0, len(s.shapes))
	for _, c := range s.shapes {
		all = append(all, c)
	}
	s.mu.RUnlock()
	out := make([]Shape, 0, len(all))
	for _, c := range all {
		out = append(out, c.shape())
	}
	slices.SortFunc(out, func(a, b Shape) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Title(), b.Title()))
	})
	return out
}

func (c *counters) shape() Shape {
	sh := Shape{
		Class: c.class.Name, Count: c.limit == 'c', Limit: limitNames[c.limit],
		Constraints: slices.Clone(c.constraints[:c.n]), Order: slices.Clone(c.keys[:c.k]),
		Calls: c.count.Load(), Rows: c.rows.Load(), Total: time.Duration(c.nanos.Load()), Max: time.Duration(c.longest.Load()),
	}
	var counts [buckets]uint64
	var sum uint64
	for i := range counts {
		counts[i] = uint64(c.histogram[i].Load())
		sum += counts[i]
	}
	at := func(part float64) time.Duration {
		want := uint64(part*float64(sum) + 0.5)
		var n uint64
		for i, k := range counts {
			if n += k; n >= max(want, 1) {
				return min(bucketEnd(i), sh.Max)
			}
		}
		return sh.Max
	}
	sh.P50, sh.P95, sh.P99 = at(0.5), at(0.95), at(0.99)
	return sh
}
