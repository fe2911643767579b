package parse

import "strings"

// Public is the ACL subject that stands for everybody.
const Public = "*"

// RolePrefix begins the ACL subject of a role.
const RolePrefix = "role:"

// ACLEntry says what one subject may do. Subject is "*", a user id or
// "role:<name>".
type ACLEntry struct {
	Subject     string
	Read, Write bool
}

// ACL is the access control list of one object. Entries without any right are
// not kept. An empty, non-nil ACL locks the object for all but the master key.
type ACL struct {
	entries []ACLEntry
	shared  bool // another ACL has the same list, see [Loan]
}

// NewACL returns an ACL of the given entries; those without a right are dropped.
func NewACL(entries ...ACLEntry) *ACL {
	a := &ACL{}
	for _, e := range entries {
		a.Set(e.Subject, e.Read, e.Write)
	}
	return a
}

// RoleSubject returns the ACL subject of the role with that name.
func RoleSubject(name string) string { return RolePrefix + name }

// IsRoleSubject reports whether the subject names a role.
func IsRoleSubject(s string) bool { return strings.HasPrefix(s, RolePrefix) }

// Entries returns the entries in order. The caller must not change them.
func (a *ACL) Entries() []ACLEntry {
	if a == nil {
		return nil
	}
	return a.entries
}

// Set gives a subject exactly these rights. It must not be called on an ACL
// that is already part of a stored object; clone it first. The objects that
// hooks get are copies.
func (a *ACL) Set(subject string, read, write bool) {
	if a.shared {
		a.entries, a.shared = append([]ACLEntry(nil), a.entries...), false
	}
	for i := range a.entries {
		if a.entries[i].Subject != subject {
			continue
		}
		if read || write {
			a.entries[i].Read, a.entries[i].Write = read, write
		} else {
			a.entries = append(a.entries[:i:i], a.entries[i+1:]...)
		}
		return
	}
	if read || write {
		a.entries = append(a.entries, ACLEntry{subject, read, write})
	}
}

// Clone returns a copy that may be changed.
func (a *ACL) Clone() *ACL {
	if a == nil {
		return nil
	}
	return &ACL{entries: append([]ACLEntry(nil), a.entries...)}
}

// Allows reports whether any of the subjects has the right. "*" must be among
// the subjects of everybody. A nil ACL allows all.
func (a *ACL) Allows(subjects []string, write bool) bool {
	if a == nil {
		return true
	}
	for i := range a.entries {
		e := &a.entries[i]
		if write && !e.Write || !write && !e.Read {
			continue
		}
		for _, s := range subjects {
			if s == e.Subject {
				return true
			}
		}
	}
	return false
}

// Subjects returns those who may read (or write): what is stored as _rperm and _wperm.
func (a *ACL) Subjects(write bool) []string {
	out := []string{}
	for _, e := range a.Entries() {
		if write && e.Write || !write && e.Read {
			out = append(out, e.Subject)
		}
	}
	return out
}

// ACLFromSubjects is the inverse of [ACL.Subjects] for both rights.
func ACLFromSubjects(read, write []string) *ACL {
	a := &ACL{}
	for _, s := range read {
		a.Set(s, true, false)
	}
	for _, s := range write {
		r := false
		for _, e := range a.entries {
			if e.Subject == s {
				r = e.Read
			}
		}
		a.Set(s, r, true)
	}
	return a
}

// ACLFromValue reads the wire form {"subject":{"read":true,"write":true}}. Any
// value that is not an object gives an empty, locking ACL, as the protocol
// has it (reference 01 §5.8). "*unresolved" gives error 123.
func ACLFromValue(v Value) (*ACL, error) {
	a := &ACL{}
	m, ok := v.(*Map)
	if !ok {
		return a, nil
	}
	for subject, rights := range m.All() {
		if subject == "*unresolved" {
			return nil, Errorf(InvalidACL, "Invalid ACL.")
		}
		if subject == "__op" || subject == "__type" {
			continue
		}
		if r, ok := rights.(*Map); ok {
			read, _ := r.Get("read")
			write, _ := r.Get("write")
			a.Set(subject, Truthy(read), Truthy(write))
		}
	}
	return a, nil
}

// Value returns the wire form of the ACL.
func (a *ACL) Value() *Map {
	m := &Map{}
	for _, e := range a.Entries() {
		r := &Map{}
		if e.Read {
			r.Set("read", true)
		}
		if e.Write {
			r.Set("write", true)
		}
		m.Set(e.Subject, r)
	}
	return m
}

// Truthy is JavaScript's notion of a true value, which the protocol uses for
// flags such as count and the rights in an ACL.
func Truthy(v Value) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0 && v == v
	case string:
		return v != ""
	}
	return true
}
