package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func user(id string, roles ...string) *access.Principal {
	return access.New(access.Principal{UserID: id, Roles: roles})
}

func kind(k access.Kind) *access.Principal { return access.New(access.Principal{Kind: k}) }

func ptr(id string) parse.Pointer { return parse.Pointer{ClassName: "_User", ObjectID: id} }

func object(class, id string, acl *parse.ACL, fields ...any) *parse.Object {
	o := &parse.Object{ClassName: class, ID: id, ACL: acl}
	for i := 0; i < len(fields); i += 2 {
		o.Set(fields[i].(string), fields[i+1])
	}
	return o
}

func class(name string, clp *schema.CLP) *schema.Class { return &schema.Class{Name: name, CLP: clp} }

func perm(op schema.Operation, p schema.Permission) *schema.CLP {
	return &schema.CLP{Ops: map[schema.Operation]*schema.Permission{op: &p}}
}

func TestAuthorize(t *testing.T) {
	const denied = "Permission denied for action find on class Post."
	tests := []struct {
		name  string
		p     *access.Principal
		class string
		clp   *schema.CLP
		op    schema.Operation
		code  parse.Code
		text  string
	}{
		{name: "no CLP", p: user(""), op: schema.Find},
		{name: "public", p: user(""), clp: perm(schema.Find, schema.Permission{Public: true}), op: schema.Find},
		{name: "absent operation", p: user("u"), clp: &schema.CLP{}, op: schema.Find, code: 119, text: denied},
		{name: "other operation", p: user("u"), clp: perm(schema.Get, schema.Permission{Public: true}), op: schema.Find, code: 119, text: denied},
		{name: "master", p: access.MasterKey(), clp: &schema.CLP{}, op: schema.Find},
		{name: "maintenance", p: kind(access.Maintenance), clp: &schema.CLP{}, op: schema.Update},
		{name: "user id", p: user("u"), clp: perm(schema.Find, schema.Permission{Subjects: map[string]bool{"u": true}}), op: schema.Find},
		{name: "another id", p: user("v"), clp: perm(schema.Find, schema.Permission{Subjects: map[string]bool{"u": true}}), op: schema.Find, code: 119, text: denied},
		{name: "role", p: user("u", "a"), clp: perm(schema.Find, schema.Permission{Subjects: map[string]bool{"role:a": true}}), op: schema.Find},
		{name: "user named like a role", p: user("role"), clp: perm(schema.Find, schema.Permission{Subjects: map[string]bool{"role:a": true}}), op: schema.Find, code: 119, text: denied},
		{name: "login needed", p: user(""), clp: perm(schema.Find, schema.Permission{RequiresAuthentication: true}), op: schema.Find, code: 101, text: "Permission denied, user needs to be authenticated."},
		{name: "logged in", p: user("u"), clp: perm(schema.Find, schema.Permission{RequiresAuthentication: true}), op: schema.Find},
		{name: "no CLP is no aggregate", p: user("u"), op: schema.Aggregate, code: 119, text: "Permission denied for action aggregate on class Post."},
		{name: "find is no aggregate", p: user("u"), clp: perm(schema.Find, schema.Permission{Public: true}), op: schema.Aggregate, code: 119, text: "Permission denied for action aggregate on class Post."},
		{name: "pointers that read do not aggregate", p: user("u"), clp: &schema.CLP{ReadUserFields: []string{"owner"}}, op: schema.Aggregate, code: 119, text: "Permission denied for action aggregate on class Post."},
		{name: "aggregate", p: user("u"), clp: perm(schema.Aggregate, schema.Permission{RequiresAuthentication: true}), op: schema.Aggregate},
		{name: "aggregate by pointers", p: user("u"), clp: perm(schema.Aggregate, schema.Permission{PointerFields: []string{"owner"}}), op: schema.Aggregate},
		{name: "pointers never allow a create", p: user("u"), clp: &schema.CLP{WriteUserFields: []string{"owner"}}, op: schema.Create, code: 119, text: "Permission denied for action create on class Post."},
		{name: "pointers defer", p: user("u"), clp: &schema.CLP{ReadUserFields: []string{"owner"}}, op: schema.Find},
		{name: "write pointers do not read", p: user("u"), clp: &schema.CLP{WriteUserFields: []string{"owner"}}, op: schema.Find, code: 119, text: denied},
		{name: "read-only master reads", p: kind(access.ReadOnlyMaster), op: schema.Find},
		{name: "read-only master writes", p: kind(access.ReadOnlyMaster), op: schema.Update, code: 119, text: "read-only masterKey isn't allowed to perform the update operation."},
		{name: "volatile class", p: user("u"), class: "_JobStatus", op: schema.Get, code: 119, text: "Clients aren't allowed to perform the get operation on the _JobStatus collection."},
		{name: "join class", p: user("u"), class: "_Join:a:B", op: schema.Find, code: 119, text: "Clients aren't allowed to perform the find operation on the _Join:a:B collection."},
		{name: "installations are not searched", p: user("u"), class: "_Installation", op: schema.Find, code: 119, text: "Clients aren't allowed to perform the find operation on the installation collection."},
		{name: "installations are created", p: user("u"), class: "_Installation", op: schema.Create},
		{name: "master and volatile class", p: access.MasterKey(), class: "_JobStatus", op: schema.Get},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := tt.class
			if name == "" {
				name = "Post"
			}
			pl, err := access.Authorize(tt.p, class(name, tt.clp), tt.op)
			if got := parse.CodeOf(err); got != tt.code {
				t.Fatalf("code = %d (%v), want %d", got, err, tt.code)
			}
			if err != nil && !strings.HasSuffix(err.Error(), tt.text) {
				t.Errorf("text = %q, want %q", err, tt.text)
			}
			if (pl == nil) != (err != nil) {
				t.Errorf("plan %v with error %v", pl, err)
			}
		})
	}
}

