package server_test

import (
	"fmt"
	"slices"
	"strings"
)

// surface is a way to send a request.
type surface struct {
	name string
	send func(m *matrix, c *matrixCaller, x exchange) answered
}

var (
	bySelf     = surface{"REST", (*matrix).rest}
	byOverride = surface{"`_method`", (*matrix).override}
	byBatch    = surface{"batch", func(m *matrix, c *matrixCaller, x exchange) answered { return m.batch(c, false, x)[0] }}
	surfaces   = []surface{bySelf, byOverride, byBatch}
)

// read asks everything that changes nothing.
func (m *matrix) read(c *matrixCaller) {
	for i := range m.rules {
		r := &m.rules[i]
		m.readObjects(c, r)
		m.find(c, r)
		m.askForHidden(c, r)
		m.subqueries(c, r)
		m.include(c, r)
		m.aggregate(c, r)
	}
}

// readObjects gets each object by its id.
func (m *matrix) readObjects(c *matrixCaller, r *classRule) {
	objects := r.objects()
	get := func(o *objectRule) exchange {
		return exchange{method: "GET", path: "/classes/" + r.name + "/" + r.id(o)}
	}
	want := func(o *objectRule) string {
		switch _, code := r.admits(c, "get"); {
		case code != 0:
			return denial(code)
		case !r.reaches(c, "get", o):
			return denial(101)
		}
		return said(r.seen(c, o))
	}
	list := make([]exchange, len(objects))
	for i := range objects {
		o := &objects[i]
		list[i] = get(o)
		if !m.takes(c.name, "get", r.id(o)) {
			continue
		}
		m.cell(c, bySelf.name, "get", r.id(o), want(o), bySelf.send(m, c, list[i]).one())
		if !o.common {
			continue
		}
		m.cell(c, byOverride.name, "get", r.id(o), want(o), byOverride.send(m, c, list[i]).one())
		// A find by nothing but the id is a get, and one that finds nothing is no error.
		byID := exchange{method: "GET", path: "/classes/" + r.name, params: map[string]any{"where": map[string]any{"objectId": r.id(o)}}}
		found := want(o)
		if _, code := r.admits(c, "get"); code == 0 && !r.reaches(c, "get", o) {
			found = said()
		}
		m.cell(c, bySelf.name, "find by id", r.id(o), found, bySelf.send(m, c, byID).found(shownOf))
	}
	if !m.takes(c.name, "get", r.name) {
		return
	}
	for i, a := range m.batch(c, false, list...) {
		m.cell(c, byBatch.name, "get", r.id(&objects[i]), want(&objects[i]), a.one())
	}
}

// seen is an object as the caller sees it.
func (r *classRule) seen(c *matrixCaller, o *objectRule) string {
	return fmt.Sprintf("%s[%s]", r.id(o), r.shows(c, o))
}

// reached lists what an operation finds, as show says it.
func (r *classRule) reached(c *matrixCaller, op string, show func(o *objectRule) string) []string {
	out := []string{}
	for _, o := range r.objects() {
		if r.reaches(c, op, &o) {
			out = append(out, show(&o))
		}
	}
	slices.Sort(out)
	return out
}

// expects is what a read of the class must answer: what is found, or the refusal.
func (r *classRule) expects(c *matrixCaller, op string, show func(o *objectRule) string) string {
	if _, code := r.admits(c, op); code != 0 {
		return denial(code)
	}
	return said(r.reached(c, op, show)...)
}

