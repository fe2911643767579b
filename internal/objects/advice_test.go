package objects_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Where a query, its sub-queries and its includes are read, on all their levels.
func TestReadPreferences(t *testing.T) {
	person := def("Person", field("name", schema.String), pointerTo("town", "Town"))
	town := def("Town", field("name", schema.String))
	book := def("Book", field("n", schema.Number), pointerTo("author", "Person"))
	f, store := counted(t, person, town, book)
	f.create(t, master, "Town", `{"objectId":"t","name":"T"}`)
	f.create(t, master, "Person", `{"objectId":"p","name":"x","town":{"__type":"Pointer","className":"Town","objectId":"t"}}`)
	f.create(t, master, "Book", `{"objectId":"b","n":1,"author":{"__type":"Pointer","className":"Person","objectId":"p"}}`)
	const where = `"where":{"author":{"$inQuery":{"className":"Person","where":{"town":{"$inQuery":{"className":"Town","where":{"name":"T"}}}}}}}`
	type read struct {
		Class string
		From  query.ReadPreference
	}
	tests := []struct {
		name, params string
		get          bool
		want         []read
	}{
		{"none", `{` + where + `,"include":"author.town"}`, false, []read{{"Town", 0}, {"Person", 0}, {"Book", 0}, {"Person", 0}, {"Town", 0}}},
		{
			"one for all", `{` + where + `,"include":"author.town","readPreference":"SECONDARY"}`, false,
			[]read{{"Town", query.Secondary}, {"Person", query.Secondary}, {"Book", query.Secondary}, {"Person", query.Secondary}, {"Town", query.Secondary}},
		},
		{
			"each its own", `{` + where + `,"include":"author.town","readPreference":"SECONDARY","includeReadPreference":"NEAREST","subqueryReadPreference":"PRIMARY"}`, false,
			[]read{{"Town", query.Primary}, {"Person", query.Primary}, {"Book", query.Secondary}, {"Person", query.Nearest}, {"Town", query.Nearest}},
		},
		{
			"of includes alone", `{"include":"author.town","includeReadPreference":"SECONDARY_PREFERRED"}`, false,
			[]read{{"Book", 0}, {"Person", query.SecondaryPreferred}, {"Town", query.SecondaryPreferred}},
		},
		{
			"a get", `{"include":"author.town","readPreference":"PRIMARY_PREFERRED","includeReadPreference":"NEAREST"}`, true,
			[]read{{"Book", query.PrimaryPreferred}, {"Person", query.Nearest}, {"Town", query.Nearest}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store.finds = nil
			q, err := query.ParseQuery(body(t, tt.params), query.Limits{}, query.Scope{})
			if err != nil {
				t.Fatal(err)
			}
			if tt.get {
				_, err = f.Get(t.Context(), user("u"), "Book", "b", q)
			} else {
				_, err = f.find(t, user("u"), "Book", tt.params)
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []read
			for _, find := range store.finds {
				r := read{Class: find.Class.Name}
				if find.Advice != nil {
					r.From = find.Advice.Read
				}
				got = append(got, r)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
