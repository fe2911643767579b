package provider

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

const (
	digicert = "https://cacerts.digicert.com/DigiCertTrustedG4CodeSigningRSA4096SHA3842021CA1.crt.pem"
	// certificateAge is how long a certificate of Apple is used before it is read again.
	certificateAge = 24 * time.Hour
	// maxCertificates bounds the cache: the address comes from the client.
	maxCertificates = 8
)

// applePath is where Apple has certificates; the host is checked by itself.
var (
	appleHost = regexp.MustCompile(`^([A-Za-z0-9-]+\.)*apple\.com$`)
	applePath = regexp.MustCompile(`^/[A-Za-z0-9/._-]*\.cer$`)
)

// gameCenter checks the signature that Apple gives a player of Game Center.
type gameCenter struct {
	env    *Env
	bundle string
	rootAt string

	mu    sync.Mutex
	root  *x509.CertPool          // guarded by mu
	certs map[string]*certificate // guarded by mu; by address
}

type certificate struct {
	key  *rsa.PublicKey
	read time.Time
}

func newGameCenter(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		BundleID string `json:"bundleId"`
		RootURL  string `json:"rootCertificateUrl"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	if o.BundleID == "" {
		return nil, errors.New("bundleId is missing")
	}
	if o.RootURL == "" {
		o.RootURL = digicert
	}
	if u, err := url.Parse(o.RootURL); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("Invalid rootCertificateURL.")
	}
	return &gameCenter{env: e, bundle: o.BundleID, rootAt: o.RootURL, certs: map[string]*certificate{}}, nil
}

// Authenticate implements [cloudcode.AuthProvider].
func (p *gameCenter) Authenticate(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	for _, key := range [...]string{"id", "publicKeyUrl", "timestamp", "signature", "salt"} {
		if get(r.Data, key) == "" {
			return nil, invalid("AuthData %s is missing.", key)
		}
	}
	at := r.Data.String("publicKeyUrl")
	if !ofApple(at) {
		return nil, invalid("Invalid publicKeyUrl: %s", at)
	}
	stamp, err1 := timestamp(r.Data)
	sig, err2 := base64.StdEncoding.DecodeString(r.Data.String("signature"))
	salt, err3 := base64.StdEncoding.DecodeString(r.Data.String("salt"))
	if errors.Join(err1, err2, err3) != nil {
		return nil, invalid("Invalid signature.")
	}
	key, err := p.key(ctx, at)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	h.Write([]byte(r.Data.String("id")))
	h.Write([]byte(p.bundle))
	_ = binary.Write(h, binary.BigEndian, stamp) // a hash takes everything
	h.Write(salt)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, h.Sum(nil), sig) != nil {
		return nil, invalid("Invalid signature.")
	}
	return nil, nil
}

// ofApple reports whether an address is that of a certificate of Apple's.
func ofApple(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "https" && u.User == nil && u.RawQuery == "" && u.Fragment == "" &&
		appleHost.MatchString(u.Host) && applePath.MatchString(u.Path)
}

func timestamp(data *parse.Map) (uint64, error) {
	var n uint64
	_, err := fmt.Sscanf(get(data, "timestamp"), "%d", &n)
	return n, err
}

// key returns the key of a certificate that the root has signed.
func (p *gameCenter) key(ctx context.Context, at string) (*rsa.PublicKey, error) {
	now := p.env.Now()
	p.mu.Lock()
	c, root := p.certs[at], p.root
	p.mu.Unlock()
	if c != nil && now.Sub(c.read) < certificateAge {
		return c.key, nil
	}
	if root == nil {
		var err error
		if root, err = p.readRoot(ctx); err != nil {
			return nil, err
		}
	}
	a, err := p.env.client.get(ctx, at)
	if err != nil {
		return nil, err
	}
	der := a.body
	if block, _ := pem.Decode(der); block != nil {
		der = block.Bytes
	}
	cert, err := x509.ParseCertificate(der)
	if !a.ok() || err != nil {
		return nil, invalid("Invalid publicKeyUrl: %s", at)
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	_, err = cert.Verify(x509.VerifyOptions{Roots: root, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if !ok || err != nil {
		return nil, invalid("Invalid publicKeyUrl: %s", at)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.root = root
	if len(p.certs) >= maxCertificates {
		clear(p.certs)
	}
	p.certs[at] = &certificate{key, now}
	return key, nil
}

func (p *gameCenter) readRoot(ctx context.Context) (*x509.CertPool, error) {
	a, err := p.env.client.get(ctx, p.rootAt)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !a.ok() || !pool.AppendCertsFromPEM(a.body) {
		return nil, invalid("Root certificate is invalid or missing.")
	}
	return pool, nil
}
