package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
)

// BenchmarkRequests are the requests of a usual client on each database, with
// one connection and with sixteen, through the whole server. cpu-µs/op is the
// time of this process: that of an embedded database and some 20 µs of the
// client are part of it. The profile that builds are tuned by is taken from it.
func BenchmarkRequests(b *testing.B) {
	for _, db := range scenario.Databases() {
		b.Run(db.Name, func(b *testing.B) {
			s := scenario.Start(b, db.URI(b), nil, nil)
			c := newBenchClient(b, s.URL)
			c.seed(b)
			for _, r := range []struct {
				name string
				body func(i int) (method, path, body string)
			}{
				{"create", func(i int) (method, path, body string) { return "POST", "/classes/Note", c.note(i) }},
				{"get", func(i int) (method, path, body string) { return "GET", "/classes/Note/" + c.ids[i%len(c.ids)], "" }},
				{"update", func(i int) (method, path, body string) {
					return "PUT", "/classes/Note/" + c.ids[i%len(c.ids)], fmt.Sprintf(`{"title":"Title %d","n":{"__op":"Increment","amount":1}}`, i)
				}},
				{"find", func(i int) (method, path, body string) { return "GET", "/classes/Note?limit=100&include=ref", "" }},
				{"batch", func(i int) (method, path, body string) {
					one := `{"method":"POST","path":"/parse/classes/Note","body":` + c.note(i) + `}`
					return "POST", "/batch", `{"requests":[` + strings.Repeat(one+",", 49) + one + `]}`
				}},
			} {
				for _, conns := range []int{1, 16} {
					b.Run(fmt.Sprintf("%s/conns=%d", r.name, conns), func(b *testing.B) { c.spread(b, conns, r.body) })
				}
			}
		})
	}
}

// benchClient speaks HTTP/1.1 with as little as there can be.
type benchClient struct {
	addr, prefix, headers string
	user, ref             string
	ids                   []string
}

func newBenchClient(b *testing.B, url string) *benchClient {
	b.Helper()
	addr, prefix, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	return &benchClient{addr: addr, prefix: "/" + prefix, headers: "Host: " + addr + "\r\nX-Parse-Application-Id: " + scenario.AppID + "\r\nContent-Type: application/json\r\n"}
}

// seed makes the class, a user and a hundred objects that he may change.
func (c *benchClient) seed(b *testing.B) {
	b.Helper()
	conn := c.dial(b)
	ask := func(method, path, body string) (answer struct{ ObjectID, SessionToken string }) {
		got, err := conn.do(c, method, path, body)
		if err == nil {
			err = json.Unmarshal(got, &answer)
		}
		if err != nil {
			b.Fatal(err)
		}
		return answer
	}
	plain := c.headers
	u := ask("POST", "/users", `{"username":"bench","password":"p"}`)
	c.headers += "X-Parse-Master-Key: " + scenario.MasterKey + "\r\n"
	c.user, c.ref = u.ObjectID, ask("POST", "/classes/Ref", `{"name":"reference","rank":7}`).ObjectID
	for i := range 100 {
		c.ids = append(c.ids, ask("POST", "/classes/Note", c.note(i)).ObjectID)
	}
	c.headers = plain + "X-Parse-Session-Token: " + u.SessionToken + "\r\n"
}

func (c *benchClient) note(i int) string {
	return fmt.Sprintf(`{"title":"Note number %d","cat":"c%d","n":%d,"when":{"__type":"Date","iso":"2024-01-01T00:00:00.000Z"},"active":true,`+
		`"tags":["alpha","beta","t1"],"meta":{"k":1,"nested":{"deep":"value","n":1.5}},`+
		`"ref":{"__type":"Pointer","className":"Ref","objectId":%q},"ACL":{%q:{"read":true,"write":true}}}`, i, i%50, i, c.ref, c.user)
}

type benchConn struct {
	net.Conn
	r   *bufio.Reader
	out bytes.Buffer
}

func (c *benchClient) dial(b *testing.B) *benchConn {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", c.addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &benchConn{Conn: conn, r: bufio.NewReader(conn)}
}

func (conn *benchConn) do(c *benchClient, method, path, body string) ([]byte, error) {
	conn.out.Reset()
	fmt.Fprintf(&conn.out, "%s %s%s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", method, c.prefix, path, c.headers, len(body), body)
	if _, err := conn.Write(conn.out.Bytes()); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(conn.r, nil)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode >= 300 || bytes.Contains(got, []byte(`"error"`))) {
		err = fmt.Errorf("%s %s: %s %.200s", method, path, resp.Status, got)
	}
	return got, err
}

// spread sends b.N requests over a number of connections.
func (c *benchClient) spread(b *testing.B, conns int, request func(i int) (method, path, body string)) {
	b.Helper()
	list := make([]*benchConn, conns)
	for i := range list {
		list[i] = c.dial(b)
	}
	b.ReportAllocs()
	began := cpu(b)
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, conn := range list {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				method, path, body := request(i)
				if _, err := conn.do(c, method, path, body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
}
