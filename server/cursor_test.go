package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func TestCursor(t *testing.T) {
	const foreign = "cursor is not one of this query"
	three := []scenario.Step{
		{Name: "one", Method: "POST", Path: "/classes/A", Body: `{"n":1,"s":"x","secret":3,"g":{"__type":"GeoPoint","latitude":1,"longitude":1}}`},
		{Name: "two", Method: "POST", Path: "/classes/A", Body: `{"n":2,"s":"x","secret":1}`},
		{Name: "three", Method: "POST", Path: "/classes/A", Body: `{"n":3,"s":"x","secret":2}`},
		{Name: "first page", Path: "/classes/A", Query: map[string]string{"cursor": "", "order": "n", "limit": "1", "keys": "s"}, JSON: `{"results":[{"s":"x","objectId":"*","createdAt":"*","updatedAt":"*"}],"cursor":"*"}`, Save: map[string]string{"cursor": "c"}},
	}
	page := func(name string, query map[string]string, want string) scenario.Step {
		return scenario.Step{Name: name, Path: "/classes/A", Query: query, JSON: want}
	}
	refused := func(name, as string, query map[string]string, text string) scenario.Step {
		return scenario.Step{Name: name, Path: "/classes/A", As: as, Query: query, Code: parse.InvalidQuery, Error: text}
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "pages", Config: open, Steps: after(three,
			page("second", map[string]string{"cursor": "{{c}}", "order": "n", "limit": "1"}, `{"results":[{"n":2,"...":0}],"cursor":"*"}`),
			page("the rest", map[string]string{"cursor": "{{c}}", "order": "n"}, `{"results":[{"n":2,"...":0},{"n":3,"...":0}]}`),
			page("exactly the rest", map[string]string{"cursor": "{{c}}", "order": "n", "limit": "2", "count": "1"}, `{"results":[{"n":2,"...":0},{"n":3,"...":0}],"count":3}`),
			page("none asked for", map[string]string{"cursor": "{{c}}", "order": "n", "limit": "0"}, `{"results":[]}`),
			page("no cursor", map[string]string{"cursor": "null", "order": "n", "limit": "1"}, `{"results":["*"]}`),
			scenario.Step{Name: "over POST", Method: "POST", Path: "/classes/A", Body: `{"_method":"GET","cursor":true,"order":"-n","limit":2}`, JSON: `{"results":[{"n":3,"...":0},{"n":2,"...":0}],"cursor":"*"}`, Save: map[string]string{"cursor": "d"}},
			page("down", map[string]string{"cursor": "{{d}}", "order": "-n", "limit": "2"}, `{"results":[{"n":1,"...":0}]}`),
			page("without an order", map[string]string{"cursor": "", "limit": "2"}, `{"results":["*","*"],"cursor":"*"}`),
			page("class that is not there", map[string]string{"cursor": "", "redirectClassNameForKey": "nope", "where": `{"n":9}`}, `{"results":[]}`),
		)},
		{Name: "refusals", Config: open, Steps: after(three,
			scenario.Step{Name: "user", Method: "POST", Path: "/users", Body: `{"username":"u","password":"p"}`, Status: 201, Save: map[string]string{"sessionToken": "u.token"}},
			refused("another order", "", map[string]string{"cursor": "{{c}}", "order": "-n"}, foreign),
			refused("more order", "", map[string]string{"cursor": "{{c}}", "order": "n,s"}, foreign),
			refused("another where", "", map[string]string{"cursor": "{{c}}", "order": "n", "where": `{"s":"x"}`}, foreign),
			refused("another user", "u", map[string]string{"cursor": "{{c}}", "order": "n"}, foreign),
			refused("master key", "master", map[string]string{"cursor": "{{c}}", "order": "n"}, foreign),
			refused("changed", "", map[string]string{"cursor": "{{c}}A", "order": "n"}, foreign),
			refused("text", "", map[string]string{"cursor": "abc", "order": "n"}, foreign),
			refused("letters", "", map[string]string{"cursor": "c", "order": "n"}, foreign),
			refused("no text", "", map[string]string{"cursor": "7"}, "cursor must be a string"),
			refused("with skip", "", map[string]string{"cursor": "", "skip": "1"}, "skip cannot be combined with cursor"),
			refused("by distance", "", map[string]string{"cursor": "", "where": `{"g":{"$nearSphere":{"__type":"GeoPoint","latitude":1,"longitude":1}}}`}, "cursor cannot be combined with an order by distance"),
			scenario.Step{Name: "of another class", Path: "/classes/B", Query: map[string]string{"cursor": "{{c}}", "order": "n"}, JSON: `{"results":[]}`},
			scenario.Step{Name: "class B", Method: "POST", Path: "/classes/B", Body: `{"n":1}`},
			scenario.Step{Name: "of another class with objects", Path: "/classes/B", Query: map[string]string{"cursor": "{{c}}", "order": "n"}, Code: parse.InvalidQuery, Error: foreign},
			scenario.Step{Name: "a get", Path: "/classes/A/x", Query: map[string]string{"cursor": ""}, Code: parse.InvalidQuery, Error: "Improper encode of parameter"},
		)},
		{Name: "times relative to the clock", Config: open, Steps: after(three,
			scenario.Step{Name: "first", Path: "/classes/A", Query: map[string]string{"cursor": "", "limit": "1", "where": `{"createdAt":{"$lt":{"$relativeTime":"in 1 day"}}}`}, JSON: `{"results":["*"],"cursor":"*"}`, Save: map[string]string{"cursor": "r"}},
			page("second", map[string]string{"cursor": "{{r}}", "where": `{"createdAt":{"$lt":{"$relativeTime":"in 1 day"}}}`}, `{"results":["*","*"]}`),
		)},
		{
			Name: "order of a hook", Config: open,
			Cloud: func(app *cloudcode.App) {
				app.BeforeFind("A", func(_ context.Context, r *cloudcode.FindRequest) error {
					r.Query.Order = []query.Sort{{Path: "secret"}}
					return nil
				})
				app.AfterFind("A", func(_ context.Context, r *cloudcode.FoundRequest) error {
					r.Objects = r.Objects[1:]
					return nil
				})
			},
			Steps: append(three[:3:3],
				scenario.Step{Name: "first page", Path: "/classes/A", Query: map[string]string{"cursor": "", "limit": "2", "order": "n"}, JSON: `{"results":[{"secret":2,"...":0}],"cursor":"*"}`, Save: map[string]string{"cursor": "c"}},
				page("second page", map[string]string{"cursor": "{{c}}", "order": "n"}, `{"results":[]}`),
			),
		},
	})
}

