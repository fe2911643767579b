package parse_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/parse"
)

// drawSetValue draws from few values, so that many are equal in different forms.
func drawSetValue(depth int) *rapid.Generator[parse.Value] {
	return rapid.Custom(func(t *rapid.T) parse.Value {
		n := rapid.IntRange(0, 3).Draw(t, "n")
		id := string(rune('a' + n))
		kinds := 12
		if depth == 0 {
			kinds = 10
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return n > 1
		case 2:
			return float64(n) / 2
		case 3:
			return parse.Int(n)
		case 4:
			return id
		case 5:
			return parse.Date(n)
		case 6:
			return parse.Pointer{ClassName: "A", ObjectID: id}
		case 7:
			return &parse.Object{ClassName: "A", ID: id}
		case 8:
			return parse.Bytes(id)
		case 9:
			return math.Copysign(0, -1)
		case 10:
			return parse.Array(rapid.SliceOfN(drawSetValue(depth-1), 0, 3).Draw(t, "list"))
		}
		m := &parse.Map{}
		for _, k := range rapid.Permutation([]string{"x", "y"}).Draw(t, "keys") {
			m.Set(k, drawSetValue(depth-1).Draw(t, k))
		}
		return m
	})
}

// TestSetProperty: a Set has what a list has.
func TestSetProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []parse.Value
		has := func(v parse.Value) bool {
			for _, e := range list {
				if parse.Equal(e, v) {
					return true
				}
			}
			return false
		}
		var s parse.Set
		for _, v := range rapid.SliceOfN(drawSetValue(2), 0, 80).Draw(t, "values") {
			if want := !has(v); s.Has(v) == want || s.Add(v) != want {
				t.Fatalf("%s: want new %v", parse.AppendJSON(nil, v), want)
			}
			list = append(list, v)
		}
	})
}

// Operations on long lists do not take the square of their length.
func TestLongLists(t *testing.T) {
	numbers := func(from int) parse.Array {
		out := make(parse.Array, 100_000)
		for i := range out {
			out[i] = parse.NewMap(parse.MapField{Key: "k", Value: float64(from + i)})
		}
		return out
	}
	began := time.Now()
	added, err := parse.ApplyOp(numbers(0), parse.AddUnique{Objects: numbers(50_000)})
	if err != nil {
		t.Fatal(err)
	}
	left, err := parse.ApplyOp(added, parse.Remove{Objects: numbers(0)})
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := added.(parse.Array); len(a) != 150_000 {
		t.Errorf("%d after AddUnique", len(a))
	}
	if a, _ := left.(parse.Array); len(a) != 50_000 {
		t.Errorf("%d after Remove", len(a))
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestSetHasAllocatesNothing(t *testing.T) {
	s := parse.NewSet(make([]parse.Value, 0))
	for i := range 100 {
		s.Add(parse.NewMap(parse.MapField{Key: "k", Value: float64(i)}))
	}
	v := parse.Value(parse.NewMap(parse.MapField{Key: "k", Value: 7.0}))
	if n := testing.AllocsPerRun(100, func() { _ = s.Has(v) }); n != 0 {
		t.Errorf("Has allocates %v times", n)
	}
}
