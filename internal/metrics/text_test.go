package metrics_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/metrics"
)

func TestWriter(t *testing.T) {
	var w metrics.Writer
	w.One("a_total", "counter", "Back\\slash and\nline.", 1e15)
	w.Family("b", "gauge", "B.")
	w.Sample("b", 0.5, "class", "a\"b\\c\nd", "x", "")
	w.Family("h", "histogram", "H.")
	w.Histogram("h", []float64{0.1, 1}, []int64{1, 2, 4}, 9.5, "f", "g")
	const want = "# HELP a_total Back\\\\slash and\\nline.\n# TYPE a_total counter\na_total 1e+15\n" +
		"# HELP b B.\n# TYPE b gauge\nb{class=\"a\\\"b\\\\c\\nd\",x=\"\"} 0.5\n" +
		"# HELP h H.\n# TYPE h histogram\n" +
		"h_bucket{f=\"g\",le=\"0.1\"} 1\nh_bucket{f=\"g\",le=\"1\"} 3\nh_bucket{f=\"g\",le=\"+Inf\"} 7\nh_sum{f=\"g\"} 9.5\nh_count{f=\"g\"} 7\n"
	if got := string(w.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
