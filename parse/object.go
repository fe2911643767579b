package parse

// Names of the system fields, on the wire and in queries.
const (
	KeyObjectID  = "objectId"
	KeyCreatedAt = "createdAt"
	KeyUpdatedAt = "updatedAt"
	KeyACL       = "ACL"
)

// Object is one object of a class. Fields holds everything but the four system
// fields. Keys that begin with an underscore are internal (password hash,
// tokens): the JSON encoder never writes them.
type Object struct {
	ClassName string
	ID        string
	CreatedAt Date
	UpdatedAt Date
	ACL       *ACL // nil: no ACL, public
	Fields    Map
	// ShowInternal: AppendJSON writes the internal fields, too.
	ShowInternal bool
	// aclText is the text that ACL was read from, see [DecodeDocument].
	aclText string
}

// Get returns a field by its wire name, system fields included: objectId is a
// string, createdAt and updatedAt are Dates. ACL is not readable this way.
func (o *Object) Get(key string) (Value, bool) {
	switch key {
	case KeyObjectID:
		return o.ID, o.ID != ""
	case KeyCreatedAt:
		return o.CreatedAt, o.CreatedAt != 0
	case KeyUpdatedAt:
		return o.UpdatedAt, o.UpdatedAt != 0
	}
	return o.Fields.Get(key)
}

// String returns the string in a field, or "".
func (o *Object) String(key string) string {
	v, _ := o.Get(key)
	s, _ := v.(string)
	return s
}

// Number returns the number in a field; ok is false if there is none.
func (o *Object) Number(key string) (n float64, ok bool) {
	v, _ := o.Get(key)
	switch v := v.(type) {
	case float64:
		return v, true
	case Int:
		return float64(v), true
	}
	return 0, false
}

// Pointer returns the pointer in a field; an included object gives its pointer.
func (o *Object) Pointer(key string) (p Pointer, ok bool) {
	v, _ := o.Get(key)
	switch v := v.(type) {
	case Pointer:
		return v, true
	case *Object:
		return v.Self(), true
	}
	return Pointer{}, false
}

// Self returns a pointer to o.
func (o *Object) Self() Pointer { return Pointer{ClassName: o.ClassName, ObjectID: o.ID} }

// Set puts a value into a field. System fields are set through their struct fields.
func (o *Object) Set(key string, v Value) { o.Fields.Set(key, v) }

// Clone copies the object; values are immutable and shared.
func (o *Object) Clone() *Object {
	if o == nil {
		return nil
	}
	c := *o
	c.Fields = *o.Fields.Clone()
	return &c
}
