package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// ErrContract is wrapped by the errors with which [Checked] reports that a
// store, or its caller, broke the contract.
var ErrContract = errors.New("storage contract broken")

// Checked wraps a store for tests: each call is checked against the contract.
// Inputs must not be changed, errors must be of an allowed kind, objects that
// come back must be complete, belong to the class and be no input.
func Checked(s Store) Store {
	c := &checked{store: s}
	if AsTransactor(s) != nil {
		return &checkedTx{checked: c}
	}
	return c
}

type checked struct{ store Store }

type checkedTx struct{ *checked }

var (
	_ Unwrapper  = (*checked)(nil)
	_ Bulk       = (*checked)(nil)
	_ Transactor = (*checkedTx)(nil)
)

// InTx implements [Transactor] with a checked store inside.
func (c *checkedTx) InTx(ctx context.Context, fn func(ctx context.Context, tx Store) error) error {
	return AsTransactor(c.store).InTx(ctx, func(ctx context.Context, tx Store) error { return fn(ctx, &checked{store: tx}) })
}

// Unwrap implements [Unwrapper].
func (c *checked) Unwrap() Store { return c.store }

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrContract, fmt.Sprintf(format, args...))
}

// fingerprint returns all of an object as text, to see whether it changed.
func fingerprint(o *parse.Object) string {
	if o == nil {
		return ""
	}
	acl := []byte("none")
	if o.ACL != nil {
		acl = parse.AppendJSON(nil, o.ACL.Value())
	}
	return fmt.Sprintf("%s %s %d %d %s %s", o.ClassName, o.ID, o.CreatedAt, o.UpdatedAt, acl, o.AppendFields(nil))
}

func wellFormed(class *schema.Class, objects ...*parse.Object) error {
	for _, o := range objects {
		switch {
		case o == nil:
			return broken("nil object of class %s", class.Name)
		case o.ClassName != class.Name:
			return broken("object of class %q in answer about %s", o.ClassName, class.Name)
		case o.ID == "":
			return broken("object of class %s without id", class.Name)
		}
		for key, v := range o.Fields.All() {
			if key == parse.KeyObjectID || key == parse.KeyCreatedAt || key == parse.KeyUpdatedAt || key == parse.KeyACL {
				return broken("system field %s among the fields of %s %s", key, o.ClassName, o.ID)
			}
			if _, ok := v.(parse.Op); ok {
				return broken("operation stored in %s.%s", o.ClassName, key)
			}
			if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
				return broken("%s.%s is no finite number", o.ClassName, key)
			}
		}
	}
	return nil
}

// allowed checks the kind of an error. Other kinds than those of a client's
// mistake are failures of the database, which may be any.
func allowed(err error, notFound, duplicate bool) error {
	var dup *DuplicateError
	switch {
	case errors.Is(err, ErrNotFound) && !notFound:
		return broken("ErrNotFound is for Update alone: %v", err)
	case errors.As(err, &dup) && !duplicate:
		return broken("duplicate where none can be: %v", err)
	case dup != nil && (dup.Class == "" || dup.Index == ""):
		return broken("duplicate without class or index: %#v", dup)
	}
	return err
}

// storable refuses nodes that a storage never sees.
func storable(n query.Node) (err error) {
	if n == nil {
		return nil
	}
	query.Walk(n, func(n query.Node) bool {
		switch n.(type) {
		case *query.RelatedTo, *query.SubQuery:
			err = broken("a storage never sees a %T", n)
		}
		return err == nil
	})
	return err
}

func canonical(n query.Node) string {
	if n == nil {
		return ""
	}
	return query.Canonical(n)
}

// Find implements [Store].
func (c *checked) Find(ctx context.Context, f *Find) ([]*parse.Object, error) {
	if err := storable(f.Where); err != nil {
		return nil, err
	}
	was := canonical(f.Where)
	out, err := c.store.Find(ctx, f)
	switch {
	case err != nil:
		return nil, allowed(err, false, false)
	case was != canonical(f.Where):
		return nil, broken("Find changed its where")
	case f.Limit >= 0 && len(out) > f.Limit:
		return nil, broken("Find returned %d objects, limit %d", len(out), f.Limit)
	}
	return out, wellFormed(f.Class, out...)
}

// Count implements [Store].
func (c *checked) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (int64, error) {
	if err := storable(where); err != nil {
		return 0, err
	}
	n, err := c.store.Count(ctx, class, where, advice)
	if err == nil && n < 0 {
		err = broken("Count returned %d", n)
	}
	return n, allowed(err, false, false)
}

// Insert implements [Store].
func (c *checked) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	if err := wellFormed(class, objects...); err != nil {
		return err
	}
	was := make([]string, len(objects))
	for i, o := range objects {
		was[i] = fingerprint(o)
	}
	err := c.store.Insert(ctx, class, objects)
	for i, o := range objects {
		if fingerprint(o) != was[i] {
			return broken("Insert changed object %s", o.ID)
		}
	}
	return allowed(err, false, true)
}

