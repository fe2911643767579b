package cloudcode

import (
	"errors"
	"time"
)

// Option is a setting of one hook, function or job: [Timeout] or [Validator].
type Option interface{ apply(*settings) }

// timeoutOfApp stands for the time limit of the App.
const timeoutOfApp = time.Duration(-1)

// settings are what the options of a hook come to.
type settings struct {
	timeout    time.Duration
	validators []*Validator
}

// Timeout limits the time of one hook, function or job: its context ends, and
// if it fails from then on the client reads error 124. 0 is no limit. A hook
// that does not regard its context is waited for.
type Timeout time.Duration

func (t Timeout) apply(s *settings) { s.timeout = time.Duration(t) }

func (v Validator) apply(s *settings) { s.validators = append(s.validators, &v) }

// settings reads the options and keeps their rate limits for the server.
func (a *App) settings(t Trigger, name string, opts []Option) (settings, error) {
	s := settings{timeout: timeoutOfApp}
	var errs []error
	for _, o := range opts {
		if o == nil {
			continue
		}
		o.apply(&s)
	}
	if s.timeout < timeoutOfApp {
		errs = append(errs, errors.New("a time limit cannot be negative"))
	}
	for _, v := range s.validators {
		if err := v.compile(t); err != nil {
			errs = append(errs, err)
			continue
		}
		if v.RateLimit != nil {
			a.mu.Lock()
			a.rates = append(a.rates, Rate{Trigger: t, Name: name, RateLimit: *v.RateLimit})
			a.mu.Unlock()
		}
	}
	return s, errors.Join(errs...)
}
