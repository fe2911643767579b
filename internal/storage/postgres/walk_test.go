package postgres_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/postgres"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// fill makes rows whose ids come in another order by language than by bytes.
const fill = `INSERT INTO "Big" ("objectId", "createdAt", "updatedAt", "n")
	SELECT CASE n % 2 WHEN 0 THEN 'a' ELSE 'B' END || md5(n::text) || repeat('x', 80), now(), now(), n FROM generate_series(1, 60000) AS n`

// walks are the pages of a walk by id.
func walks(c *schema.Class) map[string]*storage.Find {
	id := func(op query.Op) query.Node { return &query.Compare{Path: parse.KeyObjectID, Op: op, Value: "a5"} }
	order := func(desc bool) []query.Sort { return []query.Sort{{Path: parse.KeyObjectID, Desc: desc}} }
	client := &query.Permission{Subjects: []string{"*"}}
	return map[string]*storage.Find{
		"first page":       {Class: c, Order: order(false), Limit: 101},
		"next page":        {Class: c, Where: query.AllOf(client, id(query.Gt)), Order: order(false), Limit: 101},
		"next page, down":  {Class: c, Where: query.AllOf(client, id(query.Lt)), Order: order(true), Limit: 101},
		"page of a cursor": {Class: c, Where: query.AllOf(client, id(query.Gt)), Order: order(false), Limit: 101, Strict: true},
		"prefix":           {Class: c, Where: &query.Regex{Path: parse.KeyObjectID, Pattern: "^a5c71"}, Limit: 101},
	}
}

// indexOf returns the index that a find uses, and whether the database sorts.
func indexOf(t *testing.T, db *postgres.DB, f *storage.Find) (index any, sorts bool) {
	t.Helper()
	m, err := db.Explain(t.Context(), f, query.QueryPlanner)
	if err != nil {
		t.Fatal(err)
	}
	planner, _ := m.Get("queryPlanner")
	p := planner.(*parse.Map)
	index, _ = p.Get("index")
	plan, _ := p.Get("plan")
	return index, bytes.Contains(parse.AppendJSON(nil, plan), []byte(`"Sort"`))
}

func TestWalk(t *testing.T) {
	uri := place(t)
	db := open(t, uri)
	c := schema.Complete(&schema.Class{Name: "Big", Fields: map[string]*schema.Field{"n": {Name: "n", Type: schema.Number}}})
	apply(t, db, schema.Step{Kind: schema.CreateClass, Class: c.Name, Def: c})
	run(t, uri, fill)
	run(t, uri, `ANALYZE "Big"`)
	for name, f := range walks(c) {
		if index, sorts := indexOf(t, db, f); index != "_id_" || sorts {
			t.Errorf("%s: index %v, sorts: %v", name, index, sorts)
		}
	}
}

// A large table that Parse Server has made gets an index when it is walked, a
// small one does not.
func TestWalkOfForeignTable(t *testing.T) {
	uri := place(t)
	db := open(t, uri)
	run(t, uri, `CREATE TABLE "Big" ("objectId" text, "createdAt" timestamptz, "updatedAt" timestamptz, "n" double precision, "_rperm" text[], "_wperm" text[], PRIMARY KEY ("objectId"))`)
	run(t, uri, `INSERT INTO "_SCHEMA" VALUES ('Big', '{"className":"Big","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"n":{"type":"Number"},"_rperm":{"type":"Array"},"_wperm":{"type":"Array"}}}', true)`)
	run(t, uri, `INSERT INTO "Big" VALUES ('b'), ('a'), ('B')`)
	walk := func(db *postgres.DB) []string {
		t.Helper()
		list, err := db.Find(t.Context(), &storage.Find{Class: storagetest.ClassOf(t, db, "Big"), Order: []query.Sort{{Path: parse.KeyObjectID}}, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]string, len(list))
		for i, o := range list {
			ids[i] = o.ID
		}
		return ids
	}
	if got, want := walk(db), []string{"B", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if err := db.Close(); err != nil { // waits for what is under way
		t.Fatal(err)
	}
	const indexes = `SELECT indexname::text FROM pg_indexes WHERE tablename = 'Big' AND schemaname = current_schema() ORDER BY 1`
	if got, want := texts(t, uri, indexes), []string{"Big_pkey"}; !slices.Equal(got, want) {
		t.Errorf("indexes of the small table: %v, want %v", got, want)
	}
	run(t, uri, fill)
	run(t, uri, `ANALYZE "Big"`)
	db = open(t, uri)
	if got := walk(db); !slices.IsSorted(got) || len(got) != 100 {
		t.Errorf("%d ids, not in order of bytes: %v", len(got), got)
	}
	c := storagetest.ClassOf(t, db, "Big")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if index, sorts := indexOf(t, db, walks(c)["next page"]); index != nil && !sorts {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("there is no index")
		}
	}
	for name, f := range walks(c) {
		if index, sorts := indexOf(t, db, f); index != "_order:Big" || sorts {
			t.Errorf("%s: index %v, sorts: %v", name, index, sorts)
		}
	}
	if got := storagetest.ClassOf(t, db, "Big").Indexes; len(got) > 0 {
		t.Errorf("the class has indexes: %v", got)
	}
}
