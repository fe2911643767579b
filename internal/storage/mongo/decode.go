package mongo

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

var errMalformed = errors.New("malformed BSON")

func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// element is one key and value of a document; it points into the document.
type element struct {
	key  []byte
	typ  bsoncore.Type
	data []byte
}

// elements walks a document or array. next returns false at the end and on
// malformed input, which err then tells.
type elements struct {
	rest []byte
	err  error
}

func walk(doc []byte) elements {
	if len(doc) < 5 || int(binary.LittleEndian.Uint32(doc)) != len(doc) || doc[len(doc)-1] != 0 {
		return elements{err: errMalformed}
	}
	return elements{rest: doc[4 : len(doc)-1]}
}

func (w *elements) next(el *element) bool {
	if len(w.rest) == 0 || w.err != nil {
		return false
	}
	el.typ = bsoncore.Type(w.rest[0])
	key, rest, ok := bsoncore.ReadKeyBytes(w.rest[1:])
	if !ok {
		w.err = errMalformed
		return false
	}
	v, rest, ok := bsoncore.ReadValue(rest, el.typ)
	if !ok {
		w.err = errMalformed
		return false
	}
	el.key, el.data, w.rest = key, v.Data, rest
	return true
}

// text returns a BSON string's bytes.
func text(data []byte) []byte {
	if len(data) < 5 {
		return nil
	}
	return data[4 : len(data)-1]
}

// integer returns an int64 as the Value that holds it exactly.
func integer(n int64) parse.Value {
	const exact = 1 << 53
	if n >= -exact && n <= exact {
		return float64(n)
	}
	if f := float64(n); f < math.MaxInt64 && int64(f) == n {
		return f
	}
	return parse.Int(n)
}

// value returns a value as it is inside arrays and objects.
func value(typ bsoncore.Type, data []byte, depth int) (parse.Value, error) {
	if depth > 2*maxNesting {
		return nil, fmt.Errorf("%w: nested too deep", errMalformed)
	}
	switch typ {
	case bsoncore.TypeNull, bsoncore.TypeUndefined:
		return nil, nil
	case bsoncore.TypeBoolean:
		return len(data) > 0 && data[0] == 1, nil
	case bsoncore.TypeDouble:
		return math.Float64frombits(binary.LittleEndian.Uint64(data)), nil
	case bsoncore.TypeInt32:
		return float64(int32(binary.LittleEndian.Uint32(data))), nil
	case bsoncore.TypeInt64:
		return integer(int64(binary.LittleEndian.Uint64(data))), nil
	case bsoncore.TypeString, bsoncore.TypeSymbol:
		return string(text(data)), nil
	case bsoncore.TypeDateTime:
		return parse.Date(int64(binary.LittleEndian.Uint64(data))), nil
	case bsoncore.TypeBinary:
		_, b, _, ok := bsoncore.ReadBinary(data)
		if !ok {
			return nil, errMalformed
		}
		return parse.Bytes(append([]byte{}, b...)), nil
	case bsoncore.TypeObjectID:
		return hex.EncodeToString(data), nil
	case bsoncore.TypeDecimal128:
		high, low, _, ok := bsoncore.ReadDecimal128(data)
		if !ok {
			return nil, errMalformed
		}
		f, err := strconv.ParseFloat(bson.NewDecimal128(high, low).String(), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, nil
		}
		return f, nil
	case bsoncore.TypeArray:
		return array(data, depth)
	case bsoncore.TypeEmbeddedDocument:
		m, err := object(data, depth)
		if err != nil {
			return nil, err
		}
		return typedValue(m), nil
	default:
		return nil, fmt.Errorf("a BSON %s is no Parse value", typ)
	}
}

