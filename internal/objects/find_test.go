package objects_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func catPointer(id string) string {
	return `{"__type":"Pointer","className":"Cat","objectId":"` + id + `"}`
}

// library is books with authors, some of them private.
func library(t *testing.T) *fixture {
	t.Helper()
	secret := def("Cat", field("name", schema.String), field("age", schema.Number), field("pin", schema.String), pointerTo("friend", "Cat"))
	secret.CLP = &schema.CLP{
		Ops: map[schema.Operation]*schema.Permission{
			schema.Find: {Public: true}, schema.Get: {Public: true}, schema.Count: {RequiresAuthentication: true},
		},
		Protected: map[string][]string{"*": {"pin"}},
	}
	book := def("Book", field("title", schema.String), pointerTo("cat", "Cat"), field("cats", schema.Array), field("meta", schema.Object),
		&schema.Field{Name: "fans", Type: schema.Relation, TargetClass: "Cat"})
	f := setup(t, objects.Options{AllowCustomObjectID: true, MaxLimit: 50}, false, secret, book, def("Empty"))
	f.create(t, master, "Cat", `{"objectId":"c1","name":"Tom","age":1,"pin":"1","friend":`+catPointer("c2")+`}`)
	f.create(t, master, "Cat", `{"objectId":"c2","name":"Kit","age":2,"pin":"2"}`)
	f.create(t, master, "Cat", `{"objectId":"c3","name":"Hid","age":3,"pin":"3","ACL":{"u":{"read":true}}}`)
	f.create(t, master, "Book", `{"objectId":"b1","title":"A","cat":`+catPointer("c1")+`,"cats":[`+catPointer("c2")+`,`+catPointer("c3")+`,7],"meta":{"cat":`+catPointer("c2")+`},"fans":{"__op":"AddRelation","objects":[`+catPointer("c1")+`,`+catPointer("c2")+`]}}`)
	f.create(t, master, "Book", `{"objectId":"b2","title":"B","cat":`+catPointer("c3")+`}`)
	f.create(t, master, "Book", `{"objectId":"b3","title":"C","cat":`+catPointer("gone")+`}`)
	f.create(t, master, "Book", `{"objectId":"b4","title":"D","ACL":{"u":{"read":true}},"fans":{"__op":"AddRelation","objects":[`+catPointer("c3")+`]}}`)
	f.mem.statements = 0
	return f
}

func ids(list []*parse.Object) string {
	var out []string
	for _, o := range list {
		out = append(out, o.ID)
	}
	return strings.Join(out, " ")
}

