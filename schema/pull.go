package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/parse"
)

// FileOf writes the classes as a schema file that [Parse] reads: in pargo's own
// form, without what the system defines by itself. Where that form cannot say
// everything (field options of other tools, pointers to classes that are not
// there), it is the form of GET /schemas.
func FileOf(classes []*Class) ([]byte, error) {
	own, dump := parse.Array{}, parse.Array{}
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
		}
	}
	text, err := indented("classes", own)
	if err != nil {
		return nil, err
	}
	if _, err := Parse("", text); err == nil {
		return text, nil
	}
	return indented("results", dump)
}

func indented(key string, list parse.Array) ([]byte, error) {
	var b bytes.Buffer
	text := parse.AppendJSON(nil, parse.NewMap(parse.MapField{Key: key, Value: list}))
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
