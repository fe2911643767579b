package storage_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/internal/storage"
)

// sum is a [storage.Meter] that adds up.
type sum int

func (s *sum) Weigh(n int) error {
	*s += sum(n)
	return nil
}

func TestTop(t *testing.T) {
	type entry struct{ key, seen int }
	less := func(a, b entry) int { return cmp.Compare(a.key, b.key) }
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOfN(rapid.IntRange(0, 50), 0, 500).Draw(rt, "keys")
		skip := rapid.SampledFrom([]int{0, 1, 7, 100, 1000, math.MaxInt}).Draw(rt, "skip")
		limit := rapid.SampledFrom([]int{-1, 0, 1, 5, 100, 1000, math.MaxInt}).Draw(rt, "limit")
		top := storage.NewTop(less, skip, limit)
		var m sum
		top.Weigh(&m, func(e entry) int { return 1 + e.key })
		want := make([]entry, len(keys))
		for i, k := range keys {
			want[i] = entry{k, i}
			if err := top.Add(want[i]); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortStableFunc(want, less)
		want = want[min(skip, len(want)):]
		if limit >= 0 {
			want = want[:min(limit, len(want))]
		}
		if got := top.Page(); !slices.Equal(got, want) {
			rt.Errorf("page %v, want %v", got, want)
		}
		for _, e := range want {
			m -= sum(1 + e.key)
		}
		if m != 0 {
			rt.Errorf("%d too much is counted", m)
		}
	})
}
