package mongo

import (
	"context"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// batchSize is the number of objects fetched in one go.
const batchSize = 1000

// Find implements storage.Store.
//
// MongoDB sorts values of different types as numbers, strings, objects,
// arrays, booleans, Dates; within one type the order is that of package query.
// Fields whose values have no order there (arrays, pointers) are sorted here.
func (d *DB) Find(ctx context.Context, f *storage.Find) ([]*parse.Object, error) {
	flt, err := newFilter(f.Class, f.Where)
	if err != nil {
		return nil, err
	}
	if flt.never || f.Limit == 0 {
		return nil, nil
	}
	ctx, cancel := d.bounded(ctx, f.Where)
	defer cancel()
	opts := options.Find().SetBatchSize(batchSize)
	if f.Advice != nil {
		advise(opts, f.Class, f.Advice)
	}
	if f.Folded != nil {
		flt.doc = foldedFilter(f.Class, f.Folded, flt.doc)
		opts.SetCollation(withoutCase())
	}
	score := scorer(f)
	if sortedHere(f, flt) {
		top := storage.NewTop(query.Less(f.Order), f.Skip, f.Limit)
		top.Weigh(f.Meter, (*parse.Object).Size)
		err := d.each(ctx, f.Class, f.Advice, flt, opts, func(o *parse.Object) (bool, error) {
			score(o)
			return true, top.Add(o)
		})
		if err != nil {
			return nil, d.failure(ctx, "find", f.Class.Name, err)
		}
		return top.Page(), nil
	}
	p := pageOf(f, flt)
	if p.sort != nil {
		opts.SetSort(p.sort)
	}
	if p.skip > 0 {
		opts.SetSkip(int64(p.skip))
	}
	if p.limit > 0 {
		opts.SetLimit(int64(p.limit))
	}
	if p.projection != nil {
		opts.SetProjection(p.projection)
	}
	skip, limit := f.Skip-p.skip, f.Limit
	var out []*parse.Object
	err = d.each(ctx, f.Class, f.Advice, flt, opts, func(o *parse.Object) (bool, error) {
		if skip > 0 {
			skip--
			return true, nil
		}
		score(o)
		if err := f.Keep(o); err != nil {
			return false, err
		}
		out = append(out, o)
		return limit < 0 || len(out) < limit, nil
	})
	if err != nil {
		return nil, d.failure(ctx, "find", f.Class.Name, err)
	}
	return out, nil
}

// page is what the database does beyond filtering.
type page struct {
	sort, projection []byte // nil: none
	skip, limit      int    // 0: none
}

// pageOf leaves the page to the database where its filter is exact; otherwise
// nothing may be skipped there.
func pageOf(f *storage.Find, flt *filter) page {
	var p page
	if sortedHere(f, flt) {
		return p
	}
	if len(f.Order) > 0 {
		p.sort = sortDocument(f.Class, f.Order)
	}
	if flt.matcher == nil {
		p.skip, p.limit, p.projection = f.Skip, max(f.Limit, 0), projection(f.Class, scoredKeys(f))
	}
	return p
}

// each calls fn with every object that matches until fn returns false or an error.
func (d *DB) each(ctx context.Context, class *schema.Class, advice *query.Advice, flt *filter, opts *options.FindOptionsBuilder, fn func(*parse.Object) (bool, error)) (err error) {
	if err := d.boundFind(opts, flt.where); err != nil {
		return err
	}
	cur, err := d.reading(ctx, class.Name, advice).Find(ctx, flt.doc, opts)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := closeCursor(ctx, cur); err == nil {
			err = cerr
		}
	}()
	for cur.Next(ctx) {
		o, err := decodeObject(class, cur.Current)
		if err != nil {
			return err
		}
		if flt.match(o) {
			if more, err := fn(o); err != nil || !more {
				return err
			}
		}
		if err := flt.err(); err != nil {
			return err
		}
	}
	return cur.Err()
}

// closeCursor frees a cursor on the server even if the request was given up.
func closeCursor(ctx context.Context, cur *mongo.Cursor) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return cur.Close(ctx)
}

// Count implements storage.Store.
func (d *DB) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (int64, error) {
	flt, err := newFilter(class, where)
	if err != nil {
		return 0, err
	}
	if flt.never {
		return 0, nil
	}
	ctx, cancel := d.bounded(ctx, where)
	defer cancel()
	if flt.matcher == nil {
		opts := options.Count()
		if advice != nil {
			if h := hintOf(class, advice); h != nil {
				opts.SetHint(h)
			}
			if advice.Comment != "" {
				opts.SetComment(advice.Comment)
			}
		}
		n, err := d.reading(ctx, class.Name, advice).CountDocuments(ctx, flt.doc, opts)
		return n, d.failure(ctx, "count", class.Name, err)
	}
	var n int64
	opts := options.Find().SetBatchSize(batchSize)
	if advice != nil {
		advise(opts, class, advice)
	}
	err = d.each(ctx, class, advice, flt, opts, func(*parse.Object) (bool, error) {
		n++
		return true, nil
	})
	return n, d.failure(ctx, "count", class.Name, err)
}

// sortedHere reports whether an order has a field whose values MongoDB orders
// and package query does not, or, for a strict one, may order in another way,
// or a score that MongoDB does not know.
func sortedHere(f *storage.Find, flt *filter) bool {
	for _, s := range f.Order {
		if s.Path == query.ScoreField {
			if !flt.text || f.Strict {
				return true
			}
			continue
		}
		t := resolve(f.Class, string(s.Path))
		if s.From != nil || f.Strict && (t.deep || t.opaque || t.typ == 0) || !t.deep && (short(t.typ) || t.typ == schema.Array || t.typ == schema.Object) {
			return true
		}
	}
	return false
}

// sortDocument returns the order for the database. Keys that it cannot sort by
// are left out, as are repetitions, which it refuses.
func sortDocument(class *schema.Class, order []query.Sort) []byte {
	i, dst := bsoncore.AppendDocumentStart(nil)
	seen := make(map[string]bool, len(order))
	for _, s := range order {
		t := (&walker{class: class}).resolve(s.Path)
		if t.opaque || seen[t.key] {
			continue
		}
		seen[t.key] = true
		if s.Path == query.ScoreField {
			dst = textScore(dst)
			continue
		}
		direction := int32(1)
		if s.Desc {
			direction = -1
		}
		dst = bsoncore.AppendInt32Element(dst, t.key, direction)
	}
	return endDocument(dst, i)
}

// projection lists the keys to return; nil asks for all.
func projection(class *schema.Class, keys []string) []byte {
	if keys == nil {
		return nil
	}
	i, dst := bsoncore.AppendDocumentStart(make([]byte, 0, 256))
	seen := make(map[string]bool, len(keys)+4)
	add := func(key string) {
		if !seen[key] {
			seen[key] = true
			dst = bsoncore.AppendInt32Element(dst, key, 1)
		}
	}
	for _, key := range [...]string{keyID, keyCreatedAt, keyUpdatedAt, keyReadPerm, keyWritePerm} {
		add(key)
	}
	for _, field := range keys {
		field = query.Path(field).Root()
		if isAuthData(class, field) || field == "" || field[0] == '$' || strings.IndexByte(field, 0) >= 0 {
			return nil
		}
		if field == parse.KeyACL {
			continue
		}
		t := resolve(class, field)
		add(t.key)
		if t.maybePointer {
			add(prefixPointer + t.key)
		}
		if t.nullKey != "" {
			add(t.nullKey)
		}
	}
	return endDocument(dst, i)
}
