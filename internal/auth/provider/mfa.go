package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// Fields of what is stored for a user; secret, recovery, mobile, pending,
// token and expiry are those of Parse Server.
const (
	mfaSecret   = "secret"
	mfaRecovery = "recovery"
	mfaMobile   = "mobile"
	mfaPending  = "pending"
	mfaToken    = "token"
	mfaExpiry   = "expiry"
	// mfaStep is the step of time of the last code that opened the account.
	mfaStep = "lastStep"
)

const (
	minSecret      = 20 // characters
	recoveryCodes  = 2
	recoveryLength = 30
	// hashedPrefix begins a recovery code of which only the hash is kept. One
	// without it is from Parse Server, and the code itself.
	hashedPrefix = "sha256:"
)

// mfa is the second factor of a user (reference 03 §9): a code that an app
// makes, or one that is sent to a telephone.
type mfa struct {
	env       *Env
	codes     totp
	sms, totp bool
}

var (
	_ cloudcode.AuthProvider  = (*mfa)(nil)
	_ cloudcode.AuthPoliced   = (*mfa)(nil)
	_ cloudcode.AuthPresenter = (*mfa)(nil)
)

func newMFA(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o map[string]any
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	kinds, ok := o["options"].([]any)
	if !ok {
		return nil, errors.New("mfa.options must be an array")
	}
	m := &mfa{env: e, sms: slices.Contains(kinds, any("SMS")), totp: slices.Contains(kinds, any("TOTP"))}
	digits, period, algorithm := 6.0, 30.0, "SHA1"
	for key, v := range o {
		var ok bool
		switch key {
		case "options", "enabled", "enableInsecureAuth":
			continue
		case "digits":
			digits, ok = v.(float64)
		case "period":
			period, ok = v.(float64)
		case "algorithm":
			if algorithm, ok = v.(string); !ok {
				return nil, errors.New("mfa.algorithm must be a string")
			}
		default:
			return nil, fmt.Errorf("unknown field %q", key)
		}
		if !ok {
			return nil, fmt.Errorf("mfa.%s must be a number", key)
		}
	}
	h := hashes[strings.ReplaceAll(strings.ToUpper(algorithm), "-", "")]
	switch {
	case !m.sms && !m.totp:
		return nil, errors.New("mfa.options must include SMS or TOTP")
	case digits < 4 || digits > 10 || digits != float64(int(digits)):
		return nil, errors.New("mfa.digits must be between 4 and 10")
	case period < 10 || period != float64(int64(period)):
		return nil, errors.New("mfa.period must be greater than 10")
	case h == nil:
		return nil, errors.New("mfa.algorithm must be SHA1, SHA224, SHA256, SHA384 or SHA512")
	case m.sms && e.SendSMS == nil:
		return nil, errors.New("mfa.sendSMS callback must be defined when using SMS OTPs")
	}
	m.codes = totp{digits: int(digits), period: int64(period), hash: h}
	return m, nil
}

func errMFA(text string) error { return parse.Errorf(parse.ScriptFailed, "%s", text) }

var (
	errMFAData  = errMFA("Invalid MFA data")
	errMFAToken = &parse.Error{Code: parse.ScriptFailed, Message: "Invalid MFA token", Err: cloudcode.ErrWrongCode}
)

// Policy implements [cloudcode.AuthPoliced]: a number that is not confirmed yet
// does not count.
func (m *mfa) Policy(stored *parse.Map) cloudcode.AuthPolicy {
	if m.sms && stored.Has(mfaPending) && stored.Len() == 1 {
		return cloudcode.AuthDefault
	}
	return cloudcode.AuthAdditional
}

// Present implements [cloudcode.AuthPresenter]: the user learns that he has a
// second factor, no more.
func (m *mfa) Present(c cloudcode.Caller, stored *parse.Map) *parse.Map {
	if c.Master {
		return stored
	}
	status := "disabled"
	if m.totp && stored.String(mfaSecret) != "" || m.sms && stored.String(mfaMobile) != "" {
		status = "enabled"
	}
	return parse.NewMap(parse.MapField{Key: "status", Value: status})
}

// Authenticate implements [cloudcode.AuthProvider].
func (m *mfa) Authenticate(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	switch r.Step {
	case cloudcode.AuthSetUp:
		return m.setUp(ctx, r)
	case cloudcode.AuthLogin:
		return m.login(ctx, r.Data, r.Stored)
	case cloudcode.AuthUpdate:
		return m.update(ctx, r)
	case cloudcode.AuthChallenge:
	}
	return nil, errMFAData // it identifies nobody
}

