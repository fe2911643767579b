package sqlite

import (
	"context"
	"database/sql/driver"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

const (
	addSQL    = `INSERT OR IGNORE INTO "_join" (j, owner, member) SELECT ?, ?, value FROM json_each(?)`
	removeSQL = `DELETE FROM "_join" WHERE j = ? AND owner = ? AND member IN (SELECT value FROM json_each(?))`
	// The unary plus keeps n from being chosen as the index.
	relatedSQL = `SELECT member FROM "_join" WHERE j = ? AND owner = ? ORDER BY +n`
	owningSQL  = `SELECT DISTINCT owner FROM "_join" WHERE j = ? AND member IN (SELECT value FROM json_each(?)) ORDER BY owner`
	linksSQL   = `SELECT owner, member FROM "_join" WHERE j = ?`
	linksOfSQL = linksSQL + ` AND owner IN (SELECT value FROM json_each(?))`
)

func idList(ids []string) string {
	list := make(parse.Array, len(ids))
	for i, id := range ids {
		list[i] = id
	}
	return string(parse.AppendJSON(nil, list))
}

func changeRelated(ctx context.Context, c *conn, sql string, r storage.Join, owner string, ids []string) error {
	_, err := c.exec(ctx, sql, r.String(), owner, idList(ids))
	return err
}

func stringsOf(ctx context.Context, c *conn, sql string, args ...driver.Value) (out []string, err error) {
	err = c.query(ctx, sql, args, func(r []driver.Value) (bool, error) {
		s, _ := r[0].(string)
		out = append(out, s)
		return true, nil
	})
	return out, err
}

func links(ctx context.Context, c *conn, r storage.Join, owners []string) (out []storage.Link, err error) {
	sql, args := linksSQL, []driver.Value{r.String()}
	if owners != nil {
		sql, args = linksOfSQL, append(args, idList(owners))
	}
	err = c.query(ctx, sql, args, func(row []driver.Value) (bool, error) {
		owner, _ := row[0].(string)
		member, _ := row[1].(string)
		out = append(out, storage.Link{Owner: owner, Member: member})
		return true, nil
	})
	return out, err
}

// AddRelated implements [storage.Store].
func (db *DB) AddRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	return db.write(ctx, false, func(ctx context.Context, c *conn) error {
		return changeRelated(ctx, c, addSQL, r, owningID, relatedIDs)
	})
}

// RemoveRelated implements [storage.Store].
func (db *DB) RemoveRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	return db.write(ctx, false, func(ctx context.Context, c *conn) error {
		return changeRelated(ctx, c, removeSQL, r, owningID, relatedIDs)
	})
}

// Related implements [storage.Store].
func (db *DB) Related(ctx context.Context, r storage.Join, owningID string) (out []string, err error) {
	err = db.read(ctx, func(c *conn) error {
		out, err = stringsOf(ctx, c, relatedSQL, r.String(), owningID)
		return err
	})
	return out, err
}

// Owning implements [storage.Store].
func (db *DB) Owning(ctx context.Context, r storage.Join, relatedIDs []string) (out []string, err error) {
	err = db.read(ctx, func(c *conn) error {
		out, err = stringsOf(ctx, c, owningSQL, r.String(), idList(relatedIDs))
		return err
	})
	return out, err
}

// Links implements [storage.Store].
func (db *DB) Links(ctx context.Context, r storage.Join, owningIDs []string) (out []storage.Link, err error) {
	err = db.read(ctx, func(c *conn) error {
		out, err = links(ctx, c, r, owningIDs)
		return err
	})
	return out, err
}

// AddRelated implements [storage.Store].
func (x *tx) AddRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	return x.with(ctx, true, func(c *conn) error { return changeRelated(ctx, c, addSQL, r, owningID, relatedIDs) })
}

// RemoveRelated implements [storage.Store].
func (x *tx) RemoveRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	return x.with(ctx, true, func(c *conn) error { return changeRelated(ctx, c, removeSQL, r, owningID, relatedIDs) })
}

// Related implements [storage.Store].
func (x *tx) Related(ctx context.Context, r storage.Join, owningID string) (out []string, err error) {
	err = x.with(ctx, false, func(c *conn) error {
		out, err = stringsOf(ctx, c, relatedSQL, r.String(), owningID)
		return err
	})
	return out, err
}

// Owning implements [storage.Store].
func (x *tx) Owning(ctx context.Context, r storage.Join, relatedIDs []string) (out []string, err error) {
	err = x.with(ctx, false, func(c *conn) error {
		out, err = stringsOf(ctx, c, owningSQL, r.String(), idList(relatedIDs))
		return err
	})
	return out, err
}

// joinTable stands for the table of a join class, which the master key may
// read: the rows of one relation, with the columns of every table.
func joinTable(class string) string {
	const id = `printf('%024x', n)`
	return "(SELECT n AS rowid, " + id + " AS " + colID + ", NULL AS " + colCreated + ", NULL AS " + colUpdated +
		", NULL AS " + colRead + ", NULL AS " + colWrite + ", owner AS " + fieldColumn(schema.JoinOwner) +
		", member AS " + fieldColumn(schema.JoinMember) + `, '{"objectId":"' || ` + id + ` || '","owningId":' || json_quote(owner) || ` +
		`',"relatedId":' || json_quote(member) || '}' AS ` + colDoc + ` FROM "_join" WHERE j = '` + strings.ReplaceAll(class, "'", "''") + "')"
}

// Links implements [storage.Store].
func (x *tx) Links(ctx context.Context, r storage.Join, owningIDs []string) (out []storage.Link, err error) {
	err = x.with(ctx, false, func(c *conn) error {
		out, err = links(ctx, c, r, owningIDs)
		return err
	})
	return out, err
}
