package paymentgateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// adminRole is the role (of class _Role) that sees everybody's payments.
const adminRole = "admin"

// Options of the gateway; the zero value works.
type Options struct {
	// Processor moves the money; nil: [Sandbox].
	Processor Processor
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// ProcessorTimeout bounds one call of the processor; 0: 30 seconds.
	ProcessorTimeout time.Duration
}

// storeTimeout bounds work that must be finished although the client may have gone.
const storeTimeout = 30 * time.Second

type gateway struct {
	app     *cloudcode.App
	proc    Processor
	now     func() time.Time
	timeout time.Duration
	flights flights
}

// Register adds the rules, the audit log and the functions of the gateway.
// What clients must not read is reported to the App's logger.
func Register(app *cloudcode.App, o Options) {
	g := &gateway{app: app, proc: o.Processor, now: o.Now, timeout: o.ProcessorTimeout}
	if g.proc == nil {
		g.proc = Sandbox{}
	}
	if g.now == nil {
		g.now = time.Now
	}
	if g.timeout == 0 {
		g.timeout = storeTimeout
	}
	g.registerRules()
	g.registerAudit()
	function(g, "processPayment", g.processPayment, orderRules())
	function(g, "refund", g.refund)
	function(g, "transactionSummary", g.transactionSummary)
}

// function registers a function of the gateway. The text of a failure that is
// not the client's does not reach the client.
func function[P, R any](g *gateway, name string, f func(context.Context, *cloudcode.Call[P]) (R, error), opts ...cloudcode.Option) {
	cloudcode.Func(g.app, name, func(ctx context.Context, r *cloudcode.Call[P]) (R, error) {
		v, err := f(ctx, r)
		var pe *parse.Error
		if err != nil && !errors.As(err, &pe) {
			err = &parse.Error{Code: parse.InternalServerError, Message: "Internal server error.", Err: fmt.Errorf("%s: %w", name, err)}
		}
		return v, err
	}, opts...)
}

// flights lets one call at a time work on a key.
type flights struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// enter waits until no other call works on the key. waited tells that another
// call has just done so.
func (f *flights) enter(ctx context.Context, key string) (leave func(), waited bool, err error) {
	for {
		f.mu.Lock()
		done, busy := f.busy[key]
		if !busy {
			mine := make(chan struct{})
			if f.busy == nil {
				f.busy = map[string]chan struct{}{}
			}
			f.busy[key] = mine
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.busy, key)
				f.mu.Unlock()
				close(mine)
			}, waited, nil
		}
		f.mu.Unlock()
		waited = true
		select {
		case <-done:
		case <-ctx.Done():
			return nil, waited, ctx.Err()
		}
	}
}
