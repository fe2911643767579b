package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// ApplySchema implements [storage.Store]: all steps are done or none.
func (d *DB) ApplySchema(ctx context.Context, steps []schema.Step) error {
	return d.write(ctx, "change", "the schema", func(ctx context.Context, _ querier) error {
		return d.inTx(ctx, func(ctx context.Context, q querier) error { return d.applySteps(ctx, q, steps) })
	})
}

func (d *DB) applySteps(ctx context.Context, q querier, steps []schema.Step) error {
	if err := lockDDL(ctx, q); err != nil {
		return err
	}
	for i := range steps {
		if err := d.applyStep(ctx, q, &steps[i]); err != nil {
			return fmt.Errorf("class %s: %w", steps[i].Class, err)
		}
	}
	return nil
}

// load reads the record of a class to change it, and keeps others from doing so
// until the transaction ends; nil without one. Parse Server changes tables
// before "_SCHEMA": who takes them in another order may wait for it for ever.
func load(ctx context.Context, q querier, st *schema.Step) (*record, error) {
	if altersTable(st) {
		there, err := columnsOf(ctx, q, st.Class)
		if err != nil {
			return nil, err
		}
		if len(there) > 0 {
			if err := execAll(ctx, q, "LOCK TABLE "+quote(st.Class)+" IN ACCESS EXCLUSIVE MODE"); err != nil {
				return nil, err
			}
		}
	}
	if _, err := q.Exec(ctx, `SELECT FROM "_SCHEMA" WHERE "className" = $1 FOR UPDATE`, st.Class); err != nil {
		return nil, err
	}
	list, err := records(ctx, q, st.Class)
	if err != nil {
		return nil, err
	}
	r := list[st.Class]
	if r != nil {
		r.stored = r.doc != nil
		if r.own == nil {
			r.own = &parse.Map{}
		}
	}
	return r, nil
}

// altersTable reports whether a step changes the columns of its class.
func altersTable(st *schema.Step) bool {
	switch st.Kind {
	case schema.CreateClass, schema.DropField:
		return true
	case schema.AddFieldStep:
		return st.Field.Type != schema.Relation
	default: // the others change what is recorded, or indexes
	}
	return false
}

func (d *DB) applyStep(ctx context.Context, q querier, st *schema.Step) error {
	r, err := load(ctx, q, st)
	if err != nil {
		return err
	}
	if st.Kind == schema.CreateClass {
		return d.createClass(ctx, q, r, st.Def)
	}
	if st.Kind == schema.DropClass {
		return dropClass(ctx, q, st.Class)
	}
	if r == nil || r.doc == nil {
		switch {
		case schema.IsVolatile(st.Class):
			fresh := newRecord(st.Class)
			if r != nil {
				fresh.own, fresh.stored = r.own, r.stored
			}
			if st.Kind == schema.AddIndex || st.Kind == schema.DropIndex {
				fresh.doc = nil // what is known of it by itself is not recorded
			}
			r = fresh
		case st.Kind == schema.DropField || st.Kind == schema.DropIndex:
			return nil
		default:
			return parse.Errorf(parse.InvalidClassName, "Class %s does not exist.", st.Class)
		}
	}
	switch st.Kind {
	case schema.AddFieldStep:
		err = d.addField(ctx, q, r, st.Field)
	case schema.DropField:
		err = dropField(ctx, q, r, st.Field)
	case schema.SetCLP:
		r.setCLP(st.CLP)
	case schema.AddIndex:
		err = d.addIndex(ctx, q, r, st.Index)
	case schema.DropIndex:
		err = dropIndex(ctx, q, r, st.Index.Name)
	case schema.SetMeta:
		r.setMeta(st.Def)
	default:
		err = fmt.Errorf("unknown kind of step %d", st.Kind)
	}
	if err != nil {
		return err
	}
	return r.save(ctx, q)
}

// fits refuses a name that PostgreSQL cannot tell from one of those that are
// there, since it heeds the beginning alone.
func fits(name string, there map[string]bool) error {
	if len(name) <= longestName || !there[shorten(name)] {
		return nil
	}
	return parse.Errorf(parse.InvalidKeyName, "the database cannot tell the name %s from another one: they are alike in the first %d bytes", name, longestName)
}

