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
	got, err := p.Run(t.Context(), docs, 0)
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
	o := aggregate.Options{Class: class(), Fetch: func(_ context.Context, name string, _ aggregate.Source) ([]*parse.Map, error) {
		if name != "P" {
			return nil, nil
		}
		return documents(t, `[{"_id":"x","l":"ada"},{"_id":"y","l":["bob","cem"]}]`), nil
	}, Resolve: func(name string) (*schema.Class, error) {
		if name != "P" {
			return nil, nil
		}
		return class(), nil
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
		{`[{"$match":{"$sampleRate":1}},{"$count":"n"}]`, `[{"n":4}]`},
		{`[{"$match":{"a":{"$type":"array"}}},{"$count":"n"}]`, `[{"n":3}]`},
		{`[{"$match":{"n":{"$type":["int",2]}}}` + ids + `]`, `[{"ids":["1","2","3"]}]`},
		{`[{"$match":{"n":{"$bitsAllSet":[0,1]}}}` + ids + `]`, `[{"ids":["1","3"]}]`},
		{`[{"$match":{"n":{"$bitsAnyClear":2}}}` + ids + `]`, `[{"ids":["2"]}]`},
		{`[{"$match":{"a":{"$all":[{"$elemMatch":{"k":1}},{"$elemMatch":{"k":2}}]}}}` + ids + `]`, `[{"ids":["3"]}]`},
		{`[{"$limit":1},{"$addFields":{"m.z.w":"$none"}},{"$project":{"m":1}}]`, `[{"_id":"1","m":{"x":1,"z":{}}}]`},
		{
			`[{"$lookup":{"from":"P","let":{"p":"$_p_p"},"pipeline":[{"$match":{"$expr":{"$eq":[{"$concat":["P$","$_id"]},"$$p"]}}},{"$project":{"_id":1}}],"as":"r"}},{"$project":{"r":1}}]`,
			`[{"_id":"1","r":[{"_id":"x"}]},{"_id":"2","r":[{"_id":"y"}]},{"_id":"3","r":[{"_id":"x"}]},{"_id":"4","r":[]}]`,
		},
		{`[{"$lookup":{"from":"P","localField":"s","foreignField":"l","pipeline":[{"$count":"c"}],"as":"r"}},{"$project":{"_id":0,"r":1}},{"$limit":1}]`, `[{"r":[{"c":1}]}]`},
		{`[{"$limit":1},{"$lookup":{"from":"P","pipeline":[{"$project":{"_id":1}}],"as":"r"}},{"$project":{"_id":0,"r":1}}]`, `[{"r":[{"_id":"x"},{"_id":"y"}]}]`},
		{`[{"$limit":1},{"$lookup":{"from":"Nowhere","localField":"s","foreignField":"l","as":"r"}},{"$project":{"_id":0,"r":1}}]`, `[{"r":[]}]`},
		{`[{"$project":{"_id":1}},{"$unionWith":{"coll":"P","pipeline":[{"$project":{"_id":1}},{"$limit":1}]}}]`, `[{"_id":"1"},{"_id":"2"},{"_id":"3"},{"_id":"4"},{"_id":"x"}]`},
		{`[{"$unionWith":"P"},{"$count":"c"}]`, `[{"c":6}]`},
		{`[{"$match":{"s":"ada"}},{"$graphLookup":{"from":"P","startWith":"$s","connectFromField":"_id","connectToField":"l","as":"r","depthField":"d"}},{"$project":{"_id":0,"r":1}}]`, `[{"r":[{"_id":"x","l":"ada","d":0}]}]`},
		{`[{"$match":{"n":{"$exists":true}}},{"$bucketAuto":{"groupBy":"$n","buckets":3}}]`, `[{"_id":{"min":1,"max":3},"count":1},{"_id":{"min":3,"max":3},"count":2}]`},
		{`[{"$limit":1},{"$redact":{"$cond":[{"$eq":["$x",1]},"$$PRUNE","$$DESCEND"]}},{"$project":{"s":1,"m":1}}]`, `[{"_id":"1","s":"ada"}]`},
		{
			`[{"$group":{"_id":null,"top":{"$top":{"sortBy":{"s":-1},"output":"$s"}},"two":{"$topN":{"n":2,"sortBy":{"s":-1},"output":"$s"}},"low":{"$bottom":{"sortBy":{"s":-1},"output":"$s"}},"bn":{"$bottomN":{"n":2,"sortBy":{"s":1},"output":"$s"}}}}]`,
			`[{"_id":null,"top":"cem","two":["cem","bob"],"low":null,"bn":["bob","cem"]}]`,
		},
		{
			`[{"$group":{"_id":null,"f":{"$firstN":{"n":2,"input":"$s"}},"l":{"$lastN":{"n":2,"input":"$s"}},"mx":{"$maxN":{"n":2,"input":"$n"}},"mn":{"$minN":{"n":2,"input":"$n"}}}}]`,
			`[{"_id":null,"f":["ada","bob"],"l":["cem",null],"mx":[3,3],"mn":[1,3]}]`,
		},
		{`[{"$group":{"_id":null,"m":{"$median":{"input":"$n","method":"approximate"}},"p":{"$percentile":{"input":"$n","p":[0,1],"method":"approximate"}}}}]`, `[{"_id":null,"m":3,"p":[1,3]}]`},
		{
			`[{"$setWindowFields":{"sortBy":{"_id":1},"output":{"run":{"$sum":"$n","window":{"documents":["unbounded","current"]}},"near":{"$push":"$n","window":{"documents":[-1,1]}},"no":{"$documentNumber":{}}}}},{"$project":{"_id":0,"run":1,"near":1,"no":1}}]`,
			`[{"run":3,"near":[3,1],"no":1},{"run":4,"near":[3,1,3],"no":2},{"run":7,"near":[1,3],"no":3},{"run":7,"near":[3],"no":4}]`,
		},
		{`[{"$match":{"n":{"$exists":true}}},{"$setWindowFields":{"sortBy":{"n":-1},"output":{"r":{"$rank":{}},"d":{"$denseRank":{}}}}},{"$project":{"r":1,"d":1}}]`, `[{"_id":"1","r":1,"d":1},{"_id":"3","r":1,"d":1},{"_id":"2","r":3,"d":2}]`},
		{`[{"$setWindowFields":{"partitionBy":"$n","sortBy":{"_id":1},"output":{"prev":{"$shift":{"output":"$s","by":-1,"default":"-"}},"c":{"$count":{}}}}},{"$project":{"prev":1,"c":1}}]`, `[{"_id":"4","prev":"-","c":1},{"_id":"2","prev":"-","c":1},{"_id":"1","prev":"-","c":2},{"_id":"3","prev":"ada","c":2}]`},
		{`[{"$match":{"n":{"$exists":true}}},{"$setWindowFields":{"sortBy":{"n":1},"output":{"c":{"$sum":1,"window":{"range":[-2,0]}}}}},{"$project":{"c":1}}]`, `[{"_id":"2","c":1},{"_id":"1","c":3},{"_id":"3","c":3}]`},
		{`[{"$fill":{"sortBy":{"_id":1},"output":{"n":{"method":"locf"},"s":{"value":"none"}}}},{"$match":{"_id":"4"}}]`, `[{"_id":"4","s":"none","n":3}]`},
		{`[{"$match":{"n":{"$exists":true}}},{"$project":{"_id":0,"n":1}},{"$densify":{"field":"n","range":{"step":1,"bounds":"full"}}}]`, `[{"n":1},{"n":2},{"n":3},{"n":3}]`},
		{`[{"$match":{"n":1}},{"$project":{"_id":0,"n":1,"s":1}},{"$densify":{"field":"n","partitionByFields":["s"],"range":{"step":2,"bounds":[0,5]}}}]`, `[{"s":"bob","n":0},{"s":"bob","n":1},{"s":"bob","n":2},{"s":"bob","n":4}]`},
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
		"t":{"__type":"Date","iso":"2024-02-29T13:04:05.006Z"}}]`
	for expr, want := range map[string]string{
		`"$n"`: `7`, `"$ls.k"`: `[1,2]`, `"$o.k"`: `"v"`, `"$$ROOT.n"`: `7`, `{"$literal":"$n"}`: `"$n"`,
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
		`{"$let":{"vars":{"a":1,"b":"$n"},"in":{"$add":["$$a","$$b"]}}}`: `8`, `{"$getField":"n"}`: `7`, `{"$getField":{"field":"k","input":"$o"}}`: `"v"`,
		`{"$setField":{"field":"j","input":"$o","value":1}}`: `{"k":"v","j":1}`, `{"$unsetField":{"field":"k","input":"$o"}}`: `{}`,
		`{"$regexMatch":{"input":"$s","regex":"^h","options":"i"}}`: `true`, `{"$regexFind":{"input":"$s","regex":"l(l)(x)?"}}`: `{"match":"ll","idx":2,"captures":["l",null]}`,
		`{"$regexFindAll":{"input":"$s","regex":"l"}}`:                `[{"match":"l","idx":2,"captures":[]},{"match":"l","idx":3,"captures":[]}]`,
		`{"$replaceOne":{"input":"$s","find":"l","replacement":"L"}}`: `"HéLlo"`, `{"$replaceAll":{"input":"$s","find":"l","replacement":"L"}}`: `"HéLLo"`,
		`{"$indexOfBytes":["$s","l"]}`: `3`, `{"$indexOfArray":["$l",2]}`: `1`, `{"$range":[0,5,2]}`: `[0,2,4]`, `{"$strcasecmp":["a","B"]}`: `-1`,
		`{"$arrayToObject":[[["a",1],["b",2]]]}`: `{"a":1,"b":2}`, `{"$arrayToObject":{"$objectToArray":"$o"}}`: `{"k":"v"}`,
		`{"$zip":{"inputs":["$l",["a"]]}}`: `[[1,"a"]]`, `{"$zip":{"inputs":["$l",["a"]],"useLongestLength":true,"defaults":[0,"-"]}}`: `[[1,"a"],[2,"-"],[3,"-"]]`,
		`{"$sortArray":{"input":[3,1,2],"sortBy":-1}}`: `[3,2,1]`, `{"$sortArray":{"input":"$ls","sortBy":{"k":-1}}}`: `[{"k":2},{"k":1},{"q":0}]`,
		`{"$firstN":{"input":"$l","n":2}}`: `[1,2]`, `{"$lastN":{"input":"$l","n":2}}`: `[2,3]`, `{"$maxN":{"input":"$l","n":2}}`: `[3,2]`, `{"$minN":{"input":"$l","n":9}}`: `[1,2,3]`,
		`{"$filter":{"input":"$l","cond":true,"limit":1}}`: `[1]`, `{"$setIntersection":["$l",[3,2,9]]}`: `[2,3]`, `{"$setDifference":["$l",[3]]}`: `[1,2]`,
		`{"$setEquals":["$l",[3,2,1,1]]}`: `true`, `{"$setIsSubset":[[1],"$l"]}`: `true`, `{"$allElementsTrue":[[1,true]]}`: `true`, `{"$anyElementTrue":[[0,null]]}`: `false`,
		`{"$median":{"input":"$l","method":"approximate"}}`: `2`, `{"$percentile":{"input":"$l","p":[0.5,1],"method":"approximate"}}`: `[2,3]`, `{"$stdDevPop":"$l"}`: `0.816496580927726`,
		`{"$log":[8,2]}`: `3`, `{"$atan2":[0,1]}`: `0`, `{"$degreesToRadians":180}`: `3.141592653589793`, `{"$round":[1.035,2]}`: `1.04`, `{"$round":[1250,-2]}`: `1200`, `{"$trunc":[9.99,1]}`: `9.9`,
		`{"$bitAnd":[6,3]}`: `2`, `{"$bitOr":[6,1]}`: `7`, `{"$bitXor":[6,3]}`: `5`, `{"$bitNot":0}`: `-1`, `{"$add":[9007199254740993,1]}`: `9007199254740994`,
		`{"$isNumber":"$n"}`: `true`, `{"$binarySize":"$s"}`: `6`, `{"$bsonSize":{"a":1}}`: `12`, `{"$convert":{"input":"x","to":"int","onError":-1}}`: `-1`, `{"$convert":{"input":null,"to":"int","onNull":0}}`: `0`,
		`{"$toLong":"9007199254740993"}`: `9007199254740993`, `{"$toDate":"2024-01-02"}`: `{"__type":"Date","iso":"2024-01-02T00:00:00.000Z"}`,
		`{"$dateAdd":{"startDate":"$t","unit":"year","amount":1}}`: `{"__type":"Date","iso":"2025-02-28T13:04:05.006Z"}`, `{"$dateSubtract":{"startDate":"$t","unit":"month","amount":1}}`: `{"__type":"Date","iso":"2024-01-29T13:04:05.006Z"}`,
		`{"$dateAdd":{"startDate":"$t","unit":"hour","amount":24}}`:                                    `{"__type":"Date","iso":"2024-03-01T13:04:05.006Z"}`,
		`{"$dateDiff":{"startDate":{"$toDate":"2023-12-31T23:59:00Z"},"endDate":"$t","unit":"month"}}`: `2`, `{"$dateDiff":{"startDate":{"$toDate":"2024-02-24"},"endDate":"$t","unit":"week"}}`: `1`,
		`{"$dateTrunc":{"date":"$t","unit":"month"}}`: `{"__type":"Date","iso":"2024-02-01T00:00:00.000Z"}`, `{"$dateTrunc":{"date":"$t","unit":"week","startOfWeek":"monday"}}`: `{"__type":"Date","iso":"2024-02-26T00:00:00.000Z"}`,
		`{"$dateTrunc":{"date":"$t","unit":"hour","binSize":6}}`: `{"__type":"Date","iso":"2024-02-29T12:00:00.000Z"}`, `{"$dateTrunc":{"date":"$t","unit":"day","timezone":"+12:00"}}`: `{"__type":"Date","iso":"2024-02-29T12:00:00.000Z"}`,
		`{"$dateFromParts":{"year":2024,"month":14,"day":1,"hour":1}}`: `{"__type":"Date","iso":"2025-02-01T01:00:00.000Z"}`, `{"$dateFromParts":{"isoWeekYear":2024,"isoWeek":9,"isoDayOfWeek":4}}`: `{"__type":"Date","iso":"2024-02-29T00:00:00.000Z"}`,
		`{"$dateToParts":{"date":"$t"}}`:                                              `{"year":2024,"month":2,"day":29,"hour":13,"minute":4,"second":5,"millisecond":6}`,
		`{"$dateFromString":{"dateString":"29/02/2024 13h","format":"%d/%m/%Y %Hh"}}`: `{"__type":"Date","iso":"2024-02-29T13:00:00.000Z"}`, `{"$dateFromString":{"dateString":"2024-02-29T13:00","timezone":"+01:00"}}`: `{"__type":"Date","iso":"2024-02-29T12:00:00.000Z"}`,
		`{"$dateFromString":{"dateString":"nonsense","onError":"-"}}`: `"-"`,
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
		{`[{"$addFields":{"x":{"$function":{}}}}]`, "$function is not allowed: no JavaScript runs here", 102},
		{`[{"$addFields":{"x":{"$nope":1}}}]`, "Unrecognized expression '$nope'", 102},
		{`[{"$match":{"$where":"1"}}]`, "unknown top level operator: $where", 102},
		{`[{"$match":{"a":{"$near":1}}}]`, "unknown operator: $near", 102},
		{`[{"$group":{"_id":"$a'b"}}]`, "Invalid field name: a'b", 105},
		{`[{"$group":{"_id":null,"x":{"$pow":1}}}]`, "unknown group operator '$pow'", 102},
		{`[{"$group":{"_id":null,"x":{"$accumulator":{}}}}]`, "unknown group operator '$accumulator'", 102},
		{`[{"$indexStats":{}}]`, "Unrecognized pipeline stage name: '$indexStats'", 102},
		{`[{"$merge":"x"}]`, "Unrecognized pipeline stage name: '$merge'", 102},
		{`[{"$limit":1},{"$geoNear":{"near":[0,0],"distanceField":"d","key":"g"}}]`, "$geoNear was not the first stage in the pipeline.", 102},
		{`[{"$geoNear":{"near":[0,0],"distanceField":"d"}}]`, "$geoNear requires a 'key' option to say which GeoPoint to use; class C has 0 fields of this type", 102},
		{`[{"$lookup":{"from":"P","as":"r","localField":"s"}}]`, "Missing 'foreignField' parameter to $lookup", 102},
		{`[{"$lookup":{"from":"P","as":"r","pipeline":[{"$out":"x"}]}}]`, "Unrecognized pipeline stage name: '$out'", 102},
		{`[{"$group":{"_id":null,"x":{"$topN":{"n":"$s","sortBy":{"s":1},"output":"$s"}}}}]`, "$topN requires 'n' to be a constant", 102},
		{`[{"$setWindowFields":{"output":{"x":{"$rank":{}}}}}]`, "$rank must be specified with a top level sortBy expression", 102},
		{`[{"$setWindowFields":{"sortBy":{"n":1},"output":{"x":{"$nope":1}}}}]`, "Unrecognized window function, $nope", 102},
		{`[{"$densify":{"field":"n","range":{"step":0,"bounds":"full"}}}]`, "the step parameter in a range statement must be a strictly positive numeric value", 102},
		{`[{"$addFields":{"x":{"$convert":{"input":1,"to":"uuid"}}}}]`, "$convert: unknown or unsupported type \"uuid\"", 102},
		{`[{"$addFields":{"x":{"$dateTrunc":{"date":"$$NOW","unit":"eon"}}}}]`, "$dateTrunc: unknown time unit value: \"eon\"", 102},
		{`[{"$addFields":{"x":{"$regexMatch":{"input":"a","regex":"("}}}}]`, "Invalid regular expression in $regexMatch", 102},
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
		"windows":        `[{"$unwind":"$l"},{"$setWindowFields":{"sortBy":{"l":1},"output":{"x":{"$push":"$l","window":{"documents":["unbounded","current"]}}}}},{"$unwind":"$x"}]`,
		"densify":        `[{"$densify":{"field":"a","range":{"step":0.001,"bounds":[0,1000]}}}]`,
		"range":          `[{"$addFields":{"x":{"$range":[0,1000000]}}}]`,
		"many stages":    `[` + strings.Repeat(`{"$skip":0},`, 250) + `{"$count":"n"}]`,
		"pattern, text":  `[{"$addFields":{"x":{"$regexMatch":{"input":"$t","regex":"(x?){1000}y"}}}}]`,
		"patterns":       `[{"$unwind":"$l"},{"$unwind":"$k"},{"$unwind":"$l2"},{"$addFields":{"x":{"$regexFind":{"input":"xx","regex":"(x?){1000}y"}}}}]`,
		"all matches":    `[{"$addFields":{"x":{"$regexFindAll":{"input":"$t","regex":"(?:x.*y|x)"}}}}]`,
		"n":              `[{"$group":{"_id":null,"x":{"$topN":{"n":{"$size":{"$map":{"input":{"$range":[0,5000]},"in":1}}},"sortBy":{"a":1},"output":{"$range":[0,50000]}}}}}]`,
		"pushed by name": `[{"$unwind":"$l"},{"$group":{"_id":null,"x":{"$push":"$$ROOT"}}}]`,
	} {
		list := "[1" + strings.Repeat(",1", 99) + "]"
		_, err := run(t, documents(t, `[{"a":1,"l":`+list+`,"k":`+list+`,"l2":`+list+`,"t":"`+strings.Repeat("x", 60_000)+`"}]`), pipeline,
			aggregate.Options{Limits: aggregate.Limits{Documents: 5000, Value: 1 << 16, Steps: 50_000_000}})
		if parse.CodeOf(err) != parse.InvalidQuery {
			t.Errorf("%s: %v, want 102", name, err)
		}
	}
	// A constant that takes some steps is one.
	if out, err := run(t, documents(t, `[{"a":1}]`), `[{"$group":{"_id":null,"x":{"$topN":{"n":{"$size":{"$map":{"input":{"$range":[0,5000]},"in":1}}},"sortBy":{"a":1},"output":"$a"}}}}]`, aggregate.Options{}); err != nil || out == "" || out == "[]" {
		t.Errorf("a number that is computed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, err := compile(t, `[{"$count":"n"}]`, aggregate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(ctx, nil, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that has ended: %v", err)
	}
}

func TestDocumentAndResult(t *testing.T) {
	at, _ := parse.ParseDate("2024-01-02T03:04:05.000Z")
	o := &parse.Object{ClassName: "C", ID: "1", CreatedAt: at, UpdatedAt: at, ACL: parse.NewACL()}
	o.Set("p", parse.Pointer{ClassName: "P", ObjectID: "x"})
	o.Set("d", at)
	o.Set("_hashed_password", "secret")
	doc := aggregate.Document(class(), o, nil)
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
		docs, err := p.Run(t.Context(), []*parse.Map{doc}, 0)
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
		path, err := aggregate.DistinctPath(class(), name)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(parse.AppendJSON(nil, aggregate.Distinct(class(), path, documents(t, people)))); text != want {
			t.Errorf("%s: %s, want %s", name, text, want)
		}
	}
	if _, err := aggregate.DistinctPath(class(), "a'b"); parse.CodeOf(err) != parse.InvalidKeyName {
		t.Errorf("a quote in a name: %v", err)
	}
}

func TestSource(t *testing.T) {
	gt1 := &query.Compare{Path: "n", Op: query.Gt, Value: 1.0}
	for _, tt := range []struct {
		pipeline string
		where    query.Node
		matched  bool
		fields   string
	}{
		{`[{"$match":{"n":{"$gt":1},"objectId":"x","m.x":1}}]`, query.AllOf(gt1, query.ByID("x")), false, "all"},
		{`[{"$match":{"n":{"$gt":1}}},{"$count":"c"}]`, gt1, true, "n"},
		{`[{"$match":{"p":"x"}},{"$group":{"_id":"$s"}}]`, query.Equal("p", parse.Pointer{ClassName: "P", ObjectID: "x"}), true, "_p_p s"},
		{`[{"$match":{"$or":[{"n":{"$gt":1}},{"s":null}]}},{"$project":{"n":1}}]`, &query.Or{Nodes: []query.Node{gt1, query.Equal("s", nil)}}, true, "_id n s"},
		{`[{"$match":{"$or":[{"n":{"$gt":1}},{"m.x":1}]}}]`, nil, false, "all"},
		{`[{"$match":{"$nor":[{"n":{"$gt":1}}],"s":{"$exists":true,"$nin":["a"]}}}]`, query.AllOf(&query.Nor{Nodes: []query.Node{gt1}},
			&query.Exists{Path: "s", Want: true}, &query.Member{Path: "s", Op: query.Nin, Values: []parse.Value{"a"}}), true, "all"},
		{`[{"$match":{"s":{"$regex":"^a","$options":"i"}}}]`, &query.Regex{Path: "s", Pattern: "^a", Options: "i"}, true, "all"},
		{`[{"$limit":3},{"$match":{"n":1}}]`, nil, false, "all"},
		{`[{"$addFields":{"x":{"$add":["$n",1]}}},{"$sort":{"d":1}},{"$group":{"_id":null,"t":{"$sum":"$x"}}},{"$project":{"u":"$t"}}]`, nil, false, "d n x"},
		{`[{"$group":{"_id":null,"all":{"$push":"$$ROOT"}}}]`, nil, false, "all"},
		{`[{"$facet":{"a":[{"$count":"c"}],"b":[{"$group":{"_id":"$s"}}]}}]`, nil, false, "s"},
		{`[{"$facet":{"a":[{"$count":"c"}],"b":[{"$limit":1}]}}]`, nil, false, "all"},
		{`[{"$unwind":"$a"},{"$sortByCount":"$a.k"}]`, nil, false, "a"},
		{`[{"$lookup":{"from":"P","localField":"s","foreignField":"l","as":"r"}},{"$project":{"_id":0,"r":1}}]`, nil, false, "r s"},
		{`[{"$count":"c"}]`, nil, false, ""},
	} {
		p, err := compile(t, tt.pipeline, aggregate.Options{Class: class()})
		if err != nil {
			t.Fatal(tt.pipeline, err)
		}
		src := p.Source()
		fields := strings.Join(src.Fields, " ")
		if src.Fields == nil {
			fields = "all"
		}
		if got, want := query.Canonical(src.Where), query.Canonical(tt.where); got != want || src.Matched != tt.matched || fields != tt.fields {
			t.Errorf("%s: %s %v %q, want %s %v %q", tt.pipeline, got, src.Matched, fields, want, tt.matched, tt.fields)
		}
		if (src.Limit == 3) != strings.HasPrefix(tt.pipeline, `[{"$limit"`) {
			t.Errorf("%s: limit %d", tt.pipeline, src.Limit)
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
		got, err := p.Run(t.Context(), docs, 0)
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
		src := p.Source()
		match, err := query.Compile(src.Where)
		if err != nil {
			rt.Fatal(err)
		}
		if got, err = p.Run(t.Context(), docs, 0); err != nil {
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
		`[{"$lookup":{"from":"P","let":{"x":"$s"},"pipeline":[{"$match":{"$expr":{"$eq":["$l","$$x"]}}},{"$unionWith":"P"}],"as":"r"}},{"$graphLookup":{"from":"P","startWith":"$s","connectFromField":"l","connectToField":"l","as":"g","maxDepth":2}}]`,
		`[{"$setWindowFields":{"partitionBy":"$n","sortBy":{"d":1},"output":{"x":{"$avg":"$n","window":{"range":[-1,"current"],"unit":"day"}},"y":{"$shift":{"output":"$s","by":-1}},"z":{"$expMovingAvg":{"input":"$n","N":2}},"w":{"$derivative":{"input":"$n","unit":"hour"},"window":{"documents":[-1,1]}}}}}]`,
		`[{"$densify":{"field":"d","partitionByFields":["s"],"range":{"step":1,"unit":"month","bounds":"full"}}},{"$fill":{"sortBy":{"n":1},"output":{"n":{"method":"linear"},"s":{"value":"$m"}}}}]`,
		`[{"$group":{"_id":null,"t":{"$topN":{"n":{"$add":[1,1]},"sortBy":{"n":-1},"output":["$s"]}},"p":{"$percentile":{"input":"$n","p":[0.1,0.9],"method":"continuous"}},"f":{"$firstN":{"input":"$s","n":3}}}},{"$bucketAuto":{"groupBy":"$t","buckets":5}}]`,
		`[{"$geoNear":{"near":{"type":"Point","coordinates":[0,0]},"distanceField":"x.y","key":"g","query":{"n":1},"maxDistance":5}},{"$redact":{"$cond":[{"$gt":["$n",1]},"$$KEEP","$$DESCEND"]}}]`,
		`[{"$project":{"a":{"$dateTrunc":{"date":"$d","unit":"week","binSize":2,"timezone":"+05:30"}},"b":{"$dateFromString":{"dateString":"$s","format":"%G-%V-%u %z","onError":null}},"c":{"$dateAdd":{"startDate":"$d","unit":"year","amount":"$n"}},"e":{"$regexFindAll":{"input":"$s","regex":"(a)|b"}},"f":{"$round":["$n",-3]},"g":{"$convert":{"input":"$s","to":"$n","onError":0}}}}]`,
		`[{"$match":{"g":{"$geoWithin":{"$centerSphere":[[1,2],3]}},"n":{"$bitsAllSet":[1,70]},"a":{"$type":["array",2]},"p":{"$nin":["P$x",null]}}}]`,
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
		o := aggregate.Options{
			Class: class(), Limits: aggregate.Limits{Documents: 1000, Value: 1 << 16, Bytes: 1 << 20, Steps: 100_000},
			Resolve: func(string) (*schema.Class, error) { return class(), nil },
			Fetch: func(context.Context, string, aggregate.Source) ([]*parse.Map, error) {
				return documents(t, people), nil
			},
		}
		p, err := aggregate.Compile(stages, o)
		if err != nil {
			if parse.CodeOf(err) == 0 {
				t.Errorf("%s: %v is no error for a client", data, err)
			}
			return
		}
		docs, err := p.Run(t.Context(), documents(t, people), 0)
		if err != nil && parse.CodeOf(err) == 0 {
			t.Errorf("%s: %v is no error for a client", data, err)
		}
		for _, d := range docs {
			parse.AppendJSON(nil, p.Result(d))
		}
	})
}
