package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/mongo"

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

// InTx implements storage.Transactor. Conflicts with other transactions are
// tried again by the driver, for up to two minutes.
func (d *txDB) InTx(ctx context.Context, fn func(ctx context.Context, tx storage.Store) error) error {
	session, err := d.client.StartSession()
	if err != nil {
		return d.failure(ctx, "transaction", "", err)
	}
	defer session.EndSession(context.WithoutCancel(ctx))
	// Errors of fn pass as they are: the driver looks for its labels in the
	// chain, the caller for its own errors.
	_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
		return nil, fn(ctx, &tx{DB: d.DB, session: session})
	})
	return err
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
}

func (t *tx) in(ctx context.Context) context.Context { return mongo.NewSessionContext(ctx, t.session) }

// Find implements storage.Store.
func (t *tx) Find(ctx context.Context, f *storage.Find) ([]*parse.Object, error) {
	return t.DB.Find(t.in(ctx), f)
}

// Count implements storage.Store.
func (t *tx) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (int64, error) {
	return t.DB.Count(t.in(ctx), class, where, advice)
}

// Explain implements storage.Explainer. Plans are not made inside of a
// transaction: the server refuses that.
func (t *tx) Explain(ctx context.Context, f *storage.Find, v query.Verbosity) (*parse.Map, error) {
	return t.DB.Explain(ctx, f, v)
}

// Insert implements storage.Store.
func (t *tx) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	return t.insert(t.in(ctx), class, objects)
}

// Update implements storage.Store.
func (t *tx) Update(ctx context.Context, u *storage.Update) (before, after *parse.Object, err error) {
	return t.DB.Update(t.in(ctx), u)
}

// Delete implements storage.Store.
func (t *tx) Delete(ctx context.Context, class *schema.Class, where query.Node) ([]*parse.Object, error) {
	return t.DB.Delete(t.in(ctx), class, where)
}

// AddRelated implements storage.Store.
func (t *tx) AddRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	return t.DB.AddRelated(t.in(ctx), r, owningID, relatedIDs)
}

// RemoveRelated implements storage.Store.
func (t *tx) RemoveRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	return t.DB.RemoveRelated(t.in(ctx), r, owningID, relatedIDs)
}

// Related implements storage.Store.
func (t *tx) Related(ctx context.Context, r storage.Join, owningID string) ([]string, error) {
	return t.DB.Related(t.in(ctx), r, owningID)
}

// Owning implements storage.Store.
func (t *tx) Owning(ctx context.Context, r storage.Join, relatedIDs []string) ([]string, error) {
	return t.DB.Owning(t.in(ctx), r, relatedIDs)
}

// Links implements storage.Store.
func (t *tx) Links(ctx context.Context, r storage.Join, owningIDs []string) ([]storage.Link, error) {
	return t.DB.Links(t.in(ctx), r, owningIDs)
}
