package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Many objects, which are copied, are stored as each of them is by itself.
func TestInsertMany(t *testing.T) {
	db := open(t, place(t))
	index := schema.Index{Name: "once", Keys: []schema.IndexKey{{Field: "n"}}, Unique: true, Sparse: true}
	c := storagetest.NewClass(`Ga"me`, index)
	apply(t, db, schema.Step{Kind: schema.CreateClass, Class: c.Name, Def: c})
	values := []string{
		`{}`, `{"s":null,"n":null,"b":null,"d":null,"o":null,"a":null,"g":null,"p":null}`,
		`{"s":"tëxt 𝄞\t\n\\N \\. \"","b":true,"d":{"__type":"Date","iso":"1900-06-07T08:09:10.011Z"}}`,
		`{"o":{"z":1,"a":{"b":[null,"\\"]},"k":"\\u0000"},"a":[1,"x",null,{"y":{"__type":"Date","iso":"2020-05-05T05:05:05.005Z"}}],"b":false}`,
		`{"g":{"__type":"GeoPoint","latitude":-1.25,"longitude":179.5},"p":{"__type":"Pointer","className":"Other","objectId":"q1"},"f":{"__type":"File","name":"a b.png"}}`,
		`{"q":{"__type":"Polygon","coordinates":[[0,0],[0,10.5],[10,10]]},"y":{"__type":"Bytes","base64":"AAECAwQ="}}`,
		`{"s":"","o":{},"a":[],"d":{"__type":"Date","iso":"2262-01-01T00:00:00.000Z"}}`,
	}
	acls := []*parse.ACL{nil, parse.NewACL(), parse.NewACL(parse.ACLEntry{Subject: "*", Read: true}, parse.ACLEntry{Subject: `role:a, "b" {c}`, Read: true, Write: true})}
	const count = 120
	objects := func(prefix string) (list []*parse.Object) {
		for i := range count {
			o := object(t, c.Name, fmt.Sprintf("%s%03d", prefix, i), values[i%len(values)])
			o.ACL = acls[i%len(acls)]
			list = append(list, o)
		}
		return list
	}
	for _, o := range objects("one") {
		if err := db.Insert(t.Context(), c, []*parse.Object{o}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Insert(t.Context(), c, objects("all")); err != nil {
		t.Fatal(err)
	}
	stored := func(prefix string) (list []string) {
		found, err := db.Find(t.Context(), &storage.Find{
			Class: c, Where: &query.Regex{Path: "objectId", Pattern: "^" + prefix}, Order: []query.Sort{{Path: "objectId"}}, Limit: query.NoLimit,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range found {
			o.ID = o.ID[len(prefix):]
			list = append(list, string(o.AppendFields(o.AppendJSON(nil))))
		}
		return list
	}
	one, all := stored("one"), stored("all")
	if diff := cmp.Diff(one, all); diff != "" || len(all) != count {
		t.Errorf("%d objects; each by itself and together:\n%s", len(all), diff)
	}

	more := objects("more")
	taken := objects("taken")
	taken[70].ID = "one007"
	twice := objects("twice")
	twice[3].Set("n", 5.0)
	twice[90].Set("n", 5.0)
	bad := objects("bad")
	bad[60].Set("s", "a\x00b")
	isDuplicate := func(name string) func(error) bool {
		return func(err error) bool {
			var dup *storage.DuplicateError
			return errors.As(err, &dup) && dup.Index == name
		}
	}
	failed := errors.New("failed")
	for name, tt := range map[string]struct {
		do   func() error
		want func(error) bool
	}{
		"an id that is there":   {func() error { return db.Insert(t.Context(), c, taken) }, isDuplicate("objectId")},
		"a value that is twice": {func() error { return db.Insert(t.Context(), c, twice) }, isDuplicate("once")},
		"a value that cannot be stored": {
			func() error { return db.Insert(t.Context(), c, bad) },
			func(err error) bool { return parse.CodeOf(err) == parse.InvalidJSON },
		},
		"a transaction that fails": {func() error {
			return db.InTx(t.Context(), func(ctx context.Context, tx storage.Store) error {
				return errors.Join(tx.Insert(ctx, c, more), failed)
			})
		}, func(err error) bool { return errors.Is(err, failed) }},
	} {
		if err := tt.do(); !tt.want(err) {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := db.Count(t.Context(), c, nil, nil); err != nil || n != 2*count {
			t.Errorf("%s: %d objects are left, %v", name, n, err)
		}
	}
	if err := db.Insert(t.Context(), c, more); err != nil {
		t.Error(err)
	}
}
