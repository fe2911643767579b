// Package pages serves the public pages of an app: those that links in mails
// lead to, and those that answer them (reference 03 §15). Its own pages load
// nothing from elsewhere and can be replaced, one by one, by files of a folder.
package pages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/parse"
)

// Users is what the pages do with users; *auth.Service does it.
type Users interface {
	VerifyEmail(ctx context.Context, p *access.Principal, token string) error
	ResendVerification(ctx context.Context, p *access.Principal, token, username string) error
	CheckResetToken(ctx context.Context, token string) (*parse.Object, error)
	ResetPassword(ctx context.Context, token, password string) error
}

var _ Users = (*auth.Service)(nil)

// Request is what the handler of a route of the embedding program sees.
type Request struct {
	*http.Request
	// Params are those of the app: appId, appName, publicServerUrl, and locale if there is one.
	Params map[string]string
}

// Route is a page of the embedding program, at ENDPOINT/APPID/Path.
type Route struct {
	Method, Path string
	// Handle returns the file to show, below the folder of pages, and more
	// parameters for it; "" for a page that does not exist.
	Handle func(ctx context.Context, r *Request) (file string, params map[string]string, err error)
}

// Options are those of the option pages in server/config.
type Options struct {
	AppID, AppName string
	// PublicURL is the URL of the API as clients see it, without a slash at
	// its end; without it, or without AppName, there are no pages.
	PublicURL string
	// Prefix is the path of all pages: the mount path and the endpoint.
	Prefix   string
	Endpoint string
	// Dir is a folder with pages; "": none but those of the program.
	Dir string

	Localize       bool
	TextsFile      string // i18next JSON; "": none
	FallbackLocale string

	Placeholders map[string]any
	// PlaceholdersFunc gives more placeholders for the parameters of a page; nil: none.
	PlaceholdersFunc func(params map[string]string) map[string]any

	ForceRedirect bool
	EncodeHeaders bool
	CustomURLs    map[string]string
	FrameURL      string // who shows the pages in a frame; "": nobody
	Routes        []Route

	ClientIP func(*http.Request) string
	Log      *slog.Logger
}

// Handler serves the pages.
type Handler struct {
	o     Options
	users Users
	root  *os.Root // of Dir; nil without
	texts texts
	// ownPolicy and filePolicy are the security policies of the program's pages
	// and of those of the operator, who decides himself what they load.
	ownPolicy, filePolicy string
}

// New reads texts and pages, so that mistakes in them show at once. Close the
// handler to give the folder free.
func New(users Users, o Options) (*Handler, error) {
	h := &Handler{o: o, users: users}
	var err error
	if h.texts, err = loadTexts(o.TextsFile); err != nil {
		return nil, err
	}
	for _, r := range o.Routes {
		if r.Method != http.MethodGet && r.Method != http.MethodPost || r.Handle == nil || strings.Trim(r.Path, "/") == "" {
			return nil, fmt.Errorf("pages: a route needs the method GET or POST, a path and a handler, not %q %q", r.Method, r.Path)
		}
	}
	if o.Dir != "" {
		if h.root, err = os.OpenRoot(o.Dir); err != nil {
			return nil, fmt.Errorf("pages.pagesPath: %w", err)
		}
		if err := checkFiles(h.root); err != nil {
			return nil, errors.Join(fmt.Errorf("pages.pagesPath: %w", err), h.root.Close())
		}
	}
	h.ownPolicy, h.filePolicy = h.policies()
	return h, nil
}

// Close gives the folder of the pages free.
func (h *Handler) Close() error {
	if h.root == nil {
		return nil
	}
	return h.root.Close()
}

// call is one request.
type call struct {
	h *Handler
	w http.ResponseWriter
	r *http.Request
	// form is the body of a POST.
	form   url.Values
	locale string
}

// maxForm bounds the body of a form.
const maxForm = 64 << 10

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hd := w.Header()
	// The URL has a token, which must not get into caches or to other sites.
	hd.Set("Cache-Control", "no-store")
	hd.Set("Referrer-Policy", "no-referrer")
	hd.Set("X-Content-Type-Options", "nosniff")
	c := &call{h: h, w: w, r: r}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			c.text(http.StatusBadRequest, "The form cannot be read.")
			return
		}
		c.form = r.PostForm
	}
	c.locale = c.findLocale()
	if err := c.route(strings.Trim(strings.TrimPrefix(r.URL.Path, h.o.Prefix), "/")); err != nil {
		h.o.Log.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "error", err)
		c.text(http.StatusInternalServerError, "The page cannot be shown.")
	}
}

// route finds what serves a path below the prefix.
func (c *call) route(rest string) error {
	get, post := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead, c.r.Method == http.MethodPost
	app, action, nested := strings.Cut(rest, "/")
	switch {
	case rest == "choose_password" && get:
		return c.ofApp(c.param("appId"), c.choosePassword)
	case nested && action == "verify_email" && get:
		return c.ofApp(app, c.verifyEmail)
	case nested && action == "resend_verification_email" && post:
		return c.ofApp(app, c.resend)
	case nested && action == "request_password_reset" && get:
		return c.ofApp(app, c.askPassword)
	case nested && action == "request_password_reset" && post:
		return c.ofApp(app, c.resetPassword)
	}
	for i := range c.h.o.Routes {
		if r := &c.h.o.Routes[i]; nested && strings.Trim(r.Path, "/") == action && (r.Method == c.r.Method || get && r.Method == http.MethodGet) {
			return c.ofApp(app, func() error { return c.custom(r) })
		}
	}
	if get {
		return c.static(rest)
	}
	c.notFound()
	return nil
}

