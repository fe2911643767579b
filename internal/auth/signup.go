package auth

import (
	"context"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// cloudInstallation is the installation id of a request with the master key in
// a header; such a sign-up starts no session (reference 01 §2.3).
const cloudInstallation = "cloud"

// Result is the outcome of a sign-up.
type Result struct {
	// Saved is the user; its Response has the sessionToken, if there is one.
	Saved *objects.Saved
	// LoggedIn: authData named a user who already exists, who is now logged in.
	LoggedIn bool
}

// SignUp makes a user and a session for him (reference 03 §2, §7). Errors:
// 200, 201, 202, 203, 119, 125, 162, 208, 252 and what an object create gives.
func (s *Service) SignUp(ctx context.Context, p *access.Principal, body, cctx *parse.Map) (*Result, error) {
	if parse.IsRoleSubject(body.String(parse.KeyObjectID)) {
		return nil, errRoleID()
	}
	if err := access.Writable(p, schema.Create); err != nil {
		return nil, err
	}
	if body = body.Clone(); body == nil {
		body = &parse.Map{}
	}
	body.Delete("sessionToken")
	v, _ := body.Get("authData")
	data := usable(v)
	id := anonymousID(data)
	if data == nil {
		if err := wantCredentials(body); err != nil {
			return nil, err
		}
	} else {
		for provider, d := range data.All() {
			if d == nil {
				continue
			}
			if err := s.checkProvider(provider, d); err != nil {
				return nil, err
			}
		}
		if res, err := s.loginAnonymous(ctx, p, id); err != nil || res != nil {
			return res, err
		}
	}
	if body.Has("emailVerified") && !p.Bypass() {
		return nil, errVerified()
	}
	saved, err := s.objs.Create(ctx, p, &objects.Write{Class: userClass, Body: body, Context: cctx})
	if data != nil && parse.CodeOf(err) == parse.AccountAlreadyLinked {
		// Another request with the same id was faster: this one is a login.
		if res, lost := s.loginAnonymous(ctx, p, id); lost != nil || res != nil {
			return res, lost
		}
	}
	if err != nil {
		return nil, err
	}
	if p.InstallationID == cloudInstallation {
		return &Result{Saved: saved}, nil
	}
	provider := "password"
	if data != nil {
		provider = anonymousProvider
	}
	token, err := s.startSession(ctx, saved.Object.ID, p.InstallationID, createdWith("signup", provider))
	if err != nil {
		return nil, err
	}
	saved.Response.Set("sessionToken", token)
	return &Result{Saved: saved}, nil
}

// loginAnonymous logs in the user with that anonymous id; nil if there is none.
func (s *Service) loginAnonymous(ctx context.Context, p *access.Principal, id string) (*Result, error) {
	list, err := byAnonymousID(ctx, s.objs.Store(), storage.Find{Class: s.class(userClass)}, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, nil
	}
	user := list[0]
	if len(list) > 1 || p.UserID != "" && p.UserID != user.ID || locked(user, p) {
		return nil, errLinked()
	}
	if err := s.objs.App().RunBeforeLogin(ctx, s.loginRequest(p, user)); err != nil {
		return nil, err
	}
	in, err := s.enter(ctx, p, user, createdWith("login", anonymousProvider))
	if err != nil {
		return nil, err
	}
	if err := s.confirm(ctx, user, in.token); err != nil {
		return nil, err
	}
	m, err := parse.DecodeMap(in.shown.AppendJSON(nil), parse.DefaultLimits)
	if err != nil {
		return nil, err
	}
	m.Set("authDataResponse", &parse.Map{})
	return &Result{Saved: &objects.Saved{Object: in.shown, Response: m}, LoggedIn: true}, nil
}

// locked reports whether the user's ACL locks him out: it has no entries.
func locked(user *parse.Object, p *access.Principal) bool {
	return user.ACL != nil && len(user.ACL.Entries()) == 0 && !p.Bypass()
}
