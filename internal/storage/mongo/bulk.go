package mongo

import (
	"context"
	"errors"
	"sync"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

var _ storage.Bulk = (*DB)(nil)

// updatesAtOnce is how many updates of a bulk are under way at a time: each
// needs its object before and after, which no bulk command answers.
const updatesAtOnce = 16

// InsertEach implements [storage.Bulk]: one unordered insert.
func (d *DB) InsertEach(ctx context.Context, class *schema.Class, objects []*parse.Object) []error {
	errs := make([]error, len(objects))
	if storage.HasClaims(class) { // names are reserved one by one
		for i, o := range objects {
			errs[i] = d.Insert(ctx, class, []*parse.Object{o})
		}
		return errs
	}
	docs := make([][]byte, 0, len(objects))
	at := make([]int, 0, len(objects)) // where the object of a document stands
	for i, o := range objects {
		doc, err := encodeObject(make([]byte, 0, 512), class, o)
		if err != nil {
			errs[i] = err
			continue
		}
		docs, at = append(docs, doc), append(at, i)
	}
	if len(docs) == 0 {
		return errs
	}
	_, err := d.collection(class.Name).InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	if err == nil {
		return errs
	}
	var bulk mongo.BulkWriteException
	if errors.As(err, &bulk) && bulk.WriteConcernError == nil {
		for _, we := range bulk.WriteErrors {
			if we.Index >= 0 && we.Index < len(at) {
				one := mongo.WriteException{WriteErrors: mongo.WriteErrors{we.WriteError}}
				errs[at[we.Index]] = d.failure(ctx, "insert", class.Name, one)
			}
		}
		return errs
	}
	for _, i := range at {
		errs[i] = d.failure(ctx, "insert", class.Name, err)
	}
	return errs
}

// UpdateEach implements [storage.Bulk].
func (d *DB) UpdateEach(ctx context.Context, updates []*storage.Update) []storage.Updated {
	out := make([]storage.Updated, len(updates))
	var wg sync.WaitGroup
	workers := min(updatesAtOnce, len(updates))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(updates); i += workers {
				out[i].Before, out[i].After, out[i].Err = d.Update(ctx, updates[i])
			}
		})
	}
	wg.Wait()
	return out
}
