package storagetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// ClassOf returns the definition of a class as a store has it; nil if it has none.
func ClassOf(t testing.TB, s storage.Store, name string) *schema.Class {
	t.Helper()
	classes, err := s.LoadSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range classes {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func testSchema(t *testing.T, s storage.Store) {
	def := NewClass("Thing")
	def.Comment, def.OwnerField, def.OwnerRoles, def.OwnerWriteRoles = "all about it", "p", []string{"Support"}, []string{"Support"}
	def.Fields["s"] = &schema.Field{Name: "s", Type: schema.String, Required: true, Default: "none", Comment: "a text", ValidateJSON: []byte(`{"maxLength":9}`)}
	def.CLP = &schema.CLP{Ops: map[schema.Operation]*schema.Permission{
		schema.Find: {Public: true}, schema.Get: {RequiresAuthentication: true},
		schema.Update: {Subjects: map[string]bool{"role:Admin": true}}, schema.Aggregate: {RequiresAuthentication: true, PointerFields: []string{"p"}},
	}, Protected: map[string][]string{"*": {"t"}}}
	index := schema.Index{Name: "n_1_s_-1", Keys: []schema.IndexKey{{Field: "n"}, {Field: "s", Desc: true}}}
	unique := schema.Index{Name: "t_1", Keys: []schema.IndexKey{{Field: "t"}}, Unique: true, Sparse: true}
	apply := func(steps ...schema.Step) {
		t.Helper()
		for range 2 { // a step that is done already is no error
			if err := s.ApplySchema(t.Context(), steps); err != nil {
				t.Fatalf("apply %v: %v", steps, err)
			}
		}
	}
	apply(schema.Step{Kind: schema.CreateClass, Class: "Thing", Def: def})
	apply(schema.Step{Kind: schema.AddIndex, Class: "Thing", Index: &index}, schema.Step{Kind: schema.AddIndex, Class: "Thing", Index: &unique})
	apply(schema.Step{Kind: schema.AddFieldStep, Class: "Thing", Field: &schema.Field{Name: "added", Type: schema.Number}})
	c := ClassOf(t, s, "Thing")
	if c == nil {
		t.Fatal("class is not stored")
	}
	for name, want := range def.Fields {
		got := c.Field(name)
		if name == "objectId" || name == "createdAt" || name == "updatedAt" || name == "ACL" {
			continue // added by the registry, whether stored or not
		}
		if got == nil || got.Type != want.Type || got.TargetClass != want.TargetClass || got.Required != want.Required ||
			!parse.Equal(got.Default, want.Default) || got.Comment != want.Comment || string(got.ValidateJSON) != string(want.ValidateJSON) {
			t.Errorf("field %s is %+v, want %+v", name, got, want)
		}
	}
	if diff := cmp.Diff(string(parse.AppendJSON(nil, def.CLP.Map())), string(parse.AppendJSON(nil, c.CLP.Map()))); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]schema.Index{index, unique}, c.Indexes); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
	if c.Comment != def.Comment || c.OwnerField != "p" || len(c.OwnerRoles) != 1 || len(c.OwnerWriteRoles) != 1 {
		t.Errorf("class is %+v", c)
	}
	insert(t, s, c, object(t, "Thing", "x1", `{"added":5,"n":1,"s":"a","t":"same"}`))
	var dup *storage.DuplicateError
	if err := s.Insert(t.Context(), c, []*parse.Object{object(t, "Thing", "x2", `{"t":"same"}`)}); !errors.As(err, &dup) || dup.Index != "t_1" {
		t.Errorf("unique index: %v", err)
	}
	apply(schema.Step{Kind: schema.DropIndex, Class: "Thing", Index: &schema.Index{Name: "t_1"}},
		schema.Step{Kind: schema.SetCLP, Class: "Thing"},
		schema.Step{Kind: schema.SetMeta, Class: "Thing", Def: &schema.Class{Name: "Thing", Comment: "new"}})
	c = ClassOf(t, s, "Thing")
	if c.Comment != "new" || c.OwnerField != "" || c.CLP != nil || len(c.Indexes) != 1 {
		t.Errorf("after changes: %+v", c)
	}
	insert(t, s, c, object(t, "Thing", "x2", `{"t":"same"}`))
	apply(schema.Step{Kind: schema.DropField, Class: "Thing", Field: &schema.Field{Name: "n", Type: schema.Number}})
	c = ClassOf(t, s, "Thing")
	if o := get(t, s, c, "x1"); c.Field("n") != nil || o.Fields.Has("n") || !o.Fields.Has("added") || len(c.Indexes) != 0 {
		t.Errorf("after dropping the field: %+v", c)
	}
	// Permissions may name a field that is gone.
	apply(schema.Step{Kind: schema.SetCLP, Class: "Thing", CLP: def.CLP},
		schema.Step{Kind: schema.DropField, Class: "Thing", Field: &schema.Field{Name: "t", Type: schema.String}})
	if c = ClassOf(t, s, "Thing"); c.CLP == nil || c.Field("t") != nil {
		t.Errorf("after dropping a protected field: %+v", c)
	}
	if err := s.AddRelated(t.Context(), storage.Join{Class: "Thing", Key: "r"}, "x1", []string{"m"}); err != nil {
		t.Fatal(err)
	}
	apply(schema.Step{Kind: schema.DropClass, Class: "Thing"})
	if ClassOf(t, s, "Thing") != nil {
		t.Error("class is still there")
	}
	apply(schema.Step{Kind: schema.CreateClass, Class: "Thing", Def: def})
	if got := find(t, s, &storage.Find{Class: def, Limit: query.NoLimit}); len(got) != 0 {
		t.Errorf("new class has objects %v", got)
	}
	if members, err := s.Related(t.Context(), storage.Join{Class: "Thing", Key: "r"}, "x1"); err != nil || len(members) != 0 {
		t.Errorf("new class has members %v, %v", members, err)
	}
}

