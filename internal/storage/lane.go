package storage

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

const (
	// slowQueue bounds those who wait: the last waits some seconds at worst.
	slowQueue = 32
	// slowRest is from which time on a query is followed by a rest of the same
	// length, so that the lane never takes more than half a core.
	slowRest = 20 * time.Millisecond
)

// Judge is a Store with patterns that cost more than [query.Costly] knows of.
type Judge interface {
	// Costly reports whether a condition may take time out of proportion to
	// the stored texts.
	Costly(where query.Node) bool
}

// Laned wraps a store so that one query at a time gets through whose pattern
// may take long: such patterns may take their whole budget of time, and a few
// of them at once would take all connections and cores from everybody else.
// Queries inside of transactions, which no client can send, do not wait.
//
// Where it is this process that matches them, they go in the lane of all that
// takes long; nil: there is none.
//
// Clients get code 155 with status 503 when too many wait.
func Laned(s Store, lane *fair.Lane) Store {
	l := &laned{Store: s, turn: fair.NewQueue(1, slowQueue), costly: query.Costly, lane: lane}
	if j := as[Judge](s); j != nil {
		l.costly = j.Costly
	}
	return l
}

type laned struct {
	Store
	costly func(query.Node) bool
	lane   *fair.Lane
	turn   *fair.Queue
}

var (
	_ Unwrapper  = (*laned)(nil)
	_ Aggregator = (*laned)(nil)
)

// Unwrap implements [Unwrapper].
func (l *laned) Unwrap() Store { return l.Store }

// Find implements [Store].
func (l *laned) Find(ctx context.Context, f *Find) ([]*parse.Object, error) {
	leave, err := l.enter(ctx, f.Where)
	if err != nil {
		return nil, err
	}
	defer leave()
	return l.Store.Find(ctx, f)
}

// Count implements [Store].
func (l *laned) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (int64, error) {
	leave, err := l.enter(ctx, where)
	if err != nil {
		return 0, err
	}
	defer leave()
	return l.Store.Count(ctx, class, where, advice)
}

// Aggregate implements [Aggregator].
func (l *laned) Aggregate(ctx context.Context, a *Aggregate, emit func(*parse.Map) error) (int, error) {
	x := AsAggregator(l.Store)
	if x == nil {
		return 0, ErrNotPushed
	}
	leave, err := l.enter(ctx, a.Where)
	if err != nil {
		return 0, err
	}
	defer leave()
	return x.Aggregate(ctx, a, emit)
}

// ExplainAggregate implements [Aggregator].
func (l *laned) ExplainAggregate(ctx context.Context, a *Aggregate, v query.Verbosity) (*parse.Map, int, error) {
	x := AsAggregator(l.Store)
	if x == nil {
		return nil, 0, ErrNotPushed
	}
	leave, err := l.enter(ctx, a.Where)
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	return x.ExplainAggregate(ctx, a, v)
}

// enter waits for the turn of a query if its condition has such a pattern;
// leave must follow.
func (l *laned) enter(ctx context.Context, where query.Node) (leave func(), err error) {
	if !l.costly(where) {
		return func() {}, nil
	}
	if err := l.turn.Acquire(ctx, "", 1); err != nil {
		if errors.Is(err, fair.ErrFull) {
			err = &parse.Error{
				Code: parse.RequestLimitExceeded, Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second,
				Message: "Too many slow queries are running at the moment. Try again soon.",
			}
		}
		return nil, err
	}
	done := func() { l.turn.Release("", 1, 0) }
	turn, err := l.lane.Enter(ctx, "")
	if err != nil {
		done()
		return nil, err
	}
	began := time.Now()
	return func() {
		turn.Leave()
		if took := time.Since(began); took > slowRest {
			time.AfterFunc(took, done)
			return
		}
		done()
	}, nil
}
