package storage

import (
	"context"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Bulk is a Store that does many writes with few statements and one commit.
// Each write stands for itself: its error is its own and leaves the others
// standing. Call InsertEach and UpdateEach of this package, which do without.
type Bulk interface {
	// InsertEach stores new objects of one class. The errors are those of
	// Insert, one place an object; nil if all are stored.
	InsertEach(ctx context.Context, class *schema.Class, objects []*parse.Object) []error
	// UpdateEach carries out updates as Update does, in order.
	UpdateEach(ctx context.Context, updates []*Update) []Updated
}

// Updated is the outcome of one of many updates.
type Updated struct {
	Before, After *parse.Object
	Err           error
}

// InsertEach stores objects one by one, all at once where the store can.
func InsertEach(ctx context.Context, s Store, class *schema.Class, objects []*parse.Object) []error {
	if b := as[Bulk](s); b != nil {
		return b.InsertEach(ctx, class, objects)
	}
	errs := make([]error, len(objects))
	for i := range objects {
		errs[i] = s.Insert(ctx, class, objects[i:i+1])
	}
	return errs
}

// UpdateEach carries out updates one by one, all at once where the store can.
func UpdateEach(ctx context.Context, s Store, updates []*Update) []Updated {
	if b := as[Bulk](s); b != nil {
		return b.UpdateEach(ctx, updates)
	}
	out := make([]Updated, len(updates))
	for i, u := range updates {
		out[i].Before, out[i].After, out[i].Err = s.Update(ctx, u)
	}
	return out
}
