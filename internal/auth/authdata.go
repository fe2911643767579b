package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// anonymousProvider is the provider of users without credentials: the one who
// knows the id is the user.
const anonymousProvider = "anonymous"

// anonymous accepts any id.
type anonymous struct{}

var _ cloudcode.AuthProvider = anonymous{}

func (anonymous) Authenticate(context.Context, *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	return nil, nil
}

func errUnsupportedProvider() error {
	return parse.Errorf(parse.UnsupportedService, "This authentication method is unsupported.")
}

func errLinked() error {
	return parse.Errorf(parse.AccountAlreadyLinked, "this auth is already used")
}

func errProviderID(provider string) error {
	return parse.Errorf(parse.InvalidValue, "Invalid authData id for provider '%s'.", provider)
}

// errStale says that what was proved is no longer what is stored: a code was
// used by another request, for example.
func errStale() error { return parse.Errorf(parse.ScriptFailed, "Invalid auth data") }

// linked returns authData without the providers that are null, nil if none is left.
func linked(v parse.Value) *parse.Map {
	m, ok := v.(*parse.Map)
	if !ok || m.Len() == 0 {
		return nil
	}
	var nulls []string
	for name, d := range m.All() {
		if d == nil {
			nulls = append(nulls, name)
		}
	}
	if len(nulls) == 0 {
		return m
	}
	if len(nulls) == m.Len() {
		return nil
	}
	m = m.Clone()
	for _, name := range nulls {
		m.Delete(name)
	}
	return m
}

// authDataOf returns a copy of the authData of a user, who may be nil.
func authDataOf(user *parse.Object) *parse.Map {
	if user != nil {
		v, _ := user.Get("authData")
		if m := linked(v); m != nil {
			return m.Clone()
		}
	}
	return &parse.Map{}
}

// providerData returns what authData has of a provider; nil: nothing.
func providerData(authData *parse.Map, provider string) *parse.Map {
	v, _ := authData.Get(provider)
	d, _ := v.(*parse.Map)
	return d
}

// usable returns authData if it names a provider with data, else nil.
func usable(authData parse.Value) *parse.Map {
	m, _ := authData.(*parse.Map)
	for _, v := range m.All() {
		if d, ok := v.(*parse.Map); ok && d.Len() > 0 {
			return m
		}
	}
	return nil
}

// claims are authData as a client sent them.
type claims struct {
	names  []string // of the providers with data, in the order sent
	data   map[string]*parse.Map
	unlink []string // providers that are null
}

// claimed takes authData apart; v may be nil. What is no object, or names a
// provider that is not served, is 252: it is never looked for in the database.
func (s *Service) claimed(v parse.Value) (*claims, error) {
	c := &claims{data: map[string]*parse.Map{}}
	if v == nil {
		return c, nil
	}
	m, ok := v.(*parse.Map)
	if !ok {
		return nil, errUnsupportedProvider()
	}
	for name, v := range m.All() {
		if v == nil {
			c.unlink = append(c.unlink, name)
			continue
		}
		if s.o.Providers[name] == nil {
			return nil, errUnsupportedProvider()
		}
		d, ok := v.(*parse.Map)
		if !ok {
			return nil, errProviderID(name)
		}
		c.names = append(c.names, name)
		c.data[name] = d.Clone()
	}
	return c, nil
}

// proof is what providers have made of claims.
type proof struct {
	names  []string              // of the claims
	save   map[string]*parse.Map // what is to be stored, by provider
	unlink []string
	reply  *parse.Map // authDataResponse
	judged *parse.Map // the stored authData that the providers saw
}

// apply returns stored authData, which it changes, with what was proved.
func (pr *proof) apply(stored *parse.Map) *parse.Map {
	for _, name := range pr.unlink {
		stored.Delete(name)
	}
	for _, name := range pr.names {
		if d := pr.save[name]; d != nil {
			stored.Set(name, d)
		}
	}
	return stored
}

// authRequest asks a provider about a user, who may be nil.
func (s *Service) authRequest(p *access.Principal, provider string, user *parse.Object, data *parse.Map) *cloudcode.AuthRequest {
	r := &cloudcode.AuthRequest{Caller: s.authCaller(p), Provider: provider, Data: data}
	if user != nil {
		r.User = public(user)
		v, _ := user.Get("authData")
		r.Stored = providerData(linked(v), provider)
	}
	return r
}

// authCaller is who asks, for a provider: keys that bypass permissions see all.
func (s *Service) authCaller(p *access.Principal) cloudcode.Caller {
	c := s.objs.Caller(p)
	c.Master = p.Bypass()
	return c
}

