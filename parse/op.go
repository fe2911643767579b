package parse

// Op is an atomic operation on one field of an object (reference 01 §6).
type Op interface{ isOp() }

// Increment adds Amount; a missing field counts as 0.
type Increment struct{ Amount float64 }

// Add appends all Objects to an array.
type Add struct{ Objects Array }

// AddUnique appends those Objects that the array does not contain yet.
type AddUnique struct{ Objects Array }

// Remove removes every element equal to one of Objects.
type Remove struct{ Objects Array }

// Delete unsets the field.
type Delete struct{}

// AddRelation adds members to a relation.
type AddRelation struct{ Objects []Pointer }

// RemoveRelation removes members from a relation.
type RemoveRelation struct{ Objects []Pointer }

// Batch is several relation operations on one field.
type Batch struct{ Ops []Op }

func (Increment) isOp()      {}
func (Add) isOp()            {}
func (AddUnique) isOp()      {}
func (Remove) isOp()         {}
func (Delete) isOp()         {}
func (AddRelation) isOp()    {}
func (RemoveRelation) isOp() {}
func (Batch) isOp()          {}
