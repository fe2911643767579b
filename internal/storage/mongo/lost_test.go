package mongo_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/parse"
)

// cable carries connections to a server until it is cut.
type cable struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn // guarded by mu
	severed  bool       // guarded by mu
	done     sync.WaitGroup
}

func plug(t *testing.T, address string) *cable {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: l}
	t.Cleanup(c.cut)
	c.done.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				_ = near.Close()
				continue
			}
			if !c.add(near, far) {
				return
			}
			pipe := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_ = to.Close()
			}
			c.done.Go(func() { pipe(far, near) })
			c.done.Go(func() { pipe(near, far) })
		}
	})
	return c
}

// add keeps the ends of a connection, or closes them if the cable is cut.
func (c *cable) add(ends ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.severed {
		for _, conn := range ends {
			_ = conn.Close()
		}
		return false
	}
	c.conns = append(c.conns, ends...)
	return true
}

func (c *cable) cut() {
	_ = c.listener.Close()
	c.mu.Lock()
	c.severed = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.done.Wait()
}

// When the server cannot be reached every operation fails with an error that
// is none of those that mean a fault of the client: its text names hosts.
func TestLostServer(t *testing.T) {
	_, db := open(t)
	u, err := url.Parse(os.Getenv("PARGO_TEST_MONGO_URL"))
	if err != nil {
		t.Fatal(err)
	}
	line := plug(t, u.Host)
	u.Host, u.Path = line.listener.Addr().String(), "/"+db.Name()
	u.RawQuery = url.Values{"serverSelectionTimeoutMS": {"50"}, "directConnection": {"true"}}.Encode()
	s, err := mongo.Open(t.Context(), mongo.Options{URI: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	c := game()
	insert(t, s, c, object("a"))
	line.cut()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := storage.Join{Class: "Game", Key: "fans"}
	for name, op := range map[string]func() error{
		"find":   func() error { _, err := s.Find(ctx, &storage.Find{Class: c, Limit: 1}); return err },
		"count":  func() error { _, err := s.Count(ctx, c, nil, nil); return err },
		"insert": func() error { return s.Insert(ctx, c, []*parse.Object{object("b")}) },
		"insert many": func() error {
			return s.Insert(ctx, c, []*parse.Object{object("c"), object("d")})
		},
		"update": func() error {
			_, _, err := s.Update(ctx, &storage.Update{Class: c, Ops: parse.NewMap(f("num", 1.0)), UpdatedAt: 2})
			return err
		},
		"delete":  func() error { _, err := s.Delete(ctx, c, nil); return err },
		"relate":  func() error { return s.AddRelated(ctx, r, "a", []string{"u"}) },
		"related": func() error { _, err := s.Related(ctx, r, "a"); return err },
		"schema":  func() error { _, err := s.LoadSchema(ctx); return err },
		"ping":    func() error { return s.Ping(ctx) },
	} {
		err := op()
		var pe *parse.Error
		var dup *storage.DuplicateError
		if err == nil || errors.As(err, &pe) || errors.As(err, &dup) || errors.Is(err, storage.ErrNotFound) ||
			errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
