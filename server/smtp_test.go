package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// postOffice is a mail server that fails the first time.
type postOffice struct {
	failed bool
	got    chan *netmail.Message
}

func (p *postOffice) NewSession(*smtp.Conn) (smtp.Session, error) { return p, nil }

func (*postOffice) Reset()                               {}
func (*postOffice) Logout() error                        { return nil }
func (*postOffice) Mail(string, *smtp.MailOptions) error { return nil }
func (*postOffice) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (p *postOffice) Data(r io.Reader) error {
	if !p.failed {
		p.failed = true
		return &smtp.SMTPError{Code: 451, Message: "later"}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return err
	}
	p.got <- m
	return nil
}

// A server with the options of a file sends its mails over SMTP, and again if
// that fails.
func TestMailOverSMTP(t *testing.T) {
	office := &postOffice{got: make(chan *netmail.Message, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := smtp.NewServer(office)
	srv.Domain = "localhost"
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = l.Close() // Serve may not have begun, and then srv does not know it
		_ = srv.Close()
		<-done
	})
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	s := scenario.Start(t, "sqlite::memory:", func(c *config.Config) {
		c.AppName, c.PublicServerURL, c.VerifyUserEmails = "Tea", public, true
		c.EmailAdapter = json.RawMessage(`{"module":"smtp","options":{"host":"127.0.0.1","port":` + port + `,"fromAddress":"Tea <tea@example.com>"}}`)
	}, nil)
	s.Do(t, &scenario.Step{Method: "POST", Path: "/users", Status: 201, Body: `{"username":"ann","password":"x","email":"ann@example.com"}`})
	select {
	case m := <-office.got:
		if m.Header.Get("Subject") != "Please verify your e-mail for Tea" || m.Header.Get("From") != `"Tea" <tea@example.com>` || !strings.Contains(m.Header.Get("To"), "ann@example.com") {
			t.Errorf("mail: %v", m.Header)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no mail comes")
	}
}
