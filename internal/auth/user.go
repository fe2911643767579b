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
	if !w.Update && parse.IsRoleSubject(w.ID) {
		return errRoleID()
	}
	if w.Update && !p.Bypass() && p.UserID != w.ID {
		if p.UserID == "" {
			return parse.Denyf(parse.SessionMissing, "Cannot modify user %s.", w.ID)
		}
		return parse.Denyf(parse.SessionMissing, "Insufficient auth.")
	}
	if w.Body.Has("emailVerified") && !p.Bypass() {
		return errVerified()
	}
	// Never a field of a user; SDKs send it back when they save what they have read.
	w.Body.Delete("sessionToken")
	for key := range w.Body.All() {
		if strings.HasPrefix(key, "authData.") {
			return parse.Errorf(parse.InvalidKeyName, "Invalid field name for update: %s", key)
		}
	}
	r.endResets(w)
	if err := r.authData(ctx, w); err != nil {
		return err
	}
	if err := r.credentials(w); err != nil {
		return err
	}
	if err := r.checkNames(ctx, w); err != nil {
		return err
	}
	if err := r.password(ctx, w); err != nil {
		return err
	}
	if err := r.verification(ctx, w); err != nil {
		return err
	}
	r.acl(w, !w.Update)
	return nil
}

// AfterHooks asks of what a hook has set what it asks of clients: names and
// addresses of the right form (that they are free is the database's to say), a
// password that is hashed. It regards what a hook says of the address.
func (r *userRule) AfterHooks(ctx context.Context, w *objects.WriteState) error {
	if _, err := r.username(w); err != nil {
		return err
	}
	if _, err := r.email(w); err != nil {
		return err
	}
	if err := r.password(ctx, w); err != nil {
		return err
	}
	return r.verification(ctx, w)
}

func errRoleID() error { return parse.Denyf(parse.OperationForbidden, "Invalid object ID.") }

func errVerified() error {
	return parse.Denyf(parse.OperationForbidden, "Clients aren't allowed to manually update email verification.")
}

// endResets voids a pending password reset, which the old address or password asked for.
func (r *userRule) endResets(w *objects.WriteState) {
	if !w.Update || !w.Body.Has("password") && !w.Body.Has("email") {
		return
	}
	// Whether or not there is one: it may be asked for at this moment.
	w.Body.Set(resetTokenField, parse.Delete{})
	w.Body.Set(resetTokenField+expiresSuffix, parse.Delete{})
}

// credentials asks of a new user a name and a password, or a login at a
// provider; who has that gets a name.
func (r *userRule) credentials(w *objects.WriteState) error {
	if w.Update {
		return nil
	}
	if !w.Body.Has("authData") {
		return wantCredentials(w.Body)
	}
	if v, _ := w.Body.Get("username"); v == nil || v == "" {
		w.Body.Set("username", parse.NewObjectID(25))
	}
	return nil
}

// wantCredentials gives 200 or 201 for a sign-up without username or password.
func wantCredentials(body *parse.Map) error {
	if body.String("username") == "" {
		return parse.Errorf(parse.UsernameMissing, "bad or missing username")
	}
	if body.String("password") == "" {
		return parse.Errorf(parse.PasswordMissing, "password is required")
	}
	return nil
}

// emailFormat is all the protocol asks of an address.
var emailFormat = regexp.MustCompile(`^.+@.+$`)

// username validates the name that a write sets, gives it the case in which it is
// stored and returns it; "" if it sets none. Other types than text fail the type check.
func (r *userRule) username(w *objects.WriteState) (string, error) {
	v, ok := w.Body.Get("username")
	if !ok {
		return "", nil
	}
	name, isString := v.(string)
	if v == nil || v == (parse.Delete{}) || isString && name == "" {
		return "", parse.Errorf(parse.UsernameMissing, "bad or missing username")
	}
	if folded := r.s.fold("username", name); folded != name {
		name = folded
		w.Body.Set("username", name)
	}
	return name, nil
}

// email is username for the address.
func (r *userRule) email(w *objects.WriteState) (string, error) {
	v, ok := w.Body.Get("email")
	if !ok {
		return "", nil
	}
	email, isString := v.(string)
	switch {
	case v == nil || isString && email == "":
		// No address, which is not one that only one user may have.
		if w.Update {
			w.Body.Set("email", parse.Delete{})
		} else {
			w.Body.Delete("email")
		}
	case isString && !emailFormat.MatchString(email):
		return "", parse.Errorf(parse.InvalidEmailAddress, "Email address format is invalid.")
	}
	if folded := r.s.fold("email", email); folded != email {
		email = folded
		w.Body.Set("email", email)
	}
	return email, nil
}

// fold is a name or an address as it is stored.
func (s *Service) fold(field, value string) string {
	if field == "username" && s.o.LowercaseUsername || field == "email" && s.o.LowercaseEmail {
		return strings.ToLower(value)
	}
	return value
}

