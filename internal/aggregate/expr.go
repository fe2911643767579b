package aggregate

import (
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// expr is a compiled expression. What it returns may share parts with the
// document and must not be changed.
type expr func(e *env) (parse.Value, error)

func constant(v parse.Value) expr { return func(*env) (parse.Value, error) { return v, nil } }

func (c *compiler) expr(v parse.Value) (expr, error) {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "$") {
			return c.path(v)
		}
	case parse.Array:
		return c.list(v)
	case *parse.Map:
		return c.object(v)
	}
	return constant(v), nil
}

// path compiles "$a.b" and "$$variable.a".
func (c *compiler) path(s string) (expr, error) {
	text, isVariable := strings.CutPrefix(s, "$$")
	text = strings.TrimPrefix(text, "$")
	path := strings.Split(text, ".")
	for _, name := range path {
		if name == "" {
			return nil, errorf("FieldPath '%s' is not valid: it has an empty part.", s)
		}
		if strings.ContainsAny(name, "'\"\x00") {
			return nil, parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s", text)
		}
	}
	if !isVariable {
		c.seen.see(path[0])
		return func(e *env) (parse.Value, error) { return at(e.doc, path), nil }, nil
	}
	name, rest := path[0], path[1:]
	switch name {
	case "ROOT", "CURRENT":
		if len(rest) == 0 {
			c.seen.whole()
		} else {
			c.seen.see(rest[0])
		}
		if name == "ROOT" {
			return func(e *env) (parse.Value, error) { return at(e.root, rest), nil }, nil
		}
		return func(e *env) (parse.Value, error) { return at(e.doc, rest), nil }, nil
	case "NOW":
		return constant(c.o.Now), nil
	case "REMOVE":
		return constant(missing{}), nil
	case "DESCEND", "PRUNE", "KEEP":
		if c.redact {
			return constant(verdict(name)), nil
		}
	}
	if !slices.Contains(c.scope, name) {
		return nil, errorf("Use of undefined variable: %s", name)
	}
	return func(e *env) (parse.Value, error) { return at(e.lookup(name), rest), nil }, nil
}

func (c *compiler) list(v parse.Array) (expr, error) {
	list, err := c.exprs(v)
	if err != nil {
		return nil, err
	}
	return func(e *env) (parse.Value, error) {
		out := make(parse.Array, len(list))
		for i, x := range list {
			v, err := x(e)
			if err != nil {
				return nil, err
			}
			out[i] = orNull(v)
		}
		return out, nil
	}, nil
}

