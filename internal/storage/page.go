package storage

import (
	"context"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Pager is a Store whose index of ids has them in another order than that of
// their bytes, by which queries compare. Call Page of this package.
type Pager interface {
	// Page returns the first objects of a class whose ids come after one, in the
	// order that the index of ids has; "" is before all.
	Page(ctx context.Context, class *schema.Class, after string, limit int) ([]*parse.Object, error)
}

// Page reads a class page by page, each from the id of the last object before.
// The order of ids is the store's; it is the same for every page.
func Page(ctx context.Context, s Store, class *schema.Class, after string, limit int) ([]*parse.Object, error) {
	if p := as[Pager](s); p != nil {
		return p.Page(ctx, class, after, limit)
	}
	f := &Find{Class: class, Order: []query.Sort{{Path: parse.KeyObjectID}}, Limit: limit}
	if after != "" {
		f.Where = &query.Compare{Path: parse.KeyObjectID, Op: query.Gt, Value: after}
	}
	return s.Find(ctx, f)
}
