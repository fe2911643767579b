package objects_test

import (
	"fmt"
	"testing"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// TestAggregatePages reads more objects than fit on a page: each comes once,
// the oldest first, whatever their ids.
func TestAggregatePages(t *testing.T) {
	f := onSQLite(t, gameClass())
	const n = 4100
	list := make([]*parse.Object, n)
	for i := range list {
		o := &parse.Object{ClassName: "Game", ID: fmt.Sprintf("%05d", (i*7919)%n), CreatedAt: parse.Date(i + 1), UpdatedAt: parse.Date(i + 1)}
		o.Set("name", "g")
		o.Set("score", float64(i))
		list[i] = o
	}
	if err := f.Store().Insert(t.Context(), f.Registry().Current().Class("Game"), list); err != nil {
		t.Fatal(err)
	}
	for pipeline, want := range map[string]string{
		`[{"$group":{"_id":null,"n":{"$sum":1},"sum":{"$sum":"$score"},"first":{"$first":"$score"},"last":{"$last":"$score"}}}]`: `[{"objectId":null,"n":4100,"sum":8402950,"first":0,"last":4099,"fans":{"__type":"Relation","className":"_User"}}]`,
		`[{"$limit":3000},{"$group":{"_id":"","last":{"$max":"$score"}}}]`:                                                       `[{"objectId":null,"last":2999,"fans":{"__type":"Relation","className":"_User"}}]`,
		`[{"$match":{"score":{"$gte":1000,"$lt":3500}}},{"$count":"n"}]`:                                                         `[{"n":2500,"fans":{"__type":"Relation","className":"_User"}}]`,
		`[{"$limit":2000},{"$count":"n"}]`:                                                                                       `[{"n":2000,"fans":{"__type":"Relation","className":"_User"}}]`,
	} {
		got, err := f.Aggregate(t.Context(), master, "Game", &objects.Aggregation{Pipeline: body(t, `{"pipeline":`+pipeline+`}`)})
		if text := string(parse.AppendJSON(nil, got)); err != nil || text != want {
			t.Errorf("%s: %s, %v, want %s", pipeline, text, err, want)
		}
	}
}
