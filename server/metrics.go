package server

import (
	"runtime/metrics"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	text "github.com/pargo-baas/pargo/internal/metrics"
)

// expose writes the counters of the server beside those of requests.
func (s *Server) expose(app *cloudcode.App) func(*text.Writer) {
	bounds := make([]float64, len(cloudcode.Buckets))
	for i, b := range cloudcode.Buckets {
		bounds[i] = b.Seconds()
	}
	began := time.Now()
	return func(w *text.Writer) {
		w.One("pargo_start_time_seconds", "gauge", "When the server started, in seconds since 1970.", float64(began.UnixMilli())/1000)
		s.exposeProcess(w)
		s.exposeConnections(w)
		s.exposeDatabase(w)
		s.exposeLive(w)
		hooks := app.Stats()
		w.Family("pargo_hook_duration_seconds", "histogram", "Runs of hooks, functions and jobs.")
		for i := range hooks {
			h := &hooks[i]
			w.Histogram("pargo_hook_duration_seconds", bounds, h.Buckets, h.Total.Seconds(), "trigger", string(h.Trigger), "name", h.Name)
		}
		w.Family("pargo_hook_errors_total", "counter", "Runs of hooks, functions and jobs that ended with an error.")
		for i := range hooks {
			h := &hooks[i]
			w.Sample("pargo_hook_errors_total", float64(h.Errors), "trigger", string(h.Trigger), "name", h.Name)
		}
	}
}

// exposeConnections writes what the limits of connections did.
func (s *Server) exposeConnections(w *text.Writer) {
	st := s.listener.Stats()
	w.One("pargo_connections", "gauge", "Open connections.", float64(st.Open))
	w.One("pargo_connections_evicted_total", "counter", "Connections without a request that were closed for a new one.", float64(st.Evicted))
	w.One("pargo_requests_waiting", "gauge", "Requests that wait to be let in, since the cores cannot serve all that come.", float64(s.gate.Waiting()))
	w.One("pargo_lane_waiting", "gauge", "Pieces of work that take long and wait for their turn.", float64(s.lane.Waiting()))
	w.One("pargo_connections_refused_total", "counter", "New connections that were closed since all others were at work.", float64(st.Refused))
}

// exposeProcess writes what the Go runtime knows. None of it stops the program.
func (s *Server) exposeProcess(w *text.Writer) {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"},
	}
	metrics.Read(samples)
	for i, m := range [...]struct{ name, help string }{
		{"go_goroutines", "Goroutines."}, {"pargo_heap_bytes", "Bytes in objects on the heap."}, {"pargo_memory_bytes", "Bytes that the Go runtime has from the system."},
	} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			w.One(m.name, "gauge", m.help, float64(samples[i].Value.Uint64()))
		}
	}
}

// exposeDatabase writes how the database is.
func (s *Server) exposeDatabase(w *text.Writer) {
	d := s.guard.Stats()
	up := 1.0
	if d.Away {
		up = 0
	}
	w.One("pargo_database_up", "gauge", "1, or 0 while the database cannot be reached.", up)
	w.One("pargo_database_in_flight", "gauge", "Operations of the database under way.", float64(d.InFlight))
	w.One("pargo_database_operations_total", "counter", "Operations of the database carried out; a transaction is one.", float64(d.Ended))
	w.One("pargo_database_refused_total", "counter", "Operations refused because the database was away or too many were under way.", float64(d.Refused))
}

// exposeLive writes the counters of live queries and of their bus.
func (s *Server) exposeLive(w *text.Writer) {
	if s.hub != nil {
		l := s.hub.Stats()
		w.One("pargo_livequery_connections", "gauge", "Open websockets.", float64(l.Clients))
		w.One("pargo_livequery_subscriptions", "gauge", "Subscriptions of all clients.", float64(l.Subscriptions))
		w.One("pargo_livequery_distinct_queries", "gauge", "Queries after equal ones are merged.", float64(l.DistinctQueries))
		w.One("pargo_livequery_queue_bytes", "gauge", "Bytes that wait to be written to clients.", float64(l.QueuedBytes))
		w.One("pargo_livequery_waiting_bytes", "gauge", "Memory that they take: what clients share counts once.", float64(l.WaitingBytes))
		w.One("pargo_livequery_events_total", "counter", "Events queued for clients.", float64(l.Events))
		w.One("pargo_livequery_dropped_total", "counter", "Changes lost to overflow, and clients closed for being slow.", float64(l.Dropped))
		w.One("pargo_livequery_replayed_total", "counter", "Events told again to clients that came back.", float64(l.Replayed))
		w.One("pargo_livequery_resyncs_total", "counter", "Subscriptions that came back too late for that.", float64(l.Resyncs))
		w.One("pargo_livequery_changes_total", "counter", "Changes matched with subscriptions.", float64(l.Changes))
		w.One("pargo_livequery_match_seconds_total", "counter", "Time spent on matching changes and queueing events.", time.Duration(l.MatchNanos).Seconds())
		w.One("pargo_livequery_subscription_bytes", "gauge", "Memory that the subscriptions take.", float64(l.HeldBytes))
		w.One("pargo_livequery_pending_bytes", "gauge", "Size of the changes that wait to be matched.", float64(l.PendingBytes))
		w.One("pargo_livequery_kept_bytes", "gauge", "Size of the changes kept for clients that come back.", float64(l.KeptBytes))
		w.One("pargo_livequery_refused_total", "counter", "Subscriptions beyond a limit of their number.", float64(l.Refused))
		w.One("pargo_livequery_expelled_total", "counter", "Subscriptions ended for a regular expression that takes too long.", float64(l.Expelled))
		w.One("pargo_livequery_include_reads_total", "counter", "Reads of objects that events include.", float64(l.IncludeReads))
	}
	if s.live != nil {
		b := s.live.Stats()
		w.One("pargo_livequery_bus_published_total", "counter", "Messages that Redis has taken.", float64(b.Published))
		w.One("pargo_livequery_bus_received_total", "counter", "Messages of other servers.", float64(b.Received))
		w.One("pargo_livequery_bus_refused_total", "counter", "Messages that were not understood.", float64(b.Refused))
		w.One("pargo_livequery_bus_dropped_total", "counter", "Changes that did not fit into the queue.", float64(b.Dropped))
		w.One("pargo_livequery_bus_waiting", "gauge", "Messages that wait to be sent.", float64(b.Waiting))
		listening := 0.0
		if b.Listening {
			listening = 1
		}
		w.One("pargo_livequery_bus_listening", "gauge", "1 while the server hears of the changes of others.", listening)
	}
}
