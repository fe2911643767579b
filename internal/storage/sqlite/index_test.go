package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func TestUniqueIndexes(t *testing.T) {
	on := func(name string, ix schema.Index, keys ...string) schema.Index {
		ix.Name = name
		ix.Unique = true
		for _, k := range keys {
			ix.Keys = append(ix.Keys, schema.IndexKey{Field: k})
		}
		return ix
	}
	object := func(id string, fields ...parse.MapField) *parse.Object {
		return &parse.Object{ClassName: "Thing", ID: id, CreatedAt: 1, UpdatedAt: 1, Fields: *parse.NewMap(fields...)}
	}
	str := func(key, s string) parse.MapField { return parse.MapField{Key: key, Value: s} }
	nested := func(s string) parse.MapField { return parse.MapField{Key: "o", Value: parse.NewMap(str("k", s))} }
	for name, tc := range map[string]struct {
		index schema.Index
		a, b  []parse.MapField
		dup   bool
	}{
		"folded":              {on("ci", schema.Index{Sparse: true, CaseInsensitive: true}, "s"), []parse.MapField{str("s", "Äx")}, []parse.MapField{str("s", "äX")}, true},
		"folded, different":   {on("ci", schema.Index{Sparse: true, CaseInsensitive: true}, "s"), []parse.MapField{str("s", "a")}, []parse.MapField{str("s", "b")}, false},
		"missing, sparse":     {on("x", schema.Index{Sparse: true}, "s"), nil, nil, false},
		"missing, not sparse": {on("x", schema.Index{}, "s"), nil, nil, true},
		"half missing":        {on("x", schema.Index{}, "s", "t"), []parse.MapField{str("s", "a")}, []parse.MapField{str("s", "a")}, true},
		"half different":      {on("x", schema.Index{}, "s", "t"), []parse.MapField{str("s", "a")}, []parse.MapField{str("s", "b")}, false},
		"nested":              {on("x", schema.Index{Sparse: true}, "o.k"), []parse.MapField{nested("v")}, []parse.MapField{nested("v")}, true},
		"nested, different":   {on("x", schema.Index{Sparse: true}, "o.k"), []parse.MapField{nested("v")}, []parse.MapField{nested("w")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := storagetest.NewClass("Thing", tc.index)
			for kind, s := range map[string]storage.Store{"sqlite": open(t, sqlite.Options{}), "model": storagetest.NewModel()} {
				if err := s.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: "Thing", Def: c}}); err != nil {
					t.Fatal(err)
				}
				if err := s.Insert(t.Context(), c, []*parse.Object{object("a", tc.a...)}); err != nil {
					t.Fatal(err)
				}
				err := s.Insert(t.Context(), c, []*parse.Object{object("b", tc.b...)})
				var dup *storage.DuplicateError
				if errors.As(err, &dup) != tc.dup || dup != nil && dup.Index != tc.index.Name || dup == nil && err != nil {
					t.Errorf("%s: %v, want duplicate: %v", kind, err, tc.dup)
				}
			}
		})
	}
}

// Of several violated indexes the first of the class is told.
func TestFirstDuplicate(t *testing.T) {
	user := schema.SystemClass(schema.UserClass)
	s := open(t, sqlite.Options{})
	if err := s.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: schema.UserClass, Def: user}}); err != nil {
		t.Fatal(err)
	}
	object := func(id, username, email string) []*parse.Object {
		return []*parse.Object{{ClassName: schema.UserClass, ID: id, CreatedAt: 1, UpdatedAt: 1, Fields: *parse.NewMap(
			parse.MapField{Key: "username", Value: username}, parse.MapField{Key: "email", Value: email})}}
	}
	if err := s.Insert(t.Context(), user, object("a", "x", "x@y")); err != nil {
		t.Fatal(err)
	}
	for username, want := range map[string]string{"x": "username_1", "X": "case_insensitive_username", "z": "email_1"} {
		var dup *storage.DuplicateError
		if err := s.Insert(t.Context(), user, object("b", username, "x@y")); !errors.As(err, &dup) || dup.Index != want {
			t.Errorf("username %s: %v, want a duplicate in %s", username, err, want)
		}
	}
}

func TestOpenForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), "CREATE TABLE other (x)"); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil {
		t.Errorf("foreign database opened: %v", db.Close())
	}
}

// TestStrictWithoutIndex finds in a strict order by an index that the class
// declares and the database does not have.
func TestStrictWithoutIndex(t *testing.T) {
	db := open(t, sqlite.Options{})
	with := storagetest.NewClass("Thing", schema.Index{Name: "n", Keys: []schema.IndexKey{{Field: "n"}}})
	if err := db.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: "Thing", Def: storagetest.NewClass("Thing")}}); err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"b", "a", "c"} {
		o := &parse.Object{ClassName: "Thing", ID: id, CreatedAt: 1, UpdatedAt: 1, Fields: *parse.NewMap(parse.MapField{Key: "n", Value: float64(i / 2)})}
		if err := db.Insert(t.Context(), with, []*parse.Object{o}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := db.Find(t.Context(), &storage.Find{Class: with, Order: []query.Sort{{Path: "n"}, {Path: "objectId"}}, Strict: true, Limit: 10})
	if err != nil || len(found) != 3 || found[0].ID+found[1].ID+found[2].ID != "abc" {
		t.Errorf("%v, %v", found, err)
	}
}

// TestTextOfOldFile opens a file that records a text index and has none, as
// files had it from before there were any.
func TestTextOfOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	def := storagetest.NewClass("Thing", *storagetest.TextIndex("s"))
	add := func(db *sqlite.DB, class *schema.Class, id, text string) {
		t.Helper()
		o := &parse.Object{ClassName: "Thing", ID: id, CreatedAt: 1, UpdatedAt: 1, Fields: *parse.NewMap(parse.MapField{Key: "s", Value: text})}
		if err := db.Insert(t.Context(), class, []*parse.Object{o}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: "Thing", Def: def}}); err != nil {
		t.Fatal(err)
	}
	add(db, def, "a", "green teas")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	var drops []string
	rows, err := raw.QueryContext(t.Context(), `SELECT 'DROP ' || type || ' "' || name || '"' AS drops FROM sqlite_schema
		WHERE type = 'trigger' OR sql LIKE 'CREATE VIRTUAL TABLE%' OR type = 'index' AND sql LIKE '%"~~s"%'
		UNION SELECT 'ALTER TABLE "' || name || '" DROP COLUMN "~~s"' FROM sqlite_schema WHERE sql LIKE 'CREATE TABLE%"~~s"%'
		ORDER BY drops DESC`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var drop string
		if err := rows.Scan(&drop); err != nil {
			t.Fatal(err)
		}
		drops = append(drops, drop)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(drops) != 7 {
		t.Fatalf("%q, %v; want four triggers, a table, an index and a column", drops, err)
	}
	for _, drop := range drops {
		if _, err := raw.ExecContext(t.Context(), drop); err != nil {
			t.Fatalf("%s: %v", drop, err)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	n, err := query.NewText("s", "tea", "", false, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // the second time it is there
		db := open(t, sqlite.Options{Path: path})
		add(db, def, fmt.Sprint("b", i), "a cup of tea")
		found, err := db.Find(t.Context(), &storage.Find{Class: def, Where: n, Limit: 10})
		if err != nil || len(found) != 2+i {
			t.Errorf("%d objects, %v; want %d", len(found), err, 2+i)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
