// Package installation is the rule of the class _Installation: one object for
// each installation of an app on a device, whatever order its ids, device
// tokens and saves come in (reference 03 §16).
package installation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Names of the fields that the rule looks at.
const (
	keyID    = "installationId"
	keyToken = "deviceToken"
	keyType  = "deviceType"
	keyApp   = "appIdentifier"
)

// appleToken is the length of the tokens that are the same in either case.
const appleToken = 64

// Options are the settings of the option installation.
type Options struct {
	// Update clears the id that two installations cannot both have, where
	// otherwise the one that loses it is deleted.
	Update bool
	// PreferID lets, of two objects that turn out to be one installation, that
	// with the installation id survive, not that with the device token.
	PreferID bool
	// EnforceAuth cleans up with the rights of the caller, not of the server.
	EnforceAuth bool
	Now         func() time.Time
	Log         *slog.Logger
}

// Rule is the rule of _Installation.
type Rule struct {
	objects.NopRule
	objs *objects.Service
	o    Options
}

var _ objects.ClassRule = (*Rule)(nil)

// Register gives _Installation its rule.
func Register(objs *objects.Service, o Options) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	objs.SetRule(schema.InstallationClass, &Rule{objs: objs, o: o})
}

// plan is what follows from a decision.
type plan struct {
	// id is that of the installation, which the object may not have yet.
	id string
	// losers are the objects that have to give way once the save is done; nil: none.
	losers query.Node
	// clear is the field that they lose under Options.Update.
	clear string
}

// save is what a write says about its installation.
type save struct {
	token, bodyID, deviceType, app string
	// id is that of the body, else that of the client who asks.
	id string
}

// read takes the ids from a write and brings them into the form in which they
// are stored.
func read(w *objects.WriteState) save {
	s := save{
		token: w.Body.String(keyToken), bodyID: w.Body.String(keyID),
		deviceType: w.Body.String(keyType), app: w.Body.String(keyApp),
	}
	if len(s.token) == appleToken {
		s.token = strings.ToLower(s.token)
		w.Body.Set(keyToken, s.token)
	}
	if s.bodyID != "" {
		s.bodyID = strings.ToLower(s.bodyID)
		w.Body.Set(keyID, s.bodyID)
	}
	s.id = s.bodyID
	if s.id == "" && !w.Update && !w.Principal.Bypass() {
		// Only who creates speaks of himself: who updates has named the object.
		s.id = strings.ToLower(w.Principal.InstallationID)
	}
	return s
}

// BeforeWrite finds out which object the installation has, and which others
// have to give way.
func (r *Rule) BeforeWrite(ctx context.Context, w *objects.WriteState) error {
	s := read(w)
	if w.Led {
		if p, _ := w.Memo.(*plan); p != nil && p.id != "" && w.Before.String(keyID) == "" {
			w.Body.Set(keyID, p.id)
		}
		return nil
	}
	w.Memo = nil // that of an attempt before
	if !w.Update && s.token == "" && s.id == "" {
		return parse.Errorf(parse.MissingRequiredField, "at least one ID field (deviceToken, installationId) must be specified in this operation")
	}
	if w.Update && s.token == "" && s.id == "" && s.deviceType == "" {
		return nil
	}
	own, byToken, err := r.find(ctx, w, &s)
	if err != nil {
		return err
	}
	if w.Update {
		if err := immutable(w.Before, &s); err != nil {
			return err
		}
		if own == nil {
			own = w.Before
		}
	}
	if own == nil {
		return r.create(w, &s, byToken)
	}
	r.change(w, &s, own, byToken)
	return nil
}

