package livequery

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
)

// resolveTimeout bounds one question to the Authenticator.
const resolveTimeout = 10 * time.Second

// identity is one session token and what it stands for now. All connections
// and subscriptions with the token share it.
type identity struct {
	token, installation, ip string

	// wanted counts revocations, resolved is the count that principal reflects.
	// While they differ the identity is stale, and no event is decided by it.
	wanted, resolved atomic.Uint64
	principal        atomic.Pointer[access.Principal]
	// checked is when the Authenticator was last asked, in Unix milliseconds.
	checked atomic.Int64

	// turn lets one goroutine at a time ask the Authenticator, so that the
	// last answer wins.
	turn sync.Mutex

	// Guarded by Hub.idMu.
	refs int
	subs []*subscription
}

func (id *identity) stale() bool { return id.wanted.Load() != id.resolved.Load() }

func newIdentity(token, installation, ip string) *identity {
	id := &identity{token: token, installation: installation, ip: ip}
	id.wanted.Store(1)
	id.principal.Store(access.Anonymous())
	return id
}

// acquire returns the identity of a token, resolved; release must follow. An
// empty token, or a hub without users, gives nil.
func (h *Hub) acquire(ctx context.Context, token, installation, ip string) *identity {
	if token == "" || h.opts.Auth == nil {
		return nil
	}
	h.idMu.Lock()
	id := h.identities[token]
	if id == nil {
		id = newIdentity(strings.Clone(token), installation, ip) // it is part of a message
		h.identities[id.token] = id
	}
	id.refs++
	h.idMu.Unlock()
	h.refresh(ctx, id, false)
	return id
}

func (h *Hub) release(id *identity) {
	if id == nil {
		return
	}
	h.idMu.Lock()
	defer h.idMu.Unlock()
	id.refs--
	if id.refs == 0 {
		delete(h.identities, id.token)
	}
}

// attach and detach keep the list of subscriptions to re-plan when the
// identity changes.
func (h *Hub) attach(sub *subscription) {
	h.idMu.Lock()
	defer h.idMu.Unlock()
	for _, id := range sub.identities() {
		id.subs = append(id.subs, sub)
	}
}

func (h *Hub) detach(sub *subscription) {
	h.idMu.Lock()
	defer h.idMu.Unlock()
	for _, id := range sub.identities() {
		if i := slices.Index(id.subs, sub); i >= 0 {
			id.subs = slices.Delete(id.subs, i, i+1)
		}
	}
}

// refresh asks the Authenticator if the identity is stale (or force is set)
// and gives all its subscriptions the plan that follows. The caller must hold
// no lock.
func (h *Hub) refresh(ctx context.Context, id *identity, force bool) {
	id.turn.Lock()
	defer id.turn.Unlock()
	for force || id.stale() {
		force = false
		want := id.wanted.Load()
		p, err := h.ask(ctx, id)
		if err != nil {
			// Fail closed, and ask again with the next tick.
			id.checked.Store(0)
			h.log.WarnContext(ctx, "live query could not resolve a session", "error", err)
		}
		changed := id.principal.Swap(p) != p
		if changed {
			h.idMu.Lock()
			subs := slices.Clone(id.subs)
			h.idMu.Unlock()
			for _, sub := range subs {
				h.shardOf(sub.class).replan(sub)
			}
		}
		// Only now: until here the dispatcher treats each of them as stale.
		id.resolved.Store(want)
	}
}

// ask returns the principal of the token now: a stranger if the token is not
// valid, and also if that cannot be found out, with the reason.
func (h *Hub) ask(ctx context.Context, id *identity) (*access.Principal, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	id.checked.Store(time.Now().UnixMilli())
	p, err := h.opts.Auth.Principal(ctx, id.token, id.installation, id.ip)
	if err == nil {
		return p, nil
	}
	if asParseError(err) != nil {
		err = nil
	}
	return access.New(access.Principal{InstallationID: id.installation, IP: id.ip}), err
}

// markStale marks the identities of the users (or all), to be resolved before
// the next event is decided by them, and returns how many there are.
func (h *Hub) markStale(userIDs []string, all bool) int {
	users := make(map[string]struct{}, len(userIDs))
	for _, id := range userIDs {
		users[id] = struct{}{}
	}
	h.idMu.Lock()
	defer h.idMu.Unlock()
	n := 0
	for _, id := range h.identities {
		// A lookup that is under way may already have read the old state.
		_, named := users[id.principal.Load().UserID]
		if all || named || id.stale() {
			id.wanted.Add(1)
			n++
		}
	}
	return n
}

// due returns the identities that are stale or were not looked at for long.
func (h *Hub) due() []*identity {
	before := time.Now().Add(-h.opts.SessionAge).UnixMilli()
	h.idMu.Lock()
	defer h.idMu.Unlock()
	var out []*identity
	for _, id := range h.identities {
		if id.stale() || id.checked.Load() < before {
			out = append(out, id)
		}
	}
	return out
}
