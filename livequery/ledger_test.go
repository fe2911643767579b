package livequery_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/livequery"
)

// TestSubscriptionBytes: what subscriptions take is not underestimated, and plain
// ones are not taken for much more than they are.
func TestSubscriptionBytes(t *testing.T) {
	const n = 1000
	list := strings.TrimSuffix(strings.Repeat(`"x%[1]d",`, 100), ",")
	for name, tt := range map[string]struct {
		query, members string // %[1]d is the number of the subscription
		token          string // of the connection
		most           float64
	}{
		"all equal":      {`{"className":"Item","where":{"active":true}}`, ``, ``, 1.5},
		"of a user":      {`{"className":"Item","where":{"owner":{"__type":"Pointer","className":"_User","objectId":"u%[1]d"}}}`, ``, ``, 1.5},
		"of an object":   {`{"className":"Item","where":{"objectId":"x%[1]d"}}`, ``, `r:ann`, 2},
		"names":          {`{"className":"Item","where":{"n":%[1]d},"keys":["a","b","c"],"watch":["a","b"]}`, ``, ``, 1.5},
		"constraints":    {`{"className":"Item","where":{"$or":[{"a":%[1]d},{"b":{"$gt":1,"$lt":3}}],"c":{"$exists":true}}}`, ``, ``, 1.5},
		"list":           {`{"className":"Item","where":{"a":{"$in":[` + list + `]},"n":%[1]d}}`, ``, ``, 3},
		"tokens":         {`{"className":"Item","where":{"active":true}}`, `,"sessionToken":"r:%[1]d"`, ``, 2},
		"positions":      {`{"className":"Item","where":{"n":%[1]d}}`, `,"resume":""`, ``, 1.5},
		"shared pattern": {`{"className":"C%[1]d","where":{"s":{"$regex":"^(?=a)(a+)+$"},"n":%[1]d}}`, ``, ``, 4},
		"own pattern":    {`{"className":"C%[1]d","where":{"s":{"$regex":"^(?=a)(a+)+$|%[1]d"}}}`, ``, ``, 1.5},
		"own classes":    {`{"className":"Item","where":{"s":{"$regex":"[a-z]+%[1]d[0-9]+x"}}}`, ``, ``, 1.5},
		"words":          {`{"className":"Item","where":{"s":{"$text":{"$search":{"$term":"some words %[1]d"}}}}}`, ``, ``, 1.5},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, livequery.Options{ResumeWindow: livequery.DefaultResumeWindow, PingInterval: livequery.DefaultSessionAge})
			hub := r.hub
			if tt.members != "" || tt.token != "" {
				for i := range n {
					r.users.set(fmt.Sprintf("r:%d", i), fmt.Sprintf("user%d", i))
				}
			}
			s := r.connect(t, install+`,"sessionToken":"`+tt.token+`"`)
			held := func() (heap, counted int64) {
				for range 4 { // pools and cleanups keep things for a while
					runtime.GC()
				}
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return int64(m.HeapAlloc), hub.Stats().HeldBytes
			}
			heapBefore, before := held()
			for i := range n {
				s.subscribe(i, expand(tt.query, i), expand(tt.members, i))
			}
			heap, counted := held()
			took, size := (heap-heapBefore)/n, (counted-before)/n
			if ratio := float64(size) / float64(took); ratio < .7 || ratio > tt.most {
				t.Errorf("taken for %d bytes, took %d: %.2f times", size, took, ratio)
			}
			_ = s.ws.CloseNow()
			waitFor(t, "nothing is held", func() bool { return hub.Stats().HeldBytes == 0 })
		})
	}
}

const fromHeader = "X-From"

// networked has a hub that believes where clients say they are.
func networked(tb testing.TB, o livequery.Options) *rig {
	tb.Helper()
	o.ClientIP = func(r *http.Request) string { return r.Header.Get(fromHeader) }
	return newRig(tb, o)
}

// from connects a client of an address.
func (r *rig) from(tb testing.TB, ip string) *socket {
	tb.Helper()
	ws, resp, err := websocket.Dial(tb.Context(), r.url, &websocket.DialOptions{HTTPHeader: http.Header{fromHeader: {ip}}})
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	tb.Cleanup(func() { _ = ws.CloseNow() })
	s := &socket{tb: tb, ws: ws}
	s.send(`{"op":"connect","applicationId":"app"}`)
	if f := s.next(); !strings.HasPrefix(f, `{"op":"connected"`) {
		tb.Fatalf("connect: %s", f)
	}
	return s
}

// fill subscribes until that is refused, and returns how often it was not.
func (s *socket) fill(query string) (n int, refusal string) {
	for ; ; n++ {
		s.send(fmt.Sprintf(`{"op":"subscribe","requestId":%d,"query":%s}`, n, expand(query, n)))
		if f := s.next(); !strings.HasPrefix(f, `{"op":"subscribed"`) {
			return n, f
		}
	}
}

