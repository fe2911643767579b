package webhook

import (
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// The payloads of live queries have members of their own. They follow Parse
// Server's, with the name of the trigger besides, and that of the class before
// a subscription; its whole client before a connection cannot be told.

// live begins a payload with what connections and events have in common.
func live(r *cloudcode.Request, event, token string, clients, subscriptions int) *parse.Map {
	m := parse.NewMap(field("triggerName", string(r.Trigger)), field("event", event), field("clients", float64(clients)),
		field("subscriptions", float64(subscriptions)), field("useMasterKey", r.Caller.Master))
	if token != "" {
		m.Set("sessionToken", token)
	}
	user(m, r, token)
	installation(m, r)
	return m
}

func connecting(r *cloudcode.ConnectRequest) *parse.Map {
	return live(&r.Request, "connect", r.SessionToken, r.Clients, r.Subscriptions)
}

func subscribing(r *cloudcode.SubscribeRequest) *parse.Map {
	q := parse.NewMap(field("where", r.Where))
	for _, list := range []struct {
		name string
		of   []string
	}{{"keys", r.Keys}, {"watch", r.Watch}, {"include", r.Include}} {
		if list.of != nil {
			q.Set(list.name, strings.Join(list.of, ","))
		}
	}
	m := parse.NewMap(field("triggerName", string(r.Trigger)), field("className", r.Class), field("op", r.Op),
		field("requestId", r.RequestID), field("query", q))
	if r.SessionToken != "" {
		m.Set("sessionToken", r.SessionToken)
	}
	user(m, &r.Request, r.SessionToken)
	return m
}

func event(r *cloudcode.EventRequest) *parse.Map {
	m := live(&r.Request, r.Event, r.SessionToken, r.Clients, r.Subscriptions)
	if r.Object != nil {
		m.Set("object", object(r.Object))
	}
	if r.Original != nil {
		m.Set("original", object(r.Original))
	}
	m.Set("sendEvent", r.SendEvent)
	return m
}
