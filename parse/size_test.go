package parse_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/parse"
)

// TestSizes: what values take is not underestimated, whether they are counted in
// the text, in the undecoded object or in the values themselves.
func TestSizes(t *testing.T) {
	for name, item := range map[string]string{
		"numbers":         `1,`,
		"texts":           `"abc",`,
		"empty lists":     `[],`,
		"empty objects":   `{},`,
		"objects":         `{"a":1},`,
		"larger objects":  `{"a":1,"b":"x","c":[2]},`,
		"nested lists":    `[[[[[[[[[[[[1]]]]]]]]]]]],`,
		"nested objects":  `{"a":{"a":{"a":{"a":{"a":{}}}}}},`,
		"dates":           `{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"},`,
		"pointers":        `{"__type":"Pointer","className":"A","objectId":"abc"},`,
		"unknown objects": `{"__type":"What"},`,
	} {
		t.Run(name, func(t *testing.T) {
			text := []byte(`{"l":[` + strings.Repeat(item, 10_000) + `1]}`)
			before := heap()
			v, err := parse.Decode(text, parse.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			took := heap() - before
			m, ok := v.(*parse.Map)
			if !ok {
				t.Fatalf("%T", v)
			}
			list, _ := m.Get("l")
			c := parse.Change{After: &parse.Object{ClassName: "A", ID: "x"}}
			c.After.Set("l", list)
			if n := parse.DecodedSize(text); n < took || n > 50*took {
				t.Errorf("the text: %d, its values take %d", n, took)
			}
			if n := c.Size(); n < took*2/3 || n > 5*took {
				t.Errorf("the values: %d, they take %d", n, took)
			}
			runtime.KeepAlive(v)
		})
	}
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
