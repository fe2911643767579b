// Package smtp sends mails over SMTP. It does not send a mail in the clear
// over a network unless it was asked to.
package smtp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/pargo-baas/pargo/internal/mail"
)

// TLS says how the connection to the mail server is protected.
type TLS string

// Ways to protect a connection.
const (
	// StartTLS begins in the clear and asks for TLS before anything else; without it nothing is sent.
	StartTLS TLS = "starttls"
	// Implicit is TLS from the first byte, as on port 465.
	Implicit TLS = "implicit"
	// None is no protection: to servers on this machine, or with AllowInsecure.
	None TLS = "none"
)

// Options are those of emailAdapter with the module smtp.
type Options struct {
	Host string `json:"host"`
	// Port; 0: 587 with StartTLS, 465 with Implicit, 25 with None.
	Port int `json:"port"`
	// FromAddress is the sender: an address, or Name <address>.
	FromAddress string `json:"fromAddress"`
	// Username and Password are used if the first is not "".
	Username string `json:"username"`
	Password string `json:"password"`
	// TLS; "": Implicit on port 465, None on this machine, else StartTLS.
	TLS TLS `json:"tls"`
	// AllowInsecure allows None to servers on other machines.
	AllowInsecure bool `json:"allowInsecure"`
	// CAFile names a file with the certificates of authorities to trust
	// instead of those of the system.
	CAFile string `json:"caFile"`
	// Timeout in seconds of connecting and of each answer; 0: 15.
	Timeout int `json:"timeout"`
}

// Adapter sends mails to one server. It holds no connection between mails.
type Adapter struct {
	from    *netmail.Address
	timeout time.Duration
	host    string
	options []gomail.Option
}

var _ mail.Adapter = (*Adapter)(nil)

// New checks the options. It does not connect.
func New(o Options) (*Adapter, error) {
	if o.Host == "" {
		return nil, errors.New("host is missing")
	}
	from, err := netmail.ParseAddress(o.FromAddress)
	if err != nil {
		return nil, fmt.Errorf("fromAddress %q is no address of a sender", o.FromAddress)
	}
	if o.Port < 0 || o.Port > 65535 {
		return nil, fmt.Errorf("port must be between 1 and 65535, not %d", o.Port)
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("timeout must be a number of seconds, not %d", o.Timeout)
	}
	local := loopback(o.Host)
	if o.TLS == "" {
		switch {
		case o.Port == 465:
			o.TLS = Implicit
		case local:
			o.TLS = None
		default:
			o.TLS = StartTLS
		}
	}
	timeout := 15 * time.Second
	if o.Timeout > 0 {
		timeout = time.Duration(o.Timeout) * time.Second
	}
	a := &Adapter{from: from, host: o.Host, timeout: timeout}
	port := 25
	switch o.TLS {
	case StartTLS:
		port = 587
		a.options = append(a.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case Implicit:
		port = 465
		a.options = append(a.options, gomail.WithSSL())
	case None:
		if !local && !o.AllowInsecure {
			return nil, fmt.Errorf("tls none sends mails, with the tokens in them, in the clear to %s: use starttls or implicit, or set allowInsecure", o.Host)
		}
		a.options = append(a.options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, fmt.Errorf("tls must be starttls, implicit or none, not %q", o.TLS)
	}
	if o.Port > 0 {
		port = o.Port
	}
	a.options = append(a.options, gomail.WithPort(port))
	if o.CAFile != "" {
		cfg, err := trust(o.CAFile, o.Host)
		if err != nil {
			return nil, err
		}
		a.options = append(a.options, gomail.WithTLSConfig(cfg))
	}
	if o.Username != "" {
		kind := gomail.SMTPAuthAutoDiscover
		if o.TLS == None {
			kind = gomail.SMTPAuthPlainNoEnc
		}
		a.options = append(a.options, gomail.WithSMTPAuth(kind), gomail.WithUsername(o.Username), gomail.WithPassword(o.Password))
	}
	// What the library itself finds wrong shows now, not with the first mail.
	if _, err := gomail.NewClient(a.host, a.options...); err != nil {
		return nil, err
	}
	return a, nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.Unmap().IsLoopback()
}

func trust(file, host string) (*tls.Config, error) {
	pem, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("caFile: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("caFile %s has no certificates", file)
	}
	return &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12}, nil
}

// bare refuses what is more than an address. Users choose theirs freely: with a
// name, a comment or quotes around it one box would have any number of addresses,
// each with mails of its own, and a text of a stranger's in them.
func bare(to string) error {
	a, err := netmail.ParseAddress(to)
	if err != nil {
		return err
	}
	if a.Address != to && (&netmail.Address{Address: a.Address}).String() != "<"+to+">" {
		return errors.New("it is not a mere address")
	}
	return nil
}

// Send implements mail.Adapter. What the server refuses for good is permanent.
func (a *Adapter) Send(ctx context.Context, m *mail.Message) error {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(a.from.String()); err != nil {
		return mail.Permanent(fmt.Errorf("sender: %w", err))
	}
	to := strings.TrimSpace(m.To)
	if err := bare(to); err != nil {
		return mail.Permanent(fmt.Errorf("recipient: %w", err))
	}
	if err := msg.To(to); err != nil {
		return mail.Permanent(fmt.Errorf("recipient: %w", err))
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	// Of the sender's domain: the name of this machine is nobody's business.
	msg.SetMessageIDWithValue(rand.Text() + a.from.Address[strings.LastIndexByte(a.from.Address, '@'):])
	// Others answer to mails of machines with mails of machines, unless told not to.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	// The library heeds ctx while it connects, its own timeout afterwards.
	timeout := a.timeout
	if end, ok := ctx.Deadline(); ok {
		timeout = max(time.Millisecond, min(timeout, time.Until(end)))
	}
	client, err := gomail.NewClient(a.host, append(slices.Clip(a.options), gomail.WithTimeout(timeout))...)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	var (
		refused *gomail.SendError
		dns     *net.DNSError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && !refused.IsTemp() && refused.ErrorCode() >= 500:
		return mail.Permanent(err)
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("there is no mail server %s: %w", a.host, err)
	}
	return err
}