// testReload: what was stored is read as it was applied, so that reading again
// changes nothing.
func testReload(t *testing.T, s storage.Store) {
	def := NewClass("Thing")
	for name, v := range map[string]parse.Value{
		"s": "none", "n": 1.5, "b": false, "d": parse.Date(1577836800000), "o": parse.NewMap(parse.MapField{Key: "k", Value: parse.Array{1.0, parse.Date(5)}}),
		"raw": parse.Bytes("abc"), "at": parse.GeoPoint{Latitude: 1, Longitude: 2}, "p2": parse.Pointer{ClassName: "Thing", ObjectID: "x"}, "f2": parse.File{Name: "a.txt"},
	} {
		typ, target, _ := schema.TypeOf(v)
		def.Fields["d_"+name] = &schema.Field{
			Name: "d_" + name, Type: typ, TargetClass: target, Default: v, Required: true,
			Extra: parse.NewMap(parse.MapField{Key: "colour", Value: "red"}), Comment: "what it is",
		}
	}
	def.Fields["checked"] = &schema.Field{Name: "checked", Type: schema.Number, ValidateJSON: []byte(`{"minimum":1}`)}
	def.CLP = &schema.CLP{Ops: map[schema.Operation]*schema.Permission{
		schema.Find: {Public: true}, schema.Get: {RequiresAuthentication: true, PointerFields: []string{"d_p2"}},
	}, Protected: map[string][]string{"*": {"s"}, "userField:d_p2": {}}, DefaultACL: parse.NewACL(parse.ACLEntry{Subject: "role:x", Read: true})}
	def.OwnerRoles, def.OwnerWriteRoles, def.Comment = []string{"Support"}, []string{"Admin"}, "all about it"
	def.Indexes = []schema.Index{
		{Name: "z", Keys: []schema.IndexKey{{Field: "d_n"}, {Field: "createdAt", Desc: true}}},
		{Name: "a", Keys: []schema.IndexKey{{Field: "d_p2"}}, Sparse: true},
		{Name: "inside", Keys: []schema.IndexKey{{Field: "d_o.k"}, {Field: "objectId"}}},
	}
	reg := schema.NewRegistry(s)
	if err := reg.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []schema.Step{
		{Kind: schema.CreateClass, Class: "Thing", Def: def},
		{Kind: schema.AddFieldStep, Class: "_User", Field: &schema.Field{Name: "nick", Type: schema.String, Default: "none"}},
		{Kind: schema.SetCLP, Class: "_User", CLP: def.CLP},
		{Kind: schema.CreateClass, Class: "_Product", Def: schema.SystemClass("_Product")},
		{Kind: schema.CreateClass, Class: "_Hooks", Def: schema.SystemClass("_Hooks")},
	} {
		if _, err := reg.Apply(t.Context(), func(*schema.Snapshot) ([]schema.Step, error) { return []schema.Step{step}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Insert(t.Context(), schema.SystemClass("_Hooks"), []*parse.Object{object(t, "_Hooks", "h", `{"url":"x"}`)}); err != nil {
		t.Fatal(err)
	}
	before := reg.Current()
	if err := reg.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reg.Current() == before {
		return
	}
	for _, c := range before.Classes() {
		now := reg.Current().Class(c.Name)
		if now == nil {
			t.Errorf("class %s is gone", c.Name)
		} else if diff := cmp.Diff(string(parse.AppendJSON(nil, c.Map())), string(parse.AppendJSON(nil, now.Map()))); diff != "" {
			t.Errorf("class %s (-applied +read):\n%s", c.Name, diff)
		}
	}
	if !t.Failed() {
		t.Error("the schema changed by being read")
	}
}
