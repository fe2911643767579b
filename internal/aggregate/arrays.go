package aggregate

import (
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

func arraySize(_ *run, a []parse.Value) (parse.Value, error) {
	list, ok := a[0].(parse.Array)
	if !ok {
		return nil, errorf("The argument to $size must be an array, but was of type: %s", typeName(a[0]))
	}
	return float64(len(list)), nil
}

func elementAt(_ *run, a []parse.Value) (parse.Value, error) {
	if anyAbsent(a) {
		return nil, nil
	}
	list, ok := a[0].(parse.Array)
	i, ok2 := whole(a[1])
	if !ok || !ok2 {
		return nil, errorf("$arrayElemAt needs an array and an integer, but was given %s and %s", typeName(a[0]), typeName(a[1]))
	}
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return missing{}, nil
	}
	return list[i], nil
}

func slice(_ *run, a []parse.Value) (parse.Value, error) {
	if anyAbsent(a) {
		return nil, nil
	}
	list, ok := a[0].(parse.Array)
	n, ok2 := whole(a[len(a)-1])
	if !ok || !ok2 {
		return nil, errorf("$slice needs an array and integers")
	}
	if len(a) == 2 {
		if n < 0 {
			return list[max(0, len(list)+n):], nil
		}
		return list[:min(n, len(list))], nil
	}
	from, ok := whole(a[1])
	if !ok || n <= 0 {
		return nil, errorf("$slice needs an integer position and a positive number of elements")
	}
	if from < 0 {
		from = max(0, len(list)+from)
	}
	from = min(from, len(list))
	return list[from : from+min(n, len(list)-from)], nil
}

func in(_ *run, a []parse.Value) (parse.Value, error) {
	list, ok := a[1].(parse.Array)
	if !ok {
		return nil, errorf("$in requires an array as a second argument, found: %s", typeName(a[1]))
	}
	return slices.ContainsFunc(list, func(v parse.Value) bool { return compare(v, a[0]) == 0 }), nil
}

func concatArrays(r *run, a []parse.Value) (parse.Value, error) {
	n := 0
	for _, v := range a {
		if absent(v) {
			return nil, nil
		}
		list, ok := v.(parse.Array)
		if !ok {
			return nil, errorf("$concatArrays only supports arrays, not %s", typeName(v))
		}
		if n += len(list); n*16 > r.lim.Value {
			return nil, errorf("$concatArrays makes an array of more than %d bytes", r.lim.Value)
		}
	}
	out := make(parse.Array, 0, n)
	for _, v := range a {
		list, _ := v.(parse.Array)
		out = append(out, list...)
	}
	return out, nil
}

func reverseArray(_ *run, a []parse.Value) (parse.Value, error) {
	if absent(a[0]) {
		return nil, nil
	}
	list, ok := a[0].(parse.Array)
	if !ok {
		return nil, errorf("The argument to $reverseArray must be an array, but was of type: %s", typeName(a[0]))
	}
	out := slices.Clone(list)
	slices.Reverse(out)
	return out, nil
}

func objectToArray(_ *run, a []parse.Value) (parse.Value, error) {
	if absent(a[0]) {
		return nil, nil
	}
	m, ok := a[0].(*parse.Map)
	if !ok {
		return nil, errorf("$objectToArray requires a document input, found: %s", typeName(a[0]))
	}
	out := make(parse.Array, 0, m.Len())
	for k, v := range m.All() {
		out = append(out, parse.NewMap(parse.MapField{Key: "k", Value: k}, parse.MapField{Key: "v", Value: v}))
	}
	return out, nil
}

func mergeObjects(_ *run, a []parse.Value) (parse.Value, error) {
	out := &parse.Map{}
	for _, v := range a {
		if absent(v) {
			continue
		}
		m, ok := v.(*parse.Map)
		if !ok {
			return nil, errorf("$mergeObjects requires object inputs, but input is of type %s", typeName(v))
		}
		for k, v := range m.All() {
			out.Set(k, v)
		}
	}
	return out, nil
}

// inside compiles an expression that sees further variables.
func (c *compiler) inside(v parse.Value, names ...string) (expr, error) {
	n := len(c.scope)
	c.scope = append(c.scope, names...)
	x, err := c.expr(v)
	c.scope = c.scope[:n]
	return x, err
}

