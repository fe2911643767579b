package livequery

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

const (
	// ackInterval is how often a client that gets events is asked, by a ping,
	// how far it has come.
	ackInterval = time.Second
	// maxLost bounds the subscriptions of broken connections that are kept.
	maxLost = 100_000
)

// ring keeps the last changes of a class, for clients that come back. It is
// guarded by shard.mu, but for the moments in kept.
type ring struct {
	epoch string // of this ring: another one has lost count
	seq   uint64 // of the last change
	size  int    // how many changes it may have
	slots []kept // seq n is at n % size; nil before the first
	held  int    // how many there are
	bytes int64  // what they take
	// gone is when the last change that is no longer there was told to all, or
	// the ring began: who has had everything until later than that misses
	// nothing that is not here.
	gone int64
	// idle is since when nobody subscribes to the class; 0: somebody does.
	idle int64
}

// kept is one change in a ring.
type kept struct {
	change parse.Change
	bytes  int64
	// hole: the change is too large to be kept.
	hole bool
	// told is when all subscribers had the change in their queues, by the
	// hub's clock; 0: not yet.
	told *atomic.Int64
}

func newRing(size int, now int64) *ring {
	return &ring{epoch: parse.NewObjectID(8), size: size, gone: now - 1}
}

// add keeps a change and returns where to note that it was told to all. total
// is what all rings take together, limit what they may; a ring may have a
// quarter of it. Its oldest changes go for a new one, and one that does not fit
// even so leaves a hole.
func (r *ring) add(ch *parse.Change, total *atomic.Int64, limit int64) *atomic.Int64 {
	if r.slots == nil {
		r.slots = make([]kept, r.size)
	}
	if r.held == r.size {
		r.drop(total)
	}
	k := kept{change: *ch, bytes: int64(ch.Size()), told: new(atomic.Int64)}
	for !r.take(k.bytes, total, limit) {
		if r.held == 0 {
			k.change, k.bytes, k.hole = parse.Change{}, 0, true
			break
		}
		r.drop(total)
	}
	r.seq++
	r.slots[r.seq%uint64(r.size)] = k
	r.held++
	return k.told
}

// take takes room for a change.
func (r *ring) take(n int64, total *atomic.Int64, limit int64) bool {
	if r.bytes+n > limit/4 {
		return false
	}
	if total.Add(n) > limit {
		total.Add(-n)
		return false
	}
	r.bytes += n
	return true
}

// drop forgets the oldest change.
func (r *ring) drop(total *atomic.Int64) {
	slot := &r.slots[(r.seq-uint64(r.held)+1)%uint64(r.size)]
	r.gone = slot.told.Load() // the dispatcher is through with it
	r.held--
	r.bytes -= slot.bytes
	total.Add(-slot.bytes)
	*slot = kept{}
}

// newPositionCipher makes the cipher of positions. They count all changes of a
// class: a client that could read them would learn of those that it must not see.
func newPositionCipher() cipher.AEAD {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return aead
		}
	}
	panic(err) // a key of 32 bytes is one that AES takes
}

// seal is where a client stands that has had all changes of a ring up to seq.
func (h *Hub) seal(epoch string, seq uint64) string {
	plain := append(binary.BigEndian.AppendUint64(nil, seq), epoch...)
	return base64.RawURLEncoding.EncodeToString(h.positions.Seal(nil, nil, plain, nil)) //nolint:gosec // the cipher adds a random nonce itself
}

// open reads what seal made.
func (h *Hub) open(position string) (epoch string, seq uint64, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(position)
	if err != nil {
		return "", 0, false
	}
	plain, err := h.positions.Open(nil, nil, sealed, nil)
	if err != nil || len(plain) < 8 {
		return "", 0, false
	}
	return string(plain[8:]), binary.BigEndian.Uint64(plain), true
}

// since returns the changes after one; ok is false if there may be others that
// are no longer known.
func (r *ring) since(epoch string, seq uint64) (list []kept, first uint64, ok bool) {
	if epoch != r.epoch || seq > r.seq || r.seq-seq > uint64(r.held) {
		return nil, 0, false
	}
	list, ok = r.last(int(r.seq - seq))
	return list, seq + 1, ok
}

// after returns the changes that were not told to all before a moment.
func (r *ring) after(moment int64) (list []kept, first uint64, ok bool) {
	if moment <= r.gone {
		return nil, 0, false
	}
	n := 0
	for n < r.held {
		told := r.slots[(r.seq-uint64(n))%uint64(r.size)].told.Load()
		if told != 0 && told < moment {
			break
		}
		n++
	}
	list, ok = r.last(n)
	return list, r.seq - uint64(n) + 1, ok
}

