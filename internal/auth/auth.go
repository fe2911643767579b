// Package auth knows users, sessions, passwords and roles. It makes the
// principal of a request out of a session token, and registers the rules that
// make _User, _Session and _Role more than ordinary classes (reference 03).
package auth

import (
	"context"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/cache"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Names of the classes that this package rules.
const (
	userClass    = schema.UserClass
	sessionClass = schema.SessionClass
	roleClass    = schema.RoleClass
)

// Options are the settings of users and sessions.
type Options struct {
	// SessionLength is the life of a session; 0: it never ends.
	SessionLength time.Duration
	// Passwords makes new password hashes.
	Passwords Algorithm
	// HashSlots is how many hashes are computed at a time; 0: three quarters
	// of the cores.
	HashSlots int
	// Lane is where the passwords are compared of those who have failed lately;
	// nil: there is nothing else that they have to wait for.
	Lane *fair.Lane
	// Providers judge authData, by name. EnableAnonymous adds "anonymous".
	Providers       map[string]cloudcode.AuthProvider
	EnableAnonymous bool
	// AllowExpiredAuthData spares users to prove again, in an update, the
	// authData that do not change.
	AllowExpiredAuthData bool
	EnforcePrivateUsers  bool
	// LowercaseUsername and LowercaseEmail store names and addresses in lower
	// case, and find users by other spellings of them.
	LowercaseUsername, LowercaseEmail bool
	// RevokeSessionOnPasswordReset ends all sessions of a user whose password changes.
	RevokeSessionOnPasswordReset bool
	// ExtendOnUse gives a session that is in use a new SessionLength once half
	// of it is over.
	ExtendOnUse bool
	// CacheTTL bounds how long a resolved session is believed. 0 is for a
	// server that alone writes to its database: every change reaches it.
	CacheTTL time.Duration
	// CacheSize bounds the sessions in memory; 0: 50,000.
	CacheSize int
	// Bus tells other servers on the same database of changes, on Channel; nil:
	// there are none, or they find out by themselves after CacheTTL.
	Bus     cache.Bus
	Channel string
	// FoldedNames: the database has unique indexes on username and email that
	// do not regard case, so that no query has to look for those that differ by case.
	FoldedNames bool

	Policy  PasswordPolicy
	Lockout Lockout
	// Throttle bounds what strangers may try, from outside of the accounts.
	Throttle Throttle
	// Mail sends mails to users; nil: there are none.
	Mail         *Mail
	Verification Verification
	Reset        Reset

	Now func() time.Time
	Log *slog.Logger
}

// Service is users and sessions. It is safe for concurrent use.
type Service struct {
	objs  *objects.Service
	o     Options
	cache *sessionCache
	graph *graph
	hash  *hasher
	rule  *userRule
	// node tells this server from others on the bus.
	node string
	// background are the writes that no request waits for.
	background sync.WaitGroup
	bus        cache.Subscription // nil without a bus

	mu       sync.Mutex
	onRevoke []func(userIDs []string, all bool) // guarded by mu
	// onOwnRevoke is told only of what this server has changed; guarded by mu.
	onOwnRevoke []func(userIDs []string, all bool)
}

// New makes the service and registers its class rules with objs. What can be
// wrong with the options is the pattern of the password policy.
func New(objs *objects.Service, o Options) (*Service, error) {
	if err := o.Policy.compile(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HashSlots == 0 {
		o.HashSlots = hashSlots(runtime.GOMAXPROCS(0))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	providers := maps.Clone(o.Providers)
	if providers == nil {
		providers = map[string]cloudcode.AuthProvider{}
	}
	delete(providers, anonymousProvider)
	if o.EnableAnonymous {
		providers[anonymousProvider] = anonymous{}
	}
	o.Providers = providers
	if o.CacheSize == 0 {
		o.CacheSize = defaultSessions
	}
	s := &Service{
		objs: objs, o: o, cache: newCache(o.CacheSize), node: parse.NewObjectID(20),
		hash: newHasher(o.Passwords, o.HashSlots, o.Lane),
	}
	s.graph = &graph{
		store: objs.Store, class: func() *schema.Class { return s.class(roleClass) },
		now: o.Now, believed: s.believed, log: o.Log, maxRoles: defaultMaxRoles, maxLinks: defaultMaxLinks,
	}
	s.rule = &userRule{s: s}
	objs.SetRule(userClass, s.rule)
	objs.SetRule(sessionClass, &sessionRule{s: s})
	objs.SetRule(roleClass, &roleRule{})
	if o.Bus != nil {
		s.bus = o.Bus.Subscribe(o.Channel, s.hear)
	}
	return s, nil
}

// OnOwnRevoke is OnRevoke for changes that this server has made: for who tells
// other servers of them.
func (s *Service) OnOwnRevoke(f func(userIDs []string, all bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onOwnRevoke = append(s.onOwnRevoke, f)
}

// Close waits for what is done in the background and leaves the bus.
func (s *Service) Close() {
	s.background.Wait()
	if s.bus != nil {
		s.bus.Close()
	}
}

// OnRevoke registers f to be told when rights may have shrunk: the users, or
// all of them. It is called after the caches have been cleared.
func (s *Service) OnRevoke(f func(userIDs []string, all bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRevoke = append(s.onRevoke, f)
}

// class returns the definition of a system class, which is there from the start.
func (s *Service) class(name string) *schema.Class {
	return s.objs.Registry().Current().Class(name)
}

// now is the time of a request.
func (s *Service) now() parse.Date { return parse.NewDate(s.o.Now()) }

// userPointer points to a user.
func userPointer(id string) parse.Pointer { return parse.Pointer{ClassName: userClass, ObjectID: id} }

// asUser is the principal of a user who has just proved to be one.
func (s *Service) asUser(ctx context.Context, p *access.Principal, user *parse.Object, token string) (*access.Principal, error) {
	roles, err := s.rolesOf(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	return access.New(access.Principal{
		UserID: user.ID, User: public(user), SessionToken: token, Roles: roles,
		InstallationID: p.InstallationID, IP: p.IP,
	}), nil
}
