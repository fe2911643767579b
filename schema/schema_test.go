package schema_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"Game": true, "a_1": true, "_User": true, "_Join:fans:Game": true, "_Join:users:_Role": true,
		"": false, "1x": false, "a-b": false, "_Foo": false, "length": false, "constructor": false, "_Join:x": false, "Gämé": false,
	} {
		if got := schema.ValidClassName(name); got != want {
			t.Errorf("ValidClassName(%q) = %v", name, got)
		}
	}
	for name, want := range map[string]bool{"score": true, "a_1": true, "_x": false, "1x": false, "a.b": false, "length": false, "className": false, "toString": false} {
		if got := schema.ValidFieldName(name, "Game"); got != want {
			t.Errorf("ValidFieldName(%q) = %v", name, got)
		}
	}
	if !schema.ValidFieldName("className", "_Hooks") {
		t.Error("_Hooks has a field className")
	}
}

func TestTypeOf(t *testing.T) {
	t.Parallel()
	p := parse.Pointer{ClassName: "Foo", ObjectID: "x"}
	for _, tc := range []struct {
		v    parse.Value
		want string
	}{
		{true, "Boolean"},
		{1.5, "Number"},
		{parse.Int(1 << 60), "Number"},
		{"s", "String"},
		{parse.Date(1), "Date"},
		{p, "Pointer<Foo>"},
		{&parse.Object{ClassName: "Foo"}, "Pointer<Foo>"},
		{parse.Relation{ClassName: "Foo"}, "Relation<Foo>"},
		{parse.GeoPoint{}, "GeoPoint"},
		{&parse.Polygon{}, "Polygon"},
		{parse.File{}, "File"},
		{parse.Bytes("x"), "Bytes"},
		{parse.Array{}, "Array"},
		{&parse.Map{}, "Object"},
		{parse.Increment{}, "Number"},
		{parse.Add{}, "Array"},
		{parse.AddUnique{}, "Array"},
		{parse.Remove{}, "Array"},
		{parse.AddRelation{Objects: []parse.Pointer{p}}, "Relation<Foo>"},
		{parse.Batch{Ops: []parse.Op{parse.RemoveRelation{Objects: []parse.Pointer{p}}}}, "Relation<Foo>"},
		{nil, ""},
		{parse.Delete{}, ""},
		{parse.AddRelation{}, ""},
		{parse.Batch{}, ""},
	} {
		typ, target, ok := schema.TypeOf(tc.v)
		if got := schema.TypeString(typ, target); got != tc.want || ok != (tc.want != "") {
			t.Errorf("TypeOf(%#v) = %q, %v; want %q", tc.v, got, ok, tc.want)
		}
	}
}

func TestSystemClasses(t *testing.T) {
	t.Parallel()
	for _, c := range schema.SystemClasses() {
		if !schema.IsSystem(c.Name) || c.Field("objectId") == nil || c.Field("ACL").Type != schema.ACL {
			t.Errorf("%s is not complete", c.Name)
		}
	}
	unique := map[string][]string{}
	for _, name := range []string{"_User", "_Session", "_Role"} {
		for _, ix := range schema.SystemClass(name).Indexes {
			if ix.Unique && ix.Sparse && !ix.CaseInsensitive {
				unique[name] = append(unique[name], ix.Keys[0].Field)
			}
		}
	}
	if diff := cmp.Diff(map[string][]string{"_User": {"username", "email"}, "_Session": {"sessionToken"}, "_Role": {"name"}}, unique); diff != "" {
		t.Error(diff)
	}
	if schema.IsVolatile("_User") || !schema.IsVolatile("_Hooks") || schema.SystemClass("Game") != nil {
		t.Error("volatile classes")
	}
}

func game(fields ...*schema.Field) *schema.Class {
	c := &schema.Class{Name: "Game", Fields: map[string]*schema.Field{}}
	for _, f := range fields {
		c.Fields[f.Name] = f
	}
	return c
}

