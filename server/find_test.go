package server_test

import (
	"context"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// shelf is three books, their authors and a reader.
var shelf = []scenario.Step{
	{Name: "Author", Method: "POST", Path: "/schemas/Author", As: "master", Body: `{"fields":{"name":{"type":"String"},"age":{"type":"Number"},"boss":{"type":"Pointer","targetClass":"Author"}}}`},
	{Name: "Book", Method: "POST", Path: "/schemas/Book", As: "master", Body: `{"fields":{"title":{"type":"String"},"n":{"type":"Number"},"meta":{"type":"Object"},"list":{"type":"Array"},` +
		`"author":{"type":"Pointer","targetClass":"Author"},"reader":{"type":"Pointer","targetClass":"_User"},"fans":{"type":"Relation","targetClass":"Author"}}}`},
	{Name: "reader", Method: "POST", Path: "/users", Body: `{"username":"u","password":"p","email":"u@example.com","ACL":{"*":{"read":true}}}`, Status: 201, Save: map[string]string{"sessionToken": "u.token", "objectId": "u"}},
	{Name: "boss", Method: "POST", Path: "/classes/Author", Body: `{"name":"Zed","age":60}`, Save: map[string]string{"objectId": "boss"}},
	{Name: "author", Method: "POST", Path: "/classes/Author", Body: `{"name":"Ada","age":30,"boss":` + author("boss") + `}`, Save: map[string]string{"objectId": "ada"}},
	{Name: "hidden author", Method: "POST", Path: "/classes/Author", Body: `{"name":"Hid","age":40,"ACL":{}}`, Save: map[string]string{"objectId": "hid"}},
	{Name: "book 1", Method: "POST", Path: "/classes/Book", Body: `{"title":"1","n":1,"author":` + author("ada") + `,"reader":` + pointer("_User", "u") +
		`,"list":[` + author("ada") + `,` + author("hid") + `,7,[` + author("boss") + `]],"meta":{"by":` + author("ada") + `,"hid":` + author("hid") + `,"x":1}` +
		`,"fans":{"__op":"AddRelation","objects":[` + author("ada") + `]}}`, Save: map[string]string{"objectId": "one", "createdAt": "at"}},
	{Name: "book 2", Method: "POST", Path: "/classes/Book", Body: `{"title":"2","n":2,"author":` + author("hid") + `}`, Save: map[string]string{"objectId": "two"}},
	{Name: "book 3", Method: "POST", Path: "/classes/Book", Body: `{"title":"3","n":3,"author":{"__type":"Pointer","className":"Author","objectId":"gone"}}`, Save: map[string]string{"objectId": "three"}},
}

func pointer(class, v string) string {
	return `{"__type":"Pointer","className":"` + class + `","objectId":"{{` + v + `}}"}`
}

func author(v string) string { return pointer("Author", v) }

// system are the keys that every object has.
const system = `"objectId":"*","createdAt":"*","updatedAt":"*"`

const fans = `"fans":{"__type":"Relation","className":"Author"}`

func TestFindParameters(t *testing.T) {
	get := func(name string, query map[string]string, want string) scenario.Step {
		return scenario.Step{Name: name, Path: "/classes/Book", Query: query, JSON: want}
	}
	post := func(name, body, want string) scenario.Step {
		return scenario.Step{Name: name, Method: "POST", Path: "/classes/Book", Body: `{"_method":"GET",` + body + `}`, JSON: want}
	}
	refused := func(name string, query map[string]string, code parse.Code, text string) scenario.Step {
		return scenario.Step{Name: name, Path: "/classes/Book", Query: query, Code: code, Error: text}
	}
	q := func(pairs ...string) map[string]string {
		m := map[string]string{"order": "n", "keys": "n"}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	row := func(n string) string { return `{"n":` + n + `,` + system + `,` + fans + `}` }
	rows := func(ns ...string) string {
		out := ""
		for _, n := range ns {
			out += "," + row(n)
		}
		if out != "" {
			out = out[1:]
		}
		return `{"results":[` + out + `]}`
	}
	all, one, none := rows("1", "2", "3"), rows("1"), rows()
	scenario.Run(t, []scenario.Scenario{{Name: "parameters", Config: func(c *config.Config) { open(c); c.MaxLimit = 2; c.DefaultLimit = 3 }, Steps: after(shelf,
		refused("unknown", q("nope", "1"), parse.InvalidQuery, "Invalid parameter for query: nope"),
		refused("unknown, watch", q("watch", "n"), parse.InvalidQuery, "Invalid parameter for query: watch"),

		get("where as an object", q("where", `{"n":1}`), one),
		post("where as text", `"where":"{\"n\":1}","order":"n","keys":"n"`, one),
		post("where as an object in a body", `"where":{"n":1},"keys":"n"`, one),
		get("where as an empty list", q("where", `[]`), all),
		get("where as an empty text", q("where", ``), all),
		get("where as an empty object", q("where", `{}`), all),
		get("where in brackets", q("where[title]", "1"), one),
		get("where in brackets, operator", q("where[title][$in][]", "1"), one),
		get("where in brackets, list", q("where[$or][0][title]", "1", "where[$or][1][title]", "3"), rows("1", "3")),
		refused("where in too many brackets", q("where[$or][0][$or][0][$or][0][n]", "1"), parse.InvalidQuery, "Improper encode of parameter"),
		scenario.Step{Name: "where in the body of a GET", Path: "/classes/Book", Body: `{"where":{"n":1},"keys":"n"}`, JSON: one},
		scenario.Step{Name: "the URL wins", Path: "/classes/Book", Query: q("where", `{"n":1}`), Body: `{"where":{"n":2},"limit":1}`, JSON: one},
		scenario.Step{Name: "HEAD", Method: "HEAD", Path: "/classes/Book"},
		refused("where of broken JSON", q("where", `{"n":`), parse.InvalidJSON, "where parameter is not valid JSON"),
		refused("where as a number", q("where", `1`), parse.InvalidJSON, "where parameter is not valid JSON"),
		refused("where as null", q("where", `null`), parse.InvalidJSON, "where parameter is not valid JSON"),
		refused("where as a full list", q("where", `[{"n":1}]`), parse.InvalidJSON, "where parameter is not valid JSON"),

		get("limit", q("limit", "1"), one),
		get("limit in quotes", q("limit", `"1"`), one),
		get("limit 0", q("limit", "0"), none),
		get("limit 0 and count", q("limit", "0", "count", "1"), `{"results":[],"count":3}`),
		get("limit null is the default, which no maximum lowers", q("limit", "null"), all),
		get("limit false", q("limit", "false"), all),
		get("limit as an empty text", q("limit", ""), all),
		get("limit above the maximum", q("limit", "100"), rows("1", "2")),
		scenario.Step{Name: "limit above the maximum, master", Path: "/classes/Book", As: "master", Query: q("limit", "100"), JSON: all},
		refused("negative limit", q("limit", "-1"), parse.InvalidQuery, "limit must not be negative"),
		refused("limit of letters", q("limit", "x"), parse.InvalidQuery, "limit must be a number"),
		refused("limit as a list", q("limit", "[1]"), parse.InvalidQuery, "limit must be a number"),

		get("skip", q("skip", "1"), rows("2", "3")),
		get("skip 0", q("skip", "0"), all),
		get("skip null", q("skip", "null"), all),
		get("skip beyond all", q("skip", "9"), none),
		refused("negative skip", q("skip", "-1"), parse.InvalidQuery, "skip must not be negative"),
		refused("skip of letters", q("skip", "x"), parse.InvalidQuery, "skip must be a number"),

		get("descending", q("order", "-n"), rows("3", "2", "1")),
		get("order with blanks, unknown key", q("order", " nope , -n , title "), rows("3", "2", "1")),
		get("order as a list", q("order", `["-n","title"]`), rows("3", "2", "1")),
		get("order by the alias of a date", q("order", "-_created_at,-n"), rows("3", "2", "1")),
		get("order by a dotted path", q("order", "-meta.x,-n"), rows("1", "3", "2")),
		get("no order", q("order", ""), all),
		refused("order by an invalid name", q("order", "a-b"), parse.InvalidKeyName, "Invalid field name: a-b."),
		refused("order by a provider", q("order", "authData.x.id"), parse.InvalidKeyName, "Cannot sort by authData.x.id"),

		get("count", q("count", "1", "limit", "1", "skip", "1"), `{"results":[`+row("2")+`],"count":3}`),
		get("count true", q("count", "true", "where", `{"n":9}`), `{"results":[],"count":0}`),
		get("count 0", q("count", "0"), all),
		get("count false", q("count", "false"), all),
		post("count as the text 0", `"count":"0","limit":0`, `{"results":[],"count":3}`),

		get("no keys", q("keys", ""), `{"results":[{`+system+`,`+fans+`},"*","*"]}`),
		get("keys as a list", q("keys", `["n","title"]`, "limit", "1"), `{"results":[{"n":1,"title":"1",`+system+`,`+fans+`}]}`),
		get("unknown keys", q("keys", "nope,n"), all),
		get("keys below an object", q("keys", "meta.x", "limit", "1"), `{"results":[{"meta":{"x":1,"by":"*","hid":"*"},`+system+`,`+fans+`}]}`),
		get("keys below a pointer", q("keys", "author.name", "limit", "1"), `{"results":[{"author":{"__type":"Object","className":"Author","name":"Ada",`+system+`},`+system+`,`+fans+`}]}`),
		get("excluded keys", q("keys", "n,title", "excludeKeys", "title"), all),
		get("excluded system keys", q("excludeKeys", "objectId,createdAt,updatedAt,ACL"), all),
		get("excluded relation", q("excludeKeys", "fans"), all),
		scenario.Step{Name: "excluded alone", Path: "/classes/Book", Query: map[string]string{"excludeKeys": "title,meta,list,author,reader", "where": `{"n":1}`}, JSON: one},
		scenario.Step{
			Name: "excluded below a pointer", Path: "/classes/Book", Query: map[string]string{"excludeKeys": "author.age,author.boss,meta.x,list,reader,title,meta", "where": `{"n":1}`},
			JSON: `{"results":[{"n":1,"author":{"__type":"Object","className":"Author","name":"Ada",` + system + `},` + system + `,` + fans + `}]}`,
		},
	)}})
}

func TestGetParameters(t *testing.T) {
	get := func(name string, query map[string]string, want string) scenario.Step {
		return scenario.Step{Name: name, Path: "/classes/Book/{{one}}", Query: query, JSON: want}
	}
	refused := func(param string) scenario.Step {
		return scenario.Step{Name: param, Path: "/classes/Book/{{one}}", Query: map[string]string{param: "1"}, Code: parse.InvalidQuery, Error: "Improper encode of parameter"}
	}
	scenario.Run(t, []scenario.Scenario{{Name: "get", Config: open, Steps: after(shelf,
		get("all", nil, `{"title":"1","n":1,"author":"*","reader":"*","list":"*","meta":"*",`+fans+`,`+system+`}`),
		get("keys", map[string]string{"keys": "n"}, `{"n":1,`+fans+`,`+system+`}`),
		get("excluded keys", map[string]string{"excludeKeys": "title,author,reader,list,meta"}, `{"n":1,`+fans+`,`+system+`}`),
		get("include", map[string]string{"keys": "author", "include": "author.boss"}, `{"author":{"__type":"Object","className":"Author","name":"Ada","age":30,"boss":{"__type":"Object","className":"Author","name":"Zed","age":60,`+system+`},`+system+`},`+fans+`,`+system+`}`),
		get("read preferences", map[string]string{"keys": "n", "readPreference": "PRIMARY", "includeReadPreference": "PRIMARY", "subqueryReadPreference": "PRIMARY"}, `{"n":1,`+fans+`,`+system+`}`),
		refused("where"), refused("limit"), refused("includeAll"), refused("order"), refused("count"), refused("hint"), refused("comment"), refused("nope"),
		scenario.Step{Name: "in the body", Path: "/classes/Book/{{one}}", Body: `{"limit":1}`, Code: parse.InvalidQuery, Error: "Improper encode of parameter"},
		scenario.Step{Name: "missing", Path: "/classes/Book/nope", Code: parse.ObjectNotFound, Error: "Object not found."},
		scenario.Step{Name: "of a missing class", Path: "/classes/Nope/x", Code: parse.ObjectNotFound, Error: "Object not found."},
		scenario.Step{Name: "unreadable", Path: "/classes/Author/{{hid}}", Code: parse.ObjectNotFound, Error: "Object not found."},
		scenario.Step{Name: "oneself", Path: "/users/{{u}}", As: "u", JSON: `{"sessionToken":"{{u.token}}","username":"u","...":0}`},
		scenario.Step{Name: "another user", Path: "/users/{{u}}", JSON: `{"username":"u","...":0}`, Lacks: []string{"sessionToken", "email"}},
	)}})
}

func TestIncludePaths(t *testing.T) {
	get := func(name string, query map[string]string, want string) scenario.Step {
		if query["where"] == "" {
			query["where"] = `{"n":1}`
		}
		return scenario.Step{Name: name, Path: "/classes/Book", Query: query, JSON: `{"results":[` + want + `]}`}
	}
	const zed = `{"__type":"Object","className":"Author","name":"Zed","age":60,` + system + `}`
	ada := func(boss string) string {
		return `{"__type":"Object","className":"Author","name":"Ada","age":30,"boss":` + boss + `,` + system + `}`
	}
	boss, bare := author("boss"), system+`,`+fans
	scenario.Run(t, []scenario.Scenario{
		{Name: "paths", Config: open, Steps: after(shelf,
			get("one level", map[string]string{"include": "author", "keys": "author"}, `{"author":`+ada(boss)+`,`+bare+`}`),
			get("every prefix", map[string]string{"include": "author.boss", "keys": "author"}, `{"author":`+ada(zed)+`,`+bare+`}`),
			get("as a list", map[string]string{"include": `["author","author.boss"]`, "keys": "author"}, `{"author":`+ada(zed)+`,`+bare+`}`),
			get("through an array", map[string]string{"include": "list", "keys": "list"}, `{"list":[`+ada(boss)+`,7,[`+zed+`]],`+bare+`}`),
			get("through an array, deeper", map[string]string{"include": "list.boss", "keys": "list"}, `{"list":[`+ada(zed)+`,7,[`+zed+`]],`+bare+`}`),
			get("through an object", map[string]string{"include": "meta.by,meta.hid", "keys": "meta"}, `{"meta":{"by":`+ada(boss)+`,"x":1},`+bare+`}`),
			get("unreadable", map[string]string{"include": "author", "keys": "author,n", "where": `{"n":2}`}, `{"n":2,`+bare+`}`),
			get("missing", map[string]string{"include": "author", "keys": "author,n", "where": `{"n":3}`}, `{"n":3,`+bare+`}`),
			get("no pointer", map[string]string{"include": "n,title.x,nope.y,fans", "keys": "n"}, `{"n":1,`+bare+`}`),
			get("all", map[string]string{"include": "*"}, `{"title":"1","n":1,"author":`+ada(boss)+`,"reader":{"__type":"Object","className":"_User","username":"u","ACL":"*",`+system+`},"list":[`+ada(boss)+`,7,[`+zed+`]],"meta":"*",`+bare+`}`),
			get("all, among others", map[string]string{"include": "author.boss,*", "excludeKeys": "list,reader,meta,title"}, `{"n":1,"author":`+ada(boss)+`,`+bare+`}`),
			get("includeAll adds to the keys", map[string]string{"includeAll": "true", "keys": "n"}, `{"n":1,"author":`+ada(boss)+`,"reader":"*","list":"*",`+bare+`}`),
			get("keys of what is included", map[string]string{"include": "author.boss", "keys": "author.name,author.boss.age"}, `{"author":{"__type":"Object","className":"Author","name":"Ada","boss":{"__type":"Object","className":"Author","age":60,`+system+`},`+system+`},`+bare+`}`),
			get("keys and the whole pointer", map[string]string{"keys": "author,author.name"}, `{"author":{"__type":"Object","className":"Author","name":"Ada",`+system+`},`+bare+`}`),
			get("users", map[string]string{"include": "reader", "keys": "reader"}, `{"reader":{"__type":"Object","className":"_User","username":"u","ACL":"*",`+system+`},`+bare+`}`),
			scenario.Step{Name: "users, master", Path: "/classes/Book", As: "master", Query: map[string]string{"where": `{"n":1}`, "include": "reader", "keys": "reader"}, JSON: `{"results":[{"reader":{"__type":"Object","className":"_User","username":"u","email":"u@example.com","...":0},` + bare + `}]}`},
		)},
		{Name: "class without get", Config: open, Steps: after(shelf,
			scenario.Step{Name: "close", Method: "PUT", Path: "/schemas/Author", As: "master", Body: `{"classLevelPermissions":{"find":{"*":true}}}`},
			scenario.Step{Name: "include", Path: "/classes/Book", Query: map[string]string{"include": "author"}, Code: parse.OperationForbidden},
		)},
		{
			Name: "hooks of what is included", Config: open,
			Cloud: func(app *cloudcode.App) {
				app.AfterFind("Author", func(_ context.Context, r *cloudcode.FoundRequest) error {
					for _, o := range r.Objects {
						o.Set("seen", true)
					}
					return nil
				})
			},
			Steps: after(shelf, get("after find", map[string]string{"include": "author", "keys": "author"}, `{"author":{"seen":true,"...":0},`+bare+`}`)),
		},
	})
}

func TestRedirect(t *testing.T) {
	redirect := func(name, key, want string) scenario.Step {
		return scenario.Step{Name: name, Path: "/classes/Book", Query: map[string]string{"redirectClassNameForKey": key, "order": "age,n", "limit": "1"}, JSON: want}
	}
	scenario.Run(t, []scenario.Scenario{{Name: "redirect", Config: open, Steps: after(shelf,
		redirect("relation", "fans", `{"results":[{"name":"Ada","className":"Author","...":0}]}`),
		redirect("pointer", "author", `{"results":[{"title":"1","className":"Book","...":0}]}`),
		redirect("no pointer", "n", `{"results":[{"title":"1","className":"Book","...":0}]}`),
		redirect("unknown", "nope", `{"results":[{"title":"1","className":"Book","...":0}]}`),
		scenario.Step{Name: "close", Method: "PUT", Path: "/schemas/Author", As: "master", Body: `{"classLevelPermissions":{"get":{"*":true}}}`},
		scenario.Step{Name: "the target's permissions", Path: "/classes/Book", Query: map[string]string{"redirectClassNameForKey": "fans"}, Code: parse.OperationForbidden},
	)}})
}
