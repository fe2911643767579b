package mongo_test

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/pargo-baas/pargo/schema"
)

// TestAggregatePermissionApart keeps the permission to aggregate where Parse
// Server, which refuses it, does not look.
func TestAggregatePermissionApart(t *testing.T) {
	s, db := open(t)
	def := game()
	def.CLP = &schema.CLP{Ops: map[schema.Operation]*schema.Permission{schema.Find: {Public: true}, schema.Aggregate: {Public: true}}}
	for _, tt := range []struct {
		name  string
		steps []schema.Step
	}{
		{"made with it", []schema.Step{{Kind: schema.CreateClass, Class: def.Name, Def: def}}},
		{"given it", []schema.Step{{Kind: schema.SetCLP, Class: def.Name}, {Kind: schema.SetCLP, Class: def.Name, CLP: def.CLP}}},
	} {
		if err := s.ApplySchema(t.Context(), tt.steps); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Metadata struct {
				CLP   bson.M `bson:"class_permissions"`
				Pargo bson.M `bson:"pargo"`
			} `bson:"_metadata"`
		}
		if err := db.Collection("_SCHEMA").FindOne(t.Context(), bson.D{{Key: "_id", Value: def.Name}}).Decode(&doc); err != nil {
			t.Fatal(err)
		}
		if _, has := doc.Metadata.CLP["aggregate"]; has || doc.Metadata.CLP["find"] == nil || doc.Metadata.Pargo["aggregate"] == nil {
			t.Errorf("%s: %v", tt.name, doc.Metadata)
		}
	}
}