func TestFind(t *testing.T) {
	relatedTo := func(id, key string) string {
		return `{"where":{"$relatedTo":{"object":{"__type":"Pointer","className":"Book","objectId":"` + id + `"},"key":"` + key + `"}}}`
	}
	tests := []struct {
		name, class, params string
		p                   *access.Principal
		want                string
		code                parse.Code
	}{
		{"all that may be seen", "Cat", `{}`, access.Anonymous(), "c1 c2", 0},
		{"by user", "Cat", `{}`, user("u"), "c1 c2 c3", 0},
		{"master", "Cat", `{}`, master, "c1 c2 c3", 0},
		{"order and limit", "Cat", `{"order":"-age","limit":2}`, user("u"), "c3 c2", 0},
		{"skip", "Cat", `{"order":"age","skip":1}`, user("u"), "c2 c3", 0},
		{"order by an unknown field", "Cat", `{"order":"nope,-age"}`, user("u"), "c3 c2 c1", 0},
		{"no rows", "Cat", `{"limit":0}`, user("u"), "", 0},
		{"protected field", "Cat", `{"where":{"pin":"1"}}`, user("u"), "", 119},
		{"protected order", "Cat", `{"order":"pin"}`, user("u"), "", 119},
		{"protected field and master", "Cat", `{"where":{"pin":"1"}}`, master, "c1", 0},
		{"unknown class", "Nope", `{}`, user("u"), "", 119},
		{"unknown class and master", "Nope", `{}`, master, "", 0},
		{"volatile class", "_JobStatus", `{}`, user("u"), "", 119},
		{"installations", "_Installation", `{}`, user("u"), "", 119},
		{"inQuery", "Book", `{"where":{"cat":{"$inQuery":{"className":"Cat","where":{"age":{"$gt":0}}}}}}`, access.Anonymous(), "b1", 0},
		{"inQuery sees as the caller", "Book", `{"where":{"cat":{"$inQuery":{"className":"Cat","where":{"age":{"$gt":0}}}}}}`, user("u"), "b1 b2", 0},
		{"notInQuery", "Book", `{"where":{"cat":{"$notInQuery":{"className":"Cat","where":{"name":"Tom"}}}}}`, user("u"), "b2 b3 b4", 0},
		{"inQuery on a protected field", "Book", `{"where":{"cat":{"$inQuery":{"className":"Cat","where":{"pin":"1"}}}}}`, user("u"), "", 119},
		{"inQuery of a volatile class", "Book", `{"where":{"cat":{"$inQuery":{"className":"_Hooks","where":{}}}}}`, user("u"), "", 119},
		{"select", "Cat", `{"where":{"age":{"$select":{"query":{"className":"Cat","where":{"name":"Kit"}},"key":"age"}}}}`, user("u"), "c2", 0},
		{"select of a protected field", "Cat", `{"where":{"name":{"$select":{"query":{"className":"Cat","where":{}},"key":"pin"}}}}`, user("u"), "", 119},
		{"dontSelect", "Cat", `{"where":{"age":{"$dontSelect":{"query":{"className":"Cat","where":{"name":"Kit"}},"key":"age"}}}}`, user("u"), "c1 c3", 0},
		{"relatedTo", "Cat", relatedTo("b1", "fans"), access.Anonymous(), "c1 c2", 0},
		{"relatedTo of a hidden owner", "Cat", relatedTo("b4", "fans"), user("v"), "", 0},
		{"relatedTo of an own owner", "Cat", relatedTo("b4", "fans"), user("u"), "c3", 0},
		{"relatedTo without a relation", "Cat", relatedTo("b1", "title"), user("u"), "", 0},
		{"owners", "Book", `{"where":{"fans":` + catPointer("c2") + `}}`, user("u"), "b1", 0},
		{"not owners", "Book", `{"where":{"fans":{"$ne":` + catPointer("c2") + `}}}`, user("u"), "b2 b3 b4", 0},
		{"owners by inQuery", "Book", `{"where":{"fans":{"$inQuery":{"className":"Cat","where":{"age":3}}}}}`, user("u"), "b4", 0},
		{"owners by notInQuery", "Book", `{"where":{"fans":{"$notInQuery":{"className":"Cat","where":{"age":3}}}}}`, user("u"), "b1 b2 b3", 0},
		{"relation exists", "Book", `{"where":{"fans":{"$exists":true}}}`, user("u"), "", 0},
		{"in or", "Book", `{"where":{"$or":[{"title":"D"},{"cat":{"$inQuery":{"className":"Cat","where":{"name":"Tom"}}}}]}}`, user("u"), "b1 b4", 0},
		{"relative time", "Cat", `{"where":{"createdAt":{"$lt":{"$relativeTime":"in 1 hr"}},"objectId":"c1"}}`, user("u"), "c1", 0},
		{"relative time, no date", "Cat", `{"where":{"$or":[{"name":{"$lt":{"$relativeTime":"now"}}},{"age":1}]}}`, user("u"), "", 107},
		{"redirect", "Book", `{"redirectClassNameForKey":"fans"}`, user("v"), "c1 c2", 0},
		{"count needs its own permission", "Cat", `{"count":1}`, access.Anonymous(), "", 101},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := library(t).find(t, tt.p, tt.class, tt.params)
			wantCode(t, err, tt.code)
			if diff := cmp.Diff(tt.want, ids(list)); diff != "" {
				t.Error(diff)
			}
			for _, o := range list {
				if o.Fields.Has("pin") && !tt.p.Bypass() {
					t.Error("a protected field is shown")
				}
			}
		})
	}
}

