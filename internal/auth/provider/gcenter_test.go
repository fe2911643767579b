package provider_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/auth/provider"
	"github.com/pargo-baas/pargo/parse"
)

// certify makes a certificate of the key, signed by the parent or by itself.
func certify(t testing.TB, key, parentKey *rsa.PrivateKey, parent *x509.Certificate) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: fmt.Sprint(parent == nil)}, NotBefore: start.Add(-time.Hour),
		NotAfter: start.Add(48 * time.Hour), IsCA: parent == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGameCenter(t *testing.T) {
	w := newWeb(t)
	root := newSigner(t, "", 0).priv.(*rsa.PrivateKey)
	apple := newSigner(t, "", 1).priv.(*rsa.PrivateKey)
	rogue := newSigner(t, "", 2).priv.(*rsa.PrivateKey)
	rootCert := certify(t, root, root, nil)
	good := certify(t, apple, root, rootCert)
	bad := certify(t, rogue, rogue, nil)
	rootAt := "cacerts.digicert.com/DigiCertTrustedG4CodeSigningRSA4096SHA3842021CA1.crt.pem"
	w.serve("static.gc.apple.com/public-key/gc-prod-10.cer", string(good.Raw))
	w.serve("static.gc.apple.com/rogue.cer", string(bad.Raw))
	w.serve("static.gc.apple.com/text.cer", "no certificate")
	sign := func(key *rsa.PrivateKey, id, bundle string, stamp uint64) string {
		var b []byte
		b = append(b, id...)
		b = append(b, bundle...)
		b = binary.BigEndian.AppendUint64(b, stamp)
		b = append(b, "salt"...)
		sum := sha256.Sum256(b)
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(sig)
	}
	data := func(id, at, sig string) string {
		return fmt.Sprintf(`{"id":%q,"publicKeyUrl":%q,"timestamp":1893499200000,"signature":%q,"salt":%q}`, id, at, sig, base64.StdEncoding.EncodeToString([]byte("salt")))
	}
	const stamp, at = 1893499200000, "https://static.gc.apple.com/public-key/gc-prod-10.cer"
	right := data("G:1", at, sign(apple, "G:1", "our.bundle", stamp))

	p := w.make("gcenter", `{"bundleId":"our.bundle"}`)
	w.serve(rootAt, "", http.StatusNotFound)
	wantError(t, setUp(t, p, right).err, parse.ObjectNotFound, "Root certificate is invalid or missing.")
	w.serve(rootAt, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootCert.Raw})))
	wantError(t, setUp(t, p, right).err, 0, "")
	wantError(t, setUp(t, p, right).err, 0, "")
	diff(t, 1, w.requests("static.gc.apple.com/public-key/gc-prod-10.cer"))

	const invalid = "Invalid signature."
	for _, tt := range []struct{ name, data, text string }{
		{"another player", data("G:2", at, sign(apple, "G:1", "our.bundle", stamp)), invalid},
		{"another game", data("G:1", at, sign(apple, "G:1", "their.bundle", stamp)), invalid},
		{"another time", data("G:1", at, sign(apple, "G:1", "our.bundle", stamp+1)), invalid},
		{"another key", data("G:1", at, sign(rogue, "G:1", "our.bundle", stamp)), invalid},
		{"no base64", data("G:1", at, "%%"), invalid},
		{"no signature", strings.Replace(right, `"signature"`, `"x"`, 1), "AuthData signature is missing."},
		{"no id", strings.Replace(right, `"id"`, `"x"`, 1), "AuthData id is missing."},
	} {
		t.Run(tt.name, func(t *testing.T) { wantError(t, setUp(t, p, tt.data).err, parse.ObjectNotFound, tt.text) })
	}
	// the certificate is Apple's, and signed by the root.
	for _, url := range []string{
		"https://static.gc.apple.com/rogue.cer", "https://static.gc.apple.com/text.cer", "http://static.gc.apple.com/public-key/gc-prod-10.cer",
		"https://evil.example/gc.cer", "https://apple.com.evil.example/gc.cer", "https://evilapple.com/gc.cer", "https://evil.example/apple.com/gc.cer",
		"https://apple.com@evil.example/gc.cer", "https://evil.example#.apple.com/gc.cer", "https://static.gc.apple.com/x.cer?u=https://evil.example",
		"https://static.gc.apple.com:8443/gc.cer", "https://static.gc.apple.com/gc.pem", "x",
	} {
		got := setUp(t, p, data("G:1", url, sign(rogue, "G:1", "our.bundle", stamp)))
		wantError(t, got.err, parse.ObjectNotFound, "Invalid publicKeyUrl: "+url)
	}
	w.wait(72 * time.Hour) // the certificates have expired
	wantError(t, setUp(t, p, right).err, parse.ObjectNotFound, "Invalid publicKeyUrl: "+at)
	for _, options := range []string{`{}`, `{"bundleId":"b","rootCertificateUrl":"http://x/y"}`} {
		if _, err := provider.New("gcenter", []byte(options), w.env()); err == nil {
			t.Error(options)
		}
	}
}
