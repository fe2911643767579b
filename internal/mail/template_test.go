package mail_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/mail"
)

var values = map[string]any{
	"appName": "My <App>", "email": "ann@x.y", "username": "ann", "link": "https://x.y/apps/a/verify_email?token=abc&locale=de",
}

func TestTextsOfTheProtocol(t *testing.T) {
	tpl, err := mail.LoadTemplates("", "en")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		kind          mail.Kind
		subject, text string
	}{
		{
			mail.Verification, "Please verify your e-mail for My <App>",
			"Hi,\n\nYou are being asked to confirm the e-mail address ann@x.y with My <App>\n\nClick here to confirm it:\n" + values["link"].(string) + "\n",
		},
		{
			mail.PasswordReset, "Password Reset for My <App>",
			"Hi,\n\nYou requested to reset your password for My <App> (your username is 'ann').\n\nClick here to reset it:\n" + values["link"].(string) + "\n",
		},
	} {
		m := tpl.Render(tc.kind, "ann@x.y", "", values)
		if m.To != "ann@x.y" || m.Subject != tc.subject || m.Text != tc.text {
			t.Errorf("%s: %q %q", tc.kind, m.Subject, m.Text)
		}
		if !strings.Contains(m.HTML, `lang="en"`) || !strings.Contains(m.HTML, "My &lt;App&gt;") || strings.Contains(m.HTML, "<App>") {
			t.Errorf("%s: %s", tc.kind, m.HTML)
		}
	}
	if m := tpl.Render(mail.PasswordReset, "x", "", map[string]any{"appName": "A"}); strings.Contains(m.Text, "username") {
		t.Errorf("without a username: %s", m.Text)
	}
	if m := tpl.Render(mail.Verification, "x", "", map[string]any{"appName": "A\r\nBcc: b@x.y"}); strings.ContainsAny(m.Subject, "\r\n") {
		t.Errorf("subject of two lines: %q", m.Subject)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLocales(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "verification.txt", "Subject: own\r\n\r\nroot {{link}}")
	write(t, dir, "pt-BR/verification.txt", "Subject: own pt-BR\n\n")
	write(t, dir, "fr/password-reset.txt", "Subject: own fr\n\n")
	write(t, dir, "fr/password-reset.html", "<p>{{email}}</p>")
	write(t, dir, "notes/verification.txt", "no template, since the folder is no locale")
	own, err := mail.LoadTemplates(dir, "de")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := mail.LoadTemplates("", "")
	if err != nil {
		t.Fatal(err)
	}
	const deVerify, deReset = "Bitte bestätige deine E-Mail-Adresse für My <App>", "Neues Passwort für My <App>"
	for _, tc := range []struct {
		tpl          *mail.Templates
		kind         mail.Kind
		locale, want string
	}{
		{plain, mail.Verification, "de", deVerify},
		{plain, mail.Verification, "de_AT", deVerify},
		{plain, mail.Verification, "DE-at", deVerify},
		{plain, mail.Verification, "xx", "Please verify your e-mail for My <App>"},
		{plain, mail.Verification, "../de", "Please verify your e-mail for My <App>"},
		{own, mail.Verification, "", "own"},
		{own, mail.Verification, "de", "own"},
		{own, mail.Verification, "pt-br", "own pt-BR"},
		{own, mail.Verification, "pt", "own"},
		{own, mail.PasswordReset, "fr-CA", "own fr"},
		{own, mail.PasswordReset, "", deReset},
		{own, mail.PasswordReset, "en", "Password Reset for My <App>"},
		{own, mail.PasswordReset, "xx", deReset},
	} {
		if m := tc.tpl.Render(tc.kind, "x", tc.locale, values); m.Subject != tc.want {
			t.Errorf("%s in %q: %q, want %q", tc.kind, tc.locale, m.Subject, tc.want)
		}
	}
	if m := own.Render(mail.Verification, "x", "", values); m.HTML != "" || m.Text != "root "+values["link"].(string) {
		t.Errorf("own text without HTML: %+v", m)
	}
	if m := own.Render(mail.PasswordReset, "x", "fr", values); m.HTML != "<p>ann@x.y</p>" {
		t.Errorf("own HTML: %+v", m)
	}
}

func TestTemplateMistakes(t *testing.T) {
	for name, tc := range map[string]struct{ file, text, want string }{
		"no subject":   {"verification.txt", "Hi", `must begin with a line "Subject: …"`},
		"broken text":  {"de/verification.txt", "Subject: s\n\n{{#x}}", "section x is not closed"},
		"broken title": {"verification.txt", "Subject: {{#x}}\n\n", "subject"},
		"broken HTML":  {"password-reset.html", "{{", "there is no verification.txt or password-reset.txt"},
	} {
		dir := t.TempDir()
		write(t, dir, tc.file, tc.text)
		if _, err := mail.LoadTemplates(dir, ""); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	write(t, dir, "verification.txt", "Subject: s\n\n")
	write(t, dir, "verification.html", "{{>x}}")
	if _, err := mail.LoadTemplates(dir, ""); err == nil || !strings.Contains(err.Error(), "verification.html") {
		t.Errorf("partials: %v", err)
	}
	for _, bad := range []string{"no such folder", ""} {
		if _, err := mail.LoadTemplates(filepath.Join(t.TempDir(), bad), "e"); err == nil {
			t.Errorf("%q is loaded", bad)
		}
	}
}
