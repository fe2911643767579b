package parse_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/parse"
)

// A Batch must not bring objects of another class into a relation.
func TestBatchOfTwoClasses(t *testing.T) {
	add := func(class string) string {
		return `{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"` + class + `","objectId":"x"}]}`
	}
	for ops, code := range map[string]parse.Code{
		add("A") + "," + add("A"): 0,
		add("A") + "," + add("B"): parse.IncorrectType,
	} {
		m, err := parse.DecodeMap([]byte(`{"r":{"__op":"Batch","ops":[`+ops+`]}}`), parse.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = parse.ParseOps(m); parse.CodeOf(err) != code {
			t.Errorf("%s: %v, want %d", ops, err, code)
		}
	}
}

// A write must not make an object that is too deep to be read, nor copy an
// object thousands of times.
func TestPathsOfAWriteAreBounded(t *testing.T) {
	many := &parse.Map{}
	for i := range 1001 {
		many.Set("o.k"+strconv.Itoa(i), 1.0)
	}
	for name, tt := range map[string]struct {
		body *parse.Map
		code parse.Code
	}{
		"deep":   {parse.NewMap(parse.MapField{Key: "o" + strings.Repeat(".x", 50_000), Value: 1.0}), parse.InvalidNestedKey},
		"deeper": {parse.NewMap(parse.MapField{Key: "o" + strings.Repeat(".x", 64), Value: 1.0}), parse.InvalidNestedKey},
		"fine":   {parse.NewMap(parse.MapField{Key: "o" + strings.Repeat(".x", 63), Value: 1.0}), 0},
		"many":   {many, parse.RequestLimitExceeded},
	} {
		if _, err := parse.ParseOps(tt.body); parse.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, want %d", name, err, tt.code)
		}
	}
}
