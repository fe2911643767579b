package parse

import (
	"bytes"
	"cmp"
	"strings"
)

// Equal reports whether two values are the same. Numbers are compared by
// value, maps without regard to the order of keys, included objects by class
// and id (also with pointers to them).
func Equal(a, b Value) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case float64, Int:
		c, ok := compareNumbers(a, b)
		return ok && c == 0
	case string:
		y, ok := b.(string)
		return ok && x == y
	case Date:
		y, ok := b.(Date)
		return ok && x == y
	case Pointer:
		switch y := b.(type) {
		case Pointer:
			return x == y
		case *Object:
			return x == y.Self()
		}
		return false
	case *Object:
		switch y := b.(type) {
		case Pointer:
			return x.Self() == y
		case *Object:
			return x.Self() == y.Self()
		}
		return false
	case Relation:
		y, ok := b.(Relation)
		return ok && x == y
	case GeoPoint:
		y, ok := b.(GeoPoint)
		return ok && x == y
	case *Polygon:
		y, ok := b.(*Polygon)
		if !ok || len(x.Points) != len(y.Points) {
			return false
		}
		for i := range x.Points {
			if x.Points[i] != y.Points[i] {
				return false
			}
		}
		return true
	case File:
		y, ok := b.(File)
		return ok && x.Name == y.Name // the URL is computed on read
	case Bytes:
		y, ok := b.(Bytes)
		return ok && bytes.Equal(x, y)
	case Array:
		y, ok := b.(Array)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !Equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case *Map:
		y, ok := b.(*Map)
		if !ok || x.Len() != y.Len() {
			return false
		}
		for i := range x.Len() {
			f := x.At(i)
			v, ok := y.Get(f.Key)
			if !ok || !Equal(f.Value, v) {
				return false
			}
		}
		return true
	}
	return false
}

// compareNumbers orders two numbers of either kind; NaN is below all others.
func compareNumbers(a, b Value) (int, bool) {
	switch x := a.(type) {
	case float64:
		switch y := b.(type) {
		case float64:
			return cmp.Compare(x, y), true
		case Int:
			return -compareIntFloat(y, x), true
		}
	case Int:
		switch y := b.(type) {
		case Int:
			return cmp.Compare(x, y), true
		case float64:
			return compareIntFloat(x, y), true
		}
	}
	return 0, false
}

// compareIntFloat compares exactly, without rounding the integer.
func compareIntFloat(i Int, f float64) int {
	switch {
	case f != f, f < -(1 << 63):
		return 1
	case f >= 1<<63:
		return -1
	}
	if c := cmp.Compare(int64(i), int64(f)); c != 0 {
		return c
	}
	return cmp.Compare(0, f-float64(int64(f)))
}

// Compare orders two values of one kind: numbers, strings (by bytes), Dates or
// booleans (false before true). ok is false for all else.
func Compare(a, b Value) (order int, ok bool) {
	switch x := a.(type) {
	case float64, Int:
		return compareNumbers(a, b)
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), true
		}
	case Date:
		if y, ok := b.(Date); ok {
			return cmp.Compare(x, y), true
		}
	case bool:
		if y, ok := b.(bool); ok {
			return compareBools(x, y), true
		}
	}
	return 0, false
}

func compareBools(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}

// rank is the place of a value's kind in the order of [SortCompare].
func rank(v Value) int {
	switch v.(type) {
	case nil:
		return 0
	case bool:
		return 1
	case float64, Int:
		return 2
	case string:
		return 3
	case Date:
		return 4
	}
	return 5
}

// SortCompare is the total order by which results are sorted: missing and
// null, booleans, numbers, strings, Dates, then all else (which are equal to
// each other).
func SortCompare(a, b Value) int {
	ra, rb := rank(a), rank(b)
	if ra != rb {
		return cmp.Compare(ra, rb)
	}
	c, _ := Compare(a, b)
	return c
}
