package mail

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/pargo-baas/pargo/internal/mustache"
)

// Kind is a sort of mail; its name is that of the template files.
type Kind string

// Kinds of mails.
const (
	Verification  Kind = "verification"
	PasswordReset Kind = "password-reset"
)

var kinds = [...]Kind{Verification, PasswordReset}

//go:embed templates
var builtin embed.FS

// subjectLine begins the first line of a text template.
const subjectLine = "Subject:"

// set is the templates of one kind in one folder.
type set struct{ subject, text, html *mustache.Template }

// Templates are the mails of the server in all languages that there are.
// They are read once.
type Templates struct {
	// sets are looked through in this order; the folder's come before those of the program.
	own, builtin map[string]*set // "<locale>/<kind>"; a locale is in lower case, "" for any
	fallback     string
}

// LoadTemplates reads the templates of a folder, "" for none, beside those of
// the program. The folder has KIND.txt, and KIND.html if there is to be HTML,
// and the same in a folder for each locale. The first line of a text is
// "Subject: …". fallback is the locale of those whose own is unknown.
func LoadTemplates(folder, fallback string) (*Templates, error) {
	t := &Templates{fallback: Locale(fallback)}
	if fallback != "" && t.fallback == "" {
		return nil, fmt.Errorf("%q is not a locale", fallback)
	}
	inside, err := fs.Sub(builtin, "templates")
	if err != nil {
		return nil, err
	}
	if t.builtin, err = load(inside); err != nil {
		return nil, err
	}
	if folder == "" {
		return t, nil
	}
	if t.own, err = load(os.DirFS(folder)); err != nil {
		return nil, fmt.Errorf("mail templates in %s: %w", folder, err)
	}
	if len(t.own) == 0 {
		return nil, fmt.Errorf("mail templates in %s: there is no %s.txt or %s.txt", folder, Verification, PasswordReset)
	}
	return t, nil
}

func load(dir fs.FS) (map[string]*set, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	sets := map[string]*set{}
	folders := []string{""}
	for _, e := range entries {
		if e.IsDir() && Locale(e.Name()) != "" {
			folders = append(folders, e.Name())
		}
	}
	for _, folder := range folders {
		for _, kind := range kinds {
			s, err := loadSet(dir, path.Join(folder, string(kind)))
			if err != nil {
				return nil, err
			}
			if s != nil {
				sets[Locale(folder)+"/"+string(kind)] = s
			}
		}
	}
	return sets, nil
}

// loadSet reads NAME.txt and NAME.html; nil if there is no text.
func loadSet(dir fs.FS, name string) (*set, error) {
	read := func(ext string) (string, bool, error) {
		data, err := fs.ReadFile(dir, name+ext)
		if errors.Is(err, fs.ErrNotExist) {
			return "", false, nil
		}
		return strings.ReplaceAll(string(data), "\r\n", "\n"), err == nil, err
	}
	src, ok, err := read(".txt")
	if err != nil || !ok {
		return nil, err
	}
	head, body, _ := strings.Cut(src, "\n")
	subject, ok := strings.CutPrefix(head, subjectLine)
	if !ok {
		return nil, fmt.Errorf("%s.txt must begin with a line %q", name, subjectLine+" …")
	}
	var s set
	if s.subject, err = mustache.Parse(strings.TrimSpace(subject)); err != nil {
		return nil, fmt.Errorf("%s.txt: subject: %w", name, err)
	}
	if s.text, err = mustache.Parse(strings.TrimLeft(body, "\n")); err != nil {
		return nil, fmt.Errorf("%s.txt, below the subject: %w", name, err)
	}
	html, ok, err := read(".html")
	if err != nil || !ok {
		return &s, err
	}
	if s.html, err = mustache.Parse(html); err != nil {
		return nil, fmt.Errorf("%s.html: %w", name, err)
	}
	return &s, nil
}

var localeFormat = regexp.MustCompile(`^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$`)

// Locale brings a locale such as de-AT or de_AT into the form by which
// templates are found; "" if it is none.
func Locale(s string) string {
	s = strings.ReplaceAll(s, "_", "-")
	if len(s) > 35 || !localeFormat.MatchString(s) {
		return ""
	}
	return strings.ToLower(s)
}

// Render makes a mail to an address in the language of a locale, "" for the
// fallback. A mail in another language is found by the language alone, then by
// the fallback, then in English.
func (t *Templates) Render(kind Kind, to, locale string, values map[string]any) *Message {
	s := t.find(kind, Locale(locale))
	m := &Message{
		To:      to,
		Subject: oneLine(s.subject.Render(values, nil)),
		Text:    s.text.Render(values, nil),
	}
	if s.html != nil {
		m.HTML = s.html.Render(values, mustache.HTML)
	}
	return m
}

func (t *Templates) find(kind Kind, locale string) *set {
	var names []string
	for _, l := range [...]string{locale, t.fallback} {
		for l != "" {
			names = append(names, l)
			i := strings.LastIndexByte(l, '-')
			l = l[:max(i, 0)]
		}
	}
	// What the operator has written in any language goes before what he has not.
	for _, n := range append(names, "") {
		if s := t.own[n+"/"+string(kind)]; s != nil {
			return s
		}
	}
	for _, n := range names {
		if s := t.builtin[n+"/"+string(kind)]; s != nil {
			return s
		}
	}
	return t.builtin["en/"+string(kind)]
}

// oneLine keeps a value in a subject from being more than one.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
