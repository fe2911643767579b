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

// TestReservedNames uses the names that SQLite has for itself, and more
// subjects than an expression may be deep.
func TestReservedNames(t *testing.T) {
	db := open(t, sqlite.Options{})
	c := schema.Complete(&schema.Class{Name: "sqlite_things", Fields: map[string]*schema.Field{}})
	o := &parse.Object{ClassName: c.Name, ID: "x", CreatedAt: 1, UpdatedAt: 1, ACL: parse.NewACL(parse.ACLEntry{Subject: "role:r1999", Read: true})}
	for _, name := range []string{"rowid", "oid", "rowId", "select", "index", "value"} {
		c.Fields[name] = &schema.Field{Name: name, Type: schema.String}
		o.Set(name, "v-"+name)
	}
	if err := db.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: c.Name, Def: c}}); err != nil {
		t.Fatal(err)
	}
	if err := db.Insert(t.Context(), c, []*parse.Object{o}); err != nil {
		t.Fatal(err)
	}
	for name := range c.Fields {
		if c.Fields[name].Type != schema.String || name == parse.KeyObjectID {
			continue
		}
		list, err := db.Find(t.Context(), &storage.Find{Class: c, Where: query.Equal(name, "v-"+name), Limit: 10, Order: []query.Sort{{Path: query.Path(name)}}})
		if err != nil || len(list) != 1 {
			t.Errorf("%s: %d objects, %v", name, len(list), err)
		}
	}
	subjects := []string{"*"}
	for i := range 2000 {
		subjects = append(subjects, fmt.Sprintf("role:r%d", i))
	}
	for last, want := range map[int]int{2001: 1, 2000: 0} {
		list, err := db.Find(t.Context(), &storage.Find{Class: c, Where: &query.Permission{Subjects: subjects[:last]}, Limit: 10})
		if err != nil || len(list) != want {
			t.Errorf("%d subjects: %d objects, %v", last, len(list), err)
		}
	}
}
