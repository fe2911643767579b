// Package auth knows users, sessions, passwords and roles. It makes the
// principal of a request out of a session token, and registers the rules that
// make _User, _Session and _Role more than ordinary classes (reference 03).
package auth

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
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
	// PasswordCost is the bcrypt cost of new hashes; 0: 10.
	PasswordCost        int
	EnableAnonymous     bool
	EnforcePrivateUsers bool
	// RevokeSessionOnPasswordReset ends all sessions of a user whose password changes.
	RevokeSessionOnPasswordReset bool
	// CacheTTL bounds how long a resolved session is believed. 0 is for a
	// server that alone writes to its database: every change reaches it.
	CacheTTL time.Duration
	// FoldedNames: the database has unique indexes on username and email that
	// do not regard case, so that no query has to look for those that differ by case.
	FoldedNames bool
	Now         func() time.Time
	Log         *slog.Logger
}

// Service is users and sessions. It is safe for concurrent use.
type Service struct {
	objs  *objects.Service
	o     Options
	cache *cache
	hash  *hasher
	rule  *userRule

	mu       sync.Mutex
	onRevoke []func(userIDs []string, all bool) // guarded by mu
}

// New makes the service and registers its class rules with objs.
func New(objs *objects.Service, o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PasswordCost == 0 {
		o.PasswordCost = 10
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{objs: objs, o: o, cache: newCache(), hash: newHasher(o.PasswordCost, runtime.GOMAXPROCS(0))}
	s.rule = &userRule{s: s}
	objs.SetRule(userClass, s.rule)
	objs.SetRule(sessionClass, &sessionRule{s: s})
	objs.SetRule(roleClass, &roleRule{})
	return s
}

// OnRevoke registers f to be told when rights may have shrunk: the users, or
// all of them. It is called after the caches have been cleared.
func (s *Service) OnRevoke(f func(userIDs []string, all bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRevoke = append(s.onRevoke, f)
}

// Wants implements objects.Publisher.
func (s *Service) Wants(class string) bool {
	return class == userClass || class == sessionClass || class == roleClass
}

// Publish implements objects.Publisher: what changed is forgotten by the caches.
func (s *Service) Publish(_ context.Context, changes []parse.Change) {
	var users []string
	all := false
	for _, c := range changes {
		switch c.Class {
		case userClass:
			if c.Action != parse.Created {
				s.cache.forgetUser(c.Before.ID)
				users = append(users, c.Before.ID)
			}
		case sessionClass:
			if c.Action != parse.Created {
				s.cache.forgetToken(c.Before.String("sessionToken"))
				if u, ok := c.Before.Pointer("user"); ok {
					users = append(users, u.ObjectID)
				}
			}
		case roleClass:
			s.cache.forgetRoles()
			all = true
		}
	}
	if len(users) > 0 || all {
		s.tell(users, all)
	}
}

// tell lets all who want to know that rights may have shrunk know it.
func (s *Service) tell(users []string, all bool) {
	s.mu.Lock()
	told := s.onRevoke
	s.mu.Unlock()
	for _, f := range told {
		f(users, all)
	}
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
	roles, err := s.roles(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	return access.New(access.Principal{
		UserID: user.ID, User: public(user), SessionToken: token, Roles: roles,
		InstallationID: p.InstallationID, IP: p.IP,
	}), nil
}
