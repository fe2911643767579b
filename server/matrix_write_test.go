package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// write lets callers update and create; then the master key looks at what has become of it.
func (m *matrix) write() {
	m.each(func(c *matrixCaller) {
		for i := range m.rules {
			m.update(c, &m.rules[i])
			m.addFields(c, &m.rules[i])
			m.create(c, &m.rules[i])
		}
	})
	for i := range m.rules {
		r := &m.rules[i]
		got, want := map[string]int{}, map[string]int{}
		for _, v := range m.must(http.MethodGet, "/classes/"+r.name+"?limit=10000", nil)["results"].([]any) {
			o := v.(map[string]any)
			if o["title"] == "new" {
				got["new"]++
			} else if n, _ := o["hits"].(float64); n > 0 {
				got[idOf(o)] = int(n)
			}
		}
		for _, o := range r.objects() {
			if n := m.hits[r.id(&o)]; n > 0 {
				want[r.id(&o)] = n
			}
		}
		if n := m.hits[r.name]; n > 0 {
			want["new"] = n
		}
		if !maps.Equal(want, got) {
			m.t.Errorf("class %s: writes that had an effect\n- %v\n+ %v", r.name, want, got)
		}
	}
}

// hit notes that a write must have an effect.
func (m *matrix) hit(what, want string) {
	if strings.HasPrefix(want, said()) {
		m.mu.Lock()
		m.hits[what]++
		m.mu.Unlock()
	}
}

// writes is the answer to a write that needs some permissions at once.
func (r *classRule) writes(c *matrixCaller, o *objectRule, ops ...string) string {
	for _, op := range ops {
		if _, code := r.admits(c, op); code != 0 {
			return denial(code)
		}
	}
	for _, op := range ops {
		if !r.reaches(c, op, o) {
			return denial(101)
		}
	}
	return said()
}

func (m *matrix) update(c *matrixCaller, r *classRule) {
	objects := r.objects()
	list := make([]exchange, len(objects))
	check := func(surface string, o *objectRule, a answered) {
		want := r.writes(c, o, "update")
		m.hit(r.id(o), want)
		m.cell(c, surface, "update", r.id(o), want, a.wrote("ACL", "secret", "title"))
	}
	for i := range objects {
		o := &objects[i]
		list[i] = exchange{method: "PUT", path: "/classes/" + r.name + "/" + r.id(o), body: map[string]any{"hits": map[string]any{"__op": "Increment", "amount": 1}}}
		if !m.takes(c.name, "update", r.id(o)) {
			continue
		}
		check(bySelf.name, o, m.rest(c, list[i]))
		if o.common {
			check(byOverride.name, o, m.override(c, list[i]))
			check("transaction", o, m.batch(c, true, list[i])[0])
		}
	}
	if m.takes(c.name, "update", r.name) {
		for i, a := range m.batch(c, false, list...) {
			check(byBatch.name, &objects[i], a)
		}
	}
}

// addFields updates objects with fields that the class has not. Each of them
// makes a column, which is dear: some objects must do.
func (m *matrix) addFields(c *matrixCaller, r *classRule) {
	for _, o := range r.objects() {
		by := bySelf
		switch o.name {
		case "noACL", "ownerRW":
		case "astray":
			by = byBatch
		default:
			continue
		}
		if !m.takes(c.name, "addField", r.id(&o)) {
			continue
		}
		want := r.writes(c, &o, "update", "addField")
		m.hit(r.id(&o), want)
		a := by.send(m, c, exchange{method: "PUT", path: "/classes/" + r.name + "/" + r.id(&o), body: map[string]any{
			"hits": map[string]any{"__op": "Increment", "amount": 1}, newField(c, o.name): true,
		}})
		m.cell(c, by.name, "addField by update", r.id(&o), want, a.wrote("ACL", "secret", "title"))
	}
}

// newField is the name of a field that no class has.
func newField(c *matrixCaller, what string) string {
	return "x" + strings.ReplaceAll(c.name, "-", "") + what
}

