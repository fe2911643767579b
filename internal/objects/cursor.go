package objects

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// cursorPrefix begins every cursor. No JSON begins with it, so that a cursor
// in a URL is not taken for a number.
const cursorPrefix = "c"

// cursorSize is the least size of what a cursor seals; a longer one has twice
// that, or four times, and so on.
const cursorSize = 128

// newCursorCipher makes the cipher of cursors. It both hides and authenticates
// the position: an order that a hook chose may be by a field that the caller
// must not see.
func newCursorCipher(secret []byte) cipher.AEAD {
	if secret == nil {
		secret = []byte(rand.Text())
	}
	key := sha256.Sum256(append([]byte("pargo cursor\x00"), secret...))
	block, err := aes.NewCipher(key[:])
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return aead
		}
	}
	panic(err) // a key of 32 bytes is one that AES takes
}

// page is the position of a reading that goes on from page to page.
type page struct {
	cursor string // "": the first page
	order  []query.Sort
	// binding is what a cursor is good for: class, query, order and caller.
	binding []byte
	// next is the cursor of the page that follows; "" after the last one.
	next string
}

// newPage prepares a reading with a cursor.
func (r *reading) newPage(cursor string) (*page, error) {
	order := r.order()
	for _, s := range order {
		if s.From != nil {
			return nil, parse.Errorf(parse.InvalidQuery, "cursor cannot be combined with an order by distance")
		}
		if s.Path == query.ScoreField {
			return nil, parse.Errorf(parse.InvalidQuery, "cursor cannot be combined with an order by $score")
		}
	}
	pg := &page{cursor: cursor, order: totalOrder(order)}
	b := strconv.AppendQuote(nil, r.class.Name)
	b = append(b, query.Canonical(withoutClock(r.asked))...)
	for _, s := range pg.order {
		b = strconv.AppendBool(strconv.AppendQuote(b, string(s.Path)), s.Desc)
	}
	kind := byte(r.p.Kind)
	if r.p.Kind == access.ReadOnlyMaster {
		kind = byte(access.Master)
	}
	pg.binding = append(append(b, kind), r.p.UserID...)
	return pg, nil
}

// totalOrder ends an order by the id, so that no two objects are equal in it.
// The id goes the way of the key before it: one index serves both ways.
func totalOrder(order []query.Sort) []query.Sort {
	out := make([]query.Sort, 0, len(order)+1)
	for _, s := range order {
		if slices.ContainsFunc(out, func(have query.Sort) bool { return have.Path == s.Path }) {
			continue
		}
		out = append(out, s)
		if s.Path == parse.KeyObjectID {
			return out
		}
	}
	return append(out, query.Sort{Path: parse.KeyObjectID, Desc: len(out) > 0 && out[len(out)-1].Desc})
}

// withoutClock makes times relative to the clock alike, so that a query with
// one is the same query on the next page.
func withoutClock(n query.Node) query.Node {
	out, _ := query.Rewrite(n, func(n query.Node) (query.Node, error) { // never fails
		switch n := n.(type) {
		case *query.Compare:
			if n.Relative {
				return &query.Compare{Path: n.Path, Op: n.Op, Relative: true}, nil
			}
		case *query.SubQuery:
			c := *n
			c.Where = withoutClock(n.Where)
			return &c, nil
		}
		return n, nil
	})
	return out
}

// read fetches one page, and one object more to know whether there is another.
func (pg *page) read(ctx context.Context, r *reading, f *storage.Find) ([]*parse.Object, error) {
	conditions := []query.Node{nil}
	if pg.cursor != "" {
		at, err := pg.open(r.s.cursors, pg.cursor)
		if err != nil {
			return nil, err
		}
		conditions = behind(r.class, pg.order, at)
	}
	where, limit := f.Where, f.Limit
	if pg.cursor != "" {
		f.Skip = 0 // a hook may have set it; it is for the first page
	}
	f.Order, f.Strict = pg.order, true
	if f.Keys != nil {
		for _, s := range pg.order {
			f.Keys = append(f.Keys, s.Path.Root())
		}
	}
	var list []*parse.Object
	for _, c := range conditions {
		f.Where = query.AllOf(where, c)
		if limit >= 0 {
			f.Limit = limit + 1 - len(list)
		}
		more, err := r.s.store.Find(ctx, f)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
		if limit >= 0 && len(list) > limit {
			list = list[:limit]
			pg.next = pg.seal(r.s.cursors, list[limit-1])
			break
		}
	}
	return list, nil
}

