package rest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/cache"
	"github.com/pargo-baas/pargo/parse"
)

// RateLimit allows a number of requests in each window of time (reference 01 §15.1).
type RateLimit struct {
	// Path matches paths below the mount path, Methods the verbs; nil: all verbs.
	Path, Methods *regexp.Regexp
	Window        time.Duration
	Count         int
	Message       string
	// IncludeMaster limits master keys as well, and then all verbs.
	IncludeMaster bool
	// IncludeInternal limits requests from 127.0.0.1 as well.
	IncludeInternal bool
	// Zone says whose requests count together: "global", "session", "user" or
	// "ip", which also stands in where there is no session.
	Zone string
	// ID names the limit among all whose counters are in the same place.
	ID       string
	Counters cache.Cache
}

// sender is whose request is counted.
type sender struct {
	kind             access.Kind
	token, installed string
	ip               string
}

// limitRate counts the request in every limit that it meets and tells the
// client how it stands with the tightest of them. Over a limit, the error is
// 100 with status 429.
func (c *call) limitRate(s sender) error {
	if len(c.h.o.Rates) == 0 {
		return nil
	}
	least := -1
	return c.eachRate(s, c.req.Method, c.route(), func(r *RateLimit, n int, ends time.Time) error {
		left := max(r.Count-n, 0)
		if h := c.Header(); least < 0 || left < least || n > r.Count {
			least = left
			h["X-Ratelimit-Limit"] = []string{strconv.Itoa(r.Count)}
			h["X-Ratelimit-Remaining"] = []string{strconv.Itoa(left)}
			h["X-Ratelimit-Reset"] = []string{strconv.FormatInt(seconds(ends.UnixMilli()), 10)}
		}
		if n <= r.Count {
			return nil
		}
		return &parse.Error{
			Code: parse.ConnectionFailed, Message: r.Message, Status: http.StatusTooManyRequests,
			RetryAfter: max(time.Until(ends), time.Second),
		}
	})
}

// seconds rounds milliseconds up.
func seconds(ms int64) int64 { return (ms + 999) / 1000 }

// limitItem counts an item of a batch. Over a limit the whole batch fails,
// with status 400.
func (c *call) limitItem(method, path string) error {
	if len(c.h.o.Rates) == 0 {
		return nil
	}
	p := c.principal
	s := sender{kind: p.Kind, token: c.token, installed: p.InstallationID, ip: p.IP}
	return c.eachRate(s, method, path, func(r *RateLimit, n int, _ time.Time) error {
		if n > r.Count {
			return parse.Errorf(parse.ConnectionFailed, "%s", r.Message)
		}
		return nil
	})
}

// eachRate counts in each rule that holds for the request. If the counters
// fail, the request passes: the limits protect the server, they do not stop it.
func (c *call) eachRate(s sender, method, path string, over func(*RateLimit, int, time.Time) error) error {
	rates := c.h.o.Rates
	for i := range rates {
		r := &rates[i]
		if !r.holds(s, method, path, c.route() == "/batch") {
			continue
		}
		n, ends, err := r.Counters.Count(c.req.Context(), "rl:"+r.ID+":"+c.rateKey(r, s, path), r.Window)
		if err != nil {
			c.h.o.Log.WarnContext(c.req.Context(), "a rate limit could not be counted", "error", err)
			continue
		}
		if err := over(r, n, ends); err != nil {
			return err
		}
	}
	return nil
}

func (r *RateLimit) holds(s sender, method, path string, batch bool) bool {
	switch s.kind {
	case access.Maintenance:
		return false
	case access.Master, access.ReadOnlyMaster:
		if !r.IncludeMaster {
			return false
		}
	case access.Client:
	}
	if !r.IncludeInternal && (s.ip == "127.0.0.1" || s.ip == "::ffff:127.0.0.1") {
		return false
	}
	if r.Methods != nil && !r.IncludeMaster && !r.Methods.MatchString(method) && (!batch || !r.Methods.MatchString(http.MethodPost)) {
		return false
	}
	return r.Path.MatchString(path)
}

// rateKey names the counter of a sender in the zone of a rule.
func (c *call) rateKey(r *RateLimit, s sender, path string) string {
	zone, token := r.Zone, s.token
	if token == "" || loginPath.MatchString(path) { // a login makes a session, it has none
		if zone == "session" || zone == "user" {
			zone = "ip"
		}
	}
	switch zone {
	case "global":
		return "global"
	case "session":
		sum := sha256.Sum256([]byte(token)) // a client chooses its length
		return "session:" + base64.RawURLEncoding.EncodeToString(sum[:16])
	case "user":
		p, err := c.h.auth.Principal(c.req.Context(), token, s.installed, s.ip)
		if err == nil && p.UserID != "" {
			return "user:" + p.UserID
		}
	}
	return "ip:" + access.ClientNetwork(s.ip)
}

var loginPath = regexp.MustCompile(`(?i)^/login/?$`)
