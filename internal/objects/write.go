package objects

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// writing is a create or an update on its way through the steps.
type writing struct {
	WriteState
	s    *Service
	rule ClassRule
	plan *access.Plan
	// sent is what the client asked for, before anything was added.
	sent *parse.Map
	// missing: the class does not exist yet.
	missing bool
	// added are fields that the class does not have yet.
	added []*schema.Field
	// addPlan is the caller's plan for adding fields; nil if none are added.
	addPlan *access.Plan
	// echoACL: the answer tells the ACL, which the client did not choose.
	echoACL bool
	// object is the object as it will be saved; on updates known only if it was read before.
	object *parse.Object
	// createdAt, updatedAt are set by the maintenance key alone.
	createdAt, updatedAt parse.Date
	// relations are the changes of relations beside the write itself.
	relations []relationOp
	// touched is what roots has returned; nil if Body has changed since.
	touched []string
	// hooked: hooks before the save have run, and left context.
	hooked  bool
	context *parse.Map
	// target finds the object to update as the caller may and as it was read.
	target query.Node
}

// elsewhere says that a write is to update another object than it names.
type elsewhere struct {
	id   string
	memo any
}

func (e *elsewhere) Error() string { return "the write is to change " + e.id }

// beforeWrite asks the rule of the class.
func (wr *writing) beforeWrite(ctx context.Context) error {
	if err := wr.rule.BeforeWrite(ctx, &wr.WriteState); err != nil {
		return err
	}
	if id := wr.Instead; id != "" && !wr.Led && (id != wr.ID || !wr.Update) {
		return &elsewhere{id, wr.Memo}
	}
	return nil
}

// follow does a write that a rule has led to another object; any other error
// is returned as it is.
func (s *Service) follow(ctx context.Context, p *access.Principal, w *Write, err error) (*Saved, error) {
	var e *elsewhere
	if !errors.As(err, &e) {
		return nil, err
	}
	return s.Update(ctx, p, &Write{Class: w.Class, ID: e.id, Body: w.Body, If: w.If, Memo: e.memo, led: true})
}

// read takes the body of a write apart.
func (wr *writing) read(body *parse.Map) error {
	if err := wr.s.o.Denylist.check(body); err != nil {
		return err
	}
	switch v, ok := body.Get(parse.KeyACL); {
	case ok:
		body = body.Share()
		body.Delete(parse.KeyACL)
		if err := wr.readACL(v); err != nil {
			return err
		}
	case body == nil:
		body = &parse.Map{}
	default:
		body = body.Clone()
	}
	ops, err := parse.ParseOps(body)
	if err != nil {
		return err
	}
	wr.sent, wr.Body = ops, ops.Share()
	for _, key := range [...]string{parse.KeyCreatedAt, parse.KeyUpdatedAt} {
		v, ok := wr.Body.Get(key)
		if !ok {
			continue
		}
		if err := wr.checkType(key, v); err != nil {
			return err
		}
		wr.Body.Delete(key)
		if d, ok := v.(parse.Date); ok && !wr.Update && wr.Principal.Kind == access.Maintenance {
			if key == parse.KeyCreatedAt {
				wr.createdAt = d
			} else {
				wr.updatedAt = d
			}
		}
	}
	wr.Body.Delete(parse.KeyObjectID)
	return wr.checkFields(wr.Body)
}

func (wr *writing) readACL(v parse.Value) error {
	switch acl := v.(type) {
	case nil: // as if absent
		return nil
	case *parse.ACL:
		wr.ACL, wr.SetACL = acl, acl != nil
		return nil
	case *parse.Map, parse.Delete:
	default: // Parse Server would lock the object, which nobody can have meant
		return parse.Errorf(parse.InvalidACL, "Invalid ACL.")
	}
	acl, err := parse.ACLFromValue(v)
	if err != nil {
		return err
	}
	wr.ACL, wr.SetACL = acl, true
	return nil
}

// set replaces what the write does to a field.
func (wr *writing) set(field string, v parse.Value) {
	wr.touched = nil
	for _, k := range keys(wr.Body) {
		if strings.HasPrefix(k, field) && len(k) > len(field) && k[len(field)] == '.' {
			wr.Body.Delete(k)
		}
	}
	wr.Body.Set(field, v)
}

func keys(m *parse.Map) []string {
	out := make([]string, 0, m.Len())
	for k := range m.All() {
		out = append(out, k)
	}
	return out
}

func root(key string) string {
	r, _, _ := strings.Cut(key, ".")
	return r
}

