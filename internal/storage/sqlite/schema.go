package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// LoadSchema implements [storage.Store].
func (db *DB) LoadSchema(ctx context.Context) (out []*schema.Class, err error) {
	err = db.read(ctx, func(c *conn) error {
		out, err = loadSchema(ctx, c)
		return err
	})
	return out, err
}

// ApplySchema implements [storage.Store].
func (db *DB) ApplySchema(ctx context.Context, steps []schema.Step) error {
	return db.write(ctx, true, func(ctx context.Context, c *conn) error { return db.applySchema(ctx, c, steps) })
}

// LoadSchema implements [storage.Store].
func (x *tx) LoadSchema(ctx context.Context) (out []*schema.Class, err error) {
	err = x.with(ctx, false, func(c *conn) error {
		out, err = loadSchema(ctx, c)
		return err
	})
	return out, err
}

// ApplySchema implements [storage.Store].
func (x *tx) ApplySchema(ctx context.Context, steps []schema.Step) error {
	return x.with(ctx, true, func(c *conn) error { return x.db.applySchema(ctx, c, steps) })
}

func loadSchema(ctx context.Context, c *conn) ([]*schema.Class, error) {
	defs, err := stringsOf(ctx, c, `SELECT def FROM "_schema" ORDER BY class`)
	if err != nil {
		return nil, err
	}
	out := make([]*schema.Class, 0, len(defs))
	for _, def := range defs {
		cl, err := decodeClass(def)
		if err != nil {
			return nil, err
		}
		out = append(out, cl)
	}
	return out, nil
}

func loadClass(ctx context.Context, c *conn, name string) (*schema.Class, error) {
	def, err := c.queryString(ctx, `SELECT def FROM "_schema" WHERE class = ?`, name)
	if err != nil || def == "" {
		return nil, err
	}
	return decodeClass(def)
}

func (db *DB) applySchema(ctx context.Context, c *conn, steps []schema.Step) error {
	if err := applySchema(ctx, c, steps); err != nil || !makesUsers(steps) {
		return err
	}
	return db.createAuthIndexes(ctx, c)
}

func applySchema(ctx context.Context, c *conn, steps []schema.Step) error {
	for i := range steps {
		if err := applyStep(ctx, c, &steps[i]); err != nil {
			return fmt.Errorf("schema of class %s: %w", steps[i].Class, err)
		}
	}
	return nil
}

func applyStep(ctx context.Context, c *conn, st *schema.Step) error {
	have, err := loadClass(ctx, c, st.Class)
	if err != nil {
		return err
	}
	if have == nil {
		switch st.Kind {
		case schema.CreateClass:
			return createClass(ctx, c, st.Def)
		case schema.DropClass, schema.DropField, schema.DropIndex:
			return nil
		default:
			return parse.Errorf(parse.InvalidClassName, "Class %s does not exist.", st.Class)
		}
	}
	switch st.Kind {
	case schema.CreateClass:
		return completeClass(ctx, c, have, st.Def)
	case schema.DropClass:
		return dropClass(ctx, c, have)
	default:
	}
	snap, err := schema.Apply(schema.NewSnapshot(0, have), []schema.Step{*st})
	if err != nil {
		return err
	}
	next := snap.Class(st.Class)
	switch st.Kind {
	case schema.AddFieldStep:
		if have.Field(st.Field.Name) == nil {
			err = addColumn(ctx, c, next, st.Field)
			// Indexes may have been waiting for the field.
			for i := 0; i < len(next.Indexes) && err == nil; i++ {
				if ix := &next.Indexes[i]; ix.On(st.Field.Name) {
					err = createIndex(ctx, c, next, ix)
				}
			}
		}
	case schema.DropField:
		if f := have.Field(st.Field.Name); f != nil {
			err = dropField(ctx, c, have, f)
		}
	case schema.AddIndex:
		if err = dropIndex(ctx, c, have, st.Index.Name); err == nil {
			err = createIndex(ctx, c, next, st.Index)
		}
	case schema.DropIndex:
		err = dropIndex(ctx, c, have, st.Index.Name)
	default:
	}
	if err != nil {
		return err
	}
	return saveClass(ctx, c, next)
}

func saveClass(ctx context.Context, c *conn, cl *schema.Class) error {
	_, err := c.exec(ctx, `INSERT INTO "_schema" (class, def) VALUES (?, ?)
		ON CONFLICT (class) DO UPDATE SET def = excluded.def`, cl.Name, encodeClass(cl))
	return err
}

