package auth

import (
	"context"
	"fmt"
	"slices"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// direct returns the ids of the roles that list a user.
func (s *Service) direct(ctx context.Context, userID string) ([]string, error) {
	ids, err := s.objs.Store().Owning(ctx, usersJoin, []string{userID})
	if err != nil {
		return nil, fmt.Errorf("read the roles of a user: %w", err)
	}
	return ids, nil
}

// rolesOf returns the names of all roles of a user, sorted (reference 03 §17).
func (s *Service) rolesOf(ctx context.Context, userID string) ([]string, error) {
	direct, err := s.direct(ctx, userID)
	if err != nil {
		return nil, err
	}
	if _, err := s.graph.current(ctx); err != nil {
		return nil, err
	}
	return s.inherited(ctx, direct)
}

// inherited returns the names of roles and of all that they hold, sorted.
func (s *Service) inherited(ctx context.Context, direct []string) ([]string, error) {
	if names, ok := s.graph.closure(direct); ok {
		return names, nil
	}
	return s.lookUp(ctx, direct)
}

// lookUp is closure by the database, for those who have more roles than fit
// into memory: two statements for each level.
func (s *Service) lookUp(ctx context.Context, direct []string) ([]string, error) {
	store := s.objs.Store()
	seen := map[string]bool{}
	var names []string
	for level := direct; len(level) > 0; {
		var fresh []parse.Value
		for _, id := range level {
			if !seen[id] {
				seen[id] = true
				fresh = append(fresh, id)
			}
		}
		if len(fresh) == 0 {
			break
		}
		list, err := store.Find(ctx, &storage.Find{
			Class: s.class(roleClass),
			Where: &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: fresh},
			Limit: query.NoLimit,
			Keys:  []string{"name"},
		})
		if err != nil {
			return nil, fmt.Errorf("read roles: %w", err)
		}
		members := make([]string, 0, len(list))
		for _, r := range list {
			members = append(members, r.ID)
			if n := r.String("name"); n != "" {
				names = append(names, n)
			}
		}
		if level, err = store.Owning(ctx, rolesJoin, members); err != nil {
			return nil, fmt.Errorf("read roles: %w", err)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// roleRule asks of a role what the protocol does (reference 03 §17).
type roleRule struct{ objects.NopRule }

var _ objects.ClassRule = (*roleRule)(nil)

// BeforeWrite requires a name and an ACL.
func (*roleRule) BeforeWrite(_ context.Context, w *objects.WriteState) error {
	name, hasName := w.Body.Get("name")
	missing := false
	switch v := name.(type) {
	case nil:
		missing = !w.Update || hasName
	case parse.Delete:
		missing = true
	case string:
		missing = v == ""
	}
	if missing {
		return parse.Errorf(parse.IncorrectType, "name is required.")
	}
	if !w.Update && !w.SetACL || w.SetACL && w.ACL == nil {
		return parse.Errorf(parse.IncorrectType, "ACL is required.")
	}
	return nil
}
