package objects_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

var master = access.MasterKey()

type positive struct{}

func (positive) Validate(v parse.Value) error {
	if n, ok := v.(float64); !ok || n <= 0 {
		return errors.New("must be positive")
	}
	return nil
}

func gameClass() *schema.Class {
	c := def("Game", field("score", schema.Number), field("tags", schema.Array), field("obj", schema.Object),
		field("when", schema.Date), pointerTo("cat", "Cat"), &schema.Field{Name: "fans", Type: schema.Relation, TargetClass: "_User"},
		field("at", schema.GeoPoint))
	c.Fields["level"] = &schema.Field{Name: "level", Type: schema.Number, Default: 1.0}
	c.Fields["name"] = &schema.Field{Name: "name", Type: schema.String, Required: true}
	c.Fields["price"] = &schema.Field{Name: "price", Type: schema.Number, Validate: positive{}}
	return c
}

func TestCreateRefusals(t *testing.T) {
	closed := gameClass()
	closed.Name = "Closed"
	closed.CLP = &schema.CLP{Ops: map[schema.Operation]*schema.Permission{schema.Create: {Public: true}}}
	tests := []struct {
		name, class, body string
		p                 *access.Principal
		code              parse.Code
		text              string
	}{
		{"wrong type", "Game", `{"name":"a","score":"x"}`, user("u"), 111, "schema mismatch for Game.score; expected Number but got String"},
		{"wrong pointer", "Game", `{"name":"a","cat":{"__type":"Pointer","className":"Dog","objectId":"1"}}`, user("u"), 111, "schema mismatch for Game.cat; expected Pointer<Cat> but got Pointer<Dog>"},
		{"wrong operation", "Game", `{"name":{"__op":"Increment","amount":1}}`, user("u"), 111, "schema mismatch for Game.name; expected String but got Number"},
		{"wrong relation", "Game", `{"name":"a","fans":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"Cat","objectId":"1"}]}}`, user("u"), 111, "schema mismatch for Game.fans; expected Relation<_User> but got Relation<Cat>"},
		{"dotted into a number", "Game", `{"name":"a","score.x":1}`, user("u"), 111, "schema mismatch for Game.score; expected Number but got Object"},
		{"embedded object", "Game", `{"name":"a","cat":{"__type":"Object","className":"Cat","objectId":"1"}}`, user("u"), 111, "This is not a valid Object"},
		{"malformed date", "Game", `{"name":"a","when":{"__type":"Date","iso":"never"}}`, user("u"), 111, "This is not a valid Date"},
		{"date as text", "Game", `{"name":"a","createdAt":"2020-01-01T00:00:00.000Z"}`, user("u"), 111, "schema mismatch for Game.createdAt; expected Date but got String"},
		{"two points", "Game", `{"name":"a","at":{"__type":"GeoPoint","latitude":1,"longitude":1},"b":{"__type":"GeoPoint","latitude":1,"longitude":1}}`, user("u"), 111, "there can only be one geopoint field in a class"},
		{"field name", "Game", `{"name":"a","a-b":1}`, user("u"), 105, "Invalid field name: a-b."},
		{"internal field", "Game", `{"name":"a","_hashed_password":"x"}`, user("u"), 105, "Invalid field name: _hashed_password."},
		{"internal field, master", "Game", `{"name":"a","_rperm":["*"]}`, master, 105, "Invalid field name: _rperm."},
		{"nested operator", "Game", `{"name":"a","obj":{"x":{"$gt":1}}}`, user("u"), 121, "Nested keys should not contain the '$' or '.' characters"},
		{"chosen id", "Game", `{"name":"a","objectId":"mine"}`, user("u"), 105, "objectId is an invalid field name."},
		{"id", "Game", `{"name":"a","id":"mine"}`, user("u"), 105, "id is an invalid field name."},
		{"required missing", "Game", `{}`, user("u"), 142, "name is required"},
		{"required empty", "Game", `{"name":""}`, user("u"), 142, "name is required"},
		{"required null", "Game", `{"name":null}`, master, 142, "name is required"},
		{"validator", "Game", `{"name":"a","price":-1}`, master, 142, "price: must be positive"},
		{"validator of an operation", "Game", `{"name":"a","price":{"__op":"Increment","amount":-1}}`, user("u"), 142, "price: must be positive"},
		{"bad ACL", "Game", `{"name":"a","ACL":{"*unresolved":{"read":true}}}`, user("u"), 123, "Invalid ACL."},
		{"unknown class", "Foo", `{}`, user("u"), 119, "This user is not allowed to access non-existent class: Foo"},
		{"bad class name", "a-b", `{}`, master, 107, "schema class name does not revalidate"},
		{"bad system name", "_Foo", `{}`, master, 103, "invalid className: _Foo"},
		{"read-only master", "Foo", `{"objectId":"x"}`, access.New(access.Principal{Kind: access.ReadOnlyMaster}), 119, "read-only masterKey isn't allowed to perform the create operation."},
		{"volatile", "_JobStatus", `{}`, user("u"), 119, "Clients aren't allowed to perform the create operation on the _JobStatus collection."},
		{"no new fields", "Closed", `{"name":"a","more":1}`, user("u"), 119, "Permission denied for action addField on class Closed."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := setup(t, objects.Options{}, false, gameClass(), closed)
			_, err := f.Create(t.Context(), tt.p, &objects.Write{Class: tt.class, Body: body(t, tt.body)})
			var e *parse.Error
			if !errors.As(err, &e) {
				t.Fatalf("error = %v", err)
			}
			if e.Code != tt.code || e.Message != tt.text {
				t.Errorf("error = %d %q, want %d %q", e.Code, e.Message, tt.code, tt.text)
			}
			if f.mem.statements != 0 || len(f.heard.changes) != 0 {
				t.Error("a refused create reached the store")
			}
			now := f.Registry().Current()
			if now.Class("Foo") != nil || now.Class("Closed").Field("more") != nil || now.Class("Game").Field("b") != nil {
				t.Error("a refused create changed the schema")
			}
		})
	}
}

