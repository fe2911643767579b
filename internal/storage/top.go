package storage

import (
	"math"
	"slices"
)

// Top sorts what comes one after another and keeps no more of it than a page
// needs: an adapter that has to sort by itself does not hold a whole class.
type Top[T any] struct {
	less        func(a, b T) int
	skip, limit int
	keep        int // how many are wanted of the order
	list        []T
}

// NewTop returns an empty one for a page of the order less, which may have
// ties: they stay as they came. A negative limit asks for all.
func NewTop[T any](less func(a, b T) int, skip, limit int) *Top[T] {
	t := &Top[T]{less: less, skip: max(skip, 0), limit: limit, keep: math.MaxInt}
	if limit >= 0 && t.skip < math.MaxInt-limit {
		t.keep = t.skip + limit
	}
	return t
}

// Add takes one more.
func (t *Top[T]) Add(x T) {
	t.list = append(t.list, x)
	// Sorting now and then costs less for each than a place in a heap, and
	// keeps the order of ties.
	if t.keep <= math.MaxInt/2-topSlack && len(t.list) >= 2*t.keep+topSlack {
		slices.SortStableFunc(t.list, t.less)
		clear(t.list[t.keep:])
		t.list = t.list[:t.keep]
	}
}

// topSlack keeps small pages from being sorted all the time.
const topSlack = 64

// Page returns the page in order. Nothing may be added afterwards.
func (t *Top[T]) Page() []T {
	slices.SortStableFunc(t.list, t.less)
	list := t.list[min(t.skip, len(t.list)):]
	if t.limit >= 0 {
		list = list[:min(t.limit, len(list))]
	}
	return list
}
