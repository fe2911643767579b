package objects_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/internal/storage/postgres"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// plainStore hides what a store can do besides the contract: aggregations then
// run in this process alone.
type plainStore struct{ storage.Store }

// countingStore counts statements, and the stages that the database ran.
type countingStore struct {
	storage.Store
	inner                storage.Aggregator
	finds, pushed, rows  int
	stages, left, failed int
}

func (c *countingStore) Find(ctx context.Context, f *storage.Find) ([]*parse.Object, error) {
	c.finds++
	return c.Store.Find(ctx, f)
}

func (c *countingStore) Aggregate(ctx context.Context, a *storage.Aggregate, emit func(*parse.Map) error) (int, error) {
	done, err := c.inner.Aggregate(ctx, a, func(m *parse.Map) error {
		c.rows++
		return emit(m)
	})
	switch {
	case errors.Is(err, storage.ErrNotPushed):
		c.failed++
	case err == nil:
		c.pushed++
		c.stages += done
		c.left += len(a.Stages) - done
	}
	return done, err
}

func (c *countingStore) ExplainAggregate(ctx context.Context, a *storage.Aggregate, v query.Verbosity) (*parse.Map, int, error) {
	return c.inner.ExplainAggregate(ctx, a, v)
}

func itemClass() *schema.Class {
	c := schema.Complete(&schema.Class{Name: "Item", Fields: map[string]*schema.Field{}})
	for name, t := range map[string]schema.Type{
		"n": schema.Number, "k": schema.Number, "s": schema.String, "b": schema.Boolean, "d": schema.Date,
		"a": schema.Array, "m": schema.Object, "g": schema.GeoPoint,
	} {
		c.Fields[name] = &schema.Field{Name: name, Type: t}
	}
	c.Fields["p"] = &schema.Field{Name: "p", Type: schema.Pointer, TargetClass: "Owner"}
	return c
}

// items are objects of all shapes: with and without fields, with null in them.
func items(n int) []*parse.Object {
	at, _ := parse.ParseDate("2024-01-30T22:00:00.000Z")
	list := make([]*parse.Object, n)
	for i := range list {
		o := &parse.Object{ClassName: "Item", ID: fmt.Sprintf("id%04d", (i*37)%n), CreatedAt: at + parse.Date(i)*86_400_000, UpdatedAt: at + parse.Date(n-i)*3_600_000}
		put := func(every int, name string, v parse.Value) {
			switch i % every {
			case 1:
			case 2:
				o.Set(name, nil)
			default:
				o.Set(name, v)
			}
		}
		put(7, "n", float64(i%11)/2)
		put(5, "k", float64(i%4-1))
		put(6, "s", []string{"ada", "Bob", "cem", "", "dora"}[i%5])
		put(4, "b", i%3 == 0)
		put(8, "d", at+parse.Date(i%9)*50_000_000)
		put(3, "p", parse.Pointer{ClassName: "Owner", ObjectID: []string{"o1", "o2"}[i%2]})
		put(5, "a", []parse.Value{
			parse.Array{1.0, 2.0}, parse.Array{}, parse.Array{parse.NewMap(parse.MapField{Key: "x", Value: float64(i % 3)}), "t"}, parse.Array{nil, 3.0},
		}[i%4])
		put(4, "m", parse.NewMap(parse.MapField{Key: "x", Value: float64(i % 3)}, parse.MapField{Key: "y", Value: parse.Array{float64(i % 2)}}))
		if i%2 == 0 {
			o.Set("g", parse.GeoPoint{Latitude: float64(i%50) / 10, Longitude: float64(i % 30)})
		}
		if i%10 == 9 {
			o.ACL = parse.NewACL(parse.ACLEntry{Subject: "u", Read: true, Write: true})
		}
		list[i] = o
	}
	return list
}