func (m *mfa) setUp(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	switch {
	case m.sms && r.Data.Has(mfaMobile):
		return m.startMobile(ctx, r.Data)
	case m.totp:
		return m.setUpCodes(r.Data)
	}
	return nil, errMFAData
}

func (m *mfa) setUpCodes(data *parse.Map) (*cloudcode.AuthResponse, error) {
	text, token := data.String(mfaSecret), data.String(mfaToken)
	if len(text) < minSecret || token == "" {
		return nil, errMFAData
	}
	key, err := secret(text)
	if err != nil {
		return nil, errMFAData
	}
	if _, ok := m.codes.check(key, token, m.env.Now(), 0); !ok {
		return nil, errMFAToken
	}
	var codes []string
	var kept parse.Array
	for range recoveryCodes {
		code := parse.NewObjectID(recoveryLength)
		codes = append(codes, code)
		kept = append(kept, hashed(code))
	}
	return &cloudcode.AuthResponse{
		Reply: parse.NewMap(parse.MapField{Key: mfaRecovery, Value: strings.Join(codes, ", ")}),
		Save:  parse.NewMap(parse.MapField{Key: mfaSecret, Value: text}, parse.MapField{Key: mfaRecovery, Value: kept}),
	}, nil
}

// hashed is what is kept of a recovery code. It is long and random: it needs
// no salt and no slow hash.
func hashed(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hashedPrefix + hex.EncodeToString(sum[:])
}

// login checks a code. What it returns to be saved makes the code worthless;
// that it is saved once, and by one login, is up to the caller.
func (m *mfa) login(ctx context.Context, data, stored *parse.Map) (*cloudcode.AuthResponse, error) {
	if m.sms && stored.String(mfaMobile) != "" {
		return m.loginMobile(ctx, data, stored)
	}
	token := data.String(mfaToken)
	if token == "" {
		return nil, errMFAToken
	}
	text := stored.String(mfaSecret)
	if !m.totp || text == "" {
		// Nothing to check it with, but also nothing that has to be checked.
		return &cloudcode.AuthResponse{Keep: true}, nil
	}
	if left, ok := useRecovery(stored, token); ok {
		save := stored.Clone()
		save.Set(mfaRecovery, left)
		return &cloudcode.AuthResponse{Save: save}, nil
	}
	key, err := secret(text)
	if err != nil {
		return nil, errMFAToken
	}
	v, _ := stored.Get(mfaStep)
	last, _ := number(v)
	step, ok := m.codes.check(key, token, m.env.Now(), last)
	if !ok {
		return nil, errMFAToken
	}
	save := stored.Clone()
	save.Set(mfaStep, float64(step))
	return &cloudcode.AuthResponse{Save: save}, nil
}

func number(v parse.Value) (int64, bool) {
	switch v := v.(type) {
	case float64:
		return int64(v), true
	case parse.Int:
		return int64(v), true
	}
	return 0, false
}

// useRecovery returns the recovery codes that are left when one is used.
func useRecovery(stored *parse.Map, token string) (left parse.Array, ok bool) {
	if strings.HasPrefix(token, hashedPrefix) {
		return nil, false // a hash is no code
	}
	v, _ := stored.Get(mfaRecovery)
	list, _ := v.(parse.Array)
	want := hashed(token)
	for _, v := range list {
		kept, _ := v.(string)
		if !strings.HasPrefix(kept, hashedPrefix) {
			kept = hashed(kept)
		}
		if !ok && subtle.ConstantTimeCompare([]byte(kept), []byte(want)) == 1 {
			ok = true
			continue
		}
		left = append(left, v)
	}
	if left == nil {
		left = parse.Array{}
	}
	return left, ok
}

func (m *mfa) update(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	switch {
	case r.Caller.Master:
		return nil, nil // who may write anything may reset it
	case m.sms && r.Data.Has(mfaMobile):
		return m.confirmMobile(ctx, r)
	case m.totp:
		old := parse.NewMap(parse.MapField{Key: mfaToken, Value: r.Data.String("old")})
		if _, err := m.login(ctx, old, r.Stored); err != nil {
			return nil, err
		}
		return m.setUpCodes(r.Data)
	}
	return nil, errMFAData
}

// mobileFormat is all that the protocol asks of a number.
var mobileFormat = regexp.MustCompile(`^[+]*[(]{0,1}[0-9]{1,3}[)]{0,1}[-\s\./0-9]*$`)

