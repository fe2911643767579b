package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// closeTimeout bounds how long Close waits for running operations.
const closeTimeout = 10 * time.Second

// undoTimeout bounds the removal of what a failed insert left behind.
const undoTimeout = 10 * time.Second

// Options of a database.
type Options struct {
	// URI is a connection string, mongodb:// or mongodb+srv://. The database
	// is the one that it names, or "parse". A write concern that it states is
	// kept; otherwise it is "majority".
	URI string
	// CollectionPrefix is put before the name of every collection.
	CollectionPrefix string
	// MaxTime bounds each find and count; 0: no bound.
	MaxTime time.Duration
	// PatternTime bounds those with a pattern that is more than text: the
	// database bounds its time for one text only. 0: DefaultPatternTime.
	PatternTime time.Duration
	// AuthProviders are the providers whose ids belong to one user each;
	// anonymous is one of them always.
	AuthProviders []string
	// Lease is how long a lock of the schema holds without a sign of life of
	// its owner; 0: 10 seconds.
	Lease time.Duration
	// Driver are options of the connection string, by name, that replace those of URI.
	Driver map[string]string
	// Log hears of what goes on at the start; nil: nothing.
	Log *slog.Logger
}

// Limits of time that the driver would set at 30 seconds: longer than clients
// wait, and long enough for a replica set to choose another primary.
const (
	selectionTimeout = 10 * time.Second
	connectTimeout   = 5 * time.Second
)

// withOptions puts options into a connection string.
func withOptions(uri string, more map[string]string) (string, error) {
	if len(more) == 0 {
		return uri, nil
	}
	base, query, _ := strings.Cut(uri, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", err
	}
	for name, value := range more {
		for old := range values {
			if strings.EqualFold(old, name) {
				delete(values, old)
			}
		}
		values.Set(name, value)
	}
	if _, hosts, _ := strings.Cut(base, "://"); !strings.Contains(hosts, "/") {
		base += "/"
	}
	return base + "?" + values.Encode(), nil
}

// DB is a storage.Store on a MongoDB database.
type DB struct {
	client *mongo.Client
	db     *mongo.Database // reads from the primary
	read   *mongo.Database // reads where the URI says
	prefix string
	lease  time.Duration
	log    *slog.Logger
	// maxTime: see Options.MaxTime.
	maxTime time.Duration
	// patternTime: see Options.PatternTime.
	patternTime time.Duration
	disconnect  func() error

	watching sync.WaitGroup
	closing  context.Context //nolint:containedctx // ends with Close
	close    context.CancelFunc

	providers []string // that have an index
	// authIndexed: see ensureAuthIndexes.
	authIndexed atomic.Bool
}

var (
	_ storage.Store     = (*DB)(nil)
	_ storage.Explainer = (*DB)(nil)
	_ storage.Judge     = (*DB)(nil)
	_ storage.Indexer   = (*DB)(nil)
)

// Open connects to a database and checks that it answers. The store is a
// storage.Transactor if the server is a member of a replica set or a router of
// a sharded cluster.
func Open(ctx context.Context, o Options) (storage.Store, error) {
	uri, err := withOptions(o.URI, o.Driver)
	if err != nil {
		return nil, fmt.Errorf("mongodb uri: %w", err)
	}
	cs, err := connstring.ParseAndValidate(uri)
	if err != nil {
		return nil, fmt.Errorf("mongodb uri: %w", err)
	}
	name := cs.Database
	if name == "" {
		name = "parse"
	}
	co := options.Client().ApplyURI(uri)
	if co.ServerSelectionTimeout == nil {
		co.SetServerSelectionTimeout(selectionTimeout)
	}
	if co.ConnectTimeout == nil {
		co.SetConnectTimeout(connectTimeout)
	}
	if co.WriteConcern == nil {
		co.SetWriteConcern(writeconcern.Majority())
	}
	if co.AppName == nil {
		co.SetAppName("pargo")
	}
	client, err := mongo.Connect(co)
	if err != nil {
		return nil, fmt.Errorf("mongodb: %w", err)
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	base := context.WithoutCancel(ctx)
	d := &DB{
		client: client,
		db:     client.Database(name, options.Database().SetReadPreference(readpref.Primary())),
		read:   client.Database(name),
		prefix: o.CollectionPrefix,
		lease:  cmp.Or(o.Lease, storage.SchemaLease),
		log:    log, maxTime: o.MaxTime, patternTime: cmp.Or(o.PatternTime, DefaultPatternTime),

		providers: authProviders(o.AuthProviders),
		disconnect: func() error {
			ctx, cancel := context.WithTimeout(base, closeTimeout)
			defer cancel()
			return client.Disconnect(ctx)
		},
	}
	d.closing, d.close = context.WithCancel(base)
	var hello struct {
		SetName string `bson:"setName"`
		Msg     string `bson:"msg"`
	}
	if err := d.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return nil, errors.Join(fmt.Errorf("mongodb: %w", err), d.Close())
	}
	transactions := hello.SetName != "" || hello.Msg == "isdbgrid"
	log.InfoContext(ctx, "connected to MongoDB", "database", name, "transactions", transactions)
	if transactions {
		return &txDB{d}, nil
	}
	return d, nil
}

