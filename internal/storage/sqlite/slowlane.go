package sqlite

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// slowLane lets one query at a time through whose pattern goes back: such
// patterns may take their whole budget of time, and a few of them at once
// would take all connections and cores from everybody else.
type slowLane struct {
	turn    chan struct{}
	waiting atomic.Int64
}

const (
	// slowQueue bounds those who wait: the last waits some seconds at worst.
	slowQueue = 32
	// slowRest is from which time on a query is followed by a rest of the same
	// length, so that the lane never takes more than half a core.
	slowRest = 20 * time.Millisecond
)

func newSlowLane() *slowLane { return &slowLane{turn: make(chan struct{}, 1)} }

// run runs fn, in its turn if the condition has such a pattern.
func (l *slowLane) run(ctx context.Context, where query.Node, fn func() error) error {
	if !query.Backtracks(where) {
		return fn()
	}
	if l.waiting.Add(1) > slowQueue {
		l.waiting.Add(-1)
		return &parse.Error{
			Code: parse.RequestLimitExceeded, Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second,
			Message: "Too many slow queries are running at the moment. Try again soon.",
		}
	}
	select {
	case l.turn <- struct{}{}:
		l.waiting.Add(-1)
	case <-ctx.Done():
		l.waiting.Add(-1)
		return ctx.Err()
	}
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > slowRest {
			time.AfterFunc(took, func() { <-l.turn })
			return
		}
		<-l.turn
	}()
	return fn()
}
