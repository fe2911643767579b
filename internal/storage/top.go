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
	size        func(T) int // nil: nothing is weighed
	meter       Meter
}

// Weigh lets m weigh what is kept, which takes size each; m may be nil.
func (t *Top[T]) Weigh(m Meter, size func(T) int) {
	if m != nil {
		t.meter, t.size = m, size
	}
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

// Add takes one more. An error is the meter's.
func (t *Top[T]) Add(x T) error {
	if t.size != nil {
		if err := t.meter.Weigh(t.size(x)); err != nil {
			return err
		}
	}
	t.list = append(t.list, x)
	// Sorting now and then costs less for each than a place in a heap, and
	// keeps the order of ties.
	if t.keep <= math.MaxInt/2-topSlack && len(t.list) >= 2*t.keep+topSlack {
		slices.SortStableFunc(t.list, t.less)
		t.drop(t.list[t.keep:])
		t.list = t.list[:t.keep]
	}
	return nil
}

// drop forgets what is not wanted.
func (t *Top[T]) drop(list []T) {
	if t.size != nil {
		n := 0
		for _, x := range list {
			n += t.size(x)
		}
		_ = t.meter.Weigh(-n) // gives back
	}
	clear(list)
}

// topSlack keeps small pages from being sorted all the time.
const topSlack = 64

// Page returns the page in order. Nothing may be added afterwards.
func (t *Top[T]) Page() []T {
	slices.SortStableFunc(t.list, t.less)
	from := min(t.skip, len(t.list))
	to := len(t.list)
	if t.limit >= 0 {
		to = from + min(t.limit, to-from)
	}
	t.drop(t.list[:from])
	t.drop(t.list[to:])
	return t.list[from:to]
}
