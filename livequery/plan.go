package livequery

import (
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

const (
	classUser         = schema.UserClass
	classSession      = schema.SessionClass
	classInstallation = schema.InstallationClass
	joinPrefix        = "_Join:"
)

// planned is a subscription made ready for the index: what it asks for and
// what its caller may see of it.
type planned struct {
	where query.Node
	canon string // query.Canonical of it
	plan  *access.Plan
}

// plan says what a subscription means for its caller under a definition of
// its class. The error is the refusal that the client reads.
func (h *Hub) plan(sub *subscription, def *schema.Class) (*planned, error) {
	p := sub.principal(h.stranger)
	if err := h.admit(p, def, sub.class); err != nil {
		return nil, err
	}
	plan, err := h.opts.Gate.Authorize(p, def, schema.Find)
	if err != nil {
		return nil, err
	}
	where := query.Normalize(sub.where, pointerTypes(def))
	check := &query.Query{Where: where}
	for _, name := range sub.watch {
		if strings.HasPrefix(name, "_") && p.Kind != access.Maintenance {
			// When a password changes is nobody's business, either.
			return nil, parse.Errorf(parse.InvalidKeyName, "Invalid key name: %s", name)
		}
		// What a client watches tells it when the field changes: that is as
		// good as asking for it.
		check.Where = query.AllOf(check.Where, &query.Exists{Path: query.Path(name), Want: true})
	}
	if err := plan.CheckQuery(check); err != nil {
		return nil, err
	}
	if sub.include != nil {
		if err := h.opts.Includes.CheckInclude(sub.client.ctx, p, sub.class, sub.include); err != nil {
			return nil, err
		}
	}
	if byID(where) {
		// The protocol counts this as a get when it comes to events.
		if plan, err = h.opts.Gate.Authorize(p, def, schema.Get); err != nil {
			return nil, err
		}
	}
	if sub.class == classSession {
		where = query.AllOf(where, query.Equal("user", parse.Pointer{ClassName: classUser, ObjectID: p.UserID}))
	}
	where, err = query.Rewrite(where, neverForeign)
	if err != nil {
		return nil, err
	}
	canon := sub.canon
	if where != sub.where {
		canon = query.Canonical(where)
	}
	return &planned{where: where, canon: canon, plan: plan}, nil
}

// admit refuses what no permission of a class can give.
func (h *Hub) admit(p *access.Principal, def *schema.Class, class string) error {
	switch {
	case class == classSession && p.UserID == "":
		// Holds for the master key, too: sessions are told to their owner alone.
		return parse.Errorf(parse.InvalidSessionToken, "Invalid session token")
	case p.Bypass():
		return nil
	case class == classInstallation, schema.IsVolatile(class), strings.HasPrefix(class, joinPrefix):
		return parse.Denyf(parse.OperationForbidden, "Clients aren't allowed to perform the find operation on the %s collection.", def.Name)
	}
	return nil
}

// pointerTypes tells query.Normalize which fields of a class are pointers.
func pointerTypes(def *schema.Class) query.Types {
	return func(field string) (string, bool) {
		f := def.Field(field)
		if f == nil || f.Type != schema.Pointer {
			return "", false
		}
		return f.TargetClass, true
	}
}

// byID reports whether where is exactly one object's id.
func byID(where query.Node) bool {
	c, ok := where.(*query.Compare)
	if !ok || c.Op != query.Eq || c.Path != parse.KeyObjectID {
		return false
	}
	_, ok = c.Value.(string)
	return ok
}

// neverForeign replaces constraints that need other objects. They cannot be
// decided for one object alone, and the protocol lets them match nothing.
func neverForeign(n query.Node) (query.Node, error) {
	switch n.(type) {
	case *query.SubQuery, *query.RelatedTo:
		return query.Never{}, nil
	}
	return n, nil
}

// refusal returns the code and text that a client reads of an error.
func (h *Hub) refusal(err error) (parse.Code, string) {
	e := asParseError(err)
	if e == nil {
		h.log.Error("live query subscription failed", "error", err)
		return codeInternal, "Internal server error."
	}
	if e.Denied && !h.opts.DetailedErrors {
		return e.Code, "Permission denied"
	}
	return e.Code, e.Message
}
