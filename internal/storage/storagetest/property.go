package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// uniqueField has a sparse unique index.
const uniqueField = "t"

// Small sets of values, so that queries meet objects.
var (
	texts    = []string{"", "a", "A", "ab", "b", "a|b", "ä", "x\"y", "100%", "tea", "Teas and cakes", "green tea\n", "aab\nb"}
	numbers  = []parse.Value{0.0, 1.0, -1.0, 1.5, 2.0, 1e300, parse.Int(1<<53 + 1)}
	subjects = []string{"*", "u1", "u2", "role:a"}
	fields   = []string{"s", "t", "n", "b", "d", "a", "o", "p", "g", "q", "f", "y"}
	paths    = append([]string{"objectId", "createdAt", "o.k", "o.m.k", "a.0", "missing"}, fields...)
)

func scalar() *rapid.Generator[parse.Value] {
	return rapid.Custom(func(t *rapid.T) parse.Value {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom(texts).Draw(t, "text")
		case 1:
			return rapid.SampledFrom(numbers).Draw(t, "number")
		case 2:
			return rapid.Bool().Draw(t, "flag")
		case 3:
			return parse.Date(rapid.Int64Range(1, 3).Draw(t, "date"))
		case 4:
			return pointer(t)
		}
		return nil
	})
}

func pointer(t *rapid.T) parse.Value {
	return parse.Pointer{ClassName: "Other", ObjectID: rapid.SampledFrom([]string{"p1", "p2"}).Draw(t, "pointer")}
}

// point draws one of few points, so that some lie on edges, at a pole and at
// the 180th meridian.
func point(t *rapid.T) parse.GeoPoint {
	return parse.GeoPoint{
		Latitude:  rapid.SampledFrom([]float64{0, 1, 2, -30.5, 60, 89.9, -90}).Draw(t, "latitude"),
		Longitude: rapid.SampledFrom([]float64{0, 1, 2, -1, 45.25, 179.9, -179.9}).Draw(t, "longitude"),
	}
}

func polygon(t *rapid.T) *parse.Polygon {
	at, size := point(t), rapid.SampledFrom([]float64{1, 2, 60}).Draw(t, "size")
	corner := func(lat, lng float64) parse.GeoPoint {
		return parse.GeoPoint{Latitude: min(at.Latitude+lat, 90), Longitude: min(at.Longitude+lng, 180)}
	}
	return &parse.Polygon{Points: []parse.GeoPoint{at, corner(0, size), corner(size, size), corner(size/2, size/4), at}}
}

// geo draws a constraint on places.
func geo(t *rapid.T) query.Node {
	path := query.Path(rapid.SampledFrom([]string{"g", "g", "g", "q", "s", "o.k", "missing"}).Draw(t, "path"))
	radius := rapid.SampledFrom([]float64{0, 0.01, 0.02, 0.5, 2, 4}).Draw(t, "radius")
	switch rapid.IntRange(0, 4).Draw(t, "geo") {
	case 0:
		return &query.Near{Path: path, Point: point(t), Limited: rapid.Bool().Draw(t, "limited"), MaxDistance: radius}
	case 1:
		a, b := point(t), point(t)
		return &query.Within{Path: path, Area: query.Box{
			South: min(a.Latitude, b.Latitude), West: min(a.Longitude, b.Longitude),
			North: max(a.Latitude, b.Latitude), East: max(a.Longitude, b.Longitude),
		}}
	case 2:
		return &query.Within{Path: path, Area: query.Ring(polygon(t).Points)}
	case 3:
		return &query.Within{Path: path, Area: query.Sphere{Center: point(t), Radius: radius}}
	}
	if path == "g" {
		path = "q"
	}
	return &query.Intersects{Path: path, Point: point(t)}
}

// value draws a value that the field's type allows, at times null.
func value(t *rapid.T, field string) parse.Value {
	if rapid.IntRange(0, 7).Draw(t, "null") == 0 {
		return nil
	}
	switch field {
	case "s", "t":
		return rapid.SampledFrom(texts).Draw(t, field)
	case "n":
		return rapid.SampledFrom(numbers).Draw(t, field)
	case "b":
		return rapid.Bool().Draw(t, field)
	case "d":
		return parse.Date(rapid.Int64Range(1, 3).Draw(t, field))
	case "p":
		return pointer(t)
	case "g":
		return point(t)
	case "q":
		return polygon(t)
	case "f":
		return parse.File{Name: rapid.SampledFrom([]string{"a.txt", "b.txt"}).Draw(t, field)}
	case "y":
		return parse.Bytes(rapid.SampledFrom([]string{"\x00", "hi"}).Draw(t, field))
	case "a":
		a := parse.Array(rapid.SliceOfN(scalar(), 0, 3).Draw(t, field))
		if rapid.IntRange(0, 3).Draw(t, "nested") == 0 {
			a = append(a, parse.NewMap(parse.MapField{Key: "k", Value: scalar().Draw(t, "k")}))
		}
		return a
	}
	inner := parse.NewMap(parse.MapField{Key: "k", Value: scalar().Draw(t, "o.m.k")})
	return parse.NewMap(parse.MapField{Key: "k", Value: scalar().Draw(t, "o.k")}, parse.MapField{Key: "m", Value: inner})
}

