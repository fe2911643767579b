package access

import (
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

const (
	classUser         = schema.UserClass
	classInstallation = schema.InstallationClass
	joinPrefix        = "_Join:"

	groupAuthenticated = "authenticated"
	groupUserField     = "userField:"
)

// Gate decides what a principal may do with a class. The zero value knows
// only what the classes themselves say. It is immutable once in use.
type Gate struct {
	// Protected is the option protectedFields: class, then group ("*",
	// "authenticated", "role:x", a user id, "userField:f"), then the fields
	// hidden from the group. It is united with the class's own.
	Protected map[string]map[string][]string
	// OwnerExempt lets users see all fields of their own _User object.
	OwnerExempt bool
	// SaveExempt lets the answer of a write tell what the server changed in
	// fields that are hidden from the caller.
	SaveExempt bool
}

// Hide adds to the fields of a class that are hidden from a group. It must not
// be called once the gate is in use.
func (g *Gate) Hide(class, group string, fields []string) {
	if g.Protected == nil {
		g.Protected = map[string]map[string][]string{}
	}
	if g.Protected[class] == nil {
		g.Protected[class] = map[string][]string{}
	}
	g.Protected[class][group] = union(g.Protected[class][group], fields)
}

// Authorize is [Gate.Authorize] of the zero Gate.
func Authorize(p *Principal, c *schema.Class, op schema.Operation) (*Plan, error) {
	return (&Gate{}).Authorize(p, c, op)
}

// Authorize checks the class-level permissions and returns the caller's plan:
// which objects he may touch and what he sees of them. A refusal is a
// *parse.Error: 119, or 101 where the class asks for a user and there is none.
func (g *Gate) Authorize(p *Principal, c *schema.Class, op schema.Operation) (*Plan, error) {
	if err := Writable(p, op); err != nil {
		return nil, err
	}
	if p.Bypass() {
		return &Plan{p: p, class: c.Name}, nil
	}
	if err := AdmitClient(c.Name, op); err != nil {
		return nil, err
	}
	pl := &Plan{p: p, class: c.Name}
	if err := pl.permit(c, op); err != nil {
		return nil, err
	}
	pl.protect(g, c)
	return pl, nil
}

// Writable refuses writes with the read-only master key. [Gate.Authorize]
// does so, too; callers that check something before it ask here first, for
// this refusal comes before all others.
func Writable(p *Principal, op schema.Operation) error {
	if p.Kind != ReadOnlyMaster || !writes(op) {
		return nil
	}
	return parse.Denyf(parse.OperationForbidden, "read-only masterKey isn't allowed to perform the %s operation.", op)
}

// AdmitClient refuses what clients may never do with a class, whatever its
// permissions: the server's own classes, join classes, and searching or
// deleting installations.
func AdmitClient(class string, op schema.Operation) error {
	name := class
	switch {
	case class == classInstallation && (op == schema.Find || op == schema.Count || op == schema.Aggregate || op == schema.DeleteOp):
		name = "installation"
	case schema.IsVolatile(class), strings.HasPrefix(class, joinPrefix):
	default:
		return nil
	}
	return parse.Denyf(parse.OperationForbidden, "Clients aren't allowed to perform the %s operation on the %s collection.", op, name)
}

func writes(op schema.Operation) bool {
	switch op {
	case schema.Create, schema.Update, schema.DeleteOp, schema.AddField:
		return true
	case schema.Find, schema.Count, schema.Get, schema.Aggregate:
	}
	return false
}

// permit is the algorithm of reference 04 §3.3; what it defers to the objects
// themselves becomes the plan's pointer fields.
func (pl *Plan) permit(c *schema.Class, op schema.Operation) error {
	if c.CLP == nil && op != schema.Aggregate {
		return nil
	}
	var perm *schema.Permission
	if c.CLP != nil {
		perm = c.CLP.Ops[op]
	}
	if perm == nil {
		perm = &schema.Permission{}
	}
	if perm.Public {
		return nil
	}
	if len(perm.Subjects) > 0 {
		for _, s := range pl.p.subjects {
			if perm.Subjects[s] {
				return nil
			}
		}
	}
	pl.loggedIn = perm.RequiresAuthentication
	if pl.loggedIn && pl.p.UserID == "" {
		return parse.Denyf(parse.ObjectNotFound, "Permission denied, user needs to be authenticated.")
	}
	switch {
	case op == schema.Aggregate:
		// To allow finds by pointers is not to allow aggregates.
		pl.pointers = perm.PointerFields
	case op != schema.Create:
		more := c.CLP.ReadUserFields
		if writes(op) {
			more = c.CLP.WriteUserFields
		}
		// That users who are logged in may do it does not widen what pointers
		// narrow, other than what is granted to a subject.
		pl.pointers = union(perm.PointerFields, more)
	}
	if len(pl.pointers) == 0 && !pl.loggedIn {
		return parse.Denyf(parse.OperationForbidden, "Permission denied for action %s on class %s.", op, c.Name)
	}
	return nil
}

// protect computes the fields that the caller does not see (reference 04
// §5.2): the intersection over the groups he is in. Groups by a user field are
// decided for each object.
func (pl *Plan) protect(g *Gate, c *schema.Class) {
	option := g.Protected[c.Name]
	var own map[string][]string
	if c.CLP != nil {
		own = c.CLP.Protected
	}
	pl.ownRow = c.Name == classUser && pl.p.UserID != ""
	pl.exempt = pl.ownRow && g.OwnerExempt
	pl.saved = g.SaveExempt
	if len(option) == 0 && len(own) == 0 {
		return
	}
	first := true
	meet := func(group string) {
		a, inOwn := own[group]
		b, inOption := option[group]
		if !inOwn && !inOption {
			return
		}
		set := union(a, b)
		if first {
			pl.protected, first = set, false
			return
		}
		pl.protected = intersection(pl.protected, set)
	}
	meet(parse.Public)
	if pl.p.UserID != "" {
		meet(groupAuthenticated)
		for _, s := range pl.p.subjects[1:] {
			meet(s)
		}
	}
	if len(pl.protected) == 0 || pl.p.UserID == "" {
		return
	}
	add := func(group string) {
		if field, ok := strings.CutPrefix(group, groupUserField); ok {
			pl.byField = append(pl.byField, fieldGroup{field, union(own[group], option[group])})
		}
	}
	for group := range own {
		add(group)
	}
	for group := range option {
		if _, both := own[group]; !both {
			add(group)
		}
	}
	pl.sortGroups()
}

// union returns the distinct strings of both lists in a new list.
func union(a, b []string) []string {
	if len(a)+len(b) == 0 {
		return nil
	}
	out := make([]string, 0, len(a)+len(b))
	for _, list := range [...][]string{a, b} {
		for _, s := range list {
			if !contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

func intersection(a, b []string) []string {
	out := make([]string, 0, len(a))
	for _, s := range a {
		if contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}
