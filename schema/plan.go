package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Plan returns the steps that bring the classes of have to those of the file,
// and what the operator should know. Without options, what the file does not
// speak of stays, and a field that is stored with another type is an error 111
// that names every such field. DeleteExtraFields and RecreateModifiedFields
// drop data where they are set.
//
// The list "definitions" keeps the rules of Parse Server (reference 01 §13.2):
// a field that is stored with another type stays as it is, indexes that are
// not defined go unless KeepUnknownIndexes is set, and clients can add fields
// to no class, whether it is defined or not.
func (d *Document) Plan(have *Snapshot) (steps []Step, warnings []string, err error) {
	p := planner{doc: d}
	defined := make(map[string]bool, len(d.Classes))
	for _, w := range d.Classes {
		w = Complete(w)
		defined[w.Name] = true
		if h := have.Class(w.Name); h != nil {
			if err := p.change(h, w); err != nil {
				return nil, nil, err
			}
			continue
		}
		p.add(w.Name, Step{Kind: CreateClass, Def: w})
	}
	if len(p.conflicts) > 0 {
		return nil, nil, parse.Errorf(parse.IncorrectType, "%s", strings.Join(p.conflicts, "; "))
	}
	for _, c := range have.Classes() {
		if !defined[c.Name] {
			p.undefined(c)
		}
	}
	return p.steps, p.warnings, nil
}

// planner works out the steps of [Document.Plan].
type planner struct {
	doc       *Document
	steps     []Step
	warnings  []string
	conflicts []string
}

func (p *planner) add(class string, st Step) {
	st.Class = class
	p.steps = append(p.steps, st)
}

func (p *planner) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// change brings one stored class to its definition.
func (p *planner) change(have, want *Class) error {
	begin := len(p.steps)
	p.extraFields(have, want)
	same := p.retyped(have, want)
	steps, conflicts := diffFields(have, same)
	p.steps = append(p.steps, steps...)
	p.conflicts = append(p.conflicts, conflicts...)
	if want.CLP != nil && !sameCLP(have.CLP, want.CLP) {
		p.add(want.Name, Step{Kind: SetCLP, CLP: want.CLP})
	}
	if len(p.conflicts) > 0 {
		return nil
	}
	// Indexes go with the fields that they are on.
	next, err := Apply(NewSnapshot(0, have), p.steps[begin:])
	if err != nil {
		return err
	}
	p.extraIndexes(next.Class(want.Name), want)
	p.steps = append(p.steps, diffIndexes(next.Class(want.Name), want)...)
	if !sameMeta(have, want) {
		p.add(want.Name, Step{Kind: SetMeta, Def: want})
	}
	return nil
}

// extraFields drops what is stored but not defined, or warns of it.
func (p *planner) extraFields(have, want *Class) {
	for _, name := range sortedFields(have) {
		if want.Fields[name] != nil {
			continue
		}
		switch {
		case p.doc.DeleteExtraFields:
			p.add(want.Name, Step{Kind: DropField, Field: have.Fields[name]})
		case p.doc.Strict:
			p.warn("field %s.%s is stored but not defined", want.Name, name)
		}
	}
}

// retyped treats the fields whose type has changed where they are no mistake,
// and returns the definition without them.
func (p *planner) retyped(have, want *Class) *Class {
	if !p.doc.RecreateModifiedFields && !p.doc.Defined {
		return want
	}
	rest := *want
	rest.Fields = maps.Clone(want.Fields)
	for _, name := range sortedFields(want) {
		h, w := have.Fields[name], want.Fields[name]
		if h == nil || sameType(h, w) {
			continue
		}
		delete(rest.Fields, name)
		if !p.doc.RecreateModifiedFields {
			p.warn("%s; it stays as it is stored", conflict(want.Name, h, w))
			continue
		}
		p.add(want.Name, Step{Kind: DropField, Field: h})
		p.add(want.Name, Step{Kind: AddFieldStep, Field: w})
	}
	return &rest
}

