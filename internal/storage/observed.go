package storage

import (
	"context"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Observer is told what finds and counts cost. It is called by many goroutines,
// once for each statement, and must be fast; it keeps and changes nothing of
// what it is given.
type Observer interface {
	ObserveFind(f *Find, rows int, took time.Duration)
	ObserveCount(class *schema.Class, where query.Node, took time.Duration)
}

// Observed wraps a store so that o hears of finds and counts that succeed.
// What happens inside of transactions is not told.
func Observed(s Store, o Observer) Store { return &observed{s, o} }

type observed struct {
	Store
	o Observer
}

var _ Unwrapper = (*observed)(nil)

// Unwrap implements [Unwrapper].
func (s *observed) Unwrap() Store { return s.Store }

// Find implements [Store].
func (s *observed) Find(ctx context.Context, f *Find) ([]*parse.Object, error) {
	start := time.Now()
	list, err := s.Store.Find(ctx, f)
	if err == nil {
		s.o.ObserveFind(f, len(list), time.Since(start))
	}
	return list, err
}

// Count implements [Store].
func (s *observed) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (int64, error) {
	start := time.Now()
	n, err := s.Store.Count(ctx, class, where, advice)
	if err == nil {
		s.o.ObserveCount(class, where, time.Since(start))
	}
	return n, err
}
