// Package storagetest is the suite that every adapter of internal/storage
// passes: cases by category, a naive model, and properties that compare the
// adapter with the model on random data.
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Category is a part of the suite. An adapter that cannot do something leaves
// the category out: see [Adapters].
type Category string

// Categories of [Run].
const (
	Queries      Category = "Queries"
	Geo          Category = "Geo"
	Text         Category = "Text"
	Sorting      Category = "Sorting"
	Updates      Category = "Updates"
	Permissions  Category = "Permissions"
	Duplicates   Category = "Duplicates"
	Deletes      Category = "Deletes"
	Bulk         Category = "Bulk"
	Relations    Category = "Relations"
	Schema       Category = "Schema"
	Transactions Category = "Transactions"
	Concurrency  Category = "Concurrency"
	Cancellation Category = "Cancellation"
)

// An Adapter is a database that the suite runs on, and what of it does not.
type Adapter struct {
	Name    string
	Without map[Category]bool
}

// Adapters are those of pargo. Each runs the suite under its name here.
var Adapters = [...]Adapter{
	{Name: "SQLite"},
	{Name: "MongoDB"},
	{Name: "MongoDB, single server", Without: map[Category]bool{Transactions: true}},
	{Name: "PostgreSQL"},
}

// suite are the cases, by category.
var suite = [...]struct {
	name Category
	run  func(t *testing.T, s storage.Store)
}{
	{Queries, testQueries},
	{Queries, testMeter},
	{Geo, testGeo},
	{Text, testText},
	{Sorting, testSorting},
	{Updates, testUpdates},
	{Updates, testInternal},
	{Permissions, testPermissions},
	{Duplicates, testDuplicates},
	{Deletes, testDeletes},
	{Bulk, testBulk},
	{Relations, testRelations},
	{Schema, testSchema},
	{Schema, testReload},
	{Transactions, testTransactions},
	{Concurrency, testConcurrency},
	{Cancellation, testCancellation},
}

// Categories are those of the suite, in its order.
func Categories() (list []Category) {
	for _, c := range suite {
		if !slices.Contains(list, c.name) {
			list = append(list, c.name)
		}
	}
	return list
}

// Run runs the suite on fresh stores of the adapter of that name in [Adapters].
// Every store is wrapped in [storage.Checked]. open closes its store with t.Cleanup.
func Run(t *testing.T, adapter string, open func(t *testing.T) storage.Store) {
	t.Helper()
	at := slices.IndexFunc(Adapters[:], func(a Adapter) bool { return a.Name == adapter })
	if at < 0 {
		t.Fatalf("no adapter %s", adapter)
	}
	run(t, Adapters[at].Without, open)
}

func run(t *testing.T, without map[Category]bool, open func(t *testing.T) storage.Store) {
	t.Helper()
	for _, c := range suite {
		if !without[c.name] {
			t.Run(string(c.name), func(t *testing.T) { c.run(t, storage.Checked(open(t))) })
		}
	}
}

// NewClass returns a class with one field of each type, and its indexes.
func NewClass(name string, indexes ...schema.Index) *schema.Class {
	c := &schema.Class{Name: name, Fields: map[string]*schema.Field{}, Indexes: indexes}
	for field, typ := range map[string]schema.Type{
		"s": schema.String, "t": schema.String, "n": schema.Number, "b": schema.Boolean, "d": schema.Date,
		"a": schema.Array, "o": schema.Object, "g": schema.GeoPoint, "q": schema.Polygon, "f": schema.File, "y": schema.Bytes,
	} {
		c.Fields[field] = &schema.Field{Name: field, Type: typ}
	}
	c.Fields["p"] = &schema.Field{Name: "p", Type: schema.Pointer, TargetClass: "Other"}
	c.Fields["r"] = &schema.Field{Name: "r", Type: schema.Relation, TargetClass: "Other"}
	return schema.Complete(c)
}