// prepare lets the providers complete what the client sent.
func (s *Service) prepare(ctx context.Context, p *access.Principal, user *parse.Object, c *claims, step cloudcode.AuthStep) error {
	for _, name := range slices.Sorted(slices.Values(c.names)) {
		prep, ok := s.o.Providers[name].(cloudcode.AuthPreparer)
		if !ok {
			continue
		}
		r := s.authRequest(p, name, user, c.data[name])
		r.Step = step
		if err := prep.Prepare(ctx, r); err != nil {
			return s.providerError(ctx, name, err)
		}
		c.data[name] = r.Data
	}
	return nil
}

// linkedUsers finds the users that have any of the claimed ids, two at most.
func (s *Service) linkedUsers(ctx context.Context, store storage.Store, c *claims) ([]*parse.Object, error) {
	var nodes []query.Node
	for _, name := range c.names {
		switch id, _ := c.data[name].Get("id"); id := id.(type) {
		case nil:
		case string:
			if id != "" {
				nodes = append(nodes, query.Equal("authData."+name+".id", id))
			}
		default:
			return nil, errProviderID(name)
		}
	}
	if len(nodes) == 0 {
		return nil, nil
	}
	where := nodes[0]
	if len(nodes) > 1 {
		where = &query.Or{Nodes: nodes}
	}
	list, err := store.Find(ctx, &storage.Find{Class: s.class(userClass), Where: where, Limit: 2})
	if err != nil {
		return nil, fmt.Errorf("look for a user by authData: %w", err)
	}
	return list, nil
}

// judge asks the providers, in alphabetical order, those that are additional
// last: who has not proved to be the user makes no message be sent to him, and
// tries no codes. It ends with the first that refuses. If that one wants
// something stored nevertheless, it is in the proof that comes with the error.
// Wrong codes count as failed logins.
func (s *Service) judge(ctx context.Context, p *access.Principal, user *parse.Object, c *claims, step cloudcode.AuthStep) (*proof, error) {
	var g *guess
	if user != nil && s.twoFactors(user) {
		var err error
		if g, err = s.guess(ctx, p, "id:"+user.ID); err != nil {
			return nil, err
		}
		if err := s.admit(user); err != nil {
			return nil, err
		}
	}
	pr, err := s.ask(ctx, p, user, c, step)
	switch {
	case errors.Is(err, cloudcode.ErrWrongCode):
		err = cmp.Or(g.failed(ctx), s.tried(ctx, user, step, err))
	case err == nil && step == cloudcode.AuthLogin:
		err = cmp.Or(s.tried(ctx, user, step, nil), g.succeeded(ctx))
	}
	return pr, err
}

// ask is judge without regard to the count of failed logins.
func (s *Service) ask(ctx context.Context, p *access.Principal, user *parse.Object, c *claims, step cloudcode.AuthStep) (*proof, error) {
	pr := &proof{names: c.names, save: map[string]*parse.Map{}, reply: &parse.Map{}, judged: authDataOf(user)}
	stored := pr.judged
	order := slices.SortedFunc(slices.Values(c.names), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.rank(a, stored), s.rank(b, stored)), strings.Compare(a, b))
	})
	for _, name := range order {
		r := s.authRequest(p, name, user, c.data[name])
		r.Step = step
		if r.Stored == nil {
			r.Step = cloudcode.AuthSetUp
		}
		res, err := s.o.Providers[name].Authenticate(ctx, r)
		if err != nil {
			err = s.providerError(ctx, name, err)
			if res == nil || res.Save == nil {
				return nil, err
			}
			pr.names, pr.save = []string{name}, map[string]*parse.Map{name: res.Save}
			return pr, err
		}
		save := r.Data
		if res != nil {
			if res.Reply != nil {
				pr.reply.Set(name, res.Reply)
			}
			if res.Keep {
				continue
			}
			if res.Save != nil {
				save = res.Save
			}
		}
		if _, policed := s.o.Providers[name].(cloudcode.AuthPoliced); save.String("id") == "" && !policed {
			return nil, errProviderID(name) // nobody could ever find such a user again
		}
		pr.save[name] = save
	}
	return pr, nil
}

// providerError is what the client reads of a provider's error.
func (s *Service) providerError(ctx context.Context, provider string, err error) error {
	var pe *parse.Error
	if errors.As(err, &pe) || ctx.Err() != nil {
		return err
	}
	s.o.Log.ErrorContext(ctx, "a provider failed", "provider", provider, "error", err)
	return &parse.Error{Code: parse.ScriptFailed, Message: "Auth failed. Unknown error.", Err: err}
}

