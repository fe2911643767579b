package mongo_test

import (
	"context"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/schema"
)

// sharer opens another store on a database, with a short lease.
func sharer(t *testing.T, db *driver.Database) schema.Shared {
	t.Helper()
	u, err := url.Parse(os.Getenv("PARGO_TEST_MONGO_URL"))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + db.Name()
	s, err := mongo.Open(t.Context(), mongo.Options{URI: u.String(), Lease: 800 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	shared, ok := s.(schema.Shared)
	if !ok {
		t.Fatalf("%T is not shared", s)
	}
	return shared
}

// One server holds the lock at a time, for longer than a lease if need be.
func TestLockSchema(t *testing.T) {
	_, db := open(t)
	var inside, times atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		s := sharer(t, db)
		wg.Go(func() {
			ctx, unlock, err := s.LockSchema(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			if inside.Add(1) != 1 {
				t.Error("two hold the lock")
			}
			if times.Add(1) == 1 { // the first keeps it for more than one lease
				over := time.NewTimer(1200 * time.Millisecond)
				defer over.Stop()
				select {
				case <-over.C:
				case <-ctx.Done():
					t.Errorf("the lock was lost: %v", context.Cause(ctx))
				}
			}
			inside.Add(-1)
		})
	}
	wg.Wait()
	if times.Load() != 4 {
		t.Errorf("%d of 4 got the lock", times.Load())
	}
}

// The lock of a server that has died ends by itself.
func TestLockOfTheDead(t *testing.T) {
	_, db := open(t)
	life, die := context.WithCancel(t.Context())
	if _, _, err := sharer(t, db).LockSchema(life); err != nil {
		t.Fatal(err)
	}
	die()
	waiting, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, unlock, err := sharer(t, db).LockSchema(waiting)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// A server whose lock is another's stops.
func TestLockLost(t *testing.T) {
	_, db := open(t)
	ctx, unlock, err := sharer(t, db).LockSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := db.Collection("_pargo").UpdateByID(t.Context(), "schemaLock", bson.D{{Key: "$set", Value: bson.D{{Key: "owner", Value: "another"}}}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	unlock()
	var doc struct{ Owner string }
	if err := db.Collection("_pargo").FindOne(t.Context(), bson.D{{Key: "_id", Value: "schemaLock"}}).Decode(&doc); err != nil || doc.Owner != "another" {
		t.Errorf("the other's lock is %+v, %v", doc, err)
	}
}

// Waiting for the lock ends with the context.
func TestLockGivenUp(t *testing.T) {
	_, db := open(t)
	_, unlock, err := sharer(t, db).LockSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := sharer(t, db).LockSchema(ctx); err == nil {
		t.Error("two hold the lock")
	}
}

// Changes are counted; what announces nothing is told by the print.
func TestSchemaVersion(t *testing.T) {
	_, db := open(t)
	a, b := sharer(t, db), sharer(t, db)
	var wg sync.WaitGroup
	for range 10 {
		for _, s := range []schema.Shared{a, b} {
			wg.Go(func() {
				if _, err := s.AnnounceSchema(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if n, err := a.SchemaVersion(t.Context()); n != 20 || err != nil {
		t.Errorf("version %d, %v", n, err)
	}
	numbers := map[uint64]bool{}
	look := func() {
		n, err := b.SchemaPrint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		numbers[n] = true
	}
	look()
	look()
	if _, err := db.Collection("_SCHEMA").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "A"}}); err != nil {
		t.Fatal(err)
	}
	look()
	look()
	if len(numbers) != 2 {
		t.Errorf("prints: %v", numbers)
	}
}
