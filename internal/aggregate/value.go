package aggregate

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// missing is the value of a field that is not there, which MongoDB tells from null.
type missing struct{}

// absent reports whether v is missing or null.
func absent(v parse.Value) bool { return v == nil || isMissing(v) }

func isMissing(v parse.Value) bool { _, ok := v.(missing); return ok }

// orNull is v, with null for missing.
func orNull(v parse.Value) parse.Value {
	if isMissing(v) {
		return nil
	}
	return v
}

func number(v parse.Value) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case parse.Int:
		return float64(v), true
	}
	return 0, false
}

// whole reads an integer.
func whole(v parse.Value) (int, bool) {
	n, ok := number(v)
	if !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return 0, false
	}
	return int(n), true
}

// integer reads a number without a fraction.
func integer(v parse.Value) (int64, bool) {
	switch v := v.(type) {
	case parse.Int:
		return int64(v), true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) <= 1<<53
	}
	return 0, false
}

// fromInt is an integer as values are held.
func fromInt(n int64) parse.Value {
	if f := float64(n); f < 1<<63 && int64(f) == n {
		return f
	}
	return parse.Int(n)
}

// combine computes with integers where one is beyond what a float64 holds and
// both are integers to MongoDB, too; else, and on overflow, with floats.
func combine(x, y parse.Value, exact func(x, y int64) (int64, bool), f func(x, y float64) float64) parse.Value {
	_, long := x.(parse.Int)
	_, long2 := y.(parse.Int)
	if long || long2 {
		a, ok := integer(x)
		b, ok2 := integer(y)
		if ok && ok2 {
			if n, ok := exact(a, b); ok {
				return fromInt(n)
			}
		}
	}
	a, _ := number(x)
	b, _ := number(y)
	return f(a, b)
}

func sumInt(x, y int64) (int64, bool) {
	n := x + y
	return n, (n > x) == (y > 0)
}

func multiplyInt(x, y int64) (int64, bool) {
	if x == 0 || y == 0 {
		return 0, true
	}
	n := x * y
	return n, n/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64)
}

// truth is MongoDB's notion of a true value: all but null, 0 and false.
func truth(v parse.Value) bool {
	if absent(v) {
		return false
	}
	if b, ok := v.(bool); ok {
		return b
	}
	n, ok := number(v)
	return !ok || n != 0
}

// field returns one field of a value, missing if it has none.
func field(v parse.Value, name string) parse.Value {
	if m, ok := v.(*parse.Map); ok {
		if f, ok := m.Get(name); ok {
			return f
		}
	}
	return missing{}
}

// at follows a path as expressions do: through arrays it gives the array of
// what their elements have.
func at(v parse.Value, path []string) parse.Value {
	for i, name := range path {
		if list, ok := v.(parse.Array); ok {
			out := parse.Array{}
			for _, e := range list {
				if _, nested := e.(parse.Array); nested {
					continue
				}
				if x := at(e, path[i:]); !isMissing(x) {
					out = append(out, x)
				}
			}
			return out
		}
		if v = field(v, name); isMissing(v) {
			return v
		}
	}
	return v
}

// set returns a copy of m with the value at a path; missing removes the field,
// of objects that are made if need be. Into arrays it goes element by element.
func set(m *parse.Map, path []string, v parse.Value) *parse.Map {
	out := m.Clone()
	switch old, _ := m.Get(path[0]); {
	case len(path) > 1:
		out.Set(path[0], setInside(old, path[1:], v))
	case isMissing(v):
		out.Delete(path[0])
	default:
		out.Set(path[0], v)
	}
	return out
}

func setInside(old parse.Value, path []string, v parse.Value) parse.Value {
	switch old := old.(type) {
	case *parse.Map:
		return set(old, path, v)
	case parse.Array:
		list := make(parse.Array, len(old))
		for i, e := range old {
			list[i] = setInside(e, path, v)
		}
		return list
	}
	return set(&parse.Map{}, path, v)
}

// rank is the place of a type in the order of BSON values.
func rank(v parse.Value) int {
	switch v.(type) {
	case missing:
		return 0
	case nil:
		return 1
	case float64, parse.Int:
		return 2
	case string:
		return 3
	case parse.Array:
		return 5
	case parse.Bytes:
		return 6
	case bool:
		return 7
	case parse.Date:
		return 8
	}
	return 4 // objects
}

// compare is the total order of BSON values.
func compare(a, b parse.Value) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch x := a.(type) {
	case float64, parse.Int, string, bool, parse.Date:
		c, _ := parse.Compare(a, b)
		return c
	case parse.Bytes:
		y, _ := b.(parse.Bytes)
		return cmp.Or(cmp.Compare(len(x), len(y)), bytes.Compare(x, y))
	case parse.Array:
		y, _ := b.(parse.Array)
		for i := range min(len(x), len(y)) {
			if c := compare(x[i], y[i]); c != 0 {
				return c
			}
		}
		return cmp.Compare(len(x), len(y))
	case *parse.Map:
		y, _ := b.(*parse.Map)
		return compareMaps(x, y)
	}
	return 0
}

func compareMaps(x, y *parse.Map) int {
	for i := range min(x.Len(), y.Len()) {
		a, b := x.At(i), y.At(i)
		if c := cmp.Or(cmp.Compare(rank(a.Value), rank(b.Value)), strings.Compare(a.Key, b.Key), compare(a.Value, b.Value)); c != 0 {
			return c
		}
	}
	return cmp.Compare(x.Len(), y.Len())
}

// appendKey appends a text that is the same for equal values alone: the key of
// groups and sets.
func appendKey(dst []byte, v parse.Value) []byte {
	dst = append(dst, byte('0'+rank(v)))
	switch v := v.(type) {
	case missing, nil:
		return dst
	case float64:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v+0)) // -0 is 0
	case parse.Int:
		if f := float64(v); parse.Equal(f, v) {
			return binary.BigEndian.AppendUint64(dst, math.Float64bits(f))
		}
		return binary.BigEndian.AppendUint64(append(dst, 'i'), uint64(v))
	case parse.Array:
		dst = append(strconv.AppendInt(dst, int64(len(v)), 10), ':')
		for _, e := range v {
			dst = appendKey(dst, e)
		}
		return dst
	case *parse.Map:
		dst = append(strconv.AppendInt(append(dst, 'm'), int64(v.Len()), 10), ':')
		for k, e := range v.All() {
			dst = append(strconv.AppendInt(dst, int64(len(k)), 10), ':')
			dst = appendKey(append(dst, k...), e)
		}
		return dst
	case string:
		dst = append(strconv.AppendInt(dst, int64(len(v)), 10), ':')
		return append(dst, v...)
	}
	text := parse.AppendJSON(nil, v)
	dst = append(strconv.AppendInt(append(dst, 'j'), int64(len(text)), 10), ':')
	return append(dst, text...)
}

// size estimates the memory of a value. It stops counting beyond most, since
// values that share parts may be far larger than the memory they take.
func size(v parse.Value, most int) int {
	const word = 16
	n := word
	switch v := v.(type) {
	case string:
		n += len(v)
	case parse.Bytes:
		n += len(v)
	case parse.Array:
		for _, e := range v {
			if n > most {
				return n
			}
			n += size(e, most-n)
		}
	case *parse.Map:
		for k, e := range v.All() {
			if n > most {
				return n
			}
			n += 2*word + len(k) + size(e, most-n)
		}
	}
	return n
}
