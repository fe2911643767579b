package livequery

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/parse"
)

// lastWrite is how long a client that is being closed gets to take what is
// already under way.
const lastWrite = 2 * time.Second

// closing says how to end a connection.
type closing struct {
	code   websocket.StatusCode
	reason string
}

// client is one websocket.
type client struct {
	hub  *Hub
	ws   *websocket.Conn
	conn *frameConn
	// ctx is the upgrade request's, without its end: a websocket outlives the
	// request that opened it, and the library asks for a context at each call.
	ctx context.Context
	ip  string
	// network is that of ip.
	network *network

	// Owned by the goroutine that reads the socket.
	id           string // "" until connected
	installation string
	token        string // of the connection; not checked
	member       []byte // `,"clientId":"…","installationId":"…"` of all its frames
	master       bool
	ident        *identity
	subs         map[parse.Value]*subscription // by requestId
	size         int                           // of the message that is handled

	// unanswered counts pings since the last pong.
	unanswered atomic.Int32
	// arriving is since when a message arrives, in Unix nanoseconds; 0: none does.
	arriving atomic.Int64
	// busy: a message of its waits for its turn or is served; what it says
	// meanwhile, pongs among it, is not heard.
	busy    atomic.Bool
	began   time.Time
	greeted atomic.Bool // it has connected once

	mu      sync.Mutex // guards all below
	queue   frameQueue
	queued  int  // bytes of queue
	hand    int  // bytes that are being written
	writing bool // a drain goroutine runs
	gone    bool // nothing is queued any more
	end     *closing
	// asked is the moment in the last ping, acked that in the last pong: all
	// that was told before acked has reached the client.
	asked, acked int64
	// askAgain is from when on progress may be asked for again.
	askAgain int64
	// stop ends the story that is being told, nil if there is none; told: one
	// was since the last ping.
	stop context.CancelFunc
	told bool
}

// send queues a complete text frame.
func (c *client) send(b []byte) { c.enqueue(whole(b)) }

// enqueue queues f and starts a writer if none runs. It never waits. It
// reports whether the frame was taken.
func (c *client) enqueue(f frame) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.put(f)
}

// enqueueAll queues frames without a ping between them, and returns how many
// were taken.
func (c *client) enqueueAll(frames []frame) (taken int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.askAgain = 0 // what a new subscription starts with is worth to be known of
	for _, f := range frames {
		if !c.put(f) {
			break
		}
		taken++
	}
	return taken
}

// put is enqueue with mu held.
func (c *client) put(f frame) bool {
	if c.gone {
		return false
	}
	n := f.size() + frameOverhead
	if reason := c.overflow(n); reason != "" {
		c.hub.dropped.Add(1)
		c.finish(&closing{CloseSlow, reason})
		return false
	}
	c.queue.push(f, &c.hub.waiting)
	c.queued += n
	c.start()
	return true
}

// overflow says why a frame of n bytes cannot be queued, "" if it can; mu is
// held. One frame always fits, however large, so that the bounds cannot make
// an object undeliverable.
func (c *client) overflow(n int) string {
	switch o := &c.hub.opts; {
	case c.queued == 0:
		return ""
	case c.queued+n > o.QueueBytes:
		return "slow consumer: too many bytes are waiting"
	case c.hub.waiting.Load() > o.TotalQueueBytes && c.queued+c.hand+n > c.hub.fairShare():
		return "slow consumer: too many bytes are waiting for all clients"
	}
	return ""
}

// start starts the writer. A goroutine that lives while there is something to
// write costs less than one for each of ten thousand silent clients. Called
// with mu held and gone unset: the reader still counts in hub.wg.
func (c *client) start() {
	if !c.writing {
		c.writing = true
		c.hub.wg.Add(1)
		go c.drain()
	}
}

// close ends the connection with a code; what is queued is dropped.
func (c *client) close(code websocket.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.finish(&closing{code, reason})
	}
}

// finish is close with mu held.
func (c *client) finish(end *closing) {
	c.start()
	c.gone, c.end = true, end
	c.discard()
	// Errors mean that the connection is gone, which the writer finds out.
	_ = c.conn.SetWriteDeadline(time.Now().Add(lastWrite))
}

// abandon marks the client as gone once its socket is closed.
func (c *client) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	c.discard()
}

