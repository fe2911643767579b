package objects

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// rereads bounds how often a write that was decided on a state of the object
// is decided anew because the object changed meanwhile.
const rereads = 32

// errChanged says that the object is no longer as it was read.
var errChanged = errors.New("the object changed meanwhile")

// Update changes an object. What the caller may not write is not found: 101.
func (s *Service) Update(ctx context.Context, p *access.Principal, w *Write) (*Saved, error) {
	for range rereads {
		saved, err := s.update(ctx, p, w)
		if !errors.Is(err, errChanged) {
			return saved, err
		}
	}
	return nil, errContended()
}

func errContended() error {
	return &parse.Error{Code: parse.InternalServerError, Message: "The object is changed by others all the time.", Status: http.StatusConflict}
}

func (s *Service) update(ctx context.Context, p *access.Principal, w *Write) (*Saved, error) {
	wr, err := s.begin(ctx, p, w, schema.Update)
	if err != nil {
		return nil, err
	}
	wr.ID = w.ID
	if err := wr.read(w.Body); err != nil {
		return nil, err
	}
	where := wr.where()
	_, ruled := s.rules[wr.Class.Name]
	hooked := s.app.HasBeforeSave(wr.Class.Name)
	read := ruled || hooked || wr.touchesOwner() || wr.needsResult()
	if read {
		if err := wr.readBefore(ctx, where); err != nil {
			return nil, err
		}
		where = unchanged(where, wr.Before)
	}
	if err := wr.rule.BeforeWrite(ctx, &wr.WriteState); err != nil {
		return nil, err
	}
	if err := wr.own(); err != nil {
		return nil, err
	}
	relations := wr.splitRelations()
	if read {
		if err := wr.result(); err != nil {
			return nil, err
		}
	}
	if hooked {
		more, err := wr.runHooks(ctx)
		if err != nil {
			return nil, err
		}
		relations = append(relations, more...)
	}
	if err := wr.required(); err != nil {
		return nil, err
	}
	if err := wr.validators(); err != nil {
		return nil, err
	}
	if err := wr.ensureSchema(ctx); err != nil {
		return nil, err
	}
	before, after, err := wr.store(ctx, where, relations)
	switch {
	case errors.Is(err, storage.ErrNotFound) && read:
		return nil, errChanged
	case errors.Is(err, storage.ErrNotFound):
		return nil, parse.ErrNotFound()
	case err != nil:
		return nil, wr.duplicate(err)
	}
	if wr.Before == nil {
		wr.Before = before
	}
	resp := parse.NewMap(parse.MapField{Key: parse.KeyUpdatedAt, Value: after.UpdatedAt.String()})
	wr.answer(resp, before, after)
	saved := &Saved{Object: after, Response: resp}
	return saved, wr.finish(ctx, saved, parse.Change{Class: wr.Class.Name, Action: parse.Updated, Before: before, After: after})
}

// where finds the object if the caller may write it.
func (wr *writing) where() query.Node {
	where := query.AllOf(query.ByID(wr.ID), wr.plan.Constraint(true))
	if wr.addPlan != nil {
		where = query.AllOf(where, wr.addPlan.PointerConstraint())
	}
	return wr.rule.Constrain(wr.Principal, where)
}

// unchanged asks besides that the object is still as it was read: a decision
// of a hook holds for that state only. Every write moves updatedAt on, but two
// may fall into one millisecond, so plain values are compared as well.
func unchanged(where query.Node, o *parse.Object) query.Node {
	nodes := []query.Node{where, query.Equal(parse.KeyUpdatedAt, o.UpdatedAt)}
	for k, v := range o.Fields.All() {
		if strings.HasPrefix(k, "_") {
			continue
		}
		switch x := v.(type) {
		case string:
			if len(x) > maxCompared {
				continue
			}
		case float64, bool, parse.Date, parse.Pointer:
		default:
			continue
		}
		nodes = append(nodes, query.Equal(k, v))
	}
	return query.AllOf(nodes...)
}

// maxCompared is the longest string that unchanged compares.
const maxCompared = 256

func (wr *writing) readBefore(ctx context.Context, where query.Node) error {
	list, err := wr.s.store.Find(ctx, &storage.Find{Class: wr.Class, Where: where, Limit: 1})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return parse.ErrNotFound()
	}
	wr.Before = list[0]
	return nil
}

// result computes what the object will be.
func (wr *writing) result() error {
	o := wr.Before.Clone()
	if wr.SetACL {
		o.ACL = wr.ACL
	}
	o.UpdatedAt = wr.at()
	if err := parse.ApplyOps(o, wr.Body); err != nil {
		return err
	}
	wr.object = o
	return nil
}

// at is the new updatedAt, later than the one that was read.
func (wr *writing) at() parse.Date {
	now := wr.s.now()
	if wr.Before != nil && now <= wr.Before.UpdatedAt {
		now = wr.Before.UpdatedAt + 1
	}
	return now
}

func (wr *writing) store(ctx context.Context, where query.Node, relations []relationOp) (before, after *parse.Object, err error) {
	u := &storage.Update{
		Class: wr.Class, Where: where, Ops: wr.Body, ACL: wr.ACL, SetACL: wr.SetACL, UpdatedAt: wr.at(),
	}
	update := func(ctx context.Context, s *Service) error {
		var err error
		if before, after, err = s.store.Update(ctx, u); err != nil {
			return err
		}
		return s.relate(ctx, wr.ID, relations)
	}
	if len(relations) == 0 {
		err = update(ctx, wr.s)
	} else {
		err = wr.s.InTx(ctx, update)
	}
	return before, after, err
}
