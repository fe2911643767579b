package mongo

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Options of an index that Parse does not keep.
const (
	optUnique          = "unique"
	optSparse          = "sparse"
	optCaseInsensitive = "caseInsensitive"
)

// indexesFromMetadata joins what Parse keeps of the indexes with what pargo does.
func indexesFromMetadata(class string, specs, opts *parse.Map) (out []schema.Index) {
	for name, v := range specs.All() {
		spec := asMap(v)
		if spec == nil || name == schema.IDIndex {
			continue
		}
		idx := schema.Index{Name: name}
		for key, kind := range spec.All() {
			k := schema.IndexKey{Field: wirePath(class, key)}
			switch kind := kind.(type) {
			case string:
				k.Kind = kind
			case float64:
				k.Desc = kind < 0
			}
			idx.Keys = append(idx.Keys, k)
		}
		o := child(opts, name)
		idx.Unique, idx.Sparse, idx.CaseInsensitive = flag(o, optUnique), flag(o, optSparse), flag(o, optCaseInsensitive)
		out = append(out, idx)
	}
	return out
}

func flag(m *parse.Map, key string) bool {
	v, _ := m.Get(key)
	return parse.Truthy(v)
}

// indexOptions is what pargo keeps of an index.
func indexOptions(idx *schema.Index) *parse.Map {
	m := &parse.Map{}
	for _, o := range [...]struct {
		name string
		on   bool
	}{{optUnique, idx.Unique}, {optSparse, idx.Sparse}, {optCaseInsensitive, idx.CaseInsensitive}} {
		if o.on {
			m.Set(o.name, true)
		}
	}
	return m
}

// indexKey is the stored path of an indexed field.
func indexKey(class *schema.Class, field string) string {
	return resolve(class, field).key
}

// foldCase is the strength of a collation that regards accents, but not case.
const foldCase = 2

// addIndex makes an index and records it.
func (d *DB) addIndex(ctx context.Context, className string, idx *schema.Index) error {
	if strings.ContainsAny(idx.Name, ".$\x00") {
		return parse.Errorf(parse.InvalidQuery, "Invalid index name: %s", idx.Name)
	}
	class, err := d.loadClass(ctx, className)
	if err != nil {
		return err
	}
	i, keys := bsoncore.AppendDocumentStart(nil)
	spec := &parse.Map{}
	for _, k := range idx.Keys {
		if err := checkPath(k.Field); err != nil {
			return err
		}
		stored := indexKey(class, k.Field)
		switch {
		case k.Kind != "":
			keys = bsoncore.AppendStringElement(keys, stored, k.Kind)
			spec.Set(stored, k.Kind)
		case k.Desc:
			keys = bsoncore.AppendInt32Element(keys, stored, -1)
			spec.Set(stored, -1.0)
		default:
			keys = bsoncore.AppendInt32Element(keys, stored, 1)
			spec.Set(stored, 1.0)
		}
	}
	keys = endDocument(keys, i)
	o := options.Index().SetName(idx.Name)
	if storage.KeepsUnique(className, idx) {
		o.SetUnique(true)
	}
	if idx.Sparse {
		o.SetSparse(true)
	}
	if isText(idx) {
		// Else a field "language" of an object would have to be one that MongoDB knows.
		o.SetLanguageOverride(languageOverride)
	}
	if idx.CaseInsensitive {
		o.SetCollation(&options.Collation{Locale: "en_US", Strength: 2})
	}
	_, err = d.collection(className).Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.Raw(keys), Options: o})
	if hasCode(err, codeIndexOptions, codeIndexKeySpecs) {
		err = d.acceptIndex(ctx, className, idx, keys, err)
	}
	switch {
	case mongo.IsDuplicateKeyError(err):
		e := &storage.DuplicateError{Class: className, Index: idx.Name}
		for _, k := range idx.Keys {
			e.Fields = append(e.Fields, k.Field)
		}
		return e
	case hasCode(err, codeCannotCreateIndex, codeInvalidIndexOption, codeGeoValue, codeGeoExtract):
		return &parse.Error{Code: parse.InvalidQuery, Message: "Index " + idx.Name + " cannot be made: the database refuses it.", Err: err}
	case err != nil:
		return err
	}
	if className == classIdempotency {
		d.ensureExpiry(ctx)
	}
	return d.recordIndex(ctx, className, idx, spec)
}

