package webhook

import (
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// where is a where clause in the form of the wire. Places and texts that are
// searched for are left out: a hook sees that something was asked, not where.
func where(n query.Node) *parse.Map {
	m := &parse.Map{}
	add(m, n)
	return m
}

var operators = map[query.Op]string{
	query.Eq: "$eq", query.Ne: "$ne", query.Lt: "$lt", query.Lte: "$lte", query.Gt: "$gt", query.Gte: "$gte",
	query.In: "$in", query.Nin: "$nin", query.All: "$all", query.ContainedBy: "$containedBy",
}

// constrain adds an operator to those of a path.
func constrain(m *parse.Map, path query.Path, op string, v parse.Value) {
	old, _ := m.Get(string(path))
	ops, ok := old.(*parse.Map)
	if !ok {
		ops = &parse.Map{}
		if old != nil { // it is the value that the path must be equal to
			ops.Set("$eq", old)
		}
		m.Set(string(path), ops)
	}
	ops.Set(op, v)
}

func add(m *parse.Map, n query.Node) {
	switch n := n.(type) {
	case *query.And:
		for _, inner := range n.Nodes {
			add(m, inner)
		}
	case *query.Or:
		m.Set("$or", clauses(n.Nodes))
	case *query.Nor:
		m.Set("$nor", clauses(n.Nodes))
	case *query.Compare:
		if n.Op == query.Eq && !m.Has(string(n.Path)) {
			m.Set(string(n.Path), n.Value)
			return
		}
		constrain(m, n.Path, operators[n.Op], n.Value)
	case *query.Member:
		constrain(m, n.Path, operators[n.Op], parse.Array(n.Values))
	case *query.Exists:
		constrain(m, n.Path, "$exists", n.Want)
	case *query.Regex:
		constrain(m, n.Path, "$regex", n.Pattern)
		if n.Options != "" {
			constrain(m, n.Path, "$options", n.Options)
		}
	case *query.RelatedTo:
		m.Set("$relatedTo", parse.NewMap(field("object", n.Object), field("key", n.Key)))
	case *query.SubQuery:
		inner := parse.NewMap(field("className", n.ClassName), field("where", where(n.Where)))
		op, v := "$inQuery", inner
		if n.Key != "" {
			op, v = "$select", parse.NewMap(field("query", inner), field("key", string(n.Key)))
		}
		if n.Negate {
			op = map[string]string{"$inQuery": "$notInQuery", "$select": "$dontSelect"}[op]
		}
		constrain(m, n.Path, op, v)
	default:
	}
}

func clauses(nodes []query.Node) parse.Array {
	list := make(parse.Array, len(nodes))
	for i, n := range nodes {
		list[i] = where(n)
	}
	return list
}
