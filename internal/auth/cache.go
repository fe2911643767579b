package auth

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
)

// maxCached bounds the sessions kept in memory; over it, arbitrary ones go.
const maxCached = 50_000

// entry is one resolved session. But for last it is immutable.
type entry struct {
	principal *access.Principal // of no installation and no address
	expires   parse.Date        // 0: never
	loaded    time.Time
	roleGen   uint64
	// last is the principal made for the client seen last: a session mostly
	// comes from one installation and one address.
	last atomic.Pointer[access.Principal]
}

// of returns the principal of the session for a client.
func (e *entry) of(installationID, ip string) *access.Principal {
	p := e.last.Load()
	if p == nil {
		p = e.principal
	}
	if p.InstallationID == installationID && p.IP == ip {
		return p
	}
	own := *e.principal // with its subjects
	own.InstallationID, own.IP = installationID, ip
	e.last.Store(&own)
	return &own
}

// load is a resolution under way. What changes meanwhile must not be cached
// in its old state.
type load struct {
	stale bool
	users map[string]bool // users that changed since it began
}

// cache maps session tokens to principals. Every committed change of a user,
// session or role is told to it before the change is acknowledged, so an entry
// is never older than the last acknowledged write of this server.
type cache struct {
	mu      sync.RWMutex
	byToken map[string]*entry          // guarded by mu
	byUser  map[string]map[string]bool // user id → tokens; guarded by mu
	loads   map[*load]string           // → token; guarded by mu
	roleGen uint64                     // guarded by mu
}

func newCache() *cache {
	return &cache{byToken: map[string]*entry{}, byUser: map[string]map[string]bool{}, loads: map[*load]string{}}
}

// get returns the entry of a token, if its roles are those in force.
func (c *cache) get(token string) *entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e := c.byToken[token]
	if e != nil && e.roleGen != c.roleGen {
		return nil
	}
	return e
}

// begin announces a load; finish must follow.
func (c *cache) begin(token string) (*load, uint64) {
	l := &load{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads[l] = token
	return l, c.roleGen
}

// finish stores the outcome of a load unless something it has read changed
// since. A nil entry only ends the load.
func (c *cache) finish(l *load, token string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loads, l)
	if e == nil || l.stale || l.users[e.principal.UserID] || e.roleGen != c.roleGen {
		return
	}
	if len(c.byToken) >= maxCached {
		for t := range c.byToken {
			c.drop(t)
			if len(c.byToken) < maxCached*9/10 {
				break
			}
		}
	}
	c.byToken[token] = e
	tokens := c.byUser[e.principal.UserID]
	if tokens == nil {
		tokens = map[string]bool{}
		c.byUser[e.principal.UserID] = tokens
	}
	tokens[token] = true
}

// drop removes a token. c.mu is held.
func (c *cache) drop(token string) {
	e := c.byToken[token]
	if e == nil {
		return
	}
	delete(c.byToken, token)
	tokens := c.byUser[e.principal.UserID]
	delete(tokens, token)
	if len(tokens) == 0 {
		delete(c.byUser, e.principal.UserID)
	}
}

func (c *cache) forgetToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(token)
	for l, t := range c.loads {
		if t == token {
			l.stale = true
		}
	}
}

func (c *cache) forgetUser(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
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

// forgetRoles makes the roles of every entry be read again.
func (c *cache) forgetRoles() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roleGen++
}
