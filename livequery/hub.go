package livequery

import (
	"context"
	"crypto/cipher"
	"errors"
	"hash/maphash"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
)

// shardCount spreads classes; a power of two, more than there are likely to
// be busy classes at once.
const shardCount = 32

// Hub serves live queries. All its methods may be called concurrently.
//
// Lock order; each may be taken under those before it, never the other way:
//
//	identity.turn (held while the Authenticator is asked)
//	Hub.idMu
//	shard.mu
//	Hub.mu
//	client.mu
//	frameConn.mu (held during a write to the socket)
//
// shard.qmu and ledger.mu are taken under none and hold none; lostSubs.mu is taken under
// none and holds client.mu.
type Hub struct {
	opts     Options
	log      *slog.Logger
	stranger *access.Principal
	shards   [shardCount]shard
	seed     maphash.Seed
	batches  sync.Pool // *batch of writers

	idMu       sync.Mutex // guards identities, and refs and subs of each
	identities map[string]*identity

	mu      sync.Mutex // guards all in this block
	clients map[*client]struct{}
	tended  bool // pingAll and resolveAll run
	closed  bool

	// wg counts readers, writers, dispatchers and the hub's own. It grows only
	// while mu or qmu shows that the hub is open, or by a goroutine it counts.
	wg    sync.WaitGroup
	began time.Time
	lost  lostSubs

	turns chan struct{} // holds an element for each hook and read of a story under way

	large chan struct{} // a place for each large message that is read or served
	quit  chan struct{} // closed by Close
	// ending ends with Close, by end.
	ending context.Context
	end    context.CancelFunc
	wake   chan struct{} // asks resolveAll to look at identities now

	distinct, events, dropped, refused, expelled         atomic.Int64
	replayed, resyncs, changes, matchNanos, includeReads atomic.Int64

	ledger *ledger

	// waiting is what all queues of clients take.
	waiting atomic.Int64
	// joined is how many clients there are.
	joined atomic.Int64

	// pending and kept are the sizes of the changes in all queues and rings.
	pending, kept atomic.Int64

	patterns  allowance
	positions cipher.AEAD // see seal
}

// NewHub returns a hub. It starts goroutines only once there are clients.
func NewHub(o Options) *Hub {
	o = o.withDefaults()
	h := &Hub{
		opts: o, log: o.Log, stranger: access.Anonymous(), seed: maphash.MakeSeed(),
		identities: map[string]*identity{}, clients: map[*client]struct{}{},
		began: time.Now(), lost: lostSubs{m: map[lostKey]lostSub{}, live: map[lostKey]*subscription{}},
		ledger:   newLedger(usage{int64(o.TotalSubscriptions), o.SubscriptionBytes}),
		patterns: allowance{left: patternBurst}, positions: newPositionCipher(),
		turns: make(chan struct{}, storyTurns), large: make(chan struct{}, largeMessages), quit: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	h.ending, h.end = context.WithCancel(context.Background()) //nolint:forbidigo // it ends with the hub, not with a caller
	for i := range h.shards {
		h.shards[i].hub, h.shards[i].classes = h, map[string]*classIndex{}
		h.shards[i].rings = map[string]*ring{}
	}
	return h
}

func (h *Hub) shardOf(class string) *shard {
	return &h.shards[maphash.String(h.seed, class)%shardCount]
}

// Wants reports whether changes of a class should be published. It does not
// ask whether anybody subscribes just now: a subscription that is confirmed
// while a write is under way must see that write.
func (h *Hub) Wants(class string) bool { return h.opts.Classes(class) }

// Publish takes committed changes, those of one object in commit order, and
// returns without waiting for them to be matched or sent. See DESIGN.md for
// what happens if they come faster than that.
func (h *Hub) Publish(ctx context.Context, changes []parse.Change) {
	for len(changes) > 0 {
		class, n := changes[0].Class, 1
		for n < len(changes) && changes[n].Class == class {
			n++
		}
		if s := h.shardOf(class); h.Wants(class) && s.subscribed(class) {
			s.publish(ctx, changes[:n])
		}
		changes = changes[n:]
	}
}

// Lost tells the hub that changes of these classes (without classes, of all)
// may have been missed, as when a bus between servers was broken: whoever
// subscribes to one is made to start anew. It does not wait.
func (h *Hub) Lost(ctx context.Context, classes ...string) {
	for _, class := range classes {
		h.shardOf(class).miss(ctx, class)
	}
	if len(classes) > 0 {
		return
	}
	for i := range h.shards {
		s := &h.shards[i]
		s.active.Range(func(class, _ any) bool {
			s.miss(ctx, class.(string)) //nolint:forcetypeassert // its keys are strings
			return true
		})
	}
}

// Revoke tells the hub that what it knows of these users (or of all) is out of
// date: sessions, roles. No event after it is decided by the old knowledge.
// It does not wait.
func (h *Hub) Revoke(userIDs []string, all bool) {
	if h.markStale(userIDs, all) == 0 {
		return
	}
	select {
	case h.wake <- struct{}{}:
	default: // already asked
	}
}

// Stats returns the counters.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	clients := h.list()
	h.mu.Unlock()
	queued := 0
	for _, c := range clients {
		c.mu.Lock()
		queued += c.queued
		c.mu.Unlock()
	}
	held := h.ledger.total()
	return Stats{
		Clients: len(clients), QueuedBytes: int64(queued), WaitingBytes: h.waiting.Load(), Subscriptions: int(held.subscriptions), DistinctQueries: int(h.distinct.Load()),
		Events: h.events.Load(), Dropped: h.dropped.Load(), Replayed: h.replayed.Load(), Resyncs: h.resyncs.Load(), Changes: h.changes.Load(), MatchNanos: h.matchNanos.Load(),
		IncludeReads: h.includeReads.Load(), Refused: h.refused.Load(), Expelled: h.expelled.Load(), HeldBytes: held.bytes,
		PendingBytes: h.pending.Load(), KeptBytes: h.kept.Load(),
	}
}

