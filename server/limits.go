package server

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/cache"
	"github.com/pargo-baas/pargo/internal/guard"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/server/config"
	"github.com/pargo-baas/pargo/server/rest"
)

// newDenylist makes the option requestKeywordDenylist ready for use.
func newDenylist(cfg config.Config) (*objects.Denylist, error) {
	entries, err := cfg.Denylist()
	if err != nil {
		return nil, err
	}
	list := objects.NewDenylist()
	for _, e := range entries {
		if err := list.Add(e.Key, e.Value, e.Text); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// newComplexity takes the option requestComplexity apart; the first result is
// nil if it asks nothing of requests, the second is the cap on sub-queries.
func newComplexity(cfg config.Config) (*rest.Complexity, int, error) {
	c, err := cfg.Complexity()
	if err != nil {
		return nil, 0, err
	}
	limit := func(n int) int { return max(n, 0) } // -1 is none
	x := rest.Complexity{IncludeDepth: limit(c.IncludeDepth), IncludeCount: limit(c.IncludeCount), BatchRequests: limit(c.BatchRequestLimit)}
	where := query.Complexity{Depth: limit(c.QueryDepth), SubqueryDepth: limit(c.SubqueryDepth), NoRegex: !c.AllowRegex}
	if where != (query.Complexity{}) {
		x.Where = &where
	}
	if x == (rest.Complexity{}) {
		return nil, limit(c.SubqueryLimit), nil
	}
	return &x, limit(c.SubqueryLimit), nil
}

// rateBytes bounds the memory of the counters of rateLimit.
const rateBytes = 16 << 20

// newRates makes the option rateLimit ready for use. Limits that servers share
// hold for each by itself while their counters cannot be reached. Those of
// hooks hold for each server by itself.
func newRates(cfg config.Config, app *cloudcode.App, sh *shared) ([]rest.RateLimit, error) {
	limits, err := cfg.RateLimits()
	hooks := hookRates(app)
	if err != nil || len(limits)+len(hooks) == 0 {
		return nil, err
	}
	local := cache.NewMemory(rateBytes, nil)
	ids := map[string]int{}
	rates := make([]rest.RateLimit, 0, len(limits))
	for i := range limits {
		l := &limits[i]
		var counters cache.Cache = local
		if l.RedisURL != "" {
			st, err := sh.redis(l.RedisURL)
			if err != nil {
				return nil, err
			}
			counters = cache.WithLocalCounters(st, local)
		}
		id := rateID(cfg.AppID, l)
		if ids[id]++; ids[id] > 1 {
			id += "-" + strconv.Itoa(ids[id])
		}
		rates = append(rates, rest.RateLimit{
			Path: l.Path, Methods: l.Methods, Window: l.Window, Count: l.Count, Message: l.Message,
			IncludeMaster: l.IncludeMasterKey, IncludeInternal: l.IncludeInternal, Zone: l.Zone,
			ID: id, Counters: counters,
		})
	}
	for i := range hooks {
		hooks[i].ID, hooks[i].Counters = "hook-"+strconv.Itoa(i), local
	}
	return append(rates, hooks...), nil
}

// rateID names a limit by what it says: servers whose lists of limits differ
// while a new configuration comes into force share what they have in common.
func rateID(appID string, l *config.RateLimit) string {
	methods := ""
	if l.Methods != nil {
		methods = l.Methods.String()
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %d %s", appID, l.Path, methods, l.Window, l.Count, l.Zone))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// throttleBytes bounds the memory of the counters of loginThrottle.
const throttleBytes = 8 << 20

// newThrottle makes the option loginThrottle ready for use. While the counters
// that servers share cannot be reached, each counts by itself.
func newThrottle(cfg config.Config, sh *shared, now func() time.Time) (auth.Throttle, error) {
	o, err := cfg.LoginThrottle()
	if err != nil || o.Off {
		return auth.Throttle{}, err
	}
	t := auth.DefaultThrottle
	t.Prefix = "lt:" + cfg.AppID + ":"
	t.Window = cmp.Or(o.Window, t.Window)
	for into, limit := range map[*int]*int{
		&t.Failures: o.Failures, &t.NetworkFailures: o.NetworkFailures, &t.AccountFailures: o.AccountFailures,
		&t.SiegeFailures: o.SiegeFailures, &t.Mails: o.Mails, &t.NetworkMails: o.NetworkMails,
	} {
		if limit != nil {
			*into = *limit
		}
	}
	t.Counters = cache.NewMemory(throttleBytes, now)
	url, err := cfg.RedisURL()
	if err != nil {
		return auth.Throttle{}, err
	}
	if url = cmp.Or(o.RedisURL, url); url != "" {
		st, err := sh.redis(url)
		if err != nil {
			return auth.Throttle{}, err
		}
		t.Counters = cache.WithLocalCounters(st, t.Counters)
	}
	return t, nil
}

// newGuard makes the option connectionLimits ready for use. The second result
// is what large bodies and answers may take.
func newGuard(cfg config.Config) (guard.Limits, config.Memory, error) {
	o, err := cfg.Connections()
	if err != nil {
		return guard.Limits{}, config.Memory{}, err
	}
	l := guard.Defaults
	l.Connections = guard.MaxConnections()
	for into, d := range map[*time.Duration]*time.Duration{&l.HeaderTimeout: o.HeaderTimeout, &l.BodyTimeout: o.BodyTimeout, &l.IdleTimeout: o.IdleTimeout} {
		if d != nil {
			*into = *d
		}
	}
	for into, n := range map[*int]*int{&l.Rate: o.Rate, &l.HeaderBytes: o.HeaderBytes, &l.Headers: o.Headers, &l.Connections: o.Connections} {
		if n != nil {
			*into = *n
		}
	}
	return l, o.Memory, nil
}

// newIdempotency makes the option idempotencyOptions ready for use; nil if it is off.
func newIdempotency(cfg config.Config) (*rest.Idempotency, error) {
	o, err := cfg.Idempotency()
	if err != nil || len(o.Paths) == 0 {
		return nil, err
	}
	return &rest.Idempotency{Paths: o.Paths, TTL: o.TTL, Replay: o.Replay}, nil
}

// regexTime is the option liveQuery.regexTimeout as query.Limits has it.
func regexTime(ms *int) time.Duration {
	switch {
	case ms == nil:
		return query.DefaultRegexTime
	case *ms == 0:
		return -1
	}
	return time.Duration(*ms) * time.Millisecond
}
