package livequery_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

const times = `"createdAt":"2001-09-09T01:46:40.000Z","updatedAt":"2001-09-09T01:46:40.000Z"`

func frameOf(op, object, original string) string {
	f := `{"op":"` + op + `","clientId":"ID","requestId":1,"object":` + object
	if original != "" {
		f += `,"original":` + original
	}
	return f + "}"
}

// TestEvents is the table of reference 05 §4, by the frames on the wire. The
// client is ann; the query asks for n equal to 1.
func TestEvents(t *testing.T) {
	ann, bob := readable("ann"), readable("bob")
	text := func(n, acl string) string {
		o := `{"className":"Item","objectId":"x","n":` + n + `,` + times
		if acl != "" {
			o += `,"ACL":{"` + acl + `":{"read":true}}`
		}
		return o + "}"
	}
	in, out := obj("x", nil, "n", 1.0), obj("x", nil, "n", 2.0)
	inAnn, outAnn := obj("x", ann, "n", 1.0), obj("x", ann, "n", 2.0)
	inBob, outBob := obj("x", bob, "n", 1.0), obj("x", bob, "n", 2.0)
	tests := []struct {
		name   string
		change parse.Change
		want   []string
	}{
		{"create", created(in), []string{frameOf("create", text("1", ""), "")}},
		{"create elsewhere", created(out), []string{}},
		{"create for another", created(inBob), []string{}},
		{"create for me", created(inAnn), []string{frameOf("create", text("1", "ann"), "")}},
		{"update", updated(in, in), []string{frameOf("update", text("1", ""), text("1", ""))}},
		{"update of another's", updated(inBob, inBob), []string{}},
		{"enter by query", updated(out, in), []string{frameOf("enter", text("1", ""), text("2", ""))}},
		{"enter by ACL", updated(inBob, inAnn), []string{frameOf("enter", text("1", "ann"), "")}},
		{"enter by both", updated(outBob, inAnn), []string{frameOf("enter", text("1", "ann"), "")}},
		{"leave by query", updated(in, out), []string{frameOf("leave", text("2", ""), text("1", ""))}},
		{"leave by ACL", updated(inAnn, inBob), []string{frameOf("leave", text("1", "ann"), text("1", "ann"))}},
		{"leave by both", updated(inAnn, outBob), []string{frameOf("leave", text("1", "ann"), text("1", "ann"))}},
		{"never seen", updated(outAnn, outBob), []string{}},
		{"delete", deleted(inAnn), []string{frameOf("delete", text("1", "ann"), "")}},
		{"delete elsewhere", deleted(outAnn), []string{}},
		{"delete of another's", deleted(inBob), []string{}},
		{"locked", created(obj("x", parse.NewACL(), "n", 1.0)), []string{}},
	}
	r := newRig(t, livequery.Options{})
	s := r.connect(t, `,"sessionToken":"r:ann"`)
	s.subscribe(1, `{"className":"Item","where":{"n":1}}`, "")
	s.fenceOn("Item")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r.publish(t, tt.change)
			if diff := cmp.Diff(tt.want, s.frames(r, "Item")); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSelection covers keys, watch, protected and internal fields.
func TestSelection(t *testing.T) {
	item := &schema.Class{Name: "Item", CLP: &schema.CLP{
		Ops:       map[schema.Operation]*schema.Permission{schema.Find: {Public: true}, schema.Get: {Public: true}},
		Protected: map[string][]string{"*": {"pin"}, "role:Staff": {}},
	}}
	b := obj("x", nil, "a", "1", "pin", 4.0, "_hidden", "h", "o", parse.NewMap(parse.MapField{Key: "p", Value: 1.0}))
	a := obj("x", nil, "a", "2", "pin", 4.0, "_hidden", "h", "o", parse.NewMap(parse.MapField{Key: "p", Value: 1.0}))
	text := func(fields string) string {
		return `{"className":"Item","objectId":"x",` + fields + times + `}`
	}
	full := func(op string) []string {
		return []string{frameOf(op, text(`"a":"2","o":{"p":1},`), text(`"a":"1","o":{"p":1},`))}
	}
	tests := []struct {
		name, query, members string
		change               parse.Change
		want                 []string
	}{
		{"all that is public", `{"className":"Item","where":{}}`, "", updated(b, a), full("update")},
		{
			"staff", `{"className":"Item","where":{"pin":4}}`, `,"sessionToken":"r:bob"`, created(b),
			[]string{frameOf("create", text(`"a":"1","pin":4,"o":{"p":1},`), "")},
		},
		{
			"keys", `{"className":"Item","where":{},"keys":["a","pin","none","o.p"]}`, "", updated(b, a),
			[]string{frameOf("update", text(`"a":"2",`), text(`"a":"1",`))},
		},
		{"fields", `{"className":"Item","where":{},"fields":["a"]}`, "", deleted(a), []string{frameOf("delete", text(`"a":"2",`), "")}},
		{"watch changed", `{"className":"Item","where":{},"watch":["a"]}`, "", updated(b, a), full("update")},
		{"watch same", `{"className":"Item","where":{},"watch":["o","o.p"]}`, "", updated(b, a), []string{}},
		{
			"watch dotted", `{"className":"Item","where":{},"watch":["o.p"]}`, "", updated(obj("x", nil), obj("x", nil, "o", parse.NewMap(parse.MapField{Key: "p", Value: 1.0}))),
			[]string{frameOf("update", text(`"o":{"p":1},`), text(""))},
		},
		{"watch create", `{"className":"Item","where":{},"watch":["a"]}`, "", created(obj("x", nil, "a", nil)), []string{frameOf("create", text(`"a":null,`), "")}},
		{"watch create without", `{"className":"Item","where":{},"watch":["a"]}`, "", created(obj("x", nil)), []string{}},
		{"watch does not hold back enter", `{"className":"Item","where":{"a":"2"},"watch":["o"]}`, "", updated(b, a), full("enter")},
		{"watch does not hold back leave", `{"className":"Item","where":{"a":"1"},"watch":["o"]}`, "", updated(b, a), full("leave")},
		{"foreign constraint", `{"className":"Item","where":{"a":{"$inQuery":{"className":"B","where":{}}}}}`, "", created(b), []string{}},
		{
			"array element", `{"className":"Item","where":{"l":"q"}}`, "", created(obj("x", nil, "l", parse.Array{"p", "q", "q"})),
			[]string{frameOf("create", text(`"l":["p","q","q"],`), "")},
		},
		{"by id", `{"className":"Item","where":{"objectId":"x"}}`, "", created(obj("x", nil)), []string{frameOf("create", text(""), "")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, livequery.Options{})
			r.schema.set(item)
			s := r.connect(t, "")
			s.subscribe(1, tt.query, tt.members)
			s.fenceOn("Item")
			r.publish(t, tt.change)
			if diff := cmp.Diff(tt.want, s.frames(r, "Item")); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBarePointer subscribes by an id alone, which the class says is a pointer.
func TestBarePointer(t *testing.T) {
	r := newRig(t, livequery.Options{})
	s := r.connect(t, "")
	s.subscribe(1, `{"className":"Item","where":{"owner":{"$in":["u1"]}}}`, "")
	s.fenceOn("Item")
	o := obj("x", nil, "owner", parse.Pointer{ClassName: "_User", ObjectID: "u1"})
	r.publish(t, created(o))
	if got := s.frames(r, "Item"); len(got) != 0 {
		t.Errorf("before the class is known: %v", got)
	}
	// The query means something else once the field is a pointer.
	r.schema.set(&schema.Class{Name: "Item", Fields: map[string]*schema.Field{
		"owner": {Name: "owner", Type: schema.Pointer, TargetClass: "_User"},
	}})
	r.publish(t, created(o))
	if got := s.frames(r, "Item"); len(got) != 1 {
		t.Errorf("after: %v", got)
	}
}

// TestUserAndSession covers what is special about the two classes.
func TestUserAndSession(t *testing.T) {
	r := newRig(t, livequery.Options{})
	s := r.connect(t, `,"sessionToken":"r:ann"`)
	s.subscribe(1, `{"className":"_User","where":{"username":"ann"}}`, "")
	s.fenceOn("_User")
	u := &parse.Object{ClassName: "_User", ID: "ann", ACL: readable("ann")}
	u.Set("username", "ann")
	u.Set("_hashed_password", "h")
	u.Set("password", "p")
	u.Set("authData", parse.NewMap(parse.MapField{Key: "mfa", Value: parse.NewMap(parse.MapField{Key: "secret", Value: "x"})}))
	u.Set("sessionToken", "r:ann")
	r.publish(t, created(u))
	want := []string{`{"op":"create","clientId":"ID","requestId":1,"object":{"className":"_User","objectId":"ann","username":"ann","ACL":{"ann":{"read":true}}}}`}
	if diff := cmp.Diff(want, s.frames(r, "_User")); diff != "" {
		t.Errorf("_User (-want +got):\n%s", diff)
	}

	s.subscribe(2, `{"className":"_Session","where":{}}`, "")
	s.subscribe(3, `{"className":"_Session","where":{"n":1}}`, "")
	session := func(id, user string, n float64) parse.Change {
		o := &parse.Object{ClassName: "_Session", ID: id}
		o.Set("user", parse.Pointer{ClassName: "_User", ObjectID: user})
		o.Set("sessionToken", "r:t")
		o.Set("n", n)
		return created(o)
	}
	r.publish(t, session("other", "bob", 1), session("mine", "ann", 1))
	got := map[string]bool{s.next(): true, s.next(): true}
	for _, id := range []string{"2", "3"} {
		f := `{"op":"create","clientId":"ID","requestId":` + id + `,"object":{"className":"_Session","objectId":"mine","user":{"__type":"Pointer","className":"_User","objectId":"ann"},"sessionToken":"r:t","n":1}}`
		if !got[f] {
			t.Errorf("no %s among %v", f, got)
		}
	}
}

// TestClasses: a class without live queries can be subscribed to and is silent.
func TestClasses(t *testing.T) {
	r := newRig(t, livequery.Options{Classes: func(c string) bool { return c == "Item" }})
	s := r.connect(t, "")
	s.subscribe(1, `{"className":"Other","where":{}}`, "")
	s.fenceOn("Item")
	if r.hub.Wants("Other") || !r.hub.Wants("Item") {
		t.Error("Wants does not follow Options.Classes")
	}
	r.publish(t, parse.Change{Class: "Other", Action: parse.Created, After: &parse.Object{ClassName: "Other", ID: "o"}}, created(obj("x", nil)))
	if got := s.frames(r, "Item"); len(got) != 0 {
		t.Errorf("events of a class without live queries: %v", got)
	}
}
