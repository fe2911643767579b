package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

// The matrix asks a server for every operation, as every kind of caller, over every
// surface, under every kind of rule, and compares what it answers with the model of
// matrix_model_test.go. A cell is one such question; what it says is "ok" with what
// was shown, or the status and code of the refusal.

// matrixFewest is how many cells there must be at least on the embedded database.
const matrixFewest = 5000

func TestMatrix(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		m := newMatrix(t, db)
		m.each(m.read)
		m.listen()
		m.each(m.askRoutes)
		m.write()
		m.delete()
		t.Logf("%d cells", m.total())
		if db.Name != "sqlite" {
			return
		}
		if m.total() < matrixFewest {
			t.Errorf("%d cells are too few", m.total())
		}
		if m.sample == 1 {
			m.document()
		}
	})
}

// matrix is one run.
type matrix struct {
	t     *testing.T
	s     *scenario.Server
	rules []classRule
	// one in so many cells is asked; 1: all.
	sample uint32

	mu     sync.Mutex
	cells  map[string]map[string]int // surface, operation: cells; guarded by mu
	hits   map[string]int            // object: updates that must have been made; guarded by mu
	wrong  int                       // guarded by mu
	tokens map[string]string         // of callers; set before cells are asked
}

func newMatrix(t *testing.T, db scenario.Database) *matrix {
	t.Helper()
	m := &matrix{t: t, sample: matrixSample, rules: classRules, cells: map[string]map[string]int{}, hits: map[string]int{}, tokens: map[string]string{}}
	if testing.Short() {
		m.sample = 8
	}
	if db.Name != "sqlite" {
		// What differs between databases is how constraints are translated; a
		// part of the cells, always the same, shows that.
		m.sample = 12
		m.rules = slices.DeleteFunc(slices.Clone(classRules), func(r classRule) bool { return pickOne(r.name)%3 != 0 })
	}
	uri := db.URI(t)
	if db.Name == "sqlite" {
		uri = "sqlite::memory:"
	}
	m.s = scenario.Start(t, uri, func(c *config.Config) {
		c.AllowCustomObjectID = true
		c.EnableSanitizedErrorResponse = false
		c.ReadOnlyMasterKey, c.MaintenanceKey = "readonly", "maintenance"
		c.SecurityOptions = json.RawMessage(`{"enableCheck":true}`)
		c.StartLiveQueryServer = true
		c.LiveQueryServerOptions.KeyPairs = liveKeys
		c.LiveQuery.ClassNames = []string{".*"}
		option := map[string]map[string][]string{}
		for i := range m.rules {
			if r := &m.rules[i]; r.option != nil {
				option[r.name] = r.option
			}
		}
		c.ProtectedFields = json.RawMessage(jsonText(option))
	}, matrixFunctions)
	m.setUp()
	return m
}

// each lets all callers ask at the same time.
func (m *matrix) each(ask func(c *matrixCaller)) {
	var wg sync.WaitGroup
	for i := range matrixCallers {
		wg.Go(func() { ask(&matrixCallers[i]) })
	}
	wg.Wait()
	if m.t.Failed() {
		m.t.FailNow()
	}
}

func pickOne(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}

// takes says whether the run asks this question.
func (m *matrix) takes(parts ...string) bool {
	return m.sample == 1 || pickOne(strings.Join(parts, " "))%m.sample == 0
}

// cell compares what was answered with what the model says.
func (m *matrix) cell(c *matrixCaller, surface, op, what, want, got string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells[surface] == nil {
		m.cells[surface] = map[string]int{}
	}
	m.cells[surface][op]++
	if want == got {
		return
	}
	if m.wrong++; m.wrong <= 20 {
		m.t.Errorf("%s: %s of %s by %s\n- %s\n+ %s", surface, op, what, c.name, want, got)
	}
}

func (m *matrix) total() int {
	n := 0
	for _, ops := range m.cells {
		for _, k := range ops {
			n += k
		}
	}
	return n
}

