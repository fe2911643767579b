package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Keys of a definition in "_SCHEMA".
const (
	keyClassName = "className"
	keyFields    = "fields"
	keyCLP       = "classLevelPermissions"
	keyIndexes   = "indexes"
)

// record is what is stored of a class: the row of "_SCHEMA", and what pargo
// keeps besides in "_pargo".
type record struct {
	name string
	doc  *parse.Map // nil: there is no row
	own  *parse.Map // nil: nothing
	// stored: the row was there when it was loaded, and is locked.
	stored bool
}

// ownPrefix begins the keys of classes in "_pargo".
const ownPrefix = "class:"

// child returns the object at key; nil if there is none.
func child(m *parse.Map, key string) *parse.Map {
	v, _ := m.Get(key)
	c, _ := v.(*parse.Map)
	return c
}

func asMap(v parse.Value) *parse.Map {
	m, _ := v.(*parse.Map)
	return m
}

// edit returns the object at key, which is made if there is none.
func edit(m *parse.Map, key string) *parse.Map {
	c := child(m, key)
	if c == nil {
		c = &parse.Map{}
		m.Set(key, c)
	}
	return c
}

func flag(m *parse.Map, key string) bool {
	v, _ := m.Get(key)
	return parse.Truthy(v)
}

// jsonMap reads a jsonb column.
func jsonMap(raw []byte, format int16) (*parse.Map, error) {
	if raw == nil {
		return nil, nil
	}
	if format == binaryFormat {
		raw = raw[1:]
	}
	return parse.DecodeMap(raw, storedLimits)
}

// records reads what is stored of the classes, or of one.
func records(ctx context.Context, q querier, class string) (map[string]*record, error) {
	list := map[string]*record{}
	of := func(name string) *record {
		if list[name] == nil {
			list[name] = &record{name: name}
		}
		return list[name]
	}
	_, err := each(ctx, q, `SELECT "className", "schema", NULL::jsonb FROM "_SCHEMA" WHERE $1 = '' OR "className" = $1
		UNION ALL SELECT substr("key", 7), NULL, "value" FROM "_pargo" WHERE "key" LIKE 'class:%' AND ($1 = '' OR "key" = 'class:' || $1)`,
		[]any{class}, func(raw [][]byte, formats []int16) (bool, error) {
			r := of(string(raw[0]))
			doc, err := jsonMap(raw[1], formats[1])
			if err != nil {
				return false, fmt.Errorf("stored class %s: %w", r.name, err)
			}
			own, err := jsonMap(raw[2], formats[2])
			if err != nil {
				return false, fmt.Errorf("stored class %s: %w", r.name, err)
			}
			if doc != nil {
				r.doc = doc
			}
			if own != nil {
				r.own = own
			}
			return true, nil
		})
	return list, err
}

// save writes a record. A row of "_SCHEMA" that is there stays.
func (r *record) save(ctx context.Context, q querier) error {
	if r.doc != nil {
		text, err := jsonOf("schema", r.doc)
		if err != nil {
			return err
		}
		write := `INSERT INTO "_SCHEMA" ("className", "schema", "isParseClass") VALUES ($1, $2, true) ON CONFLICT ("className") DO NOTHING`
		if r.stored {
			write = `UPDATE "_SCHEMA" SET "schema" = $2 WHERE "className" = $1`
		}
		tag, err := q.Exec(ctx, write, r.name, text)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("class %s: %w", r.name, errOvertaken)
		}
		r.stored = true
	}
	if r.own.Len() == 0 {
		_, err := q.Exec(ctx, `DELETE FROM "_pargo" WHERE "key" = $1`, ownPrefix+r.name)
		return err
	}
	text, err := jsonOf("schema", r.own)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `INSERT INTO "_pargo" ("key", "value") VALUES ($1, $2) ON CONFLICT ("key") DO UPDATE SET "value" = excluded."value"`,
		ownPrefix+r.name, text)
	return err
}

// LoadSchema implements [storage.Store].
func (s *session) LoadSchema(ctx context.Context) (classes []*schema.Class, err error) {
	err = s.read(ctx, "load", "the schema", func(ctx context.Context, q querier) error {
		classes, err = s.db.loadSchema(ctx, q)
		return err
	})
	return classes, err
}

