package cloudcode

import (
	"context"
	"slices"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Caller is who sent the request.
type Caller struct {
	// Master: the request came with the master key; no permission applies.
	Master bool
	// User is the caller's _User object; nil without a session. It is shared
	// by all requests of the session and must not be changed.
	User *parse.Object
	// Roles are the names of all roles that the user has, inherited ones included.
	Roles []string
	// InstallationID and IP are "" if unknown.
	InstallationID, IP string
}

// UserID returns the id of the user, or "".
func (c Caller) UserID() string {
	if c.User == nil {
		return ""
	}
	return c.User.ID
}

// HasRole reports whether the caller has the role, directly or by inheritance.
func (c Caller) HasRole(name string) bool { return slices.Contains(c.Roles, name) }

// SaveRequest is a create or an update. In before-hooks Object is what will be
// stored: Object.Set and Object.Fields.Delete change it. In after-hooks it is
// what was stored.
type SaveRequest struct {
	Caller Caller
	Class  string
	// Object has the stored fields with the changes of the request applied.
	// Its ID is "" before a create. The password of a _User is hashed before
	// the hooks run: they do not see it, and may set a new one as password.
	Object *parse.Object
	// Original is the object as it was; nil on create. It must not be changed.
	Original *parse.Object
	// Changed lists the top-level fields that the request writes, in order.
	Changed []string
	// Context is the context that the client sent, shared by the hooks of one request.
	Context *parse.Map
	// Client acts as the caller.
	Client Client
}

// IsNew reports whether the request creates the object.
func (r *SaveRequest) IsNew() bool { return r.Original == nil }

// Dirty reports whether the request writes the field.
func (r *SaveRequest) Dirty(field string) bool { return slices.Contains(r.Changed, field) }

// DeleteRequest is the delete of one object.
type DeleteRequest struct {
	Caller  Caller
	Class   string
	Object  *parse.Object
	Context *parse.Map
	Client  Client
}

// FindRequest is a find, a get or a count before it is run. A hook may change
// Query or put another one in its place; the caller's permissions apply to
// whatever comes out.
type FindRequest struct {
	Caller Caller
	Class  string
	Query  *query.Query
	// Count: the caller wants the number of matching objects.
	Count bool
	// IsGet: the caller asks for one object by its id.
	IsGet   bool
	Context *parse.Map
	Client  Client
}

// FoundRequest is a find or a get after it was run. A hook may replace
// Objects; the objects in it must not be changed, only cloned.
type FoundRequest struct {
	Caller  Caller
	Class   string
	Query   *query.Query
	Objects []*parse.Object
	IsGet   bool
	Context *parse.Map
	Client  Client
}

// LoginRequest is a login with right credentials.
type LoginRequest struct {
	Caller Caller
	// User is who logs in.
	User    *parse.Object
	Context *parse.Map
	Client  Client
}

// LogoutRequest is a logout.
type LogoutRequest struct {
	Caller Caller
	// Session is the session that has just ended.
	Session *parse.Object
	Client  Client
}

// FunctionRequest is the call of a function.
type FunctionRequest struct {
	Caller Caller
	Name   string
	// Params is the body of the call; never nil when a server runs it.
	Params  *parse.Map
	Context *parse.Map
	Client  Client
}

// Client reads and writes objects from within a hook or a function, with the
// rights of the caller; schema, permissions and hooks apply as to any client.
// Errors are *parse.Error as a client would read them: a missing or invisible
// object is 101, a duplicate in a unique index 137. Values in fields are
// stored values or parse.Op; the key "ACL" holds the wire form of an ACL.
// Objects returned must not be changed, only cloned.
type Client interface {
	// AsMaster returns the same client with full rights.
	AsMaster() Client
	Get(ctx context.Context, class, id string) (*parse.Object, error)
	// Find returns the objects that match; q.Limit 0 asks for none.
	Find(ctx context.Context, class string, q query.Query) ([]*parse.Object, error)
	Count(ctx context.Context, class string, q query.Query) (int64, error)
	// Create stores a new object and returns it as stored.
	Create(ctx context.Context, class string, fields *parse.Map) (*parse.Object, error)
	// Update changes an object and returns it as stored.
	Update(ctx context.Context, class, id string, fields *parse.Map) (*parse.Object, error)
	Delete(ctx context.Context, class, id string) error
	// InTx makes the writes of fn one: all are stored if fn returns nil, none
	// otherwise. fn uses the client that it is given, does no slow work and
	// may be run again after a conflict. After-hooks run once it is committed.
	InTx(ctx context.Context, fn func(ctx context.Context, c Client) error) error
}