// exchange is a request; params are those of a GET.
type exchange struct {
	method, path string
	params, body map[string]any
}

// answered is what came back.
type answered struct {
	status int // 0 for an item of a batch
	body   any
}

// rest sends a request as it stands.
func (m *matrix) rest(c *matrixCaller, x exchange) answered {
	target := "/parse" + x.path
	if len(x.params) > 0 {
		v := url.Values{}
		for k, p := range x.params {
			text, ok := p.(string)
			if !ok {
				text = jsonText(p)
			}
			v.Set(k, text)
		}
		target += "?" + v.Encode()
	}
	r := m.request(x.method, target, x.body)
	r.Header.Set("X-Parse-Application-Id", scenario.AppID)
	switch c.key {
	case "":
	case "maintenance":
		r.Header.Set("X-Parse-Maintenance-Key", c.key)
	default:
		r.Header.Set("X-Parse-Master-Key", c.key)
	}
	if c.user != "" {
		r.Header.Set("X-Parse-Session-Token", m.tokens[c.name])
	}
	return m.send(r)
}

// override sends a request as SDKs of browsers do: a POST that tells its
// method and its sender in the body.
func (m *matrix) override(c *matrixCaller, x exchange) answered {
	body := map[string]any{"_method": x.method, "_ApplicationId": scenario.AppID}
	maps.Copy(body, x.params)
	maps.Copy(body, x.body)
	if c.user != "" {
		body["_SessionToken"] = m.tokens[c.name]
	}
	if c.key == "master" || c.key == "readonly" {
		body["_MasterKey"] = c.key
	}
	r := m.request(http.MethodPost, "/parse"+x.path, body)
	r.Header.Set("Content-Type", "text/plain")
	if c.key == "maintenance" { // is taken from the header alone
		r.Header.Set("X-Parse-Maintenance-Key", c.key)
	}
	return m.send(r)
}

// batch sends requests as the items of one.
func (m *matrix) batch(c *matrixCaller, transaction bool, list ...exchange) []answered {
	items := make([]any, len(list))
	for i, x := range list {
		body := map[string]any{}
		maps.Copy(body, x.params)
		maps.Copy(body, x.body)
		items[i] = map[string]any{"method": x.method, "path": "/parse" + x.path, "body": body}
	}
	a := m.rest(c, exchange{method: http.MethodPost, path: "/batch", body: map[string]any{"requests": items, "transaction": transaction}})
	out := make([]answered, len(list))
	answers, ok := a.body.([]any)
	if !ok || len(answers) != len(list) { // the refusal of the whole
		for i := range out {
			out[i] = answered{body: a.body, status: a.status}
		}
		return out
	}
	for i, v := range answers {
		item, _ := v.(map[string]any)
		if failure, ok := item["error"]; ok {
			out[i].body = failure
		} else {
			out[i].body = item["success"]
		}
	}
	return out
}

func (m *matrix) request(method, target string, body map[string]any) *http.Request {
	var sent *bytes.Reader
	if body == nil {
		sent = bytes.NewReader(nil)
	} else {
		sent = bytes.NewReader([]byte(jsonText(body)))
	}
	r := httptest.NewRequestWithContext(m.t.Context(), method, target, sent)
	r.RemoteAddr = "127.0.0.1:1"
	return r
}

func (m *matrix) send(r *http.Request) answered {
	w := httptest.NewRecorder()
	m.s.Handler.ServeHTTP(w, r)
	a := answered{status: w.Code}
	if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
		a.body = w.Body.String()
	}
	return a
}

// refusal is how an answer that is an error reads; ok is false for others.
func (a answered) refusal() (text string, ok bool) {
	body, _ := a.body.(map[string]any)
	code, coded := body["code"].(float64)
	_, failed := body["error"]
	switch {
	case !coded && !failed && a.status < 300:
		return "", false
	case a.status == 0 && !coded:
		return "403", true
	case a.status == 0:
		return denial(int(code)), true
	case coded:
		return fmt.Sprintf("%d %.0f", a.status, code), true
	}
	return fmt.Sprint(a.status), true
}

