package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

const (
	// SchemaLease is how long a lock of the schema holds without a sign of life
	// of its owner. A server that dies in the middle of a change keeps others
	// waiting for so long.
	SchemaLease = 10 * time.Second
	// lockRetry is how often a waiting server looks whether the lock is free.
	lockRetry = 200 * time.Millisecond
	// unlockTimeout bounds the release of the lock, which is done even if the
	// change was given up.
	unlockTimeout = 5 * time.Second
)

// errLockLost ends a change whose lock another server may have taken.
var errLockLost = errors.New("the lock of the schema was lost: another server may be changing it")

// Lock is a lock of the schema that a database keeps for several servers, with
// a time until which it holds by the clock of the database. Its owner, a name
// that is drawn for each use, moves the time on while he lives.
type Lock struct {
	// Length is how long the lock holds after Take or Renew.
	Length time.Duration
	// Take takes the lock if nobody holds it, or his time is over.
	Take func(ctx context.Context, owner string) (held bool, err error)
	// Renew moves the end on if the lock is still the owner's.
	Renew func(ctx context.Context, owner string) (held bool, err error)
	// Release gives the lock back if it is the owner's.
	Release func(ctx context.Context, owner string) error
	Log     *slog.Logger
}

// Hold waits for the lock, and holds it until unlock is called. The context
// that comes back ends when the lock may be another's.
func (l *Lock) Hold(ctx context.Context) (locked context.Context, unlock func(), err error) {
	owner := parse.NewObjectID(20)
	tick := time.NewTicker(lockRetry)
	defer tick.Stop()
	for waiting := false; ; waiting = true {
		held, err := l.Take(ctx, owner)
		if err != nil {
			return nil, nil, err
		}
		if held {
			break
		}
		if !waiting {
			l.Log.InfoContext(ctx, "another server is changing the schema: waiting for it")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("wait for the lock of the schema: %w", ctx.Err())
		}
	}
	locked, cancel := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		l.keep(locked, cancel, owner)
	}()
	return locked, func() {
		cancel(nil)
		<-stopped
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer done()
		if err := l.Release(ctx, owner); err != nil {
			l.Log.WarnContext(ctx, "the lock of the schema was not released: it ends by itself", "after", l.Length, "error", err)
		}
	}, nil
}

// keep moves the end of the lock on until ctx ends; if that fails for so long
// that the lock may be another's, it cancels ctx.
func (l *Lock) keep(ctx context.Context, cancel context.CancelCauseFunc, owner string) {
	tick := time.NewTicker(l.Length / 4)
	defer tick.Stop()
	sure := time.Now().Add(l.Length * 3 / 4)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		bounded, done := context.WithTimeout(ctx, l.Length/4)
		held, err := l.Renew(bounded, owner)
		done()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && held:
			sure = began.Add(l.Length * 3 / 4)
		case err == nil, time.Now().After(sure):
			cancel(errLockLost)
			return
		}
	}
}
