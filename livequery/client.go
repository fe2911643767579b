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

// Bounds of one write to a socket: many small frames go out together, but a
// client's backlog is not copied as a whole.
const (
	batchBytes = 64 << 10
	// keepQueue is the capacity of a drained queue that a client may keep;
	// larger ones are left to the collector.
	keepQueue = 8
	// lastWrite is how long a client that is being closed gets to take what
	// is already under way.
	lastWrite = 2 * time.Second
)

// frame is one queued frame in up to three parts that other frames share:
// `{"op":"` + event + head + tail. event is empty for a frame that is complete
// in head; that of a ping is evPing.
type frame struct {
	event string
	head  []byte
	tail  []byte
	// story, if there is one, makes the frame for sub when it is to be written;
	// until then tail stands for what the queue may hold of it.
	story *story
	sub   *subscription
}

const (
	eventPrefix = `{"op":"`
	// frameOverhead is charged to a queue for each frame beside its bytes.
	frameOverhead = 64
)

func (f *frame) size() int {
	n := len(f.head) + len(f.tail)
	if f.event != "" && f.event != evPing {
		n += len(eventPrefix) + len(f.event)
	}
	return n
}

func (f *frame) appendTo(dst []byte) []byte {
	if f.event == evPing {
		return append(appendFrameHeader(dst, framePing, len(f.head)), f.head...)
	}
	dst = appendFrameHeader(dst, frameText, f.size())
	if f.event != "" {
		dst = append(append(dst, eventPrefix...), f.event...)
	}
	return append(append(dst, f.head...), f.tail...)
}

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

	// Owned by the goroutine that reads the socket.
	id           string // "" until connected
	installation string
	token        string // of the connection; not checked
	member       []byte // `,"clientId":"…","installationId":"…"` of all its frames
	master       bool
	ident        *identity
	subs         map[parse.Value]*subscription // by requestId
	size         int64                         // of the message that is handled

	// unanswered counts pings since the last pong.
	unanswered atomic.Int32
	// arriving is since when a message arrives, in Unix nanoseconds; 0: none does.
	arriving atomic.Int64
	began    time.Time
	greeted  atomic.Bool // it has connected once

	mu      sync.Mutex // guards all below
	queue   []frame
	queued  int  // bytes of queue
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
func (c *client) send(b []byte) { c.enqueue(frame{head: b}) }

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
	// One frame always fits, however large, so that the bound cannot make an
	// object undeliverable.
	if c.queued > 0 && c.queued+n > c.hub.opts.QueueBytes {
		c.hub.dropped.Add(1)
		c.finish(&closing{CloseSlow, "slow consumer: too many bytes are waiting"})
		return false
	}
	c.queue = append(c.queue, f)
	c.queued += n
	c.start()
	return true
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
	c.queue, c.queued = nil, 0
	if c.stop != nil {
		c.stop()
	}
}

// drain writes what is queued and ends when there is nothing left.
func (c *client) drain() {
	defer c.hub.wg.Done()
	buf, _ := c.hub.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer func() {
		if cap(*buf) <= 4*batchBytes {
			c.hub.buffers.Put(buf)
		}
	}()
	for {
		c.mu.Lock()
		if c.end != nil {
			end := c.end
			c.mu.Unlock()
			// The library waits some seconds for the peer's close frame, then
			// closes the connection, which also ends the reader. An error says
			// that the peer did not answer: nothing is left to do about it.
			_ = c.ws.Close(end.code, end.reason)
			return
		}
		if len(c.queue) == 0 {
			c.writing = false
			if cap(c.queue) > keepQueue {
				c.queue = nil
			}
			c.mu.Unlock()
			return
		}
		*buf = c.fill((*buf)[:0])
		if len(c.queue) == 0 && !c.gone && c.hub.resumes() {
			*buf = c.askProgress(*buf)
		}
		c.mu.Unlock()
		if len(*buf) == 0 {
			continue
		}
		if err := c.conn.writeFrames(*buf); err != nil {
			c.fail(err)
			return
		}
	}
}

// fill moves what is to be written next from the queue into buf. It is called
// with mu held, and lets go of it while a story is told.
func (c *client) fill(buf []byte) []byte {
	for {
		buf = c.take(buf)
		if len(c.queue) == 0 || len(buf) >= batchBytes {
			return buf
		}
		f := c.queue[0]
		if len(buf) > 0 && !f.story.ready() {
			return buf // what is there does not wait for it
		}
		c.queued -= f.size() + frameOverhead
		c.shift(1)
		c.mu.Unlock()
		buf = c.complete(buf, &f)
		c.mu.Lock()
	}
}

// take moves frames from the queue into buf, up to one that is yet to be made.
// Called with mu held.
func (c *client) take(buf []byte) []byte {
	n := 0
	for n < len(c.queue) && len(buf) < batchBytes && c.queue[n].story == nil {
		f := &c.queue[n]
		buf = f.appendTo(buf)
		c.queued -= f.size() + frameOverhead
		n++
	}
	c.shift(n)
	return buf
}

// shift drops the first n frames of the queue; mu is held.
func (c *client) shift(n int) {
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
}

// askProgress appends a ping if the last one is a while ago: nothing waits, so
// its pong will say that all that was told by now has arrived. mu is held.
func (c *client) askProgress(buf []byte) []byte {
	f := c.hub.pingFrame()
	if m := f.moment(); m >= c.askAgain {
		c.asked, c.askAgain = m, m+int64(ackInterval)
		buf = f.appendTo(buf)
	}
	return buf
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
	if c.unanswered.Add(1) > 1 || c.dawdles() {
		c.abandon()
		// Closing the connection under the library ends its reader, and with
		// it the client, without waiting for anybody.
		_ = c.conn.Close()
		return
	}
	f := c.hub.pingFrame()
	c.mu.Lock()
	c.asked = max(c.asked, f.moment())
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
