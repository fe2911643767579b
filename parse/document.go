package parse

import (
	"slices"
	"strings"
)

// A document is the text under which a storage keeps a whole object:
//
//	{"objectId":"…","createdAt":"…","updatedAt":"…","ACL":{…},"field":value,…}
//
// with absent times and ACL left out. It is JSON, so that a database can look
// into it. A first key "_" marks a document with internal fields, which must
// be decoded before it is shown.

// internalMark is the first key of a document with internal fields.
const internalMark = `"_":1,`

// AppendDocument appends the document of o.
func (o *Object) AppendDocument(dst []byte) []byte {
	o.Fields.Load()
	dst = append(dst, '{')
	if slices.ContainsFunc(o.Fields.fields, func(f MapField) bool { return strings.HasPrefix(f.Key, "_") }) {
		dst = append(dst, internalMark...)
	}
	dst = append(dst, `"objectId":`...)
	dst = appendString(dst, o.ID)
	if o.CreatedAt != 0 {
		dst = append(appendDate(append(dst, `,"createdAt":"`...), o.CreatedAt), '"')
	}
	if o.UpdatedAt != 0 {
		dst = append(appendDate(append(dst, `,"updatedAt":"`...), o.UpdatedAt), '"')
	}
	if o.ACL != nil {
		dst = o.ACL.appendJSON(append(dst, `,"ACL":`...))
	}
	for i := range o.Fields.fields {
		dst = append(appendString(append(dst, ','), o.Fields.fields[i].Key), ':')
		dst = AppendJSON(dst, o.Fields.fields[i].Value)
	}
	return append(dst, '}')
}

// DecodeDocument reads what AppendDocument wrote. With lazy, the fields are
// decoded when they are first needed, and copied as they stand into an answer
// that needs none; the object is then for one goroutine until [Map.Load].
// near, if not nil, is an object that may have the same ACL, which is then shared.
func DecodeDocument(class, doc string, lazy bool, near *Object) (*Object, error) {
	d := decoder{s: doc, lim: Limits{Depth: 10_000, Keys: 1 << 30, Values: 1 << 30}}
	o := &Object{ClassName: class}
	if !d.eat("{") {
		return nil, d.unexpected()
	}
	internal := d.eat(internalMark)
	if !d.eat(`"objectId":"`) {
		return nil, d.unexpected()
	}
	d.i-- // back on the quote
	var err error
	if o.ID, err = d.string(); err != nil {
		return nil, err
	}
	if o.CreatedAt, err = d.time(`,"createdAt":"`); err != nil {
		return nil, err
	}
	if o.UpdatedAt, err = d.time(`,"updatedAt":"`); err != nil {
		return nil, err
	}
	if d.eat(`,"ACL":`) {
		start := d.i
		if !d.skip() {
			return nil, d.unexpected()
		}
		text := d.s[start:d.i]
		if near != nil && near.aclText == text {
			o.ACL = near.ACL
		} else {
			d.i = start
			d.begin()
			v, err := d.value(0)
			d.end()
			if err != nil {
				return nil, err
			}
			if o.ACL, err = ACLFromValue(v); err != nil {
				return nil, err
			}
		}
		o.aclText = text
	}
	if d.eat("}") {
		return o, nil
	}
	if !d.eat(",") {
		return nil, d.unexpected()
	}
	o.Fields.raw = d.s[d.i : len(d.s)-1]
	if internal || !lazy {
		return o, o.Fields.load()
	}
	return o, nil
}

// eat consumes a literal text if it is next.
func (d *decoder) eat(text string) bool {
	if !strings.HasPrefix(d.s[d.i:], text) {
		return false
	}
	d.i += len(text)
	return true
}

// time reads a time behind its key; 0 if the key is not there.
func (d *decoder) time(key string) (Date, error) {
	if !d.eat(key) {
		return 0, nil
	}
	end := strings.IndexByte(d.s[d.i:], '"')
	if end < 0 {
		return 0, d.unexpected()
	}
	date, ok := ParseDate(d.s[d.i : d.i+end])
	if !ok {
		return 0, d.unexpected()
	}
	d.i += end + 1
	return date, nil
}

