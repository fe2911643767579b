package provider

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 has it as default, and apps for codes know often nothing else
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
	"time"
)

// totp makes and checks codes of time (RFC 6238).
type totp struct {
	digits int
	period int64 // s
	hash   func() hash.Hash
}

// hashes are the algorithms by the names that links for apps use.
var hashes = map[string]func() hash.Hash{
	"SHA1": sha1.New, "SHA224": sha256.New224, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New,
}

// secret decodes what apps have: base32, in any case, with or without blanks and padding.
func secret(s string) ([]byte, error) {
	s = strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "=", "").Replace(s))
	return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s)
}

// code is the code of one step of time.
func (t *totp) code(key []byte, step int64) string {
	mac := hmac.New(t.hash, key)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash takes everything
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := uint64(binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff)
	mod := uint64(1)
	for range t.digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", t.digits, n%mod)
}

// check returns the step of a code, which must be the current one or one of
// its neighbours, and later than after.
func (t *totp) check(key []byte, code string, now time.Time, after int64) (step int64, ok bool) {
	current := now.Unix() / t.period
	for _, s := range [...]int64{current - 1, current, current + 1} {
		if s > after && subtle.ConstantTimeCompare([]byte(t.code(key, s)), []byte(code)) == 1 {
			return s, true
		}
	}
	return 0, false
}
