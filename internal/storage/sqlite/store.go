package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// storedLimits are those of documents that this adapter wrote itself.
var storedLimits = parse.Limits{Depth: 10_000, Keys: 1 << 30, Values: 1 << 30}

// Find implements [storage.Store].
func (db *DB) Find(ctx context.Context, f *storage.Find) (out []*parse.Object, err error) {
	err = db.timed(ctx, func(ctx context.Context, c *conn) error {
		out, err = db.find(ctx, c, f)
		return err
	})
	return out, err
}

// Count implements [storage.Store].
func (db *DB) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (n int64, err error) {
	err = db.timed(ctx, func(ctx context.Context, c *conn) error {
		n, err = db.count(ctx, c, class, where, advice)
		return err
	})
	return n, err
}

// Insert implements [storage.Store].
func (db *DB) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	t := db.tables.Of(class)
	rows := make([][]driver.Value, len(objects)) // encoded here, not by the one writer
	for i, o := range objects {
		rows[i] = t.row(o)
	}
	return db.change(ctx, len(objects) > 1, func(ctx context.Context, c *conn) error {
		return t.insertRows(ctx, c, rows)
	}, func() []parse.Change { return createdAll(class, objects, nil) })
}

// Update implements [storage.Store].
func (db *DB) Update(ctx context.Context, u *storage.Update) (before, after *parse.Object, err error) {
	err = db.change(ctx, false, func(ctx context.Context, c *conn) (err error) {
		before, after, err = db.update(ctx, c, u)
		return err
	}, func() []parse.Change { return []parse.Change{updated(u, before, after)} })
	if err != nil {
		return nil, nil, err
	}
	return before, after, nil
}

