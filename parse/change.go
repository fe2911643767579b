package parse

// Action says what happened to an object.
type Action uint8

// Actions of a Change.
const (
	Created Action = iota + 1
	Updated
	Deleted
)

// Change is one committed write. Before is nil for Created, After for Deleted.
// Both are complete objects, internal fields included, and must not be changed.
type Change struct {
	Class  string
	Action Action
	Before *Object
	After  *Object
	// Related lists, by relation field, the ids that the write added to the
	// relation or took out of it. It is nil if there are none.
	Related map[string][]string
}
