// Package flood floods a server with hostile connections while honest clients
// go on with their work.
package flood

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// evil goes back exponentially on the texts that the flood stores.
const evil = `^(?=a)(a+)+$`

// attacker is one hostile connection, opened anew whenever it is closed.
type attacker struct {
	n     int // its number
	tally *tally
}

// tally counts what a flood has done: connections opened, writes, and objects stored.
type tally struct{ opened, sent, stored atomic.Int64 }

// kind is an attack.
type kind struct {
	name string
	run  func(context.Context, *attacker, net.Conn)
}

// kinds are the attacks; connections take them in turn. Each returns when its
// connection is over.
var kinds = []kind{
	{"slow headers", func(ctx context.Context, a *attacker, c net.Conn) {
		a.drops(ctx, c, "GET /parse/classes/Text HTTP/1.1\r\nHost: h\r\nX-A: "+strings.Repeat("a", 1000))
	}},
	{"slow bodies", func(ctx context.Context, a *attacker, c net.Conn) {
		if a.write(c, a.head("POST", "/classes/Text", 19<<20)) {
			a.drops(ctx, c, strings.Repeat(" ", 1000))
		}
	}},
	{"malformed frames", func(ctx context.Context, a *attacker, c net.Conn) {
		if a.upgrade(c) {
			junk := make([]byte, 256)
			_, _ = rand.Read(junk) // never fails
			a.write(c, string(junk))
			a.wait(ctx, c)
		}
	}},
	{"huge bodies", func(ctx context.Context, a *attacker, c net.Conn) {
		body := `{"l":[` + strings.Repeat(`{"a":1},`, 128<<10) + `1]}` // 1 MiB, 40 times that as values
		a.requests(ctx, c, "POST", "/classes/Text", body, 20*time.Second)
	}},
	{"deep JSON", func(ctx context.Context, a *attacker, c net.Conn) {
		a.requests(ctx, c, "POST", "/classes/Text", `{"a":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+"}", 5*time.Second)
	}},
	{"evil patterns", func(ctx context.Context, a *attacker, c net.Conn) {
		a.requests(ctx, c, "POST", "/classes/Text", `{"_method":"GET","where":{"t":{"$regex":"`+evil+`"}}}`, 5*time.Second)
	}},
	{"guesses", func(ctx context.Context, a *attacker, c net.Conn) {
		a.requests(ctx, c, "POST", "/login", fmt.Sprintf(`{"username":"user%d","password":"guess"}`, a.n%50), 2*time.Second)
	}},
	{"subscriptions", func(ctx context.Context, a *attacker, c net.Conn) {
		if !a.upgrade(c) || !a.message(c, `{"op":"connect","applicationId":"app"}`) {
			return
		}
		go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
		for i := range 1200 {
			if !a.message(c, fmt.Sprintf(`{"op":"subscribe","requestId":%d,"query":{"className":"Text","where":{"t":{"$regex":"%s"},"n":%d}}}`, i, evil, i)) {
				return
			}
			if i%100 == 0 && !pause(ctx, time.Second) {
				return
			}
		}
		a.wait(ctx, nil)
	}},
	{"never reading", func(ctx context.Context, a *attacker, c net.Conn) {
		if a.n/10%2 == 0 {
			if a.upgrade(c) && a.message(c, `{"op":"connect","applicationId":"app"}`) {
				for i := range 100 {
					a.message(c, fmt.Sprintf(`{"op":"subscribe","requestId":%d,"query":{"className":"Thing","where":{}}}`, i))
				}
				pause(ctx, time.Minute)
			}
			return
		}
		for i := 0; i < 100; i++ { // answers pile up
			if !a.write(c, a.head("GET", "/classes/Text?limit=200&where=%7B%22l%22:%7B%22$exists%22:true%7D%7D", 0)) {
				return
			}
		}
		pause(ctx, time.Minute)
	}},
	{"messages in drops", func(ctx context.Context, a *attacker, c net.Conn) {
		if a.upgrade(c) && a.message(c, `{"op":"connect","applicationId":"app"}`) {
			a.drops(ctx, c, "\x01\xff\x00\x00\x00\x00\x00\x0f\x00\x00\x00\x00\x00\x00"+strings.Repeat("x", 1000))
		}
	}},
}

// pause waits, and reports whether the flood goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (a *attacker) write(c net.Conn, s string) bool {
	_ = c.SetWriteDeadline(time.Now().Add(30 * time.Second))
	_, err := io.WriteString(c, s)
	a.tally.sent.Add(1)
	return err == nil
}

// head is the head of a request by one of fifty networks.
func (a *attacker) head(method, path string, n int) string {
	return fmt.Sprintf("%s /parse%s HTTP/1.1\r\nHost: h\r\nX-Parse-Application-Id: app\r\nX-Forwarded-For: 203.0.113.%d\r\nContent-Length: %d\r\n\r\n", method, path, a.n/10%50, n)
}

// drops sends a text in drops.
func (a *attacker) drops(ctx context.Context, c net.Conn, s string) {
	for i := range len(s) {
		if !a.write(c, s[i:i+1]) || !pause(ctx, time.Second) {
			return
		}
	}
}

// requests sends the same request again and again, and reads the answers.
func (a *attacker) requests(ctx context.Context, c net.Conn, method, path, body string, every time.Duration) {
	r := bufio.NewReader(c)
	// The crowd does not come all at once.
	for pause(ctx, every*time.Duration(a.n%500)/500) && a.write(c, a.head(method, path, len(body))+body) {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return
		}
		if resp.StatusCode == http.StatusCreated {
			a.tally.stored.Add(1)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if !pause(ctx, every*time.Duration(500-a.n%500)/500) {
			return
		}
	}
}

func (a *attacker) upgrade(c net.Conn) bool {
	if !a.write(c, "GET /parse HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n") {
		return false
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	b := make([]byte, 1024)
	n, err := c.Read(b)
	_ = c.SetReadDeadline(time.Time{})
	return err == nil && strings.HasPrefix(string(b[:n]), "HTTP/1.1 101")
}

// message sends a text frame with a mask of zeros.
func (a *attacker) message(c net.Conn, s string) bool {
	return a.write(c, "\x81\xfe"+string([]byte{byte(len(s) >> 8), byte(len(s))})+"\x00\x00\x00\x00"+s)
}

// wait reads until the connection or the flood is over.
func (a *attacker) wait(ctx context.Context, c net.Conn) {
	if c != nil {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		_, _ = io.Copy(io.Discard, c)
	}
	pause(ctx, time.Second)
}

// flood keeps n hostile connections open until ctx ends.
func flood(ctx context.Context, addr string, n int, t *tally) {
	attacks := kinds
	if name := os.Getenv("FLOOD_KIND"); name != "" { // one of them alone
		attacks = slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool { return k.name != name })
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a := &attacker{n: i, tally: t}
			for pause(ctx, time.Duration(i%100)*time.Second/100) {
				var d net.Dialer
				c, err := d.DialContext(ctx, "tcp", addr)
				if err != nil {
					pause(ctx, time.Second)
					continue
				}
				t.opened.Add(1)
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				attacks[i%len(attacks)].run(ctx, a, c)
				stop()
				_ = c.Close()
			}
		})
	}
	wg.Wait()
}
