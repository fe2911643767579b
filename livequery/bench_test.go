package livequery_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
)

// The clients of a benchmark live in a process of their own, which is this
// test binary started again, so that CPU and memory are the server's alone.
const benchClientsEnv = "PARGO_BENCH_LIVEQUERY_CLIENTS"

// benchClients is that process. It subscribes n clients, writes a line, and
// then answers each number read from stdin once as many events have arrived.
func benchClients(spec string) error {
	addr, rest, _ := strings.Cut(spec, " ")
	count, query, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	var events atomic.Int64
	arrived := make(chan struct{}, 1)
	errs := make(chan error, n)
	turns := make(chan struct{}, 64) // bounds connects under way
	var ready sync.WaitGroup
	for i := range n {
		ready.Add(1)
		turns <- struct{}{}
		go func() {
			conn, r, err := benchSubscribe(addr, strings.ReplaceAll(query, "%", strconv.Itoa(i)))
			<-turns
			ready.Done()
			if err != nil {
				errs <- err
				return
			}
			defer func() { _ = conn.Close() }()
			for {
				if err := skipFrame(r); err != nil {
					return
				}
				events.Add(1)
				select {
				case arrived <- struct{}{}:
				default:
				}
			}
		}()
	}
	ready.Wait()
	if len(errs) > 0 {
		return <-errs
	}
	if _, err := io.WriteString(os.Stdout, "ready\n"); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		want, err := strconv.ParseInt(in.Text(), 10, 64)
		if err != nil {
			return err
		}
		for events.Load() < want {
			<-arrived
		}
		if _, err := io.WriteString(os.Stdout, "done\n"); err != nil {
			return err
		}
	}
	return nil
}

func benchSubscribe(addr, query string) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(conn, 1024)
	if err := benchHandshake(conn, r, query); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, r, nil
}

// benchHandshake makes a websocket of a connection, connects and subscribes.
func benchHandshake(conn net.Conn, r *bufio.Reader, query string) error {
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if err != nil {
		return err
	}
	for line := ""; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			return err
		}
	}
	for _, msg := range []string{`{"op":"connect","applicationId":"app"}`, `{"op":"subscribe","requestId":1,"query":` + query + `}`} {
		frame := []byte{0x81, 0x80 | 126, byte(len(msg) >> 8), byte(len(msg)), 0, 0, 0, 0}
		if _, err := conn.Write(append(frame, msg...)); err != nil {
			return err
		}
		if err := skipFrame(r); err != nil {
			return err
		}
	}
	return nil
}

func skipFrame(r *bufio.Reader) error {
	for {
		op, err := r.ReadByte()
		if err != nil {
			return err
		}
		short, err := r.ReadByte()
		if err != nil {
			return err
		}
		n := int(short)
		if n == 126 {
			var ext [2]byte
			if _, err := io.ReadFull(r, ext[:]); err != nil {
				return err
			}
			n = int(ext[0])<<8 | int(ext[1])
		}
		if _, err := r.Discard(n); err != nil {
			return err
		}
		switch op & 15 {
		case 1:
			return nil
		case 8:
			return errors.New("closed by the server")
		}
	}
}

// benchRig is a hub with n clients in another process.
type benchRig struct {
	hub    *livequery.Hub
	stdin  io.Writer
	stdout *bufio.Scanner
	close  func()
}

func newBench(b *testing.B, n int, query string) *benchRig {
	b.Helper()
	hub := livequery.NewHub(livequery.Options{
		Auth: everyOther{}, ResumeWindow: livequery.DefaultResumeWindow, PingInterval: time.Hour, // the clients answer no pings
	})
	srv := httptest.NewServer(hub.Handler())
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), benchClientsEnv+"="+strings.TrimPrefix(srv.URL, "http://")+" "+strconv.Itoa(n)+" "+query)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	r := &benchRig{hub: hub, stdin: stdin, stdout: bufio.NewScanner(stdout), close: func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		srv.Close()
		waitFor(b, "the hub is empty", func() bool { return hub.Stats().Clients == 0 })
		if err := hub.Close(b.Context()); err != nil {
			b.Error(err)
		}
	}}
	if !r.stdout.Scan() || r.stdout.Text() != "ready" {
		b.Fatalf("clients: %q", r.stdout.Text())
	}
	return r
}