// wrote reads an answer to a write: "ok", with the given keys if they are in it.
func (a answered) wrote(keys ...string) string {
	if text, ok := a.refusal(); ok {
		return text
	}
	body, _ := a.body.(map[string]any)
	return said(slices.DeleteFunc(slices.Clone(keys), func(k string) bool { _, ok := body[k]; return !ok })...)
}

func said(things ...string) string { return strings.Join(append([]string{"ok"}, things...), " ") }

// one reads an answer that is an object.
func (a answered) one() string {
	if text, ok := a.refusal(); ok {
		return text
	}
	return said(shownOf(a.body))
}

// shownOf is an object with the fields that it has, but for those that all objects have.
func shownOf(v any) string {
	o, _ := v.(map[string]any)
	return fmt.Sprintf("%v[%s]", o["objectId"], fieldsShown(o))
}

func fieldsShown(o map[string]any) string {
	var fields []string
	for k := range o {
		switch k {
		case "objectId", "createdAt", "updatedAt", "links", "className", "__type":
		default:
			fields = append(fields, k)
		}
	}
	slices.Sort(fields)
	return strings.Join(fields, ",")
}

func (a answered) results() []any {
	body, _ := a.body.(map[string]any)
	list, _ := body["results"].([]any)
	return list
}

// found reads an answer that lists objects.
func (a answered) found(read func(v any) string) string {
	if text, ok := a.refusal(); ok {
		return text
	}
	out := []string{}
	for _, v := range a.results() {
		out = append(out, read(v))
	}
	slices.Sort(out)
	if body, _ := a.body.(map[string]any); body["count"] != nil {
		out = append(out, fmt.Sprintf("count %v", body["count"]))
	}
	return said(out...)
}

// idOf reads the id of a found object.
func idOf(v any) string {
	o, _ := v.(map[string]any)
	return fmt.Sprint(o["objectId"])
}

// id is that of the object of a kind in a class, and its title.
func (r *classRule) id(o *objectRule) string { return r.name + o.name }

// column is the field of Holder that points to objects of the class.
func (r *classRule) column() string { return "to" + r.name }

// must sends a request with the master key, which must succeed.
func (m *matrix) must(method, path string, body map[string]any) map[string]any {
	m.t.Helper()
	a := m.rest(&matrixMaster, exchange{method: method, path: path, body: body})
	if text, ok := a.refusal(); ok {
		m.t.Fatalf("%s %s %s: %s %v", method, path, jsonText(body), text, a.body)
	}
	out, _ := a.body.(map[string]any)
	return out
}

var matrixMaster = matrixCallers[len(matrixCallers)-1]

// mustAll sends the items of a batch with the master key.
func (m *matrix) mustAll(list []exchange) {
	m.t.Helper()
	for part := range slices.Chunk(list, 500) {
		for i, a := range m.batch(&matrixMaster, false, part...) {
			if text, ok := a.refusal(); ok {
				m.t.Fatalf("%s %s: %s %v", part[i].path, jsonText(part[i].body), text, a.body)
			}
		}
	}
}

