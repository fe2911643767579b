package schema

import (
	"github.com/pargo-baas/pargo/parse"
)

// Type is the type of a field.
type Type uint8

// Field types.
const (
	String Type = iota + 1
	Number
	Boolean
	Date
	Object
	Array
	GeoPoint
	File
	Bytes
	Polygon
	Pointer
	Relation
	ACL // of the ACL field alone
)

// Field is the definition of one field.
type Field struct {
	Name        string
	Type        Type
	TargetClass string // Pointer and Relation
	Required    bool
	Default     parse.Value // nil: none
	// Extra keeps unknown field options, as the protocol does.
	Extra *parse.Map
	// Comment documents the field.
	Comment string
	// Validate checks a value beyond its type; nil: nothing to check. Its text is in ValidateJSON.
	Validate     Validator
	ValidateJSON []byte
}

// Validator checks one value of a field; the error is for the client to read.
type Validator interface {
	Validate(v parse.Value) error
}

// Index is an index of a class; Keys are wire field names.
type Index struct {
	Name   string
	Keys   []IndexKey
	Unique bool
	// Sparse leaves objects without the field out (also out of uniqueness).
	Sparse bool
	// CaseInsensitive compares strings without regard to case (ASCII and simple Unicode folding).
	CaseInsensitive bool
}

// IndexKey is one key of an index: a field, or a path into an Object or Array.
// Kind is "" for a plain key, or "text", "2d", "2dsphere", "hashed".
type IndexKey struct {
	Field string
	Desc  bool
	Kind  string
}

// Class is the definition of one class. It is immutable once in a Snapshot.
type Class struct {
	Name    string
	Fields  map[string]*Field // with objectId, createdAt, updatedAt, ACL
	CLP     *CLP              // nil: nothing stored, all public
	Indexes []Index
	// OwnerField names the pointer to _User that pargo keeps as the owner of
	// each object; "" if the class has none.
	OwnerField string
	// OwnerRoles are the roles that besides the owner may read (and, listed in OwnerWriteRoles, write) each object.
	OwnerRoles      []string
	OwnerWriteRoles []string
	Comment         string
}

// Field returns a field's definition, or nil.
func (c *Class) Field(name string) *Field { return c.Fields[name] }

// CLP is the class-level permissions. Operations absent from Ops are
// master-only: the protocol completes stored permissions with {}.
type CLP struct {
	Ops             map[Operation]*Permission
	ReadUserFields  []string
	WriteUserFields []string
	// Protected maps an entity ("*", "authenticated", "role:x", user id,
	// "userField:f") to the fields hidden from it.
	Protected map[string][]string
	// DefaultACL is given to new objects without an ACL; subject "currentUser"
	// stands for the creator. nil: none.
	DefaultACL *parse.ACL
}

// Operation is an operation that class-level permissions speak of.
type Operation uint8

// Operations.
const (
	Find Operation = iota + 1
	Count
	Get
	Create
	Update
	DeleteOp
	AddField
	// Aggregate is pargo's own: aggregates and distinct values for clients.
	// Without an entry it is for the master keys alone, also where a class has
	// no permissions at all.
	Aggregate
)

// Permission says who may do one operation.
type Permission struct {
	Public                 bool // "*"
	RequiresAuthentication bool
	Subjects               map[string]bool // user ids and "role:<name>"
	PointerFields          []string
}

// Snapshot is all classes at one moment. It is immutable.
type Snapshot struct {
	Version uint64
	classes map[string]*Class
}

// NewSnapshot makes a snapshot of the classes.
func NewSnapshot(version uint64, classes ...*Class) *Snapshot {
	s := &Snapshot{Version: version, classes: make(map[string]*Class, len(classes))}
	for _, c := range classes {
		s.classes[c.Name] = c
	}
	return s
}

// Class returns a class, or nil.
func (s *Snapshot) Class(name string) *Class { return s.classes[name] }

// Source gives the snapshot in force.
type Source interface{ Current() *Snapshot }
