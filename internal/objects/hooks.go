package objects

import (
	"context"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// saveCall is what the hooks of a save see, with all that it points to. The
// objects are lent: hooks may keep and change theirs for ever.
type saveCall struct {
	cloudcode.SaveRequest
	client client
	object parse.Loan
}

// call makes the request of the hooks of a save. Those after it find the context
// as those before it left it.
func (wr *writing) call(ctx context.Context, s *Service, o *parse.Object) *saveCall {
	c := &saveCall{}
	s.request(ctx, wr.Principal, &c.Request, &c.client)
	c.Class, c.Object = wr.Class.Name, c.object.Lend(o)
	if wr.Before != nil {
		c.Original = new(parse.Loan).Lend(wr.Before)
	}
	c.Changed = slices.Clip(wr.roots())
	if wr.hooked {
		c.Context = wr.context
	}
	return c
}

// runHooks runs the hooks before the save, lets rule and owner look at what
// they set, and sets apart the relations that they changed. It reports whether
// all is as it was before them.
func (wr *writing) runHooks(ctx context.Context) (same bool, err error) {
	if same, err = wr.beforeSave(ctx); err != nil || same {
		return same, err
	}
	wr.touched = nil
	if err := wr.rule.AfterHooks(ctx, &wr.WriteState); err != nil {
		return false, err
	}
	if err := wr.ownAfterHooks(); err != nil {
		return false, err
	}
	wr.splitRelations()
	return false, nil
}

// beforeSave runs the hooks on wr.object and takes over what they changed.
func (wr *writing) beforeSave(ctx context.Context) (same bool, err error) {
	was := wr.object
	was.Fields.Load() // once, and not for each copy
	r := wr.call(ctx, wr.s, was)
	if !wr.Update {
		r.Object.ID = ""
	}
	if err := wr.s.app.RunBeforeSave(ctx, &r.SaveRequest); err != nil {
		return false, err
	}
	wr.hooked, wr.context = true, r.Context
	fields, acl := r.object.Returned(r.Object)
	if !fields && !acl {
		return true, nil
	}
	now := *was
	now.Fields, now.ACL = *r.Object.Fields.Clone(), r.Object.ACL.Clone()
	wr.object = &now
	if acl {
		wr.ACL, wr.SetACL, wr.echoACL = now.ACL, true, true
	}
	changed := differences(&was.Fields, &now.Fields)
	if changed.Len() == 0 {
		return !acl, nil
	}
	visible := &parse.Map{}
	for k, v := range changed.All() {
		wr.set(k, v)
		if strings.HasPrefix(k, "_") {
			continue
		}
		visible.Set(k, v)
		if _, gone := v.(parse.Delete); gone {
			wr.Response.Set(k, parse.NewMap(parse.MapField{Key: "__op", Value: "Delete"}))
		}
	}
	if err := wr.s.o.Denylist.check(visible); err != nil {
		return false, err
	}
	return false, wr.checkFields(visible)
}

// differences is what makes one map of fields another.
func differences(was, now *parse.Map) *parse.Map {
	changed := &parse.Map{}
	for i := range now.Len() {
		f := now.At(i)
		if old, ok := was.Get(f.Key); !ok || !parse.Equal(old, f.Value) {
			changed.Set(f.Key, f.Value)
		}
	}
	for i := range was.Len() {
		if key := was.At(i).Key; !now.Has(key) {
			changed.Set(key, parse.Delete{})
		}
	}
	return changed
}

// finish runs what comes after the commit of a write and completes the answer.
func (wr *writing) finish(ctx context.Context, saved *Saved) error {
	s := wr.s
	if s.tx != nil {
		if _, own := s.rules[wr.Class.Name]; own || s.app.HasAfterSave(wr.Class.Name) {
			s.tx.after = append(s.tx.after, func(ctx context.Context) {
				if err := wr.after(ctx, s.root, saved); err != nil {
					s.o.Log.Error("step after a save failed", "class", wr.Class.Name, "error", err)
				}
			})
		}
		return nil
	}
	if _, own := s.rules[wr.Class.Name]; !own {
		return wr.after(ctx, s, saved) // hooks see to it themselves that they outlive the request
	}
	ctx, cancel := committedContext(ctx)
	defer cancel()
	return wr.after(ctx, s, saved)
}

// after runs the class rule and the after-hooks. A hook's failure does not
// undo the write: it is logged.
func (wr *writing) after(ctx context.Context, s *Service, saved *Saved) error {
	if err := wr.rule.AfterWrite(ctx, &wr.WriteState, saved); err != nil {
		return err
	}
	if !s.app.HasAfterSave(wr.Class.Name) {
		return nil
	}
	r := wr.call(ctx, s, saved.Object)
	if err := s.app.RunAfterSave(ctx, &r.SaveRequest); err != nil {
		s.o.Log.Error("afterSave failed", "class", wr.Class.Name, "objectId", wr.ID, "error", err)
		return nil
	}
	if fields, _ := r.object.Returned(r.Object); !fields {
		return nil
	}
	for i := range r.Object.Fields.Len() {
		f := r.Object.Fields.At(i)
		if strings.HasPrefix(f.Key, "_") {
			continue
		}
		if old, ok := saved.Object.Fields.Get(f.Key); !ok || !parse.Equal(old, f.Value) {
			saved.Response.Set(f.Key, f.Value)
		}
	}
	return nil
}
