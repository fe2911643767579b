package aggregate

import (
	"math"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// function is an operator whose arguments are all evaluated first.
type function struct {
	min, max int // number of arguments; max -1: any
	do       func(r *run, a []parse.Value) (parse.Value, error)
}

func (f function) arity() string {
	switch {
	case f.min == f.max:
		return "exactly " + strconv.Itoa(f.min)
	case f.max < 0:
		return "at least " + strconv.Itoa(f.min)
	}
	return "at least " + strconv.Itoa(f.min) + ", and at most " + strconv.Itoa(f.max)
}

// functions is a constant table.
var functions = map[string]function{
	"$add":      {1, -1, add},
	"$multiply": {1, -1, multiply},
	"$subtract": {2, 2, subtract},
	"$divide":   {2, 2, dyadic("$divide", true, func(x, y float64) float64 { return x / y })},
	"$mod":      {2, 2, dyadic("$mod", true, math.Mod)},
	"$pow":      {2, 2, dyadic("$pow", false, math.Pow)},
	"$abs":      {1, 1, unary("$abs", math.Abs)},
	"$ceil":     {1, 1, unary("$ceil", math.Ceil)},
	"$floor":    {1, 1, unary("$floor", math.Floor)},
	"$sqrt":     {1, 1, unary("$sqrt", math.Sqrt)},
	"$exp":      {1, 1, unary("$exp", math.Exp)},
	"$ln":       {1, 1, unary("$ln", math.Log)},
	"$log10":    {1, 1, unary("$log10", math.Log10)},
	"$round":    {1, 2, rounding("$round", math.RoundToEven)},
	"$trunc":    {1, 2, rounding("$trunc", math.Trunc)},
	"$sum":      {0, -1, total("$sum")},
	"$avg":      {0, -1, total("$avg")},
	"$min":      {0, -1, total("$min")},
	"$max":      {0, -1, total("$max")},

	"$eq":  {2, 2, comparison(func(c int) parse.Value { return c == 0 })},
	"$ne":  {2, 2, comparison(func(c int) parse.Value { return c != 0 })},
	"$gt":  {2, 2, comparison(func(c int) parse.Value { return c > 0 })},
	"$gte": {2, 2, comparison(func(c int) parse.Value { return c >= 0 })},
	"$lt":  {2, 2, comparison(func(c int) parse.Value { return c < 0 })},
	"$lte": {2, 2, comparison(func(c int) parse.Value { return c <= 0 })},
	"$cmp": {2, 2, comparison(func(c int) parse.Value { return float64(c) })},
	"$not": {1, 1, func(_ *run, a []parse.Value) (parse.Value, error) { return !truth(a[0]), nil }},

	"$concat":      {0, -1, concat},
	"$toLower":     {1, 1, cased('A', 'Z', 'a'-'A')},
	"$toUpper":     {1, 1, cased('a', 'z', 'A'-'a')},
	"$substr":      {3, 3, substrBytes},
	"$substrBytes": {3, 3, substrBytes},
	"$substrCP":    {3, 3, substrCP},
	"$strLenCP":    {1, 1, strLen(func(s string) int { return len([]rune(s)) })},
	"$strLenBytes": {1, 1, strLen(func(s string) int { return len(s) })},
	"$split":       {2, 2, split},
	"$strcasecmp":  {2, 2, strcasecmp},
	"$indexOfCP":   {2, 2, indexOf},

	"$size":          {1, 1, arraySize},
	"$arrayElemAt":   {2, 2, elementAt},
	"$first":         {1, 1, func(r *run, a []parse.Value) (parse.Value, error) { return elementAt(r, []parse.Value{a[0], 0.0}) }},
	"$last":          {1, 1, func(r *run, a []parse.Value) (parse.Value, error) { return elementAt(r, []parse.Value{a[0], -1.0}) }},
	"$slice":         {2, 3, slice},
	"$in":            {2, 2, in},
	"$concatArrays":  {0, -1, concatArrays},
	"$isArray":       {1, 1, func(_ *run, a []parse.Value) (parse.Value, error) { _, ok := a[0].(parse.Array); return ok, nil }},
	"$reverseArray":  {1, 1, reverseArray},
	"$objectToArray": {1, 1, objectToArray},
	"$mergeObjects":  {0, -1, mergeObjects},
	"$setUnion":      {0, -1, setUnion},

	"$type":     {1, 1, func(_ *run, a []parse.Value) (parse.Value, error) { return typeName(a[0]), nil }},
	"$toString": {1, 1, toString},
	"$toInt":    {1, 1, toNumber("$toInt", true)},
	"$toLong":   {1, 1, toNumber("$toLong", true)},
	"$toDouble": {1, 1, toNumber("$toDouble", false)},
	"$toBool":   {1, 1, toBool},
	"$toDate":   {1, 1, toDate},
}

func anyAbsent(a []parse.Value) bool {
	for _, v := range a {
		if absent(v) {
			return true
		}
	}
	return false
}

func add(_ *run, a []parse.Value) (parse.Value, error) {
	sum, dates := 0.0, 0
	for _, v := range a {
		if absent(v) {
			return nil, nil
		}
		if d, ok := v.(parse.Date); ok {
			sum += float64(d)
			dates++
			continue
		}
		n, ok := number(v)
		if !ok {
			return nil, errorf("$add only supports numeric or date types, not %s", typeName(v))
		}
		sum += n
	}
	switch dates {
	case 0:
		return sum, nil
	case 1:
		return dateOf(sum)
	}
	return nil, errorf("only one date allowed in an $add expression")
}

func dateOf(ms float64) (parse.Value, error) {
	if math.Abs(ms) > 8.64e15 || ms != ms {
		return nil, errorf("date overflow")
	}
	return parse.Date(math.Round(ms)), nil
}

func multiply(_ *run, a []parse.Value) (parse.Value, error) {
	product := 1.0
	for _, v := range a {
		if absent(v) {
			return nil, nil
		}
		n, ok := number(v)
		if !ok {
			return nil, errorf("$multiply only supports numeric types, not %s", typeName(v))
		}
		product *= n
	}
	return product, nil
}

func subtract(_ *run, a []parse.Value) (parse.Value, error) {
	if anyAbsent(a) {
		return nil, nil
	}
	if d, ok := a[0].(parse.Date); ok {
		if other, ok := a[1].(parse.Date); ok {
			return float64(d - other), nil
		}
		if n, ok := number(a[1]); ok {
			return dateOf(float64(d) - n)
		}
	}
	x, ok := number(a[0])
	y, ok2 := number(a[1])
	if !ok || !ok2 {
		return nil, errorf("can't $subtract %s from %s", typeName(a[1]), typeName(a[0]))
	}
	return x - y, nil
}

func dyadic(name string, divides bool, f func(x, y float64) float64) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		if anyAbsent(a) {
			return nil, nil
		}
		x, ok := number(a[0])
		y, ok2 := number(a[1])
		switch {
		case !ok || !ok2:
			return nil, errorf("%s only supports numeric types, not %s and %s", name, typeName(a[0]), typeName(a[1]))
		case divides && y == 0:
			return nil, errorf("can't %s by zero", name)
		}
		return f(x, y), nil
	}
}

