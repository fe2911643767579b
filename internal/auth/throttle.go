package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/cache"
	"github.com/pargo-baas/pargo/parse"
)

// Throttle bounds how many passwords and codes strangers may try, and how many
// mails they may have sent. Only what fails is counted. A zero limit is none.
//
// Nobody is locked out of his account by others: what counts against a network
// is what came from it. When an account is tried from everywhere, networks may
// still try it, each less often.
type Throttle struct {
	// Counters keep the counts; nil: nothing is throttled. Prefix tells those
	// of this application from others in the same place.
	Counters cache.Cache
	Prefix   string
	// Window is the time that counts are of. It begins with the first failure.
	Window time.Duration
	// Failures is how often one network may fail to log in to one account, and
	// NetworkFailures how often to all accounts.
	Failures, NetworkFailures int
	// AccountFailures, from all networks together, put an account under siege:
	// then each network may fail SiegeFailures times.
	AccountFailures, SiegeFailures int
	// Mails is how many mails may be asked for by one address or name,
	// NetworkMails how many from one network.
	Mails, NetworkMails int
}

// DefaultThrottle is what holds without the option loginThrottle.
var DefaultThrottle = Throttle{
	Window: 10 * time.Minute, Failures: 10, NetworkFailures: 100,
	AccountFailures: 50, SiegeFailures: 3, Mails: 5, NetworkMails: 50,
}

// siegeBits are those of an IPv6 address that one subscriber of a provider may
// get, who is looked at as a whole under siege.
const siegeBits = 48

// limited is a counter with its limit.
type limited struct {
	key   string
	limit int
}

// guess is one try of a password or a code. A nil one is not counted.
type guess struct {
	s *Service
	// near are the counters of what this network has tried on the account,
	// accounts those of the account itself, far those of the network.
	near, siege, accounts []limited
	far                   []limited
	// suspect: the network has failed lately.
	suspect bool
	// from is who stands in one line with this try: his network, or, where that
	// may be a proxy's, who tries the same account from there.
	from string
}

// named makes a key of bounded length out of what a client sends.
func (t *Throttle) named(kind, name string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(name))))
	return t.Prefix + kind + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// guess admits a try of accounts, each counted by the name that the client
// gives it: whose name it is must not show. Master keys may try without end.
func (s *Service) guess(ctx context.Context, p *access.Principal, names ...string) (*guess, error) {
	t := &s.o.Throttle
	if t.Counters == nil || p.Bypass() {
		return nil, nil
	}
	g := &guess{s: s}
	network, wide := access.ClientNetwork(p.IP), access.Network(p.IP, siegeBits)
	if !access.Internal(p.IP) && t.NetworkFailures > 0 {
		g.far = []limited{{t.Prefix + "net:" + network, t.NetworkFailures}}
		g.from = network
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		account := t.named("acc", name)
		if g.from == "" {
			g.from = account + ":" + network
		}
		if t.Failures > 0 {
			g.near = append(g.near, limited{account + ":" + network, t.Failures})
		}
		if t.AccountFailures > 0 {
			g.accounts = append(g.accounts, limited{account, t.AccountFailures})
			g.siege = append(g.siege, limited{account + "/" + wide, t.SiegeFailures})
		}
	}
	return g, g.check(ctx)
}

// check refuses a try that comes after the limits are reached.
func (g *guess) check(ctx context.Context) error {
	all := make([]string, 0, 8)
	for _, list := range [...][]limited{g.near, g.far, g.siege, g.accounts} {
		for _, l := range list {
			all = append(all, l.key)
		}
	}
	if len(all) == 0 {
		return nil
	}
	counted, err := g.s.o.Throttle.Counters.Counters(ctx, all...)
	if err != nil {
		return g.s.uncounted(ctx, err)
	}
	var until time.Time
	over := func(list []limited) {
		for i, l := range list {
			g.suspect = g.suspect || counted[i].N > 0
			if counted[i].N >= l.limit && counted[i].Ends.After(until) {
				until = counted[i].Ends
			}
		}
		counted = counted[len(list):]
	}
	over(g.near)
	over(g.far)
	siege, accounts := counted[:len(g.siege)], counted[len(g.siege):]
	for i := range g.accounts { // one siege and one account for each name
		if accounts[i].N >= g.accounts[i].limit && siege[i].N >= g.siege[i].limit && siege[i].Ends.After(until) {
			until = siege[i].Ends
		}
	}
	if until.IsZero() {
		return nil
	}
	return g.s.errThrottled("Too many failed logins.", until)
}

