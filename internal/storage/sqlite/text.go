package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/internal/words"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// A text index keeps, in a column beside each of its fields, the stems of the
// words of the field, and an FTS5 table of that column. The stems are made
// here, so that the words that SQLite finds are those of query.Text; triggers
// keep the table true. A row whose stems are missing, because a write that was
// under way when the index was made knew nothing of it, counts as a candidate.

const (
	kindText = "text"
	// textSuffix and the others end the names of what belongs to an index.
	textSuffix = "/text"
	// mostTerms is how many words of a search go into SQL.
	mostTerms = 100
)

var textTriggers = [...]string{"/insert", "/delete", "/update", "/stale"}

func wordsColumn(field string) string { return quote("~~" + encodeName(field)) }

// textColumns are the columns of stems of a text index, none if it has no
// string among its keys.
func (t *table) textColumns(ix *schema.Index) []column {
	var out []column
	for _, k := range ix.Keys {
		col := t.byField[k.Field]
		if k.Kind == kindText && col != nil && col.typ == schema.String && !sqlgen.IsSystemField(k.Field) {
			out = append(out, column{field: k.Field, sql: wordsColumn(k.Field), typ: schema.String, words: true})
		}
	}
	return out
}

// addWords enters the columns of a text index, each once.
func (t *table) addWords(ix *schema.Index) {
	for _, col := range t.textColumns(ix) {
		if !slices.ContainsFunc(t.folded, func(c column) bool { return c.sql == col.sql }) {
			t.folded = append(t.folded, col)
		}
	}
}

// stems returns the words of a text as their column has them.
func stems(text string) string {
	var b strings.Builder
	for w := range words.NewCutter(words.English, false, false).Of(text) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(token(w.Plain))
	}
	return b.String()
}

// token writes a stem so that the tokenizer of SQLite, which ends words at
// punctuation, leaves it whole.
func token(stem string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r < '0' || r > '9') && (r < 'a' || r > 'z') {
			return 0xE000 + r // for private use
		}
		return r
	}, stem)
}

// derive returns what a second column of a field holds for an object.
func (c *column) derive(o *parse.Object) driver.Value {
	v, _ := o.Fields.Get(c.field)
	s, ok := v.(string)
	if !ok {
		return nil
	}
	return c.value(s)
}

// value is derive for a text.
func (c *column) value(text string) string {
	if c.words {
		return stems(text)
	}
	return fold(text)
}

// Text implements [sqlgen.Dialect]: it narrows to rows with a word of the search, if an index knows them.
func (w *where) Text(n *query.Text) (exact bool) {
	terms := n.Terms()
	if len(terms) == 0 {
		w.Add("0")
		return true
	}
	col := w.t.byField[string(n.Path)]
	if n.Language == words.English.Name() && col != nil && len(terms) <= mostTerms {
		for i := range w.t.class.Indexes {
			ix := &w.t.class.Indexes[i]
			if !slices.ContainsFunc(w.t.textColumns(ix), func(c column) bool { return c.field == string(n.Path) }) {
				continue
			}
			for i, term := range terms {
				terms[i] = `"` + token(term) + `"`
			}
			name := indexName(w.t.class.Name, ix.Name)
			fts := quote(name + textSuffix)
			// Of two walks, SQLite would take that of the table, not of the index.
			w.Add("rowid IN (SELECT rowid FROM "+fts+" WHERE "+fts+" MATCH ? UNION ALL SELECT rowid FROM "+w.t.sql+
				" INDEXED BY "+quote(name+nullSuffix)+" WHERE "+w.t.unread(ix)+")",
				strings.Join(terms, " OR "))
			return false
		}
	}
	if col != nil && col.typ == schema.String {
		w.Add(col.sql + " IS NOT NULL")
		return false
	}
	return w.Wide()
}

// unread is the condition of rows whose stems are missing.
func (t *table) unread(ix *schema.Index) string {
	var parts []string
	for _, col := range t.textColumns(ix) {
		parts = append(parts, "("+fieldColumn(col.field)+" IS NOT NULL AND "+col.sql+" IS NULL)")
	}
	return strings.Join(parts, " OR ")
}

