package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
)

const (
	// queueLength is how many writes may wait; further ones wait for room.
	queueLength = 256
	// groupSize is how many writes share one commit.
	groupSize = 64
)

// errClosed is returned for writes after Close.
var errClosed = errors.New("database is closed")

// job is one write. run may be called again after a rollback, so it must set
// its results anew each time.
type job struct {
	ctx context.Context // of the call that waits for the job
	run func(ctx context.Context, c *conn) error
	// many marks a job of several statements, which needs a savepoint to be
	// undone without the rest of its group; a single statement undoes itself.
	many bool
	// tell, if set, is told of the commit, in the order of commits.
	tell func()
	err  error
	done chan struct{}
}

// write hands a job to the writer and waits for its commit. A job whose
// context ends before its turn is dropped; once begun it is carried through,
// and its true outcome is reported.
func (db *DB) write(ctx context.Context, many bool, run func(ctx context.Context, c *conn) error) error {
	return db.change(ctx, many, run, nil)
}

// change is write for a job that changes objects: changes says which, once it
// is done.
func (db *DB) change(ctx context.Context, many bool, run func(ctx context.Context, c *conn) error, changes func() []parse.Change) error {
	j := &job{ctx: ctx, run: run, many: many, done: make(chan struct{})}
	if tell := storage.OnCommit(ctx); tell != nil {
		j.tell = func() {
			var list []parse.Change
			if changes != nil {
				list = changes()
			}
			tell(list)
		}
	}
	select {
	case <-db.closing:
		return errClosed
	default:
	}
	select {
	case db.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closing:
		return errClosed
	}
	select {
	case <-j.done:
		return unstorable(j.err)
	case <-db.stopped:
	}
	select {
	case <-j.done:
		return unstorable(j.err)
	default:
		return errClosed
	}
}

// unstorable marks an error of a disk that takes no writes, for now.
func unstorable(err error) error {
	var se *sqlite.Error
	if err == nil || !errors.As(err, &se) {
		return err
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return &storage.UnavailableError{Writes: true, Err: err}
	}
	return err
}

// writer is the one goroutine that writes. It gathers the writes that wait
// into one transaction, so that they share one sync of the disk.
func (db *DB) writer() {
	defer close(db.stopped)
	group := make([]*job, 0, groupSize)
	for {
		group = group[:0]
		select {
		case j := <-db.jobs:
			group = append(group, j)
		case <-db.closing:
			// Those already queued are still carried out.
			select {
			case j := <-db.jobs:
				group = append(group, j)
			default:
				return
			}
		}
		for _, j := range db.commit(db.gather(group)) {
			if j.tell != nil && j.err == nil {
				j.tell()
			}
			close(j.done)
		}
		clear(group)
	}
}

// gather adds the writes that wait to a group. Others are about to write: the
// items of a batch, those whom the last commit has answered. They get the
// processor before a sync is spent, as long as that brings more writes.
func (db *DB) gather(group []*job) []*job {
	grown := true
	for len(group) < groupSize {
		select {
		case j := <-db.jobs:
			group = append(group, j)
			grown = true
		default:
			if !grown {
				return group
			}
			grown = false
			runtime.Gosched()
		}
	}
	return group
}

// commit carries out a group of writes in one transaction. A failure of the
// database itself undoes the group; its other members are then tried without
// the one that failed. It returns all, those that were carried out in their
// order; the connection is free again.
func (db *DB) commit(group []*job) (done []*job) {
	c := db.wconn
	if db.shared != nil { // in memory there is one connection for all
		c = <-db.shared.free
		defer db.shared.put(c)
	}
	for len(group) > 0 {
		ctx := context.WithoutCancel(group[0].ctx)
		bad, err := db.attempt(ctx, c, group)
		if err == nil {
			if done == nil {
				return group
			}
			return append(done, group...)
		}
		if _, rerr := c.exec(ctx, "ROLLBACK"); rerr != nil {
			db.log.Debug("roll back", "error", rerr)
		}
		if bad < 0 { // begin or commit failed: nobody's write is there
			for _, j := range group {
				j.err = err
			}
			return append(done, group...)
		}
		group[bad].err = err
		done = append(done, group[bad])
		group = append(group[:bad:bad], group[bad+1:]...)
	}
	return done
}

// attempt runs a group up to its commit. An error concerns the job at index
// bad, or the whole group if bad is negative; the transaction is then open.
func (db *DB) attempt(ctx context.Context, c *conn, group []*job) (bad int, err error) {
	if _, err := c.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return -1, fmt.Errorf("begin: %w", err)
	}
	for i, j := range group {
		if j.err = j.ctx.Err(); j.err != nil {
			continue
		}
		save := j.many && len(group) > 1
		if save {
			if _, err := c.exec(ctx, "SAVEPOINT j"); err != nil {
				return -1, fmt.Errorf("savepoint: %w", err)
			}
		}
		j.err = j.run(context.WithoutCancel(j.ctx), c)
		if j.err != nil && (!harmless(j.err) || j.many && !save) {
			return i, j.err
		}
		if !save {
			continue
		}
		if j.err != nil {
			if _, err := c.exec(ctx, "ROLLBACK TO j"); err != nil {
				return -1, fmt.Errorf("roll back to savepoint: %w", err)
			}
		}
		if _, err := c.exec(ctx, "RELEASE j"); err != nil {
			return -1, fmt.Errorf("release: %w", err)
		}
	}
	if _, err := c.exec(ctx, "COMMIT"); err != nil {
		return -1, fmt.Errorf("commit: %w", err)
	}
	return 0, nil
}

// harmless reports whether an error left the transaction intact: a duplicate,
// a mistake of the client, but nothing that the database itself came up with.
func harmless(err error) bool {
	var se *sqlite.Error
	return !errors.As(err, &se)
}

// isUnique reports whether err is the violation of a unique index.
func isUnique(err error) bool {
	var se *sqlite.Error
	return errors.As(err, &se) &&
		(se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// InTx implements [storage.Transactor]. It holds the only writer from
// beginning to end.
func (db *DB) InTx(ctx context.Context, fn func(ctx context.Context, tx storage.Store) error) error {
	var panicked any
	err := db.write(ctx, true, func(_ context.Context, c *conn) (err error) {
		finished := false
		defer func() {
			if !finished { // the writer must outlive a panic of its guest
				panicked = recover()
				err = errPanicked
			}
		}()
		// The caller's own context: fn may stop early, and is then rolled back.
		err = fn(ctx, &tx{db: db, c: c})
		finished = true
		if err != nil {
			return err
		}
		return ctx.Err()
	})
	if errors.Is(err, errPanicked) {
		panic(panicked)
	}
	return err
}

// errPanicked marks a transaction whose function panicked; InTx panics again.
var errPanicked = errors.New("transaction panicked")
