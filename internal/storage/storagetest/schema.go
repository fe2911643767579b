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

func load(t *testing.T, s storage.Store, name string) *schema.Class {
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
		schema.Update: {Subjects: map[string]bool{"role:Admin": true}},
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
	c := load(t, s, "Thing")
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
	c = load(t, s, "Thing")
	if c.Comment != "new" || c.OwnerField != "" || c.CLP != nil || len(c.Indexes) != 1 {
		t.Errorf("after changes: %+v", c)
	}
	insert(t, s, c, object(t, "Thing", "x2", `{"t":"same"}`))
	apply(schema.Step{Kind: schema.DropField, Class: "Thing", Field: &schema.Field{Name: "n", Type: schema.Number}})
	c = load(t, s, "Thing")
	if o := get(t, s, c, "x1"); c.Field("n") != nil || o.Fields.Has("n") || !o.Fields.Has("added") || len(c.Indexes) != 0 {
		t.Errorf("after dropping the field: %+v", c)
	}
	// Permissions may name a field that is gone.
	apply(schema.Step{Kind: schema.SetCLP, Class: "Thing", CLP: def.CLP},
		schema.Step{Kind: schema.DropField, Class: "Thing", Field: &schema.Field{Name: "t", Type: schema.String}})
	if c = load(t, s, "Thing"); c.CLP == nil || c.Field("t") != nil {
		t.Errorf("after dropping a protected field: %+v", c)
	}
	if err := s.AddRelated(t.Context(), storage.Join{Class: "Thing", Key: "r"}, "x1", []string{"m"}); err != nil {
		t.Fatal(err)
	}
	apply(schema.Step{Kind: schema.DropClass, Class: "Thing"})
	if load(t, s, "Thing") != nil {
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
