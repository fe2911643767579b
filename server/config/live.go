package config

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"
)

// LiveQuery is the option liveQuery.
type LiveQuery struct {
	ClassNames []string `json:"classNames"`
	// RegexTimeout is how long one $regex of a subscription may take for one
	// text, in ms; 0: as long as it wants; absent: 100.
	RegexTimeout *int `json:"regexTimeout"`
	// RedisURL is the Redis that other live-query servers are told of changes through.
	RedisURL string `json:"redisURL"`
	// RedisOptions add to RedisURL, see [LiveQuery.Redis].
	RedisOptions  *RedisOptions   `json:"redisOptions"`
	PubSubAdapter json.RawMessage `json:"pubSubAdapter"` // refused
	WSSAdapter    json.RawMessage `json:"wssAdapter"`    // refused
}

// LiveQueryOptions is the option liveQueryServerOptions.
type LiveQueryOptions struct {
	KeyPairs         map[string]string `json:"keyPairs"`
	WebsocketTimeout int               `json:"websocketTimeout"` // ms between pings
	QueueBytes       int               `json:"queueBytes"`       // per client
	// TotalQueueBytes bounds the memory that waits for all clients (0: 256 MiB).
	TotalQueueBytes int64 `json:"totalQueueBytes"`
	// MaxSubscriptions bounds the subscriptions of all clients (0: 250,000).
	MaxSubscriptions int `json:"maxSubscriptions"`
	// SubscriptionBytes bounds the memory that they take (0: 288 MiB).
	SubscriptionBytes int64 `json:"subscriptionBytes"`
	// ResumeWindow is how many seconds a client that lost its connection may
	// take to come back and get what it missed; 0: it gets nothing; absent: 60.
	ResumeWindow *int `json:"resumeWindow"`
	// ResumeChanges is how many changes of a class are kept for that (0: 1000).
	ResumeChanges int `json:"resumeChanges"`
	// CacheTimeout is how many ms the user of a session token is believed
	// without asking again; absent: 30 s. What is known to have ended ends at once.
	CacheTimeout *int `json:"cacheTimeout"`
	// Port is the port for live queries alone; 0: they are on the server's own.
	Port int `json:"port"`
	// RedisURL is the Redis that tells of the changes of other servers.
	RedisURL string `json:"redisURL"`
	// RedisOptions add to RedisURL, see [LiveQueryOptions.Redis].
	RedisOptions *RedisOptions `json:"redisOptions"`
	// AppID, MasterKey and ServerURL, if they are given, must be those of the
	// server: live queries are served by it.
	AppID         string          `json:"appId"`
	MasterKey     string          `json:"masterKey"`
	ServerURL     string          `json:"serverURL"`
	LogLevel      string          `json:"logLevel"`      // refused
	PubSubAdapter json.RawMessage `json:"pubSubAdapter"` // refused
	WSSAdapter    json.RawMessage `json:"wssAdapter"`    // refused
}

// RedisOptions are what of the options of Parse Server's Redis client has a
// meaning here. Others are refused.
type RedisOptions struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Database *int   `json:"database"`
}

// Redis returns the URL of the Redis with the options in it; "" without one.
func (l *LiveQuery) Redis() string { return l.RedisOptions.in(l.RedisURL) }

// Redis returns the URL of the Redis with the options in it; "" without one.
func (l *LiveQueryOptions) Redis() string { return l.RedisOptions.in(l.RedisURL) }

// SessionAge is the option cacheTimeout; 0: the default.
func (l *LiveQueryOptions) SessionAge() time.Duration {
	if l.CacheTimeout == nil {
		return 0
	}
	return time.Duration(*l.CacheTimeout) * time.Millisecond
}

// in puts the options into a URL. As in the client of Parse Server they win
// over what stands there.
func (o *RedisOptions) in(redis string) string {
	u, err := url.Parse(redis)
	if o == nil || redis == "" || err != nil {
		return redis
	}
	user, password := u.User.Username(), o.Password
	if o.Username != "" {
		user = o.Username
	}
	if password == "" {
		password, _ = u.User.Password()
	}
	if user != "" || password != "" {
		u.User = url.UserPassword(user, password)
	}
	if o.Database != nil {
		u.Path = "/" + strconv.Itoa(*o.Database)
	}
	return u.String()
}

// checkLive validates the options of live queries.
func (c *Config) checkLive(p *Problems) {
	l, s := &c.LiveQuery, &c.LiveQueryServerOptions
	if ms := l.RegexTimeout; ms != nil && *ms < 0 {
		p.addf("liveQuery.regexTimeout must not be negative, it is %d.", *ms)
	}
	if s.QueueBytes < 0 || s.TotalQueueBytes < 0 {
		p.addf("liveQueryServerOptions.queueBytes and totalQueueBytes must not be negative.")
	}
	if s.MaxSubscriptions < 0 || s.SubscriptionBytes < 0 {
		p.addf("liveQueryServerOptions.maxSubscriptions and subscriptionBytes must not be negative.")
	}
	for _, r := range []struct {
		option, url string
		redis       *RedisOptions
		adapters    map[string]json.RawMessage
	}{
		{"liveQuery", l.RedisURL, l.RedisOptions, map[string]json.RawMessage{"pubSubAdapter": l.PubSubAdapter, "wssAdapter": l.WSSAdapter}},
		{"liveQueryServerOptions", s.RedisURL, s.RedisOptions, map[string]json.RawMessage{"pubSubAdapter": s.PubSubAdapter, "wssAdapter": s.WSSAdapter}},
	} {
		for _, name := range []string{"pubSubAdapter", "wssAdapter"} {
			if v := r.adapters[name]; len(v) > 0 && string(v) != "null" {
				p.addf("%s.%s is JavaScript, which pargo does not run. Servers share live queries through redisURL.", r.option, name)
			}
		}
		switch err := redisURL(r.url); {
		case r.url == "" && r.redis != nil:
			p.addf("%s.redisOptions has no effect without redisURL.", r.option)
		case r.url != "" && err != nil:
			p.addf("%s.redisURL %s.", r.option, err)
		case r.redis != nil && r.redis.Database != nil && *r.redis.Database < 0:
			p.addf("%s.redisOptions.database must not be negative.", r.option)
		}
	}
	if ms := s.CacheTimeout; ms != nil && *ms <= 0 {
		p.addf("liveQueryServerOptions.cacheTimeout must be greater than 0, it is %d.", *ms)
	}
	if s.Port < 0 || s.Port > 65535 {
		p.addf("liveQueryServerOptions.port must be between 0 and 65535, not %d.", s.Port)
	}
	if s.LogLevel != "" {
		p.addf("liveQueryServerOptions.logLevel has no effect: live queries log as the server does, see logLevel.")
	}
	for _, same := range []struct{ name, live, own string }{
		{"appId", s.AppID, c.AppID}, {"masterKey", s.MasterKey, c.MasterKey}, {"serverURL", s.ServerURL, c.ServerURL},
	} {
		if same.live != "" && same.live != same.own {
			p.addf("liveQueryServerOptions.%s must be that of the server, which serves the live queries.", same.name)
		}
	}
}