func response(s *objects.Saved) string {
	m := s.Response.Clone()
	for _, k := range []string{"objectId", "createdAt", "updatedAt"} {
		m.Delete(k)
	}
	return string(parse.AppendJSON(nil, m))
}

func stored(s *objects.Saved) string { return string(s.Object.AppendFields(nil)) }

func TestCreate(t *testing.T) {
	tests := []struct{ name, body, stored, response string }{
		{"values", `{"name":"a","score":1,"createdAt":{"__type":"Date","iso":"2001-01-01T00:00:00.000Z"}}`, `{"name":"a","score":1,"level":1}`, `{"level":1}`},
		{
			"operations", `{"name":"a","score":{"__op":"Increment","amount":2},"tags":{"__op":"AddUnique","objects":[1]},"obj":{"__op":"Delete"}}`,
			`{"name":"a","score":2,"tags":[1],"level":1}`, `{"score":2,"tags":[1],"level":1}`,
		},
		{"dotted", `{"name":"a","level":2,"obj.x":1}`, `{"name":"a","level":2,"obj":{"x":1}}`, `{}`},
		{"new fields", `{"name":"a","level":2,"more":true,"list":[1]}`, `{"name":"a","level":2,"more":true,"list":[1]}`, `{}`},
		{"null", `{"name":"a","level":2,"score":null}`, `{"name":"a","level":2,"score":null}`, `{}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := setup(t, objects.Options{}, false, gameClass())
			saved := f.create(t, user("u"), "Game", tt.body)
			if diff := cmp.Diff(tt.stored, stored(saved)); diff != "" {
				t.Error("stored:", diff)
			}
			if diff := cmp.Diff(tt.response, response(saved)); diff != "" {
				t.Error("response:", diff)
			}
			if len(saved.Object.ID) != 10 || saved.Response.String("objectId") != saved.Object.ID || !saved.Created {
				t.Errorf("id %q", saved.Object.ID)
			}
			if saved.Object.CreatedAt != saved.Object.UpdatedAt || time.Since(saved.Object.CreatedAt.Time()) > time.Minute {
				t.Error("createdAt is not now")
			}
			if len(f.heard.changes) != 1 || f.heard.changes[0].Action != parse.Created || f.mem.statements != 1 {
				t.Errorf("%d changes, %d statements", len(f.heard.changes), f.mem.statements)
			}
		})
	}
}

func TestClassCreation(t *testing.T) {
	f := setup(t, objects.Options{AllowClientClassCreation: true, AllowCustomObjectID: true}, false)
	f.create(t, user("u"), "Fresh", `{"n":1,"objectId":"mine"}`)
	c := f.Registry().Current().Class("Fresh")
	if c == nil || c.Field("n").Type != schema.Number {
		t.Fatalf("class = %+v", c)
	}
	_, err := f.Create(t.Context(), master, &objects.Write{Class: "Fresh", Body: body(t, `{"objectId":"mine"}`)})
	wantCode(t, err, 137)
	_, err = f.Create(t.Context(), master, &objects.Write{Class: "Fresh", Body: body(t, `{"objectId":""}`)})
	wantCode(t, err, 104)
	_, err = f.update(t, master, "Nowhere", "x", `{"a":1}`)
	wantCode(t, err, 101)
}

func TestDefaultACL(t *testing.T) {
	c := def("Post")
	c.CLP = &schema.CLP{
		Ops:        map[schema.Operation]*schema.Permission{schema.Create: {Public: true}},
		DefaultACL: parse.NewACL(parse.ACLEntry{Subject: "currentUser", Read: true, Write: true}, parse.ACLEntry{Subject: "role:a", Read: true}),
	}
	f := setup(t, objects.Options{}, false, c)
	want := func(p *access.Principal, text, acl string) {
		t.Helper()
		saved := f.create(t, p, "Post", text)
		if got := string(parse.AppendJSON(nil, saved.Object.ACL.Value())); got != acl {
			t.Errorf("ACL = %s, want %s", got, acl)
		}
	}
	want(user("u"), `{}`, `{"u":{"read":true,"write":true},"role:a":{"read":true}}`)
	want(access.Anonymous(), `{}`, `{"role:a":{"read":true}}`)
	want(user("u"), `{"ACL":{}}`, `{}`)
}

func ownedClass() *schema.Class {
	c := def("Pay", field("n", schema.Number), &schema.Field{Name: "user", Type: schema.Pointer, TargetClass: "_User", Required: true})
	c.OwnerField, c.OwnerRoles, c.OwnerWriteRoles = "user", []string{"admin"}, []string{"root"}
	return c
}

func TestOwner(t *testing.T) {
	const me = `{"__type":"Pointer","className":"_User","objectId":"u"}`
	const other = `{"__type":"Pointer","className":"_User","objectId":"v"}`
	const acl = `{"u":{"read":true,"write":true},"role:admin":{"read":true},"role:root":{"read":true,"write":true}}`
	f := setup(t, objects.Options{}, false, ownedClass())
	_, err := f.Create(t.Context(), user("u"), &objects.Write{Class: "Pay", Body: body(t, `{"user":`+other+`}`)})
	wantCode(t, err, 119)
	_, err = f.Create(t.Context(), access.Anonymous(), &objects.Write{Class: "Pay", Body: body(t, `{}`)})
	wantCode(t, err, 119)
	_, err = f.Create(t.Context(), master, &objects.Write{Class: "Pay", Body: body(t, `{}`)})
	wantCode(t, err, 142)
	for _, text := range []string{`{}`, `{"user":` + me + `}`, `{"user":null}`, `{"user":{"__op":"Delete"}}`, `{"ACL":{"*":{"read":true,"write":true}}}`} {
		saved := f.create(t, user("u"), "Pay", text)
		if got, _ := saved.Object.Pointer("user"); got.ObjectID != "u" {
			t.Errorf("%s: owner %v", text, got)
		}
		if got := string(parse.AppendJSON(nil, saved.Object.ACL.Value())); got != acl {
			t.Errorf("%s: ACL %s", text, got)
		}
	}
	saved := f.create(t, master, "Pay", `{"user":`+me+`}`)
	if got := string(parse.AppendJSON(nil, saved.Object.ACL.Value())); got != acl {
		t.Errorf("by master: ACL %s", got)
	}
	id := saved.Object.ID
	for _, text := range []string{`{"user":` + other + `}`, `{"user":null}`, `{"user":{"__op":"Delete"}}`} {
		_, err := f.update(t, user("u"), "Pay", id, text)
		wantCode(t, err, 119)
	}
	if saved, err = f.update(t, user("u"), "Pay", id, `{"n":2,"user":`+me+`,"ACL":{"*":{"read":true}}}`); err != nil {
		t.Fatal(err)
	}
	if got := string(parse.AppendJSON(nil, saved.Object.ACL.Value())); got != acl {
		t.Errorf("after update: ACL %s", got)
	}
	for name, p := range map[string]*access.Principal{"stranger": user("v"), "reader": user("v", "admin"), "nobody": access.Anonymous()} {
		_, err := f.update(t, p, "Pay", id, `{"n":3}`)
		wantCode(t, err, 101)
		wantCode(t, f.Delete(t.Context(), p, "Pay", id), 101)
		if _, err := f.Get(t.Context(), p, "Pay", id, nil); (err == nil) != (name == "reader") {
			t.Errorf("%s: get %v", name, err)
		}
	}
	if _, err := f.update(t, user("v", "root"), "Pay", id, `{"n":3}`); err != nil {
		t.Errorf("writer: %v", err)
	}
}

func TestOwnerSurvivesHooks(t *testing.T) {
	f := setup(t, objects.Options{}, false, ownedClass())
	f.app.BeforeSave("Pay", func(_ context.Context, r *cloudcode.SaveRequest) error {
		if r.Dirty("n") {
			r.Object.Set("user", parse.Pointer{ClassName: "_User", ObjectID: "v"})
		}
		r.Object.ACL = nil
		return nil
	})
	saved := f.create(t, user("u"), "Pay", `{}`)
	if !saved.Object.ACL.Allows([]string{"u"}, true) || saved.Object.ACL.Allows([]string{"*"}, false) {
		t.Errorf("ACL = %v", saved.Object.ACL)
	}
	_, err := f.Create(t.Context(), user("u"), &objects.Write{Class: "Pay", Body: body(t, `{"n":1}`)})
	wantCode(t, err, 119)
	_, err = f.update(t, user("u"), "Pay", saved.Object.ID, `{"n":1}`)
	wantCode(t, err, 119)
}

func TestUpdate(t *testing.T) {
	tests := []struct {
		name, body, stored, response string
		code                         parse.Code
	}{
		{"empty", `{}`, `{"name":"a","score":1,"price":5,"level":1}`, `{}`, 0},
		{"increment", `{"score":{"__op":"Increment","amount":2}}`, `{"name":"a","score":3,"price":5,"level":1}`, `{"score":3}`, 0},
		{"nested increment", `{"obj.n":{"__op":"Increment","amount":2}}`, `{"name":"a","score":1,"price":5,"level":1,"obj":{"n":2}}`, `{"obj":{"n":2}}`, 0},
		{"delete", `{"score":{"__op":"Delete"}}`, `{"name":"a","price":5,"level":1}`, `{}`, 0},
		{"system fields", `{"objectId":"x","createdAt":{"__type":"Date","iso":"2001-01-01T00:00:00.000Z"}}`, `{"name":"a","score":1,"price":5,"level":1}`, `{}`, 0},
		{"required unset", `{"name":{"__op":"Delete"}}`, "", "", 142},
		{"required empty", `{"name":""}`, "", "", 142},
		{"validator", `{"price":0}`, "", "", 142},
		{"validator of a result", `{"price":{"__op":"Increment","amount":-5}}`, "", "", 142},
		{"valid result", `{"price":{"__op":"Increment","amount":-4}}`, `{"name":"a","score":1,"price":1,"level":1}`, `{"price":1}`, 0},
		{"type", `{"score":true}`, "", "", 111},
		{"locked", `{"ACL":{}}`, `{"name":"a","score":1,"price":5,"level":1}`, `{}`, 0},
		{"no ACL", `{"ACL":"x"}`, "", "", 123},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := setup(t, objects.Options{}, false, gameClass())
			id := f.create(t, user("u"), "Game", `{"name":"a","score":1,"price":5}`).Object.ID
			saved, err := f.update(t, user("u"), "Game", id, tt.body)
			wantCode(t, err, tt.code)
			if err != nil {
				return
			}
			if diff := cmp.Diff(tt.stored, stored(saved)); diff != "" {
				t.Error("stored:", diff)
			}
			if diff := cmp.Diff(tt.response, response(saved)); diff != "" {
				t.Error("response:", diff)
			}
			if ch := f.heard.changes[1]; ch.Before == nil || ch.After == nil || ch.Action != parse.Updated {
				t.Errorf("change %+v", ch)
			}
			if saved.Object.ID != id {
				t.Error("the id changed")
			}
		})
	}
}

func TestPermissionsOnWrites(t *testing.T) {
	byOwner := def("Doc", pointerTo("owner", "_User"))
	byOwner.CLP = &schema.CLP{
		Ops:             map[schema.Operation]*schema.Permission{schema.Create: {Public: true}, schema.Get: {Public: true}},
		WriteUserFields: []string{"owner"},
	}
	f := setup(t, objects.Options{}, false, byOwner, def("Open"))
	doc := f.create(t, user("u"), "Doc", `{"owner":{"__type":"Pointer","className":"_User","objectId":"u"}}`).Object.ID
	locked := f.create(t, user("u"), "Open", `{"ACL":{"u":{"read":true},"role:w":{"write":true}}}`).Object.ID
	tests := []struct {
		name, class, id string
		p               *access.Principal
		code            parse.Code
	}{
		{"pointer", "Doc", doc, user("u"), 0},
		{"pointer of another", "Doc", doc, user("v"), 101},
		{"no user", "Doc", doc, access.Anonymous(), 101},
		{"readable only", "Open", locked, user("u"), 101},
		{"writable only", "Open", locked, user("x", "w"), 0},
		{"master", "Open", locked, master, 0},
		{"missing", "Open", "nope", master, 101},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := f.update(t, tt.p, tt.class, tt.id, `{}`)
			wantCode(t, err, tt.code)
			if tt.code != 0 {
				wantCode(t, f.Delete(t.Context(), tt.p, tt.class, tt.id), tt.code)
			}
		})
	}
	if err := f.Delete(t.Context(), user("u"), "Doc", doc); err != nil {
		t.Error(err)
	}
}

func TestHooks(t *testing.T) {
	f := setup(t, objects.Options{}, false, gameClass())
	var log []string
	f.app.BeforeSave("Game", func(_ context.Context, r *cloudcode.SaveRequest) error {
		log = append(log, "before "+strings.Join(r.Changed, ","))
		if r.Original != nil {
			if old, _ := r.Original.Number("score"); old == 9 {
				return cloudcode.Err(142, "closed")
			}
		}
		switch r.Object.String("name") {
		case "bad":
			r.Object.Set("score", "text")
		case "worse":
			r.Object.Fields.Delete("name")
		case "shout":
			r.Object.Set("name", "SHOUT")
			r.Object.Fields.Delete("score")
		}
		return nil
	})
	f.app.AfterSave("Game", func(_ context.Context, r *cloudcode.SaveRequest) error {
		log = append(log, "after "+r.Object.String("name"))
		return errors.New("too late to matter")
	})
	try := func(text string, code parse.Code) *objects.Saved {
		t.Helper()
		saved, err := f.Create(t.Context(), user("u"), &objects.Write{Class: "Game", Body: body(t, text)})
		wantCode(t, err, code)
		return saved
	}
	try(`{"name":"bad"}`, 111)
	try(`{"name":"worse"}`, 142)
	saved := try(`{"name":"shout","score":1}`, 0)
	if got := response(saved); got != `{"name":"SHOUT","level":1,"score":{"__op":"Delete"}}` {
		t.Errorf("response %s", got)
	}
	if diff := cmp.Diff([]string{"before name", "before name", "before name,score", "after SHOUT"}, log); diff != "" {
		t.Error(diff)
	}
	// Another client closes the game between the hook and the write: the hook decides anew.
	f.mem.between = func() {
		_, _, err := f.mem.Update(t.Context(), &storage.Update{
			Class: f.Registry().Current().Class("Game"), Where: query.ByID(saved.Object.ID),
			Ops: parse.NewMap(parse.MapField{Key: "score", Value: 9.0}), UpdatedAt: saved.Object.UpdatedAt + 5,
		})
		if err != nil {
			t.Error(err)
		}
	}
	_, err := f.update(t, user("u"), "Game", saved.Object.ID, `{"level":3}`)
	wantCode(t, err, 142)
}

func TestDeleteHooks(t *testing.T) {
	f := setup(t, objects.Options{}, false, gameClass())
	after := 0
	f.app.BeforeDelete("Game", func(_ context.Context, r *cloudcode.DeleteRequest) error {
		if r.Object.String("name") == "keep" {
			return cloudcode.Err(142, "kept")
		}
		return nil
	})
	f.app.AfterDelete("Game", func(context.Context, *cloudcode.DeleteRequest) error { after++; return nil })
	keep := f.create(t, user("u"), "Game", `{"name":"keep"}`).Object.ID
	wantCode(t, f.Delete(t.Context(), user("u"), "Game", keep), 142)
	gone := f.create(t, user("u"), "Game", `{"name":"go"}`).Object.ID
	if err := f.Delete(t.Context(), user("u"), "Game", gone); err != nil {
		t.Fatal(err)
	}
	wantCode(t, f.Delete(t.Context(), user("u"), "Game", gone), 101)
	if last := f.heard.changes[len(f.heard.changes)-1]; after != 1 || last.Action != parse.Deleted || last.Before.ID != gone {
		t.Errorf("after %d, change %+v", after, last)
	}
}

func TestTransactions(t *testing.T) {
	for name, tx := range map[string]bool{"with": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, objects.Options{}, tx, gameClass())
			after := 0
			f.app.AfterSave("Game", func(context.Context, *cloudcode.SaveRequest) error { after++; return nil })
			old := f.create(t, master, "Game", `{"name":"old","score":1}`).Object
			dead := f.create(t, master, "Game", `{"name":"dead"}`).Object
			f.heard.changes, after = nil, 0
			work := func(fail bool) error {
				return f.InTx(t.Context(), func(ctx context.Context, tx *objects.Service) error {
					c := tx.Client(user("u"))
					o, err := c.Create(ctx, "Game", body(t, `{"name":"new","fresh`+name+`":1}`))
					if err != nil {
						return err
					}
					if _, err := c.Get(ctx, "Game", o.ID); err != nil {
						return err
					}
					rel := `{"score":{"__op":"Increment","amount":1},"more":1,"fans":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"_User","objectId":"u"}]}}`
					if _, err := c.Update(ctx, "Game", old.ID, body(t, rel)); err != nil {
						return err
					}
					if err := c.Delete(ctx, "Game", dead.ID); err != nil {
						return err
					}
					if len(f.heard.changes) != 0 || after != 0 {
						t.Error("told before the commit")
					}
					if fail {
						return errBroken
					}
					return nil
				})
			}
			if err := work(true); !errors.Is(err, errBroken) {
				t.Fatal(err)
			}
			if n := len(f.mem.classes["Game"]); n != 2 || len(f.heard.changes) != 0 || after != 0 {
				t.Fatalf("after a failure: %d objects, %d changes, %d hooks", n, len(f.heard.changes), after)
			}
			o, err := f.Get(t.Context(), master, "Game", old.ID, nil)
			if err != nil {
				t.Fatal(err)
			}
			if s, _ := o.Number("score"); s != 1 || o.Fields.Has("more") {
				t.Errorf("update was not undone: %s", o.AppendJSON(nil))
			}
			if ids, _ := f.mem.Related(t.Context(), storage.Join{Class: "Game", Key: "fans"}, old.ID); len(ids) != 0 {
				t.Errorf("members were not undone: %v", ids)
			}
			if err := work(false); err != nil {
				t.Fatal(err)
			}
			if n := len(f.mem.classes["Game"]); n != 2 || len(f.heard.changes) != 3 || after != 2 {
				t.Errorf("after success: %d objects, %d changes, %d hooks", n, len(f.heard.changes), after)
			}
		})
	}
}
