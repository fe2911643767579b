package server_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

var update = flag.Bool("update", false, "write the tables of docs that tests check")

// operatorCase is one query and the ids that it finds, or its error.
type operatorCase struct {
	op, name, where, want string
	code                  parse.Code
	text                  string
	master                bool
	typed                 string // want where a null is a missing value
}

// short forms of the values in where clauses.
var operands = strings.NewReplacer(
	"<w1>", `{"__type":"Pointer","className":"W","objectId":"w1"}`, "<w2>", `{"__type":"Pointer","className":"W","objectId":"w2"}`,
	"<w3>", `{"__type":"Pointer","className":"W","objectId":"w3"}`, "<x1>", `{"__type":"Pointer","className":"X","objectId":"w1"}`,
	"<jan>", `{"__type":"Date","iso":"2024-01-01T00:00:00.000Z"}`, "<jun>", `{"__type":"Date","iso":"2024-06-01T00:00:00.000Z"}`,
	"<10,20>", `{"__type":"GeoPoint","latitude":10,"longitude":20}`, "<40,50>", `{"__type":"GeoPoint","latitude":40,"longitude":50}`,
	"<0,0>", `{"__type":"GeoPoint","latitude":0,"longitude":0}`, "<60,60>", `{"__type":"GeoPoint","latitude":60,"longitude":60}`,
	"<file>", `{"__type":"File","name":"a.txt"}`, "<bytes>", `{"__type":"Bytes","base64":"aGk="}`,
	"<polygon>", `{"__type":"Polygon","coordinates":[[0,0],[0,30],[30,30],[30,0]]}`,
	"<a>", `{"__type":"Pointer","className":"Q","objectId":"a"}`, "<b>", `{"__type":"Pointer","className":"Q","objectId":"b"}`,
)

var operatorObjects = []string{
	`W/{"objectId":"w1","name":"one","n":1,"tags":["x","Banana"]}`, `W/{"objectId":"w2","name":"two","n":2,"owner":<w1>}`,
	`Q/{"objectId":"a","s":"apple","n":1,"b":true,"d":<jan>,"o":{"k":1,"deep":{"x":"y"},"list":[1,2]},"arr":[1,2,"x"],"p":<w1>,"g":<10,20>,"f":<file>,"y":<bytes>,"q":<polygon>,"exp":1}`,
	`Q/{"objectId":"b","s":"Banana","n":2,"b":false,"d":<jun>,"o":{"k":"1","list":[{"z":1},{"z":2}]},"arr":["x",[1]],"ptrs":[<w1>,<w2>],"p":<w2>,"g":<40,50>}`,
	`Q/{"objectId":"c","s":"cherry pie","n":2.5,"arr":[],"p":<w1>,"ptrs":[<w2>]}`,
	`Q/{"objectId":"d","s":null,"n":null,"arr":null,"p":null}`,
	`Q/{"objectId":"e"}`,
}

