package sqlite_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// BenchmarkText finds 100 of 10,000 objects by a word, the best ten first, and
// writes one, without and with a text index.
func BenchmarkText(b *testing.B) {
	for _, indexed := range []bool{false, true} {
		name := "scan"
		if indexed {
			name = "index"
		}
		db, c := benchStore(b, 10_000)
		if indexed {
			ix := storagetest.TextIndex("s")
			if err := db.ApplySchema(b.Context(), []schema.Step{{Kind: schema.AddIndex, Class: c.Name, Index: ix}}); err != nil {
				b.Fatal(err)
			}
			c = storagetest.NewClass(c.Name, byGroup, *ix)
		}
		n, err := query.NewText("s", "42", "", false, false)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/find", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				list, err := db.Find(b.Context(), &storage.Find{Class: c, Where: n, Limit: 10, Score: true, Order: []query.Sort{{Path: query.ScoreField, Desc: true}}})
				if err != nil || len(list) != 10 {
					b.Fatalf("%d objects, %v", len(list), err)
				}
			}
		})
		next := 10_000
		b.Run(name+"/insert", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				next++
				if err := db.Insert(b.Context(), c, []*parse.Object{benchObject(c, next)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
