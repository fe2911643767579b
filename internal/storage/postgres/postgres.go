package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Options of a database.
type Options struct {
	// URI is postgres:// or postgresql://, with the parameters of libpq and those
	// that Parse Server knows.
	URI string
	// Params are parameters that win over those of the URI.
	Params map[string]string
	// MaxConns bounds the connections; 0: what the URI says, or 10.
	MaxConns int
	// MaxTime bounds each find, count and aggregate outside of transactions; 0: no bound.
	MaxTime time.Duration
	// AuthProviders are the providers whose ids belong to one user each;
	// anonymous is one of them always.
	AuthProviders []string
	// Lease is how long a lock of the schema holds without a sign of life of
	// its owner; 0: 10 seconds.
	Lease time.Duration
	// Listen: to what other servers tell of changes of the schema.
	Listen bool
	// Log hears of what goes on at the start; nil: nothing.
	Log *slog.Logger
}

// DB is a storage.Store on a PostgreSQL database.
type DB struct {
	session
	pool    *pgxpool.Pool
	lines   *lines
	log     *slog.Logger
	lease   time.Duration
	maxTime time.Duration
	tables  sqlgen.Tables[*table]
	// rounding: see there.
	rounding rounding
	version  int // of the server: 150018

	providers []string // that have an index
	// authIndexed: the indexes of providers were looked after.
	authIndexed atomic.Bool
	listen      bool
	background  background
	closing     context.Context //nolint:containedctx // ends with Close
	close       context.CancelFunc
	// sender is how this process signs what it notifies.
	sender string
}

var _ interface {
	storage.Store
	storage.Transactor
	storage.Bulk
	schema.Shared
} = (*DB)(nil)

// Open connects to a database and checks that it answers.
func Open(ctx context.Context, o Options) (*DB, error) {
	cfg, err := parseURI(o.URI, o.Params)
	if err != nil {
		return nil, err
	}
	if o.MaxConns > 0 {
		cfg.MaxConns = int32(min(o.MaxConns, 10_000))
	}
	// A query that is given up is cancelled, and its connection kept.
	cfg.ConnConfig.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: 5 * time.Second}
	}
	lines := newLines()
	cfg.ConnConfig.DialFunc = lines.dial
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		log.Debug("notice of PostgreSQL", "message", n.Message)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	d := &DB{
		tables: sqlgen.Tables[*table]{New: func(c *schema.Class) *table { return newTable(c, nil) }},
		pool:   pool, log: log, maxTime: o.MaxTime, lease: cmp.Or(o.Lease, storage.SchemaLease),
		providers: authProviders(o.AuthProviders), sender: parse.NewObjectID(20),
	}
	d.lines = lines
	d.session, d.listen = session{db: d, q: pool}, o.Listen
	d.closing, d.close = context.WithCancel(context.WithoutCancel(ctx))
	if err := d.prepare(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return d, nil
}

