package aggregate

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode/utf8"

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
	"$add":              {1, -1, add},
	"$multiply":         {1, -1, multiply},
	"$subtract":         {2, 2, subtract},
	"$divide":           {2, 2, dyadic("$divide", true, func(x, y float64) float64 { return x / y })},
	"$mod":              {2, 2, dyadic("$mod", true, math.Mod)},
	"$pow":              {2, 2, dyadic("$pow", false, math.Pow)},
	"$atan2":            {2, 2, dyadic("$atan2", false, math.Atan2)},
	"$log":              {2, 2, logarithm},
	"$abs":              {1, 1, unary("$abs", math.Abs)},
	"$ceil":             {1, 1, unary("$ceil", math.Ceil)},
	"$floor":            {1, 1, unary("$floor", math.Floor)},
	"$sqrt":             {1, 1, within("$sqrt", math.Sqrt, 0, math.Inf(1))},
	"$exp":              {1, 1, unary("$exp", math.Exp)},
	"$ln":               {1, 1, within("$ln", math.Log, math.SmallestNonzeroFloat64, math.Inf(1))},
	"$log10":            {1, 1, within("$log10", math.Log10, math.SmallestNonzeroFloat64, math.Inf(1))},
	"$sin":              {1, 1, unary("$sin", math.Sin)},
	"$cos":              {1, 1, unary("$cos", math.Cos)},
	"$tan":              {1, 1, unary("$tan", math.Tan)},
	"$asin":             {1, 1, within("$asin", math.Asin, -1, 1)},
	"$acos":             {1, 1, within("$acos", math.Acos, -1, 1)},
	"$atan":             {1, 1, unary("$atan", math.Atan)},
	"$sinh":             {1, 1, unary("$sinh", math.Sinh)},
	"$cosh":             {1, 1, unary("$cosh", math.Cosh)},
	"$tanh":             {1, 1, unary("$tanh", math.Tanh)},
	"$asinh":            {1, 1, unary("$asinh", math.Asinh)},
	"$acosh":            {1, 1, within("$acosh", math.Acosh, 1, math.Inf(1))},
	"$atanh":            {1, 1, within("$atanh", math.Atanh, -1, 1)},
	"$degreesToRadians": {1, 1, unary("$degreesToRadians", func(x float64) float64 { return x * math.Pi / 180 })},
	"$radiansToDegrees": {1, 1, unary("$radiansToDegrees", func(x float64) float64 { return x * 180 / math.Pi })},
	"$round":            {1, 2, rounding("$round", math.RoundToEven)},
	"$trunc":            {1, 2, rounding("$trunc", math.Trunc)},
	"$bitAnd":           {0, -1, bitwise("$bitAnd", -1, func(x, y int64) int64 { return x & y })},
	"$bitOr":            {0, -1, bitwise("$bitOr", 0, func(x, y int64) int64 { return x | y })},
	"$bitXor":           {0, -1, bitwise("$bitXor", 0, func(x, y int64) int64 { return x ^ y })},
	"$bitNot":           {1, 1, bitNot},
	"$sum":              {0, -1, total("$sum")},
	"$avg":              {0, -1, total("$avg")},
	"$min":              {0, -1, total("$min")},
	"$max":              {0, -1, total("$max")},
	"$stdDevPop":        {0, -1, total("$stdDevPop")},
	"$stdDevSamp":       {0, -1, total("$stdDevSamp")},

	"$eq":  {2, 2, comparison(func(c int) parse.Value { return c == 0 })},
	"$ne":  {2, 2, comparison(func(c int) parse.Value { return c != 0 })},
	"$gt":  {2, 2, comparison(func(c int) parse.Value { return c > 0 })},
	"$gte": {2, 2, comparison(func(c int) parse.Value { return c >= 0 })},
	"$lt":  {2, 2, comparison(func(c int) parse.Value { return c < 0 })},
	"$lte": {2, 2, comparison(func(c int) parse.Value { return c <= 0 })},
	"$cmp": {2, 2, comparison(func(c int) parse.Value { return float64(c) })},
	"$not": {1, 1, func(_ *run, a []parse.Value) (parse.Value, error) { return !truth(a[0]), nil }},

	"$concat":       {0, -1, concat},
	"$toLower":      {1, 1, cased('A', 'Z', 'a'-'A')},
	"$toUpper":      {1, 1, cased('a', 'z', 'A'-'a')},
	"$substr":       {3, 3, substrBytes},
	"$substrBytes":  {3, 3, substrBytes},
	"$substrCP":     {3, 3, substrCP},
	"$strLenCP":     {1, 1, strLen("$strLenCP", utf8.RuneCountInString)},
	"$strLenBytes":  {1, 1, strLen("$strLenBytes", func(s string) int { return len(s) })},
	"$split":        {2, 2, split},
	"$strcasecmp":   {2, 2, strcasecmp},
	"$indexOfCP":    {2, 4, indexOf("$indexOfCP")},
	"$indexOfBytes": {2, 4, indexOf("$indexOfBytes")},

	"$size":            {1, 1, arraySize},
	"$arrayElemAt":     {2, 2, elementAt},
	"$first":           {1, 1, func(r *run, a []parse.Value) (parse.Value, error) { return elementAt(r, []parse.Value{a[0], 0.0}) }},
	"$last":            {1, 1, func(r *run, a []parse.Value) (parse.Value, error) { return elementAt(r, []parse.Value{a[0], -1.0}) }},
	"$slice":           {2, 3, slice},
	"$in":              {2, 2, in},
	"$indexOfArray":    {2, 4, indexOfArray},
	"$range":           {2, 3, rangeOf},
	"$concatArrays":    {0, -1, concatArrays},
	"$isArray":         {1, 1, func(_ *run, a []parse.Value) (parse.Value, error) { _, ok := a[0].(parse.Array); return ok, nil }},
	"$reverseArray":    {1, 1, reverseArray},
	"$objectToArray":   {1, 1, objectToArray},
	"$arrayToObject":   {1, 1, arrayToObject},
	"$mergeObjects":    {0, -1, mergeObjects},
	"$setUnion":        {0, -1, setUnion},
	"$setIntersection": {0, -1, setIntersection},
	"$setDifference":   {2, 2, setDifference},
	"$setEquals":       {2, -1, setEquals},
	"$setIsSubset":     {2, 2, setIsSubset},

	"$allElementsTrue": {1, 1, elementsTrue("$allElementsTrue")},
	"$anyElementTrue":  {1, 1, elementsTrue("$anyElementTrue")},

	"$type":       {1, 1, func(_ *run, a []parse.Value) (parse.Value, error) { return typeName(a[0]), nil }},
	"$isNumber":   {1, 1, func(_ *run, a []parse.Value) (parse.Value, error) { _, ok := number(a[0]); return ok, nil }},
	"$toString":   {1, 1, conversion("string")},
	"$toInt":      {1, 1, conversion("int")},
	"$toLong":     {1, 1, conversion("long")},
	"$toDouble":   {1, 1, conversion("double")},
	"$toDecimal":  {1, 1, conversion("decimal")},
	"$toBool":     {1, 1, conversion("bool")},
	"$toDate":     {1, 1, conversion("date")},
	"$toObjectId": {1, 1, conversion("objectId")},
	"$binarySize": {1, 1, binarySize},
	"$bsonSize":   {1, 1, bsonSize},
	"$rand":       {0, 0, func(*run, []parse.Value) (parse.Value, error) { return rand.Float64(), nil }}, //nolint:gosec // it is no secret
}

