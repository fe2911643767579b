package mongo

import (
	"context"
	"hash/fnv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/schema"
)

// ownCollection holds what pargo's servers tell each other. Parse Server does
// not know it, and leaves it alone.
const ownCollection = "_pargo"

// Documents of ownCollection.
const (
	versionDocument = "schema"     // {n: how often the schema has changed}
	lockDocument    = "schemaLock" // {owner, until}
)

var _ schema.Shared = (*DB)(nil)

// SchemaVersion implements schema.Shared.
func (d *DB) SchemaVersion(ctx context.Context) (uint64, error) {
	var doc struct {
		N int64 `bson:"n"`
	}
	err := d.collection(ownCollection).FindOne(ctx, bson.D{{Key: keyID, Value: versionDocument}}).Decode(&doc)
	if isNone(err) {
		return 0, nil
	}
	return uint64(doc.N), d.failure(ctx, "read version of", schemaCollection, err)
}

// AnnounceSchema implements schema.Shared.
func (d *DB) AnnounceSchema(ctx context.Context) (uint64, error) {
	var doc struct {
		N int64 `bson:"n"`
	}
	count := func() error {
		return d.collection(ownCollection).FindOneAndUpdate(ctx, bson.D{{Key: keyID, Value: versionDocument}},
			bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}},
			options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&doc)
	}
	err := count()
	if mongo.IsDuplicateKeyError(err) { // two servers made the document at once
		err = count()
	}
	return uint64(doc.N), d.failure(ctx, "count change of", schemaCollection, err)
}

// SchemaPrint implements schema.Shared.
func (d *DB) SchemaPrint(ctx context.Context) (print uint64, err error) {
	cur, err := d.schemas().Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: keyID, Value: 1}}))
	if err != nil {
		return 0, d.failure(ctx, "read", schemaCollection, err)
	}
	defer func() {
		if cerr := closeCursor(ctx, cur); err == nil {
			err = d.failure(ctx, "read", schemaCollection, cerr)
		}
	}()
	h := fnv.New64a()
	for cur.Next(ctx) {
		_, _ = h.Write(cur.Current) // never fails
	}
	return h.Sum64(), d.failure(ctx, "read", schemaCollection, cur.Err())
}

// LockSchema implements schema.Shared. The lock is a document of ownCollection.
func (d *DB) LockSchema(ctx context.Context) (locked context.Context, unlock func(), err error) {
	l := &storage.Lock{
		Length: d.lease, Log: d.log, Renew: d.renewLock,
		Take: func(ctx context.Context, owner string) (bool, error) {
			held, err := d.takeLock(ctx, owner)
			return held, d.failure(ctx, "lock", schemaCollection, err)
		},
		Release: func(ctx context.Context, owner string) error {
			_, err := d.collection(ownCollection).DeleteOne(ctx, bson.D{{Key: keyID, Value: lockDocument}, {Key: "owner", Value: owner}})
			return err
		},
	}
	return l.Hold(ctx)
}

// now is the time by the clock of the database, which all servers share.
func (d *DB) now(ctx context.Context) (time.Time, error) {
	var hello struct {
		LocalTime time.Time `bson:"localTime"`
	}
	err := d.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	return hello.LocalTime, err
}

// takeLock takes the lock if nobody holds it.
func (d *DB) takeLock(ctx context.Context, owner string) (bool, error) {
	now, err := d.now(ctx)
	if err != nil {
		return false, err
	}
	_, err = d.collection(ownCollection).UpdateOne(ctx,
		bson.D{{Key: keyID, Value: lockDocument}, {Key: "until", Value: bson.D{{Key: "$lt", Value: now}}}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "owner", Value: owner}, {Key: "until", Value: now.Add(d.lease)}}}},
		options.UpdateOne().SetUpsert(true))
	if mongo.IsDuplicateKeyError(err) { // it is there, and its time is not over
		return false, nil
	}
	return err == nil, err
}

func (d *DB) renewLock(ctx context.Context, owner string) (bool, error) {
	now, err := d.now(ctx)
	if err != nil {
		return false, err
	}
	res, err := d.collection(ownCollection).UpdateOne(ctx,
		bson.D{{Key: keyID, Value: lockDocument}, {Key: "owner", Value: owner}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "until", Value: now.Add(d.lease)}}}})
	if err != nil {
		return false, err
	}
	return res.MatchedCount == 1, nil
}
