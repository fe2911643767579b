package objects_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
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

// BenchmarkCreateHooked is what hooks that do nothing cost a create.
func BenchmarkCreateHooked(b *testing.B) {
	for _, hooked := range []bool{false, true} {
		name := "plain"
		if hooked {
			name = "beforeSave+afterSave"
		}
		b.Run(name, func(b *testing.B) {
			f := onSQLite(b, gameClass())
			if hooked {
				f.app.BeforeSave("Game", func(context.Context, *cloudcode.SaveRequest) error { return nil })
				f.app.AfterSave("Game", func(context.Context, *cloudcode.SaveRequest) error { return nil })
			}
			w := &objects.Write{Class: "Game", Body: body(b, `{"name":"a name of some length","n":3,"tags":["a","b","c"],"when":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}`)}
			p := user("u")
			b.ReportAllocs()
			began := cpu(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := f.Create(b.Context(), p, w); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/float64(b.N)/1000, "cpu-µs/op")
		})
	}
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
