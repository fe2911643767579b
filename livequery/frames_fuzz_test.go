package livequery_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/livequery"
)

// FuzzFrames sends arbitrary bytes after the handshake: the connection ends,
// and the hub goes on.
func FuzzFrames(f *testing.F) {
	connect := "\x81\xae\x00\x00\x00\x00" + `{"op":"connect","applicationId":"app","x":"y"}`
	for _, s := range []string{
		"", "\x00", connect, connect + connect, "\x81\x02{}", "\x89\x80\x00\x00\x00\x00", "\x88\x80\x00\x00\x00\x00", "\x88\x82\x00\x00\x00\x00\x03\xe8", "\x88\x81\x00\x00\x00\x00x",
		"\x81\xfe\xff\xff\x00\x00\x00\x00", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"\x01\x81\x00\x00\x00\x00{\x80\x81\x00\x00\x00\x00}", "\x80\x80\x00\x00\x00\x00", "\xf1\x80\x00\x00\x00\x00", "\x8f\x80\x00\x00\x00\x00", "\x09\xfe\x00\xff", "\x82\x81\x01\x02\x03\x04\xff",
	} {
		f.Add(s)
	}
	r := newRig(f, livequery.Options{MaxMessageBytes: 1 << 12})
	addr, path, _ := strings.Cut(strings.TrimPrefix(r.url, "ws://"), "/")
	f.Fuzz(func(t *testing.T, frames string) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /"+path+" HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%v, %v", resp, err)
		}
		_ = resp.Body.Close()
		// A connection that has been closed for a wrong frame takes no more.
		_, _ = io.WriteString(c, frames)
		if half, ok := c.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
		if _, err := io.Copy(io.Discard, in); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatalf("the connection does not end: %v", err)
		}
		waitFor(t, "the client is gone", func() bool { return r.hub.Stats().Clients == 0 })
	})
}
