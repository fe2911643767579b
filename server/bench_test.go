package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// BenchmarkBatch is POST /batch of N creates as the SDKs' saveAll sends them,
// on an embedded database that already holds 20,000 rows.
func BenchmarkBatch(b *testing.B) {
	h := benchServer(b)
	const seeded = 20_000
	for i := 0; i < seeded; i += 1000 {
		post(b, h, "/parse/batch", batchBody(i, 1000))
	}
	for _, n := range []int{20, 50, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			body := batchBody(seeded, n)
			b.ReportAllocs()
			began := cpu(b)
			for b.Loop() {
				post(b, h, "/parse/batch", body)
			}
			b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N*n), "cpu-µs/object")
		})
	}
}

// BenchmarkAuthenticatedGet is a get of an object that only its user may read,
// through the whole handler: his session and his roles are in the cache.
func BenchmarkAuthenticatedGet(b *testing.B) {
	h := benchServer(b)
	send := func(method, path, token, body string) map[string]any {
		r := httptest.NewRequestWithContext(b.Context(), method, "/parse"+path, strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Parse-Application-Id", "app")
		if token != "" {
			r.Header.Set("X-Parse-Session-Token", token)
		} else if path != "/users" {
			r.Header.Set("X-Parse-Master-Key", "master")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code >= 300 {
			b.Fatalf("%s: %d %.300s", path, w.Code, w.Body.String())
		}
		return answer
	}
	user := send(http.MethodPost, "/users", "", `{"username":"u","password":"p"}`)
	token := fmt.Sprint(user["sessionToken"])
	note := send(http.MethodPost, "/classes/Note", "", fmt.Sprintf(`{"title":"x","n":1,"ACL":{%q:{"read":true}}}`, user["objectId"]))
	path := fmt.Sprintf("/parse/classes/Note/%s", note["objectId"])
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, http.NoBody)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Parse-Application-Id", "app")
		r.Header.Set("X-Parse-Session-Token", token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatalf("%d %.300s", w.Code, w.Body.String())
		}
	}
}

// cpu is the processor time that the process has used: unlike the clock it
// moves little when others use the machine.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchServer starts a server on a new embedded database.
func benchServer(b *testing.B) http.Handler {
	b.Helper()
	cfg := config.Default()
	cfg.AppID, cfg.MasterKey = "app", "master"
	cfg.Host, cfg.Port = "127.0.0.1", 0
	cfg.DatabaseURI = "sqlite:" + b.TempDir() + "/bench.db"
	cfg.DataDir = b.TempDir()
	s, err := server.New(b.Context(), cfg, server.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		b.Fatal(err)
	}
	stopped := make(chan error, 1)
	ctx := b.Context() // ends before Cleanup
	go func() { stopped <- s.Run(ctx) }()
	b.Cleanup(func() {
		if err := <-stopped; err != nil {
			b.Error(err)
		}
	})
	return s.Handler()
}

func batchBody(from, n int) string {
	var sb strings.Builder
	sb.WriteString(`{"requests":[`)
	for i := range n {
		if i > 0 {
			sb.WriteByte(',')
		}
		k := from + i
		fmt.Fprintf(&sb, `{"method":"POST","path":"/parse/classes/BenchObj","body":{"title":"Benchmark object number %d",`+
			`"cat":"c%d","score":%d,"num":%d,"when":{"__type":"Date","iso":"2024-01-01T00:00:00.000Z"},"active":true,`+
			`"tags":["alpha","beta","t1"],"meta":{"k":1,"nested":{"deep":"value","n":1.5}},`+
			`"ref":{"__type":"Pointer","className":"BenchRef","objectId":"aaaaaaaaaa"},"ACL":{"*":{"read":true}}}}`, k, k%5000, k, k)
	}
	sb.WriteString(`]}`)
	return sb.String()
}

func post(b *testing.B, h http.Handler, path, body string) {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Parse-Application-Id", "app")
	r.Header.Set("X-Parse-Master-Key", "master")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"error"`) {
		b.Fatalf("%s: %d %.300s", path, w.Code, w.Body.String())
	}
}