func TestReach(t *testing.T) {
	private := parse.NewACL(parse.ACLEntry{Subject: "u", Read: true, Write: true}, parse.ACLEntry{Subject: "role:a", Read: true})
	owner := &schema.CLP{ReadUserFields: []string{"owner", "friends"}, WriteUserFields: []string{"owner"}}
	loggedIn := &schema.CLP{
		ReadUserFields: []string{"owner"}, WriteUserFields: []string{"owner"},
		Ops: map[schema.Operation]*schema.Permission{schema.Get: {RequiresAuthentication: true}, schema.Update: {RequiresAuthentication: true}},
	}
	tests := []struct {
		name        string
		p           *access.Principal
		clp         *schema.CLP
		o           *parse.Object
		read, write bool
	}{
		{"logged in is not pointed to", user("w"), loggedIn, object("Post", "1", nil, "owner", ptr("u")), false, false},
		{"logged in and pointed to", user("u"), loggedIn, object("Post", "1", nil, "owner", ptr("u")), true, true},
		{"no ACL", user(""), nil, object("Post", "1", nil), true, true},
		{"locked", user("u", "a"), nil, object("Post", "1", parse.NewACL()), false, false},
		{"locked and master", access.MasterKey(), nil, object("Post", "1", parse.NewACL()), true, true},
		{"locked and read-only master", kind(access.ReadOnlyMaster), nil, object("Post", "1", parse.NewACL()), true, false},
		{"owner", user("u"), nil, object("Post", "1", private), true, true},
		{"role", user("v", "a"), nil, object("Post", "1", private), true, false},
		{"stranger", user("w"), nil, object("Post", "1", private), false, false},
		{"nobody", user(""), nil, object("Post", "1", private), false, false},
		{"pointer", user("u"), owner, object("Post", "1", nil, "owner", ptr("u")), true, true},
		{"pointer to another", user("v"), owner, object("Post", "1", nil, "owner", ptr("u")), false, false},
		{"pointer of another class", user("u"), owner, object("Post", "1", nil, "owner", parse.Pointer{ClassName: "Cat", ObjectID: "u"}), false, false},
		{"in a list", user("u"), owner, object("Post", "1", nil, "friends", parse.Array{ptr("v"), ptr("u")}), true, false},
		{"pointer without user", user(""), owner, object("Post", "1", nil, "owner", ptr("")), false, false},
		{"pointer but ACL", user("u"), owner, object("Post", "1", parse.NewACL(), "owner", ptr("u")), false, false},
		{"included owner", user("u"), owner, object("Post", "1", nil, "owner", object("_User", "u", nil)), true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, write := range []bool{false, true} {
				op, want := schema.Get, tt.read
				if write {
					op, want = schema.Update, tt.write
				}
				pl, err := access.Authorize(tt.p, class("Post", tt.clp), op)
				if err != nil {
					if want {
						t.Fatal(err)
					}
					continue
				}
				got := pl.CanRead(tt.o)
				if write {
					got = pl.CanWrite(tt.o)
				}
				if got != want {
					t.Errorf("write %v = %v, want %v", write, got, want)
				}
				if _, included := tt.o.Fields.Get("owner"); write && tt.p.Kind == access.ReadOnlyMaster || included && tt.name == "included owner" {
					continue
				}
				m, err := query.Compile(pl.Constraint(write))
				if err != nil {
					t.Fatal(err)
				}
				if got := m.Match(tt.o); got != want {
					t.Errorf("constraint of write %v = %v, want %v", write, got, want)
				}
			}
		})
	}
}

