package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/mail"
	"github.com/pargo-baas/pargo/internal/mail/capture"
	"github.com/pargo-baas/pargo/internal/mail/smtp"
	"github.com/pargo-baas/pargo/server/config"
	"github.com/pargo-baas/pargo/server/pages"
)

// mailDrain bounds how long a stopping server tries to send what waits.
const mailDrain = 10 * time.Second

// Mail is a message that a MailAdapter sends.
type Mail = mail.Message

// MailAdapter sends mails in a way of its own. An error is reason to try
// again; one that PermanentMailError made is not.
type MailAdapter interface {
	Send(ctx context.Context, m *Mail) error
}

// PermanentMailError marks an error of a MailAdapter that no further attempt mends.
func PermanentMailError(err error) error { return mail.Permanent(err) }

// WithMailAdapter sends mails by a, whatever the option emailAdapter says.
func WithMailAdapter(a MailAdapter) Option { return func(s *settings) { s.mail = a } }

// UserFunctions are options of users that are functions. One that is nil
// leaves the option of its name in force; one that is not takes its place.
type UserFunctions struct {
	// VerifyUserEmails says whose address is to be verified.
	VerifyUserEmails func(context.Context, *cloudcode.EmailVerificationRequest) (bool, error)
	// PreventLoginWithUnverifiedEmail says who cannot log in before that.
	PreventLoginWithUnverifiedEmail func(context.Context, *cloudcode.EmailVerificationRequest) (bool, error)
	// SendUserEmailVerification says who gets a mail for it.
	SendUserEmailVerification func(context.Context, *cloudcode.EmailVerificationRequest) (bool, error)
	// ValidatePassword is passwordPolicy.validatorCallback: it says which
	// passwords may be used, beside validatorPattern.
	ValidatePassword func(password string) bool
}

// WithUserFunctions sets options of users that are functions.
func WithUserFunctions(f UserFunctions) Option { return func(s *settings) { s.users = f } }

// PageRequest is what the handler of a page sees.
type PageRequest = pages.Request

// PageRoute is a page of pages.customRoutes.
type PageRoute = pages.Route

// PageFunctions are parts of the option pages that are code.
type PageFunctions struct {
	// Placeholders gives values for the templates of pages, beside pages.placeholders.
	Placeholders func(params map[string]string) map[string]any
	// Routes is pages.customRoutes.
	Routes []PageRoute
}

// WithPages sets parts of the option pages that are code.
func WithPages(f PageFunctions) Option { return func(s *settings) { s.pages = f } }

// post is what sends mails and shows the pages that they lead to.
type post struct {
	sender   *mail.Sender // nil: there is no adapter
	auth     *auth.Mail   // nil: mails cannot be made
	captured http.Handler // shows captured mails; nil: there are none
	pages    *pages.Handler
}

// develop fills in what verification needs and development can do without.
func (s *Server) develop() {
	if !s.cfg.Development {
		return
	}
	if s.cfg.AppName == "" {
		s.cfg.AppName = "pargo"
	}
	if s.cfg.PublicServerURL == "" {
		s.cfg.PublicServerURL = s.URL()
	}
	s.log.Warn("development mode: mails are shown to everybody on this machine", "at", s.MailURL())
}

// MailURL returns where captured mails are shown, or "" if they are not.
func (s *Server) MailURL() string {
	u, err := url.Parse(s.URL())
	if a, problem := s.cfg.MailAdapter(); err != nil || problem != nil || a.Module != config.CaptureModule || s.custom.mail != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + capture.Path
}

// openMail makes the sender of mails, if there is an adapter.
func (s *Server) openMail(ctx context.Context) (*post, error) {
	p := &post{}
	o, err := s.cfg.MailAdapter()
	if err != nil {
		return nil, err
	}
	var adapter mail.Adapter
	switch {
	case s.custom.mail != nil:
		adapter = s.custom.mail
	case o.Module == config.CaptureModule:
		c, err := capture.Open(s.cfg.CaptureDir())
		if err != nil {
			return nil, err
		}
		adapter, p.captured = c, c.Handler(s.log)
	case o.Module == config.SMTPModule:
		if adapter, err = openSMTP(o.Options); err != nil {
			return nil, fmt.Errorf("option emailAdapter: %w", err)
		}
	default:
		return p, nil
	}
	templates, err := mail.LoadTemplates(o.TemplatesPath, o.Locale)
	if err != nil {
		return nil, fmt.Errorf("option emailAdapter: %w", err)
	}
	p.sender = mail.NewSender(ctx, adapter, mail.SenderOptions{Log: s.log})
	if s.cfg.AppName == "" || s.cfg.PublicServerURL == "" {
		return p, nil // mails need a name and a link
	}
	look, err := s.cfg.Pages()
	if err != nil {
		return nil, err
	}
	frame, err := s.cfg.FrameURL()
	if err != nil {
		return nil, err
	}
	public := strings.TrimRight(s.cfg.PublicServerURL, "/")
	p.auth = &auth.Mail{
		Sender: p.sender, Templates: templates, AppName: s.cfg.AppName, PublicURL: public, Frame: frame,
		AppURL:      public + "/" + look.Endpoint + "/" + url.PathEscape(s.cfg.AppID),
		LocaleField: o.LocaleField, LocalizedPages: look.EnableLocalization,
	}
	return p, nil
}