// policy returns what a provider counts for, given what is stored.
func (s *Service) policy(provider string, stored *parse.Map) cloudcode.AuthPolicy {
	if p, ok := s.o.Providers[provider].(cloudcode.AuthPoliced); ok {
		return p.Policy(stored)
	}
	return cloudcode.AuthDefault
}

// rank orders providers: those that are additional come last.
func (s *Service) rank(provider string, authData *parse.Map) int {
	if s.policy(provider, providerData(authData, provider)) == cloudcode.AuthAdditional {
		return 1
	}
	return 0
}

// wantAdditional refuses a login without the additional providers that the
// user has set up (reference 03 §8.3).
func (s *Service) wantAdditional(user *parse.Object, names []string) error {
	var missing []string
	met := false
	for name, v := range authDataOf(user).All() {
		stored, _ := v.(*parse.Map)
		given := slices.Contains(names, name)
		switch s.policy(name, stored) {
		case cloudcode.AuthSolo:
			if given {
				return nil
			}
		case cloudcode.AuthAdditional:
			if given {
				met = true
			} else {
				missing = append(missing, name)
			}
		case cloudcode.AuthDefault:
		}
	}
	if met || len(missing) == 0 {
		return nil
	}
	return parse.Errorf(parse.OtherCause, "Missing additional authData %s", strings.Join(missing, ","))
}

// judgeLogin is judge for somebody who claims to be the user.
func (s *Service) judgeLogin(ctx context.Context, p *access.Principal, user *parse.Object, c *claims) (*proof, error) {
	pr, err := s.judge(ctx, p, user, c, cloudcode.AuthLogin)
	if err != nil && pr != nil {
		if _, lost := s.storeProof(ctx, user, pr); lost != nil {
			return nil, lost
		}
	}
	if err != nil {
		return nil, err
	}
	return pr, nil
}

// secondFactor is what authData add to a login by password: the additional
// providers that the user has set up, or one that he sets up now.
func (s *Service) secondFactor(ctx context.Context, p *access.Principal, user *parse.Object, params *parse.Map) (*proof, error) {
	v, _ := params.Get("authData")
	c, err := s.claimed(v)
	if err != nil {
		return nil, err
	}
	if err := s.wantAdditional(user, c.names); err != nil {
		return nil, err
	}
	if len(c.names) == 0 {
		return nil, nil
	}
	if err := s.prepare(ctx, p, user, c, cloudcode.AuthLogin); err != nil {
		return nil, err
	}
	return s.judgeLogin(ctx, p, user, c)
}

// storeAttempts bounds how often a proof is stored anew because another write
// of the user came in between.
const storeAttempts = 32

// storeProof stores what a login has proved and returns the user as he is now.
// It fails if the authData are no longer those that the providers saw: so a
// code that may be used once is used once, whatever number of requests bring
// it at the same time. It fails, too, if the password changed meanwhile.
func (s *Service) storeProof(ctx context.Context, user *parse.Object, pr *proof) (*parse.Object, error) {
	hash := user.String(hashField)
	for range storeAttempts {
		stored := authDataOf(user)
		next := pr.apply(stored.Clone())
		if parse.Equal(next, stored) {
			return user, nil
		}
		at := max(s.now(), user.UpdatedAt+1)
		before, after, err := s.objs.Store().Update(ctx, &storage.Update{
			Class:     s.class(userClass),
			Where:     query.AllOf(query.ByID(user.ID), query.Equal(parse.KeyUpdatedAt, user.UpdatedAt)),
			Ops:       parse.NewMap(parse.MapField{Key: "authData", Value: next}),
			UpdatedAt: at,
		})
		var dup *storage.DuplicateError
		switch {
		case err == nil:
			s.Publish(ctx, []parse.Change{{Class: userClass, Action: parse.Updated, Before: before, After: after}})
			return after, nil
		case errors.As(err, &dup):
			return nil, errLinked()
		case !errors.Is(err, storage.ErrNotFound):
			return nil, fmt.Errorf("store authData: %w", err)
		}
		if user, err = s.userByID(ctx, user.ID); err != nil {
			return nil, err
		}
		if user != nil && user.String(hashField) != hash {
			return nil, errInvalidLogin()
		}
		if user == nil || !parse.Equal(authDataOf(user), pr.judged) {
			return nil, errStale()
		}
	}
	return nil, errStale()
}

// sameID reports whether a provider opens the same account for both users.
func sameID(provider string, a, b *parse.Object) bool {
	return providerData(authDataOf(a), provider).String("id") == providerData(authDataOf(b), provider).String("id")
}
