package parse

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bound what [Decode] accepts. A zero field means its default.
type Limits struct {
	Depth int // nesting of arrays and objects; default 128
	Keys  int // keys of one object; default 10,000
	// Values bounds the values of all arrays and objects together; default
	// 1,000,000. Small ones take many times what their text does.
	Values int
	Bytes  int // length of the input; default no bound, the edge limits bodies
}

// DefaultLimits are the limits of a request body.
var DefaultLimits = Limits{Depth: 128, Keys: 10_000, Values: 1_000_000}

// SyntaxError is malformed JSON.
type SyntaxError struct {
	Offset  int
	Message string
}

// Error implements error.
func (e *SyntaxError) Error() string { return e.Message }

// Decode reads one JSON value in Parse's wire form: objects with a known,
// well-formed __type become [Date], [Pointer] and so on; everything else,
// atomic operations included, stays as it is. The value shares no memory with
// data. Errors are *SyntaxError, and *Error 107 for JSON beyond the limits.
func Decode(data []byte, lim Limits) (Value, error) {
	if lim.Depth == 0 {
		lim.Depth = DefaultLimits.Depth
	}
	if lim.Keys == 0 {
		lim.Keys = DefaultLimits.Keys
	}
	if lim.Values == 0 {
		lim.Values = DefaultLimits.Values
	}
	if lim.Bytes > 0 && len(data) > lim.Bytes {
		return nil, Errorf(InvalidJSON, "JSON is too large")
	}
	// One copy of the input, of which all plain strings are parts.
	d := decoder{s: string(data), lim: lim}
	d.begin()
	defer d.end()
	d.space()
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	d.space()
	if d.i < len(d.s) {
		return nil, d.unexpected()
	}
	return v, nil
}

// DecodeMap reads a JSON object; anything else gives error 107.
func DecodeMap(data []byte, lim Limits) (*Map, error) {
	v, err := Decode(data, lim)
	if err != nil {
		return nil, err
	}
	m, ok := v.(*Map)
	if !ok {
		return nil, Errorf(InvalidJSON, "expected a JSON object")
	}
	return m, nil
}

type decoder struct {
	s   string
	i   int
	n   int // values of arrays and objects so far
	lim Limits
	*scratch
}

// scratch has the fields and the values of what is being read, one object or
// array behind the one it is part of: each is made when its size is known.
type scratch struct {
	fields []MapField
	values []Value
}

// maxScratch bounds what of a scratch is kept.
const maxScratch = 1 << 10

var scratches = sync.Pool{New: func() any { return &scratch{make([]MapField, 0, 32), make([]Value, 0, 32)} }}

// begin and end bound the reading of values.
func (d *decoder) begin() { d.scratch = scratches.Get().(*scratch) }

func (d *decoder) end() {
	s := d.scratch
	d.scratch = nil
	if cap(s.fields) > maxScratch || cap(s.values) > maxScratch {
		return
	}
	clear(s.fields) // of what was given up at an error
	clear(s.values)
	s.fields, s.values = s.fields[:0], s.values[:0]
	scratches.Put(s)
}

func (d *decoder) space() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

func (d *decoder) unexpected() error {
	if d.i >= len(d.s) {
		return &SyntaxError{d.i, "Unexpected end of JSON input"}
	}
	r, _ := utf8.DecodeRuneInString(d.s[d.i:])
	return &SyntaxError{d.i, fmt.Sprintf("Unexpected token %q in JSON at position %d", r, d.i)}
}

func (d *decoder) literal(word string, v Value) (Value, error) {
	if !strings.HasPrefix(d.s[d.i:], word) {
		return nil, d.unexpected()
	}
	d.i += len(word)
	return v, nil
}

func (d *decoder) value(depth int) (Value, error) {
	if d.i >= len(d.s) {
		return nil, d.unexpected()
	}
	switch c := d.s[d.i]; {
	case c == '"':
		s, err := d.string()
		if err != nil {
			return nil, err
		}
		return s, nil
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	case c == 't':
		return d.literal("true", true)
	case c == 'f':
		return d.literal("false", false)
	case c == 'n':
		return d.literal("null", nil)
	}
	return nil, d.unexpected()
}