func openSMTP(raw json.RawMessage) (mail.Adapter, error) {
	var o smtp.Options
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return smtp.New(o)
}

// showingMails shows captured mails beside h.
func (s *Server) showingMails(h http.Handler) http.Handler {
	if s.post.captured == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, capture.Path) {
			s.post.captured.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// close sends what waits and gives free what was opened.
func (p *post) close(ctx context.Context) error {
	var errs []error
	if p.sender != nil {
		ctx, cancel := context.WithTimeout(ctx, mailDrain)
		defer cancel()
		errs = append(errs, p.sender.Close(ctx))
	}
	if p.pages != nil {
		errs = append(errs, p.pages.Close())
	}
	return errors.Join(errs...)
}

// openPages makes the pages, once there are users.
func (s *Server) openPages(users *auth.Service, clientIP func(*http.Request) string) (path string, err error) {
	look, err := s.cfg.Pages()
	if err != nil {
		return "", err
	}
	frame, err := s.cfg.FrameURL()
	if err != nil {
		return "", err
	}
	path = "/" + look.Endpoint
	s.post.pages, err = pages.New(users, pages.Options{
		AppID: s.cfg.AppID, AppName: s.cfg.AppName, PublicURL: strings.TrimRight(s.cfg.PublicServerURL, "/"),
		Prefix: strings.TrimRight(s.cfg.MountPath, "/") + path, Endpoint: look.Endpoint, Dir: look.Path,
		Localize: look.EnableLocalization, TextsFile: look.LocalizationJSONPath, FallbackLocale: look.FallbackLocale,
		Placeholders: look.Placeholders, PlaceholdersFunc: s.custom.pages.Placeholders, Routes: s.custom.pages.Routes,
		ForceRedirect: look.ForceRedirect, EncodeHeaders: look.EncodePageParamHeaders, CustomURLs: look.CustomURLs,
		FrameURL: frame, ClientIP: clientIP, Log: s.log,
	})
	return path, err
}

// userOptions sets what the options and functions on mails and passwords say.
func (s *Server) userOptions(o *auth.Options) error {
	cfg, f := &s.cfg, &s.custom.users
	policy, err := cfg.PasswordPolicy()
	if err != nil {
		return err
	}
	lock, err := cfg.AccountLockout()
	if err != nil {
		return err
	}
	life, err := cfg.EmailVerifyTokenLife()
	if err != nil {
		return err
	}
	o.Mail = s.post.auth
	o.Policy = auth.PasswordPolicy{
		Pattern: policy.ValidatorPattern, Validate: f.ValidatePassword, Message: policy.ValidationError,
		NoUsername: policy.DoNotAllowUsername, MaxAge: policy.MaxPasswordAge, History: policy.MaxPasswordHistory,
	}
	o.Lockout = auth.Lockout{Duration: lock.Duration, Threshold: lock.Threshold, UnlockOnReset: lock.UnlockOnPasswordReset}
	o.Reset = auth.Reset{TokenValidity: policy.ResetTokenLife, TokenReuse: policy.ResetTokenReuse, TellUnknown: !policy.HideUnknown}
	o.Verification = auth.Verification{
		Emails:        either(f.VerifyUserEmails, cfg.VerifyUserEmails),
		PreventLogin:  either(f.PreventLoginWithUnverifiedEmail, cfg.PreventLoginWithUnverifiedEmail),
		PreventSignup: cfg.PreventSignupWithUnverifiedEmail,
		Send:          either(f.SendUserEmailVerification, cfg.SendUserEmailVerification),
		TokenValidity: life, TokenReuse: cfg.EmailVerifyTokenReuseIfValid, TellUnknown: !cfg.EmailVerifySuccessOnInvalidEmail,
	}
	if o.Verification.Send == nil {
		o.Verification.Send = func(context.Context, *cloudcode.EmailVerificationRequest) (bool, error) { return false, nil }
	}
	return nil
}

// either returns the function, or one that always says yes, or nil for no.
func either(f auth.VerifyFunc, yes bool) auth.VerifyFunc {
	switch {
	case f != nil:
		return f
	case yes:
		return func(context.Context, *cloudcode.EmailVerificationRequest) (bool, error) { return true, nil }
	}
	return nil
}
