package objects

import (
	"context"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Create stores a new object. Errors are *parse.Error for what the client did
// wrong: 119 and 101 by permissions, 105, 107, 111, 121 and 142 by the body,
// 137 by a unique index, and whatever a hook says.
func (s *Service) Create(ctx context.Context, p *access.Principal, w *Write) (*Saved, error) {
	wr, err := s.prepareCreate(ctx, p, w)
	if err != nil {
		return s.follow(ctx, p, w, err)
	}
	saved, err := wr.doInsert(ctx)
	if err != nil {
		return nil, err
	}
	return saved, wr.finish(ctx, saved)
}

// doInsert stores and publishes the new object.
func (wr *writing) doInsert(ctx context.Context) (*Saved, error) {
	writing, turn := wr.s.turn(ctx, wr.Class.Name, wr.ID)
	defer turn.end()
	if err := wr.insert(writing); err != nil {
		return nil, wr.duplicate(err)
	}
	saved, change := wr.created()
	turn.committed(ctx, change)
	return saved, nil
}

// prepareCreate takes a create through all the steps before the store's, and
// again if its class was made or changed by others meanwhile.
func (s *Service) prepareCreate(ctx context.Context, p *access.Principal, w *Write) (*writing, error) {
	if err := access.Writable(p, schema.Create); err != nil {
		return nil, err
	}
	for range rereads {
		wr, err := s.judgeCreate(ctx, p, w)
		if !moved(err) {
			return wr, err
		}
	}
	return nil, errContended()
}

func (s *Service) judgeCreate(ctx context.Context, p *access.Principal, w *Write) (*writing, error) {
	id, err := s.newID(w)
	if err != nil {
		return nil, err
	}
	wr, err := s.begin(ctx, p, w, schema.Create)
	if err != nil {
		return nil, err
	}
	wr.ID = id
	if err := wr.read(w.Body); err != nil {
		return nil, err
	}
	if err := wr.beforeWrite(ctx); err != nil {
		return nil, err
	}
	if err := wr.own(); err != nil {
		return nil, err
	}
	wr.splitRelations()
	shaped := false
	if s.app.HasBeforeSave(wr.Class.Name) {
		if err := wr.shape(roomForDefaults); err != nil { // for the hooks to see
			return nil, err
		}
		if shaped, err = wr.runHooks(ctx); err != nil {
			return nil, err
		}
	}
	if err := wr.complete(shaped); err != nil {
		return nil, err
	}
	if err := wr.required(); err != nil {
		return nil, err
	}
	if err := wr.validators(); err != nil {
		return nil, err
	}
	if s.typed {
		wr.dropNulls()
	}
	return wr, wr.ensureSchema(ctx)
}

// dropNulls takes from a new object what the database takes for missing, so
// that live queries and hooks hear of what is stored.
func (wr *writing) dropNulls() {
	f := &wr.object.Fields
	for i := f.Len() - 1; i >= 0; i-- {
		if field := f.At(i); field.Value == nil {
			f.Delete(field.Key)
		}
	}
}

// complete adds to a new object what its class gives it. shaped: all else is
// in the object already.
func (wr *writing) complete(shaped bool) error {
	set := wr.SetACL
	wr.defaults(shaped)
	wr.defaultACL()
	if !shaped {
		return wr.shape(0)
	}
	if wr.SetACL != set {
		wr.object.ACL, wr.touched = wr.ACL, nil
	}
	return nil
}

// created answers a create that was done.
func (wr *writing) created() (*Saved, parse.Change) {
	resp := parse.NewMap(
		parse.MapField{Key: parse.KeyObjectID, Value: wr.ID},
		parse.MapField{Key: parse.KeyCreatedAt, Value: wr.object.CreatedAt.String()})
	wr.answer(resp, nil, wr.object)
	return &Saved{Object: wr.object, Created: true, Response: resp},
		parse.Change{Class: wr.Class.Name, Action: parse.Created, After: wr.object, Related: related(wr.relations)}
}

// begin finds the class of a write and asks for permission.
func (s *Service) begin(ctx context.Context, p *access.Principal, w *Write, op schema.Operation) (*writing, error) {
	c, err := s.class(p, w.Class, op)
	if err != nil {
		return nil, err
	}
	missing := c == nil
	if missing {
		if op != schema.Create {
			return nil, parse.ErrNotFound()
		}
		if c, err = newClass(w.Class); err != nil {
			return nil, err
		}
	}
	rule, _ := s.rule(c.Name)
	if err := rule.Authorize(ctx, p, op); err != nil {
		return nil, err
	}
	plan, err := s.o.Gate.Authorize(p, c, op)
	if err != nil {
		return nil, err
	}
	return &writing{
		WriteState: WriteState{
			Principal: p, Class: c, Update: op == schema.Update, Response: &parse.Map{}, Store: s.store,
			Memo: w.Memo, Led: w.led,
		},
		s: s, rule: rule, plan: plan, missing: missing,
	}, nil
}

// maxObjectID bounds the ids that clients choose: they go into URLs, headers
// and indexes.
const maxObjectID = 1000

// newID returns the id of a new object: the client's where that is allowed.
func (s *Service) newID(w *Write) (string, error) {
	if schema.IsSingleton(w.Class) {
		return schema.SingletonID, nil
	}
	v, sent := w.Body.Get(parse.KeyObjectID)
	if s.o.AllowCustomObjectID {
		if !sent {
			return parse.NewObjectID(s.o.ObjectIDSize), nil
		}
		id, ok := v.(string)
		if !ok || id == "" {
			return "", parse.Errorf(parse.MissingObjectID, "objectId must not be empty, null or undefined")
		}
		if len(id) > maxObjectID {
			return "", parse.Errorf(parse.InvalidJSON, "objectId must not be longer than %d bytes", maxObjectID)
		}
		return id, nil
	}
	if parse.Truthy(v) {
		return "", parse.Errorf(parse.InvalidKeyName, "objectId is an invalid field name.")
	}
	if v, _ := w.Body.Get("id"); parse.Truthy(v) {
		return "", parse.Errorf(parse.InvalidKeyName, "id is an invalid field name.")
	}
	return parse.NewObjectID(s.o.ObjectIDSize), nil
}

// roomForDefaults is for how many defaults an object has place that hooks see
// before them.
const roomForDefaults = 2

// shape computes the new object from the body, with room for more fields.
func (wr *writing) shape(room int) error {
	now := wr.s.now()
	o := &parse.Object{ClassName: wr.Class.Name, ID: wr.ID, CreatedAt: now, UpdatedAt: now, ACL: wr.ACL}
	if wr.createdAt != 0 {
		o.CreatedAt, o.UpdatedAt = wr.createdAt, wr.createdAt
	}
	if wr.updatedAt != 0 {
		if wr.updatedAt < o.CreatedAt {
			return parse.Errorf(parse.ValidationError, "updatedAt cannot occur before createdAt")
		}
		o.UpdatedAt = wr.updatedAt
	}
	o.Fields.Grow(wr.Body.Len() + room)
	if err := parse.ApplyOps(o, wr.Body); err != nil {
		return err
	}
	wr.object = o
	return nil
}

func (wr *writing) insert(ctx context.Context) error {
	insert := func(ctx context.Context, s *Service) error {
		if err := s.store.Insert(ctx, wr.Class, []*parse.Object{wr.object}); err != nil {
			return err
		}
		if err := s.relate(ctx, wr.ID, wr.relations); err != nil || !wr.alone() {
			return err
		}
		return wr.tell(ctx, s, wr.object)
	}
	if !wr.alone() {
		return insert(ctx, wr.s)
	}
	return wr.s.InTx(ctx, insert)
}
