package server_test

import (
	"fmt"
	"net/http"
	"strings"
)

// Requests of the difference fuzzer. Hidden and visible fields are named alike:
// a refusal must not depend on a value either.

// idsOf lists objects that requests name; some are hidden, one is not there.
var idsOf = map[string][]string{
	"Doc":      {"d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9", "none"},
	"Vault":    {"v0", "v1"},
	"Mail":     {"m1", "m2", "m3"},
	"_User":    {userID("ada"), userID("bob"), userID("cyd")},
	"_Role":    {"rboss", "rhr", "none"},
	"_Session": {"sbob", "none"},
}

func pick[T any](w *worlds, list ...T) T { return list[w.rnd.IntN(len(list))] }

func (w *worlds) some(list []string) []string {
	var out []string
	for range 1 + w.rnd.IntN(3) {
		out = append(out, pick(w, list...))
	}
	return out
}

func (w *worlds) class() string {
	return pick(w, "Doc", "Doc", "Doc", "Doc", "Mail", "Vault", "_User", "_Role")
}

// request makes a random request.
func (w *worlds) request() request {
	class := w.class()
	one := "/classes/" + class + "/" + pick(w, idsOf[class]...)
	switch n := w.rnd.IntN(100); {
	case n < 50:
		return request{kind: "find", Method: http.MethodGet, Path: "/classes/" + class, Query: w.findQuery(class)}
	case n < 58:
		return request{kind: "get", Method: http.MethodGet, Path: one, Query: w.shape(class)}
	case n < 70:
		q := map[string]any{"pipeline": w.pipeline()}
		class := pick(w, "Doc", "Doc", "Mail")
		w.advise(class, q)
		return request{kind: "aggregate", Method: http.MethodGet, Path: "/aggregate/" + class, Query: q}
	case n < 77:
		q := map[string]any{"distinct": pick(w, fieldsOf["Doc"]...)}
		if w.rnd.IntN(2) == 0 {
			q["where"] = w.where("Doc", 1)
		}
		w.advise("Doc", q)
		return request{kind: "distinct", Method: http.MethodGet, Path: "/aggregate/Doc", Query: q}
	case n < 88:
		return request{kind: "update", Method: http.MethodPut, Path: one, Body: w.change(class)}
	case n < 89:
		return request{kind: "delete", Method: http.MethodDelete, Path: one}
	case n < 91:
		// Ids and tokens of sessions are drawn: they are counted.
		q := map[string]any{"where": w.where("_Session", 1), "count": 1, "limit": 0}
		return request{kind: "sessions", Method: http.MethodGet, Path: pick(w, "/sessions", "/classes/_Session"), Query: q}
	case n < 95:
		class := w.class()
		return request{kind: "function", Method: http.MethodPost, Path: "/functions/find", Body: map[string]any{"class": class, "where": jsonText(w.where(class, 1))}}
	case n < 96:
		return request{kind: "schema", Method: http.MethodGet, Path: "/schemas/" + class}
	default:
		var list []any
		for range 1 + w.rnd.IntN(3) {
			class := w.class()
			if w.rnd.IntN(3) == 0 {
				list = append(list, map[string]any{"method": "GET", "path": "/parse/classes/" + class, "body": w.findQuery(class)})
				continue
			}
			list = append(list, map[string]any{"method": "PUT", "path": "/parse/classes/" + class + "/" + pick(w, idsOf[class]...), "body": w.change(class)})
		}
		return request{kind: "batch", Method: http.MethodPost, Path: "/batch", Body: map[string]any{"requests": list, "transaction": w.rnd.IntN(3) == 0}}
	}
}

// shape are parameters that choose what an answer shows.
func (w *worlds) shape(class string) map[string]any {
	q := map[string]any{}
	if w.rnd.IntN(3) == 0 {
		q["keys"] = strings.Join(w.some(fieldsOf[class]), ",")
	}
	if w.rnd.IntN(4) == 0 {
		q["excludeKeys"] = strings.Join(w.some(fieldsOf[class]), ",")
	}
	if w.rnd.IntN(2) == 0 {
		q["include"] = pick(w, "parent", "vault", "owner", "parent.parent", "parent.vault", "parent.owner", "to", "cc", "*", "secret", "hidden")
	}
	return q
}

