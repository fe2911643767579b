package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

var databases atomic.Int64

// open returns a store on a database of its own, and the same database seen
// through the driver; both go when the test ends.
func open(t testing.TB) (storage.Store, *driver.Database) {
	t.Helper()
	base := os.Getenv("PARGO_TEST_MONGO_URL")
	if base == "" {
		t.Skip("PARGO_TEST_MONGO_URL is not set")
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("pargo_test_%d_%d_%d", os.Getpid(), time.Now().UnixNano()%1e9, databases.Add(1))
	u.Path = "/" + name
	client, err := driver.Connect(options.Client().ApplyURI(u.String()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := mongo.Open(t.Context(), mongo.Options{URI: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := client.Database(name).Drop(ctx); err != nil {
			t.Errorf("drop database: %v", err)
		}
		if err := client.Disconnect(ctx); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, client.Database(name)
}

// reopen returns another store on a database, as another server has it.
func reopen(t testing.TB, db *driver.Database) storage.Store {
	t.Helper()
	return reopenWith(t, db, mongo.Options{})
}

func reopenWith(t testing.TB, db *driver.Database, o mongo.Options) storage.Store {
	t.Helper()
	u, err := url.Parse(os.Getenv("PARGO_TEST_MONGO_URL"))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + db.Name()
	o.URI = u.String()
	s, err := mongo.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestOpenRefuses(t *testing.T) {
	for _, uri := range []string{"", "http://localhost", "mongodb://"} {
		if _, err := mongo.Open(t.Context(), mongo.Options{URI: uri}); err == nil {
			t.Errorf("%q was accepted", uri)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := mongo.Open(ctx, mongo.Options{URI: "mongodb://127.0.0.1:1/x"})
	if err == nil || !strings.Contains(err.Error(), "mongodb") {
		t.Errorf("no server: %v", err)
	}
}

func f(k string, v parse.Value) parse.MapField { return parse.MapField{Key: k, Value: v} }

func game() *schema.Class {
	c := &schema.Class{Name: "Game", Fields: map[string]*schema.Field{}}
	for name, t := range map[string]schema.Type{
		"str": schema.String, "num": schema.Number, "obj": schema.Object, "arr": schema.Array, "geo": schema.GeoPoint, "when": schema.Date,
	} {
		c.Fields[name] = &schema.Field{Name: name, Type: t}
	}
	c.Fields["ptr"] = &schema.Field{Name: "ptr", Type: schema.Pointer, TargetClass: "Foo"}
	c.Fields["fans"] = &schema.Field{Name: "fans", Type: schema.Relation, TargetClass: "_User"}
	return schema.Complete(c)
}

func object(id string, fields ...parse.MapField) *parse.Object {
	return &parse.Object{ClassName: "Game", ID: id, CreatedAt: 1000, UpdatedAt: 1000, Fields: *parse.NewMap(fields...)}
}

func insert(t *testing.T, s storage.Store, class *schema.Class, objects ...*parse.Object) {
	t.Helper()
	if err := s.Insert(t.Context(), class, objects); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s storage.Store, class *schema.Class, id string) *parse.Object {
	t.Helper()
	found, err := s.Find(t.Context(), &storage.Find{Class: class, Where: query.ByID(id), Limit: query.NoLimit})
	if err != nil || len(found) != 1 {
		t.Fatalf("find %s: %d objects, %v", id, len(found), err)
	}
	return found[0]
}

// text is an object in a form to compare and to read.
func text(o *parse.Object) string {
	if o == nil {
		return ""
	}
	return string(o.AppendFields(o.AppendJSON(nil)))
}

// What Parse Server has stored is read, and changed without harm to the rest.
func TestExistingDatabase(t *testing.T) {
	s, db := open(t)
	ctx := t.Context()
	at := bson.NewDateTimeFromTime(time.UnixMilli(1000))
	docs := map[string]bson.D{
		"_SCHEMA": {
			{Key: "_id", Value: "Game"},
			{Key: "objectId", Value: "string"},
			{Key: "updatedAt", Value: "string"},
			{Key: "createdAt", Value: "string"},
			{Key: "score", Value: "number"},
			{Key: "owner", Value: "*_User"},
			{Key: "fans", Value: "relation<_User>"},
			{Key: "m", Value: "map"},
			{Key: "_metadata", Value: bson.D{
				{Key: "class_permissions", Value: bson.D{{Key: "find", Value: bson.D{{Key: "*", Value: true}}}, {Key: "addField", Value: bson.D{}}}},
				{Key: "fields_options", Value: bson.D{{Key: "score", Value: bson.D{{Key: "required", Value: true}, {Key: "defaultValue", Value: 5}, {Key: "hint", Value: "h"}}}}},
				{Key: "indexes", Value: bson.D{
					{Key: "_id_", Value: bson.D{{Key: "_id", Value: 1}}},
					{Key: "byScore", Value: bson.D{{Key: "score", Value: -1}, {Key: "_p_owner", Value: 1}}},
				}},
			}},
		},
		"Game": {
			{Key: "_id", Value: "g1"},
			{Key: "_created_at", Value: at},
			{Key: "_updated_at", Value: at},
			{Key: "score", Value: 7},
			{Key: "_p_owner", Value: "_User$u1"},
			{Key: "other", Value: bson.D{{Key: "x", Value: at}}},
			{Key: "_rperm", Value: bson.A{"u1"}},
			{Key: "_wperm", Value: bson.A{"u1"}},
			{Key: "_acl", Value: bson.D{{Key: "u1", Value: bson.D{{Key: "w", Value: true}, {Key: "r", Value: true}}}}},
		},
		"_Join:fans:Game": {{Key: "_id", Value: bson.NewObjectID()}, {Key: "relatedId", Value: "u9"}, {Key: "owningId", Value: "g1"}},
	}
	for name, doc := range docs {
		if _, err := db.Collection(name).InsertOne(ctx, doc); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Collection("Game").Indexes().CreateOne(ctx, driver.IndexModel{
		Keys:    bson.D{{Key: "score", Value: -1}, {Key: "_p_owner", Value: 1}},
		Options: options.Index().SetName("byScore").SetUnique(true),
	}); err != nil {
		t.Fatal(err)
	}

	classes, err := s.LoadSchema(ctx)
	if err != nil || len(classes) != 1 {
		t.Fatalf("%d classes, %v", len(classes), err)
	}
	c := classes[0]
	for name, want := range map[string]schema.Field{
		"createdAt": {Type: schema.Date}, "score": {Type: schema.Number}, "m": {Type: schema.Object},
		"owner": {Type: schema.Pointer, TargetClass: "_User"}, "fans": {Type: schema.Relation, TargetClass: "_User"},
	} {
		if got := c.Field(name); got == nil || got.Type != want.Type || got.TargetClass != want.TargetClass {
			t.Errorf("field %s: %+v", name, got)
		}
	}
	if score := c.Field("score"); !score.Required || score.Default != 5.0 || score.Extra.String("hint") != "h" {
		t.Errorf("options of score: %+v", score)
	}
	if c.CLP == nil || c.CLP.Ops[schema.Find] == nil || !c.CLP.Ops[schema.Find].Public {
		t.Errorf("permissions: %+v", c.CLP)
	}
	wantIndexes := []schema.Index{{Name: "byScore", Unique: true, Keys: []schema.IndexKey{{Field: "score", Desc: true}, {Field: "owner"}}}}
	if diff := cmp.Diff(wantIndexes, c.Indexes); diff != "" {
		t.Errorf("indexes: %s", diff)
	}

	o := get(t, s, c, "g1")
	want := `{"objectId":"g1","score":7,"owner":{"__type":"Pointer","className":"_User","objectId":"u1"},"other":{"x":{"__type":"Date","iso":"1970-01-01T00:00:01.000Z"}},` +
		`"createdAt":"1970-01-01T00:00:01.000Z","updatedAt":"1970-01-01T00:00:01.000Z","ACL":{"u1":{"read":true,"write":true}}}`
	if diff := cmp.Diff(want, string(o.AppendJSON(nil))); diff != "" {
		t.Error(diff)
	}
	if ids, err := s.Related(ctx, storage.Join{Class: "Game", Key: "fans"}, "g1"); err != nil || len(ids) != 1 || ids[0] != "u9" {
		t.Errorf("related: %v, %v", ids, err)
	}
	_, _, err = s.Update(ctx, &storage.Update{Class: c, Where: query.ByID("g1"), UpdatedAt: 2000, Ops: parse.NewMap(f("score", parse.Increment{Amount: 1}))})
	if err != nil {
		t.Fatal(err)
	}
	var now bson.D
	if err := db.Collection("Game").FindOne(ctx, bson.D{}).Decode(&now); err != nil {
		t.Fatal(err)
	}
	wantDoc := docs["Game"]
	wantDoc[2].Value, wantDoc[3].Value = bson.NewDateTimeFromTime(time.UnixMilli(2000)), int32(8)
	if diff := cmp.Diff(wantDoc, now); diff != "" {
		t.Errorf("after an update (-want +got):\n%s", diff)
	}
}

// Every update tells the truth about what it left behind, whichever way it takes.
func TestUpdateIsWhatItSays(t *testing.T) {
	s, _ := open(t)
	c := game()
	ptr := parse.Pointer{ClassName: "Foo", ObjectID: "x"}
	m := func(fields ...parse.MapField) *parse.Map { return parse.NewMap(fields...) }
	tests := []struct {
		name   string
		fields []parse.MapField
		ops    *parse.Map
		code   parse.Code
	}{
		{name: "set", fields: []parse.MapField{f("str", "a")}, ops: m(f("str", "b"), f("num", 1.0))},
		{name: "null", fields: []parse.MapField{f("str", "a")}, ops: m(f("str", nil), f("ptr", nil))},
		{name: "delete", fields: []parse.MapField{f("str", "a"), f("ptr", ptr)}, ops: m(f("str", parse.Delete{}), f("ptr", parse.Delete{}), f("num", parse.Delete{}))},
		{name: "increment", fields: []parse.MapField{f("num", 1.0)}, ops: m(f("num", parse.Increment{Amount: 1.5}))},
		{name: "increment missing", ops: m(f("num", parse.Increment{Amount: -2}))},
		{name: "increment null", fields: []parse.MapField{f("num", nil)}, ops: m(f("num", parse.Increment{Amount: 1}))},
		{name: "increment beyond 32 bits", fields: []parse.MapField{f("num", 2147483647.0)}, ops: m(f("num", parse.Increment{Amount: 1}))},
		{name: "increment beyond 53 bits", fields: []parse.MapField{f("num", parse.Int(9007199254740993))}, ops: m(f("num", parse.Increment{Amount: 2}))},
		{name: "increment text", fields: []parse.MapField{f("str", "a")}, ops: m(f("str", parse.Increment{Amount: 1})), code: parse.IncorrectType},
		{name: "add", fields: []parse.MapField{f("arr", parse.Array{1.0})}, ops: m(f("arr", parse.Add{Objects: parse.Array{1.0, "a", ptr}}))},
		{name: "add to missing", ops: m(f("arr", parse.Add{Objects: parse.Array{1.0}}))},
		{name: "add nothing to missing", ops: m(f("arr", parse.Add{}))},
		{name: "add to null", fields: []parse.MapField{f("arr", nil)}, ops: m(f("arr", parse.Add{Objects: parse.Array{1.0}}))},
		{name: "add to text", fields: []parse.MapField{f("str", "a")}, ops: m(f("str", parse.Add{Objects: parse.Array{1.0}})), code: parse.IncorrectType},
		{name: "add unique", fields: []parse.MapField{f("arr", parse.Array{1.0, "a"})}, ops: m(f("arr", parse.AddUnique{Objects: parse.Array{"a", "b", "b", 2.0}}))},
		{name: "add unique objects", fields: []parse.MapField{f("arr", parse.Array{m(f("a", 1.0), f("b", 2.0)), ptr})}, ops: m(f("arr", parse.AddUnique{Objects: parse.Array{m(f("b", 2.0), f("a", 1.0)), ptr}}))},
		{name: "remove", fields: []parse.MapField{f("arr", parse.Array{1.0, "a", 1.0})}, ops: m(f("arr", parse.Remove{Objects: parse.Array{1.0}}))},
		{name: "remove pointer", fields: []parse.MapField{f("arr", parse.Array{1.0, ptr})}, ops: m(f("arr", parse.Remove{Objects: parse.Array{ptr}}))},
		{name: "remove from missing", ops: m(f("arr", parse.Remove{Objects: parse.Array{1.0}}))},
		{name: "dotted set", fields: []parse.MapField{f("obj", m(f("a", 1.0)))}, ops: m(f("obj.b", parse.Date(5)), f("obj.a", "x"))},
		{name: "dotted set in missing", ops: m(f("obj.b", 1.0))},
		{name: "dotted set in null", fields: []parse.MapField{f("obj", nil)}, ops: m(f("obj.b", 1.0))},
		{name: "dotted delete", fields: []parse.MapField{f("obj", m(f("a", 1.0), f("b", 2.0)))}, ops: m(f("obj.a", parse.Delete{}), f("obj.c", parse.Delete{}))},
		{name: "dotted increment", fields: []parse.MapField{f("obj", m(f("a", 1.0)))}, ops: m(f("obj.a", parse.Increment{Amount: 1}), f("obj.n", parse.Increment{Amount: 1}))},
		{name: "dotted deep", fields: []parse.MapField{f("obj", m(f("a", m(f("b", parse.Array{1.0})))))}, ops: m(f("obj.a.b.0", 2.0), f("obj.x.y", 1.0))},
		{name: "index of array", fields: []parse.MapField{f("arr", parse.Array{1.0, 2.0})}, ops: m(f("arr.1", "z"))},
		{name: "field and path", fields: []parse.MapField{f("obj", m(f("a", 1.0)))}, ops: m(f("obj", m(f("n", 1.0))), f("obj.a", 2.0))},
		{name: "unknown pointer becomes text", fields: []parse.MapField{f("new", ptr)}, ops: m(f("new", "text"))},
		{name: "unknown text becomes pointer", fields: []parse.MapField{f("new", "text")}, ops: m(f("new", ptr))},
		{name: "operator for a name", ops: m(f("$set", 1.0)), code: parse.InvalidKeyName},
		{name: "geo point", ops: m(f("geo", parse.GeoPoint{Latitude: 1, Longitude: 2}))},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := fmt.Sprintf("o%d", i)
			insert(t, s, c, object(id, tt.fields...))
			was := get(t, s, c, id)
			want := was.Clone()
			wantErr := parse.ApplyOps(want, tt.ops)
			before, after, err := s.Update(t.Context(), &storage.Update{
				Class: c, Where: query.ByID(id), Ops: tt.ops, UpdatedAt: 2000,
				SetACL: true, ACL: parse.NewACL(parse.ACLEntry{Subject: "u", Read: true}),
			})
			if parse.CodeOf(err) != tt.code || tt.code == parse.IncorrectType && wantErr == nil {
				t.Fatalf("error %v, want code %d", err, tt.code)
			}
			now := get(t, s, c, id)
			if err != nil {
				if diff := cmp.Diff(text(was), text(now)); diff != "" {
					t.Errorf("refused, but changed: %s", diff)
				}
				return
			}
			want.UpdatedAt, want.ACL = 2000, parse.NewACL(parse.ACLEntry{Subject: "u", Read: true})
			if diff := cmp.Diff(text(was), text(before)); diff != "" {
				t.Errorf("before: %s", diff)
			}
			if diff := cmp.Diff(text(want), text(after)); diff != "" {
				t.Errorf("after: %s", diff)
			}
			// The order of keys may differ: a new field is stored last.
			if !parse.Equal(&now.Fields, &want.Fields) || now.UpdatedAt != 2000 {
				t.Errorf("stored %s, want %s", text(now), text(want))
			}
		})
	}
}

func TestUpdateAuthData(t *testing.T) {
	s, db := open(t)
	c := schema.SystemClass("_User")
	insert(t, s, c, &parse.Object{ClassName: "_User", ID: "u", CreatedAt: 1, UpdatedAt: 1, Fields: *parse.NewMap(
		f("authData", parse.NewMap(f("a", parse.NewMap(f("id", "1"))), f("b", parse.NewMap(f("id", "2"))))))})
	_, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("u"), UpdatedAt: 2, Ops: parse.NewMap(
		f("authData", parse.NewMap(f("b", parse.NewMap(f("id", "3"))), f("c", parse.NewMap(f("id", "4"))))))})
	if err != nil {
		t.Fatal(err)
	}
	var doc bson.M
	if err := db.Collection("_User").FindOne(t.Context(), bson.D{}).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if doc["_auth_data_a"] != nil || doc["_auth_data_b"] == nil || doc["_auth_data_c"] == nil || doc["authData"] != nil {
		t.Errorf("stored: %v", doc)
	}
	n, err := s.Count(t.Context(), c, query.Equal("authData.b.id", "3"), nil)
	if err != nil || n != 1 {
		t.Errorf("%d users with the new id, %v", n, err)
	}
}

// The loop loses no update, nor do the operators.
func TestConcurrentUpdates(t *testing.T) {
	s, _ := open(t)
	c := game()
	insert(t, s, c, object("o"))
	const writers, rounds = 4, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for r := range rounds {
				_, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("o"), UpdatedAt: 2000, Ops: parse.NewMap(
					f("num", parse.Increment{Amount: 1}),
					f("arr", parse.AddUnique{Objects: parse.Array{parse.Pointer{ClassName: "Foo", ObjectID: fmt.Sprint(w, r)}}}))})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	o := get(t, s, c, "o")
	n, _ := o.Number("num")
	arr, _ := o.Get("arr")
	if a, _ := arr.(parse.Array); n != writers*rounds || len(a) != writers*rounds {
		t.Errorf("%v increments and %d elements of %d", n, len(a), writers*rounds)
	}
}

func TestSchemaSteps(t *testing.T) {
	s, db := open(t)
	ctx := t.Context()
	def := game()
	def.Fields["num"] = &schema.Field{Name: "num", Type: schema.Number, Required: true, Default: 5.0, Comment: "c", ValidateJSON: []byte(`{"minimum":0}`)}
	def.Fields["when"] = &schema.Field{Name: "when", Type: schema.Date, Default: parse.Date(1000)}
	def.OwnerField, def.OwnerRoles, def.Comment = "ptr", []string{"admin"}, "games"
	def.Indexes = []schema.Index{
		{Name: "str_1", Keys: []schema.IndexKey{{Field: "str"}}, Unique: true, Sparse: true},
		{Name: "ci", Keys: []schema.IndexKey{{Field: "str"}}, Sparse: true, CaseInsensitive: true},
		{Name: "two", Keys: []schema.IndexKey{{Field: "ptr"}, {Field: "createdAt", Desc: true}}},
	}
	steps := []schema.Step{{Kind: schema.CreateClass, Class: "Game", Def: def}}
	for range 2 { // the second time nothing is left to do
		if err := s.ApplySchema(ctx, steps); err != nil {
			t.Fatal(err)
		}
	}
	load := func() *schema.Class {
		t.Helper()
		classes, err := s.LoadSchema(ctx)
		if err != nil || len(classes) != 1 {
			t.Fatalf("%d classes, %v", len(classes), err)
		}
		return classes[0]
	}
	left, err := schema.Diff(schema.NewSnapshot(1, load()), []*schema.Class{def})
	if err != nil || len(left) != 0 {
		t.Fatalf("what was applied is not what is loaded: %+v, %v", left, err)
	}
	var doc struct {
		Metadata struct {
			Options bson.M `bson:"fields_options"`
		} `bson:"_metadata"`
	}
	if err := db.Collection("_SCHEMA").FindOne(ctx, bson.D{}).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(doc.Metadata.Options["when"]); !strings.Contains(got, "iso") {
		t.Errorf("a default Date is stored as %s", got)
	}

	insert(t, s, def, object("n1", f("str", nil)))
	insert(t, s, def, object("n2", f("str", "gone")))
	_, after, err := s.Update(ctx, &storage.Update{Class: def, Where: query.ByID("n2"), UpdatedAt: 1, Ops: parse.NewMap(f("str", nil))})
	if err != nil || after.Fields.Has("str") {
		t.Errorf("a second null in a sparse unique index: %s, %v", text(after), err)
	}
	if gone, err := s.Delete(ctx, def, query.Equal("str", nil)); err != nil || len(gone) != 2 {
		t.Errorf("%d objects without the field, %v", len(gone), err)
	}
	insert(t, s, def, object("a", f("str", "x"), f("ptr", parse.Pointer{ClassName: "Foo", ObjectID: "p"})))
	err = s.Insert(ctx, def, []*parse.Object{object("b"), object("c", f("str", "x"))})
	var dup *storage.DuplicateError
	if !errors.As(err, &dup) || dup.Index != "str_1" || dup.Class != "Game" || !cmp.Equal(dup.Fields, []string{"str"}) {
		t.Errorf("duplicate: %+v, %v", dup, err)
	}
	if err := s.Insert(ctx, def, []*parse.Object{object("a")}); !errors.As(err, &dup) || dup.Index != "objectId" {
		t.Errorf("duplicate id: %+v, %v", dup, err)
	}
	if n, err := s.Count(ctx, def, nil, nil); err != nil || n != 1 {
		t.Errorf("%d objects after failed inserts, %v", n, err)
	}
	if err := s.AddRelated(ctx, storage.Join{Class: "Game", Key: "fans"}, "a", []string{"u"}); err != nil {
		t.Fatal(err)
	}

	clp, err := schema.CLPFromMap(parse.NewMap(f("find", parse.NewMap(f("*", true)))), def)
	if err != nil {
		t.Fatal(err)
	}
	steps = []schema.Step{
		{Kind: schema.SetCLP, Class: "Game", CLP: clp},
		{Kind: schema.AddFieldStep, Class: "Game", Field: &schema.Field{Name: "extra", Type: schema.Pointer, TargetClass: "Foo"}},
		{Kind: schema.AddFieldStep, Class: "Game", Field: &schema.Field{Name: "num", Type: schema.Number}},
		{Kind: schema.DropField, Class: "Game", Field: &schema.Field{Name: "ptr"}},
		{Kind: schema.DropField, Class: "Game", Field: &schema.Field{Name: "fans"}},
		{Kind: schema.DropIndex, Class: "Game", Index: &schema.Index{Name: "str_1"}},
		{Kind: schema.SetMeta, Class: "Game", Def: &schema.Class{OwnerWriteRoles: []string{"w"}}},
	}
	for range 2 {
		if err := s.ApplySchema(ctx, steps); err != nil {
			t.Fatal(err)
		}
	}
	c := load()
	if c.CLP == nil || c.Field("extra") == nil || c.Field("num").Required || c.Field("num").Comment != "" || c.Field("ptr") != nil ||
		c.Field("fans") != nil || len(c.Indexes) != 1 || c.OwnerField != "" || c.Comment != "" || len(c.OwnerWriteRoles) != 1 {
		t.Errorf("loaded %+v", c)
	}
	if o := get(t, s, c, "a"); o.Fields.Has("ptr") {
		t.Errorf("a dropped field is still there: %s", text(o))
	}
	if ids, err := s.Related(ctx, storage.Join{Class: "Game", Key: "fans"}, "a"); err != nil || len(ids) != 0 {
		t.Errorf("members of a dropped relation: %v, %v", ids, err)
	}
	err = s.ApplySchema(ctx, []schema.Step{{Kind: schema.AddFieldStep, Class: "Game", Field: &schema.Field{Name: "num", Type: schema.String}}})
	if parse.CodeOf(err) != parse.IncorrectType {
		t.Errorf("another type: %v", err)
	}
	for range 2 {
		if err := s.ApplySchema(ctx, []schema.Step{{Kind: schema.DropClass, Class: "Game"}}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Count(ctx, c, nil, nil); err != nil || n != 0 {
		t.Errorf("%d objects in a dropped class, %v", n, err)
	}
}
