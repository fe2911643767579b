package aggregate

import (
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

// Document returns an object in its stored form. Internal fields of the object
// (password hashes, tokens) stay out.
func Document(o *parse.Object) *parse.Map {
	m := parse.NewMap(parse.MapField{Key: keyID, Value: o.ID})
	if o.CreatedAt != 0 {
		m.Set(keyCreated, o.CreatedAt)
	}
	if o.UpdatedAt != 0 {
		m.Set(keyUpdated, o.UpdatedAt)
	}
	if o.ACL != nil {
		m.Set("_rperm", texts(o.ACL.Subjects(false)))
		m.Set("_wperm", texts(o.ACL.Subjects(true)))
	}
	for k, v := range o.Fields.All() {
		switch x := v.(type) {
		case parse.Pointer:
			k, v = pointerKey+k, x.ClassName+"$"+x.ObjectID
		case *parse.Object:
			p := x.Self()
			k, v = pointerKey+k, p.ClassName+"$"+p.ObjectID
		case parse.Relation:
			continue
		default:
			if strings.HasPrefix(k, "_") {
				continue
			}
		}
		m.Set(k, v)
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
			out.Set(k, v)
		}
	}
	if !p.o.RawNames {
		for _, f := range p.relations {
			out.Set(f.Name, parse.Relation{ClassName: f.TargetClass})
		}
	}
	return out
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

// Distinct returns the values that documents have at a field by its wire name,
// each once, without null. Arrays give their elements.
func Distinct(c *schema.Class, name string, docs []*parse.Map) (parse.Array, error) {
	path := strings.Split(name, ".")
	for _, part := range path {
		if part == "" || strings.Trim(part, "0123456789") != "" && !plainName(part) {
			return nil, parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s", name)
		}
	}
	path[0] = storedName(c, path[0])
	isPointer := strings.HasPrefix(path[0], pointerKey)
	out, seen := parse.Array{}, map[string]bool{}
	var key []byte
	for _, doc := range docs {
		values := reach(doc, path)
		if len(values) == 1 {
			if list, ok := values[0].(parse.Array); ok {
				values = list
			}
		}
		for _, v := range values {
			if key = appendKey(key[:0], v); absent(v) || seen[string(key)] {
				continue
			}
			seen[string(key)] = true
			if isPointer {
				if ptr, ok := pointerOf(v); ok {
					v = ptr
				}
			}
			out = append(out, v)
		}
	}
	return out, nil
}

// storedName is the stored name of a field by its wire name.
func storedName(c *schema.Class, name string) string {
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
