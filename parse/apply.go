package parse

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// Bounds of the keys with dots of one write. Deeper objects than these make
// could not be read again; each key copies the object it goes into.
const (
	maxPathParts = 64
	maxPaths     = 1000
)

// ParseOps returns the body of a write with every {"__op": …} at its top level
// replaced by the [Op]. A malformed or unknown operation gives a precise error.
func ParseOps(body *Map) (*Map, error) {
	var out *Map // nil as long as nothing changed
	paths := 0
	for i := range body.Len() {
		f := body.At(i)
		if dots := strings.Count(f.Key, "."); dots > 0 {
			if paths++; paths > maxPaths {
				return nil, Errorf(RequestLimitExceeded, "a write cannot have more than %d keys with dots", maxPaths)
			}
			if dots >= maxPathParts {
				return nil, Errorf(InvalidNestedKey, "a key cannot have more than %d parts", maxPathParts)
			}
		}
		m, ok := f.Value.(*Map)
		if !ok || !m.Has("__op") {
			continue
		}
		op, err := parseOp(m)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = body.Clone()
		}
		out.Set(f.Key, op)
	}
	if out == nil {
		return body, nil
	}
	return out, nil
}

func parseOp(m *Map) (Op, error) {
	name, _ := m.Get("__op")
	list := func(verb string) (Array, error) {
		v, _ := m.Get("objects")
		a, ok := v.(Array)
		if !ok {
			return nil, Errorf(InvalidJSON, "objects to %s must be an array", verb)
		}
		return a, nil
	}
	switch name {
	case "Increment":
		v, _ := m.Get("amount")
		switch n := v.(type) {
		case float64:
			return Increment{Amount: n}, nil
		case Int:
			return Increment{Amount: float64(n)}, nil
		}
		return nil, Errorf(InvalidJSON, "incrementing must provide a number")
	case "Add":
		a, err := list("add")
		return Add{a}, err
	case "AddUnique":
		a, err := list("add")
		return AddUnique{a}, err
	case "Remove":
		a, err := list("remove")
		return Remove{a}, err
	case "Delete":
		return Delete{}, nil
	case "AddRelation":
		ps, err := pointers(m)
		return AddRelation{ps}, err
	case "RemoveRelation":
		ps, err := pointers(m)
		return RemoveRelation{ps}, err
	case "Batch":
		v, _ := m.Get("ops")
		a, ok := v.(Array)
		if !ok {
			return nil, Errorf(InvalidJSON, "ops of a Batch must be an array")
		}
		b := Batch{Ops: make([]Op, 0, len(a))}
		target := ""
		for _, e := range a {
			om, ok := e.(*Map)
			if !ok {
				return nil, Errorf(InvalidJSON, "ops of a Batch must be operations")
			}
			op, err := parseOp(om)
			if err != nil {
				return nil, err
			}
			var class string // pointers saw to it that there is one
			switch op := op.(type) {
			case AddRelation:
				class = op.Objects[0].ClassName
			case RemoveRelation:
				class = op.Objects[0].ClassName
			default:
				return nil, Errorf(InvalidJSON, "a Batch may hold AddRelation and RemoveRelation only")
			}
			if len(b.Ops) == 0 {
				target = class
			}
			if class != target {
				return nil, notOneClass(target, class)
			}
			b.Ops = append(b.Ops, op)
		}
		return b, nil
	}
	text, ok := name.(string)
	if !ok {
		text = string(AppendJSON(nil, name))
	}
	return nil, Errorf(CommandUnavailable, "The %s operator is not supported yet.", text)
}

func pointers(m *Map) ([]Pointer, error) {
	v, _ := m.Get("objects")
	a, ok := v.(Array)
	if !ok || len(a) == 0 {
		return nil, Errorf(InvalidJSON, "objects of a relation must be an array of pointers")
	}
	out := make([]Pointer, 0, len(a))
	for _, e := range a {
		switch p := e.(type) {
		case Pointer:
			out = append(out, p)
		case *Object:
			out = append(out, p.Self())
		default:
			return nil, Errorf(InvalidJSON, "objects of a relation must be an array of pointers")
		}
		if last := out[len(out)-1]; last.ClassName != out[0].ClassName {
			return nil, notOneClass(out[0].ClassName, last.ClassName)
		}
	}
	return out, nil
}

func notOneClass(a, b string) error {
	return Errorf(IncorrectType, "objects of a relation must be of one class, not %s and %s", a, b)
}

// ApplyOp returns the value of a field after an operation; old is nil if the
// field is missing. It is not for relation operations nor for Delete.
func ApplyOp(old Value, op Op) (Value, error) {
	switch op := op.(type) {
	case Increment:
		switch n := old.(type) {
		case nil:
			return op.Amount, nil
		case float64:
			return finite(n + op.Amount)
		case Int:
			if a := int64(op.Amount); float64(a) == op.Amount {
				if sum := int64(n) + a; (sum > int64(n)) == (a > 0) {
					return integer(sum), nil
				}
			}
			return finite(float64(n) + op.Amount)
		}
		return nil, Errorf(IncorrectType, "cannot increment a field that is not a number")
	case Add:
		a, err := arrayOf(old, "add to")
		if err != nil {
			return nil, err
		}
		return append(append(make(Array, 0, len(a)+len(op.Objects)), a...), op.Objects...), nil
	case AddUnique:
		a, err := arrayOf(old, "add to")
		if err != nil {
			return nil, err
		}
		out := append(make(Array, 0, len(a)+len(op.Objects)), a...)
		have := NewSet(a)
		for _, v := range op.Objects {
			if have.Add(v) {
				out = append(out, v)
			}
		}
		return out, nil
	case Remove:
		a, err := arrayOf(old, "remove from")
		if err != nil {
			return nil, err
		}
		out := make(Array, 0, len(a))
		gone := NewSet(op.Objects)
		for _, v := range a {
			if !gone.Has(v) {
				out = append(out, v)
			}
		}
		return out, nil
	}
	return nil, Errorf(InvalidJSON, "unexpected operation")
}