// Delete implements [storage.Store].
func (db *DB) Delete(ctx context.Context, class *schema.Class, where query.Node) (out []*parse.Object, err error) {
	err = db.change(ctx, false, func(ctx context.Context, c *conn) (err error) {
		out, err = db.remove(ctx, c, class, where)
		return err
	}, func() []parse.Change {
		list := make([]parse.Change, len(out))
		for i, o := range out {
			list[i] = parse.Change{Class: class.Name, Action: parse.Deleted, Before: o}
		}
		return list
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// createdAll are the changes by which objects came to be, but for those with an error.
func createdAll(class *schema.Class, objects []*parse.Object, errs []error) []parse.Change {
	list := make([]parse.Change, 0, len(objects))
	for i, o := range objects {
		if errs == nil || errs[i] == nil {
			list = append(list, parse.Change{Class: class.Name, Action: parse.Created, After: o})
		}
	}
	return list
}

func updated(u *storage.Update, before, after *parse.Object) parse.Change {
	return parse.Change{Class: u.Class.Name, Action: parse.Updated, Before: before, After: after}
}

// OrdersCommits implements [storage.Ordered]: the one writer knows the order.
func (db *DB) OrdersCommits() {}

// found is an object and where it lies.
type found struct {
	rowid  int64
	object *parse.Object
}

func (db *DB) find(ctx context.Context, c *conn, f *storage.Find) ([]*parse.Object, error) {
	var out []*parse.Object
	err := db.each(ctx, c, f, false, func(r found) { out = append(out, r.object) })
	return out, err
}

// each calls row for the objects that f asks for, in order; locate also tells
// where they lie.
func (db *DB) each(ctx context.Context, c *conn, f *storage.Find, locate bool, row func(found)) error {
	if f.Limit == 0 {
		return nil
	}
	s, err := db.statement(f, locate)
	if err != nil {
		return err
	}
	err = s.run(ctx, c, row)
	if s.forced && isHintError(err) {
		// The index that the class declares is not there, or not yet.
		loose := *f
		loose.Strict = false
		if s, err = db.statement(&loose, locate); err == nil {
			err = s.run(ctx, c, row)
		}
	}
	return hintError(err)
}

// statement is a find in SQL, and what of it SQL does not say.
type statement struct {
	t       *table
	find    *storage.Find
	sql     string
	args    []driver.Value
	order   []query.Sort
	matcher *query.Matcher // nil: the condition is said in SQL
	sorted  bool           // the rows come in order
	lazy    bool
	forced  bool                        // the statement names an index that nobody asked for
	score   func(*parse.Object) float64 // nil: nobody asks for it
	// paged: numbers of rows are sorted in a query of their own, and then the
	// rows of the page.
	paged bool
	// skip and limit are left to do; 0 and NoLimit where SQL does them.
	skip, limit int
	read        int // rows that SQLite handed over
}

func (db *DB) statement(f *storage.Find, locate bool) (*statement, error) {
	t := db.tables.Of(f.Class)
	w := newWhere(t, "")
	rest := f.Where
	index, inOrder, forced := "", false, false
	if len(f.Order) > 0 && f.Limit > 0 && !locate {
		index, inOrder = t.indexOf(f.Where, f.Order[0].Path)
	}
	switch {
	case locate:
		w.Add(t.locates)
	case f.Advice.Hinted():
		w.Add(t.selects)
		if err := w.hint(f.Advice); err != nil {
			return nil, err
		}
	case f.AnyOrder:
		w.Add(t.selects)
		rest = w.joinIDs(f.Where)
	case inOrder && f.Strict:
		// The ids at the end of a strict order make SQLite sort all of them, where
		// the few that are equal in the keys before would do.
		w.Add(t.selects)
		w.Add(" INDEXED BY " + quote(indexName(t.class.Name, index)))
		forced = true
	default:
		w.Add(t.selects)
	}
	w.Add(" WHERE ")
	m, err := w.Matcher(rest)
	if err != nil {
		return nil, err
	}
	s := &statement{t: t, find: f, order: f.Order, matcher: m, forced: forced, skip: f.Skip, limit: f.Limit}
	var order string
	order, s.sorted = t.orderBy(f.Order)
	s.lazy = f.Lazy && m == nil && s.sorted
	switch {
	case !s.sorted:
		w.Add(" ORDER BY rowid")
	case !f.AnyOrder || len(f.Order) > 0:
		w.Add(order)
	}
	if m == nil && s.sorted { // all is said in SQL
		w.Add(" LIMIT ? OFFSET ?", int64(s.limit), int64(s.skip))
		s.skip, s.limit = 0, query.NoLimit
		if f.Limit > 0 && !locate && len(f.Order) > 0 && !inOrder && f.Order[0].Path != parse.KeyObjectID {
			// Sort numbers of rows, and read the documents of the few wanted.
			w.SQL = append([]byte(t.selects+" WHERE rowid IN (SELECT rowid"), w.SQL[len("SELECT "+colDoc):]...)
			w.Add(")" + order)
			s.paged = true
		}
	}
	s.sql, s.args = string(w.SQL), w.Args
	if n := query.TextOf(f.Where); n != nil && f.Score {
		s.score = n.Score()
	}
	return s, nil
}

// run calls row for what the find asks for, in order.
func (s *statement) run(ctx context.Context, c *conn, row func(found)) error {
	skip, limit := s.skip, s.limit
	var top *storage.Top[found] // rows yet to be sorted
	if !s.sorted {
		less := query.Less(s.order)
		top = storage.NewTop(func(a, b found) int { return less(a.object, b.object) }, skip, limit)
		top.Weigh(s.find.Meter, func(x found) int { return x.object.Size() })
	}
	var near *parse.Object
	var scan *query.Scan
	if s.matcher != nil {
		scan = s.matcher.Scan()
	}
	err := c.query(ctx, s.sql, s.args, func(r []driver.Value) (bool, error) {
		x, err := s.t.decode(r, s.lazy, near)
		if err != nil {
			return false, err
		}
		near = x.object
		s.read++
		switch {
		case scan != nil && !scan.Match(x.object):
			return scan.Err() == nil, scan.Err()
		case !s.sorted:
			if s.score != nil {
				x.object.Set(query.ScoreField, s.score(x.object))
			}
			return true, top.Add(x)
		case skip > 0:
			skip--
		default:
			if s.score != nil {
				x.object.Set(query.ScoreField, s.score(x.object))
			}
			if err := s.find.Keep(x.object); err != nil {
				return false, err
			}
			row(x)
			limit--
		}
		return limit != 0, nil
	})
	if err != nil || s.sorted {
		return err
	}
	for _, x := range top.Page() {
		row(x)
	}
	return nil
}

func (db *DB) count(ctx context.Context, c *conn, class *schema.Class, n query.Node, advice *query.Advice) (int64, error) {
	t := db.tables.Of(class)
	w := newWhere(t, "")
	if advice.Hinted() {
		if err := w.hint(advice); err != nil {
			return 0, err
		}
	}
	w.Add(" WHERE ")
	m, err := w.Matcher(n)
	if err != nil {
		return 0, err
	}
	var total int64
	if m == nil {
		err = c.query(ctx, "SELECT count(*) FROM "+t.sql+string(w.SQL), w.Args, func(r []driver.Value) (bool, error) {
			total, _ = r[0].(int64)
			return false, nil
		})
		return total, hintError(err)
	}
	scan := m.Scan()
	err = c.query(ctx, t.selects+string(w.SQL), w.Args, func(r []driver.Value) (bool, error) {
		x, err := t.decode(r, false, nil)
		if err == nil && scan.Match(x.object) {
			total++
		}
		return true, errors.Join(err, scan.Err())
	})
	return total, hintError(err)
}

// decode reads a row of table.selects or table.locates; near is a row before it.
func (t *table) decode(r []driver.Value, lazy bool, near *parse.Object) (found, error) {
	doc, _ := r[0].(string)
	o, err := parse.DecodeDocument(t.class.Name, doc, lazy, near)
	if err != nil {
		return found{}, fmt.Errorf("stored object of class %s: %w", t.class.Name, err)
	}
	x := found{object: o}
	if len(r) > 1 {
		x.rowid, _ = r[1].(int64)
	}
	return x, nil
}

// document returns the text that is kept of an object.
func document(o *parse.Object) string { return string(o.AppendDocument(make([]byte, 0, 768))) }

// date returns a time as stored; the zero Date stands for a missing one.
func date(d parse.Date) driver.Value {
	if d == 0 {
		return nil
	}
	return int64(d)
}

// row returns the values for table.insert.
func (t *table) row(o *parse.Object) []driver.Value {
	row := make([]driver.Value, 0, 6+len(t.columns)+len(t.folded))
	row = append(row, o.ID, date(o.CreatedAt), date(o.UpdatedAt), subjects(o.ACL, false), subjects(o.ACL, true),
		document(o))
	for i := range t.columns {
		row = append(row, t.columns[i].of(o))
	}
	for i := range t.folded {
		row = append(row, t.folded[i].derive(o))
	}
	return row
}

func (t *table) insertRows(ctx context.Context, c *conn, rows [][]driver.Value) error {
	for _, r := range rows {
		if _, err := c.exec(ctx, t.insert, r...); err != nil {
			return t.duplicate(err)
		}
	}
	return nil
}

func (db *DB) update(ctx context.Context, c *conn, u *storage.Update) (before, after *parse.Object, err error) {
	t := db.tables.Of(u.Class)
	var hit found
	err = db.each(ctx, c, &storage.Find{Class: u.Class, Where: u.Where, Limit: 1}, true, func(x found) { hit = x })
	if err != nil {
		return nil, nil, err
	}
	before = hit.object
	if before == nil {
		return nil, nil, storage.ErrNotFound
	}
	after = before.Clone()
	if u.Ops != nil {
		if err := parse.ApplyOps(after, u.Ops); err != nil {
			return nil, nil, err
		}
	}
	if u.UpdatedAt != 0 {
		after.UpdatedAt = u.UpdatedAt
	}
	var sql strings.Builder
	sql.WriteString("UPDATE " + t.sql + " SET " + colUpdated + " = ?, " + colDoc + " = ?")
	args := []driver.Value{date(after.UpdatedAt), nil}
	set := func(col string, v driver.Value) {
		sql.WriteString(", " + col + " = ?")
		args = append(args, v)
	}
	if u.SetACL {
		after.ACL = u.ACL.Clone()
		set(colRead, subjects(after.ACL, false))
		set(colWrite, subjects(after.ACL, true))
	}
	args[1] = document(after)
	for i := range t.columns {
		if v := t.columns[i].of(after); v != t.columns[i].of(before) {
			set(t.columns[i].sql, v)
		}
	}
	for i := range t.folded {
		if v := t.folded[i].derive(after); v != t.folded[i].derive(before) {
			set(t.folded[i].sql, v)
		}
	}
	sql.WriteString(" WHERE rowid = ?")
	args = append(args, hit.rowid)
	if _, err := c.exec(ctx, sql.String(), args...); err != nil {
		return nil, nil, t.duplicate(err)
	}
	return before, after, nil
}

func (db *DB) remove(ctx context.Context, c *conn, class *schema.Class, n query.Node) ([]*parse.Object, error) {
	t := db.tables.Of(class)
	var out []*parse.Object
	var ids parse.Array
	err := db.each(ctx, c, &storage.Find{Class: class, Where: n, Limit: query.NoLimit}, true, func(x found) {
		out = append(out, x.object)
		ids = append(ids, float64(x.rowid))
	})
	if err != nil || len(out) == 0 {
		return nil, err
	}
	if _, err := c.exec(ctx, "DELETE FROM "+t.sql+" WHERE rowid IN (SELECT value FROM json_each(?))",
		string(parse.AppendJSON(nil, ids))); err != nil {
		return nil, err
	}
	return out, nil
}

// tx is the store inside a transaction. A mutex lets many goroutines use its
// one connection.
type tx struct {
	db *DB
	mu sync.Mutex // guards the use of c
	c  *conn
}

var _ storage.Store = (*tx)(nil)

// with runs fn; a failure undoes what fn wrote and leaves the transaction usable.
func (x *tx) with(ctx context.Context, write bool, fn func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !write {
		return fn(x.c)
	}
	if _, err := x.c.exec(ctx, "SAVEPOINT w"); err != nil {
		return err
	}
	err := fn(x.c)
	if err != nil {
		if _, rerr := x.c.exec(context.WithoutCancel(ctx), "ROLLBACK TO w"); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	_, rerr := x.c.exec(context.WithoutCancel(ctx), "RELEASE w")
	return errors.Join(err, rerr)
}

// Find implements [storage.Store].
func (x *tx) Find(ctx context.Context, f *storage.Find) (out []*parse.Object, err error) {
	err = x.with(ctx, false, func(c *conn) error {
		out, err = x.db.find(ctx, c, f)
		return err
	})
	return out, err
}

// Count implements [storage.Store].
func (x *tx) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (n int64, err error) {
	err = x.with(ctx, false, func(c *conn) error {
		n, err = x.db.count(ctx, c, class, where, advice)
		return err
	})
	return n, err
}

// Insert implements [storage.Store].
func (x *tx) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	t := x.db.tables.Of(class)
	rows := make([][]driver.Value, len(objects))
	for i, o := range objects {
		rows[i] = t.row(o)
	}
	return x.with(ctx, true, func(c *conn) error { return t.insertRows(ctx, c, rows) })
}

// Update implements [storage.Store].
func (x *tx) Update(ctx context.Context, u *storage.Update) (before, after *parse.Object, err error) {
	err = x.with(ctx, true, func(c *conn) error {
		before, after, err = x.db.update(ctx, c, u)
		return err
	})
	return before, after, err
}

// Delete implements [storage.Store].
func (x *tx) Delete(ctx context.Context, class *schema.Class, where query.Node) (out []*parse.Object, err error) {
	err = x.with(ctx, true, func(c *conn) error {
		out, err = x.db.remove(ctx, c, class, where)
		return err
	})
	return out, err
}

// Ping implements [storage.Store].
func (x *tx) Ping(ctx context.Context) error { return ctx.Err() }

// Close implements [storage.Store]: the transaction ends with its function.
func (x *tx) Close() error { return nil }
