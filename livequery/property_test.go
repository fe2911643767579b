package livequery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// modelClient is what the naive evaluation knows of one client: nothing is
// shared, nothing indexed, nothing cached.
type modelClient struct {
	socket *socket
	token  string
	master bool
	subs   []modelSub
	want   map[int][]string // by requestId
	got    map[int][]string
}

type modelSub struct {
	where       *query.Matcher
	keys, watch []string
}

func (c *modelClient) subjects(staff bool) []string {
	switch c.token {
	case "r:ann":
		return []string{"*", "ann"}
	case "r:bob":
		if staff {
			return []string{"*", "bob", "role:Staff"}
		}
		return []string{"*", "bob"}
	}
	return []string{"*"}
}

// tell computes the frames that a change brings to the client.
func (c *modelClient) tell(ch parse.Change, staff bool) {
	subjects := c.subjects(staff)
	can := func(o *parse.Object) bool {
		return o != nil && (c.master || o.ACL == nil || slices.ContainsFunc(o.ACL.Entries(), func(e parse.ACLEntry) bool {
			return e.Read && slices.Contains(subjects, e.Subject)
		}))
	}
	for i, s := range c.subs {
		show := func(o *parse.Object) string {
			n := &parse.Object{ClassName: o.ClassName, ID: o.ID, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, ACL: o.ACL}
			for k, v := range o.Fields.All() {
				hidden := k == "p" && !c.master && !slices.Contains(subjects, "role:Staff")
				if !hidden && (s.keys == nil || slices.Contains(s.keys, k)) {
					n.Set(k, v)
				}
			}
			return `{"className":"Item",` + string(n.AppendJSON(nil))[1:]
		}
		was := can(ch.Before) && s.where.Match(ch.Before)
		is := can(ch.After) && s.where.Match(ch.After)
		changed := s.watch == nil || slices.ContainsFunc(s.watch, func(f string) bool {
			var a, b parse.Value
			var hadA, hadB bool
			if ch.After != nil {
				a, hadA = ch.After.Get(f)
			}
			if ch.Before != nil {
				b, hadB = ch.Before.Get(f)
			}
			return hadA != hadB || !parse.Equal(a, b)
		})
		frame := func(op string, object, original *parse.Object) {
			f := fmt.Sprintf(`{"op":%q,"clientId":"ID","requestId":%d,"object":%s`, op, i, show(object))
			if original != nil {
				f += `,"original":` + show(original)
			}
			c.want[i] = append(c.want[i], f+"}")
		}
		switch {
		case ch.Action == parse.Deleted && was:
			frame("delete", ch.Before, nil)
		case ch.Action == parse.Deleted:
		case was && is && changed:
			frame("update", ch.After, ch.Before)
		case was && is:
		case was && can(ch.After):
			frame("leave", ch.After, ch.Before)
		case was:
			frame("leave", ch.Before, ch.Before)
		case is && ch.Before == nil && changed:
			frame("create", ch.After, nil)
		case is && ch.Before == nil:
		case is && can(ch.Before):
			frame("enter", ch.After, ch.Before)
		case is:
			frame("enter", ch.After, nil)
		}
	}
}