func (m *matrix) create(c *matrixCaller, r *classRule) {
	check := func(surface, op string, more map[string]any, send func(x exchange) answered, ops ...string) {
		if !m.takes(c.name, surface, op, r.name) {
			return
		}
		want := said()
		if r.newACL() {
			want = said("ACL")
		}
		for _, op := range ops {
			// An object that is not there yet points to nobody: that alone admits to nothing.
			if fields, code := r.admits(c, op); code != 0 {
				want = denial(code)
				break
			} else if len(fields) > 0 && !r.ops[op].has(signed) {
				want = denial(119)
			}
		}
		body := map[string]any{"title": "new", "secret": "s"}
		maps.Copy(body, more)
		m.hit(r.name, want)
		m.cell(c, surface, op, r.name, want, send(exchange{method: "POST", path: "/classes/" + r.name, body: body}).wrote("ACL", "secret", "title"))
	}
	one := func(transaction bool) func(x exchange) answered {
		return func(x exchange) answered { return m.batch(c, transaction, x)[0] }
	}
	rest := func(x exchange) answered { return m.rest(c, x) }
	check(bySelf.name, "create", nil, rest, "create")
	check(byOverride.name, "create", nil, func(x exchange) answered { return m.override(c, x) }, "create")
	check(byBatch.name, "create", nil, one(false), "create")
	check("transaction", "create", nil, one(true), "create")
	check(bySelf.name, "addField by create", map[string]any{newField(c, "made"): 1}, rest, "create", "addField")
	check(byBatch.name, "addField by create", map[string]any{newField(c, "batched"): 1}, one(false), "create", "addField")
}

// delete lets callers delete, each an object of his own on each surface; then
// the master key looks at what is left.
func (m *matrix) delete() {
	type spare struct {
		c  *matrixCaller
		by *surface
		r  *classRule
		o  objectRule
		x  exchange
	}
	var spares []spare
	var made []exchange
	for i := range m.rules {
		r := &m.rules[i]
		for j := range matrixCallers {
			c := &matrixCallers[j]
			for k := range surfaces {
				for _, o := range r.objects() {
					by := &surfaces[k]
					if by.name == byOverride.name && !o.common || !m.takes(c.name, by.name, "delete", r.id(&o)) {
						continue
					}
					id := fmt.Sprintf("spare%d%d%s", j, k, r.id(&o))
					made = append(made, r.made(id, &o))
					spares = append(spares, spare{c: c, by: by, r: r, o: o, x: exchange{method: "DELETE", path: "/classes/" + r.name + "/" + id}})
				}
			}
		}
	}
	m.mustAll(made)
	left := map[string]bool{}
	check := func(s *spare, a answered) {
		want := s.r.writes(s.c, &s.o, "delete")
		m.cell(s.c, s.by.name, "delete", s.r.id(&s.o), want, a.wrote())
		m.mu.Lock()
		defer m.mu.Unlock()
		if want != said() {
			left[s.x.path[strings.LastIndexByte(s.x.path, '/')+1:]] = true
		}
	}
	m.each(func(c *matrixCaller) {
		var many []*spare
		var list []exchange
		flush := func() {
			for i, a := range m.batch(c, false, list...) {
				check(many[i], a)
			}
			many, list = nil, nil
		}
		for i := range spares {
			s := &spares[i]
			switch {
			case s.c != c:
			case s.by.name == byBatch.name:
				if many, list = append(many, s), append(list, s.x); len(list) == 40 {
					flush()
				}
			default:
				check(s, s.by.send(m, c, s.x))
			}
		}
		if len(list) > 0 {
			flush()
		}
	})
	got := map[string]bool{}
	for i := range m.rules {
		for _, v := range m.must(http.MethodGet, "/classes/"+m.rules[i].name+`?keys=objectId&limit=10000`, nil)["results"].([]any) {
			if id := idOf(v); strings.HasPrefix(id, "spare") {
				got[id] = true
			}
		}
	}
	if !maps.Equal(left, got) {
		diff := []string{}
		for id := range left {
			if !got[id] {
				diff = append(diff, "-"+id)
			}
		}
		for id := range got {
			if !left[id] {
				diff = append(diff, "+"+id)
			}
		}
		slices.Sort(diff)
		m.t.Errorf("what deletes have left: %v", diff)
	}
}
