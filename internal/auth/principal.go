package auth

import (
	"context"
	"fmt"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func errInvalidToken() error {
	return parse.Errorf(parse.InvalidSessionToken, "Invalid session token")
}

// Principal resolves a session token (reference 03 §1). An unknown token or
// one whose user is gone gives 209, an expired one too.
func (s *Service) Principal(ctx context.Context, token, installationID, ip string) (*access.Principal, error) {
	e := s.cache.get(token)
	if e == nil || !s.believed(e.loaded) {
		var err error
		if e, err = s.resolve(ctx, token); err != nil {
			return nil, err
		}
	}
	if e.expires != 0 && e.expires <= s.now() {
		return nil, parse.Errorf(parse.InvalidSessionToken, "Session token is expired.")
	}
	s.used(ctx, e)
	// The version comes first: roles that are newer than it are computed again.
	version, err := s.graph.current(ctx)
	if err != nil {
		return nil, err
	}
	return e.of(installationID, ip, version, func() ([]string, error) { return s.inherited(ctx, e.direct) })
}

// resolve reads session, user and the roles that list him, and caches them.
func (s *Service) resolve(ctx context.Context, token string) (*entry, error) {
	began := s.o.Now()
	l, members := s.cache.begin(token)
	var e *entry
	defer func() { s.cache.finish(l, token, e) }()
	session, err := s.sessionByToken(ctx, token)
	if err != nil {
		return nil, err
	}
	if session == nil {
		return nil, errInvalidToken()
	}
	ptr, ok := session.Pointer("user")
	if !ok {
		return nil, errInvalidToken()
	}
	user, err := s.userByID(ctx, ptr.ObjectID)
	if err != nil {
		return nil, err
	}
	if user == nil {
		return nil, errInvalidToken()
	}
	if parse.IsRoleSubject(user.ID) {
		// Such a user would have the rights of the role.
		return nil, parse.Errorf(parse.InternalServerError, "Invalid object ID.")
	}
	direct, err := s.direct(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	expires, _ := session.Get("expiresAt")
	date, _ := expires.(parse.Date)
	e = &entry{
		userID: user.ID, user: public(user), token: token,
		session: session.ID, expires: date, updated: session.UpdatedAt,
		loaded: began, direct: direct, members: members,
	}
	return e, nil
}

// sessionByToken reads a session as the database has it; nil if there is none.
func (s *Service) sessionByToken(ctx context.Context, token string) (*parse.Object, error) {
	if token == "" {
		return nil, nil
	}
	list, err := s.objs.Store().Find(ctx, &storage.Find{
		Class: s.class(sessionClass), Where: query.Equal("sessionToken", token), Limit: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list[0], nil
}

// userByID reads a user as the database has it; nil if there is none.
func (s *Service) userByID(ctx context.Context, id string) (*parse.Object, error) {
	list, err := s.objs.Store().Find(ctx, &storage.Find{Class: s.class(userClass), Where: query.ByID(id), Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("read user: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list[0], nil
}

// public returns a user without internal fields: what hooks see of him.
func public(user *parse.Object) *parse.Object {
	c := *user
	c.Fields = parse.Map{}
	for k, v := range user.Fields.All() {
		if !strings.HasPrefix(k, "_") {
			c.Fields.Set(k, v)
		}
	}
	return &c
}
