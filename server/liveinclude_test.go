package server_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/server/config"
)

// startShelf starts a server with books whose author is of a class with a
// protected field, and whose cellar only members of a role may see.
func startShelf(t *testing.T, db scenario.Database, cloud func(*cloudcode.App)) *scenario.Server {
	t.Helper()
	s := scenario.Start(t, db.URI(t), func(c *config.Config) {
		c.StartLiveQueryServer = true
		c.LiveQuery.ClassNames = []string{"Book"}
		c.RequestComplexity = json.RawMessage(`{"includeCount":3,"includeDepth":2}`)
	}, cloud)
	do := func(st scenario.Step) { t.Helper(); s.Do(t, &st) }
	do(signUp("ann"))
	do(signUp("bob"))
	all := `"find":{"*":true},"get":{"*":true},"create":{"*":true},"update":{"*":true},"delete":{"*":true}`
	for _, class := range []string{
		`{"className":"Author","fields":{"name":{"type":"String"},"phone":{"type":"String"},"user":{"type":"Pointer","targetClass":"_User"}},"classLevelPermissions":{` + all + `,"protectedFields":{"*":["phone"]}}}`,
		`{"className":"Cellar","fields":{"n":{"type":"Number"}},"classLevelPermissions":{"get":{"requiresAuthentication":true},"find":{"requiresAuthentication":true},"create":{}}}`,
		`{"className":"Book","fields":{"title":{"type":"String"},"author":{"type":"Pointer","targetClass":"Author"},"cellar":{"type":"Pointer","targetClass":"Cellar"},"more":{"type":"Array"}},"classLevelPermissions":{` + all + `}}`,
	} {
		do(scenario.Step{Name: "class", Method: "POST", Path: "/schemas/" + strings.Split(class, `"`)[3], As: "master", Body: class})
	}
	do(scenario.Step{
		Name: "author", Method: "POST", Path: "/classes/Author", As: "master", Status: 201, Save: map[string]string{"objectId": "open"},
		Body: `{"name":"Jane","phone":"123","user":{"__type":"Pointer","className":"_User","objectId":"{{ann.id}}"}}`,
	})
	do(scenario.Step{
		Name: "author of ann", Method: "POST", Path: "/classes/Author", As: "master", Status: 201, Save: map[string]string{"objectId": "anns"},
		Body: `{"name":"Anon","ACL":{"{{ann.id}}":{"read":true}}}`,
	})
	do(scenario.Step{Name: "cellar", Method: "POST", Path: "/classes/Cellar", As: "master", Status: 201, Save: map[string]string{"objectId": "cellar"}, Body: `{"n":1}`})
	return s
}

// connectAs opens a connection whose subscriptions are those of a session.
func connectAs(t *testing.T, s *scenario.Server, token string) *live {
	t.Helper()
	l := connect(t, s)
	l.token = token
	return l
}

func pointerTo(class, id string) string {
	return `{"__type":"Pointer","className":"` + class + `","objectId":"` + id + `"}`
}

// TestLiveInclude: events carry what a find with the same include would give
// their reader, as it is when they are sent.
func TestLiveInclude(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := startShelf(t, db, nil)
		ann, bob, nobody := connectAs(t, s, s.Var("ann.token")), connectAs(t, s, s.Var("bob.token")), connectAs(t, s, "")
		for _, l := range []*live{ann, bob, nobody} {
			if f := l.subscribe(1, "Book", `"where":{},"include":["author.user","more"]`); f.Op != "subscribed" {
				t.Fatalf("subscribe: %+v", f)
			}
		}
		s.Do(t, &scenario.Step{
			Name: "book", Method: "POST", Path: "/classes/Book", As: "ann", Status: 201, Save: map[string]string{"objectId": "book"},
			Body: `{"title":"a","author":` + pointerTo("Author", "{{open}}") + `,"more":[` + pointerTo("Author", "{{anns}}") + `,1]}`,
		})
		for name, l := range map[string]*live{"ann": ann, "bob": bob, "nobody": nobody} {
			f := l.next()
			author, _ := f.Object["author"].(map[string]any)
			user, _ := author["user"].(map[string]any)
			more, _ := f.Object["more"].([]any)
			if f.Op != "create" || author["__type"] != "Object" || author["name"] != "Jane" || author["phone"] != nil {
				t.Errorf("%s: %+v", name, f)
			}
			// A user is seen by himself alone.
			if (user["username"] == "ann") != (name == "ann") || user["authData"] != nil || user["sessionToken"] != nil {
				t.Errorf("%s: the user of the author is %v", name, user)
			}
			if want := map[string]int{"ann": 2, "bob": 1, "nobody": 1}[name]; len(more) != want {
				t.Errorf("%s: more is %v", name, more)
			}
		}
		// The change of what is included makes no event; the next one shows it.
		s.Do(t, &scenario.Step{Name: "rename", Method: "PUT", Path: "/classes/Author/{{open}}", As: "master", Body: `{"name":"Janet"}`})
		s.Do(t, &scenario.Step{Name: "update", Method: "PUT", Path: "/classes/Book/{{book}}", As: "ann", Body: `{"title":"b"}`})
		for _, l := range []*live{ann, bob, nobody} {
			f := l.next()
			object, _ := f.Object["author"].(map[string]any)
			original, _ := f.Original["author"].(map[string]any)
			if f.Op != "update" || f.Original["title"] != "a" || object["name"] != "Janet" || original["name"] != "Janet" {
				t.Errorf("%+v", f)
			}
		}
		// find of the subscription includes as well.
		bob.send(`{"op":"query","requestId":1}`)
		if f := bob.raw(); !strings.Contains(f, `"name":"Janet"`) || strings.Contains(f, "123") {
			t.Error(f)
		}
		// An answer is no larger than what may wait for a client.
		s.Do(t, &scenario.Step{Method: "PUT", Path: "/classes/Author/{{open}}", As: "master", Body: `{"bio":"` + strings.Repeat("x", 1<<20) + `"}`})
		bob.send(`{"op":"query","requestId":1}`)
		if f := bob.raw(); !strings.Contains(f, `"code":102`) || !strings.Contains(f, "too large") {
			t.Errorf("%.200s", f)
		}
		// Two events for three readers with rights of their own.
		s.Do(t, &scenario.Step{Path: "/livequery/stats", As: "master", JSON: `{"includeReads":6,"...":0}`})
	})
}

