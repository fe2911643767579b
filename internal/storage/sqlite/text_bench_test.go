package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// BenchmarkText finds 100 of 10,000 objects by a word, the best ten first, and
// writes one, without and with a text index.
func BenchmarkText(b *testing.B) {
	for _, indexed := range []bool{false, true} {
		name, indexes := "scan", []schema.Index(nil)
		if indexed {
			name, indexes = "index", []schema.Index{*storagetest.TextIndex("s")}
		}
		db := open(b, sqlite.Options{Path: filepath.Join(b.TempDir(), "bench.db")})
		c := storagetest.BenchClass(b, db, 10_000, indexes...)
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
				if err := db.Insert(b.Context(), c, []*parse.Object{storagetest.BenchObject(c, next)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
