package scenario

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// Authenticator is a browser with an authenticator that keeps passkeys: what a
// client has when it answers a challenge. Fields may be changed between
// ceremonies, to answer wrongly.
type Authenticator struct {
	Origin string
	// RPID is the domain that it believes to be on.
	RPID string
	// Unverified: the user does not show his finger.
	Unverified bool
	// Counter is the counter of the next answer; Counting says whether it rises.
	Counter  uint32
	Counting bool

	key    *ecdsa.PrivateKey
	id     []byte
	handle []byte
}

// Flags of authenticator data.
const (
	userPresent  = 0x01
	userVerified = 0x04
	attested     = 0x40
)

// challenge are the parts of a challenge that an authenticator regards.
type challenge struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
		AllowCredentials []struct {
			ID string `json:"id"`
		} `json:"allowCredentials"`
	} `json:"publicKey"`
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (a *Authenticator) read(t *testing.T, text string) *challenge {
	t.Helper()
	var o challenge
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("challenge %s: %v", text, err)
	}
	return &o
}

func (a *Authenticator) clientData(t *testing.T, kind, challenge string) []byte {
	t.Helper()
	out, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// data is the authenticator data of an answer.
func (a *Authenticator) data(flags byte, more []byte) []byte {
	sum := sha256.Sum256([]byte(a.RPID))
	flags |= userPresent
	if !a.Unverified {
		flags |= userVerified
	}
	out := append(sum[:], flags)
	out = binary.BigEndian.AppendUint32(out, a.Counter)
	if a.Counting {
		a.Counter++
	}
	return append(out, more...)
}

// Create makes a passkey and returns the credential in JSON.
func (a *Authenticator) Create(t *testing.T, challenge string) string {
	t.Helper()
	o := a.read(t, challenge)
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if a.handle, err = base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID); err != nil {
		t.Fatal(err)
	}
	a.id = make([]byte, 16)
	_, _ = rand.Read(a.id) // crypto/rand.Read never fails
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		t.Fatal(err)
	}
	more := make([]byte, 16) // AAGUID: none
	more = binary.BigEndian.AppendUint16(more, uint16(len(a.id)))
	more = append(append(more, a.id...), cose...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": a.data(attested, more)})
	if err != nil {
		t.Fatal(err)
	}
	return a.credential(t, map[string]any{
		"clientDataJSON":    b64(a.clientData(t, "webauthn.create", o.PublicKey.Challenge)),
		"attestationObject": b64(object),
		"transports":        []string{"internal"},
	})
}

// Get signs a challenge with the passkey and returns the credential in JSON.
func (a *Authenticator) Get(t *testing.T, challenge string) string {
	t.Helper()
	o := a.read(t, challenge)
	client := a.clientData(t, "webauthn.get", o.PublicKey.Challenge)
	data := a.data(0, nil)
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return a.credential(t, map[string]any{
		"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(sig), "userHandle": b64(a.handle),
	})
}

func (a *Authenticator) credential(t *testing.T, response map[string]any) string {
	t.Helper()
	out, err := json.Marshal(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "response": response,
		"clientExtensionResults": map[string]any{}, "authenticatorAttachment": "platform",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// ID is the id of the passkey.
func (a *Authenticator) ID() string { return b64(a.id) }

// Impersonate makes the authenticator claim to hold a passkey of another user.
func (a *Authenticator) Impersonate(b *Authenticator) { a.id, a.handle = b.id, b.handle }