// mobile reads a number. It is kept without what sets its digits apart: as a
// key it must not have dots, and one number must not look like two.
func mobile(m *parse.Map) (string, error) {
	s := m.String(mfaMobile)
	if !mobileFormat.MatchString(s) || len(s) > 40 {
		return "", errMFA("Invalid mobile number.")
	}
	return bare(s), nil
}

func bare(number string) string {
	return strings.Map(func(r rune) rune {
		if r == '+' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number)
}

// send sends a code and returns it with the time of its end, as they are stored.
func (m *mfa) send(ctx context.Context, mobile string) (token, expiry parse.MapField, err error) {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(m.codes.digits)), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return token, expiry, err
	}
	code := fmt.Sprintf("%0*d", m.codes.digits, n)
	if err := m.env.SendSMS(ctx, code, mobile); err != nil {
		return token, expiry, fmt.Errorf("send SMS: %w", err)
	}
	end := m.env.Now().Add(time.Duration(m.codes.period) * time.Second)
	return parse.MapField{Key: mfaToken, Value: code},
		parse.MapField{Key: mfaExpiry, Value: parse.NewDate(end).String()}, nil
}

// running reports whether the time of a code that was sent has not ended.
func (m *mfa) running(sent *parse.Map) bool {
	v, _ := sent.Get(mfaExpiry)
	var end parse.Date
	ok := false
	switch v := v.(type) {
	case parse.Date:
		end, ok = v, true
	case string:
		end, ok = parse.ParseDate(v)
	}
	return ok && parse.NewDate(m.env.Now()) < end
}

func (m *mfa) startMobile(ctx context.Context, data *parse.Map) (*cloudcode.AuthResponse, error) {
	to, err := mobile(data)
	if err != nil {
		return nil, err
	}
	token, expiry, err := m.send(ctx, to)
	if err != nil {
		return nil, err
	}
	pending := parse.NewMap(parse.MapField{Key: to, Value: parse.NewMap(token, expiry)})
	return &cloudcode.AuthResponse{Save: parse.NewMap(parse.MapField{Key: mfaPending, Value: pending})}, nil
}

// confirmMobile ends a set-up by the code that was sent. A number that was
// never confirmed, and whose code has ended, may be tried anew.
func (m *mfa) confirmMobile(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	v, _ := r.Stored.Get(mfaPending)
	pending, _ := v.(*parse.Map)
	token := r.Data.String(mfaToken)
	if token == "" {
		if m.Policy(r.Stored) == cloudcode.AuthDefault && !m.anyRunning(pending) {
			return m.startMobile(ctx, r.Data)
		}
		return nil, errMFA("MFA is already set up on this account")
	}
	to, err := mobile(r.Data)
	if err != nil {
		return nil, err
	}
	for key, v := range pending.All() {
		sent, _ := v.(*parse.Map)
		if bare(key) != to || sent == nil {
			continue
		}
		if !same(sent.String(mfaToken), token) || !m.running(sent) {
			return nil, errMFAToken
		}
		save := r.Stored.Clone()
		save.Delete(mfaPending)
		save.Set(mfaMobile, to)
		return &cloudcode.AuthResponse{Save: save}, nil
	}
	return nil, errMFA("This number is not pending")
}

func (m *mfa) anyRunning(pending *parse.Map) bool {
	for _, v := range pending.All() {
		if sent, _ := v.(*parse.Map); m.running(sent) {
			return true
		}
	}
	return false
}

func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// loginMobile sends a code, which is told as an error, or checks one.
func (m *mfa) loginMobile(ctx context.Context, data, stored *parse.Map) (*cloudcode.AuthResponse, error) {
	token := data.String(mfaToken)
	if token == "request" {
		wait := errMFA("Please enter the token")
		if m.running(stored) {
			return nil, wait // the last one is on its way: messages cost money
		}
		code, expiry, err := m.send(ctx, stored.String(mfaMobile))
		if err != nil {
			return nil, err
		}
		save := stored.Clone()
		save.Set(code.Key, code.Value)
		save.Set(expiry.Key, expiry.Value)
		return &cloudcode.AuthResponse{Save: save}, wait
	}
	switch {
	case !same(stored.String(mfaToken), token):
		return nil, errMFA("Invalid MFA token 1")
	case !m.running(stored):
		return nil, errMFA("Invalid MFA token 2")
	}
	save := stored.Clone()
	save.Delete(mfaToken)
	save.Delete(mfaExpiry)
	return &cloudcode.AuthResponse{Save: save}, nil
}
