package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func benchObject(c *schema.Class, i int) *parse.Object {
	o := &parse.Object{ClassName: c.Name, ID: fmt.Sprintf("id%08d", i), CreatedAt: parse.Date(i + 1), UpdatedAt: 1}
	o.ACL = parse.NewACL(parse.ACLEntry{Subject: "*", Read: true}, parse.ACLEntry{Subject: "user1", Read: true, Write: true})
	o.Set("s", fmt.Sprintf("group %d", i/100))
	o.Set("t", "some text that is a little longer than a word")
	o.Set("n", float64(i))
	o.Set("b", i%2 == 0)
	o.Set("d", parse.Date(1_600_000_000_000))
	o.Set("a", parse.Array{"x", "y", 1.0})
	o.Set("p", parse.Pointer{ClassName: "Other", ObjectID: "q1"})
	return o
}

var byGroup = schema.Index{Name: "s_1", Keys: []schema.IndexKey{{Field: "s"}}}

func benchStore(b *testing.B, rows int) (*sqlite.DB, *schema.Class) {
	b.Helper()
	db := open(b, sqlite.Options{Path: filepath.Join(b.TempDir(), "bench.db")})
	c := storagetest.NewClass("Bench", byGroup)
	if err := db.ApplySchema(b.Context(), []schema.Step{{Kind: schema.CreateClass, Class: c.Name, Def: c}}); err != nil {
		b.Fatal(err)
	}
	objects := make([]*parse.Object, rows)
	for i := range objects {
		objects[i] = benchObject(c, i)
	}
	if err := db.Insert(b.Context(), c, objects); err != nil {
		b.Fatal(err)
	}
	return db, c
}

// spread runs f b.N times from a number of goroutines.
func spread(b *testing.B, goroutines int, f func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkInsert(b *testing.B) {
	for _, goroutines := range []int{1, 16} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			db, c := benchStore(b, 1000)
			spread(b, goroutines, func(i int) error {
				return db.Insert(b.Context(), c, []*parse.Object{benchObject(c, 1000+i)})
			})
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, goroutines := range []int{1, 16} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			db, c := benchStore(b, 1000)
			ops := parse.NewMap(parse.MapField{Key: "n", Value: parse.Increment{Amount: 1}})
			spread(b, goroutines, func(i int) error {
				_, _, err := db.Update(b.Context(), &storage.Update{Class: c, Where: query.ByID(fmt.Sprintf("id%08d", i%1000)), Ops: ops, UpdatedAt: 2})
				return err
			})
		})
	}
}

func BenchmarkGetByID(b *testing.B) {
	db, c := benchStore(b, 10_000)
	allowed := &query.Permission{Subjects: []string{"*", "user1"}}
	spread(b, 1, func(i int) error {
		list, err := db.Find(b.Context(), &storage.Find{
			Class: c, Where: query.AllOf(query.ByID(fmt.Sprintf("id%08d", i%10_000)), allowed), Limit: 1,
		})
		if err == nil && len(list) != 1 {
			return fmt.Errorf("%d objects", len(list))
		}
		return err
	})
}

// BenchmarkFindIDs is what an include asks for.
func BenchmarkFindIDs(b *testing.B) {
	db, c := benchStore(b, 10_000)
	allowed := &query.Permission{Subjects: []string{"*", "user1"}}
	for _, anyOrder := range []bool{false, true} {
		b.Run(fmt.Sprintf("anyOrder=%t", anyOrder), func(b *testing.B) {
			spread(b, 1, func(i int) error {
				ids := make([]parse.Value, 100)
				for j := range ids {
					ids[j] = fmt.Sprintf("id%08d", (i*7+j*97)%10_000)
				}
				where := query.AllOf(&query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids}, allowed)
				list, err := db.Find(b.Context(), &storage.Find{Class: c, Where: where, Limit: query.NoLimit, AnyOrder: anyOrder, Lazy: true})
				if err == nil && len(list) != 100 {
					return fmt.Errorf("%d objects", len(list))
				}
				return err
			})
		})
	}
}

func BenchmarkFind100(b *testing.B) {
	db, c := benchStore(b, 10_000)
	spread(b, 1, func(i int) error {
		list, err := db.Find(b.Context(), &storage.Find{Class: c, Where: query.Equal("s", fmt.Sprintf("group %d", i%100)), Limit: 100})
		if err == nil && len(list) != 100 {
			return fmt.Errorf("%d objects", len(list))
		}
		return err
	})
}

