package objects_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Hooks that call one another end with an error that says so, whether they
// hand on their context or not.
func TestHooksWithoutEnd(t *testing.T) {
	for name, own := range map[string]bool{"same context": false, "context of its own": true} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, objects.Options{}, true, gameClass())
			calls := 0
			f.app.BeforeSave("Game", func(ctx context.Context, r *cloudcode.SaveRequest) error {
				calls++
				if own {
					ctx = t.Context()
				}
				_, err := r.Client.AsMaster().Create(ctx, "Game", body(t, `{"name":"again"}`))
				return err
			})
			_, err := f.Create(t.Context(), access.MasterKey(), &objects.Write{Class: "Game", Body: body(t, `{"name":"n"}`)})
			var pe *parse.Error
			if !errors.As(err, &pe) || pe.Code != parse.ScriptFailed || !strings.HasPrefix(pe.Message, "Cloud code calls itself without end: a create of class Game") {
				t.Fatal(err)
			}
			if calls != cloudcode.MaxDepth+1 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

// The hooks of one operation share the context, and no other sees what they do to it.
func TestHookContext(t *testing.T) {
	f := setup(t, objects.Options{}, true, gameClass())
	var seen []string
	note := func(name string, r *cloudcode.Request) {
		seen = append(seen, name+" "+string(parse.AppendJSON(nil, r.Context)))
		r.SetContext("last", name)
		if r.Headers.Get("X-Test") != "h" {
			t.Errorf("%s has no headers", name)
		}
	}
	f.app.BeforeSave("Game", func(_ context.Context, r *cloudcode.SaveRequest) error { note("beforeSave", &r.Request); return nil })
	f.app.AfterSave("Game", func(_ context.Context, r *cloudcode.SaveRequest) error { note("afterSave", &r.Request); return nil })
	f.app.BeforeFind("Game", func(_ context.Context, r *cloudcode.FindRequest) error { note("beforeFind", &r.Request); return nil })
	f.app.AfterFind("Game", func(_ context.Context, r *cloudcode.FoundRequest) error { note("afterFind", &r.Request); return nil })
	f.app.BeforeDelete("Game", func(_ context.Context, r *cloudcode.DeleteRequest) error {
		note("beforeDelete", &r.Request)
		return nil
	})
	f.app.AfterDelete("Game", func(_ context.Context, r *cloudcode.DeleteRequest) error { note("afterDelete", &r.Request); return nil })
	sent := parse.NewMap(parse.MapField{Key: "a", Value: 1.0})
	ctx := cloudcode.WithOrigin(t.Context(), &cloudcode.Origin{Context: sent, Headers: http.Header{"X-Test": {"h"}}})
	p := access.MasterKey()
	saved, err := f.Create(ctx, p, &objects.Write{Class: "Game", Body: body(t, `{"name":"n"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Find(ctx, p, "Game", &query.Query{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	if err := f.Delete(ctx, p, "Game", saved.Object.ID); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`beforeSave {"a":1}`, `afterSave {"a":1,"last":"beforeSave"}`,
		`beforeFind {"a":1}`, `afterFind {"a":1,"last":"beforeFind"}`,
		`beforeDelete {"a":1}`, `afterDelete {"a":1,"last":"beforeDelete"}`,
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	if sent.Len() != 1 {
		t.Error("what was sent was changed")
	}
}

// A hook may answer a find; clients get of it what they may read.
func TestFindAnsweredByHook(t *testing.T) {
	f := setup(t, objects.Options{}, true, ownedClass())
	mine := f.create(t, user("u"), "Pay", `{"n":1}`).Object
	other := f.create(t, user("v"), "Pay", `{"n":2}`).Object
	var give []*parse.Object
	f.app.BeforeFind("Pay", func(_ context.Context, r *cloudcode.FindRequest) error { r.Objects = give; return nil })
	fresh := &parse.Object{ClassName: "Pay"}
	fresh.Set("n", 7.0)
	forged := mine.Clone()
	forged.Set("n", 99.0)
	for name, tt := range map[string]struct {
		give []*parse.Object
		p    *access.Principal
		want string
	}{
		"nothing given":        {nil, user("u"), "1 count"},
		"none":                 {[]*parse.Object{}, user("u"), ""},
		"what he may read":     {[]*parse.Object{other, forged}, user("u"), "1"},
		"unsaved":              {[]*parse.Object{fresh}, user("u"), "7"},
		"unsaved among others": {[]*parse.Object{fresh, mine}, user("u"), "1"},
		"master gets all":      {[]*parse.Object{other, forged, fresh}, access.MasterKey(), "2 99 7"},
	} {
		t.Run(name, func(t *testing.T) {
			give = tt.give
			found, err := f.Find(t.Context(), tt.p, "Pay", &query.Query{Limit: 10, Count: true})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range found.Objects {
				n, _ := o.Get("n")
				got = append(got, string(parse.AppendJSON(nil, n)))
			}
			if found.HasCount {
				got = append(got, "count")
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

// readers reads every change that is published, from goroutines of its own as
// live query does.
type readers struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	seen []string // guarded by mu
}

func (*readers) Wants(string) bool { return true }

func (r *readers) Publish(_ context.Context, changes []parse.Change) {
	for _, c := range changes {
		for _, o := range []*parse.Object{c.Before, c.After} {
			if o == nil {
				continue
			}
			o.Fields.Load()
			r.wg.Go(func() {
				for range 50 {
					text := string(o.AppendJSON(nil))
					r.mu.Lock()
					r.seen = append(r.seen, text)
					r.mu.Unlock()
				}
			})
		}
	}
}

// What hooks do to the objects that they have got, once they have returned, is
// their own affair: the answer, the store and those who listen do not see it.
func TestHooksKeepTheirObjects(t *testing.T) {
	for name, change := range map[string]bool{"only read in time": false, "changed in time": true} {
		t.Run(name, func(t *testing.T) {
			heard := &readers{}
			f := onSQLite(t)
			f.Service = objects.New(f.Store(), f.Registry(), f.app, objects.Options{Publisher: heard, AllowClientClassCreation: true})
			var kept []*parse.Object
			keep := func(_ context.Context, r *cloudcode.SaveRequest) error {
				if change {
					r.Object.Set("n", 2.0)
				}
				kept = append(kept, r.Object)
				if r.Original != nil {
					kept = append(kept, r.Original)
				}
				return nil
			}
			f.app.BeforeSave("Thing", keep)
			f.app.AfterSave("Thing", keep)
			f.app.BeforeDelete("Thing", func(_ context.Context, r *cloudcode.DeleteRequest) error {
				kept = append(kept, r.Object)
				return nil
			})
			f.app.AfterDelete("Thing", func(_ context.Context, r *cloudcode.DeleteRequest) error {
				kept = append(kept, r.Object)
				return nil
			})
			spoil := func() {
				for _, o := range kept {
					o.Set("n", "spoiled")
					o.Set("more", "spoiled")
					o.Fields.Delete("text")
					if o.ACL != nil {
						o.ACL.Set("spoiled", true, true)
					}
				}
				kept = nil
			}
			p := access.MasterKey()
			saved := f.create(t, p, "Thing", `{"n":1,"text":"x","ACL":{"u":{"read":true}}}`)
			spoil()
			id := saved.Object.ID
			for range 2 {
				again, err := f.update(t, p, "Thing", id, `{"text":"y"}`)
				if err != nil {
					t.Fatal(err)
				}
				spoil()
				for _, text := range []string{response(saved), stored(saved), response(again), stored(again)} {
					if strings.Contains(text, "spoiled") {
						t.Error(text)
					}
				}
			}
			o, err := f.Get(t.Context(), p, "Thing", id, nil)
			if err != nil {
				t.Fatal(err)
			}
			if text := string(o.AppendJSON(nil)); strings.Contains(text, "spoiled") || o.String("text") != "y" {
				t.Errorf("stored: %s", text)
			}
			if err := f.Delete(t.Context(), p, "Thing", id); err != nil {
				t.Fatal(err)
			}
			spoil()
			heard.wg.Wait()
			if len(heard.seen) != 300 {
				t.Errorf("%d readings", len(heard.seen))
			}
			for _, text := range heard.seen {
				if strings.Contains(text, "spoiled") || !strings.Contains(text, `"text"`) {
					t.Fatal("published: " + text)
				}
			}
		})
	}
}

// A hook changes the ACL in place, as it changes a field.
func TestHookChangesACL(t *testing.T) {
	f := onSQLite(t, def("Thing"))
	var original string
	f.app.BeforeSave("Thing", func(_ context.Context, r *cloudcode.SaveRequest) error {
		if r.Original != nil {
			r.Object.ACL.Set("hook", true, false)
			original = string(parse.AppendJSON(nil, r.Original.ACL.Value()))
		}
		return nil
	})
	p := access.MasterKey()
	id := f.create(t, p, "Thing", `{"ACL":{"u":{"read":true}}}`).Object.ID
	saved, err := f.update(t, p, "Thing", id, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.Get(t.Context(), p, "Thing", id, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"u":{"read":true},"hook":{"read":true}}`
	if got := string(parse.AppendJSON(nil, o.ACL.Value())); got != want {
		t.Errorf("stored: %s", got)
	}
	if got := response(saved); got != `{"ACL":`+want+`}` {
		t.Errorf("answer: %s", got)
	}
	if original != `{"u":{"read":true}}` {
		t.Errorf("original: %s", original)
	}
}

// The defaults that follow the hooks do not reach the objects that hooks have.
func TestDefaultsAfterHooks(t *testing.T) {
	for name, n := range map[string]int{"few fields": 1, "many fields": 20} {
		t.Run(name, func(t *testing.T) {
			c := gameClass()
			text := `{"name":"a"`
			for i := range n {
				text += `,"f` + strconv.Itoa(i) + `":1`
			}
			f := onSQLite(t, c)
			var kept *parse.Object
			f.app.BeforeSave("Game", func(_ context.Context, r *cloudcode.SaveRequest) error { kept = r.Object; return nil })
			f.app.AfterSave("Game", func(_ context.Context, r *cloudcode.SaveRequest) error {
				if !r.Dirty("level") {
					t.Errorf("changed: %v", r.Changed)
				}
				return nil
			})
			saved := f.create(t, user("u"), "Game", text+`}`)
			if v, _ := saved.Object.Get("level"); v != 1.0 || kept.Fields.Has("level") || kept.Fields.Len() != n+1 {
				t.Errorf("stored %s, kept %s", stored(saved), kept.AppendFields(nil))
			}
			kept.Set("level", 7.0)
			kept.Set("f0", 7.0)
			if v, _ := saved.Object.Get("level"); v != 1.0 || response(saved) != `{"level":1}` {
				t.Errorf("stored %s", stored(saved))
			}
		})
	}
}

// BenchmarkCreateHooked is what hooks that do nothing cost a create: creates
// with and without take turns, so that what else runs on the machine meets both.
func BenchmarkCreateHooked(b *testing.B) {
	plain := gameClass()
	hooked := gameClass()
	hooked.Name = "Hooked"
	f := onSQLite(b, plain, hooked)
	f.app.BeforeSave("Hooked", func(context.Context, *cloudcode.SaveRequest) error { return nil })
	f.app.AfterSave("Hooked", func(context.Context, *cloudcode.SaveRequest) error { return nil })
	fields := body(b, `{"name":"a name of some length","n":3,"tags":["a","b","c"],"when":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}`)
	p := user("u")
	const round = 100
	var took [2]time.Duration
	more := make([]float64, b.N)
	b.ReportAllocs()
	for n := range b.N {
		var took2 [2]time.Duration
		for i, class := range [...]string{"Game", "Hooked"} {
			began := cpu(b)
			for range round {
				if _, err := f.Create(b.Context(), p, &objects.Write{Class: class, Body: fields}); err != nil {
					b.Fatal(err)
				}
			}
			took2[i] = cpu(b) - began
			took[i] += took2[i]
		}
		more[n] = 100 * (took2[1].Seconds()/took2[0].Seconds() - 1)
	}
	for i, unit := range [...]string{"plain-cpu-µs", "hooked-cpu-µs"} {
		b.ReportMetric(float64(took[i].Nanoseconds())/float64(b.N*round)/1000, unit)
	}
	slices.Sort(more)
	b.ReportMetric(more[len(more)/2], "%more(median)")
}

// cpu is the processor time that the process has used: unlike the clock it
// moves little when others use the machine.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
