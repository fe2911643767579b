package objects

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// schemaRounds bounds how often a transaction is run again because it needed
// classes or fields; each round brings all of at least one write into being.
const schemaRounds = 100

// undoTimeout bounds the undoing of writes on a store without transactions.
const undoTimeout = 10 * time.Second

// afterTimeout bounds what comes after a commit.
const afterTimeout = 30 * time.Second

// committedContext is the context of what follows a commit: it is done even if
// the client has gone meanwhile.
func committedContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return cloudcode.Outlive(ctx, afterTimeout)
}

// txState gathers what has to wait for the commit.
type txState struct {
	changes []parse.Change
	after   []func(ctx context.Context)
	schema  planner // needed before the transaction can succeed
}

// planner says which steps bring the schema to where a write needs it.
type planner func(*schema.Snapshot) ([]schema.Step, error)

// errSchemaFirst aborts a transaction that needs a change of the schema.
var errSchemaFirst = errors.New("the schema has to change before the transaction")

// InTx runs fn with a Service all of whose writes become one: committed if fn
// returns nil, undone otherwise. Changes are published and after-hooks run
// once it is committed. fn may be run more than once and must not use the
// outer Service. Within a transaction fn joins it.
//
// On stores without transactions the writes are done one after another and,
// if fn fails, undone in reverse order; others may see them in between.
func (s *Service) InTx(ctx context.Context, fn func(ctx context.Context, tx *Service) error) error {
	if s.tx != nil {
		return fn(ctx, s)
	}
	for range schemaRounds {
		var st *txState
		run := func(ctx context.Context, store storage.Store) error {
			st = &txState{}
			if err := fn(ctx, &Service{core: s.core, store: store, tx: st}); err != nil {
				return err
			}
			if st.schema != nil { // fn must not succeed without what it needed
				return errSchemaFirst
			}
			return nil
		}
		var err error
		told := false
		if t := storage.AsTransactor(s.store); t != nil {
			writing := ctx
			if s.order.ordered {
				writing = storage.TellOnCommit(ctx, func([]parse.Change) {
					told = true
					s.publish(ctx, st.changes)
				})
			}
			err = t.InTx(writing, run)
		} else {
			err = s.compensated(ctx, run)
		}
		if st != nil && st.schema != nil {
			// Schema changes do not belong to the transaction.
			if _, err := s.reg.Apply(ctx, st.schema); err != nil && !errors.Is(err, errSchemaMoved) {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if !told {
			s.publish(ctx, st.changes)
		}
		ctx, cancel := committedContext(ctx)
		defer cancel()
		for _, f := range st.after {
			f(ctx)
		}
		return nil
	}
	return parse.Errorf(parse.RequestLimitExceeded, "the transaction needs too many changes of the schema")
}

// apply changes the schema now or, in a transaction, ends this run of it.
func (s *Service) apply(ctx context.Context, plan planner) (*schema.Snapshot, error) {
	if s.tx == nil {
		return s.reg.Apply(ctx, plan)
	}
	s.tx.schema = plan
	return nil, errSchemaFirst
}

// committed publishes changes of one class, now or with the transaction.
func (s *Service) committed(ctx context.Context, changes ...parse.Change) {
	if len(changes) == 0 || !s.o.Publisher.Wants(changes[0].Class) {
		return
	}
	if s.tx != nil {
		s.tx.changes = append(s.tx.changes, changes...)
		return
	}
	s.o.Publisher.Publish(ctx, changes)
}

func (s *Service) publish(ctx context.Context, changes []parse.Change) {
	if len(changes) > 0 {
		s.o.Publisher.Publish(ctx, changes)
	}
}

// compensated runs fn on a store that remembers how to undo.
func (s *Service) compensated(ctx context.Context, fn func(context.Context, storage.Store) error) (err error) {
	u := &undoStore{Store: s.store}
	done := false
	defer func() {
		if done && err == nil {
			return
		}
		// The request may be over; its writes must go all the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		for i := len(u.undo) - 1; i >= 0; i-- {
			if e := u.undo[i](ctx); e != nil {
				s.o.Log.Error("undo of an unfinished transaction failed", "error", e)
				err = errors.Join(err, fmt.Errorf("undo: %w", e))
			}
		}
	}()
	err = fn(ctx, u)
	done = true
	return err
}

// undoStore remembers the inverse of each write.
type undoStore struct {
	storage.Store
	undo []func(context.Context) error
}

func (u *undoStore) later(f func(context.Context) error) { u.undo = append(u.undo, f) }

// Insert implements storage.Store.
func (u *undoStore) Insert(ctx context.Context, c *schema.Class, list []*parse.Object) error {
	if err := u.Store.Insert(ctx, c, list); err != nil {
		return err
	}
	ids := make([]parse.Value, len(list))
	for i, o := range list {
		ids[i] = o.ID
	}
	u.later(func(ctx context.Context) error {
		_, err := u.Store.Delete(ctx, c, &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids})
		return err
	})
	return nil
}

// Update implements storage.Store.
func (u *undoStore) Update(ctx context.Context, up *storage.Update) (before, after *parse.Object, err error) {
	if before, after, err = u.Store.Update(ctx, up); err != nil {
		return nil, nil, err
	}
	old, changed := before, after
	u.later(func(ctx context.Context) error {
		ops := old.Fields.Clone()
		for k := range changed.Fields.All() {
			if !ops.Has(k) {
				ops.Set(k, parse.Delete{})
			}
		}
		_, _, err := u.Store.Update(ctx, &storage.Update{
			Class: up.Class, Where: query.ByID(old.ID), Ops: ops, ACL: old.ACL, SetACL: true, UpdatedAt: old.UpdatedAt,
		})
		return err
	})
	return before, after, nil
}

// Delete implements storage.Store.
func (u *undoStore) Delete(ctx context.Context, c *schema.Class, where query.Node) ([]*parse.Object, error) {
	gone, err := u.Store.Delete(ctx, c, where)
	if err != nil || len(gone) == 0 {
		return gone, err
	}
	u.later(func(ctx context.Context) error { return u.Store.Insert(ctx, c, gone) })
	return gone, nil
}

// AddRelated implements storage.Store.
func (u *undoStore) AddRelated(ctx context.Context, j storage.Join, owner string, ids []string) error {
	_, missing, err := u.split(ctx, j, owner, ids)
	if err != nil {
		return err
	}
	if err := u.Store.AddRelated(ctx, j, owner, ids); err != nil {
		return err
	}
	u.later(func(ctx context.Context) error { return u.Store.RemoveRelated(ctx, j, owner, missing) })
	return nil
}

// RemoveRelated implements storage.Store.
func (u *undoStore) RemoveRelated(ctx context.Context, j storage.Join, owner string, ids []string) error {
	there, _, err := u.split(ctx, j, owner, ids)
	if err != nil {
		return err
	}
	if err := u.Store.RemoveRelated(ctx, j, owner, ids); err != nil {
		return err
	}
	u.later(func(ctx context.Context) error { return u.Store.AddRelated(ctx, j, owner, there) })
	return nil
}

// split tells which ids are members of a relation.
func (u *undoStore) split(ctx context.Context, j storage.Join, owner string, ids []string) (there, missing []string, err error) {
	members, err := u.Related(ctx, j, owner)
	if err != nil {
		return nil, nil, err
	}
	is := make(map[string]bool, len(members))
	for _, id := range members {
		is[id] = true
	}
	for _, id := range ids {
		if is[id] {
			there = append(there, id)
		} else {
			missing = append(missing, id)
		}
	}
	return there, missing, nil
}
