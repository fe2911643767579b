package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
)

// cost is a request, and what it may ask of a database.
type cost struct {
	scenario.Step
	// trips is how often the request waits for an answer of a database server: the
	// same on every database, but for those in on, by name, with why.
	trips int
	on    map[string]int
	why   string
	// operations are what it asks of the storage, if not as many; those of a
	// transaction are one.
	operations, inTransaction int
}

func many(n int, of func(i int) string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = of(i)
	}
	return strings.Join(list, ",")
}

func asked(name, method, path, body string, trips int) cost {
	return cost{Step: scenario.Step{Name: name, Method: method, Path: path, Body: body, As: "ann"}, trips: trips}
}

func find(name, path string, trips int, query map[string]string) cost {
	return cost{Step: scenario.Step{Name: name, Path: path, Query: query, As: "ann"}, trips: trips}
}

func (c cost) of(operations, inTransaction int) cost {
	c.operations, c.inTransaction = operations, inTransaction
	return c
}

func (c cost) but(database string, trips int, why string) cost {
	c.on, c.why = map[string]int{database: trips}, why
	return c
}

func (c cost) by(as string) cost {
	c.As = as
	return c
}

func (c cost) saving(path, name string) cost {
	c.Save = map[string]string{path: name}
	return c
}

func costs() []cost {
	const author = `"author":{"__type":"Pointer","className":"_User","objectId":"{{ann.id}}"}`
	const post = `{"title":"a","n":1,"tags":["x"],"info":{"a":{"b":1}},` + author + `}`
	put := func(name, body string, trips int) cost { return asked(name, "PUT", "/classes/Post/{{p}}", body, trips) }
	where := func(w string) map[string]string { return map[string]string{"where": w} }
	return []cost{
		asked("create", "POST", "/classes/Post", post, 1).saving("objectId", "p"),
		asked("get", "GET", "/classes/Post/{{p}}", "", 1),
		find("get with an included user", "/classes/Post/{{p}}", 2, map[string]string{"include": "author"}),
		put("set", `{"title":"b"}`, 1),
		put("increment", `{"n":{"__op":"Increment","amount":2}}`, 1),
		put("delete a field", `{"title":{"__op":"Delete"}}`, 1),
		put("add to an array", `{"tags":{"__op":"Add","objects":["y"]}}`, 1),
		put("add what is unique", `{"tags":{"__op":"AddUnique","objects":["y","z"]}}`, 1),
		put("remove from an array", `{"tags":{"__op":"Remove","objects":["x"]}}`, 1),
		put("set within an object", `{"info.c":2}`, 1),
		put("increment within an object", `{"info.c":{"__op":"Increment","amount":1}}`, 1),
		put("delete within an object", `{"info.c":{"__op":"Delete"}}`, 1),
		put("set deeper", `{"info.a.b":2}`, 2).of(1, 1),
		put("several within an object", `{"info.c":2,"info.d":3}`, 2).of(1, 1).but("mongodb", 1, "it sets several paths of one field"),
		put("add a pointer that is unique", `{"tags":{"__op":"AddUnique","objects":[{"__type":"Pointer","className":"Post","objectId":"x"}]}}`, 2).of(1, 1),
		put("ACL", `{"ACL":{"*":{"read":true},"{{ann.id}}":{"write":true}}}`, 1),
		put("relate", `{"likes":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{ann.id}}"}]}}`, 3).of(3, 1),
		find("related", "/users", 3, where(`{"$relatedTo":{"object":{"__type":"Pointer","className":"Post","objectId":"{{p}}"},"key":"likes"}}`)),
		find("owning", "/classes/Post", 2, where(`{"likes":{"__type":"Pointer","className":"_User","objectId":"{{ann.id}}"}}`)),
		put("unrelate", `{"likes":{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"{{ann.id}}"}]}}`, 3).of(3, 1),
		asked("create 50", "POST", "/batch", `{"requests":[`+many(50, func(i int) string { return creating("Post", fmt.Sprintf(`{"n":%d,"title":"t"}`, i)) })+`]}`, 1).saving("0.success.objectId", "q"),
		asked("update 2", "POST", "/batch", `{"requests":[`+updating("Post", "{{p}}", `{"n":5}`)+`,`+updating("Post", "{{q}}", `{"n":6}`)+`]}`, 1).but("mongodb", 2, "it gives back how one object was before, never how several were"),
		find("find", "/classes/Post", 1, where(`{"n":{"$gt":40}}`)),
		find("sorted page", "/classes/Post", 1, map[string]string{"order": "-n,title", "limit": "10", "skip": "5"}),
		find("count", "/classes/Post", 1, map[string]string{"count": "1", "limit": "0"}),
		find("find and count", "/classes/Post", 2, map[string]string{"count": "1", "limit": "1"}),
		find("find with included users", "/classes/Post", 2, map[string]string{"include": "author"}),
		find("sub-query", "/classes/Post", 2, where(`{"author":{"$inQuery":{"className":"_User","where":{"username":"ann"}}}}`)),
		find("two sub-queries", "/classes/Post", 3, where(`{"$or":[{"author":{"$inQuery":{"className":"_User","where":{"username":"ann"}}}},{"author":{"$inQuery":{"className":"_User","where":{"username":"bob"}}}}]}`)),
		find("or", "/classes/Post", 1, where(`{"$or":[{"n":1},{"title":"b","tags":{"$all":["y"]}}]}`)),
		find("near", "/classes/Post", 1, where(`{"place":{"$nearSphere":{"__type":"GeoPoint","latitude":1,"longitude":2},"$maxDistanceInKilometers":10}}`)),
		find("text", "/classes/Post", 1, where(`{"title":{"$text":{"$search":{"$term":"t"}}}}`)),
		find("distinct", "/aggregate/Post", 1, map[string]string{"distinct": "title"}).by("master"),
		find("aggregate", "/aggregate/Post", 1, map[string]string{"pipeline": `[{"$match":{"n":{"$gt":3}}},{"$group":{"_id":"$title","sum":{"$sum":"$n"}}}]`}).by("master"),
		find("me", "/users/me", 0, nil),
		asked("log in", "POST", "/login", `{"username":"ann","password":"pass-ann"}`, 5).by(""),
		asked("save a user", "PUT", "/users/{{ann.id}}", `{"phone":"1"}`, 2),
		find("me, of whom nothing is cached", "/users/me", 3, nil),
		asked("delete", "DELETE", "/classes/Post/{{p}}", "", 1),
		asked("delete one that is gone", "DELETE", "/classes/Post/{{p}}", "", 1),
	}
}

