package parse_test

import (
	"math"
	"testing"

	"github.com/pargo-baas/pargo/parse"
)

func TestLargeIntegersKeepTheirDigits(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want parse.Value
	}{
		{"9007199254740992", float64(1 << 53)},
		{"9007199254740993", parse.Int(9007199254740993)},
		{"18014398509481990", 18014398509481990.0}, // as JavaScript writes that double
		{"1152921504606847000", float64(1 << 60)},
		{"1152921504606846976", parse.Int(1 << 60)}, // the same number, but not as a double is written
		{"9223372036854775807", parse.Int(math.MaxInt64)},
		{"-9223372036854775808", parse.Int(math.MinInt64)},
		{"-9007199254740993", parse.Int(-9007199254740993)},
		{"9223372036854776000", 9223372036854776000.0},
		{"100000000000000000000", 1e20},
	} {
		v, err := parse.Decode([]byte(tt.in), parse.Limits{})
		if err != nil || v != tt.want {
			t.Errorf("%s: got %T %v, %v; want %T %v", tt.in, v, v, err, tt.want, tt.want)
		}
		if got := string(parse.AppendJSON(nil, v)); got != tt.in {
			t.Errorf("%s came back as %s", tt.in, got)
		}
	}
}

func TestIncrementStaysFinite(t *testing.T) {
	for _, tt := range []struct {
		old    parse.Value
		amount float64
		want   parse.Value
	}{
		{math.MaxFloat64, math.MaxFloat64, nil},
		{parse.Int(math.MaxInt64), 1, 9223372036854775808.0},
		{parse.Int(9007199254740993), -2, 9007199254740991.0},
		{parse.Int(9007199254740993), 2, parse.Int(9007199254740995)},
		{parse.Int(9007199254740993), 0, parse.Int(9007199254740993)},
	} {
		got, err := parse.ApplyOp(tt.old, parse.Increment{Amount: tt.amount})
		if tt.want == nil {
			if parse.CodeOf(err) != parse.InvalidJSON {
				t.Errorf("%v + %v: got %v, %v; want error 107", tt.old, tt.amount, got, err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%v + %v: got %v, %v; want %v", tt.old, tt.amount, got, err, tt.want)
		}
	}
}

func TestEmbeddedObjectWithInternalKeysStaysAMap(t *testing.T) {
	in := `{"__type":"Object","className":"A","_x":1}`
	v, err := parse.Decode([]byte(in), parse.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(parse.AppendJSON(nil, v)); got != in {
		t.Errorf("got %s, want it as it came", got)
	}
}
