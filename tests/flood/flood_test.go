package flood

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// child is set for the process that floods: what it is to do.
const child = "PARGO_FLOOD_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(child); spec != "" {
		var addr string
		var n, seconds int
		if _, err := fmt.Sscan(spec, &addr, &n, &seconds); err != nil {
			panic(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
		defer cancel()
		var did tally
		flood(ctx, addr, n, &did)
		fmt.Printf("%d connections were opened, and written to %d times; %d objects were stored\n", did.opened.Load(), did.sent.Load(), did.stored.Load())
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock")) // it ends by itself
}

// honest is a client that does its work.
type honest struct {
	t      testing.TB
	url    string
	master string
	http   *http.Client
}

func (h *honest) do(method, path, body string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Parse-Application-Id", "app")
	req.Header.Set("X-Forwarded-For", "198.51.100.7")
	if h.master != "" {
		req.Header.Del("X-Forwarded-For")
		req.Header.Set("X-Parse-Master-Key", h.master)
	}
	resp, err := h.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s %s", method, path, resp.Status, b)
	}
	var out map[string]any
	if bytes.HasPrefix(b, []byte("{")) {
		err = json.Unmarshal(b, &out)
	}
	return out, err
}

func (h *honest) must(method, path, body string) map[string]any {
	h.t.Helper()
	out, err := h.do(method, path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// prepare stores what is read and searched, and returns the id of an object.
func (h *honest) prepare() string {
	var items []string
	for i := range 200 {
		items = append(items, fmt.Sprintf(`{"method":"POST","path":"/parse/classes/Text","body":{"t":"%s!","n":%d}}`, strings.Repeat("a", 40), i))
	}
	h.must("POST", "/batch", `{"requests":[`+strings.Join(items, ",")+`]}`)
	h.must("POST", "/users", `{"username":"user1","password":"right"}`)
	id, _ := h.must("POST", "/classes/Thing", `{"n":1,"s":"x"}`)["objectId"].(string)
	return id
}

// work is what honest clients do: reads, queries, writes and a login, each
// checked. It returns how long each took.
func (h *honest) work(id string, i int) (kind string, took time.Duration, err error) {
	began := time.Now()
	var out map[string]any
	switch {
	case i%50 == 49:
		kind = "login"
		out, err = h.do("POST", "/login", `{"username":"user1","password":"right"}`)
		if err == nil && out["sessionToken"] == nil {
			err = fmt.Errorf("no session: %v", out)
		}
	case i%10 == 9:
		kind = "create"
		_, err = h.do("POST", "/classes/Thing", `{"n":2}`)
	case i%5 == 4:
		kind = "find"
		out, err = h.do("GET", `/classes/Thing?where={"objectId":"`+id+`"}`, "")
		if list, _ := out["results"].([]any); err == nil && len(list) != 1 {
			err = fmt.Errorf("found %v", out)
		}
	default:
		kind = "get"
		out, err = h.do("GET", "/classes/Thing/"+id, "")
		if err == nil && out["s"] != "x" {
			err = fmt.Errorf("got %v", out)
		}
	}
	return kind, time.Since(began), err
}

// measure has clients work at a steady pace for a time.
func (h *honest) measure(id string, clients int, pace, d time.Duration) (map[string][]time.Duration, []error) {
	var mu sync.Mutex
	var errs []error
	all := map[string][]time.Duration{}
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for c := range clients {
		wg.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for i := c * 7; time.Now().Before(end); i++ {
				<-tick.C
				kind, took, err := h.work(id, i)
				mu.Lock()
				all[kind] = append(all[kind], took)
				if kind != "login" { // whose time is that of its hash
					all["all"] = append(all["all"], took)
				}
				if err != nil {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return all, errs
}

func percentile(list []time.Duration, p float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, int(math.Ceil(float64(len(list))*p))-1)].Round(10 * time.Microsecond)
}

// TestFlood: under a small flood all honest requests are answered rightly, and
// afterwards nothing of it is left.
func TestFlood(t *testing.T) {
	s := scenario.Start(t, "sqlite:"+filepath.Join(t.TempDir(), "flood.db"), func(c *config.Config) {
		c.AllowClientClassCreation, c.TrustProxy, c.StartLiveQueryServer = true, "loopback", true
		c.LiveQuery.ClassNames = []string{"Thing", "Text"}
	}, nil)
	h := &honest{t: t, url: s.URL, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
	id := h.prepare()
	h.http.CloseIdleConnections()
	before, heapBefore := runtime.NumGoroutine(), heap()
	addr := strings.TrimPrefix(strings.TrimSuffix(s.URL, "/parse"), "http://")
	ctx, stop := context.WithCancel(t.Context())
	var did tally
	done := make(chan struct{})
	go func() {
		flood(ctx, addr, 200, &did)
		close(done)
	}()
	reach := func(what string, n *atomic.Int64, want int64) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); n.Load() < want; <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: only %d, want %d", what, n.Load(), want)
			}
		}
	}
	reach("hostile connections", &did.opened, 200)
	for i := range 300 {
		if _, _, err := h.work(id, i); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	reach("hostile objects", &did.stored, 6)
	stop()
	<-done
	if sent := did.sent.Load(); sent < 200 {
		t.Errorf("the hostile connections were written to %d times only", sent)
	}
	h.http.CloseIdleConnections()
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before+10; {
		if time.Now().After(deadline) {
			b := make([]byte, 1<<20)
			t.Fatalf("%d goroutines are left, there were %d: %s", runtime.NumGoroutine(), before, b[:runtime.Stack(b, true)])
		}
		<-time.After(20 * time.Millisecond)
	}
	// Six bodies of 1 MiB, which take 30 MiB each as values, were stored, and told
	// to live queries.
	if grown := heap() - heapBefore; grown > 80<<20 {
		t.Errorf("%d MiB are left of the flood", grown>>20)
	}
	if got := h.must("GET", "/classes/Thing?count=1&limit=0", "")["count"]; got != 25.0 {
		t.Errorf("%v things, want 25", got)
	}
	h.http.CloseIdleConnections()
}

// heap is what is in use, after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestFullFlood floods the binary that PARGO_FLOOD names, and prints how honest
// clients fared.
func TestFullFlood(t *testing.T) {
	binary := os.Getenv("PARGO_FLOOD")
	if binary == "" {
		t.Skip("PARGO_FLOOD names no binary: make flood")
	}
	setting := func(name string, or int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return or
	}
	n, seconds := setting("FLOOD_CONNECTIONS", 5000), setting("FLOOD_SECONDS", 60)
	port := freePort(t)
	server := exec.CommandContext(t.Context(), binary, "serve", "--appId", "app", "--masterKey", "master", "--port", port, "--host", "127.0.0.1",
		"--dataDir", t.TempDir(), "--allowClientClassCreation", "--trustProxy", "loopback", "--startLiveQueryServer",
		"--liveQuery", `{"classNames":["Thing","Text"]}`)
	server.Stderr = os.Stderr
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	h := &honest{t: t, url: "http://127.0.0.1:" + port + "/parse", http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(20 * time.Millisecond) {
		if _, err := h.do("GET", "/health", ""); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not come up")
		}
	}
	id := h.prepare()
	const clients, pace = 8, 40 * time.Millisecond // 200 requests a second
	h.measure(id, clients, pace, 2*time.Second)
	load, _ := os.ReadFile("/proc/loadavg")
	calm, errs := h.measure(id, clients, pace, 15*time.Second)
	report(t, "calm", calm, errs)
	memory := resident(server.Process.Pid, "VmHWM")

	storm := exec.CommandContext(t.Context(), "nice", "-n", "19", os.Args[0])
	storm.Env = append(os.Environ(), fmt.Sprintf("%s=127.0.0.1:%s %d %d", child, port, n, seconds+15))
	storm.Stderr = os.Stderr
	var told bytes.Buffer
	storm.Stdout = &told
	if err := storm.Start(); err != nil {
		t.Fatal(err)
	}
	<-time.After(10 * time.Second) // until it is in full swing
	flooded, errs := h.measure(id, clients, pace, time.Duration(seconds)*time.Second)
	report(t, "flood", flooded, errs)
	master := &honest{t: t, url: h.url, master: "master", http: h.http}
	during := resident(server.Process.Pid, "VmHWM")
	metrics := master.metrics()
	if err := storm.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("hostile: %s", told.String())
	p, q := percentile(calm["all"], .99), percentile(flooded["all"], .99)
	t.Logf("load before: %st p99 %v calm, %v under %d hostile connections: %.1f times", bytes.TrimSpace(load), p, q, n, float64(q)/float64(p))
	t.Logf("memory at most: %d MiB calm, %d MiB flooded, now %d MiB", memory>>20, during>>20, resident(server.Process.Pid, "VmRSS")>>20)
	for _, name := range []string{"go_goroutines", "pargo_connections", "pargo_connections_evicted_total", "pargo_connections_refused_total"} {
		t.Logf("%s %s", name, metrics[name])
	}
	if len(errs) > 0 {
		t.Errorf("%d honest requests failed, the first: %v", len(errs), errs[0])
	}
	if during > 2<<30 {
		t.Errorf("the server took %d MiB", during>>20)
	}
	if q > 5*p {
		t.Errorf("p99 of honest clients: %v, more than five times %v", q, p)
	}
}

func report(t *testing.T, name string, all map[string][]time.Duration, errs []error) {
	t.Helper()
	for _, kind := range []string{"get", "find", "create", "login", "all"} {
		t.Logf("%s %-6s %6d  p50 %8v  p99 %8v  max %8v", name, kind, len(all[kind]), percentile(all[kind], .5), percentile(all[kind], .99), percentile(all[kind], 1))
	}
	t.Logf("%s errors: %d", name, len(errs))
}

var sample = regexp.MustCompile(`(?m)^(\w+) (\S+)$`)

func (h *honest) metrics() map[string]string {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+"/metrics", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("X-Parse-Application-Id", "app")
	req.Header.Set("X-Parse-Master-Key", h.master)
	resp, err := h.http.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range sample.FindAllStringSubmatch(string(b), -1) {
		out[m[1]] = m[2]
	}
	return out
}

// resident is a figure in bytes of what the system knows of a process; 0 if it does not tell.
func resident(pid int, name string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				return kb << 10
			}
		}
	}
	return 0
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