var operatorCases = []operatorCase{
	{op: "equality", name: "String", where: `{"s":"apple"}`, want: "a"},
	{op: "equality", name: "Number", where: `{"n":2.5}`, want: "c"},
	{op: "equality", name: "Boolean", where: `{"b":false}`, want: "b"},
	{op: "equality", name: "Date", where: `{"d":<jan>}`, want: "a"},
	{op: "equality", name: "Pointer", where: `{"p":<w1>}`, want: "ac"},
	{op: "equality", name: "Pointer of another class", where: `{"p":<x1>}`, want: ""},
	{op: "equality", name: "id of a pointer", where: `{"p":"w1"}`, want: ""},
	{op: "equality", name: "GeoPoint", where: `{"g":<10,20>}`, want: "a"},
	{op: "equality", name: "File", where: `{"f":<file>}`, want: "a"},
	{op: "equality", name: "Bytes", where: `{"y":<bytes>}`, want: "a"},
	{op: "equality", name: "Polygon", where: `{"q":<polygon>}`, want: "a"},
	{op: "equality", name: "null", where: `{"s":null}`, want: "de"},
	{op: "equality", name: "null of a pointer", where: `{"p":null}`, want: "de"},
	{op: "equality", name: "element", where: `{"arr":"x"}`, want: "ab"},
	{op: "equality", name: "pointer in an array", where: `{"ptrs":<w2>}`, want: "bc"},
	{op: "equality", name: "Object", where: `{"o":{"k":1,"deep":{"x":"y"},"list":[1,2]}}`, want: "a"},
	{op: "equality", name: "dotted", where: `{"o.deep.x":"y"}`, want: "a"},
	{op: "equality", name: "dotted, other type", where: `{"o.k":"1"}`, want: "b"},
	{op: "equality", name: "dotted, by index", where: `{"o.list.1":2}`, want: "a"},
	{op: "equality", name: "element by index", where: `{"arr.2":"x"}`, want: "a"},
	{op: "equality", name: "through a pointer", where: `{"p.name":"one"}`, want: ""},
	{op: "equality", name: "objectId", where: `{"objectId":"c"}`, want: "c"},
	{op: "equality", name: "createdAt as text", where: `{"createdAt":"2001-01-01T00:00:00.000Z"}`, want: ""},
	{op: "equality", name: "other type", where: `{"n":"1"}`, want: ""},
	{op: "equality", name: "unknown field", where: `{"nope":1}`, want: ""},
	{op: "equality", name: "null of an unknown field", where: `{"nope":null}`, want: "abcde"},
	{op: "equality", name: "two fields", where: `{"n":2,"s":"Banana"}`, want: "b"},
	{op: "equality", name: "ACL", where: `{"ACL":{"x":1}}`, code: parse.InvalidQuery, text: "Cannot query on ACL."},
	{op: "equality", name: "invalid key", where: `{"a-b":1}`, code: parse.InvalidKeyName, text: "Invalid key name: a-b"},
	{op: "equality", name: "internal key", where: `{"_hashed_password":"x"}`, master: true, code: parse.InvalidKeyName, text: "Invalid key name: _hashed_password"},

	{op: "$eq", name: "String", where: `{"s":{"$eq":"apple"}}`, want: "a"},
	{op: "$eq", name: "null", where: `{"n":{"$eq":null}}`, want: "de"},
	{op: "$eq", name: "whole array", where: `{"arr":{"$eq":[1,2,"x"]}}`, want: "a"},
	{op: "$eq", name: "empty array", where: `{"arr":{"$eq":[]}}`, want: "c"},
	{op: "$eq", name: "array in an array", where: `{"arr":{"$eq":[1]}}`, want: "b"},
	{op: "$eq", name: "element", where: `{"arr":{"$eq":2}}`, want: "a"},
	{op: "$eq", name: "Pointer", where: `{"p":{"$eq":<w2>}}`, want: "b"},
	{op: "$eq", name: "beside others", where: `{"n":{"$eq":2,"$gt":1}}`, want: "b"},
	{op: "$eq", name: "operators within", where: `{"n":{"$eq":{"$gt":1}}}`, code: parse.InvalidJSON, text: `bad atom: {"$gt":1}`},

	{op: "$ne", name: "missing counts", where: `{"s":{"$ne":"apple"}}`, want: "bcde"},
	{op: "$ne", name: "null", where: `{"s":{"$ne":null}}`, want: "abc"},
	{op: "$ne", name: "Pointer", where: `{"p":{"$ne":<w1>}}`, want: "bde"},
	{op: "$ne", name: "id of a pointer", where: `{"p":{"$ne":"w1"}}`, want: "bde"},
	{op: "$ne", name: "element", where: `{"arr":{"$ne":"x"}}`, want: "cde"},
	{op: "$ne", name: "dotted", where: `{"o.k":{"$ne":1}}`, want: "bcde"},
	{op: "$ne", name: "Date", where: `{"d":{"$ne":<jan>}}`, want: "bcde"},
	{op: "$ne", name: "GeoPoint", where: `{"g":{"$ne":<10,20>}}`, want: "bcde"},

	{op: "$lt", name: "Number", where: `{"n":{"$lt":2}}`, want: "a"},
	{op: "$lt", name: "String, by code", where: `{"s":{"$lt":"a"}}`, want: "b"},
	{op: "$lt", name: "Date", where: `{"d":{"$lt":<jun>}}`, want: "a"},
	{op: "$lt", name: "element", where: `{"arr":{"$lt":2}}`, want: "a"},
	{op: "$lt", name: "other type", where: `{"n":{"$lt":"z"}}`, want: ""},
	{op: "$lt", name: "no order", where: `{"n":{"$lt":[1]}}`, code: parse.InvalidJSON, text: "bad atom: [1]"},
	{op: "$lte", name: "Number", where: `{"n":{"$lte":2}}`, want: "ab"},
	{op: "$lte", name: "createdAt as text", where: `{"createdAt":{"$lte":"2001-01-01T00:00:00.000Z"}}`, want: ""},
	{op: "$gt", name: "Number", where: `{"n":{"$gt":1}}`, want: "bc"},
	{op: "$gt", name: "dotted", where: `{"o.k":{"$gt":0}}`, want: "a"},
	{op: "$gt", name: "createdAt", where: `{"createdAt":{"$gt":<jan>}}`, want: "abcde"},
	{op: "$gte", name: "Number", where: `{"n":{"$gte":2}}`, want: "bc"},
	{op: "$gte", name: "range", where: `{"n":{"$gte":1,"$lt":2.5}}`, want: "ab"},
	{op: "$gte", name: "Boolean", where: `{"b":{"$gte":true}}`, want: "a"},
	{op: "$gte", name: "an Object", where: `{"n":{"$gte":{"x":1}}}`, code: parse.InvalidJSON, text: `bad atom: {"x":1}`},

	{op: "$in", name: "Strings", where: `{"s":{"$in":["apple","Banana","x"]}}`, want: "ab"},
	{op: "$in", name: "nothing", where: `{"s":{"$in":[]}}`, want: ""},
	{op: "$in", name: "null", where: `{"s":{"$in":["apple",null]}}`, want: "ade"},
	{op: "$in", name: "nested", where: `{"n":{"$in":[[1,2],2.5]}}`, want: "abc"},
	{op: "$in", name: "nested twice", where: `{"n":{"$in":[[[1]]]}}`, want: ""},
	{op: "$in", name: "elements", where: `{"arr":{"$in":[2,"y"]}}`, want: "a"},
	{op: "$in", name: "Pointers", where: `{"p":{"$in":[<w1>,<x1>]}}`, want: "ac"},
	{op: "$in", name: "ids of pointers", where: `{"p":{"$in":["w1","w2"]}}`, want: "abc"},
	{op: "$in", name: "pointers in an array", where: `{"ptrs":{"$in":[<w1>]}}`, want: "b"},
	{op: "$in", name: "Dates", where: `{"d":{"$in":[<jan>,<jun>]}}`, want: "ab"},
	{op: "$in", name: "GeoPoints", where: `{"g":{"$in":[<40,50>]}}`, want: "b"},
	{op: "$in", name: "dotted", where: `{"o.k":{"$in":[1,"1"]}}`, want: "ab"},
	{op: "$in", name: "ids", where: `{"objectId":{"$in":["a","e","zz"]}}`, want: "ae"},
	{op: "$in", name: "no array", where: `{"s":{"$in":"apple"}}`, code: parse.InvalidJSON, text: "bad $in value"},
	{op: "$nin", name: "missing counts", where: `{"s":{"$nin":["apple","Banana"]}}`, want: "cde"},
	{op: "$nin", name: "nothing", where: `{"s":{"$nin":[]}}`, want: "abcde"},
	{op: "$nin", name: "null", where: `{"s":{"$nin":["apple",null]}}`, want: "bc"},
	{op: "$nin", name: "elements", where: `{"arr":{"$nin":["x"]}}`, want: "cde"},
	{op: "$nin", name: "Pointers", where: `{"p":{"$nin":[<w1>]}}`, want: "bde"},
	{op: "$nin", name: "no array", where: `{"s":{"$nin":1}}`, code: parse.InvalidJSON, text: "bad $nin value"},

	{op: "$exists", name: "true", where: `{"n":{"$exists":true}}`, want: "abcd", typed: "abc"},
	{op: "$exists", name: "false", where: `{"n":{"$exists":false}}`, want: "e", typed: "de"},
	{op: "$exists", name: "any truth", where: `{"b":{"$exists":1}}`, want: "ab"},
	{op: "$exists", name: "Pointer", where: `{"p":{"$exists":false}}`, want: "e", typed: "de"},
	{op: "$exists", name: "dotted", where: `{"o.deep":{"$exists":true}}`, want: "a"},
	{op: "$exists", name: "dotted, false", where: `{"o.deep":{"$exists":false}}`, want: "bcde"},
	{op: "$exists", name: "unknown field", where: `{"nope":{"$exists":false}}`, want: "abcde"},

	{op: "$all", name: "elements", where: `{"arr":{"$all":[1,"x"]}}`, want: "a"},
	{op: "$all", name: "one", where: `{"arr":{"$all":["x"]}}`, want: "ab"},
	{op: "$all", name: "none", where: `{"arr":{"$all":[]}}`, want: ""},
	{op: "$all", name: "pointers", where: `{"ptrs":{"$all":[<w1>,<w2>]}}`, want: "b"},
	{op: "$all", name: "prefixes", where: `{"arr":{"$all":[{"$regex":"^\\Qx\\E"}]}}`, want: "ab"},
	{op: "$all", name: "prefixes and values", where: `{"arr":{"$all":[{"$regex":"^\\Qx\\E"},1]}}`, code: parse.InvalidJSON, text: `All $all values must be of regex type or none: [{"$regex":"^\\Qx\\E"},1]`},
	{op: "$all", name: "no prefix", where: `{"arr":{"$all":[{"$regex":"x"}]}}`, code: parse.InvalidJSON, text: `All $all values must be of regex type or none: [{"$regex":"x"}]`},
	{op: "$all", name: "no array", where: `{"arr":{"$all":1}}`, code: parse.InvalidJSON, text: "bad $all value"},

	{op: "$containedBy", name: "elements", where: `{"arr":{"$containedBy":[1,2,"x",3]}}`, want: "ac"},
	{op: "$containedBy", name: "pointers", where: `{"ptrs":{"$containedBy":[<w2>]}}`, want: "c"},
	{op: "$containedBy", name: "nothing", where: `{"arr":{"$containedBy":[]}}`, want: "c"},
	{op: "$containedBy", name: "no array", where: `{"arr":{"$containedBy":"x"}}`, code: parse.InvalidJSON, text: "bad $containedBy: should be an array"},

	{op: "$regex", name: "prefix", where: `{"s":{"$regex":"^\\Qapp\\E"}}`, want: "a"},
	{op: "$regex", name: "contained", where: `{"s":{"$regex":"\\Qan\\E"}}`, want: "b"},
	{op: "$regex", name: "end", where: `{"s":{"$regex":"\\Qpie\\E$"}}`, want: "c"},
	{op: "$regex", name: "whole", where: `{"s":{"$regex":"^apple$"}}`, want: "a"},
	{op: "$regex", name: "i", where: `{"s":{"$regex":"^banana","$options":"i"}}`, want: "b"},
	{op: "$regex", name: "x", where: `{"s":{"$regex":"^ a p # comment","$options":"x"}}`, want: "a"},
	{op: "$regex", name: "all options", where: `{"s":{"$regex":"^APPLE $","$options":"imxsu"}}`, want: "a"},
	{op: "$regex", name: "look-ahead", where: `{"s":{"$regex":"^(?=.*r{2}).*ie$"}}`, want: "c"},
	{op: "$regex", name: "look-behind", where: `{"s":{"$regex":"(?<=p)le"}}`, want: "a"},
	{op: "$regex", name: "back-reference", where: `{"s":{"$regex":"(?<c>.)\\k<c>"}}`, want: "ac"},
	{op: "$regex", name: "possessive", where: `{"s":{"$regex":"^a++p"}}`, want: "a"},
	{op: "$regex", name: "elements", where: `{"arr":{"$regex":"^x"}}`, want: "ab"},
	{op: "$regex", name: "dotted", where: `{"o.deep.x":{"$regex":"y"}}`, want: "a"},
	{op: "$regex", name: "number", where: `{"n":{"$regex":"1"}}`, want: ""},
	{op: "$regex", name: "empty", where: `{"s":{"$regex":""}}`, want: "abc"},
	{op: "$regex", name: "quotes", where: `{"s":{"$regex":"A'B'; SELECT 1; --"}}`, want: ""},
	{op: "$regex", name: "invalid", where: `{"s":{"$regex":"["}}`, code: parse.InvalidQuery, text: "Invalid regular expression: missing terminating ] for character class"},
	{op: "$regex", name: "no text", where: `{"s":{"$regex":1}}`, code: parse.InvalidQuery, text: "$regex value must be a string"},
	{op: "$options", name: "unknown", where: `{"s":{"$regex":"a","$options":"g"}}`, code: parse.InvalidQuery, text: "Bad $options value for query: g"},
	{op: "$options", name: "no text", where: `{"s":{"$regex":"a","$options":1}}`, code: parse.InvalidQuery, text: "$options value must be a string"},

	{op: "$text", name: "word", where: `{"s":{"$text":{"$search":{"$term":"Bananas"}}}}`, want: "b"},
	{op: "$text", name: "words", where: `{"s":{"$text":{"$search":{"$term":"pies apples"}}}}`, want: "ac"},
	{op: "$text", name: "beside $regex", where: `{"s":{"$text":{"$search":{"$term":"pies apples"}},"$regex":"^c"}}`, want: "c"},
	{op: "$text", name: "no search", where: `{"s":{"$text":1}}`, code: parse.InvalidJSON, text: "bad $text: $search, should be object"},

	{op: "$or", name: "either", where: `{"$or":[{"n":1},{"s":"Banana"}]}`, want: "ab"},
	{op: "$or", name: "beside a field", where: `{"p":<w1>,"$or":[{"n":1},{"s":"Banana"}]}`, want: "a"},
	{op: "$or", name: "nested", where: `{"$or":[{"$and":[{"n":1},{"b":true}]},{"$nor":[{"n":{"$ne":2}}]}]}`, want: "ab"},
	{op: "$or", name: "no array", where: `{"$or":{}}`, code: parse.InvalidQuery, text: "$or must be an array"},
	{op: "$or", name: "no array, master", where: `{"$or":{}}`, master: true, code: parse.InvalidQuery, text: "Bad $or format - use an array value."},
	{op: "$or", name: "empty", where: `{"$or":[]}`, code: parse.InvalidQuery},
	{op: "$and", name: "both", where: `{"$and":[{"p":<w1>},{"n":{"$gt":1}}]}`, want: "c"},
	{op: "$and", name: "no array, master", where: `{"$and":1}`, master: true, code: parse.InvalidQuery, text: "Bad $and format - use an array value."},
	{op: "$nor", name: "neither", where: `{"$nor":[{"n":1},{"n":2}]}`, want: "cde"},
	{op: "$nor", name: "of null", where: `{"$nor":[{"s":null}]}`, want: "abc"},
	{op: "$nor", name: "empty", where: `{"$nor":[]}`, code: parse.InvalidQuery, text: "Bad $nor format - use an array of at least 1 value."},

	{op: "$inQuery", name: "where", where: `{"p":{"$inQuery":{"className":"W","where":{"name":"one"}}}}`, want: "ac"},
	{op: "$inQuery", name: "array", where: `{"ptrs":{"$inQuery":{"className":"W","where":{"n":1}}}}`, want: "b"},
	{op: "$inQuery", name: "nested", where: `{"p":{"$inQuery":{"className":"W","where":{"owner":{"$inQuery":{"className":"W","where":{"n":1}}}}}}}`, want: "b"},
	{op: "$inQuery", name: "other keys", where: `{"p":{"$inQuery":{"className":"W","where":{},"limit":1,"skip":9,"order":"n","keys":"n"}}}`, want: "abc"},
	{op: "$inQuery", name: "beside $in", where: `{"p":{"$in":[<w2>],"$inQuery":{"className":"W","where":{"n":1}}}}`, want: "abc"},
	{op: "$inQuery", name: "beside $nin", where: `{"p":{"$nin":[<w2>],"$inQuery":{"className":"W","where":{}}}}`, want: "ac"},
	{op: "$inQuery", name: "in $or", where: `{"$or":[{"p":{"$inQuery":{"className":"W","where":{"n":2}}}},{"n":1}]}`, want: "ab"},
	{op: "$inQuery", name: "of no class", where: `{"p":{"$inQuery":{"className":"Gone","where":{}}}}`, want: "", master: true},
	{op: "$inQuery", name: "redirected", where: `{"p":{"$inQuery":{"className":"Q","where":{"n":1},"redirectClassNameForKey":"rw"}}}`, want: "ac"},
	{op: "$inQuery", name: "no where", where: `{"p":{"$inQuery":{"className":"W"}}}`, code: parse.InvalidQuery, text: "improper usage of $inQuery"},
	{op: "$inQuery", name: "no class", where: `{"p":{"$inQuery":{"where":{}}}}`, code: parse.InvalidQuery, text: "improper usage of $inQuery"},
	{op: "$notInQuery", name: "where", where: `{"p":{"$notInQuery":{"className":"W","where":{"name":"one"}}}}`, want: "bde"},
	{op: "$notInQuery", name: "beside $nin", where: `{"p":{"$nin":[<w2>],"$notInQuery":{"className":"W","where":{"n":1}}}}`, want: "de"},
	{op: "$notInQuery", name: "no where", where: `{"p":{"$notInQuery":{"className":"W"}}}`, code: parse.InvalidQuery, text: "improper usage of $notInQuery"},
	{op: "$select", name: "numbers", where: `{"n":{"$select":{"query":{"className":"W","where":{"name":"two"}},"key":"n"}}}`, want: "b"},
	{op: "$select", name: "all objects", where: `{"n":{"$select":{"query":{"className":"W"},"key":"n"}}}`, want: "ab"},
	{op: "$select", name: "arrays", where: `{"s":{"$select":{"query":{"className":"W"},"key":"tags"}}}`, want: "b"},
	{op: "$select", name: "pointers", where: `{"p":{"$select":{"query":{"className":"W"},"key":"owner"}}}`, want: "ac"},
	{op: "$select", name: "dotted", where: `{"n":{"$select":{"query":{"className":"Q"},"key":"o.k"}}}`, want: "a"},
	{op: "$select", name: "beside $in and $inQuery", where: `{"p":{"$in":["w9"],"$select":{"query":{"className":"W"},"key":"owner"},"$inQuery":{"className":"W","where":{"n":2}}}}`, want: "abc"},
	{op: "$select", name: "too many keys", where: `{"n":{"$select":{"query":{"className":"W"},"key":"n","x":1}}}`, code: parse.InvalidQuery, text: "improper usage of $select"},
	{op: "$select", name: "no key", where: `{"n":{"$select":{"query":{"className":"W"}}}}`, code: parse.InvalidQuery, text: "improper usage of $select"},
	{op: "$dontSelect", name: "numbers", where: `{"n":{"$dontSelect":{"query":{"className":"W","where":{"name":"two"}},"key":"n"}}}`, want: "acde"},
	{op: "$dontSelect", name: "improper", where: `{"n":{"$dontSelect":1}}`, code: parse.InvalidQuery, text: "improper usage of $dontSelect"},

	{op: "$relatedTo", name: "members", where: `{"$relatedTo":{"object":<a>,"key":"r"}}`, want: "bc"},
	{op: "$relatedTo", name: "beside a field", where: `{"$relatedTo":{"object":<a>,"key":"r"},"n":2}`, want: "b"},
	{op: "$relatedTo", name: "beside ids", where: `{"$relatedTo":{"object":<a>,"key":"r"},"objectId":{"$in":["c","d"]}}`, want: "c"},
	{op: "$relatedTo", name: "within $or", where: `{"$or":[{"$relatedTo":{"object":<a>,"key":"r"}},{"n":1}]}`, want: "abc"},
	{op: "$relatedTo", name: "beside $or", where: `{"$relatedTo":{"object":<a>,"key":"r"},"$or":[{"n":1},{"n":2}]}`, want: "b"},
	{op: "$relatedTo", name: "within $nor", where: `{"$nor":[{"$relatedTo":{"object":<a>,"key":"r"}}]}`, want: "ade"},
	{op: "$relatedTo", name: "beside a sub-query", where: `{"$relatedTo":{"object":<a>,"key":"r"},"p":{"$inQuery":{"className":"W","where":{"n":1}}}}`, want: "c"},
	{op: "$relatedTo", name: "beside $text", where: `{"$relatedTo":{"object":<a>,"key":"r"},"s":{"$text":{"$search":{"$term":"pie"}}}}`, want: "c"},
	{op: "$relatedTo", name: "beside $nearSphere", where: `{"$relatedTo":{"object":<a>,"key":"r"},"g":{"$nearSphere":<0,0>}}`, want: "b"},
	{op: "$relatedTo", name: "no relation", where: `{"$relatedTo":{"object":<a>,"key":"n"}}`, want: ""},
	{op: "$relatedTo", name: "no object", where: `{"$relatedTo":{"key":"r"}}`, code: parse.InvalidQuery, text: "improper usage of $relatedTo"},
	{op: "relation", name: "equality", where: `{"r":<b>}`, want: "a"},
	{op: "relation", name: "$in", where: `{"r":{"$in":[<b>,<a>]}}`, want: "ab"},
	{op: "relation", name: "$ne", where: `{"r":{"$ne":<b>}}`, want: "bcde"},
	{op: "relation", name: "$nin", where: `{"r":{"$nin":[<b>,<a>]}}`, want: "cde"},
	{op: "relation", name: "$inQuery", where: `{"r":{"$inQuery":{"className":"Q","where":{"n":1}}}}`, want: "b"},
	{op: "relation", name: "null", where: `{"r":null}`, want: ""},
	{op: "relation", name: "$exists", where: `{"r":{"$exists":true}}`, want: ""},
	{op: "relation", name: "within $or", where: `{"$or":[{"r":<b>},{"n":2.5}]}`, want: "ac"},

	{op: "$nearSphere", name: "all", where: `{"g":{"$nearSphere":<0,0>}}`, want: "ab"},
	{op: "$nearSphere", name: "$maxDistance", where: `{"g":{"$nearSphere":<0,0>,"$maxDistance":0.5}}`, want: "a"},
	{op: "$nearSphere", name: "$maxDistanceInRadians", where: `{"g":{"$nearSphere":<0,0>,"$maxDistanceInRadians":0.5}}`, want: "a"},
	{op: "$nearSphere", name: "$maxDistanceInMiles", where: `{"g":{"$nearSphere":<0,0>,"$maxDistanceInMiles":1700}}`, want: "a"},
	{op: "$nearSphere", name: "$maxDistanceInKilometers", where: `{"g":{"$nearSphere":<0,0>,"$maxDistanceInKilometers":7000}}`, want: "ab"},
	{op: "$within", name: "$box", where: `{"g":{"$within":{"$box":[<0,0>,<10,20>]}}}`, want: "a"},
	{op: "$within", name: "bad box", where: `{"g":{"$within":{"$box":[1]}}}`, code: parse.InvalidJSON, text: "malformatted $within arg"},
	{op: "$geoWithin", name: "$polygon", where: `{"g":{"$geoWithin":{"$polygon":[<0,0>,<10,20>,<60,60>,[0,60]]}}}`, want: "a"},
	{op: "$geoWithin", name: "Polygon, by longitude", where: `{"g":{"$geoWithin":{"$polygon":{"__type":"Polygon","coordinates":[[15,5],[25,5],[25,15],[15,15]]}}}}`, want: "a"},
	{op: "$geoWithin", name: "$centerSphere", where: `{"g":{"$geoWithin":{"$centerSphere":[[20,10],0.01]}}}`, want: "a"},
	{op: "$geoWithin", name: "few points", where: `{"g":{"$geoWithin":{"$polygon":[<0,0>]}}}`, code: parse.InvalidJSON, text: "bad $geoWithin value; $polygon should contain at least 3 GeoPoints"},
	{op: "$geoWithin", name: "few pairs", where: `{"g":{"$geoWithin":{"$polygon":{"__type":"Polygon","coordinates":[[1,2]]}}}}`, code: parse.InvalidJSON, text: "bad $geoWithin value; Polygon.coordinates should contain at least 3 lon/lat pairs"},
	{op: "$geoWithin", name: "no polygon", where: `{"g":{"$geoWithin":{"$polygon":1}}}`, code: parse.InvalidJSON, text: "bad $geoWithin value; $polygon should be Polygon object or Array of Parse.GeoPoint's"},
	{op: "$geoWithin", name: "bad element", where: `{"g":{"$geoWithin":{"$polygon":[1,2,3]}}}`, code: parse.InvalidJSON, text: "bad $geoWithin value"},
	{op: "$geoWithin", name: "bad sphere", where: `{"g":{"$geoWithin":{"$centerSphere":[1]}}}`, code: parse.InvalidJSON, text: "bad $geoWithin value; $centerSphere should be an array of Parse.GeoPoint and distance"},
	{op: "$geoWithin", name: "bad center", where: `{"g":{"$geoWithin":{"$centerSphere":[1,1]}}}`, code: parse.InvalidJSON, text: "bad $geoWithin value; $centerSphere geo point invalid"},
	{op: "$geoWithin", name: "bad distance", where: `{"g":{"$geoWithin":{"$centerSphere":[<0,0>,"x"]}}}`, code: parse.InvalidJSON, text: "bad $geoWithin value; $centerSphere distance invalid"},
	{op: "$geoIntersects", name: "inside", where: `{"q":{"$geoIntersects":{"$point":<10,20>}}}`, want: "a"},
	{op: "$geoIntersects", name: "outside", where: `{"q":{"$geoIntersects":{"$point":<40,50>}}}`, want: ""},
	{op: "$geoIntersects", name: "no point", where: `{"q":{"$geoIntersects":{"$point":1}}}`, code: parse.InvalidJSON, text: "bad $geoIntersect value; $point should be GeoPoint"},

	{op: "$relativeTime", name: "before", where: `{"d":{"$lt":{"$relativeTime":"1 day ago"}}}`, want: "ab"},
	{op: "$relativeTime", name: "after", where: `{"createdAt":{"$gt":{"$relativeTime":"1 hr 5 mins ago"}}}`, want: "abcde"},
	{op: "$relativeTime", name: "now", where: `{"createdAt":{"$lte":{"$relativeTime":"now"}}}`, want: "abcde"},
	{op: "$relativeTime", name: "no Date", where: `{"s":{"$lt":{"$relativeTime":"now"}}}`, code: parse.InvalidJSON, text: "$relativeTime can only be used with Date field"},
	{op: "$relativeTime", name: "other operator", where: `{"d":{"$exists":{"$relativeTime":"now"}}}`, code: parse.InvalidJSON, text: "$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators"},
	{op: "$relativeTime", name: "both", where: `{"d":{"$gt":{"$relativeTime":"in 1 day ago"}}}`, code: parse.InvalidJSON, text: "bad $relativeTime ($gt) value. Time cannot have both 'in' and 'ago'"},
	{op: "$relativeTime", name: "neither", where: `{"d":{"$gt":{"$relativeTime":"1 day"}}}`, code: parse.InvalidJSON, text: "bad $relativeTime ($gt) value. Time should either start with 'in' or end with 'ago'"},
	{op: "$relativeTime", name: "no number", where: `{"d":{"$gt":{"$relativeTime":"in x days"}}}`, code: parse.InvalidJSON, text: "bad $relativeTime ($gt) value. 'x' is not an integer."},
	{op: "$relativeTime", name: "no unit", where: `{"d":{"$gt":{"$relativeTime":"in 1 fortnight"}}}`, code: parse.InvalidJSON, text: "bad $relativeTime ($gt) value. Invalid interval: 'fortnight'"},
	{op: "$relativeTime", name: "dangling", where: `{"d":{"$gt":{"$relativeTime":"in 1 day 2"}}}`, code: parse.InvalidJSON, text: "bad $relativeTime ($gt) value. Invalid time string. Dangling unit or number."},

	{op: "not served", name: "$not", where: `{"n":{"$not":1}}`, code: parse.InvalidJSON, text: "bad constraint: $not"},
	{op: "not served", name: "$size", where: `{"arr":{"$size":1}}`, code: parse.InvalidJSON, text: "bad constraint: $size"},
	{op: "not served", name: "$elemMatch", where: `{"arr":{"$elemMatch":{"x":1}}}`, code: parse.InvalidJSON, text: "bad constraint: $elemMatch"},
	{op: "not served", name: "$type", where: `{"n":{"$type":1}}`, code: parse.InvalidJSON, text: "bad constraint: $type"},
	{op: "not served", name: "$mod", where: `{"n":{"$mod":[2,0]}}`, code: parse.InvalidJSON, text: "bad constraint: $mod"},
	{op: "not served", name: "$where", where: `{"$where":"1"}`, master: true, code: parse.InvalidKeyName, text: "Invalid key name: $where"},
	{op: "not served", name: "$expr", where: `{"$expr":{"$gt":["$n",1]}}`, master: true, code: parse.InvalidKeyName, text: "Invalid key name: $expr"},
}

