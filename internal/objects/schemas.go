package objects

import (
	"context"
	"errors"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// purgeBatch is how many objects a purge deletes at a time: it bounds memory
// and how long the embedded database has no time for others.
const purgeBatch = 500

// readBackTimeout bounds reading the schema after a change that failed, which
// must not end with the request.
const readBackTimeout = 30 * time.Second

// ChangeSchema plans a change on the newest schema, carries it out and returns
// the schema that follows. Where the database gives up half way, what it has
// done is read back. The caller has judged who asks.
func (s *Service) ChangeSchema(ctx context.Context, plan func(*schema.Snapshot) ([]schema.Step, error)) (*schema.Snapshot, error) {
	var refused error
	snap, err := s.reg.Apply(ctx, func(have *schema.Snapshot) (steps []schema.Step, err error) {
		steps, refused = plan(have)
		return steps, refused
	})
	if err == nil || refused != nil {
		return snap, err
	}
	readBack, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBackTimeout)
	defer cancel()
	if lerr := s.reg.Load(readBack); lerr != nil {
		s.o.Log.ErrorContext(ctx, "schema not read back after a failed change", "error", lerr)
	}
	var dup *storage.DuplicateError
	if errors.As(err, &dup) {
		return nil, parse.Errorf(parse.DuplicateValue, "Index %s cannot be unique: objects have the same value.", dup.Index)
	}
	return nil, err
}

// DropClass removes a class without objects; 255 if it has some. A class that
// does not exist is no error.
func (s *Service) DropClass(ctx context.Context, name string) error {
	_, err := s.ChangeSchema(ctx, func(have *schema.Snapshot) ([]schema.Step, error) {
		steps, err := schema.PlanDrop(have, name)
		if err != nil || len(steps) == 0 {
			return nil, err
		}
		n, err := s.store.Count(ctx, have.Class(name), nil, nil)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			return nil, parse.Errorf(parse.InvalidSchemaOperation, "Class %s is not empty, contains %d objects, cannot drop schema.", name, n)
		}
		return steps, nil
	})
	return err
}

// Purge deletes all objects of a class in batches; the class and the rows of
// its relations stay. No hook runs and nothing is published, as in Parse
// Server: told gets each batch once it is deleted. A class that
// does not exist is no error.
func (s *Service) Purge(ctx context.Context, name string, told func([]parse.Change)) error {
	if err := s.reg.Refresh(ctx); err != nil {
		return err
	}
	class := s.reg.Current().Class(name)
	if class == nil {
		return nil
	}
	for {
		found, err := s.store.Find(ctx, &storage.Find{Class: class, Limit: purgeBatch, Keys: []string{parse.KeyObjectID}})
		if err != nil || len(found) == 0 {
			return err
		}
		where := &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: make([]parse.Value, len(found))}
		for i, o := range found {
			where.Values[i] = o.ID
		}
		gone, err := s.store.Delete(ctx, class, where)
		if err != nil {
			return err
		}
		changes := make([]parse.Change, len(gone))
		for i, o := range gone {
			changes[i] = parse.Change{Class: name, Action: parse.Deleted, Before: o}
		}
		told(changes)
	}
}
