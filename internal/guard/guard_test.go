package guard_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pargo-baas/pargo/internal/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves h under limits and returns where and the listener.
func serve(t *testing.T, l guard.Limits, h http.HandlerFunc) (string, *guard.Listener) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	on := guard.Listen(ln, l.Connections)
	s := l.Server(h, on)
	done := make(chan error, 1)
	go func() { done <- s.Serve(on) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return ln.Addr().String(), on
}

// dial connects and sends text.
func dial(t *testing.T, addr, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// answer is what a connection says until it is closed by the other side, or
// until it has said all of one answer.
func answer(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("no answer, and not closed")
		}
		return "closed"
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

// read answers with the length of the body, or 408 if it does not come.
func read(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.WriteHeader(http.StatusRequestTimeout)
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = fmt.Fprint(w, len(b))
}

func TestSlowRequests(t *testing.T) {
	l := guard.Limits{HeaderTimeout: 50 * time.Millisecond, IdleTimeout: 50 * time.Millisecond, BodyTimeout: 50 * time.Millisecond, Rate: 1 << 20, HeaderBytes: 8 << 10, Headers: 20}
	addr, _ := serve(t, l, read)
	const post = "POST / HTTP/1.1\r\nHost: h\r\n"
	for name, tt := range map[string]struct{ sent, want string }{
		"nothing":          {"", "closed"},
		"half a header":    {"GET / HTTP/1.1\r\nHost: h\r\nX-A: ", "closed"},
		"half a body":      {post + "Content-Length: 10\r\n\r\n12345", "408 5"},
		"no body":          {post + "Content-Length: 10\r\n\r\n", "408 0"},
		"half a chunk":     {post + "Transfer-Encoding: chunked\r\n\r\n8\r\n1234", "408 4"},
		"a body":           {post + "Content-Length: 5\r\n\r\n12345", "200 5"},
		"twenty headers":   {post + strings.Repeat("X-A: b\r\n", 20) + "\r\n", "200 0"},
		"too many headers": {post + strings.Repeat("X-A: b\r\n", 21) + "\r\n", `431 {"error":"too many headers"}`},
		"a huge header":    {post + "X-A: " + strings.Repeat("b", 16<<10) + "\r\n\r\n", "431 431 Request Header Fields Too Large"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := answer(t, dial(t, addr, tt.sent)); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestSlowBodyNotRead: a body that no handler reads holds no connection, either.
func TestSlowBodyNotRead(t *testing.T) {
	addr, on := serve(t, guard.Limits{BodyTimeout: 50 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	c := dial(t, addr, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n1")
	_ = answer(t, c)
	waitFor(t, "the connection is closed", func() bool { return on.Stats().Open == 0 })
}

// TestServedAfterTheBody: the deadline of a body is over when the body is there,
// and does not end a request that takes longer.
func TestServedAfterTheBody(t *testing.T) {
	late := make(chan struct{})
	addr, _ := serve(t, guard.Limits{BodyTimeout: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		read(w, r)
		if r.URL.Path == "/long" {
			select {
			case <-r.Context().Done():
				_, _ = io.WriteString(w, " ended")
			case <-late:
			}
		}
	})
	c := dial(t, addr, "POST /long HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxx")
	for range 2 { // each takes the time of a body
		if got := answer(t, dial(t, addr, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx")); got != "408 1" {
			t.Errorf("the slow one: %s", got)
		}
	}
	close(late)
	if got := answer(t, c); got != "200 2" {
		t.Error(got)
	}
}

// TestNeverReading: an answer that nobody reads ends with its time.
func TestNeverReading(t *testing.T) {
	l := guard.Limits{BodyTimeout: 50 * time.Millisecond, Rate: 1 << 30}
	failed := make(chan error, 1)
	addr, on := serve(t, l, func(w http.ResponseWriter, _ *http.Request) {
		b := make([]byte, 64<<20) // more than the system takes
		l.Extend(w)
		_, err := w.Write(b)
		failed <- err
	})
	dial(t, addr, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the answer: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the answer still waits")
	}
	waitFor(t, "the connection is closed", func() bool { return on.Stats().Open == 0 })
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// TestConnections: those that only stand there give way, those at work do not.
func TestConnections(t *testing.T) {
	working, done := make(chan struct{}, 8), make(chan struct{})
	addr, on := serve(t, guard.Limits{Connections: 4}, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/work" {
			working <- struct{}{}
			<-done
		}
	})
	const get = "GET %s HTTP/1.1\r\nHost: h\r\n\r\n"
	for range 10 { // ten that say nothing
		dial(t, addr, "GET / HT")
	}
	waitFor(t, "six are closed", func() bool { s := on.Stats(); return s.Open == 4 && s.Evicted == 6 })
	var at []net.Conn
	for range 4 {
		at = append(at, dial(t, addr, fmt.Sprintf(get, "/work")))
		<-working
	}
	if s := on.Stats(); s.Open != 4 || s.Evicted != 10 || s.Refused != 0 {
		t.Errorf("all are at work: %+v", s)
	}
	if got := answer(t, dial(t, addr, fmt.Sprintf(get, "/"))); got != "closed" {
		t.Errorf("a fifth: %s", got)
	}
	close(done)
	for _, c := range at {
		if got := answer(t, c); got != "200 " {
			t.Errorf("one at work: %s", got)
		}
	}
	waitFor(t, "idle ones are evicted in turn", func() bool {
		return answer(t, dial(t, addr, fmt.Sprintf(get, "/"))) == "200 "
	})
	if s := on.Stats(); s.Open > 4 || s.Refused == 0 {
		t.Errorf("%+v", s)
	}
}

func TestMaxConnections(t *testing.T) {
	if n := guard.MaxConnections(); n <= 0 || n > 1<<20 {
		t.Errorf("%d", n)
	}
}
