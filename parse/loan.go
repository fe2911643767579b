package parse

// Loan is a copy of an object for code that may change it and may keep it. It
// shares everything with the object until the copy is changed, so that one that
// is only read costs no more than its header. The zero value is ready for [Loan.Lend].
type Loan struct {
	copy Object
	of   *Object
}

// Lend makes l the copy of o and returns it. What o has must not be changed any
// more, as long as anybody may have the copy: replace Fields and ACL of o by
// clones. Only [Map.Append] leaves the copy as it is.
func (l *Loan) Lend(o *Object) *Object {
	l.copy, l.of = *o, o
	l.copy.Fields.shared = true
	if o.ACL != nil {
		l.copy.ACL = &ACL{entries: o.ACL.entries, shared: true}
	}
	return &l.copy
}

// Returned looks at what became of the copy that was lent, which is o unless
// somebody has put another object in its place. fields tells that its fields
// may have changed, acl that its ACL has. What changed must not be taken over
// but by a clone: whoever has the copy may go on to change it.
func (l *Loan) Returned(o *Object) (fields, acl bool) {
	return !o.Fields.as(&l.of.Fields), !o.ACL.equal(l.of.ACL)
}

// as reports whether m is certainly as of, of which it is a copy: without a
// look at the values.
func (m *Map) as(of *Map) bool {
	return m.shared && len(m.fields) == len(of.fields) && m.raw == of.raw &&
		(len(m.fields) == 0 || &m.fields[0] == &of.fields[0])
}

func (a *ACL) equal(b *ACL) bool {
	if a == nil || b == nil {
		return a == b
	}
	if len(a.entries) != len(b.entries) {
		return false
	}
	for i := range a.entries {
		if a.entries[i] != b.entries[i] {
			return false
		}
	}
	return true
}
