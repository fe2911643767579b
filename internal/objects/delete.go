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
	c, err := s.class(p, class, schema.DeleteOp)
	if err != nil {
		return err
	}
	if c == nil {
		return parse.ErrNotFound()
	}
	rule, _ := s.rule(class)
	if err := rule.Authorize(ctx, p, schema.DeleteOp); err != nil {
		return err
	}
	plan, err := s.o.Gate.Authorize(p, c, schema.DeleteOp)
	if err != nil {
		return err
	}
	where := rule.Constrain(p, query.AllOf(query.ByID(id), plan.Constraint(true)))
	var gone *parse.Object
	for range rereads {
		if gone, err = s.remove(ctx, p, c, where); !errors.Is(err, errChanged) {
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
	after := func(ctx context.Context, s *Service) error {
		if err := rule.AfterDelete(ctx, p, gone); err != nil {
			return err
		}
		if s.app.HasAfterDelete(class) {
			if err := s.app.RunAfterDelete(ctx, s.deleteRequest(p, gone)); err != nil {
				s.o.Log.Error("afterDelete failed", "class", class, "objectId", id, "error", err)
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
