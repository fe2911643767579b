package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Find implements [storage.Store].
func (s *session) Find(ctx context.Context, f *storage.Find) (out []*parse.Object, err error) {
	if f.Limit == 0 {
		return nil, ctx.Err()
	}
	err = s.read(ctx, "find", f.Class.Name, func(ctx context.Context, q querier) error {
		return s.db.onTable(ctx, q, f.Class, func(t *table) error {
			out, err = find(ctx, q, t, f)
			s.db.walked(t, f)
			return err
		})
	})
	return out, err
}

// Count implements [storage.Store].
func (s *session) Count(ctx context.Context, class *schema.Class, where query.Node, advice *query.Advice) (n int64, err error) {
	err = s.read(ctx, "count", class.Name, func(ctx context.Context, q querier) error {
		return s.db.onTable(ctx, q, class, func(t *table) error {
			if err = t.hinted(advice); err == nil {
				n, err = count(ctx, q, t, where)
			}
			return err
		})
	})
	return n, err
}

// onTable runs fn on the table of a class. A table that is not there is empty,
// and a column that is not there has no values: another server may have just
// removed it, or not yet made it. A statement that was prepared for another
// type of a column is prepared anew.
func (d *DB) onTable(ctx context.Context, q querier, class *schema.Class, fn func(t *table) error) error {
	t := d.tables.Of(class)
	err := fn(t)
	if _, inTx := q.(*transaction); inTx || err == nil {
		return err
	}
	switch codeOf(err) {
	case codeUndefinedTable:
		return nil
	case codeUndefinedColumn:
		there, cerr := columnsOf(ctx, q, class.Name)
		if cerr != nil {
			return errors.Join(err, cerr)
		}
		t = newTable(class, there)
		d.tables.Put(class, t)
		return fn(t)
	case codeFeature, codeUndefinedFunction, codeDatatypeMismatch, codeUndefinedStatement:
		return fn(t)
	}
	return err
}

