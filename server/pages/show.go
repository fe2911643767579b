package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/internal/mustache"
)

// page is one of the pages of the protocol.
type page struct {
	id, file string
	// ok and bad mark how it went, form is the one for a password, resend that for a mail.
	ok, bad, form, resend bool
}

var (
	passwordReset                = &page{id: "passwordReset", file: "password_reset.html", form: true}
	passwordResetSuccess         = &page{id: "passwordResetSuccess", file: "password_reset_success.html", ok: true}
	passwordResetLinkInvalid     = &page{id: "passwordResetLinkInvalid", file: "password_reset_link_invalid.html", bad: true}
	emailVerificationSuccess     = &page{id: "emailVerificationSuccess", file: "email_verification_success.html", ok: true}
	emailVerificationSendFail    = &page{id: "emailVerificationSendFail", file: "email_verification_send_fail.html", bad: true}
	emailVerificationSendSuccess = &page{id: "emailVerificationSendSuccess", file: "email_verification_send_success.html", ok: true}
	emailVerificationLinkInvalid = &page{id: "emailVerificationLinkInvalid", file: "email_verification_link_invalid.html", bad: true}
	emailVerificationLinkExpired = &page{id: "emailVerificationLinkExpired", file: "email_verification_link_expired.html", bad: true, resend: true}
)

var allPages = [...]*page{
	passwordReset, passwordResetSuccess, passwordResetLinkInvalid, emailVerificationSuccess,
	emailVerificationSendFail, emailVerificationSendSuccess, emailVerificationLinkInvalid, emailVerificationLinkExpired,
}

func pageOf(file string) *page {
	for _, p := range allPages {
		if p.file == file {
			return p
		}
	}
	return nil
}

//go:embed builtin
var builtin embed.FS

func mustRead(name string) string {
	data, err := builtin.ReadFile("builtin/" + name)
	if err != nil {
		panic(err)
	}
	return string(data)
}

var (
	pageTemplate = mustache.Must(mustache.Parse(mustRead("page.html")))
	style        = mustRead("style.css")
	script       = mustRead("script.js")
)

// texts are translations by locale, in lower case.
type texts map[string]map[string]any

// loadTexts reads the program's texts and, over them, those of a file of the
// operator: {"de":{"translation":{…}}}.
func loadTexts(file string) (texts, error) {
	t := texts{}
	if err := t.read([]byte(mustRead("texts.json"))); err != nil {
		return nil, err
	}
	if file == "" {
		return t, nil
	}
	data, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("pages.localizationJsonPath: %w", err)
	}
	if err := t.read(data); err != nil {
		return nil, fmt.Errorf("pages.localizationJsonPath: %s: %w", file, err)
	}
	return t, nil
}

