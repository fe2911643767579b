package server_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// liveWheres have every operator that a live query can decide.
var liveWheres = []string{
	`{}`, `{"n":1}`, `{"n":null}`, `{"n":{"$eq":2}}`, `{"n":{"$ne":1}}`, `{"n":{"$gt":0}}`, `{"n":{"$gte":1,"$lt":3}}`, `{"n":{"$lte":0}}`,
	`{"n":{"$in":[1,3]}}`, `{"n":{"$nin":[1,3]}}`, `{"n":{"$exists":true}}`, `{"n":{"$exists":false}}`,
	`{"s":"x"}`, `{"s":{"$regex":"^x"}}`, `{"s":{"$regex":"Y","$options":"i"}}`, `{"s":{"$gt":"x"}}`, `{"s":{"$in":["x","xy"]}}`,
	`{"l":1}`, `{"l":{"$all":[1,2]}}`, `{"l":{"$in":[2]}}`, `{"l":{"$containedBy":[1,2]}}`, `{"l":[1,2]}`, `{"b":true}`, `{"b":{"$ne":true}}`,
	`{"m.k":1}`, `{"m.k":{"$gt":0}}`, `{"m":{"k":1}}`, `{"d":{"$lt":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}}}`,
	`{"d":{"__type":"Date","iso":"2019-01-01T00:00:00.000Z"}}`, `{"createdAt":{"$gt":{"__type":"Date","iso":"2001-01-01T00:00:00.000Z"}}}`,
	`{"p":{{ann}}}`, `{"p":{"$in":[{{ann}},{{bob}}]}}`, `{"p":{"$ne":{{ann}}}}`, `{"p":{"$exists":true}}`,
	`{"g":{"$nearSphere":{"__type":"GeoPoint","latitude":0,"longitude":0},"$maxDistanceInKilometers":200}}`,
	`{"g":{"$geoWithin":{"$centerSphere":[[0,0],0.03]}}}`, `{"g":{"$within":{"$box":[{"__type":"GeoPoint","latitude":-1,"longitude":-1},{"__type":"GeoPoint","latitude":1.5,"longitude":1.5}]}}}`,
	`{"$or":[{"n":1},{"s":"y"}]}`, `{"$and":[{"n":{"$gt":0}},{"$nor":[{"s":"x"},{"b":true}]}]}`,
}

// liveView is a client, and for each of its subscriptions what its events make
// of what a find gave at the beginning.
type liveView struct {
	*live
	name  string
	views []map[string]map[string]any
}

// TestLiveViewsEqualFinds: for random writes, what a find gave once, changed by
// the events since, is what a find gives. A client that lost or gained rights
// without a change of objects asks anew, because the protocol has no event for that.
func TestLiveViewsEqualFinds(t *testing.T) {
	onDatabases(t, func(c *config.Config) {
		open(c)
		c.StartLiveQueryServer = true
		c.LiveQuery.ClassNames = []string{"Thing"}
	}, func(*cloudcode.App) {}, func(t *testing.T, s *scenario.Server) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		v := &viewTest{t: t, s: s, rng: rand.New(rand.NewPCG(seed, 0))}
		v.run()
	})
}

type viewTest struct {
	t       *testing.T
	s       *scenario.Server
	rng     *rand.Rand
	clients []*liveView
	ids     []string
	fences  int
	role    string
	staff   bool
}

// call sends a request, as the master without a token, and returns the answer.
func (v *viewTest) call(method, path, body, token string, master bool) map[string]any {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), method, "/parse"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Parse-Application-Id", scenario.AppID)
	if master {
		r.Header.Set("X-Parse-Master-Key", scenario.MasterKey)
	}
	if token != "" {
		r.Header.Set("X-Parse-Session-Token", token)
	}
	w := httptest.NewRecorder()
	v.s.Handler.ServeHTTP(w, r)
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code >= http.StatusBadRequest {
		v.t.Fatalf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
	}
	return out
}

func (v *viewTest) master(method, path, body string) map[string]any {
	v.t.Helper()
	return v.call(method, path, body, "", true)
}

func (v *viewTest) where(text string) string {
	for _, name := range []string{"ann", "bob"} {
		text = strings.ReplaceAll(text, "{{"+name+"}}", v.user(name))
	}
	return text
}