func TestProtectedFields(t *testing.T) {
	groups := func(kv ...string) map[string][]string {
		m := map[string][]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = strings.Fields(kv[i+1])
		}
		return m
	}
	fields := func() []any { return []any{"a", 1.0, "b", 2.0, "c", 3.0, "owner", ptr("u"), "_secret", "x"} }
	tests := []struct {
		name   string
		p      *access.Principal
		own    map[string][]string
		option map[string][]string
		want   string
	}{
		{"nothing", user(""), nil, nil, "a b c owner"},
		{"public", user(""), groups("*", "a b"), nil, "c owner"},
		{"option too", user(""), groups("*", "a"), groups("*", "b"), "c owner"},
		{"intersection", user("v"), groups("*", "a b", "authenticated", "a"), nil, "b c owner"},
		{"authenticated alone hides from users", user("v"), groups("authenticated", "a"), nil, "b c owner"},
		{"but not from the public", user(""), groups("authenticated", "a"), nil, "a b c owner"},
		{"role shows", user("v", "boss"), groups("*", "a b c", "role:boss", ""), nil, "a b c owner"},
		{"role of others", user("v", "x"), groups("*", "a b", "role:boss", ""), nil, "c owner"},
		{"own id", user("v"), groups("*", "a b", "v", "b"), nil, "a c owner"},
		{"user field shows", user("u"), groups("*", "a b", "userField:owner", "b"), nil, "a c owner"},
		{"user field of others", user("v"), groups("*", "a b", "userField:owner", "b"), nil, "c owner"},
		{"user field alone hides nothing", user("u"), groups("userField:owner", "a"), nil, "a b c owner"},
		{"master", access.MasterKey(), groups("*", "a b"), nil, "a b c owner"},
		{"maintenance", kind(access.Maintenance), groups("*", "a b"), nil, "a b c owner _secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := &access.Gate{Protected: map[string]map[string][]string{"Post": tt.option}}
			clp := perm(schema.Get, schema.Permission{Public: true})
			clp.Protected = tt.own
			pl, err := g.Authorize(tt.p, class("Post", clp), schema.Get)
			if err != nil {
				t.Fatal(err)
			}
			o := object("Post", "1", nil, fields()...)
			var got []string
			for k := range pl.Strip(o).Fields.All() {
				got = append(got, k)
			}
			if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
				t.Error(diff)
			}
			if o.Fields.Len() != 5 {
				t.Error("Strip changed the object")
			}
		})
	}
}

