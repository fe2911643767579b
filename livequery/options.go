package livequery

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Authenticator makes the principal of a session token. It is asked at
// subscribe time and again after [Hub.Revoke], never for a single event. A
// token that is not (or no longer) valid gives a *parse.Error; any other error
// is taken for a passing failure, during which the client counts as a stranger.
type Authenticator interface {
	Principal(ctx context.Context, token, installationID, ip string) (*access.Principal, error)
}

// Defaults of [Options].
const (
	DefaultQueueBytes         = 1 << 20
	DefaultTotalQueueBytes    = 256 << 20
	DefaultPingInterval       = 10 * time.Second
	DefaultPatience           = 30 * time.Second
	DefaultMaxMessageBytes    = 1 << 20
	DefaultMaxSubscriptions   = 1000
	DefaultTotalSubscriptions = 250_000
	DefaultSubscriptionBytes  = 288 << 20
	DefaultMaxPending         = 1 << 16
	DefaultPendingBytes       = 128 << 20
	DefaultResumeWindow       = time.Minute
	DefaultResumeChanges      = 1000
	DefaultResumeBytes        = 64 << 20
	DefaultSessionAge         = 30 * time.Second
)

// Bounds of messages beside those of [Options].
const (
	// firstMessageBytes bounds what a client sends before it has connected.
	firstMessageBytes = 64 << 10
	// largeMessage is from which size on a message is counted, and
	// largeMessages how many of them there may be at a time, of all clients.
	largeMessage  = 16 << 10
	largeMessages = 32
	// leastShare is what may wait for a client however much waits for all.
	leastShare = 64 << 10
	// frameValues bounds the values of one message: a subscription has few.
	frameValues = 50_000
)

// A network may send one message every so often, and as many at once as
// messageBurst has room for, before its messages wait in the lane.
const (
	messageEvery = 10 * time.Millisecond
	messageBurst = 10 * time.Second
)