// last returns the last n changes; ok is false if one was not kept.
func (r *ring) last(n int) (list []kept, ok bool) {
	list = make([]kept, n)
	for i := range list {
		list[i] = r.slots[(r.seq-uint64(n-1-i))%uint64(r.size)]
		if list[i].hole {
			return nil, false
		}
	}
	return list, true
}

// resume says from where a new subscription goes on.
type resume struct {
	// asked: the client knows of positions and names its own, "" for none.
	asked    bool
	position string
	// lost is set for the continuation of a subscription whose connection
	// broke: since is until when the client has surely had everything.
	lost  bool
	since int64
}

// clock is the time since the hub began: never 0, and never set back.
func (h *Hub) clock() int64 { return int64(time.Since(h.began)) + 1 }

// resumes reports whether changes are kept for clients that come back.
func (h *Hub) resumes() bool { return h.opts.ResumeWindow > 0 }

// record keeps a change if its class is one that somebody may come back to,
// and returns where to note that it was told.
func (s *shard) record(r *round) (told *atomic.Int64) {
	if !s.hub.resumes() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.rings[r.change.Class]
	if kept == nil {
		return nil
	}
	told = kept.add(r.change, &s.hub.kept, s.hub.opts.ResumeBytes)
	r.epoch, r.seq = kept.epoch, kept.seq
	return told
}

// ring returns the ring of a class that is being subscribed to; mu is held.
func (s *shard) ring(class string) *ring {
	if !s.hub.resumes() {
		return nil
	}
	r := s.rings[class]
	if r == nil {
		r = newRing(s.hub.opts.ResumeChanges, s.hub.clock())
		s.rings[class] = r
	}
	r.idle = 0
	return r
}

// sweep forgets the changes of classes that nobody has subscribed to for long.
func (s *shard) sweep(before int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for class, r := range s.rings {
		if r.idle != 0 && r.idle < before {
			s.hub.kept.Add(-r.bytes)
			delete(s.rings, class)
			s.active.Delete(class)
		}
	}
}

// confirm tells a subscription that it is in, and what it has missed; mu is
// held, so that no event comes before either.
func (s *shard) confirm(sub *subscription, from resume) {
	r := s.ring(sub.class)
	if !from.lost { // else it has not even had what follows, until it says so
		sub.since.Store(s.hub.clock())
	}
	var missed []kept
	var first uint64
	all := false
	switch {
	case r == nil:
	case from.lost:
		missed, first, all = r.after(from.since)
	case from.position != "":
		if epoch, seq, ok := s.hub.open(from.position); ok {
			missed, first, all = r.since(epoch, seq)
		}
	}
	frames, fits := s.replay(sub, r, missed, first)
	all = all && fits
	reply := replyFrame("subscribed", sub.client.member, sub.requestID)
	if from.asked {
		reply = append(reply[:len(reply)-1], `,"resumed":`...)
		reply = strconv.AppendBool(reply, all)
		if r != nil {
			reply = parse.AppendJSON(append(reply, `,"position":`...), s.hub.seal(r.epoch, r.seq))
		}
		reply = append(reply, '}')
	}
	out := append(make([]frame, 0, 2+len(frames)), whole(reply))
	switch {
	case all:
		out = append(out, frames...)
	case from.lost:
		s.hub.resyncs.Add(1)
		out = append(out, whole(errorFrame(CloseResync, "Changes were missed while the connection was lost: query again.", false, sub.requestID)))
	}
	// At once: a ping after the reply would ask whether all this has arrived.
	n := int64(sub.client.enqueueAll(out) - 1)
	sub.begun.Store(s.hub.clock())
	if all && n > 0 {
		s.hub.events.Add(n)
		s.hub.replayed.Add(n)
	}
}

// replay returns the frames of changes that a subscription has missed, as its
// rights now are; fits is false if they are more than its queue takes, or its
// pattern takes too long for them.
func (s *shard) replay(sub *subscription, kept *ring, missed []kept, first uint64) (frames []frame, fits bool) {
	size, spent := 0, time.Duration(0)
	d := sub.view.group.query
	for i := range missed {
		r := newRound(s.hub, &missed[i].change)
		r.epoch, r.seq = kept.epoch, first+uint64(i)
		mb, ma := r.match(d)
		if d.patterned {
			took := d.scan.Spent()
			s.hub.patterns.take(s.hub.clock(), took)
			if spent += took; d.scan.Err() != nil || spent > s.hub.changeTime() {
				return nil, false
			}
		}
		f, ok := r.forOne(sub, mb, ma)
		if !ok {
			continue
		}
		if size += f.size() + frameOverhead; size > s.hub.opts.QueueBytes/2 {
			return nil, false
		}
		frames = append(frames, f)
	}
	return frames, true
}

