package aggregate

import (
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// translate puts stored names and values into a stage (reference 01 §10.2).
func (c *compiler) translate(s Stage) Stage {
	switch m, _ := s.Arg.(*parse.Map); {
	case m == nil:
	case s.Name == "$match":
		s.Arg = c.translateMatch(m)
	case s.Name == "$project" && !c.o.RawNames:
		out := &parse.Map{}
		for k, v := range m.All() {
			out.Set(storedName(c.o.Class, k), v)
		}
		s.Arg = out
	case s.Name == "$group" && !c.o.RawNames:
		s.Arg = c.translateGroup(m)
		g, _ := s.Arg.(*parse.Map)
		if strings.Contains(g.String(keyID), "$"+pointerKey) {
			c.p.byPointer = true
		}
	}
	return s
}

// translateGroup rewrites the field paths of expressions.
func (c *compiler) translateGroup(v parse.Value) parse.Value {
	switch v := v.(type) {
	case string:
		name, ok := strings.CutPrefix(v, "$")
		if !ok || name == parse.KeyObjectID || strings.HasPrefix(name, "$") {
			return v
		}
		root, rest, dotted := strings.Cut(name, ".")
		root = storedName(c.o.Class, root)
		if dotted {
			root += "." + rest
		}
		return "$" + root
	case parse.Array:
		out := make(parse.Array, len(v))
		for i, e := range v {
			out[i] = c.translateGroup(e)
		}
		return out
	case *parse.Map:
		out := &parse.Map{}
		for k, e := range v.All() {
			out.Set(k, c.translateGroup(e))
		}
		return out
	}
	return v
}

// translateMatch rewrites a filter and the filters within it.
func (c *compiler) translateMatch(m *parse.Map) *parse.Map {
	out := &parse.Map{}
	for k, v := range m.All() {
		switch k {
		case "$and", "$or", "$nor":
			if list, ok := v.(parse.Array); ok {
				inner := make(parse.Array, len(list))
				for i, e := range list {
					if inner[i] = e; e != nil {
						if f, ok := e.(*parse.Map); ok {
							inner[i] = c.translateMatch(f)
						}
					}
				}
				v = inner
			}
		case "$expr", "$comment":
		default:
			if !c.o.RawValues {
				v = c.coerce(k, v)
			}
			if !c.o.RawNames {
				k = storedName(c.o.Class, k)
			}
		}
		out.Set(k, v)
	}
	return out
}

// coerce gives a filter's value the type of the field.
func (c *compiler) coerce(name string, v parse.Value) parse.Value {
	f := (*schema.Field)(nil)
	if c.o.Class != nil {
		f = c.o.Class.Field(name)
	}
	switch {
	case name == parse.KeyCreatedAt, name == parse.KeyUpdatedAt, name == keyCreated, name == keyUpdated, f != nil && f.Type == schema.Date:
		return asDates(v)
	case f != nil && f.Type == schema.Pointer:
		if id, ok := v.(string); ok {
			return f.TargetClass + "$" + id
		}
		return asStored(v)
	}
	return v
}

// inside applies f to the elements of an array or a map; any other value stays.
func inside(v parse.Value, f func(parse.Value) parse.Value) parse.Value {
	switch v := v.(type) {
	case parse.Array:
		out := make(parse.Array, len(v))
		for i, e := range v {
			out[i] = f(e)
		}
		return out
	case *parse.Map:
		out := &parse.Map{}
		for k, e := range v.All() {
			out.Set(k, f(e))
		}
		return out
	}
	return v
}

func asDates(v parse.Value) parse.Value {
	switch v := v.(type) {
	case string:
		if d, ok := parse.ParseDate(v); ok {
			return d
		}
	default:
		return inside(v, asDates)
	}
	return v
}

// asStored gives pointers the form in which a field of type Pointer has them.
func asStored(v parse.Value) parse.Value {
	switch v := v.(type) {
	case parse.Pointer:
		return v.ClassName + "$" + v.ObjectID
	default:
		return inside(v, asStored)
	}
}

// pushable is what a database can check of a filter in stored names: simple
// comparisons of whole fields. All that satisfies the filter satisfies it.
func pushable(m *parse.Map, class *schema.Class) query.Node {
	if class == nil {
		return nil
	}
	var nodes []query.Node
	for k, v := range m.All() {
		if k == "$and" {
			list, _ := v.(parse.Array)
			for _, e := range list {
				if inner, ok := e.(*parse.Map); ok {
					nodes = append(nodes, pushable(inner, class))
				}
			}
			continue
		}
		name, target := wireName(k, class)
		if name == "" {
			continue
		}
		ops, isMap := v.(*parse.Map)
		if !isMap {
			ops = parse.NewMap(parse.MapField{Key: "$eq", Value: v})
		}
		for op, operand := range ops.All() {
			nodes = append(nodes, pushOne(query.Path(name), target, op, operand))
		}
	}
	return query.AllOf(nodes...)
}

var pushed = map[string]query.Op{"$eq": query.Eq, "$gt": query.Gt, "$gte": query.Gte, "$lt": query.Lt, "$lte": query.Lte, "$in": query.In}

func pushOne(path query.Path, target, op string, v parse.Value) query.Node {
	code, ok := pushed[op]
	if !ok {
		return nil
	}
	if code == query.In {
		list, ok := v.(parse.Array)
		if !ok {
			return nil
		}
		values := make([]parse.Value, len(list))
		for i, e := range list {
			if values[i], ok = wireValue(target, e); !ok {
				return nil
			}
		}
		return &query.Member{Path: path, Op: query.In, Values: values}
	}
	if v, ok = wireValue(target, v); !ok || target != "" && code != query.Eq {
		return nil
	}
	return &query.Compare{Path: path, Op: code, Value: v}
}

// wireName returns the field of a stored name, and its target if it is a
// pointer; "" if a database is not to be asked about it.
func wireName(stored string, class *schema.Class) (name, target string) {
	switch stored {
	case keyID:
		return parse.KeyObjectID, ""
	case keyCreated:
		return parse.KeyCreatedAt, ""
	case keyUpdated:
		return parse.KeyUpdatedAt, ""
	}
	name, isPointer := strings.CutPrefix(stored, pointerKey)
	f := class.Field(name)
	if f == nil || isPointer != (f.Type == schema.Pointer) {
		return "", ""
	}
	switch f.Type {
	case schema.Pointer:
		return name, f.TargetClass
	case schema.String, schema.Number, schema.Boolean, schema.Date, schema.Array:
		if !isSystem(name) {
			return name, ""
		}
	default:
	}
	return "", ""
}

func isSystem(name string) bool {
	return name == parse.KeyObjectID || name == parse.KeyCreatedAt || name == parse.KeyUpdatedAt || name == parse.KeyACL
}

// wireValue is a scalar of a filter as queries have it.
func wireValue(target string, v parse.Value) (parse.Value, bool) {
	switch x := v.(type) {
	case string:
		if target == "" {
			return v, true
		}
		ptr, ok := pointerOf(x)
		return ptr, ok && ptr.ClassName == target
	case float64, bool, parse.Date:
		return v, target == ""
	}
	return nil, false
}