// createText makes a text index over columns that are there and filled.
func createText(ctx context.Context, c *conn, t *table, ix *schema.Index, cols []column) error {
	name := indexName(t.class.Name, ix.Name)
	fts := quote(name + textSuffix)
	var names, fields, before, after, had, has, changed, stale, unset []string
	for _, col := range cols {
		names = append(names, col.sql)
		before, after = append(before, "old."+col.sql), append(after, "new."+col.sql)
		had, has = append(had, "old."+col.sql+" IS NOT NULL"), append(has, "new."+col.sql+" IS NOT NULL")
		changed = append(changed, "old."+col.sql+" IS NOT new."+col.sql)
		field := fieldColumn(col.field)
		fields, unset = append(fields, field), append(unset, col.sql+" = NULL")
		stale = append(stale, "(new."+field+" IS NOT old."+field+" AND new."+col.sql+" IS old."+col.sql+" AND old."+col.sql+" IS NOT NULL)")
	}
	list := strings.Join(names, ", ")
	remove := " INSERT INTO " + fts + "(" + fts + ", rowid, " + list + ") SELECT 'delete', old.rowid, " + strings.Join(before, ", ") + " WHERE " + strings.Join(had, " OR ") + ";"
	add := " INSERT INTO " + fts + "(rowid, " + list + ") SELECT new.rowid, " + strings.Join(after, ", ") + " WHERE " + strings.Join(has, " OR ") + ";"
	trigger := func(i int, on string) string {
		return "CREATE TRIGGER " + quote(name+textTriggers[i]) + " AFTER " + on
	}
	statements := []string{
		"CREATE INDEX " + quote(name+nullSuffix) + " ON " + t.sql + " (" + colID + ") WHERE " + t.unread(ix),
		"CREATE VIRTUAL TABLE " + fts + " USING fts5(" + list + ", content='" + tableName(t.class.Name) + "', tokenize='ascii', detail=none, columnsize=0)",
		"INSERT INTO " + fts + "(" + fts + ") VALUES ('rebuild')",
		trigger(0, "INSERT ON "+t.sql+" BEGIN"+add+" END"),
		trigger(1, "DELETE ON "+t.sql+" BEGIN"+remove+" END"),
		trigger(2, "UPDATE OF "+list+" ON "+t.sql+" WHEN "+strings.Join(changed, " OR ")+" BEGIN"+remove+add+" END"),
		// The field was written without its stems.
		trigger(3, "UPDATE OF "+strings.Join(fields, ", ")+" ON "+t.sql+" WHEN "+strings.Join(stale, " OR ")+
			" BEGIN UPDATE "+t.sql+" SET "+strings.Join(unset, ", ")+" WHERE rowid = new.rowid; END"),
	}
	for _, sql := range statements {
		if _, err := c.exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// completeText makes the text indexes that a file only records: of one that was
// written before there were any, or whose making was broken off.
func completeText(ctx context.Context, c *conn) error {
	classes, err := loadSchema(ctx, c)
	if err != nil {
		return err
	}
	for _, cl := range classes {
		for i := range cl.Indexes {
			ix := &cl.Indexes[i]
			if len(newTable(cl).textColumns(ix)) == 0 {
				continue
			}
			n, err := c.queryString(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", indexName(cl.Name, ix.Name)+textSuffix)
			if err != nil {
				return err
			}
			if n != "0" {
				continue
			}
			if err := remake(ctx, c, cl, ix); err != nil {
				return fmt.Errorf("make text index %s of %s: %w", ix.Name, cl.Name, err)
			}
		}
	}
	return nil
}

// remake makes an index in place of what may be there of it, all or nothing.
func remake(ctx context.Context, c *conn, cl *schema.Class, ix *schema.Index) (err error) {
	if _, err := c.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		end := "COMMIT"
		if err != nil {
			end = "ROLLBACK"
		}
		_, failed := c.exec(ctx, end)
		err = errors.Join(err, failed)
	}()
	if err := dropIndex(ctx, c, cl, ix.Name); err != nil {
		return err
	}
	return createIndex(ctx, c, cl, ix)
}

// dropText removes what createText made.
func dropText(ctx context.Context, c *conn, class, index string) error {
	name := indexName(class, index)
	for _, suffix := range textTriggers {
		if _, err := c.exec(ctx, "DROP TRIGGER IF EXISTS "+quote(name+suffix)); err != nil {
			return err
		}
	}
	_, err := c.exec(ctx, "DROP TABLE IF EXISTS "+quote(name+textSuffix))
	return err
}