// Options configures a Hub. The zero value serves every class to everybody
// whom the objects' ACLs let read.
type Options struct {
	// Classes says which classes have live queries; nil: all. A subscription
	// to another class succeeds and stays silent, as the protocol has it.
	Classes func(class string) bool
	// Schema gives class definitions and with them class-level permissions;
	// nil: no class has any.
	Schema schema.Source
	// Gate decides what a caller may see; nil: a gate without options.
	Gate *access.Gate
	// Auth resolves session tokens; nil: there are no users.
	Auth Authenticator
	// Find runs a query as a caller, for clients that ask for what their
	// subscription holds now; nil: that is not served.
	Find func(ctx context.Context, p *access.Principal, class string, q *query.Query) ([]*parse.Object, error)
	// Includes reads the objects that subscriptions ask to have included; nil:
	// that is refused.
	Includes Includer
	// AppID is the application that clients must name; "": any.
	AppID string
	// MasterKey gives master rights to a client that connects with it from an
	// allowed address; "": only a masterKey entry of KeyPairs does.
	MasterKey string
	// MasterKeyAllowed says from which addresses master keys are accepted; nil: all.
	MasterKeyAllowed func(ip string) bool
	// KeyPairs maps names of members of connect to secrets. If there are any,
	// a client must present at least one.
	KeyPairs map[string]string
	// QueryLimits bounds the where of a subscription.
	QueryLimits query.Limits
	// Complexity narrows the where of subscriptions of others than the master; nil: not.
	Complexity *query.Complexity
	// ParseLimits bounds the JSON of a frame.
	ParseLimits parse.Limits
	// QueueBytes bounds what waits for one client; over it the client is
	// closed with CloseSlow.
	QueueBytes int
	// TotalQueueBytes bounds what waits for all clients, what they share counted
	// once. Over it a client for which more waits than 64 KiB, and more than its
	// part of the bound, is closed with CloseSlow.
	TotalQueueBytes int64
	// MaxMessageBytes bounds a frame of a client; over it the client is closed
	// with code 1009.
	MaxMessageBytes int64
	// MaxSubscriptions bounds the subscriptions of one client.
	MaxSubscriptions int
	// TotalSubscriptions bounds those of all clients, and SubscriptionBytes the
	// memory that they take. One network may have no more than is still free of
	// either; a private one, which may be a proxy's, three times as much.
	TotalSubscriptions int
	SubscriptionBytes  int64
	// Lane is where the messages wait for their turn of a network that sends
	// many: more than 1,000 at once, or 100 a second; nil: they do not wait.
	Lane *fair.Lane
	// MaxPending bounds the changes of one shard that wait to be matched; over
	// it subscribers of the class are closed with CloseResync.
	MaxPending int
	// PendingBytes bounds what the changes of all shards take that wait; one
	// shard may have half of it. A change that finds nothing else waiting fits,
	// however large it is.
	PendingBytes int64
	// PingInterval is the time between pings. A client that has not answered
	// one when the next is due is dropped.
	PingInterval time.Duration
	// SessionAge is after how long a token is looked at again without any
	// revocation: it is what ends a session that merely expires. It is looked
	// at with pings.
	SessionAge time.Duration
	// Patience is how long a client may take to connect, and to send one message.
	Patience time.Duration
	// ResumeWindow is how long a client that lost its connection may take to
	// come back and get what it missed; 0: nothing is kept for it.
	ResumeWindow time.Duration
	// ResumeChanges is how many changes of each subscribed class are kept for that.
	ResumeChanges int
	// ResumeBytes bounds what the changes take that are kept; those of one class
	// may have a quarter of it.
	ResumeBytes int64
	// DetailedErrors sends the full text of refusals by permissions in place
	// of "Permission denied".
	DetailedErrors bool
	// ClientIP gives the address of a client; nil: the host of RemoteAddr.
	ClientIP func(*http.Request) string
	// App has the hooks of live queries; nil: there are none. Request makes
	// what they are told of a caller; nil: who he is, without a client.
	App     *cloudcode.App
	Request func(context.Context, *access.Principal) cloudcode.Request
	// Log; nil: no log.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Classes == nil {
		o.Classes = func(string) bool { return true }
	}
	if o.Schema == nil {
		o.Schema = emptySchema{schema.NewSnapshot(0)}
	}
	if o.Gate == nil {
		o.Gate = &access.Gate{}
	}
	if o.MasterKeyAllowed == nil {
		o.MasterKeyAllowed = func(string) bool { return true }
	}
	if o.ParseLimits.Values == 0 {
		o.ParseLimits.Values = frameValues
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = DefaultQueueBytes
	}
	if o.TotalQueueBytes <= 0 {
		o.TotalQueueBytes = DefaultTotalQueueBytes
	}
	if o.MaxMessageBytes <= 0 {
		o.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if o.MaxSubscriptions <= 0 {
		o.MaxSubscriptions = DefaultMaxSubscriptions
	}
	if o.TotalSubscriptions <= 0 {
		o.TotalSubscriptions = DefaultTotalSubscriptions
	}
	if o.SubscriptionBytes <= 0 {
		o.SubscriptionBytes = DefaultSubscriptionBytes
	}
	if o.MaxPending <= 0 {
		o.MaxPending = DefaultMaxPending
	}
	if o.PendingBytes <= 0 {
		o.PendingBytes = DefaultPendingBytes
	}
	if o.ResumeBytes <= 0 {
		o.ResumeBytes = DefaultResumeBytes
	}
	if o.ResumeChanges <= 0 {
		o.ResumeChanges = DefaultResumeChanges
	}
	if o.PingInterval <= 0 {
		o.PingInterval = DefaultPingInterval
	}
	if o.SessionAge <= 0 {
		o.SessionAge = DefaultSessionAge
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.ClientIP == nil {
		o.ClientIP = remoteHost
	}
	if o.Request == nil {
		o.Request = func(_ context.Context, p *access.Principal) cloudcode.Request {
			return cloudcode.Request{Caller: cloudcode.Caller{Master: p.Kind == access.Master, User: p.User, Roles: p.Roles, InstallationID: p.InstallationID, IP: p.IP}}
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

type emptySchema struct{ snap *schema.Snapshot }

func (e emptySchema) Current() *schema.Snapshot { return e.snap }

// Close codes beyond those of RFC 6455. After either a client should connect
// again, subscribe, and read its objects anew.
const (
	// CloseSlow: the client did not read fast enough and its queue is full.
	CloseSlow = 4001
	// CloseResync: changes came faster than the hub matches; some were dropped.
	CloseResync = 4002
)

// Stats are the counters of a hub at one moment.
type Stats struct {
	Clients         int   `json:"clients"`         // open websockets
	Subscriptions   int   `json:"subscriptions"`   // over all clients
	DistinctQueries int   `json:"distinctQueries"` // after merging equal ones
	Events          int64 `json:"events"`          // event frames queued since the start
	QueuedBytes     int64 `json:"queuedBytes"`     // waiting to be written
	WaitingBytes    int64 `json:"waitingBytes"`    // memory that takes: what clients share counts once
	Dropped         int64 `json:"dropped"`         // changes lost to overflow, and clients closed for being slow
	Replayed        int64 `json:"replayed"`        // event frames sent again to clients that came back
	Resyncs         int64 `json:"resyncs"`         // subscriptions that came back too late for that
	Changes         int64 `json:"changes"`         // changes matched with subscriptions
	PendingBytes    int64 `json:"pendingBytes"`    // size of the changes that wait to be matched
	KeptBytes       int64 `json:"keptBytes"`       // size of those kept for clients that come back
	MatchNanos      int64 `json:"matchNanos"`      // time spent on matching them and on queueing events
	IncludeReads    int64 `json:"includeReads"`    // reads of objects that events include
	HeldBytes       int64 `json:"heldBytes"`       // memory that the subscriptions take
	Refused         int64 `json:"refused"`         // subscriptions beyond a limit
	Expelled        int64 `json:"expelled"`        // subscriptions ended for patterns that took too long
}
