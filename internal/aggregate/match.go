package aggregate

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// filter tests a document, or a value within one.
type filter func(e *env) (bool, error)

func (c *compiler) match(arg parse.Value) (stage, error) {
	f, err := c.filter(arg)
	if err != nil {
		return nil, err
	}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		var out []*parse.Map
		for _, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			ok, err := f(r.env(d))
			if err != nil {
				return nil, err
			}
			if ok {
				out = append(out, d)
			}
		}
		return out, nil
	}, nil
}

func (c *compiler) filter(arg parse.Value) (filter, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		return nil, errorf("the match filter must be an expression in an object")
	}
	var all []filter
	for k, v := range m.All() {
		f, err := c.condition(k, v)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return allOf(all), nil
}

func allOf(list []filter) filter {
	return func(e *env) (bool, error) {
		for _, f := range list {
			if ok, err := f(e); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}
}

func anyOf(list []filter) filter {
	return func(e *env) (bool, error) {
		for _, f := range list {
			if ok, err := f(e); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
}

func not(f filter) filter {
	return func(e *env) (bool, error) {
		ok, err := f(e)
		return !ok, err
	}
}

func (c *compiler) condition(key string, v parse.Value) (filter, error) {
	switch key {
	case "$and", "$or", "$nor":
		list, ok := v.(parse.Array)
		if !ok || len(list) == 0 {
			return nil, errorf("%s must be a nonempty array", key)
		}
		filters := make([]filter, len(list))
		for i, e := range list {
			var err error
			if filters[i], err = c.filter(e); err != nil {
				return nil, err
			}
		}
		switch key {
		case "$and":
			return allOf(filters), nil
		case "$or":
			return anyOf(filters), nil
		}
		return not(anyOf(filters)), nil
	case "$expr":
		x, err := c.expr(v)
		if err != nil {
			return nil, err
		}
		return func(e *env) (bool, error) {
			v, err := x(e)
			return truth(v), err
		}, nil
	case "$comment":
		return allOf(nil), nil
	case "$sampleRate":
		rate, ok := number(v)
		if !ok || rate < 0 || rate > 1 {
			return nil, errorf("numeric argument to $sampleRate must be in [0, 1]")
		}
		return func(*env) (bool, error) { return rand.Float64() < rate, nil }, nil //nolint:gosec // a sample is no secret
	}
	if strings.HasPrefix(key, "$") {
		return nil, errorf("unknown top level operator: %s", key)
	}
	path := strings.Split(key, ".")
	c.seen.see(path[0])
	return c.constraints(path, v)
}

// constraints compiles what is asked of the values at a path.
func (c *compiler) constraints(path []string, v parse.Value) (filter, error) {
	m, ok := v.(*parse.Map)
	if !ok || m.Len() == 0 || !strings.HasPrefix(m.At(0).Key, "$") {
		return some(path, equalTo(v)), nil
	}
	var all []filter
	for op, operand := range m.All() {
		f, err := c.operator(path, op, operand, m)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return allOf(all), nil
}

// test tests one value.
type test func(v parse.Value) bool

// some holds if any value at the path, or any element of an array there, passes.
func some(path []string, t test) filter {
	return func(e *env) (bool, error) {
		for _, v := range reach(e.doc, path) {
			if t(v) {
				return true, nil
			}
			list, _ := v.(parse.Array)
			for _, el := range list {
				if t(el) {
					return true, nil
				}
			}
		}
		return false, nil
	}
}

// reach lists the values that a filter sees at a path: through arrays by index
// and by element. An object without the field has a missing value there, an
// array of no objects none at all.
func reach(v parse.Value, path []string) []parse.Value {
	var out []parse.Value
	collect(v, path, &out)
	return out
}

// reachOne is reach for those who look for a value in any case.
func reachOne(v parse.Value, path []string) []parse.Value {
	if out := reach(v, path); len(out) > 0 {
		return out
	}
	return []parse.Value{missing{}}
}

func collect(v parse.Value, path []string, out *[]parse.Value) {
	if len(path) == 0 {
		*out = append(*out, v)
		return
	}
	list, ok := v.(parse.Array)
	if !ok {
		if v = field(v, path[0]); isMissing(v) {
			*out = append(*out, v)
		} else {
			collect(v, path[1:], out)
		}
		return
	}
	if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 {
		if i < len(list) {
			collect(list[i], path[1:], out)
		} else {
			*out = append(*out, missing{})
		}
	}
	for _, e := range list {
		if m, ok := e.(*parse.Map); ok {
			collect(m, path, out)
		}
	}
}

func equalTo(want parse.Value) test {
	if want == nil {
		return absent
	}
	return func(v parse.Value) bool { return !isMissing(v) && compare(v, want) == 0 }
}

func ordered(want parse.Value, pass func(c int) bool, orEqual bool) test {
	if want == nil {
		return func(v parse.Value) bool { return orEqual && absent(v) }
	}
	return func(v parse.Value) bool {
		return !isMissing(v) && rank(v) == rank(want) && pass(compare(v, want))
	}
}

func among(list parse.Array) test {
	set := make(map[string]bool, len(list))
	null := false
	for _, e := range list {
		set[string(appendKey(nil, e))] = true
		null = null || e == nil
	}
	return func(v parse.Value) bool {
		return null && isMissing(v) || set[string(appendKey(nil, v))]
	}
}

func (c *compiler) operator(path []string, op string, v parse.Value, all *parse.Map) (filter, error) {
	switch op {
	case "$eq":
		return some(path, equalTo(v)), nil
	case "$ne":
		return not(some(path, equalTo(v))), nil
	case "$gt":
		return some(path, ordered(v, func(c int) bool { return c > 0 }, false)), nil
	case "$gte":
		return some(path, ordered(v, func(c int) bool { return c >= 0 }, true)), nil
	case "$lt":
		return some(path, ordered(v, func(c int) bool { return c < 0 }, false)), nil
	case "$lte":
		return some(path, ordered(v, func(c int) bool { return c <= 0 }, true)), nil
	case "$exists":
		f := some(path, func(v parse.Value) bool { return !isMissing(v) })
		if !truth(v) {
			f = not(f)
		}
		return f, nil
	case "$not":
		if m, ok := v.(*parse.Map); !ok || m.Len() == 0 || !strings.HasPrefix(m.At(0).Key, "$") {
			return nil, errorf("$not needs an object with operators")
		}
		f, err := c.constraints(path, v)
		return not(f), err
	case "$regex":
		t, err := c.regexTest(v, all.String("$options"))
		return some(path, t), err
	case "$options":
		if !all.Has("$regex") {
			return nil, errorf("$options needs a $regex")
		}
		return allOf(nil), nil
	case "$comment":
		return allOf(nil), nil
	case "$type":
		t, err := typeTest(v)
		if err != nil {
			return nil, err
		}
		return some(path, t), nil
	case "$geoWithin", "$geoIntersects":
		t, err := geoTest(op, v)
		return whole1(path, t), err
	case "$bitsAllSet", "$bitsAllClear", "$bitsAnySet", "$bitsAnyClear":
		t, err := bitsTest(op, v)
		return some(path, t), err
	case "$size":
		n, ok := whole(v)
		if !ok {
			return nil, errorf("$size needs a number")
		}
		return whole1(path, func(v parse.Value) bool {
			list, ok := v.(parse.Array)
			return ok && len(list) == n
		}), nil
	case "$elemMatch":
		return c.elemMatch(path, v)
	case "$mod":
		list, _ := v.(parse.Array)
		if len(list) != 2 {
			return nil, errorf("malformed mod, needs to be an array of two numbers")
		}
		by, ok := whole(list[0])
		rest, ok2 := whole(list[1])
		if !ok || !ok2 || by == 0 {
			return nil, errorf("malformed mod, divisor must be a number and not 0")
		}
		return some(path, func(v parse.Value) bool {
			n, ok := number(v)
			return ok && math.Abs(n) < 1<<63 && int64(n)%int64(by) == int64(rest)
		}), nil
	}
	list, isList := v.(parse.Array)
	switch op {
	case "$in", "$nin", "$all":
		if !isList {
			return nil, errorf("%s needs an array", op)
		}
	default:
		return nil, errorf("unknown operator: %s", op)
	}
	switch op {
	case "$in":
		return some(path, among(list)), nil
	case "$nin":
		return not(some(path, among(list))), nil
	}
	every := make([]filter, len(list))
	for i, e := range list {
		every[i] = some(path, equalTo(e))
		if m, ok := e.(*parse.Map); ok && m.Len() == 1 && m.At(0).Key == "$elemMatch" {
			var err error
			if every[i], err = c.elemMatch(path, m.At(0).Value); err != nil {
				return nil, err
			}
		}
	}
	if len(every) == 0 {
		return anyOf(nil), nil
	}
	return allOf(every), nil
}

// whole1 tests values as they stand, arrays as a whole.
func whole1(path []string, t test) filter {
	return func(e *env) (bool, error) {
		for _, v := range reach(e.doc, path) {
			if t(v) {
				return true, nil
			}
		}
		return false, nil
	}
}

func (c *compiler) elemMatch(path []string, v parse.Value) (filter, error) {
	m, ok := v.(*parse.Map)
	if !ok {
		return nil, errorf("$elemMatch needs an Object")
	}
	outer := c.seen
	c.seen = &sight{} // its paths are those of elements
	defer func() { c.seen = outer }()
	var f filter
	var err error
	if m.Has("$expr") {
		return nil, errorf("$expr can only be applied to the top-level document")
	}
	if m.Len() > 0 && strings.HasPrefix(m.At(0).Key, "$") && !isLogical(m.At(0).Key) {
		f, err = c.constraints(nil, v)
	} else {
		f, err = c.filter(v)
	}
	if err != nil {
		return nil, err
	}
	return func(e *env) (bool, error) {
		for _, v := range reach(e.doc, path) {
			list, _ := v.(parse.Array)
			for _, el := range list {
				if ok, err := f(&env{r: e.r, root: e.root, doc: el, vars: e.vars}); ok || err != nil {
					return ok, err
				}
			}
		}
		return false, nil
	}, nil
}

func isLogical(key string) bool {
	return key == "$and" || key == "$or" || key == "$nor"
}

// regexTest leaves regular expressions to the query package, which knows the
// dialect.
func (c *compiler) regexTest(v parse.Value, options string) (test, error) {
	pattern, ok := v.(string)
	if !ok {
		return nil, errorf("$regex has to be a string")
	}
	const key = "v"
	m, err := query.Compile(&query.Regex{Path: key, Pattern: pattern, Options: options})
	if err != nil {
		return nil, err
	}
	scan := m.Scan()
	c.p.scans = append(c.p.scans, scan)
	return func(v parse.Value) bool {
		s, ok := v.(string)
		if !ok {
			return false
		}
		o := &parse.Object{}
		o.Set(key, s)
		return scan.Match(o)
	}, nil
}

// typeNames are the types that $type asks for, by number and by alias.
var typeNames = map[float64]string{
	1: "double", 2: "string", 3: "object", 4: "array", 5: "binData", 7: "objectId", 8: "bool", 9: "date", 10: "null",
	11: "regex", 16: "int", 17: "timestamp", 18: "long", 19: "decimal",
}

func typeTest(v parse.Value) (test, error) {
	list, ok := v.(parse.Array)
	if !ok {
		list = parse.Array{v}
	}
	var names []string
	for _, e := range list {
		name, isText := e.(string)
		if n, ok := number(e); ok {
			name, isText = typeNames[n]
		}
		if !isText || name != "number" && !knownType(name) {
			return nil, errorf("Unknown type name alias: %s", parse.AppendJSON(nil, e))
		}
		if name == "number" {
			names = append(names, "int", "long", "double")
		}
		names = append(names, name)
	}
	return func(got parse.Value) bool { return slices.Contains(names, typeName(got)) }, nil
}

func knownType(name string) bool {
	for _, n := range typeNames {
		if n == name {
			return true
		}
	}
	return false
}

// bitsTest reads a mask, or a list of the positions of bits.
func bitsTest(op string, v parse.Value) (test, error) {
	mask := uint64(0)
	if list, ok := v.(parse.Array); ok {
		for _, e := range list {
			n, ok := whole(e)
			if !ok || n < 0 {
				return nil, errorf("bit positions of %s must be integers that are not negative", op)
			}
			mask |= 1 << min(n, 63)
		}
	} else {
		n, ok := whole(v)
		if !ok || n < 0 {
			return nil, errorf("%s takes an Array, a number that is not negative", op)
		}
		mask = uint64(n)
	}
	return func(v parse.Value) bool {
		n, ok := integer(v)
		if !ok {
			return false
		}
		switch set := uint64(n) & mask; op {
		case "$bitsAllSet":
			return set == mask
		case "$bitsAllClear":
			return set == 0
		case "$bitsAnySet":
			return set != 0
		default:
			return set != mask
		}
	}, nil
}
