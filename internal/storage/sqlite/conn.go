package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"modernc.org/sqlite"
)

// statements is how many prepared statements a connection keeps.
const statements = 128

// conn is one connection with its prepared statements. It speaks to the driver
// without a pool of database/sql in between: the package has its own rules of
// who may use which connection, and a lookup costs a third less. It must be
// used by one goroutine at a time.
type conn struct {
	raw   sqliteConn
	stmts map[string]*stmt
	// clock numbers the uses of statements, for the choice of the one to drop.
	clock uint64
	args  []driver.NamedValue
	row   []driver.Value
}

// sqliteConn is what the driver's connection can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ExecerContext
}

// sqliteStmt is what the driver's statement can do.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type stmt struct {
	sqliteStmt
	used uint64
}

// openConn opens the database at dsn and carries out the pragmas.
func openConn(ctx context.Context, dsn string, pragmas []string) (*conn, error) {
	d := &sqlite.Driver{}
	raw, err := d.Open(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	sc, ok := raw.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("open database: driver lacks contexts"), raw.Close())
	}
	c := &conn{raw: sc, stmts: make(map[string]*stmt)}
	for _, p := range pragmas {
		if _, err := sc.ExecContext(ctx, p, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p, err), c.close())
		}
	}
	return c, nil
}

func (c *conn) close() error {
	err := c.forget()
	return errors.Join(err, c.raw.Close())
}

// forget drops all prepared statements.
func (c *conn) forget() error {
	var errs []error
	for sql, s := range c.stmts {
		errs = append(errs, s.Close())
		delete(c.stmts, sql)
	}
	return errors.Join(errs...)
}

// prepare returns the statement for sql, from the cache if it is there.
func (c *conn) prepare(ctx context.Context, sql string) (*stmt, error) {
	c.clock++
	if s, ok := c.stmts[sql]; ok {
		s.used = c.clock
		return s, nil
	}
	if len(c.stmts) >= statements {
		var oldest string
		age := c.clock
		for text, s := range c.stmts {
			if s.used < age {
				oldest, age = text, s.used
			}
		}
		s := c.stmts[oldest]
		delete(c.stmts, oldest)
		if err := s.Close(); err != nil {
			return nil, err
		}
	}
	raw, err := c.raw.PrepareContext(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", sql, err)
	}
	ss, ok := raw.(sqliteStmt)
	if !ok {
		return nil, errors.Join(errors.New("prepare: driver lacks contexts"), raw.Close())
	}
	s := &stmt{sqliteStmt: ss, used: c.clock}
	c.stmts[sql] = s
	return s, nil
}

func (c *conn) bind(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}

// exec runs one statement and returns how many rows it changed.
func (c *conn) exec(ctx context.Context, sql string, args ...driver.Value) (int64, error) {
	s, err := c.prepare(ctx, sql)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(ctx, c.bind(args))
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// query calls row for each row of the answer until it returns false or an
// error. The row is valid during the call only; its strings stay valid.
func (c *conn) query(ctx context.Context, sql string, args []driver.Value, row func(r []driver.Value) (bool, error)) (err error) {
	s, err := c.prepare(ctx, sql)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, c.bind(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	n := len(rows.Columns())
	if cap(c.row) < n {
		c.row = make([]driver.Value, n)
	}
	dest := c.row[:n]
	for read := 1; ; read++ {
		// The driver heeds the context up to the first row alone.
		if read%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := rows.Next(dest); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		more, err := row(dest)
		if err != nil || !more {
			return err
		}
	}
}

// queryString returns the first column of the first row as text, "" without a row.
func (c *conn) queryString(ctx context.Context, sql string, args ...driver.Value) (string, error) {
	var out string
	err := c.query(ctx, sql, args, func(r []driver.Value) (bool, error) {
		out = fmt.Sprint(r[0])
		return false, nil
	})
	return out, err
}

// pool is the connections that read. A reader takes one and puts it back.
type pool struct{ free chan *conn }

// take waits for a free connection, the end of ctx or of the database.
func (p *pool) take(ctx context.Context, closing <-chan struct{}) (*conn, error) {
	select {
	case c := <-p.free:
		return c, nil
	default:
	}
	select {
	case c := <-p.free:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-closing:
		return nil, errClosed
	}
}

func (p *pool) put(c *conn) { p.free <- c }
