package cache

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Bus carries short messages between the servers of one application.
type Bus interface {
	// Publish sends a message to all subscribers of a channel, the sender's own
	// included. It does not wait. What cannot be sent now is sent when it can
	// be; if that is too much to keep, subscribers are told that they miss some.
	Publish(channel string, message []byte)
	// Subscribe hands the messages of a channel to receive, one at a time and
	// in the order of each sender. A nil message says that some may be missing.
	Subscribe(channel string, receive func(message []byte)) Subscription
}

// Subscription is one subscriber of a Bus.
type Subscription interface {
	// Since is from when on no message can have been missed; the zero time
	// while the bus is broken.
	Since() time.Time
	// Close ends it. The receiver is not called once Close has returned.
	Close()
}

// Local is the Bus of a process that works alone.
type Local struct {
	mu   sync.Mutex
	subs map[string][]*localSub // guarded by mu
}

var _ Bus = (*Local)(nil)

// NewLocal returns a bus without subscribers.
func NewLocal() *Local { return &Local{subs: map[string][]*localSub{}} }

// Publish implements Bus: the receivers are called before it returns.
func (l *Local) Publish(channel string, message []byte) {
	l.mu.Lock()
	subs := slices.Clone(l.subs[channel])
	l.mu.Unlock()
	for _, s := range subs {
		s.deliver(message)
	}
}

// Subscribe implements Bus.
func (l *Local) Subscribe(channel string, receive func([]byte)) Subscription {
	s := &localSub{bus: l, channel: channel, receive: receive, since: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[channel] = append(l.subs[channel], s)
	return s
}

type localSub struct {
	bus     *Local
	channel string
	since   time.Time
	mu      sync.Mutex
	receive func([]byte) // nil once closed; guarded by mu
}

func (s *localSub) deliver(message []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receive != nil {
		s.receive(message)
	}
}

// Since implements Subscription.
func (s *localSub) Since() time.Time { return s.since }

// Close implements Subscription.
func (s *localSub) Close() {
	s.mu.Lock()
	s.receive = nil
	s.mu.Unlock()
	l := s.bus
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[s.channel] = slices.DeleteFunc(l.subs[s.channel], func(o *localSub) bool { return o == s })
}

// counting is a Cache whose counters go on counting while those that servers
// share cannot be reached.
type counting struct {
	Cache
	local Cache
}

// WithLocalCounters returns shared, whose counters are replaced by those of
// local whenever shared fails: a limit then holds for each server by itself.
func WithLocalCounters(shared, local Cache) Cache { return counting{shared, local} }

// Count implements Cache.
func (c counting) Count(ctx context.Context, key string, window time.Duration) (int, time.Time, error) {
	n, ends, err := c.Cache.Count(ctx, key, window)
	if err != nil && ctx.Err() == nil {
		return c.local.Count(ctx, key, window)
	}
	return n, ends, err
}

// Counters implements Cache.
func (c counting) Counters(ctx context.Context, keys ...string) ([]Counter, error) {
	out, err := c.Cache.Counters(ctx, keys...)
	if err != nil && ctx.Err() == nil {
		return c.local.Counters(ctx, keys...)
	}
	return out, err
}
