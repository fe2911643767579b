// Package objects is the one path that every read and write of an object
// takes, whatever surface it comes from: permissions, types, defaults, owner,
// hooks, storage, publication, answer. DESIGN.md tells the order of the steps.
package objects

import (
	"context"
	"crypto/cipher"
	"log/slog"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Publisher is told of committed changes.
type Publisher interface {
	// Wants reports whether anybody cares for changes of a class.
	Wants(class string) bool
	// Publish is called after commit, in commit order for each object. It must
	// not block, nor change the objects.
	Publish(ctx context.Context, changes []parse.Change)
}

// Options configure a Service; the zero value is usable.
type Options struct {
	Gate      *access.Gate // nil: the zero Gate
	Publisher Publisher    // nil: nobody listens
	Now       func() time.Time
	// ObjectIDSize is the length of generated ids (0: 10).
	ObjectIDSize int
	// DefaultLimit applies to finds without a limit (0: 100); MaxLimit caps explicit ones (0: no cap).
	DefaultLimit, MaxLimit int
	// AllowClientClassCreation lets clients write to classes that do not exist yet.
	AllowClientClassCreation bool
	// AllowCustomObjectID lets a create choose its id.
	AllowCustomObjectID bool
	// QueryLimits bound what clients may ask; they were applied by the parser.
	QueryLimits query.Limits
	// SubqueryLimit caps the rows of a client's sub-query (0: no cap).
	SubqueryLimit int
	// CursorSecret is what cursors of pages are sealed with; servers of one
	// database share it. nil: one of this Service alone.
	CursorSecret []byte
	// Denylist refuses what is written by words in it; nil: nothing.
	Denylist *Denylist
	Log      *slog.Logger // nil: discarded
}

// Service reads and writes objects. It may be used from many goroutines,
// except for the one that a transaction gets.
type Service struct {
	*core
	store storage.Store
	tx    *txState // nil outside of a transaction
}

// core is what a Service shares with those of its transactions.
type core struct {
	o Options
	// outbox, if not nil, is told of writes within their transactions.
	outbox Outbox
	reg    *schema.Registry
	app    *cloudcode.App
	rules  map[string]ClassRule
	root   *Service
	// cursors seals the cursors of pages.
	cursors cipher.AEAD
	// textTried holds the fields for which a text index could not be made.
	textTried sync.Map
	// order keeps publications in the order of commits.
	order *order
	typed bool // see storage.Typed
}

// New returns a Service on a store. The app may not be nil.
func New(store storage.Store, reg *schema.Registry, app *cloudcode.App, o Options) *Service {
	if o.Gate == nil {
		o.Gate = &access.Gate{}
	}
	if o.Publisher == nil {
		o.Publisher = nobody{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ObjectIDSize == 0 {
		o.ObjectIDSize = 10
	}
	if o.DefaultLimit == 0 {
		o.DefaultLimit = 100
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{store: store, core: &core{
		o: o, reg: reg, app: app, rules: map[string]ClassRule{schema.ProductClass: productRule{}}, cursors: newCursorCipher(o.CursorSecret),
		order: newOrder(store), typed: storage.IsTyped(store),
	}}
	s.root = s
	return s
}

// nobody is the Publisher of a Service without one.
type nobody struct{}

func (nobody) Wants(string) bool                       { return false }
func (nobody) Publish(context.Context, []parse.Change) {}

// SetRule gives a class a rule of its own. It is for wiring, before the first request.
func (s *Service) SetRule(class string, r ClassRule) { s.rules[class] = r }

// Store returns the store, within a transaction the transaction's.
func (s *Service) Store() storage.Store { return s.store }

// Registry returns the schema registry.
func (s *Service) Registry() *schema.Registry { return s.reg }

// App returns the cloud code.
func (s *Service) App() *cloudcode.App { return s.app }

// Gate returns the gate.
func (s *Service) Gate() *access.Gate { return s.o.Gate }

// Caller tells cloud code who is asking.
func (s *Service) Caller(p *access.Principal) cloudcode.Caller {
	return cloudcode.Caller{
		Master: p.Kind == access.Master || p.Kind == access.ReadOnlyMaster, ReadOnly: p.Kind == access.ReadOnlyMaster,
		User: p.User, Roles: p.Roles, InstallationID: p.InstallationID, IP: p.IP,
	}
}

// Request is what a hook, function or job of cloud code is told about who asks
// and about the request that all began with. It has a context of its own.
func (s *Service) Request(ctx context.Context, p *access.Principal) cloudcode.Request {
	var r cloudcode.Request
	s.request(ctx, p, &r, &client{})
	return r
}

// request fills in what Request returns, with the client that it is given.
func (s *Service) request(ctx context.Context, p *access.Principal, r *cloudcode.Request, c *client) {
	o := cloudcode.OriginOf(ctx)
	*c = client{s: s, p: p, origin: o}
	r.Caller, r.Headers, r.Context, r.Client = s.Caller(p), o.Headers, o.Context.Clone(), c
}

func (s *Service) rule(class string) (r ClassRule, own bool) {
	if r, own = s.rules[class]; own {
		return r, true
	}
	return NopRule{}, false
}

func (s *Service) now() parse.Date { return parse.NewDate(s.o.Now()) }

// class returns the definition in force of a class for a caller. Nil without
// an error: there is no such class, and the caller may know that.
func (s *Service) class(p *access.Principal, name string, op schema.Operation) (*schema.Class, error) {
	if err := access.Writable(p, op); err != nil {
		return nil, err
	}
	if !p.Bypass() {
		if err := access.AdmitClient(name, op); err != nil {
			return nil, err
		}
	}
	snap := s.reg.Current()
	if c := snap.Class(name); c != nil {
		return c, nil
	}
	if schema.IsJoin(name) {
		return joinClass(snap, name, op)
	}
	if schema.IsSystem(name) || schema.IsVolatile(name) {
		return nil, nil
	}
	if !p.Bypass() && !s.o.AllowClientClassCreation {
		return nil, parse.Denyf(parse.OperationForbidden, "This user is not allowed to access non-existent class: %s", name)
	}
	return nil, nil
}

// joinClass is the class of the rows of a relation, which the master key may
// read; nil if there is no such relation.
func joinClass(snap *schema.Snapshot, name string, op schema.Operation) (*schema.Class, error) {
	switch op {
	case schema.Find, schema.Get, schema.Count:
	default:
		return nil, parse.Errorf(parse.OperationForbidden, "Class %s is written by AddRelation and RemoveRelation alone.", name)
	}
	field, class, _ := schema.SplitJoin(name)
	owner := snap.Class(class)
	if owner == nil || owner.Field(field) == nil || owner.Field(field).Type != schema.Relation {
		return nil, nil
	}
	return schema.JoinClass(name), nil
}

// newClass defines a class that a create is about to bring into being.
func newClass(name string) (*schema.Class, error) {
	if c := schema.SystemClass(name); c != nil {
		return c, nil
	}
	if name == "" || name[0] == '_' {
		return nil, parse.Errorf(parse.InvalidClassName, "invalid className: %s", name)
	}
	if !schema.ValidClassName(name) {
		return nil, parse.Errorf(parse.InvalidJSON, "schema class name does not revalidate")
	}
	return schema.Complete(&schema.Class{Name: name}), nil
}
