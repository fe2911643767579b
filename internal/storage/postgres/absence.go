package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pargo-baas/pargo/internal/storage"
)

// connectTimeout bounds the making of a connection, unless the URI does.
const connectTimeout = 5 * time.Second

// readOnly are the operations that change nothing, by the names that failure gets.
var readOnly = []string{"find", "count", "ping", "explain", "indexes", "load", "read", "read version of"}

// absence returns what an error tells about a server that is not there, or
// takes no writes; nil if it tells something else.
func absence(op string, err error) *storage.UnavailableError {
	u := &storage.UnavailableError{Err: err}
	sent := !slices.Contains(readOnly, op)
	var (
		refused *pgconn.PgError
		connect *pgconn.ConnectError
		network net.Error
	)
	switch {
	case errors.As(err, &connect):
		return u
	case errors.As(err, &refused):
		switch code := refused.Code; {
		case strings.HasPrefix(code, "08"), code == "57P03", code == "53300": // connection, starting, too many connections
			return u
		case code == "57P01", code == "57P02", code == "57P04": // shut down, crashed, dropped
			u.Unknown = sent
			return u
		case strings.HasPrefix(code, "53"), code == "25006", strings.HasPrefix(code, "58"): // full, read-only, disk
			u.Writes = true
			return u
		}
		return nil
	case pgconn.SafeToRetry(err):
		return u
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.As(err, &network):
		u.Unknown = sent
		return u
	}
	return nil
}

// lines are the connections that are open, for [DB.Interrupt].
type lines struct {
	dialer net.Dialer
	mu     sync.Mutex
	open   map[*line]bool // guarded by mu
}

type line struct {
	net.Conn
	of *lines
}

func newLines() *lines {
	return &lines{
		dialer: net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}},
		open:   map[*line]bool{},
	}
}

func (l *lines) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := l.dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	out := &line{Conn: c, of: l}
	l.mu.Lock()
	l.open[out] = true
	l.mu.Unlock()
	return out, nil
}

// Close implements [net.Conn].
func (c *line) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// Interrupt implements [storage.Interrupter].
func (d *DB) Interrupt() {
	d.pool.Reset()
	d.lines.mu.Lock()
	defer d.lines.mu.Unlock()
	for c := range d.lines.open {
		_ = c.Conn.Close() // who waits for an answer hears of it
	}
}
