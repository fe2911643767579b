package cloudcode_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

type address struct {
	Street string
	Zip    int `parse:"zipCode"`
}

type post struct {
	_       struct{} `parse:"class=BlogPost"`
	ID      string
	Title   string
	Stars   int
	Score   float64
	Draft   bool
	At      time.Time
	Author  *parse.Pointer
	Tags    []string
	Address address
	Count   map[string]int
	Any     parse.Value
	Raw     []byte
	ACL     *parse.ACL
	URL     string
	Note    *string
	Hidden  string `parse:"-"`
	private int
}

type named struct{ Name string }

func (*named) ParseClass() string { return "Named" }

func object(t *testing.T, text string) *parse.Object {
	t.Helper()
	m, err := parse.DecodeMap([]byte(text), parse.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	o := &parse.Object{ClassName: "BlogPost", ID: "p1"}
	for k, v := range m.All() {
		o.Set(k, v)
	}
	return o
}

const fullPost = `{"title":"t","stars":3,"score":1.5,"draft":true,"at":{"__type":"Date","iso":"2026-01-02T03:04:05.678Z"},` +
	`"author":{"__type":"Pointer","className":"_User","objectId":"u"},"tags":["a","b"],"address":{"street":"s","zipCode":1},` +
	`"count":{"x":1},"any":[1,null],"raw":{"__type":"Bytes","base64":"AAE="},"url":"u","note":"n","other":7}`

func TestTypedSave(t *testing.T) {
	for name, tt := range map[string]struct {
		stored string
		change func(*post)
		want   string
		code   parse.Code
		text   string
	}{
		"nothing changes":      {fullPost, func(*post) {}, fullPost, 0, ""},
		"absent fields stay":   {`{"other":1,"title":null}`, func(*post) {}, `{"other":1,"title":null}`, 0, ""},
		"set, unset and order": {`{"title":"t","note":"n","stars":1}`, func(p *post) { p.Title, p.Note, p.Score = "T", nil, 2.5 }, `{"title":"T","stars":1,"score":2.5}`, 0, ""},
		"to zero":              {`{"stars":3}`, func(p *post) { p.Stars = 0 }, `{"stars":0}`, 0, ""},
		"inside":               {`{"address":{"street":"s","zipCode":1}}`, func(p *post) { p.Address.Zip++ }, `{"address":{"street":"s","zipCode":2}}`, 0, ""},
		"emptied":              {`{"at":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"},"author":{"__type":"Pointer","className":"_User","objectId":"u"},"tags":["a"],"raw":{"__type":"Bytes","base64":"AAE="}}`, func(p *post) { p.At, p.Author, p.Tags, p.Raw = time.Time{}, &parse.Pointer{}, nil, nil }, `{}`, 0, ""},
		"lists":                {`{"tags":["a"]}`, func(p *post) { p.Tags = append(p.Tags, "b") }, `{"tags":["a","b"]}`, 0, ""},
		"a wrong type":         {`{"stars":"many"}`, func(*post) {}, "", parse.IncorrectType, "schema mismatch for BlogPost.stars; expected whole Number but got String"},
		"no whole number":      {`{"stars":1.5}`, func(*post) {}, "", parse.IncorrectType, "schema mismatch for BlogPost.stars; expected whole Number but got Number"},
		"a wrong type inside":  {`{"tags":[1]}`, func(*post) {}, "", parse.IncorrectType, "schema mismatch for BlogPost.tags; expected Array but got Array"},
	} {
		t.Run(name, func(t *testing.T) {
			app := cloudcode.New()
			cloudcode.BeforeSave(app, func(_ context.Context, r *cloudcode.Save[post]) error {
				if r.Object.ID != "p1" || r.Original() != nil || !r.IsNew() {
					t.Errorf("%+v", r)
				}
				tt.change(r.Object)
				return nil
			})
			o := object(t, tt.stored)
			err := app.RunBeforeSave(t.Context(), &cloudcode.SaveRequest{Class: "BlogPost", Object: o})
			if tt.code != 0 {
				if parse.CodeOf(err) != tt.code || !strings.HasSuffix(err.Error(), tt.text) {
					t.Fatalf("got %v, want %d %s", err, tt.code, tt.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(parse.AppendJSON(nil, &o.Fields))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTypedDecode(t *testing.T) {
	app := cloudcode.New()
	acl := parse.NewACL(parse.ACLEntry{Subject: "u", Read: true})
	ran := 0
	cloudcode.AfterSave(app, func(_ context.Context, r *cloudcode.Save[post]) error {
		ran++
		note := "n"
		want := &post{
			ID: "p1", Title: "t", Stars: 3, Score: 1.5, Draft: true, At: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC),
			Author: &parse.Pointer{ClassName: "_User", ObjectID: "u"}, Tags: []string{"a", "b"}, Address: address{"s", 1},
			Count: map[string]int{"x": 1}, Any: parse.Array{1.0, nil}, Raw: []byte{0, 1}, ACL: acl, URL: "u", Note: &note,
		}
		was := r.Original()
		if again := r.Original(); r.Object.private != 0 || was == nil || was != again || was.Title != "old" {
			t.Errorf("original %+v, then %+v", was, again)
		}
		if diff := cmp.Diff(want, r.Object, cmp.AllowUnexported(post{}, parse.ACL{})); diff != "" {
			t.Error(diff)
		}
		r.Object.ACL.Set("w", true, true)
		return nil
	})
	o := object(t, fullPost)
	o.ACL = acl
	// What is stored may be older than the struct.
	before := object(t, `{"title":"old","stars":"none"}`)
	if err := app.RunAfterSave(t.Context(), &cloudcode.SaveRequest{Class: "BlogPost", Object: o, Original: before}); err != nil || ran != 1 {
		t.Fatal(ran, err)
	}
}

func TestTypedOthers(t *testing.T) {
	app := cloudcode.New()
	var ran []string
	cloudcode.BeforeDelete(app, func(_ context.Context, r *cloudcode.Delete[named]) error {
		ran = append(ran, "before "+r.Object.Name)
		return nil
	})
	cloudcode.AfterDelete(app, func(_ context.Context, r *cloudcode.Delete[named]) error {
		ran = append(ran, "after "+r.Object.Name)
		return nil
	})
	cloudcode.BeforeFind[named](app, func(context.Context, *cloudcode.FindRequest) error {
		ran = append(ran, "find")
		return nil
	})
	cloudcode.AfterFind(app, func(_ context.Context, r *cloudcode.Found[named]) error {
		ran = append(ran, "found "+r.Objects[0].Name)
		return nil
	})
	o := &parse.Object{ClassName: "Named"}
	o.Set("name", "n")
	for _, err := range []error{
		app.RunBeforeDelete(t.Context(), &cloudcode.DeleteRequest{Class: "Named", Object: o}),
		app.RunAfterDelete(t.Context(), &cloudcode.DeleteRequest{Class: "Named", Object: o}),
		app.RunBeforeFind(t.Context(), &cloudcode.FindRequest{Class: "Named"}),
		app.RunAfterFind(t.Context(), &cloudcode.FoundRequest{Class: "Named", Objects: []*parse.Object{o}}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"before n", "after n", "find", "found n"}, ran); diff != "" {
		t.Error(diff)
	}
}

func TestTypedEvent(t *testing.T) {
	app := cloudcode.New()
	cloudcode.AfterEvent(app, func(_ context.Context, r *cloudcode.Event[named]) error {
		switch r.Object.Name {
		case "fail":
			return cloudcode.Err(142, "no")
		case "replace":
			r.EventRequest.Object = &parse.Object{ClassName: "Named", ID: "other"}
		}
		r.Object.Name += "!"
		if was := r.Original(); was != nil {
			was.Name += "?"
		}
		return nil
	})
	if err := app.Err(); err != nil || !app.HasAfterEvent("Named") || app.HasAfterEvent("Other") {
		t.Fatal(err)
	}
	at := func(name parse.Value) *parse.Object {
		o := &parse.Object{ClassName: "Named"}
		o.Set("name", name)
		return o
	}
	for name, tt := range map[string]struct {
		object, original *parse.Object
		want             [2]string
		code             parse.Code
	}{
		"both":              {at("a"), at("b"), [2]string{"a!", "b?"}, 0},
		"no original":       {at("a"), nil, [2]string{"a!", ""}, 0},
		"another object":    {at("replace"), at("b"), [2]string{"", "b?"}, 0},
		"an error":          {at("fail"), nil, [2]string{"fail", ""}, 142},
		"a wrong type":      {at(1.0), nil, [2]string{}, parse.IncorrectType},
		"a wrong type once": {at("a"), at(1.0), [2]string{"a", ""}, parse.IncorrectType},
	} {
		r := &cloudcode.EventRequest{Class: "Named", Object: tt.object, Original: tt.original, SendEvent: true}
		if err := app.RunAfterEvent(t.Context(), r); parse.CodeOf(err) != tt.code {
			t.Errorf("%s: %v", name, err)
		}
		got := [2]string{r.Object.String("name"), ""}
		if r.Original != nil {
			got[1] = r.Original.String("name")
		}
		if got != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	var none *cloudcode.App
	if err := none.RunAfterEvent(t.Context(), &cloudcode.EventRequest{Class: "Named"}); err != nil || none.HasAfterEvent("Named") {
		t.Error(err)
	}
}

func TestTypedFunctions(t *testing.T) {
	type sum struct{ A, B int }
	type total struct {
		Sum int
		Of  []int
	}
	app := cloudcode.New()
	cloudcode.Func(app, "add", func(_ context.Context, r *cloudcode.Call[sum]) (total, error) {
		return total{r.Params.A + r.Params.B, []int{r.Params.A, r.Params.B}}, nil
	})
	cloudcode.Func(app, "nothing", func(context.Context, *cloudcode.Call[struct{}]) (cloudcode.None, error) {
		return cloudcode.None{}, nil
	})
	call := func(name, params string) (parse.Value, error) {
		m, err := parse.DecodeMap([]byte(params), parse.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		return app.RunFunction(t.Context(), &cloudcode.FunctionRequest{Name: name, Params: m})
	}
	v, err := call("add", `{"a":1,"b":2}`)
	if got := string(parse.AppendJSON(nil, v)); err != nil || got != `{"sum":3,"of":[1,2]}` {
		t.Error(got, err)
	}
	if v, err := call("nothing", `{}`); err != nil || v != cloudcode.NoResult {
		t.Error(v, err)
	}
	if _, err := call("add", `{"a":"x"}`); parse.CodeOf(err) != parse.ValidationError {
		t.Error(err)
	}
}

// Mistakes in registrations are told all at once, with class and rule.
func TestRegistrationErrors(t *testing.T) {
	type bad struct {
		Channel chan int
		Keys    map[int]string
	}
	app := cloudcode.New()
	no := func(context.Context, *cloudcode.SaveRequest) error { return nil }
	app.BeforeSave("_Session", no)
	app.BeforeSave("_PushStatus", no)
	app.AfterSave("_PushStatus", no)
	app.BeforeSave("no class", no)
	app.BeforeSave("Post", nil)
	app.BeforeSave("Late", no, cloudcode.Timeout(-5))
	app.Function("", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return nil, nil })
	app.Function("f", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return nil, nil },
		cloudcode.Validator{Fields: []cloudcode.Field{{Name: "x", Type: "Strang"}}, RateLimit: &cloudcode.RateLimit{}})
	cloudcode.BeforeSave(app, func(context.Context, *cloudcode.Save[bad]) error { return nil })
	cloudcode.BeforeSave[post](app, nil)
	want := []string{
		`beforeSave of class "_Session": Only the afterLogout trigger is allowed for the _Session class.`,
		`beforeSave of class "_PushStatus": Only afterSave is allowed on _PushStatus`,
		`beforeSave of class "no class": "no class" is no name of a class`,
		`beforeSave of class "Post": the function is nil`,
		`beforeSave of class "Late": a time limit cannot be negative`,
		`function "": the name is empty`,
		`function "f": field x of the validator has the unknown type "Strang"`,
		`a rate limit needs a count and a window above 0`,
		`beforeSave of class "bad": field Channel of cloudcode_test.bad: the type chan int has no counterpart in Parse`,
		`field Keys of cloudcode_test.bad: the keys of map[int]string are no strings`,
		`beforeSave of class "BlogPost": the function is nil`,
	}
	if diff := cmp.Diff(want, strings.Split(app.Err().Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	if app.HasBeforeSave("Post") || app.HasFunction("f") || cloudcode.New().Err() != nil {
		t.Error("a wrong registration took effect")
	}
}

func BenchmarkTypedSave(b *testing.B) {
	app := cloudcode.New()
	type small struct {
		Title, Text, Author string
		Stars, Views        int
		Draft               bool
		Tags                []string
	}
	cloudcode.BeforeSave(app, func(context.Context, *cloudcode.Save[small]) error { return nil })
	o := &parse.Object{ClassName: "small"}
	o.Set("title", "t")
	o.Set("text", "a longer text")
	o.Set("author", "ann")
	o.Set("stars", float64(3))
	o.Set("views", float64(1000))
	o.Set("draft", true)
	o.Set("tags", parse.Array{"a", "b"})
	for name, original := range map[string]*parse.Object{"create": nil, "update": o.Clone()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := app.RunBeforeSave(b.Context(), &cloudcode.SaveRequest{Class: "small", Object: o, Original: original}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
