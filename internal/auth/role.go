package auth

import (
	"context"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

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
