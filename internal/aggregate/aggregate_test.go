package aggregate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/internal/aggregate"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func decode(t testing.TB, s string) parse.Value {
	t.Helper()
	v, err := parse.Decode([]byte(s), parse.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func class() *schema.Class {
	return schema.Complete(&schema.Class{Name: "C", Fields: map[string]*schema.Field{
		"n": {Name: "n", Type: schema.Number}, "s": {Name: "s", Type: schema.String}, "d": {Name: "d", Type: schema.Date},
		"p": {Name: "p", Type: schema.Pointer, TargetClass: "P"}, "a": {Name: "a", Type: schema.Array},
		"m": {Name: "m", Type: schema.Object},
	}})
}

func documents(t testing.TB, s string) []*parse.Map {
	t.Helper()
	list, _ := decode(t, s).(parse.Array)
	out := make([]*parse.Map, len(list))
	for i, v := range list {
		out[i], _ = v.(*parse.Map)
	}
	return out
}

func compile(t testing.TB, pipeline string, o aggregate.Options) (*aggregate.Pipeline, error) {
	t.Helper()
	stages, err := aggregate.Stages(parse.NewMap(parse.MapField{Key: "pipeline", Value: decode(t, pipeline)}))
	if err != nil {
		return nil, err
	}
	return aggregate.Compile(stages, o)
}

func run(t testing.TB, docs []*parse.Map, pipeline string, o aggregate.Options) (string, error) {
	t.Helper()
	p, err := compile(t, pipeline, o)
	if err != nil {
		return "", err
	}
	got, err := p.Run(t.Context(), docs)
	if err != nil {
		return "", err
	}
	out := parse.Array{}
	for _, d := range got {
		out = append(out, d)
	}
	return string(parse.AppendJSON(nil, out)), nil
}

const people = `[
	{"_id":"1","s":"ada","n":3,"a":[1,2],"m":{"x":1},"_p_p":"P$x"},
	{"_id":"2","s":"bob","n":1,"a":[],"m":{"x":2},"_p_p":"P$y"},
	{"_id":"3","s":"cem","n":3,"a":[{"k":1},{"k":2}],"_p_p":"P$x"},
	{"_id":"4","s":null}]`

func TestStages(t *testing.T) {
	o := aggregate.Options{Class: class(), Fetch: func(_ context.Context, name string) ([]*parse.Map, error) {
		if name != "P" {
			return nil, nil
		}
		return documents(t, `[{"_id":"x","l":"ada"},{"_id":"y","l":["bob","cem"]}]`), nil
	}}
	ids := `,{"$group":{"_id":null,"ids":{"$push":"$_id"}}},{"$project":{"_id":0}}`
	for _, tt := range []struct{ pipeline, want string }{
		{`[{"$match":{"n":3}}` + ids + `]`, `[{"ids":["1","3"]}]`},
		{`[{"$match":{"n":{"$gte":1,"$lt":3}}}` + ids + `]`, `[{"ids":["2"]}]`},
		{`[{"$match":{"s":null}}` + ids + `]`, `[{"ids":["4"]}]`},
		{`[{"$match":{"s":{"$ne":null}}}` + ids + `]`, `[{"ids":["1","2","3"]}]`},
		{`[{"$match":{"m":{"$exists":false}}}` + ids + `]`, `[{"ids":["3","4"]}]`},
		{`[{"$match":{"a":2}}` + ids + `]`, `[{"ids":["1"]}]`},
		{`[{"$match":{"a.k":2}}` + ids + `]`, `[{"ids":["3"]}]`},
		{`[{"$match":{"a.0":1}}` + ids + `]`, `[{"ids":["1"]}]`},
		{`[{"$match":{"a":{"$size":2}}}` + ids + `]`, `[{"ids":["1","3"]}]`},
		{`[{"$match":{"a":{"$all":[1,2]}}}` + ids + `]`, `[{"ids":["1"]}]`},
		{`[{"$match":{"a":{"$elemMatch":{"k":{"$gt":1}}}}}` + ids + `]`, `[{"ids":["3"]}]`},
		{`[{"$match":{"a":{"$elemMatch":{"$gt":1}}}}` + ids + `]`, `[{"ids":["1"]}]`},
		{`[{"$match":{"s":{"$regex":"^B","$options":"i"}}}` + ids + `]`, `[{"ids":["2"]}]`},
		{`[{"$match":{"s":{"$not":{"$in":["ada","bob"]}}}}` + ids + `]`, `[{"ids":["3","4"]}]`},
		{`[{"$match":{"n":{"$mod":[2,1]},"s":{"$nin":["ada"]}}}` + ids + `]`, `[{"ids":["2","3"]}]`},
		{`[{"$match":{"s":{"$type":"string"}}}` + ids + `]`, `[{"ids":["1","2","3"]}]`},
		{`[{"$match":{"$or":[{"n":1},{"objectId":"1"}]}}` + ids + `]`, `[{"ids":["1","2"]}]`},
		{`[{"$match":{"$nor":[{"n":1},{"n":3}]}}` + ids + `]`, `[{"ids":["4"]}]`},
		{`[{"$match":{"p":"x"}}` + ids + `]`, `[{"ids":["1","3"]}]`},
		{`[{"$match":{"p":{"$in":["P$y"]}}}` + ids + `]`, `[{"ids":["2"]}]`},
		{`[{"$match":{"p":{"__type":"Pointer","className":"P","objectId":"y"}}}` + ids + `]`, `[{"ids":["2"]}]`},
		{`[{"$match":{"$expr":{"$gt":["$n","$m.x"]}}}` + ids + `]`, `[{"ids":["1","3"]}]`},
		{`[{"$project":{"s":1}},{"$limit":1}]`, `[{"_id":"1","s":"ada"}]`},
		{`[{"$project":{"objectId":0,"a":0,"m":0,"p":0}},{"$limit":1}]`, `[{"s":"ada","n":3}]`},
		{`[{"$limit":1},{"$project":{"_id":0,"m.x":1,"t":{"$multiply":["$n",2]},"o":{"y":"$s"}}}]`, `[{"m":{"x":1},"t":6,"o":{"y":"ada"}}]`},
		{`[{"$skip":2},{"$limit":1},{"$project":{"_id":0,"a.k":1}}]`, `[{"a":[{"k":1},{"k":2}]}]`},
		{`[{"$limit":1},{"$addFields":{"m.y":"$n","q":"$none"}},{"$project":{"m":1}}]`, `[{"_id":"1","m":{"x":1,"y":3}}]`},
		{`[{"$limit":1},{"$set":{"s":"$$REMOVE"}},{"$unset":["a","m.x","_p_p"]}]`, `[{"_id":"1","n":3,"m":{}}]`},
		{`[{"$sort":{"n":-1,"s":-1}},{"$project":{"s":1,"_id":0}}]`, `[{"s":"cem"},{"s":"ada"},{"s":"bob"},{"s":null}]`},
		{`[{"$sort":{"a":1}},{"$project":{"_id":1}}]`, `[{"_id":"2"},{"_id":"4"},{"_id":"1"},{"_id":"3"}]`},
		{`[{"$unwind":"$a"},{"$project":{"_id":0,"a":1}}]`, `[{"a":1},{"a":2},{"a":{"k":1}},{"a":{"k":2}}]`},
		{`[{"$match":{"n":{"$ne":3}}},{"$unwind":{"path":"$a","preserveNullAndEmptyArrays":true,"includeArrayIndex":"i"}},{"$project":{"i":1,"a":1}}]`, `[{"_id":"2","i":null},{"_id":"4","i":null}]`},
		{`[{"$group":{"_id":"$n","c":{"$sum":1},"avg":{"$avg":"$m.x"},"lo":{"$min":"$s"},"hi":{"$max":"$s"}}}]`, `[{"_id":3,"c":2,"avg":1,"lo":"ada","hi":"cem"},{"_id":1,"c":1,"avg":2,"lo":"bob","hi":"bob"},{"_id":null,"c":1,"avg":null,"lo":null,"hi":null}]`},
		{`[{"$group":{"_id":null,"f":{"$first":"$s"},"l":{"$last":"$s"},"set":{"$addToSet":"$n"},"c":{"$count":{}},"mo":{"$mergeObjects":"$m"}}}]`, `[{"_id":null,"f":"ada","l":null,"set":[3,1],"c":4,"mo":{"x":2}}]`},
		{`[{"$group":{"_id":null,"q":{"$stdDevPop":"$m.x"},"s":{"$stdDevSamp":"$n"}}},{"$project":{"_id":0,"q":1,"s":{"$round":["$s",3]}}}]`, `[{"q":0.5,"s":1.155}]`},
		{`[{"$group":{"_id":{"p":"$p","big":{"$gt":["$n",2]}},"c":{"$sum":1}}},{"$limit":1}]`, `[{"_id":{"p":"P$x","big":true},"c":2}]`},
		{`[{"$sortByCount":"$n"}]`, `[{"_id":3,"count":2},{"_id":1,"count":1},{"_id":null,"count":1}]`},
		{`[{"$count":"n"}]`, `[{"n":4}]`},
		{`[{"$match":{"n":99}},{"$count":"n"}]`, `[]`},
		{`[{"$match":{"n":{"$exists":true}}},{"$bucket":{"groupBy":"$n","boundaries":[0,2],"default":"more","output":{"c":{"$sum":1}}}}]`, `[{"_id":0,"c":1},{"_id":"more","c":2}]`},
		{`[{"$facet":{"a":[{"$count":"n"}],"b":[{"$limit":1},{"$project":{"s":1}}]}}]`, `[{"a":[{"n":4}],"b":[{"_id":"1","s":"ada"}]}]`},
		{`[{"$match":{"m":{"$exists":true}}},{"$replaceRoot":{"newRoot":"$m"}}]`, `[{"x":1},{"x":2}]`},
		{`[{"$limit":1},{"$replaceWith":{"was":"$$ROOT.s"}}]`, `[{"was":"ada"}]`},
		{`[{"$lookup":{"from":"P","localField":"s","foreignField":"l","as":"r"}},{"$project":{"r._id":1}},{"$limit":3}]`, `[{"_id":"1","r":[{"_id":"x"}]},{"_id":"2","r":[{"_id":"y"}]},{"_id":"3","r":[{"_id":"y"}]}]`},
		{`[{"$sample":{"size":9}},{"$count":"n"}]`, `[{"n":4}]`},
		{`{"$match":{"n":1},"$project":{"s":1}}`, `[{"_id":"2","s":"bob"}]`},
	} {
		got, err := run(t, documents(t, people), tt.pipeline, o)
		if err != nil || got != tt.want {
			t.Errorf("%s\n  %s, %v, want\n  %s", tt.pipeline, got, err, tt.want)
		}
	}
}

func TestExpressions(t *testing.T) {
	const doc = `[{"n":7,"z":null,"s":"Héllo","l":[1,2,3],"o":{"k":"v"},"ls":[{"k":1},{"q":0},{"k":2}],"b":false,
		"t":{"__type":"Date","iso":"2024-02-29T13:04:05.006Z"},"p":{"__type":"Pointer","className":"P","objectId":"x"}}]`
	for expr, want := range map[string]string{
		`"$n"`: `7`, `"$ls.k"`: `[1,2]`, `"$o.k"`: `"v"`, `"$p.objectId"`: `"x"`, `"$$ROOT.n"`: `7`, `{"$literal":"$n"}`: `"$n"`,
		`["$n","$none"]`: `[7,null]`, `{"$add":["$n",1,2]}`: `10`, `{"$add":["$n",null]}`: `null`, `{"$subtract":[9,"$n"]}`: `2`,
		`{"$multiply":["$n",2]}`: `14`, `{"$divide":["$n",2]}`: `3.5`, `{"$mod":["$n",4]}`: `3`, `{"$abs":-2}`: `2`, `{"$pow":[2,3]}`: `8`,
		`{"$ceil":1.2}`: `2`, `{"$floor":1.8}`: `1`, `{"$round":[2.345,1]}`: `2.3`, `{"$trunc":-1.5}`: `-1`, `{"$sqrt":9}`: `3`,
		`{"$add":["$t",1000]}`: `{"__type":"Date","iso":"2024-02-29T13:04:06.006Z"}`, `{"$subtract":["$t","$t"]}`: `0`,
		`{"$sum":"$l"}`: `6`, `{"$avg":["$n",1]}`: `4`, `{"$max":"$l"}`: `3`, `{"$min":[3,"a",null]}`: `3`,
		`{"$eq":["$n",7]}`: `true`, `{"$gt":["a",5]}`: `true`, `{"$lt":[null,0]}`: `true`, `{"$cmp":[1,2]}`: `-1`, `{"$ne":["$none",null]}`: `true`,
		`{"$and":[1,"$n"]}`: `true`, `{"$or":["$b",0,null]}`: `false`, `{"$not":["$b"]}`: `true`, `{"$and":[]}`: `true`,
		`{"$cond":["$b",1,2]}`: `2`, `{"$cond":{"if":"$n","then":"y","else":"n"}}`: `"y"`, `{"$ifNull":["$z","$none","d"]}`: `"d"`,
		`{"$switch":{"branches":[{"case":{"$lt":["$n",5]},"then":"lo"},{"case":{"$gt":["$n",5]},"then":"hi"}],"default":"eq"}}`: `"hi"`,
		`{"$concat":["$s","!"]}`: `"Héllo!"`, `{"$concat":["$s","$z"]}`: `null`, `{"$toUpper":"$s"}`: `"HéLLO"`, `{"$toLower":"$none"}`: `""`,
		`{"$substr":["$s",0,1]}`: `"H"`, `{"$substrCP":["$s",1,2]}`: `"él"`, `{"$strLenCP":"$s"}`: `5`, `{"$strLenBytes":"$s"}`: `6`,
		`{"$split":["a,b",","]}`: `["a","b"]`, `{"$trim":{"input":" x "}}`: `"x"`, `{"$ltrim":{"input":"xxa","chars":"x"}}`: `"a"`, `{"$indexOfCP":["$s","l"]}`: `2`,
		`{"$size":"$l"}`: `3`, `{"$arrayElemAt":["$l",-1]}`: `3`, `{"$first":"$l"}`: `1`, `{"$last":"$l"}`: `3`, `{"$slice":["$l",2]}`: `[1,2]`, `{"$slice":["$l",-2,1]}`: `[2]`,
		`{"$filter":{"input":"$l","as":"e","cond":{"$gt":["$$e",1]}}}`: `[2,3]`, `{"$map":{"input":"$l","in":{"$add":["$$this","$n"]}}}`: `[8,9,10]`,
		`{"$reduce":{"input":"$l","initialValue":0,"in":{"$add":["$$value","$$this"]}}}`: `6`, `{"$in":[2,"$l"]}`: `true`,
		`{"$concatArrays":["$l",[4]]}`: `[1,2,3,4]`, `{"$isArray":"$l"}`: `true`, `{"$reverseArray":"$l"}`: `[3,2,1]`, `{"$setUnion":["$l",[3,4]]}`: `[1,2,3,4]`,
		`{"$mergeObjects":["$o",{"j":1}]}`: `{"k":"v","j":1}`, `{"$objectToArray":"$o"}`: `[{"k":"k","v":"v"}]`,
		`{"$year":"$t"}`: `2024`, `{"$month":"$t"}`: `2`, `{"$dayOfMonth":"$t"}`: `29`, `{"$hour":"$t"}`: `13`, `{"$minute":"$t"}`: `4`, `{"$second":"$t"}`: `5`, `{"$millisecond":"$t"}`: `6`,
		`{"$dayOfWeek":"$t"}`: `5`, `{"$dayOfYear":"$t"}`: `60`, `{"$week":"$t"}`: `8`, `{"$isoWeek":"$t"}`: `9`, `{"$hour":{"date":"$t","timezone":"+02:00"}}`: `15`, `{"$year":"$z"}`: `null`,
		`{"$dateToString":{"date":"$t","format":"%Y-%m-%d %H:%M:%S.%L %j %%"}}`: `"2024-02-29 13:04:05.006 060 %"`, `{"$dateToString":{"date":"$z","onNull":"-"}}`: `"-"`,
		`{"$toString":"$n"}`: `"7"`, `{"$toInt":"12"}`: `12`, `{"$toDouble":"1.5"}`: `1.5`, `{"$toInt":2.9}`: `2`, `{"$toBool":"$n"}`: `true`, `{"$type":"$none"}`: `"missing"`, `{"$type":1.5}`: `"double"`, `{"$type":"$t"}`: `"date"`,
	} {
		got, err := run(t, documents(t, doc), `[{"$replaceWith":{"v":`+expr+`}}]`, aggregate.Options{})
		if want := `[{"v":` + want + `}]`; err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", expr, got, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		pipeline, text string
		code           parse.Code
	}{
		{`[{"group":{}}]`, "Invalid aggregate stage 'group'.", 102},
		{`[{"$match":{},"$limit":1}]`, "Pipeline stages should only have one key but found $match, $limit.", 102},
		{`[{"$group":{"x":{"$sum":1}}}]`, "Invalid parameter for query: group. Missing key _id", 102},
		{`[{"$group":{"_id":null,"objectId":1}}]`, "Cannot use 'objectId' in aggregation stage $group.", 102},
		{`[{"$out":"x"}]`, "Unrecognized pipeline stage name: '$out'", 102},
		{`[{"$addFields":{"x":{"$function":{}}}}]`, "Unrecognized expression '$function'", 102},
		{`[{"$match":{"$where":"1"}}]`, "unknown top level operator: $where", 102},
		{`[{"$match":{"a":{"$near":1}}}]`, "unknown operator: $near", 102},
		{`[{"$group":{"_id":"$a'b"}}]`, "Invalid field name: a'b", 105},
		{`[{"$group":{"_id":null,"x":{"$pow":1}}}]`, "unknown group operator '$pow'", 102},
		{`[{"$project":{"a":1,"b":0}}]`, "Invalid $project :: cannot mix inclusion and exclusion", 102},
		{`[{"$addFields":{"x":"$$nope"}}]`, "Use of undefined variable: nope", 102},
		{`[{"$addFields":{"x":{"$divide":[1,0]}}}]`, "can't $divide by zero", 102},
		{`[{"$addFields":{"x":{"$add":["$s",1]}}}]`, "$add only supports numeric or date types, not string", 102},
		{`[{"$addFields":{"x":{"$subtract":[1]}}}]`, "Expression $subtract takes exactly 2 arguments. 1 were passed in.", 102},
		{`[{"$facet":{"a":[{"$facet":{"b":[]}}]}}]`, "$facet is not allowed to be used within a $facet stage", 102},
		{`3`, "Invalid aggregate pipeline: it must be an array or an object.", 102},
	} {
		_, err := run(t, documents(t, `[{"_id":"1","s":"x"}]`), tt.pipeline, aggregate.Options{Class: class()})
		var e *parse.Error
		if !errors.As(err, &e) || e.Code != tt.code || e.Message != tt.text {
			t.Errorf("%s: %v, want %d %s", tt.pipeline, err, tt.code, tt.text)
		}
	}
}

// What grows without bound must end in an error, not in a server without memory.
func TestLimits(t *testing.T) {
	double := `{"$addFields":{"a":["$a","$a"]}},`
	for name, pipeline := range map[string]string{
		"documents":      `[{"$unwind":"$l"},{"$unwind":"$k"}]`,
		"shared values":  `[` + strings.Repeat(double, 60) + `{"$count":"n"}]`,
		"reduced texts":  `[{"$addFields":{"x":{"$reduce":{"input":"$l","initialValue":"abcdefgh","in":{"$concat":["$$value","$$value"]}}}}}]`,
		"reduced lists":  `[{"$addFields":{"x":{"$reduce":{"input":"$l","initialValue":[1],"in":["$$value","$$value"]}}}}]`,
		"many stages":    `[` + strings.Repeat(`{"$skip":0},`, 250) + `{"$count":"n"}]`,
		"pushed by name": `[{"$unwind":"$l"},{"$group":{"_id":null,"x":{"$push":"$$ROOT"}}}]`,
	} {
		list := "[1" + strings.Repeat(",1", 99) + "]"
		_, err := run(t, documents(t, `[{"a":1,"l":`+list+`,"k":`+list+`}]`), pipeline,
			aggregate.Options{Limits: aggregate.Limits{Documents: 5000, Value: 1 << 16}})
		if parse.CodeOf(err) != parse.InvalidQuery {
			t.Errorf("%s: %v, want 102", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, err := compile(t, `[{"$count":"n"}]`, aggregate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that has ended: %v", err)
	}
}

func TestDocumentAndResult(t *testing.T) {
	at, _ := parse.ParseDate("2024-01-02T03:04:05.000Z")
	o := &parse.Object{ClassName: "C", ID: "1", CreatedAt: at, UpdatedAt: at, ACL: parse.NewACL()}
	o.Set("p", parse.Pointer{ClassName: "P", ObjectID: "x"})
	o.Set("d", at)
	o.Set("_hashed_password", "secret")
	doc := aggregate.Document(o)
	for _, tt := range []struct {
		o        aggregate.Options
		pipeline string
		want     string
	}{
		{aggregate.Options{}, `[]`, `{"objectId":"1","createdAt":"2024-01-02T03:04:05.000Z","updatedAt":"2024-01-02T03:04:05.000Z","p":{"__type":"Pointer","className":"P","objectId":"x"},"d":{"__type":"Date","iso":"2024-01-02T03:04:05.000Z"}}`},
		{aggregate.Options{}, `[{"$group":{"_id":"$p","at":{"$max":"$createdAt"}}}]`, `{"objectId":"x","at":{"__type":"Date","iso":"2024-01-02T03:04:05.000Z"}}`},
		{aggregate.Options{}, `[{"$group":{"_id":""}}]`, `{"objectId":null}`},
		{aggregate.Options{}, `[{"$match":{"d":"2024-01-02T03:04:05.000Z","createdAt":{"$lte":"2024-01-02T03:04:05Z"}}},{"$project":{"p":1}}]`, `{"objectId":"1","p":{"__type":"Pointer","className":"P","objectId":"x"}}`},
		{aggregate.Options{RawNames: true, RawValues: true}, `[{"$match":{"d":{"$date":"2024-01-02T03:04:05Z"}}},{"$project":{"d":1,"_p_p":1}}]`, `{"_id":"1","_p_p":"P$x","d":{"$date":"2024-01-02T03:04:05.000Z"}}`},
	} {
		tt.o.Class = class()
		p, err := compile(t, tt.pipeline, tt.o)
		if err != nil {
			t.Fatal(err)
		}
		docs, err := p.Run(t.Context(), []*parse.Map{doc})
		if err != nil || len(docs) != 1 {
			t.Errorf("%s: %v, %v", tt.pipeline, docs, err)
			continue
		}
		if d := cmp.Diff(tt.want, string(parse.AppendJSON(nil, p.Result(docs[0])))); d != "" {
			t.Errorf("%s: %s", tt.pipeline, d)
		}
	}
}

func TestDistinct(t *testing.T) {
	for name, want := range map[string]string{
		"n": `[3,1]`, "a": `[1,2,{"k":1},{"k":2}]`, "a.k": `[1,2]`, "objectId": `["1","2","3","4"]`, "none": `[]`,
		"p": `[{"__type":"Pointer","className":"P","objectId":"x"},{"__type":"Pointer","className":"P","objectId":"y"}]`,
	} {
		got, err := aggregate.Distinct(class(), name, documents(t, people))
		if text := string(parse.AppendJSON(nil, got)); err != nil || text != want {
			t.Errorf("%s: %s, %v, want %s", name, text, err, want)
		}
	}
	if _, err := aggregate.Distinct(class(), "a'b", nil); parse.CodeOf(err) != parse.InvalidKeyName {
		t.Errorf("a quote in a name: %v", err)
	}
}

func TestSource(t *testing.T) {
	for pipeline, want := range map[string]string{
		`[{"$match":{"n":{"$gt":1},"objectId":"x","m.x":1,"s":{"$regex":"a"}}}]`: query.Canonical(query.AllOf(
			&query.Compare{Path: "n", Op: query.Gt, Value: 1.0}, query.ByID("x"))),
		`[{"$match":{"p":"x"}}]`:            query.Canonical(query.Equal("p", parse.Pointer{ClassName: "P", ObjectID: "x"})),
		`[{"$match":{"$or":[{"n":1}]}}]`:    query.Canonical(nil),
		`[{"$limit":3},{"$match":{"n":1}}]`: query.Canonical(nil),
	} {
		p, err := compile(t, pipeline, aggregate.Options{Class: class()})
		if err != nil {
			t.Fatal(err)
		}
		where, limit := p.Source()
		if got := query.Canonical(where); got != want {
			t.Errorf("%s: %s, want %s", pipeline, got, want)
		}
		if (limit == 3) != strings.HasPrefix(pipeline, `[{"$limit"`) {
			t.Errorf("%s: limit %d", pipeline, limit)
		}
	}
}

// $group must agree with a loop, and a pushed filter must let all pass that $match does.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOf(rapid.SampledFrom([]parse.Value{nil, "a", "b", 1.0, true})).Draw(rt, "keys")
		docs := make([]*parse.Map, len(keys))
		sums := parse.Map{}
		for i, k := range keys {
			n := float64(rapid.IntRange(-5, 5).Draw(rt, "n"))
			docs[i] = parse.NewMap(parse.MapField{Key: "s", Value: k}, parse.MapField{Key: "n", Value: n})
			text := string(parse.AppendJSON(nil, k))
			old, _ := sums.Get(text)
			sum, _ := old.(float64)
			sums.Set(text, sum+n)
		}
		p, err := compile(t, `[{"$group":{"_id":"$s","sum":{"$sum":"$n"}}}]`, aggregate.Options{})
		if err != nil {
			rt.Fatal(err)
		}
		got, err := p.Run(t.Context(), docs)
		if err != nil || len(got) != sums.Len() {
			rt.Fatalf("%d groups, %v, want %d", len(got), err, sums.Len())
		}
		for _, g := range got {
			id, _ := g.Get("_id")
			sum, _ := g.Get("sum")
			if want, _ := sums.Get(string(parse.AppendJSON(nil, id))); !parse.Equal(sum, want) {
				rt.Errorf("group %v: %v, want %v", id, sum, want)
			}
		}
		op := rapid.SampledFrom([]string{"$eq", "$gt", "$gte", "$lt", "$lte"}).Draw(rt, "op")
		operand := rapid.SampledFrom([]string{`1`, `"a"`, `true`, `null`}).Draw(rt, "operand")
		if p, err = compile(t, `[{"$match":{"s":{"`+op+`":`+operand+`}}}]`, aggregate.Options{Class: class()}); err != nil {
			rt.Fatal(err)
		}
		where, _ := p.Source()
		match, err := query.Compile(where)
		if err != nil {
			rt.Fatal(err)
		}
		if got, err = p.Run(t.Context(), docs); err != nil {
			rt.Fatal(err)
		}
		for _, d := range got {
			if !match.Match(&parse.Object{Fields: *d}) {
				rt.Errorf("%s %s: the pushed filter loses %s", op, operand, parse.AppendJSON(nil, d))
			}
		}
	})
}

func FuzzPipeline(f *testing.F) {
	for _, s := range []string{
		`[{"$match":{"n":{"$gt":1},"$or":[{"s":{"$regex":"a"}},{"a":{"$elemMatch":{"k":1}}}]}},{"$sort":{"n":-1}}]`,
		`[{"$group":{"_id":"$p","x":{"$push":{"$map":{"input":"$a","as":"e","in":{"$concat":["$$e","!"]}}}}}}]`,
		`[{"$unwind":{"path":"$a","includeArrayIndex":"i.j"}},{"$project":{"a.k":0,"x.y":0}},{"$set":{"a.b":"$$ROOT"}}]`,
		`{"$facet":{"a":[{"$bucket":{"groupBy":"$n","boundaries":[0,5],"default":1}}]},"$replaceWith":{"$mergeObjects":["$$ROOT",{"x":{"$dateToString":{"date":"$d","format":"%Y%j%U"}}}]}}`,
		`[{"$addFields":{"x":{"$slice":["$a",-1,9007199254740991]},"y":{"$substr":["$s",1,-1]},"z":{"$reduce":{"input":"$a","initialValue":[],"in":["$$value","$$this"]}}}}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parse.Decode(data, parse.Limits{})
		if err != nil {
			return
		}
		stages, err := aggregate.Stages(parse.NewMap(parse.MapField{Key: "pipeline", Value: v}))
		if err != nil {
			return
		}
		o := aggregate.Options{Class: class(), Limits: aggregate.Limits{Documents: 1000, Value: 1 << 16, Bytes: 1 << 20}}
		p, err := aggregate.Compile(stages, o)
		if err != nil {
			if parse.CodeOf(err) == 0 {
				t.Errorf("%s: %v is no error for a client", data, err)
			}
			return
		}
		docs, err := p.Run(t.Context(), documents(t, people))
		if err != nil && parse.CodeOf(err) == 0 {
			t.Errorf("%s: %v is no error for a client", data, err)
		}
		for _, d := range docs {
			parse.AppendJSON(nil, p.Result(d))
		}
	})
}
