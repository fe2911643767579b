package storage_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// able is a store that can do everything that a store may be asked for, and
// counts what it is asked.
type able struct {
	storage.Store
	calls map[string]int
}

var errAsked = errors.New("asked")

func (a *able) InsertEach(_ context.Context, _ *schema.Class, objects []*parse.Object) []error {
	a.calls["InsertEach"]++
	return make([]error, len(objects))
}

func (a *able) UpdateEach(_ context.Context, updates []*storage.Update) []storage.Updated {
	a.calls["UpdateEach"]++
	return make([]storage.Updated, len(updates))
}

func (a *able) Insert(context.Context, *schema.Class, []*parse.Object) error {
	a.calls["Insert"]++
	return nil
}

func (a *able) InTx(context.Context, func(context.Context, storage.Store) error) error {
	a.calls["InTx"]++
	return errAsked
}

func (a *able) Explain(context.Context, *storage.Find, query.Verbosity) (*parse.Map, error) {
	a.calls["Explain"]++
	return nil, errAsked
}

func (a *able) Aggregate(context.Context, *storage.Aggregate, func(*parse.Map) error) (int, error) {
	a.calls["Aggregate"]++
	return 0, errAsked
}

func (a *able) ExplainAggregate(context.Context, *storage.Aggregate, query.Verbosity) (*parse.Map, int, error) {
	return nil, 0, errAsked
}

func (a *able) Indexes(context.Context, *schema.Class) ([]schema.Index, error) {
	a.calls["Indexes"]++
	return nil, errAsked
}

func (*able) CanIndex(*schema.Class, string, bool) bool { return true }

func (*able) OrdersCommits() {}

// heard counts what an observer is told.
type heard struct{ finds, counts int }

func (h *heard) ObserveFind(*storage.Find, int, time.Duration)         { h.finds++ }
func (h *heard) ObserveCount(*schema.Class, query.Node, time.Duration) { h.counts++ }

// A store that is observed can do what it can do unobserved: 1,000 objects are
// one call.
func TestObserved(t *testing.T) {
	inner := &able{Store: storagetest.NewModel(), calls: map[string]int{}}
	var h heard
	s := storage.Observed(inner, &h)
	c := storagetest.NewClass("Thing")
	objects := make([]*parse.Object, 1000)
	updates := make([]*storage.Update, 1000)
	if n := len(storage.InsertEach(t.Context(), s, c, objects)) + len(storage.UpdateEach(t.Context(), s, updates)); n != 2000 {
		t.Errorf("%d outcomes of 2000 writes", n)
	}
	if !storage.IsOrdered(s) {
		t.Error("IsOrdered is false")
	}
	x, e, a, i := storage.AsTransactor(s), storage.AsExplainer(s), storage.AsAggregator(s), storage.AsIndexer(s)
	if x == nil || e == nil || a == nil || i == nil {
		t.Fatalf("%v, %v, %v, %v", x, e, a, i)
	}
	err := x.InTx(t.Context(), nil)
	_, err2 := e.Explain(t.Context(), nil, "")
	_, err3 := a.Aggregate(t.Context(), nil, nil)
	_, err4 := i.Indexes(t.Context(), c)
	for _, err := range []error{err, err2, err3, err4} {
		if !errors.Is(err, errAsked) {
			t.Errorf("error %v is not that of the store", err)
		}
	}
	want := map[string]int{"InsertEach": 1, "UpdateEach": 1, "InTx": 1, "Explain": 1, "Aggregate": 1, "Indexes": 1}
	if !maps.Equal(inner.calls, want) {
		t.Errorf("calls %v, want %v", inner.calls, want)
	}
	if err := s.ApplySchema(t.Context(), []schema.Step{{Kind: schema.CreateClass, Class: c.Name, Def: c}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(t.Context(), &storage.Find{Class: c, Limit: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Count(t.Context(), c, nil, nil); err != nil {
		t.Fatal(err)
	}
	if h != (heard{1, 1}) {
		t.Errorf("heard %+v", h)
	}
}

// A store that can do none of it is not said to by being observed.
func TestObservedPlain(t *testing.T) {
	s := storage.Observed(storagetest.NewModel(), &heard{})
	if x := storage.AsTransactor(s); x != nil {
		t.Errorf("a transactor: %v", x)
	}
	if storage.IsOrdered(s) || storage.AsAggregator(s) != nil || storage.AsIndexer(s) != nil || storage.AsExplainer(s) != nil {
		t.Error("can do what its store cannot")
	}
}
