package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func errInvalidLogin() error {
	return parse.Errorf(parse.ObjectNotFound, "Invalid username/password.")
}

// Login checks the credentials in params (username, email, password), starts a
// session and returns the user with the field sessionToken (reference 03 §3).
// Wrong credentials give 101, whatever was wrong with them.
func (s *Service) Login(ctx context.Context, p *access.Principal, params *parse.Map) (*parse.Object, error) {
	user, err := s.checkPassword(ctx, p, params)
	if err != nil {
		return nil, err
	}
	pr, err := s.secondFactor(ctx, p, user, params)
	if err != nil {
		return nil, err
	}
	if err := s.checkAge(ctx, user); err != nil {
		return nil, err
	}
	app := s.objs.App()
	r := s.loginRequest(ctx, p, user)
	if err := app.RunBeforeLogin(ctx, r); err != nil {
		return nil, err
	}
	if pr != nil {
		if user, err = s.storeProof(ctx, user, pr); err != nil {
			return nil, err
		}
	}
	in, err := s.enter(ctx, p, user, createdWith("login", "password"))
	if err != nil {
		return nil, err
	}
	if err := s.confirm(ctx, user, in.token, params.String("password"), nil); err != nil {
		return nil, err
	}
	if pr != nil {
		in.shown.Set("authDataResponse", pr.reply)
	}
	after := s.loginRequest(ctx, in.as, user)
	after.Context = r.Context
	after.User.Set("sessionToken", in.token)
	if err := app.RunAfterLogin(ctx, after); err != nil {
		return nil, err
	}
	return in.shown, nil
}

func (s *Service) loginRequest(ctx context.Context, p *access.Principal, user *parse.Object) *cloudcode.LoginRequest {
	return &cloudcode.LoginRequest{Request: s.objs.Request(ctx, p), User: public(user)}
}

// entered is a login: the user as he sees himself, his principal, his session.
type entered struct {
	shown *parse.Object
	as    *access.Principal
	token string
}

// enter starts a session. p is who asks for it.
func (s *Service) enter(ctx context.Context, p *access.Principal, user *parse.Object, with *parse.Map) (*entered, error) {
	token, err := s.startSession(ctx, user.ID, p.InstallationID, with)
	if err != nil {
		return nil, err
	}
	as, err := s.asUser(ctx, p, user, token)
	if err != nil {
		return nil, err
	}
	shown, err := s.show(ctx, p, as)
	if err != nil {
		return nil, err
	}
	shown.Set("sessionToken", token)
	return &entered{shown: shown, as: as, token: token}, nil
}

// confirm ends a session again if the credentials that it was started with
// were changed meanwhile. Whoever changes them ends the sessions afterwards,
// so one of the two always sees the other. providers are those that opened the account.
func (s *Service) confirm(ctx context.Context, user *parse.Object, token, password string, providers []string) error {
	now, err := s.userByID(ctx, user.ID)
	if err != nil {
		return err
	}
	same := now != nil && now.String(hashField) == user.String(hashField)
	if now != nil && !same && password != "" {
		// Another login may have renewed the hash of the same password.
		if same, err = s.hash.verify(ctx, password, now.String(hashField)); err != nil {
			same = false
		}
	}
	if same &&
		!slices.ContainsFunc(providers, func(name string) bool { return !sameID(name, user, now) }) {
		return nil
	}
	if err := s.revoke(ctx, query.Equal("sessionToken", token)); err != nil {
		return err
	}
	return errInvalidLogin()
}

// show reads a user as he sees himself or, if p has a master key, as that
// does. If he may not see himself, what remains is his id.
func (s *Service) show(ctx context.Context, p, as *access.Principal) (*parse.Object, error) {
	reader := p
	if !p.Bypass() {
		reader = as
	}
	shown, err := s.objs.Get(ctx, reader, userClass, as.UserID, nil)
	var pe *parse.Error
	switch {
	case err == nil:
		return shown.Clone(), nil
	case errors.As(err, &pe) && pe.Code != parse.InternalServerError && !p.Bypass():
		return &parse.Object{ClassName: userClass, ID: as.UserID}, nil
	}
	return nil, err
}

// compare compares the password of a try.
func (s *Service) compare(ctx context.Context, g *guess, plain, hash string) (bool, error) {
	switch {
	case g == nil:
		return s.hash.verify(ctx, plain, hash)
	case g.suspect:
		return s.hash.verifySuspect(ctx, g.from, plain, hash)
	}
	return s.hash.verifyFrom(ctx, g.from, plain, hash)
}

