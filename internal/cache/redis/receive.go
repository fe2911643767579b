package redis

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pargo-baas/pargo/internal/cache"
)

const (
	// probe is how often a subscription asks whether it is still connected.
	probe = 200 * time.Millisecond
	// silence is after how long without an answer it is taken for broken: until
	// then, a message may be missed without notice.
	silence = 700 * time.Millisecond
)

// First bytes of what is sent.
const (
	kindMessage = 'm'
	kindLost    = 'l'
)

// subscriber is one subscription, on a connection of its own.
type subscriber struct {
	s       *Store
	channel string
	receive func([]byte)
	cancel  context.CancelFunc
	done    chan struct{}

	start time.Time
	since atomic.Int64 // nanoseconds after start; 0: broken
	heard atomic.Int64 // nanoseconds after start
}

var _ cache.Subscription = (*subscriber)(nil)

// Subscribe implements cache.Bus.
func (s *Store) Subscribe(channel string, receive func([]byte)) cache.Subscription {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // ended by Close
	sub := &subscriber{s: s, channel: channel, receive: receive, cancel: cancel, done: make(chan struct{}), start: time.Now()}
	s.mu.Lock()
	s.subs[sub] = true
	s.mu.Unlock()
	go sub.run(ctx)
	return sub
}

// Close implements cache.Subscription.
func (sub *subscriber) Close() {
	sub.cancel()
	<-sub.done
	sub.s.mu.Lock()
	defer sub.s.mu.Unlock()
	delete(sub.s.subs, sub)
}

// Since implements cache.Subscription. An answer to a probe comes after all
// messages that were sent before it, so a subscription that was silent for too
// long is not believed, whatever the reason.
func (sub *subscriber) Since() time.Time {
	since := sub.since.Load()
	if since == 0 || time.Since(sub.start)-time.Duration(sub.heard.Load()) > silence {
		return time.Time{}
	}
	return sub.start.Add(time.Duration(since))
}

// now is the time since start, never zero.
func (sub *subscriber) now() int64 { return max(int64(time.Since(sub.start)), 1) }

// run connects again and again until ctx ends.
func (sub *subscriber) run(ctx context.Context) {
	defer close(sub.done)
	for {
		err := sub.listen(ctx)
		sub.since.Store(0)
		if ctx.Err() != nil {
			return
		}
		sub.s.reached(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// listen subscribes and receives until the connection breaks.
func (sub *subscriber) listen(ctx context.Context) error {
	ps := sub.s.client.Subscribe(ctx)
	defer func() { _ = ps.Close() }()
	if err := ps.Subscribe(ctx, sub.channel); err != nil {
		return err
	}
	if _, err := ps.ReceiveTimeout(ctx, patience); err != nil { // the confirmation
		return err
	}
	sub.heard.Store(sub.now())
	sub.since.Store(sub.now())
	sub.s.reached(nil)
	sub.receive(nil) // there may have been messages before
	for ctx.Err() == nil {
		got, err := ps.ReceiveTimeout(ctx, probe)
		var timeout net.Error
		switch {
		case err == nil:
		case errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil:
			if time.Duration(sub.now()-sub.heard.Load()) > silence {
				return err
			}
			if err := ps.Ping(ctx); err != nil {
				return err
			}
			continue
		default:
			return err
		}
		sub.heard.Store(sub.now())
		if m, ok := got.(*redis.Message); ok {
			sub.handle(m.Payload)
		}
	}
	return ctx.Err()
}

func (sub *subscriber) handle(payload string) {
	switch {
	case payload == string(rune(kindLost)):
		sub.since.Store(sub.now())
		sub.receive(nil)
	case payload != "" && payload[0] == kindMessage:
		sub.receive([]byte(payload[1:]))
	}
}