func (v *viewTest) user(name string) string {
	return `{"__type":"Pointer","className":"_User","objectId":"` + v.s.Var(name+".id") + `"}`
}

// find asks what a client may see of a query.
func (v *viewTest) find(c *liveView, where string) map[string]map[string]any {
	v.t.Helper()
	out := map[string]map[string]any{}
	answer := v.call("GET", "/classes/Thing?limit=1000&where="+url.QueryEscape(where), "", c.token, false)
	for _, o := range answer["results"].([]any) {
		o := o.(map[string]any)
		out[o["objectId"].(string)] = o
	}
	return out
}

func (v *viewTest) run() {
	v.t.Helper()
	for _, name := range []string{"ann", "bob"} {
		st := signUp(name)
		v.s.Do(v.t, &st)
	}
	v.role = v.master("POST", "/roles", `{"name":"Staff","ACL":{}}`)["objectId"].(string)
	v.master("POST", "/schemas/Thing", `{"className":"Thing","fields":{"n":{"type":"Number"},"s":{"type":"String"},"l":{"type":"Array"},"b":{"type":"Boolean"},"m":{"type":"Object"},`+
		`"d":{"type":"Date"},"p":{"type":"Pointer","targetClass":"_User"},"g":{"type":"GeoPoint"},"secret":{"type":"String"},"fence":{"type":"Number"}},`+
		`"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"protectedFields":{"*":["secret"],"role:Staff":[]}}}`)
	for _, name := range []string{"", "ann", "bob"} {
		c := &liveView{live: connect(v.t, v.s), name: name, views: make([]map[string]map[string]any, len(liveWheres))}
		if name != "" {
			c.token = v.s.Var(name + ".token")
		}
		v.clients = append(v.clients, c)
		for i, where := range liveWheres {
			if f := c.subscribe(i, "Thing", `"where":`+v.where(where)); f.Op != "subscribed" {
				v.t.Fatalf("%s: %+v", where, f)
			}
		}
		if f := c.subscribe(len(liveWheres), "Thing", `"where":{"fence":{"$exists":true}}`); f.Op != "subscribed" {
			v.t.Fatalf("%+v", f)
		}
		v.query(c)
	}
	for range 6 {
		for range 15 {
			v.write()
		}
		v.settle()
		v.compare()
		v.turnRights()
	}
}

// query begins the views of a client with what finds give.
func (v *viewTest) query(c *liveView) {
	v.t.Helper()
	for i, where := range liveWheres {
		c.views[i] = v.find(c, v.where(where))
	}
}

// write makes, changes or deletes an object.
func (v *viewTest) write() {
	v.t.Helper()
	switch {
	case len(v.ids) < 3 || v.rng.IntN(5) == 0:
		v.ids = append(v.ids, v.master("POST", "/classes/Thing", v.fields(true))["objectId"].(string))
	case v.rng.IntN(5) == 0:
		i := v.rng.IntN(len(v.ids))
		v.master("DELETE", "/classes/Thing/"+v.ids[i], "")
		v.ids = append(v.ids[:i], v.ids[i+1:]...)
	default:
		v.master("PUT", "/classes/Thing/"+v.ids[v.rng.IntN(len(v.ids))], v.fields(false))
	}
}

