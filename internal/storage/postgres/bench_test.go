package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/postgres"
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

func benchStore(b *testing.B, rows int) (*postgres.DB, *schema.Class) {
	b.Helper()
	db := open(b, place(b))
	c := storagetest.NewClass("Bench", schema.Index{Name: "s_1", Keys: []schema.IndexKey{{Field: "s"}}})
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

// cpu is what this process has used; that of the database is not in it.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// spread runs f b.N times from a number of goroutines.
func spread(b *testing.B, goroutines int, f func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	began := cpu(b)
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
	b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
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

func BenchmarkInsertEach50(b *testing.B) {
	db, c := benchStore(b, 1000)
	spread(b, 1, func(i int) error {
		list := make([]*parse.Object, 50)
		for k := range list {
			list[k] = benchObject(c, 1000+50*i+k)
		}
		for _, err := range db.InsertEach(b.Context(), c, list) {
			if err != nil {
				return err
			}
		}
		return nil
	})
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