// spelled matches users with a name or an address: as it stands, which is how
// users have it from before names were stored in lower case, or as it is stored now.
func (s *Service) spelled(field, value string) query.Node {
	folded := s.fold(field, value)
	if folded == value {
		return query.Equal(field, value)
	}
	return &query.Or{Nodes: []query.Node{query.Equal(field, value), query.Equal(field, folded)}}
}

// checkNames validates username and email and refuses those that another user
// has. What is stored meanwhile is the database's to refuse.
func (r *userRule) checkNames(ctx context.Context, w *objects.WriteState) error {
	name, err := r.username(w)
	if err != nil {
		return err
	}
	if name != "" {
		if err := r.free(ctx, w, "username", name, parse.Errorf(parse.UsernameTaken, textUsernameTaken)); err != nil {
			return err
		}
	}
	email, err := r.email(w)
	if err != nil || email == "" {
		return err
	}
	return r.free(ctx, w, "email", email, parse.Errorf(parse.EmailTaken, textEmailTaken))
}

// free looks for another user with that name or address. Where the database
// itself tells names apart without regard to case, an exact one is looked for,
// which an index finds: it is refused before anything else is done, and those
// that differ by case when the user is stored.
func (r *userRule) free(ctx context.Context, w *objects.WriteState, field, value string, taken error) error {
	if w.Before != nil && w.Before.String(field) == value {
		return nil
	}
	same := query.Equal(field, value)
	var folded *query.Compare
	if !r.s.o.FoldedNames {
		folded = &query.Compare{Path: query.Path(field), Op: query.Eq, Value: value}
		same = &query.Regex{Path: query.Path(field), Pattern: "^" + regexp.QuoteMeta(value) + "$", Options: "i"}
	}
	list, err := w.Store.Find(ctx, &storage.Find{
		Class:  w.Class,
		Where:  query.AllOf(same, &query.Compare{Path: parse.KeyObjectID, Op: query.Ne, Value: w.ID}),
		Limit:  1,
		Keys:   []string{field},
		Folded: folded,
	})
	if err != nil {
		return fmt.Errorf("look for %s: %w", field, err)
	}
	if len(list) > 0 {
		return taken
	}
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
	if err := r.policy(ctx, w, plain); err != nil {
		return err
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
	r.announce(ctx, w, saved)
	if !w.Update && w.Store != r.s.objs.Store() {
		return r.s.enterCommitted(ctx, w.Principal, saved)
	}
	if !w.Update || !w.Body.Has(hashField) {
		return nil
	}
	if r.s.o.RevokeSessionOnPasswordReset {
		if err := r.s.revoke(ctx, query.Equal("user", userPointer(w.ID))); err != nil {
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
	field := d.Index
	if len(d.Fields) == 1 {
		field = d.Fields[0]
	}
	switch {
	case field == "username" || field == "username_1" || strings.HasSuffix(field, "_username"):
		return parse.Errorf(parse.UsernameTaken, textUsernameTaken)
	case field == "email" || field == "email_1" || strings.HasSuffix(field, "_email"):
		return parse.Errorf(parse.EmailTaken, textEmailTaken)
	case strings.HasPrefix(field, "authData.") || strings.HasPrefix(field, "_auth_data_"):
		return errLinked()
	}
	return nil
}

// Present takes away what even a reader of the object may not see: authData
// belongs to the user and master alone, as far as the providers show it;
// password and sessionToken are no fields, although old databases may have
// them (reference 03 §3, §4).
func (r *userRule) Present(p *access.Principal, o *parse.Object) *parse.Object {
	v, has := o.Fields.Get("authData")
	var shown *parse.Map
	if has && (p.Bypass() || p.UserID == o.ID) {
		shown = r.s.shownAuthData(p, linked(v))
	}
	same := !has
	if m, ok := v.(*parse.Map); ok && has {
		same = m == shown
	}
	if same && !o.Fields.Has("password") && !o.Fields.Has("sessionToken") {
		return o
	}
	o = o.Clone()
	o.Fields.Delete("password")
	o.Fields.Delete("sessionToken")
	if shown == nil {
		o.Fields.Delete("authData")
	} else {
		o.Fields.Set("authData", shown)
	}
	return o
}

// Constrain lets clients write no user but themselves, whatever the ACL says.
func (*userRule) Constrain(p *access.Principal, where query.Node) query.Node {
	if p.Bypass() {
		return where
	}
	write := false
	query.Walk(where, func(n query.Node) bool {
		perm, ok := n.(*query.Permission)
		write = write || ok && perm.Write
		return !write
	})
	switch {
	case !write:
		return where
	case p.UserID == "":
		return query.Never{}
	}
	return query.AllOf(where, query.ByID(p.UserID))
}
