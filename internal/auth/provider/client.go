package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

const (
	requestTimeout = 10 * time.Second
	// maxAnswer is the largest answer of a provider; sets of keys are the largest.
	maxAnswer = 1 << 20
	// maxRedirects is how often a provider may send a request to another path.
	maxRedirects = 3
)

// client makes the requests to providers. Its addresses come from this package
// or from the operator; a redirect leads to no other host, so that no answer
// can make the server look into its own network.
type client struct{ http *http.Client }

func newClient(rt http.RoundTripper) *client {
	if rt == nil {
		rt = http.DefaultTransport
	}
	return &client{&http.Client{
		Transport: rt,
		Timeout:   requestTimeout,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if first := via[0].URL; next.URL.Host != first.Host || next.URL.Scheme != first.Scheme || next.URL.User != nil {
				return errors.New("redirect to another host")
			}
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			return nil
		},
	}}
}

// answer is what a provider has answered.
type answer struct {
	status int
	body   []byte
}

func (a *answer) ok() bool { return a.status >= 200 && a.status < 300 }

// reason is the status in words.
func (a *answer) reason() string { return http.StatusText(a.status) }

// object reads the body as a JSON object; nil if it is none.
func (a *answer) object() *parse.Map {
	m, err := parse.DecodeMap(a.body, parse.DefaultLimits)
	if err != nil {
		return nil
	}
	return m
}

// get and post return an error only if there is no answer.
func (c *client) get(ctx context.Context, target string, header ...string) (*answer, error) {
	return c.do(ctx, http.MethodGet, target, "", header)
}

// post sends a form.
func (c *client) post(ctx context.Context, target string, form url.Values, header ...string) (*answer, error) {
	return c.do(ctx, http.MethodPost, target, form.Encode(), header)
}

func (c *client) do(ctx context.Context, method, target, body string, header []string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", req.URL.Host, err)
	}
	if len(data) > maxAnswer {
		return nil, fmt.Errorf("answer of %s is too large", req.URL.Host)
	}
	return &answer{res.StatusCode, data}, nil
}

// plain drops the URL, which may have a secret, from an error.
func plain(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		host := ""
		if u, perr := url.Parse(ue.URL); perr == nil {
			host = u.Host
		}
		return fmt.Errorf("ask %s: %w", host, ue.Err)
	}
	return err
}

// checkURL checks an address that an operator configures: https, or http for
// a service on the same machine or network.
func checkURL(option, raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%s must be a URL starting with http:// or https://", option)
	}
	return nil
}
