package schema

import (
	"maps"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// IDIndex is the name under which the protocol shows the index on the id, which
// all classes have.
const IDIndex = "_id_"

// Rules say what bodies of /schemas may hold beyond what is always right. The
// zero value is the protocol's default.
type Rules struct {
	// AnyUserID lets permissions name users by any text, as is needed where
	// clients choose the ids of their objects.
	AnyUserID bool
	// AnyIndexField lets indexes be on fields that the class does not have.
	AnyIndexField bool
}

// PlanCreate returns the steps that make the class which the body of POST
// /schemas describes. name is its name as the route knows it. Errors are those
// of the protocol (reference 01 §11.2 to §11.4).
func (rules Rules) PlanCreate(have *Snapshot, name string, body *parse.Map) ([]Step, error) {
	if have.Class(name) != nil || IsVolatile(name) {
		return nil, parse.Errorf(parse.InvalidClassName, "Class %s already exists.", name)
	}
	if !ValidClassName(name) || IsJoin(name) {
		return nil, ErrClassName(name)
	}
	v, _ := body.Get(keyFields)
	fields, _ := v.(*parse.Map)
	defaults := defaultFields(name)
	for field := range fields.All() {
		if defaults[field] != nil {
			return nil, parse.Errorf(parse.ChangedImmutableField, "field %s cannot be added", field)
		}
	}
	body = body.Clone()
	body.Set(keyClassName, name)
	c, err := rules.class(body)
	if err != nil {
		return nil, err
	}
	return []Step{{Kind: CreateClass, Class: name, Def: c}}, nil
}

// PlanUpdate returns the steps that change a class as the body of PUT /schemas
// asks: fields deleted, added and given new options, permissions, indexes. The
// whole body is checked before the first step, so that a wrong index leaves
// the fields as they were. Pargo's own keys may be given, too: indexOptions,
// ownerField, ownerRoles, ownerWriteRoles and comment.
func (rules Rules) PlanUpdate(have *Snapshot, name string, body *parse.Map) ([]Step, error) {
	c := have.Class(name)
	if c == nil || IsVolatile(name) {
		return nil, parse.Errorf(parse.InvalidClassName, "Class %s does not exist.", name)
	}
	a := alteration{rules: rules, was: c, class: *c}
	a.class.Fields = maps.Clone(c.Fields)
	for _, part := range [...]func(*parse.Map) error{a.fields, a.permissions, a.indexes, a.meta} {
		if err := part(body); err != nil {
			return nil, err
		}
	}
	return a.steps, nil
}

// alteration is a change of one class as it is worked out.
type alteration struct {
	rules Rules
	was   *Class
	class Class // as it will be; its Fields are its own
	steps []Step
}

func (a *alteration) add(st Step) {
	st.Class = a.was.Name
	a.steps = append(a.steps, st)
}

// deletes reports whether v is {"__op":"Delete"}.
func deletes(v parse.Value) bool {
	m, ok := v.(*parse.Map)
	return ok && m.String("__op") == "Delete"
}

// section reads a key of the body that holds an object.
func section(body *parse.Map, key string) (*parse.Map, error) {
	v, _ := body.Get(key)
	m, ok := v.(*parse.Map)
	if v != nil && !ok {
		return nil, parse.Errorf(parse.InvalidJSON, "invalid JSON")
	}
	return m, nil
}

func (a *alteration) fields(body *parse.Map) error {
	given, err := section(body, keyFields)
	if err != nil {
		return err
	}
	for field, v := range given.All() {
		def, _ := v.(*parse.Map)
		switch old := a.was.Fields[field]; {
		case deletes(v) && old == nil:
			return parse.Errorf(parse.InvalidSchemaOperation, "Field %s does not exist, cannot delete.", field)
		case !deletes(v) && old != nil && def.String(keyType) != old.Type.String():
			return parse.Errorf(parse.InvalidSchemaOperation, "Field %s exists, cannot update.", field)
		}
	}
	for field, v := range given.All() {
		if deletes(v) {
			if err := a.drop(field); err != nil {
				return err
			}
		}
	}
	for field, v := range given.All() {
		if !deletes(v) && !isSystemField(field) {
			if err := a.put(field, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *alteration) drop(field string) error {
	switch {
	case defaultFields(a.was.Name)[field] != nil:
		return parse.Errorf(parse.ChangedImmutableField, "field %s cannot be changed", field)
	case field == a.was.OwnerField:
		return parse.Errorf(parse.ChangedImmutableField, "field %s cannot be changed: it holds the owner", field)
	}
	a.add(Step{Kind: DropField, Field: a.was.Fields[field]})
	delete(a.class.Fields, field)
	a.class.Indexes = slices.DeleteFunc(slices.Clone(a.class.Indexes), func(ix Index) bool { return ix.On(field) })
	return nil
}

// On reports whether a field, or a part of it, is a key of the index.
func (ix *Index) On(field string) bool {
	return slices.ContainsFunc(ix.Keys, func(k IndexKey) bool {
		root, _, _ := strings.Cut(k.Field, ".")
		return root == field
	})
}

// put adds a field or changes the options of one. What the protocol does not
// know of a field, its validation and its comment, stays unless it is given.
func (a *alteration) put(field string, v parse.Value) error {
	f, err := FieldFromMap(a.was.Name, field, v)
	if err != nil {
		return err
	}
	if a.was.Name == UserClass && (field == "username" || field == "password") {
		f.Required = false // sign-up asks for them with errors of its own
	}
	old := a.class.Fields[field]
	if old == nil {
		if f.Type == GeoPoint {
			for name, other := range a.class.Fields {
				if other.Type == GeoPoint {
					return parse.Errorf(parse.IncorrectType,
						"currently, only one GeoPoint field may exist in an object. Adding %s when %s already exists.", field, name)
				}
			}
		}
	} else {
		if old.TargetClass != f.TargetClass {
			return parse.Errorf(parse.IncorrectType, "schema mismatch for %s.%s; expected %s but got %s", a.was.Name, field,
				TypeString(old.Type, old.TargetClass), TypeString(f.Type, f.TargetClass))
		}
		if err := keepOwnOptions(f, old); err != nil {
			return err
		}
		if sameOptions(old, f) {
			return nil
		}
	}
	a.class.Fields[field] = f
	a.add(Step{Kind: AddFieldStep, Field: f})
	return nil
}

func keepOwnOptions(f, old *Field) error {
	if f.Comment == "" {
		f.Comment = old.Comment
	}
	if f.Validate != nil || old.Validate == nil {
		return nil
	}
	f.Validate, f.ValidateJSON = old.Validate, old.ValidateJSON
	if f.Default != nil {
		if err := f.Validate.Validate(f.Default); err != nil {
			return parse.Errorf(parse.ValidationError, "default value: %s", message(err))
		}
	}
	return nil
}

func (a *alteration) permissions(body *parse.Map) error {
	v, given := body.Get(keyCLP)
	if !given {
		return nil
	}
	var err error
	r := classReader{Rules: a.rules, report: first(&err)}
	r.permissions(parse.NewMap(parse.MapField{Key: keyCLP, Value: v}), &a.class)
	if err != nil {
		return err
	}
	if v == nil {
		a.class.CLP = nil
	}
	if !sameCLP(a.was.CLP, a.class.CLP) {
		a.add(Step{Kind: SetCLP, CLP: a.class.CLP})
	}
	return nil
}

// sameCLP compares permissions; none stored differs from all public.
func sameCLP(a, b *CLP) bool {
	if a == nil || b == nil {
		return a == b
	}
	return parse.Equal(a.Map(), b.Map())
}

func (a *alteration) indexes(body *parse.Map) error {
	given, err := section(body, keyIndexes)
	if err != nil {
		return err
	}
	options, err := section(body, keyIndexOptions)
	if err != nil {
		return err
	}
	exists := func(name string) bool {
		return name == IDIndex || slices.ContainsFunc(a.class.Indexes, func(ix Index) bool { return ix.Name == name })
	}
	for name, v := range given.All() {
		switch {
		case deletes(v) && !exists(name):
			return parse.Errorf(parse.InvalidQuery, "Index %s does not exist, cannot delete.", name)
		case deletes(v) && (name == IDIndex || isSystemIndex(a.was.Name, name)):
			return parse.Errorf(parse.InvalidQuery, "Index %s belongs to the system, cannot delete.", name)
		case !deletes(v) && exists(name):
			return parse.Errorf(parse.InvalidQuery, "Index %s exists, cannot update.", name)
		}
	}
	for name, v := range given.All() {
		if deletes(v) {
			a.add(Step{Kind: DropIndex, Index: &Index{Name: name}})
			a.class.Indexes = withoutIndex(a.class.Indexes, name)
		}
	}
	for name, v := range given.All() {
		if deletes(v) {
			continue
		}
		o, _ := options.Get(name)
		opts, _ := o.(*parse.Map)
		r := classReader{Rules: a.rules, report: first(&err)}
		ix, _ := r.index("", &a.class, name, v, opts)
		if err != nil {
			return err
		}
		a.add(Step{Kind: AddIndex, Index: &ix})
		a.class.Indexes = append(slices.Clip(a.class.Indexes), ix)
	}
	return nil
}

func isSystemIndex(class, name string) bool {
	return slices.ContainsFunc(systemIndexes(class), func(ix Index) bool { return ix.Name == name })
}

// meta reads what pargo alone keeps of a class; null removes it.
func (a *alteration) meta(body *parse.Map) error {
	now, changed := a.was.Map(), false
	for _, key := range [...]string{keyOwnerField, keyOwnerRoles, keyOwnerWriteRoles, keyComment} {
		v, given := body.Get(key)
		switch {
		case !given:
			continue
		case v == nil:
			now.Delete(key)
		default:
			now.Set(key, v)
		}
		changed = true
	}
	if !changed {
		return nil
	}
	var err error
	r := classReader{report: first(&err)}
	def := a.class
	def.OwnerField = ""
	r.owner(now, &def)
	if err != nil {
		return err
	}
	def.Comment = now.String(keyComment)
	if !sameMeta(a.was, &def) {
		a.class = def
		a.add(Step{Kind: SetMeta, Def: &def})
	}
	return nil
}

func sameMeta(a, b *Class) bool {
	return a.OwnerField == b.OwnerField && a.Comment == b.Comment &&
		slices.Equal(a.OwnerRoles, b.OwnerRoles) && slices.Equal(a.OwnerWriteRoles, b.OwnerWriteRoles)
}

// PlanDrop returns the steps that remove a class, which must be empty: the
// caller has counted. A system class that every database has comes back
// without what the application had added to it.
func PlanDrop(have *Snapshot, name string) ([]Step, error) {
	if !ValidClassName(name) {
		return nil, ErrClassName(name)
	}
	if have.Class(name) == nil {
		return nil, nil
	}
	steps := []Step{{Kind: DropClass, Class: name}}
	if slices.Contains(storedSystem[:], name) {
		steps = append(steps, Step{Kind: CreateClass, Class: name, Def: SystemClass(name)})
	}
	return steps, nil
}
