package cloudcode

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Caller is who sent the request.
type Caller struct {
	// Master: the request came with a master key, the read-only one included; no permission applies.
	Master bool
	// ReadOnly: it was the read-only master key.
	ReadOnly bool
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

// Request is what the requests of all hooks, functions and jobs have in common.
type Request struct {
	// Trigger is the kind of hook that runs.
	Trigger Trigger
	Caller  Caller
	// Headers are those of the HTTP request that all began with; nil without
	// one. They must not be changed.
	Headers http.Header
	// Context is what the client sent as context, as the hooks before this one
	// left it. The hooks of one operation share it; it is nil if none was sent.
	Context *parse.Map
	// Client acts as the caller. Within a transaction it takes part in it.
	Client Client

	app  *App
	name string
	log  *slog.Logger
}

func (r *Request) base() *Request { return r }

func (r *Request) input() Input { return Input{} }

// Log returns a logger whose lines name the hook and the request.
func (r *Request) Log() *slog.Logger {
	if r.log == nil {
		r.log = r.app.Logger().With("trigger", r.Trigger, "name", r.name)
	}
	return r.log
}

// SetContext puts a value into the context for the hooks that follow.
func (r *Request) SetContext(key string, v parse.Value) {
	if r.Context == nil {
		r.Context = &parse.Map{}
	}
	r.Context.Set(key, v)
}

// SaveRequest is a create or an update. In before-hooks Object is what will be
// stored: Object.Set, Object.Fields.Delete and Object.ACL.Set change it. In
// after-hooks it is what was stored. A hook may keep its objects: what it does
// to them after it has returned reaches nobody else.
type SaveRequest struct {
	Request
	Class string
	// Object has the stored fields with the changes of the request applied.
	// Its ID is "" before a create. The password of a _User is hashed before
	// the hooks run: they do not see it, and may set a new one as password.
	Object *parse.Object
	// Original is the object as it was; nil on create.
	Original *parse.Object
	// Changed lists the top-level fields that the request writes, in order.
	Changed []string
}

func (r *SaveRequest) input() Input {
	return Input{Object: r.Object, Original: r.Original, save: r.Trigger == TriggerBeforeSave}
}

// IsNew reports whether the request creates the object.
func (r *SaveRequest) IsNew() bool { return r.Original == nil }

// Dirty reports whether the request writes the field.
func (r *SaveRequest) Dirty(field string) bool { return slices.Contains(r.Changed, field) }

// DeleteRequest is the delete of one object.
type DeleteRequest struct {
	Request
	Class  string
	Object *parse.Object
}

func (r *DeleteRequest) input() Input { return Input{Object: r.Object} }

// FindRequest is a find, a get or a count before it is run. A hook may change
// Query or put another one in its place; the caller's permissions apply to
// whatever comes out.
type FindRequest struct {
	Request
	Class string
	Query *query.Query
	// Count: the caller wants the number of matching objects.
	Count bool
	// IsGet: the caller asks for one object by its id.
	IsGet bool
	// Objects, if a hook sets it, is the answer in place of what the database
	// has; an empty list is none. Of objects with an id the caller gets what he
	// may read.
	Objects []*parse.Object
}

// FoundRequest is a find or a get after it was run. A hook may replace
// Objects; the objects in it must not be changed, only cloned.
type FoundRequest struct {
	Request
	Class   string
	Query   *query.Query
	Objects []*parse.Object
	IsGet   bool
}

// LoginRequest is a login with right credentials.
type LoginRequest struct {
	Request
	// User is who logs in; after the login with the field sessionToken.
	User *parse.Object
}

func (r *LoginRequest) input() Input { return Input{Object: r.User} }

// LogoutRequest is a logout.
type LogoutRequest struct {
	Request
	// Session is the session that has just ended.
	Session *parse.Object
}

func (r *LogoutRequest) input() Input { return Input{Object: r.Session} }

// PasswordResetRequest is the wish of a known user for a new password.
type PasswordResetRequest struct {
	Request
	User *parse.Object
}

func (r *PasswordResetRequest) input() Input { return Input{Object: r.User} }

// ConfigRequest is a change of Parse.Config.
type ConfigRequest struct {
	Request
	// Params are the parameters as the request has them, operations included;
	// after the change all parameters as they are. They must not be changed.
	Params *parse.Map
	// Original are the parameters as they were; nil if there were none.
	Original *parse.Map
	// MasterKeyOnly maps parameters to whether clients do not see them.
	MasterKeyOnly *parse.Map
}

// FunctionRequest is the call of a function.
type FunctionRequest struct {
	Request
	Name string
	// Params is the body of the call; never nil when a server runs it.
	Params *parse.Map
	// Status is the HTTP status of the answer, 0 for 200; Header has more of
	// its headers. Both are for a function that succeeds.
	Status int
	Header http.Header
}

func (r *FunctionRequest) input() Input { return Input{Params: r.Params} }

// JobRequest is one run of a background job.
type JobRequest struct {
	Request
	Name string
	// ID is the object id of the run in _JobStatus.
	ID     string
	Params *parse.Map
	// Message stores what the job is at, for whoever watches _JobStatus.
	Message func(ctx context.Context, text string) error
}

func (r *JobRequest) input() Input { return Input{Params: r.Params} }

// AnalyticsEvent is an event that a client reports to be counted.
type AnalyticsEvent struct {
	Request
	// Name is AppOpened or what the client calls it.
	Name       string
	Dimensions *parse.Map // nil if there are none
	At         time.Time
}

// ConnectRequest is a live-query client that connects.
type ConnectRequest struct {
	Request
	ClientID     string
	SessionToken string
	// Clients and Subscriptions count those of this server.
	Clients, Subscriptions int
}

// SubscribeRequest is a subscription. A hook may change its members; the
// caller's permissions apply to what comes out.
type SubscribeRequest struct {
	Request
	Class string
	// Op is "subscribe" or "update".
	Op           string
	RequestID    parse.Value
	SessionToken string
	// Where is the where clause in the form of the wire.
	Where *parse.Map
	// Keys are the fields to send, Watch those whose change counts; nil: all.
	Keys, Watch []string
	// Include are the pointers to send with their objects, as in a find.
	Include []string
}

// EventRequest is an event of a live query on its way to one subscription. Its
// Caller is who subscribed. Fields that the caller may not see are there, and
// are removed afterwards from whatever comes out.
type EventRequest struct {
	Request
	Class string
	// Event is create, enter, update, leave or delete. A hook may make it
	// another one of them, except that a delete remains one; with any other
	// name nothing is sent.
	Event string
	// Object is what the event is about, Original the state before, nil if the
	// event has none. A hook may change them or put others in their place, of
	// another class, too; without an Object nothing is sent.
	Object, Original *parse.Object
	// SendEvent is true; without it the event is kept back.
	SendEvent bool
	RequestID parse.Value
	// SessionToken is that of the connection.
	SessionToken string
	// Clients and Subscriptions count those of this server.
	Clients, Subscriptions int
}

func (r *EventRequest) input() Input { return Input{Object: r.Object, Original: r.Original} }

// LiveQueryEvent tells monitors what live-query clients do.
type LiveQueryEvent struct {
	Request
	// Event is ws_connect, connect, subscribe, unsubscribe or ws_disconnect.
	Event        string
	ClientID     string
	SessionToken string
	// Clients and Subscriptions count those of this server.
	Clients, Subscriptions int
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
