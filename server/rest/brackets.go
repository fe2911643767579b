package rest

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Limits of the bracket notation, those of the reference's parser.
const (
	bracketDepth = 5
	bracketItems = 20
)

// brackets reads parameters such as where[n]=1, where[n][$in][]=1 and
// where[$or][0][n]=1 (reference 01 §1.5). Their values are text.
func brackets(names []string, values url.Values) (*parse.Map, error) {
	slices.Sort(names) // the same answer each time
	tree := &parse.Map{}
	for _, name := range names {
		root, path, _ := strings.Cut(name, "[")
		keys := strings.Split(strings.TrimSuffix(path, "]"), "][")
		if len(keys) > bracketDepth {
			return nil, parse.Errorf(parse.InvalidQuery, "Improper encode of parameter")
		}
		list := values[name]
		if keys[len(keys)-1] == "" {
			all := make(parse.Array, len(list))
			for i, s := range list {
				all[i] = s
			}
			setBracketed(tree, root, keys[:len(keys)-1], all)
			continue
		}
		setBracketed(tree, root, keys, list[0])
	}
	for i := range tree.Len() {
		f := tree.At(i)
		tree.Set(f.Key, numbered(f.Value))
	}
	return tree, nil
}

func setBracketed(m *parse.Map, name string, path []string, value parse.Value) {
	for _, key := range path {
		v, _ := m.Get(name)
		child, ok := v.(*parse.Map)
		if !ok {
			child = &parse.Map{}
			m.Set(name, child)
		}
		m, name = child, key
	}
	m.Set(name, value)
}

// numbered makes arrays of maps whose keys are small numbers.
func numbered(v parse.Value) parse.Value {
	m, ok := v.(*parse.Map)
	if !ok {
		return v
	}
	items := make(map[int]parse.Value, m.Len())
	for i := range m.Len() {
		f := m.At(i)
		inner := numbered(f.Value)
		m.Set(f.Key, inner)
		if n, err := strconv.Atoi(f.Key); err == nil && n >= 0 && n <= bracketItems && strconv.Itoa(n) == f.Key {
			items[n] = inner
		}
	}
	if len(items) == 0 || len(items) != m.Len() {
		return m
	}
	list := make(parse.Array, 0, len(items))
	for n := range bracketItems + 1 {
		if v, ok := items[n]; ok {
			list = append(list, v)
		}
	}
	return list
}