func TestDiffAndApply(t *testing.T) {
	t.Parallel()
	score := &schema.Field{Name: "score", Type: schema.Number}
	have := schema.NewSnapshot(3, schema.Complete(game(score, &schema.Field{Name: "old", Type: schema.String})))
	want := game(&schema.Field{Name: "score", Type: schema.Number, Required: true}, &schema.Field{Name: "name", Type: schema.String})
	want.Indexes = []schema.Index{{Name: "byName", Keys: []schema.IndexKey{{Field: "name"}}}}
	want.CLP = &schema.CLP{Ops: map[schema.Operation]*schema.Permission{schema.Find: {Public: true}}}
	want.Comment = "games"
	steps, err := schema.Diff(have, []*schema.Class{want, {Name: "New"}})
	if err != nil {
		t.Fatal(err)
	}
	kinds := make([]schema.StepKind, len(steps))
	for i := range steps {
		kinds[i] = steps[i].Kind
	}
	if diff := cmp.Diff([]schema.StepKind{schema.AddFieldStep, schema.AddFieldStep, schema.SetCLP, schema.AddIndex, schema.SetMeta, schema.CreateClass}, kinds); diff != "" {
		t.Fatal(diff)
	}
	next, err := schema.Apply(have, steps)
	if err != nil {
		t.Fatal(err)
	}
	c := next.Class("Game")
	if next.Version != 4 || !c.Field("score").Required || c.Field("old") == nil || c.Comment != "games" || next.Class("New") == nil {
		t.Errorf("after: %v", c.Map())
	}
	if have.Class("Game").Field("name") != nil || have.Class("New") != nil {
		t.Error("Apply changed the old snapshot")
	}
	if again, err := schema.Diff(next, []*schema.Class{want, {Name: "New"}}); err != nil || len(again) != 0 {
		t.Errorf("second Diff: %v, %v", again, err)
	}
	want.Indexes[0].Unique = true
	if steps, _ := schema.Diff(next, []*schema.Class{want}); len(steps) != 2 || steps[0].Kind != schema.DropIndex || steps[1].Kind != schema.AddIndex {
		t.Errorf("changed index: %v", steps)
	}
	dropped, err := schema.Apply(next, []schema.Step{
		{Kind: schema.DropField, Class: "Game", Field: &schema.Field{Name: "name"}}, {Kind: schema.DropClass, Class: "New"},
	})
	if err != nil || dropped.Class("Game").Field("name") != nil || len(dropped.Class("Game").Indexes) != 0 || len(dropped.Classes()) != 1 {
		t.Errorf("drop: %v", err)
	}
	_, err = schema.Diff(have, []*schema.Class{game(&schema.Field{Name: "score", Type: schema.Pointer, TargetClass: "_User"})})
	if parse.CodeOf(err) != parse.IncorrectType || errText(err) != "schema mismatch for Game.score; it is stored as Number but defined as Pointer<_User>: "+
		"define it as stored, or give the new field another name" {
		t.Errorf("conflict: %v", err)
	}
	for _, bad := range []schema.Step{
		{Kind: schema.CreateClass, Class: "Game", Def: game()},
		{Kind: schema.SetCLP, Class: "Nope"},
		{Kind: schema.AddFieldStep, Class: "Game", Field: &schema.Field{Name: "score", Type: schema.String}},
		{Kind: 99, Class: "Game"},
	} {
		if _, err := schema.Apply(have, []schema.Step{bad}); err == nil {
			t.Errorf("step %v is accepted", bad)
		}
	}
}

// fakeStore keeps classes as a database does.
type fakeStore struct {
	have *schema.Snapshot
	fail error
	runs int
}

func (f *fakeStore) LoadSchema(context.Context) ([]*schema.Class, error) {
	return f.have.Classes(), f.fail
}

func (f *fakeStore) ApplySchema(_ context.Context, steps []schema.Step) (err error) {
	if f.fail != nil {
		return f.fail
	}
	f.runs++
	f.have, err = schema.Apply(f.have, steps)
	return err
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	stored := game(&schema.Field{Name: "score", Type: schema.Number, ValidateJSON: []byte(`{"minimum":1}`)})
	store := &fakeStore{have: schema.NewSnapshot(0, stored, &schema.Class{Name: "_User"})}
	r := schema.NewRegistry(store)
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := r.Current()
	if s.Class("_Session") == nil || s.Class("_User").Field("username") == nil || len(s.Class("_User").Indexes) != 6 {
		t.Error("system classes are not complete")
	}
	if err := s.Class("Game").Field("score").Validate.Validate(0.0); err == nil {
		t.Error("stored validate is not compiled")
	}
	runs := store.runs
	if err := r.Load(t.Context()); err != nil || store.runs != runs {
		t.Errorf("second Load wrote: %v", err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := r.Apply(t.Context(), func(s *schema.Snapshot) ([]schema.Step, error) {
				return schema.Diff(s, []*schema.Class{game(&schema.Field{Name: "f" + string(rune('a'+i%5)), Type: schema.Number},
					&schema.Field{Name: "score", Type: schema.Number, ValidateJSON: []byte(`{"minimum":1}`)})})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if store.runs != runs+5 {
		t.Errorf("%d writes for five fields", store.runs-runs)
	}
	before, broken := r.Current(), errors.New("disk full")
	store.fail = broken
	_, err := r.Apply(t.Context(), func(*schema.Snapshot) ([]schema.Step, error) {
		return []schema.Step{{Kind: schema.DropClass, Class: "Game"}}, nil
	})
	if !errors.Is(err, broken) || r.Current() != before {
		t.Errorf("after a failure: %v, changed %v", err, r.Current() != before)
	}
	if err := r.Load(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Load: %v", err)
	}
}
