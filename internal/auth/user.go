package auth

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Texts of reference 03 §2.
const (
	textUsernameTaken = "Account already exists for this username."
	textEmailTaken    = "Account already exists for this email address."
)

// hashField is the internal field of the password hash.
const hashField = "_hashed_password"

// userRule makes _User what it is: hashed passwords, unique names, a private
// ACL, nobody but the user himself (and master) may change him.
type userRule struct {
	objects.NopRule
	s *Service
}

var _ objects.ClassRule = (*userRule)(nil)

// BeforeWrite checks and completes a write of a user.
func (r *userRule) BeforeWrite(ctx context.Context, w *objects.WriteState) error {
	p := w.Principal
	create := !w.Update
	if create && strings.HasPrefix(w.ID, "role:") {
		return parse.Denyf(parse.OperationForbidden, "Invalid object ID.")
	}
	if !create && !p.Bypass() && p.UserID != w.ID {
		if p.UserID == "" {
			return parse.Denyf(parse.SessionMissing, "Cannot modify user %s.", w.ID)
		}
		return parse.Denyf(parse.SessionMissing, "Insufficient auth.")
	}
	if w.Body.Has("emailVerified") && !p.Bypass() {
		return parse.Denyf(parse.OperationForbidden, "Clients aren't allowed to manually update email verification.")
	}
	// Never a field of a user; SDKs send it back when they save what they have read.
	w.Body.Delete("sessionToken")
	for key := range w.Body.All() {
		if strings.HasPrefix(key, "authData.") {
			return parse.Errorf(parse.InvalidKeyName, "Invalid field name for update: %s", key)
		}
	}
	if err := r.checkNames(ctx, w, create); err != nil {
		return err
	}
	if err := r.authData(w, create); err != nil {
		return err
	}
	if err := r.password(ctx, w); err != nil {
		return err
	}
	r.acl(w, create)
	return nil
}

// emailFormat is all the protocol asks of an address.
var emailFormat = regexp.MustCompile(`^.+@.+$`)

// checkNames validates username and email and refuses those that differ from
// another user's by case only. Exact duplicates are the database's to refuse.
func (r *userRule) checkNames(ctx context.Context, w *objects.WriteState, create bool) error {
	if v, ok := w.Body.Get("username"); ok {
		name, isString := v.(string)
		switch v.(type) {
		case nil, parse.Delete:
			return parse.Errorf(parse.UsernameMissing, "bad or missing username")
		}
		if isString && name == "" {
			return parse.Errorf(parse.UsernameMissing, "bad or missing username")
		}
		if isString {
			if err := r.free(ctx, w, "username", name, parse.Errorf(parse.UsernameTaken, textUsernameTaken)); err != nil {
				return err
			}
		}
	}
	v, ok := w.Body.Get("email")
	if !ok {
		return nil
	}
	email, isString := v.(string)
	switch {
	case isString && email == "" && create:
		w.Body.Delete("email")
		return nil
	case !isString:
		return nil // Delete and null clear it; other types fail the type check
	case !emailFormat.MatchString(email):
		return parse.Errorf(parse.InvalidEmailAddress, "Email address format is invalid.")
	}
	return r.free(ctx, w, "email", email, parse.Errorf(parse.EmailTaken, textEmailTaken))
}

// free looks for another user whose field differs by case only, unless the
// database forbids that by itself.
func (r *userRule) free(ctx context.Context, w *objects.WriteState, field, value string, taken error) error {
	if w.Before != nil && w.Before.String(field) == value {
		return nil
	}
	if r.s.o.FoldedNames {
		return nil
	}
	list, err := w.Store.Find(ctx, &storage.Find{
		Class: w.Class,
		Where: query.AllOf(
			&query.Regex{Path: query.Path(field), Pattern: "^" + regexp.QuoteMeta(value) + "$", Options: "i"},
			&query.Compare{Path: parse.KeyObjectID, Op: query.Ne, Value: w.ID}),
		Limit: 1,
		Keys:  []string{field},
	})
	if err != nil {
		return fmt.Errorf("look for %s: %w", field, err)
	}
	if len(list) > 0 {
		return taken
	}
	return nil
}

// authData lets users link and unlink the one provider of this version.
func (r *userRule) authData(w *objects.WriteState, create bool) error {
	v, ok := w.Body.Get("authData")
	if !ok {
		return nil
	}
	m, isMap := v.(*parse.Map)
	if !isMap {
		return errUnsupportedProvider()
	}
	kept := &parse.Map{}
	if !create && w.Before != nil {
		if old, ok := w.Before.Get("authData"); ok {
			if om, ok := old.(*parse.Map); ok {
				kept = om.Clone()
			}
		}
	}
	for provider, data := range m.All() {
		if data == nil {
			kept.Delete(provider)
			continue
		}
		if provider != anonymousProvider || !r.s.o.EnableAnonymous {
			return errUnsupportedProvider()
		}
		d, ok := data.(*parse.Map)
		if !ok || d.String("id") == "" {
			return parse.Errorf(parse.InvalidValue, "Invalid authData id for provider '%s'.", provider)
		}
		kept.Set(provider, d)
	}
	// A password makes an anonymous user a named one; the id, which alone
	// would still open the account, goes.
	if !create && w.Body.Has("password") {
		kept.Delete(anonymousProvider)
	}
	if kept.Len() == 0 {
		if create {
			w.Body.Delete("authData")
		} else {
			w.Body.Set("authData", parse.Delete{})
		}
		return nil
	}
	w.Body.Set("authData", kept)
	return nil
}