// classIdempotency holds the ids of requests until they expire.
const classIdempotency = "_Idempotency"

// ensureExpiry lets the database itself remove ids that have expired, by the
// index that Parse Server makes for it. Without it the server removes them.
func (d *DB) ensureExpiry(ctx context.Context) {
	_, err := d.collection(classIdempotency).Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys:    bson.D{{Key: "expire", Value: 1}},
		Options: options.Index().SetName("ttl").SetSparse(true).SetExpireAfterSeconds(0),
	})
	if err != nil && ctx.Err() == nil {
		d.log.WarnContext(ctx, "request ids are not removed by the database: the index for it cannot be made", "error", err)
	}
}

// acceptIndex decides on a conflict with an index that is there: one with the
// same keys that forbids the same is as good, whatever its name.
func (d *DB) acceptIndex(ctx context.Context, className string, idx *schema.Index, keys []byte, cause error) error {
	real, err := d.realIndexes(ctx, className)
	if err != nil {
		return err
	}
	for _, r := range real {
		if r.sameWords(idx) {
			return nil
		}
		if bytes.Equal(r.Key, keys) && r.Unique == storage.KeepsUnique(className, idx) && r.folds() == idx.CaseInsensitive {
			return nil
		}
	}
	return &parse.Error{
		Code: parse.InvalidQuery, Message: "Index " + idx.Name + " exists with other keys or options; drop it first.", Err: cause,
	}
}

// recordIndex enters an index into _SCHEMA, by stored keys as Parse Server does.
func (d *DB) recordIndex(ctx context.Context, className string, idx *schema.Index, spec *parse.Map) error {
	set := parse.NewMap(
		parse.MapField{Key: metaIndexes + "._id_", Value: parse.NewMap(parse.MapField{Key: keyID, Value: 1.0})},
		parse.MapField{Key: metaIndexes + "." + idx.Name, Value: spec},
	)
	set.Set(metaPargo+".indexes."+idx.Name, indexOptions(idx))
	return d.setMeta(ctx, className, set, nil)
}

// dropIndex removes an index, the real one first.
func (d *DB) dropIndex(ctx context.Context, className, name string) error {
	err := d.collection(className).Indexes().DropOne(ctx, name)
	if err != nil && !hasCode(err, codeIndexNotFound, codeNamespaceNotFound) {
		return err
	}
	return d.setMeta(ctx, className, nil, []string{metaIndexes + "." + name, metaPargo + ".indexes." + name})
}

