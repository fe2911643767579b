package sqlite

import (
	"database/sql/driver"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"

	"modernc.org/sqlite"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Columns of every table. No field can have such a name: fieldColumn puts a
// caret before a leading underscore.
const (
	colID      = `"_id"`
	colCreated = `"_created"`
	colUpdated = `"_updated"`
	colRead    = `"_read"`
	colWrite   = `"_write"`
	colDoc     = `"_doc"`
)

// column is a typed column that mirrors a scalar field of _doc.
type column struct {
	field  string
	sql    string // quoted
	typ    schema.Type
	target string // class of a Pointer
	words  bool   // it has the stems of a text, see text.go
}

// table is what the adapter needs of one class, computed once per definition.
type table struct {
	class   *schema.Class
	sql     string // quoted
	columns []column
	byField map[string]*column
	// folded are the string fields that have a second column: case-folded for a
	// case-insensitive index, or with the stems for a text index.
	folded []column
	insert string
	// selects reads documents; locates also where they lie.
	selects, locates string
	// uniques finds an index by what the database says of a violation.
	uniques map[string]*schema.Index
}

// encodeName makes a name of the protocol, which tells upper from lower case,
// one of SQL, which does not: a caret comes before each upper-case letter,
// before a leading underscore and before the names that SQLite has for itself.
func encodeName(name string) string {
	var b strings.Builder
	if name == "rowid" || name == "oid" || strings.HasPrefix(name, "sqlite_") {
		b.WriteByte('^')
	}
	for i := range len(name) {
		ch := name[i]
		if ch >= 'A' && ch <= 'Z' || i == 0 && ch == '_' {
			b.WriteByte('^')
		}
		b.WriteByte(ch)
	}
	return b.String()
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// tableName is unquoted. The suffix keeps clear of names that SQLite reserves.
func tableName(class string) string { return encodeName(class) + "." }

func indexName(class, index string) string { return tableName(class) + encodeName(index) }

func fieldColumn(field string) string { return quote(encodeName(field)) }

func foldedColumn(field string) string { return quote("~" + encodeName(field)) }

// hasColumn reports whether values of the type have a column of their own.
func hasColumn(t schema.Type) bool {
	switch t {
	case schema.String, schema.Number, schema.Boolean, schema.Date, schema.Pointer:
		return true
	default:
		return false
	}
}

// columnType returns the SQL type. Numbers have none: SQLite then keeps
// integers beyond 2^53 exactly and compares them exactly with floats.
func columnType(t schema.Type) string {
	switch t {
	case schema.Number:
		return "ANY"
	case schema.Boolean, schema.Date:
		return "INTEGER"
	default:
		return "TEXT"
	}
}

func newTable(c *schema.Class) *table {
	t := &table{class: c, sql: quote(tableName(c.Name)), byField: map[string]*column{}, uniques: map[string]*schema.Index{}}
	if schema.IsJoin(c.Name) {
		t.sql = joinTable(c.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		f := c.Fields[name]
		if sqlgen.IsSystemField(name) || !hasColumn(f.Type) {
			continue
		}
		t.columns = append(t.columns, column{field: name, sql: fieldColumn(name), typ: f.Type, target: f.TargetClass})
	}
	for i := range t.columns {
		t.byField[t.columns[i].field] = &t.columns[i]
	}
	t.byField[parse.KeyObjectID] = &column{field: parse.KeyObjectID, sql: colID, typ: schema.String}
	t.byField[parse.KeyCreatedAt] = &column{field: parse.KeyCreatedAt, sql: colCreated, typ: schema.Date}
	t.byField[parse.KeyUpdatedAt] = &column{field: parse.KeyUpdatedAt, sql: colUpdated, typ: schema.Date}
	for i := range c.Indexes {
		t.addIndex(&c.Indexes[i])
	}
	// One column is read where one is enough: what a column costs is mostly
	// fixed, and the document has everything.
	t.selects = "SELECT " + colDoc + " FROM " + t.sql
	t.locates = "SELECT " + colDoc + ", rowid FROM " + t.sql
	cols := []string{colID, colCreated, colUpdated, colRead, colWrite, colDoc}
	for _, col := range slices.Concat(t.columns, t.folded) {
		cols = append(cols, col.sql)
	}
	t.insert = "INSERT INTO " + t.sql + " (" + strings.Join(cols, ", ") + ") VALUES (?" + strings.Repeat(",?", len(cols)-1) + ")"
	return t
}

func (t *table) addIndex(ix *schema.Index) {
	t.addWords(ix)
	if ix.CaseInsensitive {
		for _, k := range ix.Keys {
			col := t.byField[k.Field]
			if col == nil || col.typ != schema.String || sqlgen.IsSystemField(k.Field) ||
				slices.ContainsFunc(t.folded, func(f column) bool { return f.field == k.Field && !f.words }) {
				continue
			}
			t.folded = append(t.folded, column{field: k.Field, sql: foldedColumn(k.Field), typ: schema.String})
		}
	}
	if !ix.Unique {
		return
	}
	// The database names either the columns or, for expressions, the index.
	var cols []string
	for _, k := range ix.Keys {
		if sql, ok := t.indexKey(ix, k); ok {
			cols = append(cols, tableName(t.class.Name)+"."+strings.Trim(sql, `"`))
		}
	}
	list := strings.Join(cols, ", ")
	if t.uniques[list] == nil {
		t.uniques[list] = ix
	}
	t.uniques["index '"+indexName(t.class.Name, ix.Name)+"'"] = ix
	t.uniques["index '"+indexName(t.class.Name, ix.Name)+nullSuffix+"'"] = ix
}

// nullSuffix ends the name of the second index of a unique one that is not sparse.
const nullSuffix = "/null"

// indexKey returns the SQL of one key of an index; ok is false for what
// SQLite cannot index: arrays, objects as a whole, text, positions.
func (t *table) indexKey(ix *schema.Index, k schema.IndexKey) (sql string, ok bool) {
	if k.Kind != "" && k.Kind != "hashed" { // equality is all that a hash is for
		return "", false
	}
	if col := t.byField[k.Field]; col != nil {
		if ix.CaseInsensitive && col.typ == schema.String && !sqlgen.IsSystemField(k.Field) {
			return foldedColumn(k.Field), true
		}
		return col.sql, true
	}
	root, _, dotted := strings.Cut(k.Field, ".")
	f := t.class.Fields[root]
	internal := f == nil && strings.HasPrefix(root, "_")
	if !internal && (!dotted || f == nil || f.Type != schema.Object) {
		return "", false
	}
	path, ok := jsonPath(k.Field)
	if !ok {
		return "", false
	}
	return "json_extract(" + colDoc + ", " + path + ")", true
}

// jsonPath returns a literal of SQL with the JSON path of a dotted field; ok
// is false for names that would need escapes.
func jsonPath(field string) (string, bool) {
	var b strings.Builder
	b.WriteString("'$")
	for part := range strings.SplitSeq(field, ".") {
		if part == "" {
			return "", false
		}
		for i := range len(part) {
			ch := part[i]
			if ch != '_' && ch != '-' && (ch < '0' || ch > '9') && (ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z') {
				return "", false
			}
		}
		b.WriteString(`."`)
		b.WriteString(part)
		b.WriteByte('"')
	}
	b.WriteByte('\'')
	return b.String(), true
}

// duplicate turns the database's complaint into the contract's error.
func (t *table) duplicate(err error) error {
	var se *sqlite.Error
	if !isUnique(err) || !errors.As(err, &se) {
		return err
	}
	_, what, _ := strings.Cut(se.Error(), "UNIQUE constraint failed: ")
	if at := strings.LastIndex(what, " ("); at >= 0 {
		what = what[:at]
	}
	d := &storage.DuplicateError{Class: t.class.Name, Index: parse.KeyObjectID, Fields: []string{parse.KeyObjectID}}
	ix := t.uniques[what]
	if ix == nil {
		ix = t.authIndexOf(what)
	}
	if ix != nil {
		d.Index, d.Fields = ix.Name, nil
		for _, k := range ix.Keys {
			d.Fields = append(d.Fields, k.Field)
		}
	}
	return d
}

// sqlValue returns a value as its column keeps it; ok is false if the value is
// of another type, which no stored value of the field equals.
func (c *column) sqlValue(v parse.Value) (out driver.Value, ok bool) {
	switch v := v.(type) {
	case string:
		return v, c.typ == schema.String
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), c.typ == schema.Number
		}
		return v, c.typ == schema.Number && !math.IsNaN(v) && !math.IsInf(v, 0)
	case parse.Int:
		return int64(v), c.typ == schema.Number
	case bool:
		if v {
			return int64(1), c.typ == schema.Boolean
		}
		return int64(0), c.typ == schema.Boolean
	case parse.Date:
		return int64(v), c.typ == schema.Date
	case parse.Pointer:
		return v.ObjectID, c.typ == schema.Pointer && v.ClassName == c.target
	case *parse.Object:
		return v.ID, c.typ == schema.Pointer && v.ClassName == c.target
	}
	return nil, false
}

// of returns what the column holds for an object; NULL for a missing value.
func (c *column) of(o *parse.Object) driver.Value {
	v, _ := o.Fields.Get(c.field)
	if v == nil {
		return nil
	}
	out, ok := c.sqlValue(v)
	if !ok {
		return nil
	}
	return out
}

// fold maps every letter to the least of those that differ from it in case alone.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII {
			if r >= 'a' && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, s)
}

// escapeSubject keeps the delimiter out of a subject of an ACL.
var escapeSubject = strings.NewReplacer("%", "%25", "|", "%7C")

// subjects returns who has a right, as the columns _read and _write keep it:
// "|*|role:x|", so that one instr finds a subject. NULL: no ACL.
func subjects(acl *parse.ACL, write bool) driver.Value {
	if acl == nil {
		return nil
	}
	var b strings.Builder
	b.WriteByte('|')
	for _, s := range acl.Subjects(write) {
		b.WriteString(escapeSubject.Replace(s))
		b.WriteByte('|')
	}
	return b.String()
}
