package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// transaction is a querier in a transaction that costs few trips to the server:
// what begins it, and what begins and ends the parts of it, travels with the
// statement that follows, and its end with the statement announced by finish.
type transaction struct {
	conn  *pgxpool.Conn
	ahead []string // what goes before the next statement
	begun bool     // the server knows of the transaction
	depth int      // parts that are under way
	last  *pgx.QueuedQuery
}

const beginText = "begin"

// transact runs fn in a transaction, or, where q is one, in a part of it that
// is undone alone.
func transact(ctx context.Context, q querier, fn func(ctx context.Context, q querier) error) error {
	if t, ok := q.(*transaction); ok {
		return t.part(ctx, fn)
	}
	return transactAs(ctx, q, beginText, fn)
}

// transactAs is transact for a pool and a transaction that begins with a text.
func transactAs(ctx context.Context, q querier, begin string, fn func(ctx context.Context, q querier) error) error {
	pool, ok := q.(*pgxpool.Pool)
	if !ok {
		return errors.New("a transaction within another one is a part of it")
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // which gives up a connection that is still in a transaction
	t := &transaction{conn: conn, ahead: []string{begin}}
	if err = fn(ctx, t); err == nil && (t.begun || t.last != nil) {
		err = t.commit(ctx)
	}
	if err != nil && t.begun && ctx.Err() == nil && !conn.Conn().IsClosed() {
		_, _ = conn.Exec(ctx, "rollback")
	}
	return err
}

// finish announces the statement that ends a transaction or a part of it.
func (t *transaction) finish(sql string, args []any) {
	t.last = &pgx.QueuedQuery{SQL: sql, Arguments: args}
}

// errRolledBack is for a commit that the server has answered with a rollback.
var errRolledBack = errors.New("the transaction was rolled back")

func (t *transaction) commit(ctx context.Context) error {
	if t.last == nil {
		tag, err := t.conn.Exec(ctx, "commit")
		return committed(tag, err)
	}
	b := &pgx.Batch{QueuedQueries: []*pgx.QueuedQuery{t.last}}
	b.Queue("commit")
	answers := t.SendBatch(ctx, b)
	if _, err := answers.Exec(); err != nil {
		_ = answers.Close()
		return err
	}
	err := committed(answers.Exec())
	if closed := answers.Close(); err == nil {
		err = closed
	}
	return err
}

func committed(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.String() == "ROLLBACK" {
		return errRolledBack
	}
	return err
}

// part runs fn; what it wrote is undone if it fails.
func (t *transaction) part(ctx context.Context, fn func(ctx context.Context, q querier) error) error {
	t.depth++
	defer func() { t.depth-- }()
	name, mark := "part"+strconv.Itoa(t.depth), len(t.ahead)
	t.ahead = append(t.ahead, "savepoint "+name)
	err := fn(ctx, t)
	if last := t.last; last != nil {
		t.last = nil
		if err == nil {
			_, err = t.Exec(ctx, last.SQL, last.Arguments...)
		}
	}
	if len(t.ahead) > mark && t.ahead[mark] == "savepoint "+name { // nothing was asked
		t.ahead = t.ahead[:mark]
		return err
	}
	if err == nil {
		t.ahead = append(t.ahead, "release savepoint "+name)
		return nil
	}
	t.ahead = nil
	if ctx.Err() == nil && !t.conn.Conn().IsClosed() {
		if _, e := t.conn.Exec(ctx, "rollback to savepoint "+name); e != nil {
			return fmt.Errorf("%w; and then: %w", err, e)
		}
		t.ahead = []string{"release savepoint " + name}
	}
	return err
}

// Query is that of a pool.
func (t *transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if len(t.ahead) == 0 {
		return t.conn.Query(ctx, sql, args...)
	}
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	answers := t.SendBatch(ctx, b)
	rows, err := answers.Query()
	if err != nil {
		_ = answers.Close()
		return nil, err
	}
	return &onlyRows{rows, answers}, nil
}

// Exec is that of a pool.
func (t *transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if len(t.ahead) == 0 {
		return t.conn.Exec(ctx, sql, args...)
	}
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	answers := t.SendBatch(ctx, b)
	tag, err := answers.Exec()
	if closed := answers.Close(); err == nil {
		err = closed
	}
	return tag, err
}

// SendBatch is that of a pool.
func (t *transaction) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	ahead, begun := t.ahead, t.begun
	if len(ahead) > 0 {
		all := &pgx.Batch{}
		for _, sql := range ahead {
			all.Queue(sql)
		}
		all.QueuedQueries = append(all.QueuedQueries, b.QueuedQueries...)
		t.ahead, t.begun, b = nil, true, all
	}
	answers := t.conn.SendBatch(ctx, b)
	for i := range ahead {
		if _, err := answers.Exec(); err != nil { // the next answer is this error again
			if i == 0 { // nothing was carried out, as when a statement cannot be prepared
				t.ahead, t.begun = ahead, begun
			}
			break
		}
	}
	return answers
}

// CopyFrom is that of a pool.
func (t *transaction) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	if len(t.ahead) > 0 {
		if err := t.SendBatch(ctx, &pgx.Batch{}).Close(); err != nil {
			return 0, err
		}
	}
	return t.conn.CopyFrom(ctx, table, columns, rows)
}

// onlyRows are the rows of a batch that has no others.
type onlyRows struct {
	pgx.Rows
	answers pgx.BatchResults
}

// Close implements [pgx.Rows].
func (r *onlyRows) Close() {
	r.Rows.Close()
	_ = r.answers.Close()
}