// ofApp runs f if the app is this one, and can have pages.
func (c *call) ofApp(id string, f func() error) error {
	if id != c.h.o.AppID {
		c.json(http.StatusForbidden, map[string]any{"error": "unauthorized"})
		return nil
	}
	if c.h.o.AppName == "" || c.h.o.PublicURL == "" {
		c.notFound()
		return nil
	}
	return f()
}

// param reads a parameter of the query; one that is given twice is none.
func (c *call) param(name string) string { return single(c.r.URL.Query(), name) }

// field reads a field of the form.
func (c *call) field(name string) string { return single(c.form, name) }

func single(v url.Values, name string) string {
	if list := v[name]; len(list) == 1 {
		return list[0]
	}
	return ""
}

func (c *call) principal() *access.Principal {
	return access.New(access.Principal{IP: c.h.o.ClientIP(c.r)})
}

func (c *call) verifyEmail() error {
	token := c.param("token")
	err := c.h.users.VerifyEmail(c.r.Context(), c.principal(), token)
	switch {
	case err == nil:
		return c.show(emailVerificationSuccess, nil)
	case errors.Is(err, auth.ErrLinkExpired):
		return c.show(emailVerificationLinkExpired, map[string]string{"token": token})
	case !errors.Is(err, auth.ErrLinkInvalid):
		c.h.o.Log.WarnContext(c.r.Context(), "verification of an address failed", "error", err)
	}
	return c.show(emailVerificationLinkInvalid, nil)
}

func (c *call) resend() error {
	token, username := c.field("token"), c.field("username")
	if token == "" && username == "" {
		return c.show(emailVerificationLinkInvalid, nil)
	}
	if err := c.h.users.ResendVerification(c.r.Context(), c.principal(), token, username); err != nil {
		if !errors.Is(err, auth.ErrLinkInvalid) && parse.CodeOf(err) != parse.RequestLimitExceeded {
			c.h.o.Log.ErrorContext(c.r.Context(), "sending a verification mail anew failed", "error", err)
		}
		return c.show(emailVerificationSendFail, nil)
	}
	return c.show(emailVerificationSendSuccess, nil)
}

func (c *call) askPassword() error {
	token := c.param("token")
	_, err := c.h.users.CheckResetToken(c.r.Context(), token)
	switch {
	case err == nil:
		return c.show(passwordReset, map[string]string{"token": token})
	case errors.Is(err, auth.ErrLinkInvalid), errors.Is(err, auth.ErrLinkExpired):
		return c.show(passwordResetLinkInvalid, nil)
	}
	return err
}

func (c *call) choosePassword() error {
	return c.show(passwordReset, map[string]string{"token": c.param("token"), "username": c.param("username")})
}

// Texts that clients of the protocol know.
const (
	textInvalid  = "Failed to reset password: username / email / token is invalid"
	textExpired  = "The password reset link has expired"
	textMismatch = "The passwords are not the same."
	textDone     = "Password successfully reset"
)

func (c *call) resetPassword() error {
	token, password := c.field("token"), c.field("new_password")
	xhr := strings.EqualFold(c.r.Header.Get("X-Requested-With"), "XMLHttpRequest")
	if token == "" || password == "" {
		switch {
		case !xhr:
			return c.show(passwordResetLinkInvalid, nil)
		case token == "":
			c.fail(parse.OtherCause, "Missing token")
		default:
			c.fail(parse.PasswordMissing, "Missing password")
		}
		return nil
	}
	text := ""
	if again, given := c.form["confirm_new_password"]; given && (len(again) != 1 || again[0] != password) {
		text = textMismatch
	} else {
		var err error
		if text, err = outcome(c.h.users.ResetPassword(c.r.Context(), token, password)); err != nil {
			return err
		}
	}
	switch {
	case text == "" && xhr:
		c.json(http.StatusOK, textDone)
	case xhr:
		c.fail(parse.OtherCause, text)
	case text == "":
		return c.content(passwordResetSuccess, nil)
	default:
		return c.content(passwordReset, map[string]string{"token": token, "error": text})
	}
	return nil
}

// outcome is what a user reads of a reset that failed; other errors are no news for him.
func outcome(err error) (string, error) {
	var pe *parse.Error
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, auth.ErrLinkInvalid):
		return textInvalid, nil
	case errors.Is(err, auth.ErrLinkExpired):
		return textExpired, nil
	case errors.As(err, &pe) && pe.Code != parse.InternalServerError:
		return pe.Message, nil
	}
	return "", err
}

// custom serves a route of the embedding program.
func (c *call) custom(r *Route) error {
	file, more, err := r.Handle(c.r.Context(), &Request{Request: c.r, Params: c.params(nil)})
	if err != nil {
		return err
	}
	if file == "" {
		c.notFound()
		return nil
	}
	return c.showFile(path.Clean("/" + file)[1:], c.params(more))
}

func (c *call) json(status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, nil
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(data)
}

// fail answers an error of the protocol.
func (c *call) fail(code parse.Code, text string) {
	c.json(http.StatusBadRequest, map[string]any{"code": code, "error": text})
}

func (c *call) text(status int, s string) {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write([]byte(s))
}

func (c *call) notFound() { c.text(http.StatusNotFound, "Not found.") }

var localeFormat = regexp.MustCompile(`^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$`)

// findLocale reads the locale that a request asks for; "" if there is none, or
// pages have but one language.
func (c *call) findLocale() string {
	if !c.h.o.Localize {
		return ""
	}
	for _, l := range [...]string{c.param("locale"), c.field("locale"), c.r.Header.Get("X-Parse-Page-Param-Locale")} {
		if l != "" {
			if len(l) > 35 || !localeFormat.MatchString(l) {
				return ""
			}
			return l
		}
	}
	return ""
}
