package livequery

import (
	"encoding/binary"
	"net"
	"sync/atomic"
)

const (
	// chunkFrames fills a chunk up to 128 bytes, a size of the allocator.
	chunkFrames = 7
	chunkBytes  = 128
	// payloadBytes is what a payload takes beside its bytes, storyBytes what
	// a story does.
	payloadBytes = 80
	storyBytes   = 256
	// frameOverhead is charged to a client for each frame beside its bytes.
	frameOverhead = 64
)

// load is memory that waits for clients. It counts once, however many of their
// queues hold it.
type load struct {
	holders atomic.Int64
	bytes   int64
	under   *load // held as long as this one; nil: nothing
}

func (l *load) hold(total *atomic.Int64) {
	if l != nil && l.holders.Add(1) == 1 {
		total.Add(l.bytes)
		l.under.hold(total)
	}
}

func (l *load) release(total *atomic.Int64) {
	if l != nil && l.holders.Add(-1) == 0 {
		total.Add(-l.bytes)
		l.under.release(total)
	}
}

// payload is what frames share: the name of an event and all that follows the
// head of a subscription, or, without a name, a complete frame. That of a ping
// is evPing.
type payload struct {
	load
	event string
	text  []byte
	// story, if there is one, makes the frame when it is to be written; until
	// then text stands for what the queue may hold of it.
	story *story
}

// newPayload returns a payload without a story.
func newPayload(event string, text []byte) *payload {
	return &payload{event: event, text: text, load: load{bytes: payloadBytes + int64(cap(text))}}
}

// frame is one queued frame: `{"op":"` + event + the head of sub + text. sub is
// nil if the payload is complete.
type frame struct {
	sub *subscription
	*payload
}

// whole is a complete text frame.
func whole(b []byte) frame { return frame{payload: newPayload("", b)} }

const eventPrefix = `{"op":"`

func (f *frame) size() int {
	n := len(f.text)
	if f.sub != nil {
		n += len(eventPrefix) + len(f.event) + len(f.sub.head)
	}
	return n
}

// frameQueue is a list of chunks, so that it grows and shrinks without being
// copied. Its first chunk is part of what a client takes, and is not counted
// among what waits.
type frameQueue struct {
	first, last *chunk
	from, to    int // the first frame in first, and behind the last one in last
}

type chunk struct {
	next   *chunk
	frames [chunkFrames]frame
}

// peek returns the first frame, or nil.
func (q *frameQueue) peek() *frame {
	if q.first == nil || q.first == q.last && q.from == q.to {
		return nil
	}
	return &q.first.frames[q.from]
}

// push appends a frame, and holds what it has.
func (q *frameQueue) push(f frame, total *atomic.Int64) {
	switch {
	case q.first == nil:
		q.first = new(chunk)
		q.last = q.first
	case q.to == chunkFrames:
		q.last.next = new(chunk)
		q.last, q.to = q.last.next, 0
		total.Add(chunkBytes)
	}
	f.hold(total)
	q.last.frames[q.to] = f
	q.to++
}

// pop removes the first frame, which the caller has to release.
func (q *frameQueue) pop(total *atomic.Int64) {
	q.first.frames[q.from] = frame{}
	q.from++
	switch {
	case q.first == q.last && q.from == q.to:
		q.from, q.to = 0, 0
	case q.from == chunkFrames:
		q.first, q.from = q.first.next, 0
		total.Add(-chunkBytes)
	}
}

// clear releases all frames.
func (q *frameQueue) clear(total *atomic.Int64) {
	for f := q.peek(); f != nil; f = q.peek() {
		f.release(total)
		q.pop(total)
	}
	*q = frameQueue{}
}

const (
	// batchBytes is how much is copied for one write: many small frames go out
	// together, but a client that does not read keeps no more than this and a
	// frame from being used otherwise, beside its queue.
	batchBytes = 16 << 10
	// smallBatch is what is not worth counting while it is written.
	smallBatch = 4 << 10
	// largeText is from when on a text is written from where it is.
	largeText = 4 << 10
	// batchParts and batchTotal bound large texts of one write.
	batchParts = 32
	batchTotal = 64 << 10
)

// batch is what goes out in one write.
type batch struct {
	buf   []byte
	large []largePart
	total int
}

// largePart is a text that comes behind the first at bytes of buf. It is held
// until it is written.
type largePart struct {
	at int
	*payload
}

func (b *batch) empty() bool { return len(b.buf) == 0 }

func (b *batch) full() bool {
	return len(b.buf) >= batchBytes || len(b.large) >= batchParts || b.total >= batchTotal
}

// add takes a frame over from who holds it.
func (b *batch) add(f *frame, total *atomic.Int64) {
	if f.event == evPing {
		b.buf = append(appendFrameHeader(b.buf, framePing, len(f.text)), f.text...)
		f.release(total)
		return
	}
	n := f.size()
	b.total += n
	b.buf = appendFrameHeader(b.buf, frameText, n)
	if f.sub != nil {
		b.buf = append(append(append(b.buf, eventPrefix...), f.event...), f.sub.head...)
	}
	if len(f.text) < largeText {
		b.buf = append(b.buf, f.text...)
		f.release(total)
		return
	}
	b.large = append(b.large, largePart{len(b.buf), f.payload})
}

// ping adds a ping that was not queued.
func (b *batch) ping(moment int64) {
	b.buf = binary.BigEndian.AppendUint64(appendFrameHeader(b.buf, framePing, 8), uint64(moment))
}

// buffers returns the parts in their order.
func (b *batch) buffers() net.Buffers {
	out := make(net.Buffers, 0, 2*len(b.large)+1)
	at := 0
	for _, p := range b.large {
		out = append(out, b.buf[at:p.at], p.text)
		at = p.at
	}
	if at < len(b.buf) {
		out = append(out, b.buf[at:])
	}
	return out
}

// reset releases what is in the batch, and makes it empty.
func (b *batch) reset(total *atomic.Int64) {
	for _, p := range b.large {
		p.release(total)
	}
	clear(b.large)
	b.buf, b.large, b.total = b.buf[:0], b.large[:0], 0
}
