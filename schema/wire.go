package schema

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// Keys of the wire form of a class. Those after indexes are pargo's own; other
// servers and tools ignore them.
const (
	keyClassName       = "className"
	keyFields          = "fields"
	keyCLP             = "classLevelPermissions"
	keyIndexes         = "indexes"
	keyIndexOptions    = "indexOptions"
	keyOwnerField      = "ownerField"
	keyOwnerRoles      = "ownerRoles"
	keyOwnerWriteRoles = "ownerWriteRoles"
	keyComment         = "comment"
	keyDescription     = "description"

	keyType     = "type"
	keyTarget   = "targetClass"
	keyRequired = "required"
	keyDefault  = "defaultValue"
	keyValidate = "validate"
)

// Map returns the class as GET /schemas/X answers it, with pargo's own keys
// (indexOptions, ownerField, validate, comment …) where they are set, so that
// [ClassFromMap] of it gives the class again.
func (c *Class) Map() *parse.Map {
	fields := &parse.Map{}
	system := []string{parse.KeyObjectID, parse.KeyCreatedAt, parse.KeyUpdatedAt, parse.KeyACL}
	for _, name := range system {
		if f := c.Fields[name]; f != nil {
			fields.Set(name, f.Map())
		}
	}
	for _, name := range sortedFields(c) {
		if !isSystemField(name) {
			fields.Set(name, c.Fields[name].Map())
		}
	}
	m := parse.NewMap(
		parse.MapField{Key: keyClassName, Value: c.Name},
		parse.MapField{Key: keyFields, Value: fields},
		parse.MapField{Key: keyCLP, Value: c.CLP.Map()},
	)
	if len(c.Indexes) > 0 {
		indexes, options := &parse.Map{}, &parse.Map{}
		for i := range c.Indexes {
			keys, o := c.Indexes[i].wire()
			indexes.Set(c.Indexes[i].Name, keys)
			if o.Len() > 0 {
				options.Set(c.Indexes[i].Name, o)
			}
		}
		m.Set(keyIndexes, indexes)
		if options.Len() > 0 {
			m.Set(keyIndexOptions, options)
		}
	}
	setText(m, keyOwnerField, c.OwnerField)
	setTexts(m, keyOwnerRoles, c.OwnerRoles)
	setTexts(m, keyOwnerWriteRoles, c.OwnerWriteRoles)
	setText(m, keyComment, c.Comment)
	return m
}

func setText(m *parse.Map, key, s string) {
	if s != "" {
		m.Set(key, s)
	}
}

func setTexts(m *parse.Map, key string, list []string) {
	if len(list) > 0 {
		m.Set(key, texts(list))
	}
}

// Map returns the wire form of the field, options included.
func (f *Field) Map() *parse.Map {
	m := parse.NewMap(parse.MapField{Key: keyType, Value: f.Type.String()})
	setText(m, keyTarget, f.TargetClass)
	if f.Required {
		m.Set(keyRequired, true)
	}
	if f.Default != nil {
		m.Set(keyDefault, f.Default)
	}
	for key, v := range f.Extra.All() {
		m.Set(key, v)
	}
	if len(f.ValidateJSON) > 0 {
		if v, err := parse.Decode(f.ValidateJSON, parse.Limits{}); err == nil {
			m.Set(keyValidate, v)
		}
	}
	setText(m, keyComment, f.Comment)
	return m
}

func (ix *Index) wire() (keys, options *parse.Map) {
	keys, options = &parse.Map{}, &parse.Map{}
	for _, k := range ix.Keys {
		switch {
		case k.Kind != "":
			keys.Set(k.Field, k.Kind)
		case k.Desc:
			keys.Set(k.Field, -1.0)
		default:
			keys.Set(k.Field, 1.0)
		}
	}
	for _, o := range [...]struct {
		name string
		set  bool
	}{{"unique", ix.Unique}, {"sparse", ix.Sparse}, {"caseInsensitive", ix.CaseInsensitive}} {
		if o.set {
			options.Set(o.name, true)
		}
	}
	return keys, options
}

// ClassFromMap reads a class in its wire form, as POST /schemas sends it and
// GET /schemas answers it, and returns it complete with its default fields.
// Errors are those of the protocol (reference 01 §11.3).
func ClassFromMap(m *parse.Map) (*Class, error) { return Rules{}.class(m) }

