package storagetest

import (
	"context"
	"net"
	"sync"
	"testing"
)

// Cable carries connections to a server, until it is cut.
type Cable struct {
	// Addr is where clients connect, host:port.
	Addr string

	server string
	tap    func() func(sent []byte)
	mu     sync.Mutex
	conns  map[net.Conn]bool // guarded by mu
	listen net.Listener      // guarded by mu; nil: cut
	jammed bool              // guarded by mu: nothing passes
	freed  sync.Cond         // jammed has changed, or connections were cut
	carry  sync.WaitGroup
}

// Plug connects a new cable to the server at an address. It is cut when the
// test ends.
func Plug(t *testing.T, server string) *Cable {
	t.Helper()
	return Tap(t, server, func() func([]byte) { return func([]byte) {} })
}

// Tap is Plug for a cable that is listened to: tap is called for each
// connection, and what it returns for all that is sent to the server by it, in
// pieces of any length.
func Tap(t *testing.T, server string, tap func() func(sent []byte)) *Cable {
	t.Helper()
	c := &Cable{Addr: "127.0.0.1:0", server: server, tap: tap, conns: map[net.Conn]bool{}}
	c.freed.L = &c.mu
	c.Mend(t)
	t.Cleanup(func() {
		c.Cut()
		c.carry.Wait()
	})
	return c
}

// Mend lets connections through again.
func (c *Cable) Mend(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.Addr, c.listen = l.Addr().String(), l
	c.mu.Unlock()
	c.carry.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(ctx, "tcp", c.server)
			if err != nil {
				_ = near.Close()
				continue
			}
			if c.add(l, near, far) {
				c.carry.Go(func() { c.pipe(far, near, c.tap()) })
				c.carry.Go(func() { c.pipe(near, far, func([]byte) {}) })
			}
		}
	})
}

// add keeps the ends of a connection, or closes them if the cable was cut.
func (c *Cable) add(l net.Listener, ends ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range ends {
		if c.listen != l {
			_ = conn.Close()
			continue
		}
		c.conns[conn] = true
	}
	return c.listen == l
}

func (c *Cable) pipe(to, from net.Conn, tap func([]byte)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		for c.jammed && c.conns[from] {
			c.freed.Wait()
		}
		c.mu.Unlock()
		if err == nil {
			tap(buf[:n])
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	c.mu.Lock()
	delete(c.conns, from)
	c.mu.Unlock()
}

// Jam holds back what is sent, without an end to any connection, as a network
// that loses all packets does; Cut and Mend make a new beginning.
func (c *Cable) Jam() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jammed = true
}

// Cut ends all connections and refuses new ones.
func (c *Cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listen != nil {
		_ = c.listen.Close()
		c.listen = nil
	}
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
	c.jammed = false
	c.freed.Broadcast()
}