// stored draws a value to write. It is never null for t: of two nulls under a
// sparse unique index MongoDB says that they are duplicates, where the model
// and SQL say that they are not, and an adapter may store them as missing.
func stored(t *rapid.T, field string) parse.Value {
	v := value(t, field)
	if v == nil && field == uniqueField {
		return texts[0]
	}
	return v
}

func drawACL(t *rapid.T) *parse.ACL {
	if rapid.Bool().Draw(t, "public") {
		return nil
	}
	acl := parse.NewACL()
	for _, s := range rapid.SliceOfNDistinct(rapid.SampledFrom(subjects), 0, 2, rapid.ID).Draw(t, "acl") {
		acl.Set(s, true, rapid.Bool().Draw(t, "write"))
	}
	return acl
}

func drawObject(t *rapid.T, class, id string) *parse.Object {
	o := &parse.Object{ClassName: class, ID: id, CreatedAt: parse.Date(rapid.Int64Range(1, 3).Draw(t, "created")), UpdatedAt: 1}
	for _, f := range fields {
		if rapid.Bool().Draw(t, "has "+f) {
			o.Set(f, stored(t, f))
		}
	}
	o.ACL = drawACL(t)
	return o
}

// node draws a query tree of at most the given depth.
func node(t *rapid.T, depth int) query.Node {
	path := query.Path(rapid.SampledFrom(paths).Draw(t, "path"))
	kind := rapid.IntRange(0, 10).Draw(t, "node")
	if depth == 0 {
		kind = min(kind, 7)
	}
	operand := func() parse.Value {
		root := path.Root()
		if !path.Dotted() && slices.Contains(fields, root) && rapid.IntRange(0, 2).Draw(t, "fits") > 0 {
			return value(t, root)
		}
		return scalar().Draw(t, "operand")
	}
	switch kind {
	case 0, 1, 2, 3:
		op := rapid.SampledFrom([]query.Op{query.Eq, query.Eq, query.Ne, query.Lt, query.Lte, query.Gt, query.Gte}).Draw(t, "op")
		v := operand()
		_, date := v.(parse.Date)
		return &query.Compare{Path: path, Op: op, Value: v, Relative: date && rapid.Bool().Draw(t, "relative")}
	case 4, 5:
		m := &query.Member{Path: path, Op: rapid.SampledFrom([]query.Op{query.In, query.Nin, query.All, query.ContainedBy}).Draw(t, "op")}
		for range rapid.IntRange(0, 10).Draw(t, "values") {
			m.Values = append(m.Values, operand())
		}
		return m
	case 6:
		return &query.Exists{Path: path, Want: rapid.Bool().Draw(t, "want")}
	case 7:
		if rapid.Bool().Draw(t, "place") {
			return geo(t)
		}
		if rapid.Bool().Draw(t, "permission") {
			return &query.Permission{Write: rapid.Bool().Draw(t, "write"), Subjects: subjects[:rapid.IntRange(1, 4).Draw(t, "subjects")]}
		}
		if rapid.Bool().Draw(t, "text") {
			return search(t, path)
		}
		return pattern(t, path)
	}
	nodes := make([]query.Node, rapid.IntRange(1, 3).Draw(t, "branches"))
	for i := range nodes {
		nodes[i] = node(t, depth-1)
	}
	switch kind {
	case 8:
		return &query.And{Nodes: nodes}
	case 9:
		return &query.Or{Nodes: nodes}
	}
	return &query.Nor{Nodes: nodes}
}

// patterns have everything that a pattern may be made of, one of each; but no
// number of a group, which FerretDB does not count.
var patterns = []string{
	"^a", "^ab?", `^\Qa|b\E`, "b$", "A", "^a|b", "^", "^a{2}", "^(a|A)", "", "^a$", `^\Qtea\E$`, "ea", `\Q|\E`, "tea$", `(?i)^TEA`,
	`^(?=.*b)a`, `a(?!b)`, `(?<=a)b`, `(?<!a)b`, `(?<x>a)\k<x>`, `(?>a+)b`, `a++b`, `(?x) a \| b # text`, `[[:upper:]]`, `\bc`, `\s`, `^b`, `e.*\Z`,
	`^\p{L}+$`, `(?<n>e)a\k<n>?`, `[^a-z]`,
}