// What a request asks of a database is the same on each: the same operations,
// and as many trips to the server, one for each where nothing is against it.
func TestCosts(t *testing.T) {
	for _, db := range scenario.Databases() {
		t.Run(db.Name, func(t *testing.T) {
			uri, trips := db.URI(t), &storagetest.Trips{}
			if db.Name != "sqlite" {
				u, err := url.Parse(uri)
				if err != nil {
					t.Fatal(err)
				}
				tap := trips.TapMongo
				if db.Name == "postgresql" {
					tap = trips.TapPostgres
				}
				u.Host = tap(t, u.Host).Addr
				uri = u.String()
			}
			s := scenario.Start(t, uri, open, nil)
			s.Do(t, new(signUp("ann")))
			s.Do(t, new(signUp("bob")))
			s.Do(t, &scenario.Step{
				Method: "POST", Path: "/schemas/Post", As: "master",
				Body: `{"className":"Post","fields":{"title":{"type":"String"},"n":{"type":"Number"},"tags":{"type":"Array"},"info":{"type":"Object"},
					"place":{"type":"GeoPoint"},"author":{"type":"Pointer","targetClass":"_User"},"likes":{"type":"Relation","targetClass":"_User"}},
					"indexes":{"title_text":{"title":"text"}}}`,
			})
			s.Do(t, &scenario.Step{Method: "PUT", Path: "/schemas/_User", As: "master", Body: `{"fields":{"phone":{"type":"String"}}}`})
			s.Do(t, &scenario.Step{Path: "/classes/Post", As: "ann"})
			for _, c := range costs() {
				before := operations(t, s)
				trips.Take()
				if c.Name == "delete one that is gone" {
					c.Status = http.StatusNotFound
				}
				s.Do(t, &c.Step)
				list, n := trips.Take(), operations(t, s)-before
				operations := c.trips
				if c.operations > 0 {
					operations = c.operations
					if db.Name != "mongodb" { // its transactions need a replica set
						operations = c.inTransaction
					}
				}
				if n != operations {
					t.Errorf("%s: %d operations, want %d", c.Name, n, operations)
				}
				want := c.trips
				if other, ok := c.on[db.Name]; ok {
					want = other
				}
				if db.Name != "sqlite" && len(list) != want {
					t.Errorf("%s: %d trips to the server, want %d %s\n%s", c.Name, len(list), want, c.why, strings.Join(list, "\n"))
				}
			}
		})
	}
}

// The table of costs in the docs is that of the test.
func TestCostTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("| request | PostgreSQL | MongoDB | |\n|---|---|---|---|\n")
	list := costs()
	for i := range list {
		c := &list[i]
		on := func(database string) int {
			if n, ok := c.on[database]; ok {
				return n
			}
			return c.trips
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %s |\n", c.Name, on("postgresql"), on("mongodb"), c.why)
	}
	documented(t, "../docs/storage.md", "<!-- costs: written by go test ./server -run TestCostTable -update -->\n", "<!-- end of costs -->\n", b.String())
}

// operations returns how many operations of the database there were.
func operations(t *testing.T, s *scenario.Server) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/parse/metrics", nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(scenario.AppID+":"+scenario.MasterKey)))
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	_, rest, _ := strings.Cut(w.Body.String(), "\npargo_database_operations_total ")
	number, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("%v in\n%s", err, w.Body)
	}
	return n
}