func (d *DB) loadSchema(ctx context.Context, q querier) ([]*schema.Class, error) {
	list, err := records(ctx, q, "")
	if err != nil {
		return nil, err
	}
	real, err := realIndexes(ctx, q, "")
	if err != nil {
		return nil, err
	}
	// Of a volatile class, a table is all that there is.
	if _, err := each(ctx, q, `SELECT relname::text FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p') AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())`,
		nil, func(raw [][]byte, _ []int16) (bool, error) {
			if name := string(raw[0]); schema.IsVolatile(name) && list[name] == nil {
				list[name] = &record{name: name}
			}
			return true, nil
		}); err != nil {
		return nil, err
	}
	var classes []*schema.Class
	for _, name := range slices.Sorted(maps.Keys(list)) {
		r := list[name]
		if r.doc == nil && !schema.IsVolatile(name) {
			continue // a class that Parse Server has dropped
		}
		c, err := r.class(real[shorten(name)])
		if err != nil {
			return nil, fmt.Errorf("stored class %s: %w", name, err)
		}
		if c.Name == schema.UserClass && !d.authIndexed.Load() {
			if _, inTx := q.(interface{ Commit(context.Context) error }); !inTx {
				d.ensureAuthIndexes(ctx, q)
			}
		}
		classes = append(classes, c)
	}
	return classes, nil
}

// class reads a record; real are the indexes that its table has.
func (r *record) class(real []realIndex) (*schema.Class, error) {
	c := &schema.Class{Name: r.name, Fields: map[string]*schema.Field{}}
	for name, v := range child(r.doc, keyFields).All() {
		if strings.HasPrefix(name, "_") || sqlgen.IsSystemField(name) {
			continue
		}
		f, err := readField(name, asMap(v))
		if err != nil {
			return nil, err
		}
		c.Fields[name] = f
	}
	for name, t := range map[string]schema.Type{
		parse.KeyObjectID: schema.String, parse.KeyCreatedAt: schema.Date, parse.KeyUpdatedAt: schema.Date, parse.KeyACL: schema.ACL,
	} {
		c.Fields[name] = &schema.Field{Name: name, Type: t}
	}
	if c.Name == schema.UserClass {
		c.Fields[password] = &schema.Field{Name: password, Type: schema.String}
		options(c.Fields[password], child(child(r.own, keyFields), password))
	}
	for name, v := range child(r.own, keyFields).All() {
		f, o := c.Fields[name], asMap(v)
		if f == nil || o == nil {
			continue
		}
		f.Comment = o.String("comment")
		if text := o.String("validate"); text != "" {
			f.ValidateJSON = []byte(text)
		}
	}
	if clp := child(r.doc, keyCLP); clp != nil {
		if aggregate := child(r.own, schema.AggregateKey); aggregate != nil {
			clp = clp.Clone()
			clp.Set(schema.AggregateKey, aggregate)
		}
		p, err := schema.CLPFromMap(clp, nil)
		if err != nil {
			return nil, err
		}
		c.CLP = p
	}
	c.OwnerField = r.own.String("ownerField")
	c.OwnerRoles = r.own.Strings("ownerRoles")
	c.OwnerWriteRoles = r.own.Strings("ownerWriteRoles")
	c.Comment = r.own.String("comment")
	if schema.IsVolatile(c.Name) {
		c = schema.Complete(c)
		c.Indexes = nil
	}
	c.Indexes = r.indexes(c, real)
	return c, nil
}

// readField reads the definition of a field.
func readField(name string, m *parse.Map) (*schema.Field, error) {
	f := &schema.Field{Name: name, TargetClass: m.String("targetClass")}
	for t := schema.String; t <= schema.Relation; t++ {
		if t.String() == m.String("type") {
			f.Type = t
		}
	}
	if f.Type == 0 {
		return nil, fmt.Errorf("field %s has the unknown type %q", name, m.String("type"))
	}
	options(f, m)
	return f, nil
}