func TestFindNear(t *testing.T) {
	hidden := def("Shop", field("at", schema.GeoPoint), field("safe", schema.Polygon))
	hidden.CLP = &schema.CLP{
		Ops:       map[schema.Operation]*schema.Permission{schema.Find: {Public: true}},
		Protected: map[string][]string{"*": {"safe"}},
	}
	f := setup(t, objects.Options{AllowCustomObjectID: true}, false, hidden)
	for id, lng := range map[string]string{"far": "9", "here": "1", "near": "2"} {
		p := `{"__type":"GeoPoint","latitude":1,"longitude":` + lng + `}`
		f.create(t, master, "Shop", `{"objectId":"`+id+`","at":`+p+`}`)
	}
	near := func(key string) string {
		return `{"` + key + `":{"$nearSphere":{"__type":"GeoPoint","latitude":1,"longitude":1}}}`
	}
	for _, tt := range []struct {
		params, want string
		code         parse.Code
	}{
		{`{"where":` + near("at") + `}`, "here near far", 0},
		{`{"where":` + near("at") + `,"order":"objectId"}`, "far here near", 0},
		{`{"where":` + near("at") + `,"skip":1,"limit":1,"keys":"objectId"}`, "near", 0},
		{`{"where":` + near("nope") + `}`, "", 0},
		{`{"where":` + near("safe") + `}`, "", 119},
		{`{"where":{"safe":{"$geoIntersects":{"$point":{"__type":"GeoPoint","latitude":1,"longitude":1}}}}}`, "", 119},
	} {
		list, err := f.find(t, user("u"), "Shop", tt.params)
		wantCode(t, err, tt.code)
		if diff := cmp.Diff(tt.want, ids(list)); diff != "" {
			t.Errorf("%s: %s", tt.params, diff)
		}
	}
}

