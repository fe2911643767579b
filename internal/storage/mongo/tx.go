package mongo

import (
	"context"
	"sync"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// txDB is a DB on a server with transactions.
type txDB struct{ *DB }

var _ interface {
	storage.Store
	storage.Transactor
} = (*txDB)(nil)

var _ interface {
	storage.Store
	storage.Aggregator
	storage.Bulk
} = (*tx)(nil)

// InTx implements storage.Transactor. Conflicts with other transactions are
// tried again by the driver, for up to two minutes.
func (d *txDB) InTx(ctx context.Context, fn func(ctx context.Context, tx storage.Store) error) error {
	session, err := d.client.StartSession()
	if err != nil {
		return d.failure(ctx, "transaction", "", err)
	}
	defer session.EndSession(context.WithoutCancel(ctx))
	// Errors of fn pass as they are: the driver looks for its labels in the
	// chain, the caller for its own errors. fn gets the context without the
	// session: what it does elsewhere is no part of the transaction.
	var failed error
	_, err = session.WithTransaction(ctx, func(context.Context) (any, error) {
		failed = fn(ctx, &tx{DB: d.DB, session: session})
		return nil, failed
	}, options.Transaction().SetReadPreference(readpref.Primary())) // whatever the URI says: others are refused
	if failed != nil {
		return err
	}
	return d.failure(ctx, "transaction", "", err)
}

// Insert implements storage.Store: several objects go in as one transaction.
func (d *txDB) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	if len(objects) < 2 {
		return d.DB.Insert(ctx, class, objects)
	}
	return d.InTx(ctx, func(ctx context.Context, tx storage.Store) error { return tx.Insert(ctx, class, objects) })
}

// tx is the store of one transaction. The session is part of it, so that its
// operations belong to the transaction whatever context they are given.
type tx struct {
	*DB
	session *mongo.Session
	// mu is held by an operation: a session has one at a time.
	mu sync.Mutex
}

// in waits until no other operation is under way and returns the context for
// the next one; done ends it.
func (t *tx) in(ctx context.Context) (_ context.Context, done func()) {
	t.mu.Lock()
	return mongo.NewSessionContext(ctx, t.session), t.mu.Unlock
}

// Find implements storage.Store.
func (t *tx) Find(ctx context.Context, f *storage.Find) ([]*parse.Object, error) {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.Find(ctx, f)
}

// Count implements storage.Store.
func (t *tx) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (int64, error) {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.Count(ctx, class, where, advice)
}

// Aggregate implements storage.Aggregator.
func (t *tx) Aggregate(ctx context.Context, a *storage.Aggregate, emit func(*parse.Map) error) (int, error) {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.Aggregate(ctx, a, emit)
}

// Explain and ExplainAggregate are those of DB: the server makes no plans inside
// of a transaction. LoadSchema, ApplySchema and Indexes are no part of it either.

// Insert implements storage.Store.
func (t *tx) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	ctx, done := t.in(ctx)
	defer done()
	return t.insert(ctx, class, objects)
}

// InsertEach implements storage.Bulk. The first object that is refused ends the
// transaction, and with it the others.
func (t *tx) InsertEach(ctx context.Context, class *schema.Class, objects []*parse.Object) []error {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.InsertEach(ctx, class, objects)
}

// Update implements storage.Store.
func (t *tx) Update(ctx context.Context, u *storage.Update) (before, after *parse.Object, err error) {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.Update(ctx, u)
}

// UpdateEach implements storage.Bulk: one after the other.
func (t *tx) UpdateEach(ctx context.Context, updates []*storage.Update) []storage.Updated {
	out := make([]storage.Updated, len(updates))
	for i, u := range updates {
		out[i].Before, out[i].After, out[i].Err = t.Update(ctx, u)
	}
	return out
}

// Delete implements storage.Store.
func (t *tx) Delete(ctx context.Context, class *schema.Class, where query.Node) ([]*parse.Object, error) {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.Delete(ctx, class, where)
}

// AddRelated implements storage.Store.
func (t *tx) AddRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.AddRelated(ctx, r, owningID, relatedIDs)
}

// RemoveRelated implements storage.Store.
func (t *tx) RemoveRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.RemoveRelated(ctx, r, owningID, relatedIDs)
}

// Related implements storage.Store.
func (t *tx) Related(ctx context.Context, r storage.Join, owningID string) ([]string, error) {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.Related(ctx, r, owningID)
}

// Owning implements storage.Store.
func (t *tx) Owning(ctx context.Context, r storage.Join, relatedIDs []string) ([]string, error) {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.Owning(ctx, r, relatedIDs)
}

// Links implements storage.Store.
func (t *tx) Links(ctx context.Context, r storage.Join, owningIDs []string) ([]storage.Link, error) {
	ctx, done := t.in(ctx)
	defer done()
	return t.DB.Links(ctx, r, owningIDs)
}