// both opens a database with items and returns a service on it as it is, with
// what it counts, and one on it without aggregations.
func both(t *testing.T, db scenario.Database, n int) (pushing *fixture, counts *countingStore, plain *objects.Service) {
	t.Helper()
	uri := db.URI(t)
	var store storage.Store
	var err error
	if path, ok := strings.CutPrefix(uri, "sqlite:"); ok {
		store, err = sqlite.Open(t.Context(), sqlite.Options{Path: path, Durability: "normal"})
	} else if db.Name == "postgresql" {
		store, err = postgres.Open(t.Context(), postgres.Options{URI: uri})
	} else {
		store, err = mongo.Open(t.Context(), mongo.Options{URI: uri})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	counts = &countingStore{Store: store, inner: storage.AsAggregator(store)}
	pushing = setupOn(t, counts, objects.Options{}, itemClass())
	if err := store.Insert(t.Context(), pushing.Registry().Current().Class("Item"), items(n)); err != nil {
		t.Fatal(err)
	}
	return pushing, counts, objects.New(plainStore{store}, pushing.Registry(), pushing.app, objects.Options{})
}

// TestPushedAggregates runs random pipelines with the help of the database and
// without, and compares the answers and the errors.
func TestPushedAggregates(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		f, counts, plain := both(t, db, 90)
		rapid.Check(t, func(rt *rapid.T) {
			p := pipelines{rt}.draw()
			text := `{"pipeline":[` + strings.Join(p, ",") + `]}`
			who := rapid.SampledFrom([]string{"master", "raw"}).Draw(rt, "as")
			ask := func(s *objects.Service) (string, error) {
				got, err := s.Aggregate(t.Context(), master, "Item", &objects.Aggregation{Pipeline: body(t, text), RawNames: who == "raw", RawValues: who == "raw"})
				return rows(got, p), err
			}
			got, err := ask(f.Service)
			want, wantErr := ask(plain)
			if got != want || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				rt.Errorf("%s\n%v %v\n%s", text, err, wantErr, cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
			}
		})
		t.Logf("%d aggregations by the database (%d refused), %d stages there, %d here, %d finds", counts.pushed, counts.failed, counts.stages, counts.left, counts.finds)
		if counts.pushed == 0 || counts.stages == 0 {
			t.Errorf("nothing was left to the database: %+v", counts)
		}
	})
}

// rows writes an answer so that equal ones are equal: without regard to the
// order of rows where nothing states it, nor of what sets have in them.
func rows(list parse.Array, pipeline []string) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(parse.AppendJSON(nil, ordered("", v)))
	}
	if len(pipeline) == 0 || !strings.HasPrefix(pipeline[len(pipeline)-1], `{"$sort"`) {
		slices.Sort(out)
	}
	return strings.Join(out, "\n")
}

