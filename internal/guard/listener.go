package guard

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// Listener bounds how many connections are open. At the bound, a new one takes
// the place of that which waits longest without a complete request, so that
// connections which only stand there keep nobody out. If all are at work, the
// new one is closed.
type Listener struct {
	net.Listener
	limit int

	mu      sync.Mutex
	open    int       // guarded by mu
	waiting list.List // of *conn without a request, in the order since when; guarded by mu

	evicted, refused atomic.Int64
}

// Listen bounds the connections of ln; limit 0 is none.
func Listen(ln net.Listener, limit int) *Listener { return &Listener{Listener: ln, limit: limit} }

// conn is a connection that tells its listener of its end.
type conn struct {
	net.Conn
	l    *Listener
	gone bool          // guarded by l.mu
	at   *list.Element // in l.waiting, or nil; guarded by l.mu
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, l: l}
		if l.admit(c) {
			return c, nil
		}
		l.refused.Add(1)
		_ = nc.Close() // there is nobody to tell of an error
	}
}

// admit counts a connection in.
func (l *Listener) admit(c *conn) bool {
	l.mu.Lock()
	var victim *conn
	if l.limit > 0 && l.open >= l.limit {
		front := l.waiting.Front()
		if front == nil {
			l.mu.Unlock()
			return false
		}
		victim, _ = front.Value.(*conn)
		l.drop(victim)
		l.evicted.Add(1)
	}
	l.open++
	c.at = l.waiting.PushBack(c)
	l.mu.Unlock()
	if victim != nil {
		_ = victim.Conn.Close() // its owner finds out by its next read
	}
	return true
}

// drop counts a connection out, once. mu is held.
func (l *Listener) drop(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	l.open--
	if c.at != nil {
		l.waiting.Remove(c.at)
		c.at = nil
	}
}

// state follows what the HTTP server does with a connection.
func (l *Listener) state(nc net.Conn, s http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.gone:
	case s == http.StateIdle && c.at == nil:
		c.at = l.waiting.PushBack(c)
	case (s == http.StateActive || s == http.StateHijacked) && c.at != nil:
		l.waiting.Remove(c.at)
		c.at = nil
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.l.mu.Lock()
	c.l.drop(c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets the HTTP server end an answer before it closes the connection.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Stats are the counters of a Listener.
type Stats struct {
	Open, Limit      int
	Evicted, Refused int64
}

// Stats returns the counters.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Open: l.open, Limit: l.limit, Evicted: l.evicted.Load(), Refused: l.refused.Load()}
}
