package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/pargo-baas/pargo/parse"
)

const (
	// keyCooldown is how long a set of keys is not asked for again because of a
	// key that is not in it: anybody can make up the name of a key.
	keyCooldown = 10 * time.Second
	defaultAge  = time.Hour
)

// keySet caches the public keys of an issuer. It implements [oidc.KeySet].
type keySet struct {
	env    *Env
	url    func(context.Context) (string, error)
	algs   []jose.SignatureAlgorithm
	maxAge time.Duration

	// turn holds one token: whoever has it may read and write the fields below.
	turn    chan struct{}
	keys    []jose.JSONWebKey
	fetched time.Time // when keys came
	asked   time.Time // when they were last asked for
}

var _ oidc.KeySet = (*keySet)(nil)

func newKeySet(e *Env, url string, maxAge time.Duration, algs ...jose.SignatureAlgorithm) *keySet {
	return newKeySetAt(e, func(context.Context) (string, error) { return url, nil }, maxAge, algs...)
}

// newKeySetAt is newKeySet for an address that has to be found out.
func newKeySetAt(e *Env, url func(context.Context) (string, error), maxAge time.Duration, algs ...jose.SignatureAlgorithm) *keySet {
	if maxAge <= 0 {
		maxAge = defaultAge
	}
	return &keySet{env: e, url: url, algs: algs, maxAge: maxAge, turn: make(chan struct{}, 1)}
}

// key returns the key of that name, after the issuer was asked for its keys if
// they are old or do not have it.
func (s *keySet) key(ctx context.Context, kid string) (*jose.JSONWebKey, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := s.env.Now()
	fresh := !s.fetched.IsZero() && now.Sub(s.fetched) < s.maxAge
	if fresh {
		if k := s.find(kid); k != nil {
			return k, nil
		}
	}
	if s.asked.IsZero() || now.Sub(s.asked) >= keyCooldown {
		s.asked = now
		if err := s.fetch(ctx, now); err != nil {
			return nil, err
		}
		fresh = true
	}
	if !fresh {
		return nil, errors.New("the keys of the issuer could not be read a moment ago")
	}
	if k := s.find(kid); k != nil {
		return k, nil
	}
	return nil, invalid("Unable to find matching key for Key ID: %s", kid)
}

func (s *keySet) find(kid string) *jose.JSONWebKey {
	for i := range s.keys {
		if k := &s.keys[i]; kid != "" && k.KeyID == kid && k.Use != "enc" && k.IsPublic() {
			return k
		}
	}
	return nil
}

func (s *keySet) fetch(ctx context.Context, now time.Time) error {
	target, err := s.url(ctx)
	if err != nil {
		return err
	}
	a, err := s.env.client.get(ctx, target)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	if !a.ok() {
		return fmt.Errorf("read keys: status %d", a.status)
	}
	set, err := decodeKeys(a.body)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	s.keys, s.fetched = set, now
	return nil
}

// parse reads a token that is signed once, in a way that this issuer signs.
func (s *keySet) parse(token string) (*jose.JSONWebSignature, error) {
	sig, err := jose.ParseSignedCompact(token, s.algs)
	if err != nil || len(sig.Signatures) != 1 {
		var other *jose.ErrUnexpectedSignatureAlgorithm
		if errors.As(err, &other) {
			return nil, invalid("invalid algorithm")
		}
		return nil, invalid("provided token does not decode as JWT")
	}
	return sig, nil
}

// VerifySignature implements [oidc.KeySet].
func (s *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	sig, err := s.parse(token)
	if err != nil {
		return nil, err
	}
	k, err := s.key(ctx, sig.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, err
	}
	payload, err := sig.Verify(k)
	if err != nil {
		return nil, invalid("invalid signature")
	}
	return payload, nil
}

// idTokens verifies tokens of one issuer.
type idTokens struct {
	keys     *keySet
	verifier *oidc.IDTokenVerifier
	issuers  []string
	// wrongIssuer is the text for a token of another issuer, up to what is expected.
	wrongIssuer string
}

// newIDTokens makes a verifier. The algorithms are those of the keys, never
// those that a token names.
func newIDTokens(e *Env, keys *keySet, wrongIssuer string, issuers ...string) *idTokens {
	algs := make([]string, len(keys.algs))
	for i, a := range keys.algs {
		algs[i] = string(a)
	}
	return &idTokens{
		keys: keys,
		// Issuer and audience are checked by verify, with the texts of the
		// protocol, and with more than one of each.
		verifier: oidc.NewVerifier(issuers[0], keys, &oidc.Config{
			SkipIssuerCheck: true, SkipClientIDCheck: true, SupportedSigningAlgs: algs, Now: e.Now,
		}),
		issuers: issuers, wrongIssuer: wrongIssuer,
	}
}

// verify returns the claims of a token that is signed by the issuer, not
// expired, and meant for one of the audience; a nil audience is not asked for.
func (v *idTokens) verify(ctx context.Context, token string, audience []string) (*oidc.IDToken, *parse.Map, error) {
	// First by itself: the verifier does not pass on the errors of keys.
	payload, err := v.keys.VerifySignature(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	id, err := v.verifier.Verify(ctx, token)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return nil, nil, invalid("jwt expired")
	case err != nil && ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case err != nil && strings.Contains(err.Error(), "nbf"):
		return nil, nil, invalid("jwt not active")
	case err != nil:
		return nil, nil, invalid("provided token does not decode as JWT")
	}
	if audience != nil && !slices.ContainsFunc(id.Audience, func(a string) bool { return a != "" && slices.Contains(audience, a) }) {
		return nil, nil, invalid("jwt audience invalid. expected: %s", strings.Join(audience, " or "))
	}
	if !slices.Contains(v.issuers, id.Issuer) {
		return nil, nil, invalid("%s: %s | from: %s", v.wrongIssuer, v.expected(), id.Issuer)
	}
	claims, err := parse.DecodeMap(payload, parse.DefaultLimits)
	if err != nil {
		return nil, nil, invalid("provided token does not decode as JWT")
	}
	return id, claims, nil
}

func (v *idTokens) expected() string { return strings.Join(v.issuers, " or ") }

// decodeKeys reads a set of keys, without those of kinds that are not known.
func decodeKeys(body []byte) ([]jose.JSONWebKey, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, r := range raw.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(r) == nil {
			keys = append(keys, k)
		}
	}
	return keys, nil
}