func pattern(t *rapid.T, path query.Path) query.Node {
	return &query.Regex{
		Path: path, Pattern: rapid.SampledFrom(patterns).Draw(t, "pattern"),
		Options: rapid.SampledFrom([]string{"", "i", "m", "s", "x", "imsx"}).Draw(t, "options"),
	}
}

// search draws a search of words that all databases take for the same.
func search(t *rapid.T, path query.Path) query.Node {
	term := rapid.SampledFrom([]string{"tea", "TEAS", "cake green", "tea -cake", `"green tea"`, "-tea", "and", `tea -"and cakes"`}).Draw(t, "term")
	n, err := query.NewText(path, term, "", rapid.IntRange(0, 3).Draw(t, "case") == 0, rapid.IntRange(0, 3).Draw(t, "marks") == 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// update draws operations that suit the types of the fields.
func update(t *rapid.T) *parse.Map {
	ops := &parse.Map{}
	for range rapid.IntRange(0, 3).Draw(t, "ops") {
		f := rapid.SampledFrom(fields).Draw(t, "field")
		list := func() parse.Array { return rapid.SliceOfN(scalar(), 1, 2).Draw(t, "objects") }
		switch kind := rapid.IntRange(0, 4).Draw(t, "op"); {
		case kind == 0:
			ops.Set(f, parse.Delete{})
		case kind == 1 && f == "n":
			ops.Set(f, parse.Increment{Amount: 1})
		case kind == 1 && f == "a":
			ops.Set(f, parse.Add{Objects: list()})
		case kind == 2 && f == "a":
			ops.Set(f, parse.AddUnique{Objects: list()})
		case kind == 3 && f == "a":
			ops.Set(f, parse.Remove{Objects: list()})
		default:
			ops.Set(f, stored(t, f))
		}
	}
	return ops
}

// RunProperty compares a store with the model on random objects, queries and
// sequences of writes.
func RunProperty(t *testing.T, open func(t *testing.T) storage.Store) {
	t.Helper()
	s := storage.Checked(open(t))
	round := 0
	if storage.IsTyped(s) {
		// How it compares with integers that are no doubles is its own affair.
		defer func(all []parse.Value) { numbers = all }(numbers)
		numbers = slices.DeleteFunc(slices.Clone(numbers), func(v parse.Value) bool { _, ok := v.(parse.Int); return ok })
	}
	rapid.Check(t, func(rt *rapid.T) {
		round++
		p := pair{got: s, want: newModelOf(s), class: NewClass(fmt.Sprintf("Random%d", round), schema.Index{
			Name: "s_1", Keys: []schema.IndexKey{{Field: "s"}},
		}, *TextIndex("s"), schema.Index{
			Name: "t_1", Keys: []schema.IndexKey{{Field: uniqueField}}, Unique: true, Sparse: true,
		})}
		create(t, s, p.class)
		defer func() {
			_ = s.ApplySchema(t.Context(), []schema.Step{{Kind: schema.DropClass, Class: p.class.Name}})
		}()
		for i := range rapid.IntRange(1, 12).Draw(rt, "objects") {
			p.insert(t, rt, drawObject(rt, p.class.Name, fmt.Sprintf("o%d", i)))
		}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				p.update(t, rt)
			case 1:
				p.remove(t, rt)
			default:
				p.find(t, rt)
			}
		}
		p.compare(t, rt, &storage.Find{Class: p.class, Limit: query.NoLimit})
	})
}

// pair is a store and the model of it.
type pair struct {
	got, want storage.Store
	class     *schema.Class
}

// same reports a difference in the kind of two errors.
func same(rt *rapid.T, what string, got, want error) {
	var a, b *storage.DuplicateError
	if (got == nil) != (want == nil) || errors.As(got, &a) != errors.As(want, &b) || a != nil && a.Index != b.Index ||
		errors.Is(got, storage.ErrNotFound) != errors.Is(want, storage.ErrNotFound) {
		rt.Fatalf("%s: error %v, model %v", what, got, want)
	}
}

func (p *pair) insert(t *testing.T, rt *rapid.T, o *parse.Object) {
	same(rt, "insert", p.got.Insert(t.Context(), p.class, []*parse.Object{o}), p.want.Insert(t.Context(), p.class, []*parse.Object{o}))
}

func (p *pair) update(t *testing.T, rt *rapid.T) {
	id := fmt.Sprintf("o%d", rapid.IntRange(0, 11).Draw(rt, "id"))
	u := &storage.Update{
		Class: p.class, Where: query.AllOf(query.ByID(id), node(rt, 0)), Ops: update(rt), UpdatedAt: 2,
		SetACL: rapid.Bool().Draw(rt, "set acl"),
	}
	if u.SetACL {
		u.ACL = drawACL(rt)
	}
	before, after, err := p.got.Update(t.Context(), u)
	wantBefore, wantAfter, wantErr := p.want.Update(t.Context(), u)
	same(rt, "update", err, wantErr)
	if diff := cmp.Diff([]string{text(wantBefore), text(wantAfter)}, []string{text(before), text(after)}); diff != "" {
		rt.Fatalf("update %s where %s (-model +store):\n%s", parse.AppendJSON(nil, id), query.Canonical(u.Where), diff)
	}
}

