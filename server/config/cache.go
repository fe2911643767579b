package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// RedisURL reads cacheAdapter: the URL of the Redis server that the servers of
// one application share, or "" if each is by itself. It is given as
// {"module":"redis","options":{"url":"redis://…"}} or as the URL alone.
func (c *Config) RedisURL() (string, error) {
	if len(c.CacheAdapter) == 0 {
		return "", nil
	}
	var u string
	if json.Unmarshal(c.CacheAdapter, &u) != nil {
		var a struct {
			Module  string `json:"module"`
			Options struct {
				URL string `json:"url"`
			} `json:"options"`
		}
		// Parse Server names the module of its adapter by a path.
		if err := json.Unmarshal(c.CacheAdapter, &a); err != nil || a.Module != "redis" && !strings.HasSuffix(a.Module, "RedisCacheAdapter") {
			return "", errors.New(`The option cacheAdapter must be {"module":"redis","options":{"url":"redis://…"}} or the URL alone.`)
		}
		u = a.Options.URL
	}
	if err := redisURL(u); err != nil {
		return "", fmt.Errorf("The option cacheAdapter %w.", err)
	}
	return u, nil
}

// redisURL checks a URL without repeating it: it may have a password.
func redisURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Host == "" {
		return errors.New("must have a URL that begins with redis:// or rediss://")
	}
	return nil
}

// checkCache validates the options of the caches.
func (c *Config) checkCache(p *Problems) {
	if _, err := c.RedisURL(); err != nil {
		p.addf("%s", err)
	}
	if c.CacheTTL <= 0 {
		p.addf("The option cacheTTL must be a number of milliseconds greater than 0.")
	}
	if c.CacheMaxSize <= 0 {
		p.addf("The option cacheMaxSize must be greater than 0.")
	}
}