func (m *matrix) find(c *matrixCaller, r *classRule) {
	ask := func(by surface, op, want string, params map[string]any, read func(any) string) {
		if m.takes(c.name, by.name, op, r.name) {
			m.cell(c, by.name, op, r.name, want, by.send(m, c, exchange{method: "GET", path: "/classes/" + r.name, params: params}).found(read))
		}
	}
	whole := r.expects(c, "find", func(o *objectRule) string { return r.seen(c, o) })
	counted := r.expects(c, "find", r.id)
	if _, code := r.admits(c, "find"); code == 0 {
		counted = said(fmt.Sprintf("count %d", len(r.reached(c, "count", r.id))))
		if _, code := r.admits(c, "count"); code != 0 {
			counted = denial(code)
		}
	}
	for _, by := range surfaces {
		ask(by, "find", whole, map[string]any{}, shownOf)
		ask(by, "count", counted, map[string]any{"count": 1, "limit": 0}, shownOf)
	}
	ask(bySelf, "find", whole, map[string]any{"where": map[string]any{"$or": []any{map[string]any{"title": "x"}, map[string]any{"hits": 0}}}}, shownOf)
	some := func(keep ...string) string {
		return r.expects(c, "find", func(o *objectRule) string {
			fields := slices.DeleteFunc(strings.Split(r.shows(c, o), ","), func(f string) bool { return !slices.Contains(keep, f) })
			return fmt.Sprintf("%s[%s]", r.id(o), strings.Join(fields, ","))
		})
	}
	ask(bySelf, "find, keys", some("ACL", "pay", "title"), map[string]any{"keys": "pay,title"}, shownOf)
	ask(bySelf, "find, excludeKeys", some("ACL", "hits", "pay", "secret", "title"), map[string]any{"excludeKeys": "to,cc"}, shownOf)
}

// askForHidden filters and sorts by fields that may be hidden.
func (m *matrix) askForHidden(c *matrixCaller, r *classRule) {
	if r.protected == nil && r.name != "Everybody" {
		return
	}
	for _, f := range []string{"secret", "pay"} {
		want := r.expects(c, "find", r.id)
		if want[:2] == "ok" && slices.Contains(r.hidden(c, nil), f) {
			want = denial(119)
		}
		there := map[string]any{f: map[string]any{"$exists": true}}
		for op, params := range map[string]map[string]any{
			"where":        {"where": there},
			"where, $or":   {"where": map[string]any{"$or": []any{map[string]any{"title": "x"}, there}}},
			"where, $and":  {"where": map[string]any{"$and": []any{map[string]any{"hits": 0}, there}}},
			"where, $nor":  {"where": map[string]any{"$nor": []any{map[string]any{f: nil}}}},
			"order":        {"order": f},
			"order, below": {"order": "title,-" + f},
		} {
			x := exchange{method: "GET", path: "/classes/" + r.name, params: params}
			for _, by := range surfaces {
				if m.takes(c.name, by.name, op, f, r.name) {
					m.cell(c, by.name, "hidden field in "+op, r.name+"."+f, want, by.send(m, c, x).found(idOf))
				}
			}
		}
	}
}

// subqueries finds Holders by queries on the class.
func (m *matrix) subqueries(c *matrixCaller, r *classRule) {
	ask := func(op, want string, where map[string]any) {
		if !m.takes(c.name, op, r.name) {
			return
		}
		x := exchange{method: "GET", path: "/classes/Holder", params: map[string]any{"where": where, "limit": 1000}}
		m.cell(c, "sub-query", op, r.name, want, bySelf.send(m, c, x).found(idOf))
	}
	holder := func(o *objectRule) string { return "H" + r.id(o) }
	yes := r.expects(c, "find", holder)
	no := yes
	if _, code := r.admits(c, "find"); code == 0 {
		var others []string
		for _, o := range r.objects() {
			if !r.reaches(c, "find", &o) {
				others = append(others, holder(&o))
			}
		}
		slices.Sort(others)
		no = said(others...)
	}
	unless := func(field, want string) string {
		if want[:2] == "ok" && slices.Contains(r.hidden(c, nil), field) {
			return denial(119)
		}
		return want
	}
	query := func(where map[string]any) map[string]any {
		return map[string]any{"className": r.name, "where": where}
	}
	of := func(where map[string]any) map[string]any { where["of"] = r.name; return where }
	there := map[string]any{"secret": map[string]any{"$exists": true}}
	selected := func(key string) map[string]any { return map[string]any{"key": key, "query": query(map[string]any{})} }
	ask("$inQuery", yes, map[string]any{r.column(): map[string]any{"$inQuery": query(map[string]any{})}})
	ask("$notInQuery", no, of(map[string]any{r.column(): map[string]any{"$notInQuery": query(map[string]any{})}}))
	ask("$inQuery by a hidden field", unless("secret", yes), map[string]any{r.column(): map[string]any{"$inQuery": query(there)}})
	ask("$select", yes, map[string]any{"title": map[string]any{"$select": selected("title")}})
	ask("$dontSelect", no, of(map[string]any{"title": map[string]any{"$dontSelect": selected("title")}}))
	ask("$select of a hidden field", unless("secret", emptied(yes)), map[string]any{"title": map[string]any{"$select": selected("secret")}})
	for _, o := range r.objects() {
		want := said()
		if _, code := r.admits(c, "get"); code != 0 {
			want = denial(code)
		} else if r.reaches(c, "get", &o) {
			want = said(holder(&o))
		}
		if o.common {
			ask("$relatedTo "+o.name, want, map[string]any{"$relatedTo": map[string]any{"object": ref(r.name, r.id(&o)), "key": "links"}})
		}
	}
}

