package cloudcode

import (
	"context"
	"sync"
	"time"
)

// WithTimeLimit is context.WithTimeout at a cost that most callers do not pay:
// a timer runs only once somebody waits for the context to end.
func WithTimeLimit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	l := &timeLimit{Context: ctx, at: time.Now().Add(d)}
	return l, func() { l.end() }
}

// timeLimit is a context with a deadline that costs next to nothing until
// somebody waits for it: most hooks end without asking.
type timeLimit struct {
	context.Context // the parent
	at              time.Time

	mu     sync.Mutex // guards both below
	timed  context.Context
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (l *timeLimit) Deadline() (time.Time, bool) {
	if d, ok := l.Context.Deadline(); ok && d.Before(l.at) {
		return d, true
	}
	return l.at, true
}

// Done implements context.Context.
func (l *timeLimit) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timed == nil {
		l.timed, l.cancel = context.WithDeadline(l.Context, l.at)
	}
	return l.timed.Done()
}

// Err implements context.Context.
func (l *timeLimit) Err() error {
	l.mu.Lock()
	timed := l.timed
	l.mu.Unlock()
	switch {
	case timed != nil:
		return timed.Err()
	case l.Context.Err() != nil:
		return l.Context.Err()
	case !time.Now().Before(l.at):
		return context.DeadlineExceeded
	}
	return nil
}

// end releases the timer, if there is one, and reports whether the time was over.
func (l *timeLimit) end() (over bool) {
	over = l.Context.Err() == nil && l.Err() != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel != nil {
		l.cancel()
	}
	return over
}