// advise adds parameters that say how the database shall answer.
func (w *worlds) advise(class string, q map[string]any) {
	switch w.rnd.IntN(12) {
	case 0, 1:
		q["hint"] = pick[any](w, pick(w, indexesOf[class]...), "_id_", "nope", map[string]any{pick(w, fieldsOf[class]...): pick(w, 1, -1)})
	case 2:
		q["explain"] = pick(w, "true", "queryPlanner", "executionStats", "allPlansExecution")
		if w.rnd.IntN(2) == 0 {
			q["hint"] = pick(w, indexesOf[class]...)
		}
	case 3:
		q[pick(w, "readPreference", "includeReadPreference", "subqueryReadPreference")] = pick(w, "PRIMARY", "NEAREST", "secondary_preferred", "nope")
	case 4:
		q["comment"] = pick(w, "who asks", "*/ --", "7")
	case 5:
		if w.rnd.IntN(4) == 0 {
			q["maxTimeMS"] = 1000
		}
	}
}

func (w *worlds) findQuery(class string) map[string]any {
	q := w.shape(class)
	if w.rnd.IntN(5) > 0 {
		q["where"] = w.where(class, 2)
	}
	switch w.rnd.IntN(4) {
	case 0:
		q["order"] = pick(w, "", "-") + pick(w, fieldsOf[class]...)
	case 1:
		q["order"] = strings.Join(w.some(append(fieldsOf[class], "inner.a", "body.a", "-title", "parent.title")), ",")
	}
	if w.rnd.IntN(4) == 0 {
		q["limit"] = w.rnd.IntN(4)
	}
	if w.rnd.IntN(5) == 0 {
		q["skip"] = w.rnd.IntN(4)
	} else if w.rnd.IntN(5) == 0 {
		q["cursor"], q["limit"] = "", 1+w.rnd.IntN(3)
	}
	switch w.rnd.IntN(8) {
	case 0, 1:
		q["count"] = 1
	case 2:
		q["count"], q["limit"] = 1, 0
	}
	w.advise(class, q)
	if class == "Doc" && w.rnd.IntN(12) == 0 {
		q["redirectClassNameForKey"] = pick(w, "parent", "vault", "owner", "hidden")
	}
	return q
}

// where makes a tree of constraints.
func (w *worlds) where(class string, depth int) map[string]any {
	out := map[string]any{}
	for range 1 + w.rnd.IntN(2) {
		if depth > 0 && w.rnd.IntN(4) == 0 {
			out[pick(w, "$or", "$and", "$nor")] = []any{w.where(class, depth-1), w.where(class, depth-1)}
			continue
		}
		k, v := w.constraint(class, depth)
		out[k] = v
	}
	return out
}

func (w *worlds) value() any {
	n := w.rnd.IntN(8)
	return pick[any](w, n, label(n), label(n), fmt.Sprintf("base-%d@example.com", n), ref("Doc", fmt.Sprintf("d%d", n)), ref("_User", userID(pick(w, "ada", "bob", "cyd"))))
}

func (w *worlds) constraint(class string, depth int) (field string, condition any) {
	field = pick(w, fieldsOf[class]...)
	switch w.rnd.IntN(24) {
	case 0:
		return "objectId", pick(w, idsOf[class]...)
	case 1:
		return "objectId", map[string]any{"$in": []any{pick(w, idsOf[class]...), pick(w, idsOf[class]...)}}
	case 2:
		return pick(w, "secret", "note", "title", "text", "phone", "email"), map[string]any{"$regex": fmt.Sprintf("^base-[0-%d]", w.rnd.IntN(8))}
	case 3:
		return "place", map[string]any{"$nearSphere": map[string]any{"__type": "GeoPoint", "latitude": w.rnd.IntN(8), "longitude": 1}}
	case 4:
		return "$relatedTo", map[string]any{"object": ref("Doc", pick(w, idsOf["Doc"]...)), "key": pick(w, "links", "hidden", "secret")}
	case 5:
		return pick(w, "inner.a", "body.a", "secret.a", "grades.0", "parent.title", "parent.secret", "authData.x.id", "owner.phone"), w.value()
	case 6:
		return pick(w, "_rperm", "_wperm", "ACL", "_hashed_password"), pick[any](w, "*", "role:hr", map[string]any{"$exists": false}, userID("bob"))
	case 7, 8, 9:
		if depth > 0 {
			other := w.class()
			q := map[string]any{"className": other, "where": w.where(other, depth-1)}
			switch w.rnd.IntN(8) {
			case 0:
				w.advise(other, q)
			case 1:
				q["order"], q["limit"] = pick(w, "", "-")+pick(w, fieldsOf[other]...), 1
			case 2:
				q[pick(w, "limit", "skip")] = w.rnd.IntN(3)
			}
			if w.rnd.IntN(3) == 0 {
				sel := map[string]any{"query": q, "key": pick(w, fieldsOf[other]...)}
				return field, map[string]any{pick(w, "$select", "$dontSelect"): sel}
			}
			return pick(w, "parent", "vault", "owner", "to", "links", "hidden"), map[string]any{pick(w, "$inQuery", "$notInQuery"): q}
		}
	case 10:
		return pick(w, "secret", "title"), map[string]any{"$text": map[string]any{"$search": map[string]any{"$term": "base"}}}
	case 11:
		return field, map[string]any{"$exists": w.rnd.IntN(2) == 0}
	case 12:
		return field, map[string]any{pick(w, "$in", "$nin", "$all", "$containedBy"): []any{w.value(), w.value()}}
	case 13, 14, 15:
		return field, map[string]any{pick(w, "$gt", "$gte", "$lt", "$lte", "$ne", "$eq"): w.value()}
	}
	return field, w.value()
}

