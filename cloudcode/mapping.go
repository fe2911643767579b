package cloudcode

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/pargo-baas/pargo/parse"
)

// Named is implemented by structs that name their class themselves.
type Named interface{ ParseClass() string }

// mapping is how a struct type and the fields of objects correspond. It is
// compiled once for a type.
type mapping struct {
	class  string
	fields []mappedField
}

type mappedField struct {
	name string
	// required: a create sends the field even if it is zero.
	required bool
	index    []int
	codec    *codec
}

// codec turns values of one Go type into those of parse and back.
type codec struct {
	// wants names the type for the error that a client reads.
	wants  string
	decode func(v parse.Value, into reflect.Value) bool
	encode func(v reflect.Value) parse.Value
}

var mappings sync.Map // reflect.Type → *mapping or error

// mappingOf compiles the mapping of a struct type; every mistake in it is named.
func mappingOf(t reflect.Type) (*mapping, error) {
	if m, ok := mappings.Load(t); ok {
		if err, bad := m.(error); bad {
			return nil, err
		}
		return m.(*mapping), nil
	}
	m, err := compileMapping(t, nil)
	if err != nil {
		mappings.Store(t, err)
		return nil, err
	}
	mappings.Store(t, m)
	return m, nil
}

func compileMapping(t reflect.Type, outer []reflect.Type) (*mapping, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is no struct", t)
	}
	if slices.Contains(outer, t) {
		return nil, fmt.Errorf("%s contains itself", t)
	}
	outer = append(slices.Clip(outer), t)
	m := &mapping{class: t.Name()}
	if n, ok := reflect.New(t).Interface().(Named); ok {
		m.class = n.ParseClass()
	}
	var errs []error
	for _, f := range reflect.VisibleFields(t) {
		tag, tagged := f.Tag.Lookup("parse")
		if class, ok := strings.CutPrefix(tag, "class="); ok {
			m.class = class
			continue
		}
		if tag == "-" || !f.IsExported() || f.Anonymous && !tagged {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if options != "" && options != "required" {
			errs = append(errs, fmt.Errorf("field %s of %s: unknown option %q", f.Name, t, options))
			continue
		}
		if name == "" {
			name = wireName(f.Name)
		}
		c, err := codecOf(f.Type, outer)
		if err != nil {
			errs = append(errs, fmt.Errorf("field %s of %s: %w", f.Name, t, err))
			continue
		}
		m.fields = append(m.fields, mappedField{name: name, required: options != "", index: f.Index, codec: c})
	}
	return m, errors.Join(errs...)
}

// wireName is the name of a field without a tag: that of Go with a small first
// letter, or objectId for ID.
func wireName(name string) string {
	if name == "ID" {
		return parse.KeyObjectID
	}
	if name == strings.ToUpper(name) {
		if name == parse.KeyACL {
			return name
		}
		return strings.ToLower(name)
	}
	r := []rune(name)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}

// passed are the types that objects hold themselves.
var passed = map[reflect.Type]string{
	reflect.TypeFor[parse.Date](): "Date", reflect.TypeFor[parse.Pointer](): "Pointer", reflect.TypeFor[parse.GeoPoint](): "GeoPoint",
	reflect.TypeFor[*parse.Polygon](): "Polygon", reflect.TypeFor[parse.File](): "File", reflect.TypeFor[parse.Bytes](): "Bytes",
	reflect.TypeFor[parse.Array](): "Array", reflect.TypeFor[*parse.Map](): "Object", reflect.TypeFor[parse.Relation](): "Relation",
	reflect.TypeFor[*parse.Object](): "Object", reflect.TypeFor[*parse.ACL](): "ACL",
}

func codecOf(t reflect.Type, outer []reflect.Type) (*codec, error) {
	if wants, ok := passed[t]; ok {
		return passing(t, wants), nil
	}
	if t == reflect.TypeFor[time.Time]() {
		return &codec{wants: "Date", decode: func(v parse.Value, into reflect.Value) bool {
			d, ok := v.(parse.Date)
			if ok {
				*into.Addr().Interface().(*time.Time) = d.Time()
			}
			return ok
		}, encode: func(v reflect.Value) parse.Value {
			if v.IsZero() { // no time
				return nil
			}
			return parse.NewDate(v.Interface().(time.Time))
		}}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return &codec{wants: "String", decode: func(v parse.Value, into reflect.Value) bool {
			s, ok := v.(string)
			if ok {
				into.SetString(s)
			}
			return ok
		}, encode: func(v reflect.Value) parse.Value { return v.String() }}, nil
	case reflect.Bool:
		return &codec{wants: "Boolean", decode: func(v parse.Value, into reflect.Value) bool {
			b, ok := v.(bool)
			if ok {
				into.SetBool(b)
			}
			return ok
		}, encode: func(v reflect.Value) parse.Value { return v.Bool() }}, nil
	case reflect.Float64, reflect.Float32:
		return &codec{wants: "Number", decode: func(v parse.Value, into reflect.Value) bool {
			switch n := v.(type) {
			case float64:
				into.SetFloat(n)
			case parse.Int:
				into.SetFloat(float64(n))
			default:
				return false
			}
			return true
		}, encode: func(v reflect.Value) parse.Value { return v.Float() }}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &codec{wants: "whole Number", decode: decodeInt, encode: func(v reflect.Value) parse.Value { return number(v.Int()) }}, nil
	case reflect.Pointer:
		return pointerCodec(t, outer)
	case reflect.Slice:
		return sliceCodec(t, outer)
	case reflect.Map:
		return mapCodec(t, outer)
	case reflect.Struct:
		m, err := compileMapping(t, outer)
		if err != nil {
			return nil, err
		}
		return &codec{wants: "Object", decode: func(v parse.Value, into reflect.Value) bool {
			o, ok := v.(*parse.Map)
			return ok && m.decode(o.Get, into) == nil
		}, encode: func(v reflect.Value) parse.Value { return m.asMap(v) }}, nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return &codec{wants: "any", decode: func(v parse.Value, into reflect.Value) bool {
				into.Set(reflect.ValueOf(v))
				return true
			}, encode: func(v reflect.Value) parse.Value { return v.Interface() }}, nil
		}
	default:
	}
	return nil, fmt.Errorf("the type %s has no counterpart in Parse", t)
}

