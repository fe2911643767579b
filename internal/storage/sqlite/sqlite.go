// Package sqlite keeps objects in one SQLite file, without cgo. DESIGN.md in
// the folder above describes the tables, the group commit and what durability
// costs.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
)

// Durability settings of [Options].
const (
	// DurabilityFull syncs every commit: an acknowledged write survives a loss of power.
	DurabilityFull = "full"
	// DurabilityNormal syncs at checkpoints: an acknowledged write survives a
	// crash of the program; a loss of power may take the last ones.
	DurabilityNormal = "normal"
)

const (
	applicationID = 0x70617267 // "parg"
	layoutVersion = 1
)

// Options say where the database is and how it is kept.
type Options struct {
	// Path is the file, created if absent; "" keeps everything in memory.
	Path string
	// Durability is DurabilityFull (also "") or DurabilityNormal.
	Durability string
	// Readers is the number of reading connections; 0: 4. In memory one
	// connection serves all.
	Readers int
	// MaxTime bounds each find and count outside of transactions; 0: no bound.
	MaxTime time.Duration
	// AuthProviders are the providers whose ids belong to one user each;
	// anonymous is one of them always.
	AuthProviders []string
	// Log gets what no caller is told; nil: nothing is logged.
	Log *slog.Logger
}

// DB is one open database. It implements [storage.Store] and
// [storage.Transactor].
type DB struct {
	log       *slog.Logger
	maxTime   time.Duration
	providers []string // that have an index

	readers *pool
	all     []*conn // for Close
	wconn   *conn
	shared  *pool // in memory: the pool of the one connection, else nil

	jobs    chan *job
	closing chan struct{}
	stopped chan struct{} // the writer has ended
	once    sync.Once
	closed  error

	tables sqlgen.Tables[*table]
	// lock keeps other processes away: caches of this one could not know of
	// their writes. nil in memory.
	lock *os.File
}

var (
	_ storage.Store      = (*DB)(nil)
	_ storage.Transactor = (*DB)(nil)
	_ storage.Explainer  = (*DB)(nil)
)

// Open opens or creates a database. A file that is not pargo's, or of a newer
// layout, is refused.
func Open(ctx context.Context, o Options) (*DB, error) {
	db := &DB{
		tables: sqlgen.Tables[*table]{New: newTable},
		log:    o.Log, maxTime: o.MaxTime, jobs: make(chan *job, queueLength),
		closing: make(chan struct{}), stopped: make(chan struct{}),
		providers: authProviders(o.AuthProviders),
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	pragmas := []string{"PRAGMA busy_timeout=10000", "PRAGMA foreign_keys=OFF", "PRAGMA cache_size=-4000"}
	var err error
	if o.Path == "" {
		err = db.openMemory(ctx, pragmas)
	} else {
		err = db.openFile(ctx, o, pragmas)
	}
	if err == nil {
		err = db.createAuthIndexes(ctx, db.wconn)
	}
	if err == nil {
		err = completeText(ctx, db.wconn)
	}
	if err != nil {
		for _, c := range db.all {
			err = errors.Join(err, c.close())
		}
		return nil, errors.Join(err, db.unlock())
	}
	go db.writer()
	return db, nil
}

func (db *DB) openMemory(ctx context.Context, pragmas []string) error {
	c, err := openConn(ctx, ":memory:", pragmas)
	if err != nil {
		return err
	}
	db.wconn, db.all = c, []*conn{c}
	if err := prepareLayout(ctx, c, "memory"); err != nil {
		return err
	}
	db.readers = &pool{free: make(chan *conn, 1)}
	db.readers.put(c)
	db.shared = db.readers
	return nil
}

func (db *DB) openFile(ctx context.Context, o Options, pragmas []string) error {
	sync := "PRAGMA synchronous=FULL"
	switch o.Durability {
	case "", DurabilityFull:
	case DurabilityNormal:
		sync = "PRAGMA synchronous=NORMAL"
	default:
		return fmt.Errorf("durability %q: want %q or %q", o.Durability, DurabilityFull, DurabilityNormal)
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return fmt.Errorf("database path: %w", err)
	}
	if err := createPrivate(path); err != nil {
		return err
	}
	if db.lock, err = lockFile(path + ".lock"); err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	dsn := (&url.URL{Scheme: "file", Path: path}).String()
	// Pages that change often are copied back to the database once for many
	// commits; a log of 16 MB is still searched fast through its index.
	c, err := openConn(ctx, dsn, append(slices.Clone(pragmas), sync, "PRAGMA cache_size=-8000", "PRAGMA wal_autocheckpoint=4000"))
	if err != nil {
		return err
	}
	db.wconn, db.all = c, []*conn{c}
	if err := prepareLayout(ctx, c, path); err != nil {
		return err
	}
	if _, err := c.queryString(ctx, "PRAGMA journal_mode=WAL"); err != nil {
		return fmt.Errorf("write-ahead log: %w", err)
	}
	n := o.Readers
	if n <= 0 {
		n = 4
	}
	db.readers = &pool{free: make(chan *conn, n)}
	for range n {
		// Scans read pages where the system has them, without a call for each;
		// the mapping counts as memory of the process, but is the system's cache.
		r, err := openConn(ctx, dsn, append(slices.Clone(pragmas), "PRAGMA query_only=ON", "PRAGMA mmap_size=268435456"))
		if err != nil {
			return err
		}
		db.all = append(db.all, r)
		db.readers.put(r)
	}
	return nil
}

// createPrivate makes the file, readable by its owner alone, before SQLite
// would make it with wider rights; the files beside it get the same mode.
func createPrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create database folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the path is the operator's choice
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return f.Close()
}