// TestNetworkShares: a network may have as many subscriptions as are free, a
// private one, which may be a proxy's, three times as many.
func TestNetworkShares(t *testing.T) {
	r := networked(t, livequery.Options{TotalSubscriptions: 100})
	const refused = `{"op":"error","error":"Too many subscriptions from your network at the moment","code":155,"reconnect":false,"requestId":%d}`
	var sockets []*socket
	for _, tt := range []struct {
		ip   string
		want int
	}{
		{"203.0.113.1", 50},
		{"203.0.113.1", 0}, // another client of the same
		{"203.0.113.2", 25},
		{"2001:db8:0:1::1", 13},
		{"2001:db8:0:1:ffff::2", 0},
		{"2001:db8:0:2::1", 6},
		{"10.0.0.1", 5}, // of 6
		{"203.0.113.3", 1},
	} {
		s := r.from(t, tt.ip)
		sockets = append(sockets, s)
		got, refusal := s.fill(itemQuery)
		if got != tt.want || tt.ip != "203.0.113.3" && refusal != fmt.Sprintf(refused, got) {
			t.Errorf("%s has %d subscriptions, want %d: %s", tt.ip, got, tt.want, refusal)
		}
	}
	if st := r.hub.Stats(); st.Subscriptions != 100 || st.Refused != int64(len(sockets)) {
		t.Errorf("%+v", st)
	}
	sockets[0].send(`{"op":"unsubscribe","requestId":1}`)
	sockets[0].next()
	if f := sockets[7].again(); !strings.HasPrefix(f, `{"op":"error"`) { // one is free, and it has one
		t.Errorf("a second one: %s", f)
	}
	_ = sockets[0].ws.CloseNow()
	waitFor(t, "half is free", func() bool { return r.hub.Stats().Subscriptions == 50 })
	if f := sockets[7].again(); !strings.HasPrefix(f, `{"op":"subscribed"`) {
		t.Errorf("once half is free: %s", f)
	}
	for _, s := range sockets {
		_ = s.ws.CloseNow()
	}
	waitFor(t, "networks are forgotten", func() bool { return r.hub.Networks() == 0 })
}

// again subscribes to one more.
func (s *socket) again() string {
	s.send(`{"op":"subscribe","requestId":1000,"query":` + itemQuery + `}`)
	return s.next()
}

// TestNetworkBytes: the same holds for the memory of subscriptions.
func TestNetworkBytes(t *testing.T) {
	const limit = 1 << 20
	r := networked(t, livequery.Options{SubscriptionBytes: limit})
	large := `{"className":"Item","where":{"n":%d,"a":"` + strings.Repeat("x", 10_000) + `"}}`
	first, _ := r.from(t, "203.0.113.1").fill(large)
	if held := r.hub.Stats().HeldBytes; held > limit/2+25_000 || held < limit*2/5 {
		t.Errorf("%d subscriptions take %d bytes, the limit of a network is %d", first, held, limit/2)
	}
	s := r.from(t, "203.0.113.2")
	large = strings.ReplaceAll(large, "x", "q")
	second, refusal := s.fill(large)
	if second >= first || second < first*2/5 || !strings.Contains(refusal, `"code":155`) {
		t.Errorf("the second network has %d, the first %d: %s", second, first, refusal)
	}
	// What takes the place of another takes no more than that.
	s.subscribe(1, expand(strings.ReplaceAll(large, "q", "y"), 1), "")
	s.send(`{"op":"subscribe","requestId":1,"query":` + expand(strings.ReplaceAll(large, "q", strings.Repeat("y", 20)), 1) + `}`)
	if f := s.next(); !strings.Contains(f, `"code":155`) {
		t.Errorf("a larger one in the place of another: %s", f)
	}
	held := r.hub.Stats().HeldBytes
	for range 20 {
		s.subscribe(1, expand(strings.ReplaceAll(large, "q", "y"), 1), "")
		s.subscribe(1, expand(strings.ReplaceAll(large, "q", "z"), 1), "")
	}
	if now := r.hub.Stats().HeldBytes; now > held+100 {
		t.Errorf("%d bytes after replacements, %d before", now, held)
	}
}

// TestNothingElseIsKept: of a message that asks for what somebody else has asked
// for, nothing stays, nor of the rest of a connect message.
func TestNothingElseIsKept(t *testing.T) {
	const n, padding = 100, 60_000
	r := newRig(t, livequery.Options{})
	spaces := strings.Repeat(" ", padding)
	query := `{"className":"Item","where":{"a":"some text","b":{"$regex":"[a-z]+x"}},"keys":["a","b"],"watch":["a"]}`
	list := make([]*socket, n)
	for i := range list {
		list[i] = r.connect(t, spaces+install+`,"sessionToken":"r:ann"`)
		list[i].subscribe(0, query, "")
	}
	heap := func() int64 {
		for range 4 {
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i, s := range list {
		s.subscribe(1, query, spaces+fmt.Sprintf(`,"sessionToken":"r:%d"`, i))
	}
	if took := (heap() - before) / n; took > padding/6 {
		t.Errorf("%d bytes are kept of each subscription", took)
	}
	for _, s := range list { // the first of them carried what all share
		s.send(`{"op":"unsubscribe","requestId":1}`)
		s.next()
		_ = s.ws.CloseNow()
	}
}

// expand puts a number into a text that may have none.
func expand(text string, i int) string {
	if !strings.Contains(text, "%") {
		return text
	}
	return fmt.Sprintf(text, i)
}