// byName is a constant table of the operators whose arguments have names.
var byName = map[string]namedFunction{
	"$trim":           {"input", "chars", "", trim("$trim")},
	"$ltrim":          {"input", "chars", "", trim("$ltrim")},
	"$rtrim":          {"input", "chars", "", trim("$rtrim")},
	"$replaceOne":     {"input find replacement", "", "", replace("$replaceOne", 1)},
	"$replaceAll":     {"input find replacement", "", "", replace("$replaceAll", -1)},
	"$regexMatch":     {"input regex", "options", "", regexMatch},
	"$regexFind":      {"input regex", "options", "", regexFind},
	"$regexFindAll":   {"input regex", "options", "", regexFindAll},
	"$dateToString":   {"date", "format timezone onNull", "", dateToString},
	"$dateFromString": {"dateString", "format timezone onError onNull", "", dateFromString},
	"$dateFromParts":  {"", "year month day isoWeekYear isoWeek isoDayOfWeek hour minute second millisecond timezone", "", dateFromParts},
	"$dateToParts":    {"date", "timezone iso8601", "", dateToParts},
	"$dateAdd":        {"startDate unit amount", "timezone", "", dateAdd("$dateAdd", 1)},
	"$dateSubtract":   {"startDate unit amount", "timezone", "", dateAdd("$dateSubtract", -1)},
	"$dateDiff":       {"startDate endDate unit", "timezone startOfWeek", "", dateDiff},
	"$dateTrunc":      {"date unit", "binSize timezone startOfWeek", "", dateTrunc},
	"$convert":        {"input to", "onError onNull format byteOrder", "", convert},
	"$getField":       {"field", "input", "", getField},
	"$setField":       {"field input value", "", "", setField("$setField")},
	"$unsetField":     {"field input", "", "", setField("$unsetField")},
	"$sortArray":      {"input sortBy", "", "", sortArray},
	"$zip":            {"inputs", "useLongestLength defaults", "", zip},
	"$firstN":         {"input n", "", "", someOf("$firstN")},
	"$lastN":          {"input n", "", "", someOf("$lastN")},
	"$maxN":           {"input n", "", "", someOf("$maxN")},
	"$minN":           {"input n", "", "", someOf("$minN")},
	"$median":         {"input method", "", "", median},
	"$percentile":     {"input p method", "", "", percentile},
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
	var sum parse.Value = 0.0
	var date parse.Value
	for _, v := range a {
		if absent(v) {
			return nil, nil
		}
		if _, ok := v.(parse.Date); ok {
			if date != nil {
				return nil, errorf("only one date allowed in an $add expression")
			}
			date = v
			continue
		}
		if _, ok := number(v); !ok {
			return nil, errorf("$add only supports numeric or date types, not %s", typeName(v))
		}
		sum = combine(sum, v, sumInt, func(x, y float64) float64 { return x + y })
	}
	if d, ok := date.(parse.Date); ok {
		n, _ := number(sum)
		return dateOf(float64(d) + n)
	}
	return sum, nil
}

