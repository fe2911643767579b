package livequery_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/livequery"
)

// scale returns how many times as much the stress tests do: 1, or what
// PARGO_STRESS says.
func scale(tb testing.TB) int {
	tb.Helper()
	text := os.Getenv("PARGO_STRESS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		tb.Fatalf("PARGO_STRESS is %q", text)
	}
	return n
}

// TestSubscriptionsComeAndGo opens and drops subscriptions, 100,000 at
// PARGO_STRESS=50, in each way that there is, and expects everything back.
func TestSubscriptionsComeAndGo(t *testing.T) {
	const perClient, clients = 500, 4
	r := newRig(t, livequery.Options{ResumeWindow: time.Millisecond, PingInterval: time.Second, Includes: newIncludes()})
	wave := func(t *testing.T, round int) {
		t.Helper()
		var all []*socket
		var answers []<-chan string
		for i := range clients {
			s := r.connect(t, fmt.Sprintf(`,"sessionToken":"r:%s","installationId":"i%d"`, []string{"ann", "bob"}[i%2], i))
			frames := s.stream()
			all, answers = append(all, s), append(answers, frames)
			go func() { // answers are read while more is asked
				for id := range perClient {
					ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
					err := s.ws.Write(ctx, 1, fmt.Appendf(nil, `{"op":"subscribe","requestId":%d,"query":{"className":"Item","where":{"n":%d},"include":["to"]}}`, id, id+round))
					cancel()
					if err != nil {
						t.Error(err)
						return
					}
				}
			}()
			for range perClient {
				if f := <-frames; !strings.HasPrefix(f, `{"op":"subscribed"`) {
					t.Fatal(f)
				}
			}
		}
		waitFor(t, "all are there", func() bool { return r.hub.Stats().Subscriptions == perClient*clients })
		for i, s := range all {
			switch i {
			case 0: // one by one
				for id := range perClient {
					s.send(fmt.Sprintf(`{"op":"unsubscribe","requestId":%d}`, id))
					<-answers[i]
				}
				_ = s.ws.CloseNow()
			case 1: // all at once, on the same connection
				s.send(`{"op":"connect","applicationId":"app"}`)
				<-answers[i]
				_ = s.ws.CloseNow()
			case 2: // in due form
				_ = s.ws.Close(1000, "")
			default: // as if the network had gone: they are remembered for a while
				_ = s.ws.CloseNow()
			}
		}
		waitFor(t, "all are gone", func() bool {
			st := r.hub.Stats()
			return st.Clients+st.Subscriptions+st.DistinctQueries == 0 && st.QueuedBytes == 0
		})
	}
	goroutines := runtime.NumGoroutine() + 2 // the hub's own come with the first client
	// What the first wave brings along, stays. Each is a test of its own, so that
	// its clients go with it.
	t.Run("first", func(t *testing.T) { wave(t, 0) })
	heap := settledHeap()
	for round := range scale(t) {
		t.Run("wave", func(t *testing.T) { wave(t, round+1) })
	}
	waitFor(t, "goroutines are back", func() bool { return runtime.NumGoroutine() <= goroutines })
	// A subscription takes 2 KiB: of those of one wave nothing may be left.
	const slack = 512 << 10
	waitFor(t, "memory is back", func() bool { return settledHeap() <= heap+slack })
}

func settledHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools give up what they hold in two steps
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// smallBuffers is a listener whose connections hold back little, so that a
// client that does not read is felt soon.
type smallBuffers struct{ net.Listener }

const tiny = 4 << 10

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(tiny) // the test is only slower without
	}
	return c, err
}

// silent connects and subscribes a client that never reads again.
func silent(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	var d net.Dialer
	conn, err := d.DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetReadBuffer(tiny)
	}
	if err := benchHandshake(conn, bufio.NewReaderSize(conn, 1024), `{"className":"Item","where":{}}`); err != nil {
		tb.Fatal(err)
	}
	return conn
}

