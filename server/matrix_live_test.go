package server_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pargo-baas/pargo/internal/scenario"
)

// watchedChange is what the master key does to an object that others watch. The field
// n of the object tells which it was.
type watchedChange struct {
	name, method string
	seen         bool // whether the query of the watchers finds it afterwards
	// event is what those hear who may read the object.
	event string
	// locks, unlocks: the change takes the right to read from everybody, or gives it
	// back. Who loses an object is told its last state that he could read; who gets
	// it is not told the one before.
	locks, unlocks bool
}

var changes = []watchedChange{
	{name: "made", method: "POST", seen: true, event: "create"},
	{name: "changed", method: "PUT", seen: true, event: "update"},
	{name: "found no more", method: "PUT", event: "leave"},
	{name: "found again", method: "PUT", seen: true, event: "enter"},
	{name: "locked", method: "PUT", seen: true, event: "leave", locks: true},
	{name: "unlocked", method: "PUT", seen: true, event: "enter", unlocks: true},
	{name: "deleted", method: "DELETE", event: "delete"},
}

// changed is the request of the n-th change.
func (r *classRule) changed(o *objectRule, n int) exchange {
	ch := &changes[n]
	x := r.made("live"+r.id(o), o)
	switch ch.method {
	case "PUT":
		x.path += "/live" + r.id(o)
		x.body = map[string]any{}
	case "DELETE":
		return exchange{method: ch.method, path: x.path + "/live" + r.id(o)}
	}
	x.method = ch.method
	x.body["n"], x.body["seen"] = n, ch.seen
	switch {
	case ch.locks:
		x.body["ACL"] = map[string]any{}
	case ch.unlocks && o.acl == nil:
		x.body["ACL"] = (&objectRule{acl: map[string]string{anyone: "rw"}}).wire()
	case ch.unlocks:
		x.body["ACL"] = o.wire()
	}
	return x
}

// event is what the caller hears of the n-th change; "" for nothing.
func (r *classRule) event(c *matrixCaller, o *objectRule, n int) string {
	if _, code := r.admits(c, "find"); code != 0 || !r.reaches(c, "find", o) {
		return ""
	}
	state := func(n int) string {
		as := *o
		if n >= unlocking && o.acl == nil {
			as.acl = map[string]string{anyone: "rw"}
		}
		return fmt.Sprintf("%s, n %d", r.shows(c, &as), n)
	}
	switch ch := &changes[n]; {
	case ch.locks:
		return ch.event + " " + state(n-1) + ", was " + state(n-1)
	case ch.event == "delete":
		return ch.event + " " + state(n-1)
	case ch.event == "create", ch.unlocks:
		return ch.event + " " + state(n)
	default:
		return ch.event + " " + state(n) + ", was " + state(n-1)
	}
}

// unlocking is the change that gives rights back.
var unlocking = slices.IndexFunc(changes, func(ch watchedChange) bool { return ch.unlocks })

// listen lets every client watch every class while the master key changes
// objects of all kinds.
func (m *matrix) listen() {
	m.must("POST", "/classes/Holder", map[string]any{"objectId": "beacon", "of": "beacon"})
	ears, heard := map[string]*live{}, map[string]map[string]string{} // by caller, and by object and change
	for i := range matrixCallers {
		if c := &matrixCallers[i]; c.key == "" {
			ears[c.name], heard[c.name] = m.subscribe(c), map[string]string{}
		}
	}
	for n := range changes {
		var list []exchange
		for i := range m.rules {
			for _, o := range m.rules[i].objects() {
				if m.takes("live", m.rules[i].id(&o)) {
					list = append(list, m.rules[i].changed(&o, n))
				}
			}
		}
		m.mustAll(list)
	}
	m.settle()
	m.must("PUT", "/classes/Holder/beacon", map[string]any{"title": "done"})
	var wg sync.WaitGroup
	for who, ear := range ears {
		events := heard[who]
		wg.Go(func() {
			for f := ear.next(); f.Object["title"] != "done"; f = ear.next() {
				text, n := eventText(&f)
				key := fmt.Sprint(f.Object["objectId"], " ", n)
				if events[key] != "" {
					text = events[key] + "; " + text
				}
				events[key] = text
			}
		})
	}
	wg.Wait()
	for i := range matrixCallers {
		c := &matrixCallers[i]
		if c.key != "" {
			continue
		}
		for i := range m.rules {
			r := &m.rules[i]
			for _, o := range r.objects() {
				if !m.takes("live", r.id(&o)) {
					continue
				}
				for n := range changes {
					key := fmt.Sprint("live", r.id(&o), " ", n)
					m.cell(c, "live query", changes[n].event, r.id(&o)+", "+changes[n].name, r.event(c, &o, n), heard[c.name][key])
					delete(heard[c.name], key)
				}
			}
		}
		if len(heard[c.name]) > 0 {
			m.t.Errorf("events that nothing stands for: %v", heard[c.name])
		}
	}
}

