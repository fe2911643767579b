package auth

import (
	"cmp"
	"context"
	"errors"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/mail"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Fields of the verification of addresses, as in databases of Parse Server.
const (
	verifiedField    = "emailVerified"
	verifyTokenField = "_email_verify_token"
)

// Errors of links in mails.
var (
	// ErrLinkInvalid: the link was used, replaced or made up.
	ErrLinkInvalid = errors.New("the link is not valid")
	// ErrLinkExpired: the time of the link is over.
	ErrLinkExpired = errors.New("the link has expired")
)

func errUnverified() error {
	return parse.Errorf(parse.EmailNotFound, "User email is not verified.")
}

// newAddress returns the address that a write gives a user; "" if it gives
// none, or the one that he has.
func newAddress(w *objects.WriteState) string {
	email := w.Body.String("email")
	if w.Before != nil && w.Before.String("email") == email {
		return ""
	}
	return email
}

// verification makes a new address one that is to be verified: by a token that
// is sent once the user is stored. It may be called again in the same write.
func (r *userRule) verification(ctx context.Context, w *objects.WriteState) error {
	if v, _ := w.Body.Get("email"); w.Update && v == (parse.Delete{}) {
		w.Body.Set(verifyTokenField, parse.Delete{})
		w.Body.Set(verifyTokenField+expiresSuffix, parse.Delete{})
		return nil
	}
	v := &r.s.o.Verification
	if v.Emails == nil || newAddress(w) == "" || !w.Update && provided(w.Body) {
		return nil
	}
	if yes, _ := w.Body.Get(verifiedField); yes == true {
		// A hook, or the master key, vouches for the address.
		w.Body.Set(verifyTokenField, parse.Delete{})
		w.Body.Set(verifyTokenField+expiresSuffix, parse.Delete{})
		return nil
	}
	if w.Body.String(verifyTokenField) != "" {
		return nil
	}
	req, err := r.s.verificationOf(w)
	if err != nil {
		return err
	}
	if ok, err := v.Emails(ctx, req); err != nil || !ok {
		return err
	}
	w.Body.Set(verifiedField, false)
	w.Body.Set(verifyTokenField, parse.NewObjectID(tokenLength))
	var expires parse.Value = parse.Delete{}
	if v.TokenValidity > 0 {
		expires = parse.NewDate(r.s.o.Now().Add(v.TokenValidity))
	}
	if _, none := expires.(parse.Delete); !none || w.Update {
		w.Body.Set(verifyTokenField+expiresSuffix, expires)
	}
	return nil
}

// provided reports whether a new user comes from a provider that knows him.
func provided(body *parse.Map) bool {
	v, _ := body.Get("authData")
	m, _ := v.(*parse.Map)
	for name, data := range m.All() {
		if d, _ := data.(*parse.Map); name != anonymousProvider && d.String("id") != "" {
			return true
		}
	}
	return false
}

// verificationOf tells functions about a write.
func (s *Service) verificationOf(w *objects.WriteState) (*cloudcode.EmailVerificationRequest, error) {
	o := &parse.Object{ClassName: userClass, ID: w.ID}
	if w.Before != nil {
		o = w.Before.Clone()
	}
	if err := parse.ApplyOps(o, w.Body); err != nil {
		return nil, err
	}
	req := &cloudcode.EmailVerificationRequest{Caller: s.objs.Caller(w.Principal), Object: public(o)}
	if w.Before != nil {
		req.Original = public(w.Before)
	} else {
		req.CreatedWith = createdWith("signup", "password")
	}
	return req, nil
}

// announce sends the mail for the token that a write has stored.
func (r *userRule) announce(ctx context.Context, w *objects.WriteState, saved *objects.Saved) {
	if newAddress(w) != "" && w.Body.String(verifyTokenField) != "" {
		r.s.sendVerification(ctx, w.Principal, saved.Object)
	}
}

// sendVerification queues the mail with the token that a user has.
func (s *Service) sendVerification(ctx context.Context, p *access.Principal, user *parse.Object) {
	if s.o.Mail == nil {
		return
	}
	id, token := user.ID, user.String(verifyTokenField)
	if f := s.o.Verification.Send; f != nil {
		ok, err := f(ctx, &cloudcode.EmailVerificationRequest{Caller: s.objs.Caller(p), Object: public(user)})
		if err != nil {
			s.o.Log.ErrorContext(ctx, "sendUserEmailVerification failed, no mail is sent", "user", id, "error", err)
		}
		if err != nil || !ok {
			return
		}
	}
	s.o.Mail.Sender.Send("verification of user "+id, func(ctx context.Context) (*mail.Message, error) {
		user, err := s.userByID(ctx, id)
		if err != nil || user == nil || user.String(verifyTokenField) != token {
			return nil, err // gone, verified or sent anew meanwhile
		}
		return s.o.Mail.message(mail.Verification, user, "verify_email", token), nil
	})
}

// toVerify reports whether a user cannot log in before his address is verified.
func (s *Service) toVerify(ctx context.Context, p *access.Principal, user *parse.Object, with *parse.Map) (bool, error) {
	v := &s.o.Verification
	if yes, _ := user.Get(verifiedField); yes == true || v.Emails == nil || v.PreventLogin == nil {
		return false, nil
	}
	req := &cloudcode.EmailVerificationRequest{Caller: s.objs.Caller(p), Object: public(user), CreatedWith: with}
	for _, f := range [...]VerifyFunc{v.Emails, v.PreventLogin} {
		if ok, err := f(ctx, req); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// wantVerified refuses the login of a user whose address is not verified
// (reference 03 §11.2). Master and maintenance key may say not to look.
func (s *Service) wantVerified(ctx context.Context, p *access.Principal, user *parse.Object, params *parse.Map) error {
	if v, _ := params.Get("ignoreEmailVerification"); p.Bypass() && parse.Truthy(v) {
		return nil
	}
	ask, err := s.toVerify(ctx, p, user, createdWith("login", "password"))
	if err == nil && ask {
		err = errUnverified()
	}
	return err
}

// VerifyEmail takes the token of a verification mail: ErrLinkInvalid,
// ErrLinkExpired, what a hook says, or the address is verified.
func (s *Service) VerifyEmail(ctx context.Context, p *access.Principal, token string) error {
	v := &s.o.Verification
	if v.Emails == nil {
		return ErrLinkInvalid
	}
	user, err := s.userByToken(ctx, verifyTokenField, token)
	if err != nil {
		return err
	}
	if user == nil {
		return ErrLinkInvalid
	}
	if v.TokenValidity > 0 {
		if yes, _ := user.Get(verifiedField); yes == true {
			return ErrLinkInvalid
		}
		if s.valid(user, verifyTokenField) == "" {
			return ErrLinkExpired
		}
	}
	_, err = s.objs.Update(ctx, maintenance(p), &objects.Write{
		Class: userClass, ID: user.ID, If: query.Equal(verifyTokenField, token),
		Body: parse.NewMap(
			parse.MapField{Key: verifiedField, Value: true},
			parse.MapField{Key: verifyTokenField, Value: parse.Delete{}},
			parse.MapField{Key: verifyTokenField + expiresSuffix, Value: parse.Delete{}},
		),
	})
	if parse.CodeOf(err) == parse.ObjectNotFound {
		return ErrLinkInvalid // another request was faster
	}
	return err
}

// RequestVerification sends the verification mail to an address once more
// (reference 03 §11.3).
func (s *Service) RequestVerification(ctx context.Context, p *access.Principal, body *parse.Map) error {
	if err := s.wantMail(); err != nil {
		return err
	}
	v, _ := body.Get("email")
	if !parse.Truthy(v) {
		return parse.Errorf(parse.EmailMissing, "you must provide an email")
	}
	email, ok := v.(string)
	if !ok {
		return parse.Errorf(parse.InvalidEmailAddress, "you must provide a valid email string")
	}
	if err := s.mayMail(ctx, p, email); err != nil {
		return err
	}
	user, err := s.oneUser(ctx, s.spelled("email", email))
	if err != nil {
		return err
	}
	if user == nil {
		if s.o.Verification.TellUnknown {
			return parse.Errorf(parse.EmailNotFound, "No user found with email %s", email)
		}
		return nil
	}
	if yes, _ := user.Get(verifiedField); yes == true {
		if s.o.Verification.TellUnknown {
			return parse.Errorf(parse.OtherCause, "Email %s is already verified.", email)
		}
		return nil
	}
	s.resend(p, user)
	return nil
}

// ResendVerification sends the verification mail anew to the user with a
// token, which may be over, or with a username. ErrLinkInvalid: there is none,
// or he is verified, which is told only if Verification.TellUnknown is set.
func (s *Service) ResendVerification(ctx context.Context, p *access.Principal, token, username string) error {
	if s.o.Mail == nil {
		return ErrLinkInvalid
	}
	if err := s.mayMail(ctx, p, cmp.Or(token, username)); err != nil {
		return err
	}
	where := query.Equal(verifyTokenField, token)
	if token == "" {
		where = query.Equal("username", username)
	}
	user, err := s.oneUser(ctx, where)
	if err != nil {
		return err
	}
	verified := false
	if user != nil {
		v, _ := user.Get(verifiedField)
		verified = v == true
	}
	if user == nil || verified {
		if s.o.Verification.TellUnknown {
			return ErrLinkInvalid
		}
		return nil
	}
	s.resend(p, user)
	return nil
}

// resend queues a mail with a new token, or with the one that is still valid.
// The token is made in the background: how long the request takes tells nothing.
func (s *Service) resend(p *access.Principal, user *parse.Object) {
	v := &s.o.Verification
	if v.Emails == nil {
		return
	}
	caller := s.objs.Caller(p)
	s.o.Mail.Sender.Send("verification of user "+user.ID, func(ctx context.Context) (*mail.Message, error) {
		user, err := s.userByID(ctx, user.ID)
		if err != nil || user == nil {
			return nil, err
		}
		req := &cloudcode.EmailVerificationRequest{Caller: caller, Object: public(user), Original: public(user), Resend: true}
		for _, f := range [...]VerifyFunc{v.Emails, v.Send} {
			if f == nil {
				continue
			}
			if ok, err := f(ctx, req); err != nil || !ok {
				return nil, err
			}
		}
		token := ""
		if v.TokenReuse {
			token = s.valid(user, verifyTokenField)
		}
		if token == "" {
			open := &query.Compare{Path: verifiedField, Op: query.Ne, Value: true}
			var ok bool
			if token, ok, err = s.setToken(ctx, user, verifyTokenField, v.TokenValidity, open); err != nil || !ok {
				return nil, err
			}
		}
		return s.o.Mail.message(mail.Verification, user, "verify_email", token), nil
	})
}
