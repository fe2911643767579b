package objects_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// counting is a store that counts what it is asked, and remembers the finds.
type counting struct {
	storage.Store
	n     int
	finds []storage.Find
}

func (c *counting) Unwrap() storage.Store { return c.Store }

func (c *counting) Find(ctx context.Context, f *storage.Find) ([]*parse.Object, error) {
	c.n++
	c.finds = append(c.finds, *f)
	return c.Store.Find(ctx, f)
}

func (c *counting) Count(ctx context.Context, cl *schema.Class, where query.Node, a *query.Advice) (int64, error) {
	c.n++
	return c.Store.Count(ctx, cl, where, a)
}

func (c *counting) Related(ctx context.Context, j storage.Join, owner string) ([]string, error) {
	c.n++
	return c.Store.Related(ctx, j, owner)
}

func (c *counting) Owning(ctx context.Context, j storage.Join, ids []string) ([]string, error) {
	c.n++
	return c.Store.Owning(ctx, j, ids)
}

// counted is a service on SQLite that counts statements.
func counted(t *testing.T, classes ...*schema.Class) (*fixture, *counting) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "objects.db"), Durability: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := &counting{Store: db}
	return setupOn(t, c, objects.Options{AllowCustomObjectID: true}, classes...), c
}

// TestStatementsOfQueries counts what each kind of query costs: one statement
// for the query, and one for each class of a level of includes.
func TestStatementsOfQueries(t *testing.T) {
	person := def("Person", field("name", schema.String), pointerTo("boss", "Person"), pointerTo("home", "Town"))
	town := def("Town", field("name", schema.String), pointerTo("mayor", "Person"), field("guests", schema.Array))
	book := def("Book", field("title", schema.String), field("n", schema.Number), pointerTo("author", "Person"), pointerTo("town", "Town"),
		field("readers", schema.Array), field("meta", schema.Object), &schema.Field{Name: "fans", Type: schema.Relation, TargetClass: "Person"})
	f, store := counted(t, person, town, book)
	ptr := func(class, id string) string {
		return `{"__type":"Pointer","className":"` + class + `","objectId":"` + id + `"}`
	}
	for i := range 4 {
		f.create(t, master, "Person", fmt.Sprintf(`{"objectId":"p%d","name":"n%d","boss":%s,"home":%s}`, i, i, ptr("Person", fmt.Sprintf("p%d", (i+1)%4)), ptr("Town", "t")))
	}
	f.create(t, master, "Town", `{"objectId":"t","name":"T","mayor":`+ptr("Person", "p3")+`,"guests":[`+ptr("Person", "p0")+`]}`)
	for i := range 20 {
		p := ptr("Person", fmt.Sprintf("p%d", i%4))
		f.create(t, master, "Book", fmt.Sprintf(`{"objectId":"b%d","title":"x","n":%d,"author":%s,"town":%s,"readers":[%s,%s],"meta":{"by":%s},"fans":{"__op":"AddRelation","objects":[%s]}}`,
			i, i, p, ptr("Town", "t"), p, ptr("Town", "t"), p, p))
	}
	relatedTo := `{"$relatedTo":{"object":` + ptr("Book", "b1") + `,"key":"fans"}}`
	inQuery := func(where string) string { return `{"$inQuery":{"className":"Person","where":` + where + `}}` }
	for _, tt := range []struct {
		name, class, params string
		p                   *access.Principal
		want                int
	}{
		{"find", "Book", `{}`, user("u"), 1},
		{"find by id", "Book", `{"where":{"objectId":"b1"}}`, user("u"), 1},
		{"order, skip, limit, keys", "Book", `{"order":"-n,title","skip":2,"limit":3,"keys":"n"}`, user("u"), 1},
		{"or", "Book", `{"where":{"$or":[{"n":1},{"n":{"$gt":7}},{"title":"y"}]}}`, user("u"), 1},
		{"and, nor", "Book", `{"where":{"$and":[{"n":{"$gte":1}},{"$nor":[{"n":2},{"title":"y"}]}]}}`, user("u"), 1},
		{"left to the matcher", "Book", `{"where":{"title":{"$regex":"(x|y)$"},"meta.by":null}}`, user("u"), 1},
		{"order of the matcher", "Book", `{"order":"meta.k","limit":2}`, user("u"), 1},
		{"with a count", "Book", `{"count":1}`, user("u"), 2},
		{"count alone", "Book", `{"count":1,"limit":0}`, user("u"), 1},
		{"nothing asked for", "Book", `{"limit":0}`, user("u"), 0},
		{"unknown class", "Nope", `{}`, master, 0},
		{"include", "Book", `{"include":"author"}`, user("u"), 2},
		{"include, two fields of two classes", "Book", `{"include":"author,town"}`, user("u"), 3},
		{"include, two fields of one class", "Book", `{"include":"author,meta.by"}`, user("u"), 2},
		{"include, two levels", "Book", `{"include":"author.boss"}`, user("u"), 3},
		{"include, two levels, many paths", "Book", `{"include":"author.boss,author.home,town.mayor,town.guests"}`, user("u"), 5},
		{"include, three levels", "Book", `{"include":"author.boss.boss"}`, user("u"), 4},
		{"include of an array with two classes", "Book", `{"include":"readers"}`, user("u"), 3},
		{"includeAll", "Book", `{"includeAll":true}`, user("u"), 3},
		{"include what is no pointer", "Book", `{"include":"title,nope,n.x"}`, user("u"), 1},
		{"include from no results", "Book", `{"where":{"n":99},"include":"author.boss"}`, user("u"), 1},
		{"include by keys", "Book", `{"keys":"author.name"}`, user("u"), 2},
		{"sub-query", "Book", `{"where":{"author":` + inQuery(`{"name":"n1"}`) + `}}`, user("u"), 2},
		{"two sub-queries", "Book", `{"where":{"author":` + inQuery(`{"name":"n1"}`) + `,"meta.by":` + inQuery(`{"name":"n1"}`) + `}}`, user("u"), 3},
		{"sub-query in a sub-query", "Book", `{"where":{"author":` + inQuery(`{"boss":`+inQuery(`{"name":"n1"}`)+`}`) + `}}`, user("u"), 3},
		{"select", "Book", `{"where":{"title":{"$select":{"query":{"className":"Person","where":{}},"key":"name"}}}}`, user("u"), 2},
		{"sub-query and include", "Book", `{"where":{"author":` + inQuery(`{"name":"n1"}`) + `},"include":"author"}`, user("u"), 3},
		{"members", "Person", `{"where":` + relatedTo + `}`, master, 2},
		{"members, owner to be seen", "Person", `{"where":` + relatedTo + `}`, user("u"), 3},
		{"owners", "Book", `{"where":{"fans":` + ptr("Person", "p1") + `}}`, user("u"), 2},
		{"redirect", "Book", `{"redirectClassNameForKey":"fans"}`, user("u"), 1},
		{"first page", "Book", `{"cursor":"","order":"n","limit":3}`, user("u"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store.n = 0
			if _, err := f.find(t, tt.p, tt.class, tt.params); err != nil {
				t.Fatal(err)
			}
			if store.n != tt.want {
				t.Errorf("%d statements, want %d", store.n, tt.want)
			}
		})
	}
	for name, tt := range map[string]struct {
		q    *query.Query
		want int
	}{
		"get":                   {nil, 1},
		"get with an include":   {&query.Query{Include: []string{"author"}}, 2},
		"get with two levels":   {&query.Query{Include: []string{"author", "author.boss"}}, 3},
		"get with all includes": {&query.Query{IncludeAll: true}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			store.n = 0
			if _, err := f.Get(t.Context(), user("u"), "Book", "b1", tt.q); err != nil {
				t.Fatal(err)
			}
			if store.n != tt.want {
				t.Errorf("%d statements, want %d", store.n, tt.want)
			}
		})
	}
}

