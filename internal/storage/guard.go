package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// UnavailableError is the failure of a database that cannot be reached, or
// cannot store anything at the moment: the next operation is as likely to fail.
type UnavailableError struct {
	// Unknown: the operation may have been carried out all the same, since the
	// connection was lost after it was sent.
	Unknown bool
	// Writes: only writes fail, as when the disk is full.
	Writes bool
	Err    error
}

// Error implements error.
func (e *UnavailableError) Error() string { return "the database is away: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Sane numbers for a [Guard].
const (
	DefaultInFlight = 4096
	// DefaultStall is for how long nothing may be answered before a ping is sent.
	DefaultStall  = 5 * time.Second
	probeInterval = 200 * time.Millisecond
	probeTimeout  = 2 * time.Second
)

// Interrupter is a Store that can end what waits for a database that does not
// answer: Interrupt closes all connections.
type Interrupter interface{ Interrupt() }

// GuardOptions say how a [Guard] works.
type GuardOptions struct {
	// InFlight is how many operations may be under way, those that wait for a
	// connection included; 0: DefaultInFlight.
	InFlight int
	// Stall is for how long operations may be under way without an end to any of
	// them, before the database is asked whether it is there; 0: DefaultStall.
	Stall time.Duration
	// Log hears when the database goes away and when it is back.
	Log *slog.Logger
}

// Guard wraps a store so that a database that is away costs little: when an
// operation fails with an [UnavailableError], those that follow are refused at
// once until the database answers again, which the Guard finds out by itself.
// A database that does not answer at all is noticed as well: operations are under
// way, none ends, and a ping has no answer. And no more operations than a limit
// are under way at any time. Nothing is tried again: what a client gets an answer
// for was tried once.
//
// Clients get code 1 with status 503.
type Guard struct {
	Store
	limit int64
	log   *slog.Logger

	inFlight atomic.Int64
	ended    atomic.Uint64
	refused  atomic.Int64
	away     atomic.Bool

	mu     sync.Mutex
	closed bool // guarded by mu
	stop   context.CancelFunc
	ctx    context.Context //nolint:containedctx // ends the probes with the store
	probes sync.WaitGroup
}

type guardTx struct{ *Guard }

var (
	_ Unwrapper  = (*Guard)(nil)
	_ Bulk       = (*Guard)(nil)
	_ Aggregator = (*Guard)(nil)
	_ Transactor = (*guardTx)(nil)
)

// Guarded puts a [Guard] before a store. The guarded store is a [Transactor] if
// s is one; closing it closes s.
func Guarded(ctx context.Context, s Store, o GuardOptions) (Store, *Guard) {
	g := &Guard{Store: s, limit: int64(o.InFlight), log: o.Log}
	if g.limit <= 0 {
		g.limit = DefaultInFlight
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.ctx, g.stop = context.WithCancel(context.WithoutCancel(ctx))
	g.probes.Go(func() { g.watch(cmp.Or(o.Stall, DefaultStall)) })
	if AsTransactor(s) != nil {
		return &guardTx{g}, g
	}
	return g, g
}

// Unwrap implements [Unwrapper].
func (g *Guard) Unwrap() Store { return g.Store }

// GuardStats are the counters of a [Guard].
type GuardStats struct {
	Away     bool   // the database is known to be away
	InFlight int64  // operations under way
	Ended    uint64 // operations carried out since the start, a transaction being one
	Refused  int64  // operations refused since the start
}

// Stats returns the counters.
func (g *Guard) Stats() GuardStats {
	return GuardStats{Away: g.away.Load(), InFlight: g.inFlight.Load(), Ended: g.ended.Load(), Refused: g.refused.Load()}
}

// Close implements [Store].
func (g *Guard) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.stop()
	g.probes.Wait()
	return g.Store.Close()
}

func unavailable(text string, err error) error {
	return &parse.Error{Code: parse.InternalServerError, Message: text, Status: http.StatusServiceUnavailable, Err: err}
}

// enter admits an operation; leave must follow if it does.
func (g *Guard) enter() error {
	if g.away.Load() {
		g.refused.Add(1)
		return unavailable("The database cannot be reached at the moment.", nil)
	}
	if g.inFlight.Add(1) > g.limit {
		g.inFlight.Add(-1)
		g.refused.Add(1)
		return unavailable("The server has too much to do at the moment.", nil)
	}
	return nil
}

// leave ends an operation and returns its error for the caller.
func (g *Guard) leave(err error) error {
	g.left()
	return g.judge(err)
}

func (g *Guard) left() {
	g.ended.Add(1)
	g.inFlight.Add(-1)
}

// judge makes the error for a client of one that tells of an absent database.
func (g *Guard) judge(err error) error {
	var u *UnavailableError
	if err == nil || !errors.As(err, &u) {
		return err
	}
	if u.Writes {
		return unavailable("The database cannot store anything at the moment.", err)
	}
	g.lost(u)
	if u.Unknown {
		return unavailable("The connection to the database was lost: the write may or may not have been carried out.", err)
	}
	return unavailable("The database cannot be reached at the moment.", err)
}

// watch notices a database that does not answer.
func (g *Guard) watch(stall time.Duration) {
	tick := time.NewTicker(stall)
	defer tick.Stop()
	last, waiting := g.ended.Load(), false
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-tick.C:
		}
		ended := g.ended.Load()
		stalled := waiting && ended == last
		waiting, last = g.inFlight.Load() > 0 && !g.away.Load(), ended
		if !stalled || !waiting {
			continue
		}
		if err := g.ping(); err != nil {
			g.lost(fmt.Errorf("nothing was answered for %s, nor a ping: %w", stall, err))
		}
	}
}

