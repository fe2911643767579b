package storage_test

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

// faulty is a store that breaks the contract in several ways.
type faulty struct{ storage.Store }

func (faulty) Find(context.Context, *storage.Find) ([]*parse.Object, error) {
	return []*parse.Object{{ClassName: "Else", ID: "x"}}, nil
}

func (faulty) Insert(_ context.Context, _ *schema.Class, objects []*parse.Object) error {
	objects[0].Set("s", "changed")
	return nil
}

func (faulty) Update(context.Context, *storage.Update) (before, after *parse.Object, err error) {
	o := &parse.Object{ClassName: "Thing", ID: "x"}
	return o, o, nil
}

func (faulty) Delete(context.Context, *schema.Class, query.Node) ([]*parse.Object, error) {
	return nil, storage.ErrNotFound
}

func (faulty) Count(context.Context, *schema.Class, query.Node, *query.Advice) (int64, error) {
	return -1, nil
}

func TestChecked(t *testing.T) {
	c := storagetest.NewClass("Thing")
	for _, tc := range []struct {
		name string
		call func(s storage.Store) error
	}{
		{"object of another class", func(s storage.Store) error {
			_, err := s.Find(t.Context(), &storage.Find{Class: c, Limit: 1})
			return err
		}},
		{"subquery", func(s storage.Store) error {
			_, err := s.Find(t.Context(), &storage.Find{Class: c, Where: &query.SubQuery{}, Limit: 1})
			return err
		}},
		{"input changed", func(s storage.Store) error {
			return s.Insert(t.Context(), c, []*parse.Object{{ClassName: "Thing", ID: "x"}})
		}},
		{"same object twice", func(s storage.Store) error {
			_, _, err := s.Update(t.Context(), &storage.Update{Class: c})
			return err
		}},
		{"wrong error", func(s storage.Store) error {
			_, err := s.Delete(t.Context(), c, nil)
			return err
		}},
		{"negative count", func(s storage.Store) error {
			_, err := s.Count(t.Context(), c, nil, nil)
			return err
		}},
	} {
		if err := tc.call(storage.Checked(faulty{storagetest.NewModel()})); !errors.Is(err, storage.ErrContract) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
