package aggregate

import (
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
			ok, err := f(&env{r: r, doc: d})
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
	}
	if strings.HasPrefix(key, "$") {
		return nil, errorf("unknown top level operator: %s", key)
	}
	return c.constraints(strings.Split(key, "."), v)
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
// and by element. Where there is none, it is one missing value.
func reach(v parse.Value, path []string) []parse.Value {
	var out []parse.Value
	collect(v, path, &out)
	if len(out) == 0 {
		return []parse.Value{missing{}}
	}
	return out
}

func collect(v parse.Value, path []string, out *[]parse.Value) {
	if len(path) == 0 {
		*out = append(*out, v)
		return
	}
	list, ok := v.(parse.Array)
	if !ok {
		if v = field(v, path[0]); !isMissing(v) {
			collect(v, path[1:], out)
		}
		return
	}
	if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(list) {
		collect(list[i], path[1:], out)
	}
	for _, e := range list {
		if m, ok := e.(*parse.Map); ok {
			collect(m, path, out)
		} else if p, ok := e.(parse.Pointer); ok {
			collect(p, path, out)
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
	case "$type":
		return some(path, func(got parse.Value) bool {
			name := typeName(got)
			return name == v || v == "number" && rank(got) == 2
		}), nil
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
			return ok && int64(n)%int64(by) == int64(rest)
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
	var f filter
	var err error
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
				if ok, err := f(&env{r: e.r, doc: el, vars: e.vars}); ok || err != nil {
					return ok, err
				}
			}
		}
		return false, nil
	}, nil
}

func isLogical(key string) bool {
	return key == "$and" || key == "$or" || key == "$nor" || key == "$expr"
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