func (rules Rules) class(m *parse.Map) (*Class, error) {
	var err error
	r := classReader{Rules: rules, report: first(&err)}
	c := r.class(m)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// FieldFromMap reads the definition of one field of a class.
func FieldFromMap(class, name string, v parse.Value) (*Field, error) {
	var err error
	r := classReader{report: first(&err)}
	f := r.field("", class, name, v)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// classReader reads classes; the zero flags read the wire form strictly.
type classReader struct {
	Rules
	report reporter
	// aliases lets User, Role, Session and Installation mean the system classes.
	aliases bool
	// defined reads Parse Server's defined schemas: clients never add fields,
	// and a class without permissions is for the master key alone.
	defined bool
	// loose lets defaults be written as plain text, and passes over indexes on
	// internal fields, which dumps of a running server have.
	loose bool
}

func (r *classReader) fail(at string, code parse.Code, format string, args ...any) {
	r.report(at, parse.Errorf(code, format, args...))
}

func (r *classReader) name(s string) string {
	if r.aliases {
		switch s {
		case "User", "Role", "Session", "Installation":
			return "_" + s
		}
	}
	return s
}

const badClassName = "Invalid classname: %s, classnames can only have alphanumeric characters and _, and must start with an alpha character "

// ErrClassName is the error for a name that no class can have.
func ErrClassName(name string) error {
	return parse.Errorf(parse.InvalidClassName, badClassName, name)
}

func (r *classReader) class(m *parse.Map) *Class {
	c := &Class{Name: r.name(m.String(keyClassName)), Fields: map[string]*Field{}}
	if !ValidClassName(c.Name) {
		r.fail(pointer(keyClassName), parse.InvalidClassName, badClassName, c.Name)
		return c
	}
	r.fields(m, c)
	c = Complete(c)
	r.permissions(m, c)
	r.indexes(m, c)
	r.owner(m, c)
	c.Comment = m.String(keyComment)
	if c.Comment == "" {
		c.Comment = m.String(keyDescription)
	}
	return c
}

func (r *classReader) fields(m *parse.Map, c *Class) {
	v, given := m.Get(keyFields)
	fields, ok := v.(*parse.Map)
	if given && !ok {
		r.fail(pointer(keyFields), parse.InvalidJSON, "invalid JSON")
		return
	}
	geo := ""
	defaults := defaultFields(c.Name)
	for name, v := range fields.All() {
		at := pointer(keyFields) + pointer(name)
		if isSystemField(name) && r.defined {
			continue
		}
		if isSystemField(name) {
			def, _ := v.(*parse.Map)
			if t := def.String(keyType); t != defaults[name].Type.String() {
				r.fail(at, parse.ChangedImmutableField, "field %s cannot be added", name)
			}
			continue
		}
		f := r.field(at, c.Name, name, v)
		if f == nil {
			continue
		}
		if d := defaults[name]; d != nil && (d.Type != f.Type || d.TargetClass != f.TargetClass) {
			r.fail(at, parse.ChangedImmutableField, "field %s cannot be added: class %s has it as %s", name, c.Name, TypeString(d.Type, d.TargetClass))
			continue
		}
		if f.Type == GeoPoint {
			if geo != "" {
				r.fail(at, parse.IncorrectType, "currently, only one GeoPoint field may exist in an object. Adding %s when %s already exists.", name, geo)
				continue
			}
			geo = name
		}
		c.Fields[name] = f
	}
}

func (r *classReader) field(at, class, name string, v parse.Value) *Field {
	def, ok := v.(*parse.Map)
	if !ok {
		r.fail(at, parse.InvalidJSON, "invalid JSON")
		return nil
	}
	if !ValidFieldName(name, class) {
		r.fail(at, parse.InvalidKeyName, "invalid field name: %s", name)
		return nil
	}
	f := r.fieldType(at, name, def)
	if f == nil {
		return nil
	}
	for key, v := range def.All() {
		switch key {
		case keyType, keyTarget:
		case keyRequired:
			f.Required = parse.Truthy(v)
		case keyDefault:
			f.Default = v
		case keyComment, keyDescription:
			if s, ok := v.(string); ok && f.Comment == "" {
				f.Comment = s
			}
		case keyValidate:
			r.validate(at+pointer(key), f, v)
		default:
			if f.Extra == nil {
				f.Extra = &parse.Map{}
			}
			f.Extra.Set(key, v)
		}
	}
	r.options(at, class, f)
	return f
}

func (r *classReader) fieldType(at, name string, def *parse.Map) *Field {
	tv, _ := def.Get(keyType)
	typeName, ok := tv.(string)
	if !ok {
		r.fail(at+pointer(keyType), parse.InvalidJSON, "invalid JSON")
		return nil
	}
	t, ok := TypeNamed(typeName)
	if !ok {
		r.fail(at+pointer(keyType), parse.IncorrectType, "invalid field type: %s", typeName)
		return nil
	}
	f := &Field{Name: name, Type: t}
	if t != Pointer && t != Relation {
		return f
	}
	tc, given := def.Get(keyTarget)
	target, ok := tc.(string)
	switch {
	case !given:
		r.fail(at, parse.MissingRequiredField, "type %s needs a class name", typeName)
		return nil
	case !ok:
		r.fail(at+pointer(keyTarget), parse.InvalidJSON, "invalid JSON")
		return nil
	}
	f.TargetClass = r.name(target)
	if !ValidClassName(f.TargetClass) {
		r.fail(at+pointer(keyTarget), parse.InvalidClassName, badClassName, target)
		return nil
	}
	return f
}

func (r *classReader) validate(at string, f *Field, v parse.Value) {
	if _, ok := v.(*parse.Map); !ok {
		r.fail(at, parse.InvalidJSON, "validate must be an object, a fragment of JSON Schema")
		return
	}
	text := parse.AppendJSON(nil, v)
	check, err := CompileValidator(f.Name, text)
	if err != nil {
		r.fail(at, parse.InvalidJSON, "%s", err.Error())
		return
	}
	f.Validate, f.ValidateJSON = check, text
}

// options checks required and the default value against the type and validate.
func (r *classReader) options(at, class string, f *Field) {
	if f.Type == Relation {
		if f.Default != nil {
			r.fail(at+pointer(keyDefault), parse.IncorrectType, "The 'default value' option is not applicable for %s", TypeString(f.Type, f.TargetClass))
		}
		if f.Required {
			r.fail(at+pointer(keyRequired), parse.IncorrectType, "The 'required' option is not applicable for %s", TypeString(f.Type, f.TargetClass))
		}
		return
	}
	if f.Default == nil {
		return
	}
	if r.loose {
		f.Default = plainDefault(f.Type, f.Default)
	}
	at += pointer(keyDefault)
	if t, target, ok := TypeOf(f.Default); !ok || t != f.Type || target != f.TargetClass {
		r.fail(at, parse.IncorrectType, "schema mismatch for %s.%s default value; expected %s but got %s", class, f.Name,
			TypeString(f.Type, f.TargetClass), TypeString(t, target))
		return
	}
	if f.Validate != nil {
		if err := f.Validate.Validate(f.Default); err != nil {
			r.fail(at, parse.ValidationError, "default value: %s", message(err))
		}
	}
}

// plainDefault reads a Date written as ISO text or milliseconds, and Bytes
// written as base64; any other value stays.
func plainDefault(t Type, v parse.Value) parse.Value {
	switch text := v.(type) {
	case string:
		if t == Date {
			if d, ok := parse.ParseDate(text); ok {
				return d
			}
		}
		if t == Bytes {
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				return parse.Bytes(b)
			}
		}
	case float64:
		if t == Date {
			return parse.NewDate(time.UnixMilli(int64(text)))
		}
	}
	return v
}

func (r *classReader) permissions(m *parse.Map, c *Class) {
	v, _ := m.Get(keyCLP)
	at := pointer(keyCLP)
	switch v := v.(type) {
	case nil:
	case *parse.Map:
		p := clpReader{class: c, anyUser: r.AnyUserID, report: func(sub string, err *parse.Error) { r.report(at+sub, err) }}
		c.CLP = p.read(v)
	default:
		r.fail(at, parse.InvalidJSON, "class level permissions must be an object")
	}
	if !r.defined {
		return
	}
	if c.CLP == nil {
		c.CLP = &CLP{Ops: map[Operation]*Permission{}, Protected: map[string][]string{}}
	}
	c.CLP.Ops[AddField] = &Permission{}
}

func (r *classReader) indexes(m *parse.Map, c *Class) {
	v, _ := m.Get(keyIndexes)
	list, ok := v.(*parse.Map)
	if v != nil && !ok {
		r.fail(pointer(keyIndexes), parse.InvalidJSON, "indexes must be an object")
		return
	}
	o, _ := m.Get(keyIndexOptions)
	options, _ := o.(*parse.Map)
	for name := range options.All() {
		if !list.Has(name) {
			r.fail(pointer(keyIndexOptions)+pointer(name), parse.InvalidQuery, "Index %s does not exist, cannot have options.", name)
		}
	}
	for name, keys := range list.All() {
		o, _ := options.Get(name)
		opts, _ := o.(*parse.Map)
		ix, ok := r.index(pointer(keyIndexes)+pointer(name), c, name, keys, opts)
		if !ok || slices.ContainsFunc(systemIndexes(c.Name), func(s Index) bool { return s.Name == name }) {
			continue
		}
		c.Indexes = append(c.Indexes, ix)
	}
}

func (r *classReader) index(at string, c *Class, name string, keys parse.Value, options *parse.Map) (ix Index, ok bool) {
	spec, ok := keys.(*parse.Map)
	if !ok || spec.Len() == 0 {
		r.fail(at, parse.InvalidQuery, "Index %s must be an object of fields and directions.", name)
		return ix, false
	}
	if !validIndexName(name) {
		r.fail(at, parse.InvalidQuery, "Invalid index name: %s", name)
		return ix, false
	}
	ix.Name = name
	for key, v := range spec.All() {
		k := IndexKey{Field: wireName(key)}
		if k.Field == "" && r.loose || name == IDIndex {
			return ix, false
		}
		if !r.indexable(c, k.Field) {
			r.fail(at+pointer(key), parse.InvalidQuery, "Field %s does not exist, cannot add index.", key)
			return ix, false
		}
		switch v := v.(type) {
		case float64:
			k.Desc = v < 0
		case string:
			k.Kind = v
		}
		if !validKey(k, v) {
			r.fail(at+pointer(key), parse.InvalidQuery,
				"Index %s: field %s must be 1, -1, \"text\", \"2d\", \"2dsphere\" or \"hashed\".", name, key)
			return ix, false
		}
		ix.Keys = append(ix.Keys, k)
	}
	for option, v := range options.All() {
		set, isBool := v.(bool)
		switch {
		case isBool && option == "unique":
			ix.Unique = set
		case isBool && option == "sparse":
			ix.Sparse = set
		case isBool && option == "caseInsensitive":
			ix.CaseInsensitive = set
		default:
			r.fail(pointer(keyIndexOptions)+pointer(name)+pointer(option), parse.InvalidQuery,
				"Index %s: options are unique, sparse and caseInsensitive, each true or false.", name)
		}
	}
	return ix, true
}

// indexable reports whether there is something to index under a field or a
// path into an Object or Array.
func (r *classReader) indexable(c *Class, path string) bool {
	root, rest, dotted := strings.Cut(path, ".")
	f := c.Fields[root]
	switch {
	case f == nil:
		return r.AnyIndexField && ValidFieldName(root, c.Name)
	case f.Type == Relation:
		return false
	case dotted:
		return rest != "" && (f.Type == Object || f.Type == Array)
	}
	return true
}

// validIndexName excludes what some database takes for something else.
func validIndexName(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsAny(name, ".$\x00") && name != "*"
}

// wireName turns the name of a stored column into that of its field: "" for
// one that no client sees.
func wireName(key string) string {
	switch key {
	case "_id":
		return parse.KeyObjectID
	case "_created_at":
		return parse.KeyCreatedAt
	case "_updated_at":
		return parse.KeyUpdatedAt
	case "_session_token":
		return "sessionToken"
	}
	if len(key) > 3 && key[:3] == "_p_" {
		return key[3:]
	}
	if key != "" && key[0] == '_' {
		return ""
	}
	return key
}

func validKey(k IndexKey, v parse.Value) bool {
	switch v := v.(type) {
	case float64:
		return v == 1 || v == -1
	case string:
		return k.Kind == "text" || k.Kind == "2d" || k.Kind == "2dsphere" || k.Kind == "hashed"
	}
	return false
}

func (r *classReader) owner(m *parse.Map, c *Class) {
	c.OwnerRoles = r.names(m, keyOwnerRoles)
	c.OwnerWriteRoles = r.names(m, keyOwnerWriteRoles)
	v, given := m.Get(keyOwnerField)
	if !given {
		// A user is the owner of itself.
		if c.Name != UserClass && len(c.OwnerRoles)+len(c.OwnerWriteRoles) > 0 {
			r.fail("", parse.InvalidJSON, "ownerRoles and ownerWriteRoles need an ownerField")
		}
		return
	}
	name, _ := v.(string)
	if f := c.Fields[name]; f == nil || f.Type != Pointer || f.TargetClass != UserClass {
		r.fail(pointer(keyOwnerField), parse.IncorrectType, "ownerField '%s' must name a field of type Pointer<_User>", jsText(v))
		return
	}
	c.OwnerField = name
}

func (r *classReader) names(m *parse.Map, key string) []string {
	v, given := m.Get(key)
	list, ok := v.(parse.Array)
	if given && !ok {
		r.fail(pointer(key), parse.InvalidJSON, "%s must be an array of names of roles", key)
		return nil
	}
	var out []string
	for _, v := range list {
		name, _ := v.(string)
		if name == "" {
			r.fail(pointer(key), parse.InvalidJSON, "%s must be an array of names of roles", key)
			continue
		}
		out = append(out, name)
	}
	return out
}

// message returns the text of an error without its code.
func message(err error) string {
	if e, ok := err.(*parse.Error); ok { //nolint:errorlint // only an unwrapped one has nothing else to say
		return e.Message
	}
	return err.Error()
}

// sortedFields returns the names of the fields of c in order.
func sortedFields(c *Class) []string { return slices.Sorted(maps.Keys(c.Fields)) }
