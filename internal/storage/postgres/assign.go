package postgres

import (
	"math"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// assignments writes the part of a statement that sets columns. What it cannot
// say exactly, with a row that the guards let through, it does not say.
type assignments struct {
	*where
	n    int
	seen []*column // those of operations
}

// first reports whether no other operation was on the column, which a statement
// can set once.
func (a *assignments) first(c *column) bool {
	if slices.Contains(a.seen, c) {
		return false
	}
	a.seen = append(a.seen, c)
	return true
}

func (a *assignments) set(col string) {
	if a.n > 0 {
		a.Add(", ")
	}
	a.n++
	a.Add(col + " = ")
}

// assign writes one operation.
func (a *assignments) assign(path string, v parse.Value) (ok bool, err error) {
	switch v.(type) {
	case parse.AddRelation, parse.RemoveRelation, parse.Relation:
		return true, nil
	}
	if strings.Contains(path, ".") {
		return a.within(path, v)
	}
	c := a.t.byField[path]
	if c == nil || sqlgen.IsSystemField(path) || !a.first(c) {
		return false, nil
	}
	switch v := v.(type) {
	case parse.Delete:
		a.set(c.sql)
		a.Add("NULL")
	case parse.Increment:
		// What is no number, or no longer one, is told by the other way.
		if c.typ != schema.Number || math.IsNaN(v.Amount) || math.IsInf(v.Amount, 0) || math.Abs(v.Amount) > 1e100 {
			return false, nil
		}
		a.set(c.sql)
		a.Add("coalesce(new." + c.sql + ", 0) + ")
		a.bind(v.Amount)
	case parse.Add, parse.AddUnique, parse.Remove:
		value, ok, err := c.elements(v)
		if !ok || err != nil {
			return false, err
		}
		a.set(c.sql)
		a.array(c.sql, v, value)
	case parse.Op:
		return false, nil
	default:
		x, err := c.encode(v)
		if err != nil {
			return false, err
		}
		a.set(c.sql)
		a.bind(x)
	}
	return true, nil
}

// inside returns the column and the key of a path that leads one level into an
// object, as a literal.
func (t *table) inside(path string) (c *column, key string, ok bool) {
	root, key, _ := strings.Cut(path, ".")
	c = t.byField[root]
	if c == nil || c.typ != schema.Object || root == "authData" || key == "" || !plainName(key) || strings.Trim(key, "0123456789") == "" {
		return nil, "", false
	}
	return c, "'" + key + "'", true
}

// within writes an operation on a member of an object. Whether it is an object
// that stands there is the guard's question.
func (a *assignments) within(path string, v parse.Value) (ok bool, err error) {
	c, key, ok := a.t.inside(path)
	if !ok || !a.first(c) {
		return false, nil
	}
	old := "coalesce(new." + c.sql + ", '{}'::jsonb)"
	switch v := v.(type) {
	case parse.Delete:
		a.set(c.sql)
		a.Add("new." + c.sql + " - " + key)
	case parse.Increment:
		if math.IsNaN(v.Amount) || math.Abs(v.Amount) >= exactLimit {
			return false, nil
		}
		a.set(c.sql)
		a.Add("jsonb_set(" + old + ", ARRAY[" + key + "], to_jsonb(coalesce((new." + c.sql + "->>" + key + ")::float8, 0) + ")
		a.bind(v.Amount)
		a.Add("::float8))")
	case parse.Op:
		return false, nil
	default:
		x, err := jsonOf(c.field, v)
		if err != nil {
			return false, err
		}
		a.set(c.sql)
		a.Add("jsonb_set(" + old + ", ARRAY[" + key + "], ")
		a.bind(x)
		a.Add("::jsonb)")
	}
	return true, nil
}

// guard narrows a condition to rows on which the operation is what it is in SQL.
func (w *where) guard(path string, v parse.Value) bool {
	if c, key, ok := w.t.inside(path); ok {
		w.Add(" AND (" + c.sql + " IS NULL OR jsonb_typeof(" + c.sql + ") = 'object')")
		if _, ok := v.(parse.Increment); ok {
			member := c.sql + "->" + key
			w.Add(" AND CASE jsonb_typeof(" + member + ") WHEN 'number' THEN abs((" + member + ")::numeric) < 9007199254740992 ELSE " + member + " IS NULL END")
		}
		return true
	}
	switch v.(type) {
	case parse.Add, parse.AddUnique, parse.Remove:
		if c := w.t.byField[path]; c != nil && c.typ == schema.Array {
			w.Add(" AND (" + c.sql + " IS NULL OR jsonb_typeof(" + c.sql + ") = 'array')")
			return true
		}
	}
	return false
}

// exactLimit is where doubles begin to leave out whole numbers.
const exactLimit = 1 << 53

// elements returns the operand of an operation on an array as it is bound; ok is
// false where the database may find other elements equal than Parse does.
func (c *column) elements(v parse.Value) (value any, ok bool, err error) {
	if c.typ != schema.Array {
		return nil, false, nil
	}
	var list parse.Array
	switch v := v.(type) {
	case parse.Add:
		value, err := jsonOf(c.field, v.Objects)
		return value, err == nil, err
	case parse.AddUnique:
		list = v.Objects
	case parse.Remove:
		list = v.Objects
	}
	once := make(parse.Array, 0, len(list))
	seen := parse.NewSet(nil)
	for _, e := range list {
		switch e := e.(type) {
		case bool, string:
		case float64:
			if math.Abs(e) >= exactLimit {
				return nil, false, nil
			}
		default:
			return nil, false, nil
		}
		if seen.Add(e) {
			once = append(once, e)
		}
	}
	value, err = jsonOf(c.field, once)
	return value, err == nil, err
}

// array writes what an operation makes of an array, or of none.
func (w *where) array(col string, op parse.Value, value any) {
	old := "coalesce(new." + col + ", '[]'::jsonb)"
	switch op.(type) {
	case parse.Add:
		w.Add(old + " || ")
		w.bind(value)
		w.Add("::jsonb")
	case parse.AddUnique:
		w.Add(old + " || coalesce((SELECT jsonb_agg(e ORDER BY i) FROM jsonb_array_elements(")
		w.bind(value)
		w.Add("::jsonb) WITH ORDINALITY AS u(e, i) WHERE NOT " + old + " @> jsonb_build_array(e)), '[]'::jsonb)")
	case parse.Remove:
		w.Add("coalesce((SELECT jsonb_agg(e ORDER BY i) FROM jsonb_array_elements(" + old + ") WITH ORDINALITY AS u(e, i) WHERE NOT ")
		w.bind(value)
		w.Add("::jsonb @> jsonb_build_array(e)), '[]'::jsonb)")
	}
}