func (t texts) read(data []byte) error {
	var m map[string]struct {
		Translation map[string]any `json:"translation"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	for locale, l := range m {
		if !localeFormat.MatchString(locale) {
			return fmt.Errorf("%q is no locale", locale)
		}
		if err := checkTexts(l.Translation); err != nil {
			return fmt.Errorf("%s: %w", locale, err)
		}
		locale = strings.ToLower(locale)
		if t[locale] == nil {
			t[locale] = map[string]any{}
		}
		maps.Copy(t[locale], l.Translation)
	}
	return nil
}

// checkTexts finds texts that are no templates.
func checkTexts(v any) error {
	switch v := v.(type) {
	case string:
		_, err := mustache.Parse(v)
		return err
	case map[string]any:
		for k, e := range v {
			if err := checkTexts(e); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
	}
	return nil
}

// in returns the texts for a locale: those of locale, language and fallback,
// the first that there are, over those in English; and the language that they are in.
func (t texts) in(locale, fallback string) (map[string]any, string) {
	out := maps.Clone(t["en"])
	for _, l := range [...]string{strings.ToLower(locale), language(strings.ToLower(locale)), strings.ToLower(fallback)} {
		if m := t[l]; l != "" && m != nil {
			maps.Copy(out, m)
			return out, l
		}
	}
	return out, "en"
}

func language(locale string) string {
	l, _, _ := strings.Cut(locale, "-")
	return l
}

// filled renders the texts, which may have placeholders of their own.
func filled(v any, values map[string]any) any {
	switch v := v.(type) {
	case string:
		t, err := mustache.Parse(v)
		if err != nil {
			return v // checked at the start
		}
		return t.Render(values, nil)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = filled(e, values)
		}
		return out
	}
	return v
}

// checkFiles reads all pages of a folder as templates.
func checkFiles(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".html") {
			return err
		}
		data, err := root.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := mustache.Parse(string(data)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// policies makes the security policies. Forms may go where their answers
// redirect to, too: browsers follow no redirect that form-action does not allow.
func (h *Handler) policies() (own, file string) {
	targets := []string{"'self'"}
	add := func(u string) {
		if p, err := url.Parse(u); err == nil && p.Host != "" {
			if o := p.Scheme + "://" + p.Host; !slices.Contains(targets, o) {
				targets = append(targets, o)
			}
		}
	}
	add(h.o.PublicURL)
	for _, id := range slices.Sorted(maps.Keys(h.o.CustomURLs)) {
		add(h.o.CustomURLs[id])
	}
	frame := "'none'"
	if p, err := url.Parse(h.o.FrameURL); err == nil && p.Host != "" {
		frame = "'self' " + p.Scheme + "://" + p.Host
	}
	rest := "; base-uri 'none'; object-src 'none'; form-action " + strings.Join(targets, " ") + "; frame-ancestors " + frame
	own = "default-src 'none'; img-src data:; style-src " + hash(style) + "; script-src " + hash(script) + rest
	return own, rest[2:]
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// params are the parameters of a page: those of the app, the locale and more.
func (c *call) params(more map[string]string) map[string]string {
	p := map[string]string{"appId": c.h.o.AppID, "appName": c.h.o.AppName, "publicServerUrl": c.h.o.PublicURL}
	if c.locale != "" {
		p["locale"] = c.locale
	}
	for k, v := range more {
		if v != "" {
			p[k] = v
		}
	}
	return p
}

// show answers with a page: a GET with its content, a POST with a redirect to
// it, so that no reload repeats the POST.
func (c *call) show(p *page, more map[string]string) error {
	params := c.params(more)
	switch u := c.h.o.CustomURLs[p.id]; {
	case u != "":
		c.redirect(u, params)
	case c.r.Method == http.MethodPost || c.h.o.ForceRedirect:
		c.redirect(c.h.o.PublicURL+"/"+c.h.o.Endpoint+"/"+c.localFile(p.file), params)
	default:
		return c.showFile(p.file, params)
	}
	return nil
}

// content answers with a page even to a POST.
func (c *call) content(p *page, more map[string]string) error {
	params := c.params(more)
	if u := c.h.o.CustomURLs[p.id]; u != "" || c.h.o.ForceRedirect {
		return c.show(p, more)
	}
	return c.showFile(p.file, params)
}

// redirect sends the browser to a page with its parameters.
func (c *call) redirect(to string, params map[string]string) {
	u, err := url.Parse(to)
	if err != nil {
		c.notFound()
		return
	}
	q := u.Query()
	for k, v := range params {
		q.Set(k, v)
	}
	u.RawQuery = q.Encode()
	c.paramHeaders(params)
	c.w.Header().Set("Location", u.String())
	c.text(http.StatusSeeOther, "Found. Redirecting to "+u.String())
}

// localFile finds a file of the operator in the language of the request.
func (c *call) localFile(file string) string {
	for _, dir := range [...]string{c.locale, language(c.locale)} {
		if dir != "" && c.has(dir+"/"+file) {
			return dir + "/" + file
		}
	}
	return file
}

// has reports whether the operator has a file.
func (c *call) has(name string) bool {
	if c.h.root == nil {
		return false
	}
	info, err := c.h.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// static serves a file: a page, or what a page of the operator loads.
func (c *call) static(name string) error {
	name = path.Clean("/" + name)[1:]
	if !strings.HasSuffix(name, ".html") {
		return c.asset(name)
	}
	more := map[string]string{"token": c.param("token"), "username": c.param("username")}
	if c.h.o.ForceRedirect {
		// No other page gets an error by its URL, in which anybody can write one.
		more["error"] = c.param("error")
	}
	return c.showFile(name, c.params(more))
}

func (c *call) asset(name string) error {
	if !c.has(name) {
		c.notFound()
		return nil
	}
	f, err := c.h.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	c.w.Header().Set("Content-Security-Policy", c.h.filePolicy)
	c.w.Header().Set("Cache-Control", "no-cache") // not with a token, as pages are
	http.ServeContent(c.w, c.r, path.Base(name), time.Time{}, f)
	return nil
}

// showFile answers with a page of the operator or, if there is none, with that of the program.
func (c *call) showFile(name string, params map[string]string) error {
	if local := c.localFile(name); c.has(local) {
		return c.ownFile(local, params)
	}
	p := pageOf(path.Base(name))
	if p == nil || path.Dir(name) != "." && !localeFormat.MatchString(path.Dir(name)) {
		c.notFound()
		return nil
	}
	return c.builtin(p, params)
}

// values are what templates can show: parameters, texts and placeholders.
func (c *call) values(params map[string]string) (values map[string]any, lang string) {
	values = map[string]any{}
	for k, v := range params {
		values[k] = v
	}
	all, lang := c.h.texts["en"], "en"
	if c.h.o.Localize {
		all, lang = c.h.texts.in(c.locale, c.h.o.FallbackLocale)
	}
	more := maps.Clone(c.h.o.Placeholders)
	if f := c.h.o.PlaceholdersFunc; f != nil {
		if more == nil {
			more = map[string]any{}
		}
		maps.Copy(more, f(params))
	}
	maps.Copy(values, more)
	for k, v := range filled(all, values).(map[string]any) {
		if _, taken := values[k]; !taken {
			values[k] = v
		}
	}
	return values, lang
}

func (c *call) ownFile(name string, params map[string]string) error {
	data, err := c.h.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		c.notFound()
		return nil
	}
	if err != nil {
		return err
	}
	t, err := mustache.Parse(string(data))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	values, _ := c.values(params)
	c.html(c.h.filePolicy, params, t.Render(values, mustache.HTML))
	return nil
}

// numbers are what makes texts of errors differ from their translations.
var numbers = regexp.MustCompile(`\d+`)

func (c *call) builtin(p *page, params map[string]string) error {
	values, lang := c.values(params)
	own := maps.Clone(values)
	own["lang"], own["texts"], own["page"] = lang, values, values[p.id]
	own["ok"], own["bad"], own["form"] = p.ok, p.bad, p.form
	own["style"], own["script"] = style, script
	own["error"] = nil
	if text := params["error"]; p.form && text != "" {
		translated, _ := values["errors"].(map[string]any)
		if s, ok := translated[numbers.ReplaceAllString(text, "#")].(string); ok {
			text = strings.Replace(s, "#", numbers.FindString(text), 1)
		}
		own["error"] = text
	}
	// A link can be sent anew to who still has the old one.
	own["resend"] = p.resend && params["token"] != ""
	action := "request_password_reset"
	if p.resend {
		action = "resend_verification_email"
	}
	own["action"] = c.h.o.PublicURL + "/" + c.h.o.Endpoint + "/" + url.PathEscape(c.h.o.AppID) + "/" + action
	c.html(c.h.ownPolicy, params, pageTemplate.Render(own, mustache.HTML))
	return nil
}

func (c *call) html(policy string, params map[string]string, body string) {
	c.paramHeaders(params)
	h := c.w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = c.w.Write([]byte(body)) //nolint:gosec // every value is escaped, unless a template of the operator asks for it raw
}

// paramHeaders tells the parameters in headers, for apps that show pages in a
// frame of their own.
func (c *call) paramHeaders(params map[string]string) {
	for k, v := range params {
		v = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, v)
		if c.h.o.EncodeHeaders || strings.IndexFunc(v, func(r rune) bool { return r > 0x7e }) >= 0 {
			v = strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
		}
		if v != "" {
			c.w.Header().Set("X-Parse-Page-Param-"+k, v)
		}
	}
}