func TestOwnUserRow(t *testing.T) {
	for _, exempt := range []bool{true, false} {
		g := &access.Gate{Protected: map[string]map[string][]string{"_User": {"*": {"email"}}}, OwnerExempt: exempt}
		pl, err := g.Authorize(user("u"), class("_User", nil), schema.Get)
		if err != nil {
			t.Fatal(err)
		}
		mine := pl.Strip(object("_User", "u", nil, "email", "e", "authData", &parse.Map{}))
		other := pl.Strip(object("_User", "v", nil, "email", "e", "authData", &parse.Map{}))
		if mine.Fields.Has("email") != exempt || !mine.Fields.Has("authData") {
			t.Errorf("exempt %v: own row shows %v", exempt, mine.Fields.All())
		}
		if other.Fields.Len() != 0 {
			t.Error("another's row shows email or authData")
		}
		q := &query.Query{Where: query.AllOf(query.ByID("u"), query.Equal("email", "e"))}
		if err := pl.CheckQuery(q); (err == nil) != exempt {
			t.Errorf("exempt %v: query of the own row by email: %v", exempt, err)
		}
	}
}

func TestCheckQuery(t *testing.T) {
	clp := perm(schema.Find, schema.Permission{Public: true})
	clp.Protected = map[string][]string{"*": {"secret"}}
	eq := func(p string) query.Node { return query.Equal(p, 1.0) }
	sort := func(p query.Path) []query.Sort { return []query.Sort{{Path: p}} }
	tests := []struct {
		name, class string
		q           query.Query
		want        string
	}{
		{"free field", "Post", query.Query{Where: eq("a"), Order: sort("a")}, ""},
		{"equality", "Post", query.Query{Where: eq("secret")}, "This user is not allowed to query secret on class Post"},
		{"dotted", "Post", query.Query{Where: eq("secret.x")}, "This user is not allowed to query secret.x on class Post"},
		{"in or", "Post", query.Query{Where: &query.Or{Nodes: []query.Node{eq("a"), &query.And{Nodes: []query.Node{eq("secret")}}}}}, "This user is not allowed to query secret on class Post"},
		{"in nor", "Post", query.Query{Where: &query.Nor{Nodes: []query.Node{&query.Exists{Path: "secret"}}}}, "This user is not allowed to query secret on class Post"},
		{"regex", "Post", query.Query{Where: &query.Regex{Path: "secret", Pattern: "^a"}}, "This user is not allowed to query secret on class Post"},
		{"member", "Post", query.Query{Where: &query.Member{Path: "secret", Op: query.In}}, "This user is not allowed to query secret on class Post"},
		{"near", "Post", query.Query{Where: &query.Near{Path: "secret"}}, "This user is not allowed to query secret on class Post"},
		{"within", "Post", query.Query{Where: &query.Within{Path: "secret", Area: query.Box{}}}, "This user is not allowed to query secret on class Post"},
		{"intersects", "Post", query.Query{Where: &query.Intersects{Path: "secret"}}, "This user is not allowed to query secret on class Post"},
		{"sub-query", "Post", query.Query{Where: &query.SubQuery{Path: "secret"}}, "This user is not allowed to query secret on class Post"},
		{"order", "Post", query.Query{Order: sort("secret")}, "This user is not allowed to sort by secret on class Post"},
		{"order dotted", "Post", query.Query{Order: sort("secret.a")}, "This user is not allowed to sort by secret.a on class Post"},
		{"authData", "_User", query.Query{Where: eq("authData.x.id")}, "This user is not allowed to query authData.x.id on class _User"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pl, err := access.Authorize(user("u"), class(tt.class, clp), schema.Find)
			if err != nil {
				t.Fatal(err)
			}
			err = pl.CheckQuery(&tt.q)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || parse.CodeOf(err) != 119 || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			master, err := access.Authorize(access.MasterKey(), class(tt.class, clp), schema.Find)
			if err != nil {
				t.Fatal(err)
			}
			if err := master.CheckQuery(&tt.q); err != nil {
				t.Errorf("master: %v", err)
			}
		})
	}
}

