package parse_test

import (
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
