package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// system reports whether an index belongs to a class by its nature.
func system(class, name string) bool {
	def := schema.SystemClass(class)
	return def != nil && slices.ContainsFunc(def.Indexes, func(ix schema.Index) bool { return ix.Name == name })
}

// indexNames returns the names that an index may have in the database, the
// preferred one first: Parse Server reads the field of a unique one from its
// name. Names are shared by all tables of a database, so that the preferred
// one may be another table's.
func indexNames(class string, ix *schema.Index) []string {
	own := shorten(class + "_" + ix.Name)
	plain := !ix.CaseInsensitive
	fields := make([]string, len(ix.Keys))
	for i, k := range ix.Keys {
		fields[i] = k.Field
		plain = plain && !strings.Contains(k.Field, ".")
	}
	switch {
	case ix.Unique && plain:
		slices.Sort(fields)
		return []string{shorten(class + "_unique_" + strings.Join(fields, "_")), own}
	case class == schema.UserClass:
		return []string{shorten(ix.Name), own}
	case system(class, ix.Name):
		return []string{own}
	}
	return []string{shorten(ix.Name), own}
}

// indexKey returns the SQL of one key of an index; ok is false for what is
// recorded with the class and not made: text, and arrays as a whole.
func (t *table) indexKey(ix *schema.Index, k schema.IndexKey) (sql string, ok bool) {
	if k.Kind != "" && k.Kind != "hashed" { // equality is all that a hash is for
		return "", false
	}
	c := t.byField[k.Field]
	if c == nil {
		if id := t.providerID(query.Path(k.Field)); id != "" {
			return "(" + id + ")", true
		}
		root, rest, dotted := strings.Cut(k.Field, ".")
		c = t.byField[root]
		path, plain := literalPath(rest)
		if c == nil || !dotted || c.typ != schema.Object || !plain {
			return "", false
		}
		return "(" + c.sql + " #> " + path + ")", true
	}
	order := ""
	if !sqlgen.IsSystemField(k.Field) {
		order = pick(k.Desc, " DESC NULLS LAST", " NULLS FIRST")
	} else if k.Desc {
		order = " DESC"
	}
	switch c.typ {
	case schema.String, schema.Pointer, schema.File:
		switch {
		case ix.CaseInsensitive && !sqlgen.IsSystemField(k.Field):
			return "lower(" + c.sql + ") varchar_pattern_ops", true
		case t.class.Name == schema.UserClass && ix.CaseInsensitive:
			return "", false
		case c.typ == schema.Pointer:
			return c.sql, true
		}
		// Serves equality, and order by bytes.
		return c.inOrder("", " text_pattern_ops") + order, true
	case schema.Number, schema.Boolean, schema.Date:
		return c.sql + order, true
	default:
		return "", false
	}
}

// keys returns the SQL of all keys of an index; none if it is not made.
func (t *table) keys(ix *schema.Index) (list []string) {
	for _, k := range ix.Keys {
		sql, ok := t.indexKey(ix, k)
		if !ok {
			return nil
		}
		list = append(list, sql)
	}
	return list
}

// hinted refuses advice to use an index that the class lacks. PostgreSQL finds
// by itself which one is best, and takes no such advice.
func (t *table) hinted(a *query.Advice) error {
	if !a.Hinted() {
		return nil
	}
	_, err := sqlgen.Hinted(t.class, a, func(ix *schema.Index) bool { return len(t.keys(ix)) > 0 })
	return err
}

// nullsDistinct is the first version of the server whose unique indexes can
// take two missing values for equal.
const nullsDistinct = 150_000

// definition returns the statement that makes an index under a name.
func (d *DB) definition(t *table, ix *schema.Index, name string, keys []string) string {
	unique := storage.KeepsUnique(t.class.Name, ix)
	sql := "CREATE " + pick(unique, "UNIQUE ", "") + "INDEX " + quote(name) + " ON " + t.sql + " (" + strings.Join(keys, ", ") + ")"
	if !unique || ix.Sparse && len(keys) == 1 || d.version < nullsDistinct {
		return sql
	}
	sql += " NULLS NOT DISTINCT"
	if ix.Sparse {
		var present []string
		for _, k := range ix.Keys {
			if c := t.byField[k.Field]; c != nil {
				present = append(present, c.sql+" IS NOT NULL")
			}
		}
		if len(present) > 0 {
			sql += " WHERE " + strings.Join(present, " OR ")
		}
	}
	return sql
}

// addIndex makes an index and records it. One with a key that cannot be
// indexed is recorded and not made.
func (d *DB) addIndex(ctx context.Context, q querier, r *record, ix *schema.Index) error {
	c, err := r.class(nil)
	if err != nil {
		return err
	}
	if r.recorded(ix.Name) {
		if err := dropIndex(ctx, q, r, ix.Name); err != nil {
			return err
		}
	}
	if err := d.makeIndex(ctx, q, newTable(c, nil), ix); err != nil {
		return err
	}
	r.recordIndex(ix)
	return nil
}