// TestCheckHint: an index tells of its fields by the order of what it gives and by
// what is not in it.
func TestCheckHint(t *testing.T) {
	clp := perm(schema.Find, schema.Permission{Public: true})
	clp.Protected = map[string][]string{"*": {"secret", "to"}}
	def := class("Post", clp)
	for name, fields := range map[string][]string{"open": {"a", "createdAt"}, "hidden": {"secret"}, "behind": {"a", "secret.x"}, "pointer": {"_p_to"}, "internal": {"_auth_data_x_id"}} {
		x := schema.Index{Name: name}
		for _, f := range fields {
			x.Keys = append(x.Keys, schema.IndexKey{Field: f})
		}
		def.Indexes = append(def.Indexes, x)
	}
	keys := func(names ...string) *query.Advice {
		m := &parse.Map{}
		for _, n := range names {
			m.Set(n, 1.0)
		}
		return &query.Advice{HintKeys: m}
	}
	for _, tt := range []struct {
		advice *query.Advice
		code   parse.Code
	}{
		{nil, 0},
		{&query.Advice{Comment: "secret"}, 0},
		{&query.Advice{Hint: "_id_"}, 0},
		{&query.Advice{Hint: "open"}, 0},
		{keys("a", "_created_at"), 0},
		{keys("_id"), 0},
		{&query.Advice{Hint: "hidden"}, parse.OperationForbidden},
		{&query.Advice{Hint: "behind"}, parse.OperationForbidden},
		{&query.Advice{Hint: "pointer"}, parse.OperationForbidden},
		{&query.Advice{Hint: "internal"}, parse.OperationForbidden},
		{&query.Advice{Hint: "made behind the server"}, parse.InvalidQuery},
		{keys("secret"), parse.OperationForbidden},
		{keys("a", "_p_to"), parse.OperationForbidden},
		{keys("to"), parse.OperationForbidden},
		{keys("_hashed_password"), parse.OperationForbidden},
	} {
		pl, err := access.Authorize(user("u"), def, schema.Find)
		if err != nil {
			t.Fatal(err)
		}
		if err := pl.CheckHint(def, tt.advice); parse.CodeOf(err) != tt.code {
			t.Errorf("%+v: %v, want %d", tt.advice, err, tt.code)
		}
		master, err := access.Authorize(access.MasterKey(), def, schema.Find)
		if err != nil {
			t.Fatal(err)
		}
		if err := master.CheckHint(def, tt.advice); err != nil {
			t.Errorf("master, %+v: %v", tt.advice, err)
		}
	}
}

// drawn is a random class, its option and a caller.
func drawn(t *rapid.T, label string) (*access.Gate, *schema.Class, *access.Principal) {
	names := []string{"a", "b", "c", "owner"}
	groups := []string{"*", "authenticated", "role:r", "u", "userField:owner"}
	draw := func(l string) map[string][]string {
		m := map[string][]string{}
		for _, g := range rapid.SliceOfDistinct(rapid.SampledFrom(groups), rapid.ID[string]).Draw(t, label+l) {
			m[g] = rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(t, label+l+g)
		}
		return m
	}
	clp := perm(schema.Find, schema.Permission{Public: rapid.Bool().Draw(t, label+"public")})
	clp.ReadUserFields = []string{"owner"}
	clp.Protected = draw("own")
	p := access.Principal{UserID: rapid.SampledFrom([]string{"", "u", "v"}).Draw(t, label+"user")}
	if p.UserID != "" && rapid.Bool().Draw(t, label+"role") {
		p.Roles = []string{"r"}
	}
	c := class(rapid.SampledFrom([]string{"Post", "_User"}).Draw(t, label+"class"), clp)
	g := &access.Gate{Protected: map[string]map[string][]string{c.Name: draw("option")}, OwnerExempt: rapid.Bool().Draw(t, label+"exempt")}
	return g, c, access.New(p)
}

func drawnObject(t *rapid.T, class string) *parse.Object {
	var acl *parse.ACL
	if rapid.Bool().Draw(t, "acl") {
		acl = parse.NewACL()
		for _, s := range rapid.SliceOf(rapid.SampledFrom([]string{"*", "u", "v", "role:r"})).Draw(t, "subjects") {
			acl.Set(s, true, false)
		}
	}
	return object(class, rapid.SampledFrom([]string{"u", "v", "x"}).Draw(t, "id"), acl,
		"a", 1.0, "b", 2.0, "_h", "x", "authData", &parse.Map{}, "c", 3.0,
		"owner", ptr(rapid.SampledFrom([]string{"u", "v"}).Draw(t, "owner")))
}