// InsertEach implements [Bulk].
func (c *checked) InsertEach(ctx context.Context, class *schema.Class, objects []*parse.Object) []error {
	if err := wellFormed(class, objects...); err != nil {
		return slices.Repeat([]error{err}, len(objects))
	}
	was := make([]string, len(objects))
	for i, o := range objects {
		was[i] = fingerprint(o)
	}
	errs := InsertEach(ctx, c.store, class, objects)
	if errs != nil && len(errs) != len(objects) {
		return slices.Repeat([]error{broken("InsertEach returned %d errors for %d objects", len(errs), len(objects))}, len(objects))
	}
	for i, o := range objects {
		switch {
		case fingerprint(o) != was[i]:
			return slices.Repeat([]error{broken("InsertEach changed object %s", o.ID)}, len(objects))
		case errs != nil:
			errs[i] = allowed(errs[i], false, true)
		}
	}
	return errs
}

// UpdateEach implements [Bulk].
func (c *checked) UpdateEach(ctx context.Context, updates []*Update) []Updated {
	out := UpdateEach(ctx, c.store, updates)
	for i := range out {
		r := &out[i]
		switch {
		case r.Err != nil:
			r.Err = allowed(r.Err, true, true)
		case r.Before == nil || r.After == nil || r.Before == r.After || r.After.UpdatedAt != updates[i].UpdatedAt:
			r.Err = broken("UpdateEach: before and after of update %d are wrong", i)
		}
	}
	return out
}

// Update implements [Store].
func (c *checked) Update(ctx context.Context, u *Update) (before, after *parse.Object, err error) {
	if err := storable(u.Where); err != nil {
		return nil, nil, err
	}
	before, after, err = c.store.Update(ctx, u)
	switch {
	case err != nil && (before != nil || after != nil):
		return nil, nil, broken("Update returned objects with an error: %v", err)
	case err != nil:
		return nil, nil, allowed(err, true, true)
	case before == after:
		return nil, nil, broken("Update returned one object as before and after")
	}
	if err := wellFormed(u.Class, before, after); err != nil {
		return nil, nil, err
	}
	at := u.UpdatedAt
	if at == 0 {
		at = before.UpdatedAt
	}
	if before.ID != after.ID || before.CreatedAt != after.CreatedAt || after.UpdatedAt != at {
		return nil, nil, broken("Update of %s %s: system fields are wrong", before.ClassName, before.ID)
	}
	return before, after, nil
}

// Delete implements [Store].
func (c *checked) Delete(ctx context.Context, class *schema.Class, where query.Node) ([]*parse.Object, error) {
	if err := storable(where); err != nil {
		return nil, err
	}
	out, err := c.store.Delete(ctx, class, where)
	if err != nil {
		return nil, allowed(err, false, false)
	}
	return out, wellFormed(class, out...)
}

// AddRelated implements [Store].
func (c *checked) AddRelated(ctx context.Context, r Join, owningID string, relatedIDs []string) error {
	return allowed(c.store.AddRelated(ctx, r, owningID, relatedIDs), false, false)
}

// RemoveRelated implements [Store].
func (c *checked) RemoveRelated(ctx context.Context, r Join, owningID string, relatedIDs []string) error {
	return allowed(c.store.RemoveRelated(ctx, r, owningID, relatedIDs), false, false)
}

// Related implements [Store].
func (c *checked) Related(ctx context.Context, r Join, owningID string) ([]string, error) {
	ids, err := c.store.Related(ctx, r, owningID)
	if err != nil {
		return nil, allowed(err, false, false)
	}
	return ids, distinct(r, ids)
}

// Owning implements [Store].
func (c *checked) Owning(ctx context.Context, r Join, relatedIDs []string) ([]string, error) {
	ids, err := c.store.Owning(ctx, r, relatedIDs)
	if err != nil {
		return nil, allowed(err, false, false)
	}
	return ids, distinct(r, ids)
}

// Links implements [Store].
func (c *checked) Links(ctx context.Context, r Join, owningIDs []string) ([]Link, error) {
	links, err := c.store.Links(ctx, r, owningIDs)
	if err != nil {
		return nil, allowed(err, false, false)
	}
	seen := make(map[Link]bool, len(links))
	for _, l := range links {
		if l.Owner == "" || l.Member == "" || seen[l] {
			return nil, broken("link %v twice or without an id in %s", l, r)
		}
		seen[l] = true
	}
	return links, nil
}

func distinct(r Join, ids []string) error {
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if id == "" || seen[id] {
			return broken("id %q twice or empty in %s", id, r)
		}
		seen[id] = true
	}
	return nil
}

// LoadSchema implements [Store].
func (c *checked) LoadSchema(ctx context.Context) ([]*schema.Class, error) {
	classes, err := c.store.LoadSchema(ctx)
	if err != nil {
		return nil, allowed(err, false, false)
	}
	for _, cl := range classes {
		for name, f := range cl.Fields {
			if f == nil || f.Name != name || f.Type == 0 {
				return nil, broken("field %s.%s is incomplete", cl.Name, name)
			}
		}
	}
	return classes, nil
}

// ApplySchema implements [Store].
func (c *checked) ApplySchema(ctx context.Context, steps []schema.Step) error {
	return allowed(c.store.ApplySchema(ctx, steps), false, true)
}

// Ping implements [Store].
func (c *checked) Ping(ctx context.Context) error { return c.store.Ping(ctx) }

// Close implements [Store].
func (c *checked) Close() error { return c.store.Close() }