// completeIndexes makes those indexes that have been waiting for a field.
func (d *DB) completeIndexes(ctx context.Context, q querier, r *record, field string) error {
	c, err := r.class(nil)
	if err != nil {
		return err
	}
	for _, ix := range r.listed(c) {
		if ix.On(field) {
			if err := d.makeIndex(ctx, q, newTable(c, nil), &ix); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *DB) makeIndex(ctx context.Context, q querier, t *table, ix *schema.Index) error {
	keys := t.keys(ix)
	if len(keys) == 0 {
		return nil
	}
	name := ""
	for _, candidate := range indexNames(t.class.Name, ix) {
		of, err := tableOfIndex(ctx, q, candidate)
		if err != nil {
			return err
		}
		if of == shorten(t.class.Name) {
			return nil // it is there
		}
		if of == "" && name == "" {
			name = candidate
		}
	}
	if name == "" {
		return parse.Errorf(parse.InvalidQuery, "Index %s cannot be made: there is another one of its name.", ix.Name)
	}
	err := execAll(ctx, q, d.definition(t, ix, name, keys))
	if codeOf(err) == codeUniqueViolation {
		dup := &storage.DuplicateError{Class: t.class.Name, Index: ix.Name}
		for _, k := range ix.Keys {
			dup.Fields = append(dup.Fields, k.Field)
		}
		return dup
	}
	return err
}

// tableOfIndex returns the table that an index or another thing of that name belongs to; "" if there is none.
func tableOfIndex(ctx context.Context, q querier, name string) (of string, err error) {
	_, err = each(ctx, q, `SELECT coalesce((SELECT relname::text FROM pg_catalog.pg_class WHERE oid = i.indrelid), '?')
		FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
		WHERE c.relname = $1 AND c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())`, []any{name}, func(raw [][]byte, _ []int16) (bool, error) {
		of = string(raw[0])
		return true, nil
	})
	return of, err
}

// dropIndex removes an index from the database and from the record.
func dropIndex(ctx context.Context, q querier, r *record, name string) error {
	c, err := r.class(nil)
	if err != nil {
		return err
	}
	ix := schema.Index{Name: name}
	for _, have := range r.listed(c) {
		if have.Name == name {
			ix = have
		}
	}
	for _, candidate := range append(indexNames(r.name, &ix), shorten(name)) {
		of, err := tableOfIndex(ctx, q, candidate)
		if err != nil {
			return err
		}
		if of == shorten(r.name) {
			if err := execAll(ctx, q, "DROP INDEX "+quote(candidate)); err != nil {
				return err
			}
			break
		}
	}
	if m := child(r.doc, keyIndexes); m != nil {
		m.Delete(name)
	}
	list := r.ownIndexes()
	list = slices.DeleteFunc(list, func(v parse.Value) bool { return asMap(v).String("name") == name })
	r.own.Set(keyIndexes, list)
	r.tidy()
	return nil
}

// ownIndexes is the list of indexes as pargo keeps it, in order.
func (r *record) ownIndexes() parse.Array {
	v, _ := r.own.Get(keyIndexes)
	list, _ := v.(parse.Array)
	return slices.Clone(list)
}

// recorded reports whether pargo has made or recorded the index.
func (r *record) recorded(name string) bool {
	return slices.ContainsFunc(r.ownIndexes(), func(v parse.Value) bool { return asMap(v).String("name") == name })
}

// recordIndex enters an index: for Parse Server by its keys, unless it is one
// that Parse Server makes without saying so, and for pargo in full.
func (r *record) recordIndex(ix *schema.Index) {
	keys, spec := make(parse.Array, 0, len(ix.Keys)), &parse.Map{}
	for _, k := range ix.Keys {
		m := parse.NewMap(parse.MapField{Key: "field", Value: k.Field})
		var kind parse.Value = 1.0
		switch {
		case k.Kind != "":
			kind = k.Kind
			m.Set("kind", k.Kind)
		case k.Desc:
			kind = -1.0
			m.Set("desc", true)
		}
		keys = append(keys, m)
		spec.Set(k.Field, kind)
	}
	m := parse.NewMap(parse.MapField{Key: "name", Value: ix.Name}, parse.MapField{Key: "keys", Value: keys})
	for name, on := range map[string]bool{"unique": ix.Unique, "sparse": ix.Sparse, "caseInsensitive": ix.CaseInsensitive} {
		if on {
			m.Set(name, true)
		}
	}
	r.own.Set(keyIndexes, append(r.ownIndexes(), m))
	if r.doc != nil && !system(r.name, ix.Name) {
		indexes := edit(r.doc, keyIndexes)
		if !indexes.Has(schema.IDIndex) {
			indexes.Set(schema.IDIndex, parse.NewMap(parse.MapField{Key: "_id", Value: 1.0}))
		}
		indexes.Set(ix.Name, spec)
	}
}

func readIndex(m *parse.Map) schema.Index {
	ix := schema.Index{Name: m.String("name"), Unique: flag(m, "unique"), Sparse: flag(m, "sparse"), CaseInsensitive: flag(m, "caseInsensitive")}
	v, _ := m.Get("keys")
	list, _ := v.(parse.Array)
	for _, v := range list {
		k := asMap(v)
		ix.Keys = append(ix.Keys, schema.IndexKey{Field: k.String("field"), Desc: flag(k, "desc"), Kind: k.String("kind")})
	}
	return ix
}

// listed are the indexes that the record speaks of.
func (r *record) listed(c *schema.Class) (out []schema.Index) {
	theirs := child(r.doc, keyIndexes)
	for _, v := range r.ownIndexes() {
		ix := readIndex(asMap(v))
		if system(r.name, ix.Name) || r.doc == nil || theirs.Has(ix.Name) { // else Parse Server has dropped it
			out = append(out, ix)
		}
	}
	for name, v := range theirs.All() {
		if name == schema.IDIndex || slices.ContainsFunc(out, func(ix schema.Index) bool { return ix.Name == name }) {
			continue
		}
		ix := schema.Index{Name: name}
		for key, kind := range asMap(v).All() {
			k := schema.IndexKey{Field: strings.TrimPrefix(key, "_p_")}
			switch kind := kind.(type) {
			case string:
				k.Kind = kind
			case float64:
				k.Desc = kind < 0
			}
			ix.Keys = append(ix.Keys, k)
		}
		out = append(out, ix)
	}
	if def := schema.SystemClass(c.Name); def != nil {
		for _, ix := range def.Indexes {
			if !slices.ContainsFunc(out, func(o schema.Index) bool { return o.Name == ix.Name }) {
				out = append(out, ix)
			}
		}
	}
	return out
}

// indexes are those of the class: what is listed and there, and what somebody
// has made besides.
func (r *record) indexes(c *schema.Class, real []realIndex) (out []schema.Index) {
	t := newTable(c, nil)
	known := map[string]bool{}
	for _, ix := range r.listed(c) {
		at := -1
		for _, name := range indexNames(c.Name, &ix) {
			known[name] = true
			if at < 0 {
				at = slices.IndexFunc(real, func(x realIndex) bool { return x.name == name })
			}
		}
		switch {
		case len(t.keys(&ix)) == 0:
			if r.recorded(ix.Name) || child(r.doc, keyIndexes).Has(ix.Name) {
				out = append(out, ix) // recorded and not made
			}
		case at >= 0:
			if !r.recorded(ix.Name) && !system(c.Name, ix.Name) {
				ix.Unique = real[at].unique
				ix.Sparse = real[at].unique
			}
			out = append(out, ix)
		}
	}
	for i := range real {
		x := &real[i]
		if known[x.name] || x.primary || x.partial || len(x.columns) == 0 || t.authIndexOf(x.name) != nil || x.name == walkIndex(c.Name) {
			continue
		}
		ix := schema.Index{Name: x.name, Unique: x.unique, Sparse: x.unique}
		for k, column := range x.columns {
			ix.Keys = append(ix.Keys, schema.IndexKey{Field: column, Desc: x.desc[k]})
		}
		out = append(out, ix)
	}
	return out
}

// realIndex is an index as the database has it.
type realIndex struct {
	name                     string
	unique, primary, partial bool
	columns                  []string // none if it is on an expression
	desc                     []bool
}

// realIndexes lists the indexes of all tables, or of one, by table.
func realIndexes(ctx context.Context, q querier, table string) (map[string][]realIndex, error) {
	out := map[string][]realIndex{}
	_, err := each(ctx, q, `SELECT t.relname::text, c.relname::text, i.indisunique, i.indisprimary, i.indpred IS NOT NULL,
		CASE WHEN i.indexprs IS NULL AND i.indisvalid THEN array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(n, at)
			JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.n ORDER BY k.at) ELSE '{}' END,
		array(SELECT (o & 1)::text FROM unnest(i.indoption) AS o)
		FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
		WHERE t.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema()) AND ($1 = '' OR t.relname = $1) ORDER BY c.oid`, []any{table},
		func(raw [][]byte, _ []int16) (bool, error) {
			yes := func(i int) bool { return len(raw[i]) == 1 && raw[i][0] != 0 }
			x := realIndex{name: string(raw[1]), unique: yes(2), primary: yes(3), partial: yes(4)}
			var err error
			if x.columns, err = readTexts(raw[5]); err != nil {
				return false, err
			}
			options, err := readTexts(raw[6])
			if err != nil {
				return false, err
			}
			for i := range x.columns {
				x.desc = append(x.desc, i < len(options) && options[i] == "1")
			}
			out[string(raw[0])] = append(out[string(raw[0])], x)
			return true, nil
		})
	return out, err
}

// Ids of providers belong to one user each: there is an index for each
// provider, of Parse Server's name. It is no part of the class.
const authUnique = "_User_unique_authData_"

func authIndexName(provider string) string { return shorten(authUnique + provider + "_id") }

// authIndexOf finds the index of a provider by its name; nil if it is none.
func (t *table) authIndexOf(constraint string) *schema.Index {
	if t.class.Name != schema.UserClass {
		return nil
	}
	rest, ok := strings.CutPrefix(constraint, authUnique)
	provider, ends := strings.CutSuffix(rest, "_id")
	if !ok || !ends {
		return nil
	}
	return &schema.Index{
		Name: "_auth_data_" + provider + "_id", Unique: true, Sparse: true,
		Keys: []schema.IndexKey{{Field: "authData." + provider + ".id"}},
	}
}

// providerID returns the expression of authData.<provider>.id as its index has
// it; "" for another path.
func (t *table) providerID(p query.Path) string {
	parts := strings.Split(string(p), ".")
	if t.class.Name != schema.UserClass || len(parts) != 3 || parts[0] != "authData" || parts[2] != "id" || !plainName(parts[1]) {
		return ""
	}
	return `"authData"->'` + parts[1] + `'->>'id'`
}

// authProviders are the providers that have an index: those that were asked
// for, and anonymous.
func authProviders(names []string) []string {
	list := append(slices.Clone(names), "anonymous")
	slices.Sort(list)
	return slices.Compact(list)
}

// ensureAuthIndexes makes the indexes of the ids of all providers, once for
// each DB. A database whose users cannot have one works without, as Parse
// Server does.
func (d *DB) ensureAuthIndexes(ctx context.Context, q querier) {
	for _, provider := range d.providers {
		if !plainName(provider) {
			continue
		}
		id := `"authData"->'` + provider + `'->>'id'`
		err := transact(ctx, q, func(ctx context.Context, tx querier) error {
			of, err := tableOfIndex(ctx, tx, authIndexName(provider))
			if err != nil || of != "" {
				return err
			}
			return execAll(ctx, tx, "CREATE UNIQUE INDEX IF NOT EXISTS "+quote(authIndexName(provider))+` ON "_User" ((`+id+`)) WHERE `+id+" IS NOT NULL")
		})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.log.WarnContext(ctx, "users may share an id of a provider: the index that forbids it cannot be made", "provider", provider, "error", err)
		}
	}
	d.authIndexed.Store(true)
}

var _ storage.Indexer = (*DB)(nil)

// Indexes implements [storage.Indexer].
func (d *DB) Indexes(ctx context.Context, class *schema.Class) (out []schema.Index, err error) {
	err = d.read(ctx, "indexes", class.Name, func(ctx context.Context, q querier) error {
		real, err := realIndexes(ctx, q, shorten(class.Name))
		if err != nil {
			return err
		}
		t := d.tables.Of(class)
		known := map[string]bool{}
		for i := range class.Indexes {
			ix := &class.Indexes[i]
			for _, name := range indexNames(class.Name, ix) {
				known[name] = true
				if slices.ContainsFunc(real[shorten(class.Name)], func(x realIndex) bool { return x.name == name }) {
					out = append(out, *ix)
					break
				}
			}
		}
		for _, x := range real[shorten(class.Name)] {
			if x.primary || known[x.name] {
				continue
			}
			ix := schema.Index{Name: x.name, Unique: x.unique, Sparse: x.unique || x.partial}
			if auth := t.authIndexOf(x.name); auth != nil {
				ix = *auth
			}
			for k, column := range x.columns {
				ix.Keys = append(ix.Keys, schema.IndexKey{Field: column, Desc: x.desc[k]})
			}
			out = append(out, ix)
		}
		return nil
	})
	return out, err
}

// CanIndex implements [storage.Indexer].
func (d *DB) CanIndex(class *schema.Class, field string, sorted bool) bool {
	t := d.tables.Of(class)
	if _, ok := t.indexKey(&schema.Index{}, schema.IndexKey{Field: field}); !ok {
		return false
	}
	c := t.byField[field]
	return !sorted || c != nil && c.typ != schema.Pointer && c.typ != schema.File
}
