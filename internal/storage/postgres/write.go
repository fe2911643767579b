package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// duplicated turns a violated constraint into the contract's error.
func (t *table) duplicated(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == codeUniqueViolation {
		return t.duplicate(pe.ConstraintName)
	}
	return err
}

// Insert implements [storage.Store].
func (s *session) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	if len(objects) == 0 {
		return ctx.Err()
	}
	t := s.db.tables.Of(class)
	rows := make([][]any, len(objects))
	for i, o := range objects {
		var err error
		if rows[i], err = t.row(o); err != nil {
			return err
		}
	}
	wanted, err := storage.ClaimsOf(class, objects)
	if err != nil {
		return err
	}
	return s.write(ctx, "insert", class.Name, func(ctx context.Context, q querier) error {
		return s.db.alone(ctx, q, t, "", wanted, func(ctx context.Context, q querier) error {
			return t.duplicated(t.insertRows(ctx, q, rows))
		})
	})
}

// Update implements [storage.Store].
func (s *session) Update(ctx context.Context, u *storage.Update) (before, after *parse.Object, err error) {
	t := s.db.tables.Of(u.Class)
	wanted, id := storage.Claims(u.Class, u.Ops), ""
	if len(wanted) > 0 {
		if id = storage.IDOf(u.Where); id == "" {
			wanted = nil
		}
	}
	err = s.write(ctx, "update", u.Class.Name, func(ctx context.Context, q querier) error {
		return s.db.alone(ctx, q, t, id, wanted, func(ctx context.Context, q querier) error {
			before, after, err = s.db.update(ctx, q, t, u)
			return err
		})
	})
	if codeOf(err) == codeUndefinedTable {
		err = storage.ErrNotFound
	}
	if err != nil {
		return nil, nil, err
	}
	return before, after, nil
}

func (d *DB) update(ctx context.Context, q querier, t *table, u *storage.Update) (before, after *parse.Object, err error) {
	sql, args, guarded, ok, err := t.direct(u)
	if err != nil {
		return nil, nil, err
	}
	if ok {
		r := t.reader()
		_, err := each(ctx, q, sql, args, func(raw [][]byte, formats []int16) (bool, error) {
			r.formats = formats
			before, err = r.object(raw)
			return true, err
		})
		if err != nil {
			return nil, nil, t.duplicated(err)
		}
		if before != nil {
			after, err = t.applied(u, before)
			return before, after, err
		}
		if !guarded {
			return nil, nil, storage.ErrNotFound
		}
	}
	err = transact(ctx, q, func(ctx context.Context, q querier) error {
		before, after, err = t.updateLocked(ctx, q.(*transaction), u)
		return err
	})
	return before, after, t.duplicated(err)
}

// reader returns one for all columns.
func (t *table) reader() *reader {
	return &reader{t: t, columns: t.all}
}

// applied returns what an update makes of an object.
func (t *table) applied(u *storage.Update, before *parse.Object) (*parse.Object, error) {
	after := before.Clone()
	if u.Ops != nil {
		if err := parse.ApplyOps(after, u.Ops); err != nil {
			return nil, err
		}
		if err := t.unknown(&after.Fields); err != nil {
			return nil, err
		}
		t.stored(after)
	}
	if u.UpdatedAt != 0 {
		after.UpdatedAt = u.UpdatedAt
	}
	if u.SetACL {
		after.ACL = u.ACL.Clone()
	}
	return after, nil
}

// locked writes the part of a statement that finds and locks the row to change.
func (w *where) locked() {
	w.Add(" LIMIT 1 FOR UPDATE")
}

// direct writes an update as one statement, if SQL means exactly what its
// operations do; it returns the row as it was. A guarded one may leave out a row
// that matches, for which SQL would not mean it.
func (t *table) direct(u *storage.Update) (sql string, args []any, guarded, ok bool, err error) {
	if t.id != colID {
		return "", nil, false, false, nil
	}
	w := newWhere(t, "WITH old AS MATERIALIZED (SELECT "+t.selects+" FROM "+t.sql+" WHERE ")
	if !w.Node(u.Where) {
		return "", nil, false, false, nil
	}
	for path, v := range u.Ops.All() {
		guarded = w.guard(path, v) || guarded
	}
	w.locked()
	w.Add(") UPDATE " + t.sql + " AS new SET ")
	a := assignments{where: w}
	if !t.bare {
		if u.UpdatedAt != 0 {
			a.set(colUpdated)
			w.bind(date(u.UpdatedAt))
		}
		if u.SetACL {
			if err := checkACL(u.ACL); err != nil {
				return "", nil, false, false, err
			}
			a.set(colRead)
			w.bind(subjects(u.ACL, false))
			a.set(colWrite)
			w.bind(subjects(u.ACL, true))
		}
	}
	for path, v := range u.Ops.All() {
		if ok, err := a.assign(path, v); !ok || err != nil {
			return "", nil, false, false, err
		}
	}
	if a.n == 0 { // nothing is written, but the row is to be given back
		return "", nil, false, false, nil
	}
	w.Add(" FROM old WHERE new." + colID + " = old." + colID + " RETURNING ")
	w.Add(t.old)
	return string(w.SQL), w.Args, guarded, true, nil
}

