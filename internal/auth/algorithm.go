package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Algorithm makes new password hashes. Hashes of every algorithm verify,
// whichever makes new ones. The zero value is bcrypt at cost 10.
type Algorithm struct {
	// Cost is that of bcrypt; 0: 10.
	Cost int
	// Argon2id, if not nil, is used instead of bcrypt. Parse Server cannot
	// read its hashes.
	Argon2id *Argon2id
}

// Argon2id are the parameters of argon2id.
type Argon2id struct {
	Memory  uint32 // in KiB
	Time    uint32 // passes
	Threads uint8
}

const (
	// maxBcrypt is where bcrypt stops looking; longer passwords are cut, as
	// Parse Server does (reference 03 §5).
	maxBcrypt = 72
	// maxMemory and maxTime bound what a stored hash may ask of the server.
	maxMemory, maxTime = 1 << 20, 64

	saltBytes, keyBytes = 16, 32
	argonPrefix         = "$argon2id$"
	// dummyTail is salt and digest of a hash that belongs to no known password.
	dummyTail = "7EqJtq98hPqEX7fNZaFWoOhi5BcX4Z3lZ0Z8b5m6uJ0VtP1cVqYyG"
)

// argonB64 is the base64 of the usual text form of argon2 hashes.
var argonB64 = base64.RawStdEncoding

func cut(password string) []byte {
	b := []byte(password)
	if len(b) > maxBcrypt {
		b = b[:maxBcrypt]
	}
	return b
}

func (a Algorithm) cost() int {
	if a.Cost == 0 {
		return bcrypt.DefaultCost
	}
	return a.Cost
}

func (a Algorithm) hash(password string) (string, error) {
	if a.Argon2id == nil {
		b, err := bcrypt.GenerateFromPassword(cut(password), a.cost())
		return string(b), err
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // crypto/rand.Read never fails
	return a.Argon2id.text(salt, a.Argon2id.key(password, salt, keyBytes)), nil
}

// dummy is a hash that costs what new ones do and belongs to no password.
func (a Algorithm) dummy() string {
	if a.Argon2id == nil {
		return fmt.Sprintf("$2a$%02d$%s", a.cost(), dummyTail)
	}
	return a.Argon2id.text(make([]byte, saltBytes), make([]byte, keyBytes))
}

func (p *Argon2id) key(password string, salt []byte, n int) []byte {
	return argon2.IDKey([]byte(password), salt, p.Time, p.Memory, p.Threads, uint32(n))
}

func (p *Argon2id) text(salt, key []byte) string {
	return fmt.Sprintf("%sv=%d$m=%d,t=%d,p=%d$%s$%s", argonPrefix, argon2.Version, p.Memory, p.Time, p.Threads,
		argonB64.EncodeToString(salt), argonB64.EncodeToString(key))
}

// parseArgon2id takes a hash apart; nil if it is none that may be computed.
func parseArgon2id(hash string) (p *Argon2id, salt, key []byte) {
	rest, ok := strings.CutPrefix(hash, argonPrefix)
	parts := strings.Split(rest, "$")
	if !ok || len(parts) != 4 {
		return nil, nil, nil
	}
	var version int
	p = &Argon2id{}
	if _, err := fmt.Sscanf(parts[0], "v=%d", &version); err != nil || version != argon2.Version {
		return nil, nil, nil
	}
	if _, err := fmt.Sscanf(parts[1], "m=%d,t=%d,p=%d", &p.Memory, &p.Time, &p.Threads); err != nil {
		return nil, nil, nil
	}
	if p.Memory == 0 || p.Memory > maxMemory || p.Time == 0 || p.Time > maxTime || p.Threads == 0 {
		return nil, nil, nil
	}
	salt, err1 := argonB64.DecodeString(parts[2])
	key, err2 := argonB64.DecodeString(parts[3])
	if err1 != nil || err2 != nil || len(key) == 0 || len(key) > 1024 {
		return nil, nil, nil
	}
	return p, salt, key
}

// matches reports whether the password belongs to the hash.
func matches(password, hash string) bool {
	if !strings.HasPrefix(hash, argonPrefix) {
		return bcrypt.CompareHashAndPassword([]byte(hash), cut(password)) == nil
	}
	p, salt, key := parseArgon2id(hash)
	return p != nil && subtle.ConstantTimeCompare(p.key(password, salt, len(key)), key) == 1
}

// renews reports whether the hash is to be replaced: it is of another
// algorithm, or weaker. What bcrypt has cut off was not proved to be known.
func (a Algorithm) renews(password, hash string) bool {
	if a.Argon2id == nil {
		cost, err := bcrypt.Cost([]byte(hash))
		return err != nil || cost < a.cost()
	}
	p, _, _ := parseArgon2id(hash)
	if p == nil {
		return len(password) <= maxBcrypt
	}
	return p.Memory < a.Argon2id.Memory || p.Time < a.Argon2id.Time
}

// replaceHash changes the hash of a user unless it is no longer the old one:
// then the result is nil. It is no change of the user to anybody.
func (s *Service) replaceHash(ctx context.Context, id, old, hash string) (*parse.Object, error) {
	_, after, err := s.objs.Store().Update(ctx, &storage.Update{
		Class: s.class(userClass),
		Where: query.AllOf(query.ByID(id), query.Equal(hashField, old)),
		Ops:   parse.NewMap(parse.MapField{Key: hashField, Value: hash}),
	})
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return after, err
}