// TestHubEqualsModel compares what clients receive over sockets with the
// naive evaluation of each subscription for each client. As a part of this,
// nobody ever receives an object or a field that they may not read.
func TestHubEqualsModel(t *testing.T) {
	wheres := []string{
		`{}`, `{"a":1}`, `{"a":2}`, `{"a":1,"b":"x"}`, `{"b":"x","a":1}`, `{"b":{"$in":["x","y"]}}`, `{"a":{"$gte":1}}`,
		`{"owner":{"__type":"Pointer","className":"_User","objectId":"ann"}}`, `{"$or":[{"a":0},{"b":"y"}]}`, `{"l":1}`,
		`{"objectId":"o1"}`, `{"a":{"$ne":1}}`, `{"b":{"$exists":false}}`, `{"b":"x","owner":{"__type":"Pointer","className":"_User","objectId":"bob"}}`,
	}
	item := &schema.Class{Name: "Item", CLP: &schema.CLP{
		Ops:       map[schema.Operation]*schema.Permission{schema.Find: {Public: true}, schema.Get: {Public: true}},
		Protected: map[string][]string{"*": {"p"}, "role:Staff": {}},
	}}
	object := rapid.Custom(func(rt *rapid.T) *parse.Object {
		var acl *parse.ACL
		if rapid.Bool().Draw(rt, "hasACL") {
			acl = readable(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"*", "ann", "bob", "role:Staff"}), 0, 2, rapid.ID).Draw(rt, "readers")...)
		}
		o := obj("", acl)
		set := func(name string, values ...parse.Value) {
			if i := rapid.IntRange(0, len(values)).Draw(rt, name); i < len(values) {
				o.Set(name, values[i])
			}
		}
		user := func(id string) parse.Value { return parse.Pointer{ClassName: "_User", ObjectID: id} }
		set("a", 0.0, 1.0, 2.0, parse.Array{1.0, 2.0}, "1")
		set("b", "x", "y", nil, parse.Array{"x", "x"})
		set("p", "secret")
		set("l", parse.Array{1.0, 1.0}, parse.Array{}, 1.0)
		set("owner", user("ann"), user("bob"), parse.Array{user("ann"), user("bob")})
		return o
	})
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, livequery.Options{MasterKey: "mk"})
		r.schema.set(item)
		var clients []*modelClient
		for _, members := range []string{"", `,"sessionToken":"r:ann"`, `,"sessionToken":"r:bob"`, `,"masterKey":"mk"`} {
			c := &modelClient{socket: r.connect(t, members), want: map[int][]string{}, got: map[int][]string{}, master: strings.Contains(members, "mk")}
			if _, rest, ok := strings.Cut(members, `Token":"`); ok {
				c.token = strings.TrimSuffix(rest, `"`)
			}
			clients = append(clients, c)
			for i := range rapid.IntRange(0, 4).Draw(rt, "subs") {
				text := rapid.SampledFrom(wheres).Draw(rt, "where")
				q := `{"className":"Item","where":` + text
				sub := modelSub{where: compile(t, text)}
				if rapid.Bool().Draw(rt, "keys") {
					sub.keys, q = []string{"p", "a"}, q+`,"keys":["p","a"]`
				}
				if rapid.Bool().Draw(rt, "watch") {
					sub.watch, q = []string{"b"}, q+`,"watch":["b"]`
				}
				c.subs = append(c.subs, sub)
				c.socket.subscribe(i, q+"}", "")
			}
			c.socket.fenceOn("Item")
		}
		collect := func() {
			for _, c := range clients {
				for _, f := range c.socket.frames(r, "Item") {
					var id int
					_, rest, _ := strings.Cut(f, `"requestId":`)
					if _, err := fmt.Sscanf(rest, "%d,", &id); err != nil {
						rt.Fatalf("frame %s: %v", f, err)
					}
					c.got[id] = append(c.got[id], f)
				}
			}
		}
		staff := true
		state := map[string]*parse.Object{}
		for range rapid.IntRange(1, 12).Draw(rt, "changes") {
			if rapid.IntRange(0, 4).Draw(rt, "role change") == 0 {
				collect() // what is under way may be decided by either
				staff = !staff
				if staff {
					r.users.set("r:bob", "bob", "Staff")
				} else {
					r.users.set("r:bob", "bob")
				}
				r.hub.Revoke([]string{"bob"}, false)
			}
			id := rapid.SampledFrom([]string{"o1", "o2"}).Draw(rt, "id")
			was := state[id]
			ch := parse.Change{Class: "Item", Action: parse.Updated, Before: was}
			if was != nil && rapid.IntRange(0, 3).Draw(rt, "delete") == 0 {
				ch.Action = parse.Deleted
			} else {
				ch.After = object.Draw(rt, "object")
				ch.After.ID = id
			}
			if was == nil {
				ch.Action = parse.Created
			}
			state[id] = ch.After
			r.publish(t, ch)
			for _, c := range clients {
				c.tell(ch, staff)
			}
		}
		collect()
		for n, c := range clients {
			if diff := cmp.Diff(c.want, c.got); diff != "" {
				rt.Fatalf("client %d (-model +hub):\n%s", n, diff)
			}
			_ = c.socket.ws.CloseNow()
		}
	})
}

func compile(tb testing.TB, where string) *query.Matcher {
	tb.Helper()
	v, err := parse.Decode([]byte(where), parse.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	n, err := query.ParseWhere(v, query.Limits{}, query.Scope{})
	if err != nil {
		tb.Fatal(err)
	}
	m, err := query.Compile(n)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// FuzzMessage sends arbitrary frames: the server must answer or ignore them,
// and still serve the connection.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `null`, `"op"`, `[[[[`, `{"op":"connect","applicationId":"app"}`, `{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{"a":1}}}`,
		`{"op":"subscribe","requestId":1e308,"query":{"className":"","where":{"a":{"$regex":"("}},"watch":["a"],"keys":["b"]}}`,
		`{"op":"update","requestId":99999999999999999999,"query":{"className":"_Session","where":{}}}`, `{"op":"unsubscribe","requestId":1}`,
		`{"op":"subscribe","requestId":2,"query":{"className":"_Join:a:B","where":{"$or":[{"$and":[{}]}],"objectId":{"$in":[null]}}},"sessionToken":"r:ann"}`,
		`{"op":"subscribe","requestId":1,"query":{"__type":"Pointer","className":"a","objectId":"b"}}`,
	} {
		f.Add(s)
	}
	r := newRig(f, livequery.Options{MaxMessageBytes: 1 << 20})
	f.Fuzz(func(t *testing.T, msg string) {
		s := r.connect(t, "")
		s.send(msg)
		r.publish(t, created(obj("x", nil, "a", 1.0)))
		s.send(`{"op":"nonsense"}`)
		for !strings.Contains(s.next(), `No enum match for: \"nonsense\"`) {
		}
		_ = s.ws.CloseNow()
	})
}
