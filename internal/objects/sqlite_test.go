package objects_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func onSQLite(tb testing.TB, classes ...*schema.Class) *fixture {
	tb.Helper()
	db, err := sqlite.Open(tb.Context(), sqlite.Options{Path: filepath.Join(tb.TempDir(), "objects.db"), Durability: "normal"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return setupOn(tb, db, objects.Options{}, classes...)
}

// TestSQLite goes the whole way on the real store.
func TestSQLite(t *testing.T) {
	f := onSQLite(t, gameClass(), ownedClass())
	id := f.create(t, user("u"), "Pay", `{"n":1,"fresh":"x"}`).Object.ID
	saved, err := f.update(t, user("u"), "Pay", id, `{"n":{"__op":"Increment","amount":2}}`)
	if err != nil || response(saved) != `{"n":3}` {
		t.Errorf("update: %v, %v", saved, err)
	}
	_, err = f.update(t, user("v"), "Pay", id, `{"n":5}`)
	wantCode(t, err, 101)
	list, err := f.find(t, user("v"), "Pay", `{}`)
	if err != nil || len(list) != 0 {
		t.Errorf("a stranger finds %s, %v", ids(list), err)
	}
	list, err = f.find(t, user("u"), "Pay", `{"where":{"n":{"$select":{"query":{"className":"Pay","where":{"fresh":"x"}},"key":"n"}}}}`)
	if err != nil || ids(list) != id {
		t.Errorf("the owner finds %s, %v", ids(list), err)
	}
	err = f.InTx(t.Context(), func(ctx context.Context, tx *objects.Service) error {
		c := tx.Client(user("u"))
		if _, err := c.Create(ctx, "Pay", body(t, `{"n":7,"inTx":true}`)); err != nil {
			return err
		}
		if n, err := c.Count(ctx, "Pay", query.Query{}); err != nil || n != 2 {
			t.Errorf("within: %d, %v", n, err)
		}
		return errBroken
	})
	if !errors.Is(err, errBroken) {
		t.Errorf("InTx: %v", err)
	}
	if n, err := f.Client(user("u")).Count(t.Context(), "Pay", query.Query{}); err != nil || n != 1 {
		t.Errorf("after: %d, %v", n, err)
	}
	if err := f.Delete(t.Context(), user("u"), "Pay", id); err != nil {
		t.Error(err)
	}
}

// TestHookedUpdatesDoNotLoseEachOther races read-modify-write hooks.
func TestHookedUpdatesDoNotLoseEachOther(t *testing.T) {
	f := onSQLite(t, gameClass(), ownedClass())
	f.app.BeforeSave("Game", func(_ context.Context, r *cloudcode.SaveRequest) error {
		if r.Original != nil {
			n, _ := r.Original.Number("score")
			r.Object.Set("score", n+1)
		}
		return nil
	})
	id := f.create(t, user("u"), "Game", `{"name":"a","score":0}`).Object.ID
	const each = 5
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range each {
				_, err := f.Update(t.Context(), user("u"), &objects.Write{Class: "Game", ID: id, Body: &parse.Map{}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	o, err := f.Get(t.Context(), user("u"), "Game", id, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := o.Number("score"); n != 4*each {
		t.Errorf("score = %v, want %d", n, 4*each)
	}
}