// discard forgets what is queued or being made; mu is held.
func (c *client) discard() {
	c.queue.clear(&c.hub.waiting)
	c.queued = 0
	if c.stop != nil {
		c.stop()
	}
}

// drain writes what is queued and ends when there is nothing left.
func (c *client) drain() {
	defer c.hub.wg.Done()
	b, _ := c.hub.batches.Get().(*batch)
	if b == nil {
		b = new(batch)
	}
	defer func() {
		if cap(b.buf) <= 2*batchBytes {
			c.hub.batches.Put(b)
		}
	}()
	for {
		c.mu.Lock()
		c.hand = 0
		if c.end != nil {
			end := c.end
			c.mu.Unlock()
			// The library waits some seconds for the peer's close frame, then
			// closes the connection, which also ends the reader. An error says
			// that the peer did not answer: nothing is left to do about it.
			_ = c.ws.Close(end.code, end.reason)
			return
		}
		if c.queue.peek() == nil {
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.fill(b)
		if c.queue.peek() == nil && !c.gone && c.hub.resumes() {
			c.askProgress(b)
		}
		c.hand = b.total
		c.mu.Unlock()
		if b.empty() {
			continue
		}
		if err := c.write(b); err != nil {
			c.fail(err)
			return
		}
	}
}

// write writes a batch and empties it.
func (c *client) write(b *batch) error {
	defer b.reset(&c.hub.waiting)
	if held := int64(cap(b.buf)); held > smallBatch {
		c.hub.waiting.Add(held)
		defer c.hub.waiting.Add(-held)
	}
	return c.conn.writeFrames(b)
}

// fill moves what is to be written next from the queue into b. It is called
// with mu held, and lets go of it while a story is told.
func (c *client) fill(b *batch) {
	for {
		c.take(b)
		next := c.queue.peek()
		if next == nil || b.full() {
			return
		}
		f := *next
		if !b.empty() && !f.story.ready() {
			return // what is there does not wait for it
		}
		c.queued -= f.size() + frameOverhead
		c.queue.pop(&c.hub.waiting)
		c.mu.Unlock()
		c.complete(b, &f)
		f.release(&c.hub.waiting)
		c.mu.Lock()
	}
}

// take moves frames from the queue into b, up to one that is yet to be made.
// Called with mu held.
func (c *client) take(b *batch) {
	for !b.full() {
		f := c.queue.peek()
		if f == nil || f.story != nil {
			return
		}
		c.queued -= f.size() + frameOverhead
		b.add(f, &c.hub.waiting)
		c.queue.pop(&c.hub.waiting)
	}
}

// askProgress adds a ping if the last one is a while ago: nothing waits, so
// its pong will say that all that was told by now has arrived. mu is held.
func (c *client) askProgress(b *batch) {
	if m := c.hub.clock(); m >= c.askAgain {
		c.asked, c.askAgain = m, m+int64(ackInterval)
		b.ping(m)
	}
}

// fail ends a connection whose write failed.
func (c *client) fail(err error) {
	if !errors.Is(err, net.ErrClosed) {
		c.hub.log.Debug("live query write failed", "client", c.ip, "error", err)
	}
	c.abandon()
	_ = c.ws.CloseNow() // the connection is broken already
}

// dawdles reports whether a client sends a message drop by drop.
func (c *client) dawdles() bool {
	since := c.arriving.Load()
	return since != 0 && time.Since(time.Unix(0, since)) > c.hub.opts.Patience
}

// ping queues a ping, or drops the client if it did not answer the last one,
// or takes too long for what it does.
func (c *client) ping() {
	c.mu.Lock()
	telling := c.telling()
	c.mu.Unlock()
	if telling {
		return
	}
	if !c.greeted.Load() && time.Since(c.began) > c.hub.opts.Patience {
		c.close(websocket.StatusPolicyViolation, "connect was not sent")
		return
	}
	if !c.busy.Load() && (c.unanswered.Add(1) > 1 || c.dawdles()) {
		c.abandon()
		// Closing the connection under the library ends its reader, and with
		// it the client, without waiting for anybody.
		_ = c.conn.Close()
		return
	}
	f, m := c.hub.pingFrame()
	c.mu.Lock()
	c.asked = max(c.asked, m)
	c.mu.Unlock()
	c.enqueue(f)
}

// cutOff reports whether the hub closed the client for a reason after which it
// will come back.
func (c *client) cutOff() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end != nil && (c.end.code == CloseSlow || c.end.code == CloseResync)
}
