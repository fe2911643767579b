package access

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Plan is what one principal may do in one operation on one class: which
// objects he reaches and which of their fields he sees. It is immutable.
type Plan struct {
	p     *Principal
	class string
	// pointers are the fields of which one must point to the caller; empty:
	// the class does not ask for it.
	pointers  []string
	loggedIn  bool         // to be logged in is what admits the caller
	protected []string     // hidden from the caller
	byField   []fieldGroup // shows more to those an object's field points to
	ownRow    bool         // the class is _User and there is a caller
	exempt    bool         // his own row is shown in full
	saved     bool         // what the server changed is shown to who saved
}

// fieldGroup is a group "userField:f" and the fields hidden from it.
type fieldGroup struct {
	field     string
	protected []string
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

func (pl *Plan) sortGroups() {
	slices.SortFunc(pl.byField, func(a, b fieldGroup) int { return strings.Compare(a.field, b.field) })
}

// Principal returns whose plan it is.
func (pl *Plan) Principal() *Principal { return pl.p }

// ByPointer reports whether it is a pointer alone that admits the caller.
func (pl *Plan) ByPointer() bool { return len(pl.pointers) > 0 && !pl.loggedIn }

// Constraint returns what must hold of an object for the caller to read (or
// write) it: its ACL and the pointer permissions of the class. It is nil if
// neither applies.
func (pl *Plan) Constraint(write bool) query.Node {
	if pl.p.Bypass() {
		return nil
	}
	acl := &query.Permission{Write: write, Subjects: pl.p.subjects}
	if len(pl.pointers) == 0 {
		return acl
	}
	return query.AllOf(acl, pl.PointerConstraint())
}

// PointerConstraint returns the part of [Plan.Constraint] that comes from
// pointer permissions alone; nil if the class asks for none.
func (pl *Plan) PointerConstraint() query.Node {
	switch {
	case len(pl.pointers) == 0:
		return nil
	case pl.p.UserID == "":
		return query.Never{}
	}
	me := pl.me()
	nodes := make([]query.Node, len(pl.pointers))
	for i, f := range pl.pointers {
		nodes[i] = query.Equal(f, me)
	}
	if len(nodes) == 1 {
		return nodes[0]
	}
	return &query.Or{Nodes: nodes}
}

// CanRead reports whether the caller may see the object at all.
func (pl *Plan) CanRead(o *parse.Object) bool { return pl.allows(o, false) }

// CanWrite reports whether the caller may change the object.
func (pl *Plan) CanWrite(o *parse.Object) bool {
	return pl.p.Kind != ReadOnlyMaster && pl.allows(o, true)
}

func (pl *Plan) allows(o *parse.Object, write bool) bool {
	if pl.p.Bypass() {
		return true
	}
	if !o.ACL.Allows(pl.p.subjects, write) {
		return false
	}
	if len(pl.pointers) == 0 {
		return true
	}
	for _, f := range pl.pointers {
		if pl.pointsToMe(o, f) {
			return true
		}
	}
	return false
}

func (pl *Plan) me() parse.Pointer { return parse.Pointer{ClassName: classUser, ObjectID: pl.p.UserID} }

// pointsToMe reports whether a field is the caller or a list with him in it.
func (pl *Plan) pointsToMe(o *parse.Object, field string) bool {
	if pl.p.UserID == "" {
		return false
	}
	v, _ := o.Fields.Get(field)
	if list, ok := v.(parse.Array); ok {
		for _, e := range list {
			if pl.isMe(e) {
				return true
			}
		}
		return false
	}
	return pl.isMe(v)
}

func (pl *Plan) isMe(v parse.Value) bool {
	switch v := v.(type) {
	case parse.Pointer:
		return v.ObjectID == pl.p.UserID && v.ClassName == classUser
	case *parse.Object:
		return v.ID == pl.p.UserID && v.ClassName == classUser
	}
	return false
}

// Hides reports whether the caller may not see that field of the object.
func (pl *Plan) Hides(o *parse.Object, field string) bool {
	if strings.HasPrefix(field, "_") {
		// Hashes of passwords are for nobody.
		return pl.p.Kind != Maintenance || field == "_hashed_password" || field == "_password_history"
	}
	if pl.p.Bypass() {
		return false
	}
	mine := pl.ownRow && o.ID == pl.p.UserID
	if pl.class == classUser && field == "authData" && !mine {
		return true
	}
	if len(pl.protected) == 0 || mine && pl.exempt || !contains(pl.protected, field) {
		return false
	}
	for i := range pl.byField {
		g := &pl.byField[i]
		if !contains(g.protected, field) && pl.pointsToMe(o, g.field) {
			return false
		}
	}
	return true
}

// HidesSaved reports whether the caller may not see that field of an object
// that he has saved, though the server gave it the value.
func (pl *Plan) HidesSaved(o *parse.Object, field string) bool {
	return !pl.saved && pl.Hides(o, field)
}

// Strip returns the object without the fields that the caller may not see:
// protected ones, internal ones and other users' authData. It returns o
// itself if there is nothing to remove, else a copy. For the maintenance key
// the copy shows what internal fields are left.
func (pl *Plan) Strip(o *parse.Object) *parse.Object {
	if o.Fields.Lazy() && pl.class != classUser && (len(pl.protected) == 0 || pl.p.Bypass()) {
		return o // has no internal fields, and none is protected
	}
	n := o.Fields.Len()
	for i := range n {
		if !pl.Hides(o, o.Fields.At(i).Key) {
			continue
		}
		c := *o
		c.Fields, c.ShowInternal = parse.Map{}, pl.p.Kind == Maintenance
		for j := range n {
			if f := o.Fields.At(j); !pl.Hides(o, f.Key) {
				c.Fields.Set(f.Key, f.Value)
			}
		}
		return &c
	}
	if pl.p.Kind == Maintenance && !o.ShowInternal {
		c := *o
		c.ShowInternal = true
		return &c
	}
	return o
}

// Needs returns the fields that [Plan.Strip] looks at to decide on others: a
// find that asks for some fields must fetch these, too.
func (pl *Plan) Needs() []string {
	if len(pl.byField) == 0 {
		return nil
	}
	out := make([]string, len(pl.byField))
	for i := range pl.byField {
		out[i] = pl.byField[i].field
	}
	return out
}

// CheckQuery refuses a query that would tell of fields the caller may not see:
// constraints and orders on them (reference 04 §5.3). The refusal is 119.
func (pl *Plan) CheckQuery(q *query.Query) error {
	if pl.p.Bypass() || len(pl.protected) == 0 && pl.class != classUser {
		return nil
	}
	// Who asks about himself may ask about what is protected, but not about
	// authData: of the secrets in it he does not see all.
	secret := pl.secret
	if pl.exempt && pl.pinsMe(q.Where) {
		secret = pl.ofLogins
	}
	if path := secretPath(q.Where, secret); path != "" {
		return parse.Denyf(parse.OperationForbidden, "This user is not allowed to query %s on class %s", path, pl.class)
	}
	for _, s := range q.Order {
		if secret(s.Path) {
			return parse.Denyf(parse.OperationForbidden, "This user is not allowed to sort by %s on class %s", s.Path, pl.class)
		}
	}
	return nil
}

// CheckHint refuses a hint to an index of fields that the caller may not see: a
// database may answer in the order of an index, and without what is not in it.
// A caller can name only indexes that the class is known to have.
func (pl *Plan) CheckHint(c *schema.Class, a *query.Advice) error {
	if pl.p.Bypass() || !a.Hinted() || a.HintKeys == nil && a.Hint == schema.IDIndex {
		return nil
	}
	var keys []string
	if a.HintKeys != nil {
		for name := range a.HintKeys.All() {
			keys = append(keys, name)
		}
	} else {
		i := slices.IndexFunc(c.Indexes, func(x schema.Index) bool { return x.Name == a.Hint })
		if i < 0 {
			return parse.Errorf(parse.InvalidQuery, "hint: class %s has no index %s", c.Name, a.Hint)
		}
		for _, k := range c.Indexes[i].Keys {
			keys = append(keys, k.Field)
		}
	}
	for _, key := range keys {
		name := strings.TrimPrefix(key, "_p_")
		switch name {
		case "_id", "_created_at", "_updated_at":
			continue
		}
		if strings.HasPrefix(name, "_") || pl.secret(query.Path(name)) {
			return parse.Denyf(parse.OperationForbidden, "This user is not allowed to sort by %s on class %s", key, pl.class)
		}
	}
	return nil
}

// HiddenFields returns the fields that the caller sees of no object, or only of
// some: what he must not learn of where no object is looked at by itself.
func (pl *Plan) HiddenFields() []string {
	if pl.p.Bypass() {
		return nil
	}
	out := make([]string, 0, len(pl.protected)+1)
	for _, f := range pl.protected {
		out = append(out, query.Path(f).Root())
	}
	if pl.class == classUser {
		out = append(out, "authData")
	}
	return out
}

// ProtectsField reports whether a field is hidden from the caller in general,
// without regard to what an object's user fields would add.
func (pl *Plan) ProtectsField(field string) bool { return pl.secret(query.Path(field)) }

func (pl *Plan) secret(p query.Path) bool {
	if pl.p.Bypass() {
		return false
	}
	root := p.Root()
	return contains(pl.protected, root) || contains(pl.protected, string(p)) || pl.ofLogins(p)
}

// ofLogins reports whether a path leads into what users log in with.
func (pl *Plan) ofLogins(p query.Path) bool { return pl.class == classUser && p.Root() == "authData" }

// pinsMe reports whether a query asks for the caller's own object alone.
func (pl *Plan) pinsMe(n query.Node) bool {
	switch n := n.(type) {
	case *query.Compare:
		return n.Op == query.Eq && n.Path == parse.KeyObjectID && n.Value == parse.Value(pl.p.UserID)
	case *query.And:
		return slices.ContainsFunc(n.Nodes, pl.pinsMe)
	}
	return false
}

// secretPath returns the first path of a tree that is secret, or "".
func secretPath(n query.Node, secret func(query.Path) bool) query.Path {
	switch n := n.(type) {
	case *query.And:
		return firstSecret(n.Nodes, secret)
	case *query.Or:
		return firstSecret(n.Nodes, secret)
	case *query.Nor:
		return firstSecret(n.Nodes, secret)
	}
	if path := query.PathOf(n); path != "" && secret(path) {
		return path
	}
	return ""
}

func firstSecret(nodes []query.Node, secret func(query.Path) bool) query.Path {
	for _, n := range nodes {
		if p := secretPath(n, secret); p != "" {
			return p
		}
	}
	return ""
}

// Key identifies what the plan lets its caller see: plans of one class with
// equal keys give the same answers of CanRead and Strip for every object.
func (pl *Plan) Key() string {
	switch pl.p.Kind {
	case Master, ReadOnlyMaster:
		return "master"
	case Maintenance:
		return "maintenance"
	case Client:
	}
	b := make([]byte, 0, 64)
	list := func(name byte, items []string) {
		b = append(b, name)
		for _, s := range items {
			b = strconv.AppendQuote(b, s)
		}
	}
	list('u', []string{pl.class, pl.p.UserID})
	list('s', pl.p.subjects)
	list('p', pl.pointers)
	list('f', pl.protected)
	for i := range pl.byField {
		list('g', []string{pl.byField[i].field})
		list('h', pl.byField[i].protected)
	}
	return string(strconv.AppendBool(b, pl.exempt))
}