// create makes the class in the store.
func create(t testing.TB, s storage.Store, c *schema.Class) *schema.Class {
	t.Helper()
	if err := s.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: c.Name, Def: c}}); err != nil {
		t.Fatalf("create class: %v", err)
	}
	return c
}

// object makes one from the wire JSON of its fields.
func object(t testing.TB, class, id, fields string) *parse.Object {
	t.Helper()
	m, err := parse.DecodeMap([]byte(fields), parse.Limits{})
	if err != nil {
		t.Fatalf("fields %s: %v", fields, err)
	}
	return &parse.Object{ClassName: class, ID: id, CreatedAt: 1000, UpdatedAt: 2000, Fields: *m}
}

func insert(t testing.TB, s storage.Store, c *schema.Class, objects ...*parse.Object) {
	t.Helper()
	if err := s.Insert(t.Context(), c, objects); err != nil {
		t.Fatalf("insert: %v", err)
	}
}

// where parses a where clause as a client writes it.
func where(t testing.TB, text string) query.Node {
	t.Helper()
	v, err := parse.Decode([]byte(text), parse.Limits{})
	if err != nil {
		t.Fatalf("where %s: %v", text, err)
	}
	n, err := query.ParseWhere(v, query.Limits{}, query.Scope{Master: true})
	if err != nil {
		t.Fatalf("where %s: %v", text, err)
	}
	return n
}

func ids(objects []*parse.Object) []string {
	out := make([]string, len(objects))
	for i, o := range objects {
		out[i] = o.ID
	}
	return out
}

func find(t testing.TB, s storage.Store, f *storage.Find) []string {
	t.Helper()
	list, err := s.Find(t.Context(), f)
	if err != nil {
		t.Fatalf("find: %v", err)
	}
	return ids(list)
}

func get(t testing.TB, s storage.Store, c *schema.Class, id string) *parse.Object {
	t.Helper()
	list, err := s.Find(t.Context(), &storage.Find{Class: c, Where: query.ByID(id), Limit: 1})
	if err != nil || len(list) != 1 {
		t.Fatalf("get %s: %d objects, error %v", id, len(list), err)
	}
	return list[0]
}

// text is the whole of an object, order of keys and of ACL entries apart.
func text(o *parse.Object) string {
	if o == nil {
		return ""
	}
	var keys []string
	for k := range o.Fields.All() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := fmt.Sprintf("%s %s %d %d", o.ClassName, o.ID, o.CreatedAt, o.UpdatedAt)
	for _, k := range keys {
		v, _ := o.Fields.Get(k)
		out += fmt.Sprintf(" %s=%s", k, parse.AppendJSON(nil, v))
	}
	if o.ACL != nil {
		read, write := slices.Clone(o.ACL.Subjects(false)), slices.Clone(o.ACL.Subjects(true))
		slices.Sort(read)
		slices.Sort(write)
		out += fmt.Sprintf(" acl=%q/%q", read, write)
	}
	return out
}

func sample(t testing.TB, s storage.Store) *schema.Class {
	t.Helper()
	c := create(t, s, NewClass("Sample"))
	insert(t, s, c,
		object(t, c.Name, "o1", `{"s":"apple","n":1,"b":true,"d":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"},"a":["x","y",1],"o":{"k":{"j":"v"},"n":5}}`),
		object(t, c.Name, "o2", `{"s":"Banana","n":2.5,"b":false,"a":[1,2,3],"p":{"__type":"Pointer","className":"Other","objectId":"q1"}}`),
		object(t, c.Name, "o3", `{"s":"cherry","n":-7,"a":["y",{"k":1}],"p":{"__type":"Pointer","className":"Other","objectId":"q2"}}`),
		object(t, c.Name, "o4", `{"s":null,"n":9007199254740993,"o":{"k":"flat"},"a":[]}`),
		object(t, c.Name, "o5", `{"s":"apple pie","d":{"__type":"Date","iso":"2021-01-01T00:00:00.000Z"},"g":{"__type":"GeoPoint","latitude":1,"longitude":2}}`),
	)
	return c
}

