package aggregate

import (
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Names of the system fields in documents.
const (
	keyID      = "_id"
	keyCreated = "_created_at"
	keyUpdated = "_updated_at"
	pointerKey = "_p_"
)

// Names of the lists of those whom an ACL lets read and write.
const (
	keyReaders = "_rperm"
	keyWriters = "_wperm"
)

// Document returns an object of a class in its stored form, all of it if fields
// is nil. Internal fields of the object (password hashes, tokens) stay out.
func Document(c *schema.Class, o *parse.Object, fields []string) *parse.Map {
	wants := func(name string) bool { return fields == nil || slices.Contains(fields, name) }
	m := parse.NewMap(parse.MapField{Key: keyID, Value: o.ID})
	if o.CreatedAt != 0 && wants(keyCreated) {
		m.Set(keyCreated, o.CreatedAt)
	}
	if o.UpdatedAt != 0 && wants(keyUpdated) {
		m.Set(keyUpdated, o.UpdatedAt)
	}
	if o.ACL != nil && (wants(keyReaders) || wants(keyWriters)) {
		m.Set(keyReaders, texts(o.ACL.Subjects(false)))
		m.Set(keyWriters, texts(o.ACL.Subjects(true)))
	}
	for k, v := range o.Fields.All() {
		switch x := v.(type) {
		case parse.Pointer:
			k, v = pointerKey+k, pointerText(x)
		case *parse.Object:
			k, v = pointerKey+k, pointerText(x.Self())
		case nil: // stands under the plain key, for a Pointer as well
		case parse.Relation:
			continue
		case parse.GeoPoint:
			v = parse.Array{x.Longitude, x.Latitude}
		case *parse.Polygon:
			v = geoJSON(x)
		case parse.File:
			v = x.Name
		default:
			if wants(k) {
				v = stored(v)
			}
		}
		if wants(k) && !strings.HasPrefix(strings.TrimPrefix(k, pointerKey), "_") {
			m.Set(k, v)
		}
	}
	return m
}

func texts(list []string) parse.Array {
	out := make(parse.Array, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func pointerText(p parse.Pointer) string { return p.ClassName + "$" + p.ObjectID }

// geoJSON is the stored form of a field of type Polygon.
func geoJSON(p *parse.Polygon) *parse.Map {
	ring := make(parse.Array, len(p.Points))
	for i, pt := range p.Points {
		ring[i] = parse.Array{pt.Longitude, pt.Latitude}
	}
	return parse.NewMap(parse.MapField{Key: "type", Value: "Polygon"}, parse.MapField{Key: "coordinates", Value: parse.Array{ring}})
}

// stored gives a value the form that it has within objects and arrays, where
// Parse's types are objects with a __type. It returns v itself if that is it.
func stored(v parse.Value) parse.Value {
	typed := func(name string, fields ...parse.MapField) parse.Value {
		return parse.NewMap(append([]parse.MapField{{Key: "__type", Value: name}}, fields...)...)
	}
	switch v := v.(type) {
	case parse.Pointer:
		return typed("Pointer", parse.MapField{Key: "className", Value: v.ClassName}, parse.MapField{Key: parse.KeyObjectID, Value: v.ObjectID})
	case parse.Relation:
		return typed("Relation", parse.MapField{Key: "className", Value: v.ClassName})
	case parse.GeoPoint:
		return typed("GeoPoint", parse.MapField{Key: "latitude", Value: v.Latitude}, parse.MapField{Key: "longitude", Value: v.Longitude})
	case parse.File:
		if v.URL != "" {
			return typed("File", parse.MapField{Key: "name", Value: v.Name}, parse.MapField{Key: "url", Value: v.URL})
		}
		return typed("File", parse.MapField{Key: "name", Value: v.Name})
	case *parse.Polygon:
		ring := make(parse.Array, len(v.Points))
		for i, pt := range v.Points {
			ring[i] = parse.Array{pt.Latitude, pt.Longitude}
		}
		return typed("Polygon", parse.MapField{Key: "coordinates", Value: ring})
	case *parse.Object:
		return stored(v.Self())
	case parse.Array:
		for i, e := range v {
			if scalar(e) {
				continue
			}
			out := append(make(parse.Array, 0, len(v)), v[:i]...)
			for _, e := range v[i:] {
				out = append(out, stored(e))
			}
			return out
		}
	case *parse.Map:
		for _, e := range v.All() {
			if !scalar(e) {
				return inside(v, stored)
			}
		}
	}
	return v
}

func scalar(v parse.Value) bool {
	switch v.(type) {
	case nil, string, bool, float64, parse.Int, parse.Date:
		return true
	}
	return false
}

// Result turns a document that a pipeline gave into a row of the answer.
func (p *Pipeline) Result(doc *parse.Map) *parse.Map {
	out := &parse.Map{}
	for k, v := range doc.All() {
		if p.o.RawValues {
			v = toEJSON(v)
		}
		if p.o.RawNames {
			out.Set(k, v)
			continue
		}
		switch {
		case k == keyID:
			k, v = parse.KeyObjectID, p.id(v)
		case k == keyCreated:
			k, v = parse.KeyCreatedAt, isoText(v)
		case k == keyUpdated:
			k, v = parse.KeyUpdatedAt, isoText(v)
		case k == parse.KeyCreatedAt, k == parse.KeyUpdatedAt:
			v = isoText(v)
		case strings.HasPrefix(k, pointerKey):
			ptr, ok := pointerOf(v)
			if !ok {
				continue
			}
			k, v = k[len(pointerKey):], ptr
		}
		if plainName(k) || p.o.RawValues {
			out.Set(k, p.wire(k, v))
		}
	}
	if !p.o.RawNames {
		for _, f := range p.relations {
			out.Set(f.Name, parse.Relation{ClassName: f.TargetClass})
		}
	}
	return out
}

// wire gives the value of a row at the name of a field the form that the type
// of the field has on the wire, if it is stored in another.
func (p *Pipeline) wire(name string, v parse.Value) parse.Value {
	if p.o.Class == nil || p.o.RawValues {
		return v
	}
	f := p.o.Class.Field(name)
	if f == nil {
		return v
	}
	switch f.Type {
	case schema.GeoPoint:
		if pt, ok := lonLat(v); ok {
			return pt
		}
	case schema.Polygon:
		m, _ := v.(*parse.Map)
		if ring, ok := polygonOf(m); ok {
			return &parse.Polygon{Points: ring}
		}
	case schema.File:
		if s, ok := v.(string); ok {
			return parse.File{Name: s}
		}
	default: // the others are stored as they are
	}
	return v
}

// id is the objectId of a row.
func (p *Pipeline) id(v parse.Value) parse.Value {
	switch x := v.(type) {
	case string:
		if x == "" {
			return nil
		}
		if _, id, ok := strings.Cut(x, "$"); ok && p.byPointer {
			return id
		}
	case *parse.Map:
		if x.Len() == 0 {
			return nil
		}
	case parse.Array:
		if len(x) == 0 {
			return nil
		}
	}
	return v
}

func isoText(v parse.Value) parse.Value {
	if d, ok := v.(parse.Date); ok {
		return d.String()
	}
	return v
}

func pointerOf(v parse.Value) (parse.Pointer, bool) {
	s, _ := v.(string)
	class, id, ok := strings.Cut(s, "$")
	return parse.Pointer{ClassName: class, ObjectID: id}, ok
}

func plainName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '_'):
		default:
			return false
		}
	}
	return s != ""
}

