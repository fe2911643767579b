package server

import (
	"time"

	"github.com/pargo-baas/pargo/internal/cache"
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

// newRates makes the option rateLimit ready for use; nil without a limit.
func newRates(cfg config.Config) (*rest.RateLimits, error) {
	limits, err := cfg.RateLimits()
	if err != nil || len(limits) == 0 {
		return nil, err
	}
	rates := &rest.RateLimits{Counters: cache.NewMemory(rateBytes, nil)}
	for _, l := range limits {
		rates.Rules = append(rates.Rules, rest.RateLimit{
			Path: l.Path, Methods: l.Methods, Window: l.Window, Count: l.Count, Message: l.Message,
			IncludeMaster: l.IncludeMasterKey, IncludeInternal: l.IncludeInternal, Zone: l.Zone,
		})
	}
	return rates, nil
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
