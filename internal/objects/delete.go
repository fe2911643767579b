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
	where := d.where(query.ByID(id))
	var gone *parse.Object
	for range rereads {
		if gone, err = s.remove(ctx, p, d.class, where); !errors.Is(err, errChanged) {
			break
		}
	}
	if errors.Is(err, errChanged) {
		return errContended()
	}
	if err != nil {
		return err
	}
	s.committed(ctx, parse.Change{Class: class, Action: parse.Deleted, Before: gone})
	return d.finish(ctx, gone)
}

// deletion is what a caller may delete of one class.
type deletion struct {
	s     *Service
	p     *access.Principal
	class *schema.Class
	rule  ClassRule
	plan  *access.Plan
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
			if err := s.app.RunAfterDelete(ctx, s.deleteRequest(d.p, gone)); err != nil {
				s.o.Log.Error("afterDelete failed", "class", class, "objectId", gone.ID, "error", err)
			}
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

func (s *Service) deleteRequest(p *access.Principal, o *parse.Object) *cloudcode.DeleteRequest {
	return &cloudcode.DeleteRequest{Caller: s.Caller(p), Class: o.ClassName, Object: o.Clone(), Client: s.Client(p)}
}

// remove asks the hooks, if there are any, and deletes the object as they saw it.
func (s *Service) remove(ctx context.Context, p *access.Principal, c *schema.Class, where query.Node) (*parse.Object, error) {
	hooked := s.app.HasBeforeDelete(c.Name)
	if hooked {
		list, err := s.store.Find(ctx, &storage.Find{Class: c, Where: where, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, parse.Errorf(parse.ObjectNotFound, "Object not found for delete.")
		}
		if err := s.app.RunBeforeDelete(ctx, s.deleteRequest(p, list[0])); err != nil {
			return nil, err
		}
		where = unchanged(where, list[0])
	}
	gone, err := s.store.Delete(ctx, c, where)
	switch {
	case err != nil:
		return nil, err
	case len(gone) > 0:
		return gone[0], nil
	case hooked:
		return nil, errChanged
	}
	return nil, parse.ErrNotFound()
}