// liveKeys are the key pairs of live queries: without any, a master key counts
// for nothing there.
var liveKeys = map[string]string{"clientKey": "live", "masterKey": scenario.MasterKey}

// settle waits until the events so far are on their way to all who watch. Those
// of a class come in order, but those of one class may overtake another's: so
// the master key waits for one more event in each.
func (m *matrix) settle() {
	ear := connectWith(m.t, m.s, `,"masterKey":"`+liveKeys["masterKey"]+`"`)
	var made, deleted []exchange
	for i := range m.rules {
		class := m.rules[i].name
		ear.send(jsonText(map[string]any{"op": "subscribe", "requestId": i + 1, "query": map[string]any{"className": class, "where": map[string]any{"title": "last"}}}))
		if f := ear.next(); f.Op != "subscribed" {
			m.t.Fatalf("the master key watches %s: %+v", class, f)
		}
		made = append(made, exchange{method: "POST", path: "/classes/" + class, body: map[string]any{"objectId": "last", "title": "last", "ACL": map[string]any{}}})
		deleted = append(deleted, exchange{method: "DELETE", path: "/classes/" + class + "/last"})
	}
	m.mustAll(made)
	m.mustAll(deleted)
	for left := len(deleted); left > 0; {
		if ear.next().Op == "delete" {
			left--
		}
	}
}

// eventText says what an event tells, and which change it is about.
func eventText(f *frame) (text string, which int) {
	state := func(o map[string]any) (text string, n int) {
		o = maps.Clone(o)
		number, _ := o["n"].(float64)
		delete(o, "n")
		delete(o, "objectId")
		delete(o, "seen")
		return fmt.Sprintf("%s, n %v", fieldsShown(o), number), int(number)
	}
	object, n := state(f.Object)
	text = f.Op + " " + object
	was := -1
	if f.Original != nil {
		original, before := state(f.Original)
		text, was = text+", was "+original, before
	}
	if f.Op == "delete" || was == n { // the state before the change
		n++
	}
	return text, n
}

// subscribe lets a client watch all classes, and tries to watch by hidden fields.
func (m *matrix) subscribe(c *matrixCaller) *live {
	ear := connectWith(m.t, m.s, `,"clientKey":"`+liveKeys["clientKey"]+`"`)
	watch := func(id int, query map[string]any) string {
		ear.send(jsonText(map[string]any{"op": "subscribe", "requestId": id, "query": query, "sessionToken": m.tokens[c.name]}))
		switch f := ear.next(); {
		case f.RequestID != id:
			return fmt.Sprintf("%+v", f)
		case f.Op == "error":
			return fmt.Sprint("error ", f.Code)
		default:
			return f.Op
		}
	}
	if got := watch(1, map[string]any{"className": "Holder", "where": map[string]any{"objectId": "beacon"}}); got != "subscribed" {
		m.t.Errorf("%s watches the beacon: %s", c.name, got)
	}
	for i := range m.rules {
		r := &m.rules[i]
		want, ofHidden := "subscribed", "subscribed"
		if _, code := r.admits(c, "find"); code != 0 {
			want = fmt.Sprint("error ", code)
		}
		if slices.Contains(r.hidden(c, nil), "secret") {
			ofHidden = "error 119"
		}
		if want != "subscribed" {
			ofHidden = want
		}
		never := map[string]any{"title": "never"}
		bySecret := map[string]any{"secret": "never"}
		for n, q := range []struct {
			op, want string
			query    map[string]any
		}{
			{"subscribe", want, map[string]any{"where": map[string]any{"seen": true}}},
			{"subscribe by a hidden field", ofHidden, map[string]any{"where": bySecret}},
			{"subscribe by a hidden field", ofHidden, map[string]any{"where": map[string]any{"$or": []any{never, bySecret}}}},
			{"watch a hidden field", ofHidden, map[string]any{"where": never, "watch": []string{"title", "secret"}}},
		} {
			q.query["className"] = r.name
			m.cell(c, "live query", q.op, r.name, q.want, watch(2+4*i+n, q.query))
		}
	}
	return ear
}