func testQueries(t *testing.T, s storage.Store) {
	c := sample(t, s)
	typed := map[string][]string{
		// A null is a missing value.
		`{"s":{"$exists":true}}`: {"o1", "o2", "o3", "o5"},
		// A number is a double: 9007199254740993 is stored as 9007199254740992.
		`{"n":{"$gt":9007199254740992}}`: nil,
	}
	for _, tc := range []struct {
		where string
		want  []string
	}{
		{`{}`, []string{"o1", "o2", "o3", "o4", "o5"}},
		{`{"objectId":"o3"}`, []string{"o3"}},
		{`{"objectId":{"$in":["o3","o1","zz"]}}`, []string{"o1", "o3"}},
		{`{"s":"apple"}`, []string{"o1"}},
		{`{"s":1}`, nil},
		{`{"s":null}`, []string{"o4"}},
		{`{"p":null}`, []string{"o1", "o4", "o5"}},
		{`{"s":{"$ne":"apple"}}`, []string{"o2", "o3", "o4", "o5"}},
		{`{"s":{"$ne":null}}`, []string{"o1", "o2", "o3", "o5"}},
		{`{"s":{"$exists":true}}`, []string{"o1", "o2", "o3", "o4", "o5"}},
		{`{"d":{"$exists":false}}`, []string{"o2", "o3", "o4"}},
		{`{"s":{"$gt":"apple"}}`, []string{"o3", "o5"}},
		{`{"n":{"$gte":1,"$lt":3}}`, []string{"o1", "o2"}},
		{`{"n":{"$lt":"3"}}`, nil},
		{`{"n":9007199254740993}`, []string{"o4"}},
		{`{"n":{"$gt":9007199254740992}}`, []string{"o4"}},
		{`{"b":true}`, []string{"o1"}},
		{`{"b":{"$ne":true}}`, []string{"o2", "o3", "o4", "o5"}},
		{`{"d":{"$lte":{"__type":"Date","iso":"2020-06-01T00:00:00.000Z"}}}`, []string{"o1"}},
		{`{"p":{"__type":"Pointer","className":"Other","objectId":"q1"}}`, []string{"o2"}},
		{`{"p":{"__type":"Pointer","className":"Else","objectId":"q1"}}`, nil},
		{`{"n":{"$in":[1,2.5,"x",null]}}`, []string{"o1", "o2", "o5"}},
		{`{"n":{"$nin":[1,2.5]}}`, []string{"o3", "o4", "o5"}},
		{`{"s":{"$in":["a","b","c","d","e","f","g","h","apple","cherry"]}}`, []string{"o1", "o3"}},
		{`{"a":"y"}`, []string{"o1", "o3"}},
		{`{"a":1}`, []string{"o1", "o2"}},
		{`{"a":{"k":1}}`, []string{"o3"}},
		{`{"a":{"$in":["x",3]}}`, []string{"o1", "o2"}},
		{`{"a":{"$gt":2}}`, []string{"o2"}},
		{`{"a":{"$all":["y","x"]}}`, []string{"o1"}},
		{`{"a":{"$ne":"y"}}`, []string{"o2", "o4", "o5"}},
		{`{"a":{"$containedBy":[1,2,3,4]}}`, []string{"o2", "o4"}},
		{`{"o.k.j":"v"}`, []string{"o1"}},
		{`{"o.k":"flat"}`, []string{"o4"}},
		{`{"o.n":{"$gt":4}}`, []string{"o1"}},
		{`{"s":{"$regex":"^apple"}}`, []string{"o1", "o5"}},
		{`{"s":{"$regex":"^\\Qapple p\\E"}}`, []string{"o5"}},
		{`{"s":{"$regex":"an","$options":"i"}}`, []string{"o2"}},
		{`{"s":{"$regex":"^banana$","$options":"i"}}`, []string{"o2"}},
		{`{"$or":[{"s":"apple"},{"n":-7}]}`, []string{"o1", "o3"}},
		{`{"$or":[{"s":{"$regex":"rry"}},{"n":1}],"b":{"$exists":true}}`, []string{"o1"}},
		{`{"$nor":[{"s":"apple"},{"a":1}]}`, []string{"o3", "o4", "o5"}},
		{`{"$nor":[{"s":{"$regex":"apple"}}]}`, []string{"o2", "o3", "o4"}},
		{`{"$and":[{"s":{"$ne":"x"}},{"n":{"$gt":0}}]}`, []string{"o1", "o2", "o4"}},
		{`{"createdAt":{"$gte":{"__type":"Date","iso":"1970-01-01T00:00:01.000Z"}},"n":1}`, []string{"o1"}},
	} {
		t.Run(tc.where, func(t *testing.T) {
			if want, other := typed[tc.where]; other && storage.IsTyped(s) {
				tc.want = want
			}
			n := where(t, tc.where)
			got := find(t, s, &storage.Find{Class: c, Where: n, Limit: query.NoLimit, Order: []query.Sort{{Path: "objectId"}}})
			if diff := cmp.Diff(append([]string{}, tc.want...), got); diff != "" {
				t.Errorf("find (-want +got):\n%s", diff)
			}
			count, err := s.Count(t.Context(), c, n, nil)
			if err != nil || count != int64(len(tc.want)) {
				t.Errorf("count = %d, %v; want %d", count, err, len(tc.want))
			}
		})
	}
	if got := find(t, s, &storage.Find{Class: c, Where: query.Never{}, Limit: query.NoLimit}); len(got) != 0 {
		t.Errorf("never found %v", got)
	}
}

