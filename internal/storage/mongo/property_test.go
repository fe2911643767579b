package mongo_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// drawAny draws from few values of many types, so that they often meet.
func drawAny(t *rapid.T, depth int) parse.Value {
	kinds := 10
	if depth == 0 {
		kinds = 8
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2, 3:
		return rapid.SampledFrom([]parse.Value{0.0, 1.0, 1.5, -1.0, parse.Int(9007199254740993), 9007199254740992.0}).Draw(t, "number")
	case 4, 5:
		return rapid.SampledFrom([]parse.Value{"", "a", "b", "A", "ab", "é", "1"}).Draw(t, "text")
	case 6:
		return rapid.SampledFrom([]parse.Value{parse.Date(0), parse.Date(1000)}).Draw(t, "date")
	case 7:
		return parse.Pointer{ClassName: "Foo", ObjectID: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "id")}
	case 8:
		return parse.GeoPoint{Latitude: 1, Longitude: float64(rapid.IntRange(0, 1).Draw(t, "lng"))}
	case 9:
		return drawArray(t, depth)
	}
	return drawMap(t, depth)
}

func drawArray(t *rapid.T, depth int) parse.Array {
	a := parse.Array{}
	for range rapid.IntRange(0, 3).Draw(t, "len") {
		a = append(a, drawAny(t, depth-1))
	}
	return a
}

func drawMap(t *rapid.T, depth int) *parse.Map {
	m := &parse.Map{}
	for _, k := range rapid.Permutation([]string{"a", "b", "0"}).Draw(t, "keys")[:rapid.IntRange(0, 3).Draw(t, "n")] {
		m.Set(k, drawAny(t, depth-1))
	}
	return m
}

func drawNode(t *rapid.T, depth int) query.Node {
	kinds := 7
	if depth == 0 {
		kinds = 4
	}
	path := query.Path(rapid.SampledFrom([]string{
		"str", "num", "when", "ptr", "geo", "arr", "obj", "new", "fans", "obj.a", "obj.a.b", "arr.0", "arr.a", "arr.0.a", "objectId", "createdAt", "new.a",
	}).Draw(t, "path"))
	switch rapid.IntRange(0, kinds).Draw(t, "node") {
	case 0, 1:
		op := rapid.SampledFrom([]query.Op{query.Eq, query.Ne, query.Lt, query.Lte, query.Gt, query.Gte}).Draw(t, "op")
		return &query.Compare{Path: path, Op: op, Value: drawAny(t, 2)}
	case 2:
		op := rapid.SampledFrom([]query.Op{query.In, query.Nin, query.All, query.ContainedBy}).Draw(t, "op")
		var values []parse.Value
		for range rapid.IntRange(0, 3).Draw(t, "len") {
			values = append(values, drawAny(t, 1))
		}
		return &query.Member{Path: path, Op: op, Values: values}
	case 3:
		return &query.Exists{Path: path, Want: rapid.Bool().Draw(t, "want")}
	case 4:
		return rapid.SampledFrom([]query.Node{
			&query.Regex{Path: path, Pattern: "^a"}, &query.Regex{Path: path, Pattern: "A", Options: "i"},
			&query.Permission{Subjects: []string{"*", "u"}}, &query.Permission{Write: true, Subjects: []string{"*"}},
			&query.Regex{Path: path, Pattern: `^(?=.)[[:lower:]]$`}, &query.Regex{Path: path, Pattern: "(?x) b $", Options: "m"},
			&query.Near{Path: path, Point: parse.GeoPoint{Latitude: 1}, Limited: true, MaxDistance: 0.01},
			&query.Within{Path: path, Area: query.Box{South: 1, West: 0.5, North: 2, East: 2}},
			&query.Within{Path: path, Area: query.Sphere{Center: parse.GeoPoint{Latitude: 1, Longitude: 1}, Radius: 0.001}},
			&query.Intersects{Path: path, Point: parse.GeoPoint{Latitude: 1}},
			words(path, "ab b -1"), words(path, `"b"`),
			query.Never{},
		}).Draw(t, "leaf")
	}
	var nodes []query.Node
	for range rapid.IntRange(0, 3).Draw(t, "nodes") {
		nodes = append(nodes, drawNode(t, depth-1))
	}
	switch rapid.IntRange(0, 2).Draw(t, "join") {
	case 0:
		return &query.And{Nodes: nodes}
	case 1:
		return &query.Or{Nodes: nodes}
	}
	return &query.Nor{Nodes: nodes}
}

