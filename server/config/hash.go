package config

import (
	"fmt"
	"strings"
)

// Argon2id are the parameters of passwordAlgorithm argon2id.
type Argon2id struct {
	Memory  uint32 // in KiB
	Time    uint32
	Threads uint8
}

// Argon2 reads passwordAlgorithm: nil for bcrypt, else the parameters of
// argon2id, which may follow its name: "argon2id,m=19456,t=2,p=1".
func (c *Config) Argon2() (*Argon2id, error) {
	name, params, given := strings.Cut(c.PasswordAlgorithm, ",")
	switch {
	case name == "bcrypt" && !given:
		return nil, nil
	case name != "argon2id":
		return nil, fmt.Errorf("The option passwordAlgorithm must be bcrypt or argon2id, not %q.", c.PasswordAlgorithm)
	}
	a := &Argon2id{Memory: 19456, Time: 2, Threads: 1}
	if !given {
		return a, nil
	}
	var rest string
	n, _ := fmt.Sscanf(params+" .", "m=%d,t=%d,p=%d %s", &a.Memory, &a.Time, &a.Threads, &rest)
	if n != 4 || rest != "." || a.Threads < 1 || a.Memory < 8*uint32(a.Threads) || a.Memory > 1<<20 || a.Time < 1 || a.Time > 64 {
		return nil, fmt.Errorf("The option passwordAlgorithm must have the form argon2id,m=KiB,t=passes,p=threads with at most 1 GiB and 64 passes, not %q.", c.PasswordAlgorithm)
	}
	return a, nil
}
