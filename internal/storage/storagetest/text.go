package storagetest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// TextIndex is a text index on a field.
func TextIndex(field string) *schema.Index {
	return &schema.Index{Name: field + "_text", Keys: []schema.IndexKey{{Field: field, Kind: "text"}}}
}

func textQuery(search string) string { return `{"s":{"$text":{"$search":` + search + `}}}` }

// testText searches without an index, with one that is made over what is there,
// and after every kind of write.
func testText(t *testing.T, s storage.Store) {
	c := create(t, s, NewClass("Text"))
	insert(t, s, c,
		object(t, c.Name, "shop", `{"n":1,"s":"Coffee shop"}`),
		object(t, c.Name, "cake", `{"n":2,"s":"Coffee cake and more cakes"}`),
		object(t, c.Name, "tea", `{"n":3,"s":"tea"}`),
		object(t, c.Name, "none", `{"n":4}`),
		object(t, c.Name, "null", `{"n":5,"s":null}`),
		object(t, c.Name, "other", `{"n":6,"t":"coffee","a":["coffee","x"]}`),
	)
	check := func(when string) {
		t.Helper()
		for _, tc := range []struct {
			where string
			order []query.Sort
			want  []string
		}{
			{textQuery(`{"$term":"coffee"}`), nil, []string{"cake", "shop"}},
			{textQuery(`{"$term":"COFFEES cakes"}`), []query.Sort{{Path: query.ScoreField, Desc: true}}, []string{"cake", "shop"}},
			{textQuery(`{"$term":"coffee -cake"}`), nil, []string{"shop"}},
			{textQuery(`{"$term":"\"coffee shop\""}`), nil, []string{"shop"}},
			{textQuery(`{"$term":"and"}`), nil, []string{}},
			{textQuery(`{"$term":"Coffee","$caseSensitive":true}`), nil, []string{"cake", "shop"}},
			{textQuery(`{"$term":"coffee","$caseSensitive":true}`), nil, []string{}},
			{textQuery(`{"$term":"cofféé","$diacriticSensitive":true}`), nil, []string{}},
			{`{"n":{"$gt":1},"s":{"$text":{"$search":{"$term":"coffee"}}}}`, nil, []string{"cake"}},
			{`{"$and":[{"n":{"$lt":9}},{"s":{"$text":{"$search":{"$term":"tea coffee"}}}}]}`, []query.Sort{{Path: "n", Desc: true}}, []string{"tea", "cake", "shop"}},
			{`{"$or":[{"n":4},{"s":{"$text":{"$search":{"$term":"tea"}}}}]}`, nil, []string{"none", "tea"}},
			{`{"$nor":[{"s":{"$text":{"$search":{"$term":"coffee"}}}}]}`, nil, []string{"none", "null", "other", "tea"}},
			{`{"a":{"$text":{"$search":{"$term":"coffee"}}}}`, nil, []string{"other"}},
			{`{"n":{"$text":{"$search":{"$term":"1"}}}}`, nil, []string{}},
		} {
			f := &storage.Find{Class: c, Where: where(t, tc.where), Order: tc.order, Limit: query.NoLimit, Score: true}
			list, err := s.Find(t.Context(), f)
			if err != nil {
				t.Errorf("%s: %s: %v", when, tc.where, err)
				continue
			}
			got := ids(list)
			if tc.order == nil {
				slices.Sort(got)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", when, tc.where, diff)
			}
			if n, err := s.Count(t.Context(), c, f.Where, nil); err != nil || int(n) != len(tc.want) {
				t.Errorf("%s: count of %s: %d, %v", when, tc.where, n, err)
			}
			for _, o := range list {
				if o.ID == "cake" && (!o.Fields.Has("s") || !o.Fields.Has("n")) {
					t.Errorf("%s: %s: fields are missing: %s", when, tc.where, text(o))
				}
				if score, ok := o.Number(query.ScoreField); query.TextOf(f.Where) != nil && (!ok || score <= 0) {
					t.Errorf("%s: %s: score of %s is %v", when, tc.where, o.ID, score)
				}
			}
		}
		page := find(t, s, &storage.Find{
			Class: c, Where: where(t, textQuery(`{"$term":"coffee tea"}`)), Order: []query.Sort{{Path: query.ScoreField, Desc: true}}, Skip: 1, Limit: 1, Score: true,
		})
		if len(page) != 1 {
			t.Errorf("%s: a page has %v", when, page)
		}
	}
	check("without an index")
	index := TextIndex("s")
	apply(t, s, schema.Step{Kind: schema.AddIndex, Class: c.Name, Index: index})
	old := c
	c = schema.Complete(NewClass("Text", *index))
	check("with an index")
	apply(t, s, schema.Step{Kind: schema.AddIndex, Class: c.Name, Index: index}) // again
	check("with the index made twice")

	// Writes that know of the index, and some that were under way when it came.
	set := func(c *schema.Class, id, text string) {
		t.Helper()
		u := &storage.Update{Class: c, Where: query.ByID(id), UpdatedAt: 9, Ops: parse.NewMap(parse.MapField{Key: "s", Value: text})}
		if _, _, err := s.Update(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	set(c, "shop", "milk")
	set(c, "null", "Coffee shop")
	set(old, "tea", "Coffee")
	set(old, "tea", "other")
	set(c, "tea", "tea")
	insert(t, s, old, object(t, c.Name, "late", `{"s":"tea"}`))
	for _, where := range []query.Node{query.ByID("shop"), query.ByID("late")} {
		if _, err := s.Delete(t.Context(), c, where); err != nil {
			t.Fatal(err)
		}
	}
	insert(t, s, c, object(t, c.Name, "shop", `{"n":1,"s":"Coffee shop"}`))
	if _, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("null"), UpdatedAt: 9, Ops: parse.NewMap(parse.MapField{Key: "s", Value: parse.Delete{}})}); err != nil {
		t.Fatal(err)
	}
	check("after writes")

	apply(t, s, schema.Step{Kind: schema.DropIndex, Class: c.Name, Index: index})
	indexed := c
	c = old
	set(old, "tea", "cake")
	check2 := find(t, s, &storage.Find{Class: c, Where: where(t, textQuery(`{"$term":"tea"}`)), Limit: 9})
	if len(check2) != 0 {
		t.Errorf("without the index: %v", check2)
	}
	set(old, "tea", "tea")
	check("without the index")
	apply(t, s, schema.Step{Kind: schema.AddIndex, Class: c.Name, Index: index})
	c = indexed
	check("with the index made anew")
	apply(t, s, schema.Step{Kind: schema.DropField, Class: c.Name, Field: c.Fields["s"]})
	def := ClassOf(t, s, c.Name)
	if len(def.Indexes) != 0 {
		t.Errorf("the index outlives its field: %v", def.Indexes)
	}
	if got := find(t, s, &storage.Find{Class: def, Where: where(t, textQuery(`{"$term":"tea"}`)), Limit: 9}); len(got) != 0 {
		t.Errorf("without the field: %v", got)
	}
	apply(t, s, schema.Step{Kind: schema.AddFieldStep, Class: c.Name, Field: &schema.Field{Name: "s", Type: schema.String}},
		schema.Step{Kind: schema.AddIndex, Class: c.Name, Index: index}, schema.Step{Kind: schema.DropClass, Class: c.Name},
		schema.Step{Kind: schema.CreateClass, Class: c.Name, Def: indexed})
	insert(t, s, indexed, object(t, c.Name, "new", `{"s":"coffee"}`))
	c = ClassOf(t, s, c.Name)
	if got := find(t, s, &storage.Find{Class: c, Where: where(t, textQuery(`{"$term":"coffee"}`)), Limit: 9}); !slices.Equal(got, []string{"new"}) {
		t.Errorf("in the new class: %v", got)
	}
}

func apply(t *testing.T, s storage.Store, steps ...schema.Step) {
	t.Helper()
	if err := s.ApplySchema(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
}