// TestCursorUsesIndex walks a class by pages and asks for the plan of each statement.
func TestCursorUsesIndex(t *testing.T) {
	c := def("Post", field("score", schema.Number), pointerTo("author", "Post"), field("title", schema.String))
	c.Indexes = []schema.Index{
		{Name: "score", Keys: []schema.IndexKey{{Field: "score"}}},
		{Name: "author_created", Keys: []schema.IndexKey{{Field: "author"}, {Field: "createdAt", Desc: true}}},
	}
	for _, tt := range []struct {
		where, order string
		statements   int // of all pages
	}{
		{`{}`, "", 5},
		{`{}`, "score", 6},  // the page across the end of objects without a score takes two
		{`{}`, "-score", 7}, // so do the one that looks beyond it and the one that begins there
		{`{"author":{"__type":"Pointer","className":"Post","objectId":"a"}}`, "-createdAt", 5},
	} {
		t.Run(tt.order, func(t *testing.T) {
			f, store := counted(t, c)
			for i := range 45 {
				score := fmt.Sprintf(`"score":%d,`, i/3)
				if i%3 == 0 {
					score = ""
				}
				f.create(t, master, "Post", `{`+score+`"author":{"__type":"Pointer","className":"Post","objectId":"a"}}`)
			}
			q, err := query.ParseQuery(body(t, `{"where":`+tt.where+`,"order":"`+tt.order+`","limit":10,"cursor":""}`), query.Limits{}, query.Scope{})
			if err != nil {
				t.Fatal(err)
			}
			store.n, store.finds = 0, nil
			seen := map[string]bool{}
			for {
				found, err := f.Find(t.Context(), user("u"), "Post", q)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range found.Objects {
					if seen[o.ID] {
						t.Fatalf("%s came twice", o.ID)
					}
					seen[o.ID] = true
				}
				if found.Cursor == "" {
					break
				}
				q.Cursor = &found.Cursor
			}
			if len(seen) != 45 || store.n != tt.statements {
				t.Errorf("%d objects in %d statements, want 45 in %d", len(seen), store.n, tt.statements)
			}
			for i := range store.finds {
				plan, err := storage.AsExplainer(store).Explain(t.Context(), &store.finds[i], query.QueryPlanner)
				if err != nil {
					t.Fatal(err)
				}
				text := string(parse.AppendJSON(nil, plan))
				if i > 0 && !strings.Contains(text, "SEARCH") || strings.Contains(text, `"index":null`) {
					t.Errorf("statement %d: %s", i, text)
				}
			}
		})
	}
}
