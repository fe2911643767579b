package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// suggestKeys is how many keys a suggested index has at most.
const suggestKeys = 4

// Title describes a shape in words.
func (s *Shape) Title() string {
	var parts []string
	for _, k := range [...]Kind{Equality, In, Prefix, Range, Place, Other} {
		var paths []string
		for _, c := range s.Constraints {
			if c.Kind == k {
				paths = append(paths, c.Path)
			}
		}
		if paths != nil {
			parts = append(parts, k.String()+" "+strings.Join(paths, ", "))
		}
	}
	if len(s.Order) > 0 {
		keys := make([]string, len(s.Order))
		for i, k := range s.Order {
			if k.Desc {
				keys[i] = "-"
			}
			keys[i] += k.Path
		}
		parts = append(parts, "order "+strings.Join(keys, ", "))
	}
	if parts == nil {
		parts = []string{"all objects"}
	}
	if s.Count {
		parts = append(parts, "counted")
	}
	return "class " + s.Class + ": " + strings.Join(parts, ", ")
}

func (s *Shape) fields(kinds ...Kind) []string {
	var out []string
	for _, c := range s.Constraints {
		if slices.Contains(kinds, c.Kind) && !slices.Contains(out, c.Path) {
			out = append(out, c.Path)
		}
	}
	return out
}

// Service is how well an index serves a shape.
type Service string

// Services.
const (
	// Full: the index finds what equalities ask for, and gives the order.
	Full Service = "full"
	// Part: it narrows or sorts, but something is left to do.
	Part Service = "part"
	// None: every object of the class is read.
	None Service = "none"
	// Unneeded: the shape asks for nothing that an index could find.
	Unneeded Service = "unneeded"
)

// idIndex is the index of ids, which every class has.
var idIndex = schema.Index{Name: schema.IDIndex, Unique: true, Keys: []schema.IndexKey{{Field: parse.KeyObjectID}}}

// serve returns the index that serves a shape best, and how well.
func serve(s *Shape, indexes []schema.Index) (name string, best Service) {
	equal, ranges := s.fields(Equality), s.fields(In, Prefix, Range)
	if len(equal) == 0 && len(ranges) == 0 && len(s.fields(Place)) == 0 && len(s.Order) == 0 {
		return "", Unneeded
	}
	best = None
	used := 0
	for _, ix := range append([]schema.Index{idIndex}, indexes...) {
		n, full := s.use(&ix, equal, ranges)
		if n == 0 || best == Full && !full {
			continue
		}
		if full && best != Full || n > used {
			name, used = ix.Name, n
			best = Part
			if full {
				best = Full
			}
		}
	}
	return name, best
}

// use counts the keys of an index that serve a shape; full: nothing is left to do.
func (s *Shape) use(ix *schema.Index, equal, ranges []string) (n int, full bool) {
	if ix.CaseInsensitive {
		return 0, false // for look-ups of the server itself
	}
	if kind := ix.Keys[0].Kind; kind != "" {
		if slices.Contains(s.fields(Place), ix.Keys[0].Field) {
			return 1, len(equal) == 0 && len(s.Order) == 0
		}
		return 0, false
	}
	for n < len(ix.Keys) && slices.Contains(equal, ix.Keys[n].Field) {
		n++
	}
	all := n == len(equal)
	if ix.Unique && n == len(ix.Keys) {
		return n, true // one object at most
	}
	if ix.Sparse && n == 0 && len(ranges) == 0 {
		return 0, false // objects without a value are not in it
	}
	// What is equal in all that is found gives no order.
	order := slices.DeleteFunc(slices.Clone(s.Order), func(k Key) bool { return slices.Contains(equal, k.Path) })
	if len(order) == 0 {
		if n < len(ix.Keys) && slices.Contains(ranges, ix.Keys[n].Field) {
			return n + 1, all
		}
		return n, all && n > 0
	}
	ordered := 0
	reverse := false
	for ordered < len(order) && n+ordered < len(ix.Keys) {
		k, o := ix.Keys[n+ordered], order[ordered]
		if k.Field != o.Path || ordered > 0 && (k.Desc != o.Desc) != reverse {
			break
		}
		reverse = k.Desc != o.Desc
		ordered++
	}
	if ordered > 0 && !ix.Sparse {
		return n + ordered, all && (ordered == len(order) || order[ordered].Path == parse.KeyObjectID)
	}
	if n < len(ix.Keys) && slices.Contains(ranges, ix.Keys[n].Field) {
		return n + 1, false
	}
	return n, false
}

// suggest returns the index that would serve a shape; nil if none would. The
// rule is that of all B-trees: equalities, then the order, then one range.
func suggest(s *Shape, class *schema.Class, can func(field string, sorted bool) bool) *schema.Index {
	ix := &schema.Index{}
	has := func(field string) bool {
		return slices.ContainsFunc(ix.Keys, func(k schema.IndexKey) bool { return k.Field == field })
	}
	for _, f := range s.fields(Equality) {
		if len(ix.Keys) < suggestKeys && can(f, false) && !has(f) {
			ix.Keys = append(ix.Keys, schema.IndexKey{Field: f})
		}
	}
	sorted := false
	for _, k := range s.Order {
		if len(ix.Keys) == suggestKeys || !can(k.Path, true) {
			break
		}
		if !has(k.Path) {
			ix.Keys, sorted = append(ix.Keys, schema.IndexKey{Field: k.Path, Desc: k.Desc}), true
		}
	}
	if !sorted {
		for _, f := range s.fields(In, Prefix, Range) {
			if len(ix.Keys) < suggestKeys && can(f, false) && !has(f) {
				ix.Keys = append(ix.Keys, schema.IndexKey{Field: f})
				break
			}
		}
	}
	if len(ix.Keys) == 0 {
		return nil
	}
	names := make([]string, len(ix.Keys))
	for i, k := range ix.Keys {
		names[i] = strings.ReplaceAll(k.Field, ".", "_")
	}
	base := strings.Join(names, "_")
	ix.Name = base
	for n := 2; slices.ContainsFunc(class.Indexes, func(have schema.Index) bool { return have.Name == ix.Name }); n++ {
		ix.Name = fmt.Sprintf("%s_%d", base, n)
	}
	return ix
}

// keysOf is the specification of an index: {"author":1,"createdAt":-1}.
func keysOf(ix *schema.Index) *parse.Map {
	m := &parse.Map{}
	for _, k := range ix.Keys {
		switch {
		case k.Kind != "":
			m.Set(k.Field, k.Kind)
		case k.Desc:
			m.Set(k.Field, -1.0)
		default:
			m.Set(k.Field, 1.0)
		}
	}
	return m
}
