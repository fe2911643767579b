package parse

import (
	"bytes"
	"strings"
)

const (
	// signBytes is what a value costs at most for each sign of JSON that begins
	// or parts values: an object of one key, which holds another, is the dearest.
	signBytes = 160
	// slotBytes is what a value of a list takes, and fieldBytes one of an object.
	slotBytes, fieldBytes = 16, 32
	// headBytes is what a list, an object or a text takes beside its parts.
	headBytes = 64
	// numberBytes is what a number takes.
	numberBytes = 8
)

// DecodedSize is about how many bytes the values of a JSON text take at most,
// found without decoding it.
func DecodedSize(text []byte) int {
	return len(text) + signBytes*(bytes.Count(text, []byte{','})+bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}))
}

// Size is about how many bytes a change keeps from being used otherwise. What
// is still undecoded counts as if it were decoded, since it may be at any time.
func (c *Change) Size() int {
	n := 2*headBytes + c.Before.size() + c.After.size()
	for field, ids := range c.Related {
		n += len(field) + fieldBytes
		for _, id := range ids {
			n += len(id) + slotBytes
		}
	}
	return n
}

func (o *Object) size() int {
	if o == nil {
		return 0
	}
	return o.Size() + decodedMore(o.Fields.raw)
}

// Size is about how many bytes an object takes as it is: of what is still
// undecoded, the text counts.
func (o *Object) Size() int {
	n := 3*headBytes + len(o.ID) + len(o.aclText) + o.Fields.kept()
	if o.ACL != nil {
		n += len(o.ACL.entries) * (headBytes + fieldBytes)
	}
	return n
}

func (m *Map) size() int { return m.kept() + decodedMore(m.raw) }

// decodedMore is what the values of a text take beyond the text at most.
func decodedMore(text string) int {
	if text == "" {
		return 0
	}
	return signBytes * (strings.Count(text, ",") + strings.Count(text, "{") + strings.Count(text, "["))
}

// kept is what a map takes, undecoded text as it is.
func (m *Map) kept() int {
	n := headBytes + len(m.raw)
	n += fieldBytes * cap(m.fields)
	for i := range m.fields {
		n += len(m.fields[i].Key) + SizeOf(m.fields[i].Value)
	}
	return n + fieldBytes*len(m.index)
}

// SizeOf is about how many bytes a value keeps from being used otherwise.
func SizeOf(v Value) int {
	switch v := v.(type) {
	case string:
		return len(v) + slotBytes
	case Bytes:
		return len(v) + headBytes
	case Array:
		n := headBytes
		n += slotBytes * cap(v)
		for _, e := range v {
			n += SizeOf(e)
		}
		return n
	case *Map:
		if v == nil {
			return 0
		}
		return v.size()
	case *Object:
		return v.size()
	case Date:
		return headBytes // it keeps a part of what it was read from
	case Pointer:
		return len(v.ClassName) + len(v.ObjectID) + headBytes
	case File:
		return len(v.Name) + len(v.URL) + headBytes
	case Relation:
		return len(v.ClassName) + slotBytes
	case *Polygon:
		return headBytes + slotBytes*len(v.Points)
	}
	return numberBytes
}
