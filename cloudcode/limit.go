package cloudcode

import (
	"context"
	"sync/atomic"
	"time"
)

// Outlive returns a context for work that must not stop halfway because the
// client has gone: it has the values of ctx, and ends after d alone.
func Outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	l := &timeLimit{Context: ctx, at: time.Now().Add(d), detached: true}
	return l, l.release
}

// timeLimit is a context with a deadline that costs next to nothing until
// somebody waits for it: most hooks end without asking.
type timeLimit struct {
	context.Context // the parent
	at              time.Time
	detached        bool // that the parent ends means nothing
	timed           atomic.Pointer[timed]
}

// timed is the real context, made when somebody waits.
type timed struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (l *timeLimit) Deadline() (time.Time, bool) {
	if d, ok := l.Context.Deadline(); ok && !l.detached && d.Before(l.at) {
		return d, true
	}
	return l.at, true
}

// Done implements context.Context.
func (l *timeLimit) Done() <-chan struct{} {
	if t := l.timed.Load(); t != nil {
		return t.Done()
	}
	parent := l.Context
	if l.detached {
		parent = context.WithoutCancel(parent)
	}
	t := &timed{}
	t.Context, t.cancel = context.WithDeadline(parent, l.at)
	if !l.timed.CompareAndSwap(nil, t) { // somebody was faster
		t.cancel()
		t = l.timed.Load()
	}
	return t.Done()
}

// Err implements context.Context.
func (l *timeLimit) Err() error {
	if t := l.timed.Load(); t != nil {
		return t.Err()
	}
	if !l.detached {
		if err := l.Context.Err(); err != nil {
			return err
		}
	}
	if !time.Now().Before(l.at) {
		return context.DeadlineExceeded
	}
	return nil
}

// over reports whether the time is up and not just the parent's.
func (l *timeLimit) over() bool { return (l.detached || l.Context.Err() == nil) && l.Err() != nil }

// release stops the timer, if there is one.
func (l *timeLimit) release() {
	if t := l.timed.Load(); t != nil {
		t.cancel()
	}
}