// wait returns once the clients have received that many events in all.
func (r *benchRig) wait(b *testing.B, events int) {
	if _, err := fmt.Fprintln(r.stdin, events); err != nil {
		b.Fatal(err)
	}
	if !r.stdout.Scan() {
		b.Fatal("the clients' process ended")
	}
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func payload(i int) *parse.Object {
	return obj("x"+strconv.Itoa(i), nil, "active", true, "seq", float64(i), "title", "a title of some length",
		"owner", parse.Pointer{ClassName: "_User", ObjectID: "u" + strconv.Itoa(i%5000)},
		"tags", parse.Array{"red", "green"}, "when", parse.Date(1e12), "text", strings.Repeat("text ", 40))
}

// everyOther takes each token for a user's, and puts every other one into a role.
type everyOther struct{}

func (everyOther) Principal(_ context.Context, token, _, _ string) (*access.Principal, error) {
	p := access.Principal{UserID: token, SessionToken: token}
	if (token[len(token)-1]-'0')%2 == 0 {
		p.Roles = []string{"Staff"}
	}
	return access.New(p), nil
}

// benchFanout reports the server's CPU for one event to one client, when up to
// window saves are under way at a time.
func benchFanout(b *testing.B, clients, window int) {
	r := newBench(b, clients, `{"className":"Item","where":{"active":true}}`)
	defer r.close()
	sent := 0
	b.ReportAllocs()
	start := cpu(b)
	for b.Loop() {
		r.hub.Publish(b.Context(), []parse.Change{created(payload(sent))})
		sent++
		if sent%window == 0 {
			r.wait(b, sent*clients)
		}
	}
	r.wait(b, sent*clients)
	b.ReportMetric(float64((cpu(b)-start).Nanoseconds())/1e3/float64(sent*clients), "cpu-µs/event")
}

func BenchmarkFanout1k(b *testing.B)  { benchFanout(b, 1000, 4) }
func BenchmarkFanout10k(b *testing.B) { benchFanout(b, 10000, 4) }

// BenchmarkFanoutLockstep has one save at a time, so that each event costs a
// write of its own.
func BenchmarkFanoutLockstep(b *testing.B) { benchFanout(b, 1000, 1) }

// BenchmarkFanoutRoles has as many callers as clients, half of which may read.
func BenchmarkFanoutRoles(b *testing.B) {
	const clients = 5000
	r := newBench(b, clients, `{"className":"Item","where":{"active":true}},"sessionToken":"r:%"`)
	defer r.close()
	sent := 0
	b.ReportAllocs()
	start := cpu(b)
	for b.Loop() {
		o := payload(sent)
		o.ACL = readable("role:Staff")
		r.hub.Publish(b.Context(), []parse.Change{created(o)})
		sent++
		if sent%4 == 0 {
			r.wait(b, sent*clients/2)
		}
	}
	r.wait(b, sent*clients/2)
	b.ReportMetric(float64((cpu(b)-start).Nanoseconds())/1e3/float64(sent*clients/2), "cpu-µs/event")
}

// benchDistinct reports the server's CPU for a save that concerns one of n
// queries that all differ.
func benchDistinct(b *testing.B, n int) {
	r := newBench(b, n, `{"className":"Item","where":{"owner":{"__type":"Pointer","className":"_User","objectId":"u%"}}}`)
	defer r.close()
	sent := 0
	b.ReportAllocs()
	start := cpu(b)
	for b.Loop() {
		o := payload(sent)
		o.Set("owner", parse.Pointer{ClassName: "_User", ObjectID: "u" + strconv.Itoa(sent%n)})
		r.hub.Publish(b.Context(), []parse.Change{created(o)})
		sent++
		if sent%16 == 0 {
			r.wait(b, sent)
		}
	}
	r.wait(b, sent)
	b.ReportMetric(float64((cpu(b)-start).Nanoseconds())/1e3/float64(sent), "cpu-µs/save")
}

func BenchmarkDistinct1k(b *testing.B) { benchDistinct(b, 1000) }
func BenchmarkDistinct5k(b *testing.B) { benchDistinct(b, 5000) }

// BenchmarkClient reports what a connected, subscribed and idle client costs:
// memory in use by the Go runtime, and resident memory of the process.
func BenchmarkClient(b *testing.B) {
	const clients = 5000
	for b.Loop() {
		before, resident := inUse(), rss(b)
		r := newBench(b, clients, `{"className":"Item","where":{"owner":{"__type":"Pointer","className":"_User","objectId":"u%"}}}`)
		grown := rss(b) - resident // before the collector runs, as an operator sees it
		b.ReportMetric(float64(inUse()-before)/clients, "B/client")
		b.ReportMetric(float64(grown)/clients, "rss-B/client")
		r.close()
	}
}

// inUse returns heap and stack in use after a collection.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func rss(b *testing.B) int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("resident memory is read from /proc")
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(data), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

// BenchmarkPublish is what a write of a class pays that nobody subscribes to.
func BenchmarkPublish(b *testing.B) {
	hub := livequery.NewHub(livequery.Options{})
	ch := []parse.Change{created(payload(1))}
	b.ReportAllocs()
	for b.Loop() {
		hub.Publish(b.Context(), ch)
	}
}
