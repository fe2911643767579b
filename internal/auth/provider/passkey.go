package provider

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

const (
	// ceremonyTime is how long a user may take to answer a challenge.
	ceremonyTime = 5 * time.Minute
	maxPasskeys  = 20 // of one user
	maxName      = 64 // bytes of the name of a passkey, or of a user who signs up
)

// Ceremonies that a challenge may be asked for.
const (
	ceremonyRegister = "register"
	ceremonyLogin    = "login"
)

// passkey is sign-in by WebAuthn: the id is the user handle that an
// authenticator keeps with its key, so that a user need not say who he is. A
// challenge is no state of the server: it travels, signed, with the client.
// That it is answered once is up to what is stored for the user.
type passkey struct {
	env    *Env
	w      *webauthn.WebAuthn
	policy cloudcode.AuthPolicy
	seal   sealer
}

var (
	_ cloudcode.AuthPreparer   = (*passkey)(nil)
	_ cloudcode.AuthChallenger = (*passkey)(nil)
	_ cloudcode.AuthPoliced    = (*passkey)(nil)
	_ cloudcode.AuthPresenter  = (*passkey)(nil)
)

func newPasskey(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	var o struct {
		common
		RPID             string    `json:"rpId"`
		RPName           string    `json:"rpName"`
		Origins          oneOrMany `json:"origins"`
		AppOrigins       oneOrMany `json:"appOrigins"`
		UserVerification string    `json:"userVerification"`
	}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	switch {
	case o.RPID == "":
		return nil, errors.New("rpId is missing: it is the domain of the application")
	case len(e.Secret) == 0:
		return nil, errors.New("there is no secret to sign challenges with")
	}
	if len(o.Origins) == 0 {
		o.Origins = oneOrMany{"https://" + o.RPID}
	}
	if o.RPName == "" {
		o.RPName = o.RPID
	}
	uv := protocol.VerificationRequired
	policy := cloudcode.AuthSolo // something that the user has, and his finger or his code
	switch o.UserVerification {
	case "", "required":
	case "preferred", "discouraged":
		uv, policy = protocol.UserVerificationRequirement(o.UserVerification), cloudcode.AuthDefault
	default:
		return nil, errors.New("userVerification must be required, preferred or discouraged")
	}
	w, err := webauthn.New(&webauthn.Config{
		RPID: o.RPID, RPDisplayName: o.RPName, RPOrigins: o.Origins, RPOpaqueOrigins: o.AppOrigins,
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: uv,
		},
	})
	if err != nil {
		return nil, err
	}
	return &passkey{env: e, w: w, policy: policy, seal: newSealer(e.Secret, "passkey")}, nil
}

// ceremony is what a challenge was made for.
type ceremony struct {
	Kind string `json:"k"`
	// User is the id of the user who registers a passkey; "" for one who signs up.
	User    string               `json:"u,omitempty"`
	Session webauthn.SessionData `json:"s"`
	Expires int64                `json:"e"` // ms
}

// holder is a user as the library sees him.
type holder struct {
	handle []byte
	name   string
	list   []webauthn.Credential
}

func (h *holder) WebAuthnID() []byte                         { return h.handle }
func (h *holder) WebAuthnName() string                       { return h.name }
func (h *holder) WebAuthnDisplayName() string                { return h.name }
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.list }

func errPasskey() error { return invalid("Passkey auth is invalid for this user.") }

// Policy implements [cloudcode.AuthPoliced].
func (p *passkey) Policy(*parse.Map) cloudcode.AuthPolicy { return p.policy }