// TestStripProperty compares Strip with the definition of reference 04 §5.2.
func TestStripProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, c, p := drawn(t, "")
		pl, err := g.Authorize(p, c, schema.Find)
		if err != nil {
			return
		}
		o := drawnObject(t, c.Name)
		got := pl.Strip(o)
		var hidden []string
		first := true
		meet := func(group string) {
			a, inOwn := c.CLP.Protected[group]
			b, inOption := g.Protected[c.Name][group]
			if !inOwn && !inOption {
				return
			}
			set := append(slices.Clone(a), b...)
			if first {
				hidden, first = set, false
				return
			}
			hidden = slices.DeleteFunc(hidden, func(f string) bool { return !slices.Contains(set, f) })
		}
		meet("*")
		if p.UserID != "" {
			meet("authenticated")
			meet(p.UserID)
			for _, r := range p.Roles {
				meet("role:" + r)
			}
			if o.Fields.Has("owner") && !first {
				if owner, _ := o.Pointer("owner"); owner.ObjectID == p.UserID {
					meet("userField:owner")
				}
			}
		}
		mine := c.Name == "_User" && p.UserID == o.ID && p.UserID != ""
		for k := range o.Fields.All() {
			want := !strings.HasPrefix(k, "_") && (!slices.Contains(hidden, k) || mine && g.OwnerExempt)
			if k == "authData" && c.Name == "_User" && !mine {
				want = false
			}
			if got.Fields.Has(k) != want {
				t.Fatalf("field %s shown: %v, want %v (hidden %v)", k, got.Fields.Has(k), want, hidden)
			}
		}
	})
}

// TestKeyProperty holds Key to its promise.
func TestKeyProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g1, c1, p1 := drawn(t, "1")
		g2, c2, p2 := drawn(t, "2")
		if rapid.Bool().Draw(t, "same gate") {
			g2, c2 = g1, c1
		}
		a, err := g1.Authorize(p1, c1, schema.Find)
		if err != nil {
			return
		}
		b, err := g2.Authorize(p2, c2, schema.Find)
		if err != nil || a.Key() != b.Key() {
			return
		}
		o := drawnObject(t, c1.Name)
		if a.CanRead(o) != b.CanRead(o) {
			t.Fatal("equal keys, different reach")
		}
		if diff := cmp.Diff(keysOf(a.Strip(o)), keysOf(b.Strip(o))); diff != "" {
			t.Fatal(diff)
		}
	})
}

func keysOf(o *parse.Object) []string {
	var out []string
	for k := range o.Fields.All() {
		out = append(out, k)
	}
	return out
}

func TestCanReadAllocatesNothing(t *testing.T) {
	clp := &schema.CLP{ReadUserFields: []string{"owner"}}
	pl, err := access.Authorize(user("u", "a", "b"), class("Post", clp), schema.Find)
	if err != nil {
		t.Fatal(err)
	}
	o := object("Post", "1", parse.NewACL(parse.ACLEntry{Subject: "role:b", Read: true}), "owner", ptr("u"))
	if n := testing.AllocsPerRun(100, func() {
		if !pl.CanRead(o) || pl.Strip(o) != o {
			t.Fatal("not readable")
		}
	}); n != 0 {
		t.Errorf("CanRead and Strip allocate %v times", n)
	}
}

func BenchmarkCanReadStrip(b *testing.B) {
	clp := perm(schema.Find, schema.Permission{Public: true})
	clp.Protected = map[string][]string{"*": {"secret"}}
	pl, err := access.Authorize(user("u", "a", "b"), class("Post", clp), schema.Find)
	if err != nil {
		b.Fatal(err)
	}
	o := object("Post", "1", parse.NewACL(parse.ACLEntry{Subject: "role:b", Read: true}), "owner", ptr("u"), "a", 1.0)
	b.ReportAllocs()
	for b.Loop() {
		if !pl.CanRead(o) || pl.Strip(o) != o {
			b.Fatal("not readable")
		}
	}
}
