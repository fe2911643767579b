package mongo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/schema"
)

// keys returns what the index is on, by wire names; ok is false for an index
// that a schema cannot describe.
func (r *realIndex) keys(class string) (out []schema.IndexKey, ok bool) {
	if len(r.Weights) > 0 {
		fields, err := r.Weights.Elements()
		for _, f := range fields {
			out = append(out, schema.IndexKey{Field: wirePath(class, f.Key()), Kind: kindText})
		}
		return out, err == nil
	}
	elems, err := r.Key.Elements()
	if err != nil {
		return nil, false
	}
	for _, el := range elems {
		k := schema.IndexKey{Field: wirePath(class, el.Key())}
		if n, isNumber := el.Value().AsInt64OK(); isNumber {
			k.Desc = n < 0
		} else if kind, isText := el.Value().StringValueOK(); isText {
			k.Kind = kind
		} else {
			return nil, false
		}
		if strings.Contains(k.Field, "$") { // a wildcard
			return nil, false
		}
		out = append(out, k)
	}
	return out, len(out) > 0
}

// backs reports whether the real index does what a recorded one says: it has
// its name, or is as good (see acceptIndex).
func (r *realIndex) backs(class string, idx *schema.Index) bool {
	if r.Name == idx.Name || r.sameWords(idx) {
		return true
	}
	keys, ok := r.keys(class)
	return ok && slices.Equal(keys, idx.Keys) && r.Unique == storage.KeepsUnique(class, idx) && r.folds() == idx.CaseInsensitive
}

// listsAtOnce bounds how many classes are asked for their indexes at a time.
const listsAtOnce = 8

// matchAll is matchIndexes for many classes.
func (d *DB) matchAll(ctx context.Context, classes []*schema.Class, names []map[string]bool) error {
	errs := make([]error, len(classes))
	var next atomic.Int32
	var wg sync.WaitGroup
	for range min(listsAtOnce, len(classes)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(classes); i = int(next.Add(1)) - 1 {
				errs[i] = d.matchIndexes(ctx, classes[i], names[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// matchIndexes makes the indexes of a class those that the database has, as
// Parse Server does at its start: names are the indexes whose options only the
// database knows; recorded ones that somebody has dropped go, and those that
// somebody has made come.
func (d *DB) matchIndexes(ctx context.Context, c *schema.Class, names map[string]bool) error {
	real, err := d.realIndexes(ctx, c.Name)
	if err != nil {
		return err
	}
	c.Indexes = slices.DeleteFunc(c.Indexes, func(idx schema.Index) bool {
		return !slices.ContainsFunc(real, func(r realIndex) bool { return r.backs(c.Name, &idx) })
	})
	for i := range real {
		r := &real[i]
		idx := schema.Index{Name: r.Name}
		at := slices.IndexFunc(c.Indexes, func(idx schema.Index) bool { return idx.Name == r.Name })
		switch {
		case at >= 0 && !names[r.Name], r.Name == schema.IDIndex:
			continue // what is recorded of it is complete
		case at >= 0:
			idx = c.Indexes[at]
		case d.own(c.Name, r) || slices.ContainsFunc(c.Indexes, func(idx schema.Index) bool { return r.backs(c.Name, &idx) }):
			continue
		default:
			var ok bool
			if idx.Keys, ok = r.keys(c.Name); !ok {
				continue
			}
		}
		idx.Unique, idx.Sparse, idx.CaseInsensitive = r.Unique, r.Sparse, r.folds()
		if c.Name == classUser && idx.CaseInsensitive {
			idx.Unique = true // as its definition says; see unique
		}
		if at >= 0 {
			c.Indexes[at] = idx
		} else {
			c.Indexes = append(c.Indexes, idx)
		}
	}
	return nil
}

// own reports whether pargo made the index for itself, and not for the schema.
func (d *DB) own(class string, r *realIndex) bool {
	return class == classUser && slices.ContainsFunc(d.providers, func(p string) bool { return r.Name == authIndex(p) })
}
