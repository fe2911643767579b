package mongo_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// startUp does with the schema what a server does when it starts, and returns
// the steps that the schema file took.
func startUp(t *testing.T, s storage.Store, want []*schema.Class) (*schema.Registry, []schema.Step) {
	t.Helper()
	reg := schema.NewRegistry(s)
	if err := reg.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	var steps []schema.Step
	_, err := reg.Apply(t.Context(), func(have *schema.Snapshot) (_ []schema.Step, err error) {
		steps, err = schema.Diff(have, want)
		return steps, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return reg, steps
}

func key(name string) bson.D { return bson.D{{Key: name, Value: int32(1)}} }

// parseIndexes are the indexes that Parse Server gives to _User.
func parseIndexes() []driver.IndexModel {
	fold := &options.Collation{Locale: "en_US", Strength: 2}
	on := func(name, path string) driver.IndexModel {
		return driver.IndexModel{Keys: key(path), Options: options.Index().SetName(name).SetSparse(true)}
	}
	list := []driver.IndexModel{
		on("username_1", "username"), on("email_1", "email"), on("_auth_data_anonymous_id", "_auth_data_anonymous.id"),
		on("case_insensitive_username", "username"), on("case_insensitive_email", "email"),
		on("_email_verify_token", "_email_verify_token"), on("_perishable_token", "_perishable_token"),
	}
	for i := range 3 {
		list[i].Options.SetUnique(true)
	}
	list[3].Options.SetCollation(fold)
	list[4].Options.SetCollation(fold)
	return list
}

// parseSchema is what Parse Server keeps of its classes.
func parseSchema() []any {
	class := func(name string, indexes bson.D, fields ...bson.E) bson.D {
		doc := bson.D{
			{Key: "_id", Value: name}, {Key: "objectId", Value: "string"}, {Key: "updatedAt", Value: "date"}, {Key: "createdAt", Value: "date"},
		}
		anyone := bson.D{{Key: "*", Value: true}}
		var clp bson.D
		for _, op := range []string{"find", "count", "get", "create", "update", "delete", "addField"} {
			clp = append(clp, bson.E{Key: op, Value: anyone})
		}
		clp = append(clp, bson.E{Key: "protectedFields", Value: bson.D{{Key: "*", Value: bson.A{}}}})
		return append(append(doc, fields...), bson.E{Key: "_metadata", Value: bson.D{
			{Key: "class_permissions", Value: clp},
			{Key: "indexes", Value: append(bson.D{{Key: "_id_", Value: key("_id")}}, indexes...)},
		}})
	}
	text := func(names ...string) (fields []bson.E) {
		for _, name := range names {
			fields = append(fields, bson.E{Key: name, Value: "string"})
		}
		return fields
	}
	return []any{
		class("_User",
			bson.D{
				{Key: "username_1", Value: key("username")},
				{Key: "email_1", Value: key("email")},
				{Key: "case_insensitive_username", Value: key("username")},
				{Key: "case_insensitive_email", Value: key("email")},
				{Key: "_email_verify_token", Value: key("_email_verify_token")},
				{Key: "_perishable_token", Value: key("_perishable_token")},
				{Key: "_auth_data_anonymous_id", Value: key("_auth_data_anonymous.id")},
			},
			append(text("username", "email"), bson.E{Key: "emailVerified", Value: "boolean"}, bson.E{Key: "authData", Value: "object"})...),
		class("_Role", bson.D{{Key: "name_1", Value: key("name")}},
			append(text("name"), bson.E{Key: "users", Value: "relation<_User>"}, bson.E{Key: "roles", Value: "relation<_Role>"})...),
		class("_Session", nil, append(text("sessionToken", "installationId"), bson.E{Key: "user", Value: "*_User"},
			bson.E{Key: "expiresAt", Value: "date"}, bson.E{Key: "createdWith", Value: "object"})...),
		class("Payment", nil, append(text("transaction_id", "status"), bson.E{Key: "amount", Value: "number"}, bson.E{Key: "user", Value: "*_User"})...),
	}
}

// A server that starts again finds nothing to do, on a database of its own and
// on one that Parse Server made.
func TestStartAgain(t *testing.T) {
	file, err := schema.LoadFile("../../../schema.json")
	if err != nil {
		t.Fatal(err)
	}
	made := func(t *testing.T, db *driver.Database) {
		t.Helper()
		if _, err := db.Collection("_SCHEMA").InsertMany(t.Context(), parseSchema()); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Collection("_User").Indexes().CreateMany(t.Context(), parseIndexes()); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Collection("_Role").Indexes().CreateOne(t.Context(), driver.IndexModel{
			Keys: key("name"), Options: options.Index().SetName("name_1").SetUnique(true).SetSparse(true),
		}); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		prepare func(*testing.T, *driver.Database)
	}{
		"empty":           {prepare: func(*testing.T, *driver.Database) {}},
		"of Parse Server": {prepare: made},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, db := open(t)
			tt.prepare(t, db)
			_, first := startUp(t, s, file.Classes)
			if len(first) == 0 {
				t.Error("the schema file was not applied")
			}
			for _, step := range first {
				if step.Class == schema.UserClass && step.Index != nil {
					t.Errorf("an index of users is changed: %+v", step.Index)
				}
			}
			if _, again := startUp(t, s, file.Classes); len(again) > 0 {
				t.Errorf("steps at the second start: %+v", again)
			}
			var real []struct {
				Name      string
				Unique    bool
				Collation struct{ Strength int }
			}
			cur, err := db.Collection("_User").Indexes().List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if err := cur.All(t.Context(), &real); err != nil {
				t.Fatal(err)
			}
			for _, r := range real {
				text := r.Name
				if r.Unique {
					text += " unique"
				}
				if r.Collation.Strength == 2 {
					text += " folded"
				}
				got = append(got, text)
			}
			slices.Sort(got)
			want := []string{
				"_auth_data_anonymous_id unique", "_email_verify_token", "_id_", "_perishable_token",
				"case_insensitive_email folded", "case_insensitive_username folded", "email_1 unique", "username_1 unique",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("indexes of users (-want +got):\n%s", diff)
			}
		})
	}
}