// finite refuses a sum that JSON has no number for.
func finite(f float64) (Value, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, Errorf(InvalidJSON, "the incremented number is out of range")
	}
	return f, nil
}

// integer is n as a number: an Int only where a double would be written with
// other digits. That the digits decide, and not the value of the double, is
// what makes decoding the inverse of encoding: 2^60 is written as JavaScript
// does, 1152921504606847000, which is the text of that double and no Int.
func integer(n int64) Value {
	f := float64(n)
	if n >= -maxExact && n <= maxExact {
		return f
	}
	var digits, written [32]byte
	if bytes.Equal(strconv.AppendInt(digits[:0], n, 10), appendNumber(written[:0], f)) {
		return f
	}
	return Int(n)
}

func arrayOf(v Value, verb string) (Array, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case Array:
		return v, nil
	}
	return nil, Errorf(IncorrectType, "cannot %s a field that is not an array", verb)
}

func contains(a Array, v Value) bool {
	for _, e := range a {
		if Equal(e, v) {
			return true
		}
	}
	return false
}

// ApplyOps applies values and operations to the fields of o, which must be the
// caller's own. Keys with dots go into objects and, by index, into arrays.
// Relation operations are skipped: the members live elsewhere.
func ApplyOps(o *Object, ops *Map) error {
	for i := range ops.Len() {
		f := ops.At(i)
		switch f.Value.(type) {
		case AddRelation, RemoveRelation, Batch, Relation:
			continue
		}
		root, rest, dotted := strings.Cut(f.Key, ".")
		old, had := o.Fields.Get(root)
		v, keep, err := applyAt(old, had, rest, dotted, f.Value)
		if err != nil {
			return err
		}
		switch {
		case keep:
			o.Fields.Set(root, v)
		case had:
			o.Fields.Delete(root)
		}
	}
	return nil
}

// applyAt returns what old becomes when v is applied at path inside of it;
// keep is false if nothing remains. Containers are copied, never changed.
func applyAt(old Value, had bool, path string, dotted bool, v Value) (out Value, keep bool, err error) {
	if !dotted {
		switch op := v.(type) {
		case Delete:
			return nil, false, nil
		case Op:
			out, err = ApplyOp(old, op)
			return out, true, err
		}
		return v, true, nil
	}
	key, rest, more := strings.Cut(path, ".")
	if a, ok := old.(Array); ok {
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i > len(a) {
			return nil, false, Errorf(IncorrectType, "%q is not an index of the array", key)
		}
		copied := append(make(Array, 0, len(a)+1), a...)
		var elem Value
		if i < len(a) {
			elem = a[i]
		} else {
			copied = append(copied, nil)
		}
		out, keep, err := applyAt(elem, i < len(a), rest, more, v)
		if err != nil {
			return nil, false, err
		}
		if !keep {
			out = nil // unsetting an element leaves null, as MongoDB does
		}
		copied[i] = out
		return copied, true, nil
	}
	m, ok := old.(*Map)
	switch {
	case ok:
		m = m.Clone()
	case !had || old == nil:
		if _, isDelete := v.(Delete); isDelete {
			return old, had, nil
		}
		m = &Map{}
	default:
		return nil, false, Errorf(IncorrectType, "cannot set %q inside a value that is not an object", key)
	}
	inner, has := m.Get(key)
	out, keep, err = applyAt(inner, has, rest, more, v)
	if err != nil {
		return nil, false, err
	}
	if keep {
		m.Set(key, out)
	} else {
		m.Delete(key)
	}
	return m, true, nil
}

// Lookup returns the value at a dotted path of an object: into objects, into
// arrays by index, into included objects, and the className and objectId of a
// pointer.
func Lookup(o *Object, path string) (Value, bool) {
	root, rest, dotted := strings.Cut(path, ".")
	v, ok := o.Get(root)
	for ok && dotted {
		root, rest, dotted = strings.Cut(rest, ".")
		v, ok = step(v, root)
	}
	return v, ok
}

func step(v Value, key string) (Value, bool) {
	switch v := v.(type) {
	case *Map:
		return v.Get(key)
	case *Object:
		return v.Get(key)
	case Array:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(v) {
			return v[i], true
		}
	case Pointer:
		switch key {
		case KeyObjectID:
			return v.ObjectID, true
		case "className":
			return v.ClassName, true
		}
	}
	return nil, false
}

// CheckKeys refuses keys with "$" or "." anywhere inside a value (error 121),
// which databases could not tell from operators and paths.
func CheckKeys(v Value) error {
	switch v := v.(type) {
	case Array:
		for _, e := range v {
			if err := CheckKeys(e); err != nil {
				return err
			}
		}
	case *Map:
		for i := range v.Len() {
			f := v.At(i)
			if err := CheckKey(f.Key); err != nil {
				return err
			}
			if err := CheckKeys(f.Value); err != nil {
				return err
			}
		}
	case *Object:
		return CheckKeys(&v.Fields)
	}
	return nil
}

// CheckKey refuses a key of a nested object that contains "$" or ".".
func CheckKey(name string) error {
	if strings.ContainsAny(name, "$.") {
		return Errorf(InvalidNestedKey, "Nested keys should not contain the '$' or '.' characters")
	}
	return nil
}
