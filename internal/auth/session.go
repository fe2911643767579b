package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

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
	saved, err := s.objs.Create(ctx, access.MasterKey(), &objects.Write{
		Class: sessionClass, Body: s.sessionFields(userID, installationID, with),
	})
	if err != nil {
		return "", fmt.Errorf("start session: %w", err)
	}
	return saved.Object.String("sessionToken"), nil
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

// revokeTimeout bounds the ending of sessions that must end even if whoever
// caused it does not wait.
const revokeTimeout = 10 * time.Second

// revoke ends sessions that must not go on, whatever becomes of the request.
func (s *Service) revoke(ctx context.Context, where query.Node) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	return s.endSessions(ctx, s.objs.Store(), where)
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
	err = s.objs.Delete(ctx, access.MasterKey(), sessionClass, session.ID)
	if parse.CodeOf(err) == parse.ObjectNotFound {
		return nil // another logout was faster
	}
	if err != nil {
		return err
	}
	// Its error reaches the client, although the session has ended.
	return s.objs.App().RunAfterLogout(ctx, &cloudcode.LogoutRequest{Request: s.objs.Request(ctx, p), Session: session})
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

// Authorize asks for a user. The maintenance key may write sessions but, being
// no master key, not read or end them.
func (*sessionRule) Authorize(_ context.Context, p *access.Principal, op schema.Operation) error {
	write := op == schema.Create || op == schema.Update
	switch {
	case p.UserID != "", p.Bypass() && (write || p.Kind != access.Maintenance):
		return nil
	case write:
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
	if w.SetACL {
		return parse.Errorf(parse.InvalidKeyName, "Cannot set ACL on a Session.")
	}
	if w.Update {
		return r.protect(w)
	}
	if p := w.Principal; !p.Bypass() {
		r.fill(w, p.UserID)
	}
	if where := sameInstallation(w.Body); where != nil {
		return r.s.endSessions(ctx, w.Store, where)
	}
	return nil
}

// fill makes the session of a client who asks for one more: what the server
// decides is set, the rest is kept, and all of it is answered.
func (r *sessionRule) fill(w *objects.WriteState, userID string) {
	own := r.s.sessionFields(userID, w.Body.String("installationId"), createdWith("create", ""))
	w.Body.Delete("expiresAt") // sessions may be set never to end
	for k, v := range own.All() {
		w.Body.Set(k, v)
	}
	for k, v := range w.Body.All() {
		if _, op := v.(parse.Op); !op {
			w.Response.Set(k, v)
		}
	}
}

// sameInstallation finds the sessions that a new one replaces; nil if it does not.
func sameInstallation(session *parse.Map) query.Node {
	user, _ := session.Get("user")
	installation := session.String("installationId")
	if _, ok := user.(parse.Pointer); !ok || installation == "" {
		return nil
	}
	return query.AllOf(query.Equal("user", user), query.Equal("installationId", installation))
}

// protect refuses changes of what the server decides (reference 03 §6.2).
func (*sessionRule) protect(w *objects.WriteState) error {
	p := w.Principal
	for key, v := range w.Body.All() {
		root := query.Path(key).Root()
		switch root {
		case "installationId", "sessionToken":
		case "expiresAt", "createdWith":
			if p.Bypass() {
				continue
			}
		case "user":
			if p.Bypass() || v == userPointer(p.UserID) {
				continue
			}
		default:
			continue
		}
		return parse.Errorf(parse.InvalidKeyName, "Invalid key name: %s", root)
	}
	return nil
}

// AfterWrite tells the caches of sessions that ended with the transaction in
// which a new one took their place: before its commit they could be read again.
func (r *sessionRule) AfterWrite(ctx context.Context, w *objects.WriteState, saved *objects.Saved) error {
	if w.Update || w.Store == r.s.objs.Store() || sameInstallation(&saved.Object.Fields) == nil {
		return nil
	}
	if user, ok := saved.Object.Pointer("user"); ok {
		r.s.forget(notice{Users: []string{user.ObjectID}})
	}
	return nil
}
