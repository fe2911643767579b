package storagetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// BenchObject is an object of the class that [Bench] works on.
func BenchObject(class *schema.Class, i int) *parse.Object {
	o := &parse.Object{ClassName: class.Name, ID: benchID(i), CreatedAt: parse.Date(i + 1), UpdatedAt: 1}
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

func benchID(i int) string { return fmt.Sprintf("id%08d", i) }

// BenchClass makes the class that [Bench] works on, with objects and with
// further indexes.
func BenchClass(b *testing.B, s storage.Store, count int, indexes ...schema.Index) *schema.Class {
	b.Helper()
	c := create(b, s, NewClass("Bench", append(indexes, schema.Index{Name: "s_1", Keys: []schema.IndexKey{{Field: "s"}}})...))
	objects := make([]*parse.Object, count)
	for i := range objects {
		objects[i] = BenchObject(c, i)
	}
	if err := s.Insert(b.Context(), c, objects); err != nil {
		b.Fatal(err)
	}
	return c
}

// Bench measures what servers ask of a database most often. open makes an empty
// store; meter, if not nil, begins to measure something more and returns what
// ends it and reports.
func Bench(b *testing.B, open func(testing.TB) storage.Store, meter func(*testing.B) func()) {
	if meter == nil {
		meter = func(*testing.B) func() { return func() {} }
	}
	k := &bench{open: open, meter: meter}
	for _, goroutines := range []int{1, 16} {
		b.Run(fmt.Sprintf("Insert/goroutines=%d", goroutines), func(b *testing.B) { k.insert(b, goroutines) })
		b.Run(fmt.Sprintf("Update/goroutines=%d", goroutines), func(b *testing.B) { k.update(b, goroutines) })
	}
	b.Run("InsertMany", k.insertMany)
	b.Run("GetByID", k.byID)
	b.Run("FindIDs", k.ids)
	b.Run("Find100", k.group)
	b.Run("Places", k.places)
}

type bench struct {
	open  func(testing.TB) storage.Store
	meter func(*testing.B) func()
}

// store makes a store with objects.
func (k *bench) store(b *testing.B, count int) (storage.Store, *schema.Class) {
	b.Helper()
	s := k.open(b)
	return s, BenchClass(b, s, count)
}

// spread runs f b.N times from a number of goroutines.
func (k *bench) spread(b *testing.B, goroutines int, f func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	report := k.meter(b)
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
	b.StopTimer()
	report()
}

// findMany runs a find that must have so many results.
func findMany(b *testing.B, s storage.Store, f *storage.Find, want int) error {
	list, err := s.Find(b.Context(), f)
	if err == nil && len(list) != want {
		return fmt.Errorf("%d objects", len(list))
	}
	return err
}

func (k *bench) insert(b *testing.B, goroutines int) {
	s, c := k.store(b, 1000)
	k.spread(b, goroutines, func(i int) error {
		return s.Insert(b.Context(), c, []*parse.Object{BenchObject(c, 1000+i)})
	})
}

func (k *bench) update(b *testing.B, goroutines int) {
	s, c := k.store(b, 1000)
	ops := parse.NewMap(parse.MapField{Key: "n", Value: parse.Increment{Amount: 1}})
	k.spread(b, goroutines, func(i int) error {
		_, _, err := s.Update(b.Context(), &storage.Update{Class: c, Where: query.ByID(benchID(i % 1000)), Ops: ops, UpdatedAt: 2})
		return err
	})
}

// insertMany is what a batch of creates and a migration come to.
func (k *bench) insertMany(b *testing.B) {
	for _, n := range []int{10, 50, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, c := k.store(b, 1000)
			k.spread(b, 1, func(i int) error {
				list := make([]*parse.Object, n)
				for j := range list {
					list[j] = BenchObject(c, 1000+i*n+j)
				}
				return s.Insert(b.Context(), c, list)
			})
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/object")
		})
	}
}

var benchReader = &query.Permission{Subjects: []string{"*", "user1"}}

func (k *bench) byID(b *testing.B) {
	s, c := k.store(b, 10_000)
	k.spread(b, 1, func(i int) error {
		return findMany(b, s, &storage.Find{Class: c, Where: query.AllOf(query.ByID(benchID(i%10_000)), benchReader), Limit: 1}, 1)
	})
}

// ids is what an include asks for.
func (k *bench) ids(b *testing.B) {
	s, c := k.store(b, 10_000)
	for _, anyOrder := range []bool{false, true} {
		b.Run(fmt.Sprintf("anyOrder=%t", anyOrder), func(b *testing.B) {
			k.spread(b, 1, func(i int) error {
				ids := make([]parse.Value, 100)
				for j := range ids {
					ids[j] = benchID((i*7 + j*97) % 10_000)
				}
				where := query.AllOf(&query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids}, benchReader)
				return findMany(b, s, &storage.Find{Class: c, Where: where, Limit: query.NoLimit, AnyOrder: anyOrder, Lazy: true}, 100)
			})
		})
	}
}

func (k *bench) group(b *testing.B) {
	s, c := k.store(b, 10_000)
	k.spread(b, 1, func(i int) error {
		return findMany(b, s, &storage.Find{Class: c, Where: query.Equal("s", fmt.Sprintf("group %d", i%100)), Limit: 100}, 100)
	})
}

// places asks among 10,000 places for the nearest 100, and for those in a small
// circle.
func (k *bench) places(b *testing.B) {
	s, c := k.store(b, 0)
	objects := make([]*parse.Object, 10_000)
	for i := range objects {
		objects[i] = BenchObject(c, i)
		objects[i].Set("g", parse.GeoPoint{Latitude: float64(i%100) - 50, Longitude: float64(i/100) - 50})
	}
	if err := s.Insert(b.Context(), c, objects); err != nil {
		b.Fatal(err)
	}
	here := parse.GeoPoint{Latitude: 10.5, Longitude: 20.5}
	for name, n := range map[string]*query.Near{
		"nearest": {Path: "g", Point: here}, "circle": {Path: "g", Point: here, Limited: true, MaxDistance: 0.05},
	} {
		f := &storage.Find{Class: c, Where: n, Order: query.NearOrder(n), Limit: 100}
		found, err := s.Find(b.Context(), f)
		if err != nil || len(found) == 0 {
			b.Fatalf("%s: %d objects, %v", name, len(found), err)
		}
		b.Run(name, func(b *testing.B) {
			k.spread(b, 1, func(int) error { return findMany(b, s, f, len(found)) })
		})
	}
}
