package server

import (
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/server/config"
)

// passwords is the algorithm of new password hashes.
func passwords(cfg config.Config) (auth.Algorithm, error) {
	a := auth.Algorithm{Cost: cfg.PasswordCost}
	p, err := cfg.Argon2()
	if err != nil || p == nil {
		return a, err
	}
	a.Argon2id = &auth.Argon2id{Memory: p.Memory, Time: p.Time, Threads: p.Threads}
	return a, nil
}
