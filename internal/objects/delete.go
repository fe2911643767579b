package objects

import (
	"context"
	"errors"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Delete removes an object. What the caller may not write is not found: 101.
func (s *Service) Delete(ctx context.Context, p *access.Principal, class, id string) error {
	d, err := s.deletion(ctx, p, class)
	if err != nil {
		return err
	}
	var gone *parse.Object
	for range rereads {
		if gone, err = d.remove(ctx, id); !errors.Is(err, errChanged) {
			break
		}
	}
	if errors.Is(err, errChanged) {
		return errContended()
	}
	if err != nil {
		return err
	}
	return d.finish(ctx, gone)
}

// deletion is what a caller may delete of one class.
type deletion struct {
	s     *Service
	p     *access.Principal
	class *schema.Class
	rule  ClassRule
	plan  *access.Plan
	// hooked: hooks before the delete have run, and left context.
	hooked  bool
	context *parse.Map
}

func (s *Service) deletion(ctx context.Context, p *access.Principal, class string) (*deletion, error) {
	c, err := s.class(p, class, schema.DeleteOp)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, parse.ErrNotFound()
	}
	rule, _ := s.rule(class)
	if err := rule.Authorize(ctx, p, schema.DeleteOp); err != nil {
		return nil, err
	}
	plan, err := s.o.Gate.Authorize(p, c, schema.DeleteOp)
	if err != nil {
		return nil, err
	}
	return &deletion{s: s, p: p, class: c, rule: rule, plan: plan}, nil
}

func (d *deletion) where(ids query.Node) query.Node {
	return d.rule.Constrain(d.p, query.AllOf(ids, d.plan.Constraint(true)))
}

// finish runs what comes after the commit of a delete.
func (d *deletion) finish(ctx context.Context, gone *parse.Object) error {
	s, class := d.s, d.class.Name
	_, ruled := s.rules[class]
	if !ruled && !s.app.HasAfterDelete(class) {
		return nil
	}
	after := func(ctx context.Context, s *Service) error {
		if err := d.rule.AfterDelete(ctx, d.p, gone); err != nil {
			return err
		}
		if s.app.HasAfterDelete(class) {
			return s.app.RunAfterDelete(ctx, d.request(ctx, s, gone))
		}
		return nil
	}
	if s.tx == nil {
		ctx, cancel := committedContext(ctx)
		defer cancel()
		return after(ctx, s)
	}
	s.tx.after = append(s.tx.after, func(ctx context.Context) {
		if err := after(ctx, s.root); err != nil {
			s.o.Log.Error("step after a delete failed", "class", class, "error", err)
		}
	})
	return nil
}

// request is what the hooks of a delete see. Those after it find the context
// as those before it left it.
func (d *deletion) request(ctx context.Context, s *Service, o *parse.Object) *cloudcode.DeleteRequest {
	r := &cloudcode.DeleteRequest{Request: s.Request(ctx, d.p), Class: o.ClassName, Object: new(parse.Loan).Lend(o)}
	if d.hooked {
		r.Context = d.context
	}
	return r
}

// remove asks the hooks, if there are any, deletes the object as they saw it,
// and publishes that.
func (d *deletion) remove(ctx context.Context, id string) (*parse.Object, error) {
	s, c := d.s, d.class
	where := d.where(query.ByID(id))
	hooked := s.app.HasBeforeDelete(c.Name)
	if hooked {
		list, err := s.store.Find(ctx, &storage.Find{Class: c, Where: where, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, parse.Errorf(parse.ObjectNotFound, "Object not found for delete.")
		}
		r := d.request(ctx, s, list[0])
		if err := s.app.RunBeforeDelete(ctx, r); err != nil {
			return nil, err
		}
		d.hooked, d.context = true, r.Context
		where = unchanged(where, list[0])
	}
	writing, turn := s.turn(ctx, c.Name, id)
	defer turn.end()
	gone, err := d.erase(writing, where)
	switch {
	case err != nil:
		return nil, err
	case len(gone) > 0:
		turn.committed(ctx, parse.Change{Class: c.Name, Action: parse.Deleted, Before: gone[0]})
		return gone[0], nil
	case hooked:
		return nil, errChanged
	}
	return nil, parse.ErrNotFound()
}
