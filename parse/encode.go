package parse

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the wire form of a value. Numbers are written as
// JavaScript writes them; NaN and infinities, which JSON lacks, as null.
func AppendJSON(dst []byte, v Value) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case float64:
		return appendNumber(dst, v)
	case Int:
		return strconv.AppendInt(dst, int64(v), 10)
	case string:
		return appendString(dst, v)
	case Date:
		dst = append(dst, `{"__type":"Date","iso":"`...)
		return append(appendDate(dst, v), `"}`...)
	case Pointer:
		dst = append(dst, `{"__type":"Pointer","className":`...)
		dst = appendString(dst, v.ClassName)
		dst = append(dst, `,"objectId":`...)
		return append(appendString(dst, v.ObjectID), '}')
	case Relation:
		dst = append(dst, `{"__type":"Relation","className":`...)
		return append(appendString(dst, v.ClassName), '}')
	case GeoPoint:
		dst = append(dst, `{"__type":"GeoPoint","latitude":`...)
		dst = appendNumber(dst, v.Latitude)
		dst = append(dst, `,"longitude":`...)
		return append(appendNumber(dst, v.Longitude), '}')
	case *Polygon:
		dst = append(dst, `{"__type":"Polygon","coordinates":[`...)
		for i, p := range v.Points {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendNumber(append(dst, '['), p.Latitude)
			dst = append(appendNumber(append(dst, ','), p.Longitude), ']')
		}
		return append(dst, "]}"...)
	case File:
		dst = append(dst, `{"__type":"File","name":`...)
		dst = appendString(dst, v.Name)
		if v.URL != "" {
			dst = append(dst, `,"url":`...)
			dst = appendString(dst, v.URL)
		}
		return append(dst, '}')
	case Bytes:
		dst = append(dst, `{"__type":"Bytes","base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, v)
		return append(dst, `"}`...)
	case Array:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendJSON(dst, e)
		}
		return append(dst, ']')
	case *Map:
		return appendMap(dst, v)
	case *Object:
		dst = append(dst, `{"__type":"Object","className":`...)
		dst = appendString(dst, v.ClassName)
		return v.appendRest(dst, true)
	case Op:
		return appendOp(dst, v)
	}
	return append(dst, "null"...)
}

func appendMap(dst []byte, m *Map) []byte {
	dst = append(dst, '{')
	if m != nil {
		m.Load()
		for i := range m.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, m.fields[i].Key), ':')
			dst = AppendJSON(dst, m.fields[i].Value)
		}
	}
	return append(dst, '}')
}

// AppendJSON appends the object as REST answers show it: objectId, the fields,
// createdAt, updatedAt and ACL. Internal fields are left out but for ShowInternal.
func (o *Object) AppendJSON(dst []byte) []byte {
	return o.appendRest(append(dst, '{'), false)
}

// appendRest appends everything after an opening brace or after more is true a first key.
func (o *Object) appendRest(dst []byte, more bool) []byte {
	key := func(name string) {
		if more {
			dst = append(dst, ',')
		}
		more = true
		dst = append(append(append(dst, '"'), name...), `":`...)
	}
	if o.ID != "" {
		key(KeyObjectID)
		dst = appendString(dst, o.ID)
	}
	if o.Fields.raw != "" {
		if more {
			dst = append(dst, ',')
		}
		more = true
		dst = o.Fields.appendRaw(dst)
	} else {
		dst, more = o.Fields.appendVisible(dst, more, o.ShowInternal)
	}
	if o.CreatedAt != 0 {
		key(KeyCreatedAt)
		dst = append(appendDate(append(dst, '"'), o.CreatedAt), '"')
	}
	if o.UpdatedAt != 0 {
		key(KeyUpdatedAt)
		dst = append(appendDate(append(dst, '"'), o.UpdatedAt), '"')
	}
	if o.ACL != nil {
		key(KeyACL)
		dst = o.ACL.appendJSON(dst)
	}
	return append(dst, '}')
}

// appendJSON appends the wire form.
func (a *ACL) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, e := range a.entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, e.Subject), ":{"...)
		if e.Read {
			dst = append(dst, `"read":true`...)
		}
		if e.Write {
			if e.Read {
				dst = append(dst, ',')
			}
			dst = append(dst, `"write":true`...)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendVisible appends the fields, internal ones only if asked for, and tells
// whether anything stands before what comes next.
func (m *Map) appendVisible(dst []byte, more, internal bool) ([]byte, bool) {
	for i := range m.fields {
		f := &m.fields[i]
		if !internal && f.Key != "" && f.Key[0] == '_' {
			continue
		}
		if more {
			dst = append(dst, ',')
		}
		more = true
		dst = append(appendString(dst, f.Key), ':')
		dst = AppendJSON(dst, f.Value)
	}
	return dst, more
}

// AppendFields appends the fields alone as a JSON object, internal ones
// included: the form in which storages keep them.
func (o *Object) AppendFields(dst []byte) []byte { return appendMap(dst, &o.Fields) }

// appendDate writes 2006-01-02T15:04:05.000Z without the general formatter.
func appendDate(dst []byte, d Date) []byte {
	t := d.Time()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return append(dst, d.String()...)
	}
	hour, minute, sec := t.Clock()
	two := func(n int) { dst = append(dst, byte('0'+n/10), byte('0'+n%10)) }
	two(year / 100)
	two(year % 100)
	dst = append(dst, '-')
	two(int(month))
	dst = append(dst, '-')
	two(day)
	dst = append(dst, 'T')
	two(hour)
	dst = append(dst, ':')
	two(minute)
	dst = append(dst, ':')
	two(sec)
	ms := t.Nanosecond() / 1e6
	dst = append(dst, '.', byte('0'+ms/100))
	two(ms % 100)
	return append(dst, 'Z')
}

// appendNumber writes a number as JSON.stringify does.
func appendNumber(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(dst, "null"...)
	case f == 0:
		return append(dst, '0') // also for -0
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return strconv.AppendInt(dst, int64(f), 10)
	}
	abs := math.Abs(f)
	if abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// Go writes at least two digits of exponent, JavaScript as few as needed.
	if n := len(dst); n >= 4 && dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendString writes a quoted string, escaping what JSON must and nothing else.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// appendOp writes an operation in its wire form.
func appendOp(dst []byte, op Op) []byte {
	list := func(name string, objects Array) []byte {
		dst = append(append(append(dst, `{"__op":"`...), name...), `","objects":`...)
		return append(AppendJSON(dst, objects), '}')
	}
	pointers := func(ps []Pointer) Array {
		a := make(Array, len(ps))
		for i, p := range ps {
			a[i] = p
		}
		return a
	}
	switch op := op.(type) {
	case Increment:
		dst = append(dst, `{"__op":"Increment","amount":`...)
		return append(appendNumber(dst, op.Amount), '}')
	case Add:
		return list("Add", op.Objects)
	case AddUnique:
		return list("AddUnique", op.Objects)
	case Remove:
		return list("Remove", op.Objects)
	case AddRelation:
		return list("AddRelation", pointers(op.Objects))
	case RemoveRelation:
		return list("RemoveRelation", pointers(op.Objects))
	case Batch:
		dst = append(dst, `{"__op":"Batch","ops":[`...)
		for i, o := range op.Ops {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendOp(dst, o)
		}
		return append(dst, "]}"...)
	}
	return append(dst, `{"__op":"Delete"}`...)
}
