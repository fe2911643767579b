package smtp_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	server "github.com/emersion/go-smtp"

	"github.com/pargo-baas/pargo/internal/mail"
	"github.com/pargo-baas/pargo/internal/mail/smtp"
)

// letter is a mail as a server got it.
type letter struct {
	from, to, user string
	tls            bool
	data           []byte
}

// box is an SMTP server on this machine.
type box struct {
	addr string
	mu   sync.Mutex
	got  []letter // guarded by mu
	// refuse is what it answers to a recipient.
	refuse   error
	password string
}

func (b *box) NewSession(c *server.Conn) (server.Session, error) {
	_, encrypted := c.TLSConnectionState()
	return &session{b: b, letter: letter{tls: encrypted}}, nil
}

type session struct {
	b *box
	letter
}

func (s *session) AuthMechanisms() []string {
	if s.b.password == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != s.b.password {
			return errors.New("wrong password")
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *server.MailOptions) error {
	if s.b.password != "" && s.user == "" {
		return server.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *server.RcptOptions) error {
	s.to = to
	return s.b.refuse
}

func (s *session) Data(r io.Reader) (err error) {
	s.data, err = io.ReadAll(r)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.got = append(s.b.got, s.letter)
	return err
}

func (*session) Reset()        {}
func (*session) Logout() error { return nil }

// quiet is where the server reports clients that do not trust it.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func start(t *testing.T, b *box, change func(*server.Server), wrap func(net.Listener) net.Listener) *box {
	t.Helper()
	srv := server.NewServer(b)
	srv.Domain = "localhost"
	srv.AllowInsecureAuth = true
	srv.ErrorLog = quiet{}
	if change != nil {
		change(srv)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	if wrap != nil {
		l = wrap(l)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = l.Close() // Serve may not have begun, and then srv does not know it
		_ = srv.Close()
		<-done
	})
	return b
}

func (b *box) options(t *testing.T) smtp.Options {
	t.Helper()
	_, port, err := net.SplitHostPort(b.addr)
	if err != nil {
		t.Fatal(err)
	}
	o := smtp.Options{Host: "127.0.0.1", FromAddress: "My App <app@x.y>", Timeout: 5}
	for _, c := range port {
		o.Port = o.Port*10 + int(c-'0')
	}
	return o
}

func send(t *testing.T, o smtp.Options, m mail.Message) error {
	t.Helper()
	a, err := smtp.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a.Send(t.Context(), &m)
}

var message = mail.Message{To: "ann@x.y", Subject: "Grüße", Text: "Hällo\n.\nlink", HTML: "<p>Hällo</p>"}

// parts returns the bodies of a mail by their types.
func parts(t *testing.T, m *netmail.Message) map[string]string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	decode := func(kind, encoding string, r io.Reader) {
		if encoding == "quoted-printable" {
			r = quotedprintable.NewReader(r)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[kind] = strings.ReplaceAll(string(data), "\r\n", "\n")
	}
	if kind != "multipart/alternative" {
		decode(kind, m.Header.Get("Content-Transfer-Encoding"), m.Body)
		return out
	}
	mr := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := mr.NextRawPart()
		if err != nil {
			return out
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		decode(kind, p.Header.Get("Content-Transfer-Encoding"), p)
	}
}

func TestPlainOnThisMachine(t *testing.T) {
	b := start(t, &box{}, nil, nil)
	if err := send(t, b.options(t), message); err != nil {
		t.Fatal(err)
	}
	if len(b.got) != 1 {
		t.Fatalf("got %d mails", len(b.got))
	}
	got := b.got[0]
	if got.from != "app@x.y" || got.to != "ann@x.y" || got.tls {
		t.Errorf("envelope: %+v", got)
	}
	m, err := netmail.ReadMessage(bytes.NewReader(got.data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "Grüße" || m.Header.Get("From") != `"My App" <app@x.y>` || m.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("header: %v", m.Header)
	}
	if m.Header.Get("Date") == "" || !strings.HasSuffix(m.Header.Get("Message-Id"), "@x.y>") || m.Header.Get("User-Agent") != "" {
		t.Errorf("header: %v", m.Header)
	}
	body := parts(t, m)
	if body["text/plain"] != "Hällo\n.\nlink" || body["text/html"] != "<p>Hällo</p>" {
		t.Errorf("body: %q", body)
	}
	plain := message
	plain.HTML = ""
	if err := send(t, b.options(t), plain); err != nil {
		t.Fatal(err)
	}
	if m, err = netmail.ReadMessage(bytes.NewReader(b.got[1].data)); err != nil || strings.TrimSuffix(parts(t, m)["text/plain"], "\n") != message.Text {
		t.Errorf("without HTML: %v %v", m, err)
	}
}

// certificate makes one for 127.0.0.1, and the file of its authority: itself.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1")}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestTLSAndPassword(t *testing.T) {
	cert, ca := certificate(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	for _, way := range []smtp.TLS{smtp.StartTLS, smtp.Implicit, smtp.None} {
		t.Run(string(way), func(t *testing.T) {
			b := &box{password: "secret"}
			switch way {
			case smtp.StartTLS:
				start(t, b, func(s *server.Server) { s.TLSConfig = cfg }, nil)
			case smtp.Implicit:
				start(t, b, nil, func(l net.Listener) net.Listener { return tls.NewListener(l, cfg) })
			case smtp.None:
				start(t, b, nil, nil)
			}
			o := b.options(t)
			o.TLS, o.CAFile, o.Username, o.Password = way, ca, "me", "secret"
			if err := send(t, o, message); err != nil {
				t.Fatal(err)
			}
			if len(b.got) != 1 || b.got[0].user != "me" || b.got[0].tls != (way != smtp.None) {
				t.Errorf("got %+v", b.got)
			}
			o.Password = "wrong"
			if err := send(t, o, message); err == nil {
				t.Error("a wrong password is accepted")
			}
			if way == smtp.None {
				return
			}
			o.Password, o.CAFile = "secret", ""
			if err := send(t, o, message); err == nil {
				t.Error("a certificate of nobody is accepted")
			}
		})
	}
}

func TestNothingIsSentInTheClear(t *testing.T) {
	b := start(t, &box{}, nil, nil) // it does not offer STARTTLS
	o := b.options(t)
	o.TLS = smtp.StartTLS
	if err := send(t, o, message); err == nil || mail.IsPermanent(err) || len(b.got) != 0 {
		t.Errorf("got %v, %d mails", err, len(b.got))
	}
}

func TestErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		refuse    error
		to        string
		permanent bool
	}{
		"no such box":   {&server.SMTPError{Code: 550, EnhancedCode: server.EnhancedCode{5, 1, 1}, Message: "no such box"}, "ann@x.y", true},
		"later":         {&server.SMTPError{Code: 451, EnhancedCode: server.EnhancedCode{4, 3, 0}, Message: "later"}, "ann@x.y", false},
		"no address":    {nil, "ann at x", true},
		"two addresses": {nil, "ann@x.y\r\nRCPT TO:<b@x.y>", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, &box{refuse: tc.refuse}, nil, nil)
			m := message
			m.To = tc.to
			if err := send(t, b.options(t), m); err == nil || mail.IsPermanent(err) != tc.permanent || len(b.got) != 0 {
				t.Errorf("got %v, %d mails", err, len(b.got))
			}
		})
	}
	t.Run("nobody is there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		b := &box{addr: l.Addr().String()}
		_ = l.Close()
		if err := send(t, b.options(t), message); err == nil || mail.IsPermanent(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a server that says nothing", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b := &box{addr: l.Addr().String()}
		a, err := smtp.New(b.options(t))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := a.Send(ctx, &message); err == nil || mail.IsPermanent(err) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOptions(t *testing.T) {
	good := smtp.Options{Host: "mail.example.com", FromAddress: "a@x.y"}
	for name, tc := range map[string]struct {
		change func(*smtp.Options)
		want   string
	}{
		"as it is":              {func(*smtp.Options) {}, ""},
		"implicit":              {func(o *smtp.Options) { o.TLS = smtp.Implicit }, ""},
		"plain, asked for":      {func(o *smtp.Options) { o.TLS, o.AllowInsecure = smtp.None, true }, ""},
		"plain, local":          {func(o *smtp.Options) { o.TLS, o.Host = smtp.None, "localhost" }, ""},
		"plain, local IPv6":     {func(o *smtp.Options) { o.TLS, o.Host = smtp.None, "::1" }, ""},
		"plain over a network":  {func(o *smtp.Options) { o.TLS = smtp.None }, "in the clear to mail.example.com"},
		"plain, looks local":    {func(o *smtp.Options) { o.TLS, o.Host = smtp.None, "localhost.example.com" }, "in the clear"},
		"no host":               {func(o *smtp.Options) { o.Host = "" }, "host is missing"},
		"no sender":             {func(o *smtp.Options) { o.FromAddress = "" }, "fromAddress"},
		"two senders":           {func(o *smtp.Options) { o.FromAddress = "a@x.y, b@x.y" }, "fromAddress"},
		"another way":           {func(o *smtp.Options) { o.TLS = "maybe" }, "starttls, implicit or none"},
		"port":                  {func(o *smtp.Options) { o.Port = 70000 }, "port"},
		"timeout":               {func(o *smtp.Options) { o.Timeout = -1 }, "timeout"},
		"authorities not there": {func(o *smtp.Options) { o.CAFile = "/no/such/file" }, "caFile"},
		"no authorities":        {func(o *smtp.Options) { o.CAFile = "smtp_test.go" }, "has no certificates"},
	} {
		o := good
		tc.change(&o)
		_, err := smtp.New(o)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRecipients: a mail goes to the address that a user has, and to nobody whom
// it only leads to.
func TestRecipients(t *testing.T) {
	for to, ok := range map[string]bool{
		"ann@x.y": true, "ann+tag@x.y": true, `"a b"@x.y`: true, "änn@x.y": true,
		"Bob <ann@x.y>": false, "<ann@x.y>": false, "ann@x.y (a comment)": false, `"ann"@x.y`: false, "ann@x.y, bob@x.y": false, "ann@x.y,bob@x.y": false,
		"a ann@x.y": false, "ann@x.y\r\nBcc: bob@x.y": false, " ann@x.y": true, "ann@x.y ": true, "group: ann@x.y;": false, "": false,
	} {
		b := start(t, &box{}, nil, nil)
		m := message
		m.To = to
		err := send(t, b.options(t), m)
		if ok != (err == nil) || ok != (len(b.got) == 1) || !ok && !mail.IsPermanent(err) {
			t.Errorf("%q: %v, %d mails", to, err, len(b.got))
		}
	}
}
