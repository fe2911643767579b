package query_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

const sample = `{"s":"hello","n":5,"b":true,"z":null,"tags":["a","b"],"nums":[1,9],"m":{"x":{"y":2}},
	"d":{"__type":"Date","iso":"2024-01-02T00:00:00.000Z"},"p":{"__type":"Pointer","className":"P","objectId":"p1"},"empty":[]}`

func decode(t testing.TB, s string) parse.Value {
	t.Helper()
	v, err := parse.Decode([]byte(s), parse.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func object(t testing.TB) *parse.Object {
	m, _ := decode(t, sample).(*parse.Map)
	created, _ := parse.ParseDate("2024-05-01T00:00:00Z")
	return &parse.Object{
		ClassName: "C", ID: "id1", CreatedAt: created, UpdatedAt: created, Fields: *m,
		ACL: parse.NewACL(parse.ACLEntry{Subject: "u1", Read: true}),
	}
}

func where(t testing.TB, s string) query.Node {
	t.Helper()
	n, err := query.ParseWhere(decode(t, s), query.Limits{}, query.Scope{})
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return n
}

func matcher(t testing.TB, n query.Node) *query.Matcher {
	t.Helper()
	m, err := query.Compile(n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMatch(t *testing.T) {
	o := object(t)
	for _, tt := range []struct {
		where string
		want  bool
	}{
		{`{}`, true},
		{`{"s":"hello"}`, true},
		{`{"s":"x"}`, false},
		{`{"s":"hello","n":6}`, false},
		{`{"n":5}`, true},
		{`{"n":"5"}`, false},
		{`{"n":{"$eq":5}}`, true},
		{`{"b":true}`, true},
		{`{"z":null}`, true},
		{`{"nope":null}`, true},
		{`{"s":null}`, false},
		{`{"z":{"$ne":null}}`, false},
		{`{"s":{"$ne":null}}`, true},
		{`{"nope":{"$ne":1}}`, true},
		{`{"tags":"a"}`, true},
		{`{"tags":{"$ne":"a"}}`, false},
		{`{"tags":{"$eq":["a","b"]}}`, true},
		{`{"n":{"$lt":6,"$gt":4}}`, true},
		{`{"n":{"$lte":5,"$gte":5}}`, true},
		{`{"n":{"$lt":5}}`, false},
		{`{"n":{"$gt":"a"}}`, false},
		{`{"nope":{"$lt":5}}`, false},
		{`{"nums":{"$gt":8}}`, true},
		{`{"nums":{"$gt":9}}`, false},
		{`{"s":{"$in":["hello",1]}}`, true},
		{`{"s":{"$in":[["hello"]]}}`, true},
		{`{"s":{"$in":[]}}`, false},
		{`{"nope":{"$in":[null]}}`, true},
		{`{"tags":{"$in":["b"]}}`, true},
		{`{"n":{"$in":[5]}}`, true},
		{`{"s":{"$nin":["hello"]}}`, false},
		{`{"nope":{"$nin":["x"]}}`, true},
		{`{"s":{"$nin":[]}}`, true},
		{`{"z":{"$exists":true}}`, true},
		{`{"nope":{"$exists":true}}`, false},
		{`{"nope":{"$exists":false}}`, true},
		{`{"tags":{"$all":["b","a"]}}`, true},
		{`{"tags":{"$all":["a","c"]}}`, false},
		{`{"tags":{"$all":[]}}`, false},
		{`{"tags":{"$all":[{"$regex":"^\\Qa"},{"$regex":"^\\Qb"}]}}`, true},
		{`{"tags":{"$containedBy":["a","b","c"]}}`, true},
		{`{"tags":{"$containedBy":["a"]}}`, false},
		{`{"empty":{"$containedBy":[]}}`, true},
		{`{"s":{"$containedBy":["hello"]}}`, false},
		{`{"s":{"$regex":"^\\Qhel\\E"}}`, true},
		{`{"s":{"$regex":"ELL"}}`, false},
		{`{"s":{"$regex":"ELL","$options":"i"}}`, true},
		{`{"s":{"$regex":"h e l # x\n lo","$options":"x"}}`, true},
		{`{"tags":{"$regex":"^b$"}}`, true},
		{`{"n":{"$regex":"5"}}`, false},
		{`{"m.x.y":2}`, true},
		{`{"m.x":{"y":2}}`, true},
		{`{"tags.0":"a"}`, true},
		{`{"tags.1":"a"}`, false},
		{`{"d":{"$gt":{"__type":"Date","iso":"2024-01-01T00:00:00.000Z"}}}`, true},
		{`{"d":"2024-01-02T00:00:00.000Z"}`, false},
		{`{"p":{"__type":"Pointer","className":"P","objectId":"p1"}}`, true},
		{`{"p":"p1"}`, false},
		{`{"p":{"$in":[{"__type":"Pointer","className":"P","objectId":"p1"}]}}`, true},
		{`{"objectId":"id1"}`, true},
		{`{"objectId":{"$in":["a","id1"]}}`, true},
		{`{"objectId":{"$gt":"id1"}}`, false},
		{`{"createdAt":{"$gte":"2024-05-01T00:00:00.000Z"}}`, true},
		{`{"updatedAt":{"$lt":"2024-05-01T00:00:00Z"}}`, false},
		{`{"$or":[{"n":1},{"n":5}]}`, true},
		{`{"$or":[{"n":1},{}]}`, true},
		{`{"$and":[{"n":5},{"b":false}]}`, false},
		{`{"$nor":[{"n":1},{"n":5}]}`, false},
		{`{"$nor":[{"n":1}]}`, true},
	} {
		if got := matcher(t, where(t, tt.where)).Match(o); got != tt.want {
			t.Errorf("%s: match %v, want %v", tt.where, got, tt.want)
		}
	}
	for subject, want := range map[string]bool{"u1": true, "u2": false} {
		n := &query.Permission{Subjects: []string{"*", subject}}
		if got := matcher(t, n).Match(o); got != want {
			t.Errorf("permission of %s: %v", subject, got)
		}
	}
}

func TestParseWhereErrors(t *testing.T) {
	for _, tt := range []struct {
		where string
		code  parse.Code
		text  string
	}{
		{`3`, 107, "where parameter is not valid JSON"},
		{`{"a-b":1}`, 105, "Invalid key name: a-b"},
		{`{"_hashed_password":1}`, 105, "Invalid key name: _hashed_password"},
		{`{"_session_token":1}`, 105, "Invalid key name: _session_token"},
		{`{"$where":"1"}`, 105, "Invalid key name: $where"},
		{`{"ACL":{"x":1}}`, 102, "Cannot query on ACL."},
		{`{"$or":{}}`, 102, "$or must be an array"},
		{`{"$nor":[]}`, 102, "Bad $nor format - use an array of at least 1 value."},
		{`{"a":{"$in":1}}`, 107, "bad $in value"},
		{`{"a":{"$all":1}}`, 107, "bad $all value"},
		{`{"a":{"$containedBy":1}}`, 107, "bad $containedBy: should be an array"},
		{`{"a":{"$not":1}}`, 107, "bad constraint: $not"},
		{`{"a":{"$gt":{"x":1}}}`, 107, `bad atom: {"x":1}`},
		{`{"a":{"$regex":1}}`, 102, "$regex value must be a string"},
		{`{"a":{"$regex":"a","$options":1}}`, 102, "$options value must be a string"},
		{`{"a":{"$regex":"a","$options":"g"}}`, 102, "Bad $options value for query: g"},
		{`{"a":{"$inQuery":{"where":{}}}}`, 102, "improper usage of $inQuery"},
		{`{"a":{"$select":{"key":"x"}}}`, 102, "improper usage of $select"},
		{`{"$relatedTo":{}}`, 102, "improper usage of $relatedTo"},
		{`{"a":{"$text":1}}`, 107, "bad $text: $search, should be object"},
		{`{"a":{"$text":{"$search":"x"}}}`, 107, "bad $text: $search, should be object"},
		{`{"a":{"$text":{"$search":{}}}}`, 107, "bad $text: $term, should be string"},
		{`{"a":{"$text":{"$search":{"$term":1}}}}`, 107, "bad $text: $term, should be string"},
		{`{"a":{"$text":{"$search":{"$term":"x","$language":1}}}}`, 107, "bad $text: $language, should be string"},
		{`{"a":{"$text":{"$search":{"$term":"x","$language":"tlh"}}}}`, 107, `bad $text: $language "tlh" is not supported`},
		{`{"a":{"$text":{"$search":{"$term":"x","$caseSensitive":"no"}}}}`, 107, "bad $text: $caseSensitive, should be boolean"},
		{`{"a":{"$text":{"$search":{"$term":"x","$diacriticSensitive":1}}}}`, 107, "bad $text: $diacriticSensitive, should be boolean"},
	} {
		_, err := query.ParseWhere(decode(t, tt.where), query.Limits{}, query.Scope{})
		var e *parse.Error
		if !errors.As(err, &e) || e.Code != tt.code || e.Message != tt.text {
			t.Errorf("%s: %v, want %d %s", tt.where, err, tt.code, tt.text)
		}
	}
}

func TestParseQuery(t *testing.T) {
	params, _ := decode(t, `{"where":"{\"a\":1}","limit":"5","skip":"2","count":"1","keys":"a,b.c","include":"x.y","order":"-a, createdAt"}`).(*parse.Map)
	got, err := query.ParseQuery(params, query.Limits{}, query.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	want := &query.Query{
		Where: query.Equal("a", 1.0), Limit: 5, Skip: 2, Count: true, Keys: []string{"a", "b.c"},
		Include: []string{"x", "x.y", "b"}, Order: []query.Sort{{Path: "a", Desc: true}, {Path: "createdAt"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	empty, err := query.ParseQuery(nil, query.Limits{}, query.Scope{})
	if err != nil || empty.Limit != query.UnsetLimit {
		t.Errorf("no parameters: %+v, %v", empty, err)
	}
}

func TestTree(t *testing.T) {
	a, b := where(t, `{"x":{"$in":["2","1"]},"y.z":1}`), where(t, `{"y.z":1,"x":{"$in":["1","2","1"]}}`)
	if query.Canonical(a) != query.Canonical(b) {
		t.Errorf("%s differs from %s", query.Canonical(a), query.Canonical(b))
	}
	if d := cmp.Diff([]string{"x", "y"}, query.Roots(a)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]query.EqualityKey{{Path: "x", Values: []parse.Value{"2", "1"}}, {Path: "y.z", Values: []parse.Value{1.0}}}, query.EqualityKeys(a)); d != "" {
		t.Error(d)
	}
	n := query.Normalize(where(t, `{"p":{"$in":["p1"]}}`), func(string) (string, bool) { return "P", true })
	if !matcher(t, n).Match(object(t)) {
		t.Error("a normalised id does not match the pointer")
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	o := object(t)
	for _, w := range []string{
		`{"s":"hello"}`, `{"objectId":"id1"}`, `{"createdAt":{"$gt":"2020-01-01T00:00:00Z"}}`, `{"tags":{"$all":["a","b"]}}`,
		`{"m.x.y":2}`, `{"s":{"$regex":"^h.*o$"}}`, `{"objectId":{"$in":["a","id1"]},"p":{"__type":"Pointer","className":"P","objectId":"p1"}}`,
	} {
		m := matcher(t, where(t, w))
		if n := testing.AllocsPerRun(100, func() { m.Match(o) }); n != 0 {
			t.Errorf("%s: %v allocations", w, n)
		}
	}
}

func TestProperties(t *testing.T) {
	values := rapid.SampledFrom([]parse.Value{nil, true, 1.0, 2.0, "a", "b", parse.Date(1), parse.Array{1.0, "a"}, parse.Array{nil}})
	rapid.Check(t, func(rt *rapid.T) {
		o := &parse.Object{}
		o.Set("f", values.Draw(rt, "field"))
		v, w := values.Draw(rt, "v"), values.Draw(rt, "w")
		match := func(n query.Node) bool { return matcher(t, n).Match(o) }
		eq := []query.Node{query.Equal("f", v), query.Equal("f", w)}
		if match(&query.Nor{Nodes: eq}) == match(&query.Or{Nodes: eq}) {
			rt.Error("Nor is not the negation of Or")
		}
		if match(eq[0]) == match(&query.Compare{Path: "f", Op: query.Ne, Value: v}) {
			rt.Error("Ne is not the negation of Eq")
		}
		list := []parse.Value{v, w}
		if match(&query.Member{Path: "f", Op: query.In, Values: list}) != match(&query.Or{Nodes: eq}) {
			rt.Error("In is not Or of Eq")
		}
		other := &parse.Object{}
		other.Set("f", w)
		less := query.Less([]query.Sort{{Path: "f"}})
		if less(o, other) != -less(other, o) {
			rt.Error("the order is not antisymmetric")
		}
	})
}

func FuzzParseWhere(f *testing.F) {
	const point = `{"__type":"GeoPoint","latitude":10,"longitude":20}`
	for _, s := range []string{
		`{"g":{"$nearSphere":` + point + `,"$maxDistanceInMiles":5},"d":{"$lt":{"$relativeTime":"in 2 days 3 hrs"}}}`,
		`{"g":{"$within":{"$box":[` + point + `,` + point + `]}},"q":{"$geoIntersects":{"$point":` + point + `}}}`,
		`{"g":{"$geoWithin":{"$polygon":[[1,2],[3,4],` + point + `]}},"h":{"$geoWithin":{"$centerSphere":[[1,2],0.5]}}}`,
		`{"g":{"$geoWithin":{"$polygon":{"__type":"Polygon","coordinates":[[100,0],[3,4],[5,6]]}}}}`,
		sample, `{"a":{"$in":[1,[2]]}}`, `{"$or":[{"a":{"$regex":"^\\Qx"}}]}`, `{"a":{"$inQuery":{"where":{},"className":"X"}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parse.Decode(data, parse.Limits{})
		if err != nil {
			return
		}
		n, err := query.ParseWhere(v, query.Limits{}, query.Scope{})
		if err != nil {
			return
		}
		if and, ok := n.(*query.And); ok {
			nodes := slices.Clone(and.Nodes)
			slices.Reverse(nodes)
			if query.Canonical(&query.And{Nodes: nodes}) != query.Canonical(n) {
				t.Error("the order of constraints changes the canonical text")
			}
		}
		if m, err := query.Compile(n); err == nil {
			m.Match(&parse.Object{ID: "x"})
		}
	})
}

const benchWhere = `{"s":"hello","n":{"$gt":1,"$lt":9},"tags":{"$in":["b","c"]}}`

func BenchmarkParseWhere(b *testing.B) {
	v := decode(b, benchWhere)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := query.ParseWhere(v, query.Limits{}, query.Scope{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	m, o := matcher(b, where(b, benchWhere)), object(b)
	b.ReportAllocs()
	for b.Loop() {
		m.Match(o)
	}
}