// pipeline makes an aggregate.
func (w *worlds) pipeline() []any {
	f := func() string {
		return "$" + pick(w, append(fieldsOf["Doc"], "inner.a", "body.a", "_p_parent", "_id")...)
	}
	var out []any
	for range 1 + w.rnd.IntN(3) {
		switch w.rnd.IntN(9) {
		case 0:
			out = append(out, map[string]any{"$match": w.where("Doc", 1)})
		case 1:
			out = append(out, map[string]any{"$match": map[string]any{"$expr": map[string]any{pick(w, "$eq", "$gt"): []any{f(), w.value()}}}})
		case 2:
			out = append(out, map[string]any{"$group": map[string]any{"_id": pick[any](w, nil, f()), "x": map[string]any{pick(w, "$sum", "$max", "$min", "$push", "$first"): f()}}})
		case 3:
			out = append(out, map[string]any{"$sort": map[string]any{f()[1:]: 1}})
		case 4:
			out = append(out, map[string]any{"$project": map[string]any{"x": f(), f()[1:]: 1}})
		case 5:
			out = append(out, map[string]any{"$unwind": f()})
		case 6:
			out = append(out, map[string]any{"$count": "c"})
		case 7:
			out = append(out, map[string]any{"$addFields": map[string]any{"x": map[string]any{"$concat": []any{f(), "!"}}}})
		default:
			out = append(out, map[string]any{"$lookup": map[string]any{"from": pick(w, "Doc", "Vault", "Mail", "_User"), "localField": f()[1:], "foreignField": pick(w, "secret", "code", "_id", "phone"), "as": "x"}}, map[string]any{"$limit": 1 + w.rnd.IntN(9)})
		}
	}
	return out
}

// change makes the body of an update. It grants nothing: no owner, no ACL.
func (w *worlds) change(class string) map[string]any {
	op := func(name string) map[string]any {
		if name == "Increment" {
			return map[string]any{"__op": name, "amount": w.rnd.IntN(2)}
		}
		return map[string]any{"__op": name, "objects": []any{w.rnd.IntN(4)}}
	}
	n := w.rnd.IntN(4)
	switch class {
	case "_Role":
		return map[string]any{"note": label(n)}
	case "Mail", "Vault":
		return map[string]any{"n": pick[any](w, n, op("Increment"))}
	case "_User":
		return map[string]any{pick(w, "city", "phone"): label(n)}
	}
	return pick(w,
		map[string]any{"title": label(n)},
		map[string]any{"n": op("Increment")},
		map[string]any{"tags": op(pick(w, "Add", "AddUnique", "Remove"))},
		map[string]any{"body.a": n},
		map[string]any{"parent": ref("Doc", pick(w, idsOf["Doc"]...))},
		map[string]any{"secret": label(n)},
		map[string]any{"secret": map[string]any{"__op": "Delete"}},
		map[string]any{"pay": op("Increment")},
		map[string]any{"inner.a": op("Increment")},
		map[string]any{"grades": op(pick(w, "Add", "AddUnique", "Remove"))},
		map[string]any{"hidden": map[string]any{"__op": "AddRelation", "objects": []any{ref("Doc", "d1")}}},
	)
}
