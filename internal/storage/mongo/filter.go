package mongo

import (
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// cond is a filter that holds for every object that a node matches, and
// perhaps for more.
type cond struct {
	doc   []byte // a document; nil: all objects
	exact bool   // it holds for no other objects
	never bool   // it holds for none
}

var (
	condAll     = cond{exact: true}
	condUnknown = cond{}
	condNever   = cond{exact: true, never: true}
)

// filter is a where clause as the database is asked it.
type filter struct {
	where   query.Node
	doc     []byte         // never nil
	matcher *query.Matcher // decides on what comes back; nil: doc is exact
	scan    *query.Scan    // the run of matcher; nil without one
	never   bool           // nothing can match
	text    bool           // the database searches, and knows the scores
}

// match reports whether an object that the database returned is meant.
func (f *filter) match(o *parse.Object) bool { return f.scan == nil || f.scan.Match(o) }

// err returns what kept the filter from deciding.
func (f *filter) err() error {
	if f.scan == nil {
		return nil
	}
	return f.scan.Err()
}

var emptyDocument = []byte{5, 0, 0, 0, 0}

// newFilter translates a where clause.
func newFilter(class *schema.Class, where query.Node) (*filter, error) {
	w := walker{class: class}
	if n := query.TextOf(where); n != nil && textIndex(class, n.Path) != nil {
		w.text = n
	}
	c := w.node(where)
	if w.enc.err != nil {
		return nil, w.enc.err
	}
	f := &filter{where: where, doc: c.doc, never: c.never, text: w.text != nil && !c.never}
	if f.doc == nil {
		f.doc = emptyDocument
	}
	if !c.exact {
		m, err := query.Compile(where)
		if err != nil {
			return nil, err
		}
		f.matcher, f.scan = m, m.Scan()
	}
	return f, nil
}

type walker struct {
	class *schema.Class
	text  *query.Text // the one search that the database does; nil: none
	enc   encoder
}

func (w *walker) node(n query.Node) cond {
	switch n := n.(type) {
	case nil:
		return condAll
	case *query.And:
		return and(w.nodes(n.Nodes))
	case *query.Or:
		return or(w.nodes(n.Nodes))
	case *query.Nor:
		return not(or(w.nodes(n.Nodes)))
	case *query.Compare:
		return w.compare(n)
	case *query.Member:
		return w.member(n)
	case *query.Exists:
		return w.exists(w.resolve(n.Path), n.Want)
	case *query.Regex:
		return w.regex(n)
	case *query.Text:
		return w.search(n)
	case *query.Near:
		return w.area(n.Path, n.Area())
	case *query.Within:
		return w.area(n.Path, n.Area)
	case *query.Intersects:
		return w.typed(n.Path, schema.Polygon, target.present)
	case *query.Permission:
		key := keyReadPerm
		if n.Write {
			key = keyWritePerm
		}
		return single(key, func(dst []byte, key string) []byte { return permission(dst, key, n.Subjects) })
	case *query.After:
		return condUnknown
	case query.Never, *query.Never:
		return condNever
	}
	w.enc.fail(fmt.Errorf("a %T cannot be asked of a database", n))
	return condNever
}

// area narrows to points in a box around the area. A box is what all versions
// and indexes of MongoDB agree on: circles that cross the 180th meridian or hold
// a pole are refused by a 2d index.
func (w *walker) area(p query.Path, a query.Area) cond {
	return w.typed(p, schema.GeoPoint, func(t target) cond {
		if a == nil {
			return t.present()
		}
		box := a.Bounds()
		c := single(t.key, func(dst []byte, key string) []byte {
			return operator(dst, key, "$geoWithin", func(dst []byte, op string) []byte {
				i, dst := bsoncore.AppendDocumentElementStart(dst, op)
				j, dst := bsoncore.AppendArrayElementStart(dst, "$box")
				dst = coordinates(dst, "0", box.West, box.South)
				dst = coordinates(dst, "1", box.East, box.North)
				return endDocument(endDocument(dst, j), i)
			})
		})
		c.exact = false
		return c
	})
}

// typed asks f about a field of the type. On other types nothing matches; what
// is in a field unknown to the class, or below one, is left to the matcher.
func (w *walker) typed(p query.Path, typ schema.Type, f func(target) cond) cond {
	t := w.resolve(p)
	switch {
	case t.opaque || t.deep:
		return condUnknown
	case t.typ == typ:
		return f(t)
	case short(t.typ):
		return condNever
	}
	return condUnknown
}

func (w *walker) nodes(nodes []query.Node) []cond {
	out := make([]cond, len(nodes))
	for i, n := range nodes {
		out[i] = w.node(n)
	}
	return out
}

// resolve finds the stored place of a path. Paths that MongoDB would take for
// something else than a field are left to the matcher.
func (w *walker) resolve(p query.Path) target {
	t := resolve(w.class, string(p))
	if strings.IndexByte(t.key, 0) >= 0 {
		return target{opaque: true}
	}
	for segment := range strings.SplitSeq(t.key, ".") {
		if segment == "" || segment[0] == '$' {
			return target{opaque: true}
		}
	}
	return t
}

// exactly returns c, marked as a superset where the path goes into arrays.
func (t target) exactly(c cond) cond {
	if t.deep {
		c.exact = false
	}
	return c
}

// present holds for all objects with the field; it is what can be asked about
// values that MongoDB compares in another way.
func (t target) present() cond {
	c := single(t.key, func(dst []byte, key string) []byte {
		return operator(dst, key, "$exists", func(dst []byte, op string) []byte {
			return bsoncore.AppendBooleanElement(dst, op, true)
		})
	})
	c.exact = false
	return c
}

// short reports whether the type of a field has a stored form of its own, so
// that no value of another type may be compared with what is stored.
func short(t schema.Type) bool {
	switch t {
	case schema.Pointer, schema.GeoPoint, schema.File, schema.Bytes, schema.Polygon, schema.Relation:
		return true
	default: // the others are stored as they are
	}
	return false
}

func (w *walker) compare(n *query.Compare) cond {
	t := w.resolve(n.Path)
	switch n.Op {
	case query.Eq:
		return w.equal(t, n.Value)
	case query.Ne:
		return not(w.equal(t, n.Value))
	case query.Lt:
		return w.order(t, "$lt", n.Value)
	case query.Lte:
		return w.order(t, "$lte", n.Value)
	case query.Gt:
		return w.order(t, "$gt", n.Value)
	case query.Gte:
		return w.order(t, "$gte", n.Value)
	default: // the others belong to Member
	}
	w.enc.fail(fmt.Errorf("operator %d in a comparison", n.Op))
	return condNever
}

// order translates a comparison: MongoDB compares within one type as well.
func (w *walker) order(t target, op string, v parse.Value) cond {
	switch v.(type) {
	case bool, float64, parse.Int, string, parse.Date:
	default:
		return condNever
	}
	if t.opaque {
		return condUnknown
	}
	if short(t.typ) {
		return condNever
	}
	if _, isDate := v.(parse.Date); t.indexed || isDate && t.deep {
		// Parse Server stores Dates that it writes by a dotted path as text.
		return t.present()
	}
	return t.exactly(single(t.key, func(dst []byte, key string) []byte {
		return operator(dst, key, op, func(dst []byte, op string) []byte { return w.enc.inner(dst, op, v, 1) })
	}))
}

// equal translates equality with one value.
func (w *walker) equal(t target, v parse.Value) cond {
	if t.opaque {
		return condUnknown
	}
	if o, ok := v.(*parse.Object); ok && t.typ == schema.Pointer {
		v = o.Self()
	}
	if v == nil {
		return t.null()
	}
	if short(t.typ) {
		return w.equalShort(t, v)
	}
	c := condUnknown
	switch {
	case t.indexed || !plain(v, t.deep):
		return t.present()
	case t.key == keyID && nativeIDs(w.class.Name):
		c = w.nativeID(v)
	case t.key == keyID:
		c = single(t.key, func(dst []byte, _ string) []byte { return w.idValue(dst, v) })
	default:
		c = t.exactly(single(t.key, func(dst []byte, key string) []byte { return w.enc.inner(dst, key, v, 1) }))
	}
	if _, isArray := v.(parse.Array); isArray {
		c.exact = false
	}
	if p, ok := v.(parse.Pointer); ok && t.maybePointer {
		return or([]cond{c, single(prefixPointer+t.key, func(dst []byte, key string) []byte {
			return bsoncore.AppendStringElement(dst, key, pointerText(p))
		})})
	}
	return c
}

func (w *walker) idValue(dst []byte, v parse.Value) []byte {
	if s, ok := v.(string); ok {
		return id(dst, w.class.Name, s)
	}
	return w.enc.inner(dst, keyID, v, 1)
}

// nativeIDs reports whether Parse Server gives the documents of a class an
// ObjectID, which the protocol shows in hexadecimal.
func nativeIDs(class string) bool { return class == classHooks || schema.IsJoin(class) }

// nativeID finds a document by either form of its id.
func (w *walker) nativeID(v parse.Value) cond {
	text := single(keyID, func(dst []byte, _ string) []byte { return w.idValue(dst, v) })
	s, _ := v.(string)
	oid, err := bson.ObjectIDFromHex(s)
	if err != nil {
		return text
	}
	return or([]cond{text, single(keyID, func(dst []byte, key string) []byte { return bsoncore.AppendObjectIDElement(dst, key, oid) })})
}

// equalShort is equal for types with a stored form of their own.
func (w *walker) equalShort(t target, v parse.Value) cond {
	switch v := v.(type) {
	case parse.Pointer:
		if t.typ == schema.Pointer {
			return single(t.key, func(dst []byte, key string) []byte {
				return bsoncore.AppendStringElement(dst, key, pointerText(v))
			})
		}
	case parse.GeoPoint:
		if t.typ == schema.GeoPoint {
			return single(t.key, func(dst []byte, key string) []byte {
				return coordinates(dst, key, v.Longitude, v.Latitude)
			})
		}
	case parse.File:
		if t.typ == schema.File {
			// What else makes two files equal is the matcher's to say.
			c := single(t.key, func(dst []byte, key string) []byte {
				return bsoncore.AppendStringElement(dst, key, v.Name)
			})
			c.exact = v.URL == ""
			return c
		}
	case parse.Bytes:
		if t.typ == schema.Bytes {
			return single(t.key, func(dst []byte, key string) []byte {
				return bsoncore.AppendBinaryElement(dst, key, 0, v)
			})
		}
	case *parse.Polygon:
		if t.typ == schema.Polygon {
			return t.present()
		}
	}
	return condNever
}

// null holds for objects without a value.
func (t target) null() cond {
	if t.deep {
		return condUnknown
	}
	c := single(t.key, bsoncore.AppendNullElement)
	if t.maybePointer {
		return and([]cond{c, single(prefixPointer+t.key, bsoncore.AppendNullElement)})
	}
	return c
}

// plain reports whether MongoDB finds equal at least what Parse does. It
// does not for documents, whose order of keys it compares.
func plain(v parse.Value, deep bool) bool {
	switch v := v.(type) {
	case nil, bool, float64, parse.Int, string, parse.Pointer, parse.Bytes:
		return true
	case parse.Date:
		return !deep
	case parse.Array:
		for _, el := range v {
			if !plain(el, deep) {
				return false
			}
		}
		return true
	}
	return false
}

func (w *walker) member(n *query.Member) cond {
	t := w.resolve(n.Path)
	switch n.Op {
	case query.In:
		return w.in(t, n.Values)
	case query.Nin:
		return not(w.in(t, n.Values))
	case query.All:
		return w.all(t, n.Values)
	case query.ContainedBy:
		if t.opaque {
			return condUnknown
		}
		if t.indexed {
			return t.present()
		}
		c := isArray(t.key)
		c.exact = false
		return c
	default: // the others belong to Compare
	}
	w.enc.fail(fmt.Errorf("operator %d with a list", n.Op))
	return condNever
}

// in joins the values that MongoDB can look up in one list.
func (w *walker) in(t target, values []parse.Value) cond {
	if len(values) == 0 {
		return condNever
	}
	if t.opaque {
		return condUnknown
	}
	if t.indexed && !slices.Contains(values, nil) {
		return t.present()
	}
	var conds []cond
	var list []parse.Value
	for _, v := range values {
		if w.listable(t, v) {
			list = append(list, v)
		} else {
			conds = append(conds, w.equal(t, v))
		}
	}
	switch len(list) {
	case 0:
	case 1:
		conds = append(conds, w.equal(t, list[0]))
	default:
		conds = append(conds, t.exactly(single(t.key, func(dst []byte, key string) []byte {
			return operator(dst, key, "$in", func(dst []byte, op string) []byte { return w.list(dst, op, t, list) })
		})))
	}
	return or(conds)
}

// listable reports whether v may stand in a list of $in.
func (w *walker) listable(t target, v parse.Value) bool {
	if t.key == keyID && (schema.IsSingleton(w.class.Name) || nativeIDs(w.class.Name)) {
		return false
	}
	switch v.(type) {
	case nil:
		return !t.deep && !t.maybePointer
	case bool, float64, parse.Int, string:
		return !short(t.typ)
	case parse.Date:
		return !short(t.typ) && !t.deep
	case parse.Pointer:
		return t.typ == schema.Pointer || !short(t.typ) && !t.maybePointer
	}
	return false
}

func (w *walker) list(dst []byte, key string, t target, values []parse.Value) []byte {
	i, dst := bsoncore.AppendArrayElementStart(dst, key)
	for n, v := range values {
		if p, ok := v.(parse.Pointer); ok && t.typ == schema.Pointer {
			dst = bsoncore.AppendStringElement(dst, arrayKey(n), pointerText(p))
			continue
		}
		dst = w.enc.inner(dst, arrayKey(n), v, 1)
	}
	return endDocument(dst, i)
}

// all asks for each value by itself, which is what $all means; a missing field
// does not have null.
func (w *walker) all(t target, values []parse.Value) cond {
	if len(values) == 0 {
		return condNever
	}
	conds := make([]cond, len(values))
	for i, v := range values {
		conds[i] = w.equal(t, v)
	}
	c := and(conds)
	c.exact = c.never || c.exact && !slices.Contains(values, nil)
	return c
}

func (w *walker) exists(t target, want bool) cond {
	if t.opaque || t.deep && !want {
		return condUnknown
	}
	if t.nullKey != "" {
		return t.pointerExists(want)
	}
	exists := func(key string) cond {
		return single(key, func(dst []byte, key string) []byte {
			return operator(dst, key, "$exists", func(dst []byte, op string) []byte {
				return bsoncore.AppendBooleanElement(dst, op, want)
			})
		})
	}
	c := t.exactly(exists(t.key))
	switch {
	case !t.maybePointer:
		return c
	case want:
		return or([]cond{c, exists(prefixPointer + t.key)})
	}
	return and([]cond{c, exists(prefixPointer + t.key)})
}

// pointerExists holds for objects with a pointer or a null in its place, or for
// those without either; a null at the pointer's own key is nothing.
func (t target) pointerExists(want bool) cond {
	other := single(t.nullKey, func(dst []byte, key string) []byte {
		return operator(dst, key, "$exists", func(dst []byte, op string) []byte {
			return bsoncore.AppendBooleanElement(dst, op, want)
		})
	})
	if !want {
		return and([]cond{single(t.key, bsoncore.AppendNullElement), other})
	}
	return or([]cond{single(t.key, func(dst []byte, key string) []byte {
		return operator(dst, key, "$ne", bsoncore.AppendNullElement)
	}), other})
}

func (w *walker) regex(n *query.Regex) cond {
	t := w.resolve(n.Path)
	switch {
	case t.opaque:
		return condUnknown
	case short(t.typ):
		return condNever
	case t.indexed:
		return t.present()
	case strings.IndexByte(n.Pattern, 0) >= 0:
		w.enc.fail(parse.Errorf(parse.InvalidQuery, "a regular expression must not contain a NUL character"))
		return condNever
	}
	// Text is always UTF-8 to MongoDB; not all versions know the letter.
	options := strings.ReplaceAll(n.Options, "u", "")
	return t.exactly(single(t.key, func(dst []byte, key string) []byte {
		i, dst := bsoncore.AppendDocumentElementStart(dst, key)
		dst = bsoncore.AppendStringElement(dst, "$regex", n.Pattern)
		if options != "" {
			dst = bsoncore.AppendStringElement(dst, "$options", options)
		}
		return endDocument(dst, i)
	}))
}

// permission holds for documents without the key and those with one of the subjects.
func permission(dst []byte, key string, list []string) []byte {
	return operator(dst, key, "$in", func(dst []byte, op string) []byte {
		i, dst := bsoncore.AppendArrayElementStart(dst, op)
		dst = bsoncore.AppendNullElement(dst, "0")
		for n, s := range list {
			dst = bsoncore.AppendStringElement(dst, arrayKey(n+1), s)
		}
		return endDocument(dst, i)
	})
}

// single returns the condition of a document with one key.
func single(key string, value func(dst []byte, key string) []byte) cond {
	i, dst := bsoncore.AppendDocumentStart(make([]byte, 0, 64))
	return cond{doc: endDocument(value(dst, key), i), exact: true}
}

// operator appends key: {op: value}.
func operator(dst []byte, key, op string, value func(dst []byte, op string) []byte) []byte {
	i, dst := bsoncore.AppendDocumentElementStart(dst, key)
	return endDocument(value(dst, op), i)
}

// joined appends op: [conditions].
func joined(op string, conds []cond) []byte {
	i, dst := bsoncore.AppendDocumentStart(nil)
	a, dst := bsoncore.AppendArrayElementStart(dst, op)
	for n, c := range conds {
		dst = bsoncore.AppendDocumentElement(dst, arrayKey(n), c.doc)
	}
	return endDocument(endDocument(dst, a), i)
}

func and(conds []cond) cond {
	out := cond{exact: true}
	var rest []cond
	for _, c := range conds {
		if c.never {
			return condNever
		}
		out.exact = out.exact && c.exact
		if c.doc != nil {
			rest = append(rest, c)
		}
	}
	switch len(rest) {
	case 0:
	case 1:
		out.doc = rest[0].doc
	default:
		if out.doc = merged(rest); out.doc == nil {
			out.doc = joined("$and", rest)
		}
	}
	return out
}

// merged puts the conditions into one document, which servers plan better and
// a router reads the shard key from; nil if they have a key in common.
func merged(conds []cond) []byte {
	seen := make([]string, 0, len(conds))
	i, dst := bsoncore.AppendDocumentStart(make([]byte, 0, 64*len(conds)))
	for _, c := range conds {
		w := walk(c.doc)
		var el element
		for w.next(&el) {
			for _, s := range seen {
				if s == string(el.key) {
					return nil
				}
			}
			seen = append(seen, string(el.key))
		}
		dst = append(dst, c.doc[4:len(c.doc)-1]...)
	}
	return endDocument(dst, i)
}

func or(conds []cond) cond {
	out := cond{exact: true}
	var rest []cond
	for _, c := range conds {
		switch {
		case c.never:
			continue
		case c.doc == nil:
			return c
		}
		out.exact = out.exact && c.exact
		rest = append(rest, c)
	}
	switch len(rest) {
	case 0:
		return condNever
	case 1:
		return rest[0]
	}
	out.doc = joined("$or", rest)
	return out
}

// not negates what is exact; of a superset nothing can be said.
func not(c cond) cond {
	switch {
	case !c.exact:
		return condUnknown
	case c.never:
		return condAll
	case c.doc == nil:
		return condNever
	}
	return cond{doc: joined("$nor", []cond{c}), exact: true}
}
