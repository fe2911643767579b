package mongo

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func TestFilter(t *testing.T) {
	ptr := parse.Pointer{ClassName: "Foo", ObjectID: "x"}
	eq := func(path string, v parse.Value) query.Node { return query.Equal(path, v) }
	cmpr := func(path query.Path, op query.Op, v parse.Value) query.Node {
		return &query.Compare{Path: path, Op: op, Value: v}
	}
	member := func(path query.Path, op query.Op, vs ...parse.Value) query.Node {
		return &query.Member{Path: path, Op: op, Values: vs}
	}
	tests := []struct {
		name  string
		where query.Node
		want  string
		more  bool // the matcher has to decide
		never bool
	}{
		{name: "nil", want: `{}`},
		{name: "id", where: query.ByID("a"), want: `{"_id":"a"}`},
		{name: "system dates", where: cmpr("createdAt", query.Gt, parse.Date(0)), want: `{"_created_at":{"$gt":{"$date":"1970-01-01T00:00:00Z"}}}`},
		{name: "pointer", where: eq("ptr", ptr), want: `{"_p_ptr":"Foo$x"}`},
		{name: "pointer, included object", where: eq("ptr", &parse.Object{ClassName: "Foo", ID: "x"}), want: `{"_p_ptr":"Foo$x"}`},
		{name: "pointer, other type", where: eq("ptr", "x"), want: `{}`, never: true},
		{name: "pointer, no order", where: cmpr("ptr", query.Lt, "x"), want: `{}`, never: true},
		{name: "null pointer", where: eq("ptr", nil), want: `{"_p_ptr":null}`},
		{name: "pointers", where: member("ptr", query.In, ptr, ptr), want: `{"_p_ptr":{"$in":["Foo$x","Foo$x"]}}`},
		{name: "pointer in array", where: eq("arr", ptr), want: `{"arr":{"__type":"Pointer","className":"Foo","objectId":"x"}}`},
		{name: "pointer in unknown field", where: eq("new", ptr), want: `{"$or":[{"new":{"__type":"Pointer","className":"Foo","objectId":"x"}},{"_p_new":"Foo$x"}]}`},
		{name: "geo point", where: eq("geo", parse.GeoPoint{Latitude: 10, Longitude: 20}), want: `{"geo":[20,10]}`},
		{name: "geo point, its latitude", where: eq("geo", 10.0), want: `{}`, never: true},
		{name: "file, its name", where: eq("file", "f.txt"), want: `{}`, never: true},
		{name: "file", where: eq("file", parse.File{Name: "f.txt"}), want: `{"file":"f.txt"}`},
		{name: "ne", where: cmpr("num", query.Ne, 1.0), want: `{"$nor":[{"num":1}]}`},
		{name: "ne of never", where: cmpr("ptr", query.Ne, 1.0), want: `{}`},
		{name: "nin", where: member("str", query.Nin, "a", nil), want: `{"$nor":[{"str":{"$in":["a",null]}}]}`},
		{name: "empty in", where: member("str", query.In), want: `{}`, never: true},
		{name: "empty nin", where: member("str", query.Nin), want: `{}`},
		{name: "empty all", where: member("arr", query.All), want: `{}`, never: true},
		{name: "all", where: member("arr", query.All, 1.0, "a"), want: `{"$and":[{"arr":1},{"arr":"a"}]}`},
		{name: "all of null", where: member("arr", query.All, nil), want: `{"arr":null}`, more: true},
		{name: "contained by", where: member("arr", query.ContainedBy, 1.0), want: `{"arr":{"$type":"array"}}`, more: true},
		{name: "object", where: eq("obj", parse.NewMap(field("a", 1.0))), want: `{"obj":{"$exists":true}}`, more: true},
		{name: "ne object", where: cmpr("obj", query.Ne, &parse.Map{}), want: `{}`, more: true},
		{name: "order of null", where: cmpr("num", query.Lte, nil), want: `{}`, never: true},
		{name: "dotted", where: eq("obj.a", "x"), want: `{"obj.a":"x"}`, more: true},
		{name: "dotted null", where: eq("obj.a", nil), want: `{}`, more: true},
		{name: "into a pointer", where: eq("ptr.objectId", "x"), want: `{}`, more: true},
		{name: "exists", where: &query.Exists{Path: "str", Want: true}, want: `{"str":{"$exists":true}}`},
		{name: "exists not, dotted", where: &query.Exists{Path: "obj.a"}, want: `{}`, more: true},
		{name: "regex", where: &query.Regex{Path: "str", Pattern: "^a", Options: "iu"}, want: `{"str":{"$regex":"^a","$options":"i"}}`},
		{name: "permission", where: &query.Permission{Subjects: []string{"*", "u"}}, want: `{"_rperm":{"$in":[null,"*","u"]}}`},
		{name: "write permission", where: &query.Permission{Write: true, Subjects: []string{"*"}}, want: `{"_wperm":{"$in":[null,"*"]}}`},
		{name: "and, merged", where: query.AllOf(query.ByID("a"), eq("num", 1.0)), want: `{"_id":"a","num":1}`},
		{name: "and, one key twice", where: query.AllOf(cmpr("num", query.Gt, 1.0), cmpr("num", query.Lt, 5.0)), want: `{"$and":[{"num":{"$gt":1}},{"num":{"$lt":5}}]}`},
		{name: "and with never", where: query.AllOf(eq("num", 1.0), query.Never{}), want: `{}`, never: true},
		{name: "or", where: &query.Or{Nodes: []query.Node{eq("num", 1.0), query.Never{}, eq("str", "a")}}, want: `{"$or":[{"num":1},{"str":"a"}]}`},
		{name: "or with the unknown", where: &query.Or{Nodes: []query.Node{eq("num", 1.0), eq("obj.a", nil)}}, want: `{}`, more: true},
		{name: "nor of the inexact", where: &query.Nor{Nodes: []query.Node{eq("obj.a", "x")}}, want: `{}`, more: true},
		{name: "empty or", where: &query.Or{}, want: `{}`, never: true},
		{name: "empty nor", where: &query.Nor{}, want: `{}`},
		{name: "operator for a name", where: eq("$where", "1"), want: `{}`, more: true},
		{name: "operator in a path", where: eq("obj.$gt", "1"), want: `{}`, more: true},
		{name: "NUL in a path", where: eq("a\x00b", "1"), want: `{}`, more: true},
		{name: "session token", where: eq("sessionToken", "r:1"), want: `{"_session_token":"r:1"}`},
		{name: "internal", where: eq("_perishable_token", "t"), want: `{"_perishable_token":"t"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := newFilter(testClass("Game"), tt.where)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, extJSON(t, f.doc)); diff != "" {
				t.Error(diff)
			}
			if more := f.matcher != nil; more != tt.more || f.never != tt.never {
				t.Errorf("matcher %v, never %v; want %v, %v", more, f.never, tt.more, tt.never)
			}
		})
	}
}

func TestFilterOfUsers(t *testing.T) {
	for path, want := range map[string]string{
		"authData.facebook":    `{"_auth_data_facebook":{"$exists":true}}`,
		"authData.facebook.id": `{"_auth_data_facebook.id":{"$exists":true}}`,
		"authData":             `{}`,
	} {
		f, err := newFilter(testClass("_User"), &query.Exists{Path: query.Path(path), Want: true})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, extJSON(t, f.doc)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	for _, n := range []query.Node{&query.RelatedTo{}, &query.SubQuery{}, &query.And{Nodes: []query.Node{&query.SubQuery{}}}} {
		if _, err := newFilter(testClass("Game"), n); err == nil {
			t.Errorf("%T was accepted", n)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	class := testClass("Game")
	where := query.AllOf(query.ByID("abcdefghij"), &query.Permission{Subjects: []string{"*", "u1", "role:a"}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := newFilter(class, where); err != nil {
			b.Fatal(err)
		}
	}
}
