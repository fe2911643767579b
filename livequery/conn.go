package livequery

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
)

// Sizes of the buffers of a websocket. net/http's own are 4 KiB each way and
// would be half of what a client costs; ours need to hold no more than one
// control frame out and a short message in, since longer messages and all
// data frames go past them.
const (
	readBufferBytes  = 512
	writeBufferBytes = 160
)

// Opcodes of RFC 6455 §5.2, with the FIN bit.
const (
	frameText  = 0x80 | 0x1
	frameClose = 0x80 | 0x8
	framePing  = 0x80 | 0x9
)

// frameConn is the connection under a websocket. The websocket library reads
// from it and writes control frames; frames of events are written by
// [frameConn.writeFrames], many in one system call. Server frames carry no
// mask, so they can be built without the library, and both sides write whole
// frames only, which is what makes mixing them safe.
type frameConn struct {
	net.Conn
	pending []byte // read by the HTTP server before the upgrade

	mu     sync.Mutex // one writer at a time; guards closed
	closed bool       // a close frame went out: nothing may follow it
}

// Read implements net.Conn.
func (c *frameConn) Read(p []byte) (int, error) {
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn for the control frames of the library.
func (c *frameConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if len(p) > 0 && p[0] == frameClose {
		c.closed = true
	}
	return c.Conn.Write(p)
}

// writeFrames writes the frames of a batch.
func (c *frameConn) writeFrames(b *batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if len(b.large) == 0 {
		_, err := c.Conn.Write(b.buf)
		return err
	}
	parts := b.buffers()
	_, err := parts.WriteTo(c.Conn)
	return err
}

// appendFrameHeader appends the header of an unmasked frame of n bytes.
func appendFrameHeader(dst []byte, opcode byte, n int) []byte {
	switch {
	case n < 126:
		return append(dst, opcode, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, opcode, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, opcode, 127), uint64(n))
}

// upgradeWriter is the ResponseWriter that the websocket library hijacks: it
// hands out a frameConn with small buffers in place of net/http's.
type upgradeWriter struct {
	http.ResponseWriter
	conn *frameConn
}

// WriteHeaderNow passes on what gin's writer needs before it can be hijacked.
func (w *upgradeWriter) WriteHeaderNow() {
	if g, ok := w.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		g.WriteHeaderNow()
	}
}

// Hijack implements http.Hijacker.
func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.conn = &frameConn{Conn: conn}
	if n := rw.Reader.Buffered(); n > 0 {
		early, err := rw.Reader.Peek(n)
		if err != nil {
			return nil, nil, err
		}
		w.conn.pending = bytes.Clone(early)
	}
	return w.conn, bufio.NewReadWriter(
		bufio.NewReaderSize(io.Reader(w.conn), readBufferBytes),
		bufio.NewWriterSize(w.conn, writeBufferBytes),
	), nil
}

// remoteHost is the default of Options.ClientIP.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