func (d *decoder) tooDeep(depth int) error {
	if depth >= d.lim.Depth {
		return Errorf(InvalidJSON, "JSON is nested deeper than %d levels", d.lim.Depth)
	}
	return nil
}

// another counts a value of an array or object.
func (d *decoder) another() error {
	if d.n++; d.n > d.lim.Values {
		return Errorf(InvalidJSON, "JSON has more than %d values", d.lim.Values)
	}
	return nil
}

func (d *decoder) array(depth int) (Value, error) {
	if err := d.tooDeep(depth); err != nil {
		return nil, err
	}
	d.i++
	d.space()
	if d.i < len(d.s) && d.s[d.i] == ']' {
		d.i++
		return Array{}, nil
	}
	begun := len(d.values)
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		d.values = append(d.values, v)
		if err := d.another(); err != nil {
			return nil, err
		}
		d.space()
		switch {
		case d.i < len(d.s) && d.s[d.i] == ',':
			d.i++
			d.space()
		case d.i < len(d.s) && d.s[d.i] == ']':
			d.i++
			out := append(make(Array, 0, len(d.values)-begun), d.values[begun:]...)
			clear(d.values[begun:])
			d.values = d.values[:begun]
			return out, nil
		default:
			return nil, d.unexpected()
		}
	}
}

func (d *decoder) object(depth int) (Value, error) {
	if err := d.tooDeep(depth); err != nil {
		return nil, err
	}
	d.i++
	d.space()
	if d.i < len(d.s) && d.s[d.i] == '}' {
		d.i++
		return &Map{}, nil
	}
	begun := len(d.fields)
	var m *Map // of an object that is large enough for an index
	for {
		if d.i >= len(d.s) || d.s[d.i] != '"' {
			return nil, d.unexpected()
		}
		key, err := d.string()
		if err != nil {
			return nil, err
		}
		d.space()
		if d.i >= len(d.s) || d.s[d.i] != ':' {
			return nil, d.unexpected()
		}
		d.i++
		d.space()
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n := 0
		if m == nil {
			if n = d.set(begun, key, v); n == indexFrom {
				m = d.take(begun)
			}
		} else {
			m.Set(key, v)
			n = len(m.fields)
		}
		if n > d.lim.Keys {
			return nil, Errorf(InvalidJSON, "a JSON object has more than %d keys", d.lim.Keys)
		}
		if err := d.another(); err != nil {
			return nil, err
		}
		d.space()
		switch {
		case d.i < len(d.s) && d.s[d.i] == ',':
			d.i++
			d.space()
		case d.i < len(d.s) && d.s[d.i] == '}':
			d.i++
			if m == nil {
				m = d.take(begun)
			}
			return typed(m), nil
		default:
			return nil, d.unexpected()
		}
	}
}

// set puts a field into the object whose fields begin there, and returns how
// many it has.
func (d *decoder) set(begun int, key string, v Value) int {
	own := d.fields[begun:]
	for i := range own {
		if own[i].Key == key {
			own[i].Value = v
			return len(own)
		}
	}
	d.fields = append(d.fields, MapField{key, v})
	return len(own) + 1
}

// take makes the map of the object whose fields begin there.
func (d *decoder) take(begun int) *Map {
	own := d.fields[begun:]
	m := &Map{fields: append(make([]MapField, 0, len(own)), own...)}
	if len(own) >= indexFrom {
		m.reindex()
	}
	clear(own)
	d.fields = d.fields[:begun]
	return m
}

// string reads a string; d.i is at its opening quote.
func (d *decoder) string() (string, error) {
	d.i++
	start := d.i
	for i := start; i < len(d.s); i++ {
		switch c := d.s[i]; {
		case c == '"':
			d.i = i + 1
			return d.s[start:i], nil
		case c == '\\' || c >= utf8.RuneSelf:
			return d.slowString(start, i)
		case c < ' ':
			d.i = i
			return "", &SyntaxError{i, fmt.Sprintf("Bad control character in string literal in JSON at position %d", i)}
		}
	}
	d.i = len(d.s)
	return "", &SyntaxError{d.i, fmt.Sprintf("Unterminated string in JSON at position %d", d.i)}
}

