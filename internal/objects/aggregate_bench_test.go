package objects_test

import (
	"path/filepath"
	"testing"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
)

// TestAggregateStatements asserts what aggregates ask the database for, and how
// many documents they get from it.
func TestAggregateStatements(t *testing.T) {
	type cost struct{ pushed, finds, rows int }
	const group = `{"$group":{"_id":"$s","n":{"$sum":"$n"},"hi":{"$max":"$d"}}}`
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		f, counts, _ := both(t, db, 90)
		for _, tt := range []struct {
			name, pipeline string
			sql, mongo     cost
		}{
			{"count", `{"$match":{"n":{"$gt":1}}},{"$count":"c"}`, cost{1, 0, 1}, cost{1, 0, 1}},
			{"group", `{"$match":{"k":{"$in":[0,1]}}},` + group + `,{"$sort":{"n":1}}`, cost{1, 0, 4}, cost{1, 0, 4}},
			{"page", `{"$match":{"b":true}},{"$sort":{"n":-1,"_id":1}},{"$skip":1},{"$limit":3},{"$project":{"n":1,"s":1}}`, cost{1, 0, 3}, cost{1, 0, 3}},
			{"columns", `{"$group":{"_id":{"$month":"$d"},"n":{"$sum":"$n"}}}`, cost{1, 0, 90}, cost{1, 0, -1}},
			{"whole documents", `{"$match":{"n":1}}`, cost{0, 1, 0}, cost{1, 0, 5}},
			{"arrays", `{"$unwind":"$a"},{"$sortByCount":"$a"}`, cost{0, 1, 0}, cost{1, 0, -1}},
			{"lookup", `{"$limit":5},{"$lookup":{"from":"Item","localField":"k","foreignField":"n","as":"x"}},{"$project":{"c":{"$size":"$x"}}}`, cost{1, 1, 5}, cost{2, 0, -1}},
		} {
			counts.pushed, counts.finds, counts.rows = 0, 0, 0
			if _, err := f.Aggregate(t.Context(), master, "Item", &objects.Aggregation{Pipeline: body(t, `{"pipeline":[`+tt.pipeline+`]}`)}); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			want := tt.sql
			if db.Name == "mongodb" {
				want = tt.mongo
			}
			got := cost{counts.pushed, counts.finds, counts.rows}
			if want.rows < 0 {
				got.rows = want.rows
			}
			if got != want {
				t.Errorf("%s: %+v, want %+v", tt.name, got, want)
			}
		}
		counts.pushed, counts.finds, counts.rows = 0, 0, 0
		list, err := f.Aggregate(t.Context(), master, "Item", &objects.Aggregation{Distinct: "s"})
		if err != nil || len(list) != 5 || counts.pushed != 1 || counts.finds != 0 || counts.rows != 6 {
			t.Errorf("distinct: %v, %v, %+v", list, err, counts)
		}
	})
}

// BenchmarkAggregate runs pipelines over 100,000 objects with the help of the
// embedded database and without.
func BenchmarkAggregate(b *testing.B) {
	store, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "a.db"), Durability: "normal"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	f := setupOn(b, store, objects.Options{}, itemClass())
	list := items(100_000)
	for i := range list {
		list[i].ID = parse.NewObjectID(10)
	}
	if err := store.Insert(b.Context(), f.Registry().Current().Class("Item"), list); err != nil {
		b.Fatal(err)
	}
	plain := objects.New(plainStore{store}, f.Registry(), f.app, objects.Options{})
	for _, tt := range []struct{ name, pipeline string }{
		{"count", `{"$match":{"n":{"$gt":1}}},{"$count":"c"}`},
		{"group", `{"$group":{"_id":"$s","n":{"$sum":"$n"},"avg":{"$avg":"$k"}}}`},
		{"month", `{"$group":{"_id":{"$month":"$d"},"n":{"$sum":"$n"}}}`},
		{"page", `{"$match":{"b":true}},{"$sort":{"n":-1,"_id":1}},{"$limit":10},{"$project":{"n":1,"s":1}}`},
		{"arrays", `{"$unwind":"$a"},{"$sortByCount":"$a"}`},
	} {
		for _, side := range []struct {
			name string
			s    *objects.Service
		}{{"plain", plain}, {"pushed", f.Service}} {
			b.Run(tt.name+"/"+side.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := side.s.Aggregate(b.Context(), master, "Item", &objects.Aggregation{Pipeline: body(b, `{"pipeline":[`+tt.pipeline+`]}`)}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
