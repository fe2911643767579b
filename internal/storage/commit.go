package storage

import (
	"context"

	"github.com/pargo-baas/pargo/parse"
)

// Ordered is a Store that heeds [TellOnCommit].
type Ordered interface{ OrdersCommits() }

type tellKey struct{}

// TellOnCommit returns a context for one call that writes: an Ordered store
// calls f when the write is committed and before the call returns, the calls of
// all writers in the order of their commits. f gets what was changed, for a
// transaction nothing; it must not block nor use the store. Other stores do
// not know the order of commits, and do not call f.
//
// It is a value of the context because it passes through wrappers and is for
// one call alone: see docs/adr/0005-order-of-changes.md.
func TellOnCommit(ctx context.Context, f func(changes []parse.Change)) context.Context {
	return context.WithValue(ctx, tellKey{}, f)
}

// OnCommit returns the function that [TellOnCommit] put into a context, or nil.
func OnCommit(ctx context.Context) func(changes []parse.Change) {
	f, _ := ctx.Value(tellKey{}).(func([]parse.Change))
	return f
}

// IsOrdered reports whether a store, or the one that it decorates, is Ordered.
func IsOrdered(s Store) bool {
	for s != nil {
		if _, ok := s.(Ordered); ok {
			return true
		}
		u, ok := s.(Unwrapper)
		if !ok {
			return false
		}
		s = u.Unwrap()
	}
	return false
}