// slowString reads the rest of a string with escapes or non-ASCII letters.
// Invalid UTF-8 and lone surrogates become U+FFFD.
func (d *decoder) slowString(start, i int) (string, error) {
	var b []byte
	from := start // what is before i and from is taken as it stands
	for i < len(d.s) {
		c := d.s[i]
		switch {
		case c == '"':
			d.i = i + 1
			if b == nil {
				return d.s[start:i], nil
			}
			return string(append(b, d.s[from:i]...)), nil
		case c < ' ':
			d.i = i
			return "", &SyntaxError{i, fmt.Sprintf("Bad control character in string literal in JSON at position %d", i)}
		case c == '\\':
			b = append(b, d.s[from:i]...)
			r, n, err := d.escape(i)
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
			i += n
			from = i
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRuneInString(d.s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(b, d.s[from:i]...)
				b = utf8.AppendRune(b, utf8.RuneError)
				from = i + 1
			}
			i += n
		}
	}
	d.i = len(d.s)
	return "", &SyntaxError{d.i, fmt.Sprintf("Unterminated string in JSON at position %d", d.i)}
}

// escape reads the escape at i and tells its length.
func (d *decoder) escape(i int) (rune, int, error) {
	bad := func() (rune, int, error) {
		d.i = i
		return 0, 0, &SyntaxError{i, fmt.Sprintf("Bad escaped character in JSON at position %d", i)}
	}
	if i+1 >= len(d.s) {
		return bad()
	}
	switch d.s[i+1] {
	case '"', '\\', '/':
		return rune(d.s[i+1]), 2, nil
	case 'b':
		return '\b', 2, nil
	case 'f':
		return '\f', 2, nil
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case 'u':
		r, ok := d.hex(i + 2)
		if !ok {
			return bad()
		}
		if !utf16.IsSurrogate(r) {
			return r, 6, nil
		}
		if strings.HasPrefix(d.s[i+6:], `\u`) {
			if low, ok := d.hex(i + 8); ok {
				if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
					return full, 12, nil
				}
			}
		}
		return utf8.RuneError, 6, nil
	}
	return bad()
}

