package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/doctor"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func post(indexes ...schema.Index) *schema.Class {
	fields := map[string]*schema.Field{}
	for name, t := range map[string]schema.Type{"title": schema.String, "score": schema.Number, "open": schema.Boolean, "at": schema.GeoPoint, "meta": schema.Object, "tags": schema.Array} {
		fields[name] = &schema.Field{Name: name, Type: t}
	}
	fields["author"] = &schema.Field{Name: "author", Type: schema.Pointer, TargetClass: "_User"}
	return schema.Complete(&schema.Class{Name: "Post", Fields: fields, Indexes: indexes})
}

func index(name string, keys ...string) schema.Index {
	ix := schema.Index{Name: name}
	for _, k := range keys {
		field, desc := strings.CutPrefix(k, "-")
		ix.Keys = append(ix.Keys, schema.IndexKey{Field: field, Desc: desc})
	}
	return ix
}

func parsed(t testing.TB, params string) *query.Query {
	t.Helper()
	m, err := parse.DecodeMap([]byte(params), parse.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	q, err := query.ParseQuery(m, query.Limits{}, query.Scope{Master: true})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func registry(t testing.TB, classes ...*schema.Class) (storage.Store, *schema.Registry) {
	t.Helper()
	store := storagetest.NewModel()
	var steps []schema.Step
	for _, c := range classes {
		steps = append(steps, schema.Step{Kind: schema.CreateClass, Class: c.Name, Def: c})
	}
	if err := store.ApplySchema(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
	reg := schema.NewRegistry(store)
	if err := reg.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store, reg
}

func TestMissingIndexes(t *testing.T) {
	sparse := index("sparse", "score")
	sparse.Sparse = true
	unique := index("unique", "title")
	unique.Unique = true
	folded := index("folded", "title")
	folded.CaseInsensitive = true
	const byAuthor = `{"where":{"author":{"__type":"Pointer","className":"_User","objectId":"u"}},"order":"-createdAt","limit":10}`
	for name, tt := range map[string]struct {
		params  string
		indexes []schema.Index
		title   string // "": nothing to say
		warning string
		suggest string
	}{
		"equality and order":           {byAuthor, nil, "class Post: equality author, order -createdAt", "no index serves it", `author_createdAt: {"author":1,"createdAt":-1}`},
		"served":                       {byAuthor, []schema.Index{index("x", "author", "-createdAt")}, "", "", ""},
		"served, the other way":        {byAuthor, []schema.Index{index("x", "author", "createdAt")}, "", "", ""},
		"served in part":               {byAuthor, []schema.Index{index("x", "author")}, "class Post: equality author, order -createdAt", "index x serves it in part", `author_createdAt: {"author":1,"createdAt":-1}`},
		"name is taken":                {byAuthor, []schema.Index{index("author_createdAt", "score")}, "class Post: equality author, order -createdAt", "no index serves it", `author_createdAt_2: {"author":1,"createdAt":-1}`},
		"by id":                        {`{"where":{"objectId":"x","title":"y"}}`, nil, "", "", ""},
		"all":                          {`{}`, nil, "", "", ""},
		"ids in order":                 {`{"order":"-objectId"}`, nil, "", "", ""},
		"order alone":                  {`{"order":"-score,title"}`, nil, "class Post: order -score, title", "no index serves it", `score_title: {"score":-1,"title":1}`},
		"order, turned around":         {`{"order":"-score,title"}`, []schema.Index{index("x", "score", "-title")}, "", "", ""},
		"order, half turned":           {`{"order":"-score,title"}`, []schema.Index{index("x", "score", "title")}, "class Post: order -score, title", "index x serves it in part", `score_title: {"score":-1,"title":1}`},
		"range":                        {`{"where":{"score":{"$gt":1}}}`, nil, "class Post: range score", "no index serves it", `score: {"score":1}`},
		"range served":                 {`{"where":{"score":{"$gt":1,"$lt":7}}}`, []schema.Index{index("x", "score")}, "", "", ""},
		"range, sparse":                {`{"where":{"score":{"$gt":1}}}`, []schema.Index{sparse}, "", "", ""},
		"order, sparse":                {`{"order":"score"}`, []schema.Index{sparse}, "class Post: order score", "no index serves it", `score: {"score":1}`},
		"equality before range":        {`{"where":{"score":{"$gt":1},"title":"x"}}`, nil, "class Post: equality title, range score", "no index serves it", `title_score: {"title":1,"score":1}`},
		"unique":                       {`{"where":{"title":"x","open":true},"order":"score"}`, []schema.Index{unique}, "", "", ""},
		"folded":                       {`{"where":{"title":"x"}}`, []schema.Index{folded}, "class Post: equality title", "no index serves it", `title: {"title":1}`},
		"prefix":                       {`{"where":{"title":{"$regex":"^x"}}}`, nil, "class Post: prefix title", "no index serves it", `title: {"title":1}`},
		"pattern":                      {`{"where":{"title":{"$regex":"x"}}}`, nil, "", "", ""},
		"list":                         {`{"where":{"title":{"$in":["a","b"]},"open":true}}`, nil, "class Post: equality open, in title", "no index serves it", `open_title: {"open":1,"title":1}`},
		"what stands in or":            {`{"where":{"$or":[{"title":"x"},{"score":1}]}}`, nil, "", "", ""},
		"or and an equality":           {`{"where":{"open":true,"$or":[{"title":"x"},{"score":1}]}}`, nil, "class Post: equality open, other score, title", "no index serves it", `open: {"open":1}`},
		"unknown fields":               {`{"where":{"nope":1,"open":true}}`, nil, "class Post: equality ?, open", "no index serves it", `open: {"open":1}`},
		"unknown fields alone":         {`{"where":{"nope":1}}`, nil, "", "", ""},
		"within an object":             {`{"where":{"meta.k":1}}`, nil, "class Post: equality meta.k", "no index serves it", `meta_k: {"meta.k":1}`},
		"many":                         {`{"where":{"title":"x","open":true,"score":1,"meta.k":1,"tags":1},"order":"createdAt"}`, nil, "class Post: equality meta.k, open, score, tags, title, order createdAt", "no index serves it", `meta_k_open_score_tags: {"meta.k":1,"open":1,"score":1,"tags":1}`},
		"place":                        {`{"where":{"at":{"$nearSphere":{"__type":"GeoPoint","latitude":1,"longitude":1}}},"order":"score"}`, nil, "class Post: place at, order score", "no index serves it", `score: {"score":1}`},
		"negations are not found":      {`{"where":{"title":{"$ne":"x"}}}`, nil, "", "", ""},
		"order on what is equal":       {`{"where":{"score":1},"order":"score,title"}`, []schema.Index{index("x", "score", "title")}, "", "", ""},
		"another index is better used": {byAuthor, []schema.Index{index("a", "createdAt"), index("b", "author", "-createdAt")}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := post(tt.indexes...)
			store, reg := registry(t, c)
			stats := doctor.NewStats(time.Now())
			q := parsed(t, tt.params)
			for range 1203 {
				stats.ObserveFind(&storage.Find{Class: c, Where: q.Where, Order: q.Order, Limit: q.Limit}, 3, 400*time.Millisecond)
			}
			r := doctor.New(stats, doctor.Queries(store, reg, stats, 20*time.Millisecond)).Examine(t.Context())
			got := r.Groups[0].Checks[0]
			if tt.title == "" {
				if r.State != doctor.Success || got.State != doctor.Success {
					t.Errorf("%+v", got)
				}
				return
			}
			want := doctor.Check{
				Title: tt.title, State: doctor.Fail, Warning: tt.warning + "; 400 ms p95 over 1,203 finds", Solution: "suggested index " + tt.suggest,
			}
			got.Schema = nil
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if r.State != doctor.Fail {
				t.Errorf("state %s", r.State)
			}
		})
	}
}

func TestReport(t *testing.T) {
	c := post()
	store, reg := registry(t, c)
	stats := doctor.NewStats(time.Unix(1_700_000_000, 0))
	where := parsed(t, `{"where":{"open":true}}`).Where
	stats.ObserveCount(c, where, 30*time.Millisecond)
	stats.ObserveFind(&storage.Find{Class: c, Where: where, Limit: 100}, 7, time.Millisecond)
	d := doctor.New(stats, doctor.Queries(store, reg, stats, 20*time.Millisecond), doctor.Group{Name: "More", Run: func(context.Context) []doctor.Check {
		return []doctor.Check{{Title: "x", State: doctor.Unknown}}
	}})
	const want = `{"report":{"version":"1.0.0","state":"fail","groups":[` +
		`{"name":"Queries","state":"fail","checks":[{"title":"class Post: equality open, counted","state":"fail","warning":"no index serves it; 30 ms p95 over 1 counts","solution":"suggested index open: {\"open\":1}","schema":{"indexes":{"open":{"open":1}}}}]},` +
		`{"name":"More","state":"none","checks":[{"title":"x","state":"none"}]}]},` +
		`"statistics":{"since":"2023-11-14T22:13:20Z","shapes":[` +
		`{"title":"class Post: equality open, counted","class":"Post","operation":"count","limit":"","calls":1,"rows":0,"totalMs":30,"p50Ms":30,"p95Ms":30,"p99Ms":30,"maxMs":30},` +
		`{"title":"class Post: equality open","class":"Post","operation":"find","limit":"≤ 100","calls":1,"rows":7,"totalMs":1,"p50Ms":1,"p95Ms":1,"p99Ms":1,"maxMs":1}]}}`
	if d := cmp.Diff(want, string(parse.AppendJSON(nil, d.Examine(t.Context()).JSON()))); d != "" {
		t.Error(d)
	}
	none := doctor.New(nil, doctor.Queries(store, reg, nil, 0)).Examine(t.Context())
	if none.State != doctor.Unknown || none.JSON().Has("statistics") {
		t.Errorf("without statistics: %+v", none)
	}
}

// ailing is a store with an index less, and one that does not answer.
type ailing struct {
	storage.Store
	ping error
}

func (a ailing) Ping(context.Context) error { return a.ping }
func (a ailing) Indexes(_ context.Context, c *schema.Class) ([]schema.Index, error) {
	if c.Name == "Post" {
		return nil, nil
	}
	return c.Indexes, nil
}
func (a ailing) CanIndex(_ *schema.Class, field string, _ bool) bool { return field != "tags" }

func TestDatabase(t *testing.T) {
	store, reg := registry(t, post(index("gone", "title"), index("impossible", "tags")))
	check := func(s storage.Store) string {
		var out []string
		for _, c := range doctor.New(nil, doctor.Database(s, reg)).Examine(t.Context()).Groups[0].Checks {
			out = append(out, string(c.State)+" "+c.Warning)
		}
		return strings.Join(out, "; ")
	}
	for want, s := range map[string]storage.Store{
		"success ; none ": store, // the model knows nothing of indexes
		"success ; fail class Post declares index gone, which the database does not have": ailing{store, nil},
		"fail It does not answer: no route":                                               ailing{store, errors.New("no route")},
	} {
		if d := cmp.Diff(want, check(s)); d != "" {
			t.Error(d)
		}
	}
}

func TestStats(t *testing.T) {
	c := post()
	stats := doctor.NewStats(time.Now())
	q := parsed(t, `{"where":{"title":"x","score":{"$gt":1}},"order":"-score"}`)
	// Values, their order and permissions make no difference, the size of the limit does.
	other := parsed(t, `{"where":{"score":{"$gt":7},"title":"y"},"order":"-score"}`)
	for i := range 100 {
		stats.ObserveFind(&storage.Find{Class: c, Where: q.Where, Order: q.Order, Limit: 100}, 2, time.Duration(i+1)*time.Millisecond)
	}
	allowed := query.AllOf(other.Where, &query.Permission{Subjects: []string{"*"}})
	stats.ObserveFind(&storage.Find{Class: c, Where: allowed, Order: q.Order, Limit: 50}, 0, time.Microsecond)
	stats.ObserveFind(&storage.Find{Class: c, Where: q.Where, Order: q.Order, Limit: 1}, 1, 0)
	shapes := stats.Shapes()
	if len(shapes) != 2 {
		t.Fatalf("%d shapes: %+v", len(shapes), shapes)
	}
	s := shapes[0]
	if s.Calls != 101 || s.Rows != 200 || s.Max != 100*time.Millisecond || s.Total != 5050*time.Millisecond+time.Microsecond || s.Limit != "≤ 100" {
		t.Errorf("%+v", s)
	}
	for want, got := range map[time.Duration]time.Duration{50 * time.Millisecond: s.P50, 95 * time.Millisecond: s.P95, 99 * time.Millisecond: s.P99} {
		if got < want || got > want*3/2 {
			t.Errorf("percentile %v, want %v to %v", got, want, want*3/2)
		}
	}
}

func TestStatsAreBounded(t *testing.T) {
	c := post()
	stats := doctor.NewStats(time.Now())
	kept := &storage.Find{Class: c, Where: query.Equal("title", "x"), Limit: 1}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				stats.ObserveFind(kept, 1, time.Microsecond)
				stats.ObserveFind(&storage.Find{Class: c, Where: query.Equal(fmt.Sprintf("meta.k%d_%d", g, i), 1.0), Limit: 1}, 1, time.Microsecond)
				stats.ObserveFind(&storage.Find{Class: c, Where: query.Equal(fmt.Sprintf("unknown%d", i), 1.0), Limit: 1}, 1, time.Microsecond)
				stats.ObserveFind(&storage.Find{Class: c, Where: query.Equal("meta."+strings.Repeat("k", 100+i), 1.0), Limit: 1}, 1, time.Microsecond)
			}
		})
	}
	wg.Wait()
	shapes := stats.Shapes()
	if len(shapes) != 500 {
		t.Errorf("%d shapes", len(shapes))
	}
	for _, s := range shapes {
		if s.Title() == "class Post: equality title" && s.Calls == 4000 {
			return
		}
	}
	t.Error("the shape in use is gone")
}

func BenchmarkObserve(b *testing.B) {
	c := post()
	q := parsed(b, `{"where":{"author":{"__type":"Pointer","className":"_User","objectId":"u"},"score":{"$gt":1}},"order":"-createdAt"}`)
	f := &storage.Find{Class: c, Where: query.AllOf(q.Where, &query.Permission{Subjects: []string{"*"}}), Order: q.Order, Limit: 100}
	stats := doctor.NewStats(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		stats.ObserveFind(f, 100, 300*time.Microsecond)
	}
}
