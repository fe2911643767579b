package postgres

import (
	"context"
	"hash/fnv"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Rows of "_pargo" that servers tell each other by.
const (
	versionKey = "schema"     // {"n": how often the schema has changed}
	lockKey    = "schemaLock" // {"owner", "until"}
)

// channel is where Parse Server tells of changes of the schema.
const channel = "schema.change"

var _ schema.Shared = (*DB)(nil)

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

// LockSchema implements [schema.Shared]. The lock is a row of "_pargo".
func (d *DB) LockSchema(ctx context.Context) (locked context.Context, unlock func(), err error) {
	l := &storage.Lock{
		Length: d.lease, Log: d.log, Renew: d.renewLock,
		Take: func(ctx context.Context, owner string) (bool, error) {
			held, err := d.takeLock(ctx, owner, `OR ("_pargo"."value"->>'until')::timestamptz < clock_timestamp()`)
			return held, d.failure(ctx, "lock", "the schema", err)
		},
		Release: func(ctx context.Context, owner string) error {
			_, err := d.pool.Exec(ctx, `DELETE FROM "_pargo" WHERE "key" = $1 AND "value"->>'owner' = $2`, lockKey, owner)
			return err
		},
	}
	return l.Hold(ctx)
}

// takeLock takes the lock if nobody holds it, or moves its end on if it is the
// owner's; or, as a condition, may allow more.
func (d *DB) takeLock(ctx context.Context, owner, or string) (bool, error) {
	tag, err := d.pool.Exec(ctx, `INSERT INTO "_pargo" ("key", "value")
		VALUES ($1, jsonb_build_object('owner', $2::text, 'until', clock_timestamp() + $3 * interval '1 millisecond'))
		ON CONFLICT ("key") DO UPDATE SET "value" = excluded."value" WHERE "_pargo"."value"->>'owner' = $2 `+or, lockKey, owner, d.lease.Milliseconds())
	return tag.RowsAffected() == 1, err
}

func (d *DB) renewLock(ctx context.Context, owner string) (bool, error) {
	tag, err := d.pool.Exec(ctx, `UPDATE "_pargo" SET "value" = jsonb_build_object('owner', $2::text, 'until', clock_timestamp() + $3 * interval '1 millisecond')
		WHERE "key" = $1 AND "value"->>'owner' = $2`, lockKey, owner, d.lease.Milliseconds())
	return tag.RowsAffected() == 1, err
}
