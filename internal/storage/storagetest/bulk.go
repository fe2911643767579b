package storagetest

import (
	"errors"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// testBulk: many writes at once, of which some fail, end as if each had been
// made alone.
func testBulk(t *testing.T, s storage.Store) {
	c := create(t, s, NewClass("Bulk", schema.Index{Name: "s_1", Keys: []schema.IndexKey{{Field: "s"}}, Unique: true, Sparse: true}))
	var list []*parse.Object
	for _, o := range []struct{ id, s string }{{"1", "a"}, {"2", "b"}, {"3", "a"}, {"1", "c"}, {"4", "d"}} {
		list = append(list, object(t, c.Name, o.id, `{"s":"`+o.s+`"}`))
	}
	outcome := func(err error) string {
		var dup *storage.DuplicateError
		switch {
		case err == nil:
			return "done"
		case errors.As(err, &dup):
			return dup.Index
		case errors.Is(err, storage.ErrNotFound):
			return "none"
		}
		return err.Error()
	}
	// The order in which a database takes many objects is its own: only that
	// the second of two equal ones fails is sure.
	errs := storage.InsertEach(t.Context(), s, c, list)
	for i, want := range []string{"done", "done", "s_1", parse.KeyObjectID, "done"} {
		var err error
		if errs != nil {
			err = errs[i]
		}
		if got := outcome(err); got != want {
			t.Errorf("insert %d: %s, want %s", i, got, want)
		}
	}
	set := func(id, value string) *storage.Update {
		return &storage.Update{Class: c, Where: query.ByID(id), Ops: parse.NewMap(parse.MapField{Key: "s", Value: value}), UpdatedAt: 5000}
	}
	updates := []*storage.Update{set("1", "x"), set("9", "y"), set("2", "d")}
	out := storage.UpdateEach(t.Context(), s, updates)
	for i, want := range []string{"done", "none", "s_1"} {
		r := out[i]
		if got := outcome(r.Err); got != want {
			t.Errorf("update %d: %s, want %s", i, got, want)
		}
		if r.Err == nil && (r.Before.String("s") != "a" || r.After.String("s") != "x") {
			t.Errorf("update %d: before %v, after %v", i, r.Before, r.After)
		}
	}
	rest, err := s.Find(t.Context(), &storage.Find{Class: c, Order: []query.Sort{{Path: parse.KeyObjectID}}, Limit: query.NoLimit})
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for _, o := range rest {
		got += o.ID + o.String("s") + " "
	}
	if got != "1x 2b 4d " {
		t.Errorf("stored %q", got)
	}
}