// Ping implements storage.Store.
func (d *DB) Ping(ctx context.Context) error {
	return d.failure(ctx, "ping", "", d.client.Ping(ctx, readpref.Primary()))
}

// Close implements storage.Store.
func (d *DB) Close() error {
	d.close()
	d.watching.Wait()
	return d.disconnect()
}

func (d *DB) collection(name string) *mongo.Collection { return d.db.Collection(d.prefix + name) }

// Error codes of the server.
const (
	codeBadValue           = 2
	codeTypeMismatch       = 14
	codeOverflow           = 15
	codePathNotViable      = 28
	codeIndexNotFound      = 27
	codeNamespaceNotFound  = 26
	codeConflictingPaths   = 40
	codeCannotCreateIndex  = 67
	codeIndexOptions       = 85
	codeIndexKeySpecs      = 86
	codeInvalidIndexOption = 197
	codeTooLarge           = 10334
	codeGeoValue           = 16572 // a value of an object is no place
	codeGeoExtract         = 16755
	codeTooLargeAfter      = 17419 // an update would make the document too large
	codeRegex              = 51091
	codeRegexOptions       = 51108
	codeRegexExecution     = 51156
	codeMaxTimeExpired     = 50
)

// codesNotPrimary are those of servers that start, stop or lost an election.
var codesNotPrimary = []int{91, 189, 10058, 10107, 11600, 11602, 13435, 13436}

// objectTooLarge is Parse's code for an object beyond the limit of the database.
const objectTooLarge parse.Code = 116

func hasCode(err error, codes ...int) bool {
	var s mongo.ServerError
	if !errors.As(err, &s) {
		return false
	}
	return slices.ContainsFunc(codes, s.HasErrorCode)
}

// failure turns an error of the driver into one of the kinds that
// storage.Store promises; nil stays nil.
func (d *DB) failure(ctx context.Context, op, class string, err error) error {
	if err == nil {
		return nil
	}
	var pe *parse.Error
	var dup *storage.DuplicateError
	switch {
	case errors.As(err, &pe), errors.As(err, &dup):
		return err
	case mongo.IsDuplicateKeyError(err):
		return duplicate(class, err)
	case hasCode(err, codeTooLarge, codeTooLargeAfter), errors.Is(err, driver.ErrDocumentTooLarge):
		return &parse.Error{Code: objectTooLarge, Message: "The object is larger than the database allows.", Err: err}
	case hasCode(err, codeRegex, codeRegexOptions):
		return &parse.Error{Code: parse.InvalidQuery, Message: "Bad $regex value.", Err: err}
	case hasCode(err, codeBadValue) && strings.Contains(err.Error(), "hint"):
		return &parse.Error{Code: parse.InvalidQuery, Message: "hint: the class has no such index", Err: err}
	case hasCode(err, codeRegexExecution), errors.Is(context.Cause(ctx), errPattern):
		return &parse.Error{Code: parse.InvalidQuery, Message: query.SlowRegex, Err: err}
	case hasCode(err, codeOverflow):
		return &parse.Error{Code: parse.InvalidJSON, Message: "The object is nested deeper than the database allows.", Err: err}
	}
	if hasCode(err, codeMaxTimeExpired) || errors.Is(context.Cause(ctx), errMaxTime) {
		return &parse.Error{Code: parse.Timeout, Message: "The query takes longer than the server allows.", Err: err}
	}
	cause := ctx.Err()
	switch timeout := errors.Is(err, context.DeadlineExceeded); {
	case cause != nil && !errors.Is(err, cause):
		return fmt.Errorf("%s %s: %w: %w", op, class, cause, err)
	case cause == nil && errors.Is(err, context.Canceled): // the store is being closed
		return fmt.Errorf("%s %s: %w", op, class, &timeoutError{err})
	case cause == nil && timeout:
		return fmt.Errorf("%s %s: %w", op, class, &storage.UnavailableError{Err: &timeoutError{err}})
	case isAway(err):
		sent := mongo.IsNetworkError(err) && slices.Contains(writes, op)
		return fmt.Errorf("%s %s: %w", op, class, &storage.UnavailableError{Unknown: sent, Err: err})
	}
	return fmt.Errorf("%s %s: %w", op, class, err)
}