func TestOperators(t *testing.T) {
	var steps []scenario.Step
	for _, text := range operatorObjects {
		class, body, _ := strings.Cut(text, "/")
		steps = append(steps, scenario.Step{Name: "create", Method: "POST", Path: "/classes/" + class, Body: operands.Replace(body), Status: 201})
	}
	for object, members := range map[string]string{"a": `<b>,{"__type":"Pointer","className":"Q","objectId":"c"}`, "b": "<a>"} {
		steps = append(steps, scenario.Step{
			Name: "relate", Method: "PUT", Path: "/classes/Q/" + object, Body: operands.Replace(`{"r":{"__op":"AddRelation","objects":[` + members + `]}}`),
		})
	}
	steps = append(steps, scenario.Step{
		Name: "relate", Method: "PUT", Path: "/classes/Q/a", Body: operands.Replace(`{"rw":{"__op":"AddRelation","objects":[<w1>]}}`),
	})
	for _, c := range operatorCases {
		st := scenario.Step{
			Name: c.op + ", " + c.name, Path: "/classes/Q", Code: c.code, Error: c.text,
			Query: map[string]string{"where": operands.Replace(c.where), "order": "objectId", "keys": "objectId", "count": "1"},
		}
		if c.master {
			st.As = "master"
		}
		answer := func(want string) string {
			list := make([]string, 0, len(want))
			for _, id := range want {
				list = append(list, fmt.Sprintf(`{"objectId":"%c","...":0}`, id))
			}
			return fmt.Sprintf(`{"results":[%s],"count":%d}`, strings.Join(list, ","), len(want))
		}
		if c.code == 0 {
			st.JSON = answer(c.want)
		}
		if c.typed != "" {
			st.TypedJSON = answer(c.typed)
		}
		steps = append(steps, st)
	}
	scenario.Run(t, []scenario.Scenario{{Name: "operators", Config: func(c *config.Config) {
		open(c)
		c.AllowCustomObjectID = true
	}, Steps: steps}})
}

const (
	operatorDoc = "../docs/queries.md"
	tableBegins = "<!-- table of TestOperatorTable -->\n"
	tableEnds   = "<!-- end of table -->\n"
)

// The table of operators in the docs is that of the scenarios above.
func TestOperatorTable(t *testing.T) {
	var ops []string
	names := map[string][]string{}
	for _, c := range operatorCases {
		if !slices.Contains(ops, c.op) {
			ops = append(ops, c.op)
		}
		if slices.Contains(names[c.op], c.name) {
			t.Errorf("%s has two scenarios %q", c.op, c.name)
		}
		names[c.op] = append(names[c.op], c.name)
	}
	var b strings.Builder
	b.WriteString("| operator | | scenarios, on every database |\n|---|---|---|\n")
	for _, op := range ops {
		name := op
		if strings.HasPrefix(op, "$") {
			name = "`" + op + "`"
		}
		fmt.Fprintf(&b, "| %s | %d | %s |\n", name, len(names[op]), strings.Join(names[op], "; "))
	}
	documented(t, operatorDoc, tableBegins, tableEnds, b.String())
}
