package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/server/config"
)

func TestRedisURL(t *testing.T) {
	const url = "redis://user:secret@cache:6379/1"
	tests := []struct {
		name, file string
		env        []string
		want, err  string
	}{
		{name: "none", file: `{}`},
		{name: "as a module", file: `{"cacheAdapter":{"module":"redis","options":{"url":"` + url + `"}}}`, want: url},
		{name: "the module of Parse Server", file: `{"cacheAdapter":{"module":"parse-server/lib/Adapters/Cache/RedisCacheAdapter","options":{"url":"` + url + `"}}}`, want: url},
		{name: "as text", file: `{"cacheAdapter":"` + url + `"}`, want: url},
		{name: "by the environment", file: `{}`, env: []string{"PARSE_SERVER_CACHE_ADAPTER=" + url}, want: url},
		{name: "encrypted", file: `{"cacheAdapter":"rediss://cache"}`, want: "rediss://cache"},
		{name: "another module", file: `{"cacheAdapter":{"module":"memcached","options":{"url":"` + url + `"}}}`, err: "The option cacheAdapter must be"},
		{name: "no URL", file: `{"cacheAdapter":{"module":"redis"}}`, err: "must have a URL that begins with redis://"},
		{name: "another scheme", file: `{"cacheAdapter":"http://user:secret@cache"}`, err: "must have a URL that begins with redis://"},
		{name: "no server", file: `{"cacheAdapter":"redis:///1"}`, err: "must have a URL that begins with redis://"},
		{name: "a number", file: `{"cacheAdapter":1}`, err: "The option cacheAdapter must be"},
		{name: "believed for no time", file: `{"cacheTTL":0}`, err: "cacheTTL must be"},
		{name: "no room", file: `{"cacheMaxSize":0}`, err: "cacheMaxSize must be"},
		{name: "counters of another scheme", file: `{"rateLimit":{"requestPath":"/*a","requestTimeWindow":1,"requestCount":1,"redisUrl":"http://user:secret@cache"}}`, err: "rateLimit.redisUrl must have a URL"},
		{name: "counters in a number", file: `{"rateLimit":{"requestPath":"/*a","requestTimeWindow":1,"requestCount":1,"redisUrl":1}}`, err: "rateLimit.redisUrl must be a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Load([]string{write(t, "c.json", tt.file)}, tt.env)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("want an error with %q and without the password, got %v", tt.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.RedisURL(); got != tt.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestPasswordAlgorithm(t *testing.T) {
	tests := []struct {
		value string
		want  *config.Argon2id
		bad   bool
	}{
		{value: "bcrypt"},
		{value: "argon2id", want: &config.Argon2id{Memory: 19456, Time: 2, Threads: 1}},
		{value: "argon2id,m=65536,t=3,p=4", want: &config.Argon2id{Memory: 65536, Time: 3, Threads: 4}},
		{value: "", bad: true},
		{value: "md5", bad: true},
		{value: "bcrypt,12", bad: true},
		{value: "argon2id,", bad: true},
		{value: "argon2id,m=8", bad: true},
		{value: "argon2id,m=65536,t=3,p=4,x", bad: true},
		{value: "argon2id,m=4,t=1,p=1", bad: true},
		{value: "argon2id,m=64,t=0,p=1", bad: true},
		{value: "argon2id,m=64,t=1,p=0", bad: true},
		{value: "argon2id,m=2000000000,t=1,p=1", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			c := config.Default()
			c.PasswordAlgorithm = tt.value
			got, err := c.Argon2()
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if d := cmp.Diff(tt.want, got); d != "" && !tt.bad {
				t.Error(d)
			}
			if invalid := c.Validate() != nil; invalid != tt.bad {
				t.Errorf("refused at start: %t", invalid)
			}
		})
	}
}