// columnsOf lists the columns of a table.
func columnsOf(ctx context.Context, q querier, class string) (map[string]bool, error) {
	there := map[string]bool{}
	_, err := each(ctx, q, `SELECT attname::text FROM pg_catalog.pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, []any{quote(class)}, func(raw [][]byte, _ []int16) (bool, error) {
		there[string(raw[0])] = true
		return true, nil
	})
	return there, err
}

// each runs a query and calls row with the values of each row, until it
// returns false. It returns how many rows came.
func each(ctx context.Context, q querier, sql string, args []any, row func(raw [][]byte, formats []int16) (more bool, err error)) (n int, err error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	return eachRow(rows, row)
}

func eachRow(rows pgx.Rows, row func(raw [][]byte, formats []int16) (more bool, err error)) (n int, err error) {
	var formats []int16
	for rows.Next() {
		if formats == nil {
			fields := rows.FieldDescriptions()
			formats = make([]int16, len(fields))
			for i := range fields {
				formats[i] = fields[i].Format
			}
		}
		n++
		more, err := row(rows.RawValues(), formats)
		if err != nil || !more {
			return n, err
		}
	}
	return n, rows.Err()
}

// statement is a find in SQL, and what of it SQL does not say.
type statement struct {
	t       *table
	find    *storage.Find
	columns []*column
	sql     string
	args    []any
	order   []query.Sort
	matcher *query.Matcher              // nil: the condition is said in SQL
	sorted  bool                        // the rows come in order
	byAge   bool                        // the page is to be put in order of age
	score   func(*parse.Object) float64 // nil: nobody asks for it
	// skip and limit are left to do; 0 and NoLimit where SQL does them.
	skip, limit int
	read        int // rows that came
}

func newStatement(t *table, f *storage.Find) (*statement, error) {
	if err := t.hinted(f.Advice); err != nil {
		return nil, err
	}
	s := &statement{t: t, find: f, order: f.Order, skip: f.Skip, limit: f.Limit}
	if n := query.TextOf(f.Where); n != nil && f.Score {
		s.score = n.Score()
	}
	w := newWhere(t, "")
	m, err := w.Matcher(f.Where)
	if err != nil {
		return nil, err
	}
	w.folded(f.Folded)
	if s.matcher = m; m == nil && s.score == nil {
		keys := f.Keys
		if keys != nil {
			keys = slices.Clone(keys)
			for _, o := range f.Order {
				keys = append(keys, o.Path.Root())
			}
		}
		s.columns, s.sql = t.selected(keys)
	} else {
		s.columns, s.sql = t.selected(nil)
	}
	before := "SELECT " + s.sql + " FROM " + t.sql + " WHERE "
	w.SQL = append([]byte(before), w.SQL...)
	order := ""
	switch {
	case len(f.Order) > 0:
		order, s.sorted = t.orderBy(f.Order)
	case f.AnyOrder || f.Limit == 1 && f.Skip == 0:
		s.sorted = true
	case f.Skip > 0:
		order, s.sorted = " ORDER BY "+t.age(), true
	default:
		// To sort all that match for the first few would cost more than it is worth.
		s.sorted, s.byAge = true, !t.bare
	}
	w.Add(order)
	if m == nil && s.sorted { // all is said in SQL
		if s.limit >= 0 {
			w.Add(" LIMIT ")
			w.bind(int64(s.limit))
		}
		if s.skip > 0 {
			w.Add(" OFFSET ")
			w.bind(int64(s.skip))
		}
		s.skip, s.limit = 0, query.NoLimit
	}
	s.sql, s.args = string(w.SQL), w.Args
	return s, nil
}

func find(ctx context.Context, q querier, t *table, f *storage.Find) ([]*parse.Object, error) {
	s, err := newStatement(t, f)
	if err != nil {
		return nil, err
	}
	return s.run(ctx, q)
}

// fewRows are so few that a query is not cancelled for the sake of those to come.
const fewRows = 1000

// run returns what the find asks for, in order.
func (s *statement) run(ctx context.Context, q querier) (out []*parse.Object, err error) {
	skip, limit := s.skip, s.limit
	var top *storage.Top[*parse.Object] // rows yet to be sorted
	if !s.sorted {
		top = storage.NewTop(query.Less(s.order), skip, limit)
		top.Weigh(s.find.Meter, (*parse.Object).Size)
	}
	var scan *query.Scan
	if s.matcher != nil {
		scan = s.matcher.Scan()
	}
	r := reader{t: s.t, columns: s.columns}
	giveUp, seen := func() {}, 0
	if _, inTx := q.(*transaction); scan != nil && limit > 0 && !inTx {
		ctx, giveUp = context.WithCancel(ctx)
		defer giveUp()
	}
	s.read, err = each(ctx, q, s.sql, s.args, func(raw [][]byte, formats []int16) (bool, error) {
		r.formats = formats
		seen++
		o, err := r.object(raw)
		if err != nil {
			return false, err
		}
		if scan != nil && !scan.Match(o) {
			err := goesOn(ctx, scan)
			return err == nil, err
		}
		if s.score != nil {
			o.Set(query.ScoreField, s.score(o))
		}
		switch {
		case !s.sorted:
			if err := top.Add(o); err != nil {
				return false, err
			}
		case skip > 0:
			skip--
		default:
			if err := s.find.Keep(o); err != nil {
				return false, err
			}
			out = append(out, o)
			limit--
		}
		if limit == 0 && seen > fewRows {
			giveUp() // the database would send all that follow
		}
		return limit != 0, nil
	})
	switch {
	case err != nil:
		return nil, err
	case !s.sorted:
		return top.Page(), nil
	case s.byAge:
		slices.SortStableFunc(out, func(a, b *parse.Object) int { return int(a.CreatedAt - b.CreatedAt) })
	}
	return out, nil
}

func count(ctx context.Context, q querier, t *table, where query.Node) (total int64, err error) {
	w := newWhere(t, "")
	m, err := w.Matcher(where)
	if err != nil {
		return 0, err
	}
	if m == nil {
		_, err = each(ctx, q, "SELECT count(*)::text FROM "+t.sql+" WHERE "+string(w.SQL), w.Args, func(raw [][]byte, _ []int16) (bool, error) {
			for _, c := range raw[0] {
				total = 10*total + int64(c-'0')
			}
			return true, nil
		})
		return total, err
	}
	scan := m.Scan()
	columns, list := t.selected(roots(where))
	r := reader{t: t, columns: columns}
	_, err = each(ctx, q, "SELECT "+list+" FROM "+t.sql+" WHERE "+string(w.SQL), w.Args, func(raw [][]byte, formats []int16) (bool, error) {
		r.formats = formats
		o, err := r.object(raw)
		if err == nil && scan.Match(o) {
			total++
		}
		return true, errors.Join(err, goesOn(ctx, scan))
	})
	return total, err
}

// goesOn tells why no more rows are to be matched. Those that the database has
// sent come without regard to the time.
func goesOn(ctx context.Context, scan *query.Scan) error {
	if err := scan.Err(); err != nil {
		return err
	}
	return ctx.Err()
}

// roots lists the fields that a condition looks at; nil for all.
func roots(where query.Node) []string {
	all := false
	query.Walk(where, func(n query.Node) bool {
		_, after := n.(*query.After)
		all = all || after
		return !all
	})
	if all {
		return nil
	}
	return query.Roots(where)
}
