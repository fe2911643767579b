package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Mail adapters.
const (
	SMTPModule    = "smtp"
	CaptureModule = "capture"
)

// MailAdapter is the option emailAdapter.
type MailAdapter struct {
	// Module is SMTPModule, CaptureModule or "": no mails.
	Module string
	// TemplatesPath is a folder with templates of mails, Locale the language of
	// those whose own is unknown, LocaleField the field of a user with his.
	TemplatesPath, Locale, LocaleField string
	// Options are the rest, for the adapter to read.
	Options json.RawMessage
}

// MailAdapter reads emailAdapter: {"module":"smtp","options":{…}}, or the name
// of a module. In development mails are captured unless it says otherwise.
func (c *Config) MailAdapter() (MailAdapter, error) {
	out := MailAdapter{Locale: "en", LocaleField: "locale"}
	raw := c.EmailAdapter
	if len(raw) == 0 || string(raw) == "null" {
		if c.Development {
			out.Module = CaptureModule
		}
		return out, nil
	}
	var o struct {
		Module  string                     `json:"module"`
		Options map[string]json.RawMessage `json:"options"`
	}
	if json.Unmarshal(raw, &o.Module) != nil {
		if err := strict(raw, &o); err != nil {
			return out, fmt.Errorf("The option emailAdapter must be {\"module\":…,\"options\":{…}}: %w", err)
		}
	}
	switch out.Module = o.Module; {
	case o.Module == CaptureModule && !c.Development:
		return out, fmt.Errorf("The option emailAdapter cannot be %s outside of development: whoever reads the mails has the accounts.", CaptureModule)
	case o.Module != SMTPModule && o.Module != CaptureModule:
		if strings.ContainsAny(o.Module, ":@") { // a URL, with a password
			o.Module = "…"
		}
		return out, fmt.Errorf("The option emailAdapter names the module %q: there is %s and, in development, %s.", o.Module, SMTPModule, CaptureModule)
	}
	for name, into := range map[string]*string{
		"templatesPath": &out.TemplatesPath, "locale": &out.Locale, "localeField": &out.LocaleField,
	} {
		v, ok := o.Options[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(v, into); err != nil {
			return out, fmt.Errorf("The option emailAdapter.options.%s must be a string.", name)
		}
		delete(o.Options, name)
	}
	var err error
	out.Options, err = json.Marshal(o.Options)
	return out, err
}

// strict reads JSON into a struct, and minds keys that it does not have.
func strict(raw json.RawMessage, into any) error {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// CaptureDir is where captured mails are kept.
func (c *Config) CaptureDir() string { return filepath.Join(c.DataDir, "mail") }

// EmailVerifyTokenLife reads emailVerifyTokenValidityDuration; 0: for ever.
func (c *Config) EmailVerifyTokenLife() (time.Duration, error) {
	raw := c.EmailVerifyTokenValidityDuration
	if s := strings.Trim(string(raw), `"`); s == "" || s == "null" || s == "0" || s == "false" {
		return 0, nil
	}
	n, ok := number(raw)
	switch {
	case !ok:
		return 0, fmt.Errorf("Email verify token validity duration must be a valid number.")
	case n <= 0:
		return 0, fmt.Errorf("Email verify token validity duration must be a value greater than 0.")
	}
	return seconds(n), nil
}

// maxSeconds bounds times, so that no date is out of range: about 300 years.
const maxSeconds = 9e9

func seconds(n float64) time.Duration {
	return time.Duration(min(n, maxSeconds) * float64(time.Second))
}

// number reads a number, also one in a string, as variables of the environment have it.
func number(raw json.RawMessage) (float64, bool) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		raw = json.RawMessage(s)
	}
	var n float64
	err := json.Unmarshal(raw, &n)
	return n, err == nil
}

// checkMail is what verification and development ask of the options together.
func (c *Config) checkMail(p *Problems) {
	adapter, err := c.MailAdapter()
	if err != nil {
		p.addf("%s", err)
	}
	if c.Development && !loopback(c.Host) {
		p.addf("The option development shows all mails to those who can reach the server: set host to 127.0.0.1, not %q.", c.Host)
	}
	life, err := c.EmailVerifyTokenLife()
	if err != nil {
		p.addf("%s", err)
	}
	if c.EmailVerifyTokenReuseIfValid && life == 0 && err == nil {
		p.addf("You cannot use emailVerifyTokenReuseIfValid without emailVerifyTokenValidityDuration")
	}
	if !c.VerifyUserEmails && !c.custom.verify || c.Development {
		return // development fills in what is missing
	}
	if adapter.Module == "" && err == nil && !c.custom.mail {
		p.addf("An emailAdapter is required for e-mail verification and password resets.")
	}
	if c.AppName == "" {
		p.addf("An app name is required for e-mail verification and password resets.")
	}
	if c.PublicServerURL == "" {
		p.addf("The option publicServerURL is required.")
	}
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// custom is what the embedding program gives in code instead of options.
type custom struct{ verify, mail bool }

// Embed tells Validate of what the program that embeds the server brings: its
// own decision about verification, its own way to send mails.
func (c *Config) Embed(verify, mail bool) { c.custom = custom{verify, mail} }

// absoluteURL reports whether a URL can be redirected to.
func absoluteURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
