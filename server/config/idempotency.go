package config

import (
	"fmt"
	"regexp"
	"time"
)

// Idempotency is the option idempotencyOptions; without Paths it is off.
type Idempotency struct {
	// Paths match the beginning of paths below the mount path, without a slash before.
	Paths []*regexp.Regexp
	TTL   time.Duration
	// Replay, which is pargo's own, answers a repeat as the first request was.
	Replay bool
}

// Idempotency reads idempotencyOptions.
func (c *Config) Idempotency() (Idempotency, error) {
	out := Idempotency{TTL: 300 * time.Second}
	m, err := object(c.IdempotencyOptions)
	if err != nil {
		return out, fmt.Errorf("idempotencyOptions must be an object")
	}
	for _, name := range sorted(m) {
		switch v := m[name]; name {
		case "ttl":
			n, ok := v.(float64)
			switch {
			case v == nil:
			case !ok:
				return out, fmt.Errorf("idempotency TTL value must be a number")
			case n <= 0:
				return out, fmt.Errorf("idempotency TTL value must be greater than 0 seconds")
			default:
				const longest = 365 * 24 * time.Hour
				out.TTL = time.Duration(min(n, longest.Seconds()) * float64(time.Second))
			}
		case "paths":
			list, ok := v.([]any)
			if !ok && v != nil {
				return out, fmt.Errorf("idempotency paths must be of an array of strings")
			}
			for _, e := range list {
				s, ok := e.(string)
				if !ok {
					return out, fmt.Errorf("idempotency paths must be of an array of strings")
				}
				re, err := regexp.Compile("^(?:" + s + ")")
				if err != nil {
					return out, fmt.Errorf("idempotency paths contain an invalid regex pattern: %q", s)
				}
				out.Paths = append(out.Paths, re)
			}
		case "replay":
			replay, ok := v.(bool)
			if !ok && v != nil {
				return out, fmt.Errorf("idempotency replay must be a boolean")
			}
			out.Replay = replay
		default:
			return out, fmt.Errorf("Invalid idempotency option %q", name)
		}
	}
	return out, nil
}