// checkPassword finds the user that params name and verifies his password.
func (s *Service) checkPassword(ctx context.Context, p *access.Principal, params *parse.Map) (*parse.Object, error) {
	username, _ := params.Get("username")
	email, _ := params.Get("email")
	password, _ := params.Get("password")
	if !parse.Truthy(username) && !parse.Truthy(email) {
		return nil, parse.Errorf(parse.UsernameMissing, "username/email is required.")
	}
	if !parse.Truthy(password) {
		return nil, parse.Errorf(parse.PasswordMissing, "password is required.")
	}
	name, nameOK := username.(string)
	mail, mailOK := email.(string)
	plain, plainOK := password.(string)
	if !plainOK || !nameOK && parse.Truthy(username) || !mailOK && parse.Truthy(email) {
		return nil, errInvalidLogin()
	}
	g, err := s.guess(ctx, p, name, mail)
	if err != nil {
		return nil, err
	}
	user, err := s.findLogin(ctx, name, mail)
	if err != nil {
		return nil, err
	}
	if err := s.admit(user); err != nil {
		return nil, err
	}
	hash := ""
	if user != nil {
		hash = user.String(hashField)
	}
	ok, err := s.compare(ctx, g, plain, hash)
	if err != nil {
		return nil, err
	}
	err = s.attempted(ctx, user, ok)
	if !ok {
		return nil, cmp.Or(g.failed(ctx), err, errInvalidLogin())
	}
	if err = cmp.Or(err, g.succeeded(ctx)); err != nil {
		return nil, err
	}
	if locked(user, p) {
		return nil, errInvalidLogin()
	}
	if err := s.wantVerified(ctx, p, user, params); err != nil {
		return nil, err
	}
	return s.renewHash(ctx, user, plain), nil
}

// findLogin finds a user by name, by address, or by a name that may be either
// (then the one whose username it is comes first). nil if there is none.
func (s *Service) findLogin(ctx context.Context, name, mail string) (*parse.Object, error) {
	var where query.Node
	switch {
	case name != "" && mail != "":
		where = query.AllOf(s.spelled("username", name), s.spelled("email", mail))
	case mail != "":
		where = s.spelled("email", mail)
	default:
		where = &query.Or{Nodes: []query.Node{s.spelled("username", name), s.spelled("email", name)}}
	}
	// Names are unique without regard to case: one user has the name, another the address.
	list, err := s.objs.Store().Find(ctx, &storage.Find{Class: s.class(userClass), Where: where, Limit: 2})
	if err != nil {
		return nil, fmt.Errorf("look for a user: %w", err)
	}
	for _, u := range list {
		if has := u.String("username"); name != "" && (has == name || has == s.fold("username", name)) {
			return u, nil
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list[0], nil
}

// VerifyPassword checks credentials like Login but starts no session
// (reference 03 §3.3).
func (s *Service) VerifyPassword(ctx context.Context, p *access.Principal, params *parse.Map) (*parse.Object, error) {
	user, err := s.checkPassword(ctx, p, params)
	if err != nil {
		return nil, err
	}
	as, err := s.asUser(ctx, p, user, "")
	if err != nil {
		return nil, err
	}
	return s.show(ctx, p, as)
}

// LoginAs starts a session for a user on behalf of the master key
// (reference 03 §3.1).
func (s *Service) LoginAs(ctx context.Context, p *access.Principal, params *parse.Map) (*parse.Object, error) {
	switch p.Kind {
	case access.Master:
	case access.ReadOnlyMaster:
		return nil, parse.Denyf(parse.OperationForbidden, "read-only masterKey isn't allowed to login as another user.")
	case access.Client, access.Maintenance:
		return nil, parse.Denyf(parse.OperationForbidden, "master key is required")
	}
	id := params.String("userId")
	if id == "" {
		return nil, parse.Errorf(parse.InvalidValue, "userId must not be empty, null, or undefined")
	}
	user, err := s.userByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if user == nil {
		return nil, parse.Errorf(parse.ObjectNotFound, "user not found")
	}
	in, err := s.enter(ctx, p, user, createdWith("login", "masterkey"))
	if err != nil {
		return nil, err
	}
	return in.shown, nil
}

// Me returns the caller as he sees himself, with his token (reference 03
// §3.4). Without a query or a hook on reading users it is answered from the
// session cache, which every committed write keeps true.
func (s *Service) Me(ctx context.Context, p *access.Principal, q *query.Query, m storage.Meter) (*parse.Object, error) {
	if p.SessionToken == "" {
		return nil, parse.Denyf(parse.InvalidSessionToken, "Invalid session token")
	}
	app := s.objs.App()
	var shown *parse.Object
	if q == nil && p.User != nil && !app.HasBeforeFind(userClass) && !app.HasAfterFind(userClass) {
		class := s.class(userClass)
		plan, err := s.objs.Gate().Authorize(p, class, schema.Get)
		if err != nil {
			return nil, err
		}
		if !plan.CanRead(p.User) {
			return nil, parse.Denyf(parse.InvalidSessionToken, "Invalid session token")
		}
		shown = s.rule.Present(p, plan.Strip(p.User)).Clone()
		for name, f := range class.Fields {
			if f.Type == schema.Relation && !plan.Hides(shown, name) {
				shown.Set(name, parse.Relation{ClassName: f.TargetClass})
			}
		}
	} else {
		o, err := s.objs.GetWithin(ctx, p, userClass, p.UserID, q, m)
		if parse.CodeOf(err) == parse.ObjectNotFound {
			return nil, parse.Denyf(parse.InvalidSessionToken, "Invalid session token")
		}
		if err != nil {
			return nil, err
		}
		shown = o.Clone()
	}
	shown.Set("sessionToken", p.SessionToken)
	return shown, nil
}