// TestLiveIncludeRefused: a subscription may include what a find may.
func TestLiveIncludeRefused(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := startShelf(t, db, nil)
		nobody, ann := connectAs(t, s, ""), connectAs(t, s, s.Var("ann.token"))
		for _, tt := range []struct {
			name, query string
			on          *live
			op          string
			code        int
			text        string
		}{
			{"a closed class", `"where":{},"include":["cellar"]`, nobody, "error", 101, "Permission denied"},
			{"all, a closed class among them", `"where":{},"include":["*"]`, nobody, "error", 101, "Permission denied"},
			{"too deep", `"where":{},"include":["author.user.x"]`, ann, "error", 102, "Include depth of 3 exceeds maximum allowed depth of 2"},
			{"too many", `"where":{},"include":["a","b","c","d"]`, ann, "error", 102, "Number of include fields (4) exceeds maximum allowed (3)"},
			{"who may", `"where":{},"include":["cellar"]`, ann, "subscribed", 0, ""},
			{"what there is not", `"where":{},"include":["nothing"]`, ann, "subscribed", 0, ""},
			{"all", `"where":{},"include":["*"]`, ann, "subscribed", 0, ""},
		} {
			f := tt.on.subscribe(7, "Book", tt.query)
			if f.Op != tt.op || int(f.Code) != tt.code || f.Error != tt.text {
				t.Errorf("%s: %+v", tt.name, f)
			}
		}
		// With all of them, lists and pointers alike.
		s.Do(t, &scenario.Step{
			Name: "book", Method: "POST", Path: "/classes/Book", As: "ann", Status: 201,
			Body: `{"cellar":` + pointerTo("Cellar", "{{cellar}}") + `,"more":[` + pointerTo("Author", "{{open}}") + `]}`,
		})
		f := ann.next()
		cellar, _ := f.Object["cellar"].(map[string]any)
		more, _ := f.Object["more"].([]any)
		if cellar["n"] != 1.0 || len(more) != 1 || more[0].(map[string]any)["name"] != "Jane" {
			t.Errorf("%+v", f)
		}
	})
}

// TestLiveEventHooks: hooks on events act as their caller and change what is
// sent, but show nobody what a read would not.
func TestLiveEventHooks(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := startShelf(t, db, func(app *cloudcode.App) {
			app.AfterEvent("Book", func(ctx context.Context, r *cloudcode.EventRequest) error {
				switch title := r.Object.String("title"); title {
				case "drop":
					r.SendEvent = false
				case "fail":
					return cloudcode.Err(142, "not %s", title)
				case "author": // another object, of another class
					var err error
					ptr, _ := r.Object.Pointer("author")
					r.Object, err = r.Client.AsMaster().Get(ctx, "Author", ptr.ObjectID)
					return err
				default:
					authors, err := r.Client.Find(ctx, "Author", query.Query{Limit: query.NoLimit})
					if err != nil {
						return err
					}
					r.Object.Set("authors", float64(len(authors)))
					r.Object.Set("for", r.Caller.UserID())
				}
				return nil
			})
		})
		ann, bob := connectAs(t, s, s.Var("ann.token")), connectAs(t, s, s.Var("bob.token"))
		for _, l := range []*live{ann, bob} {
			if f := l.subscribe(1, "Book", `"where":{}`); f.Op != "subscribed" {
				t.Fatalf("subscribe: %+v", f)
			}
		}
		for _, title := range []string{"drop", "fail", "author", "plain"} {
			s.Do(t, &scenario.Step{
				Name: title, Method: "POST", Path: "/classes/Book", As: "master", Status: 201,
				Body: `{"title":"` + title + `","author":` + pointerTo("Author", "{{open}}") + `}`,
			})
		}
		for l, want := range map[*live][2]any{ann: {2.0, s.Var("ann.id")}, bob: {1.0, s.Var("bob.id")}} {
			if f := l.next(); f.Op != "error" || f.Code != 142 || f.Error != "not fail" || f.RequestID != 1 {
				t.Errorf("an error: %+v", f)
			}
			if f := l.next(); f.Op != "create" || f.Object["className"] != "Author" || f.Object["name"] != "Jane" || f.Object["phone"] != nil {
				t.Errorf("another class: %+v", f)
			}
			f := l.next()
			if diff := cmp.Diff(want, [2]any{f.Object["authors"], f.Object["for"]}); diff != "" || f.Object["title"] != "plain" {
				t.Errorf("%+v: %s", f, diff)
			}
		}
	})
}