// updateLocked reads the row and locks it, and writes what the operations change.
func (t *table) updateLocked(ctx context.Context, q *transaction, u *storage.Update) (before, after *parse.Object, err error) {
	before, at, err := t.lockFirst(ctx, q, u.Where)
	if err != nil {
		return nil, nil, err
	}
	if before == nil {
		return nil, nil, storage.ErrNotFound
	}
	if after, err = t.applied(u, before); err != nil {
		return nil, nil, err
	}
	w := newWhere(t, "UPDATE "+t.sql+" SET ")
	first := true
	set := func(col string, x any) {
		if !first {
			w.Add(", ")
		}
		first = false
		w.Add(col + " = ")
		w.bind(x)
	}
	if !t.bare {
		if u.UpdatedAt != 0 {
			set(colUpdated, date(u.UpdatedAt))
		}
		if u.SetACL {
			if err := checkACL(u.ACL); err != nil {
				return nil, nil, err
			}
			set(colRead, subjects(after.ACL, false))
			set(colWrite, subjects(after.ACL, true))
		}
	}
	touched := map[string]bool{}
	for path := range u.Ops.All() {
		c := t.byField[query.Path(path).Root()]
		if c == nil || touched[c.field] || sqlgen.IsSystemField(c.field) {
			continue
		}
		touched[c.field] = true
		v, _ := after.Fields.Get(c.field)
		x, err := c.encode(v)
		if err != nil {
			return nil, nil, err
		}
		set(c.sql, x)
	}
	if first {
		return before, after, nil
	}
	w.Add(" WHERE ctid = ")
	w.bind(at)
	w.Add("::tid")
	q.finish(string(w.SQL), w.Args)
	return before, after, nil
}

// lockFirst reads the first row that matches, locks it, and tells where it lies.
func (t *table) lockFirst(ctx context.Context, q querier, where query.Node) (o *parse.Object, at string, err error) {
	w := newWhere(t, "SELECT ctid::text, "+t.selects+" FROM "+t.sql+" WHERE ")
	m, err := w.Matcher(where)
	if err != nil {
		return nil, "", err
	}
	if m == nil {
		w.Add(" LIMIT 1")
	}
	w.Add(" FOR UPDATE")
	var scan *query.Scan
	if m != nil {
		scan = m.Scan()
	}
	r := t.reader()
	_, err = each(ctx, q, string(w.SQL), w.Args, func(raw [][]byte, formats []int16) (bool, error) {
		r.formats = formats[1:]
		x, err := r.object(raw[1:])
		if err != nil {
			return false, err
		}
		if scan != nil && !scan.Match(x) {
			return scan.Err() == nil, scan.Err()
		}
		o, at = x, string(raw[0])
		return false, nil
	})
	return o, at, err
}

// Delete implements [storage.Store].
func (s *session) Delete(ctx context.Context, class *schema.Class, where query.Node) (out []*parse.Object, err error) {
	err = s.write(ctx, "delete", class.Name, func(ctx context.Context, q querier) error {
		out = nil
		return s.db.onTable(ctx, q, class, func(t *table) error {
			out, err = t.remove(ctx, q, where)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (t *table) remove(ctx context.Context, q querier, where query.Node) (out []*parse.Object, err error) {
	w := newWhere(t, "DELETE FROM "+t.sql+" WHERE ")
	m, err := w.Matcher(where)
	if err != nil {
		return nil, err
	}
	r := t.reader()
	if m == nil {
		w.Add(" RETURNING " + t.selects)
		_, err = each(ctx, q, string(w.SQL), w.Args, func(raw [][]byte, formats []int16) (bool, error) {
			r.formats = formats
			o, err := r.object(raw)
			out = append(out, o)
			return true, err
		})
		return out, err
	}
	err = transact(ctx, q, func(ctx context.Context, tx querier) error {
		sql := "SELECT ctid::text, " + t.selects + " FROM " + t.sql + " WHERE " + string(w.SQL[len("DELETE FROM "+t.sql+" WHERE "):]) + " FOR UPDATE"
		scan := m.Scan()
		var places []string
		_, err := each(ctx, tx, sql, w.Args, func(raw [][]byte, formats []int16) (bool, error) {
			r.formats = formats[1:]
			o, err := r.object(raw[1:])
			if err == nil && scan.Match(o) {
				out, places = append(out, o), append(places, string(raw[0]))
			}
			return true, errors.Join(err, scan.Err())
		})
		if err != nil || len(places) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM "+t.sql+" WHERE ctid = ANY($1::text[]::tid[])", places)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
