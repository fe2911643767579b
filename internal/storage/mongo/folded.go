package mongo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// The locks of [storage.Claim] are leases: documents with a time.
const (
	// leaseCollection has the leases: few at a time, and of no use afterwards.
	leaseCollection = "_PargoLease"
	// leaseTime is after how long a lease that was left behind is taken over;
	// writeTime is how long its holder may take, with clocks that differ.
	leaseTime, writeTime = 60 * time.Second, 20 * time.Second
)

// alone runs write while nobody else writes the same names, and only if no
// other object than that of the id has them.
func (d *DB) alone(ctx context.Context, class *schema.Class, id string, wanted []storage.Claim, write func(context.Context) error) error {
	if len(wanted) == 0 || mongo.SessionFromContext(ctx) != nil {
		return write(ctx) // in a transaction, a lease would end before the commit
	}
	by := bson.NewObjectID()
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	defer d.release(ctx, by)
	for i := range wanted {
		if err := d.reserve(ctx, class, id, &wanted[i], by); err != nil {
			return err
		}
	}
	return write(ctx)
}

// reserve waits for the lease on a claim; *storage.DuplicateError if another
// object has the value.
func (d *DB) reserve(ctx context.Context, class *schema.Class, id string, c *storage.Claim, by bson.ObjectID) error {
	coll := d.collection(leaseCollection)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		if err := d.free(ctx, class, id, c); err != nil {
			return err
		}
		now := time.Now()
		until := bson.D{{Key: "by", Value: by}, {Key: "until", Value: now.Add(leaseTime)}}
		_, err := coll.InsertOne(ctx, append(bson.D{{Key: keyID, Value: c.Key}}, until...))
		if mongo.IsDuplicateKeyError(err) {
			err = coll.FindOneAndUpdate(ctx,
				bson.D{{Key: keyID, Value: c.Key}, {Key: "until", Value: bson.D{{Key: "$lt", Value: now}}}},
				bson.D{{Key: "$set", Value: until}}).Err()
		}
		switch {
		case err == nil:
			// Who had it before may have written since the look above.
			return d.free(ctx, class, id, c)
		case !isNone(err):
			return d.failure(ctx, "reserve a name in", class.Name, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a name in %s: %w", class.Name, ctx.Err())
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // no secret
		}
	}
}

// free looks for another object that has the value but for case.
func (d *DB) free(ctx context.Context, class *schema.Class, id string, c *storage.Claim) error {
	where := bson.D{
		{Key: indexKey(class, c.Field), Value: c.Value},
		{Key: keyID, Value: bson.D{{Key: "$ne", Value: id}}},
	}
	opts := options.FindOne().SetCollation(withoutCase()).
		SetProjection(bson.D{{Key: keyID, Value: 1}})
	err := d.collection(class.Name).FindOne(ctx, where, opts).Err()
	switch {
	case isNone(err):
		return nil
	case err != nil:
		return d.failure(ctx, "look for a name in", class.Name, err)
	}
	return c.Taken()
}

// withoutCase is the collation of the indexes that do not regard case.
func withoutCase() *options.Collation {
	return &options.Collation{Locale: "en_US", Strength: foldCase}
}

// foldedFilter lets the index on a field lead to the objects that a filter is
// for. The filter decides: the collation knows more letters that are the same.
func foldedFilter(class *schema.Class, folded *query.Compare, filter []byte) []byte {
	i, dst := bsoncore.AppendDocumentStart(nil)
	array, dst := bsoncore.AppendArrayElementStart(dst, "$and")
	j, dst := bsoncore.AppendDocumentElementStart(dst, "0")
	text, _ := folded.Value.(string)
	dst = bsoncore.AppendStringElement(dst, indexKey(class, string(folded.Path)), text)
	dst, _ = bsoncore.AppendDocumentEnd(dst, j)
	dst = bsoncore.AppendDocumentElement(dst, "1", filter)
	dst, _ = bsoncore.AppendArrayEnd(dst, array)
	dst, _ = bsoncore.AppendDocumentEnd(dst, i)
	return dst
}

// release gives all leases of a holder back. One that stays is taken over later.
func (d *DB) release(ctx context.Context, by bson.ObjectID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if _, err := d.collection(leaseCollection).DeleteMany(ctx, bson.D{{Key: "by", Value: by}}); err != nil {
		d.log.WarnContext(ctx, "a reserved name was not released", "error", err)
	}
}