// anonymous is a user with an anonymous id; "" for a link that was cut.
func anonymous(user, id string) *parse.Object {
	var link parse.Value
	if id != "" {
		link = parse.NewMap(f("id", id))
	}
	o := object(user, f("username", user), f("authData", parse.NewMap(f("anonymous", link))))
	o.ClassName = schema.UserClass
	return o
}

func TestAnonymousIndex(t *testing.T) {
	s, db := open(t)
	reg, _ := startUp(t, s, nil)
	users := reg.Current().Class(schema.UserClass)
	insert(t, s, users, anonymous("a", "x"), anonymous("b", "y"), anonymous("c", ""), anonymous("d", ""))
	link := parse.NewMap(f("authData.anonymous.id", "y"))
	for name, write := range map[string]func() error{
		"insert": func() error { return s.Insert(t.Context(), users, []*parse.Object{anonymous("e", "x")}) },
		"update": func() error {
			_, _, err := s.Update(t.Context(), &storage.Update{Class: users, Where: query.ByID("a"), Ops: link, UpdatedAt: 2})
			return err
		},
	} {
		var dup *storage.DuplicateError
		err := write()
		if !errors.As(err, &dup) || dup.Index != "_auth_data_anonymous_id" {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Users who share an id already keep the server from nothing.
	if err := db.Collection("_User").Indexes().DropOne(t.Context(), "_auth_data_anonymous_id"); err != nil {
		t.Fatal(err)
	}
	insert(t, s, users, anonymous("e", "x"))
	again := reopen(t, db)
	if _, steps := startUp(t, again, nil); len(steps) != 0 {
		t.Errorf("steps: %+v", steps)
	}
	if _, err := s.Delete(t.Context(), users, query.ByID("e")); err != nil {
		t.Fatal(err)
	}
	startUp(t, reopen(t, db), nil) // made for the database as it is found
	var dup *storage.DuplicateError
	if err := s.Insert(t.Context(), users, []*parse.Object{anonymous("e", "x")}); !errors.As(err, &dup) {
		t.Errorf("the index was not made: %v", err)
	}
}

// TestExpiry: the database removes ids of requests by itself.
func TestExpiry(t *testing.T) {
	s, db := open(t)
	def := schema.SystemClass("_Idempotency")
	if err := s.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: def.Name, Def: def}}); err != nil {
		t.Fatal(err)
	}
	cur, err := db.Collection(def.Name).Indexes().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var real []struct {
		Name   string
		After  *int32 `bson:"expireAfterSeconds"`
		Unique bool
	}
	if err := cur.All(t.Context(), &real); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, r := range real {
		found[r.Name] = r.Unique || r.After != nil && *r.After == 0
	}
	if !found["reqId_1"] || !found["ttl"] {
		t.Errorf("indexes: %+v", real)
	}
}

// The schema has the indexes that the database has, whoever made or dropped them.
func TestIndexesByHand(t *testing.T) {
	s, db := open(t)
	reg, _ := startUp(t, s, []*schema.Class{{Name: "Game", Fields: map[string]*schema.Field{
		"n": {Name: "n", Type: schema.Number}, "s": {Name: "s", Type: schema.String}, "u": {Name: "u", Type: schema.Pointer, TargetClass: "_User"},
		"g": {Name: "g", Type: schema.GeoPoint},
	}, Indexes: []schema.Index{{Name: "made", Keys: []schema.IndexKey{{Field: "n"}}}, {Name: "kept", Keys: []schema.IndexKey{{Field: "s"}}, Unique: true, Sparse: true}}}})
	indexes := db.Collection("Game").Indexes()
	if err := indexes.DropOne(t.Context(), "made"); err != nil {
		t.Fatal(err)
	}
	if _, err := indexes.CreateMany(t.Context(), []driver.IndexModel{
		{Keys: bson.D{{Key: "_p_u", Value: 1.0}, {Key: "n", Value: -1}}, Options: options.Index().SetName("hand").SetUnique(true)},
		{Keys: bson.D{{Key: "s", Value: "text"}}, Options: options.Index().SetName("words")},
		{Keys: bson.D{{Key: "g", Value: "2dsphere"}}, Options: options.Index().SetName("places")},
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Collection("_User").Indexes().DropOne(t.Context(), "username_1"); err != nil {
		t.Fatal(err)
	}
	if err := reg.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := reg.Current().Class("Game").Indexes
	slices.SortFunc(got, func(a, b schema.Index) int { return strings.Compare(a.Name, b.Name) })
	want := []schema.Index{
		{Name: "hand", Keys: []schema.IndexKey{{Field: "u"}, {Field: "n", Desc: true}}, Unique: true},
		{Name: "kept", Keys: []schema.IndexKey{{Field: "s"}}, Unique: true, Sparse: true},
		{Name: "places", Keys: []schema.IndexKey{{Field: "g", Kind: "2dsphere"}}},
		{Name: "words", Keys: []schema.IndexKey{{Field: "s", Kind: "text"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
	// What a system class needs is made again.
	var names []string
	specs, err := db.Collection("_User").Indexes().ListSpecifications(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sp := range specs {
		names = append(names, sp.Name)
	}
	if !slices.Contains(names, "username_1") {
		t.Errorf("indexes of users: %v", names)
	}
}
