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

// moved reports whether a write has to be judged anew, since its object or its
// class is not as it was.
func moved(err error) bool { return errors.Is(err, errChanged) || errors.Is(err, errSchemaMoved) }

// Update changes an object. What the caller may not write is not found: 101.
func (s *Service) Update(ctx context.Context, p *access.Principal, w *Write) (*Saved, error) {
	for range rereads {
		saved, err := s.update(ctx, p, w)
		if err != nil && !moved(err) {
			return s.follow(ctx, p, w, err)
		}
		if err == nil {
			return saved, nil
		}
	}
	return nil, errContended()
}

func errContended() error {
	return &parse.Error{Code: parse.InternalServerError, Message: "The object is changed by others all the time.", Status: http.StatusConflict}
}

func (s *Service) update(ctx context.Context, p *access.Principal, w *Write) (*Saved, error) {
	wr, err := s.prepareUpdate(ctx, p, w, nil)
	if err != nil {
		return nil, err
	}
	saved, err := wr.doUpdate(ctx)
	if err != nil {
		return nil, err
	}
	return saved, wr.finish(ctx, saved)
}

// doUpdate stores and publishes the change of the object.
func (wr *writing) doUpdate(ctx context.Context) (*Saved, error) {
	writing, turn := wr.s.turn(ctx, wr.Class.Name, wr.ID)
	defer turn.end()
	before, after, err := wr.store(writing)
	if err != nil {
		return nil, wr.notUpdated(err)
	}
	saved, change := wr.updated(before, after)
	turn.committed(ctx, change)
	return saved, nil
}

// prepareUpdate takes an update through all the steps before the store's.
// known are objects by id that the caller may write, read a moment ago; nil:
// what has to be read is read.
func (s *Service) prepareUpdate(ctx context.Context, p *access.Principal, w *Write, known map[string]*parse.Object) (*writing, error) {
	wr, err := s.begin(ctx, p, w, schema.Update)
	if err != nil {
		return nil, err
	}
	wr.ID = w.ID
	if err := wr.read(w.Body); err != nil {
		return nil, err
	}
	wr.target = query.AllOf(wr.where(), w.If)
	hooked := s.app.HasBeforeSave(wr.Class.Name)
	read := s.readsFirst(wr.Class.Name) || wr.touchesOwner() || wr.needsResult()
	if read {
		if err := wr.readBefore(ctx, known); err != nil {
			return nil, err
		}
		wr.target = unchanged(wr.target, wr.Before)
	}
	if err := wr.beforeWrite(ctx); err != nil {
		return nil, err
	}
	w.Memo = wr.Memo
	if err := wr.own(); err != nil {
		return nil, err
	}
	wr.splitRelations()
	if read {
		if err := wr.result(); err != nil {
			return nil, err
		}
	}
	if hooked {
		if _, err := wr.runHooks(ctx); err != nil {
			return nil, err
		}
	}
	if err := wr.required(); err != nil {
		return nil, err
	}
	if err := wr.validators(); err != nil {
		return nil, err
	}
	return wr, wr.ensureSchema(ctx)
}

// readsFirst reports whether each update of a class reads its object before.
func (s *Service) readsFirst(class string) bool {
	_, ruled := s.rules[class]
	return ruled || s.app.HasBeforeSave(class)
}

// notUpdated turns the store's refusal into what the client reads.
func (wr *writing) notUpdated(err error) error {
	switch {
	case errors.Is(err, storage.ErrNotFound) && wr.Before != nil:
		return errChanged
	case errors.Is(err, storage.ErrNotFound):
		return parse.ErrNotFound()
	}
	return wr.duplicate(err)
}

// updated answers an update that was done.
func (wr *writing) updated(before, after *parse.Object) (*Saved, parse.Change) {
	if wr.Before == nil {
		wr.Before = before
	}
	resp := parse.NewMap(parse.MapField{Key: parse.KeyUpdatedAt, Value: after.UpdatedAt.String()})
	wr.answer(resp, before, after)
	return &Saved{Object: after, Response: resp},
		parse.Change{Class: wr.Class.Name, Action: parse.Updated, Before: before, After: after, Related: related(wr.relations)}
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

func (wr *writing) readBefore(ctx context.Context, known map[string]*parse.Object) error {
	// The right to add fields may narrow what the caller reaches.
	if o := known[wr.ID]; o != nil && wr.addPlan == nil {
		wr.Before = o.Clone() // the hooks get it, and may get it twice
		return nil
	}
	list, err := wr.s.store.Find(ctx, &storage.Find{Class: wr.Class, Where: wr.target, Limit: 1})
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

// command is the update as the store carries it out.
func (wr *writing) command() *storage.Update {
	return &storage.Update{
		Class: wr.Class, Where: wr.target, Ops: wr.Body, ACL: wr.ACL, SetACL: wr.SetACL, UpdatedAt: wr.at(),
	}
}

func (wr *writing) store(ctx context.Context) (before, after *parse.Object, err error) {
	u := wr.command()
	update := func(ctx context.Context, s *Service) error {
		var err error
		if before, after, err = s.store.Update(ctx, u); err != nil {
			return err
		}
		if err := s.relate(ctx, wr.ID, wr.relations); err != nil || !wr.alone() {
			return err
		}
		if wr.Before == nil {
			wr.Before = before
		}
		return wr.tell(ctx, s, after)
	}
	if !wr.alone() {
		err = update(ctx, wr.s)
	} else {
		err = wr.s.InTx(ctx, update)
	}
	return before, after, err
}
