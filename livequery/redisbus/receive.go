package redisbus

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pargo-baas/pargo/parse"
)

const (
	// probe is how often an idle subscription asks whether it is still connected.
	probe = time.Second
	// silence is after how long without an answer it is taken for broken.
	silence = 3 * time.Second
	// maxNodes bounds the nodes whose last number is remembered.
	maxNodes = 10_000
)

// receiver listens to the other servers.
type receiver struct {
	b      *Bus
	client *redis.Client
	outage outage
	own    string            // how own messages begin
	last   map[string]uint64 // the last number of each node
	tried  chan struct{}     // closed after the first attempt to subscribe
	once   sync.Once
}

func newReceiver(b *Bus, c *redis.Client) *receiver {
	return &receiver{
		b: b, client: c, own: stampOf(b.node), last: map[string]uint64{}, tried: make(chan struct{}),
		outage: outage{log: b.o.Log, text: "live queries hear of the changes of this server alone"},
	}
}

// run subscribes again and again until ctx ends.
func (r *receiver) run(ctx context.Context) {
	pause := time.Duration(0)
	for {
		err := r.listen(ctx)
		if r.b.listening.Swap(false) {
			pause = 0
		}
		r.attempted()
		if ctx.Err() != nil {
			return
		}
		r.outage.note(err)
		if !wait(ctx, &pause) {
			return
		}
	}
}

func (r *receiver) attempted() { r.once.Do(func() { close(r.tried) }) }

// listen subscribes and receives until the connection breaks. A connection is
// never resumed silently: each has its own notice that something was missed.
func (r *receiver) listen(ctx context.Context) error {
	app := r.b.o.AppID
	ps := r.client.Subscribe(ctx)
	defer func() { _ = ps.Close() }()
	// A read does not end with its context: the connection has to.
	defer context.AfterFunc(ctx, func() { _ = ps.Close() })()
	channels := []string{app + chanSave, app + chanDelete, app + chanClear, app + chanNode}
	if err := ps.Subscribe(ctx, channels...); err != nil {
		return err
	}
	for range channels {
		if _, err := ps.ReceiveTimeout(ctx, patience); err != nil { // the confirmation
			return err
		}
	}
	r.outage.note(nil)
	// There may have been messages before.
	r.b.o.Revoked(nil, true)
	r.b.o.Sink.Lost(ctx)
	r.b.listening.Store(true)
	r.attempted()
	heard := time.Now()
	for ctx.Err() == nil {
		got, err := ps.ReceiveTimeout(ctx, probe)
		var timeout net.Error
		switch {
		case err == nil:
		case errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil:
			if time.Since(heard) > silence {
				return err
			}
			if err := ps.Ping(ctx); err != nil {
				return err
			}
			continue
		default:
			return err
		}
		heard = time.Now()
		if m, ok := got.(*redis.Message); ok && !strings.HasPrefix(m.Payload, r.own) {
			r.take(ctx, strings.TrimPrefix(m.Channel, app), m.Payload)
		}
	}
	return ctx.Err()
}

// take handles a message of another server.
func (r *receiver) take(ctx context.Context, channel, payload string) {
	r.b.received.Add(1)
	m, err := readMessage(channel, payload)
	if err != nil {
		r.b.refused.Add(1)
		r.b.o.Log.Warn("live query bus: a message is not understood", "channel", channel, "error", err)
		return
	}
	if m.seq > 0 {
		if m.seq <= r.last[m.node] {
			return // sent again
		}
		if len(r.last) >= maxNodes {
			clear(r.last)
		}
		r.last[m.node] = m.seq
	}
	switch {
	case m.change != nil:
		r.b.o.Sink.Publish(ctx, []parse.Change{*m.change})
	case m.user != "":
		r.b.o.Revoked([]string{m.user}, false)
	}
	if m.revoked {
		r.b.o.Revoked(nil, true)
	}
	if len(m.lost) > 0 {
		r.b.o.Sink.Lost(ctx, m.lost...)
	}
}
