package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/postgres"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// TestShapes: lists of all lengths share a statement, so that the cache of
// prepared ones does not turn over.
func TestShapes(t *testing.T) {
	db, err := postgres.Open(t.Context(), postgres.Options{URI: place(t), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := storagetest.NewClass("Shape")
	apply(t, db, schema.Step{Kind: schema.CreateClass, Class: c.Name, Def: c})
	prepared := func() int {
		t.Helper()
		n, err := db.Prepared(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	list := func(n int, value func(i int) parse.Value) []parse.Value {
		out := make([]parse.Value, n)
		for i := range out {
			out[i] = value(i)
		}
		return out
	}
	text := func(i int) parse.Value { return fmt.Sprint("t", i) }
	number := func(i int) parse.Value { return float64(i) }
	pointer := func(i int) parse.Value { return parse.Pointer{ClassName: "Other", ObjectID: fmt.Sprint(i)} }
	mixed := func(i int) parse.Value { return []parse.Value{text(i), number(i), pointer(i)}[i%3] }
	find := func(where query.Node) func(n int) error {
		return func(n int) error {
			_, err := db.Find(t.Context(), &storage.Find{Class: c, Where: where, Limit: n, Order: []query.Sort{{Path: "n"}}})
			return err
		}
	}
	member := func(path query.Path, op query.Op, value func(int) parse.Value) func(n int) error {
		return func(n int) error { return find(&query.Member{Path: path, Op: op, Values: list(n, value)})(n) }
	}
	subjects := func(n int) error {
		p := &query.Permission{}
		for i := range n {
			p.Subjects = append(p.Subjects, fmt.Sprint("role:", i))
		}
		return find(p)(n)
	}
	id := 0
	objects := func(n int) (out []*parse.Object) {
		for range n {
			id++
			out = append(out, object(t, c.Name, fmt.Sprint("id", id), `{"n":1,"a":[1]}`))
		}
		return out
	}
	for _, tt := range []struct {
		name string
		most int // statements
		do   func(n int) error
	}{
		{"in texts", 1, member("s", query.In, text)},
		{"in ids", 1, member("objectId", query.In, text)},
		{"in numbers", 1, member("n", query.In, number)},
		{"in pointers", 1, member("p", query.In, pointer)},
		{"not in", 1, member("s", query.Nin, text)},
		{"array in texts", 1, member("a", query.In, text)},
		{"array in pointers", 1, member("a", query.In, pointer)},
		{"array in mixed", 2, member("a", query.In, mixed)}, // one text alone is another statement
		{"array not in", 1, member("a", query.Nin, number)},
		{"all", 1, member("a", query.All, number)},
		{"contained by", 1, member("a", query.ContainedBy, number)},
		{"permission", 1, subjects},
		{"limit", 1, find(nil)},
		{"insert", 2, func(n int) error { return db.Insert(t.Context(), c, objects(n)) }}, // one, and many
		{"insert each", 2, func(n int) error {
			for _, err := range db.InsertEach(t.Context(), c, objects(n)) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"update each", 1, func(n int) error {
			updates := make([]*storage.Update, n)
			for i := range updates {
				updates[i] = &storage.Update{Class: c, Where: query.ByID(fmt.Sprint("id", i+1)), UpdatedAt: 9, Ops: parse.NewMap(parse.MapField{Key: "n", Value: float64(i)})}
			}
			for _, r := range db.UpdateEach(t.Context(), updates) {
				if r.Err != nil {
					return r.Err
				}
			}
			return nil
		}},
		{"relate", 3, func(n int) error { // the relation is made by the first one
			ids := make([]string, n)
			for i := range ids {
				ids[i] = fmt.Sprint(n, "/", i)
			}
			return db.AddRelated(t.Context(), storage.Join{Class: c.Name, Key: "r"}, "owner", ids)
		}},
		{"owners", 1, func(n int) error {
			_, err := db.Owning(t.Context(), storage.Join{Class: c.Name, Key: "r"}, make([]string, n))
			return err
		}},
	} {
		before := prepared()
		for _, n := range rand.Perm(30) {
			if err := tt.do(n + 1); err != nil {
				t.Fatalf("%s of %d: %v", tt.name, n+1, err)
			}
		}
		if got := prepared() - before; got > tt.most || got < 0 {
			t.Errorf("%s: %d statements, want %d at most", tt.name, got, tt.most)
		}
	}
	// Of shapes without number, the connection keeps 512. What goes for another
	// one goes with the next statement.
	for n := range 600 {
		either := &query.Or{}
		for i := range n%299 + 1 {
			either.Nodes = append(either.Nodes, &query.Compare{Path: query.Path([]string{"s", "t"}[n/299%2]), Op: query.Eq, Value: fmt.Sprint(i)})
		}
		if err := find(either)(10); err != nil {
			t.Fatal(err)
		}
	}
	if n := prepared(); n > 514 {
		t.Errorf("%d prepared statements", n)
	}
}