func createClass(ctx context.Context, c *conn, def *schema.Class) error {
	def = schema.Complete(def)
	t := newTable(def)
	var b strings.Builder
	b.WriteString("CREATE TABLE " + t.sql + " (" + colID + " TEXT PRIMARY KEY NOT NULL, " + colCreated + " INTEGER, " +
		colUpdated + " INTEGER, " + colRead + " TEXT, " + colWrite + " TEXT, " + colDoc + " TEXT NOT NULL")
	for _, col := range t.columns {
		b.WriteString(", " + col.sql + " " + columnType(col.typ))
	}
	b.WriteString(") STRICT")
	if _, err := c.exec(ctx, b.String()); err != nil {
		return err
	}
	// SQLite looks at the newest index first, and the first of several violated
	// ones is the one to tell.
	for i := range slices.Backward(def.Indexes) {
		if err := createIndex(ctx, c, def, &def.Indexes[i]); err != nil {
			return err
		}
	}
	return saveClass(ctx, c, def)
}

// completeClass adds to a class that exists already what the definition has
// and it lacks.
func completeClass(ctx context.Context, c *conn, have, def *schema.Class) error {
	def = schema.Complete(def)
	var steps []schema.Step
	for _, name := range slices.Sorted(maps.Keys(def.Fields)) {
		if have.Field(name) == nil {
			steps = append(steps, schema.Step{Kind: schema.AddFieldStep, Class: have.Name, Field: def.Fields[name]})
		}
	}
	for i := range def.Indexes {
		ix := &def.Indexes[i]
		if !slices.ContainsFunc(have.Indexes, func(h schema.Index) bool { return h.Name == ix.Name }) {
			steps = append(steps, schema.Step{Kind: schema.AddIndex, Class: have.Name, Index: ix})
		}
	}
	return applySchema(ctx, c, steps)
}

func dropClass(ctx context.Context, c *conn, have *schema.Class) error {
	for i := range have.Indexes {
		if err := dropText(ctx, c, have.Name, have.Indexes[i].Name); err != nil {
			return err
		}
	}
	if _, err := c.exec(ctx, "DROP TABLE "+quote(tableName(have.Name))); err != nil {
		return err
	}
	for _, f := range have.Fields {
		if err := dropMembers(ctx, c, have.Name, f); err != nil {
			return err
		}
	}
	_, err := c.exec(ctx, `DELETE FROM "_schema" WHERE class = ?`, have.Name)
	return err
}

func dropMembers(ctx context.Context, c *conn, class string, f *schema.Field) error {
	if f.Type != schema.Relation {
		return nil
	}
	_, err := c.exec(ctx, `DELETE FROM "_join" WHERE j = ?`, storage.Join{Class: class, Key: f.Name}.String())
	return err
}

func addColumn(ctx context.Context, c *conn, cl *schema.Class, f *schema.Field) error {
	if sqlgen.IsSystemField(f.Name) || !hasColumn(f.Type) {
		return nil
	}
	_, err := c.exec(ctx, "ALTER TABLE "+quote(tableName(cl.Name))+" ADD COLUMN "+fieldColumn(f.Name)+" "+columnType(f.Type))
	return err
}

func dropField(ctx context.Context, c *conn, have *schema.Class, f *schema.Field) error {
	if sqlgen.IsSystemField(f.Name) {
		return nil
	}
	t := newTable(have)
	for i := range have.Indexes {
		ix := &have.Indexes[i]
		if ix.On(f.Name) {
			if err := dropIndex(ctx, c, have, ix.Name); err != nil {
				return err
			}
		}
	}
	var drop []string
	if hasColumn(f.Type) {
		drop = append(drop, fieldColumn(f.Name))
	}
	for _, sql := range []string{foldedColumn(f.Name), wordsColumn(f.Name)} {
		there, err := hasColumnOf(ctx, c, have.Name, &column{sql: sql})
		if err != nil {
			return err
		}
		if there {
			drop = append(drop, sql)
		}
	}
	for _, col := range drop {
		if _, err := c.exec(ctx, "ALTER TABLE "+t.sql+" DROP COLUMN "+col); err != nil {
			return err
		}
	}
	path, ok := jsonPath(f.Name)
	if !ok {
		return fmt.Errorf("field name %q", f.Name)
	}
	if _, err := c.exec(ctx, "UPDATE "+t.sql+" SET "+colDoc+" = json_remove("+colDoc+", "+path+
		") WHERE json_type("+colDoc+", "+path+") IS NOT NULL"); err != nil {
		return err
	}
	return dropMembers(ctx, c, have.Name, f)
}

