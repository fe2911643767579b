package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jimlambrt/gldap"

	"github.com/pargo-baas/pargo/internal/auth/provider"
	"github.com/pargo-baas/pargo/parse"
)

// directory is an LDAP server in this process. The password of everybody is "pw".
type directory struct {
	addr string
	mu   sync.Mutex
	dns  []string // of binds; guarded by mu
	// filters of searches, and what is found by them; guarded by mu
	filters []string
	groups  map[string]string
}

func newDirectory(t *testing.T, conf *tls.Config) *directory {
	t.Helper()
	d := &directory{groups: map[string]string{}}
	s, err := gldap.NewServer(gldap.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		t.Fatal(err)
	}
	mux, err := gldap.NewMux()
	if err != nil {
		t.Fatal(err)
	}
	bind := func(w *gldap.ResponseWriter, r *gldap.Request) {
		res := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultInvalidCredentials))
		defer func() { _ = w.Write(res) }()
		m, err := r.GetSimpleBindMessage()
		if err != nil {
			return
		}
		d.mu.Lock()
		d.dns = append(d.dns, m.UserName)
		d.mu.Unlock()
		switch m.Password {
		case "pw", "": // as a real one: without a password it is an anonymous bind
			res.SetResultCode(gldap.ResultSuccess)
		case "busy":
			res.SetResultCode(gldap.ResultBusy)
		}
	}
	search := func(w *gldap.ResponseWriter, r *gldap.Request) {
		res := r.NewSearchDoneResponse(gldap.WithResponseCode(gldap.ResultSuccess))
		defer func() { _ = w.Write(res) }()
		m, err := r.GetSearchMessage()
		if err != nil {
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.filters = append(d.filters, m.Filter)
		switch cn := d.groups[m.Filter]; cn {
		case "":
		case "fail":
			res.SetResultCode(gldap.ResultUnwillingToPerform)
		default:
			_ = w.Write(r.NewSearchResponseEntry("cn="+cn+",o=acme", gldap.WithAttributes(map[string][]string{"cn": {cn}})))
		}
	}
	if err := mux.Bind(bind); err != nil {
		t.Fatal(err)
	}
	if err := mux.Search(search); err != nil {
		t.Fatal(err)
	}
	if err := s.Router(mux); err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	free, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	var opts []gldap.Option
	if conf != nil {
		opts = append(opts, gldap.WithTLSConfig(conf))
	}
	go func() { done <- s.Run(d.addr, opts...) }()
	t.Cleanup(func() {
		_ = s.Stop()
		<-done
	})
	// No connection to find out: the library forgets to wait for one that it
	// is about to take when it is stopped.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !s.Ready() {
		select {
		case err := <-done:
			t.Fatalf("directory: %v", err)
		case <-tick.C:
		}
	}
	return d
}

func (d *directory) binds() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dns
}

func (d *directory) group(filter, cn string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.groups[filter] = cn
}

const wrongPassword = "LDAP: Wrong username or password"

