package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// deleteBatch is the number of objects removed by one command.
const deleteBatch = 500

// Insert implements storage.Store. If one of several objects cannot be stored
// the others are removed again; until then they can be seen.
func (d *DB) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	wanted, err := storage.ClaimsOf(class, objects)
	if err != nil {
		return err
	}
	err = d.alone(ctx, class, "", wanted, func(ctx context.Context) error { return d.insert(ctx, class, objects) })
	if err == nil || len(objects) < 2 {
		return err
	}
	return errors.Join(err, d.undoInsert(ctx, class, objects, err))
}

func (d *DB) insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	if len(objects) == 0 {
		return nil
	}
	docs := make([][]byte, len(objects))
	for i, o := range objects {
		doc, err := encodeObject(make([]byte, 0, 512), class, o)
		if err != nil {
			return err
		}
		docs[i] = doc
	}
	coll := d.collection(class.Name)
	var err error
	if len(docs) == 1 {
		_, err = coll.InsertOne(ctx, docs[0])
	} else {
		_, err = coll.InsertMany(ctx, docs)
	}
	if err == nil {
		return nil
	}
	return &insertError{cause: err, error: d.failure(ctx, "insert", class.Name, err)}
}

// insertError keeps what the driver said beside what the caller is told.
type insertError struct {
	error
	cause error
}

// Unwrap returns what the caller is told.
func (e *insertError) Unwrap() error { return e.error }

// undoInsert removes what an ordered insert left behind. Objects are known by
// id and creation date, so that one that was there before stays.
func (d *DB) undoInsert(ctx context.Context, class *schema.Class, objects []*parse.Object, err error) error {
	var ie *insertError
	if !errors.As(err, &ie) {
		return nil // nothing was sent
	}
	var bulk mongo.BulkWriteException
	if errors.As(ie.cause, &bulk) && len(bulk.WriteErrors) > 0 {
		objects = objects[:min(bulk.WriteErrors[0].Index, len(objects))]
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	for len(objects) > 0 {
		n := min(len(objects), deleteBatch)
		conds := make([]cond, n)
		for i, o := range objects[:n] {
			k, doc := bsoncore.AppendDocumentStart(nil)
			doc = id(doc, class.Name, o.ID)
			doc = bsoncore.AppendDateTimeElement(doc, keyCreatedAt, int64(o.CreatedAt))
			conds[i] = cond{doc: endDocument(doc, k)}
		}
		if _, err := d.collection(class.Name).DeleteMany(ctx, joined("$or", conds)); err != nil {
			return d.failure(ctx, "undo insert", class.Name, err)
		}
		objects = objects[n:]
	}
	return nil
}

// Delete implements storage.Store.
func (d *DB) Delete(ctx context.Context, class *schema.Class, where query.Node) ([]*parse.Object, error) {
	flt, err := newFilter(class, where)
	if err != nil {
		return nil, err
	}
	if flt.never {
		return nil, nil
	}
	if flt.matcher == nil && hasID(flt.doc) {
		return d.deleteOne(ctx, class, flt.doc)
	}
	var found []*parse.Object
	err = d.each(ctx, class, nil, flt, options.Find().SetBatchSize(batchSize), func(o *parse.Object) (bool, error) {
		found = append(found, o)
		return true, nil
	})
	if err != nil {
		return nil, d.failure(ctx, "delete", class.Name, err)
	}
	removed := found[:0]
	for len(found) > 0 {
		n := min(len(found), deleteBatch)
		gone, err := d.deleteFound(ctx, class, flt.doc, found[:n])
		if err != nil {
			return nil, err
		}
		removed, found = append(removed, gone...), found[n:]
	}
	return removed, nil
}

// hasID reports whether a filter asks for one objectId.
func hasID(doc []byte) bool {
	w := walk(doc)
	var el element
	for w.next(&el) {
		if string(el.key) == keyID {
			return el.typ == bsoncore.TypeString || el.typ == bsoncore.TypeInt32
		}
	}
	return false
}

func (d *DB) deleteOne(ctx context.Context, class *schema.Class, doc []byte) ([]*parse.Object, error) {
	raw, err := d.collection(class.Name).FindOneAndDelete(ctx, doc).Raw()
	if isNone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, d.failure(ctx, "delete", class.Name, err)
	}
	o, err := decodeObject(class, raw)
	if err != nil {
		return nil, err
	}
	return []*parse.Object{o}, nil
}

// deleteFound removes objects as they were found: one that has changed or gone
// since is left out of the answer.
func (d *DB) deleteFound(ctx context.Context, class *schema.Class, where []byte, found []*parse.Object) ([]*parse.Object, error) {
	ids := make([]parse.Value, len(found))
	for i, o := range found {
		ids[i] = o.ID
	}
	w := walker{class: class}
	these := w.in(resolve(class, parse.KeyObjectID), ids)
	coll := d.collection(class.Name)
	res, err := coll.DeleteMany(ctx, and([]cond{these, {doc: where}}).doc)
	if err != nil {
		return nil, d.failure(ctx, "delete", class.Name, err)
	}
	if int(res.DeletedCount) == len(found) {
		return found, nil
	}
	left := map[string]bool{}
	flt := &filter{doc: these.doc}
	opts := options.Find().SetProjection(projection(class, []string{}))
	err = d.each(ctx, class, nil, flt, opts, func(o *parse.Object) (bool, error) {
		left[o.ID] = true
		return true, nil
	})
	if err != nil {
		return nil, d.failure(ctx, "delete", class.Name, err)
	}
	gone := make([]*parse.Object, 0, len(found))
	for _, o := range found {
		if !left[o.ID] {
			gone = append(gone, o)
		}
	}
	return gone, nil
}