// emptied is an answer without its results.
func emptied(want string) string {
	if want[:2] == "ok" {
		return said()
	}
	return want
}

// include asks for the Holders with what they point to.
func (m *matrix) include(c *matrixCaller, r *classRule) {
	objects := r.objects()
	for _, path := range []string{r.column(), "refs"} {
		for _, by := range surfaces {
			op := "get"
			if !m.takes(c.name, "include", by.name, path, r.name) {
				continue
			}
			if path == "refs" {
				op += ", in a list"
			}
			a := by.send(m, c, exchange{method: "GET", path: "/classes/Holder", params: map[string]any{"where": map[string]any{"of": r.name}, "include": path}})
			if _, code := r.admits(c, "get"); code != 0 {
				m.cell(c, "include", op, r.name, denial(code), a.found(idOf))
				continue
			}
			got := map[string]string{}
			for _, v := range a.results() {
				h, _ := v.(map[string]any)
				o := h[path]
				if list, ok := o.([]any); ok {
					o = nil
					if len(list) > 0 {
						o = list[0]
					}
				}
				if o != nil {
					got[idOf(v)] = shownOf(o)
				}
			}
			for i := range objects {
				o, want := &objects[i], ""
				if r.reaches(c, "get", o) {
					want = r.seen(c, o)
				}
				m.cell(c, "include", op, r.id(o), want, got["H"+r.id(o)])
			}
		}
	}
}

// aggregate asks for pipelines and distinct values.
func (m *matrix) aggregate(c *matrixCaller, r *classRule) {
	hidden := r.hidden(c, nil)
	// Without a permission to aggregate the class is for the master keys alone.
	_, given := r.ops["aggregate"]
	want := func(field string, show func(o *objectRule) string) string {
		switch _, code := r.admits(c, "aggregate"); {
		case c.key == "maintenance", c.key == "" && (r.open || !given):
			return denial(403)
		case code != 0:
			return denial(code)
		case slices.Contains(hidden, field):
			return denial(119)
		}
		return said(slices.Compact(r.reached(c, "aggregate", show))...)
	}
	ask := func(op, want string, params map[string]any, read func(any) string) {
		for _, by := range surfaces {
			if m.takes(c.name, by.name, op, r.name) {
				x := exchange{method: "GET", path: "/aggregate/" + r.name, params: params}
				m.cell(c, by.name, op, r.name, want, by.send(m, c, x).found(read))
			}
		}
	}
	pipeline := func(stage map[string]any) map[string]any { return map[string]any{"pipeline": []any{stage}} }
	ask("aggregate", want("", func(o *objectRule) string {
		return fmt.Sprintf("%s[%s]", r.id(o), strings.TrimPrefix(strings.ReplaceAll(","+o.without(hidden), ",ACL", ""), ","))
	}), pipeline(map[string]any{"$match": map[string]any{}}), func(v any) string { return strings.ReplaceAll(shownOf(v), "ACL,", "") })
	ask("aggregate by a hidden field", want("pay", func(*objectRule) string { return "1" }),
		pipeline(map[string]any{"$group": map[string]any{"_id": "$pay"}}), idOf)
	ask("distinct", want("", r.id), map[string]any{"distinct": "title"}, func(v any) string { return fmt.Sprint(v) })
	ask("distinct of a hidden field", want("secret", func(*objectRule) string { return "s" }), map[string]any{"distinct": "secret"}, func(v any) string { return fmt.Sprint(v) })
}