// find returns the object with the installation id and those with the token.
func (r *Rule) find(ctx context.Context, w *objects.WriteState, s *save) (own *parse.Object, byToken []*parse.Object, err error) {
	var nodes []query.Node
	if s.id != "" {
		nodes = append(nodes, query.Equal(keyID, s.id))
	}
	if s.token != "" {
		nodes = append(nodes, query.Equal(keyToken, s.token))
	}
	if len(nodes) == 0 {
		return nil, nil, nil
	}
	list, err := w.Store.Find(ctx, &storage.Find{
		Class: w.Class, Where: &query.Or{Nodes: nodes}, Limit: query.NoLimit,
		Order: []query.Sort{{Path: parse.KeyCreatedAt}, {Path: parse.KeyObjectID}}, Keys: []string{keyID, keyToken, keyType},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for installations: %w", err)
	}
	for _, o := range list {
		if s.id != "" && o.String(keyID) == s.id {
			own = o // the newest, if there are several
		}
		if s.token != "" && o.String(keyToken) == s.token {
			byToken = append(byToken, o)
		}
	}
	return own, byToken, nil
}

// immutable refuses what would make the object that of another installation.
func immutable(old *parse.Object, s *save) error {
	id, token := old.String(keyID), old.String(keyToken)
	field := ""
	switch {
	case s.bodyID != "" && id != "" && s.bodyID != id:
		field = keyID
	case s.token != "" && token != "" && s.token != token && s.bodyID == "" && id == "":
		field = keyToken
	case s.deviceType != "" && s.deviceType != old.String(keyType):
		field = keyType
	default:
		return nil
	}
	return parse.Errorf(parse.ChangedImmutableField, "%s may not be changed in this operation", field)
}

// create decides about a save of an installation id that no object has.
func (r *Rule) create(w *objects.WriteState, s *save, byToken []*parse.Object) error {
	if s.deviceType == "" {
		return parse.Errorf(parse.MissingRequiredField, "deviceType must be specified in this operation")
	}
	switch {
	case len(byToken) == 0:
	case len(byToken) == 1 && (byToken[0].String(keyID) == "" || s.id == ""):
		w.Instead, w.Memo = byToken[0].ID, &plan{id: s.id}
		return nil
	case s.bodyID == "":
		return parse.Errorf(parse.MissingInstallationID, "Must specify installationId when deviceToken matches multiple Installation objects")
	default:
		w.Memo = &plan{losers: s.others(), clear: keyToken}
	}
	if s.id != "" {
		w.Body.Set(keyID, s.id) // else the next save would not find the object
	}
	return nil
}

// change decides about a save of an installation that has an object already.
func (r *Rule) change(w *objects.WriteState, s *save, own *parse.Object, byToken []*parse.Object) {
	p := &plan{id: s.id}
	w.Instead, w.Memo = own.ID, p
	switch {
	case len(byToken) == 1 && byToken[0].String(keyID) == "":
		other := byToken[0]
		switch {
		case other.ID == own.ID:
		case r.o.PreferID:
			p.losers, p.clear = query.ByID(other.ID), keyToken
		default:
			w.Instead = other.ID
			p.losers, p.clear = query.ByID(own.ID), keyID
			if p.id == "" {
				p.id = own.String(keyID)
			}
		}
	case s.token != "" && s.bodyID != "" && own.String(keyToken) != s.token && len(byToken) > 0:
		p.losers, p.clear = s.others(), keyToken
	}
}

// others are the objects that lose the token to this installation.
func (s *save) others() query.Node {
	nodes := []query.Node{query.Equal(keyToken, s.token), &query.Compare{Path: keyID, Op: query.Ne, Value: s.bodyID}}
	if s.app != "" {
		nodes = append(nodes, query.Equal(keyApp, s.app))
	}
	return query.AllOf(nodes...)
}

// AfterWrite makes the losers give way. That comes last: a save that fails
// takes nothing away. Like a refusal, a failure does not fail the save.
func (r *Rule) AfterWrite(ctx context.Context, w *objects.WriteState, saved *objects.Saved) error {
	p, _ := w.Memo.(*plan)
	if p == nil || p.losers == nil {
		return nil
	}
	where := query.AllOf(p.losers, &query.Compare{Path: parse.KeyObjectID, Op: query.Ne, Value: saved.Object.ID})
	if err := r.cleanUp(ctx, w, where, p.clear); err != nil {
		r.o.Log.WarnContext(ctx, "installations with the same ids were not cleaned up", "error", err)
	}
	return nil
}

// cleanUp deletes installations or takes the field from them. No hook sees it,
// as in Parse Server.
func (r *Rule) cleanUp(ctx context.Context, w *objects.WriteState, where query.Node, field string) error {
	store := r.objs.Store() // that of a transaction is gone by now
	op := schema.DeleteOp
	if r.o.Update {
		op = schema.Update
	}
	if r.o.EnforceAuth {
		// By its permissions: under its name, clients may delete no installation at all.
		rights := *w.Class
		rights.Name = ""
		plan, err := r.objs.Gate().Authorize(w.Principal, &rights, op)
		if err != nil {
			return err
		}
		where = query.AllOf(where, plan.Constraint(true))
	}
	if !r.o.Update {
		_, err := store.Delete(ctx, w.Class, where)
		return err
	}
	list, err := store.Find(ctx, &storage.Find{Class: w.Class, Where: where, Limit: query.NoLimit, Keys: []string{}})
	if err != nil {
		return err
	}
	for _, o := range list {
		_, _, err := store.Update(ctx, &storage.Update{
			Class: w.Class, Where: query.AllOf(where, query.ByID(o.ID)), UpdatedAt: parse.NewDate(r.o.Now()),
			Ops: parse.NewMap(parse.MapField{Key: field, Value: parse.Delete{}}),
		})
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	return nil
}