func dateOf(ms float64) (parse.Value, error) {
	if math.Abs(ms) > 8.64e15 || ms != ms {
		return nil, errorf("date overflow")
	}
	return parse.Date(math.Round(ms)), nil
}

func multiply(_ *run, a []parse.Value) (parse.Value, error) {
	var product parse.Value = 1.0
	for _, v := range a {
		if absent(v) {
			return nil, nil
		}
		if _, ok := number(v); !ok {
			return nil, errorf("$multiply only supports numeric types, not %s", typeName(v))
		}
		product = combine(product, v, multiplyInt, func(x, y float64) float64 { return x * y })
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
	_, ok := number(a[0])
	_, ok2 := number(a[1])
	if !ok || !ok2 {
		return nil, errorf("can't $subtract %s from %s", typeName(a[1]), typeName(a[0]))
	}
	return combine(a[0], a[1], func(x, y int64) (int64, bool) { return sumInt(x, -y) }, func(x, y float64) float64 { return x - y }), nil
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
		if n, isInt := a[0].(parse.Int); isInt && places >= 0 {
			return n, nil
		}
		if places == 0 {
			return f(x), nil
		}
		return roundDecimal(x, places, name == "$round"), nil
	}
}

// roundDecimal rounds at a place of the decimal form with 15 digits, half to
// even, as MongoDB does: 1.035 is above the middle then, which the nearest
// float64 is not. Without toNearest it cuts.
func roundDecimal(x float64, places int, toNearest bool) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	const precision = 15
	text := strconv.FormatFloat(math.Abs(x), 'e', precision-1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	digits := strings.Replace(mantissa, ".", "", 1)
	exp, _ := strconv.Atoi(exponent)
	keep := exp + 1 + places // digits
	switch {
	case keep >= precision:
		return x
	case keep < 0:
		return math.Copysign(0, x)
	}
	n, _ := strconv.ParseInt("0"+digits[:keep], 10, 64)
	rest := digits[keep:]
	half := "5" + strings.Repeat("0", len(rest)-1)
	if toNearest && (rest > half || rest == half && n%2 == 1) {
		n++
	}
	out, _ := strconv.ParseFloat(strconv.FormatInt(n, 10)+"e"+strconv.Itoa(-places), 64)
	return math.Copysign(out, x)
}

// within is unary for a function that is not defined everywhere.
func within(name string, f func(x float64) float64, least, most float64) func(*run, []parse.Value) (parse.Value, error) {
	plain := unary(name, f)
	return func(r *run, a []parse.Value) (parse.Value, error) {
		if x, ok := number(a[0]); ok && (x < least || x > most) {
			return nil, errorf("%s's argument is out of range: %s", name, parse.AppendJSON(nil, a[0]))
		}
		return plain(r, a)
	}
}

func logarithm(_ *run, a []parse.Value) (parse.Value, error) {
	if anyAbsent(a) {
		return nil, nil
	}
	x, ok := number(a[0])
	base, ok2 := number(a[1])
	switch {
	case !ok || !ok2:
		return nil, errorf("$log only supports numeric types, not %s and %s", typeName(a[0]), typeName(a[1]))
	case x <= 0 || base <= 0 || base == 1:
		return nil, errorf("$log's argument must be a positive number and its base a positive number that is not 1")
	}
	return math.Log(x) / math.Log(base), nil
}

func bitwise(name string, start int64, f func(x, y int64) int64) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		out := start
		for _, v := range a {
			if absent(v) {
				return nil, nil
			}
			n, ok := integer(v)
			if !ok {
				return nil, errorf("%s only supports int and long operands, not %s", name, typeName(v))
			}
			out = f(out, n)
		}
		return fromInt(out), nil
	}
}

func bitNot(_ *run, a []parse.Value) (parse.Value, error) {
	if absent(a[0]) {
		return nil, nil
	}
	n, ok := integer(a[0])
	if !ok {
		return nil, errorf("$bitNot only supports int and long, not %s", typeName(a[0]))
	}
	return fromInt(^n), nil
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
