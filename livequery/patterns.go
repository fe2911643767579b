package livequery

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

const (
	// mostStrikes is how often within strikeTime a query may take too long
	// before it is ended: it keeps the changes of its class from everybody else.
	mostStrikes = 3
	strikeTime  = time.Minute
	// patternTime is how long the patterns of all queries may take for one
	// change, if none may take longer by itself; beyond it those that are not
	// matched yet are ended.
	patternTime = 100 * time.Millisecond
	// patternBurst is how long they may take at once for many changes, and
	// patternShare the part of the time they may take in the long run, before
	// no more of them are let in.
	patternBurst = 5 * patternTime
	patternShare = 0.1
	// maxCostly bounds the queries of a class with patterns that may take long:
	// also such a one that is quick takes some time of each change.
	maxCostly = 1000
	// slowPattern is from when on the time of a query counts: what most take is
	// a hundredth of it.
	slowPattern = time.Millisecond
)

// allowance is the time that patterns have, of all classes together: a bucket
// that time fills.
type allowance struct {
	mu   sync.Mutex
	left time.Duration
	at   int64 // by the hub's clock
}

// take spends time, none to ask, and reports whether any is left.
func (a *allowance) take(now int64, spent time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = min(a.left+time.Duration(float64(now-a.at)*patternShare), patternBurst)
	a.at = now
	a.left = max(a.left-spent, -patternBurst)
	return a.left > 0
}

// queryTime is how long the slow matches of one query may take for one change.
func (h *Hub) queryTime() time.Duration {
	switch d := h.opts.QueryLimits.RegexTime; {
	case d < 0:
		return math.MaxInt64
	default:
		return cmp.Or(d, query.DefaultRegexTime)
	}
}

// changeTime is how long the patterns of all queries may take for one change.
func (h *Hub) changeTime() time.Duration { return max(patternTime, h.opts.QueryLimits.RegexTime) }

// record is what the patterns of a query took until now. It is the
// dispatcher's, but for costly and patterned.
type record struct {
	patterned bool // there is a pattern that is more than text
	costly    bool // and it may take time out of proportion
	quick     int  // matches since one was slow
	strikes   int
	struck    int64 // when the last strike was
	// What the last change gave, so that it is asked once.
	before, after bool
}

func newRecord(where query.Node) record {
	return record{patterned: query.HasPattern(where), costly: query.Costly(where)}
}

// admit refuses a query whose pattern may take long while such patterns take
// too much time, or when there are too many of them; mu is held.
func (s *shard) admit(ci *classIndex, pl *planned) error {
	if !query.Costly(pl.where) || s.hub.opts.QueryLimits.RegexTime < 0 || ci.queries[pl.canon] != nil {
		return nil // or it is matched already
	}
	err := &parse.Error{Code: parse.RequestLimitExceeded, Status: http.StatusServiceUnavailable}
	switch {
	case ci.costly >= maxCostly:
		err.Message = "Too many subscriptions with slow regular expressions, the limit of a class is 1000"
	case !s.hub.patterns.take(s.hub.clock(), 0):
		err.Message = "Regular expressions take too long at the moment. Try again soon."
	default:
		return nil
	}
	return err
}

// charge counts what a match took. It reports whether the match may be used.
func (s *shard) charge(r *round, d *distinct) bool {
	if spent := d.scan.Spent(); spent > slowPattern {
		r.spent += spent
		d.quick = 0
		s.hub.patterns.take(s.hub.clock(), spent)
	} else {
		d.quick++
	}
	if d.scan.Err() == nil {
		return true
	}
	// It says nothing about this change; later ones may be easier.
	now := s.hub.clock()
	if now-d.struck > int64(strikeTime) {
		d.strikes = 0
	}
	d.struck = now
	if d.strikes++; d.strikes == mostStrikes {
		s.slow = append(s.slow, d)
	}
	return false
}

// exhausted reports whether a query comes too late in a change of which
// patterns have taken all the time; it is then ended.
func (s *shard) exhausted(r *round, d *distinct) bool {
	if !d.patterned || r.spent <= s.hub.changeTime() || s.hub.opts.QueryLimits.RegexTime < 0 {
		return false
	}
	s.slow = append(s.slow, d)
	return true
}

// considerLast considers the queries that may take long, those first that have
// been quick for longest: all others have been told by now.
func (s *shard) considerLast(r *round) {
	slices.SortStableFunc(s.costly, func(a, b *distinct) int { return cmp.Compare(b.quick, a.quick) })
	for i, d := range s.costly {
		s.consider(r, d)
		s.costly[i] = nil
	}
	s.costly = s.costly[:0]
}

// expel ends the subscriptions to a query that took too long, too often or at
// the wrong moment.
func (s *shard) expel(class string, d *distinct) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ci := s.classes[class]
	if ci == nil {
		return
	}
	var subs []*subscription
	for _, g := range d.groups {
		for _, v := range g.views {
			subs = append(subs, v.subs...)
		}
	}
	for _, sub := range subs {
		s.leave(ci, sub)
		sub.client.send(errorFrame(parse.InvalidQuery, "The regular expression of the subscription takes too long: it has ended.", false, sub.requestID))
	}
	s.hub.expelled.Add(int64(len(subs)))
	s.tidy(ci)
}
