package sqlite_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// TestAnyOrder compares a query that a list of ids drives with the same one in
// order. The fields have the names of what the list is read from.
func TestAnyOrder(t *testing.T) {
	db := open(t, sqlite.Options{})
	c := schema.Complete(&schema.Class{Name: "Item", Fields: map[string]*schema.Field{}})
	for _, name := range []string{"value", "type", "key", "id", "json", "path"} {
		c.Fields[name] = &schema.Field{Name: name, Type: schema.String}
	}
	if err := db.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: c.Name, Def: c}}); err != nil {
		t.Fatal(err)
	}
	var ids []parse.Value
	for i := range 40 {
		o := &parse.Object{ClassName: c.Name, ID: fmt.Sprintf("id%02d", (i*17)%40), CreatedAt: 1, UpdatedAt: 1}
		o.Set("value", fmt.Sprint("v", i%3))
		o.Set("type", "text")
		o.Set("id", o.ID)
		if i%5 == 0 {
			o.ACL = parse.NewACL(parse.ACLEntry{Subject: "u", Read: true})
		}
		if err := db.Insert(t.Context(), c, []*parse.Object{o}); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			ids = append(ids, o.ID, o.ID) // twice
		}
	}
	ids = append(ids, "none", `"`, "", "é")
	in := &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids}
	for name, where := range map[string]query.Node{
		"ids alone":     in,
		"and a field":   query.AllOf(query.Equal("value", "v1"), in),
		"and rights":    query.AllOf(in, &query.Permission{Subjects: []string{"*"}}),
		"two lists":     query.AllOf(in, &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids[:10]}),
		"in a choice":   &query.Or{Nodes: []query.Node{in, query.Equal("value", "v2")}},
		"and a pattern": query.AllOf(in, &query.Regex{Path: "id", Pattern: "2$"}),
		"null in it":    &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: append(slices.Clone(ids), nil)},
		"a short list":  &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids[:3]},
		"no condition":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			var got [2][]string
			for i, anyOrder := range []bool{false, true} {
				list, err := db.Find(t.Context(), &storage.Find{Class: c, Where: where, Limit: query.NoLimit, AnyOrder: anyOrder})
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range list {
					got[i] = append(got[i], o.ID)
				}
				slices.Sort(got[i])
			}
			if diff := cmp.Diff(got[0], got[1]); diff != "" || len(got[0]) == 0 {
				t.Error(diff)
			}
		})
	}
}
