package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Keys inside _metadata.
const (
	metaCLP     = "class_permissions"
	metaOptions = "fields_options"
	metaIndexes = "indexes"
	metaPargo   = "pargo"
)

// typeNames are the texts of the types that have no target class.
var typeNames = map[schema.Type]string{
	schema.String: "string", schema.Number: "number", schema.Boolean: "boolean", schema.Date: "date",
	schema.Object: "object", schema.Array: "array", schema.GeoPoint: "geopoint", schema.File: "file",
	schema.Bytes: "bytes", schema.Polygon: "polygon",
}

// typeText is the text of a field's type in _SCHEMA.
func typeText(f *schema.Field) string {
	switch f.Type {
	case schema.Pointer:
		return "*" + f.TargetClass
	case schema.Relation:
		return "relation<" + f.TargetClass + ">"
	default: // the others are in the table
	}
	return typeNames[f.Type]
}

// parseType is the inverse of typeText.
func parseType(s string) (t schema.Type, targetClass string, ok bool) {
	if target, ok := strings.CutPrefix(s, "*"); ok {
		return schema.Pointer, target, true
	}
	if target, ok := strings.CutPrefix(s, "relation<"); ok && strings.HasSuffix(target, ">") {
		return schema.Relation, strings.TrimSuffix(target, ">"), true
	}
	if s == "map" {
		return schema.Object, "", true
	}
	for t, name := range typeNames {
		if name == s {
			return t, "", true
		}
	}
	return 0, "", false
}

// password is a field of users on the wire alone: stored is its hash, under
// another key.
const password = "password"

// isPassword reports whether the field is the password of users. It has no
// entry in _SCHEMA, but what its definition says beyond the type is kept there.
func isPassword(class, field string) bool { return class == classUser && field == password }

// listed reports whether a field has an entry in _SCHEMA: the ACL and internal
// fields do not.
func listed(name string) bool {
	return name != parse.KeyACL && name != password && !strings.HasPrefix(name, "_")
}

// LoadSchema implements storage.Store.
func (d *DB) LoadSchema(ctx context.Context) (classes []*schema.Class, err error) {
	cur, err := d.collection(schemaCollection).Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: keyID, Value: 1}}))
	if err != nil {
		return nil, d.failure(ctx, "load", schemaCollection, err)
	}
	defer func() {
		if cerr := closeCursor(ctx, cur); err == nil {
			err = d.failure(ctx, "load", schemaCollection, cerr)
		}
	}()
	var open []map[string]bool // of each class
	for cur.Next(ctx) {
		m, err := object(cur.Current, 0)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", schemaCollection, err)
		}
		c, err := classFromDocument(m)
		if err != nil {
			return nil, fmt.Errorf("load class %s: %w", m.String(keyID), err)
		}
		open = append(open, unrecorded(m))
		if c.Name == classUser {
			d.ensureAuthIndexes(ctx)
		}
		classes = append(classes, c)
	}
	if err := cur.Err(); err != nil {
		return nil, d.failure(ctx, "load", schemaCollection, err)
	}
	if err := d.matchAll(ctx, classes, open); err != nil {
		return nil, d.failure(ctx, "load indexes of", schemaCollection, err)
	}
	classes, err = d.addVolatile(ctx, classes)
	return classes, d.failure(ctx, "load", schemaCollection, err)
}

