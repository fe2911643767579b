package auth

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
)

// defaultSessions bounds the sessions kept in memory unless an option does;
// over it, arbitrary ones go.
const defaultSessions = 50_000

// entry is one resolved session. But for last and extended it is immutable.
type entry struct {
	userID  string
	user    *parse.Object // what hooks see of him
	token   string
	session string     // its id
	expires parse.Date // 0: never
	updated parse.Date // when the session was last written
	loaded  time.Time
	direct  []string // roles that list the user
	members uint64   // the count of membership changes that direct reflects
	// last is the principal made last: a session mostly comes from one
	// installation and one address, and roles change seldom.
	last atomic.Pointer[resolved]
	// extended is when its life was last extended, in Unix nanoseconds.
	extended atomic.Int64
}

// resolved is a principal by the roles of one version of the graph.
type resolved struct {
	roles     uint64
	principal *access.Principal
}

// of returns the principal of the session for a client; roles are those of
// the version of the graph.
func (e *entry) of(installationID, ip string, version uint64, roles func() ([]string, error)) (*access.Principal, error) {
	r := e.last.Load()
	if r != nil && r.roles == version {
		p := r.principal
		if p.InstallationID == installationID && p.IP == ip {
			return p, nil
		}
		own := *p // with its subjects
		own.InstallationID, own.IP = installationID, ip
		e.last.Store(&resolved{version, &own})
		return &own, nil
	}
	names, err := roles()
	if err != nil {
		return nil, err
	}
	p := access.New(access.Principal{
		UserID: e.userID, User: e.user, SessionToken: e.token, Roles: names,
		InstallationID: installationID, IP: ip,
	})
	e.last.Store(&resolved{version, p})
	return p, nil
}

// load is a resolution under way. What changes meanwhile must not be cached
// in its old state.
type load struct {
	stale bool
	users map[string]bool // users that changed since it began
}

// sessionCache maps session tokens to what they stand for. Every committed change of
// a user, a session or the members of a role is told to it before the change
// is acknowledged, so an entry is never older than the last acknowledged write
// of this server.
type sessionCache struct {
	max     int
	mu      sync.RWMutex
	byToken map[string]*entry          // guarded by mu
	byUser  map[string]map[string]bool // user id → tokens; guarded by mu
	loads   map[*load]string           // → token; guarded by mu
	members uint64                     // guarded by mu
}

func newCache(limit int) *sessionCache {
	return &sessionCache{max: limit, byToken: map[string]*entry{}, byUser: map[string]map[string]bool{}, loads: map[*load]string{}}
}

// get returns the entry of a token, if it is one of the members in force.
func (c *sessionCache) get(token string) *entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e := c.byToken[token]
	if e != nil && e.members != c.members {
		return nil
	}
	return e
}

// begin announces a load; finish must follow.
func (c *sessionCache) begin(token string) (*load, uint64) {
	l := &load{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads[l] = token
	return l, c.members
}

// finish stores the outcome of a load unless something it has read changed
// since. A nil entry only ends the load.
func (c *sessionCache) finish(l *load, token string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loads, l)
	if e == nil || l.stale || l.users[e.userID] || e.members != c.members {
		return
	}
	if len(c.byToken) >= c.max {
		for t := range c.byToken {
			c.drop(t)
			if len(c.byToken) < c.max*9/10 {
				break
			}
		}
	}
	c.byToken[token] = e
	tokens := c.byUser[e.userID]
	if tokens == nil {
		tokens = map[string]bool{}
		c.byUser[e.userID] = tokens
	}
	tokens[token] = true
}

// drop removes a token. c.mu is held.
func (c *sessionCache) drop(token string) {
	e := c.byToken[token]
	if e == nil {
		return
	}
	delete(c.byToken, token)
	tokens := c.byUser[e.userID]
	delete(tokens, token)
	if len(tokens) == 0 {
		delete(c.byUser, e.userID)
	}
}

func (c *sessionCache) forgetToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(token)
	for l, t := range c.loads {
		if t == token {
			l.stale = true
		}
	}
}

func (c *sessionCache) forgetUsers(ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		for t := range c.byUser[id] {
			c.drop(t)
		}
		for l := range c.loads {
			if l.users == nil {
				l.users = map[string]bool{}
			}
			l.users[id] = true
		}
	}
}

// forgetMembers makes every session be read again: whom roles list may have changed.
func (c *sessionCache) forgetMembers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members++
}
