package objects

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Denylist refuses written data by the keys and values in it, at any depth
// (reference 01 §5.9). It is made once by NewDenylist; a nil one refuses nothing.
type Denylist struct {
	entries []denied
	// typed: an entry may meet what values with a __type consist of, which
	// have no keys any more once they are decoded.
	typed bool
}

// denied is one entry; a nil pattern is not asked for.
type denied struct {
	key, value *pattern
	text       string
}

// pattern is what a key or a value is compared with.
type pattern struct {
	re      *regexp.Regexp // nil: literal
	literal string         // found anywhere in a string
	other   any            // number or boolean; then a string never matches
}

// NewDenylist returns a list without entries.
func NewDenylist() *Denylist { return &Denylist{} }

// Add adds an entry: data is refused if a property has the key, an element or
// property has the value, or, with both, one property has both. Strings are
// regular expressions that may match anywhere, numbers and booleans are
// compared, nil is not asked for. text is the entry as the refusal tells it.
func (d *Denylist) Add(key, value any, text string) error {
	e := denied{text: text}
	var err error
	if e.key, err = newPattern(key); err != nil {
		return err
	}
	if e.value, err = newPattern(value); err != nil {
		return err
	}
	for _, name := range [...]string{
		"__type", "className", "objectId", "iso", "latitude", "longitude", "coordinates", "base64", "name", "url",
		"__op", "amount", "objects", "ops",
	} {
		d.typed = d.typed || e.key == nil || e.key.matches(name)
	}
	d.entries = append(d.entries, e)
	return nil
}

func newPattern(v any) (*pattern, error) {
	s, ok := v.(string)
	switch {
	case v == nil:
		return nil, nil
	case !ok:
		return &pattern{other: v}, nil
	case regexp.QuoteMeta(s) == s:
		return &pattern{literal: s}, nil
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("keyword %q: %w", s, err)
	}
	return &pattern{re: re}, nil
}

func (p *pattern) matches(s string) bool {
	switch {
	case p.other != nil:
		return false
	case p.re != nil:
		return p.re.MatchString(s)
	}
	return strings.Contains(s, p.literal)
}

func (p *pattern) matchesValue(v parse.Value) bool {
	switch v := v.(type) {
	case string:
		return p.matches(v)
	case bool:
		return p.other == v
	case float64:
		return p.other == v
	case parse.Int:
		return p.other == float64(v)
	}
	return false
}

// check walks the data once for all entries.
func (d *Denylist) check(m *parse.Map) error {
	if d == nil || len(d.entries) == 0 {
		return nil
	}
	return d.object(m)
}

func (d *Denylist) object(m *parse.Map) error {
	for i := range m.Len() {
		f := m.At(i)
		for j := range d.entries {
			e := &d.entries[j]
			if (e.key == nil || e.key.matches(f.Key)) && (e.value == nil || e.value.matchesValue(f.Value)) {
				return e.refusal()
			}
		}
		if err := d.inside(f.Value); err != nil {
			return err
		}
	}
	return nil
}

func (d *Denylist) array(a parse.Array) error {
	for _, v := range a {
		for j := range d.entries {
			if e := &d.entries[j]; e.key == nil && e.value.matchesValue(v) {
				return e.refusal()
			}
		}
		if err := d.inside(v); err != nil {
			return err
		}
	}
	return nil
}

// inside checks what a value consists of; the value itself was checked.
func (d *Denylist) inside(v parse.Value) error {
	switch v := v.(type) {
	case nil, string, bool, float64, parse.Int:
		return nil
	case *parse.Map:
		return d.object(v)
	case parse.Array:
		return d.array(v)
	case parse.Add:
		return d.array(v.Objects)
	case parse.AddUnique:
		return d.array(v.Objects)
	case parse.Remove:
		return d.array(v.Objects)
	case *parse.Object:
		return d.object(&v.Fields)
	}
	if !d.typed {
		return nil
	}
	var wire any
	if err := json.Unmarshal(parse.AppendJSON(nil, v), &wire); err != nil {
		return err
	}
	return d.inside(plain(wire))
}

// plain turns decoded JSON into values without reading __type.
func plain(v any) parse.Value {
	switch v := v.(type) {
	case map[string]any:
		m := &parse.Map{}
		for k, e := range v {
			m.Set(k, plain(e))
		}
		return m
	case []any:
		a := make(parse.Array, len(v))
		for i, e := range v {
			a[i] = plain(e)
		}
		return a
	}
	return v
}

func (e *denied) refusal() error {
	return parse.Errorf(parse.InvalidKeyName, "Prohibited keyword in request data: %s.", e.text)
}