// Challenge implements [cloudcode.AuthChallenger]. challengeData are
// {"ceremony": "login"} or {"ceremony": "register", "name": …}; who has no
// session registers to sign up.
func (p *passkey) Challenge(_ context.Context, r *cloudcode.AuthRequest) (parse.Value, error) {
	asked, _ := r.Challenge.(*parse.Map)
	c := ceremony{Kind: asked.String("ceremony"), Expires: p.env.Now().Add(ceremonyTime).UnixMilli()}
	var options any
	switch c.Kind {
	case ceremonyLogin, "":
		c.Kind = ceremonyLogin
		o, s, err := p.w.BeginDiscoverableLogin()
		if err != nil {
			return nil, err
		}
		options, c.Session = o, *s
	case ceremonyRegister:
		h, err := p.registrant(r, asked.String("name"))
		if err != nil {
			return nil, err
		}
		if r.User != nil {
			c.User = r.User.ID
		}
		exclude := webauthn.Credentials(h.list).CredentialDescriptors()
		o, s, err := p.w.BeginRegistration(h, webauthn.WithExclusions(exclude))
		if err != nil {
			return nil, err
		}
		options, c.Session = o, *s
	default:
		return nil, malformed("The ceremony of a passkey is login or register.")
	}
	raw, err := json.Marshal(options)
	if err != nil {
		return nil, err
	}
	m, err := parse.DecodeMap(raw, parse.DefaultLimits)
	if err != nil {
		return nil, err
	}
	state, err := p.seal.seal(c)
	if err != nil {
		return nil, err
	}
	m.Set("state", state)
	return m, nil
}

// registrant is who registers a passkey: one has a handle from his first passkey on.
func (p *passkey) registrant(r *cloudcode.AuthRequest, name string) (*holder, error) {
	h, err := stored(r.Stored)
	if err != nil {
		return nil, err
	}
	if h.handle == nil {
		h.handle = make([]byte, 32)
		_, _ = rand.Read(h.handle) // crypto/rand.Read never fails
	}
	if len(h.list) >= maxPasskeys {
		return nil, malformed("A user has at most %d passkeys.", maxPasskeys)
	}
	if r.User != nil {
		h.name = r.User.String("username")
	}
	if name != "" {
		h.name = name
	}
	if h.name == "" || len(h.name) > maxName {
		return nil, malformed("The name of a user with a passkey has 1 to %d bytes.", maxName)
	}
	return h, nil
}

// ceremony reads the state that came back with an answer.
func (p *passkey) ceremony(data *parse.Map) (*ceremony, error) {
	c := &ceremony{}
	if !p.seal.open(data.String("state"), c) {
		return nil, errPasskey()
	}
	if p.env.Now().UnixMilli() > c.Expires {
		return nil, invalid("The challenge of the passkey has expired.")
	}
	return c, nil
}

// Prepare implements [cloudcode.AuthPreparer]: the id is the handle that the
// authenticator has signed in with, or the one that is about to get it.
func (p *passkey) Prepare(_ context.Context, r *cloudcode.AuthRequest) error {
	r.Data.Delete("id")
	if !r.Data.Has("credential") {
		if r.Step == cloudcode.AuthUpdate {
			return nil
		}
		return errPasskey()
	}
	c, err := p.ceremony(r.Data)
	if err != nil {
		return err
	}
	handle := c.Session.UserID
	if c.Kind == ceremonyLogin {
		a, err := assertion(r.Data)
		if err != nil {
			return err
		}
		handle = a.Response.UserHandle
	}
	if len(handle) == 0 {
		return errPasskey()
	}
	r.Data.Set("id", encode(handle))
	return nil
}

// Authenticate implements [cloudcode.AuthProvider].
func (p *passkey) Authenticate(_ context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	switch r.Step {
	case cloudcode.AuthSetUp:
		return p.register(r)
	case cloudcode.AuthLogin:
		return p.login(r)
	case cloudcode.AuthUpdate:
		switch {
		case r.Data.Has("credential"):
			return p.register(r)
		case r.Data.Has("remove"):
			return p.remove(r)
		}
		return &cloudcode.AuthResponse{Keep: true}, nil
	case cloudcode.AuthChallenge:
	}
	return nil, errPasskey()
}

