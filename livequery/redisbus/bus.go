package redisbus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/pargo-baas/pargo/parse"
)

const (
	// patience is how long Redis may take to answer.
	patience = 2 * time.Second
	// firstPause is how long a side waits before it tries again; it doubles
	// with each failure up to lastPause.
	firstPause = 100 * time.Millisecond
	lastPause  = 3 * time.Second
)

// DefaultQueue is the default of Options.Queue.
const DefaultQueue = 1 << 14

// DefaultQueueBytes is the default of Options.QueueBytes.
const DefaultQueueBytes = 64 << 20

// Sink takes what other servers tell: a livequery.Hub.
type Sink interface {
	// Publish takes changes of other servers, in the order of each of them.
	Publish(ctx context.Context, changes []parse.Change)
	// Lost is told that changes of these classes may have been missed; without
	// classes, of any.
	Lost(ctx context.Context, classes ...string)
}

// Options configures a Bus.
type Options struct {
	// AppID is the application, whose id the names of the channels begin with.
	AppID string
	// PublishURL is the Redis that changes of this server are told to; "": none.
	PublishURL string
	// SubscribeURL is the Redis that tells of the changes of others; "": none.
	SubscribeURL string
	// Classes says of which classes changes are published; nil: all.
	Classes func(class string) bool
	// Permissions gives the JSON of the class-level permissions of a class, by
	// which Parse Servers judge who may see its objects; nil result: it has none.
	Permissions func(class string) []byte
	// Sink takes the changes of other servers; needed with SubscribeURL.
	Sink Sink
	// Revoked is told that rights of users (or of all) have changed on another
	// server, before any change that was published after that; nil: nobody is.
	Revoked func(userIDs []string, all bool)
	// Queue bounds the changes that wait to be sent; 0: DefaultQueue.
	Queue int
	// QueueBytes bounds what they take; one alone may take more. 0: DefaultQueueBytes.
	QueueBytes int64
	// Log; nil: no log.
	Log *slog.Logger
}

// Stats are the counters of a bus.
type Stats struct {
	Published int64 // messages that Redis has taken
	Received  int64 // messages of other servers
	Refused   int64 // messages that were not understood
	Dropped   int64 // changes that did not fit into the queue
	Waiting   int64 // messages that wait to be sent
	Listening bool  // the subscription stands
}

// Bus is one server's end of the bus. Make it with Open.
type Bus struct {
	o    Options
	node string
	out  *sender   // nil without PublishURL
	in   *receiver // nil without SubscribeURL

	stop context.CancelFunc
	wg   sync.WaitGroup

	published, received, refused, dropped atomic.Int64
	listening                             atomic.Bool
}

// quiet stops go-redis from writing to standard error: the bus logs outages
// by itself, once.
var quiet = sync.OnceFunc(logging.Disable)

// Open starts a bus. It does not need Redis to be there, but waits a moment for
// the subscription to stand: whoever subscribes after that misses nothing.
func Open(ctx context.Context, o Options) (*Bus, error) {
	quiet()
	if o.Classes == nil {
		o.Classes = func(string) bool { return true }
	}
	if o.Permissions == nil {
		o.Permissions = func(string) []byte { return nil }
	}
	if o.Revoked == nil {
		o.Revoked = func([]string, bool) {}
	}
	if o.Queue <= 0 {
		o.Queue = DefaultQueue
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = DefaultQueueBytes
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bus{o: o, node: parse.NewObjectID(20)}
	// Both ends outlive the call; Close ends them.
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	if o.PublishURL != "" {
		c, err := connect(o.PublishURL)
		if err != nil {
			stop()
			return nil, err
		}
		b.out = newSender(b, c)
	}
	if o.SubscribeURL != "" {
		c, err := connect(o.SubscribeURL)
		if err != nil {
			stop()
			if b.out != nil {
				_ = b.out.client.Close() // nothing was sent through it
			}
			return nil, err
		}
		b.in = newReceiver(b, c)
		b.wg.Go(func() { b.in.run(run) })
	}
	if b.out != nil {
		b.wg.Go(func() { b.out.run(run) })
	}
	if b.in != nil {
		select {
		case <-b.in.tried:
		case <-ctx.Done():
		}
	}
	return b, nil
}

func connect(url string) (*redis.Client, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		// The error of url.Parse repeats the URL with its password.
		return nil, errors.New("not a redis:// or rediss:// URL")
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = patience, patience, patience, patience
	o.MaxRetries, o.DialerRetries = -1, 1
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o), nil
}

// Close sends what waits, for a second at most, and disconnects.
func (b *Bus) Close() error {
	if b.out != nil {
		b.out.close()
	}
	b.stop()
	b.wg.Wait()
	var errs []error
	if b.out != nil {
		errs = append(errs, b.out.client.Close())
	}
	if b.in != nil {
		errs = append(errs, b.in.client.Close())
	}
	return errors.Join(errs...)
}

// Stats returns the counters.
func (b *Bus) Stats() Stats {
	s := Stats{
		Published: b.published.Load(), Received: b.received.Load(), Refused: b.refused.Load(),
		Dropped: b.dropped.Load(), Listening: b.listening.Load(),
	}
	if b.out != nil {
		s.Waiting = int64(b.out.waiting())
	}
	return s
}

// outage logs when a side loses Redis and when it has it again.
type outage struct {
	log  *slog.Logger
	text string
	down bool
}

func (o *outage) note(err error) {
	switch {
	case err != nil && !o.down:
		o.down = true
		o.log.Warn("live query bus: redis cannot be reached, "+o.text, "error", err)
	case err == nil && o.down:
		o.down = false
		o.log.Info("live query bus: redis is back")
	}
}

// wait waits before another attempt, and reports whether there is to be one.
func wait(ctx context.Context, pause *time.Duration) bool {
	*pause = min(max(*pause*2, firstPause), lastPause)
	t := time.NewTimer(*pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
