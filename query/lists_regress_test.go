package query_test

import (
	"testing"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// A long list in a query against a long list in an object must not take the
// product of both.
func TestLongListsMatchInTime(t *testing.T) {
	of := func(n, from int) parse.Array {
		out := make(parse.Array, n)
		for i := range out {
			out[i] = parse.NewMap(parse.MapField{Key: "k", Value: float64(from + i)})
		}
		return out
	}
	o := &parse.Object{}
	o.Set("a", of(100_000, 0))
	began := time.Now()
	for name, tt := range map[string]struct {
		op   query.Op
		from int
		want bool
	}{
		"in":              {query.In, 99_999, true},
		"in none":         {query.In, 200_000, false},
		"not in":          {query.Nin, 200_000, true},
		"contained by":    {query.ContainedBy, 0, false},
		"all":             {query.All, 90_000, true},
		"all but some":    {query.All, 90_001, false},
		"in, but missing": {query.Nin, 99_999, false},
	} {
		m := matcher(t, &query.Member{Path: "a", Op: tt.op, Values: of(10_000, tt.from)})
		if got := m.Match(o); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}