// number is an integer as objects hold it.
func number(n int64) parse.Value {
	if f := float64(n); int64(f) == n && n <= 1<<53 && n >= -(1<<53) {
		return f
	}
	return parse.Int(n)
}

func decodeInt(v parse.Value, into reflect.Value) bool {
	var n int64
	switch v := v.(type) {
	case float64:
		if n = int64(v); float64(n) != v || v >= 1<<63 {
			return false
		}
	case parse.Int:
		n = int64(v)
	default:
		return false
	}
	if into.OverflowInt(n) {
		return false
	}
	into.SetInt(n)
	return true
}

func passing(t reflect.Type, wants string) *codec {
	return &codec{wants: wants, decode: func(v parse.Value, into reflect.Value) bool {
		if o, ok := v.(*parse.Object); ok && wants == "Pointer" { // an included one
			v = o.Self()
		}
		rv := reflect.ValueOf(v)
		if !rv.IsValid() || rv.Type() != t {
			return false
		}
		into.Set(rv)
		return true
	}, encode: func(v reflect.Value) parse.Value {
		// A pointer to nothing is none, be it of Go or of Parse.
		if v.IsZero() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice || wants == "Pointer") {
			return nil
		}
		return v.Interface()
	}}
}

func pointerCodec(t reflect.Type, outer []reflect.Type) (*codec, error) {
	inner, err := codecOf(t.Elem(), outer)
	if err != nil {
		return nil, err
	}
	return &codec{wants: inner.wants, decode: func(v parse.Value, into reflect.Value) bool {
		p := reflect.New(t.Elem())
		if !inner.decode(v, p.Elem()) {
			return false
		}
		into.Set(p)
		return true
	}, encode: func(v reflect.Value) parse.Value {
		if v.IsNil() {
			return nil
		}
		return inner.encode(v.Elem())
	}}, nil
}

func sliceCodec(t reflect.Type, outer []reflect.Type) (*codec, error) {
	if t.Elem().Kind() == reflect.Uint8 {
		return &codec{wants: "Bytes", decode: func(v parse.Value, into reflect.Value) bool {
			b, ok := v.(parse.Bytes)
			if ok {
				into.SetBytes(b)
			}
			return ok
		}, encode: func(v reflect.Value) parse.Value {
			if v.IsNil() {
				return nil
			}
			return parse.Bytes(v.Bytes())
		}}, nil
	}
	inner, err := codecOf(t.Elem(), outer)
	if err != nil {
		return nil, err
	}
	return &codec{wants: "Array", decode: func(v parse.Value, into reflect.Value) bool {
		a, ok := v.(parse.Array)
		if !ok {
			return false
		}
		list := reflect.MakeSlice(t, len(a), len(a))
		for i, e := range a {
			if e != nil && !inner.decode(e, list.Index(i)) {
				return false
			}
		}
		into.Set(list)
		return true
	}, encode: func(v reflect.Value) parse.Value {
		if v.IsNil() {
			return nil
		}
		a := make(parse.Array, v.Len())
		for i := range a {
			a[i] = inner.encode(v.Index(i))
		}
		return a
	}}, nil
}

func mapCodec(t reflect.Type, outer []reflect.Type) (*codec, error) {
	if t.Key().Kind() != reflect.String {
		return nil, fmt.Errorf("the keys of %s are no strings", t)
	}
	inner, err := codecOf(t.Elem(), outer)
	if err != nil {
		return nil, err
	}
	return &codec{wants: "Object", decode: func(v parse.Value, into reflect.Value) bool {
		o, ok := v.(*parse.Map)
		if !ok {
			return false
		}
		m := reflect.MakeMapWithSize(t, o.Len())
		for k, e := range o.All() {
			value := reflect.New(t.Elem()).Elem()
			if e != nil && !inner.decode(e, value) {
				return false
			}
			m.SetMapIndex(reflect.ValueOf(k).Convert(t.Key()), value)
		}
		into.Set(m)
		return true
	}, encode: func(v reflect.Value) parse.Value {
		if v.IsNil() {
			return nil
		}
		names := make([]string, 0, v.Len())
		for _, k := range v.MapKeys() {
			names = append(names, k.String())
		}
		slices.Sort(names)
		o := &parse.Map{}
		for _, k := range names {
			o.Set(k, inner.encode(v.MapIndex(reflect.ValueOf(k).Convert(t.Key()))))
		}
		return o
	}}, nil
}