func (p *pair) remove(t *testing.T, rt *rapid.T) {
	n := query.AllOf(node(rt, 1), node(rt, 0))
	got, err := p.got.Delete(t.Context(), p.class, n)
	want, wantErr := p.want.Delete(t.Context(), p.class, n)
	same(rt, "delete", err, wantErr)
	p.objects(rt, n, got, want)
}

func (p *pair) find(t *testing.T, rt *rapid.T) {
	f := &storage.Find{Class: p.class, Where: node(rt, 2), Limit: query.NoLimit}
	if rapid.Bool().Draw(rt, "ordered") {
		sorts := fields
		if f.Strict = rapid.Bool().Draw(rt, "strict"); f.Strict {
			sorts = append([]string{"o.k", "a.0", "missing"}, fields...)
		}
		for range rapid.IntRange(0, 2).Draw(rt, "sorts") {
			f.Order = append(f.Order, query.Sort{Path: query.Path(rapid.SampledFrom(sorts).Draw(rt, "sort")), Desc: rapid.Bool().Draw(rt, "desc")})
		}
		if rapid.Bool().Draw(rt, "nearest") {
			from := point(rt)
			f.Order = append(f.Order, query.Sort{Path: "g", From: &from, Desc: rapid.Bool().Draw(rt, "farthest")})
		}
		if !f.Strict && rapid.IntRange(0, 3).Draw(rt, "found") == 0 {
			f.Where, f.Score = query.AllOf(search(rt, "s"), f.Where), true
		}
		f.Order = append(f.Order, query.Sort{Path: parse.KeyObjectID})
		if f.Strict && rapid.Bool().Draw(rt, "behind") {
			f.Order = slices.DeleteFunc(f.Order, func(s query.Sort) bool { return s.From != nil })
			f.Where = query.AllOf(f.Where, position(rt, f.Order))
		}
		f.Skip = rapid.IntRange(0, 3).Draw(rt, "skip")
		f.Limit = rapid.IntRange(-1, 5).Draw(rt, "limit")
	}
	p.compare(t, rt, f)
}

// position draws a place in an order, at times that of a value of another type
// than the field has.
func position(rt *rapid.T, order []query.Sort) *query.After {
	n := &query.After{Order: order, Values: make([]parse.Value, len(order))}
	for i, s := range order {
		switch v := value(rt, s.Path.Root()).(type) {
		case nil, bool, float64, parse.Int, string, parse.Date:
			n.Values[i] = v
		default:
			n.Values[i] = &parse.Map{}
		}
		switch {
		case s.Path == parse.KeyObjectID:
			n.Values[i] = fmt.Sprintf("o%d", rapid.IntRange(0, 11).Draw(rt, "at"))
		case s.Path.Dotted():
			n.Values[i] = rapid.SampledFrom([]parse.Value{nil, false, 1.0, "a", parse.Date(2), &parse.Map{}}).Draw(rt, "at")
		}
	}
	return n
}

func (p *pair) compare(t *testing.T, rt *rapid.T, f *storage.Find) {
	got, err := p.got.Find(t.Context(), f)
	want, wantErr := p.want.Find(t.Context(), f)
	same(rt, "find", err, wantErr)
	if f.Order != nil {
		if diff := cmp.Diff(ids(want), ids(got)); diff != "" {
			rt.Fatalf("order %v of %v (-model +store):\n%s", f.Order, f.Where, diff)
		}
	}
	p.objects(rt, f.Where, got, want)
	n, err := p.got.Count(t.Context(), p.class, f.Where, nil)
	wantN, wantErr := p.want.Count(t.Context(), p.class, f.Where, nil)
	same(rt, "count", err, wantErr)
	if n != wantN {
		rt.Fatalf("where %s: count is %d, model %d", canonical(f.Where), n, wantN)
	}
}

// objects compares two answers without regard to order.
func (p *pair) objects(rt *rapid.T, n query.Node, got, want []*parse.Object) {
	all := func(list []*parse.Object) []string {
		out := make([]string, len(list))
		for i, o := range list {
			out[i] = text(o)
		}
		slices.Sort(out)
		return out
	}
	if diff := cmp.Diff(all(want), all(got)); diff != "" {
		rt.Fatalf("where %s (-model +store):\n%s", canonical(n), diff)
	}
}

func canonical(n query.Node) string {
	if n == nil {
		return "everything"
	}
	return query.Canonical(n)
}