// TestCursorWalk walks through all pages of queries in many orders, while
// others write, and compares with the whole result.
func TestCursorWalk(t *testing.T) {
	orders := []string{
		"", "n", "-n", "s,-n", "-s,n", "b,-d,n", "-b,d", "createdAt", "-createdAt", "-updatedAt,n", "objectId", "-objectId",
		"n,objectId,s", "n,n,-n", "o.k", "-o.k,n", "s,o.k,-n", "-o.m.k,-s", "a", "-a,n", "p,-n", "-p,s", "nope,n", "g", "-o",
	}
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), open, nil)
		s.Do(t, &scenario.Step{Name: "indexes", Method: "POST", Path: "/schemas/A", As: "master", Body: `{"fields":{"n":{"type":"Number"},"s":{"type":"String"},"b":{"type":"Boolean"},` +
			`"d":{"type":"Date"},"o":{"type":"Object"},"a":{"type":"Array"},"p":{"type":"Pointer","targetClass":"A"},"g":{"type":"GeoPoint"},"late":{"type":"Boolean"}},` +
			`"indexes":{"n":{"n":1},"s":{"s":-1,"n":1},"created":{"createdAt":-1}}}`})
		rnd := rand.New(rand.NewPCG(1, 2))
		var items []string
		for range 40 {
			items = append(items, `{"method":"POST","path":"/parse/classes/A","body":`+randomObject(rnd, s.Typed)+`}`)
		}
		for len(items) > 0 {
			s.Do(t, &scenario.Step{Name: "fill", Method: "POST", Path: "/batch", Body: `{"requests":[` + strings.Join(items[:10], ",") + `]}`, Lacks: []string{`"error"`}})
			items = items[10:]
		}
		stop := make(chan struct{})
		var others sync.WaitGroup
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					s.Do(t, &scenario.Step{Name: "another writes", Method: "POST", Path: "/classes/A", Body: fmt.Sprintf(`{"late":true,"n":%d,"s":"m"}`, i%5)})
				}
			}
		})
		defer func() {
			close(stop)
			others.Wait()
		}()
		for i, order := range orders {
			where := `{"late":null}`
			if i%3 == 1 {
				where = `{"late":null,"n":{"$gte":1},"$or":[{"b":true},{"s":{"$regex":"^a"}},{"d":null}]}`
			}
			base := map[string]string{"order": order, "where": where, "keys": "n"}
			whole := ids(s.Do(t, &scenario.Step{Name: order, Path: "/classes/A", Query: with(base, "limit", "1000", "cursor", "")}))
			if !strings.Contains(order, "o.") { // MongoDB sorts mixed types in its own way
				plain := order + ",objectId"
				if strings.HasPrefix(order[strings.LastIndexByte(order, ',')+1:], "-") && order != "n,n,-n" {
					plain = order + ",-objectId"
				}
				if strings.Contains(order, "objectId") {
					plain = order
				}
				plain = strings.TrimPrefix(plain, ",")
				got := ids(s.Do(t, &scenario.Step{Name: plain, Path: "/classes/A", Query: with(base, "limit", "1000", "order", plain)}))
				if diff := cmp.Diff(got, whole); diff != "" {
					t.Errorf("order %q (-plain +cursor):\n%s", order, diff)
				}
			}
			for _, limit := range []int{2, 7, len(whole)} {
				cursor, walked := "", []string{}
				for pages := 0; ; pages++ {
					body := s.Do(t, &scenario.Step{Name: order, Path: "/classes/A", Query: with(base, "limit", fmt.Sprint(limit), "cursor", cursor)})
					walked = append(walked, ids(body)...)
					if cursor = cursorOf(body); cursor == "" {
						break
					}
					if len(ids(body)) != limit || pages > len(whole) {
						t.Fatalf("order %q: page of %d objects, limit %d", order, len(ids(body)), limit)
					}
				}
				if diff := cmp.Diff(whole, walked); diff != "" {
					t.Errorf("order %q by %d (-whole +walked):\n%s", order, limit, diff)
				}
			}
		}
	})
}

