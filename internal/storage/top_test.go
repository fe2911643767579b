package storage_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/internal/storage"
)

func TestTop(t *testing.T) {
	type entry struct{ key, seen int }
	less := func(a, b entry) int { return cmp.Compare(a.key, b.key) }
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOfN(rapid.IntRange(0, 50), 0, 500).Draw(rt, "keys")
		skip := rapid.SampledFrom([]int{0, 1, 7, 100, 1000, math.MaxInt}).Draw(rt, "skip")
		limit := rapid.SampledFrom([]int{-1, 0, 1, 5, 100, 1000, math.MaxInt}).Draw(rt, "limit")
		top := storage.NewTop(less, skip, limit)
		want := make([]entry, len(keys))
		for i, k := range keys {
			want[i] = entry{k, i}
			top.Add(want[i])
		}
		slices.SortStableFunc(want, less)
		want = want[min(skip, len(want)):]
		if limit >= 0 {
			want = want[:min(limit, len(want))]
		}
		if got := top.Page(); !slices.Equal(got, want) {
			rt.Errorf("page %v, want %v", got, want)
		}
	})
}
