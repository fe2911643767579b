package migrate

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Sum is the hash of a set: that of its elements added up, whatever their order.
type Sum [2]uint64

// add puts an element in.
func (s *Sum) add(canonical []byte) {
	h := sha256.Sum256(canonical)
	s[0] += binary.LittleEndian.Uint64(h[:8])
	s[1] += binary.LittleEndian.Uint64(h[8:16])
}

// String returns the hash in hexadecimal.
func (s Sum) String() string {
	b := binary.BigEndian.AppendUint64(nil, s[0])
	return hex.EncodeToString(binary.BigEndian.AppendUint64(b, s[1]))
}

// nameless reports whether the objects of a class are known by what they hold:
// Parse Server gives them neither ids nor dates that last.
func nameless(class string) bool { return class == "_Hooks" }

// undated reports whether the objects of a class have no dates everywhere.
func undated(class string) bool { return nameless(class) || schema.IsSingleton(class) }

// canonical appends an object in a form that is the same for all databases.
func canonical(dst []byte, o *parse.Object) []byte {
	if !nameless(o.ClassName) {
		dst = appendText(dst, o.ID)
	}
	if !undated(o.ClassName) {
		dst = binary.AppendVarint(dst, int64(o.CreatedAt))
		dst = binary.AppendVarint(dst, int64(o.UpdatedAt))
	}
	dst = appendACL(dst, o.ACL)
	return appendMap(dst, &o.Fields, true)
}

// Tags before values, so that no two of different types look alike.
const (
	tagNull = iota
	tagFalse
	tagTrue
	tagNumber
	tagText
	tagDate
	tagPointer
	tagRelation
	tagGeoPoint
	tagPolygon
	tagFile
	tagBytes
	tagArray
	tagMap
	tagNoACL
	tagACL
	tagOther
)

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendNumber(dst []byte, f float64) []byte {
	if f == 0 {
		f = 0 // not the negative one
	}
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(f))
}

func appendACL(dst []byte, a *parse.ACL) []byte {
	if a == nil {
		return append(dst, tagNoACL)
	}
	dst = append(dst, tagACL)
	entries := slices.Clone(a.Entries())
	slices.SortFunc(entries, func(a, b parse.ACLEntry) int { return strings.Compare(a.Subject, b.Subject) })
	for _, e := range entries {
		dst = appendText(dst, e.Subject)
		dst = appendFlag(appendFlag(dst, e.Read), e.Write)
	}
	return dst
}

func appendFlag(dst []byte, b bool) []byte {
	if b {
		return append(dst, tagTrue)
	}
	return append(dst, tagFalse)
}

// appendMap appends an object with its keys in order; of the fields of a class
// those that are null count as missing.
func appendMap(dst []byte, m *parse.Map, top bool) []byte {
	keys := make([]string, 0, m.Len())
	for k, v := range m.All() {
		if _, relation := v.(parse.Relation); top && (v == nil || relation) {
			continue
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dst = append(dst, tagMap)
	dst = binary.AppendUvarint(dst, uint64(len(keys)))
	for _, k := range keys {
		v, _ := m.Get(k)
		dst = appendValue(appendText(dst, k), v)
	}
	return dst
}

func appendValue(dst []byte, v parse.Value) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, tagNull)
	case bool:
		return appendFlag(dst, v)
	case float64:
		return appendNumber(append(dst, tagNumber), v)
	case parse.Int:
		return appendNumber(append(dst, tagNumber), float64(v))
	case string:
		return appendText(append(dst, tagText), v)
	case parse.Date:
		return binary.AppendVarint(append(dst, tagDate), int64(v))
	case parse.Pointer:
		return appendText(appendText(append(dst, tagPointer), v.ClassName), v.ObjectID)
	case parse.Relation:
		return appendText(append(dst, tagRelation), v.ClassName)
	case parse.GeoPoint:
		return appendNumber(appendNumber(append(dst, tagGeoPoint), v.Latitude), v.Longitude)
	case *parse.Polygon:
		dst = binary.AppendUvarint(append(dst, tagPolygon), uint64(len(v.Points)))
		for _, p := range v.Points {
			dst = appendNumber(appendNumber(dst, p.Latitude), p.Longitude)
		}
		return dst
	case parse.File:
		return appendText(append(dst, tagFile), v.Name)
	case parse.Bytes:
		return appendText(append(dst, tagBytes), string(v))
	case parse.Array:
		dst = binary.AppendUvarint(append(dst, tagArray), uint64(len(v)))
		for _, el := range v {
			dst = appendValue(dst, el)
		}
		return dst
	case *parse.Map:
		return appendMap(dst, v, false)
	case *parse.Object:
		dst = appendText(append(dst, tagOther), v.ClassName)
		return canonical(dst, v)
	}
	return fmt.Appendf(append(dst, tagOther), "%T %v", v, v)
}

// size is about how many bytes an object takes.
func size(v parse.Value) int {
	switch v := v.(type) {
	case string:
		return 16 + len(v)
	case parse.Bytes:
		return 24 + len(v)
	case parse.Array:
		n := 24
		for _, el := range v {
			n += size(el)
		}
		return n
	case *parse.Map:
		n := 24
		for k, el := range v.All() {
			n += 16 + len(k) + size(el)
		}
		return n
	case *parse.Polygon:
		return 24 + 16*len(v.Points)
	case *parse.Object:
		return 128 + size(&v.Fields)
	}
	return 24
}