// BenchmarkPlaces asks among 10,000 places for the nearest 100, and for those in
// a small circle.
func BenchmarkPlaces(b *testing.B) {
	db, c := benchStore(b, 0)
	objects := make([]*parse.Object, 10_000)
	for i := range objects {
		objects[i] = benchObject(c, i)
		objects[i].Set("g", parse.GeoPoint{Latitude: float64(i%100) - 50, Longitude: float64(i/100) - 50})
	}
	if err := db.Insert(b.Context(), c, objects); err != nil {
		b.Fatal(err)
	}
	here := parse.GeoPoint{Latitude: 10.5, Longitude: 20.5}
	for name, n := range map[string]*query.Near{
		"nearest": {Path: "g", Point: here}, "circle": {Path: "g", Point: here, Limited: true, MaxDistance: 0.05},
	} {
		b.Run(name, func(b *testing.B) {
			spread(b, 1, func(int) error {
				list, err := db.Find(b.Context(), &storage.Find{Class: c, Where: n, Order: query.NearOrder(n), Limit: 100})
				if err == nil && len(list) == 0 {
					return fmt.Errorf("nothing found")
				}
				return err
			})
		})
	}
}

// BenchmarkLayout compares ways to keep the same rows: what to read an object
// from, and how to keep who may read it.
func BenchmarkLayout(b *testing.B) {
	db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "layout.db"))
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { _ = db.Close() })
	ctx := b.Context()
	exec := func(q string, args ...any) {
		b.Helper()
		if _, err := db.ExecContext(ctx, q, args...); err != nil {
			b.Fatal(err)
		}
	}
	exec(`CREATE TABLE t (id TEXT PRIMARY KEY, s TEXT, t TEXT, n REAL, b INTEGER, d INTEGER, a TEXT, p TEXT, doc TEXT, bars TEXT, list TEXT)`)
	exec(`CREATE INDEX t_s ON t (s)`)
	exec(`BEGIN`)
	c := storagetest.NewClass("Bench")
	for i := range 10_000 {
		o := benchObject(c, i)
		exec(`INSERT INTO t VALUES (?,?,?,?,?,?,?,?,?,?,?)`, o.ID, o.String("s"), o.String("t"), float64(i), i%2, 1_600_000_000_000,
			`["x","y",1]`, "q1", string(o.AppendFields(nil)), "|*|user1|", `["*","user1"]`)
	}
	exec(`COMMIT`)
	b.Run("read=columns", func(b *testing.B) { benchColumns(ctx, b, db) })
	b.Run("read=doc", func(b *testing.B) { benchDoc(ctx, b, db) })
	for name, cond := range map[string]string{
		"permission=instr":     `instr(bars, '|user2|') OR instr(bars, '|*|')`,
		"permission=json_each": `EXISTS (SELECT 1 FROM json_each(list) WHERE value IN ('user2', '*'))`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var n int
				if err := db.QueryRowContext(ctx, `SELECT count(*) FROM t WHERE `+cond).Scan(&n); err != nil || n != 10_000 {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func benchColumns(ctx context.Context, b *testing.B, db *sql.DB) {
	b.ReportAllocs()
	for b.Loop() {
		rows, err := db.QueryContext(ctx, `SELECT id, s, t, n, b, d, a, p FROM t WHERE s = 'group 7'`)
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			var id, s, t, a, p string
			var n float64
			var flag, d int64
			if err := rows.Scan(&id, &s, &t, &n, &flag, &d, &a, &p); err != nil {
				b.Fatal(err)
			}
			list, err := parse.Decode([]byte(a), parse.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			o := parse.Object{ID: id}
			for _, f := range []parse.MapField{
				{Key: "s", Value: s},
				{Key: "t", Value: t},
				{Key: "n", Value: n},
				{Key: "b", Value: flag != 0},
				{Key: "d", Value: parse.Date(d)},
				{Key: "a", Value: list},
				{Key: "p", Value: parse.Pointer{ClassName: "Other", ObjectID: p}},
			} {
				o.Set(f.Key, f.Value)
			}
		}
		if err := rows.Close(); err != nil || rows.Err() != nil {
			b.Fatal(err, rows.Err())
		}
	}
}

func benchDoc(ctx context.Context, b *testing.B, db *sql.DB) {
	b.ReportAllocs()
	for b.Loop() {
		rows, err := db.QueryContext(ctx, `SELECT id, doc FROM t WHERE s = 'group 7'`)
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			var id, doc string
			if err := rows.Scan(&id, &doc); err != nil {
				b.Fatal(err)
			}
			m, err := parse.DecodeMap([]byte(doc), parse.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			_ = parse.Object{ID: id, Fields: *m}
		}
		if err := rows.Close(); err != nil || rows.Err() != nil {
			b.Fatal(err, rows.Err())
		}
	}
}

// BenchmarkInsertMany is what a batch of creates comes to.
func BenchmarkInsertMany(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			db, c := benchStore(b, 1000)
			next := 1000
			for b.Loop() {
				list := make([]*parse.Object, n)
				for i := range list {
					list[i] = benchObject(c, next)
					list[i].ID = parse.NewObjectID(10)
					next++
				}
				if err := db.Insert(b.Context(), c, list); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/object")
		})
	}
}
