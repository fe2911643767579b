package migrate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/migrate"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// BenchmarkRun moves objects from SQLite to every kind of database:
// PARGO_BENCH_OBJECTS of them, each with ten fields and an ACL. Run it with
// -benchtime 1x.
func BenchmarkRun(b *testing.B) {
	objects := 20_000
	if n, err := strconv.Atoi(os.Getenv("PARGO_BENCH_OBJECTS")); err == nil {
		objects = n
	}
	from, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "source.db"), Durability: "normal"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	game := world()[0]
	if err := from.ApplySchema(b.Context(), []schema.Step{{Kind: schema.CreateClass, Class: game.Name, Def: game}}); err != nil {
		b.Fatal(err)
	}
	for at := 0; at < objects; at += 1000 {
		list := make([]*parse.Object, min(1000, objects-at))
		for i := range list {
			n := at + i
			list[i] = object("Game", parse.NewObjectID(10), "score", float64(n), "title", fmt.Sprintf("the title of game %d", n), "open", n%2 == 0, "when", parse.Date(n),
				"list", parse.Array{float64(n), "x"}, "data", parse.NewMap(parse.MapField{Key: "a", Value: float64(n)}, parse.MapField{Key: "b", Value: "some text"}),
				"place", parse.GeoPoint{Latitude: float64(n%90) / 2, Longitude: -1.25}, "owner", parse.Pointer{ClassName: "_User", ObjectID: "u1"}, "image", parse.File{Name: "i.png"})
			list[i].ACL = parse.NewACL(parse.ACLEntry{Subject: "*", Read: true}, parse.ACLEntry{Subject: "u1", Read: true, Write: true})
		}
		if err := from.Insert(b.Context(), game, list); err != nil {
			b.Fatal(err)
		}
	}
	for _, k := range kinds() {
		b.Run(k.name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				to := k.open(b)
				b.StartTimer()
				measure(b, from, to, objects)
			}
		})
	}
}

func measure(b *testing.B, from, to storage.Store, objects int) {
	began := time.Now()
	at := map[migrate.Stage]time.Time{}
	var heap uint64
	r, err := migrate.Run(b.Context(), from, to, migrate.Options{Source: "x", Progress: func(p migrate.Progress) {
		if _, ok := at[p.Stage]; !ok {
			at[p.Stage] = time.Now()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap = max(heap, m.HeapAlloc)
	}})
	if err != nil {
		b.Fatal(err)
	}
	if r.Classes[0].Copied != int64(objects) {
		b.Fatalf("%+v", r.Classes[0])
	}
	b.ReportMetric(float64(objects)/at[migrate.StageIndexes].Sub(began).Seconds(), "copied/s")
	b.ReportMetric(float64(objects)/time.Since(began).Seconds(), "objects/s")
	b.ReportMetric(float64(heap)/(1<<20), "heap-MB")
}
