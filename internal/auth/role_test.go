package auth_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// role makes a role with members, each a user or a role.
func (w *world) role(name string, members ...member) member {
	w.t.Helper()
	m := member{id: w.create(master, role, `{"name":"`+name+`","ACL":{}}`).Object.ID}
	for _, u := range members {
		w.relate(m, "users", "AddRelation", user, u)
	}
	return m
}

func (w *world) relate(r member, key, op, class string, m member) {
	w.t.Helper()
	w.mustUpdate(master, role, r.id, `{"`+key+`":{"__op":"`+op+`","objects":[`+pointer(class, m.id)+`]}}`)
}

// holds makes every member of child hold parent, too.
func (w *world) holds(child, parent member) {
	w.t.Helper()
	w.relate(parent, "roles", "AddRelation", role, child)
}

func TestRolesOfAUser(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.signUp("alice"), w.signUp("bob")
	diff(t, []string(nil), w.as(alice).Roles)

	admin := w.role("admin", alice)
	moderator := w.role("moderator", bob)
	reader := w.role("reader")
	w.role("stranger")
	w.holds(admin, moderator)
	w.holds(moderator, reader)
	diff(t, []string{"admin", "moderator", "reader"}, w.as(alice).Roles)
	diff(t, []string{"*", alice.id, "role:admin", "role:moderator", "role:reader"}, w.as(alice).Subjects())
	diff(t, []string{"moderator", "reader"}, w.as(bob).Roles)
	// A cycle, and a role that holds itself.
	w.holds(reader, admin)
	w.holds(reader, reader)
	all := []string{"admin", "moderator", "reader"}
	diff(t, all, w.as(alice).Roles)
	diff(t, all, w.as(bob).Roles)
	w.relate(admin, "roles", "RemoveRelation", role, reader)
	diff(t, []string{"moderator", "reader"}, w.as(bob).Roles)

	steps := []struct {
		name string
		do   func()
		want []string // alice's
	}{
		{"renamed", func() { w.mustUpdate(master, role, reader.id, `{"name":"lector"}`) }, []string{"admin", "lector", "moderator"}},
		{"left the first", func() { w.relate(admin, "users", "RemoveRelation", user, alice) }, nil},
		{"joined another", func() { w.relate(reader, "users", "AddRelation", user, alice) }, []string{"lector"}},
		{"came back", func() { w.relate(admin, "users", "AddRelation", user, alice) }, []string{"admin", "lector", "moderator"}},
		{"left the other", func() { w.relate(reader, "users", "RemoveRelation", user, alice) }, []string{"admin", "lector", "moderator"}},
		// A deleted role passes nothing on, although its members are still listed.
		{"the middle is gone", func() { w.remove(role, moderator) }, []string{"admin"}},
		{"the first is gone", func() { w.remove(role, admin) }, nil},
	}
	for _, s := range steps {
		w.revoked.take()
		s.do()
		diff(t, s.want, w.as(alice).Roles)
		if users, all := w.revoked.take(); len(users)+all != 1 {
			t.Errorf("%s: told of %q and %d times of all, want one of both", s.name, users, all)
		}
	}
}

func (w *world) remove(class string, m member) {
	w.t.Helper()
	if err := w.objs.Delete(w.t.Context(), master, class, m.id); err != nil {
		w.t.Fatal(err)
	}
}

// What a role may do changes with the next request.
func TestRoleOpensObjects(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	editor := w.role("editor")
	doc := w.create(master, "Doc", `{"t":1,"ACL":{"role:editor":{"read":true,"write":true}}}`).Object.ID
	for range 2 {
		_, err := w.update(w.as(alice), "Doc", doc, `{"t":2}`)
		wantError(t, err, parse.ObjectNotFound, "")
		w.relate(editor, "users", "AddRelation", user, alice)
		w.mustUpdate(w.as(alice), "Doc", doc, `{"t":3}`)
		w.relate(editor, "users", "RemoveRelation", user, alice)
	}
	_, err := w.update(w.as(alice), role, editor.id, `{"users":{"__op":"AddRelation","objects":[`+pointer(user, alice.id)+`]}}`)
	wantError(t, err, parse.ObjectNotFound, "")
}

func TestRoleNeedsNameAndACL(t *testing.T) {
	w := newWorld(t, nil)
	r := w.role("taken")
	const name, acl = "name is required.", "ACL is required."
	tests := []struct {
		body   string
		create bool
		code   parse.Code
		text   string
	}{
		{`{}`, true, parse.IncorrectType, name},
		{`{"name":""}`, true, parse.IncorrectType, name},
		{`{"name":null,"ACL":{}}`, true, parse.IncorrectType, name},
		{`{"name":"n"}`, true, parse.IncorrectType, acl},
		{`{"name":"n","ACL":null}`, true, parse.IncorrectType, acl},
		{`{"name":"taken","ACL":{}}`, true, parse.DuplicateValue, ""},
		{`{"name":"any name, even so!","ACL":{}}`, true, 0, ""},
		{`{"name":{"__op":"Delete"}}`, false, parse.IncorrectType, name},
		{`{"name":""}`, false, parse.IncorrectType, name},
		{`{"name":null}`, false, parse.IncorrectType, name},
		{`{"note":"n"}`, false, 0, ""},
		{`{"name":"renamed"}`, false, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.body, func(t *testing.T) {
			write, err := &objects.Write{Class: role, ID: r.id, Body: body(t, tt.body)}, error(nil)
			if tt.create {
				_, err = w.objs.Create(t.Context(), nobody, write)
			} else {
				_, err = w.objs.Update(t.Context(), master, write)
			}
			wantError(t, err, tt.code, tt.text)
		})
	}
}

// A user whose id looked like the subject of a role would have its rights.
func TestUserNamedLikeARole(t *testing.T) {
	w := newWorld(t, nil)
	w.create(master, session, `{"user":`+pointer(user, "role:admin")+`,"sessionToken":"r:x"}`)
	w.dead(member{token: "r:x"}, invalidToken)
	evil := &parse.Object{ClassName: user, ID: "role:admin", CreatedAt: 1, UpdatedAt: 1}
	if err := w.objs.Store().Insert(t.Context(), w.objs.Registry().Current().Class(user), []*parse.Object{evil}); err != nil {
		t.Fatal(err)
	}
	_, err := w.Principal(t.Context(), "r:x", "", "")
	wantError(t, err, parse.InternalServerError, "Invalid object ID.")
}

func TestPrincipalOfAClient(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	w.role("admin", alice)
	for _, c := range []access.Principal{{}, {InstallationID: "i", IP: "::1"}, {InstallationID: "i", IP: "::2"}, {IP: "::2"}, {}} {
		p, err := w.Principal(t.Context(), alice.token, c.InstallationID, c.IP)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, []any{c.InstallationID, c.IP, alice.id, alice.token, "alice", []string{"*", alice.id, "role:admin"}},
			[]any{p.InstallationID, p.IP, p.UserID, p.SessionToken, p.User.String("username"), p.Subjects()})
		if p.User.Fields.Has("_hashed_password") {
			t.Error("the principal carries the hash")
		}
	}
}
