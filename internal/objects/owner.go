package objects

import (
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

const classUser = schema.UserClass

func userPointer(id string) parse.Pointer { return parse.Pointer{ClassName: classUser, ObjectID: id} }

// ownerACL is the ACL of every object of a class with an owner.
func ownerACL(c *schema.Class, owner string) *parse.ACL {
	acl := parse.NewACL(parse.ACLEntry{Subject: owner, Read: true, Write: true})
	for _, r := range c.OwnerRoles {
		acl.Set(parse.RoleSubject(r), true, false)
	}
	for _, r := range c.OwnerWriteRoles {
		acl.Set(parse.RoleSubject(r), true, true)
	}
	return acl
}

// own makes the caller the owner of a new object and protects the owner of an
// old one. Clients cannot choose the ACL of such an object.
func (wr *writing) own() error {
	field := wr.Class.OwnerField
	if field == "" {
		return nil
	}
	if wr.Update {
		return wr.keepOwner(field)
	}
	p := wr.Principal
	v, sent := wr.Body.Get(field)
	owner, isPointer := v.(parse.Pointer)
	if p.Bypass() {
		if isPointer && !wr.SetACL {
			wr.setOwnerACL(owner.ObjectID)
		}
		return nil
	}
	if p.UserID == "" {
		return parse.Denyf(parse.OperationForbidden, "A user must be logged in to create an object of class %s.", wr.Class.Name)
	}
	if sent && !absent(v) && v != parse.Value(userPointer(p.UserID)) {
		return parse.Denyf(parse.OperationForbidden, "Field %s of class %s must be the current user.", field, wr.Class.Name)
	}
	wr.set(field, userPointer(p.UserID))
	wr.setOwnerACL(p.UserID)
	return nil
}

func (wr *writing) setOwnerACL(owner string) {
	wr.ACL, wr.SetACL, wr.echoACL = ownerACL(wr.Class, owner), true, true
}

func (wr *writing) keepOwner(field string) error {
	v, sent := wr.Body.Get(field)
	if wr.Principal.Bypass() {
		if owner, ok := v.(parse.Pointer); ok && !wr.SetACL {
			wr.setOwnerACL(owner.ObjectID)
		}
		return nil
	}
	wr.ACL, wr.SetACL = nil, false
	if !sent {
		return nil
	}
	if old, ok := wr.Before.Pointer(field); ok && v == parse.Value(old) {
		wr.Body.Delete(field)
		return nil
	}
	return parse.Denyf(parse.OperationForbidden, "Field %s of class %s cannot be changed.", field, wr.Class.Name)
}

// ownAfterHooks holds to the owner whatever a hook did.
func (wr *writing) ownAfterHooks() error {
	field := wr.Class.OwnerField
	if field == "" || wr.Principal.Bypass() {
		return nil
	}
	owner := userPointer(wr.Principal.UserID)
	if wr.Update {
		old, ok := wr.Before.Pointer(field)
		if !ok {
			return nil
		}
		owner = old
	}
	if got, ok := wr.object.Pointer(field); !ok || got != owner {
		return parse.Denyf(parse.OperationForbidden, "Field %s of class %s cannot be changed.", field, wr.Class.Name)
	}
	if wr.SetACL {
		wr.setOwnerACL(owner.ObjectID)
		wr.object.ACL = wr.ACL
	}
	return nil
}

// defaultACL gives a new object without an ACL the one of its class.
func (wr *writing) defaultACL() {
	if wr.SetACL || wr.Class.CLP == nil || wr.Class.CLP.DefaultACL == nil {
		return
	}
	entries := wr.Class.CLP.DefaultACL.Entries()
	if len(entries) == 1 && entries[0] == (parse.ACLEntry{Subject: parse.Public, Read: true, Write: true}) {
		return // the same as none
	}
	acl := parse.NewACL()
	for _, e := range entries {
		if e.Subject == currentUser {
			if e.Subject = wr.Principal.UserID; e.Subject == "" {
				continue
			}
		}
		acl.Set(e.Subject, e.Read, e.Write)
	}
	wr.ACL, wr.SetACL, wr.echoACL = acl, true, true
}

// currentUser stands in a default ACL for whoever creates the object.
const currentUser = "currentUser"

// touchesOwner reports whether a client's update writes the owner field.
func (wr *writing) touchesOwner() bool {
	f := wr.Class.OwnerField
	return f != "" && !wr.Principal.Bypass() && wr.Principal.Kind == access.Client && wr.Body.Has(f)
}
