package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

func pageOptions(text string) func(*config.Config) {
	return func(c *config.Config) {
		verifying(c)
		c.PagesOptions = json.RawMessage(text)
	}
}

// pagesOf is a server on one database: pages do not depend on it.
func pagesOf(t *testing.T, change func(*config.Config), opts ...server.Option) *mailServer {
	t.Helper()
	return startPost(t, "sqlite::memory:", change, nil, opts...)
}

func TestPagesAreSafe(t *testing.T) {
	p := pagesOf(t, pageOptions(`{"enableLocalization":true}`))
	const evil = `"><script>alert(1)</script>{{appName}}`
	choose := func(q url.Values) url.Values {
		q.Set("appId", "app")
		return q
	}
	w := p.open("/apps/choose_password", choose(url.Values{"token": {evil}, "username": {evil}, "error": {evil}, "locale": {evil}}), nil)
	shows(t, w, titleChoose)
	body := w.Body.String()
	if strings.Contains(body, "<script>alert") || strings.Contains(body, "role=\"alert\">&quot;") || !strings.Contains(body, "&lt;script&gt;alert(1)") {
		t.Errorf("not escaped, or an error of the URL is shown: %s", body)
	}
	if !strings.Contains(body, "My &lt;App&gt;") || strings.Contains(body, "<App>") {
		t.Errorf("name of the app: %s", body)
	}
	if w := p.open("/apps/app/request_password_reset", nil, url.Values{"token": {evil}, "new_password": {"x"}}); strings.Contains(w.Body.String(), "<script>alert") {
		t.Errorf("not escaped: %s", w.Body)
	}
	w = p.open("/apps/choose_password", choose(url.Values{"token": {"a\r\nX-Evil: 1\x00\x1f"}, "username": {"Jörg"}}), nil)
	if w.Code != http.StatusOK || w.Header().Get("X-Evil") != "" || w.Header().Get("X-Parse-Page-Param-Token") != "aX-Evil: 1" || w.Header().Get("X-Parse-Page-Param-Username") != "J%C3%B6rg" {
		t.Errorf("headers: %v", w.Header())
	}
	h := w.Header()
	policy := h.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self' https://api.example.com"} {
		if !strings.Contains(policy, part) {
			t.Errorf("no %s in %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers: %v", h)
	}
	for _, path := range []string{
		"/apps/..%2f..%2fgo.mod", "/apps/../../go.mod", "/apps/%2e%2e/secrets.json", "/apps/no_such_page.html", "/apps/a/b/password_reset.html",
		"/apps/builtin/page.html", "/apps/style.css", "/apps/app/unknown",
	} {
		if w := p.open(path, nil, nil); w.Code != http.StatusNotFound || w.Body.String() != "Not found." {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/apps/other/verify_email", "/apps/other/request_password_reset", "/apps/choose_password"} {
		if w := p.open(path, nil, nil); w.Code != http.StatusForbidden || w.Body.String() != `{"error":"unauthorized"}` {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := p.open("/apps/other/resend_verification_email", nil, url.Values{}); w.Code != http.StatusForbidden {
		t.Errorf("another app: %d", w.Code)
	}
	if w := p.open("/apps/app/request_password_reset", nil, url.Values{"token": {strings.Repeat("x", 100_000)}}); w.Code != http.StatusBadRequest {
		t.Errorf("a huge form: %d", w.Code)
	}
	if w := p.open("/APPS/choose_password", choose(url.Values{}), nil); w.Code != http.StatusOK {
		t.Errorf("case of the first segment: %d", w.Code)
	}
}

func TestPagesInGerman(t *testing.T) {
	p := pagesOf(t, func(c *config.Config) {
		pageOptions(`{"enableLocalization":true}`)(c)
		policy(`{"maxPasswordHistory":3}`)(c)
	})
	p.do(stepWithLocale)
	m := p.mail()
	if m.Subject != "Bitte bestätige deine E-Mail-Adresse für My <App>" {
		t.Errorf("subject %q", m.Subject)
	}
	path, query := p.link(m)
	if query.Get("locale") != "de-AT" && query.Get("locale") != "de-at" {
		t.Errorf("link: %v", query)
	}
	w := p.open(path, query, nil)
	shows(t, w, "Adresse bestätigt")
	if !strings.Contains(w.Body.String(), `<html lang="de">`) {
		t.Error("the language is not stated")
	}
	p.reset("ann@example.com")
	path, query = p.link(p.mail())
	shows(t, p.open(path, query, nil), "Neues Passwort wählen")
	w = p.open(path, nil, url.Values{"token": query["token"], "locale": {"de"}, "new_password": {"pass-ann"}})
	shows(t, w, "Neues Passwort wählen")
	if !strings.Contains(w.Body.String(), "Das neue Passwort darf keines deiner letzten 3 Passwörter sein.") {
		t.Errorf("error: %s", w.Body)
	}
	w = p.open(path, nil, url.Values{"token": query["token"], "locale": {"de"}})
	if to := w.Header().Get("Location"); !strings.Contains(to, "locale=de") {
		t.Errorf("the locale is lost: %s", to)
	}
	for locale, title := range map[string]string{"de": "Neues Passwort wählen", "DE-at": "Neues Passwort wählen", "fr": titleChoose, "../de": titleChoose, "": titleChoose} {
		q := url.Values{"appId": {"app"}, "locale": {locale}}
		shows(t, p.open("/apps/choose_password", q, nil), title)
	}
	shows(t, p.open("/apps/choose_password", url.Values{"appId": {"app"}}, nil, "X-Parse-Page-Param-Locale", "de"), "Neues Passwort wählen")
	english := pagesOf(t, verifying)
	shows(t, english.open("/apps/choose_password", url.Values{"appId": {"app"}, "locale": {"de"}}, nil), titleChoose)
}

func putFile(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPagesOfTheOperator(t *testing.T) {
	dir := t.TempDir()
	pagesDir := filepath.Join(dir, "pages")
	putFile(t, pagesDir, "password_reset.html", "any {{appName}} {{{token}}} {{hello}} {{brand.name}}")
	putFile(t, pagesDir, "de/password_reset.html", "deutsch {{token}} {{hello}}")
	putFile(t, pagesDir, "de-AT/password_reset.html", "österreichisch")
	putFile(t, pagesDir, "style.css", "p{}")
	putFile(t, pagesDir, "extra/page.html", "<p>{{appId}} {{more}}</p>")
	putFile(t, dir, "pages-secret/x.txt", "secret")
	putFile(t, dir, "secret.txt", "secret")
	putFile(t, dir, "texts.json", `{"en":{"translation":{"hello":"Hello from {{appName}}"}},"de":{"translation":{"hello":"Hallo von {{appName}}"}}}`)
	options, err := json.Marshal(map[string]any{
		"pagesPath": pagesDir, "enableLocalization": true, "localizationJsonPath": filepath.Join(dir, "texts.json"),
		"placeholders": map[string]any{"brand": map[string]any{"name": "B&B"}}, "pagesEndpoint": "p",
	})
	if err != nil {
		t.Fatal(err)
	}
	var handled string
	functions := server.PageFunctions{
		Placeholders: func(params map[string]string) map[string]any {
			return map[string]any{"more": "more of " + params["appId"]}
		},
		Routes: []server.PageRoute{
			{Method: "GET", Path: "terms", Handle: func(_ context.Context, r *server.PageRequest) (string, map[string]string, error) {
				handled = r.URL.Query().Get("x") + r.Params["appName"]
				return "extra/page.html", nil, nil
			}},
			{Method: "POST", Path: "nothing", Handle: func(context.Context, *server.PageRequest) (string, map[string]string, error) { return "", nil, nil }},
		},
	}
	p := pagesOf(t, pageOptions(string(options)), server.WithPages(functions))
	choose := func(locale string) string {
		w := p.open("/p/choose_password", url.Values{"appId": {"app"}, "token": {"<t>"}, "locale": {locale}}, nil)
		if w.Code != http.StatusOK || strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src") {
			t.Errorf("%s: %d %v", locale, w.Code, w.Header())
		}
		return w.Body.String()
	}
	for locale, want := range map[string]string{
		"": "any My &lt;App&gt; <t> Hello from My &lt;App&gt; B&amp;B", "fr": "any My &lt;App&gt; <t> Hello from My &lt;App&gt; B&amp;B",
		"de": "deutsch &lt;t&gt; Hallo von My &lt;App&gt;", "de-CH": "deutsch &lt;t&gt; Hallo von My &lt;App&gt;", "de-AT": "österreichisch",
	} {
		if got := choose(locale); got != want {
			t.Errorf("%q: %s, want %s", locale, got, want)
		}
	}
	// What the operator does not have is the program's.
	shows(t, p.open("/p/app/verify_email", nil, nil), titleInvalid)
	shows(t, p.open("/p/password_reset_success.html", url.Values{"locale": {"de"}}, nil), "Passwort geändert")
	if w := p.open("/p/style.css", nil, nil); w.Code != http.StatusOK || w.Body.String() != "p{}" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style: %d %v", w.Code, w.Header())
	}
	for _, path := range []string{"/p/..%2fsecret.txt", "/p/..%2fpages-secret%2fx.txt", "/p/../secret.txt", "/p/extra", "/apps/choose_password"} {
		if w := p.open(path, nil, nil); w.Code == http.StatusOK || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := p.open("/p/app/terms", url.Values{"x": {"1"}}, nil); w.Code != http.StatusOK || w.Body.String() != "<p>app more of app</p>" || handled != "1My <App>" {
		t.Errorf("route: %d %s, handled %s", w.Code, w.Body, handled)
	}
	if w := p.open("/p/app/nothing", nil, url.Values{}); w.Code != http.StatusNotFound {
		t.Errorf("a route without a file: %d", w.Code)
	}
	if w := p.open("/p/app/nothing", nil, nil); w.Code != http.StatusNotFound {
		t.Errorf("another verb: %d", w.Code)
	}
}

func TestPageRedirects(t *testing.T) {
	p := pagesOf(t, pageOptions(`{"forceRedirect":true,"encodePageParamHeaders":true,"customUrls":{"emailVerificationLinkInvalid":"https://www.example.com/invalid?x=1"}}`))
	w := p.open("/apps/app/verify_email", nil, nil)
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther || to.Host != "www.example.com" || to.Query().Get("x") != "1" || to.Query().Get("appName") != "My <App>" || to.Query().Get("publicServerUrl") != public {
		t.Errorf("custom URL: %d %s", w.Code, to)
	}
	if got := w.Header().Get("X-Parse-Page-Param-Appname"); got != "My%20%3CApp%3E" {
		t.Errorf("encoded header: %s", got)
	}
	p.signUp("ann")
	path, query := p.link(p.mail())
	w = p.open(path, query, nil)
	if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || !strings.HasPrefix(to, public+"/apps/email_verification_success.html?") {
		t.Errorf("forced: %d %s", w.Code, to)
	}
	w = p.open("/apps/app/request_password_reset", nil, url.Values{"token": {"t"}, "new_password": {"x"}})
	back := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(back, public+"/apps/password_reset.html?") {
		t.Errorf("forced: %d %s", w.Code, back)
	}
	w = p.open(strings.TrimPrefix(back, public), nil, nil)
	shows(t, w, titleChoose)
	if !strings.Contains(w.Body.String(), `role="alert">Failed to reset`) || !strings.Contains(w.Body.String(), `name="token" value="t"`) {
		t.Errorf("after the redirect: %s", w.Body)
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://api.example.com https://www.example.com") {
		t.Errorf("policy: %s", policy)
	}

	framed := pagesOf(t, func(c *config.Config) {
		verifying(c)
		c.CustomPages = json.RawMessage(`{"parseFrameURL":"https://www.example.com/frame"}`)
	})
	framed.signUp("ann")
	link := linkFormat.FindString(framed.mail().Text)
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(link, "https://www.example.com/frame?link=%2Fapps%2Fapp%2Fverify_email&token=") || len(u.Query().Get("token")) != 25 {
		t.Errorf("link %s", link)
	}
	w = framed.open("/apps/app/verify_email", nil, nil)
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'self' https://www.example.com") {
		t.Errorf("policy: %s", policy)
	}
}

func TestPageMistakesShowAtTheStart(t *testing.T) {
	dir := t.TempDir()
	putFile(t, dir, "de/password_reset.html", "{{#open}}")
	putFile(t, dir, "texts.json", `{"de":{"translation":{"a":{"b":"{{#open}}"}}}}`)
	putFile(t, dir, "mail/verification.txt", "no subject")
	for name, tc := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"page":    {pageOptions(`{"pagesPath":"` + dir + `"}`), "de/password_reset.html: line 1: section open is not closed"},
		"texts":   {pageOptions(`{"localizationJsonPath":"` + dir + `/texts.json"}`), "section open is not closed"},
		"folder":  {pageOptions(`{"pagesPath":"` + dir + `/none"}`), "pages.pagesPath"},
		"pattern": {policy(`{"validatorPattern":"("}`), "passwordPolicy.validatorPattern"},
		"smtp": {func(c *config.Config) {
			c.EmailAdapter = json.RawMessage(`{"module":"smtp","options":{"host":"mail.example.com","fromAddress":"a@x.y","tls":"none"}}`)
		}, "in the clear"},
		"smtp option": {func(c *config.Config) {
			c.EmailAdapter = json.RawMessage(`{"module":"smtp","options":{"host":"h","fromAddress":"a@x.y","user":"x"}}`)
		}, `unknown field "user"`},
		"mail template": {func(c *config.Config) {
			c.EmailAdapter = json.RawMessage(`{"module":"smtp","options":{"host":"h","fromAddress":"a@x.y","templatesPath":"` + dir + `/mail"}}`)
		}, "must begin with a line"},
	} {
		cfg := config.Default()
		cfg.AppID, cfg.MasterKey, cfg.Host, cfg.Port, cfg.DatabaseURI = "a", "m", "127.0.0.1", 0, "sqlite::memory:"
		cfg.AppName, cfg.PublicServerURL = "A", public
		tc.change(&cfg)
		cfg.VerifyUserEmails = false
		if _, err := server.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
