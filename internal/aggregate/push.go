package aggregate

import (
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// pushable is what a database can check of a filter in stored names:
// comparisons of whole fields. All that satisfies the filter satisfies it; it
// is exact if nothing else does.
func pushable(m *parse.Map, class *schema.Class) (n query.Node, exact bool) {
	if class == nil {
		return nil, false
	}
	var nodes []query.Node
	exact = true
	for k, v := range m.All() {
		part, whole := pushCondition(k, v, class)
		nodes = append(nodes, part)
		exact = exact && whole
	}
	return query.AllOf(nodes...), exact
}

func pushCondition(key string, v parse.Value, class *schema.Class) (n query.Node, exact bool) {
	switch key {
	case "$comment":
		return nil, true
	case "$and", "$or", "$nor":
		return pushLogical(key, v, class)
	}
	name, f := wireName(key, class)
	if name == "" {
		return nil, false
	}
	ops, isMap := v.(*parse.Map)
	if !isMap || ops.Len() == 0 || !strings.HasPrefix(ops.At(0).Key, "$") {
		ops = parse.NewMap(parse.MapField{Key: "$eq", Value: v})
	}
	var nodes []query.Node
	exact = true
	for op, operand := range ops.All() {
		part, whole := pushOne(query.Path(name), f, op, operand, ops)
		nodes = append(nodes, part)
		exact = exact && whole
	}
	return query.AllOf(nodes...), exact
}

// pushLogical joins filters. An alternative that is not known lets everything
// pass; the negation of one that is not exact is not known.
func pushLogical(op string, v parse.Value, class *schema.Class) (query.Node, bool) {
	list, _ := v.(parse.Array)
	nodes := make([]query.Node, len(list))
	all, known := true, len(list) > 0
	for i, e := range list {
		m, ok := e.(*parse.Map)
		if !ok {
			return nil, false
		}
		n, exact := pushable(m, class)
		if n == nil && exact {
			n = &query.And{} // a filter that lets everything pass
		}
		nodes[i] = n
		all = all && exact
		known = known && n != nil
	}
	switch {
	case op == "$and":
		return query.AllOf(nodes...), all && known
	case !known, op == "$nor" && !all:
		return nil, false
	case op == "$nor":
		return &query.Nor{Nodes: nodes}, true
	}
	return &query.Or{Nodes: nodes}, all
}

var pushed = map[string]query.Op{
	"$eq": query.Eq, "$ne": query.Ne, "$gt": query.Gt, "$gte": query.Gte, "$lt": query.Lt, "$lte": query.Lte,
	"$in": query.In, "$nin": query.Nin,
}

func pushOne(path query.Path, f *schema.Field, op string, v parse.Value, all *parse.Map) (n query.Node, exact bool) {
	if op == "$exists" {
		if isPointer(f) { // a null stands under another name, which queries know
			return nil, false
		}
		return &query.Exists{Path: path, Want: truth(v)}, true
	}
	if op == "$regex" || op == "$options" {
		return pushRegex(path, f, op, v, all)
	}
	code, ok := pushed[op]
	if !ok {
		return nil, false
	}
	if code == query.In || code == query.Nin {
		list, ok := v.(parse.Array)
		if !ok {
			return nil, false
		}
		values := make([]parse.Value, len(list))
		for i, e := range list {
			if values[i], ok = wireValue(f, e); !ok {
				return nil, false
			}
		}
		return &query.Member{Path: path, Op: code, Values: values}, true
	}
	equality := code == query.Eq || code == query.Ne
	if v, ok = wireValue(f, v); !ok || !equality && (v == nil || isPointer(f)) {
		return nil, false
	}
	return &query.Compare{Path: path, Op: code, Value: v}, true
}

// pushRegex is told of $regex and $options alike and answers for the first.
func pushRegex(path query.Path, f *schema.Field, op string, v parse.Value, all *parse.Map) (query.Node, bool) {
	if op == "$options" {
		return nil, true
	}
	pattern, ok := v.(string)
	options, _ := all.Get("$options")
	letters, isText := options.(string)
	if !ok || isPointer(f) || options != nil && (!isText || strings.Trim(letters, "imsx") != "") {
		return nil, false
	}
	return &query.Regex{Path: path, Pattern: pattern, Options: letters}, true
}

func isPointer(f *schema.Field) bool { return f != nil && f.Type == schema.Pointer }

// wireName returns the field of a stored name, and its definition; "" if a
// database is not to be asked about it.
func wireName(stored string, class *schema.Class) (string, *schema.Field) {
	switch stored {
	case keyID:
		return parse.KeyObjectID, nil
	case keyCreated:
		return parse.KeyCreatedAt, nil
	case keyUpdated:
		return parse.KeyUpdatedAt, nil
	}
	name, pointer := strings.CutPrefix(stored, pointerKey)
	f := class.Field(name)
	if f == nil || pointer != (f.Type == schema.Pointer) {
		return "", nil
	}
	switch f.Type {
	case schema.Pointer:
		return name, f
	case schema.String, schema.Number, schema.Boolean, schema.Date, schema.Array:
		if !isSystem(name) {
			return name, f
		}
	default:
	}
	return "", nil
}

func isSystem(name string) bool {
	return name == parse.KeyObjectID || name == parse.KeyCreatedAt || name == parse.KeyUpdatedAt || name == parse.KeyACL
}

// wireValue is a scalar of a filter as queries have it.
func wireValue(f *schema.Field, v parse.Value) (parse.Value, bool) {
	switch x := v.(type) {
	case nil:
		return nil, true
	case string:
		if !isPointer(f) {
			return v, true
		}
		ptr, ok := pointerOf(x)
		return ptr, ok && ptr.ClassName == f.TargetClass
	case float64, parse.Int, bool, parse.Date:
		return v, !isPointer(f)
	}
	return nil, false
}

// anyOfValues is the constraint that a field, by its stored name, has one of the
// values, nil if a database is not to be asked about it.
func anyOfValues(class *schema.Class, name string, values []parse.Value) query.Node {
	field, f := wireName(name, class)
	if field == "" {
		return nil
	}
	list := make([]parse.Value, len(values))
	for i, v := range values {
		var ok bool
		if list[i], ok = wireValue(f, v); !ok {
			return nil
		}
	}
	return &query.Member{Path: query.Path(field), Op: query.In, Values: slices.Clip(list)}
}