// writes are the operations that may have been carried out when their
// connection is lost.
var writes = []string{"insert", "update", "delete", "add to", "remove from", "transaction"}

// isAway reports whether an error tells that there is no server to talk to, or
// none that takes writes.
func isAway(err error) bool {
	var (
		none topology.ServerSelectionError
		lost topology.ConnectionError
		busy topology.WaitQueueTimeoutError
	)
	return mongo.IsNetworkError(err) || errors.As(err, &none) || errors.As(err, &lost) || errors.As(err, &busy) ||
		hasCode(err, codesNotPrimary...)
}

// timeoutError is an error of the driver about a time limit of its own, such as
// that for finding a server. It is a failure of the database and no context
// error: the caller's context goes on. As finds in it what the driver looks for.
type timeoutError struct{ cause error }

// Error implements error.
func (e *timeoutError) Error() string { return e.cause.Error() }

// As lets errors.As see the error of the driver; errors.Is does not.
func (e *timeoutError) As(target any) bool { return errors.As(e.cause, target) }

// indexInMessage finds the name of the index in the text of a duplicate key
// error: "… index: name dup key: …", of old servers "… index: db.coll.$name dup key: …".
var indexInMessage = regexp.MustCompile(`index: (?:\S+\.\$)?(\S+)`)

// duplicate makes the error for a violated unique index.
func duplicate(class string, err error) error {
	e := &storage.DuplicateError{Class: class}
	if m := indexInMessage.FindStringSubmatch(err.Error()); m != nil {
		e.Index = m[1]
	}
	if e.Index == schema.IDIndex {
		e.Index, e.Fields = parse.KeyObjectID, []string{parse.KeyObjectID}
		return e
	}
	for _, key := range keyPattern(err) {
		e.Fields = append(e.Fields, wirePath(class, key))
	}
	return e
}

// keyPattern returns the keys of the violated index, as far as the server tells.
func keyPattern(err error) []string {
	var raws []bson.Raw
	var we mongo.WriteException
	var be mongo.BulkWriteException
	var ce mongo.CommandError
	switch {
	case errors.As(err, &we):
		for _, e := range we.WriteErrors {
			raws = append(raws, e.Raw)
		}
	case errors.As(err, &be):
		for _, e := range be.WriteErrors {
			raws = append(raws, e.Raw)
		}
	case errors.As(err, &ce):
		raws = append(raws, ce.Raw)
	}
	for _, raw := range raws {
		pattern, ok := raw.Lookup("keyPattern").DocumentOK()
		if !ok {
			continue
		}
		elems, err := pattern.Elements()
		if err != nil {
			continue
		}
		keys := make([]string, len(elems))
		for i, el := range elems {
			keys[i] = el.Key()
		}
		return keys
	}
	return nil
}

// wirePath is the wire name of a stored key or path, as index definitions have them.
func wirePath(class, key string) string {
	switch key {
	case keyID:
		return parse.KeyObjectID
	case keyCreatedAt:
		return parse.KeyCreatedAt
	case keyUpdatedAt:
		return parse.KeyUpdatedAt
	}
	if provider, ok := strings.CutPrefix(key, prefixAuth); ok && class == classUser {
		return authData + "." + provider
	}
	if field, ok := strings.CutPrefix(key, prefixPointer); ok {
		return field
	}
	root, rest, dotted := strings.Cut(key, ".")
	if dotted {
		return wireName(root) + "." + rest
	}
	return wireName(root)
}

// isNone reports whether a command found no document.
func isNone(err error) bool { return errors.Is(err, mongo.ErrNoDocuments) }
