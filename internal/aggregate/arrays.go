package aggregate

import (
	"slices"

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

func setUnion(_ *run, a []parse.Value) (parse.Value, error) {
	out, seen := parse.Array{}, map[string]bool{}
	for _, v := range a {
		if absent(v) {
			return nil, nil
		}
		list, ok := v.(parse.Array)
		if !ok {
			return nil, errorf("All operands of $setUnion must be arrays. One argument is of type: %s", typeName(v))
		}
		for _, e := range list {
			if key := string(appendKey(nil, e)); !seen[key] {
				seen[key] = true
				out = append(out, e)
			}
		}
	}
	return out, nil
}

// defined reports whether a variable is in scope of what is being compiled.
func (c *compiler) defined(name string) bool { return slices.Contains(c.scope, name) }

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
		if !slices.Contains(need, k) && (k != "as" || op == "$reduce") {
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
		if as, ok = v.(string); !ok || as == "" || as[0] < 'a' || as[0] > 'z' || !plainName(as) {
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
	return func(e *env) (parse.Value, error) {
		list, err := elements(e)
		if err != nil || list == nil {
			return nil, err
		}
		out := make(parse.Array, 0, len(list))
		for _, el := range list {
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