// skip moves behind the value at d.i of a text that is known to be JSON.
func (d *decoder) skip() bool {
	depth := 0
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case '"':
			if !d.skipString() {
				return false
			}
			if depth == 0 {
				return true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return true // the end of what holds a number or a word
			}
			if depth--; depth == 0 {
				d.i++
				return true
			}
		case ',':
			if depth == 0 {
				return true
			}
		}
		d.i++
	}
	return depth == 0
}

func (d *decoder) skipString() bool {
	d.i++
	for {
		n := strings.IndexByte(d.s[d.i:], '"')
		if n < 0 {
			return false
		}
		slashes := 0
		for slashes < n && d.s[d.i+n-1-slashes] == '\\' {
			slashes++
		}
		d.i += n + 1
		if slashes%2 == 0 {
			return true
		}
	}
}

// eachRaw calls f with each key of a text of fields and the bounds of its
// value, until f returns false.
func eachRaw(raw string, f func(key string, start, from, to int) bool) {
	d := decoder{s: raw}
	for d.i < len(raw) {
		start := d.i
		key, err := d.string()
		if err != nil || !d.eat(":") {
			return
		}
		from := d.i
		if !d.skip() || !f(key, start, from, d.i) {
			return
		}
		d.i++ // the comma
	}
}

// rawGet decodes one field of a text of fields.
func rawGet(raw, key string) (v Value, ok bool) {
	eachRaw(raw, func(k string, _, from, to int) bool {
		if k != key {
			return true
		}
		d := decoder{s: raw[from:to], lim: Limits{Depth: 10_000, Keys: 1 << 30, Values: 1 << 30}}
		d.begin()
		defer d.end()
		var err error
		v, err = d.value(0)
		ok = err == nil
		return false
	})
	return v, ok
}

// Lazy reports whether the fields are yet to be decoded. None of them is
// internal then.
func (m *Map) Lazy() bool { return m != nil && m.raw != "" }

// Load decodes the fields if they are not decoded yet, after which the map may
// be read by many goroutines. A storage's own text does not fail to decode;
// should it be damaged, what can be read remains.
func (m *Map) Load() {
	if m != nil && m.raw != "" {
		_ = m.load()
	}
}

// Pack puts decoded fields back into text, which takes a small part of the
// memory of many values, and tells whether it did: they are then as those of
// [DecodeDocument] with lazy. Internal fields cannot stand in the text.
func (m *Map) Pack() bool {
	if m.raw != "" || len(m.fields) == 0 {
		return false
	}
	for i := range m.fields {
		if strings.HasPrefix(m.fields[i].Key, "_") {
			return false
		}
	}
	text, _ := m.appendVisible(nil, false, false)
	*m = Map{raw: string(text)}
	return true
}

func (m *Map) load() error {
	d := decoder{s: m.raw, lim: Limits{Depth: 10_000, Keys: 1 << 30, Values: 1 << 30}}
	d.begin()
	defer d.end()
	set := m.fields
	m.raw, m.index, m.fields, m.shared = "", nil, make([]MapField, 0, 12), false
	for {
		if d.i >= len(d.s) || d.s[d.i] != '"' {
			return d.unexpected()
		}
		key, err := d.string()
		if err != nil {
			return err
		}
		if !d.eat(":") {
			return d.unexpected()
		}
		v, err := d.value(0)
		if err != nil {
			return err
		}
		m.Set(key, v)
		if d.i >= len(d.s) {
			break
		}
		if !d.eat(",") {
			return d.unexpected()
		}
	}
	for _, f := range set {
		m.Set(f.Key, f.Value)
	}
	return nil
}

// appendRaw appends the fields of an undecoded map: its text, with what was set
// since in the place of what it replaces.
func (m *Map) appendRaw(dst []byte) []byte {
	if len(m.fields) == 0 {
		return append(dst, m.raw...)
	}
	written := make([]bool, len(m.fields))
	done := 0
	eachRaw(m.raw, func(key string, _, from, to int) bool {
		if i := m.find(key); i >= 0 {
			dst = append(dst, m.raw[done:from]...)
			dst = AppendJSON(dst, m.fields[i].Value)
			written[i], done = true, to
		}
		return true
	})
	dst = append(dst, m.raw[done:]...)
	for i := range m.fields {
		if !written[i] && !strings.HasPrefix(m.fields[i].Key, "_") {
			dst = append(appendString(append(dst, ','), m.fields[i].Key), ':')
			dst = AppendJSON(dst, m.fields[i].Value)
		}
	}
	return dst
}
