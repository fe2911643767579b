package mongo

import (
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// maxNesting keeps documents below the depth of 100 that MongoDB accepts, with
// room for the levels of a query or an update around them.
const maxNesting = 90

// arrayKeys are the keys of the first array elements.
var arrayKeys = func() (keys [256]string) {
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	return keys
}()

func arrayKey(i int) string {
	if i < len(arrayKeys) {
		return arrayKeys[i]
	}
	return strconv.Itoa(i)
}

// endDocument writes the length of the document or array begun at index.
func endDocument(dst []byte, index int32) []byte {
	dst = append(dst, 0)
	return bsoncore.UpdateLength(dst, index, int32(len(dst))-index)
}

// encoder turns values into BSON. Its first error stays; the bytes are then of no use.
type encoder struct {
	// wire keeps Dates and Bytes inside values as the objects that they are on
	// the wire: the options of a field in _SCHEMA are stored so.
	wire bool
	err  error
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// key checks a key of an object: BSON ends keys with a NUL.
func (e *encoder) key(k string) string {
	if strings.IndexByte(k, 0) >= 0 {
		e.fail(parse.Errorf(parse.InvalidNestedKey, "Nested keys should not contain a NUL character"))
		return ""
	}
	return k
}

// number writes integers of 32 bits as such and everything else as a double,
// as the driver of Parse Server does.
func number(dst []byte, key string, f float64) []byte {
	if i := int32(f); float64(i) == f && (i != 0 || !math.Signbit(f)) {
		return bsoncore.AppendInt32Element(dst, key, i)
	}
	return bsoncore.AppendDoubleElement(dst, key, f)
}

// inner appends a value in the form that it has inside arrays and objects.
func (e *encoder) inner(dst []byte, key string, v parse.Value, depth int) []byte {
	if depth > maxNesting {
		e.fail(parse.Errorf(parse.InvalidJSON, "objects and arrays must not be nested deeper than %d levels", maxNesting))
		return dst
	}
	switch v := v.(type) {
	case nil:
		return bsoncore.AppendNullElement(dst, key)
	case bool:
		return bsoncore.AppendBooleanElement(dst, key, v)
	case float64:
		return number(dst, key, v)
	case parse.Int:
		return bsoncore.AppendInt64Element(dst, key, int64(v))
	case string:
		return bsoncore.AppendStringElement(dst, key, v)
	case parse.Date:
		if e.wire {
			return typed(dst, key, "Date", "iso", v.String())
		}
		return bsoncore.AppendDateTimeElement(dst, key, int64(v))
	case parse.Pointer:
		return pointerDocument(dst, key, v)
	case parse.Relation:
		return typed(dst, key, "Relation", "className", v.ClassName)
	case parse.GeoPoint:
		i, dst := bsoncore.AppendDocumentElementStart(dst, key)
		dst = bsoncore.AppendStringElement(dst, "__type", "GeoPoint")
		dst = number(dst, "latitude", v.Latitude)
		dst = number(dst, "longitude", v.Longitude)
		return endDocument(dst, i)
	case *parse.Polygon:
		i, dst := bsoncore.AppendDocumentElementStart(dst, key)
		dst = bsoncore.AppendStringElement(dst, "__type", "Polygon")
		c, dst := bsoncore.AppendArrayElementStart(dst, "coordinates")
		for n, p := range v.Points {
			dst = coordinates(dst, arrayKey(n), p.Latitude, p.Longitude)
		}
		return endDocument(endDocument(dst, c), i)
	case parse.File:
		i, dst := bsoncore.AppendDocumentElementStart(dst, key)
		dst = bsoncore.AppendStringElement(dst, "__type", "File")
		dst = bsoncore.AppendStringElement(dst, "name", v.Name)
		if v.URL != "" {
			dst = bsoncore.AppendStringElement(dst, "url", v.URL)
		}
		return endDocument(dst, i)
	case parse.Bytes:
		if e.wire {
			return typed(dst, key, "Bytes", "base64", encodeBase64(v))
		}
		return bsoncore.AppendBinaryElement(dst, key, 0, v)
	case parse.Array:
		i, dst := bsoncore.AppendArrayElementStart(dst, key)
		for n, el := range v {
			dst = e.inner(dst, arrayKey(n), el, depth+1)
		}
		return endDocument(dst, i)
	case *parse.Map:
		i, dst := bsoncore.AppendDocumentElementStart(dst, key)
		for k, el := range v.All() {
			dst = e.inner(dst, e.key(k), el, depth+1)
		}
		return endDocument(dst, i)
	case *parse.Object:
		return e.object(dst, key, v, depth)
	}
	e.fail(parse.Errorf(parse.IncorrectType, "a %T cannot be stored", v))
	return dst
}

// object appends an included object as it is on the wire.
func (e *encoder) object(dst []byte, key string, o *parse.Object, depth int) []byte {
	i, dst := bsoncore.AppendDocumentElementStart(dst, key)
	dst = bsoncore.AppendStringElement(dst, "__type", "Object")
	dst = bsoncore.AppendStringElement(dst, "className", o.ClassName)
	dst = bsoncore.AppendStringElement(dst, parse.KeyObjectID, o.ID)
	for k, v := range o.Fields.All() {
		dst = e.inner(dst, e.key(k), v, depth+1)
	}
	if o.CreatedAt != 0 {
		dst = bsoncore.AppendStringElement(dst, parse.KeyCreatedAt, o.CreatedAt.String())
	}
	if o.UpdatedAt != 0 {
		dst = bsoncore.AppendStringElement(dst, parse.KeyUpdatedAt, o.UpdatedAt.String())
	}
	if o.ACL != nil {
		dst = e.inner(dst, parse.KeyACL, o.ACL.Value(), depth+1)
	}
	return endDocument(dst, i)
}

// typed appends {__type: name, k: v}.
func typed(dst []byte, key, name, k, v string) []byte {
	i, dst := bsoncore.AppendDocumentElementStart(dst, key)
	dst = bsoncore.AppendStringElement(dst, "__type", name)
	dst = bsoncore.AppendStringElement(dst, k, v)
	return endDocument(dst, i)
}

// pointerDocument appends a pointer as it is inside arrays and objects; the
// order of the keys matters, since equality of documents depends on it.
func pointerDocument(dst []byte, key string, p parse.Pointer) []byte {
	i, dst := bsoncore.AppendDocumentElementStart(dst, key)
	dst = bsoncore.AppendStringElement(dst, "__type", "Pointer")
	dst = bsoncore.AppendStringElement(dst, "className", p.ClassName)
	dst = bsoncore.AppendStringElement(dst, parse.KeyObjectID, p.ObjectID)
	return endDocument(dst, i)
}

// pointerText is the stored form of a pointer field.
func pointerText(p parse.Pointer) string { return p.ClassName + "$" + p.ObjectID }

func coordinates(dst []byte, key string, a, b float64) []byte {
	i, dst := bsoncore.AppendArrayElementStart(dst, key)
	dst = number(dst, "0", a)
	dst = number(dst, "1", b)
	return endDocument(dst, i)
}

// geoJSON appends a Polygon field; GeoJSON has the longitude first.
func geoJSON(dst []byte, key string, p *parse.Polygon) []byte {
	i, dst := bsoncore.AppendDocumentElementStart(dst, key)
	dst = bsoncore.AppendStringElement(dst, "type", "Polygon")
	c, dst := bsoncore.AppendArrayElementStart(dst, "coordinates")
	ring, dst := bsoncore.AppendArrayElementStart(dst, "0")
	for n, pt := range p.Points {
		dst = coordinates(dst, arrayKey(n), pt.Longitude, pt.Latitude)
	}
	return endDocument(endDocument(endDocument(dst, ring), c), i)
}

// pointerStored reports whether a value of a top-level field is stored under
// the pointer key: the schema says so or, where it does not know the field, the value.
func pointerStored(class *schema.Class, field string, v parse.Value) bool {
	switch fieldType(class, field) {
	case schema.Pointer:
		return true
	case 0:
		switch v.(type) {
		case parse.Pointer, *parse.Object:
			return !strings.HasPrefix(field, "_")
		}
	default:
	}
	return false
}

// field appends a top-level field of an object, under its stored key.
func (e *encoder) field(dst []byte, class *schema.Class, field string, v parse.Value) []byte {
	if v == nil && nullIsMissing(class, field) {
		return dst
	}
	if pointerStored(class, field, v) {
		key := e.key(prefixPointer + field)
		switch v := v.(type) {
		case nil:
			// Under the plain key, as Parse Server stores it in new objects: a
			// null under the other one is no value to it.
			return bsoncore.AppendNullElement(dst, e.key(field))
		case parse.Pointer:
			return bsoncore.AppendStringElement(dst, key, pointerText(v))
		case *parse.Object:
			return bsoncore.AppendStringElement(dst, key, pointerText(v.Self()))
		}
	}
	key := e.key(storedName(field))
	// The short forms are read back with the help of the schema, so they may
	// be used only where the schema knows the type.
	typ := fieldType(class, field)
	switch v := v.(type) {
	case parse.Relation:
		return dst
	case parse.GeoPoint:
		if typ == schema.GeoPoint {
			return coordinates(dst, key, v.Longitude, v.Latitude)
		}
	case *parse.Polygon:
		if typ == schema.Polygon {
			return geoJSON(dst, key, v)
		}
	case parse.File:
		if typ == schema.File {
			return bsoncore.AppendStringElement(dst, key, v.Name)
		}
	case *parse.Map:
		if isAuthData(class, field) {
			for provider, data := range v.All() {
				if data != nil {
					dst = e.inner(dst, e.key(prefixAuth+provider), data, 1)
				}
			}
			return dst
		}
	}
	return e.inner(dst, key, v, 1)
}

// id appends the objectId.
func id(dst []byte, class, objectID string) []byte {
	if schema.IsSingleton(class) {
		if n, err := strconv.ParseInt(objectID, 10, 32); err == nil {
			return bsoncore.AppendInt32Element(dst, keyID, int32(n))
		}
	}
	return bsoncore.AppendStringElement(dst, keyID, objectID)
}

// undated reports whether the documents of a class have no dates: Parse Server
// would show those of hooks to the world.
func undated(class string) bool { return class == classHooks || schema.IsSingleton(class) }

// subjects appends an array of strings.
func subjects(dst []byte, key string, list []string) []byte {
	i, dst := bsoncore.AppendArrayElementStart(dst, key)
	for n, s := range list {
		dst = bsoncore.AppendStringElement(dst, arrayKey(n), s)
	}
	return endDocument(dst, i)
}

// acl appends the three keys of an ACL.
func (e *encoder) acl(dst []byte, a *parse.ACL) []byte {
	dst = subjects(dst, keyReadPerm, a.Subjects(false))
	dst = subjects(dst, keyWritePerm, a.Subjects(true))
	i, dst := bsoncore.AppendDocumentElementStart(dst, keyACL)
	// Who may write comes first, as Parse Server has it.
	for _, writers := range [...]bool{true, false} {
		for _, entry := range a.Entries() {
			if entry.Write != writers {
				continue
			}
			var j int32
			j, dst = bsoncore.AppendDocumentElementStart(dst, e.key(entry.Subject))
			if entry.Write {
				dst = bsoncore.AppendBooleanElement(dst, "w", true)
			}
			if entry.Read {
				dst = bsoncore.AppendBooleanElement(dst, "r", true)
			}
			dst = endDocument(dst, j)
		}
	}
	return endDocument(dst, i)
}

// encodeObject appends the document of an object.
func encodeObject(dst []byte, class *schema.Class, o *parse.Object) ([]byte, error) {
	var e encoder
	i, dst := bsoncore.AppendDocumentStart(dst)
	if o.ID != "" {
		dst = id(dst, class.Name, o.ID)
	}
	for k, v := range o.Fields.All() {
		dst = e.field(dst, class, k, v)
	}
	if o.CreatedAt != 0 && !undated(class.Name) {
		dst = bsoncore.AppendDateTimeElement(dst, keyCreatedAt, int64(o.CreatedAt))
	}
	if o.UpdatedAt != 0 && !undated(class.Name) {
		dst = bsoncore.AppendDateTimeElement(dst, keyUpdatedAt, int64(o.UpdatedAt))
	}
	if o.ACL != nil {
		dst = e.acl(dst, o.ACL)
	}
	return endDocument(dst, i), e.err
}
