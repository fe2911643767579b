// Package storage is the contract between pargo and a database, and the
// wrappers that check it. internal/storage/storagetest is the suite that every
// adapter passes; DESIGN.md beside this file says what an adapter must keep.
package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// ErrNotFound is returned by Update when no object matches.
var ErrNotFound = errors.New("no object matches")

// DuplicateError is returned by Insert and Update when a unique index forbids the write.
type DuplicateError struct {
	Class string
	// Index is the violated index by the name in schema.Index.Name; "objectId" for the primary key.
	Index string
	// Fields are the index's fields by wire name, as far as the database tells.
	Fields []string
}

// Error implements error.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("duplicate value in class %s, index %s", e.Class, e.Index)
}

// Find asks for objects of one class.
type Find struct {
	Class *schema.Class
	Where query.Node // nil: all; never a RelatedTo or SubQuery
	Order []query.Sort
	Skip  int
	Limit int // query.NoLimit: all
	// Keys lists the top-level fields wanted; nil: all. Adapters may return more.
	Keys []string
	// Score: the objects come with how well they match the search that
	// query.TextOf finds in Where, in query.ScoreField; an Order may have it.
	Score bool
	// AnyOrder: without an Order, the objects may come in any order, which
	// spares a database the sorting. Not with Skip, nor with a Limit.
	AnyOrder bool
	// Strict: the order is that of query.Less in every detail, that of values
	// of mixed types included, which a database may sort in another way. A Where
	// with a query.After needs it.
	Strict bool
	// Advice, if not nil, is for databases that can follow it; a hint that
	// cannot be followed is the client's mistake, 102.
	Advice *query.Advice
	// Lazy allows an adapter to leave fields undecoded (see parse.Map.Lazy):
	// each object is then for one goroutine, until its Fields are loaded.
	Lazy bool
	// Meter, if not nil, weighs the objects as they come (see [Find.Keep]).
	Meter Meter
	// Folded, if not nil, follows from Where: a field is this text but for case.
	// A database whose index on the field does not regard case finds by it what
	// a pattern would walk all objects for.
	Folded *query.Compare
}

// Update changes the one object that matches Where.
type Update struct {
	Class *schema.Class
	// Where has the object's id and, for clients, the permission to write.
	Where query.Node
	// Ops maps a field, or a dotted path into one, to a value or a parse.Op
	// (never a relation op). Internal fields (_hashed_password, …) included.
	Ops *parse.Map
	// ACL, if SetACL, replaces the object's; nil removes it.
	ACL    *parse.ACL
	SetACL bool
	// UpdatedAt is the new updatedAt; 0 leaves it, for internal fields that are
	// no change of the object to anybody (Ops is then not empty).
	UpdatedAt parse.Date
}

// Store is one database. All methods may be called from many goroutines.
// Objects passed in and out belong to the caller afterwards; an adapter keeps
// none and changes none. Errors are ErrNotFound, *DuplicateError, *parse.Error
// for what the client did wrong (a limit of the database), a context error, or
// anything else for a failure of the database.
type Store interface {
	// Find returns objects in order; internal fields are included.
	Find(ctx context.Context, f *Find) ([]*parse.Object, error)
	// Count returns how many objects match; never an estimate.
	Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (int64, error)
	// Insert stores new objects of one class, all or none.
	Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error
	// Update changes one object atomically and returns it as it was and as it
	// is. No match: ErrNotFound.
	Update(ctx context.Context, u *Update) (before, after *parse.Object, err error)
	// Delete removes all objects that match and returns them. No match is no error.
	Delete(ctx context.Context, class *schema.Class, where query.Node) ([]*parse.Object, error)

	// AddRelated adds members to a relation; those already there are ignored.
	AddRelated(ctx context.Context, r Join, owningID string, relatedIDs []string) error
	// RemoveRelated removes members; absent ones are ignored.
	RemoveRelated(ctx context.Context, r Join, owningID string, relatedIDs []string) error
	// Related returns the members of a relation, oldest first.
	Related(ctx context.Context, r Join, owningID string) ([]string, error)
	// Owning returns the owners that have any of the ids as a member.
	Owning(ctx context.Context, r Join, relatedIDs []string) ([]string, error)
	// Links returns the members of several owners at once, in no order; nil
	// asks for those of all.
	Links(ctx context.Context, r Join, owningIDs []string) ([]Link, error)

	// LoadSchema reads all class definitions.
	LoadSchema(ctx context.Context) ([]*schema.Class, error)
	// ApplySchema carries out the steps in order and records them. A step that
	// is already done is no error, so that two servers may apply the same plan.
	ApplySchema(ctx context.Context, steps []schema.Step) error

	Ping(ctx context.Context) error
	// Close waits for running operations and releases the database.
	Close() error
}

