package storage

import (
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// The names of users are unique without regard to case, but a database that
// Parse Server can work on need not have an index that says so. So whoever
// writes a name holds a lock on it, the Key of a Claim, while he looks for
// another user with it and writes: of two who want one name at the same moment,
// on whatever servers, one comes after the other. Parse Server knows nothing of
// the locks, but its own look-up finds what was written.

// Claim is one value that is to be unique without regard to case.
type Claim struct {
	Index, Field, Value string
	// Key names the lock on the value.
	Key string
}

// Taken is the error for a claim that another object has.
func (c *Claim) Taken() error {
	return &DuplicateError{Class: schema.UserClass, Index: c.Index, Fields: []string{c.Field}}
}

// KeepsUnique reports whether a shared database can keep an index of a class
// unique. It cannot for the folded ones of users.
func KeepsUnique(class string, ix *schema.Index) bool {
	return ix.Unique && !(class == schema.UserClass && ix.CaseInsensitive)
}

// HasClaims reports whether objects of a class have values to be claimed.
func HasClaims(class *schema.Class) bool {
	return slices.ContainsFunc(class.Indexes, func(ix schema.Index) bool { return claimed(class, &ix) })
}

func claimed(class *schema.Class, ix *schema.Index) bool {
	return ix.Unique && !KeepsUnique(class.Name, ix) && len(ix.Keys) == 1
}

// Claims lists the values that fields are about to get, in the order in which
// their locks must be taken, so that no two wait for one another.
func Claims(class *schema.Class, fields *parse.Map) (out []Claim) {
	for i := range class.Indexes {
		ix := &class.Indexes[i]
		if !claimed(class, ix) {
			continue
		}
		field := ix.Keys[0].Field
		if v := fields.String(field); v != "" {
			out = append(out, Claim{ix.Name, field, v, class.Name + "." + field + ":" + strings.ToLower(strings.ToUpper(v))})
		}
	}
	sortClaims(out)
	return out
}

func sortClaims(list []Claim) {
	slices.SortFunc(list, func(a, b Claim) int { return strings.Compare(a.Key, b.Key) })
}

// ClaimsOf lists the values of new objects in the same order; a
// *DuplicateError if two have the same.
func ClaimsOf(class *schema.Class, objects []*parse.Object) (out []Claim, err error) {
	if !HasClaims(class) {
		return nil, nil
	}
	for _, o := range objects {
		out = append(out, Claims(class, &o.Fields)...)
	}
	sortClaims(out)
	for i := 1; i < len(out); i++ {
		if out[i].Key == out[i-1].Key {
			return nil, out[i].Taken()
		}
	}
	return out, nil
}

// IDOf finds the id of the object that an update is for; "" if it names none.
func IDOf(where query.Node) (id string) {
	query.Walk(where, func(n query.Node) bool {
		switch n := n.(type) {
		case *query.And:
			return true
		case *query.Compare:
			if s, ok := n.Value.(string); ok && n.Op == query.Eq && n.Path == parse.KeyObjectID {
				id = s
			}
		}
		return id == ""
	})
	return id
}
