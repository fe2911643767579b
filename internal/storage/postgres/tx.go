package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/schema"
)

// tx is the store inside a transaction.
type tx struct{ session }

var _ storage.Store = (*tx)(nil)

// InTx implements [storage.Transactor]. The transaction sees the database as it
// was at its first statement; if another one has changed meanwhile what it
// writes, or the two wait for one another, it is run again.
func (d *DB) InTx(ctx context.Context, fn func(ctx context.Context, tx storage.Store) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	var own error // what fn returned, which passes as it is
	err := again(ctx, func() error {
		own = nil
		return transactAs(ctx, d.pool, beginText+" isolation level repeatable read", func(ctx context.Context, x querier) error {
			own = fn(ctx, &tx{session{db: d, q: x, mu: &sync.Mutex{}}})
			return own
		})
	})
	if own != nil {
		return own
	}
	return d.failure(ctx, "transaction", "", err)
}

// ApplySchema implements [storage.Store]: tables are changed by the
// transaction that may have locked them.
func (x *tx) ApplySchema(ctx context.Context, steps []schema.Step) error {
	return x.write(ctx, "change schema", "", func(ctx context.Context, q querier) error { return x.db.applySteps(ctx, q, steps) })
}

// Close implements [storage.Store]: the transaction ends with its function.
func (x *tx) Close() error { return nil }