// behind returns conditions for what comes after a position in an order. What
// they hold for follows upon each other, in their order. There is more than one
// where that spares the database a walk: objects without a value lie at one
// end of an index, which no range has together with others.
func behind(c *schema.Class, order []query.Sort, at []parse.Value) []query.Node {
	first := order[0]
	if !comparable(c, first.Path) {
		return []query.Node{&query.After{Order: order, Values: at}}
	}
	v := at[0]
	is := func(op query.Op, v parse.Value) query.Node {
		return &query.Compare{Path: first.Path, Op: op, Value: v}
	}
	if len(order) == 1 { // the id
		if first.Desc {
			return []query.Node{is(query.Lt, v)}
		}
		return []query.Node{is(query.Gt, v)}
	}
	same := query.AllOf(is(query.Eq, v), behindTies(c, order[1:], at[1:]))
	switch {
	case v == nil && first.Desc:
		return []query.Node{same}
	case v == nil:
		return []query.Node{same, is(query.Gte, least(c.Field(string(first.Path)).Type))}
	case !first.Desc:
		return []query.Node{query.AllOf(is(query.Gte, v), &query.Or{Nodes: []query.Node{is(query.Gt, v), same}})}
	}
	rest := query.AllOf(is(query.Lte, v), &query.Or{Nodes: []query.Node{is(query.Lt, v), same}})
	if first.Path == parse.KeyCreatedAt || first.Path == parse.KeyUpdatedAt {
		return []query.Node{rest} // all objects have them
	}
	return []query.Node{rest, is(query.Eq, nil)}
}

// behindTies is what comes after a position among objects that are equal in the keys before.
func behindTies(c *schema.Class, order []query.Sort, at []parse.Value) query.Node {
	first, v := order[0], at[0]
	if !comparable(c, first.Path) {
		return &query.After{Order: order, Values: at}
	}
	is := func(op query.Op, v parse.Value) query.Node {
		return &query.Compare{Path: first.Path, Op: op, Value: v}
	}
	var nodes []query.Node
	switch {
	case v == nil && first.Desc:
	case v == nil:
		nodes = append(nodes, is(query.Ne, nil))
	case !first.Desc:
		nodes = append(nodes, is(query.Gt, v))
	default:
		nodes = append(nodes, is(query.Lt, v))
		if first.Path != parse.KeyObjectID {
			nodes = append(nodes, is(query.Eq, nil))
		}
	}
	if len(order) > 1 {
		nodes = append(nodes, query.AllOf(is(query.Eq, v), behindTies(c, order[1:], at[1:])))
	}
	switch len(nodes) {
	case 0:
		return query.Never{}
	case 1:
		return nodes[0]
	}
	return &query.Or{Nodes: nodes}
}

// least is a value that no other of the type is less than: with it, "has a
// value" is a range, which an index can find.
func least(t schema.Type) parse.Value {
	switch t {
	case schema.Boolean:
		return false
	case schema.Number:
		return -math.MaxFloat64
	case schema.Date:
		return parse.Date(math.MinInt64)
	default:
		return ""
	}
}

// comparable reports whether all values of a path are of one type that
// comparisons of queries order as a sort does.
func comparable(c *schema.Class, path query.Path) bool {
	f := c.Field(string(path))
	if f == nil {
		return false
	}
	switch f.Type {
	case schema.String, schema.Number, schema.Boolean, schema.Date:
		return true
	default:
		return false
	}
}

// seal makes the cursor behind an object.
func (pg *page) seal(aead cipher.AEAD, o *parse.Object) string {
	at := make(parse.Array, len(pg.order))
	for i, s := range pg.order {
		at[i] = query.SortKey(o, s.Path)
		if d, ok := at[i].(parse.Date); ok {
			at[i] = parse.NewMap(parse.MapField{Key: "d", Value: parse.Int(d)})
		}
	}
	// Its length must not tell that of a value that the caller does not see.
	plain := parse.AppendJSON(nil, at)
	plain = append(plain, strings.Repeat(" ", max(cursorSize, 1<<bits.Len(uint(len(plain)-1)))-len(plain))...)
	sealed := aead.Seal(nil, nil, plain, pg.binding) //nolint:gosec // the cipher adds a random nonce itself
	return cursorPrefix + base64.RawURLEncoding.EncodeToString(sealed)
}

// open reads a cursor, which must be of this very query.
func (pg *page) open(aead cipher.AEAD, cursor string) ([]parse.Value, error) {
	invalid := func() ([]parse.Value, error) {
		return nil, parse.Errorf(parse.InvalidQuery, "cursor is not one of this query")
	}
	text, ok := strings.CutPrefix(cursor, cursorPrefix)
	if !ok {
		return invalid()
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return invalid()
	}
	plain, err := aead.Open(nil, nil, sealed, pg.binding)
	if err != nil {
		return invalid()
	}
	v, err := parse.Decode(plain, parse.Limits{})
	if err != nil {
		return invalid()
	}
	at, _ := v.(parse.Array)
	if len(at) != len(pg.order) {
		return invalid()
	}
	for i, v := range at {
		if m, ok := v.(*parse.Map); ok && m.Len() == 1 {
			switch n := m.At(0).Value.(type) {
			case float64:
				at[i] = parse.Date(n)
			case parse.Int:
				at[i] = parse.Date(n)
			}
		}
	}
	return at, nil
}
