package query_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// memory is what build(i) keeps in use for each of n values of i.
func memory(n int, build func(i int) any) int {
	var before, after runtime.MemStats
	keep := [1000]any{}
	read := func(m *runtime.MemStats) {
		for range 4 { // pools and cleanups keep things for a while
			runtime.GC()
		}
		runtime.ReadMemStats(m)
	}
	read(&before)
	for i := range n {
		keep[i] = build(i)
	}
	read(&after)
	runtime.KeepAlive(&keep)
	return int(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / n
}

// TestSize: what a condition takes is not underestimated, nor much overestimated.
func TestSize(t *testing.T) {
	list := func(n int, element string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
	}
	regex := func(text string) string {
		return `{"s":{"$regex":` + string(parse.AppendJSON(nil, text)) + `}}`
	}
	for name, tt := range map[string]struct {
		where string // %d is a number of five digits
		most  float64
	}{
		"equality":            {`{"n":%d}`, 1.5},
		"pointer":             {`{"owner":{"__type":"Pointer","className":"_User","objectId":"u%d"}}`, 2},
		"four constraints":    {`{"a":%d,"b":{"$gt":1},"c":{"$ne":"x"},"d":{"$exists":true}}`, 1.5},
		"nested":              {`{"$or":[{"a":%d},{"$and":[{"b":1},{"c":2}]},{"$nor":[{"d":3}]}]}`, 1.5},
		"many texts":          {`{"a":{"$in":` + list(300, `"x%[1]d"`) + `}}`, 8}, // which are equal here
		"many numbers":        {`{"n":%d,"a":{"$in":` + list(300, `1`) + `}}`, 8},
		"many objects":        {`{"n":%d,"a":{"$in":` + list(300, `{"a":[1]}`) + `}}`, 3},
		"large value":         {`{"n":%d,"a":` + list(300, `{"a":[1]}`) + `}`, 3},
		"words":               {`{"s":{"$text":{"$search":{"$term":"a%d some words that are searched"}}}}`, 2},
		"polygon":             {`{"n":%d,"p":{"$geoWithin":{"$polygon":` + list(100, `[1.5,2.25]`) + `}}}`, 3},
		"sub-query":           {`{"a":{"$inQuery":{"className":"X","where":{"n":%d,"m":2}}}}`, 3},
		"prefix":              {regex(`^\Q%d abc\E`), 2},
		"pattern":             {regex(`[a-z]+x%d`), 2},
		"choices":             {regex(`%d` + strings.Repeat(`(a|b)*`, 50)), 2},
		"classes":             {regex(strings.Repeat(`[ab][cd]`, 100) + `%d`), 2},
		"letters":             {regex(strings.Repeat(`[\pL]a`, 100) + `%d`), 2},
		"repetition":          {regex(`%d(abc){100}`), 2},
		"goes back":           {regex(`^(?=a)(a+)+$|%d`), 2},
		"goes back, choices":  {regex(`(?=%d)` + strings.Repeat(`(a|b)*`, 50)), 2},
		"goes back, classes":  {regex(`(?=%d)` + strings.Repeat(`[a-zé]\w`, 100)), 2.5},
		"goes back, literals": {regex(`(?=%d)` + strings.Repeat(`abcdefgh`, 100)), 5},
	} {
		t.Run(name, func(t *testing.T) {
			size := 0
			build := func(i int) any {
				v, err := parse.Decode(fmt.Appendf(nil, tt.where, 10000+i), parse.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				n, err := query.ParseWhere(v, query.Limits{RegexTime: -1}, query.Scope{})
				if err != nil {
					t.Fatal(err)
				}
				size = query.Size(n) + len(fmt.Sprintf(tt.where, 10000+i))
				m, err := query.Compile(n)
				if err != nil && name != "sub-query" {
					t.Fatal(err)
				}
				return []any{n, m}
			}
			build(0)
			took := memory(max(20, min(1000, 1<<21/size)), build)
			if ratio := float64(size) / float64(took); ratio < .7 || ratio > tt.most {
				t.Errorf("taken for %d bytes, took %d: %.2f times", size, took, ratio)
			}
		})
	}
}