// failed counts a wrong password or code. Of many at a time, those that end
// after the limit was reached learn nothing.
func (g *guess) failed(ctx context.Context) error {
	if g == nil {
		return nil
	}
	t := &g.s.o.Throttle
	var until time.Time
	count := func(list []limited) error {
		for _, l := range list {
			n, ends, err := t.Counters.Count(ctx, l.key, t.Window)
			if err != nil {
				return g.s.uncounted(ctx, err)
			}
			if n > l.limit && ends.After(until) {
				until = ends
			}
		}
		return nil
	}
	for _, list := range [...][]limited{g.near, g.far} {
		if err := count(list); err != nil {
			return err
		}
	}
	for i := range g.accounts {
		all, _, err := t.Counters.Count(ctx, g.accounts[i].key, t.Window)
		if err != nil {
			return g.s.uncounted(ctx, err)
		}
		own, ends, err := t.Counters.Count(ctx, g.siege[i].key, t.Window)
		if err != nil {
			return g.s.uncounted(ctx, err)
		}
		if all > g.accounts[i].limit && own > g.siege[i].limit && ends.After(until) {
			until = ends
		}
	}
	if until.IsZero() {
		return nil
	}
	return g.s.errThrottled("Too many failed logins.", until)
}

// succeeded begins the counts of this network on the account anew, unless they
// reached a limit while the password was checked.
func (g *guess) succeeded(ctx context.Context) error {
	if g == nil {
		return nil
	}
	if err := g.check(ctx); err != nil {
		return err
	}
	keys := make([]string, 0, 4)
	for _, list := range [...][]limited{g.near, g.siege} {
		for _, l := range list {
			keys = append(keys, l.key)
		}
	}
	if err := g.s.o.Throttle.Counters.Delete(ctx, keys...); err != nil {
		return g.s.uncounted(ctx, err)
	}
	return nil
}

// mayMail counts a request for a mail to whoever has an address, name or
// token, whether or not there is anybody.
func (s *Service) mayMail(ctx context.Context, p *access.Principal, name string) error {
	t := &s.o.Throttle
	if t.Counters == nil || p.Bypass() {
		return nil
	}
	var list []limited
	if t.NetworkMails > 0 && !access.Internal(p.IP) {
		list = append(list, limited{t.Prefix + "mailnet:" + access.ClientNetwork(p.IP), t.NetworkMails})
	}
	if t.Mails > 0 {
		list = append(list, limited{t.named("mail", name), t.Mails})
	}
	for _, l := range list {
		n, ends, err := t.Counters.Count(ctx, l.key, t.Window)
		if err != nil {
			return s.uncounted(ctx, err)
		}
		if n > l.limit {
			return s.errThrottled("Too many mails were asked for.", ends)
		}
	}
	return nil
}

// uncounted lets a request pass whose counters failed: they protect the
// service, they do not stop it.
func (s *Service) uncounted(ctx context.Context, err error) error {
	s.o.Log.WarnContext(ctx, "a login could not be counted", "error", err)
	return ctx.Err()
}

func (s *Service) errThrottled(text string, until time.Time) error {
	wait := max(until.Sub(s.o.Now()).Round(time.Second), time.Second)
	return &parse.Error{
		Code: parse.RequestLimitExceeded, Status: http.StatusTooManyRequests, RetryAfter: wait,
		Message: fmt.Sprintf("%s Try again in %d seconds.", text, int(wait/time.Second)),
	}
}
