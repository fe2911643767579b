package postgres

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Columns that nearly every table has.
const (
	colID      = `"objectId"`
	colCreated = `"createdAt"`
	colUpdated = `"updatedAt"`
	colRead    = `"_rperm"`
	colWrite   = `"_wperm"`
)

// Names of tables.
const (
	schemaTable = `"_SCHEMA"`
	hooksClass  = "_Hooks"
)

// password is a field of users on the wire alone: stored is its hash, in
// another column.
const password = "password"

// longestName is how many bytes of a name PostgreSQL heeds.
const longestName = 63

// shorten cuts a name as PostgreSQL does.
func shorten(name string) string {
	if len(name) <= longestName {
		return name
	}
	name = name[:longestName]
	for len(name) > 0 && name[len(name)-1]&0xC0 == 0x80 {
		name = name[:len(name)-1]
	}
	if n := len(name); n > 0 && name[n-1] >= 0xC0 {
		name = name[:n-1]
	}
	return name
}

// quote makes an identifier of a name.
func quote(name string) string { return sqlgen.Quote(name) }

// unquote is the inverse of quote.
func unquote(sql string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(sql, `"`), `"`), `""`, `"`)
}

// internalColumns are those of users that no schema lists.
var internalColumns = []struct {
	name string
	typ  schema.Type
}{
	{"_hashed_password", schema.String},
	{"_email_verify_token", schema.String},
	{"_email_verify_token_expires_at", schema.Date},
	{"_account_lockout_expires_at", schema.Date},
	{"_failed_login_count", schema.Number},
	{"_perishable_token", schema.String},
	{"_perishable_token_expires_at", schema.Date},
	{"_password_changed_at", schema.Date},
	{"_password_history", schema.Array},
}

// column is a field of a class and the column that holds it.
type column struct {
	field  string
	sql    string // quoted
	typ    schema.Type
	target string // class of a Pointer
}

// inOrder returns what to compare and sort by for the order of bytes, and an
// operator of each. The ids of a table have an index of that order.
func (c *column) inOrder(lt, pattern string) string {
	switch {
	case c.sql == colID:
		return byBytes + lt
	case c.typ == schema.String, c.typ == schema.Pointer, c.typ == schema.File:
		return c.sql + pattern
	default:
		return c.sql + lt
	}
}

// sorted is a key of an order.
func (c *column) sorted(desc bool) string {
	return c.inOrder(pick(desc, " DESC", ""), pick(desc, " USING ~>~", " USING ~<~"))
}

// columnType returns the SQL type of a field; "" for one without a column.
func columnType(t schema.Type) string {
	switch t {
	case schema.String, schema.Pointer, schema.File:
		return "text"
	case schema.Number:
		return "double precision"
	case schema.Boolean:
		return "boolean"
	case schema.Date:
		return "timestamp with time zone"
	case schema.Object, schema.Array, schema.Bytes:
		return "jsonb"
	case schema.GeoPoint:
		return "point"
	case schema.Polygon:
		return "polygon"
	case schema.Relation, schema.ACL:
	}
	return ""
}

// table is what the adapter needs of one class, computed once per definition.
type table struct {
	class   *schema.Class
	sql     string // quoted
	columns []column
	byField map[string]*column
	// bare tables have neither dates nor permissions; nor has one of hooks an id.
	bare bool
	id   string // the expression of the id
	// ownID: there is a column of ids.
	ownID bool
	// selects are all columns, as a list; old, those of the relation old.
	selects, old string
	all          []*column
	// one inserts a row, whose columns are the arguments; many inserts rows,
	// whose columns are arrays.
	one, many string
	// into are the names of those columns, not quoted.
	into []string
	// walk is when to look after its index in the order of ids, in Unix nanoseconds.
	walk atomic.Int64
	// uniques finds an index by the name of the violated constraint.
	uniques map[string]*schema.Index
}

// hasColumn reports whether a field of a class has a column of its own, besides
// those of every class.
func hasColumn(class string, f *schema.Field) bool {
	return !sqlgen.IsSystemField(f.Name) && columnType(f.Type) != "" && (class != schema.UserClass || f.Name != password)
}

