package objects_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// writes of one class: create without ids, else update.
func writesOf(t *testing.T, class string, ids []string, bodies ...string) []*objects.Write {
	t.Helper()
	list := make([]*objects.Write, len(bodies))
	for i, b := range bodies {
		list[i] = &objects.Write{Class: class, Body: body(t, b)}
		if ids != nil {
			list[i].ID = ids[i]
		}
	}
	return list
}

func codes(out []objects.Outcome) string {
	var s string
	for _, o := range out {
		switch {
		case o.Err != nil:
			s += fmt.Sprint(int(parse.CodeOf(o.Err)), " ")
		case o.Saved != nil && o.Saved.Created:
			s += "created "
		case o.Saved != nil:
			s += "updated "
		default:
			s += "deleted "
		}
	}
	return s
}

func TestBulkStatements(t *testing.T) {
	const n = 1000
	for _, hooked := range []bool{false, true} {
		t.Run(fmt.Sprintf("hooked=%v", hooked), func(t *testing.T) {
			f := setup(t, objects.Options{}, false, gameClass())
			var before, after atomic.Int64
			if hooked {
				f.app.BeforeSave("Game", func(_ context.Context, r *cloudcode.SaveRequest) error {
					before.Add(1)
					r.Object.Set("score", 7.0)
					return nil
				})
				f.app.AfterSave("Game", func(context.Context, *cloudcode.SaveRequest) error { after.Add(1); return nil })
			}
			ids := make([]string, n)
			creates, updates := make([]*objects.Write, n), make([]*objects.Write, n)
			for i := range n {
				creates[i] = &objects.Write{Class: "Game", Body: body(t, `{"name":"g`+strconv.Itoa(i)+`"}`)}
			}
			count := func(what string, want int, do func() []objects.Outcome) []objects.Outcome {
				t.Helper()
				f.mem.statements, f.heard.changes = 0, nil
				out := do()
				for i := range out {
					if out[i].Err != nil {
						t.Fatalf("%s %d: %v", what, i, out[i].Err)
					}
				}
				if f.mem.statements != want || len(f.heard.changes) != n {
					t.Errorf("%s: %d statements, want %d; %d changes", what, f.mem.statements, want, len(f.heard.changes))
				}
				return out
			}
			out := count("create", 1, func() []objects.Outcome { return f.CreateAll(t.Context(), user("u"), creates) })
			for i := range out {
				ids[i] = out[i].Saved.Object.ID
				if got := out[i].Saved.Object.String("name"); got != "g"+strconv.Itoa(i) {
					t.Fatalf("answer %d is about %s", i, got)
				}
				updates[i] = &objects.Write{Class: "Game", ID: ids[i], Body: body(t, `{"name":"h"}`)}
			}
			reads := 0
			if hooked {
				reads = 1
			}
			count("update", 1+reads, func() []objects.Outcome { return f.UpdateAll(t.Context(), user("u"), updates) })
			if hooked && (before.Load() != 2*n || after.Load() != 2*n) {
				t.Errorf("%d hooks before, %d after", before.Load(), after.Load())
			}
			count("delete", 1, func() []objects.Outcome { return f.DeleteAll(t.Context(), user("u"), "Game", ids) })
		})
	}
}

func TestBulkOutcomes(t *testing.T) {
	for _, tx := range []bool{false, true} {
		f := setup(t, objects.Options{AllowCustomObjectID: true}, tx, gameClass(), def("Cat"))
		out := f.CreateAll(t.Context(), user("u"), writesOf(t, "Game", nil,
			`{"objectId":"1","name":"a"}`, `{"objectId":"2"}`, `{"objectId":"1","name":"b"}`, `{"objectId":"3","name":"c","fresh":1}`,
			`{"objectId":"4","name":"d","ACL":{"v":{"read":true,"write":true}}}`,
			`{"objectId":"5","name":"e","cats":{"__op":"AddRelation","objects":[`+catPointer("c1")+`]}}`))
		if got := codes(out); got != "created 142 137 created created created " {
			t.Errorf("creates: %s", got)
		}
		out = f.UpdateAll(t.Context(), user("u"), writesOf(t, "Game", []string{"1", "4", "9", "3", "5"},
			`{"score":{"__op":"Increment","amount":1}}`, `{"score":1}`, `{"score":1}`, `{"score":"x"}`,
			`{"cats":{"__op":"RemoveRelation","objects":[`+catPointer("c1")+`]}}`))
		if got := codes(out); got != "updated 101 101 111 updated " {
			t.Errorf("updates: %s", got)
		}
		if got := response(out[0].Saved); got != `{"score":1}` {
			t.Errorf("answer %s", got)
		}
		out = f.DeleteAll(t.Context(), user("u"), "Game", []string{"1", "4", "9", "1"})
		if got := codes(out); got != "deleted 101 101 101 " {
			t.Errorf("deletes: %s", got)
		}
		if out = f.CreateAll(t.Context(), user("u"), writesOf(t, "Nope", nil, `{}`, `{}`)); codes(out) != "119 119 " {
			t.Errorf("unknown class: %s", codes(out))
		}
	}
}

// Another write between the read and the update of a bulk: the hook decides anew.
func TestBulkChangedMeanwhile(t *testing.T) {
	f := setup(t, objects.Options{}, false, gameClass())
	id := f.create(t, user("u"), "Game", `{"name":"a","score":1}`).Object.ID
	var seen []float64
	f.app.BeforeSave("Game", func(_ context.Context, r *cloudcode.SaveRequest) error {
		if r.Original != nil && !r.Caller.Master {
			n, _ := r.Original.Number("score")
			seen = append(seen, n)
		}
		return nil
	})
	f.mem.between = func() {
		if _, err := f.update(t, master, "Game", id, `{"score":5}`); err != nil {
			t.Error(err)
		}
	}
	out := f.UpdateAll(t.Context(), user("u"), writesOf(t, "Game", []string{id}, `{"name":"b"}`))
	if out[0].Err != nil || len(seen) != 2 || seen[1] != 5 {
		t.Errorf("%v; the hook saw %v", out[0].Err, seen)
	}
}