// fields are random fields; on update some are taken away or changed by operations.
func (v *viewTest) fields(create bool) string {
	pick := func(values ...string) string { return values[v.rng.IntN(len(values))] }
	values := map[string]func() string{
		"n": func() string { return pick("0", "1", "2", "3", "1.5", "null") }, "s": func() string { return pick(`"x"`, `"xy"`, `"y"`, `"Y"`, `""`) },
		"l": func() string { return pick(`[]`, `[1]`, `[1,2]`, `[2,3]`, `["x"]`) }, "b": func() string { return pick("true", "false") },
		"m": func() string { return pick(`{}`, `{"k":1}`, `{"k":"x"}`, `{"k":2,"j":1}`) },
		"d": func() string {
			return pick(`{"__type":"Date","iso":"2019-01-01T00:00:00.000Z"}`, `{"__type":"Date","iso":"2021-01-01T00:00:00.000Z"}`)
		},
		"p": func() string { return pick(v.user("ann"), v.user("bob")) },
		"g": func() string {
			return fmt.Sprintf(`{"__type":"GeoPoint","latitude":%d,"longitude":%d}`, v.rng.IntN(4)-1, v.rng.IntN(4)-1)
		},
		"secret": func() string { return pick(`"a"`, `"b"`) },
		"ACL": func() string {
			return pick(`{"*":{"read":true}}`, `{"*":{"read":true}}`, `{"`+v.s.Var("ann.id")+`":{"read":true}}`, `{"role:Staff":{"read":true}}`, `{}`)
		},
	}
	var out []string
	for name, value := range values {
		switch {
		case v.rng.IntN(2) == 0:
		case !create && name != "ACL" && v.rng.IntN(5) == 0:
			out = append(out, `"`+name+`":{"__op":"Delete"}`)
		case !create && name == "l" && v.rng.IntN(3) == 0:
			out = append(out, `"l":{"__op":"`+pick("Add", "AddUnique", "Remove")+`","objects":[`+pick("1", "2")+`]}`)
		default:
			out = append(out, `"`+name+`":`+value())
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

// settle reads what has been told so far.
func (v *viewTest) settle() {
	v.t.Helper()
	v.fences++
	v.master("POST", "/classes/Thing", fmt.Sprintf(`{"fence":%d}`, v.fences))
	for _, c := range v.clients {
		for fenced, counted := false, map[int]bool{}; !fenced || len(counted) < v.fenceEvents(c); {
			f := c.next()
			id, _ := f.Object["objectId"].(string)
			if f.Object["fence"] == float64(v.fences) {
				counted[f.RequestID] = true
				fenced = fenced || f.RequestID == len(liveWheres)
			}
			if f.RequestID == len(liveWheres) {
				continue
			}
			view := c.views[f.RequestID]
			switch f.Op {
			case "create", "enter":
				if view[id] != nil {
					v.t.Errorf("%s: %s of %s, which was there", liveWheres[f.RequestID], f.Op, id)
				}
				delete(f.Object, "className")
				view[id] = f.Object
			case "update":
				if view[id] == nil {
					v.t.Errorf("%s: update of %s, which was not there", liveWheres[f.RequestID], id)
				}
				delete(f.Object, "className")
				view[id] = f.Object
			case "leave", "delete":
				if view[id] == nil {
					v.t.Errorf("%s: %s of %s, which was not there", liveWheres[f.RequestID], f.Op, id)
				}
				delete(view, id)
			default:
				v.t.Fatalf("%+v", f)
			}
		}
	}
}

// fenceEvents is how many subscriptions a fence concerns: those whose find has it.
func (v *viewTest) fenceEvents(c *liveView) int {
	n := 1
	for _, where := range liveWheres {
		for _, o := range v.find(c, v.where(where)) {
			if o["fence"] == float64(v.fences) {
				n++
			}
		}
	}
	return n
}

// compare compares all views with what finds give now.
func (v *viewTest) compare() {
	v.t.Helper()
	for _, c := range v.clients {
		for i, where := range liveWheres {
			if diff := cmp.Diff(v.find(c, v.where(where)), c.views[i]); diff != "" {
				v.t.Fatalf("%q, %s (-find +events):\n%s", c.name, where, diff)
			}
		}
	}
}

// turnRights lets bob into the role or out of it, or gives ann another session.
func (v *viewTest) turnRights() {
	v.t.Helper()
	v.staff = !v.staff
	op := map[bool]string{true: "AddRelation", false: "RemoveRelation"}[v.staff]
	v.master("PUT", "/roles/"+v.role, `{"users":{"__op":"`+op+`","objects":[`+v.user("bob")+`]}}`)
	for _, c := range v.clients {
		// The same subscription under another query for a moment, as an SDK
		// does that changes it.
		i := v.rng.IntN(len(liveWheres))
		c.send(fmt.Sprintf(`{"op":"update","requestId":%d,"sessionToken":%q,"query":{"className":"Thing","where":{"n":-1}}}`, i, c.token))
		c.send(fmt.Sprintf(`{"op":"update","requestId":%d,"sessionToken":%q,"query":{"className":"Thing","where":%s}}`, i, c.token, v.where(liveWheres[i])))
		for range 2 {
			if f := c.next(); f.Op != "subscribed" || f.RequestID != i {
				v.t.Fatalf("update: %+v", f)
			}
		}
		v.query(c)
	}
}