// DistinctPath returns the stored path of a field by its wire name.
func DistinctPath(c *schema.Class, name string) ([]string, error) {
	path := strings.Split(name, ".")
	for _, part := range path {
		if part == "" || strings.Trim(part, "0123456789") != "" && !plainName(part) {
			return nil, parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s", name)
		}
	}
	path[0] = StoredName(c, path[0])
	return path, nil
}

// DistinctStages returns a pipeline that gives the values of a field as the ids
// of its rows, nil if there is none that does in all cases what [Distinct] does.
func DistinctStages(c *schema.Class, path []string) []Stage {
	if len(path) != 1 {
		return nil
	}
	name := "$" + path[0]
	group := Stage{"$group", parse.NewMap(parse.MapField{Key: keyID, Value: name})}
	field, _ := strings.CutPrefix(path[0], pointerKey)
	f := c.Field(field)
	switch {
	case path[0] == keyID, path[0] == keyCreated, path[0] == keyUpdated:
		return []Stage{group}
	case f == nil:
		return nil
	case f.Type == schema.Array:
		return []Stage{{"$unwind", name}, group}
	case f.Type == schema.String, f.Type == schema.Number, f.Type == schema.Boolean, f.Type == schema.Date, f.Type == schema.Pointer:
		return []Stage{group}
	}
	return nil
}

// Distinct returns the values that documents have at a path, each once, without
// null. Arrays give their elements.
func Distinct(c *schema.Class, path []string, docs []*parse.Map) parse.Array {
	field, isPointer := strings.CutPrefix(path[0], pointerKey)
	p := Pipeline{o: Options{Class: c}}
	asIs := len(path) == 1 && c.Field(field) != nil && c.Field(field).Type == schema.GeoPoint
	out, seen := parse.Array{}, map[string]bool{}
	var key []byte
	for _, doc := range docs {
		values := reach(doc, path)
		if len(values) == 1 && !asIs {
			if list, ok := values[0].(parse.Array); ok {
				values = list
			}
		}
		for _, v := range values {
			if key = appendKey(key[:0], v); absent(v) || seen[string(key)] {
				continue
			}
			seen[string(key)] = true
			switch ptr, ok := pointerOf(v); {
			case ok && isPointer:
				v = ptr
			case len(path) == 1:
				v = p.wire(field, v)
			}
			out = append(out, v)
		}
	}
	return out
}

// StoredName is the stored name of a field by its wire name.
func StoredName(c *schema.Class, name string) string {
	switch name {
	case parse.KeyObjectID:
		return keyID
	case parse.KeyCreatedAt:
		return keyCreated
	case parse.KeyUpdatedAt:
		return keyUpdated
	}
	if c != nil {
		if f := c.Field(name); f != nil && f.Type == schema.Pointer {
			return pointerKey + name
		}
	}
	return name
}