// loop compiles $filter, $map and $reduce.
func (c *compiler) loop(op string, arg parse.Value) (expr, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		return nil, errorf("%s only supports an object as its argument", op)
	}
	need := map[string][]string{"$filter": {"input", "cond"}, "$map": {"input", "in"}, "$reduce": {"input", "initialValue", "in"}}[op]
	for k := range m.All() {
		if !slices.Contains(need, k) && (k != "as" || op == "$reduce") && (k != "limit" || op != "$filter") {
			return nil, errorf("Unrecognized parameter to %s: %s", op, k)
		}
	}
	for _, k := range need {
		if !m.Has(k) {
			return nil, errorf("Missing '%s' parameter to %s", k, op)
		}
	}
	as := "this"
	if v, ok := m.Get("as"); ok {
		if as, ok = v.(string); !ok || !variableName(as) {
			return nil, errorf("%s: '%s' is no valid name of a variable", op, parse.AppendJSON(nil, v))
		}
	}
	get := func(k string) parse.Value { v, _ := m.Get(k); return v }
	input, err := c.expr(get("input"))
	if err != nil {
		return nil, err
	}
	names := []string{as}
	if op == "$reduce" {
		names = append(names, "value")
	}
	body, err := c.inside(get(need[len(need)-1]), names...)
	if err != nil {
		return nil, err
	}
	elements := func(e *env) (parse.Array, error) {
		v, err := input(e)
		if err != nil || absent(v) {
			return nil, err
		}
		list, ok := v.(parse.Array)
		if !ok {
			return nil, errorf("input to %s must be an array not %s", op, typeName(v))
		}
		if list == nil {
			list = parse.Array{}
		}
		return list, nil
	}
	if op == "$reduce" {
		initial, err := c.expr(get("initialValue"))
		if err != nil {
			return nil, err
		}
		return reduce(elements, initial, body), nil
	}
	most := constant(nil)
	if v, ok := m.Get("limit"); ok {
		if most, err = c.expr(v); err != nil {
			return nil, err
		}
	}
	return func(e *env) (parse.Value, error) {
		list, err := elements(e)
		if err != nil || list == nil {
			return nil, err
		}
		limit := len(list)
		if v, err := most(e); err != nil {
			return nil, err
		} else if !absent(v) {
			if n, ok := whole(v); !ok || n < 1 {
				return nil, errorf("$filter: limit must be a positive integer")
			} else {
				limit = min(limit, n)
			}
		}
		out := make(parse.Array, 0, limit)
		for _, el := range list {
			if len(out) == limit {
				break
			}
			if err := e.r.step(); err != nil {
				return nil, err
			}
			v, err := body(e.with(as, el))
			if err != nil {
				return nil, err
			}
			switch {
			case op == "$map":
				out = append(out, orNull(v))
			case truth(v):
				out = append(out, el)
			}
		}
		return out, e.r.fits(out)
	}, nil
}

func reduce(elements func(*env) (parse.Array, error), initial, body expr) expr {
	return func(e *env) (parse.Value, error) {
		list, err := elements(e)
		if err != nil || list == nil {
			return nil, err
		}
		value, err := initial(e)
		if err != nil {
			return nil, err
		}
		for _, el := range list {
			if err := e.r.step(); err != nil {
				return nil, err
			}
			if value, err = body(e.with("value", value).with("this", el)); err != nil {
				return nil, err
			}
			if err := e.r.fits(value); err != nil {
				return nil, err
			}
		}
		return value, nil
	}
}

// listArg reads an argument that must be an array; ok is false if it is null.
func listArg(op string, v parse.Value) (list parse.Array, ok bool, err error) {
	if absent(v) {
		return nil, false, nil
	}
	list, ok = v.(parse.Array)
	if !ok {
		return nil, false, errorf("%s requires an array, found: %s", op, typeName(v))
	}
	return list, true, nil
}

// positions reads the optional range of $indexOfArray, $indexOfCP and
// $indexOfBytes; ok is false if it is empty.
func positions(op string, a []parse.Value, length int) (from, to int, ok bool, err error) {
	to = length
	for i, v := range a {
		n, isWhole := whole(v)
		if !isWhole || n < 0 {
			return 0, 0, false, errorf("%s requires a range of integers that are not negative, found: %s", op, typeName(v))
		}
		if i == 0 {
			from = n
		} else {
			to = min(n, length)
		}
	}
	return from, to, from <= to, nil
}

func indexOfArray(_ *run, a []parse.Value) (parse.Value, error) {
	list, ok, err := listArg("$indexOfArray", a[0])
	if err != nil || !ok {
		return nil, err
	}
	from, to, ok, err := positions("$indexOfArray", a[2:], len(list))
	if err != nil || !ok {
		return -1.0, err
	}
	for i := from; i < to; i++ {
		if compare(list[i], a[1]) == 0 {
			return float64(i), nil
		}
	}
	return -1.0, nil
}

func rangeOf(r *run, a []parse.Value) (parse.Value, error) {
	bounds := [3]int{2: 1}
	for i, v := range a {
		n, ok := whole(v)
		if !ok || n != int(int32(n)) {
			return nil, errorf("$range requires numbers that can be represented as a 32-bit integer, found: %s", parse.AppendJSON(nil, orNull(v)))
		}
		bounds[i] = n
	}
	from, to, by := bounds[0], bounds[1], bounds[2]
	if by == 0 {
		return nil, errorf("$range requires a non-zero step value")
	}
	out := parse.Array{}
	for n := from; by > 0 && n < to || by < 0 && n > to; n += by {
		if out = append(out, float64(n)); len(out)*16 > r.lim.Value {
			return nil, errorf("$range makes an array of more than %d bytes", r.lim.Value)
		}
	}
	return out, nil
}

