package rest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/metrics"
)

func TestCountRequests(t *testing.T) {
	r := newRequests([]route{{method: http.MethodGet, pattern: "/a"}})
	for _, status := range []int{200, 200, 404, 599} {
		r.count(firstRoute, status)
	}
	r.count(healthRoute, 200)
	var w metrics.Writer
	r.write(&w)
	for _, want := range []string{
		`{method="GET",route="/a",status="200"} 2`, `{method="GET",route="/a",status="404"} 1`,
		`{method="GET",route="/a",status="other"} 1`, `{method="any",route="/health",status="200"} 1`,
	} {
		if !strings.Contains(string(w.Bytes()), want) {
			t.Errorf("%s is not in\n%s", want, w.Bytes())
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { r.count(firstRoute, 200) }); allocs != 0 {
		t.Errorf("a request costs %v allocations", allocs)
	}
}

// BenchmarkCountRequest is what the counters cost each request.
func BenchmarkCountRequest(b *testing.B) {
	r := newRequests([]route{{method: http.MethodGet, pattern: "/a"}})
	for _, status := range []int{200, 503} {
		b.Run(fmt.Sprint(status), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.count(firstRoute, status)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				r.count(firstRoute, 200)
			}
		})
	})
}