func (d *DB) createClass(ctx context.Context, q querier, have *record, def *schema.Class) error {
	def = schema.Complete(def)
	if have == nil || have.doc == nil {
		there, err := columnsOf(ctx, q, def.Name)
		if err != nil {
			return err
		}
		if err := fits(def.Name, map[string]bool{shorten(def.Name): len(there) > 0}); err != nil {
			return err
		}
	}
	if err := createTable(ctx, q, def); err != nil {
		return err
	}
	r, fresh := have, have == nil || have.doc == nil
	if fresh {
		r = newRecord(def.Name)
		if schema.IsVolatile(def.Name) {
			r.doc = nil
			if have != nil {
				r.own = have.own
			}
		}
	}
	known := child(r.doc, keyFields)
	volatile, usual := schema.IsVolatile(def.Name), &schema.Class{}
	if volatile {
		usual = schema.SystemClass(def.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(def.Fields)) {
		f := def.Fields[name]
		switch {
		case sqlgen.IsSystemField(name), known.Has(name), usual.Field(name) != nil:
			continue
		case volatile && r.doc == nil:
			r.doc = newRecord(def.Name).doc
		}
		if err := d.addField(ctx, q, r, f); err != nil {
			return err
		}
	}
	if fresh && r.doc != nil {
		if def.CLP != nil {
			r.setCLP(def.CLP)
		}
		r.setMeta(def)
	}
	for i := range def.Indexes {
		if r.recorded(def.Indexes[i].Name) {
			continue
		}
		if err := d.addIndex(ctx, q, r, &def.Indexes[i]); err != nil {
			return err
		}
	}
	if err := r.save(ctx, q); err != nil {
		return err
	}
	if def.Name == schema.UserClass {
		d.ensureAuthIndexes(ctx, q)
	}
	return nil
}

// createTable makes the table of a class with all columns, or adds those that
// the table lacks.
func createTable(ctx context.Context, q querier, def *schema.Class) error {
	there, err := columnsOf(ctx, q, def.Name)
	if err != nil {
		return err
	}
	t := newTable(def, nil)
	type col struct{ name, typ string }
	var cols []col
	if t.ownID {
		cols = append(cols, col{parse.KeyObjectID, `text COLLATE "C"`})
	}
	if !t.bare {
		for _, c := range [...]col{
			{parse.KeyCreatedAt, "timestamp with time zone"}, {parse.KeyUpdatedAt, "timestamp with time zone"}, {"_rperm", "text[]"}, {"_wperm", "text[]"},
		} {
			cols = append(cols, c)
		}
	}
	for i := range t.columns {
		cols = append(cols, col{t.columns[i].field, columnType(t.columns[i].typ)})
	}
	sql := ""
	for _, c := range cols {
		switch {
		case len(there) == 0:
			if sql != "" {
				sql += ", "
			}
			sql += quote(c.name) + " " + c.typ
		case !there[shorten(c.name)]:
			if sql != "" {
				sql += ", "
			}
			sql += "ADD COLUMN " + quote(c.name) + " " + c.typ
		}
	}
	switch {
	case len(there) > 0 && sql == "":
		return nil
	case len(there) > 0:
		return execAll(ctx, q, "ALTER TABLE "+t.sql+" "+sql)
	case t.id == colID:
		sql += ", PRIMARY KEY (" + colID + ")"
	}
	return execAll(ctx, q, "CREATE TABLE "+t.sql+" ("+sql+")")
}

func dropClass(ctx context.Context, q querier, class string) error {
	var names []string
	_, err := each(ctx, q, `SELECT relname::text FROM pg_catalog.pg_class WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())
		AND (relname = $1 OR relname ~~ '\_Join:%' AND right(relname, length($2)) = $2)`, []any{shorten(class), ":" + class},
		func(raw [][]byte, _ []int16) (bool, error) {
			names = append(names, string(raw[0]))
			return true, nil
		})
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := execAll(ctx, q, "DROP TABLE "+quote(name)); err != nil {
			return err
		}
	}
	if _, err := q.Exec(ctx, `DELETE FROM "_SCHEMA" WHERE "className" = $1`, class); err != nil {
		return err
	}
	_, err = q.Exec(ctx, `DELETE FROM "_pargo" WHERE "key" = $1`, ownPrefix+class)
	return err
}

func (d *DB) addField(ctx context.Context, q querier, r *record, f *schema.Field) error {
	if sqlgen.IsSystemField(f.Name) {
		return nil
	}
	if have := child(child(r.doc, keyFields), f.Name); have != nil {
		if was, err := readField(f.Name, have); err == nil && (was.Type != f.Type || was.TargetClass != f.TargetClass) {
			return parse.Errorf(parse.IncorrectType, "schema mismatch for %s.%s; expected %s but got %s", r.name, f.Name,
				schema.TypeString(was.Type, was.TargetClass), schema.TypeString(f.Type, f.TargetClass))
		}
	}
	if r.doc == nil {
		r.doc = newRecord(r.name).doc
	}
	switch {
	case f.Type == schema.Relation:
		if err := createJoin(ctx, q, storage.Join{Class: r.name, Key: f.Name}); err != nil {
			return err
		}
	case hasColumn(r.name, f):
		if err := fits(f.Name, shortened(child(r.doc, keyFields), f.Name)); err != nil {
			return err
		}
		if err := execAll(ctx, q, "ALTER TABLE "+quote(r.name)+" ADD COLUMN IF NOT EXISTS "+quote(f.Name)+" "+columnType(f.Type)); err != nil {
			return err
		}
	}
	r.setField(f)
	return d.completeIndexes(ctx, q, r, f.Name)
}

// shortened are the names of fields as PostgreSQL heeds them, but for one.
func shortened(fields *parse.Map, but string) map[string]bool {
	names := map[string]bool{}
	for name := range fields.All() {
		names[shorten(name)] = names[shorten(name)] || name != but
	}
	return names
}

func dropField(ctx context.Context, q querier, r *record, f *schema.Field) error {
	if sqlgen.IsSystemField(f.Name) || r.doc == nil {
		return nil
	}
	c, err := r.class(nil)
	if err != nil {
		return err
	}
	for _, ix := range r.listed(c) {
		if ix.On(f.Name) {
			if err := dropIndex(ctx, q, r, ix.Name); err != nil {
				return err
			}
		}
	}
	have := c.Field(f.Name)
	if have == nil {
		have = f
	}
	if have.Type == schema.Relation {
		err = execAll(ctx, q, "DROP TABLE IF EXISTS "+quote(storage.Join{Class: r.name, Key: f.Name}.String()))
	} else if hasColumn(r.name, have) {
		err = execAll(ctx, q, "ALTER TABLE IF EXISTS "+quote(r.name)+" DROP COLUMN IF EXISTS "+quote(f.Name))
	}
	if err != nil {
		return err
	}
	child(r.doc, keyFields).Delete(f.Name)
	if own := child(r.own, keyFields); own != nil {
		own.Delete(f.Name)
	}
	r.tidy()
	return nil
}