func unary(name string, f func(x float64) float64) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		if absent(a[0]) {
			return nil, nil
		}
		x, ok := number(a[0])
		if !ok {
			return nil, errorf("%s only supports numeric types, not %s", name, typeName(a[0]))
		}
		return f(x), nil
	}
}

func rounding(name string, f func(float64) float64) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		if anyAbsent(a) {
			return nil, nil
		}
		x, ok := number(a[0])
		if !ok {
			return nil, errorf("%s only supports numeric types, not %s", name, typeName(a[0]))
		}
		places := 0
		if len(a) > 1 {
			if places, ok = whole(a[1]); !ok || places < -20 || places > 100 {
				return nil, errorf("cannot apply %s with precision value %s", name, parse.AppendJSON(nil, a[1]))
			}
		}
		scale := math.Pow10(places)
		if scaled := x * scale; !math.IsInf(scaled, 0) {
			return f(scaled) / scale, nil
		}
		return x, nil
	}
}

// total is $sum, $avg, $min or $max of the arguments, or of the elements of the only one.
func total(name string) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		if len(a) == 1 {
			if list, ok := a[0].(parse.Array); ok {
				a = list
			}
		}
		acc := newTally(name)
		for _, v := range a {
			if err := acc.add(nil, v); err != nil {
				return nil, err
			}
		}
		return acc.result(), nil
	}
}

func comparison(f func(c int) parse.Value) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) { return f(compare(a[0], a[1])), nil }
}

// typeName is the BSON type under which Parse Server stores a value.
func typeName(v parse.Value) string {
	switch v := v.(type) {
	case missing:
		return "missing"
	case nil:
		return "null"
	case bool:
		return "bool"
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= math.MaxInt32 {
			return "int"
		}
		return "double"
	case parse.Int:
		return "long"
	case string:
		return "string"
	case parse.Date:
		return "date"
	case parse.Array:
		return "array"
	case parse.Bytes:
		return "binData"
	}
	return "object"
}

func toString(_ *run, a []parse.Value) (parse.Value, error) {
	switch v := a[0].(type) {
	case missing, nil:
		return nil, nil
	case string:
		return v, nil
	case bool, float64, parse.Int:
		return string(parse.AppendJSON(nil, v)), nil
	case parse.Date:
		return v.String(), nil
	}
	return nil, unconvertible(a[0], "string")
}

func unconvertible(v parse.Value, to string) error {
	return errorf("Unsupported conversion from %s to %s in $convert with no onError value", typeName(v), to)
}

func toNumber(name string, integer bool) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		var n float64
		switch v := a[0].(type) {
		case missing, nil:
			return nil, nil
		case bool:
			if v {
				n = 1
			}
		case float64:
			n = v
		case parse.Int:
			return v, nil
		case parse.Date:
			n = float64(v)
		case string:
			var err error
			if n, err = strconv.ParseFloat(v, 64); err != nil || integer && n != math.Trunc(n) {
				return nil, errorf("Failed to parse number '%s' in $convert with no onError value", v)
			}
		default:
			return nil, unconvertible(v, strings.ToLower(name[3:]))
		}
		if integer {
			n = math.Trunc(n)
			if name == "$toInt" && math.Abs(n) > math.MaxInt32 || math.Abs(n) >= 1<<63 || n != n {
				return nil, errorf("Conversion would overflow target type in $convert with no onError value")
			}
		}
		return n, nil
	}
}

func toBool(_ *run, a []parse.Value) (parse.Value, error) {
	if absent(a[0]) {
		return nil, nil
	}
	return truth(a[0]), nil
}

func toDate(_ *run, a []parse.Value) (parse.Value, error) {
	switch v := a[0].(type) {
	case missing, nil:
		return nil, nil
	case parse.Date:
		return v, nil
	case float64:
		return dateOf(v)
	case string:
		if d, ok := parse.ParseDate(v); ok {
			return d, nil
		}
		return nil, errorf("Error parsing date string '%s'", v)
	}
	return nil, unconvertible(a[0], "date")
}
