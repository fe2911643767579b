package rest

import (
	"context"
	"net/http"

	"github.com/pargo-baas/pargo/parse"
)

// parseServerVersion is the Parse Server version whose protocol pargo speaks;
// dashboards decide by it which panels they show.
const parseServerVersion = "9.10.0"

// serverInfoBody is the answer of GET /serverInfo (reference 01 §4.3). A
// feature is announced when it is served.
const serverInfoBody = `{"features":{` +
	`"globalConfig":{"create":true,"read":true,"update":true,"delete":true},` +
	`"hooks":{"create":true,"read":true,"update":true,"delete":true},` +
	`"cloudCode":{"jobs":true},` +
	`"logs":{"level":true,"size":true,"order":true,"until":true,"from":true},` +
	`"push":{"immediatePush":false,"scheduledPush":false,"storedPushData":false,"pushAudiences":false,"localization":false},` +
	`"schemas":{"addField":true,"removeField":true,"addClass":true,"removeClass":true,"clearAllDataFromClass":true,` +
	`"exportClass":false,"editClassLevelPermissions":true,"editPointerPermissions":true},` +
	`"settings":{"securityCheck":true}},` +
	`"parseServerVersion":"` + parseServerVersion + `"}`

func serverInfo(_ context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	return reply{json: []byte(serverInfoBody)}, nil
}

// liveStats is GET /livequery/stats, which is pargo's own: what live queries
// are at work, for the master keys.
func liveStats(_ context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	if c.h.o.LiveStats == nil {
		return reply{}, &statusError{http.StatusNotFound, "live queries are not served"}
	}
	s := c.h.o.LiveStats()
	m := parse.NewMap(
		parse.MapField{Key: "clients", Value: float64(s.Clients)},
		parse.MapField{Key: "subscriptions", Value: float64(s.Subscriptions)},
		parse.MapField{Key: "distinctQueries", Value: float64(s.DistinctQueries)},
		parse.MapField{Key: "events", Value: float64(s.Events)},
		parse.MapField{Key: "queuedBytes", Value: float64(s.QueuedBytes)},
		parse.MapField{Key: "dropped", Value: float64(s.Dropped)},
		parse.MapField{Key: "replayed", Value: float64(s.Replayed)},
		parse.MapField{Key: "resyncs", Value: float64(s.Resyncs)},
		parse.MapField{Key: "changes", Value: float64(s.Changes)},
		parse.MapField{Key: "matchNanoseconds", Value: float64(s.MatchNanos)},
		parse.MapField{Key: "includeReads", Value: float64(s.IncludeReads)})
	c.bufs.out = parse.AppendJSON(c.bufs.out[:0], m)
	return reply{json: c.bufs.out}, nil
}

// health is GET /health (reference 01 §4.2).
func (h *Handler) health(c *call) {
	state := h.o.State()
	body := append(c.bufs.out[:0], `{"status":"`...)
	body = append(append(body, state...), `"}`...)
	status := http.StatusOK
	if state != "ok" {
		status = http.StatusServiceUnavailable
	}
	c.writeJSON(status, "", body)
}
