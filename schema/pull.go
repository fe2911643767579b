package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/parse"
)

// Form is a form of schema files, named by the key that holds the classes.
type Form string

// Forms of schema files.
const (
	FormOwn     Form = "classes"     // pargo's own
	FormDefined Form = "definitions" // Parse Server's defined schemas
	FormDump    Form = "results"     // the answer of GET /schemas
)

// FileOf writes the classes as a schema file of a form, which [Parse] reads:
// without what the system defines by itself, but for FormDump. Without a form
// it is pargo's own if that can say everything, and else FormDump. FormOwn
// fails for what it cannot say: field options of other tools, and pointers to
// classes that are not there.
//
// FormDefined means that clients add fields to no class, so a database where
// they can is not quite what such a file says.
func FileOf(form Form, classes []*Class) ([]byte, error) {
	var own, defined, dump parse.Array
	for _, c := range NewSnapshot(0, classes...).Classes() {
		if IsVolatile(c.Name) {
			continue
		}
		c, err := compiled(c)
		if err != nil {
			return nil, err
		}
		full := c.Map()
		if c.CLP == nil {
			full.Delete(keyCLP)
		}
		dump = append(dump, full)
		if m := c.definition(); !IsSystem(c.Name) || m.Len() > 1 {
			own = append(own, m)
			defined = append(defined, c.defined(m))
		}
	}
	switch form {
	case FormDefined:
		return indented(form, defined)
	case FormDump:
		return indented(form, dump)
	default: // the others have to be tried
	}
	text, err := indented(FormOwn, own)
	if err != nil {
		return nil, err
	}
	if _, err = Parse(string(FormOwn), text); err == nil {
		return text, nil
	}
	if form == FormOwn {
		return nil, fmt.Errorf("this form cannot say everything, the form %s can: %w", FormDump, err)
	}
	return indented(FormDump, dump)
}

// defined makes of a definition one of a defined schema: it tells all
// permissions, since there what is left out is closed, and dates and bytes as
// Parse Server has them there.
func (c *Class) defined(definition *parse.Map) *parse.Map {
	m := definition.Clone()
	clp := c.CLP.Map()
	clp.Set(AddField.String(), &parse.Map{})
	m.Set(keyCLP, clp)
	v, _ := m.Get(keyFields)
	fields, _ := v.(*parse.Map)
	if fields.Len() == 0 {
		return m
	}
	plain := &parse.Map{}
	for name, v := range fields.All() {
		field, _ := v.(*parse.Map)
		switch d, _ := field.Get(keyDefault); d := d.(type) {
		case parse.Date:
			field = field.Clone()
			field.Set(keyDefault, d.String())
		case parse.Bytes:
			field = field.Clone()
			field.Set(keyDefault, base64.StdEncoding.EncodeToString(d))
		}
		plain.Set(name, field)
	}
	m.Set(keyFields, plain)
	return m
}

func indented(form Form, list parse.Array) ([]byte, error) {
	if list == nil {
		list = parse.Array{}
	}
	var b bytes.Buffer
	text := parse.AppendJSON(nil, parse.NewMap(parse.MapField{Key: string(form), Value: list}))
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return nil, fmt.Errorf("write schema file: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// definition returns what a schema file has to say of the class: its wire form
// without default fields, default indexes and default permissions.
func (c *Class) definition() *parse.Map {
	bare := *c
	bare.Fields = maps.Clone(c.Fields)
	for name, def := range defaultFields(c.Name) {
		if f := c.Fields[name]; f == nil || isSystemField(name) || sameOptions(f, def) {
			delete(bare.Fields, name)
		}
	}
	bare.Indexes = slices.DeleteFunc(slices.Clone(c.Indexes), func(ix Index) bool {
		return isSystemIndex(c.Name, ix.Name) || ix.internal()
	})
	m := bare.Map()
	if c.CLP == nil {
		m.Delete(keyCLP)
	}
	if len(bare.Fields) == 0 {
		m.Delete(keyFields)
	}
	return m
}
