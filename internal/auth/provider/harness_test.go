package provider_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/auth/provider"
	"github.com/pargo-baas/pargo/parse"
)

// start is the time of all tests.
var start = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// web is all the servers of providers there are: one real server, which gets
// the requests for every host.
type web struct {
	t   testing.TB
	srv *httptest.Server

	mu       sync.Mutex
	handlers map[string]http.HandlerFunc // by host and path; guarded by mu
	asked    map[string]int              // guarded by mu
	now      time.Time                   // guarded by mu
}

func newWeb(t testing.TB) *web {
	w := &web{t: t, handlers: map[string]http.HandlerFunc{}, asked: map[string]int{}, now: start}
	w.srv = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		key := r.Host + r.URL.Path
		w.mu.Lock()
		h := w.handlers[key]
		w.asked[key]++
		w.mu.Unlock()
		if h == nil {
			http.NotFound(rw, r)
			return
		}
		h(rw, r)
	}))
	t.Cleanup(w.srv.Close)
	return w
}

// RoundTrip sends a request for any host to the one server.
func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	at, err := url.Parse(w.srv.URL)
	if err != nil {
		return nil, err
	}
	to := r.Clone(r.Context())
	to.Host, to.URL.Scheme, to.URL.Host = r.URL.Host, at.Scheme, at.Host
	return http.DefaultTransport.RoundTrip(to)
}

func (w *web) handle(at string, h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handlers[at] = h
}

// serve answers with a body; the status is 200 unless another is given.
func (w *web) serve(at, body string, status ...int) {
	w.handle(at, func(rw http.ResponseWriter, _ *http.Request) {
		for _, st := range status {
			rw.WriteHeader(st)
		}
		_, _ = rw.Write([]byte(body))
	})
}

func (w *web) requests(at string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[at]
}

func (w *web) total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for c := range maps.Values(w.asked) {
		n += c
	}
	return n
}

func (w *web) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *web) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *web) env() provider.Env {
	return provider.Env{Transport: w, Now: w.clock, Secret: []byte("secret")}
}

// make makes a provider that must be right.
func (w *web) make(name, options string, change ...func(*provider.Env)) cloudcode.AuthProvider {
	w.t.Helper()
	e := w.env()
	for _, f := range change {
		f(&e)
	}
	p, err := provider.New(name, json.RawMessage(options), e)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func object(t testing.TB, s string) *parse.Map {
	t.Helper()
	if s == "" {
		return nil
	}
	m, err := parse.DecodeMap([]byte(s), parse.DefaultLimits)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return m
}

func encode(v parse.Value) string { return string(parse.AppendJSON(nil, v)) }

// outcome is what a request to a provider came to.
type outcome struct {
	saved, reply string
	err          error
}

// ask does what a login does: prepare, then authenticate.
func ask(ctx context.Context, p cloudcode.AuthProvider, r *cloudcode.AuthRequest) outcome {
	if prep, ok := p.(cloudcode.AuthPreparer); ok {
		if err := prep.Prepare(ctx, r); err != nil {
			return outcome{err: err}
		}
	}
	res, err := p.Authenticate(ctx, r)
	out := outcome{saved: encode(r.Data), err: err}
	if res != nil {
		if res.Reply != nil {
			out.reply = encode(res.Reply)
		}
		switch {
		case res.Keep:
			out.saved = ""
		case res.Save != nil:
			out.saved = encode(res.Save)
		}
	}
	return out
}

// setUp asks a provider about somebody who signs up.
func setUp(t testing.TB, p cloudcode.AuthProvider, data string) outcome {
	t.Helper()
	return ask(t.Context(), p, &cloudcode.AuthRequest{Step: cloudcode.AuthSetUp, Data: object(t, data)})
}

func wantError(t testing.TB, err error, code parse.Code, text string) {
	t.Helper()
	var pe *parse.Error
	switch {
	case code == 0 && err == nil:
	case !errors.As(err, &pe):
		t.Errorf("got %v, want %d %q", err, code, text)
	case pe.Code != code || text != "*" && pe.Message != text:
		t.Errorf("got %d %q, want %d %q", pe.Code, pe.Message, code, text)
	}
}

func diff(t testing.TB, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// signer is the issuer's side of signed tokens.
type signer struct {
	t    testing.TB
	kid  string
	alg  jose.SignatureAlgorithm
	priv crypto.Signer
}

var (
	rsaOnce sync.Once
	rsaKeys []*rsa.PrivateKey
)

// newSigner makes a signer with an RSA key; keys are made once for all tests.
func newSigner(t testing.TB, kid string, n int) *signer {
	t.Helper()
	rsaOnce.Do(func() {
		for range 3 {
			k, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			rsaKeys = append(rsaKeys, k)
		}
	})
	return &signer{t: t, kid: kid, alg: jose.RS256, priv: rsaKeys[n]}
}

func newECSigner(t testing.TB, kid string) *signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t: t, kid: kid, alg: jose.ES256, priv: k}
}

// sign makes a token of claims in JSON.
func (s *signer) sign(claims string) string {
	s.t.Helper()
	return signWith(s.t, s.alg, s.priv, s.kid, claims)
}

func signWith(t testing.TB, alg jose.SignatureAlgorithm, key any, kid, claims string) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", kid).WithType("JWT")
	sg, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := sg.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	out, err := obj.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// jwks is the set of keys of signers.
func jwks(t testing.TB, signers ...*signer) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, s := range signers {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.priv.Public(), KeyID: s.kid, Algorithm: string(s.alg), Use: "sig"})
	}
	out, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