func (c *compiler) exprs(v parse.Array) ([]expr, error) {
	out := make([]expr, len(v))
	for i, e := range v {
		var err error
		if out[i], err = c.expr(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// object compiles an operator, or an object whose values are expressions.
func (c *compiler) object(m *parse.Map) (expr, error) {
	if m.Len() > 0 && strings.HasPrefix(m.At(0).Key, "$") {
		if m.Len() > 1 {
			return nil, errorf("an expression specification must contain exactly one field, the name of the expression; found %d fields", m.Len())
		}
		return c.call(m.At(0).Key, m.At(0).Value)
	}
	names := make([]string, 0, m.Len())
	values := make(parse.Array, 0, m.Len())
	for k, v := range m.All() {
		if strings.HasPrefix(k, "$") {
			return nil, errorf("Unrecognized expression '%s'", k)
		}
		names, values = append(names, k), append(values, v)
	}
	list, err := c.exprs(values)
	if err != nil {
		return nil, err
	}
	return func(e *env) (parse.Value, error) {
		out := &parse.Map{}
		for i, x := range list {
			v, err := x(e)
			if err != nil {
				return nil, err
			}
			if !isMissing(v) {
				out.Set(names[i], v)
			}
		}
		return out, nil
	}, nil
}

// call compiles the use of an operator.
func (c *compiler) call(name string, arg parse.Value) (expr, error) {
	switch name {
	case "$literal":
		return constant(arg), nil
	case "$cond":
		return c.cond(arg)
	case "$switch":
		return c.switchOf(arg)
	case "$and", "$or", "$ifNull":
		return c.lazy(name, arg)
	case "$filter", "$map", "$reduce":
		return c.loop(name, arg)
	case "$let":
		return c.let(arg)
	case "$getField":
		arg = c.fieldArgs(arg)
	case "$function", "$accumulator", "$where":
		return nil, errorf("%s is not allowed: no JavaScript runs here", name)
	}
	if _, ok := dateParts[name]; ok {
		return c.datePart(name, arg)
	}
	if f, ok := byName[name]; ok {
		return c.callNamed(name, f, arg)
	}
	f, ok := functions[name]
	if !ok {
		return nil, errorf("Unrecognized expression '%s'", name)
	}
	args, isList := arg.(parse.Array)
	if !isList {
		args = parse.Array{arg}
	}
	if len(args) < f.min || f.max >= 0 && len(args) > f.max {
		return nil, errorf("Expression %s takes %s arguments. %d were passed in.", name, f.arity(), len(args))
	}
	list, err := c.exprs(args)
	if err != nil {
		return nil, err
	}
	return func(e *env) (parse.Value, error) {
		values := make([]parse.Value, len(list))
		for i, x := range list {
			var err error
			if values[i], err = x(e); err != nil {
				return nil, err
			}
		}
		return f.do(e.r, values)
	}, nil
}

// named reads the arguments of an operator that takes them by name.
func (c *compiler) named(op string, arg parse.Value, required, optional string) (map[string]expr, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		return nil, errorf("%s only supports an object as its argument", op)
	}
	must, may := strings.Fields(required), strings.Fields(optional)
	if err := checkArguments(op, m, must, may); err != nil {
		return nil, err
	}
	out := make(map[string]expr, m.Len())
	for k, v := range m.All() {
		var err error
		if out[k], err = c.expr(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func checkArguments(op string, m *parse.Map, must, may []string) error {
	for k := range m.All() {
		if !slices.Contains(must, k) && !slices.Contains(may, k) {
			return errorf("Unrecognized argument to %s: %s", op, k)
		}
	}
	for _, name := range must {
		if !m.Has(name) {
			return errorf("Missing '%s' parameter to %s", name, op)
		}
	}
	return nil
}

// namedFunction is an operator whose arguments have names.
type namedFunction struct {
	required, optional string
	// short, if not empty, is the argument that may stand without its name.
	short string
	do    func(r *run, a arguments) (parse.Value, error)
}

// arguments are the values of arguments by name. One that was not given is
// not there, which is not the same as missing.
type arguments map[string]parse.Value

// get returns an argument, null where it is missing or not given.
func (a arguments) get(name string) parse.Value { return orNull(a[name]) }

func (c *compiler) callNamed(op string, f namedFunction, arg parse.Value) (expr, error) {
	m, isMap := arg.(*parse.Map)
	if f.short != "" && (!isMap || !m.Has(f.short)) {
		arg = parse.NewMap(parse.MapField{Key: f.short, Value: arg})
	}
	list, err := c.named(op, arg, f.required, f.optional)
	if err != nil {
		return nil, err
	}
	return func(e *env) (parse.Value, error) {
		values := make(arguments, len(list))
		for k, x := range list {
			var err error
			if values[k], err = x(e); err != nil {
				return nil, err
			}
		}
		return f.do(e.r, values)
	}, nil
}

// fieldArgs completes the arguments of $getField, which reads the document at
// hand by default.
func (c *compiler) fieldArgs(arg parse.Value) parse.Value {
	m, _ := arg.(*parse.Map)
	if !m.Has("field") {
		m = parse.NewMap(parse.MapField{Key: "field", Value: arg})
	}
	if m.Has("input") {
		return m
	}
	m = m.Clone()
	m.Set("input", "$$CURRENT")
	return m
}

// let compiles $let: variables, and an expression that sees them.
func (c *compiler) let(arg parse.Value) (expr, error) {
	m, _ := arg.(*parse.Map)
	if err := checkArguments("$let", m, []string{"vars", "in"}, nil); err != nil {
		return nil, err
	}
	v, _ := m.Get("vars")
	names, values, err := c.variables("$let", v)
	if err != nil {
		return nil, err
	}
	in, _ := m.Get("in")
	body, err := c.inside(in, names...)
	if err != nil {
		return nil, err
	}
	return func(e *env) (parse.Value, error) {
		vars, err := bind(e, names, values)
		if err != nil {
			return nil, err
		}
		inner := *e
		inner.vars = vars
		return body(&inner)
	}, nil
}

// variables compiles the definitions of variables.
func (c *compiler) variables(op string, v parse.Value) ([]string, []expr, error) {
	m, ok := v.(*parse.Map)
	if !ok {
		return nil, nil, errorf("%s needs an object of variables", op)
	}
	names, values := make([]string, 0, m.Len()), make([]expr, 0, m.Len())
	for k, v := range m.All() {
		if !variableName(k) {
			return nil, nil, errorf("%s: '%s' is no valid name of a variable", op, k)
		}
		x, err := c.expr(v)
		if err != nil {
			return nil, nil, err
		}
		names, values = append(names, k), append(values, x)
	}
	return names, values, nil
}

// variableName reports whether a variable that a client defines may have the name.
func variableName(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && plainName(s)
}

// bind evaluates variables; none sees the others.
func bind(e *env, names []string, values []expr) (*variable, error) {
	vars := e.vars
	for i, x := range values {
		v, err := x(e)
		if err != nil {
			return nil, err
		}
		vars = &variable{names[i], v, vars}
	}
	return vars, nil
}

func (c *compiler) cond(arg parse.Value) (expr, error) {
	if list, ok := arg.(parse.Array); ok {
		if len(list) != 3 {
			return nil, errorf("Expression $cond takes exactly 3 arguments. %d were passed in.", len(list))
		}
		arg = parse.NewMap(parse.MapField{Key: "if", Value: list[0]}, parse.MapField{Key: "then", Value: list[1]}, parse.MapField{Key: "else", Value: list[2]})
	}
	a, err := c.named("$cond", arg, "if then else", "")
	if err != nil {
		return nil, err
	}
	return func(e *env) (parse.Value, error) {
		v, err := a["if"](e)
		if err != nil {
			return nil, err
		}
		if truth(v) {
			return a["then"](e)
		}
		return a["else"](e)
	}, nil
}

func (c *compiler) switchOf(arg parse.Value) (expr, error) {
	m, _ := arg.(*parse.Map)
	list, _ := m.Get("branches")
	branches, _ := list.(parse.Array)
	if len(branches) == 0 {
		return nil, errorf("$switch requires at least one branch.")
	}
	type branch struct{ when, then expr }
	compiled := make([]branch, len(branches))
	for i, b := range branches {
		a, err := c.named("$switch", b, "case then", "")
		if err != nil {
			return nil, err
		}
		compiled[i] = branch{a["case"], a["then"]}
	}
	var otherwise expr
	if d, ok := m.Get("default"); ok {
		var err error
		if otherwise, err = c.expr(d); err != nil {
			return nil, err
		}
	}
	return func(e *env) (parse.Value, error) {
		for _, b := range compiled {
			v, err := b.when(e)
			if err != nil {
				return nil, err
			}
			if truth(v) {
				return b.then(e)
			}
		}
		if otherwise == nil {
			return nil, errorf("$switch could not find a matching branch for an input, and no default was specified.")
		}
		return otherwise(e)
	}, nil
}

// lazy compiles operators that stop at the first argument that decides.
func (c *compiler) lazy(name string, arg parse.Value) (expr, error) {
	args, ok := arg.(parse.Array)
	if !ok {
		args = parse.Array{arg}
	}
	if name == "$ifNull" && len(args) < 2 {
		return nil, errorf("$ifNull needs at least two arguments, had: %d", len(args))
	}
	list, err := c.exprs(args)
	if err != nil {
		return nil, err
	}
	return func(e *env) (parse.Value, error) {
		var v parse.Value
		for _, x := range list {
			var err error
			if v, err = x(e); err != nil {
				return nil, err
			}
			switch {
			case name == "$ifNull":
				if !absent(v) {
					return v, nil
				}
			case truth(v) == (name == "$or"):
				return name == "$or", nil
			}
		}
		if name == "$ifNull" {
			return v, nil
		}
		return name == "$and", nil
	}, nil
}
