package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// LoginThrottle is the option loginThrottle. A limit that is nil is the
// default, one of 0 is none.
type LoginThrottle struct {
	Off                                        bool
	Window                                     time.Duration // 0: the default
	Failures, NetworkFailures, AccountFailures *int
	SiegeFailures, Mails, NetworkMails         *int
	RedisURL                                   string // of counters that servers share; "": that of cacheAdapter
}

// LoginThrottle reads loginThrottle: a boolean or an object.
func (c *Config) LoginThrottle() (LoginThrottle, error) {
	var out LoginThrottle
	switch string(c.LoginThrottleOptions) {
	case "", "null", "true", `"true"`:
		return out, nil
	case "false", `"false"`:
		out.Off = true
		return out, nil
	}
	var m map[string]any
	if err := json.Unmarshal(c.LoginThrottleOptions, &m); err != nil {
		return out, errors.New("loginThrottle must be a boolean or an object.")
	}
	limits := map[string]**int{
		"failures": &out.Failures, "networkFailures": &out.NetworkFailures, "accountFailures": &out.AccountFailures,
		"siegeFailures": &out.SiegeFailures, "mails": &out.Mails, "networkMails": &out.NetworkMails,
	}
	for _, name := range sorted(m) {
		v := m[name]
		n, isNumber := v.(float64)
		switch into, isLimit := limits[name]; {
		case isLimit:
			if !isNumber || n != float64(int(n)) || n < 0 || n > 1_000_000 {
				return out, fmt.Errorf("loginThrottle.%s must be a whole number from 0, which is no limit, to 1000000.", name)
			}
			limit := int(n)
			*into = &limit
		case name == "window":
			if !isNumber || n < 1 || n > 24*60*60 {
				return out, errors.New("loginThrottle.window must be a number of seconds from 1 to 86400.")
			}
			out.Window = seconds(n)
		case name == "redisUrl":
			s, _ := v.(string)
			if err := redisURL(s); err != nil {
				return out, fmt.Errorf("loginThrottle.redisUrl %w.", err)
			}
			out.RedisURL = s
		default:
			return out, fmt.Errorf("loginThrottle contains unknown property '%s'.", name)
		}
	}
	if out.SiegeFailures != nil && *out.SiegeFailures == 0 {
		return out, errors.New("loginThrottle.siegeFailures must be at least 1: nobody is locked out of his account by others.")
	}
	return out, nil
}
