package redisbus

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pargo-baas/pargo/parse"
)

const (
	// maxSent is how many messages go in one round trip.
	maxSent = 128
	// farewell bounds how long Close waits for messages to go.
	farewell = time.Second
)

// item is one message to be: a change or, without a class, a user whose
// rights have changed. It is encoded when it is sent, off the way of the write.
type item struct {
	change parse.Change
	bytes  int64
	user   string
}

// sender sends in the background and in order.
type sender struct {
	b      *Bus
	client *redis.Client
	outage outage
	wake   chan struct{}

	mu      sync.Mutex
	queue   []item          // guarded by mu
	bytes   int64           // what the changes in queue take; guarded by mu
	first   uint64          // number of queue[0]; guarded by mu
	lost    map[string]bool // classes with changes that did not fit; guarded by mu
	revoked bool            // everybody's rights are to be read anew; guarded by mu
	closed  bool            // guarded by mu
}

func newSender(b *Bus, c *redis.Client) *sender {
	return &sender{
		b: b, client: c, wake: make(chan struct{}, 1), first: 1, lost: map[string]bool{},
		outage: outage{log: b.o.Log, text: "changes wait to be told to other servers"},
	}
}

// Wants implements objects.Publisher.
func (b *Bus) Wants(class string) bool { return b.out != nil && b.o.Classes(class) }

// Publish tells other servers of committed changes. It does not wait.
func (b *Bus) Publish(_ context.Context, changes []parse.Change) {
	if b.out == nil {
		return
	}
	o := b.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range changes {
		ch := &changes[i]
		if !b.o.Classes(ch.Class) {
			continue
		}
		bytes := int64(ch.Size())
		switch {
		case o.closed, o.lost[ch.Class], len(o.queue) >= b.o.Queue, len(o.queue) > 0 && o.bytes+bytes > b.o.QueueBytes:
			// After a gap the clients of the class read anew: what comes before
			// they are told so is of no use to them.
			o.lost[ch.Class] = true
			b.dropped.Add(1)
		default:
			o.queue = append(o.queue, item{change: *ch, bytes: bytes})
			o.bytes += bytes
		}
	}
	o.rouse()
}

// Revoke tells other servers that rights of users, or of all, have changed.
// It does not wait.
func (b *Bus) Revoke(userIDs []string, all bool) {
	if b.out == nil {
		return
	}
	o := b.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range userIDs {
		if len(o.queue) >= b.o.Queue {
			all = true
			break
		}
		o.queue = append(o.queue, item{user: id})
	}
	if all {
		o.revoked = true
	}
	o.rouse()
}

// rouse starts the sending; mu is held.
func (o *sender) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *sender) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}

func (o *sender) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.queue)
	if len(o.lost) > 0 || o.revoked {
		n++
	}
	return n
}

// run sends until ctx ends, and then what is left.
func (o *sender) run(ctx context.Context) {
	pause := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			for o.waiting() > 0 && o.send(last) == nil {
			}
			return
		case <-o.wake:
		}
		for o.waiting() > 0 && ctx.Err() == nil {
			err := o.send(ctx)
			if ctx.Err() != nil {
				break // what was cut off is sent again, once more
			}
			o.outage.note(err)
			if err == nil {
				pause = 0
			} else if !wait(ctx, &pause) {
				break
			}
		}
	}
}

// send sends some messages. What may have gone although the answer failed is
// sent again, under the same number.
func (o *sender) send(ctx context.Context) error {
	o.mu.Lock()
	batch := slices.Clone(o.queue[:min(len(o.queue), maxSent)])
	first, revoked := o.first, o.revoked
	var lost []string
	if len(batch) == len(o.queue) { // after those that were kept
		lost = slices.Sorted(maps.Keys(o.lost))
	}
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, app, node := o.client.Pipeline(), o.b.o.AppID, o.b.node
	if revoked { // rights that are read too early do no harm
		p.Publish(ctx, app+chanNode, append(appendStamp(nil, node, 0), `,"revoked":true}`...))
	}
	for i := range batch {
		it := &batch[i]
		body := appendStamp(nil, node, first+uint64(i))
		if it.change.Class == "" {
			body = parse.AppendJSON(append(body, `,"userId":`...), it.user)
			p.Publish(ctx, app+chanClear, append(body, '}'))
			continue
		}
		channel := chanSave
		if it.change.Action == parse.Deleted {
			channel = chanDelete
		}
		p.Publish(ctx, app+channel, appendChange(body, &it.change, o.b.o.Permissions(it.change.Class)))
	}
	if lost != nil {
		list := make(parse.Array, len(lost))
		for i, class := range lost {
			list[i] = class
		}
		body := parse.AppendJSON(append(appendStamp(nil, node, 0), `,"lost":`...), list)
		p.Publish(ctx, app+chanNode, append(body, '}'))
	}
	if _, err := p.Exec(ctx); err != nil {
		return err
	}
	o.b.published.Add(int64(len(batch)))
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range batch {
		o.bytes -= batch[i].bytes
	}
	clear(o.queue[:len(batch)]) // the objects may go
	o.queue = o.queue[len(batch):]
	o.first += uint64(len(batch))
	if len(o.queue) == 0 {
		o.queue = nil
	}
	if lost != nil {
		clear(o.lost)
	}
	if revoked {
		o.revoked = false
	}
	return nil
}
