// Package cache keeps what requests share for a short time: values and
// counters, and carries short messages between the servers of one application.
// Memory and Local serve one process; internal/cache/redis serves several that
// work side by side on one database.
package cache

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// Cache holds values and counters by key until they expire. Anything may be
// gone earlier: a cache is no storage. All methods may be called from many
// goroutines.
type Cache interface {
	// Get returns a value that the caller must not change; ok is false if
	// there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Set keeps a value, which the caller must not change afterwards.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Delete forgets values and counters; absent ones are ignored.
	Delete(ctx context.Context, keys ...string) error
	// Count adds one to a counter and returns what it has counted in its
	// window, which begins with the first count, and when the window ends.
	Count(ctx context.Context, key string, window time.Duration) (n int, ends time.Time, err error)
	// Counters returns how counters stand, without counting, in the order of
	// their keys. One that has counted nothing in its window is the zero Counter.
	Counters(ctx context.Context, keys ...string) ([]Counter, error)
}

// Counter is what a counter has counted in its window, and when that ends.
type Counter struct {
	N    int
	Ends time.Time
}

const (
	shards = 16
	// overhead is about what an entry costs beyond its key and value.
	overhead = 128
	// sampled is how many entries are looked at to make room for one.
	sampled = 16
)

// entry is a value or a counter.
type entry struct {
	value []byte
	n     int
	ends  time.Time
}

func cost(key string, e entry) int { return len(key) + len(e.value) + overhead }

// Memory is a Cache in the memory of the process, bounded in bytes. When it
// is full, entries that have expired or will soon make room.
type Memory struct {
	now    func() time.Time
	seed   maphash.Seed
	max    int // bytes of one shard
	shards [shards]shard
}

var _ Cache = (*Memory)(nil)

type shard struct {
	mu      sync.Mutex
	entries map[string]entry // guarded by mu
	bytes   int              // guarded by mu
}

// NewMemory returns an empty cache of at most maxBytes; now is the clock, nil
// for that of the machine.
func NewMemory(maxBytes int, now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	m := &Memory{now: now, seed: maphash.MakeSeed(), max: maxBytes / shards}
	for i := range m.shards {
		m.shards[i].entries = map[string]entry{}
	}
	return m
}

func (m *Memory) shard(key string) *shard {
	return &m.shards[maphash.String(m.seed, key)%shards]
}

// Get implements Cache.
func (m *Memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok || !m.now().Before(e.ends) {
		return nil, false, nil
	}
	return e.value, true, nil
}

// Set implements Cache. A value that takes more than the room of a shard, a
// sixteenth of all, is not kept.
func (m *Memory) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	s.put(key, entry{value: value, ends: now.Add(ttl)}, m.max, now)
	return nil
}

// Delete implements Cache.
func (m *Memory) Delete(_ context.Context, keys ...string) error {
	for _, key := range keys {
		s := m.shard(key)
		s.mu.Lock()
		s.drop(key)
		s.mu.Unlock()
	}
	return nil
}

// Count implements Cache.
func (m *Memory) Count(_ context.Context, key string, window time.Duration) (int, time.Time, error) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	e, ok := s.entries[key]
	if !ok || !now.Before(e.ends) {
		e = entry{ends: now.Add(window)}
	}
	e.n++
	s.put(key, e, m.max, now)
	return e.n, e.ends, nil
}

// Counters implements Cache.
func (m *Memory) Counters(_ context.Context, keys ...string) ([]Counter, error) {
	out := make([]Counter, len(keys))
	now := m.now()
	for i, key := range keys {
		s := m.shard(key)
		s.mu.Lock()
		if e, ok := s.entries[key]; ok && now.Before(e.ends) {
			out[i] = Counter{e.n, e.ends}
		}
		s.mu.Unlock()
	}
	return out, nil
}

// put is called with the lock held.
func (s *shard) put(key string, e entry, limit int, now time.Time) {
	s.drop(key)
	need := cost(key, e)
	if need > limit {
		return
	}
	for s.bytes+need > limit {
		s.evict(now)
	}
	s.entries[key] = e
	s.bytes += need
}

func (s *shard) drop(key string) {
	if old, ok := s.entries[key]; ok {
		delete(s.entries, key)
		s.bytes -= cost(key, old)
	}
}

// evict makes room: of some entries, those that have expired go, else the one
// that ends first. Which ones are looked at is left to the order of the map.
func (s *shard) evict(now time.Time) {
	victim, ends, seen, dropped := "", time.Time{}, 0, false
	for key, e := range s.entries {
		switch {
		case !now.Before(e.ends):
			s.drop(key)
			dropped = true
		case ends.IsZero() || e.ends.Before(ends):
			victim, ends = key, e.ends
		}
		if seen++; seen == sampled {
			break
		}
	}
	if !dropped {
		s.drop(victim)
	}
}