// register adds a passkey to what is stored.
func (p *passkey) register(r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	c, err := p.ceremony(r.Data)
	if err != nil {
		return nil, err
	}
	user := ""
	if r.User != nil {
		user = r.User.ID
	}
	if c.Kind != ceremonyRegister || c.User != user {
		return nil, errPasskey()
	}
	name := r.Data.String("name")
	if len(name) > maxName {
		return nil, malformed("The name of a passkey has at most %d bytes.", maxName)
	}
	h, err := stored(r.Stored)
	if err != nil {
		return nil, err
	}
	if h.handle != nil && !slices.Equal(h.handle, c.Session.UserID) || len(h.list) >= maxPasskeys {
		return nil, errPasskey()
	}
	h.handle = c.Session.UserID
	parsed, err := protocol.ParseCredentialCreationResponseBytes(credential(r.Data))
	if err != nil {
		return nil, errPasskey()
	}
	made, err := p.w.CreateCredential(h, c.Session, parsed)
	if err != nil {
		return nil, errPasskey()
	}
	if slices.ContainsFunc(h.list, func(have webauthn.Credential) bool { return slices.Equal(have.ID, made.ID) }) {
		return nil, errPasskey() // a registration that is sent again
	}
	save := &parse.Map{}
	if r.Stored != nil {
		save = r.Stored.Clone()
	}
	save.Set("id", encode(h.handle))
	now := parse.NewDate(p.env.Now()).String()
	entry := toMap(made)
	entry.Set("name", name)
	entry.Set("createdAt", now)
	save.Set("credentials", append(slices.Clone(entries(r.Stored)), entry))
	return &cloudcode.AuthResponse{Save: save}, nil
}

// remove takes away a passkey, but not the last: that is to unlink the provider.
func (p *passkey) remove(r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	id := r.Data.String("remove")
	var left parse.Array
	for _, v := range entries(r.Stored) {
		if m, _ := v.(*parse.Map); m.String("id") != id {
			left = append(left, v)
		}
	}
	switch {
	case len(left) == len(entries(r.Stored)):
		return nil, malformed("There is no such passkey.")
	case len(left) == 0:
		return nil, malformed("The last passkey goes with the provider: set it to null.")
	}
	save := r.Stored.Clone()
	save.Set("credentials", left)
	return &cloudcode.AuthResponse{Save: save}, nil
}

// login checks the answer to a challenge, which is used up thereby.
func (p *passkey) login(r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	c, err := p.ceremony(r.Data)
	if err != nil {
		return nil, err
	}
	if c.Kind != ceremonyLogin {
		return nil, errPasskey()
	}
	parsed, err := assertion(r.Data)
	if err != nil {
		return nil, err
	}
	h, err := stored(r.Stored)
	if err != nil {
		return nil, err
	}
	_, used, err := p.w.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		if !slices.Equal(handle, h.handle) {
			return nil, errPasskey()
		}
		return h, nil
	}, c.Session, parsed)
	// A counter that does not rise tells of a second copy of the key.
	if err != nil || used.Authenticator.CloneWarning {
		return nil, errPasskey()
	}
	save := r.Stored.Clone()
	if err := p.spend(save, c); err != nil {
		return nil, err
	}
	list := slices.Clone(entries(r.Stored))
	for i, v := range list {
		old, _ := v.(*parse.Map)
		if old.String("id") != encode(used.ID) {
			continue
		}
		entry := toMap(used)
		entry.Set("name", old.String("name"))
		entry.Set("createdAt", old.String("createdAt"))
		entry.Set("lastUsedAt", parse.NewDate(p.env.Now()).String())
		list[i] = entry
	}
	save.Set("credentials", list)
	return &cloudcode.AuthResponse{Save: save}, nil
}

// spend notes a challenge as answered, and forgets those that have expired:
// many authenticators do not count, so that the counter alone keeps nobody
// from sending an answer again.
func (p *passkey) spend(save *parse.Map, c *ceremony) error {
	sum := sha256.Sum256([]byte(c.Session.Challenge))
	mark := encode(sum[:16])
	now := float64(p.env.Now().UnixMilli())
	spent := &parse.Map{}
	v, _ := save.Get("spent")
	old, _ := v.(*parse.Map)
	for k, v := range old.All() {
		if k == mark {
			return errPasskey()
		}
		if end, _ := number(v); float64(end) >= now {
			spent.Set(k, v)
		}
	}
	spent.Set(mark, float64(c.Expires))
	save.Set("spent", spent)
	return nil
}

