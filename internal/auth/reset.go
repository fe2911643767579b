package auth

import (
	"context"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/mail"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// resetTokenField has the token of a reset mail, as in databases of Parse Server.
const resetTokenField = "_perishable_token"

// RequestPasswordReset sends a mail by which a password can be reset
// (reference 03 §14). Who has an account is not told, unless Reset.TellUnknown is set.
func (s *Service) RequestPasswordReset(ctx context.Context, p *access.Principal, body *parse.Map) error {
	if err := s.wantMail(); err != nil {
		return err
	}
	email, _ := body.Get("email")
	token, _ := body.Get("token")
	if !parse.Truthy(email) && !parse.Truthy(token) {
		return parse.Errorf(parse.EmailMissing, "you must provide an email")
	}
	asked := token
	if !parse.Truthy(token) {
		asked = email
	}
	if name, ok := asked.(string); ok {
		if err := s.mayMail(ctx, p, name); err != nil {
			return err
		}
	}
	user, err := s.whoForgot(ctx, email, token)
	if err != nil {
		return err
	}
	if user == nil {
		if s.o.Reset.TellUnknown {
			return parse.Errorf(parse.ObjectNotFound, "A user with that email does not exist.")
		}
		return nil
	}
	req := &cloudcode.PasswordResetRequest{Request: s.objs.Request(ctx, p), User: public(user)}
	if err := s.objs.App().RunBeforePasswordReset(ctx, req); err != nil {
		return err
	}
	id := user.ID
	// The token is made in the background, so that how long a request takes
	// does not tell who has an account.
	s.o.Mail.Sender.Send("password reset of user "+id, func(ctx context.Context) (*mail.Message, error) {
		return s.resetMail(ctx, id)
	})
	return nil
}

// whoForgot finds the user by the token of a mail whose time is over, or by
// his address, or by a name that is one; nil if there is none.
func (s *Service) whoForgot(ctx context.Context, email, token parse.Value) (*parse.Object, error) {
	if parse.Truthy(token) {
		t, ok := token.(string)
		if !ok {
			return nil, parse.Errorf(parse.InvalidValue, "token must be a string")
		}
		user, err := s.oneUser(ctx, query.AllOf(query.Equal(resetTokenField, t),
			&query.Compare{Path: resetTokenField + expiresSuffix, Op: query.Lt, Value: s.now()}))
		if err != nil || user != nil {
			return user, err
		}
		return nil, parse.Errorf(parse.InvalidEmailAddress, "you must provide a valid email string")
	}
	address, ok := email.(string)
	if !ok {
		return nil, parse.Errorf(parse.InvalidEmailAddress, "you must provide a valid email string")
	}
	return s.oneUser(ctx, &query.Or{Nodes: []query.Node{
		s.spelled("email", address),
		query.AllOf(s.spelled("username", address), &query.Exists{Path: "email"}),
	}})
}

// resetMail makes the mail, with a token that is still valid if it may.
func (s *Service) resetMail(ctx context.Context, id string) (*mail.Message, error) {
	user, err := s.userByID(ctx, id)
	if err != nil || user == nil {
		return nil, err
	}
	token := ""
	if s.o.Reset.TokenReuse {
		token = s.valid(user, resetTokenField)
	}
	if token == "" {
		var ok bool
		if token, ok, err = s.setToken(ctx, user, resetTokenField, s.o.Reset.TokenValidity, nil); err != nil || !ok {
			return nil, err
		}
	}
	return s.o.Mail.message(mail.PasswordReset, user, "request_password_reset", token), nil
}

// CheckResetToken finds the user whose password a token can reset:
// ErrLinkInvalid or ErrLinkExpired if it cannot.
func (s *Service) CheckResetToken(ctx context.Context, token string) (*parse.Object, error) {
	user, err := s.userByToken(ctx, resetTokenField, token)
	if err != nil {
		return nil, err
	}
	if user == nil {
		return nil, ErrLinkInvalid
	}
	if s.o.Reset.TokenValidity > 0 {
		// A token without an end was made when tokens had none.
		if v, ok := user.Get(resetTokenField + expiresSuffix); ok && v != nil && s.valid(user, resetTokenField) == "" {
			return nil, ErrLinkExpired
		}
	}
	return public(user), nil
}

// ResetPassword sets a new password by a token, once: of requests at a time
// one wins, and the others get ErrLinkInvalid. Sessions end, as with every new
// password. Errors are those of CheckResetToken and of the password policy.
func (s *Service) ResetPassword(ctx context.Context, token, password string) error {
	user, err := s.CheckResetToken(ctx, token)
	if err != nil {
		return err
	}
	_, err = s.objs.Update(ctx, access.MasterKey(), &objects.Write{
		Class: userClass, ID: user.ID, If: query.Equal(resetTokenField, token),
		Body: parse.NewMap(parse.MapField{Key: "password", Value: password}),
	})
	if parse.CodeOf(err) == parse.ObjectNotFound {
		return ErrLinkInvalid
	}
	if err != nil {
		return err
	}
	if s.o.Lockout.on() && s.o.Lockout.UnlockOnReset {
		return s.unlock(ctx, user.ID)
	}
	return nil
}
