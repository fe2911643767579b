package postgres_test

import (
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// A text that is sought but for case leads to no more than the condition lets
// by, by the index on lower(…) where it has letters of ASCII alone.
func TestFindFolded(t *testing.T) {
	s := open(t, place(t))
	class := storagetest.NewClass("Folded")
	if err := s.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: class.Name, Def: class}}); err != nil {
		t.Fatal(err)
	}
	var objects []*parse.Object
	for _, name := range []string{"Ann", "ann", "anna", "A.n", "Änn", "änn"} {
		o := &parse.Object{ClassName: class.Name, ID: name, CreatedAt: 1, UpdatedAt: 1}
		o.Set("s", name)
		objects = append(objects, o)
	}
	if err := s.Insert(t.Context(), class, objects); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, pattern, folded, want string }{
		{"any case", "^ANN$", "ANN", "Ann ann"},
		{"the text is no pattern", `^a\.n$`, "a.n", "A.n"},
		{"the text leads", "^a", "ANNA", "anna"},
		{"the condition decides", "^b", "ann", ""},
		{"beyond ASCII the condition alone", "^äNN$", "äNN", "Änn änn"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, err := s.Find(t.Context(), &storage.Find{
				Class: class, Where: &query.Regex{Path: "s", Pattern: tt.pattern, Options: "i"}, Limit: query.NoLimit,
				Order: []query.Sort{{Path: "objectId"}}, Folded: &query.Compare{Path: "s", Op: query.Eq, Value: tt.folded},
			})
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, o := range list {
				ids = append(ids, o.ID)
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
