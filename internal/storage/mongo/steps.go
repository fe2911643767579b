package mongo

import (
	"context"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// ApplySchema implements storage.Store.
func (d *DB) ApplySchema(ctx context.Context, steps []schema.Step) error {
	for i := range steps {
		if err := d.applyStep(ctx, &steps[i]); err != nil {
			return d.failure(ctx, "change schema of", steps[i].Class, err)
		}
	}
	return nil
}

func (d *DB) applyStep(ctx context.Context, s *schema.Step) error {
	switch s.Kind {
	case schema.CreateClass:
		return d.createClass(ctx, s.Def)
	case schema.DropClass:
		return d.dropClass(ctx, s.Class)
	case schema.AddFieldStep:
		return d.addField(ctx, s.Class, s.Field)
	case schema.DropField:
		return d.dropField(ctx, s.Class, s.Field)
	case schema.SetCLP:
		if s.CLP == nil {
			return d.setMeta(ctx, s.Class, nil, []string{metaCLP, metaPargo + "." + schema.AggregateKey})
		}
		clp, aggregate := splitCLP(s.CLP)
		set, unset := parse.NewMap(parse.MapField{Key: metaCLP, Value: clp}), []string(nil)
		if aggregate == nil {
			unset = []string{metaPargo + "." + schema.AggregateKey}
		} else {
			set.Set(metaPargo+"."+schema.AggregateKey, aggregate)
		}
		return d.setMeta(ctx, s.Class, set, unset)
	case schema.AddIndex:
		return d.addIndex(ctx, s.Class, s.Index)
	case schema.DropIndex:
		return d.dropIndex(ctx, s.Class, s.Index.Name)
	case schema.SetMeta:
		return d.setClassMeta(ctx, s.Class, s.Def)
	}
	return fmt.Errorf("unknown kind of step %d", s.Kind)
}

func (d *DB) schemas() *mongo.Collection { return d.collection(schemaCollection) }

// setMeta sets and unsets keys below _metadata; keys may be paths.
func (d *DB) setMeta(ctx context.Context, class string, set *parse.Map, unset []string) error {
	var up bson.D
	if set.Len() > 0 {
		m := &parse.Map{}
		for k, v := range set.All() {
			m.Set(keyMetadata+"."+k, v)
		}
		doc, err := document(m)
		if err != nil {
			return err
		}
		up = append(up, bson.E{Key: "$set", Value: bson.Raw(doc)})
	}
	if len(unset) > 0 {
		var keys bson.D
		for _, k := range unset {
			keys = append(keys, bson.E{Key: keyMetadata + "." + k, Value: ""})
		}
		up = append(up, bson.E{Key: "$unset", Value: keys})
	}
	if up == nil {
		return nil
	}
	_, err := d.schemas().UpdateOne(ctx, bson.D{{Key: keyID, Value: class}}, up)
	return err
}

func (d *DB) createClass(ctx context.Context, c *schema.Class) error {
	if schema.IsVolatile(c.Name) {
		// Parse Server keeps no document of these. What goes beyond their
		// default columns has one.
		return d.createVolatile(ctx, c)
	}
	doc, err := classDocument(c)
	if err != nil {
		return err
	}
	_, err = d.schemas().InsertOne(ctx, doc)
	switch {
	case mongo.IsDuplicateKeyError(err):
		// Another server was faster; its class may lack fields of this one.
		for _, f := range sortedFields(c) {
			if err := d.addField(ctx, c.Name, f); err != nil {
				return err
			}
		}
	case err != nil:
		return err
	default:
		for _, f := range sortedFields(c) {
			if err := d.relationIndexes(ctx, c.Name, f); err != nil {
				return err
			}
		}
	}
	for i := range c.Indexes {
		if err := d.addIndex(ctx, c.Name, &c.Indexes[i]); err != nil {
			return err
		}
	}
	if c.Name == classUser {
		d.authIndexed.Store(false) // the collection is new
		d.ensureAuthIndexes(ctx)
	}
	return nil
}

func (d *DB) createVolatile(ctx context.Context, c *schema.Class) error {
	def := schema.SystemClass(c.Name)
	for _, f := range sortedFields(c) {
		if def.Field(f.Name) == nil {
			if err := d.addField(ctx, c.Name, f); err != nil {
				return err
			}
		}
	}
	for i := range c.Indexes {
		if err := d.addIndex(ctx, c.Name, &c.Indexes[i]); err != nil {
			return err
		}
	}
	return nil
}

// relationIndexes makes both directions of a relation fast; Parse Server has
// no indexes there and does not mind these.
func (d *DB) relationIndexes(ctx context.Context, class string, f *schema.Field) error {
	if f.Type != schema.Relation {
		return nil
	}
	_, err := d.collection(storage.Join{Class: class, Key: f.Name}.String()).Indexes().CreateMany(ctx, []mongo.IndexModel{
		{Keys: bson.D{{Key: keyOwning, Value: 1}, {Key: keyRelated, Value: 1}}},
		{Keys: bson.D{{Key: keyRelated, Value: 1}}},
	})
	return err
}

func (d *DB) dropClass(ctx context.Context, class string) error {
	names, err := d.db.ListCollectionNames(ctx, bson.D{})
	if err != nil {
		return err
	}
	for _, name := range names {
		name, ours := strings.CutPrefix(name, d.prefix)
		join := strings.HasPrefix(name, "_Join:") && strings.HasSuffix(name, ":"+class)
		if ours && (join || name == class) {
			if err := d.collection(name).Drop(ctx); err != nil {
				return err
			}
		}
	}
	_, err = d.schemas().DeleteOne(ctx, bson.D{{Key: keyID, Value: class}})
	return err
}

func (d *DB) addField(ctx context.Context, class string, f *schema.Field) error {
	if isPassword(class, f.Name) {
		return d.setFieldOptions(ctx, class, f)
	}
	if !listed(f.Name) {
		return nil
	}
	if err := checkPath(f.Name); err != nil {
		return err
	}
	if err := d.setType(ctx, class, f); err != nil {
		return err
	}
	if err := d.relationIndexes(ctx, class, f); err != nil {
		return err
	}
	return d.setFieldOptions(ctx, class, f)
}

// setType enters a field with its type; one that is there must have the same.
func (d *DB) setType(ctx context.Context, class string, f *schema.Field) error {
	onInsert := bson.D{}
	for _, system := range [...]bson.E{
		{Key: parse.KeyObjectID, Value: "string"},
		{Key: parse.KeyUpdatedAt, Value: "date"},
		{Key: parse.KeyCreatedAt, Value: "date"},
	} {
		if system.Key != f.Name {
			onInsert = append(onInsert, system)
		}
	}
	_, err := d.schemas().UpdateOne(ctx,
		bson.D{{Key: keyID, Value: class}, {Key: f.Name, Value: bson.D{{Key: "$exists", Value: false}}}},
		bson.D{{Key: "$set", Value: bson.D{{Key: f.Name, Value: typeText(f)}}}, {Key: "$setOnInsert", Value: onInsert}},
		options.UpdateOne().SetUpsert(true))
	if mongo.IsDuplicateKeyError(err) { // the field is there already
		return d.checkType(ctx, class, f)
	}
	return err
}

// setFieldOptions records what the definition of a field says beyond its type.
func (d *DB) setFieldOptions(ctx context.Context, class string, f *schema.Field) error {
	set, unset := &parse.Map{}, []string(nil)
	for key, m := range map[string]*parse.Map{
		metaOptions + "." + f.Name:           optionsMap(f),
		metaPargo + ".fields" + "." + f.Name: pargoField(f),
	} {
		if m != nil {
			set.Set(key, m)
		} else {
			unset = append(unset, key)
		}
	}
	return d.setMeta(ctx, class, set, unset)
}

// checkType refuses a field that exists with another type.
func (d *DB) checkType(ctx context.Context, class string, f *schema.Field) error {
	raw, err := d.schemas().FindOne(ctx, bson.D{{Key: keyID, Value: class}}).Raw()
	if err != nil {
		return err
	}
	have, _ := raw.Lookup(f.Name).StringValueOK()
	t, target, ok := parseType(have)
	switch f.Name {
	case parse.KeyCreatedAt, parse.KeyUpdatedAt:
		return nil
	}
	if ok && t == f.Type && target == f.TargetClass {
		return nil
	}
	return parse.Errorf(parse.IncorrectType, "schema mismatch for %s.%s; expected %s but got %s", class, f.Name,
		schema.TypeString(t, target), schema.TypeString(f.Type, f.TargetClass))
}

func (d *DB) dropField(ctx context.Context, class string, f *schema.Field) error {
	raw, err := d.schemas().FindOne(ctx, bson.D{{Key: keyID, Value: class}}).Raw()
	if err != nil && !isNone(err) {
		return err
	}
	if err == nil {
		if err := d.dropIndexesOn(ctx, class, f.Name); err != nil {
			return err
		}
	}
	text, _ := raw.Lookup(f.Name).StringValueOK()
	if t, _, _ := parseType(text); t == schema.Relation || f.Type == schema.Relation {
		if err := d.collection(storage.Join{Class: class, Key: f.Name}.String()).Drop(ctx); err != nil {
			return err
		}
	}
	key, pointer := storedName(f.Name), prefixPointer+f.Name
	exists := bson.D{{Key: "$exists", Value: true}}
	_, err = d.collection(class).UpdateMany(ctx,
		bson.D{{Key: "$or", Value: bson.A{bson.D{{Key: key, Value: exists}}, bson.D{{Key: pointer, Value: exists}}}}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: key, Value: ""}, {Key: pointer, Value: ""}}}})
	if err != nil {
		return err
	}
	_, err = d.schemas().UpdateOne(ctx, bson.D{{Key: keyID, Value: class}}, bson.D{{Key: "$unset", Value: bson.D{
		{Key: f.Name, Value: ""},
		{Key: keyMetadata + "." + metaOptions + "." + f.Name, Value: ""},
		{Key: keyMetadata + "." + metaPargo + ".fields." + f.Name, Value: ""},
	}}})
	return err
}

func (d *DB) setClassMeta(ctx context.Context, class string, def *schema.Class) error {
	m := classMeta(def)
	set, unset := &parse.Map{}, []string(nil)
	for _, key := range [...]string{"ownerField", "ownerRoles", "ownerWriteRoles", "comment"} {
		if v, ok := m.Get(key); ok {
			set.Set(metaPargo+"."+key, v)
		} else {
			unset = append(unset, metaPargo+"."+key)
		}
	}
	return d.setMeta(ctx, class, set, unset)
}