// password replaces a plain password by its hash.
func (r *userRule) password(ctx context.Context, w *objects.WriteState) error {
	v, ok := w.Body.Get("password")
	if !ok {
		return nil
	}
	w.Body.Delete("password")
	plain, isString := v.(string)
	if !isString || plain == "" {
		return parse.Errorf(parse.PasswordMissing, "password is required")
	}
	hash, err := r.s.hash.hash(ctx, plain)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	w.Body.Set(hashField, hash)
	return nil
}

// acl gives a user the right over himself (reference 03 §2, §4).
func (r *userRule) acl(w *objects.WriteState, create bool) {
	roles := len(w.Class.OwnerRoles)+len(w.Class.OwnerWriteRoles) > 0
	switch {
	case roles && !w.Principal.Bypass() && (create || w.SetACL), roles && create && !w.SetACL:
		// The class says who besides the user may see him; clients cannot choose.
		w.ACL, w.SetACL = parse.NewACL(parse.ACLEntry{Subject: w.ID, Read: true, Write: true}), true
		for _, r := range w.Class.OwnerRoles {
			w.ACL.Set(parse.RoleSubject(r), true, false)
		}
		for _, r := range w.Class.OwnerWriteRoles {
			w.ACL.Set(parse.RoleSubject(r), true, true)
		}
	case create && !w.SetACL:
		w.ACL, w.SetACL = parse.NewACL(), true
		if !r.s.o.EnforcePrivateUsers {
			w.ACL.Set(parse.Public, true, false)
		}
		w.ACL.Set(w.ID, true, true)
	case w.SetACL && (create || !w.Principal.Bypass()):
		if w.ACL = w.ACL.Clone(); w.ACL == nil {
			w.ACL = parse.NewACL()
		}
		w.ACL.Set(w.ID, true, true)
	}
}

// AfterWrite ends the sessions of a user whose password changed and, if he
// did it himself, starts a new one (reference 03 §4.1).
func (r *userRule) AfterWrite(ctx context.Context, w *objects.WriteState, saved *objects.Saved) error {
	if !w.Update || !w.Body.Has(hashField) {
		return nil
	}
	if r.s.o.RevokeSessionOnPasswordReset {
		if err := r.s.endSessions(ctx, r.s.objs.Store(), query.Equal("user", userPointer(w.ID))); err != nil {
			return err
		}
	}
	if w.Principal.Bypass() {
		return nil
	}
	token, err := r.s.startSession(ctx, w.ID, w.Principal.InstallationID, createdWith("login", "password"))
	if err != nil {
		return err
	}
	saved.Response.Set("sessionToken", token)
	return nil
}

// MapDuplicate tells which of the unique fields was taken.
func (*userRule) MapDuplicate(d *storage.DuplicateError) error {
	is := func(field string) bool {
		for _, f := range d.Fields {
			if f == field {
				return true
			}
		}
		return strings.Contains(d.Index, field)
	}
	switch {
	case is("username"):
		return parse.Errorf(parse.UsernameTaken, textUsernameTaken)
	case is("email"):
		return parse.Errorf(parse.EmailTaken, textEmailTaken)
	case strings.Contains(strings.ToLower(d.Index), "auth"):
		return parse.Errorf(parse.AccountAlreadyLinked, "this auth is already used")
	}
	return nil
}

// Present takes away what even a reader of the object may not see: authData
// belongs to the user and master alone (reference 03 §4).
func (*userRule) Present(p *access.Principal, o *parse.Object) *parse.Object {
	hide := !p.Bypass() && p.UserID != o.ID && o.Fields.Has("authData")
	if !hide && !o.Fields.Has("password") {
		return o
	}
	o = o.Clone()
	o.Fields.Delete("password")
	if hide {
		o.Fields.Delete("authData")
	}
	return o
}

// Constrain refuses nothing by itself; queries by authData are refused where
// the query is checked.
func (*userRule) Constrain(p *access.Principal, where query.Node) query.Node {
	if p.Bypass() {
		return where
	}
	// Login ids are credentials: a client that could ask for them could guess them.
	leaks := false
	query.Walk(where, func(n query.Node) bool {
		var path query.Path
		switch n := n.(type) {
		case *query.Compare:
			path = n.Path
		case *query.Member:
			path = n.Path
		case *query.Exists:
			path = n.Path
		case *query.Regex:
			path = n.Path
		}
		leaks = leaks || path.Root() == "authData"
		return true
	})
	if leaks {
		return query.Never{}
	}
	return where
}

// roleRule asks of a role what the protocol does (reference 03 §17).
type roleRule struct{ objects.NopRule }

var _ objects.ClassRule = (*roleRule)(nil)

// BeforeWrite requires a name and an ACL.
func (*roleRule) BeforeWrite(_ context.Context, w *objects.WriteState) error {
	name, hasName := w.Body.Get("name")
	missing := false
	switch v := name.(type) {
	case nil:
		missing = !w.Update || hasName
	case parse.Delete:
		missing = true
	case string:
		missing = v == ""
	}
	if missing {
		return parse.Errorf(parse.IncorrectType, "name is required.")
	}
	if !w.Update && !w.SetACL || w.SetACL && w.ACL == nil {
		return parse.Errorf(parse.IncorrectType, "ACL is required.")
	}
	return nil
}

// Authorize lets the permissions of the class decide.
func (*roleRule) Authorize(context.Context, *access.Principal, schema.Operation) error { return nil }