// dropIndexesOn removes the indexes of which a field is part.
func (d *DB) dropIndexesOn(ctx context.Context, className, field string) error {
	class, err := d.loadClass(ctx, className)
	if err != nil {
		return err
	}
	for _, idx := range class.Indexes {
		for _, k := range idx.Keys {
			if root, _, _ := strings.Cut(k.Field, "."); root == field {
				if err := d.dropIndex(ctx, className, idx.Name); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// loadClass reads one class as recorded; one that is not gives a class without fields.
func (d *DB) loadClass(ctx context.Context, name string) (*schema.Class, error) {
	raw, err := d.schemas().FindOne(ctx, bson.D{{Key: keyID, Value: name}}).Raw()
	if isNone(err) {
		return &schema.Class{Name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := object(raw, 0)
	if err != nil {
		return nil, err
	}
	return classFromDocument(m)
}

// realIndex is an index as the database has it.
type realIndex struct {
	Name      string   `bson:"name"`
	Key       bson.Raw `bson:"key"`
	Unique    bool     `bson:"unique"`
	Sparse    bool     `bson:"sparse"`
	Weights   bson.Raw `bson:"weights"` // of a text index: its fields
	Collation struct {
		Strength int `bson:"strength"`
	} `bson:"collation"`
}

// folds reports whether the index has no regard to case.
func (r *realIndex) folds() bool {
	return r.Collation.Strength == 1 || r.Collation.Strength == foldCase
}

// realIndexes lists the indexes that the database has.
func (d *DB) realIndexes(ctx context.Context, className string) ([]realIndex, error) {
	cur, err := d.collection(className).Indexes().List(ctx)
	if hasCode(err, codeNamespaceNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []realIndex
	if err := cur.All(ctx, &list); err != nil {
		return nil, err
	}
	return list, nil
}

// unrecorded returns the indexes in a document of _SCHEMA whose options only
// the index itself knows: Parse Server made them.
func unrecorded(m *parse.Map) map[string]bool {
	names := map[string]bool{}
	meta := child(m, keyMetadata)
	ours := child(child(meta, metaPargo), "indexes")
	for name := range child(meta, metaIndexes).All() {
		if name != schema.IDIndex && !ours.Has(name) {
			names[name] = true
		}
	}
	return names
}

// authIndex is the name of the index that keeps two users from having one id
// of a provider. It is no part of the schema, since its key is no field; the
// name is Parse Server's.
func authIndex(provider string) string { return prefixAuth + provider + "_id" }

// ensureAuthIndexes makes the indexes of the ids of all providers, once for
// each DB. A database whose users cannot have one works without, as Parse
// Server does.
func (d *DB) ensureAuthIndexes(ctx context.Context) {
	if d.authIndexed.Load() {
		return
	}
	for _, provider := range d.providers {
		_, err := d.collection(classUser).Indexes().CreateOne(ctx, mongo.IndexModel{
			Keys:    bson.D{{Key: prefixAuth + provider + ".id", Value: 1}},
			Options: options.Index().SetName(authIndex(provider)).SetUnique(true).SetSparse(true),
		})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !hasCode(err, codeIndexOptions, codeIndexKeySpecs):
			d.log.WarnContext(ctx, "users may share an id of a provider: the index that forbids it cannot be made", "index", authIndex(provider), "error", err)
		}
	}
	d.authIndexed.Store(true)
}

// authProviders are the providers that have an index: those that were asked
// for, and anonymous.
func authProviders(names []string) []string {
	list := append(slices.Clone(names), "anonymous")
	slices.Sort(list)
	return slices.Compact(list)
}

// Indexes implements storage.Indexer.
func (d *DB) Indexes(ctx context.Context, class *schema.Class) ([]schema.Index, error) {
	real, err := d.realIndexes(ctx, class.Name)
	if err != nil {
		return nil, d.failure(ctx, "indexes", class.Name, err)
	}
	var out []schema.Index
	for i := range real {
		r := &real[i]
		if r.Name == schema.IDIndex {
			continue
		}
		if at := slices.IndexFunc(class.Indexes, func(ix schema.Index) bool { return ix.Name == r.Name }); at >= 0 {
			out = append(out, class.Indexes[at])
			continue
		}
		ix := schema.Index{Name: r.Name, Unique: r.Unique, Sparse: r.Sparse, CaseInsensitive: r.folds()}
		elems, err := r.Key.Elements()
		if err != nil {
			return nil, d.failure(ctx, "indexes", class.Name, err)
		}
		for _, e := range elems {
			k := schema.IndexKey{Field: wirePath(class.Name, e.Key())}
			if kind, ok := e.Value().StringValueOK(); ok {
				k.Kind = kind
			} else if n, ok := e.Value().AsInt64OK(); ok {
				k.Desc = n < 0
			}
			ix.Keys = append(ix.Keys, k)
		}
		out = append(out, ix)
	}
	return out, nil
}

// CanIndex implements storage.Indexer.
func (d *DB) CanIndex(class *schema.Class, field string, sorted bool) bool {
	t := resolve(class, field)
	switch t.typ {
	case schema.Relation, schema.GeoPoint, schema.Polygon:
		return false
	case schema.Pointer, schema.Array, schema.Object:
		return !sorted && !t.opaque // sorted by this package: see sortedHere
	default:
		return !t.opaque
	}
}
