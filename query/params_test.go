package query_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func TestParseOrder(t *testing.T) {
	for order, want := range map[string][]query.Sort{
		"":                               nil,
		"a":                              {{Path: "a"}},
		" -a , b.c,,-objectId":           {{Path: "a", Desc: true}, {Path: "b.c"}, {Path: "objectId", Desc: true}},
		"_created_at,-_updated_at":       {{Path: "createdAt"}, {Path: "updatedAt", Desc: true}},
		"$score":                         {{Path: query.ScoreField, Desc: true}},
		"-$score,a":                      {{Path: query.ScoreField, Desc: true}, {Path: "a"}},
		"arr.0,-o.k.x":                   {{Path: "arr.0"}, {Path: "o.k.x", Desc: true}},
		"createdAt,updatedAt,a1_b,Title": {{Path: "createdAt"}, {Path: "updatedAt"}, {Path: "a1_b"}, {Path: "Title"}},
	} {
		got, err := query.ParseOrder(order)
		if err != nil {
			t.Errorf("%q: %v", order, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", order, diff)
		}
	}
	for order, text := range map[string]string{
		"a-b": "Invalid field name: a-b.", "--a": "Invalid field name: -a.", "_score": "Invalid field name: _score.", "$x": "Invalid field name: $x.",
		"a.": "Invalid field name: a..", "authData.x.id": "Cannot sort by authData.x.id",
	} {
		if _, err := query.ParseOrder(order); parse.CodeOf(err) != parse.InvalidKeyName || !strings.HasSuffix(err.Error(), text) {
			t.Errorf("%q: %v, want %s", order, err, text)
		}
	}
}

func FuzzParseOrder(f *testing.F) {
	for _, s := range []string{"-a,b.c", "$score,-_created_at", "authData.x.id", ",,-", "a..b", "ä"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		order, err := query.ParseOrder(s)
		if err != nil {
			if parse.CodeOf(err) != parse.InvalidKeyName {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		names := make([]string, len(order))
		for i, o := range order {
			switch names[i] = string(o.Path); {
			case o.Path == query.ScoreField:
				names[i] = query.ScoreKey
			case o.Desc:
				names[i] = "-" + names[i]
			}
		}
		again, err := query.ParseOrder(strings.Join(names, ","))
		if err != nil || !slices.Equal(order, again) {
			t.Fatalf("%q: %v, again %v (%v)", s, order, again, err)
		}
		if less := query.Less(order); less(&parse.Object{ID: "a"}, &parse.Object{ID: "a"}) != 0 {
			t.Fatalf("%q: an object is not equal to itself", s)
		}
	})
}

// keys, excludeKeys and include in any form give lists without gaps, or an error of the protocol.
func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"a,b.c", "", " ", `["a","b.c"]`, `["a",1]`, "*", "a.b.c.d,a", "$score", ".", "a..b", "[", strings.Repeat("a.", 60)} {
		f.Add(s, s, s, "10", "0")
	}
	f.Fuzz(func(t *testing.T, keys, exclude, include, limit, skip string) {
		m := parse.NewMap(
			parse.MapField{Key: "keys", Value: keys}, parse.MapField{Key: "excludeKeys", Value: exclude},
			parse.MapField{Key: "include", Value: include}, parse.MapField{Key: "limit", Value: limit}, parse.MapField{Key: "skip", Value: skip},
		)
		q, err := query.ParseQuery(m, query.Limits{}, query.Scope{})
		if err != nil {
			if parse.CodeOf(err) == 0 {
				t.Fatalf("no error of the protocol: %v", err)
			}
			return
		}
		if q.Skip < 0 || q.Limit < query.UnsetLimit {
			t.Fatalf("skip %d, limit %d", q.Skip, q.Limit)
		}
		seen := map[string]bool{}
		for _, p := range q.Include {
			if seen[p] {
				t.Fatalf("%q is included twice in %q", p, q.Include)
			}
			if i := strings.LastIndexByte(p, '.'); i >= 0 && !seen[p[:i]] {
				t.Fatalf("%q comes before its parent in %q", p, q.Include)
			}
			seen[p] = true
		}
	})
}