// Link is one member of a relation and its owner.
type Link struct{ Owner, Member string }

// Join names the join class of a relation field.
type Join struct{ Class, Key string }

// String returns the name of the join class: _Join:key:Class.
func (j Join) String() string { return "_Join:" + j.Key + ":" + j.Class }

// Transactor is a Store that can make several writes one. Ask with AsTransactor.
type Transactor interface {
	// InTx runs fn; the Store it gets reads its own writes. Everything is
	// committed if fn returns nil, else rolled back and fn's error returned.
	// fn must not use the outer Store, nor do slow work: on the embedded
	// store it holds the only writer. fn may be run again after a conflict.
	InTx(ctx context.Context, fn func(ctx context.Context, tx Store) error) error
}

// Unwrapper is implemented by stores that decorate another one.
type Unwrapper interface{ Unwrap() Store }

// AsTransactor returns the transactional side of a store or of one that it
// decorates, or nil if the database has no transactions.
func AsTransactor(s Store) Transactor { return as[Transactor](s) }

// Explainer is a Store that can tell how it would run a query. Ask with
// AsExplainer.
type Explainer interface {
	// Explain returns the plan of f as a JSON document, in the words of the
	// database. It runs the query if v asks for more than the plan.
	Explain(ctx context.Context, f *Find, v query.Verbosity) (*parse.Map, error)
}

// AsExplainer returns the Explainer of a store or of one that it decorates,
// or nil.
func AsExplainer(s Store) Explainer { return as[Explainer](s) }

// Stage is one stage of an aggregation in the language of MongoDB, over
// documents in the stored form of Parse Server: _id, _created_at, _p_field.
type Stage struct {
	Name string // with its "$"
	Arg  parse.Value
}

// Aggregate asks for the beginning of an aggregation.
type Aggregate struct {
	Class *schema.Class
	// Where comes before all stages, as in Find.
	Where query.Node
	// Fields lists, by stored names, all that stages may see and documents may
	// have, besides _id; nil: every field that is not internal.
	Fields []string
	Stages []Stage
	Advice *query.Advice
}

// Aggregator is a Store that can run the beginning of aggregations itself. Ask
// with AsAggregator.
type Aggregator interface {
	// Aggregate runs as many of the first stages as the database understands
	// exactly as package aggregate does, none maybe, and gives the documents
	// that they make to emit, in stored form and for emit to keep. It returns
	// how many stages it ran. ErrNotPushed: it would gain nothing, or the
	// database failed at it; whatever it has emitted is then void.
	Aggregate(ctx context.Context, a *Aggregate, emit func(*parse.Map) error) (done int, err error)
	// ExplainAggregate returns the plan of what Aggregate would run.
	ExplainAggregate(ctx context.Context, a *Aggregate, v query.Verbosity) (plan *parse.Map, done int, err error)
}

// ErrNotPushed is returned by an Aggregator that leaves an aggregation to its caller.
var ErrNotPushed = errors.New("aggregation is not for the database")

// AsAggregator returns the Aggregator of a store or of one that it decorates,
// or nil.
func AsAggregator(s Store) Aggregator { return as[Aggregator](s) }

// Indexer is a Store that tells of its indexes. Ask with AsIndexer.
type Indexer interface {
	// Indexes returns the indexes of a class that the database has, without that of
	// the id; those that the class declares come with their declared names and keys.
	Indexes(ctx context.Context, class *schema.Class) ([]schema.Index, error)
	// CanIndex reports whether an index with the field serves equality with it,
	// or, if sorted, its order.
	CanIndex(class *schema.Class, field string, sorted bool) bool
}

// AsIndexer returns the Indexer of a store or of one that it decorates, or nil.
func AsIndexer(s Store) Indexer { return as[Indexer](s) }

// Typed is a Store that keeps fields in columns of their type: a null at the top
// level of an object is a missing value, numbers there are doubles, internal
// fields are those of users that Parse Server has, and no text has the character
// \u0000. Ask with IsTyped.
type Typed interface{ TypedColumns() }

// IsTyped reports whether a store, or one that it decorates, is Typed.
func IsTyped(s Store) bool { return as[Typed](s) != nil }

// as looks for an optional interface in a store and in those it decorates.
func as[T any](s Store) T {
	for s != nil {
		if t, ok := s.(T); ok {
			return t
		}
		u, ok := s.(Unwrapper)
		if !ok {
			break
		}
		s = u.Unwrap()
	}
	var none T
	return none
}
