package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/internal/storage"
)

// Keys of a row of a relation.
const (
	keyRelated = "relatedId"
	keyOwning  = "owningId"
)

// AddRelated implements storage.Store. Rows get an id from here, whose order
// is the order of the relation.
func (d *DB) AddRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	if len(relatedIDs) == 0 {
		return nil
	}
	models := make([]mongo.WriteModel, len(relatedIDs))
	for i, relatedID := range relatedIDs {
		row := bson.D{{Key: keyRelated, Value: relatedID}, {Key: keyOwning, Value: owningID}}
		models[i] = mongo.NewUpdateOneModel().SetUpsert(true).SetFilter(row).SetUpdate(bson.D{
			{Key: "$setOnInsert", Value: bson.D{{Key: keyID, Value: bson.NewObjectID()}}},
			{Key: "$set", Value: row},
		})
	}
	_, err := d.collection(r.String()).BulkWrite(ctx, models)
	return d.failure(ctx, "add to", r.String(), err)
}

// RemoveRelated implements storage.Store.
func (d *DB) RemoveRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	if len(relatedIDs) == 0 {
		return nil
	}
	_, err := d.collection(r.String()).DeleteMany(ctx, bson.D{
		{Key: keyOwning, Value: owningID},
		{Key: keyRelated, Value: bson.D{{Key: "$in", Value: relatedIDs}}},
	})
	return d.failure(ctx, "remove from", r.String(), err)
}

// Related implements storage.Store.
func (d *DB) Related(ctx context.Context, r storage.Join, owningID string) ([]string, error) {
	return d.rows(ctx, r, bson.D{{Key: keyOwning, Value: owningID}}, keyRelated)
}

// Owning implements storage.Store.
func (d *DB) Owning(ctx context.Context, r storage.Join, relatedIDs []string) ([]string, error) {
	if len(relatedIDs) == 0 {
		return nil, nil
	}
	return d.rows(ctx, r, bson.D{{Key: keyRelated, Value: bson.D{{Key: "$in", Value: relatedIDs}}}}, keyOwning)
}

// Links implements storage.Store.
func (d *DB) Links(ctx context.Context, r storage.Join, owningIDs []string) ([]storage.Link, error) {
	where := bson.D{}
	if owningIDs != nil {
		where = bson.D{{Key: keyOwning, Value: bson.D{{Key: "$in", Value: owningIDs}}}}
	}
	return d.links(ctx, r, where, options.Find())
}

// rows returns one key of the rows that match, oldest first, each value once.
func (d *DB) rows(ctx context.Context, r storage.Join, where bson.D, key string) (out []string, err error) {
	list, err := d.links(ctx, r, where, options.Find().SetSort(bson.D{{Key: keyID, Value: 1}}))
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(list))
	for _, l := range list {
		id := l.Member
		if key == keyOwning {
			id = l.Owner
		}
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out, nil
}

// links returns the rows that match, each once: servers that upsert at the
// same moment may have made a row twice.
func (d *DB) links(ctx context.Context, r storage.Join, where bson.D, opts *options.FindOptionsBuilder) (out []storage.Link, err error) {
	cur, err := d.collection(r.String()).Find(ctx, where, opts.SetBatchSize(batchSize))
	if err != nil {
		return nil, d.failure(ctx, "read", r.String(), err)
	}
	defer func() {
		if cerr := closeCursor(ctx, cur); err == nil {
			err = d.failure(ctx, "read", r.String(), cerr)
		}
	}()
	seen := map[storage.Link]bool{}
	for cur.Next(ctx) {
		row := bsoncore.Document(cur.Current)
		owner, hasOwner := idAt(row, keyOwning)
		member, hasMember := idAt(row, keyRelated)
		l := storage.Link{Owner: owner, Member: member}
		if hasOwner && hasMember && !seen[l] {
			seen[l] = true
			out = append(out, l)
		}
	}
	return out, d.failure(ctx, "read", r.String(), cur.Err())
}

// idAt returns a string of a document, if there is one under the key.
func idAt(doc bsoncore.Document, key string) (string, bool) {
	v, err := doc.LookupErr(key)
	if err != nil {
		return "", false
	}
	return v.StringValueOK()
}
