package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// directory is an LDAP server to which users log in by their password there.
type directory struct {
	url                  string
	tls                  *tls.Config
	suffix, dn           string
	groupCn, groupFilter string
}

var _ cloudcode.AuthProvider = (*directory)(nil)

// tlsOptions are those of Node.js, as existing configurations have them.
type tlsOptions struct {
	CA                 oneOrMany `json:"ca"`
	Cert               string    `json:"cert"`
	Key                string    `json:"key"`
	ServerName         string    `json:"servername"`
	RejectUnauthorized *bool     `json:"rejectUnauthorized"`
}

func newLDAP(raw json.RawMessage, _ *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		URL         string      `json:"url"`
		Suffix      string      `json:"suffix"`
		DN          string      `json:"dn"`
		GroupCn     string      `json:"groupCn"`
		GroupFilter string      `json:"groupFilter"`
		TLS         *tlsOptions `json:"tlsOptions"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	u, err := url.Parse(o.URL)
	switch {
	case o.URL == "" || o.Suffix == "" && o.DN == "":
		return nil, errors.New("LDAP auth configuration missing: url and suffix, or url and dn")
	case err != nil || u.Host == "" || u.Scheme != "ldap" && u.Scheme != "ldaps":
		return nil, errors.New("url must start with ldap:// or ldaps://")
	case o.DN != "" && !strings.Contains(o.DN, "{{id}}"):
		return nil, errors.New("dn must have {{id}} where the id belongs")
	case (o.GroupCn == "") != (o.GroupFilter == ""):
		return nil, errors.New("groupCn and groupFilter belong together")
	case o.GroupCn != "" && o.Suffix == "":
		return nil, errors.New("groupCn needs suffix, below which groups are searched")
	}
	p := &directory{url: o.URL, suffix: o.Suffix, dn: o.DN, groupCn: o.GroupCn, groupFilter: o.GroupFilter}
	if p.dn == "" {
		p.dn = "uid={{id}}," + o.Suffix
	}
	if p.groupFilter != "" {
		if _, err := ldap.CompileFilter(fill(p.groupFilter, "x")); err != nil {
			return nil, fmt.Errorf("groupFilter: %w", err)
		}
	}
	if u.Scheme == "ldaps" {
		if p.tls, err = o.TLS.config(u.Hostname()); err != nil {
			return nil, fmt.Errorf("tlsOptions: %w", err)
		}
	}
	return p, nil
}

func (o *tlsOptions) config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if o == nil {
		return c, nil
	}
	if o.ServerName != "" {
		c.ServerName = o.ServerName
	}
	if len(o.CA) > 0 {
		c.RootCAs = x509.NewCertPool()
		for _, pem := range o.CA {
			if !c.RootCAs.AppendCertsFromPEM([]byte(pem)) {
				return nil, errors.New("ca must be certificates in PEM")
			}
		}
	}
	if o.Cert != "" || o.Key != "" {
		pair, err := tls.X509KeyPair([]byte(o.Cert), []byte(o.Key))
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if o.RejectUnauthorized != nil && !*o.RejectUnauthorized {
		c.InsecureSkipVerify = true // the operator asks for it by name
	}
	return c, nil
}

// fill puts an escaped id into a template.
func fill(template, id string) string { return strings.ReplaceAll(template, "{{id}}", id) }

// Authenticate implements [cloudcode.AuthProvider].
func (p *directory) Authenticate(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	id, password := r.Data.String("id"), r.Data.String("password")
	// A bind without a password succeeds, as nobody: it proves nothing.
	if id == "" || password == "" {
		return nil, invalid("LDAP: Wrong username or password")
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, p.failure(err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	conn.SetTimeout(requestTimeout)
	if err := conn.Bind(fill(p.dn, ldap.EscapeDN(id)), password); err != nil {
		return nil, p.failure(err)
	}
	if p.groupCn != "" {
		if err := p.inGroup(conn, id); err != nil {
			return nil, err
		}
	}
	save := r.Data.Clone()
	save.Delete("password")
	return &cloudcode.AuthResponse{Save: save}, nil
}

func (p *directory) dial(ctx context.Context) (*ldap.Conn, error) {
	d := &net.Dialer{Timeout: requestTimeout}
	if at, ok := ctx.Deadline(); ok {
		d.Deadline = at
	}
	opts := []ldap.DialOpt{ldap.DialWithDialer(d)}
	if p.tls != nil {
		opts = append(opts, ldap.DialWithTLSConfig(p.tls))
	}
	return ldap.DialURL(p.url, opts...)
}

// failure is what the client reads; texts are those of the reference.
func (p *directory) failure(err error) error {
	var le *ldap.Error
	var ce *tls.CertificateVerificationError
	switch {
	case errors.As(err, &ce):
		return invalid("LDAPS: Certificate mismatch")
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials):
		return invalid("LDAP: Wrong username or password")
	case errors.As(err, &le):
		return invalid("LDAP: Somthing went wrong (%d)", le.ResultCode)
	}
	return fmt.Errorf("ldap: %w", err)
}

// inGroup searches, as the user, for a group that he is in.
func (p *directory) inGroup(conn *ldap.Conn, id string) error {
	res, err := conn.Search(ldap.NewSearchRequest(
		p.suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, int(requestTimeout.Seconds()), false,
		fill(p.groupFilter, ldap.EscapeFilter(id)), []string{"cn"}, nil,
	))
	if err != nil {
		return refused("LDAP group search failed")
	}
	for _, entry := range res.Entries {
		if slices.Contains(entry.GetAttributeValues("cn"), p.groupCn) {
			return nil
		}
	}
	return refused("LDAP: User not in group")
}

// refused has the code of the reference, but not its status: nothing is wrong
// with the server.
func refused(text string) error {
	return &parse.Error{Code: parse.InternalServerError, Message: text, Status: http.StatusBadRequest}
}