// roots are the fields that the write touches, in order.
func (wr *writing) roots() []string {
	if wr.touched != nil {
		return wr.touched
	}
	out := make([]string, 0, wr.Body.Len()+1)
	for k := range wr.Body.All() {
		if r := root(k); !strings.HasPrefix(r, "_") && !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	if wr.SetACL {
		out = append(out, parse.KeyACL)
	}
	wr.touched = out
	return out
}

// relationOp is one operation on the members of a relation.
type relationOp struct {
	join   storage.Join
	remove bool
	ids    []string
}

// splitRelations takes the relation operations out of the body.
func (wr *writing) splitRelations() {
	var add func(key string, op parse.Value)
	add = func(key string, op parse.Value) {
		r := relationOp{join: storage.Join{Class: wr.Class.Name, Key: key}}
		var members []parse.Pointer
		switch op := op.(type) {
		case parse.AddRelation:
			members = op.Objects
		case parse.RemoveRelation:
			members, r.remove = op.Objects, true
		case parse.Batch:
			for _, o := range op.Ops {
				add(key, o)
			}
			return
		}
		for _, m := range members {
			r.ids = append(r.ids, m.ObjectID)
		}
		if len(r.ids) > 0 {
			wr.relations = append(wr.relations, r)
		}
	}
	for _, k := range keys(wr.Body) {
		switch v, _ := wr.Body.Get(k); v := v.(type) {
		case parse.AddRelation, parse.RemoveRelation, parse.Batch:
			wr.Body.Delete(k)
			add(k, v)
		case parse.Relation: // the value itself changes nothing
			wr.Body.Delete(k)
		}
	}
}

// related lists the members that the operations concern, by field.
func related(ops []relationOp) map[string][]string {
	if len(ops) == 0 {
		return nil
	}
	out := make(map[string][]string, 1)
	for _, r := range ops {
		out[r.join.Key] = append(out[r.join.Key], r.ids...)
	}
	return out
}

func (s *Service) relate(ctx context.Context, owner string, ops []relationOp) error {
	for _, r := range ops {
		do := s.store.AddRelated
		if r.remove {
			do = s.store.RemoveRelated
		}
		if err := do(ctx, r.join, owner, r.ids); err != nil {
			return err
		}
	}
	return nil
}

// maxFields bounds the fields that writes give a class. A database has a bound
// of its own, and takes long to get there.
const maxFields = 1000

// errSchemaMoved says that the class is no longer as the write found it, and
// that the write has to be judged anew.
var errSchemaMoved = errors.New("the class changed meanwhile")

// ensureSchema brings class and fields into being that the write needs.
func (wr *writing) ensureSchema(ctx context.Context) error {
	if !wr.missing && len(wr.added) == 0 {
		return nil
	}
	name := wr.Class.Name
	def, added, missing := wr.Class, wr.added, wr.missing
	snap, err := wr.s.apply(ctx, func(have *schema.Snapshot) ([]schema.Step, error) {
		var steps []schema.Step
		c := have.Class(name)
		if c != nil && (missing || c.CLP != def.CLP) {
			// Made or changed by somebody else meanwhile: his permissions count.
			return nil, errSchemaMoved
		}
		if c == nil {
			steps = append(steps, schema.Step{Kind: schema.CreateClass, Class: name, Def: def})
			c = def
		}
		for _, f := range added {
			if old := c.Field(f.Name); old != nil {
				if err := sameType(name, old, f.Type, f.TargetClass); err != nil {
					return nil, err
				}
				continue
			}
			if f.Type == schema.GeoPoint && hasGeoPoint(c) {
				return nil, errSecondGeoPoint()
			}
			steps = append(steps, schema.Step{Kind: schema.AddFieldStep, Class: name, Field: f})
		}
		if len(steps) > 0 && len(c.Fields)+len(steps) > maxFields {
			return nil, parse.Errorf(parse.RequestLimitExceeded, "class %s cannot have more than %d fields", name, maxFields)
		}
		return steps, nil
	})
	if err != nil {
		return err
	}
	if c := snap.Class(name); c != nil {
		wr.Class = c
	}
	return nil
}

// duplicate turns a violated unique index into what the client reads.
func (wr *writing) duplicate(err error) error {
	var d *storage.DuplicateError
	if !errors.As(err, &d) {
		return err
	}
	if mapped := wr.rule.MapDuplicate(d); mapped != nil {
		return mapped
	}
	return &parse.Error{Code: parse.DuplicateValue, Message: "A duplicate value for a field with unique values was provided", Err: err}
}

// answer adds to the response what the client cannot know: results of
// operations and what the server changed. An operation tells nothing of a field
// that the caller may not see: to add nothing to it would be to read it.
func (wr *writing) answer(resp *parse.Map, before, after *parse.Object) {
	for k, v := range wr.sent.All() {
		switch v.(type) {
		case parse.Increment, parse.Add, parse.AddUnique, parse.Remove:
			if out, ok := parse.Lookup(after, k); ok && !wr.plan.Hides(after, query.Path(k).Root()) {
				setNested(resp, k, out)
			}
		}
	}
	for i := range after.Fields.Len() {
		f := after.Fields.At(i)
		if f.Value == nil || strings.HasPrefix(f.Key, "_") || resp.Has(f.Key) || wr.plan.HidesSaved(after, f.Key) {
			continue
		}
		if f.Key == "authData" && wr.Class.Name == schema.UserClass {
			continue // has secrets of providers; what the client learns is in authDataResponse
		}
		if _, pointer := f.Value.(parse.Pointer); pointer {
			continue
		}
		if sent, ok := wr.sent.Get(f.Key); ok && (parse.Equal(sent, f.Value) || isOp(sent) && wr.plan.Hides(after, f.Key)) {
			continue
		}
		if !wr.Body.Has(f.Key) {
			continue // not written, or written inside by the client
		}
		if before != nil {
			if old, ok := before.Fields.Get(f.Key); ok && parse.Equal(old, f.Value) {
				continue
			}
		}
		resp.Set(f.Key, f.Value)
	}
	if wr.echoACL && after.ACL != nil {
		resp.Set(parse.KeyACL, after.ACL.Value())
	}
	for k, v := range wr.Response.All() {
		resp.Set(k, v)
	}
}

func isOp(v parse.Value) bool {
	_, ok := v.(parse.Op)
	return ok
}

// setNested puts a value at a dotted key into nested maps.
func setNested(m *parse.Map, key string, v parse.Value) {
	head, rest, dotted := strings.Cut(key, ".")
	if !dotted {
		m.Set(key, v)
		return
	}
	inner := &parse.Map{}
	if old, ok := m.Get(head); ok {
		if om, ok := old.(*parse.Map); ok {
			inner = om.Clone()
		}
	}
	setNested(inner, rest, v)
	m.Set(head, inner)
}
