package postgres

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
)

// SDKs walk a class by id, a page at a time. Ids are ordered by their bytes,
// and so is the column of a table that pargo makes: its primary key serves the
// walk. That of a table of Parse Server has the order of the database's
// language, and each page would sort all that is left; such a table gets an
// index for it when it is large and somebody walks it.

const (
	// walkSize is how many bytes a table has at the least for an index to pay.
	walkSize = 8 << 20
	// walkAgain is the time until a table that is too small, or whose index could
	// not be made, is looked at again.
	walkAgain = time.Minute
	// walkNever says that there is nothing to look for.
	walkNever = math.MaxInt64
)

// byBytes is a column of ids to be ordered by bytes.
const byBytes = colID + ` COLLATE "C"`

// walkIndex is the name of the index of a class that serves walks.
func walkIndex(class string) string { return shorten("_order:" + class) }

// background is the work that nobody waits for, until the store closes.
type background struct {
	mu     sync.Mutex
	closed bool // guarded by mu
	sync.WaitGroup
}

// start runs fn, unless the store is closing.
func (b *background) start(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.Go(fn)
	}
}

// end waits for what was started.
func (b *background) end() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.Wait()
}

// walked looks after the index of a table that a find with an order goes through by id.
func (d *DB) walked(t *table, f *storage.Find) {
	if len(f.Order) == 0 || f.Order[0].Path != parse.KeyObjectID || t.id != colID {
		return
	}
	now, next := time.Now(), t.walk.Load()
	if now.UnixNano() < next || !t.walk.CompareAndSwap(next, now.Add(walkAgain).UnixNano()) {
		return
	}
	d.background.start(func() {
		there, err := d.serveWalks(d.closing, t.class.Name)
		switch {
		case there:
			t.walk.Store(walkNever)
		case err != nil && d.closing.Err() == nil:
			d.log.WarnContext(d.closing, "the index of a class in the order of ids cannot be made", "class", t.class.Name, "error", err)
		}
	})
}

// serveWalks makes the index of a large class that lacks one, and reports
// whether there is one. Others write meanwhile.
func (d *DB) serveWalks(ctx context.Context, class string) (there bool, err error) {
	c, err := d.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer c.Release()
	large := false
	err = c.QueryRow(ctx, `SELECT pg_relation_size(t.oid) >= $2, EXISTS (SELECT FROM pg_catalog.pg_index i
			JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0] JOIN pg_catalog.pg_collation o ON o.oid = i.indcollation[0]
			WHERE i.indrelid = t.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = 'objectId' AND o.collname = 'C')
		FROM pg_catalog.pg_class t WHERE t.oid = to_regclass($1)`, quote(class), walkSize).Scan(&large, &there)
	if err != nil || there || !large {
		return there, err
	}
	// One server is enough.
	mine := false
	if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended(current_database() || '/' || current_schema() || '/' || $1, 2))", class).Scan(&mine); err != nil || !mine {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = c.Exec(ctx, "SELECT pg_advisory_unlock_all()") // a connection that fails here has no lock any more
	}()
	name := quote(walkIndex(class))
	d.log.InfoContext(ctx, "makes the index of a class in the order of ids", "class", class)
	// What is there was not finished.
	err = execAll(ctx, c, "DROP INDEX CONCURRENTLY IF EXISTS "+name, "CREATE INDEX CONCURRENTLY "+name+" ON "+quote(class)+" ("+byBytes+")")
	return err == nil, err
}
