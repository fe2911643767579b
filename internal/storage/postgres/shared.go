package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Rows of "_pargo" that servers tell each other by.
const (
	versionKey = "schema"     // {"n": how often the schema has changed}
	lockKey    = "schemaLock" // {"owner", "until"}
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

// channel is where Parse Server tells of changes of the schema.
const channel = "schema.change"

var _ schema.Shared = (*DB)(nil)

// errLockLost ends a change whose lock another server may have taken.
var errLockLost = errors.New("the lock of the schema was lost: another server may be changing it")

func number(n *uint64) func(raw [][]byte, _ []int16) (bool, error) {
	return func(raw [][]byte, _ []int16) (bool, error) {
		*n = 0
		for _, c := range raw[0] {
			*n = 10*(*n) + uint64(c-'0')
		}
		return true, nil
	}
}

// SchemaVersion implements [schema.Shared].
func (d *DB) SchemaVersion(ctx context.Context) (n uint64, err error) {
	err = d.read(ctx, "read version of", "the schema", func(ctx context.Context, q querier) error {
		_, err := each(ctx, q, `SELECT "value"->>'n' FROM "_pargo" WHERE "key" = $1`, []any{versionKey}, number(&n))
		return err
	})
	return n, err
}

// AnnounceSchema implements [schema.Shared]. Servers of Parse Server hear of it
// too, in their own form.
func (d *DB) AnnounceSchema(ctx context.Context) (n uint64, err error) {
	payload := string(parse.AppendJSON(nil, parse.NewMap(parse.MapField{Key: "senderId", Value: d.sender})))
	err = d.write(ctx, "count change of", "the schema", func(ctx context.Context, q querier) error {
		_, err := each(ctx, q, `WITH n AS (INSERT INTO "_pargo" ("key", "value") VALUES ($1, '{"n":1}')
			ON CONFLICT ("key") DO UPDATE SET "value" = jsonb_build_object('n', ("_pargo"."value"->>'n')::bigint + 1) RETURNING "value"->>'n' AS n)
			SELECT n, pg_notify($2, $3)::text FROM n`, []any{versionKey, channel, payload}, number(&n))
		return err
	})
	return n, err
}

// SchemaPrint implements [schema.Shared].
func (d *DB) SchemaPrint(ctx context.Context) (uint64, error) {
	h := fnv.New64a()
	err := d.read(ctx, "read", "the schema", func(ctx context.Context, q querier) error {
		_, err := each(ctx, q, `SELECT "className", "schema"::text FROM "_SCHEMA" ORDER BY "className" USING ~<~`, nil, func(raw [][]byte, _ []int16) (bool, error) {
			for _, part := range raw {
				_, _ = h.Write(part) // never fails
				_, _ = h.Write([]byte{0})
			}
			return true, nil
		})
		return err
	})
	return h.Sum64(), err
}

// LockSchema implements [schema.Shared]. The lock is a row with a time until
// which it holds, by the clock of the database; its owner moves the time on
// while he lives.
func (d *DB) LockSchema(ctx context.Context) (locked context.Context, unlock func(), err error) {
	owner := parse.NewObjectID(20)
	tick := time.NewTicker(lockRetry)
	defer tick.Stop()
	for waiting := false; ; waiting = true {
		held, err := d.takeLock(ctx, owner, `OR ("_pargo"."value"->>'until')::timestamptz < clock_timestamp()`)
		if err != nil {
			return nil, nil, d.failure(ctx, "lock", "the schema", err)
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
		if _, err := d.pool.Exec(ctx, `DELETE FROM "_pargo" WHERE "key" = $1 AND "value"->>'owner' = $2`, lockKey, owner); err != nil {
			d.log.WarnContext(ctx, "the lock of the schema was not released: it ends by itself", "after", d.lease, "error", err)
		}
	}, nil
}

// takeLock takes the lock if nobody holds it, or moves its end on if it is the
// owner's; or, as a condition, may allow more.
func (d *DB) takeLock(ctx context.Context, owner, or string) (bool, error) {
	tag, err := d.pool.Exec(ctx, `INSERT INTO "_pargo" ("key", "value")
		VALUES ($1, jsonb_build_object('owner', $2::text, 'until', clock_timestamp() + $3 * interval '1 millisecond'))
		ON CONFLICT ("key") DO UPDATE SET "value" = excluded."value" WHERE "_pargo"."value"->>'owner' = $2 `+or, lockKey, owner, d.lease.Milliseconds())
	return tag.RowsAffected() == 1, err
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
	tag, err := d.pool.Exec(ctx, `UPDATE "_pargo" SET "value" = jsonb_build_object('owner', $2::text, 'until', clock_timestamp() + $3 * interval '1 millisecond')
		WHERE "key" = $1 AND "value"->>'owner' = $2`, lockKey, owner, d.lease.Milliseconds())
	return tag.RowsAffected() == 1, err
}
