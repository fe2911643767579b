package rest

import (
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/pargo-baas/pargo/parse"
)

func FuzzBrackets(f *testing.F) {
	for _, s := range []string{
		"where[n]=1", "where[n][$in][]=1&where[n][$in][]=2", "where[$or][0][n]=1&where[$or][2][n]=3", "a[0]=x&a[b]=y", "a[]=1&a[b]=2", "a[b][]=1&a[b][c]=2",
		"a[20]=1&a[21]=2", "[a]=1", "a[b]c]=1", "a[[b]]=1", "a[b][c][d][e][f]=1", "a[b][c][d][e][f][g]=1", "a[%00]=1", "a[00]=1&a[-1]=2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		names := slices.DeleteFunc(slices.Collect(maps.Keys(values)), func(k string) bool {
			i := slices.Index([]byte(k), '[')
			return i <= 0 || k[len(k)-1] != ']'
		})
		one, err := brackets(slices.Clone(names), values)
		if err != nil {
			if parse.CodeOf(err) != parse.InvalidQuery {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		two, err := brackets(names, values)
		if err != nil || !parse.Equal(one, two) {
			t.Errorf("%q: once %s, once %s", raw, parse.AppendJSON(nil, one), parse.AppendJSON(nil, two))
		}
	})
}