// Present implements [cloudcode.AuthPresenter]: a user sees which passkeys he
// has, not their keys.
func (*passkey) Present(c cloudcode.Caller, have *parse.Map) *parse.Map {
	if c.Master {
		return have
	}
	list := parse.Array{}
	for _, v := range entries(have) {
		m, _ := v.(*parse.Map)
		shown := &parse.Map{}
		for _, key := range [...]string{"id", "name", "createdAt", "lastUsedAt"} {
			if s := m.String(key); s != "" {
				shown.Set(key, s)
			}
		}
		list = append(list, shown)
	}
	return parse.NewMap(
		parse.MapField{Key: "id", Value: have.String("id")},
		parse.MapField{Key: "credentials", Value: list})
}

// credential is the answer of the authenticator as it was sent.
func credential(data *parse.Map) []byte {
	v, _ := data.Get("credential")
	return parse.AppendJSON(nil, v)
}

func assertion(data *parse.Map) (*protocol.ParsedCredentialAssertionData, error) {
	a, err := protocol.ParseCredentialRequestResponseBytes(credential(data))
	if err != nil {
		return nil, errPasskey()
	}
	return a, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// entries are the stored passkeys.
func entries(have *parse.Map) parse.Array {
	v, _ := have.Get("credentials")
	list, _ := v.(parse.Array)
	return list
}

// toMap is what is stored of a passkey, besides its name and its times.
func toMap(c *webauthn.Credential) *parse.Map {
	transports := parse.Array{}
	for _, t := range c.Transport {
		transports = append(transports, string(t))
	}
	return parse.NewMap(
		parse.MapField{Key: "id", Value: encode(c.ID)},
		parse.MapField{Key: "publicKey", Value: encode(c.PublicKey)},
		parse.MapField{Key: "signCount", Value: float64(c.Authenticator.SignCount)},
		parse.MapField{Key: "aaguid", Value: encode(c.Authenticator.AAGUID)},
		parse.MapField{Key: "transports", Value: transports},
		parse.MapField{Key: "userVerified", Value: c.Flags.UserVerified},
		parse.MapField{Key: "backupEligible", Value: c.Flags.BackupEligible},
		parse.MapField{Key: "backedUp", Value: c.Flags.BackupState},
	)
}

// stored reads what is stored for a user.
func stored(have *parse.Map) (*holder, error) {
	h := &holder{}
	if have == nil {
		return h, nil
	}
	var errs []error
	binary := func(m *parse.Map, key string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(m.String(key))
		errs = append(errs, err)
		return b
	}
	flag := func(m *parse.Map, key string) bool {
		v, _ := m.Get(key)
		return v == true
	}
	h.handle = binary(have, "id")
	for _, v := range entries(have) {
		m, _ := v.(*parse.Map)
		count, _ := m.Get("signCount")
		n, _ := number(count)
		c := webauthn.Credential{
			ID: binary(m, "id"), PublicKey: binary(m, "publicKey"),
			Flags: webauthn.CredentialFlags{
				UserPresent: true, UserVerified: flag(m, "userVerified"),
				BackupEligible: flag(m, "backupEligible"), BackupState: flag(m, "backedUp"),
			},
			Authenticator: webauthn.Authenticator{AAGUID: binary(m, "aaguid"), SignCount: uint32(max(0, min(n, 1<<32-1)))},
		}
		transports, _ := m.Get("transports")
		list, _ := transports.(parse.Array)
		for _, t := range list {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(text(t)))
		}
		h.list = append(h.list, c)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("stored passkeys: %w", err)
	}
	return h, nil
}

// sealer signs what a client carries.
type sealer struct{ key []byte }

func newSealer(secret []byte, use string) sealer { return sealer{mac(secret, "pargo "+use)} }

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (s sealer) seal(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	body := encode(raw)
	return body + "." + encode(mac(s.key, body)), nil
}

// open reads what was sealed; false if it was not by this key.
func (s sealer) open(sealed string, into any) bool {
	body, sum, ok := strings.Cut(sealed, ".")
	got, err := base64.RawURLEncoding.DecodeString(sum)
	if !ok || err != nil || !hmac.Equal(got, mac(s.key, body)) {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	return err == nil && json.Unmarshal(raw, into) == nil
}
