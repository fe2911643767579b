package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// RateLimit is one entry of the option rateLimit.
type RateLimit struct {
	// Path matches the paths below the mount path that are limited.
	Path    *regexp.Regexp
	Window  time.Duration
	Count   int
	Message string
	// Methods matches the verbs that are limited; nil: all.
	Methods                           *regexp.Regexp
	IncludeMasterKey, IncludeInternal bool
	Zone                              string // global, session, user or ip
	RedisURL                          string // of counters that servers share; "": counted by each
}

// Zones of a rate limit: whose requests are counted together.
var zones = []string{"global", "session", "user", "ip"}

// RateLimits reads rateLimit: one entry or a list.
func (c *Config) RateLimits() ([]RateLimit, error) {
	if len(c.RateLimit) == 0 {
		return nil, nil
	}
	var v any
	if err := json.Unmarshal(c.RateLimit, &v); err != nil {
		return nil, fmt.Errorf("rateLimit must be an array or object")
	}
	var entries []any
	switch v := v.(type) {
	case map[string]any:
		entries = []any{v}
	case []any:
		entries = v
	default:
		return nil, fmt.Errorf("rateLimit must be an array or object")
	}
	var out []RateLimit
	for _, e := range entries {
		m, ok := e.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("rateLimit must be an array of objects")
		}
		r, err := rateLimit(m)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func rateLimit(m map[string]any) (r RateLimit, err error) {
	r = RateLimit{Message: "Too many requests.", Zone: "ip"}
	for _, name := range [...]string{"requestPath", "requestTimeWindow", "requestCount"} {
		if m[name] == nil {
			return r, fmt.Errorf("rateLimit.%s must be defined", name)
		}
	}
	for _, name := range sorted(m) {
		switch v := m[name]; name {
		case "requestPath":
			s, ok := v.(string)
			if !ok {
				return r, fmt.Errorf("rateLimit.requestPath must be a string")
			}
			if r.Path, err = pathPattern(s); err != nil {
				return r, fmt.Errorf("rateLimit.requestPath %q is not valid: %w", s, err)
			}
		case "requestTimeWindow":
			n, ok := v.(float64)
			if !ok {
				return r, fmt.Errorf("rateLimit.requestTimeWindow must be a number")
			}
			const longest = 365 * 24 * time.Hour
			if n < 1 || n > float64(longest/time.Millisecond) {
				return r, fmt.Errorf("rateLimit.requestTimeWindow must be between 1 ms and a year")
			}
			r.Window = time.Duration(n * float64(time.Millisecond))
		case "requestCount":
			n, ok := v.(float64)
			if !ok {
				return r, fmt.Errorf("rateLimit.requestCount must be a number")
			}
			if n < 0 || n > 1<<31 || n != float64(int(n)) {
				return r, fmt.Errorf("rateLimit.requestCount must be a whole number that is not negative")
			}
			r.Count = int(n)
		case "includeInternalRequests":
			err = boolean(name, v, &r.IncludeInternal)
		case "includeMasterKey":
			err = boolean(name, v, &r.IncludeMasterKey)
		case "errorResponseMessage":
			s, ok := v.(string)
			if !ok && v != nil {
				return r, fmt.Errorf("rateLimit.errorResponseMessage must be a string")
			}
			if s != "" {
				r.Message = s
			}
		case "requestMethods":
			r.Methods, err = methods(v)
		case "zone":
			if v == nil {
				continue
			}
			s, _ := v.(string)
			if !slices.Contains(zones, s) {
				return r, fmt.Errorf("rateLimit.zone must be one of global, session, user, or ip")
			}
			r.Zone = s
		case "redisUrl":
			if v == nil {
				continue
			}
			s, ok := v.(string)
			if !ok {
				return r, fmt.Errorf("rateLimit.redisUrl must be a string")
			}
			if err := redisURL(s); err != nil {
				return r, fmt.Errorf("rateLimit.redisUrl %w", err)
			}
			r.RedisURL = s
		default:
			return r, fmt.Errorf("Invalid rate limit option %q", name)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func boolean(name string, v any, into *bool) error {
	b, ok := v.(bool)
	if !ok && v != nil {
		return fmt.Errorf("rateLimit.%s must be a boolean", name)
	}
	*into = b
	return nil
}

// methods reads a list of verbs, or a regular expression of them.
func methods(v any) (*regexp.Regexp, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		re, err := regexp.Compile(v)
		if err != nil {
			return nil, fmt.Errorf("rateLimit.requestMethods contains an invalid regex pattern: %q", v)
		}
		return re, nil
	case []any:
		names := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("rateLimit.requestMethods must be an array of strings")
			}
			names[i] = regexp.QuoteMeta(s)
		}
		return regexp.Compile("(?i)^(?:" + strings.Join(names, "|") + ")$")
	}
	return nil, fmt.Errorf("rateLimit.requestMethods must be a string or an array of strings")
}

// pathPattern compiles a path in the syntax of path-to-regexp 8: ":name" is
// one segment, "*name" the rest of the path, "{…}" may be missing, and a
// backslash takes the character after it as it stands. Case and one slash at
// the end make no difference.
func pathPattern(s string) (*regexp.Regexp, error) {
	if s == "" || !strings.ContainsRune("/*{", rune(s[0])) {
		// It would match nothing, and the limit would not hold.
		return nil, errors.New("a path must begin with a slash")
	}
	var b strings.Builder
	b.WriteString("(?is)^")
	open := 0
	for i := 0; i < len(s); {
		ch := s[i]
		at := i
		i++
		switch ch {
		case '\\':
			if i == len(s) {
				return nil, fmt.Errorf("unexpected end after \\ at %d", at)
			}
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
			i++
		case ':', '*':
			n := nameLength(s[i:])
			if n == 0 {
				return nil, fmt.Errorf("missing parameter name at %d", i)
			}
			i += n
			if ch == ':' {
				b.WriteString("[^/]+")
			} else {
				b.WriteString(".+")
			}
		case '{':
			open++
			b.WriteString("(?:")
		case '}':
			if open--; open < 0 {
				return nil, fmt.Errorf("unexpected } at %d", at)
			}
			b.WriteString(")?")
		case '(', ')', '[', ']', '+', '?', '!':
			return nil, fmt.Errorf("unexpected %c at %d", ch, at)
		default:
			b.WriteString(regexp.QuoteMeta(s[at:i]))
		}
	}
	if open != 0 {
		return nil, errors.New("unexpected end, expected }")
	}
	b.WriteString("/?$")
	return regexp.Compile(b.String())
}

// nameLength is the length of the parameter name that s begins with: an
// identifier, or any text in quotes; 0 without one.
func nameLength(s string) int {
	if strings.HasPrefix(s, `"`) {
		if end := strings.IndexByte(s[1:], '"'); end > 0 {
			return end + 2
		}
		return 0
	}
	for i := range len(s) {
		switch ch := s[i]; {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch == '_', ch == '$':
		case i > 0 && ch >= '0' && ch <= '9':
		default:
			return i
		}
	}
	return len(s)
}