func ordered(key string, v parse.Value) parse.Value {
	switch v := v.(type) {
	case *parse.Map:
		var keys []string
		for k := range v.All() {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		m := &parse.Map{}
		for _, k := range keys {
			e, _ := v.Get(k)
			m.Set(k, ordered(k, e))
		}
		return m
	case parse.Array:
		out := make(parse.Array, len(v))
		for i, e := range v {
			out[i] = ordered("", e)
		}
		if key == "set" {
			slices.SortFunc(out, func(a, b parse.Value) int {
				return strings.Compare(string(parse.AppendJSON(nil, a)), string(parse.AppendJSON(nil, b)))
			})
		}
		return out
	}
	return v
}

// pipelines draws pipelines whose answers do not depend on what is not stated.
type pipelines struct{ *rapid.T }

func (p pipelines) pick(label string, list ...string) string {
	return rapid.SampledFrom(list).Draw(p.T, label)
}

func (p pipelines) draw() []string {
	var out []string
	if rapid.Bool().Draw(p.T, "match") {
		out = append(out, `{"$match":`+p.filter(2)+`}`)
	}
	for range rapid.IntRange(0, 3).Draw(p.T, "stages") {
		out = append(out, p.stage()...)
	}
	return out
}

func (p pipelines) operand() string {
	return p.pick("operand", `1`, `0`, `-1`, `2.5`, `"ada"`, `"Bob"`, `""`, `true`, `false`, `null`, `{"__type":"Date","iso":"2024-01-31T11:53:20.000Z"}`)
}

func (p pipelines) filter(depth int) string {
	kinds := []string{"compare", "compare", "compare", "in", "exists", "pointer", "size", "elem", "not", "mod", "time"}
	if depth > 0 {
		kinds = append(kinds, "$and", "$or", "$nor", "$expr")
	}
	name := p.pick("field", "n", "k", "s", "b", "d", "a", "m", "m.x", "a.x", "m.y", "objectId", "_p_p", "none")
	switch kind := p.pick("filter", kinds...); kind {
	case "compare":
		op := p.pick("op", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte")
		return fmt.Sprintf(`{%q:{%q:%s}}`, name, op, p.operand())
	case "in":
		return fmt.Sprintf(`{%q:{%q:[%s,%s]}}`, name, p.pick("op", "$in", "$nin"), p.operand(), p.operand())
	case "exists":
		return fmt.Sprintf(`{%q:{"$exists":%s}}`, name, p.pick("want", "true", "false"))
	case "pointer":
		return `{"p":` + p.pick("pointer", `"o1"`, `{"$ne":"Owner$o1"}`, `{"$in":["Owner$o1","Owner$o2"]}`, `null`, `{"__type":"Pointer","className":"Owner","objectId":"o2"}`) + `}`
	case "size":
		return `{"a":{"$size":2}}`
	case "elem":
		return p.pick("elem", `{"a":{"$elemMatch":{"x":{"$gte":1}}}}`, `{"a":{"$elemMatch":{"$gt":1}}}`, `{"a":{"$all":[1,2]}}`)
	case "not":
		return fmt.Sprintf(`{%q:{"$not":{"$gt":%s}}}`, name, p.operand())
	case "mod":
		return `{"k":{"$mod":[2,1]}}`
	case "time":
		return `{"createdAt":{"$gte":"2024-02-20T00:00:00.000Z"}}`
	case "$expr":
		return `{"$expr":` + p.condition(1) + `}`
	default:
		return fmt.Sprintf(`{%q:[%s,%s]}`, kind, p.filter(depth-1), p.filter(depth-1))
	}
}

func (p pipelines) condition(depth int) string {
	switch p.pick("condition", "compare", "compare", "and", "in") {
	case "and":
		return fmt.Sprintf(`{%q:[%s,%s]}`, p.pick("op", "$and", "$or"), p.number(depth), `{"$not":["$b"]}`)
	case "in":
		return `{"$in":["$k",[0,1,null]]}`
	}
	return fmt.Sprintf(`{%q:[%s,%s]}`, p.pick("op", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte"), p.number(depth), p.pick("with", `1`, `"$k"`, `null`, `"$s"`))
}

func (p pipelines) number(depth int) string {
	if depth == 0 {
		return p.pick("leaf", `"$n"`, `"$k"`, `"$m.x"`, `2`, `0.5`, `null`)
	}
	switch p.pick("number", "leaf", "add", "multiply", "subtract", "divide", "cond", "ifNull", "abs", "date", "size", "switch", "len") {
	case "add":
		return fmt.Sprintf(`{"$add":[%s,%s]}`, p.number(depth-1), p.number(depth-1))
	case "multiply":
		return fmt.Sprintf(`{"$multiply":[%s,%s]}`, p.number(depth-1), p.number(depth-1))
	case "subtract":
		return fmt.Sprintf(`{"$subtract":[%s,%s]}`, p.number(depth-1), p.number(depth-1))
	case "divide":
		return fmt.Sprintf(`{"$divide":[%s,%s]}`, p.number(depth-1), p.pick("by", "2", "4"))
	case "cond":
		return fmt.Sprintf(`{"$cond":["$b",%s,%s]}`, p.number(depth-1), p.number(depth-1))
	case "ifNull":
		return fmt.Sprintf(`{"$ifNull":[%s,7]}`, p.number(depth-1))
	case "abs":
		return fmt.Sprintf(`{%q:%s}`, p.pick("round", "$abs", "$ceil", "$floor"), p.number(depth-1))
	case "date":
		return fmt.Sprintf(`{%q:%s}`, p.pick("part", "$year", "$month", "$dayOfMonth", "$hour", "$dayOfWeek", "$dayOfYear"), p.pick("at", `"$d"`, `"$_created_at"`))
	case "size":
		return `{"$size":{"$ifNull":["$a",[]]}}`
	case "switch":
		return `{"$switch":{"branches":[{"case":{"$eq":["$s","ada"]},"then":1}],"default":` + p.number(depth-1) + `}}`
	case "len":
		return `{"$strLenCP":{"$ifNull":["$s","x"]}}`
	}
	return p.number(0)
}

func (p pipelines) list() string {
	return p.pick("list", `{"$filter":{"input":{"$ifNull":["$a",[]]},"as":"e","cond":{"$gt":["$$e",1]}}}`, `{"$map":{"input":"$a","as":"e","in":{"$ifNull":["$$e.x","$$e"]}}}`,
		`{"$concatArrays":[{"$ifNull":["$a",[]]},["$k"]]}`, `{"$slice":["$a",1]}`, `["$k","$s"]`, `"$a.x"`, `{"$arrayElemAt":["$a",0]}`, `{"$reduce":{"input":"$m.y","initialValue":0,"in":{"$add":["$$value","$$this"]}}}`)
}

func (p pipelines) value() string {
	return p.pick("value", `"$s"`, `{"$concat":[{"$ifNull":["$s","-"]},"!"]}`, `{"$toUpper":"$s"}`, `"$_p_p"`, `"$m"`, `"$$ROOT.k"`, `{"u":"$k","v":["$s"]}`, `{"$isArray":"$a"}`, `{"$mergeObjects":["$m",{"z":1}]}`, `{"$literal":"$x"}`)
}

func (p pipelines) stage() []string {
	switch p.pick("stage", "group", "group", "project", "project", "addFields", "page", "unwind", "count", "sortByCount", "unset", "replaceWith", "match") {
	case "group":
		id := p.pick("by", `null`, `"$s"`, `"$k"`, `"$b"`, `"$d"`, `"$p"`, `"$objectId"`, `"$_id"`, `{"s":"$s","b":"$b"}`, `{"$month":"$createdAt"}`, `"all"`, `"$m.x"`)
		acc := `"sum":{"$sum":` + p.pick("sum", `1`, `"$n"`, `"$s"`, `"$m.x"`, `2`) + `},"avg":{"$avg":` + p.pick("avg", `"$n"`, `"$k"`, `"$b"`) + `},"lo":{"$min":` +
			p.pick("least", `"$n"`, `"$s"`, `"$d"`, `"$b"`, `"$_p_p"`, `"$createdAt"`, `"$a"`) + `},"hi":{"$max":` + p.pick("greatest", `"$n"`, `"$s"`, `"$d"`, `"$b"`) + `},"c":{"$count":{}}`
		if rapid.Bool().Draw(p.T, "ordered") {
			return []string{`{"$sort":{"_id":1}}`, `{"$group":{"_id":` + id + `,` + acc + `,"first":{"$first":"$s"},"last":{"$last":"$n"},"all":{"$push":"$k"},"set":{"$addToSet":"$k"}}}`, `{"$sort":{"_id":1}}`}
		}
		return []string{`{"$group":{"_id":` + id + `,` + acc + `}}`}
	case "project":
		return []string{`{"$project":` + p.pick("project", `{"n":1,"s":1}`, `{"a":0,"m":0}`, `{"_id":1,"m.x":1,"a.x":1}`, `{"objectId":1,"x":`+p.number(2)+`,"y":`+p.list()+`}`, `{"p":1,"v":`+p.value()+`}`) + `}`}
	case "addFields":
		return []string{`{"$addFields":{"x":` + p.number(2) + `,"y":` + p.list() + `,"z.w":` + p.value() + `}}`}
	case "page":
		return []string{`{"$sort":{` + p.pick("sort", `"n":1,`, `"s":-1,`, `"d":1,`, `"b":-1,`, `"_p_p":1,`, `"a":1,`, `"m.x":-1,`, ``) + `"_id":1}}`, `{"$skip":` + p.pick("skip", "0", "2") + `}`, `{"$limit":` + p.pick("limit", "3", "20") + `}`}
	case "unwind":
		return []string{`{"$unwind":` + p.pick("unwind", `"$a"`, `{"path":"$a","preserveNullAndEmptyArrays":true}`, `{"path":"$a","includeArrayIndex":"i"}`, `"$m.y"`) + `}`, `{"$group":{"_id":"$_id","n":{"$sum":"$n"},"c":{"$sum":1},"hi":{"$max":"$a"}}}`}
	case "count":
		return []string{`{"$count":"total"}`}
	case "sortByCount":
		return []string{`{"$sortByCount":"$s"}`, `{"$sort":{"_id":1}}`}
	case "unset":
		return []string{`{"$unset":["a","m.x"]}`}
	case "replaceWith":
		return []string{`{"$replaceWith":` + p.pick("root", `{"_id":"$_id","r":"$n","t":"$s"}`, `{"$mergeObjects":["$m",{"_id":"$_id"}]}`, `"$$ROOT"`) + `}`}
	default:
		return []string{`{"$match":` + p.filter(1) + `}`}
	}
}
