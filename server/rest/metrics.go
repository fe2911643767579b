package rest

import (
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/pargo-baas/pargo/internal/metrics"
)

// statuses are those that are counted by themselves; the last counter of a
// route is for any other.
var statuses = [...]int{200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 413, 429, 500, 502, 503}

// requests counts the answers of the routes: one atomic addition for each request.
type requests struct {
	routes []route
	counts [][len(statuses) + 1]atomic.Int64
}

// Places in requests.counts of what is not in the table of routes.
const (
	otherRoute = iota // nothing that is served, or refused before it was routed
	healthRoute
	pagesRoute
	metricsRoute
	firstRoute
)

var extraRoutes = [firstRoute]string{"other", "/health", "pages", "/metrics"}

func newRequests(routes []route) *requests {
	return &requests{routes: routes, counts: make([][len(statuses) + 1]atomic.Int64, firstRoute+len(routes))}
}

func (r *requests) count(at, status int) {
	i := 0
	for i < len(statuses) && statuses[i] != status {
		i++
	}
	r.counts[at][i].Add(1)
}

func (r *requests) write(w *metrics.Writer) {
	const name = "pargo_http_requests_total"
	w.Family(name, "counter", "Answers of the REST API by route and status. Items of a batch are not counted by themselves.")
	for at := range r.counts {
		method, pattern := "any", ""
		if at < firstRoute {
			pattern = extraRoutes[at]
		} else {
			method, pattern = r.routes[at-firstRoute].method, r.routes[at-firstRoute].pattern
		}
		for i := range r.counts[at] {
			n := r.counts[at][i].Load()
			if n == 0 {
				continue
			}
			status := "other"
			if i < len(statuses) {
				status = strconv.Itoa(statuses[i])
			}
			w.Sample(name, float64(n), "method", method, "route", pattern, "status", status)
		}
	}
}

// metrics is GET /metrics, which is pargo's own: the counters of the server in
// the text format of Prometheus, for the master keys. It stands beside the
// table of routes, since an item of a batch is JSON.
func (h *Handler) metrics(c *call) {
	if err := c.masterOnly(true); err != nil {
		c.fail(err)
		return
	}
	var w metrics.Writer
	h.requests.write(&w)
	if h.o.Metrics != nil {
		h.o.Metrics(&w)
	}
	head := c.Header()
	head.Set("Content-Type", metrics.ContentType)
	head.Set("Content-Length", strconv.Itoa(len(w.Bytes())))
	c.WriteHeader(http.StatusOK)
	// A client that has gone cannot be told.
	_, _ = c.ResponseWriter.Write(w.Bytes())
}
