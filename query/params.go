package query

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// UnsetLimit as Limit says that the client stated none; the caller fills in
// its default.
const UnsetLimit = -2

// ParseOrder reads a comma-separated order; "-" asks for descending. Invalid
// names give error 105.
func ParseOrder(s string) ([]Sort, error) {
	var out []Sort
	for _, key := range split(s) {
		name, desc := strings.CutPrefix(key, "-")
		switch name {
		case "_created_at":
			name = parse.KeyCreatedAt
		case "_updated_at":
			name = parse.KeyUpdatedAt
		case ScoreKey: // the best first, whatever the sign
			out = append(out, Sort{Path: ScoreField, Desc: true})
			continue
		}
		switch {
		case !validName(name):
			return nil, parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s.", name)
		case strings.HasPrefix(name, "authData."):
			return nil, parse.Errorf(parse.InvalidKeyName, "Cannot sort by %s", name)
		}
		out = append(out, Sort{Path: Path(name), Desc: desc})
	}
	return out, nil
}

// split cuts a comma-separated list; blanks around and empty elements go.
func split(s string) []string {
	out := []string{}
	for e := range strings.SplitSeq(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

// ParseQuery reads the parameters of a find. Values may be JSON values or, as
// in a URL, their text. An absent limit gives [UnsetLimit]. Errors are *parse.Error; an unknown parameter gives 102.
func ParseQuery(params *parse.Map, lim Limits, sc Scope) (*Query, error) {
	q := &Query{Limit: UnsetLimit}
	lim = lim.withDefaults()
	var implied []string // includes that follow from dotted keys
	for key, v := range params.All() {
		var err error
		switch key {
		case "where":
			q.Where, err = whereParam(v, lim, sc)
		case "limit":
			err = q.limitParam(v)
		case "skip":
			err = q.skipParam(v)
		case "count":
			q.Count = parse.Truthy(v) // the text "0" is, too
		case "includeAll":
			q.IncludeAll = q.IncludeAll || flag(v)
		case "order":
			var names []string
			if names, err = lim.list(key, v); err == nil {
				q.Order, err = ParseOrder(strings.Join(names, ","))
			}
		case "keys":
			q.Keys, err = lim.list(key, v)
			implied = append(implied, parents(q.Keys)...)
		case "excludeKeys":
			q.ExcludeKeys, err = lim.list(key, v)
			implied = append(implied, parents(q.ExcludeKeys)...)
		case "include":
			q.Include, err = lim.list(key, v)
		case "cursor":
			err = q.cursorParam(v)
		case "redirectClassNameForKey":
			q.Redirect, err = text(key, v)
		case "explain":
			q.Explain, err = explainParam(v, sc)
		case "hint", "comment", "readPreference", "includeReadPreference", "subqueryReadPreference":
			err = q.adviceParam(key, v)
		default:
			err = parse.Errorf(parse.InvalidQuery, "Invalid parameter for query: %s", key)
		}
		if err != nil {
			return nil, err
		}
	}
	if q.Cursor != nil && q.Skip > 0 {
		return nil, parse.Errorf(parse.InvalidQuery, "skip cannot be combined with cursor")
	}
	if slices.Contains(q.Include, "*") {
		q.IncludeAll, q.Include = true, nil
	}
	q.Include = prefixes(append(q.Include, implied...))
	if n := len(q.Include); n > lim.Names {
		return nil, parse.Errorf(parse.InvalidQuery, "Number of include fields (%d) exceeds maximum allowed (%d)", n, lim.Names)
	}
	return q, nil
}

// list is [list] within the limits. They are checked before anything is done
// with the names, because that takes time in the square of their number.
func (l Limits) list(key string, v parse.Value) ([]string, error) {
	names, err := list(key, v)
	if err != nil {
		return nil, err
	}
	if len(names) > l.Names {
		return nil, parse.Errorf(parse.InvalidQuery, "%s has more than the maximum allowed %d names", key, l.Names)
	}
	for _, name := range names {
		if n := strings.Count(name, ".") + 1; n > l.IncludeDepth {
			return nil, parse.Errorf(parse.InvalidQuery, "Include depth of %d exceeds maximum allowed depth of %d", n, l.IncludeDepth)
		}
	}
	return names, nil
}

func whereParam(v parse.Value, lim Limits, sc Scope) (Node, error) {
	s, ok := v.(string)
	if !ok && v != nil {
		return ParseWhere(v, lim, sc)
	}
	if v == "" {
		return nil, nil
	}
	v, err := parse.Decode([]byte(s), parse.Limits{})
	if err != nil {
		return nil, &parse.Error{Code: parse.InvalidJSON, Message: "where parameter is not valid JSON", Err: err}
	}
	return ParseWhere(v, lim, sc)
}

// number reads a number or its text; ok is false for anything else.
func number(v parse.Value) (n int, ok bool) {
	var f float64
	switch v := v.(type) {
	case float64:
		f = v
	case parse.Int:
		f = float64(v)
	case string:
		var err error
		if f, err = strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil {
			return 0, false
		}
	default:
		return 0, false
	}
	if math.IsNaN(f) {
		return 0, false
	}
	return int(min(max(f, math.MinInt32), math.MaxInt32)), true
}

func (q *Query) limitParam(v parse.Value) error {
	if v == nil || v == "" || v == false {
		return nil
	}
	n, ok := number(v)
	switch {
	case !ok:
		return parse.Errorf(parse.InvalidQuery, "limit must be a number")
	case n < 0:
		return parse.Errorf(parse.InvalidQuery, "limit must not be negative")
	}
	q.Limit = n
	return nil
}

func (q *Query) skipParam(v parse.Value) error {
	if v == nil || v == "" || v == false {
		return nil
	}
	n, ok := number(v)
	switch {
	case !ok:
		return parse.Errorf(parse.InvalidQuery, "skip must be a number")
	case n < 0:
		return parse.Errorf(parse.InvalidQuery, "skip must not be negative")
	}
	q.Skip = n
	return nil
}

// cursorParam reads cursor: true or an empty text ask for the first page.
func (q *Query) cursorParam(v parse.Value) error {
	var s string
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		if !v {
			return nil
		}
	case string:
		s = v
	default:
		return parse.Errorf(parse.InvalidQuery, "cursor must be a string")
	}
	q.Cursor = &s
	return nil
}

// flag is the truth of a value, or of the JSON a URL has for it.
func flag(v parse.Value) bool {
	switch v {
	case "0", "false", "null":
		return false
	}
	return parse.Truthy(v)
}

func text(key string, v parse.Value) (string, error) {
	s, ok := v.(string)
	if !ok && v != nil {
		return "", parse.Errorf(parse.InvalidQuery, "%s must be a string", key)
	}
	return s, nil
}

// list reads a comma-separated string, an array of them, or the JSON of such
// an array; null gives nil.
func list(key string, v parse.Value) ([]string, error) {
	if s, ok := v.(string); ok {
		if !strings.HasPrefix(s, "[") {
			return split(s), nil
		}
		decoded, err := parse.Decode([]byte(s), parse.Limits{})
		if err != nil {
			return split(s), nil //nolint:nilerr // not JSON after all, so it is a plain list
		}
		v = decoded
	}
	if v == nil {
		return nil, nil
	}
	a, ok := v.(parse.Array)
	if !ok {
		return nil, parse.Errorf(parse.InvalidQuery, "%s must be a string or an array of strings", key)
	}
	out := []string{}
	for _, e := range a {
		s, ok := e.(string)
		if !ok {
			return nil, parse.Errorf(parse.InvalidQuery, "%s must be a string or an array of strings", key)
		}
		out = append(out, split(s)...)
	}
	return out, nil
}

// parents returns what dotted keys imply: "a.b" includes a.
func parents(keys []string) []string {
	var out []string
	for _, k := range keys {
		if i := strings.LastIndexByte(k, '.'); i > 0 {
			out = append(out, k[:i])
		}
	}
	return out
}

// prefixes returns the paths with all their prefixes, each once and before its
// continuation.
func prefixes(paths []string) []string {
	var out []string
	seen := make(map[string]bool, len(paths))
	for _, p := range paths {
		for i := range len(p) + 1 {
			if (i == len(p) || p[i] == '.') && !seen[p[:i]] {
				seen[p[:i]] = true
				out = append(out, p[:i])
			}
		}
	}
	return out
}
