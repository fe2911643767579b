package livequery_test

import (
	"fmt"
	"testing"

	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
)

// BenchmarkBacklog has a client with a hundred subscriptions that does not
// read: what an event costs that waits, in time and memory.
func BenchmarkBacklog(b *testing.B) {
	const subs, saves = 100, 1000
	for b.Loop() {
		b.StopTimer()
		r := newRig(b, livequery.Options{QueueBytes: 1 << 30})
		s := r.connect(b, "")
		for i := range subs {
			s.subscribe(i, `{"className":"Item","where":{}}`, "")
		}
		before := inUse()
		b.StartTimer()
		for i := range saves {
			r.hub.Publish(b.Context(), []parse.Change{created(obj(fmt.Sprintf("x%d", i), nil, "n", 1.0))})
		}
		waitFor(b, "all are queued", func() bool { return r.hub.Stats().Events >= subs*saves })
		b.StopTimer()
		b.ReportMetric(float64(inUse()-before)/subs/saves, "B/event")
		_ = s.ws.CloseNow()
		waitFor(b, "the client is gone", func() bool { return r.hub.Stats().Clients == 0 })
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/subs/saves, "ns/event")
}
