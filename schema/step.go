package schema

// StepKind is the kind of a change of the schema.
type StepKind uint8

// Kinds of steps.
const (
	CreateClass  StepKind = iota + 1 // Def
	DropClass                        // Class, with all its objects and join classes
	AddFieldStep                     // Class, Field; also changes the options of an existing field of the same type
	DropField                        // Class, Field.Name, with its data
	SetCLP                           // Class, CLP (nil: default)
	AddIndex                         // Class, Index
	DropIndex                        // Class, Index.Name
	SetMeta                          // Class, Def: OwnerField, OwnerRoles, Comment
)

// Step is one change of the schema.
type Step struct {
	Kind  StepKind
	Class string
	Def   *Class
	Field *Field
	CLP   *CLP
	Index *Index
}
