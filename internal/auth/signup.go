package auth

import (
	"context"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
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
func (s *Service) SignUp(ctx context.Context, p *access.Principal, body *parse.Map) (*Result, error) {
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
	v, given := body.Get("authData")
	if usable(v) == nil {
		if err := wantCredentials(body); err != nil {
			return nil, err
		}
	}
	if given && v == nil {
		return nil, errUnsupportedProvider()
	}
	c, err := s.claimed(v)
	if err != nil {
		return nil, err
	}
	var pr *proof
	if len(c.names) > 0 {
		var res *Result
		if res, pr, err = s.signIn(ctx, p, c); err != nil || res != nil {
			return res, err
		}
		if !identified(pr) {
			if err := wantCredentials(body); err != nil {
				return nil, err
			}
		}
	} else {
		body.Delete("authData")
	}
	if body.Has("emailVerified") && !p.Bypass() {
		return nil, errVerified()
	}
	saved, err := s.objs.Create(ctx, p, &objects.Write{Class: userClass, Body: body, Memo: memo(pr)})
	if pr != nil && parse.CodeOf(err) == parse.AccountAlreadyLinked {
		// Another request with the same id was faster: this one is a login.
		return s.lost(ctx, p, c, pr)
	}
	if err != nil {
		return nil, err
	}
	if p.InstallationID == cloudInstallation {
		return &Result{Saved: saved}, nil
	}
	if pr == nil || !identified(pr) {
		wait, err := s.toVerify(ctx, p, saved.Object, createdWith("signup", "password"))
		switch {
		case err != nil:
			return nil, err
		case wait && s.o.Verification.PreventSignup:
			return nil, errUnverified()
		case wait: // the user is there, and can log in once the address is verified
			return &Result{Saved: saved}, nil
		}
	}
	provider := "password"
	if pr != nil {
		provider = strings.Join(c.names, ",")
	}
	token, err := s.startSession(ctx, saved.Object.ID, p.InstallationID, createdWith("signup", provider))
	if err != nil {
		return nil, err
	}
	saved.Response.Set("sessionToken", token)
	return &Result{Saved: saved}, nil
}

// memo hands a proof to the rule of the class.
func memo(pr *proof) any {
	if pr == nil {
		return nil // not a nil *proof
	}
	return pr
}

// identified reports whether what was proved is enough to find the user again.
func identified(pr *proof) bool {
	for _, d := range pr.save {
		if d.String("id") != "" {
			return true
		}
	}
	return false
}

// signIn logs in the user whom authData name. If there is none, it returns the
// proof with which he may be made.
func (s *Service) signIn(ctx context.Context, p *access.Principal, c *claims) (*Result, *proof, error) {
	if err := s.prepare(ctx, p, nil, c, 0); err != nil {
		return nil, nil, err
	}
	list, err := s.openUsers(ctx, p, c)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(list) == 0:
		pr, err := s.judge(ctx, p, nil, c, cloudcode.AuthSetUp)
		if err != nil {
			return nil, nil, err
		}
		return nil, pr, nil
	case len(list) > 1 || p.UserID != "" && p.UserID != list[0].ID:
		// Who cannot prove to own the id does not learn that it has an account.
		if _, err := s.judge(ctx, p, list[0], c, cloudcode.AuthLogin); err != nil {
			return nil, nil, err
		}
		return nil, nil, errLinked()
	}
	res, err := s.loginLinked(ctx, p, list[0], c, nil)
	return res, nil, err
}

// openUsers finds the users that have any of the claimed ids, but those who are locked.
func (s *Service) openUsers(ctx context.Context, p *access.Principal, c *claims) ([]*parse.Object, error) {
	list, err := s.linkedUsers(ctx, s.objs.Store(), c)
	return slices.DeleteFunc(list, func(u *parse.Object) bool { return locked(u, p) }), err
}

// lost logs in a user who was made by another request in the very moment in
// which this one would have made him. What the providers have said holds: it
// was about the id, with which that request came, too.
func (s *Service) lost(ctx context.Context, p *access.Principal, c *claims, pr *proof) (*Result, error) {
	list, err := s.openUsers(ctx, p, c)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 || p.UserID != "" && p.UserID != list[0].ID {
		return nil, errLinked()
	}
	for _, name := range pr.names {
		if pr.save[name].String("id") == "" {
			return nil, errLinked()
		}
	}
	pr.judged = authDataOf(list[0])
	return s.loginLinked(ctx, p, list[0], c, pr)
}

// loginLinked logs in a user by authData; pr is nil unless they are judged already.
func (s *Service) loginLinked(ctx context.Context, p *access.Principal, user *parse.Object, c *claims, pr *proof) (*Result, error) {
	if err := s.objs.App().RunBeforeLogin(ctx, s.loginRequest(ctx, p, user)); err != nil {
		return nil, err
	}
	if err := s.wantAdditional(user, c.names); err != nil {
		return nil, err
	}
	if pr == nil {
		var err error
		if pr, err = s.judgeLogin(ctx, p, user, c); err != nil {
			return nil, err
		}
	}
	user, err := s.storeProof(ctx, user, pr)
	if err != nil {
		return nil, err
	}
	shown, err := s.enterLinked(ctx, p, user, c)
	if err != nil {
		return nil, err
	}
	m, err := parse.DecodeMap(shown.AppendJSON(nil), parse.DefaultLimits)
	if err != nil {
		return nil, err
	}
	m.Set("authDataResponse", pr.reply)
	return &Result{Saved: &objects.Saved{Object: shown, Response: m}, LoggedIn: true}, nil
}

// enterLinked starts the session of a login by authData, but not for the
// master key, and returns the user as he sees himself.
func (s *Service) enterLinked(ctx context.Context, p *access.Principal, user *parse.Object, c *claims) (*parse.Object, error) {
	if p.InstallationID == cloudInstallation {
		as, err := s.asUser(ctx, p, user, "")
		if err != nil {
			return nil, err
		}
		return s.show(ctx, p, as)
	}
	in, err := s.enter(ctx, p, user, createdWith("login", strings.Join(c.names, ",")))
	if err != nil {
		return nil, err
	}
	return in.shown, s.confirm(ctx, user, in.token, "", c.names)
}

// locked reports whether the user's ACL locks him out: it has no entries.
func locked(user *parse.Object, p *access.Principal) bool {
	return user.ACL != nil && len(user.ACL.Entries()) == 0 && !p.Bypass()
}
