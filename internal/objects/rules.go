package objects

import (
	"context"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Write is one create or update as a client states it.
type Write struct {
	Class string
	ID    string     // of the object to update; unused by Create
	Body  *parse.Map // wire body as decoded: values, {"__op": …}, "ACL"; not changed
	// If is asked of the object to update besides: one that does not match when
	// it is written is not found. nil: nothing.
	If query.Node
	// Memo is for the rule of the class, and changed by it: see WriteState.Memo.
	Memo any

	// led: a rule has led another write to this one.
	led bool
}

// Saved is a write that was done.
type Saved struct {
	// Object is the object as stored, internal fields included. It must not be changed.
	Object  *parse.Object
	Created bool
	// Response is the body of the REST answer.
	Response *parse.Map
}

// Found is the answer of a find.
type Found struct {
	Objects  []*parse.Object
	Count    int64
	HasCount bool
	// ClassName is set if the query was redirected: the class of the objects.
	ClassName string
	// Cursor asks for the page that follows; "" if there is none, or if the
	// query does not go by pages.
	Cursor string
	// Plan is how the store would run the query, if that was asked for in
	// place of the objects.
	Plan *parse.Map
}

// ClassRule is what one class does beyond what its definition says.
type ClassRule interface {
	// Authorize comes before the class-level permissions.
	Authorize(ctx context.Context, p *access.Principal, op schema.Operation) error
	// Constrain narrows what the caller reaches, in reads and writes.
	Constrain(p *access.Principal, where query.Node) query.Node
	// BeforeWrite comes after authorization and type check, before the hooks.
	// It may change Body, ACL and Response of w.
	BeforeWrite(ctx context.Context, w *WriteState) error
	// AfterHooks comes after the hooks before the save, if there are any: what
	// they set is in Body and must not get past the rule.
	AfterHooks(ctx context.Context, w *WriteState) error
	// AfterWrite comes after commit; it may add to saved.Response.
	AfterWrite(ctx context.Context, w *WriteState, saved *Saved) error
	// MapDuplicate turns a violated unique index into the error for the client; nil: 137.
	MapDuplicate(d *storage.DuplicateError) error
	// Present is the last step before an object leaves; it may return a changed copy.
	Present(p *access.Principal, o *parse.Object) *parse.Object
	// AfterDelete comes after commit.
	AfterDelete(ctx context.Context, p *access.Principal, o *parse.Object) error
}

// WriteState is a write on its way.
type WriteState struct {
	Principal *access.Principal
	Class     *schema.Class
	ID        string
	// Update tells an update from a create.
	Update bool
	// Before is the object as it was; nil on create.
	Before *parse.Object
	// Body has values and parse.Op; no ACL. Keys with an underscore that a rule
	// sets are stored as they are.
	Body *parse.Map
	// ACL, if SetACL, is the object's new ACL; nil: none.
	ACL    *parse.ACL
	SetACL bool
	// Instead, if BeforeWrite sets it, is the id of an object that is to be
	// updated instead of this write being done. The caller's rights are those
	// of that update, for which BeforeWrite is called again.
	Instead string
	// Led: the write is the update of an object that the rule has named.
	Led bool
	// Response is what the rule adds to the answer.
	Response *parse.Map
	// Memo belongs to the rule: what it has found out and must not find out
	// again when the object has changed meanwhile and the write is decided anew.
	Memo any
	// Store is the store to use for further reads and writes: within a
	// transaction the transaction's, where any other would wait for it.
	Store storage.Store
}

// NopRule is the rule of a class without one; embed it for the defaults.
type NopRule struct{}

var _ ClassRule = NopRule{}

// Authorize allows everything.
func (NopRule) Authorize(context.Context, *access.Principal, schema.Operation) error { return nil }

// Constrain returns where itself.
func (NopRule) Constrain(_ *access.Principal, where query.Node) query.Node { return where }

// BeforeWrite does nothing.
func (NopRule) BeforeWrite(context.Context, *WriteState) error { return nil }

// AfterHooks does nothing.
func (NopRule) AfterHooks(context.Context, *WriteState) error { return nil }

// AfterWrite does nothing.
func (NopRule) AfterWrite(context.Context, *WriteState, *Saved) error { return nil }

// MapDuplicate leaves the default.
func (NopRule) MapDuplicate(*storage.DuplicateError) error { return nil }

// Present returns o itself.
func (NopRule) Present(_ *access.Principal, o *parse.Object) *parse.Object { return o }

// AfterDelete does nothing.
func (NopRule) AfterDelete(context.Context, *access.Principal, *parse.Object) error { return nil }
