package livequery

import (
	"sync"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// What a subscription takes beside what it can be asked for, by measurement:
// TestSubscriptionBytes holds it against the truth.
const (
	// subscriptionBytes is the subscription itself, with its places in tables.
	subscriptionBytes = 360
	// callerBytes is what the index adds for a caller with rights of his own,
	// and tokenBytes what one with a token of its own takes.
	callerBytes = 200
	tokenBytes  = 450
	// inquiryBytes is an inquiry and its place in the index.
	inquiryBytes = 920
	// nameBytes is a name in a list.
	nameBytes = 32
)

// privateShare is how many times what is free a network may have that may be a
// proxy's, behind which everybody is.
const privateShare = 3

// inquiry is what a subscription asks for. Those that ask for the same at the
// same time have one, and keep nothing else of their messages. It is immutable
// but for what the ledger guards.
type inquiry struct {
	class string
	where query.Node // as the client sent it, before Normalize
	canon string     // query.Canonical of it
	keys  []string
	watch []string
	// include is what events carry in the place of pointers, nil for nothing;
	// includeText is its text.
	include     *query.Query
	includeText string
	fields      string // text of keys
	viewKey     string // text of keys, watch, include and positions
	positions   bool   // events tell their position, for the client to resume from

	// Guarded by ledger.mu: how many have it, what it takes, and the network
	// that it counts for: that of the first. refs is 0 for one that none share.
	refs  int
	bytes int64
	payer *network
}

// inquiryKey is the same for equal inquiries alone.
type inquiryKey struct{ class, view, canon string }

func (q *inquiry) key() inquiryKey { return inquiryKey{q.class, q.viewKey, q.canon} }

// size is about what an inquiry takes that came with a message of so many bytes,
// of which its texts are parts.
func (q *inquiry) size(message int) int64 {
	n := inquiryBytes + message + len(q.canon) + 2*len(q.viewKey) + query.Size(q.where)
	n += nameBytes * (len(q.keys) + len(q.watch))
	if q.include != nil {
		n += nameBytes * 2 * len(q.include.Include)
	}
	return int64(n)
}

// usage is what somebody takes.
type usage struct{ subscriptions, bytes int64 }

// network is what one network takes: an address, or a /64 of IPv6.
type network struct {
	name    string
	private bool
	clients int
	usage
	pace fair.Pace // of messages
}

// ledger counts what subscriptions take, all and those of each network: one
// that takes much must not keep others out. It may have no more than is still
// free, so that many that take all they can have equal parts in the end, and
// one more finds as much.
type ledger struct {
	limit usage

	mu        sync.Mutex // guards all below, and what is in them
	used      usage
	networks  map[string]*network
	inquiries map[inquiryKey]*inquiry
}

func newLedger(limit usage) *ledger {
	return &ledger{limit: limit, networks: map[string]*network{}, inquiries: map[inquiryKey]*inquiry{}}
}

// total is what all take.
func (l *ledger) total() usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

// enter returns the network of a new client; exit must follow.
func (l *ledger) enter(ip string) *network {
	name := access.ClientNetwork(ip)
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.networks[name]
	if n == nil {
		n = &network{name: name, private: access.Internal(ip)}
		l.networks[name] = n
	}
	n.clients++
	return n
}

func (l *ledger) exit(n *network) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.clients--
	l.tidy(n)
}

// tidy forgets a network that has nothing; mu is held.
func (l *ledger) tidy(n *network) {
	if n.clients == 0 && n.usage == (usage{}) {
		delete(l.networks, n.name)
	}
}

// take counts something in, in the place of something else that is given back
// later. The error is a *parse.Error 155.
func (l *ledger) take(n *network, what, instead usage) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.add(n, what, instead)
}

// add is take with mu held.
func (l *ledger) add(n *network, what, instead usage) error {
	share := int64(1)
	if n.private {
		share = privateShare
	}
	over := func(more, all, mine, limit int64) error {
		free := limit - all
		switch {
		case more <= 0:
			return nil
		case more > free:
			return parse.Errorf(parse.RequestLimitExceeded, "Too many subscriptions on this server at the moment")
		case mine+more > share*free:
			return parse.Errorf(parse.RequestLimitExceeded, "Too many subscriptions from your network at the moment")
		}
		return nil
	}
	err := over(what.subscriptions-instead.subscriptions, l.used.subscriptions, n.subscriptions, l.limit.subscriptions)
	if err == nil {
		err = over(what.bytes-instead.bytes, l.used.bytes, n.bytes, l.limit.bytes)
	}
	if err == nil {
		l.change(n, what.subscriptions, what.bytes)
	}
	return err
}

// change counts without a limit; mu is held.
func (l *ledger) change(n *network, subscriptions, bytes int64) {
	l.used.subscriptions += subscriptions
	l.used.bytes += bytes
	n.subscriptions += subscriptions
	n.bytes += bytes
}

// give gives back what take took.
func (l *ledger) give(n *network, what usage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.change(n, -what.subscriptions, -what.bytes)
	l.tidy(n)
}

// share returns the inquiry that equals q, which is q if there is no other yet;
// part must follow. message is the size of what q came with, old the inquiry
// that it is to replace, or nil.
func (l *ledger) share(n *network, q *inquiry, message int, old *inquiry) (*inquiry, error) {
	key := q.key()
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.inquiries[key]; known != nil {
		known.refs++
		return known, nil
	}
	instead := usage{}
	if old != nil && old.refs == 1 {
		instead.bytes = old.bytes
	}
	q.bytes = q.size(message)
	if err := l.add(n, usage{bytes: q.bytes}, instead); err != nil {
		return nil, err
	}
	q.refs, q.payer = 1, n
	l.inquiries[key] = q
	return q, nil
}

// part ends one use of a shared inquiry.
func (l *ledger) part(q *inquiry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.refs--; q.refs > 0 {
		return
	}
	delete(l.inquiries, q.key())
	l.change(q.payer, 0, -q.bytes)
	l.tidy(q.payer)
}
