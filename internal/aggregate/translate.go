package aggregate

import (
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// translate puts stored names and values into a stage (reference 01 §10.2).
func (c *compiler) translate(s Stage) Stage {
	switch m, _ := s.Arg.(*parse.Map); {
	case m == nil:
	case s.Name == "$match":
		s.Arg = c.translateMatch(m)
	case s.Name == "$geoNear":
		if q, ok := m.Get("query"); ok {
			if f, ok := q.(*parse.Map); ok {
				out := m.Clone()
				out.Set("query", c.translateMatch(f))
				s.Arg = out
			}
		}
	case s.Name == "$project" && !c.o.RawNames:
		out := &parse.Map{}
		for k, v := range m.All() {
			out.Set(StoredName(c.o.Class, k), v)
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
		root = StoredName(c.o.Class, root)
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
				k = StoredName(c.o.Class, k)
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
	case f != nil && (f.Type == schema.GeoPoint || f.Type == schema.File || f.Type == schema.Polygon):
		return asField(v)
	}
	return v
}

// asField gives Parse's types the form in which fields of these types have them.
func asField(v parse.Value) parse.Value {
	switch v := v.(type) {
	case parse.GeoPoint:
		return parse.Array{v.Longitude, v.Latitude}
	case *parse.Polygon:
		return geoJSON(v)
	case parse.File:
		return v.Name
	default:
		return inside(v, asField)
	}
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
		return pointerText(v)
	default:
		return inside(v, asStored)
	}
}