func drawObject(t *rapid.T, id string) *parse.Object {
	o := object(id)
	set := func(key string, draw func() parse.Value) {
		switch rapid.IntRange(0, 4).Draw(t, key) {
		case 0:
		case 1:
			o.Set(key, nil)
		default:
			o.Set(key, draw())
		}
	}
	from := func(values ...parse.Value) func() parse.Value {
		return func() parse.Value { return rapid.SampledFrom(values).Draw(t, "value") }
	}
	set("str", from("", "a", "b", "A", "ab", "é", "1"))
	set("num", from(0.0, 1.0, 1.5, -1.0, parse.Int(9007199254740993), 9007199254740992.0))
	set("when", from(parse.Date(0), parse.Date(1000)))
	set("ptr", from(parse.Pointer{ClassName: "Foo", ObjectID: "x"}, parse.Pointer{ClassName: "Foo", ObjectID: "y"}))
	set("geo", from(parse.GeoPoint{Latitude: 1}, parse.GeoPoint{Latitude: 1, Longitude: 1}))
	set("arr", func() parse.Value { return drawArray(t, 2) })
	set("obj", func() parse.Value { return drawMap(t, 2) })
	set("new", func() parse.Value { return drawAny(t, 2) })
	switch rapid.IntRange(0, 3).Draw(t, "acl") {
	case 0:
		o.ACL = parse.NewACL()
	case 1:
		o.ACL = parse.NewACL(parse.ACLEntry{Subject: "u", Read: true}, parse.ACLEntry{Subject: "*", Write: true})
	}
	return o
}

// MongoDB finds, counts and removes what the matcher says.
func TestFindIsMatch(t *testing.T) {
	s, _ := open(t)
	c := game()
	ids := func(objects []*parse.Object) []string {
		out := []string{}
		for _, o := range objects {
			out = append(out, o.ID)
		}
		slices.Sort(out)
		return out
	}
	rapid.Check(t, func(rt *rapid.T) {
		if _, err := s.Delete(t.Context(), c, nil); err != nil {
			rt.Fatal(err)
		}
		var objects []*parse.Object
		for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
			objects = append(objects, drawObject(rt, id))
		}
		if err := s.Insert(t.Context(), c, objects); err != nil {
			rt.Fatal(err)
		}
		for range 10 {
			where := drawNode(rt, 2)
			m, err := query.Compile(where)
			if err != nil {
				rt.Fatal(err)
			}
			want := []string{}
			for _, o := range objects {
				if m.Match(o) {
					want = append(want, o.ID)
				}
			}
			found, err := s.Find(t.Context(), &storage.Find{Class: c, Where: where, Limit: query.NoLimit})
			if err != nil {
				rt.Fatalf("%s: %v", query.Canonical(where), err)
			}
			n, err := s.Count(t.Context(), c, where, nil)
			if err != nil || int(n) != len(want) || !slices.Equal(ids(found), want) {
				for _, o := range objects {
					rt.Log(o.ID, text(o))
				}
				rt.Fatalf("%s: found %v, counted %d (%v), want %v", query.Canonical(where), ids(found), n, err, want)
			}
		}
	})
}

// words is a search without an index, which the matcher does.
func words(path query.Path, term string) query.Node {
	n, err := query.NewText(path, term, "", false, false)
	if err != nil {
		panic(err)
	}
	return n
}
