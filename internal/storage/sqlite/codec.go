package sqlite

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// encodeClass returns a definition as JSON, all of it: the answer of the schema
// API leaves out what only pargo knows.
func encodeClass(c *schema.Class) string {
	m := parse.NewMap(parse.MapField{Key: "name", Value: c.Name})
	fields := &parse.Map{}
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		fields.Set(name, encodeField(c.Fields[name]))
	}
	m.Set("fields", fields)
	if c.CLP != nil {
		m.Set("clp", c.CLP.Map())
	}
	indexes := make(parse.Array, 0, len(c.Indexes))
	for i := range c.Indexes {
		indexes = append(indexes, encodeIndex(&c.Indexes[i]))
	}
	m.Set("indexes", indexes)
	setText(m, "ownerField", c.OwnerField)
	setList(m, "ownerRoles", c.OwnerRoles)
	setList(m, "ownerWriteRoles", c.OwnerWriteRoles)
	setText(m, "comment", c.Comment)
	return string(parse.AppendJSON(nil, m))
}

func setText(m *parse.Map, key, s string) {
	if s != "" {
		m.Set(key, s)
	}
}

func setFlag(m *parse.Map, key string, b bool) {
	if b {
		m.Set(key, true)
	}
}

func setList(m *parse.Map, key string, list []string) {
	if len(list) == 0 {
		return
	}
	a := make(parse.Array, len(list))
	for i, s := range list {
		a[i] = s
	}
	m.Set(key, a)
}

func encodeField(f *schema.Field) *parse.Map {
	m := parse.NewMap(parse.MapField{Key: "type", Value: f.Type.String()})
	setText(m, "target", f.TargetClass)
	setFlag(m, "required", f.Required)
	if f.Default != nil {
		m.Set("default", f.Default)
	}
	if f.Extra != nil {
		m.Set("extra", f.Extra)
	}
	setText(m, "comment", f.Comment)
	setText(m, "validate", string(f.ValidateJSON))
	return m
}

func encodeIndex(ix *schema.Index) *parse.Map {
	keys := make(parse.Array, 0, len(ix.Keys))
	for _, k := range ix.Keys {
		m := parse.NewMap(parse.MapField{Key: "field", Value: k.Field})
		setFlag(m, "desc", k.Desc)
		setText(m, "kind", k.Kind)
		keys = append(keys, m)
	}
	m := parse.NewMap(parse.MapField{Key: "name", Value: ix.Name}, parse.MapField{Key: "keys", Value: keys})
	setFlag(m, "unique", ix.Unique)
	setFlag(m, "sparse", ix.Sparse)
	setFlag(m, "caseInsensitive", ix.CaseInsensitive)
	return m
}

func decodeClass(def string) (*schema.Class, error) {
	m, err := parse.DecodeMap([]byte(def), storedLimits)
	if err != nil {
		return nil, fmt.Errorf("stored schema: %w", err)
	}
	c := &schema.Class{
		Name: m.String("name"), Fields: map[string]*schema.Field{},
		OwnerField: m.String("ownerField"), OwnerRoles: textList(m, "ownerRoles"),
		OwnerWriteRoles: textList(m, "ownerWriteRoles"), Comment: m.String("comment"),
	}
	if fields, ok := mapAt(m, "fields"); ok {
		for name, v := range fields.All() {
			fm, ok := v.(*parse.Map)
			if !ok {
				return nil, fmt.Errorf("stored schema of %s: field %s is no object", c.Name, name)
			}
			f, err := decodeField(name, fm)
			if err != nil {
				return nil, fmt.Errorf("stored schema of %s: %w", c.Name, err)
			}
			c.Fields[name] = f
		}
	}
	if indexes, ok := m.Get("indexes"); ok {
		list, _ := indexes.(parse.Array)
		for _, v := range list {
			if im, ok := v.(*parse.Map); ok {
				c.Indexes = append(c.Indexes, decodeIndex(im))
			}
		}
	}
	if clp, ok := mapAt(m, "clp"); ok {
		if c.CLP, err = schema.CLPFromMap(clp, nil); err != nil {
			return nil, fmt.Errorf("stored schema of %s: %w", c.Name, err)
		}
	}
	return c, nil
}

func mapAt(m *parse.Map, key string) (*parse.Map, bool) {
	v, _ := m.Get(key)
	out, ok := v.(*parse.Map)
	return out, ok
}

func flagAt(m *parse.Map, key string) bool {
	v, _ := m.Get(key)
	return v == true
}

func textList(m *parse.Map, key string) []string {
	v, _ := m.Get(key)
	list, _ := v.(parse.Array)
	var out []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func decodeField(name string, m *parse.Map) (*schema.Field, error) {
	f := &schema.Field{Name: name, TargetClass: m.String("target"), Required: flagAt(m, "required"), Comment: m.String("comment")}
	for t := schema.String; t <= schema.ACL; t++ {
		if t.String() == m.String("type") {
			f.Type = t
		}
	}
	if f.Type == 0 {
		return nil, fmt.Errorf("field %s has unknown type %q", name, m.String("type"))
	}
	f.Default, _ = m.Get("default")
	f.Extra, _ = mapAt(m, "extra")
	if text := m.String("validate"); text != "" {
		f.ValidateJSON = []byte(text)
		v, err := schema.CompileValidator(name, f.ValidateJSON)
		if err != nil {
			return nil, err
		}
		f.Validate = v
	}
	return f, nil
}

func decodeIndex(m *parse.Map) schema.Index {
	ix := schema.Index{
		Name: m.String("name"), Unique: flagAt(m, "unique"), Sparse: flagAt(m, "sparse"),
		CaseInsensitive: flagAt(m, "caseInsensitive"),
	}
	keys, _ := m.Get("keys")
	list, _ := keys.(parse.Array)
	for _, v := range list {
		if k, ok := v.(*parse.Map); ok {
			ix.Keys = append(ix.Keys, schema.IndexKey{Field: k.String("field"), Desc: flagAt(k, "desc"), Kind: k.String("kind")})
		}
	}
	return ix
}
