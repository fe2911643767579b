package auth

import (
	"context"
	"slices"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// authData lets users link, change and unlink providers (reference 03 §8.2).
func (r *userRule) authData(ctx context.Context, w *objects.WriteState) error {
	stored := authDataOf(w.Before)
	v, given := w.Body.Get("authData")
	// A password makes an anonymous user a named one; the id, which alone
	// would still open the account, goes.
	named := w.Update && w.Body.Has("password")
	if !given && (!named || !stored.Has(anonymousProvider)) {
		return nil
	}
	next := stored.Clone()
	if given {
		if v == nil {
			return errUnsupportedProvider()
		}
		pr, err := r.link(ctx, w, v, stored)
		if err != nil {
			return err
		}
		next = pr.apply(next)
		if len(pr.names)+len(pr.unlink) > 0 {
			w.Response.Set("authDataResponse", pr.reply)
		}
	}
	if named {
		next.Delete(anonymousProvider)
	}
	switch {
	case next.Len() > 0:
		w.Body.Set("authData", next)
	case w.Update:
		w.Body.Set("authData", parse.Delete{})
	default:
		w.Body.Delete("authData")
	}
	return nil
}

// link judges the authData of a write. What the providers said is kept for
// when the write has to be decided anew: a code cannot be exchanged twice. If
// the authData are the ones that changed meanwhile, nothing of it holds.
func (r *userRule) link(ctx context.Context, w *objects.WriteState, v parse.Value, stored *parse.Map) (*proof, error) {
	if pr, ok := w.Memo.(*proof); ok {
		if !parse.Equal(pr.judged, stored) {
			return nil, errStale()
		}
		return pr, nil
	}
	s := r.s
	c, err := s.claimed(v)
	if err != nil {
		return nil, err
	}
	if w.Store != s.objs.Store() {
		// A provider may take its time, and the transaction holds up all others.
		for _, name := range c.names {
			if name != anonymousProvider {
				return nil, parse.Errorf(parse.OperationForbidden, "authData of %s cannot be written in a transaction", name)
			}
		}
	}
	same := s.sortOut(w, c, stored)
	if err := s.prepare(ctx, w.Principal, w.Before, c, cloudcode.AuthUpdate); err != nil {
		return nil, err
	}
	list, err := s.linkedUsers(ctx, w.Store, c)
	if err != nil {
		return nil, err
	}
	for _, name := range same {
		c.names = append(c.names, name)
		c.data[name] = providerData(stored, name).Clone()
	}
	pr, err := s.judge(ctx, w.Principal, w.Before, c, cloudcode.AuthUpdate)
	if err != nil {
		return nil, err
	}
	// Who cannot prove to own the id does not learn that it has an account.
	if slices.ContainsFunc(list, func(u *parse.Object) bool { return u.ID != w.ID }) {
		return nil, errLinked()
	}
	for _, name := range same {
		delete(pr.save, name)
	}
	pr.unlink = c.unlink
	w.Memo = pr
	return pr, nil
}

// sortOut takes out of the claims what the user has already: data that are
// part of what is stored and that are judged again, which are returned, and
// data that are what a provider shows of it, which clients send back.
func (s *Service) sortOut(w *objects.WriteState, c *claims, stored *parse.Map) (same []string) {
	changed := c.names[:0]
	for _, name := range c.names {
		have := providerData(stored, name)
		switch sent := c.data[name]; {
		case have == nil || sent.Len() == 0:
			changed = append(changed, name)
		case partOf(sent, have):
			if !s.o.AllowExpiredAuthData {
				same = append(same, name)
			}
		case parse.Equal(sent, s.shown(s.authCaller(w.Principal), name, have)):
		default:
			changed = append(changed, name)
		}
	}
	c.names = changed
	return same
}

// partOf reports whether b has all fields of a.
func partOf(a, b *parse.Map) bool {
	for k, v := range a.All() {
		if have, ok := b.Get(k); !ok || !parse.Equal(v, have) {
			return false
		}
	}
	return true
}

// shown is what the caller sees of the data of a provider.
func (s *Service) shown(caller cloudcode.Caller, provider string, stored *parse.Map) *parse.Map {
	if p, ok := s.o.Providers[provider].(cloudcode.AuthPresenter); ok {
		return p.Present(caller, stored)
	}
	return stored
}

// shownAuthData is what the caller sees of authData; it is the same map if he
// sees all, and nil if he sees nothing.
func (s *Service) shownAuthData(p *access.Principal, stored *parse.Map) *parse.Map {
	shown := stored
	for name := range stored.All() {
		have := providerData(stored, name)
		see := s.shown(s.authCaller(p), name, have)
		if see == have {
			continue
		}
		if shown == stored {
			shown = stored.Clone()
		}
		if see == nil {
			shown.Delete(name)
		} else {
			shown.Set(name, see)
		}
	}
	if shown.Len() == 0 {
		return nil
	}
	return shown
}