func (d *decoder) hex(i int) (rune, bool) {
	if i+4 > len(d.s) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(d.s[i : i+4]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// maxExact is the largest integer up to which every integer is a double.
const maxExact = 1 << 53

func (d *decoder) number() (Value, error) {
	start := d.i
	digits := func() bool {
		from := d.i
		for d.i < len(d.s) && d.s[d.i] >= '0' && d.s[d.i] <= '9' {
			d.i++
		}
		return d.i > from
	}
	if d.s[d.i] == '-' {
		d.i++
	}
	first := d.i
	if !digits() || d.s[first] == '0' && d.i > first+1 {
		return nil, d.unexpected()
	}
	whole := true
	if d.i < len(d.s) && d.s[d.i] == '.' {
		whole = false
		d.i++
		if !digits() {
			return nil, d.unexpected()
		}
	}
	if d.i < len(d.s) && (d.s[d.i] == 'e' || d.s[d.i] == 'E') {
		whole = false
		d.i++
		if d.i < len(d.s) && (d.s[d.i] == '+' || d.s[d.i] == '-') {
			d.i++
		}
		if !digits() {
			return nil, d.unexpected()
		}
	}
	text := d.s[start:d.i]
	if whole && len(text) <= 15 {
		// Fits a double exactly and needs no general parser.
		var n int64
		for _, c := range []byte(d.s[first:d.i]) {
			n = n*10 + int64(c-'0')
		}
		if text[0] == '-' {
			n = -n
		}
		return float64(n), nil
	}
	if whole {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return integer(n), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && math.IsInf(f, 0) {
		return nil, &SyntaxError{start, fmt.Sprintf("number out of range in JSON at position %d", start)}
	}
	return f, nil
}

// typed turns a map with a known and well-formed __type into its value.
func typed(m *Map) Value {
	if m.Len() < 2 {
		return m
	}
	switch m.String("__type") {
	case "Date":
		if iso, ok := m.Get("iso"); ok {
			if s, ok := iso.(string); ok {
				if d, ok := ParseDate(s); ok {
					return d
				}
			}
		}
	case "Pointer":
		if c, id := m.String("className"), m.String("objectId"); c != "" && id != "" {
			return Pointer{c, id}
		}
	case "Relation":
		if c := m.String("className"); c != "" {
			return Relation{c}
		}
	case "GeoPoint":
		if p, ok := geoPoint(m); ok {
			return p
		}
	case "Polygon":
		if c, ok := m.Get("coordinates"); ok {
			if p, ok := polygon(c); ok {
				return p
			}
		}
	case "File":
		if n := m.String("name"); n != "" {
			return File{Name: n, URL: m.String("url")}
		}
	case "Bytes":
		if v, ok := m.Get("base64"); ok {
			if s, ok := v.(string); ok {
				if b, err := base64.StdEncoding.DecodeString(s); err == nil {
					return Bytes(b)
				}
			}
		}
	case "Object":
		if o, ok := included(m); ok {
			return o
		}
	}
	return m
}

func geoPoint(m *Map) (GeoPoint, bool) {
	lat, ok1 := m.Get("latitude")
	lng, ok2 := m.Get("longitude")
	la, ok3 := lat.(float64)
	lo, ok4 := lng.(float64)
	return GeoPoint{la, lo}, ok1 && ok2 && ok3 && ok4 && validPoint(la, lo)
}

func validPoint(lat, lng float64) bool {
	return lat >= -90 && lat <= 90 && lng >= -180 && lng <= 180
}

// polygon reads [[lat,lng],…]; at least three different points, the ring is closed.
func polygon(v Value) (*Polygon, bool) {
	list, ok := v.(Array)
	if !ok || len(list) < 3 {
		return nil, false
	}
	p := &Polygon{Points: make([]GeoPoint, 0, len(list)+1)}
	for _, e := range list {
		pair, ok := e.(Array)
		if !ok || len(pair) != 2 {
			if g, isPoint := e.(GeoPoint); isPoint {
				p.Points = append(p.Points, g)
				continue
			}
			return nil, false
		}
		lat, ok1 := pair[0].(float64)
		lng, ok2 := pair[1].(float64)
		if !ok1 || !ok2 || !validPoint(lat, lng) {
			return nil, false
		}
		p.Points = append(p.Points, GeoPoint{lat, lng})
	}
	if p.Points[0] != p.Points[len(p.Points)-1] {
		p.Points = append(p.Points, p.Points[0])
	}
	distinct := map[GeoPoint]bool{}
	for _, g := range p.Points {
		distinct[g] = true
	}
	return p, len(distinct) >= 3
}

// included reads an object as an include or a hook's answer shows it.
func included(m *Map) (*Object, bool) {
	o := &Object{ClassName: m.String("className")}
	if o.ClassName == "" {
		return nil, false
	}
	for k, v := range m.All() {
		switch k {
		case "__type", "className":
		case KeyObjectID:
			s, ok := v.(string)
			if !ok {
				return nil, false
			}
			o.ID = s
		case KeyCreatedAt, KeyUpdatedAt:
			d, ok := v.(Date)
			if s, isString := v.(string); isString {
				d, ok = ParseDate(s)
			}
			if !ok {
				return nil, false
			}
			if k == KeyCreatedAt {
				o.CreatedAt = d
			} else {
				o.UpdatedAt = d
			}
		case KeyACL:
			acl, err := ACLFromValue(v)
			if err != nil {
				return nil, false
			}
			o.ACL = acl
		default:
			if strings.HasPrefix(k, "_") {
				return nil, false // the encoder would leave it out
			}
			o.Fields.Set(k, v)
		}
	}
	return o, true
}
