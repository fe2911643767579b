package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// Options configure a Client; the zero value works.
type Options struct {
	// Key is sent as X-Parse-Webhook-Key; "": none.
	Key string
	// Secret signs calls as Standard Webhooks do; "whsec_" before its base64 or
	// the plain text. "": calls are not signed.
	Secret string
	// Timeout bounds one call; 0: 15 seconds.
	Timeout time.Duration
	// BlockPrivate refuses to call addresses that are not public: loopback,
	// private and link-local ones, also after redirects.
	BlockPrivate bool
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: discarded
}

// Client calls webhooks.
type Client struct {
	o      Options
	secret []byte
	http   *http.Client

	mu    sync.Mutex // guards hosts
	hosts map[string]*breaker
}

const defaultTimeout = 15 * time.Second

// maxAnswer bounds what is read of an answer.
const maxAnswer = 20 << 20

// NewClient returns a Client.
func NewClient(o Options) (*Client, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{o: o, hosts: map[string]*breaker{}}
	if encoded, ok := strings.CutPrefix(o.Secret, "whsec_"); ok {
		var err error
		if c.secret, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, fmt.Errorf("the signing secret of webhooks is no base64: %w", err)
		}
	} else {
		c.secret = []byte(o.Secret)
	}
	dialer := &net.Dialer{Timeout: o.Timeout}
	if o.BlockPrivate {
		// At this point names are resolved: what is checked is what is dialled.
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return public(address) }
	}
	c.http = &http.Client{Timeout: o.Timeout, Transport: &http.Transport{
		DialContext: dialer.DialContext, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true,
	}, CheckRedirect: redirected}
	return c, nil
}

const maxRedirects = 10

// redirected takes what proves that a call is the server's from a request that
// goes to another host than the one that was declared.
func redirected(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return errors.New("too many redirects")
	}
	first := before[0].URL
	if u := next.URL; u.Host == first.Host && u.Scheme == first.Scheme || u.Hostname() == first.Hostname() && u.Scheme == "https" {
		return nil
	}
	for _, name := range [...]string{headerKey, headerID, headerTime, headerSignature} {
		next.Header.Del(name)
	}
	return nil
}

// Headers of a call.
const (
	headerKey       = "X-Parse-Webhook-Key"
	headerID        = "webhook-id"
	headerTime      = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

// notPublic are addresses that look as if the internet knew them: of carriers'
// networks, protocols, measurements and times to come, and those that gateways
// turn into an IPv4 address, which may be private.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// public refuses addresses that the internet does not know.
func public(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	a := ap.Addr().Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return fmt.Errorf("webhooks may not call %s: it is no public address", a)
	}
	return nil
}

// Timeout is the time limit of a call.
func (c *Client) Timeout() time.Duration { return c.o.Timeout }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ErrFailed is the cause of an error by which a hook could not be asked, or
// gave no answer that counts: another try may do better.
var ErrFailed = errors.New("the webhook failed")

// Send posts a body and returns the answer. id names the message, the same for
// each try. An error is a *parse.Error of code 141 with ErrFailed as cause.
func (c *Client) Send(ctx context.Context, target, id string, body []byte) ([]byte, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, failure("The webhook has no usable URL.", err)
	}
	b := c.breaker(u.Host)
	if wait := b.admit(c.o.Now()); wait > 0 {
		return nil, failure(fmt.Sprintf("The webhook at %s does not answer; it is left alone for %d more seconds.", u.Host, int(wait.Seconds())+1), nil)
	}
	answer, status, err := c.post(ctx, target, id, body)
	if err != nil && ctx.Err() != nil {
		b.release() // the caller has gone: it says nothing about the host
		return nil, failure("The webhook was given up: "+ctx.Err().Error(), err)
	}
	b.done(err == nil && status < http.StatusInternalServerError, c.o.Now())
	switch {
	case err != nil:
		return nil, failure("The webhook cannot be reached: "+reason(err), err)
	case status >= http.StatusBadRequest:
		return nil, failure("The webhook answered with status "+strconv.Itoa(status)+".", nil)
	}
	return answer, nil
}

// reason is an error without the URL, which may hold secrets.
func reason(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return err.Error()
}

func failure(text string, cause error) error {
	return &parse.Error{Code: parse.ScriptFailed, Message: text, Err: errors.Join(ErrFailed, cause)}
}

func (c *Client) post(ctx context.Context, target, id string, body []byte) (answer []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.o.Key != "" {
		req.Header.Set(headerKey, c.o.Key)
	}
	if len(c.secret) > 0 {
		at := strconv.FormatInt(c.o.Now().Unix(), 10)
		req.Header.Set(headerID, id)
		req.Header.Set(headerTime, at)
		req.Header.Set(headerSignature, "v1,"+Sign(c.secret, id, at, body))
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = errors.New("the answer is too large")
	}
	return answer, res.StatusCode, err
}

// Sign returns the signature of a message by Standard Webhooks, without version.
func Sign(secret []byte, id, timestamp string, body []byte) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(id + "." + timestamp + "."))
	m.Write(body)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// A host that failed failuresToOpen times in a row is left alone for openFor;
// then one call tries it.
const (
	failuresToOpen = 5
	openFor        = 30 * time.Second
)

// breaker keeps calls from a host that does not answer.
type breaker struct {
	mu       sync.Mutex // guards all below
	failures int
	until    time.Time
	trying   bool
}

func (c *Client) breaker(host string) *breaker {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.hosts[host]
	if b == nil {
		b = &breaker{}
		c.hosts[host] = b
	}
	return b
}

// admit returns how long the host is left alone; 0: it may be called.
func (b *breaker) admit(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < failuresToOpen {
		return 0
	}
	if wait := b.until.Sub(now); wait > 0 {
		return wait
	}
	if b.trying {
		return openFor
	}
	b.trying = true
	return 0
}

func (b *breaker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
}

func (b *breaker) done(ok bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	if ok {
		b.failures = 0
		return
	}
	if b.failures++; b.failures >= failuresToOpen {
		b.until = now.Add(openFor)
	}
}
