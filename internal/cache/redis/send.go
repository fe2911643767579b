package redis

import (
	"context"
	"sync"
	"time"
)

const (
	// maxQueued bounds the messages that wait to be sent.
	maxQueued = 4096
	// maxSent is how many messages go in one round trip.
	maxSent = 128
	// farewell bounds how long Close waits for messages to go.
	farewell = time.Second
)

// message is one message to send; a nil body says that some were lost.
type message struct {
	channel string
	body    []byte
}

// sender sends messages in the background, in order.
type sender struct {
	s    *Store
	wake chan struct{}
	done chan struct{} // closed by close

	mu    sync.Mutex
	queue []message       // guarded by mu
	lost  map[string]bool // channels whose messages did not fit; guarded by mu
}

func newSender(s *Store) *sender {
	return &sender{s: s, wake: make(chan struct{}, 1), done: make(chan struct{}), lost: map[string]bool{}}
}

// Publish implements cache.Bus.
func (s *Store) Publish(channel string, body []byte) {
	o := s.out
	o.mu.Lock()
	if len(o.queue) < maxQueued {
		o.queue = append(o.queue, message{channel, append([]byte{kindMessage}, body...)})
	} else {
		o.lost[channel] = true
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *sender) close() { close(o.done) }

// run sends until close, and then what is left.
func (o *sender) run() {
	for {
		select {
		case <-o.wake:
		case <-o.done:
			o.drain(time.Now().Add(farewell))
			return
		}
		for !o.empty() {
			if o.send() {
				continue
			}
			select {
			case <-time.After(pause):
			case <-o.done:
				o.drain(time.Now().Add(farewell))
				return
			}
		}
	}
}

func (o *sender) drain(until time.Time) {
	for time.Now().Before(until) && !o.empty() && o.send() {
	}
}

func (o *sender) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) == 0 && len(o.lost) == 0
}

// send sends some messages and reports whether they went. What may have gone
// although the answer failed is sent again.
func (o *sender) send() bool {
	o.mu.Lock()
	batch := append([]message(nil), o.queue[:min(len(o.queue), maxSent)]...)
	n := len(batch)
	var lost []string
	if n == len(o.queue) { // after those that were kept
		for channel := range o.lost {
			lost = append(lost, channel)
			batch = append(batch, message{channel, []byte{kindLost}})
		}
	}
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience) //nolint:forbidigo // messages belong to no request
	defer cancel()
	p := o.s.client.Pipeline()
	for _, m := range batch {
		p.Publish(ctx, m.channel, m.body)
	}
	_, err := p.Exec(ctx)
	o.s.reached(err)
	if err != nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = o.queue[n:]
	if len(o.queue) == 0 {
		o.queue = nil
	}
	for _, channel := range lost {
		delete(o.lost, channel)
	}
	return true
}
