package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// anonymousProvider is the authData provider of users without credentials.
const anonymousProvider = "anonymous"

// cloudInstallation is the installation id of a request with the master key in
// a header; such a sign-up starts no session (reference 01 §2.3).
const cloudInstallation = "cloud"

func errUnsupportedProvider() error {
	return parse.Errorf(parse.UnsupportedService, "This authentication method is unsupported.")
}

func errInvalidLogin() error {
	return parse.Errorf(parse.ObjectNotFound, "Invalid username/password.")
}

// Result is the outcome of a sign-up.
type Result struct {
	// Saved is the new user; its Response has the sessionToken.
	Saved *objects.Saved
	// LoggedIn: authData named a user who already exists, who is now logged in.
	LoggedIn bool
}

// SignUp makes a user and a session for him (reference 03 §2, §7). Errors:
// 200, 201, 202, 203, 125, 208, 252 and what an object create gives.
func (s *Service) SignUp(ctx context.Context, p *access.Principal, body, cctx *parse.Map) (*Result, error) {
	body = body.Clone()
	data, given := body.Get("authData")
	id, usable, err := s.anonymousID(data, given)
	if err != nil {
		return nil, err
	}
	provider := "password"
	generated := ""
	if usable {
		provider = anonymousProvider
		res, err := s.loginAnonymous(ctx, p, id)
		if err != nil || res != nil {
			return res, err
		}
		if v, ok := body.Get("username"); !ok || v == nil {
			generated = randomName()
			body.Set("username", generated)
		}
	} else {
		if body.String("username") == "" {
			return nil, parse.Errorf(parse.UsernameMissing, "bad or missing username")
		}
		if body.String("password") == "" {
			return nil, parse.Errorf(parse.PasswordMissing, "password is required")
		}
	}
	saved, err := s.objs.Create(ctx, p, &objects.Write{Class: userClass, Body: body, Context: cctx})
	if err != nil {
		return nil, err
	}
	if generated != "" {
		saved.Response.Set("username", generated)
	}
	if p.InstallationID != cloudInstallation {
		token, err := s.startSession(ctx, saved.Object.ID, p.InstallationID, createdWith("signup", provider))
		if err != nil {
			return nil, err
		}
		saved.Response.Set("sessionToken", token)
	}
	return &Result{Saved: saved}, nil
}

// anonymousID reads authData of a sign-up. usable is false if it names no provider.
func (s *Service) anonymousID(data parse.Value, given bool) (id string, usable bool, err error) {
	if !given {
		return "", false, nil
	}
	m, ok := data.(*parse.Map)
	if !ok {
		return "", false, errUnsupportedProvider()
	}
	for name, v := range m.All() {
		d, isMap := v.(*parse.Map)
		if v == nil || isMap && d.Len() == 0 {
			continue
		}
		if name != anonymousProvider || !s.o.EnableAnonymous || !isMap {
			return "", false, errUnsupportedProvider()
		}
		if id = d.String("id"); id == "" {
			return "", false, parse.Errorf(parse.InvalidValue, "Invalid authData id for provider '%s'.", name)
		}
		usable = true
	}
	return id, usable, nil
}

