package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// legacyField is where users of old databases have a session token of their own.
const legacyField = "_session_token"

// IsLegacy reports whether a token is of the kind that users had before there
// were sessions.
func IsLegacy(token string) bool { return !strings.HasPrefix(token, "r:") }

// Legacy resolves a token of the old kind, which is good for Upgrade alone
// (reference 03 §1): 209 if no user has it.
func (s *Service) Legacy(ctx context.Context, token, installationID, ip string) (*access.Principal, error) {
	list, err := s.objs.Store().Find(ctx, &storage.Find{
		Class: s.class(userClass), Where: query.Equal(legacyField, token), Limit: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("look for a legacy session: %w", err)
	}
	if len(list) == 0 {
		return nil, parse.Errorf(parse.InvalidSessionToken, "invalid legacy session token")
	}
	p := access.Principal{InstallationID: installationID, IP: ip}
	return s.asUser(ctx, &p, list[0], token)
}

// enterCommitted starts the session of a client who has signed up within a
// transaction, which is committed by now.
func (s *Service) enterCommitted(ctx context.Context, p *access.Principal, saved *objects.Saved) error {
	if p.Bypass() {
		return nil
	}
	with := createdWith("signup", "password")
	if wait, err := s.toVerify(ctx, p, saved.Object, with); err != nil || wait {
		return err
	}
	token, err := s.startSession(ctx, saved.Object.ID, p.InstallationID, with)
	if err != nil {
		return err
	}
	saved.Response.Set("sessionToken", token)
	return nil
}

// Upgrade starts a session for the caller, who has one already or a token of
// the old kind, and returns it (reference 03 §6.2). The old kind ends, another
// session goes on.
func (s *Service) Upgrade(ctx context.Context, p *access.Principal) (*parse.Object, error) {
	if p.UserID == "" {
		return nil, parse.Errorf(parse.ObjectNotFound, "invalid session")
	}
	saved, err := s.objs.Create(ctx, access.MasterKey(), &objects.Write{
		Class: sessionClass, Body: s.sessionFields(p.UserID, p.InstallationID, createdWith("upgrade", "")),
	})
	if err != nil {
		return nil, fmt.Errorf("upgrade a session: %w", err)
	}
	_, _, err = s.objs.Store().Update(ctx, &storage.Update{
		Class: s.class(userClass), Where: query.ByID(p.UserID),
		Ops: parse.NewMap(parse.MapField{Key: legacyField, Value: parse.Delete{}}),
	})
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("end a legacy session: %w", err)
	}
	return saved.Object, nil
}