func array(data []byte, depth int) (parse.Array, error) {
	a := parse.Array{}
	w := walk(data)
	var el element
	for w.next(&el) {
		v, err := value(el.typ, el.data, depth+1)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	return a, w.err
}

func object(data []byte, depth int) (*parse.Map, error) {
	m := &parse.Map{}
	w := walk(data)
	var el element
	for w.next(&el) {
		v, err := value(el.typ, el.data, depth+1)
		if err != nil {
			return nil, err
		}
		m.Set(string(el.key), v)
	}
	return m, w.err
}

// typedValue turns an object with a __type into the value it stands for. One
// that is unknown or malformed stays as it is.
func typedValue(m *parse.Map) parse.Value {
	if !m.Has("__type") {
		return m
	}
	switch m.String("__type") {
	case "Pointer":
		class, okC := stringAt(m, "className")
		objectID, okI := stringAt(m, parse.KeyObjectID)
		if okC && okI {
			return parse.Pointer{ClassName: class, ObjectID: objectID}
		}
	case "Date":
		if d, ok := parse.ParseDate(m.String("iso")); ok {
			return d
		}
	case "Relation":
		if class, ok := stringAt(m, "className"); ok {
			return parse.Relation{ClassName: class}
		}
	case "GeoPoint":
		lat, okLat := numberAt(m, "latitude")
		lng, okLng := numberAt(m, "longitude")
		if okLat && okLng {
			return parse.GeoPoint{Latitude: lat, Longitude: lng}
		}
	case "Polygon":
		if points, ok := m.Get("coordinates"); ok {
			if p, ok := polygon(points, false); ok {
				return p
			}
		}
	case "File":
		if name, ok := stringAt(m, "name"); ok {
			return parse.File{Name: name, URL: m.String("url")}
		}
	case "Bytes":
		if s, ok := stringAt(m, "base64"); ok {
			if b, err := base64.StdEncoding.DecodeString(s); err == nil {
				return parse.Bytes(b)
			}
		}
	case "Object":
		return included(m)
	}
	return m
}

// included is the inverse of encoder.object.
func included(m *parse.Map) parse.Value {
	class, ok := stringAt(m, "className")
	if !ok {
		return m
	}
	o := &parse.Object{ClassName: class, ID: m.String(parse.KeyObjectID)}
	for k, v := range m.All() {
		switch k {
		case "__type", "className", parse.KeyObjectID:
		case parse.KeyCreatedAt:
			o.CreatedAt = instant(v)
		case parse.KeyUpdatedAt:
			o.UpdatedAt = instant(v)
		case parse.KeyACL:
			a, err := parse.ACLFromValue(v)
			if err != nil {
				return m
			}
			o.ACL = a
		default:
			o.Fields.Set(k, v)
		}
	}
	return o
}

func instant(v parse.Value) parse.Date {
	switch v := v.(type) {
	case parse.Date:
		return v
	case string:
		d, _ := parse.ParseDate(v)
		return d
	}
	return 0
}

func stringAt(m *parse.Map, key string) (string, bool) {
	v, _ := m.Get(key)
	s, ok := v.(string)
	return s, ok
}

func numberAt(m *parse.Map, key string) (float64, bool) {
	v, _ := m.Get(key)
	f, ok := v.(float64)
	return f, ok
}

// polygon reads a ring of coordinate pairs; GeoJSON has the longitude first.
func polygon(v parse.Value, longitudeFirst bool) (*parse.Polygon, bool) {
	ring, ok := v.(parse.Array)
	if !ok {
		return nil, false
	}
	p := &parse.Polygon{Points: make([]parse.GeoPoint, 0, len(ring))}
	for _, el := range ring {
		var a, b float64
		switch el := el.(type) {
		case parse.GeoPoint:
			p.Points = append(p.Points, el)
			continue
		case parse.Array:
			if len(el) != 2 {
				return nil, false
			}
			var okA, okB bool
			a, okA = el[0].(float64)
			b, okB = el[1].(float64)
			if !okA || !okB {
				return nil, false
			}
		default:
			return nil, false
		}
		if longitudeFirst {
			a, b = b, a
		}
		p.Points = append(p.Points, parse.GeoPoint{Latitude: a, Longitude: b})
	}
	return p, true
}

// fieldValue reads a top-level field in the form that its type has there.
func fieldValue(typ schema.Type, el *element) (parse.Value, error) {
	v, err := value(el.typ, el.data, 1)
	if err != nil {
		return nil, err
	}
	switch typ {
	case schema.GeoPoint:
		if a, ok := v.(parse.Array); ok && len(a) == 2 {
			lng, okLng := a[0].(float64)
			lat, okLat := a[1].(float64)
			if okLng && okLat {
				return parse.GeoPoint{Latitude: lat, Longitude: lng}, nil
			}
		}
	case schema.Polygon:
		if m, ok := v.(*parse.Map); ok && m.String("type") == "Polygon" {
			rings, _ := m.Get("coordinates")
			if a, ok := rings.(parse.Array); ok && len(a) > 0 {
				if p, ok := polygon(a[0], true); ok {
					return p, nil
				}
			}
		}
	case schema.File:
		if s, ok := v.(string); ok {
			return parse.File{Name: s}, nil
		}
	case schema.Bytes:
		if s, ok := v.(string); ok {
			if b, err := base64.StdEncoding.DecodeString(s); err == nil {
				return parse.Bytes(b), nil
			}
		}
	default: // the other types are stored as they are
	}
	return v, nil
}

// stringList reads an array of strings, leaving out anything else.
func stringList(el *element) []string {
	list := []string{}
	if el.typ != bsoncore.TypeArray {
		return list
	}
	w := walk(el.data)
	var item element
	for w.next(&item) {
		if item.typ == bsoncore.TypeString {
			list = append(list, string(text(item.data)))
		}
	}
	return list
}

// decodeObject reads the document of an object.
func decodeObject(class *schema.Class, doc []byte) (*parse.Object, error) {
	o := &parse.Object{ClassName: class.Name}
	var read, write []string
	var auth *parse.Map
	w := walk(doc)
	var el element
	for w.next(&el) {
		var err error
		switch key := el.key; {
		case string(key) == keyID:
			o.ID, err = objectID(&el)
		case string(key) == keyCreatedAt || string(key) == parse.KeyCreatedAt:
			o.CreatedAt, err = date(&el)
		case string(key) == keyUpdatedAt || string(key) == parse.KeyUpdatedAt:
			o.UpdatedAt, err = date(&el)
		case string(key) == keyReadPerm:
			if el.typ != bsoncore.TypeNull {
				read = stringList(&el)
			}
		case string(key) == keyWritePerm:
			if el.typ != bsoncore.TypeNull {
				write = stringList(&el)
			}
		case string(key) == keyACL || string(key) == parse.KeyObjectID:
		case string(key) == authData && class.Name == classUser:
			// Providers are keys of their own; Parse Server ignores this one too.
		default:
			err = setField(o, class, &el, &auth)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s, key %s: %w", class.Name, o.ID, el.key, err)
		}
	}
	if w.err != nil {
		return nil, fmt.Errorf("%s %s: %w", class.Name, o.ID, w.err)
	}
	if auth != nil {
		o.Fields.Set(authData, auth)
	}
	if read != nil || write != nil {
		o.ACL = parse.ACLFromSubjects(read, write)
	}
	return o, nil
}

// setField reads one field of an object.
func setField(o *parse.Object, class *schema.Class, el *element, auth **parse.Map) error {
	if f := class.Fields[string(el.key)]; f != nil {
		// The schema's copy of the name saves an allocation.
		v, err := fieldValue(f.Type, el)
		if err == nil && (v != nil || f.Type != schema.Pointer || !o.Fields.Has(f.Name)) {
			o.Fields.Set(f.Name, v)
		}
		return err
	}
	key := string(el.key)
	if field, ok := strings.CutPrefix(key, prefixPointer); ok {
		v, err := pointerValue(class.Fields[field], el)
		if err == nil && v != nil {
			o.Fields.Set(field, v)
		}
		return err
	}
	v, err := value(el.typ, el.data, 1)
	if err != nil {
		return err
	}
	if provider, ok := strings.CutPrefix(key, prefixAuth); ok && class.Name == classUser {
		if v != nil {
			if *auth == nil {
				*auth = &parse.Map{}
			}
			(*auth).Set(provider, v)
		}
		return nil
	}
	field := wireName(key)
	if f := class.Fields[field]; f != nil && f.Name != key {
		if v, err = fieldValue(f.Type, el); err != nil {
			return err
		}
	}
	o.Fields.Set(field, v)
	return nil
}

// pointerValue reads the text "Class$id" of a pointer field; a null is none.
func pointerValue(f *schema.Field, el *element) (parse.Value, error) {
	switch el.typ {
	case bsoncore.TypeNull:
		return nil, nil
	case bsoncore.TypeString:
		b := text(el.data)
		for i, c := range b {
			if c != '$' {
				continue
			}
			p := parse.Pointer{ObjectID: string(b[i+1:])}
			if f != nil && f.TargetClass == string(b[:i]) {
				p.ClassName = f.TargetClass
			} else {
				p.ClassName = string(b[:i])
			}
			return p, nil
		}
	default: // anything else is malformed
	}
	return nil, errors.New("not a pointer")
}

// objectID reads _id, of whatever type it is.
func objectID(el *element) (string, error) {
	v, err := value(el.typ, el.data, 1)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case parse.Int:
		return strconv.FormatInt(int64(v), 10), nil
	}
	return "", errors.New("neither text nor a number")
}

// date reads a system Date, which very old documents hold as text.
func date(el *element) (parse.Date, error) {
	v, err := value(el.typ, el.data, 1)
	if err != nil {
		return 0, err
	}
	return instant(v), nil
}