// mismatch is a value that does not fit its field of a struct.
type mismatch struct{ class, field, wants, got string }

// Error implements error.
func (e *mismatch) Error() string {
	return fmt.Sprintf("schema mismatch for %s.%s; expected %s but got %s", e.class, e.field, e.wants, e.got)
}

// decode fills a struct. What is missing or null leaves the zero value. Its
// error is a *mismatch.
func (m *mapping) decode(get func(string) (parse.Value, bool), into reflect.Value) error {
	for i := range m.fields {
		f := &m.fields[i]
		v, _ := get(f.name)
		if v == nil {
			continue
		}
		if !f.codec.decode(v, into.FieldByIndex(f.index)) {
			return &mismatch{m.class, f.name, f.codec.wants, kindOf(v)}
		}
	}
	return nil
}

// kindOf names the type of a value.
func kindOf(v parse.Value) string {
	switch v.(type) {
	case string:
		return "String"
	case float64, parse.Int:
		return "Number"
	case bool:
		return "Boolean"
	case parse.Array:
		return "Array"
	case *parse.Map:
		return "Object"
	}
	return strings.TrimPrefix(strings.TrimPrefix(reflect.TypeOf(v).String(), "*"), "parse.")
}

// object reads an object, system fields and ACL included.
func (m *mapping) object(o *parse.Object, into reflect.Value) error {
	err := m.decode(func(key string) (parse.Value, bool) {
		if key == parse.KeyACL {
			if o.ACL == nil {
				return nil, false
			}
			return o.ACL, true
		}
		return o.Get(key)
	}, into)
	if err != nil {
		return parse.Errorf(parse.IncorrectType, "%s", err.Error())
	}
	return nil
}

// write gives the object what the struct has, as far as it differs. A field
// that the object does not have stays away while it is zero; a pointer, list or
// time that became zero takes its field away.
func (m *mapping) write(o *parse.Object, from reflect.Value) {
	for i := range m.fields {
		f := &m.fields[i]
		switch f.name {
		case parse.KeyObjectID, parse.KeyCreatedAt, parse.KeyUpdatedAt:
			continue
		}
		field := from.FieldByIndex(f.index)
		now := f.codec.encode(field)
		if f.name == parse.KeyACL {
			if acl, ok := now.(*parse.ACL); ok && acl != o.ACL {
				o.ACL = acl
			}
			continue
		}
		was, _ := o.Get(f.name)
		switch {
		case was == nil && field.IsZero(), was != nil && parse.Equal(was, now):
		case now == nil:
			o.Fields.Delete(f.name)
		default:
			if p, ok := was.(*parse.Object); ok && parse.Equal(p.Self(), now) {
				continue
			}
			o.Set(f.name, now)
		}
	}
}

// asMap encodes a struct, without the fields that are nil.
func (m *mapping) asMap(from reflect.Value) *parse.Map {
	out := &parse.Map{}
	for i := range m.fields {
		f := &m.fields[i]
		if v := f.codec.encode(from.FieldByIndex(f.index)); v != nil {
			out.Set(f.name, v)
		}
	}
	return out
}

// body is asMap for a write: without system fields that the server gives, and
// without values that are zero, unless they are required.
func (m *mapping) body(from reflect.Value) *parse.Map {
	out := &parse.Map{}
	for i := range m.fields {
		f := &m.fields[i]
		field := from.FieldByIndex(f.index)
		switch f.name {
		case parse.KeyObjectID, parse.KeyCreatedAt, parse.KeyUpdatedAt:
			continue
		}
		if field.IsZero() && !f.required {
			continue
		}
		if v := f.codec.encode(field); v != nil {
			out.Set(f.name, v)
		}
	}
	return out
}

// changes is what a write has to say for an object to become as the struct,
// which was read from the loan of it.
func (m *mapping) changes(was *parse.Object, l *parse.Loan, lent *parse.Object, now reflect.Value) *parse.Map {
	m.write(lent, now)
	out := &parse.Map{}
	fields, acl := l.Returned(lent)
	if fields {
		for k, v := range lent.Fields.All() {
			if old, ok := was.Get(k); !ok || !parse.Equal(old, v) {
				out.Set(k, v)
			}
		}
		for k := range was.Fields.All() {
			if !lent.Fields.Has(k) {
				out.Set(k, parse.Delete{})
			}
		}
	}
	if acl {
		out.Set(parse.KeyACL, lent.ACL.Value())
	}
	return out
}
