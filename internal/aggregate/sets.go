package aggregate

import "github.com/pargo-baas/pargo/parse"

// valueSet is a list of values without duplicates, in the order in which they came.
type valueSet struct {
	list parse.Array
	has  map[string]bool
}

func newSet(lists ...parse.Array) *valueSet {
	s := &valueSet{list: parse.Array{}, has: map[string]bool{}}
	for _, list := range lists {
		for _, v := range list {
			s.add(v)
		}
	}
	return s
}

func (s *valueSet) add(v parse.Value) bool {
	key := string(appendKey(nil, v))
	if s.has[key] {
		return false
	}
	s.has[key] = true
	s.list = append(s.list, v)
	return true
}

func (s *valueSet) contains(v parse.Value) bool { return s.has[string(appendKey(nil, v))] }

// setArgs reads arguments that must be arrays; nil if one is null.
func setArgs(op string, a []parse.Value) ([]parse.Array, error) {
	out := make([]parse.Array, len(a))
	for i, v := range a {
		list, ok := v.(parse.Array)
		switch {
		case absent(v):
			return nil, nil
		case !ok:
			return nil, errorf("All operands of %s must be arrays. One argument is of type: %s", op, typeName(v))
		}
		out[i] = list
	}
	return out, nil
}

func setUnion(_ *run, a []parse.Value) (parse.Value, error) {
	lists, err := setArgs("$setUnion", a)
	if err != nil || lists == nil {
		return nil, err
	}
	return newSet(lists...).list, nil
}

func setIntersection(_ *run, a []parse.Value) (parse.Value, error) {
	lists, err := setArgs("$setIntersection", a)
	if err != nil || lists == nil {
		return nil, err
	}
	if len(lists) == 0 {
		return parse.Array{}, nil
	}
	out := newSet(lists[0])
	for _, list := range lists[1:] {
		both, other := newSet(), newSet(list)
		for _, v := range out.list {
			if other.contains(v) {
				both.add(v)
			}
		}
		out = both
	}
	return out.list, nil
}

func setDifference(_ *run, a []parse.Value) (parse.Value, error) {
	lists, err := setArgs("$setDifference", a)
	if err != nil || lists == nil {
		return nil, err
	}
	out, without := newSet(), newSet(lists[1])
	for _, v := range lists[0] {
		if !without.contains(v) {
			out.add(v)
		}
	}
	return out.list, nil
}

func setEquals(_ *run, a []parse.Value) (parse.Value, error) {
	lists, err := setArgs("$setEquals", a)
	if err != nil {
		return nil, err
	}
	if lists == nil {
		return nil, errorf("All operands of $setEquals must be arrays. One argument is null or missing")
	}
	first := newSet(lists[0])
	for _, list := range lists[1:] {
		other := newSet(list)
		if len(other.list) != len(first.list) || !subset(other, first) {
			return false, nil
		}
	}
	return true, nil
}

func setIsSubset(_ *run, a []parse.Value) (parse.Value, error) {
	lists, err := setArgs("$setIsSubset", a)
	if err != nil {
		return nil, err
	}
	if lists == nil {
		return nil, errorf("both operands of $setIsSubset must be arrays. One argument is null or missing")
	}
	return subset(newSet(lists[0]), newSet(lists[1])), nil
}

func subset(a, b *valueSet) bool {
	for _, v := range a.list {
		if !b.contains(v) {
			return false
		}
	}
	return true
}

func elementsTrue(op string) func(*run, []parse.Value) (parse.Value, error) {
	all := op == "$allElementsTrue"
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		list, ok := a[0].(parse.Array)
		if !ok {
			return nil, errorf("%s's argument must be an array, but is %s", op, typeName(a[0]))
		}
		for _, v := range list {
			if truth(v) != all {
				return !all, nil
			}
		}
		return all, nil
	}
}