// prepare asks who answers, and makes the tables that the schema is kept in.
func (d *DB) prepare(ctx context.Context) error {
	var encoding, name string
	var there int
	err := d.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), current_database(),
		(SELECT count(*) FROM pg_catalog.pg_class WHERE relname IN ('_SCHEMA', '_pargo') AND relkind = 'r' AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema()))`).
		Scan(&d.version, &encoding, &name, &there)
	if err != nil {
		return err
	}
	if encoding != "UTF8" {
		return fmt.Errorf("database %s has the encoding %s: it must be UTF8", name, encoding)
	}
	d.log.InfoContext(ctx, "connected to PostgreSQL", "database", name, "version", d.version)
	if there == 2 {
		return nil
	}
	return d.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lockDDL(ctx, q); err != nil {
			return err
		}
		return execAll(ctx, q,
			`CREATE TABLE IF NOT EXISTS "_SCHEMA" ("className" varchar(120), "schema" jsonb, "isParseClass" bool, PRIMARY KEY ("className"))`,
			`CREATE TABLE IF NOT EXISTS "_pargo" ("key" text PRIMARY KEY, "value" jsonb NOT NULL)`)
	})
}

// Ping implements [storage.Store].
func (s *session) Ping(ctx context.Context) error {
	return s.read(ctx, "ping", "", func(ctx context.Context, q querier) error {
		_, err := q.Exec(ctx, "SELECT 1")
		return err
	})
}

// Close implements [storage.Store].
func (d *DB) Close() error {
	d.close()
	d.background.end()
	d.pool.Close()
	return nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
}

// session carries out operations on the pool or in a transaction.
type session struct {
	db *DB
	q  querier
	// mu, of a transaction, lets many goroutines use its one connection.
	mu *sync.Mutex
}

// Codes of the server.
const (
	codeUniqueViolation    = "23505"
	codeUndefinedTable     = "42P01"
	codeUndefinedColumn    = "42703"
	codeUndefinedFunction  = "42883"
	codeDatatypeMismatch   = "42804"
	codeFeature            = "0A000"
	codeUndefinedStatement = "26000"
	codeSerialization      = "40001"
	codeDeadlock           = "40P01"
	codeDuplicateTable     = "42P07"
	codeDuplicateColumn    = "42701"
	codeLimitExceeded      = "54000"
	codeTooLong            = "22001"
	codeTooComplex         = "54001"
	codeUntranslatable     = "22P05"
	codeNotInRepertoire    = "22021"
	codeCanceled           = "57014"
)

// objectTooLarge is Parse's code for an object beyond the limit of the database.
const objectTooLarge parse.Code = 116

// codeOf returns the code of an error of the server, or "".
func codeOf(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// errMaxTime is why a context ends that Options.MaxTime bounds.
var errMaxTime = errors.New("maxTimeMS is over")

// failure turns an error of the driver into one of the kinds that
// storage.Store promises; nil stays nil.
func (d *DB) failure(ctx context.Context, op, class string, err error) error {
	if err == nil {
		return nil
	}
	var own *parse.Error
	var dup *storage.DuplicateError
	if errors.As(err, &own) || errors.As(err, &dup) || errors.Is(err, storage.ErrNotFound) {
		return err
	}
	switch codeOf(err) {
	case codeLimitExceeded, codeTooLong:
		return &parse.Error{Code: objectTooLarge, Message: "The object is larger than the database allows, or a text in it than its place or index.", Err: err}
	case codeTooComplex:
		return &parse.Error{Code: parse.InvalidJSON, Message: "The object is nested deeper than the database allows.", Err: err}
	case codeUntranslatable, codeNotInRepertoire:
		return &parse.Error{Code: parse.InvalidJSON, Message: "A text has a character that the database cannot store.", Err: err}
	}
	if errors.Is(context.Cause(ctx), errMaxTime) {
		return &parse.Error{Code: parse.Timeout, Message: "The query takes longer than the server allows.", Err: err}
	}
	if cause := ctx.Err(); cause != nil {
		if errors.Is(err, cause) {
			return fmt.Errorf("%s %s: %w", op, class, err)
		}
		return fmt.Errorf("%s %s: %w: %w", op, class, cause, err)
	}
	if u := absence(op, err); u != nil {
		return fmt.Errorf("%s %s: %w", op, class, u)
	}
	return fmt.Errorf("%s %s: %w", op, class, err)
}

// bounded are the operations that Options.MaxTime is for: those of clients. The
// schema, and those who walk whole classes, take the time that they need.
var bounded = []string{"find", "count", "aggregate", "explain"}

// read runs fn, which only reads.
func (s *session) read(ctx context.Context, op, class string, fn func(ctx context.Context, q querier) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", op, class, err)
	}
	if s.mu != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
	} else if s.db.maxTime > 0 && slices.Contains(bounded, op) {
		within, cancel := context.WithTimeoutCause(ctx, s.db.maxTime, errMaxTime)
		defer cancel()
		ctx = within
	}
	return s.db.failure(ctx, op, class, fn(ctx, s.q))
}

// write runs fn, one statement or several in a transaction of their own. In a
// transaction, a failure undoes what fn wrote and leaves the rest.
func (s *session) write(ctx context.Context, op, class string, fn func(ctx context.Context, q querier) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", op, class, err)
	}
	if s.mu == nil {
		return s.db.failure(ctx, op, class, again(ctx, func() error { return fn(ctx, s.q) }))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.failure(ctx, op, class, transact(ctx, s.q, fn))
}

// attempts bounds how often a write is tried that others have got in the way
// of. Each lost attempt means that somebody else's went through.
const attempts = 50

// again runs fn until it is not undone by the database for the sake of another
// transaction.
func again(ctx context.Context, fn func() error) error {
	for i := 1; ; i++ {
		err := fn()
		if overtaken(err) && i < attempts && ctx.Err() == nil {
			continue
		}
		return err
	}
}

// errOvertaken ends a change of the schema that another server has made a moment before.
var errOvertaken = errors.New("another server was faster")

// overtaken reports whether a transaction failed since others were faster: it
// may be run again, and sees what they did.
func overtaken(err error) bool {
	switch codeOf(err) {
	case codeSerialization, codeDeadlock, codeDuplicateTable, codeDuplicateColumn:
		return true
	case codeUniqueViolation:
		// Tables of one name that are made at the same moment.
		var pe *pgconn.PgError
		return errors.As(err, &pe) && strings.HasPrefix(pe.ConstraintName, "pg_")
	}
	return errors.Is(err, errOvertaken)
}

// inTx runs fn in a transaction, or in a part of the one that q is.
func (d *DB) inTx(ctx context.Context, fn func(ctx context.Context, q querier) error) error {
	return transact(ctx, d.pool, fn)
}

// execAll runs statements without arguments.
func execAll(ctx context.Context, q querier, statements ...string) error {
	for _, sql := range statements {
		if _, err := q.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", strings.SplitN(sql, "\n", 2)[0], err)
		}
	}
	return nil
}

// lockDDL lets one server at a time change tables, until its transaction ends.
func lockDDL(ctx context.Context, q querier) error {
	_, err := q.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(current_database() || '/' || current_schema() || '/pargo/schema', 0))")
	return err
}

// TypedColumns implements [storage.Typed].
func (s *session) TypedColumns() {}

var _ storage.Typed = (*session)(nil)