// TestSilentClients: clients that never read, 5,000 at PARGO_STRESS=50, are
// cut, while others get everything, in order.
func TestSilentClients(t *testing.T) {
	const readers, events = 5, 200
	silents := 100 * scale(t)
	hub := livequery.NewHub(livequery.Options{QueueBytes: 64 << 10, PingInterval: time.Hour})
	srv := httptest.NewUnstartedServer(hub.Handler())
	srv.Listener = smallBuffers{srv.Listener}
	srv.Start()
	r := &rig{hub: hub, url: "ws" + strings.TrimPrefix(srv.URL, "http")}
	conns := make([]net.Conn, silents)
	t.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := hub.Close(ctx); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	for i := range conns {
		conns[i] = silent(t, strings.TrimPrefix(srv.URL, "http://"))
	}
	var streams []<-chan string
	for range readers {
		s := r.connect(t, "")
		s.subscribe(1, `{"className":"Item","where":{}}`, "")
		streams = append(streams, s.stream())
	}
	text := strings.Repeat("x", 2000)
	for n := range events {
		r.publish(t, created(obj("x", nil, "n", float64(n), "text", text)))
		for i, frames := range streams {
			if f := <-frames; !strings.Contains(f, fmt.Sprintf(`"n":%d,`, n)) {
				t.Fatalf("client %d wants event %d, got %.120q", i, n, f)
			}
		}
	}
	waitFor(t, "those who do not read are gone", func() bool { return hub.Stats().Clients == readers })
	if st := hub.Stats(); st.Dropped != int64(silents) || st.QueuedBytes != 0 {
		t.Errorf("%d were cut, %d bytes wait", st.Dropped, st.QueuedBytes)
	}
	var ends sync.WaitGroup
	for _, c := range conns { // what the socket held, and then the end
		ends.Go(func() {
			if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset by peer") {
				t.Error(err)
			}
		})
	}
	ends.Wait()
}

// FuzzConversation sends arbitrary messages, one after the other, to a hub with
// everything that it may have. It must answer, keep to the protocol, and have
// nothing left when the client has gone.
func FuzzConversation(f *testing.F) {
	const sub = `{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{"n":1}}}`
	for _, s := range []string{
		sub + "\n" + sub + "\n" + `{"op":"unsubscribe","requestId":1}`,
		sub + "\n" + `{"op":"update","requestId":1,"query":{"className":"Other","where":{},"keys":["n"],"watch":["n"]}}`,
		`{"op":"connect","applicationId":"app","installationId":"i","sessionToken":"r:ann"}` + "\n" + sub + "\n" + `{"op":"connect","applicationId":"app","installationId":"i"}`,
		`{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{},"include":["to","to.to"],"keys":["to.name"]},"resume":""}`,
		`{"op":"subscribe","requestId":1.5,"query":{"className":"Item","where":{"$or":[{"n":{"$in":[1,2]}},{"n":{"$regex":"^x"}}]}},"resume":"x.1","sessionToken":"r:bob"}`,
		`{"op":"query","requestId":1}` + "\n" + sub + "\n" + `{"op":"query","requestId":1}`,
		`{"op":"subscribe","requestId":-0,"query":{"className":"_User","where":{"objectId":"ann"},"fields":["username"]}}`,
		`{"op":"subscribe","requestId":0,"query":{"className":"_Session","where":{}},"sessionToken":""}`,
	} {
		f.Add(s)
	}
	r := newRig(f, livequery.Options{Includes: newIncludes(), App: anyHooks(), ResumeWindow: time.Minute, MasterKey: "mk"})
	f.Fuzz(func(t *testing.T, text string) {
		s := r.connect(t, `,"installationId":"fuzz"`)
		for i, msg := range strings.SplitN(text, "\n", 9) {
			if i == 8 {
				break
			}
			s.send(msg)
			r.publish(t, created(obj("x", nil, "n", float64(i))))
		}
		s.send(`{"op":"nonsense"}`)
		for {
			frame := s.next()
			if strings.Contains(frame, `No enum match for: \"nonsense\"`) {
				break
			}
			if !strings.HasPrefix(frame, `{"op":"`) || !strings.HasSuffix(frame, `}`) {
				t.Fatalf("no frame of the protocol: %q", frame)
			}
		}
		_ = s.ws.CloseNow()
		waitFor(t, "nothing is left", func() bool {
			st := r.hub.Stats()
			return st.Clients == 0 && st.Subscriptions == 0 && st.DistinctQueries == 0
		})
	})
}
