package postgres

import "context"

// Prepared returns how many statements the connection keeps prepared that a
// query comes by: all of a DB with one connection.
func (d *DB) Prepared(ctx context.Context) (n int, err error) {
	err = d.pool.QueryRow(ctx, "SELECT count(*) FROM pg_prepared_statements").Scan(&n)
	return n, err
}