func TestCountAndRedirect(t *testing.T) {
	f := library(t)
	found, err := f.Find(t.Context(), user("u"), "Cat", &query.Query{Count: true, Limit: 1, Where: &query.Compare{Path: "age", Op: query.Gt, Value: 1.0}})
	if err != nil || found.Count != 2 || !found.HasCount || len(found.Objects) != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
	found, err = f.Find(t.Context(), user("u"), "Book", &query.Query{Redirect: "fans", Limit: query.UnsetLimit})
	if err != nil || found.ClassName != "Cat" {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestIncludeAndKeys(t *testing.T) {
	const tom = `{"__type":"Object","className":"Cat","objectId":"c1","name":"Tom","age":1,"friend":` // continued
	const kit = `{"__type":"Object","className":"Cat","objectId":"c2","name":"Kit","age":2}`
	const fans = `"fans":{"__type":"Relation","className":"Cat"}`
	c2 := catPointer("c2")
	tests := []struct {
		name, params string
		p            *access.Principal
		want         string
		statements   int
	}{
		{"one level", `{"where":{"objectId":"b1"},"include":"cat","excludeKeys":"cats,meta"}`, access.Anonymous(), `{"title":"A","cat":` + tom + c2 + `},` + fans + `}`, 2},
		{"two levels", `{"where":{"objectId":"b1"},"include":"cat.friend","excludeKeys":"cats,meta"}`, access.Anonymous(), `{"title":"A","cat":` + tom + kit + `},` + fans + `}`, 3},
		{"array, hidden left out", `{"where":{"objectId":"b1"},"include":"cats","keys":"cats"}`, access.Anonymous(), `{"cats":[` + kit + `,7],` + fans + `}`, 2},
		{"inside an object", `{"where":{"objectId":"b1"},"include":"meta.cat","keys":"meta"}`, access.Anonymous(), `{"meta":{"cat":` + kit + `},` + fans + `}`, 2},
		{"one query for all of a class", `{"where":{"objectId":"b1"},"include":"cats,meta.cat","keys":"cats,meta"}`, access.Anonymous(), `{"cats":[` + kit + `,7],"meta":{"cat":` + kit + `},` + fans + `}`, 2},
		{"hidden", `{"where":{"objectId":"b2"},"include":"cat"}`, access.Anonymous(), `{"title":"B",` + fans + `}`, 2},
		{"missing", `{"where":{"objectId":"b3"},"include":"cat"}`, master, `{"title":"C",` + fans + `}`, 2},
		{"dotted key", `{"where":{"objectId":"b1"},"keys":"cat.name"}`, access.Anonymous(), `{"cat":{"__type":"Object","className":"Cat","objectId":"c1","name":"Tom"},` + fans + `}`, 2},
		{"dotted exclusion", `{"where":{"objectId":"b1"},"keys":"cat","include":"cat","excludeKeys":"cat.age,cat.friend"}`, access.Anonymous(), `{"cat":{"__type":"Object","className":"Cat","objectId":"c1","name":"Tom"},` + fans + `}`, 2},
		{"keys", `{"where":{"objectId":"b1"},"keys":"title"}`, access.Anonymous(), `{"title":"A",` + fans + `}`, 1},
		{"no include of a number", `{"where":{"objectId":"b1"},"keys":"title","include":"title,nope.x"}`, access.Anonymous(), `{"title":"A",` + fans + `}`, 1},
		{"includeAll", `{"where":{"objectId":"b2"},"includeAll":true,"keys":"title"}`, user("u"), `{"title":"B","cat":{"__type":"Object","className":"Cat","objectId":"c3","name":"Hid","age":3},` + fans + `}`, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := library(t)
			list, err := f.find(t, tt.p, "Book", tt.params)
			if err != nil || len(list) != 1 {
				t.Fatal(len(list), err)
			}
			got, err := parse.DecodeMap(list[0].AppendFields(nil), parse.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			want := body(t, tt.want)
			if !parse.Equal(plain(got), plain(want)) {
				t.Errorf("got  %s\nwant %s", parse.AppendJSON(nil, plain(got)), parse.AppendJSON(nil, plain(want)))
			}
			if f.mem.statements != tt.statements {
				t.Errorf("%d statements, want %d", f.mem.statements, tt.statements)
			}
		})
	}
}

// plain is a value with included objects as maps, without what differs in each run.
func plain(v parse.Value) parse.Value {
	switch v := v.(type) {
	case *parse.Object:
		m := parse.NewMap(parse.MapField{Key: "id", Value: v.ID}, parse.MapField{Key: "class", Value: v.ClassName})
		for k, e := range v.Fields.All() {
			m.Set(k, plain(e))
		}
		return m
	case *parse.Map:
		m := &parse.Map{}
		for k, e := range v.All() {
			m.Set(k, plain(e))
		}
		return m
	case parse.Array:
		out := make(parse.Array, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	}
	return v
}

func TestGetAndFindHooks(t *testing.T) {
	f := library(t)
	_, err := f.Get(t.Context(), access.Anonymous(), "Cat", "c3", nil)
	wantCode(t, err, 101)
	_, err = f.Get(t.Context(), master, "Nope", "c3", nil)
	wantCode(t, err, 101)
	f.app.BeforeFind("Cat", func(_ context.Context, r *cloudcode.FindRequest) error {
		r.Query.Where = query.AllOf(r.Query.Where, &query.Compare{Path: "age", Op: query.Gt, Value: 1.0})
		return nil
	})
	f.app.AfterFind("Cat", func(_ context.Context, r *cloudcode.FoundRequest) error {
		for i, o := range r.Objects {
			o = o.Clone()
			o.Set("seen", true)
			r.Objects[i] = o
		}
		return nil
	})
	list, err := f.find(t, access.Anonymous(), "Cat", `{}`)
	if err != nil || ids(list) != "c2" || !list[0].Fields.Has("seen") {
		t.Errorf("%s, %v", ids(list), err)
	}
	_, err = f.Get(t.Context(), user("u"), "Cat", "c1", nil)
	wantCode(t, err, 101)
}

// ownOnly is a rule like that of sessions.
type ownOnly struct{ objects.NopRule }

func (ownOnly) Authorize(_ context.Context, p *access.Principal, _ schema.Operation) error {
	if p.UserID == "" {
		return parse.Errorf(parse.InvalidSessionToken, "Invalid session token")
	}
	return nil
}

func (ownOnly) Constrain(p *access.Principal, where query.Node) query.Node {
	return query.AllOf(where, query.Equal("owner", p.UserID))
}

func (ownOnly) BeforeWrite(_ context.Context, w *objects.WriteState) error {
	if !w.Update {
		w.Body.Set("owner", w.Principal.UserID)
		w.Body.Set("_hash", "secret")
	}
	return nil
}

func (ownOnly) AfterWrite(_ context.Context, _ *objects.WriteState, saved *objects.Saved) error {
	saved.Response.Set("extra", true)
	return nil
}

func (ownOnly) MapDuplicate(*storage.DuplicateError) error {
	return parse.Errorf(parse.UsernameTaken, "taken")
}

func (ownOnly) Present(_ *access.Principal, o *parse.Object) *parse.Object {
	o = o.Clone()
	o.Set("shown", true)
	return o
}

func TestRule(t *testing.T) {
	f := setup(t, objects.Options{AllowCustomObjectID: true}, false, def("Own", field("owner", schema.String), field("n", schema.Number)))
	f.SetRule("Own", ownOnly{})
	_, err := f.Create(t.Context(), access.Anonymous(), &objects.Write{Class: "Own", Body: &parse.Map{}})
	wantCode(t, err, 209)
	saved := f.create(t, user("u"), "Own", `{"objectId":"1"}`)
	if v, _ := saved.Response.Get("extra"); v != true || saved.Object.String("_hash") != "secret" || saved.Response.Has("_hash") {
		t.Errorf("saved %s", parse.AppendJSON(nil, saved.Response))
	}
	_, err = f.Create(t.Context(), user("u"), &objects.Write{Class: "Own", Body: body(t, `{"objectId":"1"}`)})
	wantCode(t, err, 202)
	o, err := f.Get(t.Context(), user("u"), "Own", "1", nil)
	if err != nil || !o.Fields.Has("shown") || o.Fields.Has("_hash") {
		t.Errorf("%v, %v", o, err)
	}
	_, err = f.Get(t.Context(), user("v"), "Own", "1", nil)
	wantCode(t, err, 101)
	_, err = f.update(t, user("v"), "Own", "1", `{"n":1}`)
	wantCode(t, err, 101)
	wantCode(t, f.Delete(t.Context(), user("v"), "Own", "1"), 101)
}

func TestStatements(t *testing.T) {
	tests := []struct {
		name string
		hook bool
		do   func(f *fixture, id string) error
		want int
	}{
		{"create", false, func(f *fixture, _ string) error { f.create(t, user("u"), "Game", `{"name":"x"}`); return nil }, 1},
		{"get", false, func(f *fixture, id string) error {
			_, err := f.Get(t.Context(), user("u"), "Game", id, nil)
			return err
		}, 1},
		{"update", false, func(f *fixture, id string) error {
			_, err := f.update(t, user("u"), "Game", id, `{"score":1}`)
			return err
		}, 1},
		{"update with a hook", true, func(f *fixture, id string) error {
			_, err := f.update(t, user("u"), "Game", id, `{"score":1}`)
			return err
		}, 2},
		{"delete", false, func(f *fixture, id string) error { return f.Delete(t.Context(), user("u"), "Game", id) }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := setup(t, objects.Options{}, false, gameClass())
			if tt.hook {
				f.app.BeforeSave("Game", func(context.Context, *cloudcode.SaveRequest) error { return nil })
			}
			id := f.create(t, user("u"), "Game", `{"name":"a"}`).Object.ID
			f.mem.statements = 0
			if err := tt.do(f, id); err != nil {
				t.Fatal(err)
			}
			if f.mem.statements != tt.want {
				t.Errorf("%d statements, want %d", f.mem.statements, tt.want)
			}
		})
	}
}

// stores are what the benchmarks run on.
func stores(b *testing.B, run func(b *testing.B, f *fixture, list []string)) {
	classes := []*schema.Class{gameClass(), def("Cat", field("name", schema.String))}
	for name, open := range map[string]func(b *testing.B) *fixture{
		"memory": func(b *testing.B) *fixture { return setup(b, objects.Options{}, false, classes...) },
		"sqlite": func(b *testing.B) *fixture { return onSQLite(b, classes...) },
	} {
		b.Run(name, func(b *testing.B) {
			f := open(b)
			var list []string
			for i := range 100 {
				c := f.create(b, master, "Cat", `{"name":"c`+strconv.Itoa(i)+`"}`).Object.ID
				text := `{"name":"a","score":` + strconv.Itoa(i) + `,"cat":` + catPointer(c) + `,"ACL":{"u":{"read":true,"write":true}}}`
				list = append(list, f.create(b, user("u"), "Game", text).Object.ID)
			}
			b.ReportAllocs()
			run(b, f, list)
		})
	}
}

func BenchmarkCreate(b *testing.B) {
	stores(b, func(b *testing.B, f *fixture, _ []string) {
		w := &objects.Write{Class: "Game", Body: body(b, `{"name":"a","score":1,"tags":["x","y"]}`)}
		p := user("u")
		for b.Loop() {
			if _, err := f.Create(b.Context(), p, w); err != nil {
				b.Fatal(err)
			}
			f.heard.changes = nil
			if f.mem != nil {
				f.mem.classes["Game"] = f.mem.classes["Game"][:100]
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	stores(b, func(b *testing.B, f *fixture, list []string) {
		p := user("u")
		for b.Loop() {
			if _, err := f.Get(b.Context(), p, "Game", list[0], nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFind100Include(b *testing.B) {
	stores(b, func(b *testing.B, f *fixture, _ []string) {
		p := user("u")
		q := &query.Query{Limit: 100, Include: []string{"cat"}}
		var out []byte
		for b.Loop() {
			found, err := f.Find(b.Context(), p, "Game", q)
			if err != nil || len(found.Objects) != 100 {
				b.Fatal(err)
			}
			out = out[:0]
			for _, o := range found.Objects {
				out = o.AppendJSON(out)
			}
		}
	})
}