func with(base map[string]string, pairs ...string) map[string]string {
	m := map[string]string{}
	for k, v := range base {
		m[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	if m["order"] == "" {
		delete(m, "order")
	}
	return m
}

func ids(body string) []string {
	var answer struct{ Results []struct{ ObjectID string } }
	_ = json.Unmarshal([]byte(body), &answer)
	out := []string{}
	for _, r := range answer.Results {
		out = append(out, r.ObjectID)
	}
	return out
}

func cursorOf(body string) string {
	var answer struct{ Cursor string }
	_ = json.Unmarshal([]byte(body), &answer)
	return answer.Cursor
}

func randomObject(rnd *rand.Rand, typed bool) string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	date := func() string {
		return fmt.Sprintf(`{"__type":"Date","iso":"2020-01-0%dT00:00:00.000Z"}`, 1+rnd.IntN(3))
	}
	mixed := func() string {
		return pick("1", "2", `"a"`, `"b"`, "true", "false", "null", `{"x":1}`, `[3,1]`, date())
	}
	nul := `"\u0000"`
	if typed {
		nul = `"z"`
	}
	fields := map[string]string{
		"n": pick("0", "1", "2", "-1.5", "1e300", "9007199254740993", "null"),
		"s": pick(`""`, `"a"`, `"ab"`, `"B"`, `"ä"`, nul, "null"),
		"b": pick("true", "false", "null"), "d": pick(date(), date(), "null"),
		"o": `{"k":` + mixed() + `,"m":{"k":` + mixed() + `}}`, "a": pick("[]", "[1]", `["a"]`, "null"),
		"p": pick(`{"__type":"Pointer","className":"A","objectId":"x"}`, `{"__type":"Pointer","className":"A","objectId":"y"}`, "null"),
		"g": pick(`{"__type":"GeoPoint","latitude":1,"longitude":2}`, `{"__type":"GeoPoint","latitude":3,"longitude":2}`),
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if rnd.IntN(4) > 0 {
			out = append(out, `"`+name+`":`+fields[name])
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

// TestCursorLength: a hook may order by a field that the caller does not see; the
// length of a cursor does not tell that of a value.
func TestCursorLength(t *testing.T) {
	s := scenario.Start(t, scenario.Databases()[0].URI(t), open, nil)
	cursor := func(class, value string) string {
		for range 2 {
			s.Do(t, &scenario.Step{Method: "POST", Path: "/classes/" + class, Body: `{"s":` + value + `}`, Status: 201})
		}
		st := scenario.Step{Path: "/classes/" + class, Query: map[string]string{"cursor": "", "order": "s", "limit": "1"}}
		var answer struct{ Cursor string }
		if err := json.Unmarshal([]byte(s.Ask(t, &st)), &answer); err != nil || answer.Cursor == "" {
			t.Fatalf("no cursor: %v", err)
		}
		return answer.Cursor
	}
	first, second := cursor("A", `1`), cursor("B", `"`+strings.Repeat("x", 80)+`"`)
	if len(first) != len(second) {
		t.Errorf("%d and %d bytes", len(first), len(second))
	}
}
