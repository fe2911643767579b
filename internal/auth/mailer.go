package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/mail"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// tokenLength is the length of the tokens in mails, in characters of A-Z a-z 0-9.
const tokenLength = 25

// Mail is how users get mails.
type Mail struct {
	Sender    *mail.Sender
	Templates *mail.Templates
	AppName   string
	// AppURL is the public URL of the pages of the app, https://…/apps/APPID.
	AppURL string
	// Frame, if not "", is the page that shows the pages in a frame: links lead
	// to it, with the path of the page below PublicURL in the parameter link.
	Frame, PublicURL string
	// LocaleField is the field of a user with his locale; "": none.
	LocaleField string
	// LocalizedPages: links tell the pages the locale of the mail.
	LocalizedPages bool
}

// VerifyFunc decides about the verification of one user's address.
type VerifyFunc func(ctx context.Context, r *cloudcode.EmailVerificationRequest) (bool, error)

// Verification is how addresses are verified (reference 03 §11).
type Verification struct {
	// Emails says whose addresses are to be verified; nil: nobody's.
	Emails VerifyFunc
	// PreventLogin says who cannot log in before; nil: nobody.
	PreventLogin VerifyFunc
	// PreventSignup makes a sign-up that cannot log in yet an error.
	PreventSignup bool
	// Send says who gets a mail; nil: everybody.
	Send VerifyFunc
	// TokenValidity is how long a link can be used; 0: for ever.
	TokenValidity time.Duration
	// TokenReuse sends a link that is still valid again instead of a new one.
	TokenReuse bool
	// TellUnknown lets a request for a mail fail for addresses that nobody has
	// or that are verified, which tells strangers who has an account.
	TellUnknown bool
}

// Reset is how passwords are reset (reference 03 §14).
type Reset struct {
	// TokenValidity, TokenReuse and TellUnknown are as in Verification.
	TokenValidity           time.Duration
	TokenReuse, TellUnknown bool
}

// wantMail fails where mails cannot be sent. The code is that of the protocol,
// but the server works as it should.
func (s *Service) wantMail() error {
	if s.o.Mail != nil {
		return nil
	}
	return &parse.Error{
		Code: parse.InternalServerError, Status: http.StatusBadRequest,
		Message: "An appName, publicServerURL, and emailAdapter are required for password reset and email verification functionality.",
	}
}

// link returns the URL of a page for a token.
func (m *Mail) link(page, token, locale string) string {
	dest := m.AppURL + "/" + page
	if m.Frame != "" {
		path := strings.TrimPrefix(dest, m.PublicURL)
		return m.Frame + "?link=" + url.QueryEscape(path) + "&token=" + url.QueryEscape(token)
	}
	dest += "?token=" + url.QueryEscape(token)
	if m.LocalizedPages && locale != "" {
		dest += "&locale=" + url.QueryEscape(locale)
	}
	return dest
}

// message makes the mail of a kind to a user, with a link to a page.
func (m *Mail) message(kind mail.Kind, user *parse.Object, page, token string) *mail.Message {
	locale := ""
	if m.LocaleField != "" {
		locale = mail.Locale(user.String(m.LocaleField))
	}
	to := user.String("email")
	if to == "" {
		to = user.String("username")
	}
	return m.Templates.Render(kind, to, locale, map[string]any{
		"appName": m.AppName, "email": user.String("email"), "username": user.String("username"),
		"link": m.link(page, token, locale), "locale": locale,
	})
}

// setToken gives a user a token for a mail and returns it; false: the user
// does not match where, or is gone. That is no change of the user to anybody.
func (s *Service) setToken(ctx context.Context, user *parse.Object, field string, valid time.Duration, where query.Node) (string, bool, error) {
	token := parse.NewObjectID(tokenLength)
	expires := parse.Value(parse.Delete{})
	if valid > 0 {
		expires = parse.NewDate(s.o.Now().Add(valid))
	}
	_, _, err := s.objs.Store().Update(ctx, &storage.Update{
		Class: s.class(userClass), Where: query.AllOf(query.ByID(user.ID), where),
		Ops: parse.NewMap(parse.MapField{Key: field, Value: token}, parse.MapField{Key: field + expiresSuffix, Value: expires}),
	})
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("set a token: %w", err)
	}
	return token, true, nil
}

// expiresSuffix makes the field of a token that of its end.
const expiresSuffix = "_expires_at"

// valid returns the token of a user, "" if there is none or its time is over.
// A token without an end is over, too: it was made when tokens had none.
func (s *Service) valid(user *parse.Object, field string) string {
	v, _ := user.Get(field + expiresSuffix)
	if until, ok := v.(parse.Date); !ok || until <= s.now() {
		return ""
	}
	return user.String(field)
}

// userByToken finds the user with a token; nil if there is none.
func (s *Service) userByToken(ctx context.Context, field, token string) (*parse.Object, error) {
	if token == "" {
		return nil, nil
	}
	return s.oneUser(ctx, query.Equal(field, token))
}

// oneUser finds a user as the database has him; nil if there is none.
func (s *Service) oneUser(ctx context.Context, where query.Node) (*parse.Object, error) {
	list, err := s.objs.Store().Find(ctx, &storage.Find{Class: s.class(userClass), Where: where, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("look for a user: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list[0], nil
}

// maintenance is who writes on behalf of a link in a mail.
func maintenance(p *access.Principal) *access.Principal {
	return access.New(access.Principal{Kind: access.Maintenance, InstallationID: p.InstallationID, IP: p.IP})
}