// newTable describes the table of a class; there, if not nil, are the columns
// that the table really has: a field without one has no values.
func newTable(c *schema.Class, there map[string]bool) *table {
	t := &table{
		class: c, sql: quote(c.Name), byField: map[string]*column{}, id: colID,
		bare: c.Name == hooksClass || schema.IsSingleton(c.Name) || schema.IsJoin(c.Name),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		if f := c.Fields[name]; hasColumn(c.Name, f) {
			t.columns = append(t.columns, column{field: name, sql: quote(name), typ: f.Type, target: f.TargetClass})
		}
	}
	if c.Name == schema.UserClass {
		for _, f := range internalColumns {
			t.columns = append(t.columns, column{field: f.name, sql: quote(f.name), typ: f.typ})
		}
	}
	if there != nil {
		t.columns = slices.DeleteFunc(t.columns, func(c column) bool { return !there[shorten(c.field)] })
	}
	for i := range t.columns {
		t.byField[t.columns[i].field] = &t.columns[i]
	}
	var insert []string
	switch {
	case c.Name == hooksClass:
		// Parse Server gives hooks no id: it follows from what makes a hook.
		t.id = `md5(concat_ws('/', "functionName", "className", "triggerName"))`
		if there == nil || there[parse.KeyObjectID] {
			insert = append(insert, colID)
			t.id, t.ownID = "coalesce("+colID+", "+t.id+")", true
		}
	case schema.IsJoin(c.Name):
		t.id = `md5(concat_ws('/', "owningId", "relatedId"))`
	default:
		insert, t.ownID = append(insert, colID), true
	}
	t.byField[parse.KeyObjectID] = &column{field: parse.KeyObjectID, sql: t.id, typ: schema.String}
	list := []string{t.id}
	if !t.bare {
		t.byField[parse.KeyCreatedAt] = &column{field: parse.KeyCreatedAt, sql: colCreated, typ: schema.Date}
		t.byField[parse.KeyUpdatedAt] = &column{field: parse.KeyUpdatedAt, sql: colUpdated, typ: schema.Date}
		list = append(list, colCreated, colUpdated, colRead, colWrite)
		insert = append(insert, colCreated, colUpdated, colRead, colWrite)
	}
	for i := range t.columns {
		list, insert = append(list, t.columns[i].sql), append(insert, t.columns[i].sql)
	}
	t.selects = strings.Join(list, ", ")
	t.old = "old." + strings.ReplaceAll(t.selects, `, "`, `, old."`)
	t.all = make([]*column, len(t.columns))
	for i := range t.columns {
		t.all[i] = &t.columns[i]
	}
	t.one, t.many = t.inserts(insert)
	for _, name := range insert {
		t.into = append(t.into, unquote(name))
	}
	t.uniques = map[string]*schema.Index{}
	for i := range c.Indexes {
		if ix := &c.Indexes[i]; ix.Unique {
			for _, name := range indexNames(c.Name, ix) {
				if t.uniques[name] == nil {
					t.uniques[name] = ix
				}
			}
		}
	}
	return t
}

// selected returns the columns to read for a list of fields, and their SQL.
func (t *table) selected(keys []string) (columns []*column, sql string) {
	if keys == nil {
		return t.all, t.selects
	}
	var b strings.Builder
	b.WriteString(t.id)
	if !t.bare {
		b.WriteString(", " + colCreated + ", " + colUpdated + ", " + colRead + ", " + colWrite)
	}
	for i := range t.columns {
		if slices.Contains(keys, t.columns[i].field) {
			columns = append(columns, &t.columns[i])
			b.WriteString(", " + t.columns[i].sql)
		}
	}
	return columns, b.String()
}

// duplicate makes the contract's error of a violated constraint.
func (t *table) duplicate(constraint string) error {
	d := &storage.DuplicateError{Class: t.class.Name, Index: parse.KeyObjectID, Fields: []string{parse.KeyObjectID}}
	ix := t.uniques[constraint]
	if ix == nil {
		ix = t.authIndexOf(constraint)
	}
	switch {
	case ix != nil:
		d.Index, d.Fields = ix.Name, nil
		for _, k := range ix.Keys {
			d.Fields = append(d.Fields, k.Field)
		}
	case !strings.HasSuffix(constraint, "_pkey"):
		// An index that somebody made beside the schema.
		d.Index, d.Fields = constraint, nil
		if fields, ok := strings.CutPrefix(constraint, t.class.Name+"_unique_"); ok {
			d.Fields = strings.Split(fields, "_")
		}
	}
	return d
}