// prepareLayout checks whose file it is, and makes the tables of a new one.
func prepareLayout(ctx context.Context, c *conn, path string) error {
	foreign := fmt.Errorf("%s is not a pargo database: give another path", path)
	id, err := c.queryString(ctx, "PRAGMA application_id")
	if err != nil {
		return errors.Join(foreign, err)
	}
	if id == "0" {
		n, err := c.queryString(ctx, "SELECT count(*) FROM sqlite_schema")
		if err != nil {
			return errors.Join(foreign, err)
		}
		if n != "0" {
			return foreign
		}
		for _, sql := range []string{
			"BEGIN IMMEDIATE",
			fmt.Sprintf("PRAGMA application_id=%d", applicationID),
			fmt.Sprintf("PRAGMA user_version=%d", layoutVersion),
			`CREATE TABLE "_schema" (class TEXT PRIMARY KEY, def TEXT NOT NULL) STRICT`,
			`CREATE TABLE "_join" (n INTEGER PRIMARY KEY, j TEXT NOT NULL, owner TEXT NOT NULL, member TEXT NOT NULL) STRICT`,
			`CREATE UNIQUE INDEX "_join_owner" ON "_join" (j, owner, member)`,
			`CREATE INDEX "_join_member" ON "_join" (j, member, owner)`,
			"COMMIT",
		} {
			if _, err := c.exec(ctx, sql); err != nil {
				return fmt.Errorf("create tables: %w", err)
			}
		}
		return nil
	}
	if id != fmt.Sprint(applicationID) {
		return foreign
	}
	v, err := c.queryString(ctx, "PRAGMA user_version")
	if err != nil {
		return fmt.Errorf("layout version: %w", err)
	}
	if v != fmt.Sprint(layoutVersion) {
		return fmt.Errorf("%s has layout %s, this program reads layout %d: use the version of pargo that wrote it", path, v, layoutVersion)
	}
	return nil
}

// Ping implements [storage.Store].
func (db *DB) Ping(ctx context.Context) error {
	return db.read(ctx, func(c *conn) error {
		_, err := c.queryString(ctx, "SELECT 1")
		return err
	})
}

// CheckIntegrity lets SQLite examine the whole file; an error tells the first
// thing that is wrong.
func (db *DB) CheckIntegrity(ctx context.Context) error {
	return db.read(ctx, func(c *conn) error {
		s, err := c.queryString(ctx, "PRAGMA integrity_check")
		if err == nil && s != "ok" {
			err = fmt.Errorf("integrity check: %s", s)
		}
		return err
	})
}

// Close implements [storage.Store].
func (db *DB) Close() error {
	db.once.Do(func() {
		close(db.closing)
		<-db.stopped
		for range cap(db.readers.free) { // wait for the readers
			<-db.readers.free
		}
		var errs []error
		// The writer is first in the list and closed last: the last
		// connection to close folds the log into the file.
		for i := len(db.all) - 1; i >= 0; i-- {
			errs = append(errs, db.all[i].close())
		}
		errs = append(errs, db.unlock())
		db.closed = errors.Join(errs...)
	})
	return db.closed
}

// unlock lets another process open the database.
func (db *DB) unlock() error {
	if db.lock == nil {
		return nil
	}
	return db.lock.Close()
}

// read runs fn on a reading connection.
func (db *DB) read(ctx context.Context, fn func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-db.closing:
		return errClosed
	default:
	}
	c, err := db.readers.take(ctx, db.closing)
	if err != nil {
		return err
	}
	defer db.readers.put(c)
	return fn(c)
}

// timed is read with the bound of Options.MaxTime.
func (db *DB) timed(ctx context.Context, fn func(ctx context.Context, c *conn) error) error {
	if db.maxTime <= 0 {
		return db.read(ctx, func(c *conn) error { return fn(ctx, c) })
	}
	bounded, cancel := context.WithTimeout(ctx, db.maxTime)
	defer cancel()
	err := db.read(bounded, func(c *conn) error { return fn(bounded, c) })
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return &parse.Error{Code: parse.Timeout, Message: "The query takes longer than the server allows.", Err: err}
	}
	return err
}
