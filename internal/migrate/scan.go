package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Bounds of a page. Objects may be large, so that their number follows from
// the size of those before.
const (
	firstPage = 200
	mostPage  = 1000
	pageBytes = 4 << 20
)

// page is some objects of a class, in the order of their ids.
type page struct {
	objects []*parse.Object
	err     error
}

// after is the id of the last object.
func (p *page) after() string { return p.objects[len(p.objects)-1].ID }

// pages reads the objects of a class whose ids come after one, and stays a page
// ahead of whoever takes them. The channel ends with the class or an error;
// cancelling ctx frees the reader.
func pages(ctx context.Context, s storage.Store, class *schema.Class, after string) <-chan page {
	out := make(chan page, 1)
	go func() {
		defer close(out)
		send := func(p page) bool {
			select {
			case out <- p:
				return p.err == nil
			case <-ctx.Done():
				return false
			}
		}
		limit := firstPage
		for {
			objects, err := next(ctx, s, class, after, limit)
			if err != nil {
				send(page{err: fmt.Errorf("read class %s: %w", class.Name, err)})
				return
			}
			if len(objects) == 0 {
				return
			}
			// They are the taker's once they are sent.
			p, bytes, full := page{objects: objects}, 0, len(objects) == limit
			for _, o := range objects {
				bytes += size(o)
			}
			after = p.after()
			limit = min(max(pageBytes*len(objects)/bytes, 1), mostPage)
			if !send(p) || !full || small(class.Name) {
				return
			}
		}
	}()
	return out
}

// small reports whether a class is read as one page: its ids are no texts on
// every database, and its objects are few.
func small(class string) bool { return nameless(class) || schema.IsSingleton(class) }

func next(ctx context.Context, s storage.Store, class *schema.Class, after string, limit int) ([]*parse.Object, error) {
	if small(class.Name) {
		return s.Find(ctx, &storage.Find{Class: class, Limit: query.NoLimit})
	}
	return storage.Page(ctx, s, class, after, limit)
}

// byID returns those of some objects that a store has, by their ids.
func byID(ctx context.Context, s storage.Store, class *schema.Class, objects []*parse.Object) (map[string]*parse.Object, error) {
	ids := make([]parse.Value, len(objects))
	for i, o := range objects {
		ids[i] = o.ID
	}
	found, err := s.Find(ctx, &storage.Find{
		Class: class, Where: &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids}, Limit: query.NoLimit, AnyOrder: true,
	})
	if err != nil {
		return nil, fmt.Errorf("read class %s: %w", class.Name, err)
	}
	out := make(map[string]*parse.Object, len(found))
	for _, o := range found {
		out[o.ID] = o
	}
	return out, nil
}

// relations lists the relation fields of a class.
func relations(class *schema.Class) (out []storage.Join) {
	for _, name := range slices.Sorted(maps.Keys(class.Fields)) {
		if class.Fields[name].Type == schema.Relation {
			out = append(out, storage.Join{Class: class.Name, Key: name})
		}
	}
	return out
}