// loginAnonymous logs in the user with that anonymous id; nil if there is none.
func (s *Service) loginAnonymous(ctx context.Context, p *access.Principal, id string) (*Result, error) {
	list, err := s.objs.Store().Find(ctx, &storage.Find{
		Class: s.class(userClass), Where: query.Equal("authData.anonymous.id", id), Limit: 2,
	})
	if err != nil {
		return nil, fmt.Errorf("look for an anonymous user: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	user := list[0]
	if len(list) > 1 || p.UserID != "" && p.UserID != user.ID {
		return nil, parse.Errorf(parse.AccountAlreadyLinked, "this auth is already used")
	}
	shown, err := s.enter(ctx, p, user, createdWith("login", anonymousProvider))
	if err != nil {
		return nil, err
	}
	m, err := parse.DecodeMap(shown.AppendJSON(nil), parse.DefaultLimits)
	if err != nil {
		return nil, err
	}
	return &Result{Saved: &objects.Saved{Object: shown, Response: m}, LoggedIn: true}, nil
}

// randomName is the username of a user who gave none.
func randomName() string { return parse.NewObjectID(25) }

// Login checks the credentials in params (username, email, password), starts a
// session and returns the user with the field sessionToken (reference 03 §3).
// Wrong credentials give 101, whatever was wrong with them.
func (s *Service) Login(ctx context.Context, p *access.Principal, params *parse.Map) (*parse.Object, error) {
	user, err := s.checkPassword(ctx, p, params)
	if err != nil {
		return nil, err
	}
	app := s.objs.App()
	if err := app.RunBeforeLogin(ctx, s.loginRequest(p, user)); err != nil {
		return nil, err
	}
	shown, err := s.enter(ctx, p, user, createdWith("login", "password"))
	if err != nil {
		return nil, err
	}
	as, err := s.asUser(ctx, p, user, shown.String("sessionToken"))
	if err != nil {
		return nil, err
	}
	if err := app.RunAfterLogin(ctx, s.loginRequest(as, user)); err != nil {
		return nil, err
	}
	return shown, nil
}

func (s *Service) loginRequest(p *access.Principal, user *parse.Object) *cloudcode.LoginRequest {
	return &cloudcode.LoginRequest{Caller: s.objs.Caller(p), User: user, Client: s.objs.Client(p)}
}

// enter starts a session and returns the user as he sees himself.
func (s *Service) enter(ctx context.Context, p *access.Principal, user *parse.Object, with *parse.Map) (*parse.Object, error) {
	token, err := s.startSession(ctx, user.ID, p.InstallationID, with)
	if err != nil {
		return nil, err
	}
	return s.show(ctx, p, user, token)
}

// show reads a user as he (or the master key) sees him. If he may not see
// himself, what remains is his id and his token.
func (s *Service) show(ctx context.Context, p *access.Principal, user *parse.Object, token string) (*parse.Object, error) {
	as := p
	if !p.Bypass() {
		var err error
		if as, err = s.asUser(ctx, p, user, token); err != nil {
			return nil, err
		}
	}
	shown, err := s.objs.Get(ctx, as, userClass, user.ID, nil)
	var pe *parse.Error
	switch {
	case errors.As(err, &pe) && pe.Code != parse.InternalServerError:
		shown = &parse.Object{ClassName: userClass, ID: user.ID}
	case err != nil:
		return nil, err
	default:
		shown = shown.Clone()
	}
	if token != "" {
		shown.Set("sessionToken", token)
	}
	return shown, nil
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
	if !plainOK || !nameOK && username != nil || !mailOK && email != nil {
		return nil, errInvalidLogin()
	}
	user, err := s.findLogin(ctx, name, mail)
	if err != nil {
		return nil, err
	}
	hash := ""
	if user != nil {
		hash = user.String(hashField)
	}
	ok, err := s.hash.verify(ctx, plain, hash)
	if err != nil {
		return nil, err
	}
	if !ok || user.ACL != nil && len(user.ACL.Entries()) == 0 && !p.Bypass() {
		return nil, errInvalidLogin()
	}
	return user, nil
}

// findLogin finds a user by name, by address, or by a name that may be either
// (then the one whose username it is comes first). nil if there is none.
func (s *Service) findLogin(ctx context.Context, name, mail string) (*parse.Object, error) {
	var where query.Node
	switch {
	case name != "" && mail != "":
		where = query.AllOf(query.Equal("username", name), query.Equal("email", mail))
	case mail != "":
		where = query.Equal("email", mail)
	default:
		where = &query.Or{Nodes: []query.Node{query.Equal("username", name), query.Equal("email", name)}}
	}
	list, err := s.objs.Store().Find(ctx, &storage.Find{Class: s.class(userClass), Where: where, Limit: 2})
	if err != nil {
		return nil, fmt.Errorf("look for a user: %w", err)
	}
	for _, u := range list {
		if name != "" && u.String("username") == name {
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
	return s.show(ctx, p, user, "")
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
	return s.enter(ctx, p, user, createdWith("login", "masterkey"))
}

// Me returns the caller as he sees himself, with his token (reference 03
// §3.4). Without a query or a hook on reading users it is answered from the
// session cache, which every committed write keeps true.
func (s *Service) Me(ctx context.Context, p *access.Principal, q *query.Query) (*parse.Object, error) {
	if p.SessionToken == "" {
		return nil, parse.Denyf(parse.InvalidSessionToken, "Invalid session token")
	}
	app := s.objs.App()
	var shown *parse.Object
	if q == nil && p.User != nil && !app.HasBeforeFind(userClass) && !app.HasAfterFind(userClass) {
		plan, err := s.objs.Gate().Authorize(p, s.class(userClass), schema.Get)
		if err != nil {
			return nil, err
		}
		if !plan.CanRead(p.User) {
			return nil, parse.Denyf(parse.InvalidSessionToken, "Invalid session token")
		}
		shown = plan.Strip(p.User)
	} else {
		o, err := s.objs.Get(ctx, p, userClass, p.UserID, q)
		if parse.CodeOf(err) == parse.ObjectNotFound {
			return nil, parse.Denyf(parse.InvalidSessionToken, "Invalid session token")
		}
		if err != nil {
			return nil, err
		}
		shown = o
	}
	shown = shown.Clone()
	shown.Set("sessionToken", p.SessionToken)
	return shown, nil
}
