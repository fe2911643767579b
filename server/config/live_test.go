package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/server/config"
)

func loadLive(t *testing.T, file string) (config.Config, error) {
	t.Helper()
	c, err := config.Load([]string{write(t, "c.json", file)}, nil)
	if err == nil {
		err = c.Validate()
	}
	return c, err
}

// TestLiveQueryRedis: the two options name a Redis each, with what
// redisOptions add to it.
func TestLiveQueryRedis(t *testing.T) {
	for name, tt := range map[string]struct{ file, publish, subscribe string }{
		"none":           {`{"liveQuery":{"classNames":["A"]}}`, "", ""},
		"publisher":      {`{"liveQuery":{"redisURL":"redis://a:1/2"}}`, "redis://a:1/2", ""},
		"subscriber":     {`{"liveQueryServerOptions":{"redisURL":"rediss://b"}}`, "", "rediss://b"},
		"both":           {`{"liveQuery":{"redisURL":"redis://a"},"liveQueryServerOptions":{"redisURL":"redis://b"}}`, "redis://a", "redis://b"},
		"password":       {`{"liveQuery":{"redisURL":"redis://a/1","redisOptions":{"password":"p@s"}}}`, "redis://:p%40s@a/1", ""},
		"user, database": {`{"liveQueryServerOptions":{"redisURL":"redis://u:p@a/1","redisOptions":{"username":"v","database":3}}}`, "", "redis://v:p@a/3"},
		"database 0":     {`{"liveQueryServerOptions":{"redisURL":"redis://a/1","redisOptions":{"database":0}}}`, "", "redis://a/0"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := loadLive(t, tt.file)
			if err != nil {
				t.Fatal(err)
			}
			got := [2]string{c.LiveQuery.Redis(), c.LiveQueryServerOptions.Redis()}
			if diff := cmp.Diff([2]string{tt.publish, tt.subscribe}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLiveQueryOptions: no option of live queries is passed over in silence.
func TestLiveQueryOptions(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"accepted": {`{"appId":"a","masterKey":"m","serverURL":"http://x/parse","liveQueryServerOptions":{"appId":"a","masterKey":"m","serverURL":"http://x/parse","cacheTimeout":5000,
			"port":1338,"websocketTimeout":1000,"keyPairs":{"k":"v"},"pubSubAdapter":null}}`, ""},
		"bus adapter":            {`{"liveQuery":{"pubSubAdapter":{"module":"x"}}}`, "liveQuery.pubSubAdapter is JavaScript"},
		"bus adapter, server":    {`{"liveQueryServerOptions":{"pubSubAdapter":"x"}}`, "liveQueryServerOptions.pubSubAdapter is JavaScript"},
		"socket adapter":         {`{"liveQuery":{"wssAdapter":"x"}}`, "liveQuery.wssAdapter is JavaScript"},
		"socket adapter, server": {`{"liveQueryServerOptions":{"wssAdapter":"x"}}`, "liveQueryServerOptions.wssAdapter is JavaScript"},
		"log level":              {`{"liveQueryServerOptions":{"logLevel":"VERBOSE"}}`, "liveQueryServerOptions.logLevel has no effect"},
		"another app":            {`{"appId":"a","liveQueryServerOptions":{"appId":"b"}}`, "liveQueryServerOptions.appId must be that of the server"},
		"another key":            {`{"masterKey":"a","liveQueryServerOptions":{"masterKey":"b"}}`, "liveQueryServerOptions.masterKey must be that of the server"},
		"another server":         {`{"liveQueryServerOptions":{"serverURL":"http://b/parse"}}`, "liveQueryServerOptions.serverURL must be that of the server"},
		"no room for events":     {`{"liveQueryServerOptions":{"totalQueueBytes":-1}}`, "liveQueryServerOptions.queueBytes and totalQueueBytes must not be negative."},
		"no subscriptions":       {`{"liveQueryServerOptions":{"maxSubscriptions":-1}}`, "liveQueryServerOptions.maxSubscriptions and subscriptionBytes must not be negative."},
		"no bytes":               {`{"liveQueryServerOptions":{"subscriptionBytes":-1}}`, "liveQueryServerOptions.maxSubscriptions and subscriptionBytes must not be negative."},
		"no time":                {`{"liveQueryServerOptions":{"cacheTimeout":0}}`, "cacheTimeout must be greater than 0"},
		"no port":                {`{"liveQueryServerOptions":{"port":70000}}`, "port must be between 0 and 65535"},
		"bad publisher":          {`{"liveQuery":{"redisURL":"http://secret@a"}}`, "liveQuery.redisURL must have a URL that begins with redis:// or rediss://"},
		"bad subscriber":         {`{"liveQueryServerOptions":{"redisURL":"a"}}`, "liveQueryServerOptions.redisURL must have a URL that begins with redis:// or rediss://"},
		"options without a URL":  {`{"liveQuery":{"redisOptions":{"password":"p"}}}`, "liveQuery.redisOptions has no effect without redisURL"},
		"bad database":           {`{"liveQuery":{"redisURL":"redis://a","redisOptions":{"database":-1}}}`, "liveQuery.redisOptions.database must not be negative"},
		"unknown redis option":   {`{"liveQuery":{"redisURL":"redis://a","redisOptions":{"socket":{}}}}`, "option liveQuery: is not valid"},
		"unknown option":         {`{"liveQueryServerOptions":{"ports":1}}`, "option liveQueryServerOptions: is not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadLive(t, tt.file)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret")):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
