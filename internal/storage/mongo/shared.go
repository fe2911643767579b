package mongo

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/parse"
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

const (
	// schemaLease is how long a lock of the schema holds without a sign of life
	// of its owner. A server that dies in the middle of a change keeps others
	// waiting for so long.
	schemaLease = 10 * time.Second
	// lockRetry is how often a waiting server looks whether the lock is free.
	lockRetry = 200 * time.Millisecond
	// unlockTimeout bounds the release of the lock, which is done even if the
	// change was given up.
	unlockTimeout = 5 * time.Second
)

var _ schema.Shared = (*DB)(nil)

// errLockLost ends a change whose lock another server may have taken.
var errLockLost = errors.New("the lock of the schema was lost: another server may be changing it")

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

// LockSchema implements schema.Shared. The lock is a document with a time
// until which it holds, by the clock of the database; its owner moves the time
// on while he lives.
func (d *DB) LockSchema(ctx context.Context) (locked context.Context, unlock func(), err error) {
	owner := parse.NewObjectID(20)
	tick := time.NewTicker(lockRetry)
	defer tick.Stop()
	for waiting := false; ; waiting = true {
		held, err := d.takeLock(ctx, owner)
		if err != nil {
			return nil, nil, d.failure(ctx, "lock", schemaCollection, err)
		}
		if held {
			break
		}
		if !waiting {
			d.log.InfoContext(ctx, "another server is changing the schema: waiting for it")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("wait for the lock of the schema: %w", ctx.Err())
		}
	}
	locked, cancel := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		d.keepLock(locked, cancel, owner)
	}()
	return locked, func() {
		cancel(nil)
		<-stopped
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer done()
		_, err := d.collection(ownCollection).DeleteOne(ctx, bson.D{{Key: keyID, Value: lockDocument}, {Key: "owner", Value: owner}})
		if err != nil {
			d.log.WarnContext(ctx, "the lock of the schema was not released: it ends by itself", "after", d.lease, "error", err)
		}
	}, nil
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

// keepLock moves the end of the lock on until ctx ends; if that fails for so
// long that the lock may be another's, it cancels ctx.
func (d *DB) keepLock(ctx context.Context, cancel context.CancelCauseFunc, owner string) {
	tick := time.NewTicker(d.lease / 4)
	defer tick.Stop()
	sure := time.Now().Add(d.lease * 3 / 4)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		held, err := d.renewLock(ctx, owner)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && held:
			sure = began.Add(d.lease * 3 / 4)
		case err == nil, time.Now().After(sure):
			cancel(errLockLost)
			return
		}
	}
}

func (d *DB) renewLock(ctx context.Context, owner string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, d.lease/4)
	defer cancel()
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