func testSorting(t *testing.T, s storage.Store) {
	c := sample(t, s)
	for _, tc := range []struct {
		order       string
		skip, limit int
		want        []string
	}{
		{"n,objectId", 0, query.NoLimit, []string{"o5", "o3", "o1", "o2", "o4"}},
		{"-n,objectId", 1, 2, []string{"o2", "o1"}},
		{"s,objectId", 0, query.NoLimit, []string{"o4", "o2", "o1", "o5", "o3"}},
		{"b,-objectId", 0, query.NoLimit, []string{"o5", "o4", "o3", "o2", "o1"}},
		{"-d,objectId", 0, 3, []string{"o5", "o1", "o2"}},
		{"o.n,objectId", 3, query.NoLimit, []string{"o5", "o1"}},
		{"objectId", 4, 10, []string{"o5"}},
		{"objectId", 9, 10, nil},
		{"objectId", 0, 0, nil},
	} {
		order, err := query.ParseOrder(tc.order)
		if err != nil {
			t.Fatal(err)
		}
		got := find(t, s, &storage.Find{Class: c, Order: order, Skip: tc.skip, Limit: tc.limit})
		if diff := cmp.Diff(append([]string{}, tc.want...), got); diff != "" {
			t.Errorf("%s skip %d limit %d (-want +got):\n%s", tc.order, tc.skip, tc.limit, diff)
		}
	}
	got, err := s.Find(t.Context(), &storage.Find{Class: c, Where: query.ByID("o1"), Keys: []string{"s"}, Limit: 1})
	if err != nil || len(got) != 1 || got[0].String("s") != "apple" || got[0].CreatedAt != 1000 {
		t.Errorf("keys: %v, %v", got, err)
	}
}

