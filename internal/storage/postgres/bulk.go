package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

var _ storage.Bulk = (*DB)(nil)

const (
	// mostRows is how many rows one statement inserts at most.
	mostRows = 1000
	// copyRows is from how many rows on the COPY protocol carries them in less
	// time than an INSERT, whose values the server reads from arrays.
	copyRows = 50
	// mostUpdates is how many updates are one transaction at most.
	mostUpdates = 100
)

// cell is the type of the columns of an INSERT as arrays of values, one for
// each row: one statement serves any number of rows.
type cell struct{ array, cast string }

// cells are those of an INSERT, in its order.
func (t *table) cells() (list []cell) {
	if t.ownID {
		list = append(list, cell{array: "text[]"})
	}
	if !t.bare {
		list = append(list, cell{array: "timestamptz[]"}, cell{array: "timestamptz[]"},
			cell{array: "text[]", cast: "::text[]"}, cell{array: "text[]", cast: "::text[]"}) // arrays of arrays must be of one length
	}
	for i := range t.columns {
		list = append(list, cell{array: columnType(t.columns[i].typ) + "[]"})
	}
	return list
}

// inserts returns the statement that inserts one row, given by its values, and
// the one that inserts rows given by columns.
func (t *table) inserts(columns []string) (one, many string) {
	var values, from, to, names strings.Builder
	for i, c := range t.cells() {
		if i > 0 {
			for _, b := range [...]*strings.Builder{&values, &from, &to, &names} {
				b.WriteString(", ")
			}
		}
		n := strconv.Itoa(i + 1)
		values.WriteString("$" + n)
		from.WriteString("$" + n + "::" + c.array)
		to.WriteString("c" + n + c.cast)
		names.WriteString("c" + n)
	}
	head := "INSERT INTO " + t.sql + " (" + strings.Join(columns, ", ") + ") "
	return head + "VALUES (" + values.String() + ")",
		head + "SELECT " + to.String() + " FROM unnest(" + from.String() + ") AS u(" + names.String() + ")"
}

// byColumns turns rows into the arguments of table.many.
func byColumns(rows [][]any) []any {
	args := make([]any, len(rows[0]))
	for c := range args {
		list := make([]any, len(rows))
		for r := range rows {
			list[r] = rows[r][c]
		}
		args[c] = list
	}
	return args
}

// insertRows inserts all rows or none.
func (t *table) insertRows(ctx context.Context, q querier, rows [][]any) error {
	if len(rows) == 1 {
		_, err := q.Exec(ctx, t.one, rows[0]...)
		return err
	}
	if len(rows) < copyRows {
		_, err := q.Exec(ctx, t.many, byColumns(rows)...)
		return err
	}
	_, err := q.CopyFrom(ctx, pgx.Identifier{unquote(t.sql)}, t.into, pgx.CopyFromRows(rows))
	return err
}

// InsertEach implements [storage.Bulk]: one statement leaves out what is there
// already, and what it has left out is tried alone, for its error.
func (d *DB) InsertEach(ctx context.Context, class *schema.Class, objects []*parse.Object) []error {
	errs := make([]error, len(objects))
	t := d.tables.Of(class)
	alone := func(i int) { errs[i] = d.Insert(ctx, class, objects[i:i+1]) }
	if len(objects) < 2 || t.id != colID || class.Name == schema.UserClass { // names of users are reserved one by one
		for i := range objects {
			alone(i)
		}
		return errs
	}
	var rows [][]any
	var at []int // where the object of a row stands
	for i, o := range objects {
		row, err := t.row(o)
		if err != nil {
			errs[i] = err
			continue
		}
		rows, at = append(rows, row), append(at, i)
	}
	for len(rows) > 0 {
		n := min(len(rows), mostRows)
		d.insertChunk(ctx, t, objects, rows[:n], at[:n], errs, alone)
		rows, at = rows[n:], at[n:]
	}
	return errs
}

func (d *DB) insertChunk(ctx context.Context, t *table, objects []*parse.Object, rows [][]any, at []int, errs []error, alone func(i int)) {
	stored := make(map[string]int, len(rows))
	err := d.write(ctx, "insert", t.class.Name, func(ctx context.Context, q querier) error {
		clear(stored)
		_, err := each(ctx, q, t.many+" ON CONFLICT DO NOTHING RETURNING "+colID, byColumns(rows), func(raw [][]byte, _ []int16) (bool, error) {
			stored[string(raw[0])]++
			return true, nil
		})
		return err
	})
	refused := codeOf(err) != "" || parse.CodeOf(err) == parse.InvalidJSON || parse.CodeOf(err) == objectTooLarge
	for _, i := range at {
		switch id := objects[i].ID; {
		case err != nil && refused: // for a value of one of them
			alone(i)
		case err != nil:
			errs[i] = err
		case stored[id] > 0:
			stored[id]--
		default:
			alone(i)
		}
	}
}

// UpdateEach implements [storage.Bulk]: updates of one statement go together,
// in one transaction. Should one of them fail, each is carried out alone.
func (d *DB) UpdateEach(ctx context.Context, updates []*storage.Update) []storage.Updated {
	out := make([]storage.Updated, len(updates))
	for i := 0; i < len(updates); {
		b := &pgx.Batch{}
		var tables []*table
		var guards []bool
		for _, u := range updates[i:min(len(updates), i+mostUpdates)] {
			t := d.tables.Of(u.Class)
			if len(storage.Claims(u.Class, u.Ops)) > 0 {
				break
			}
			sql, args, guarded, ok, err := t.direct(u)
			if err != nil || !ok {
				break
			}
			b.Queue(sql, args...)
			tables, guards = append(tables, t), append(guards, guarded)
		}
		n := len(tables)
		together := n > 1 && d.together(ctx, b, tables, updates[i:i+n], out[i:i+n])
		n = max(n, 1)
		for k := range updates[i : i+n] {
			r := &out[i+k]
			if !together || guards[k] && errors.Is(r.Err, storage.ErrNotFound) {
				r.Before, r.After, r.Err = d.Update(ctx, updates[i+k])
			}
		}
		i += n
	}
	return out
}

// together carries out updates as one transaction; false if nothing came of it.
func (d *DB) together(ctx context.Context, b *pgx.Batch, tables []*table, updates []*storage.Update, out []storage.Updated) bool {
	err := d.write(ctx, "update", updates[0].Class.Name, func(ctx context.Context, q querier) (err error) {
		answers := q.SendBatch(ctx, b)
		for i, t := range tables {
			out[i] = storage.Updated{}
			rows, err := answers.Query()
			if err == nil {
				r := t.reader()
				_, err = eachRow(rows, func(raw [][]byte, formats []int16) (bool, error) {
					r.formats = formats
					out[i].Before, err = r.object(raw)
					return true, err
				})
				rows.Close()
			}
			if err != nil {
				_ = answers.Close()
				return err
			}
		}
		return answers.Close()
	})
	if err != nil {
		clear(out)
		var away *storage.UnavailableError
		if errors.As(err, &away) || ctx.Err() != nil {
			// It may have been carried out: not once more.
			for i := range out {
				out[i].Err = err
			}
			return true
		}
		return false
	}
	for i, t := range tables {
		r := &out[i]
		if r.Before == nil {
			r.Err = storage.ErrNotFound
			continue
		}
		r.After, r.Err = t.applied(updates[i], r.Before)
		if r.Err != nil {
			r.Before, r.After = nil, nil
		}
	}
	return true
}