// setUp makes users, roles, classes and objects, and for each object a Holder
// that points to it.
func (m *matrix) setUp() {
	for i := range matrixCallers {
		c := &matrixCallers[i]
		if c.user == "" {
			continue
		}
		m.must("POST", "/users", map[string]any{"objectId": c.user, "username": c.name, "password": "pw"})
		// Not with the master key: a login of another with it would end the session.
		a := m.rest(&matrixCallers[0], exchange{method: "POST", path: "/login", body: map[string]any{"username": c.name, "password": "pw"}})
		in, _ := a.body.(map[string]any)
		m.tokens[c.name], _ = in["sessionToken"].(string)
	}
	relate := func(class, id string) map[string]any {
		return map[string]any{"__op": "AddRelation", "objects": []any{ref(class, id)}}
	}
	m.must("POST", "/roles", map[string]any{"objectId": "trainee", "name": "trainee", "ACL": map[string]any{}, "users": relate("_User", "nested0000")})
	m.must("POST", "/roles", map[string]any{"objectId": "staff", "name": "staff", "ACL": map[string]any{}, "users": relate("_User", "member0000"), "roles": relate("_Role", "trainee")})

	holder := map[string]any{"of": field("String"), "title": field("String"), "refs": field("Array")}
	for i := range m.rules {
		holder[m.rules[i].column()] = map[string]any{"type": "Pointer", "targetClass": m.rules[i].name}
		m.makeClass(&m.rules[i])
	}
	m.must("POST", "/schemas/Holder", map[string]any{"fields": holder})
	var objects, holders, links []exchange
	for i := range m.rules {
		r := &m.rules[i]
		for _, o := range r.objects() {
			id := r.id(&o)
			objects = append(objects, r.made(id, &o))
			holders = append(holders, exchange{method: "POST", path: "/classes/Holder", body: map[string]any{
				"objectId": "H" + id, "of": r.name, "title": id, "refs": []any{ref(r.name, id)}, r.column(): ref(r.name, id),
			}})
			links = append(links, exchange{method: "PUT", path: "/classes/" + r.name + "/" + id, body: map[string]any{"links": relate("Holder", "H"+id)}})
		}
	}
	m.mustAll(objects)
	m.mustAll(holders)
	m.mustAll(links)
}

func field(typ string) map[string]any { return map[string]any{"type": typ} }

// made is the request that makes an object of a kind.
func (r *classRule) made(id string, o *objectRule) exchange {
	body := map[string]any{"objectId": id, "title": id, "secret": "s", "pay": 1, "hits": 0}
	if !o.astray {
		body["to"], body["cc"] = ref("_User", "pointed000"), []any{ref("_User", "listed0000")}
	}
	if o.acl != nil {
		body["ACL"] = o.wire()
	}
	return exchange{method: "POST", path: "/classes/" + r.name, body: body}
}

// wire is the ACL as clients write it.
func (o *objectRule) wire() map[string]any {
	acl := map[string]any{}
	for subject, rights := range o.acl {
		acl[subject] = map[string]any{}
		for letter, word := range map[string]string{"r": "read", "w": "write"} {
			if strings.Contains(rights, letter) {
				acl[subject].(map[string]any)[word] = true
			}
		}
	}
	return acl
}

func (m *matrix) makeClass(r *classRule) {
	body := map[string]any{"fields": map[string]any{
		"title": field("String"), "secret": field("String"), "pay": field("Number"), "hits": field("Number"), "n": field("Number"), "seen": field("Boolean"),
		"to": map[string]any{"type": "Pointer", "targetClass": "_User"}, "cc": field("Array"), "links": map[string]any{"type": "Relation", "targetClass": "Holder"},
	}}
	if !r.open {
		clp := map[string]any{}
		for op, p := range r.ops {
			entry := map[string]any{}
			for _, subject := range p.to {
				entry[subject] = true
			}
			if p.pointers != nil {
				entry["pointerFields"] = p.pointers
			}
			clp[op] = entry
		}
		if r.readFields != nil {
			clp["readUserFields"], clp["writeUserFields"] = r.readFields, append([]string{}, r.writeFields...)
		}
		if r.protected != nil {
			clp["protectedFields"] = r.protected
		}
		if r.defaultACL != "" {
			clp["ACL"] = map[string]any{r.defaultACL: map[string]any{"read": true, "write": true}}
		}
		body["classLevelPermissions"] = clp
	}
	m.must("POST", "/schemas/"+r.name, body)
}
