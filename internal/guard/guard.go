// Package guard keeps connections that cost more than they bring from wearing
// a server out: those that send their headers or bodies drop by drop, that do
// not read their answers, that only stand there, and too many of them.
package guard

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Limits are what a connection may cost. A zero field is no limit.
type Limits struct {
	// HeaderTimeout is how long the header of a request may take, IdleTimeout
	// how long a connection may stand between requests.
	HeaderTimeout, IdleTimeout time.Duration
	// BodyTimeout is how long a body may take beyond the time that Rate, in
	// bytes a second, gives it for its length, and how long 64 KiB of an answer
	// may take to be read.
	BodyTimeout time.Duration
	Rate        int
	// HeaderBytes is the size of the header of a request, Headers how many lines it has.
	HeaderBytes, Headers int
	// Connections is how many may be open at a time.
	Connections int
}

// Defaults are limits that a phone with a bad connection keeps to.
var Defaults = Limits{
	HeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	BodyTimeout: 20 * time.Second, Rate: 1 << 10,
	HeaderBytes: 64 << 10, Headers: 200,
}

// answerTimeout bounds the answers that nobody gives a time by Extend.
const answerTimeout = 2 * time.Minute

// Server makes the HTTP server of a handler under the limits. l is what it
// will listen on.
func (l *Limits) Server(h http.Handler, on *Listener) *http.Server {
	s := &http.Server{
		Handler: l.Handler(h), ReadHeaderTimeout: l.HeaderTimeout, IdleTimeout: l.IdleTimeout, MaxHeaderBytes: l.HeaderBytes,
		ConnState: on.state,
	}
	if l.BodyTimeout > 0 {
		s.WriteTimeout = answerTimeout
	}
	return s
}

// Handler applies the limits of requests in front of next.
func (l *Limits) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.Headers > 0 {
			lines := 0
			for _, values := range r.Header {
				lines += len(values)
			}
			if lines > l.Headers {
				h := w.Header()
				h.Set("Content-Type", "application/json; charset=utf-8")
				h.Set("Connection", "close")
				w.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
				_, _ = io.WriteString(w, `{"error":"too many headers"}`)
				return
			}
		}
		if l.BodyTimeout > 0 && r.Body != nil && r.Body != http.NoBody {
			b := &body{ReadCloser: r.Body, conn: http.NewResponseController(w), limits: l, began: time.Now()}
			b.extend()
			r.Body = b
		}
		next.ServeHTTP(w, r)
	})
}

// Extend gives a part of an answer the time to be read.
func (l *Limits) Extend(w http.ResponseWriter) {
	if l.BodyTimeout > 0 {
		// Writers that are no connection have no deadline.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(l.BodyTimeout))
	}
}

// time is how long n bytes may take.
func (l *Limits) time(n int) time.Duration {
	d := l.BodyTimeout
	if l.Rate > 0 {
		d += time.Duration(n) * time.Second / time.Duration(l.Rate)
	}
	return d
}

// body is the body of a request, whose deadline moves on as data come in. It
// also bounds the server that reads what a handler has left unread.
type body struct {
	io.ReadCloser
	conn   *http.ResponseController
	limits *Limits
	began  time.Time
	until  time.Time // the deadline in force
	n      int
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += n
	switch {
	case err == nil:
		b.extend()
	case errors.Is(err, io.EOF):
		// What the handler does now may take its time: a deadline that passes
		// would end its context.
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// extend moves the deadline, not for every few bytes.
func (b *body) extend() {
	const step = time.Second
	if until := b.began.Add(b.limits.time(b.n)); b.until.IsZero() || until.Sub(b.until) >= step {
		b.until = until
		_ = b.conn.SetReadDeadline(until) // tests have no connection
	}
}