// addVolatile adds the classes of which a collection is all that there is,
// and completes those that have a document with a part of their columns.
func (d *DB) addVolatile(ctx context.Context, classes []*schema.Class) ([]*schema.Class, error) {
	names, err := d.db.ListCollectionNames(ctx, bson.D{})
	if err != nil {
		return nil, err
	}
	recorded := map[string]bool{}
	for i, c := range classes {
		recorded[c.Name] = true
		if schema.IsVolatile(c.Name) {
			if classes[i], err = d.volatile(ctx, c); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range names {
		name, ours := strings.CutPrefix(name, d.prefix)
		if !ours || recorded[name] || !schema.IsVolatile(name) {
			continue
		}
		c, err := d.volatile(ctx, &schema.Class{Name: name})
		if err != nil {
			return nil, err
		}
		classes = append(classes, c)
	}
	return classes, nil
}

// volatile completes a class with its default columns, and with those of its
// default indexes that the database has.
func (d *DB) volatile(ctx context.Context, c *schema.Class) (*schema.Class, error) {
	c = schema.Complete(c)
	if len(c.Indexes) == 0 {
		return c, nil
	}
	real, err := d.realIndexes(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	c.Indexes = slices.DeleteFunc(c.Indexes, func(ix schema.Index) bool {
		return !slices.ContainsFunc(real, func(r realIndex) bool { return r.Name == ix.Name })
	})
	return c, nil
}

// child returns the object at key; nil if there is none.
func child(m *parse.Map, key string) *parse.Map {
	v, _ := m.Get(key)
	c, _ := v.(*parse.Map)
	return c
}

// classFromDocument reads a document of _SCHEMA.
func classFromDocument(m *parse.Map) (*schema.Class, error) {
	c := &schema.Class{Name: m.String(keyID), Fields: map[string]*schema.Field{}}
	meta := child(m, keyMetadata)
	pargo := child(meta, metaPargo)
	for name, v := range m.All() {
		if strings.HasPrefix(name, "_") {
			continue
		}
		s, _ := v.(string)
		t, target, ok := parseType(s)
		if !ok {
			return nil, fmt.Errorf("field %s has the unknown type %v", name, v)
		}
		c.Fields[name] = &schema.Field{Name: name, Type: t, TargetClass: target}
	}
	for name, t := range map[string]schema.Type{
		// Old documents have "string" for the dates.
		parse.KeyObjectID: schema.String, parse.KeyCreatedAt: schema.Date, parse.KeyUpdatedAt: schema.Date,
		parse.KeyACL: schema.ACL,
	} {
		c.Fields[name] = &schema.Field{Name: name, Type: t}
	}
	if c.Name == classUser {
		c.Fields[password] = &schema.Field{Name: password, Type: schema.String}
	}
	for name, v := range child(meta, metaOptions).All() {
		if f, o := c.Fields[name], asMap(v); f != nil && o != nil {
			fieldOptions(f, o)
		}
	}
	for name, v := range child(pargo, "fields").All() {
		f, o := c.Fields[name], asMap(v)
		if f == nil || o == nil {
			continue
		}
		f.Comment = o.String("comment")
		if text := o.String("validate"); text != "" {
			f.ValidateJSON = []byte(text)
		}
	}
	if clp := child(meta, metaCLP); clp != nil {
		if aggregate := child(pargo, schema.AggregateKey); aggregate != nil {
			clp = clp.Clone()
			clp.Set(schema.AggregateKey, aggregate)
		}
		p, err := schema.CLPFromMap(clp, nil)
		if err != nil {
			return nil, err
		}
		c.CLP = p
	}
	c.Indexes = indexesFromMetadata(c.Name, child(meta, metaIndexes), child(pargo, "indexes"))
	c.OwnerField = pargo.String("ownerField")
	c.OwnerRoles = pargo.Strings("ownerRoles")
	c.OwnerWriteRoles = pargo.Strings("ownerWriteRoles")
	c.Comment = pargo.String("comment")
	return c, nil
}

func asMap(v parse.Value) *parse.Map {
	m, _ := v.(*parse.Map)
	return m
}

// fieldOptions reads the options that Parse keeps of a field.
func fieldOptions(f *schema.Field, o *parse.Map) {
	for k, v := range o.All() {
		switch k {
		case "required":
			f.Required = parse.Truthy(v)
		case "defaultValue":
			f.Default = v
		default:
			if f.Extra == nil {
				f.Extra = &parse.Map{}
			}
			f.Extra.Set(k, v)
		}
	}
}

// optionsMap is the inverse of fieldOptions; nil without options.
func optionsMap(f *schema.Field) *parse.Map {
	m := &parse.Map{}
	if f.Required {
		m.Set("required", true)
	}
	if f.Default != nil {
		m.Set("defaultValue", f.Default)
	}
	for k, v := range f.Extra.All() {
		m.Set(k, v)
	}
	if m.Len() == 0 {
		return nil
	}
	return m
}

// pargoField is what pargo alone keeps of a field; nil without.
func pargoField(f *schema.Field) *parse.Map {
	m := &parse.Map{}
	if f.Comment != "" {
		m.Set("comment", f.Comment)
	}
	if len(f.ValidateJSON) > 0 {
		m.Set("validate", string(f.ValidateJSON))
	}
	if m.Len() == 0 {
		return nil
	}
	return m
}

func stringArray(list []string) parse.Array {
	a := make(parse.Array, len(list))
	for i, s := range list {
		a[i] = s
	}
	return a
}

// classMeta is what pargo alone keeps of a class, by key below _metadata.pargo.
func classMeta(c *schema.Class) *parse.Map {
	m := &parse.Map{}
	if c.OwnerField != "" {
		m.Set("ownerField", c.OwnerField)
	}
	if len(c.OwnerRoles) > 0 {
		m.Set("ownerRoles", stringArray(c.OwnerRoles))
	}
	if len(c.OwnerWriteRoles) > 0 {
		m.Set("ownerWriteRoles", stringArray(c.OwnerWriteRoles))
	}
	if c.Comment != "" {
		m.Set("comment", c.Comment)
	}
	return m
}

// classDocument is the document of _SCHEMA for a new class. Indexes are
// entered when they have been made.
func classDocument(c *schema.Class) ([]byte, error) {
	m := parse.NewMap(
		parse.MapField{Key: keyID, Value: c.Name},
		parse.MapField{Key: parse.KeyObjectID, Value: "string"},
		parse.MapField{Key: parse.KeyUpdatedAt, Value: "date"},
		parse.MapField{Key: parse.KeyCreatedAt, Value: "date"},
	)
	opts, ours := &parse.Map{}, &parse.Map{}
	for _, f := range sortedFields(c) {
		if listed(f.Name) {
			m.Set(f.Name, typeText(f))
		}
		if o := optionsMap(f); o != nil {
			opts.Set(f.Name, o)
		}
		if o := pargoField(f); o != nil {
			ours.Set(f.Name, o)
		}
	}
	meta := &parse.Map{}
	var aggregate *parse.Map
	if c.CLP != nil {
		var clp *parse.Map
		clp, aggregate = splitCLP(c.CLP)
		meta.Set(metaCLP, clp)
	}
	if opts.Len() > 0 {
		meta.Set(metaOptions, opts)
	}
	pargo := classMeta(c)
	if aggregate != nil {
		pargo.Set(schema.AggregateKey, aggregate)
	}
	if ours.Len() > 0 {
		pargo.Set("fields", ours)
	}
	if pargo.Len() > 0 {
		meta.Set(metaPargo, pargo)
	}
	if meta.Len() > 0 {
		m.Set(keyMetadata, meta)
	}
	return document(m)
}

// splitCLP is the stored form of permissions: what Parse Server reads, and
// the permission to aggregate, which it would refuse; nil if nobody has it.
func splitCLP(p *schema.CLP) (clp, aggregate *parse.Map) {
	clp = p.Map()
	if aggregate = child(clp, schema.AggregateKey); aggregate != nil {
		clp.Delete(schema.AggregateKey)
	}
	return clp, aggregate
}

// sortedFields are the fields of which _SCHEMA keeps something.
func sortedFields(c *schema.Class) []*schema.Field {
	out := make([]*schema.Field, 0, len(c.Fields))
	for _, f := range c.Fields {
		if listed(f.Name) || isPassword(c.Name, f.Name) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *schema.Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// document encodes a document of _SCHEMA or a part of it.
func document(m *parse.Map) ([]byte, error) {
	e := encoder{wire: true}
	i, dst := bsoncore.AppendDocumentStart(nil)
	for k, v := range m.All() {
		dst = e.inner(dst, e.key(k), v, 1)
	}
	return endDocument(dst, i), e.err
}
