package provider

import (
	"net/url"
	"testing"
	"time"
)

// The example of Twitter's documentation.
func TestSignature(t *testing.T) {
	got := signature("POST", "https://api.twitter.com/1/statuses/update.json", map[string]string{
		"oauth_consumer_key": "xvz1evFS4wEEPTGEFPHBog", "oauth_nonce": "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
		"oauth_signature_method": "HMAC-SHA1", "oauth_timestamp": "1318622958",
		"oauth_token": "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb", "oauth_version": "1.0",
	}, url.Values{"status": {"Hello Ladies + Gentlemen, a signed OAuth request!"}, "include_entities": {"true"}},
		"kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw", "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE")
	if want := "tnnArxj06cWHq44gCs1OSKk/jLY="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The vectors of RFC 6238, appendix B.
func TestTOTP(t *testing.T) {
	keys := map[string]string{
		"SHA1": "12345678901234567890", "SHA256": "12345678901234567890123456789012",
		"SHA512": "1234567890123456789012345678901234567890123456789012345678901234",
	}
	for _, tt := range []struct {
		algorithm string
		at        int64
		code      string
	}{
		{"SHA1", 59, "94287082"},
		{"SHA256", 59, "46119246"},
		{"SHA512", 59, "90693936"},
		{"SHA1", 1111111109, "07081804"},
		{"SHA256", 1111111109, "68084774"},
		{"SHA512", 1111111109, "25091201"},
		{"SHA1", 1234567890, "89005924"},
		{"SHA256", 1234567890, "91819424"},
		{"SHA512", 1234567890, "93441116"},
		{"SHA1", 20000000000, "65353130"},
		{"SHA256", 20000000000, "77737706"},
		{"SHA512", 20000000000, "47863826"},
	} {
		c := &totp{digits: 8, period: 30, hash: hashes[tt.algorithm]}
		key := []byte(keys[tt.algorithm])
		if got := c.code(key, tt.at/30); got != tt.code {
			t.Errorf("%s at %d: got %s, want %s", tt.algorithm, tt.at, got, tt.code)
		}
		now := time.Unix(tt.at, 0)
		for shift, ok := range map[time.Duration]bool{0: true, 30 * time.Second: true, -30 * time.Second: true, time.Minute: false, -90 * time.Second: false} {
			if _, got := c.check(key, tt.code, now.Add(shift), 0); got != ok {
				t.Errorf("%s at %d, %s later: %v", tt.algorithm, tt.at, shift, got)
			}
		}
		step, _ := c.check(key, tt.code, now, 0)
		if _, again := c.check(key, tt.code, now, step); again || step != tt.at/30 {
			t.Errorf("%s at %d: step %d, accepted again: %v", tt.algorithm, tt.at, step, again)
		}
	}
}
