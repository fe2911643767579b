package rest

import (
	"context"
	"strings"
)

// route is one line of the route table. Patterns are gin's.
type route struct {
	method, pattern string
	params          []string
	do              handlerFunc
	segments        []string // pattern, split; ":x" is a parameter
	// object: the route does nothing but read or write objects through
	// call.objs, so that it can be part of a transaction.
	object bool
	// bulk is what many calls of the route in one batch come to.
	bulk bulkKind
	// once: the route regards request ids.
	once bool
}

// routeTable lists every route below the mount path but /health, which needs
// no credentials. purchases says whether receipts are judged.
func routeTable(purchases bool) []route {
	var table []route
	add := func(method, pattern string, do handlerFunc) {
		r := route{method: method, pattern: pattern, do: do, segments: strings.Split(pattern[1:], "/"), once: idempotent(method, pattern)}
		for _, s := range r.segments {
			if name, ok := strings.CutPrefix(s, ":"); ok {
				r.params = append(r.params, name)
			}
		}
		table = append(table, r)
	}
	object := func(method, pattern string, do handlerFunc) {
		add(method, pattern, do)
		table[len(table)-1].object = true
	}
	class := func(prefix, name string) {
		object("GET", prefix, fixed(name, find))
		object("POST", prefix, fixed(name, create))
		object("GET", prefix+"/:objectId", fixedID(name, get))
		object("PUT", prefix+"/:objectId", fixedID(name, update))
		object("DELETE", prefix+"/:objectId", fixedID(name, remove))
	}
	bulk := func(kind bulkKind) { table[len(table)-1].bulk = kind }
	object("GET", "/classes/:className", find)
	object("POST", "/classes/:className", create)
	bulk(bulkCreate)
	object("GET", "/classes/:className/:objectId", get)
	object("PUT", "/classes/:className/:objectId", update)
	bulk(bulkUpdate)
	object("DELETE", "/classes/:className/:objectId", remove)
	bulk(bulkDelete)

	add("GET", "/users/me", me)
	class("/users", "_User")
	class("/roles", "_Role")
	class("/installations", "_Installation")
	add("GET", "/sessions/me", currentSession)
	class("/sessions", "_Session")

	add("POST", "/upgradeToRevocableSession", upgrade)
	add("GET", "/login", login)
	add("POST", "/login", login)
	add("POST", "/loginAs", loginAs)
	add("POST", "/logout", logout)
	add("GET", "/verifyPassword", verifyPassword)
	add("POST", "/verifyPassword", verifyPassword)
	add("POST", "/challenge", challenge)

	add("POST", "/requestPasswordReset", requestPasswordReset)
	add("POST", "/verificationEmailRequest", verificationEmailRequest)

	add("POST", "/functions/:name", function)
	add("POST", "/jobs", startNamedJob)
	add("POST", "/jobs/:name", startJob)
	add("GET", "/cloud_code/jobs", jobSchedules)
	add("GET", "/cloud_code/jobs/data", jobNames)
	add("POST", "/cloud_code/jobs", createSchedule)
	add("PUT", "/cloud_code/jobs/:objectId", updateSchedule)
	add("DELETE", "/cloud_code/jobs/:objectId", deleteSchedule)
	add("GET", "/hooks/functions", listHooks(true))
	add("POST", "/hooks/functions", createHook(true))
	add("GET", "/hooks/functions/:functionName", getHook(true))
	add("PUT", "/hooks/functions/:functionName", updateHook(true))
	add("GET", "/hooks/triggers", listHooks(false))
	add("POST", "/hooks/triggers", createHook(false))
	add("GET", "/hooks/triggers/:className/:triggerName", getHook(false))
	add("PUT", "/hooks/triggers/:className/:triggerName", updateHook(false))
	add("GET", "/config", readConfig)
	add("PUT", "/config", writeConfig)
	add("POST", "/events/:eventName", event)
	add("GET", "/scriptlog", scriptLog)
	if purchases {
		add("POST", "/validate_purchase", validatePurchase)
	}
	add("GET", "/aggregate/:className", aggregation)
	add("POST", "/batch", batch)
	add("GET", "/serverInfo", serverInfo)
	add("GET", "/livequery/stats", liveStats)
	add("GET", "/doctor", examine)
	add("GET", "/security", security)

	add("GET", "/schemas", schemas)
	add("POST", "/schemas", createSchema)
	add("GET", "/schemas/:className", schemaOf)
	add("POST", "/schemas/:className", createSchema)
	add("PUT", "/schemas/:className", updateSchema)
	add("DELETE", "/schemas/:className", deleteSchema)
	add("DELETE", "/purge/:className", purge)
	add("GET", "/push_audiences", fixed(audienceClass, readAudience(find)))
	add("POST", "/push_audiences", fixed(audienceClass, forMaster(create)))
	add("GET", "/push_audiences/:objectId", fixedID(audienceClass, readAudience(get)))
	add("PUT", "/push_audiences/:objectId", fixedID(audienceClass, forMaster(update)))
	add("DELETE", "/push_audiences/:objectId", fixedID(audienceClass, forMaster(remove)))
	return table
}

// Routes lists the routes below the mount path as "METHOD /pattern", in the
// order in which they are looked for.
func Routes() []string {
	table := routeTable(true)
	out := make([]string, 0, len(table))
	for i := range table {
		out = append(out, table[i].method+" "+table[i].pattern)
	}
	return out
}

// fixed runs a handler of a class route for one class.
func fixed(class string, do handlerFunc) handlerFunc {
	return func(ctx context.Context, c *call) (reply, error) {
		c.params[0] = class
		return do(ctx, c)
	}
}

// fixedID is fixed for routes whose one parameter is the object id.
func fixedID(class string, do handlerFunc) handlerFunc {
	return func(ctx context.Context, c *call) (reply, error) {
		c.params[0], c.params[1] = class, c.params[0]
		return do(ctx, c)
	}
}

// lookup finds the route of a batch item and its parameters. Static segments
// win over parameters, because they stand before them in the table.
func (h *Handler) lookup(method, path string) (route, [2]string, bool) {
	path = strings.Trim(path, "/")
	for _, r := range h.routes {
		if r.method != method {
			continue
		}
		if params, ok := r.match(path); ok {
			return r, params, true
		}
	}
	return route{}, [2]string{}, false
}

func (r *route) match(path string) (params [2]string, ok bool) {
	n := 0
	for i, want := range r.segments {
		seg, rest, more := strings.Cut(path, "/")
		if more != (i < len(r.segments)-1) {
			return params, false
		}
		switch {
		case want[0] == ':':
			if seg == "" {
				return params, false
			}
			params[n] = seg
			n++
		case !strings.EqualFold(seg, want):
			return params, false
		}
		path = rest
	}
	return params, true
}