func TestLDAP(t *testing.T) {
	d := newDirectory(t, nil)
	w := newWeb(t)
	at := fmt.Sprintf(`{"url":"ldap://%s","suffix":"o=acme"`, d.addr)
	p := w.make("ldap", at+`}`)
	got := setUp(t, p, `{"id":"ann","password":"pw","more":1}`)
	wantError(t, got.err, 0, "")
	// the password is not stored.
	diff(t, `{"id":"ann","more":1}`, got.saved)
	diff(t, []string{"uid=ann,o=acme"}, d.binds())
	wantError(t, setUp(t, p, `{"id":"ann","password":"x"}`).err, parse.ObjectNotFound, wrongPassword)
	wantError(t, setUp(t, p, `{"id":"ann","password":"busy"}`).err, parse.ObjectNotFound, "LDAP: Somthing went wrong (51)")
	p = w.make("ldap", at+`,"dn":"cn={{id}},ou=people"}`)
	wantError(t, setUp(t, p, `{"id":"bob","password":"pw"}`).err, 0, "")
	diff(t, "cn=bob,ou=people", d.binds()[3])

	d.group("(&(member=ann)(cn=staff))", "staff")
	p = w.make("ldap", at+`,"groupCn":"staff","groupFilter":"(&(member={{id}})(cn=staff))"}`)
	wantError(t, setUp(t, p, `{"id":"ann","password":"pw"}`).err, 0, "")
	wantError(t, setUp(t, p, `{"id":"bob","password":"pw"}`).err, parse.InternalServerError, "LDAP: User not in group")
	d.group("(&(member=bob)(cn=staff))", "guests")
	wantError(t, setUp(t, p, `{"id":"bob","password":"pw"}`).err, parse.InternalServerError, "LDAP: User not in group")
	d.group("(&(member=bob)(cn=staff))", "fail")
	wantError(t, setUp(t, p, `{"id":"bob","password":"pw"}`).err, parse.InternalServerError, "LDAP group search failed")

	for options, text := range map[string]string{
		`{}`:                                "LDAP auth configuration missing: url and suffix, or url and dn",
		`{"url":"http://x","suffix":"o=a"}`: "url must start with ldap:// or ldaps://",
		`{"url":"ldap://x","dn":"cn=x"}`:    "dn must have {{id}} where the id belongs",
		`{"url":"ldap://x","suffix":"o=a","groupCn":"g"}`:                      "groupCn and groupFilter belong together",
		`{"url":"ldap://x","suffix":"o=a","groupCn":"g","groupFilter":"(cn="}`: "*",
		`{"url":"ldaps://x","suffix":"o=a","tlsOptions":{"ca":"x"}}`:           "tlsOptions: ca must be certificates in PEM",
	} {
		_, err := provider.New("ldap", []byte(options), w.env())
		if err == nil || text != "*" && err.Error() != "auth.ldap: "+text {
			t.Errorf("%s: %v", options, err)
		}
	}
}

// an id does not get out of its place in a name or a filter.
func TestAdvisory_GHSA_7m6r_fhh7_r47c(t *testing.T) {
	d := newDirectory(t, nil)
	p := newWeb(t).make("ldap", fmt.Sprintf(`{"url":"ldap://%s","suffix":"o=acme","groupCn":"g","groupFilter":"(uid={{id}})"}`, d.addr))
	wantError(t, setUp(t, p, `{"id":"*)(uid=*","password":"pw"}`).err, parse.InternalServerError, "LDAP: User not in group")
	wantError(t, setUp(t, p, `{"id":"admin,ou=root","password":"pw"}`).err, parse.InternalServerError, "LDAP: User not in group")
	diff(t, []string{`uid=*)(uid=*,o=acme`, `uid=admin\,ou=root,o=acme`}, d.binds())
	diff(t, []string{`(uid=\2a\29\28uid=\2a)`, `(uid=admin,ou=root)`}, d.filters)
}

// no password is none, and the directory is not asked.
func TestAdvisory_GHSA_863r_39r9_vfcf(t *testing.T) {
	d := newDirectory(t, nil)
	p := newWeb(t).make("ldap", fmt.Sprintf(`{"url":"ldap://%s","suffix":"o=acme"}`, d.addr))
	for _, data := range []string{`{"id":"ann","password":""}`, `{"id":"ann"}`, `{"id":"ann","password":null}`, `{"id":"ann","password":{"a":1}}`, `{"password":"pw"}`} {
		wantError(t, setUp(t, p, data).err, parse.ObjectNotFound, wrongPassword)
	}
	diff(t, 0, len(d.binds()))
}

func TestLDAPS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	d := newDirectory(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12})
	w := newWeb(t)
	ca, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf(`{"url":"ldaps://%s","suffix":"o=acme","tlsOptions":`, d.addr)
	data := `{"id":"ann","password":"pw"}`
	wantError(t, setUp(t, w.make("ldap", at+`{"ca":`+string(ca)+`}}`), data).err, 0, "")
	wantError(t, setUp(t, w.make("ldap", at+`{}}`), data).err, parse.ObjectNotFound, "LDAPS: Certificate mismatch")
	wantError(t, setUp(t, w.make("ldap", at+`{"ca":`+string(ca)+`,"servername":"other.example"}}`), data).err, parse.ObjectNotFound, "LDAPS: Certificate mismatch")
	wantError(t, setUp(t, w.make("ldap", at+`{"rejectUnauthorized":false}}`), data).err, 0, "")
}
