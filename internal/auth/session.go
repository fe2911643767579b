package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// newToken returns a session token: r: and 16 random bytes in hex (reference 03 §6.1).
func newToken() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // crypto/rand.Read never fails
	return "r:" + hex.EncodeToString(b)
}

// createdWith says how a session came to be.
func createdWith(action, provider string) *parse.Map {
	m := parse.NewMap(parse.MapField{Key: "action", Value: action})
	if provider != "" {
		m.Set("authProvider", provider)
	}
	return m
}

// sessionFields are the fields that the server alone decides.
func (s *Service) sessionFields(userID, installationID string, with *parse.Map) *parse.Map {
	m := parse.NewMap(
		parse.MapField{Key: "user", Value: userPointer(userID)},
		parse.MapField{Key: "sessionToken", Value: newToken()},
		parse.MapField{Key: "createdWith", Value: with},
	)
	if installationID != "" {
		m.Set("installationId", installationID)
	}
	if s.o.SessionLength > 0 {
		m.Set("expiresAt", parse.NewDate(s.o.Now().Add(s.o.SessionLength)))
	}
	return m
}

// startSession stores a new session of a user and returns its token. Other
// sessions of the same user on the same installation end.
func (s *Service) startSession(ctx context.Context, userID, installationID string, with *parse.Map) (string, error) {
	if err := s.endOthers(ctx, s.objs.Store(), userID, installationID); err != nil {
		return "", err
	}
	now := s.now()
	o := &parse.Object{ClassName: sessionClass, ID: parse.NewObjectID(10), CreatedAt: now, UpdatedAt: now}
	o.Fields = *s.sessionFields(userID, installationID, with)
	if err := s.objs.Store().Insert(ctx, s.class(sessionClass), []*parse.Object{o}); err != nil {
		return "", fmt.Errorf("store session: %w", err)
	}
	return o.String("sessionToken"), nil
}

func (s *Service) endOthers(ctx context.Context, store storage.Store, userID, installationID string) error {
	if installationID == "" {
		return nil
	}
	return s.endSessions(ctx, store, query.AllOf(
		query.Equal("user", userPointer(userID)), query.Equal("installationId", installationID)))
}

// endSessions deletes sessions and lets the caches know.
func (s *Service) endSessions(ctx context.Context, store storage.Store, where query.Node) error {
	gone, err := store.Delete(ctx, s.class(sessionClass), where)
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if len(gone) == 0 {
		return nil
	}
	changes := make([]parse.Change, len(gone))
	for i, o := range gone {
		changes[i] = parse.Change{Class: sessionClass, Action: parse.Deleted, Before: o}
	}
	s.Publish(ctx, changes)
	return nil
}

// Logout ends the session of the caller; without one it does nothing
// (reference 03 §3.2).
func (s *Service) Logout(ctx context.Context, p *access.Principal) error {
	if p.SessionToken == "" {
		return nil
	}
	session, err := s.sessionByToken(ctx, p.SessionToken)
	if err != nil || session == nil {
		return err
	}
	if err := s.endSessions(ctx, s.objs.Store(), query.ByID(session.ID)); err != nil {
		return err
	}
	return s.objs.App().RunAfterLogout(ctx, &cloudcode.LogoutRequest{
		Caller: s.objs.Caller(p), Session: session, Client: s.objs.Client(p),
	})
}

// CurrentSession returns the session of a token (reference 03 §6.2).
func (s *Service) CurrentSession(ctx context.Context, p *access.Principal, token string) (*parse.Object, error) {
	if token == "" {
		return nil, parse.Errorf(parse.InvalidSessionToken, "Session token required.")
	}
	session, err := s.sessionByToken(ctx, token)
	if err != nil {
		return nil, err
	}
	if session == nil {
		return nil, parse.Errorf(parse.InvalidSessionToken, "Session token not found.")
	}
	as, err := s.Principal(ctx, token, p.InstallationID, p.IP)
	if err != nil {
		return nil, err
	}
	return s.objs.Get(ctx, as, sessionClass, session.ID, nil)
}

// sessionRule makes _Session the caller's own (reference 03 §6.2).
type sessionRule struct {
	objects.NopRule
	s *Service
}

var _ objects.ClassRule = (*sessionRule)(nil)

// Authorize asks for a user.
func (*sessionRule) Authorize(_ context.Context, p *access.Principal, op schema.Operation) error {
	if p.Bypass() || p.UserID != "" {
		return nil
	}
	if op == schema.Create || op == schema.Update {
		return parse.Errorf(parse.InvalidSessionToken, "Session token required.")
	}
	return parse.Denyf(parse.InvalidSessionToken, "Invalid session token")
}

// Constrain limits clients to their own sessions.
func (*sessionRule) Constrain(p *access.Principal, where query.Node) query.Node {
	if p.Bypass() {
		return where
	}
	return query.AllOf(where, query.Equal("user", userPointer(p.UserID)))
}

// BeforeWrite fills in a new session and protects the fields of an old one.
func (r *sessionRule) BeforeWrite(ctx context.Context, w *objects.WriteState) error {
	p := w.Principal
	if w.SetACL {
		return parse.Errorf(parse.InvalidKeyName, "Cannot set ACL on a Session.")
	}
	if !w.Update {
		if p.Bypass() {
			return nil
		}
		installation := w.Body.String("installationId")
		if installation == "" {
			installation = p.InstallationID
		}
		if err := r.s.endOthers(ctx, w.Store, p.UserID, installation); err != nil {
			return err
		}
		for k, v := range r.s.sessionFields(p.UserID, installation, createdWith("create", "")).All() {
			w.Body.Set(k, v)
			w.Response.Set(k, v)
		}
		return nil
	}
	for _, key := range [...]string{"installationId", "sessionToken", "expiresAt", "createdWith", "user"} {
		v, ok := w.Body.Get(key)
		if !ok {
			continue
		}
		always := key == "installationId" || key == "sessionToken"
		if key == "user" && v == parse.Value(userPointer(p.UserID)) {
			continue
		}
		if always || !p.Bypass() {
			return parse.Errorf(parse.InvalidKeyName, "Invalid key name: %s", key)
		}
	}
	return nil
}
