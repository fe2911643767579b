package server_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

func TestTextSearch(t *testing.T) {
	term := func(search string) map[string]string {
		return map[string]string{"where": `{"s":{"$text":{"$search":` + search + `}}}`}
	}
	with := func(q map[string]string, more ...string) map[string]string {
		for i := 0; i < len(more); i += 2 {
			q[more[i]] = more[i+1]
		}
		return q
	}
	bad := func(name, search, text string) scenario.Step {
		return scenario.Step{Name: name, Path: "/classes/T", Query: term(search), Code: parse.InvalidJSON, Error: text}
	}
	scenario.Run(t, []scenario.Scenario{{Name: "$text", Config: open, Steps: []scenario.Step{
		{Name: "objects", Method: "POST", Path: "/batch", Body: `{"requests":[
			{"method":"POST","path":"/parse/classes/T","body":{"n":1,"s":"Coffee shop","score":7}},
			{"method":"POST","path":"/parse/classes/T","body":{"n":2,"s":"coffee, coffee and coffees"}},
			{"method":"POST","path":"/parse/classes/T","body":{"n":3,"s":"A cup of tea","language":"no such language"}},
			{"method":"POST","path":"/parse/classes/T","body":{"n":4,"list":["green tea","coffee"]}}]}`},
		{Name: "a word", Path: "/classes/T", Query: with(term(`{"$term":"coffee"}`), "order", "n", "keys", "n"), JSON: `{"results":[{"n":1,"...":0},{"n":2,"...":0}]}`},
		{Name: "a word, again", Path: "/classes/T", Query: with(term(`{"$term":"Coffees"}`), "order", "-n", "keys", "n"), JSON: `{"results":[{"n":2,"...":0},{"n":1,"...":0}]}`},
		{Name: "the best first", Path: "/classes/T", Query: with(term(`{"$term":"coffee"}`), "order", "$score", "keys", "$score,n"), JSON: `{"results":[{"n":2,"score":1.75,"...":0},{"n":1,"score":0.75,"...":0}]}`},
		{Name: "the best first, downwards", Path: "/classes/T", Query: with(term(`{"$term":"coffee"}`), "order", "-$score", "keys", "n", "limit", "1"), JSON: `{"results":[{"n":2,"objectId":"*","createdAt":"*","updatedAt":"*"}]}`},
		{Name: "scores alone", Path: "/classes/T", Query: with(term(`{"$term":"shop"}`), "keys", "$score"), JSON: `{"results":[{"objectId":"*","createdAt":"*","updatedAt":"*","score":0.75}]}`},
		{Name: "a field called score", Path: "/classes/T", Query: with(term(`{"$term":"shop"}`), "keys", "score"), JSON: `{"results":[{"objectId":"*","createdAt":"*","updatedAt":"*","score":7}]}`},
		{Name: "no scores asked for", Path: "/classes/T", Query: term(`{"$term":"tea"}`), JSON: `{"results":[{"objectId":"*","createdAt":"*","updatedAt":"*","n":3,"s":"A cup of tea","language":"no such language"}]}`},
		{Name: "a cursor by score", Path: "/classes/T", Query: with(term(`{"$term":"coffee"}`), "order", "$score", "cursor", ""), Code: parse.InvalidQuery, Error: "cursor cannot be combined with an order by $score"},
		{Name: "a score without a search", Path: "/classes/T", Query: map[string]string{"where": `{"n":1}`, "keys": "$score,n", "order": "$score"}, JSON: `{"results":[{"objectId":"*","createdAt":"*","updatedAt":"*","n":1}]}`},
		{Name: "count", Path: "/classes/T", Query: with(term(`{"$term":"coffee tea"}`), "count", "1", "limit", "0"), JSON: `{"results":[],"count":3}`},
		{Name: "negation", Path: "/classes/T", Query: with(term(`{"$term":"coffee -shop"}`), "keys", "n"), JSON: `{"results":[{"n":2,"...":0}]}`},
		{Name: "phrase", Path: "/classes/T", Query: with(term(`{"$term":"\"cup of\""}`), "keys", "n"), JSON: `{"results":[{"n":3,"...":0}]}`},
		{Name: "stop words", Path: "/classes/T", Query: term(`{"$term":"of and a"}`), JSON: `{"results":[]}`},
		{Name: "case", Path: "/classes/T", Query: with(term(`{"$term":"Coffee","$caseSensitive":true}`), "keys", "n"), JSON: `{"results":[{"n":1,"...":0}]}`},
		{Name: "accents", Path: "/classes/T", Query: term(`{"$term":"téa","$diacriticSensitive":true}`), JSON: `{"results":[]}`},
		{Name: "language", Path: "/classes/T", Query: with(term(`{"$term":"tea","$language":"EN"}`), "keys", "n"), JSON: `{"results":[{"n":3,"...":0}]}`},
		{Name: "beside others", Path: "/classes/T", Query: map[string]string{"where": `{"n":{"$gt":1},"s":{"$exists":true,"$text":{"$search":{"$term":"coffee"}}}}`, "keys": "n"}, JSON: `{"results":[{"n":2,"...":0}]}`},
		{Name: "within or", Path: "/classes/T", Query: map[string]string{"where": `{"$or":[{"n":4},{"s":{"$text":{"$search":{"$term":"tea"}}}}]}`, "keys": "n", "order": "n"}, JSON: `{"results":[{"n":3,"...":0},{"n":4,"...":0}]}`},
		{Name: "in an array", Path: "/classes/T", Query: map[string]string{"where": `{"list":{"$text":{"$search":{"$term":"coffee"}}}}`, "keys": "n"}, JSON: `{"results":[{"n":4,"...":0}]}`},
		{Name: "unknown field", Path: "/classes/T", Query: map[string]string{"where": `{"nope":{"$text":{"$search":{"$term":"coffee"}}}}`}, JSON: `{"results":[]}`},
		{Name: "the index", Path: "/schemas/T", As: "master", JSON: `{"indexes":{"s_text":{"s":"text"},"...":0},"...":0}`},
		{Name: "a change", Method: "POST", Path: "/classes/T", Body: `{"n":5,"s":"Black coffee"}`, Status: 201, Save: map[string]string{"objectId": "id"}},
		{Name: "is found", Path: "/classes/T", Query: with(term(`{"$term":"black"}`), "keys", "n"), JSON: `{"results":[{"n":5,"...":0}]}`},
		{Name: "an update", Method: "PUT", Path: "/classes/T/{{id}}", Body: `{"s":"White tea"}`, JSON: `{"updatedAt":"*"}`},
		{Name: "no longer found", Path: "/classes/T", Query: term(`{"$term":"black"}`), JSON: `{"results":[]}`},
		{Name: "found by the new words", Path: "/classes/T", Query: with(term(`{"$term":"whites"}`), "keys", "n"), JSON: `{"results":[{"n":5,"...":0}]}`},
		{Name: "drop the field", Method: "PUT", Path: "/schemas/T", As: "master", Body: `{"fields":{"s":{"__op":"Delete"}}}`},
		{Name: "nothing is found", Path: "/classes/T", Query: term(`{"$term":"tea"}`), JSON: `{"results":[]}`},
		bad("no object", `1`, "bad $text: $search, should be object"),
		bad("no term", `{}`, "bad $text: $term, should be string"),
		bad("no text", `{"$term":1}`, "bad $text: $term, should be string"),
		bad("bad language", `{"$term":"a","$language":true}`, "bad $text: $language, should be string"),
		bad("unknown language", `{"$term":"a","$language":"xx"}`, `bad $text: $language "xx" is not supported`),
		bad("bad case", `{"$term":"a","$caseSensitive":"a"}`, "bad $text: $caseSensitive, should be boolean"),
		bad("bad accents", `{"$term":"a","$diacriticSensitive":"a"}`, "bad $text: $diacriticSensitive, should be boolean"),
	}}, {Name: "$text on a protected field", Config: open, Steps: []scenario.Step{
		{Name: "class", Method: "POST", Path: "/schemas/P", As: "master", Body: `{"fields":{"s":{"type":"String"}},"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"create":{"*":true},"protectedFields":{"*":["s"]}}}`},
		{Name: "object", Method: "POST", Path: "/classes/P", Body: `{"s":"secret"}`, Status: 201},
		{Name: "search", Path: "/classes/P", Query: map[string]string{"where": `{"s":{"$text":{"$search":{"$term":"secret"}}}}`}, Code: parse.OperationForbidden},
		{Name: "search within", Path: "/classes/P", Query: map[string]string{"where": `{"$nor":[{"s":{"$text":{"$search":{"$term":"secret"}}}}]}`}, Code: parse.OperationForbidden},
		{Name: "master", Path: "/classes/P", As: "master", Query: map[string]string{"where": `{"s":{"$text":{"$search":{"$term":"secret"}}}}`, "keys": "s"}, JSON: `{"results":[{"s":"secret","...":0}]}`},
	}}})
}