func dropIndex(ctx context.Context, c *conn, have *schema.Class, name string) error {
	for _, suffix := range []string{"", nullSuffix} {
		if _, err := c.exec(ctx, "DROP INDEX IF EXISTS "+quote(indexName(have.Name, name)+suffix)); err != nil {
			return err
		}
	}
	return dropText(ctx, c, have.Name, name)
}

func hasColumnOf(ctx context.Context, c *conn, class string, col *column) (bool, error) {
	n, err := c.queryString(ctx, "SELECT count(*) FROM pragma_table_xinfo(?) WHERE name = ?", tableName(class), strings.Trim(col.sql, `"`))
	return n != "0", err
}

// ensureDerived makes and fills the second columns of an index.
func ensureDerived(ctx context.Context, c *conn, t *table, ix *schema.Index) error {
	for i := range t.folded {
		col := &t.folded[i]
		there, err := hasColumnOf(ctx, c, t.class.Name, col)
		switch {
		case err != nil:
			return err
		case !there:
			if _, err := c.exec(ctx, "ALTER TABLE "+t.sql+" ADD COLUMN "+col.sql+" TEXT"); err != nil {
				return err
			}
		case !ix.On(col.field):
			continue // another index keeps it true
		}
		if err := fillDerived(ctx, c, t, col); err != nil {
			return err
		}
	}
	return nil
}

// fillBatch is how many rows are in memory while a column is filled.
const fillBatch = 500

func fillDerived(ctx context.Context, c *conn, t *table, col *column) error {
	field := fieldColumn(col.field)
	if _, err := c.exec(ctx, "UPDATE "+t.sql+" SET "+col.sql+" = NULL WHERE "+col.sql+" IS NOT NULL"); err != nil {
		return err
	}
	type row struct {
		id   int64
		text string
	}
	rows := make([]row, 0, fillBatch)
	for last := int64(math.MinInt64); ; {
		rows = rows[:0]
		err := c.query(ctx, "SELECT rowid, "+field+" FROM "+t.sql+" WHERE rowid > ? AND "+field+" IS NOT NULL ORDER BY rowid LIMIT ?",
			[]driver.Value{last, int64(fillBatch)}, func(r []driver.Value) (bool, error) {
				id, _ := r[0].(int64)
				s, _ := r[1].(string)
				rows = append(rows, row{id, s})
				return true, nil
			})
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if _, err := c.exec(ctx, "UPDATE "+t.sql+" SET "+col.sql+" = ? WHERE rowid = ?", col.value(r.text), r.id); err != nil {
				return err
			}
		}
		last = rows[len(rows)-1].id
	}
}

// createIndex makes an index. One with a key that SQLite cannot index is
// recorded with the class but not made.
func createIndex(ctx context.Context, c *conn, cl *schema.Class, ix *schema.Index) error {
	t := newTable(cl)
	if err := ensureDerived(ctx, c, t, ix); err != nil {
		return err
	}
	if cols := t.textColumns(ix); len(cols) > 0 {
		return createText(ctx, c, t, ix, cols)
	}
	var keys, present []string
	for _, k := range ix.Keys {
		sql, ok := t.indexKey(ix, k)
		if !ok {
			return nil
		}
		present = append(present, sql+" IS NOT NULL")
		if k.Desc {
			sql += " DESC"
		}
		keys = append(keys, sql)
	}
	if len(keys) == 0 {
		return nil
	}
	kind := "CREATE INDEX "
	if ix.Unique {
		kind = "CREATE UNIQUE INDEX "
	}
	name := indexName(cl.Name, ix.Name)
	sql := kind + quote(name) + " ON " + t.sql + " (" + strings.Join(keys, ", ") + ")"
	if ix.Sparse {
		sql += " WHERE " + strings.Join(present, " OR ")
	}
	if _, err := c.exec(ctx, sql); err != nil {
		return t.duplicate(err)
	}
	if !ix.Unique || ix.Sparse {
		return nil
	}
	// SQLite takes every NULL for a different one; here missing equals missing.
	for i, k := range ix.Keys {
		sql, _ := t.indexKey(ix, k)
		keys[i] = "ifnull(" + sql + ", x'')"
	}
	sql = kind + quote(name+nullSuffix) + " ON " + t.sql + " (" + strings.Join(keys, ", ") + ") WHERE NOT (" +
		strings.Join(present, " AND ") + ")"
	_, err := c.exec(ctx, sql)
	return t.duplicate(err)
}