func (g *Guard) ping() error {
	ctx, cancel := context.WithTimeout(g.ctx, probeTimeout)
	defer cancel()
	return g.Store.Ping(ctx)
}

// lost begins to look for the database, unless that is under way.
func (g *Guard) lost(cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || !g.away.CompareAndSwap(false, true) {
		return
	}
	g.log.Error("the database is away: requests that need it are refused until it is back", "error", cause)
	if x := as[Interrupter](g.Store); x != nil {
		x.Interrupt() // connections that are lost, or wait for an answer
	}
	start, before := time.Now(), g.refused.Load()
	g.probes.Go(func() {
		tick := time.NewTicker(probeInterval)
		defer tick.Stop()
		for {
			select {
			case <-g.ctx.Done():
				return
			case <-tick.C:
			}
			if g.ping() == nil {
				g.log.Info("the database is back", "after", time.Since(start).Round(time.Millisecond), "refused", g.refused.Load()-before)
				g.away.Store(false)
				return
			}
		}
	})
}

// Find implements [Store].
func (g *Guard) Find(ctx context.Context, f *Find) ([]*parse.Object, error) {
	if err := g.enter(); err != nil {
		return nil, err
	}
	list, err := g.Store.Find(ctx, f)
	return list, g.leave(err)
}

// Count implements [Store].
func (g *Guard) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (int64, error) {
	if err := g.enter(); err != nil {
		return 0, err
	}
	n, err := g.Store.Count(ctx, class, where, advice)
	return n, g.leave(err)
}

// Insert implements [Store].
func (g *Guard) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	if err := g.enter(); err != nil {
		return err
	}
	return g.leave(g.Store.Insert(ctx, class, objects))
}

// Update implements [Store].
func (g *Guard) Update(ctx context.Context, u *Update) (before, after *parse.Object, err error) {
	if err := g.enter(); err != nil {
		return nil, nil, err
	}
	before, after, err = g.Store.Update(ctx, u)
	return before, after, g.leave(err)
}

// Delete implements [Store].
func (g *Guard) Delete(ctx context.Context, class *schema.Class, where query.Node) ([]*parse.Object, error) {
	if err := g.enter(); err != nil {
		return nil, err
	}
	list, err := g.Store.Delete(ctx, class, where)
	return list, g.leave(err)
}

// AddRelated implements [Store].
func (g *Guard) AddRelated(ctx context.Context, r Join, owningID string, relatedIDs []string) error {
	if err := g.enter(); err != nil {
		return err
	}
	return g.leave(g.Store.AddRelated(ctx, r, owningID, relatedIDs))
}

// RemoveRelated implements [Store].
func (g *Guard) RemoveRelated(ctx context.Context, r Join, owningID string, relatedIDs []string) error {
	if err := g.enter(); err != nil {
		return err
	}
	return g.leave(g.Store.RemoveRelated(ctx, r, owningID, relatedIDs))
}

// Related implements [Store].
func (g *Guard) Related(ctx context.Context, r Join, owningID string) ([]string, error) {
	if err := g.enter(); err != nil {
		return nil, err
	}
	ids, err := g.Store.Related(ctx, r, owningID)
	return ids, g.leave(err)
}

// Owning implements [Store].
func (g *Guard) Owning(ctx context.Context, r Join, relatedIDs []string) ([]string, error) {
	if err := g.enter(); err != nil {
		return nil, err
	}
	ids, err := g.Store.Owning(ctx, r, relatedIDs)
	return ids, g.leave(err)
}

// Links implements [Store].
func (g *Guard) Links(ctx context.Context, r Join, owningIDs []string) ([]Link, error) {
	if err := g.enter(); err != nil {
		return nil, err
	}
	links, err := g.Store.Links(ctx, r, owningIDs)
	return links, g.leave(err)
}

// InsertEach implements [Bulk].
func (g *Guard) InsertEach(ctx context.Context, class *schema.Class, objects []*parse.Object) []error {
	if err := g.enter(); err != nil {
		errs := make([]error, len(objects))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	defer g.left()
	errs := InsertEach(ctx, g.Store, class, objects)
	for i := range errs {
		errs[i] = g.judge(errs[i])
	}
	return errs
}

// UpdateEach implements [Bulk].
func (g *Guard) UpdateEach(ctx context.Context, updates []*Update) []Updated {
	if err := g.enter(); err != nil {
		out := make([]Updated, len(updates))
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	defer g.left()
	out := UpdateEach(ctx, g.Store, updates)
	for i := range out {
		out[i].Err = g.judge(out[i].Err)
	}
	return out
}

// Aggregate implements [Aggregator].
func (g *Guard) Aggregate(ctx context.Context, a *Aggregate, emit func(*parse.Map) error) (done int, err error) {
	x := AsAggregator(g.Store)
	if x == nil {
		return 0, ErrNotPushed
	}
	if err := g.enter(); err != nil {
		return 0, err
	}
	done, err = x.Aggregate(ctx, a, emit)
	return done, g.leave(err)
}

// ExplainAggregate implements [Aggregator].
func (g *Guard) ExplainAggregate(ctx context.Context, a *Aggregate, v query.Verbosity) (plan *parse.Map, done int, err error) {
	x := AsAggregator(g.Store)
	if x == nil {
		return nil, 0, ErrNotPushed
	}
	if err := g.enter(); err != nil {
		return nil, 0, err
	}
	plan, done, err = x.ExplainAggregate(ctx, a, v)
	return plan, done, g.leave(err)
}

// InTx implements [Transactor].
func (g *guardTx) InTx(ctx context.Context, fn func(ctx context.Context, tx Store) error) error {
	if err := g.enter(); err != nil {
		return err
	}
	return g.leave(AsTransactor(g.Store).InTx(ctx, fn))
}
