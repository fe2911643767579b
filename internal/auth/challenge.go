package auth

import (
	"context"
	"errors"
	"slices"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
)

func errUserNotFound() error { return parse.Errorf(parse.ObjectNotFound, "User not found.") }

func errOther(format string, args ...any) error {
	return parse.Errorf(parse.OtherCause, format, args...)
}

// Challenge asks providers for challenges (reference 03 §8.4): for the user
// whom a password or authData identify, else for the caller. The answer has a
// value for each provider of challengeData that gives challenges.
func (s *Service) Challenge(ctx context.Context, p *access.Principal, params *parse.Map) (*parse.Map, error) {
	username, _ := params.Get("username")
	email, _ := params.Get("email")
	password, _ := params.Get("password")
	named := parse.Truthy(username) || parse.Truthy(email)
	if named && !parse.Truthy(password) {
		return nil, errOther("You provided username or email, you need to also provide password.")
	}
	v, _ := params.Get("challengeData")
	if !parse.Truthy(v) {
		return nil, errOther("Nothing to challenge.")
	}
	asked, ok := v.(*parse.Map)
	if !ok {
		return nil, errOther("challengeData should be an object.")
	}
	v, _ = params.Get("authData")
	authData, ok := v.(*parse.Map)
	switch {
	case parse.Truthy(v) && !ok:
		return nil, errOther("authData should be an object.")
	case named && authData != nil:
		return nil, errOther("You cannot provide username/email and authData, only use one identification method.")
	}
	user := p.User
	var err error
	switch {
	case named:
		user, err = s.checkPassword(ctx, p, params)
	case authData != nil:
		user, err = s.identify(ctx, p, authData)
	}
	if err != nil {
		return nil, err
	}
	answers := &parse.Map{}
	for _, name := range sortedKeys(asked) {
		provider, ok := s.o.Providers[name].(cloudcode.AuthChallenger)
		if !ok {
			continue
		}
		r := s.authRequest(p, name, user, providerData(authData, name).Clone())
		r.Step = cloudcode.AuthChallenge
		r.Challenge, _ = asked.Get(name)
		answer, err := provider.Challenge(ctx, r)
		if err != nil {
			return nil, s.challengeError(ctx, name, err)
		}
		if !parse.Truthy(answer) {
			answer = true
		}
		answers.Set(name, answer)
	}
	return parse.NewMap(parse.MapField{Key: "challengeData", Value: answers}), nil
}

// identify finds the user whom authData name and prove to be. Whatever is
// wrong with them, the answer is the same: it tells nothing about an id.
func (s *Service) identify(ctx context.Context, p *access.Principal, authData *parse.Map) (*parse.Object, error) {
	provider := ""
	for name, v := range authData.All() {
		d, ok := v.(*parse.Map)
		if !ok {
			return nil, errOther("authData.%s should be an object.", name)
		}
		if id, _ := d.Get("id"); !parse.Truthy(id) {
			continue
		}
		if provider != "" {
			return nil, errOther("You cannot provide more than one authData provider with an id.")
		}
		provider = name
	}
	if provider == "" {
		return nil, errUserNotFound()
	}
	one := parse.NewMap(parse.MapField{Key: provider, Value: providerData(authData, provider)})
	c, err := s.claimed(one)
	if err != nil {
		return nil, errUserNotFound()
	}
	user, err := s.proved(ctx, p, provider, c)
	var pe *parse.Error
	if errors.As(err, &pe) && pe.Code != parse.InternalServerError {
		s.o.Log.InfoContext(ctx, "no user for a challenge", "provider", provider, "error", err)
		return nil, errUserNotFound()
	}
	return user, err
}

// proved finds the user of the claims of one provider, which must hold.
func (s *Service) proved(ctx context.Context, p *access.Principal, provider string, c *claims) (*parse.Object, error) {
	if err := s.prepare(ctx, p, nil, c, cloudcode.AuthChallenge); err != nil {
		return nil, err
	}
	list, err := s.openUsers(ctx, p, c)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, errUserNotFound()
	}
	r := s.authRequest(p, provider, list[0], c.data[provider])
	r.Step = cloudcode.AuthChallenge
	if _, err := s.o.Providers[provider].Authenticate(ctx, r); err != nil {
		return nil, s.providerError(ctx, provider, err)
	}
	return list[0], nil
}

// challengeError is what the client reads of an error of a challenge.
func (s *Service) challengeError(ctx context.Context, provider string, err error) error {
	var pe *parse.Error
	if errors.As(err, &pe) || ctx.Err() != nil {
		return err
	}
	s.o.Log.ErrorContext(ctx, "a challenge failed", "provider", provider, "error", err)
	return &parse.Error{Code: parse.ScriptFailed, Message: "Challenge failed. Unknown error.", Err: err}
}

func sortedKeys(m *parse.Map) []string {
	keys := make([]string, 0, m.Len())
	for k := range m.All() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
