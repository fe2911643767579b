package storage

import "github.com/pargo-baas/pargo/parse"

// Meter weighs what finds keep in memory.
type Meter interface {
	// Weigh counts bytes that are kept from now on, or, if n is negative, no
	// longer. An error, which is a *parse.Error, is for the caller of the find:
	// what is under way ends. Giving back gives none.
	Weigh(n int) error
}

// packFrom is the size from which on an object is kept as text, if it may be:
// its values take many times that.
const packFrom = 16 << 10

// Keep weighs an object that a find is about to return. Adapters call it for
// each, as it comes; without a Meter, or a Find, it does nothing.
func (f *Find) Keep(o *parse.Object) error {
	if f == nil || f.Meter == nil {
		return nil
	}
	n := o.Size()
	if f.Lazy && n >= packFrom && o.Fields.Pack() {
		n = o.Size()
	}
	return f.Meter.Weigh(n)
}
