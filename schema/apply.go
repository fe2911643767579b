package schema

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/parse"
)

// Classes returns all classes, sorted by name.
func (s *Snapshot) Classes() []*Class {
	return slices.SortedFunc(maps.Values(s.classes), func(a, b *Class) int { return cmp.Compare(a.Name, b.Name) })
}

// Apply returns the snapshot that follows s by the steps; s is not changed.
// It refuses what no store could carry out: a class that exists already (103)
// or is missing (103), and a field that has another type (111).
func Apply(s *Snapshot, steps []Step) (*Snapshot, error) {
	next := &Snapshot{Version: s.Version + 1, classes: maps.Clone(s.classes)}
	for i := range steps {
		if err := next.apply(&steps[i]); err != nil {
			return nil, err
		}
	}
	return next, nil
}

func (s *Snapshot) apply(st *Step) error {
	switch st.Kind {
	case CreateClass:
		if s.classes[st.Class] != nil {
			return parse.Errorf(parse.InvalidClassName, "Class %s already exists.", st.Class)
		}
		s.classes[st.Class] = Complete(st.Def)
		return nil
	case DropClass:
		delete(s.classes, st.Class)
		return nil
	default: // changes a class that is there
	}
	old := s.classes[st.Class]
	if old == nil {
		return parse.Errorf(parse.InvalidClassName, "Class %s does not exist.", st.Class)
	}
	c := *old
	switch st.Kind {
	case AddFieldStep:
		if have := c.Fields[st.Field.Name]; have != nil && (have.Type != st.Field.Type || have.TargetClass != st.Field.TargetClass) {
			return parse.Errorf(parse.IncorrectType, "schema mismatch for %s.%s; expected %s but got %s", c.Name, have.Name,
				TypeString(have.Type, have.TargetClass), TypeString(st.Field.Type, st.Field.TargetClass))
		}
		c.Fields = make(map[string]*Field, len(old.Fields)+1)
		maps.Copy(c.Fields, old.Fields)
		c.Fields[st.Field.Name] = st.Field
	case DropField:
		c.Fields = maps.Clone(c.Fields)
		delete(c.Fields, st.Field.Name)
		c.Indexes = slices.DeleteFunc(slices.Clone(c.Indexes), func(ix Index) bool { return ix.On(st.Field.Name) })
	case SetCLP:
		c.CLP = st.CLP
	case AddIndex:
		c.Indexes = append(withoutIndex(c.Indexes, st.Index.Name), *st.Index)
	case DropIndex:
		c.Indexes = withoutIndex(c.Indexes, st.Index.Name)
	case SetMeta:
		c.OwnerField, c.OwnerRoles, c.OwnerWriteRoles = st.Def.OwnerField, st.Def.OwnerRoles, st.Def.OwnerWriteRoles
		c.Comment = st.Def.Comment
	default:
		return fmt.Errorf("schema: unknown kind of step %d", st.Kind)
	}
	s.classes[st.Class] = &c
	return nil
}

func withoutIndex(list []Index, name string) []Index {
	return slices.DeleteFunc(slices.Clone(list), func(ix Index) bool { return ix.Name == name })
}

// Diff returns the steps that bring the classes of have to the definitions of
// want. What want does not speak of stays: classes, fields, indexes, and the
// permissions of a class whose definition has none. A field that exists with
// another type is an error 111 that names every such field, since changing it
// would destroy its data. [Document.Plan] does the same for a file with its options.
func Diff(have *Snapshot, want []*Class) ([]Step, error) {
	steps, _, err := (&Document{Classes: want}).Plan(have)
	return steps, err
}

func diffFields(have, want *Class) (steps []Step, conflicts []string) {
	for _, name := range slices.Sorted(maps.Keys(want.Fields)) {
		w, h := want.Fields[name], have.Fields[name]
		switch {
		case h == nil:
		case !sameType(h, w):
			conflicts = append(conflicts, conflict(want.Name, h, w)+": define it as stored, or give the new field another name")
			continue
		case sameOptions(h, w):
			continue
		}
		steps = append(steps, Step{Kind: AddFieldStep, Class: want.Name, Field: w})
	}
	return steps, conflicts
}

func sameType(a, b *Field) bool { return a.Type == b.Type && a.TargetClass == b.TargetClass }

func conflict(class string, have, want *Field) string {
	return fmt.Sprintf("schema mismatch for %s.%s; it is stored as %s but defined as %s", class, want.Name,
		TypeString(have.Type, have.TargetClass), TypeString(want.Type, want.TargetClass))
}

func sameOptions(a, b *Field) bool {
	return a.Required == b.Required && a.Comment == b.Comment && parse.Equal(a.Default, b.Default) &&
		bytes.Equal(a.ValidateJSON, b.ValidateJSON) && a.Extra.Len() == b.Extra.Len() &&
		(a.Extra.Len() == 0 || parse.Equal(a.Extra, b.Extra))
}

func diffIndexes(have, want *Class) []Step {
	var steps []Step
	for i := range want.Indexes {
		w := want.Indexes[i]
		at := slices.IndexFunc(have.Indexes, func(h Index) bool { return h.Name == w.Name })
		if at >= 0 {
			if sameIndex(&have.Indexes[at], &w) {
				continue
			}
			steps = append(steps, Step{Kind: DropIndex, Class: want.Name, Index: &Index{Name: w.Name}})
		}
		steps = append(steps, Step{Kind: AddIndex, Class: want.Name, Index: &w})
	}
	return steps
}

func sameIndex(a, b *Index) bool {
	return a.Unique == b.Unique && a.Sparse == b.Sparse && a.CaseInsensitive == b.CaseInsensitive && slices.Equal(a.Keys, b.Keys)
}
