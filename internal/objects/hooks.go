package objects

import (
	"context"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// saveRequest is what the hooks of a save see. Those after it find the context
// as those before it left it.
func (wr *writing) saveRequest(ctx context.Context, s *Service, o *parse.Object) *cloudcode.SaveRequest {
	r := &cloudcode.SaveRequest{
		Request: s.Request(ctx, wr.Principal), Class: wr.Class.Name, Object: o, Original: wr.Before, Changed: wr.roots(),
	}
	if wr.hooked {
		r.Context = wr.context
	}
	return r
}

// runHooks runs the hooks before the save, lets rule and owner look at what
// they set, and sets apart the relations that they changed. It reports whether
// all is as it was before them.
func (wr *writing) runHooks(ctx context.Context) (same bool, err error) {
	if same, err = wr.beforeSave(ctx); err != nil || same {
		return same, err
	}
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
	r := wr.saveRequest(ctx, wr.s, was.Clone())
	if !wr.Update {
		r.Object.ID = ""
	}
	if err := wr.s.app.RunBeforeSave(ctx, r); err != nil {
		return false, err
	}
	wr.hooked, wr.context = true, r.Context
	now := r.Object
	now.ID, now.ClassName, now.CreatedAt, now.UpdatedAt = was.ID, was.ClassName, was.CreatedAt, was.UpdatedAt
	var changed parse.Map
	for k, v := range now.Fields.All() {
		if old, ok := was.Fields.Get(k); !ok || !parse.Equal(old, v) {
			changed.Set(k, v)
		}
	}
	for k := range was.Fields.All() {
		if !now.Fields.Has(k) {
			changed.Set(k, parse.Delete{})
		}
	}
	same = now.ACL == was.ACL && changed.Len() == 0
	if now.ACL != was.ACL {
		wr.ACL, wr.SetACL, wr.echoACL = now.ACL, true, true
	}
	wr.object = now
	if changed.Len() == 0 {
		return same, nil
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
	if _, own := s.rules[wr.Class.Name]; !own && !s.app.HasAfterSave(wr.Class.Name) {
		return nil
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
	r := wr.saveRequest(ctx, s, saved.Object.Clone())
	if err := s.app.RunAfterSave(ctx, r); err != nil {
		s.o.Log.Error("afterSave failed", "class", wr.Class.Name, "objectId", wr.ID, "error", err)
		return nil
	}
	for k, v := range r.Object.Fields.All() {
		if strings.HasPrefix(k, "_") {
			continue
		}
		if old, ok := saved.Object.Fields.Get(k); !ok || !parse.Equal(old, v) {
			saved.Response.Set(k, v)
		}
	}
	return nil
}