func testUpdates(t *testing.T, s storage.Store) {
	c := create(t, s, NewClass("Sample"))
	for i, tc := range []struct{ name, fields, ops, want string }{
		{"set", `{"s":"a"}`, `{"s":"b","n":1}`, `{"s":"b","n":1}`},
		{"set null", `{"s":"a"}`, `{"s":null}`, `{"s":null}`},
		{"delete", `{"s":"a","n":1}`, `{"s":{"__op":"Delete"}}`, `{"n":1}`},
		{"increment", `{"n":1}`, `{"n":{"__op":"Increment","amount":2.5}}`, `{"n":3.5}`},
		{"increment missing", `{}`, `{"n":{"__op":"Increment","amount":-2}}`, `{"n":-2}`},
		{"add", `{"a":[1]}`, `{"a":{"__op":"Add","objects":[1,"x"]}}`, `{"a":[1,1,"x"]}`},
		{"add to missing", `{}`, `{"a":{"__op":"Add","objects":[{"k":1}]}}`, `{"a":[{"k":1}]}`},
		{"add unique", `{"a":[1,{"k":1}]}`, `{"a":{"__op":"AddUnique","objects":[1,{"k":1},2]}}`, `{"a":[1,{"k":1},2]}`},
		{"remove", `{"a":[1,2,1,"x"]}`, `{"a":{"__op":"Remove","objects":[1]}}`, `{"a":[2,"x"]}`},
		{"dotted", `{"o":{"k":1,"m":2}}`, `{"o.k":{"__op":"Increment","amount":1},"o.z":true}`, `{"o":{"k":2,"m":2,"z":true}}`},
		{"dotted delete", `{"o":{"k":1,"m":2}}`, `{"o.k":{"__op":"Delete"}}`, `{"o":{"m":2}}`},
		{
			"types", `{}`, `{"d":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"},"g":{"__type":"GeoPoint","latitude":1,"longitude":2},"y":{"__type":"Bytes","base64":"aGk="},"p":{"__type":"Pointer","className":"Other","objectId":"x"}}`,
			`{"d":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"},"g":{"__type":"GeoPoint","latitude":1,"longitude":2},"y":{"__type":"Bytes","base64":"aGk="},"p":{"__type":"Pointer","className":"Other","objectId":"x"}}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id := fmt.Sprintf("u%d", i)
			old := object(t, c.Name, id, tc.fields)
			insert(t, s, c, old)
			body, err := parse.DecodeMap([]byte(tc.ops), parse.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			ops, err := parse.ParseOps(body)
			if err != nil {
				t.Fatal(err)
			}
			before, after, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID(id), Ops: ops, UpdatedAt: 3000})
			if err != nil {
				t.Fatal(err)
			}
			want := object(t, c.Name, id, tc.want)
			want.UpdatedAt = 3000
			if storage.IsTyped(s) {
				plain(want)
			}
			for name, pair := range map[string][2]*parse.Object{"before": {old, before}, "after": {want, after}, "stored": {want, get(t, s, c, id)}} {
				if diff := cmp.Diff(text(pair[0]), text(pair[1])); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
	ops := parse.NewMap(parse.MapField{Key: "s", Value: "z"})
	if _, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("absent"), Ops: ops, UpdatedAt: 1}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
	_, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.AllOf(query.ByID("u0"), query.Equal("s", "no")), Ops: ops, UpdatedAt: 1})
	if !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("other value: %v", err)
	}
	bad := parse.NewMap(parse.MapField{Key: "s", Value: parse.Increment{Amount: 1}})
	var pe *parse.Error
	if _, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("u0"), Ops: bad, UpdatedAt: 1}); !errors.As(err, &pe) {
		t.Errorf("increment of a string: %v", err)
	}
}

// testInternal: fields that no client sees are found and changed like others,
// and may be changed quietly.
func testInternal(t *testing.T, s storage.Store) {
	c := create(t, s, schema.SystemClass(schema.UserClass))
	insert(t, s, c, object(t, c.Name, "u0", `{"username":"a","_hashed_password":"x"}`))
	if got := find(t, s, &storage.Find{Class: c, Where: query.Equal("_hashed_password", "x"), Limit: query.NoLimit}); !slices.Equal(got, []string{"u0"}) {
		t.Errorf("internal field found %v", got)
	}
	hash := parse.NewMap(parse.MapField{Key: "_hashed_password", Value: "y"})
	if _, after, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("u0"), Ops: hash, UpdatedAt: 3000}); err != nil || after.String("_hashed_password") != "y" {
		t.Errorf("internal field changed to %s: %v", text(after), err)
	}
	count := parse.NewMap(parse.MapField{Key: "_failed_login_count", Value: parse.Increment{Amount: 1}})
	for n := range 2 {
		before, after, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("u0"), Ops: count})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := after.Number("_failed_login_count"); got != float64(n+1) || after.UpdatedAt != before.UpdatedAt || get(t, s, c, "u0").UpdatedAt != 3000 {
			t.Errorf("a quiet update: %s, was %s", text(after), text(before))
		}
	}
}

func testPermissions(t *testing.T, s storage.Store) {
	c := create(t, s, NewClass("Sample"))
	acls := map[string]*parse.ACL{
		"public": nil,
		"locked": parse.NewACL(),
		"world":  parse.NewACL(parse.ACLEntry{Subject: "*", Read: true}),
		"user":   parse.NewACL(parse.ACLEntry{Subject: "u1", Read: true, Write: true}),
		"role":   parse.NewACL(parse.ACLEntry{Subject: "role:Admin", Write: true}, parse.ACLEntry{Subject: "u|%2", Read: true}),
	}
	for id, acl := range acls {
		o := object(t, c.Name, id, `{}`)
		o.ACL = acl
		insert(t, s, c, o)
		if diff := cmp.Diff(text(o), text(get(t, s, c, id))); diff != "" {
			t.Errorf("ACL of %s (-want +got):\n%s", id, diff)
		}
	}
	for _, tc := range []struct {
		write    bool
		subjects []string
		want     []string
	}{
		{false, []string{"*"}, []string{"public", "world"}},
		{true, []string{"*"}, []string{"public"}},
		{false, []string{"*", "u1"}, []string{"public", "user", "world"}},
		{true, []string{"*", "u1", "role:Admin"}, []string{"public", "role", "user"}},
		{false, []string{"*", "u"}, []string{"public", "world"}},
		{false, []string{"*", "u|%2"}, []string{"public", "role", "world"}},
	} {
		got := find(t, s, &storage.Find{
			Class: c, Limit: query.NoLimit, Order: []query.Sort{{Path: "objectId"}},
			Where: &query.Permission{Write: tc.write, Subjects: tc.subjects},
		})
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%v write %v (-want +got):\n%s", tc.subjects, tc.write, diff)
		}
	}
	_, after, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("user"), SetACL: true, UpdatedAt: 5})
	if err != nil || after.ACL != nil || get(t, s, c, "user").ACL != nil {
		t.Errorf("ACL not removed: %v", err)
	}
}

func testDuplicates(t *testing.T, s storage.Store) {
	c := create(t, s, NewClass("Sample",
		schema.Index{Name: "s_1", Keys: []schema.IndexKey{{Field: "s"}}, Unique: true, Sparse: true},
		schema.Index{Name: "pair", Keys: []schema.IndexKey{{Field: "t"}, {Field: "n"}}, Unique: true, Sparse: true},
	))
	insert(t, s, c, object(t, c.Name, "d1", `{"s":"x","t":"k","n":1}`), object(t, c.Name, "d2", `{"t":"k","n":2}`), object(t, c.Name, "d3", `{}`))
	wantIndex := func(name string, err error, index string) {
		t.Helper()
		var dup *storage.DuplicateError
		if !errors.As(err, &dup) || dup.Index != index || dup.Class != c.Name {
			t.Errorf("%s: error %v, want duplicate of %s", name, err, index)
		}
	}
	one := func(id, fields string) error {
		return s.Insert(t.Context(), c, []*parse.Object{object(t, c.Name, id, fields)})
	}
	wantIndex("id", one("d1", `{}`), "objectId")
	wantIndex("field", one("d4", `{"s":"x"}`), "s_1")
	wantIndex("two fields", one("d4", `{"t":"k","n":1}`), "pair")
	if err := one("d4", `{"s":"X"}`); err != nil {
		t.Errorf("other case: %v", err)
	}
	err := s.Insert(t.Context(), c, []*parse.Object{object(t, c.Name, "d5", `{"s":"5"}`), object(t, c.Name, "d6", `{"s":"x"}`)})
	wantIndex("second of two", err, "s_1")
	if got := find(t, s, &storage.Find{Class: c, Where: query.ByID("d5"), Limit: 1}); len(got) != 0 {
		t.Error("half of a failed insert was stored")
	}
	_, _, err = s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("d2"), Ops: parse.NewMap(parse.MapField{Key: "s", Value: "x"}), UpdatedAt: 1})
	wantIndex("update", err, "s_1")
	if _, ok := get(t, s, c, "d2").Get("s"); ok {
		t.Error("a failed update was stored")
	}
}

func testDeletes(t *testing.T, s storage.Store) {
	c := sample(t, s)
	for _, tc := range []struct {
		where string
		want  []string
	}{
		{`{"objectId":"none"}`, nil},
		{`{"s":{"$regex":"apple"}}`, []string{"o1", "o5"}},
		{`{"objectId":"o2"}`, []string{"o2"}},
		{`{}`, []string{"o3", "o4"}},
	} {
		out, err := s.Delete(t.Context(), c, where(t, tc.where))
		if err != nil {
			t.Fatal(err)
		}
		got := ids(out)
		slices.Sort(got)
		if diff := cmp.Diff(append([]string{}, tc.want...), got); diff != "" {
			t.Errorf("delete %s (-want +got):\n%s", tc.where, diff)
		}
	}
	if n, err := s.Count(t.Context(), c, nil, nil); err != nil || n != 0 {
		t.Errorf("left: %d, %v", n, err)
	}
}

func testRelations(t *testing.T, s storage.Store) {
	j := storage.Join{Class: "Sample", Key: "r"}
	create(t, s, NewClass("Sample"))
	ctx := t.Context()
	for _, err := range []error{
		s.AddRelated(ctx, j, "a", []string{"3", "1"}),
		s.AddRelated(ctx, j, "a", []string{"1", "2"}),
		s.AddRelated(ctx, j, "b", []string{"2"}),
		s.AddRelated(ctx, storage.Join{Class: "Sample", Key: "r2"}, "c", []string{"2"}),
		s.RemoveRelated(ctx, j, "a", []string{"3", "9"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	related, err := s.Related(ctx, j, "a")
	if diff := cmp.Diff([]string{"1", "2"}, related); err != nil || diff != "" {
		t.Errorf("related: %v (-want +got):\n%s", err, diff)
	}
	owning, err := s.Owning(ctx, j, []string{"2", "7"})
	slices.Sort(owning)
	if diff := cmp.Diff([]string{"a", "b"}, owning); err != nil || diff != "" {
		t.Errorf("owning: %v (-want +got):\n%s", err, diff)
	}
	for _, tt := range []struct {
		owners []string
		want   []storage.Link
	}{
		{nil, []storage.Link{{Owner: "a", Member: "1"}, {Owner: "a", Member: "2"}, {Owner: "b", Member: "2"}}},
		{[]string{"b", "none"}, []storage.Link{{Owner: "b", Member: "2"}}},
		{[]string{}, nil},
	} {
		links, err := s.Links(ctx, j, tt.owners)
		slices.SortFunc(links, func(x, y storage.Link) int { return strings.Compare(x.Owner+x.Member, y.Owner+y.Member) })
		if diff := cmp.Diff(tt.want, links, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("links of %q: %v (-want +got):\n%s", tt.owners, err, diff)
		}
	}
}

func testTransactions(t *testing.T, s storage.Store) {
	tx := storage.AsTransactor(s)
	if tx == nil {
		t.Fatal("store has no transactions: leave the category out")
	}
	c := create(t, s, NewClass("Sample"))
	failed := errors.New("no")
	put := func(id string, result error) error {
		return tx.InTx(t.Context(), func(ctx context.Context, tx storage.Store) error {
			if err := tx.Insert(ctx, c, []*parse.Object{object(t, c.Name, id, `{"n":1}`)}); err != nil {
				return err
			}
			_, _, err := tx.Update(ctx, &storage.Update{
				Class: c, Where: query.ByID(id), UpdatedAt: 9,
				Ops: parse.NewMap(parse.MapField{Key: "n", Value: parse.Increment{Amount: 1}}),
			})
			if err != nil {
				return err
			}
			if n, _ := get(t, tx, c, id).Number("n"); n != 2 {
				t.Errorf("transaction reads %v of its own write", n)
			}
			return result
		})
	}
	if err := put("t1", nil); err != nil {
		t.Fatal(err)
	}
	if err := put("t2", failed); !errors.Is(err, failed) {
		t.Errorf("error is %v", err)
	}
	if diff := cmp.Diff([]string{"t1"}, find(t, s, &storage.Find{Class: c, Limit: query.NoLimit})); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func testConcurrency(t *testing.T, s storage.Store) {
	c := create(t, s, NewClass("Sample", schema.Index{Name: "s_1", Keys: []schema.IndexKey{{Field: "s"}}, Unique: true, Sparse: true}))
	insert(t, s, c, object(t, c.Name, "counter", `{"n":0}`))
	const workers, rounds = 8, 25
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				_, _, err := s.Update(t.Context(), &storage.Update{
					Class: c, Where: query.ByID("counter"), UpdatedAt: 1,
					Ops: parse.NewMap(parse.MapField{Key: "n", Value: parse.Increment{Amount: 1}}),
				})
				if err != nil {
					t.Errorf("update: %v", err)
				}
				// All workers compete for the same value: one wins.
				err = s.Insert(t.Context(), c, []*parse.Object{object(t, c.Name, fmt.Sprintf("w%dr%d", w, i), fmt.Sprintf(`{"s":"round %d"}`, i))})
				var dup *storage.DuplicateError
				if err != nil && !errors.As(err, &dup) {
					t.Errorf("insert: %v", err)
				}
				if _, err := s.Count(t.Context(), c, nil, nil); err != nil {
					t.Errorf("count: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n, _ := get(t, s, c, "counter").Number("n"); n != workers*rounds {
		t.Errorf("counter is %v, want %d", n, workers*rounds)
	}
	if n, err := s.Count(t.Context(), c, nil, nil); err != nil || n != rounds+1 {
		t.Errorf("objects: %d, %v; want %d", n, err, rounds+1)
	}
}

func testCancellation(t *testing.T, s storage.Store) {
	c := sample(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, findErr := s.Find(ctx, &storage.Find{Class: c, Limit: 1})
	_, countErr := s.Count(ctx, c, nil, nil)
	_, _, updateErr := s.Update(ctx, &storage.Update{Class: c, Where: query.ByID("o1"), UpdatedAt: 77})
	_, deleteErr := s.Delete(ctx, c, nil)
	for name, err := range map[string]error{
		"find": findErr, "count": countErr, "update": updateErr, "delete": deleteErr,
		"insert": s.Insert(ctx, c, []*parse.Object{object(t, c.Name, "late", `{}`)}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want canceled", name, err)
		}
	}
	if n, err := s.Count(t.Context(), c, nil, nil); err != nil || n != 5 || get(t, s, c, "o1").UpdatedAt != 2000 {
		t.Errorf("a cancelled write was done: %d objects, %v", n, err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
}