// lostKey finds the subscription of a broken connection: SDKs come back with
// the same installation and ids.
type lostKey struct {
	installation string
	requestID    parse.Value
}

// lostSub is a subscription whose connection broke.
type lostSub struct {
	class, user string
	query       [sha256.Size]byte // of where and view, which may be long
	master      bool
	since       int64 // until when the client has surely had everything
	until       int64 // when it is forgotten
}

// lostSubs are the subscriptions that a client may come back to: those of
// broken connections, for a while, and those of connections that are thought
// to live, since a network is often found dead long after its client has
// another one.
type lostSubs struct {
	mu   sync.Mutex // guards both
	m    map[lostKey]lostSub
	live map[lostKey]*subscription // the newest of each key
}

// key is where a subscription is found when its client comes back.
func (s *subscription) key() lostKey { return lostKey{s.client.installation, s.requestID} }

// enlist notes a new subscription, and returns from where it goes on if it is
// that of a connection that broke, or may have.
func (h *Hub) enlist(sub *subscription) (since int64, goesOn bool) {
	if !h.resumes() || sub.client.installation == "" {
		return 0, false
	}
	h.lost.mu.Lock()
	defer h.lost.mu.Unlock()
	if since, goesOn = h.recall(sub); goesOn {
		sub.since.Store(since)
	}
	h.lost.live[sub.key()] = sub
	return since, goesOn
}

// delist takes a subscription off again.
func (h *Hub) delist(sub *subscription) {
	if !h.resumes() || sub.client.installation == "" {
		return
	}
	h.lost.mu.Lock()
	defer h.lost.mu.Unlock()
	if h.lost.live[sub.key()] == sub {
		delete(h.lost.live, sub.key())
	}
}

// progress is until when the client has surely had everything; 0: it has not begun.
func (s *subscription) progress() int64 {
	// What was acknowledged before it began says nothing of it.
	if begun, acked := s.begun.Load(), s.client.acknowledged(); begun != 0 && acked >= begun {
		return acked
	}
	return s.since.Load()
}

// identify describes a subscription such that equal ones go on with each other.
func (s *subscription) identify(h *Hub) lostSub {
	p := s.principal(h.stranger)
	asked := sha256.Sum256([]byte(s.canon + "\x00\x00" + s.viewKey))
	return lostSub{class: s.class, query: asked, user: p.UserID, master: s.master != nil}
}

// remember keeps the subscriptions of a client whose connection broke.
func (h *Hub) remember(c *client) {
	if !h.resumes() || c.installation == "" || len(c.subs) == 0 {
		return
	}
	now := h.clock()
	h.lost.mu.Lock()
	defer h.lost.mu.Unlock()
	for _, sub := range c.subs {
		if len(h.lost.m) >= maxLost {
			return
		}
		if h.lost.live[sub.key()] != sub { // the client is back already
			continue
		}
		l := sub.identify(h)
		l.since, l.until = sub.progress(), now+int64(h.opts.ResumeWindow)
		h.lost.m[sub.key()] = l
	}
}

// recall finds what a subscription goes on with; lost.mu is held.
func (h *Hub) recall(sub *subscription) (since int64, ok bool) {
	if old := h.lost.live[sub.key()]; old != nil {
		since = old.progress()
		return since, since != 0 && old.identify(h) == sub.identify(h)
	}
	l, ok := h.lost.m[sub.key()]
	if !ok {
		return 0, false
	}
	delete(h.lost.m, sub.key())
	since, until := l.since, l.until
	l.since, l.until = 0, 0
	return since, l == sub.identify(h) && h.clock() <= until
}

// forget drops what nobody came back for.
func (h *Hub) forget() {
	if !h.resumes() {
		return
	}
	now := h.clock()
	h.lost.mu.Lock()
	for k, l := range h.lost.m {
		if l.until < now {
			delete(h.lost.m, k)
		}
	}
	h.lost.mu.Unlock()
	for i := range h.shards {
		h.shards[i].sweep(now - int64(h.opts.ResumeWindow))
	}
}

// evPing is the event of a ping. Its payload is the moment at which all that
// was told by then was queued before it: the pong says that it was received.
const evPing = "ping"

func (h *Hub) pingFrame() (frame, int64) {
	m := h.clock()
	return frame{payload: newPayload(evPing, binary.BigEndian.AppendUint64(nil, uint64(m)))}, m
}

// ponged notes how far a client has come.
func (c *client) ponged(payload []byte) {
	c.unanswered.Store(0)
	if len(payload) != 8 {
		return
	}
	moment := int64(binary.BigEndian.Uint64(payload))
	c.mu.Lock()
	defer c.mu.Unlock()
	if moment > c.acked && moment <= c.asked {
		c.acked = moment
	}
}

func (c *client) acknowledged() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acked
}