func arrayToObject(_ *run, a []parse.Value) (parse.Value, error) {
	list, ok, err := listArg("$arrayToObject", a[0])
	if err != nil || !ok {
		return nil, err
	}
	out := &parse.Map{}
	for _, e := range list {
		var k, v parse.Value
		switch e := e.(type) {
		case parse.Array:
			if len(e) == 2 {
				k, v = e[0], e[1]
			}
		case *parse.Map:
			if e.Len() == 2 && e.Has("v") {
				k, _ = e.Get("k")
				v, _ = e.Get("v")
			}
		}
		name, ok := k.(string)
		if !ok || strings.ContainsRune(name, 0) {
			return nil, errorf("$arrayToObject requires pairs [key, value] or objects {k, v} with keys that are strings")
		}
		out.Set(name, v)
	}
	return out, nil
}

func sortArray(r *run, a arguments) (parse.Value, error) {
	list, ok, err := listArg("$sortArray", a["input"])
	if err != nil || !ok {
		return nil, err
	}
	order, err := sortOrder("$sortArray", a["sortBy"])
	if err != nil {
		return nil, err
	}
	*r.steps += len(list)
	out := slices.Clone(list)
	slices.SortStableFunc(out, order)
	return out, nil
}

// sortOrder reads an order of values: 1, -1, or keys of objects.
func sortOrder(op string, v parse.Value) (func(a, b parse.Value) int, error) {
	if n, ok := whole(v); ok && (n == 1 || n == -1) {
		return func(a, b parse.Value) int { return n * compare(a, b) }, nil
	}
	m, _ := v.(*parse.Map)
	keys, err := sortKeys(op, m)
	if err != nil {
		return nil, err
	}
	return func(a, b parse.Value) int {
		for _, k := range keys {
			if c := compare(k.of(a), k.of(b)); c != 0 {
				if k.desc {
					return -c
				}
				return c
			}
		}
		return 0
	}, nil
}

func zip(r *run, a arguments) (parse.Value, error) {
	inputs, ok, err := listArg("$zip", a["inputs"])
	if err != nil || !ok {
		return nil, err
	}
	longest := truth(a["useLongestLength"])
	defaults, hasDefaults, err := listArg("$zip", a["defaults"])
	switch {
	case err != nil:
		return nil, err
	case len(inputs) == 0:
		return nil, errorf("$zip requires at least one input array")
	case hasDefaults && (!longest || len(defaults) != len(inputs)):
		return nil, errorf("$zip requires as many defaults as inputs, and useLongestLength with them")
	}
	lists := make([]parse.Array, len(inputs))
	n := 0
	for i, v := range inputs {
		if lists[i], ok, err = listArg("$zip", v); err != nil || !ok {
			return nil, err
		}
		if i == 0 || longest && len(lists[i]) > n || !longest && len(lists[i]) < n {
			n = len(lists[i])
		}
	}
	out := make(parse.Array, n)
	for i := range out {
		if err := r.step(); err != nil {
			return nil, err
		}
		row := make(parse.Array, len(lists))
		for j, list := range lists {
			switch {
			case i < len(list):
				row[j] = list[i]
			case hasDefaults:
				row[j] = defaults[j]
			}
		}
		out[i] = row
	}
	return out, r.fits(out)
}

// someOf is $firstN, $lastN, $maxN or $minN of an array.
func someOf(op string) func(r *run, a arguments) (parse.Value, error) {
	return func(_ *run, a arguments) (parse.Value, error) {
		list, ok := a["input"].(parse.Array)
		if !ok {
			return nil, errorf("%s requires an array as 'input', found: %s", op, typeName(a["input"]))
		}
		n, ok := whole(a["n"])
		if !ok || n < 1 {
			return nil, errorf("%s requires 'n' to be a positive integer", op)
		}
		return pick(op, list, n), nil
	}
}

// pick returns n of the elements of a list; $maxN and $minN look at no null.
func pick(op string, list parse.Array, n int) parse.Array {
	switch op {
	case "$firstN":
		return list[:min(n, len(list))]
	case "$lastN":
		return list[max(0, len(list)-n):]
	}
	out := slices.DeleteFunc(slices.Clone(list), absent)
	slices.SortStableFunc(out, func(a, b parse.Value) int {
		if op == "$maxN" {
			return compare(b, a)
		}
		return compare(a, b)
	})
	return out[:min(n, len(out))]
}