// counts returns how many clients and subscriptions there are.
func (h *Hub) counts() (clients, subscriptions int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients), int(h.ledger.total().subscriptions)
}

// Close sends every client a close frame with code 1001, and waits until all
// are gone and all goroutines have ended. When ctx ends first, connections are
// cut, and its error is returned. Changes not yet matched are dropped.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.quit)
		h.end()
	}
	clients := h.list()
	h.mu.Unlock()
	for i := range h.shards {
		s := &h.shards[i]
		s.qmu.Lock()
		s.closed = true
		s.qmu.Unlock()
	}
	for _, c := range clients {
		c.close(websocket.StatusGoingAway, "server is shutting down")
	}
	done := make(chan struct{})
	go func() {
		h.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, c := range clients {
		_ = c.conn.Close() // cut: an error means that it is closed
	}
	<-done
	return ctx.Err()
}

// list returns the clients; mu is held.
func (h *Hub) list() []*client {
	out := make([]*client, 0, len(h.clients))
	for c := range h.clients {
		out = append(out, c)
	}
	return out
}

// join counts a new client in, and starts the hub's own goroutines with the first. It
// reports whether the hub still takes clients; if so, leave must follow.
func (h *Hub) join(c *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.wg.Add(1)
	c.network = h.ledger.enter(c.ip)
	h.clients[c] = struct{}{}
	h.joined.Add(1)
	if !h.tended {
		h.tended = true
		h.wg.Add(2)
		go h.pingAll()
		go h.resolveAll(c.ctx)
	}
	return true
}

func (h *Hub) leave(c *client) {
	h.mu.Lock()
	delete(h.clients, c)
	h.joined.Add(-1)
	h.mu.Unlock()
	h.ledger.exit(c.network)
	h.wg.Done()
}

// fairShare is how many bytes may wait for a client while too many wait for
// all.
func (h *Hub) fairShare() int {
	return max(leastShare, int(h.opts.TotalQueueBytes/max(1, h.joined.Load())))
}

// pingAll pings all clients at each interval, until Close.
func (h *Hub) pingAll() {
	defer h.wg.Done()
	tick := time.NewTicker(h.opts.PingInterval)
	defer tick.Stop()
	for {
		select {
		case <-h.quit:
			return
		case <-tick.C:
		}
		h.mu.Lock()
		clients := h.list()
		h.mu.Unlock()
		for _, c := range clients {
			c.ping()
		}
		h.forget()
	}
}

// resolveAll resolves identities that are stale or old, after a revocation and
// at each interval, until Close.
func (h *Hub) resolveAll(ctx context.Context) {
	defer h.wg.Done()
	tick := time.NewTicker(h.opts.PingInterval)
	defer tick.Stop()
	for {
		select {
		case <-h.quit:
			return
		case <-h.wake:
		case <-tick.C:
		}
		for _, id := range h.due() {
			select {
			case <-h.quit:
				return
			default:
				h.refresh(ctx, id, true)
			}
		}
	}
}

// Handler upgrades requests, on whatever path, to websockets. It returns as
// soon as the websocket is open; the hub then owns the connection.
func (h *Hub) Handler() http.Handler { return http.HandlerFunc(h.upgrade) }

func (h *Hub) upgrade(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	if closed {
		http.Error(w, "server is shutting down", http.StatusServiceUnavailable)
		return
	}
	c := &client{hub: h, ctx: context.WithoutCancel(r.Context()), ip: h.opts.ClientIP(r), began: time.Now()}
	uw := &upgradeWriter{ResponseWriter: w}
	ws, err := websocket.Accept(uw, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the protocol does not check origins: a session token is never sent by a browser on its own
		CompressionMode:    websocket.CompressionDisabled,
		OnPongReceived:     func(_ context.Context, payload []byte) { c.ponged(payload) },
	})
	if err != nil {
		h.log.DebugContext(r.Context(), "live query upgrade refused", "client", c.ip, "error", err)
		return
	}
	ws.SetReadLimit(min(h.opts.MaxMessageBytes, firstMessageBytes))
	c.ws, c.conn = ws, uw.conn
	if !h.join(c) {
		_ = ws.Close(websocket.StatusGoingAway, "server is shutting down") // nobody is left to tell of an error
		return
	}
	// A goroutine of its own lets the HTTP server's, with its deep stack and
	// its buffers, end.
	go c.read()
}

// asParseError returns the *parse.Error in err's chain, or nil.
func asParseError(err error) *parse.Error {
	var e *parse.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
