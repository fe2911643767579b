package parse

import (
	"iter"
	"slices"
)

// indexFrom is the number of keys from which a Map keeps an index; below it a
// scan over the slice is faster than hashing.
const indexFrom = 16

// MapField is one key and its value.
type MapField struct {
	Key   string
	Value Value
}

// Map is a JSON object that keeps the order of its keys. The zero value is an
// empty map. It is not safe for concurrent writes; one whose object was decoded
// lazily ([DecodeDocument]) not even for concurrent reads before [Map.Load].
type Map struct {
	fields []MapField
	index  map[string]int // nil below indexFrom keys
	// raw, if not empty, is the text of the fields, as yet undecoded; fields
	// then holds only what was set since, which wins over the text.
	raw string
	// shared: another map has the same list and index, see [Loan] and [Map.Share].
	shared bool
}

// NewMap returns a map of the given fields, in order; a later duplicate key
// replaces the earlier value.
func NewMap(fields ...MapField) *Map {
	m := &Map{fields: make([]MapField, 0, len(fields))}
	for _, f := range fields {
		m.Set(f.Key, f.Value)
	}
	return m
}

// Len returns the number of keys; a nil map has none.
func (m *Map) Len() int {
	if m == nil {
		return 0
	}
	m.Load()
	return len(m.fields)
}

// At returns the i-th field.
func (m *Map) At(i int) MapField {
	m.Load()
	return m.fields[i]
}

func (m *Map) find(key string) int {
	if m == nil {
		return -1
	}
	if m.index != nil {
		if i, ok := m.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range m.fields {
		if m.fields[i].Key == key {
			return i
		}
	}
	return -1
}

// Get returns the value at key; a missing key gives nil, false.
func (m *Map) Get(key string) (Value, bool) {
	if i := m.find(key); i >= 0 {
		return m.fields[i].Value, true
	}
	if m != nil && m.raw != "" {
		return rawGet(m.raw, key)
	}
	return nil, false
}

// Has reports whether key is present, null included.
func (m *Map) Has(key string) bool {
	_, ok := m.Get(key)
	return ok
}

// String returns the string at key, or "" if there is none.
func (m *Map) String(key string) string {
	v, _ := m.Get(key)
	s, _ := v.(string)
	return s
}

// Strings returns the texts in the Array at key; nil if there is none.
func (m *Map) Strings(key string) (out []string) {
	v, _ := m.Get(key)
	a, _ := v.(Array)
	for _, el := range a {
		if s, ok := el.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Grow makes room for n more keys.
func (m *Map) Grow(n int) {
	if !m.shared {
		m.fields = slices.Grow(m.fields, n)
	}
}

// Set puts value at key: in place if the key exists, else at the end.
func (m *Map) Set(key string, value Value) {
	if m.shared {
		m.part()
	}
	if i := m.find(key); i >= 0 {
		m.fields[i].Value = value
		return
	}
	m.fields = append(m.fields, MapField{key, value})
	switch {
	case m.index != nil:
		m.index[key] = len(m.fields) - 1
	case len(m.fields) == indexFrom:
		m.reindex()
	}
}

// Append puts a value at a key that is not there yet. Unlike Set it may be used
// on what was lent: those who have it do not see the key.
func (m *Map) Append(key string, value Value) {
	m.fields = append(m.fields, MapField{key, value})
	if m.index != nil || len(m.fields) >= indexFrom {
		m.reindex()
	}
}

// Delete removes key, keeps the order of the rest, and reports whether it was there.
func (m *Map) Delete(key string) bool {
	m.Load()
	i := m.find(key)
	if i < 0 {
		return false
	}
	// A new slice: a clone may share the old one.
	m.fields = append(append(make([]MapField, 0, len(m.fields)-1), m.fields[:i]...), m.fields[i+1:]...)
	m.shared = false
	if m.index != nil {
		m.reindex()
	}
	return true
}

// part gives a map that shares its list one of its own.
func (m *Map) part() {
	m.fields, m.shared = append(make([]MapField, 0, len(m.fields)+4), m.fields...), false
	if m.index != nil {
		m.reindex()
	}
}

func (m *Map) reindex() {
	m.index = make(map[string]int, len(m.fields)+8)
	for i := range m.fields {
		m.index[m.fields[i].Key] = i
	}
}

// All ranges over the fields in order.
func (m *Map) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if m == nil {
			return
		}
		m.Load()
		for i := range m.fields {
			if !yield(m.fields[i].Key, m.fields[i].Value) {
				return
			}
		}
	}
}

// Share returns a map with the fields of m, which copies the list of them when it
// is changed. m itself must not be changed any more as long as the other is in use.
func (m *Map) Share() *Map {
	m.Load()
	return &Map{fields: m.fields, index: m.index, shared: true}
}

// Clone copies the list of fields; the values, being immutable, are shared.
func (m *Map) Clone() *Map {
	if m == nil {
		return nil
	}
	c := &Map{fields: append(make([]MapField, 0, len(m.fields)+4), m.fields...), raw: m.raw}
	if m.index != nil {
		c.reindex()
	}
	return c
}