// extraIndexes drops the indexes that are not defined. They go before others
// are made, so that an index can be given another name.
func (p *planner) extraIndexes(have, want *Class) {
	if !p.doc.Defined || p.doc.KeepUnknownIndexes {
		return
	}
	for _, ix := range have.Indexes {
		known := slices.ContainsFunc(want.Indexes, func(w Index) bool { return w.Name == ix.Name })
		if !known && !ix.internal() {
			p.add(want.Name, Step{Kind: DropIndex, Index: &Index{Name: ix.Name}})
		}
	}
}

// internal reports whether the index is on what no definition can name: the
// server made it for itself.
func (ix *Index) internal() bool {
	return slices.ContainsFunc(ix.Keys, func(k IndexKey) bool {
		return strings.HasPrefix(k.Field, "_") || strings.HasPrefix(k.Field, "authData.")
	})
}

// undefined treats a stored class of which the file says nothing.
func (p *planner) undefined(c *Class) {
	if p.doc.Strict && !IsSystem(c.Name) {
		p.warn("class %s is stored but not defined", c.Name)
	}
	if !p.doc.Defined || IsVolatile(c.Name) {
		return
	}
	closed := &CLP{Protected: map[string][]string{}}
	if c.CLP != nil {
		*closed = *c.CLP
	}
	closed.Ops = make(map[Operation]*Permission, len(opNames))
	for _, o := range opNames {
		if c.CLP == nil {
			closed.Ops[o.op] = &Permission{Public: o.op != Aggregate}
		} else if was := c.CLP.Ops[o.op]; was != nil {
			closed.Ops[o.op] = was
		}
	}
	closed.Ops[AddField] = &Permission{}
	if !sameCLP(c.CLP, closed) {
		p.add(c.Name, Step{Kind: SetCLP, CLP: closed})
	}
}

// Destroys reports whether the step removes data that objects may have.
func (st *Step) Destroys() bool { return st.Kind == DropClass || st.Kind == DropField }

// Describe says in words what each of the steps does to a schema that is now have.
func Describe(have *Snapshot, steps []Step) []string {
	out := make([]string, len(steps))
	for i := range steps {
		out[i] = steps[i].describe(have.Class(steps[i].Class))
		if next, err := Apply(have, steps[i:i+1]); err == nil {
			have = next
		}
	}
	return out
}

func (st *Step) describe(c *Class) string {
	switch st.Kind {
	case CreateClass:
		return fmt.Sprintf("create class %s: %d fields, %d indexes", st.Class, len(st.Def.Fields), len(st.Def.Indexes))
	case DropClass:
		return fmt.Sprintf("drop class %s with all its objects", st.Class)
	case AddFieldStep:
		verb := "add field"
		if c != nil && c.Fields[st.Field.Name] != nil {
			verb = "change options of field"
		}
		return fmt.Sprintf("%s %s.%s: %s", verb, st.Class, st.Field.Name, TypeString(st.Field.Type, st.Field.TargetClass))
	case DropField:
		return fmt.Sprintf("drop field %s.%s with its data", st.Class, st.Field.Name)
	case SetCLP:
		return "set permissions of class " + st.Class
	case AddIndex:
		return fmt.Sprintf("add index %s.%s on %s", st.Class, st.Index.Name, st.Index.keys())
	case DropIndex:
		return fmt.Sprintf("drop index %s.%s", st.Class, st.Index.Name)
	case SetMeta:
		return fmt.Sprintf("set owner and comment of class %s", st.Class)
	}
	return ""
}

// keys lists the keys of an index for people, a descending one with a minus.
func (ix *Index) keys() string {
	list := make([]string, len(ix.Keys))
	for i, k := range ix.Keys {
		list[i] = k.Field
		if k.Desc {
			list[i] = "-" + k.Field
		}
	}
	return strings.Join(list, ", ")
}