// options reads what a definition says beyond the type.
func options(f *schema.Field, m *parse.Map) {
	for k, v := range m.All() {
		switch k {
		case "type", "targetClass", "comment", "validate":
		case "required":
			f.Required = parse.Truthy(v)
		case "defaultValue":
			f.Default = v
		default:
			if f.Extra == nil {
				f.Extra = &parse.Map{}
			}
			f.Extra.Set(k, v)
		}
	}
}

// writeOptions is the inverse of options.
func writeOptions(m *parse.Map, f *schema.Field) {
	if f.Required {
		m.Set("required", true)
	}
	if f.Default != nil {
		m.Set("defaultValue", f.Default)
	}
	for k, v := range f.Extra.All() {
		m.Set(k, v)
	}
}

// setField enters a field into the record, in place of what is there of it.
func (r *record) setField(f *schema.Field) {
	own := &parse.Map{}
	if f.Comment != "" {
		own.Set("comment", f.Comment)
	}
	if len(f.ValidateJSON) > 0 {
		own.Set("validate", string(f.ValidateJSON))
	}
	if r.name == schema.UserClass && f.Name == password {
		writeOptions(own, f)
	} else {
		m := parse.NewMap(parse.MapField{Key: "type", Value: f.Type.String()})
		if f.TargetClass != "" {
			m.Set("targetClass", f.TargetClass)
		}
		writeOptions(m, f)
		edit(r.doc, keyFields).Set(f.Name, m)
	}
	fields := edit(r.own, keyFields)
	if own.Len() > 0 {
		fields.Set(f.Name, own)
	} else {
		fields.Delete(f.Name)
	}
	r.tidy()
}

// tidy removes what has become empty.
func (r *record) tidy() {
	for _, key := range [...]string{keyFields, keyIndexes} {
		v, _ := r.own.Get(key)
		switch v := v.(type) {
		case *parse.Map:
			if v.Len() == 0 {
				r.own.Delete(key)
			}
		case parse.Array:
			if len(v) == 0 {
				r.own.Delete(key)
			}
		}
	}
}

// newRecord begins the record of a class, with the fields of every class.
func newRecord(name string) *record {
	typed := func(t string) *parse.Map { return parse.NewMap(parse.MapField{Key: "type", Value: t}) }
	texts := func() *parse.Map {
		m := typed("Array")
		m.Set("contents", typed("String"))
		return m
	}
	fields := parse.NewMap(
		parse.MapField{Key: parse.KeyObjectID, Value: typed("String")},
		parse.MapField{Key: parse.KeyCreatedAt, Value: typed("Date")},
		parse.MapField{Key: parse.KeyUpdatedAt, Value: typed("Date")},
		parse.MapField{Key: "_rperm", Value: texts()},
		parse.MapField{Key: "_wperm", Value: texts()},
	)
	if name == schema.UserClass {
		fields.Set("_hashed_password", typed("String"))
	}
	return &record{name: name, own: &parse.Map{}, doc: parse.NewMap(
		parse.MapField{Key: keyClassName, Value: name}, parse.MapField{Key: keyFields, Value: fields},
	)}
}

// setCLP enters permissions; nil removes them. The permission to aggregate is
// pargo's own, and Parse Server would refuse it.
func (r *record) setCLP(p *schema.CLP) {
	r.own.Delete(schema.AggregateKey)
	if p == nil {
		r.doc.Delete(keyCLP)
		return
	}
	clp := p.Map()
	if aggregate := child(clp, schema.AggregateKey); aggregate != nil {
		clp.Delete(schema.AggregateKey)
		r.own.Set(schema.AggregateKey, aggregate)
	}
	r.doc.Set(keyCLP, clp)
}

// setMeta enters what pargo alone keeps of a class.
func (r *record) setMeta(c *schema.Class) {
	text := func(key, s string) {
		if r.own.Delete(key); s != "" {
			r.own.Set(key, s)
		}
	}
	list := func(key string, names []string) {
		r.own.Delete(key)
		if len(names) == 0 {
			return
		}
		a := make(parse.Array, len(names))
		for i, s := range names {
			a[i] = s
		}
		r.own.Set(key, a)
	}
	text("ownerField", c.OwnerField)
	list("ownerRoles", c.OwnerRoles)
	list("ownerWriteRoles", c.OwnerWriteRoles)
	text("comment", c.Comment)
}
