package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// What follows a statement that the server does not even prepare is in the
// transaction all the same.
func TestTransactionBeginsAfterAFailure(t *testing.T) {
	db := open(t, place(t))
	there, missing := storagetest.NewClass("There"), storagetest.NewClass("Missing")
	if err := db.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: there.Name, Def: there}}); err != nil {
		t.Fatal(err)
	}
	object := func(class string) []*parse.Object {
		return []*parse.Object{{ClassName: class, ID: "a", CreatedAt: 1, UpdatedAt: 1}}
	}
	undone := errors.New("undone")
	for name, first := range map[string]func(ctx context.Context, tx storage.Store) error{
		"read": func(ctx context.Context, tx storage.Store) error {
			_, err := tx.Find(ctx, &storage.Find{Class: missing, Limit: 1})
			return err
		},
		"write": func(ctx context.Context, tx storage.Store) error {
			return tx.Insert(ctx, missing, object(missing.Name))
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := db.InTx(t.Context(), func(ctx context.Context, tx storage.Store) error {
				if err := first(ctx, tx); err == nil {
					t.Error("a table that is not there was asked")
				}
				if err := tx.Insert(ctx, there, object(there.Name)); err != nil {
					t.Error(err)
				}
				return undone
			})
			if !errors.Is(err, undone) {
				t.Error(err)
			}
			if n, err := db.Count(t.Context(), there, nil, nil); n != 0 || err != nil {
				t.Errorf("%d objects were left by a transaction that failed, %v", n, err)
			}
		})
	}
}

// A field and members of it can be set by one update.
func TestFieldAndItsMembers(t *testing.T) {
	db := open(t, place(t))
	c := storagetest.NewClass("Both")
	if err := db.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: c.Name, Def: c}}); err != nil {
		t.Fatal(err)
	}
	if err := db.Insert(t.Context(), c, []*parse.Object{{ClassName: c.Name, ID: "a", CreatedAt: 1, UpdatedAt: 1}}); err != nil {
		t.Fatal(err)
	}
	whole, member := parse.MapField{Key: "o", Value: parse.NewMap(parse.MapField{Key: "x", Value: 1.0})}, parse.MapField{Key: "o.y", Value: 2.0}
	for _, ops := range []*parse.Map{parse.NewMap(whole, member), parse.NewMap(member, whole)} {
		_, after, err := db.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("a"), Ops: ops})
		if err != nil {
			t.Fatal(err)
		}
		list, err := db.Find(t.Context(), &storage.Find{Class: c, Limit: 1})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if got, want := string(list[0].AppendFields(nil)), string(after.AppendFields(nil)); got != want {
			t.Errorf("stored %s, answered %s", got, want)
		}
	}
}
