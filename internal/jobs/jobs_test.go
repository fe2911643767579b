package jobs_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/jobs"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// world is a database with as many servers as a test needs.
type world struct {
	t     *testing.T
	store *sqlite.DB
	reg   *schema.Registry
	mu    sync.Mutex
	now   time.Time // guarded by mu
}

var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) // a Wednesday

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "jobs.db"), Durability: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	reg := schema.NewRegistry(db)
	if err := reg.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, store: db, reg: reg, now: start}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

type node struct {
	*jobs.Service
	objs *objects.Service
	app  *cloudcode.App
}

func (w *world) server() *node {
	app := cloudcode.New()
	objs := objects.New(w.store, w.reg, app, objects.Options{Now: w.clock})
	s := jobs.New(objs, jobs.Options{Now: w.clock})
	w.t.Cleanup(s.Close)
	return &node{s, objs, app}
}

// runs lists what is in _JobStatus: status, message, attempts.
func (n *node) runs(t *testing.T) []any {
	t.Helper()
	found, err := n.objs.Find(t.Context(), access.MasterKey(), "_JobStatus", &query.Query{Limit: query.NoLimit})
	if err != nil {
		t.Fatal(err)
	}
	var out []any
	for _, o := range found.Objects {
		attempts, _ := o.Number("attempts")
		out = append(out, o.String("source")+" "+o.String("status")+" "+o.String("message"), attempts)
	}
	return out
}

func TestRuns(t *testing.T) {
	w := newWorld(t)
	n := w.server()
	var got []string
	n.app.Job("ok", func(ctx context.Context, r *cloudcode.JobRequest) (string, error) {
		got = append(got, r.Params.String("a"))
		if err := r.Message(ctx, "halfway"); err != nil {
			return "", err
		}
		o, err := r.Client.Get(ctx, "_JobStatus", r.ID)
		if err != nil {
			return "", err
		}
		got = append(got, o.String("message"), o.String("status"))
		return "done", nil
	})
	n.app.Job("bad", func(context.Context, *cloudcode.JobRequest) (string, error) { return "", errors.New("no luck") })
	n.app.Job("panics", func(context.Context, *cloudcode.JobRequest) (string, error) { panic("secret") })
	for _, name := range []string{"ok", "bad"} {
		if _, err := n.Start(t.Context(), name, parse.NewMap(parse.MapField{Key: "a", Value: "x"})); err != nil {
			t.Fatal(err)
		}
		n.Wait()
	}
	ctx := cloudcode.WithOrigin(t.Context(), &cloudcode.Origin{RequestID: "r1"})
	if _, err := n.Start(ctx, "panics", nil); err != nil {
		t.Fatal(err)
	}
	n.Wait()
	if _, err := n.Start(t.Context(), "unknown", nil); parse.CodeOf(err) != parse.ScriptFailed || err.Error() != "parse error 141: Invalid job." {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"x", "halfway", "running"}, got); diff != "" {
		t.Error(diff)
	}
	want := []any{"api succeeded done", 1.0, "api failed no luck", 1.0, "api failed Script failed. Request id: r1", 1.0}
	if diff := cmp.Diff(want, n.runs(t)); diff != "" {
		t.Error(diff)
	}
}

// A schedule that is due runs on one of many servers, once for each due time.
func TestScheduleRunsOnce(t *testing.T) {
	w := newWorld(t)
	var ran atomic.Int64
	nodes := make([]*node, 4)
	for i := range nodes {
		nodes[i] = w.server()
		nodes[i].app.Job("daily", func(_ context.Context, r *cloudcode.JobRequest) (string, error) {
			ran.Add(1)
			return r.Params.String("greet"), nil
		})
	}
	_, err := nodes[0].objs.Create(t.Context(), access.MasterKey(), &objects.Write{Class: "_JobSchedule", Body: parse.NewMap(
		parse.MapField{Key: "jobName", Value: "daily"}, parse.MapField{Key: "params", Value: `{"greet":"hello"}`},
		parse.MapField{Key: "cron", Value: "0 6 * * *"})})
	if err != nil {
		t.Fatal(err)
	}
	tick := func(want int64) {
		t.Helper()
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				if err := n.Tick(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, n := range nodes {
			n.Wait()
		}
		if n := ran.Load(); n != want {
			t.Errorf("at %s the job has run %d times, want %d", w.clock(), n, want)
		}
	}
	tick(0)
	w.pass(time.Hour)
	tick(1)
	tick(1)
	w.pass(3 * 24 * time.Hour) // what was missed is made up for once
	tick(2)
	if diff := cmp.Diff([]any{"schedule succeeded hello", 1.0, "schedule succeeded hello", 1.0}, nodes[1].runs(t)); diff != "" {
		t.Error(diff)
	}
}

// A run whose server has gone is taken up by another one, and not for ever.
func TestTakeOver(t *testing.T) {
	w := newWorld(t)
	dead := w.server()
	dead.app.Job("long", func(ctx context.Context, _ *cloudcode.JobRequest) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	if _, err := dead.Start(t.Context(), "long", parse.NewMap(parse.MapField{Key: "a", Value: "kept"})); err != nil {
		t.Fatal(err)
	}
	other := w.server()
	var got []string
	other.app.Job("long", func(_ context.Context, r *cloudcode.JobRequest) (string, error) {
		got = append(got, r.Params.String("a"))
		return "in the end", nil
	})
	tick := func(n *node) {
		t.Helper()
		if err := n.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.Wait()
	}
	tick(other) // its server holds the lease
	if len(got) != 0 {
		t.Fatal("the job ran twice at a time")
	}
	dead.Close() // gives the lease up
	w.pass(time.Minute)
	tick(other)
	if diff := cmp.Diff([]string{"kept"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"api succeeded in the end", 2.0}, other.runs(t)); diff != "" {
		t.Error(diff)
	}
	// One that kills its server each time is given up.
	for range 3 {
		n := w.server()
		n.app.Job("deadly", func(ctx context.Context, _ *cloudcode.JobRequest) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		if len(other.runs(t)) == 2 {
			if _, err := n.Start(t.Context(), "deadly", nil); err != nil {
				t.Fatal(err)
			}
		} else if err := n.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.Close()
		w.pass(time.Minute)
	}
	tick(other)
	runs := other.runs(t)
	if diff := cmp.Diff([]any{"api failed The server stopped while the job ran, 3 times.", 3.0}, runs[2:]); diff != "" {
		t.Error(diff)
	}
}

func TestDue(t *testing.T) {
	text := func(k, v string) parse.MapField { return parse.MapField{Key: k, Value: v} }
	num := func(k string, v float64) parse.MapField { return parse.MapField{Key: k, Value: v} }
	days := func(flags ...float64) parse.MapField {
		list := make(parse.Array, len(flags))
		for i, f := range flags {
			list[i] = f
		}
		return parse.MapField{Key: "daysOfWeek", Value: list}
	}
	ms := func(text string) float64 {
		d, ok := parse.ParseDate(text)
		if !ok {
			t.Fatal(text)
		}
		return float64(d)
	}
	always := text("startAfter", "2020-01-01T00:00:00.000Z")
	for name, tt := range map[string]struct {
		fields []parse.MapField
		at     string // "": not due
		bad    bool
	}{
		"once":                      {[]parse.MapField{always}, "2020-01-01T00:00:00.000Z", false},
		"once, later":               {[]parse.MapField{text("startAfter", "2026-03-04T05:06:08.000Z")}, "", false},
		"once, done":                {[]parse.MapField{always, num("lastRun", ms("2020-01-01T00:00:00.000Z"))}, "", false},
		"each day":                  {[]parse.MapField{always, text("timeOfDay", "05:00:00.000Z")}, "2026-03-04T05:00:00.000Z", false},
		"each day, yesterday's":     {[]parse.MapField{always, text("timeOfDay", "06:00:00.000Z")}, "2026-03-03T06:00:00.000Z", false},
		"each day, done":            {[]parse.MapField{always, text("timeOfDay", "05:00"), num("lastRun", ms("2026-03-04T05:00:00.000Z"))}, "", false},
		"done, in seconds":          {[]parse.MapField{always, text("timeOfDay", "05:00"), num("lastRun", ms("2026-03-04T05:00:00.000Z")/1000)}, "", false},
		"before it was made":        {[]parse.MapField{text("timeOfDay", "05:00")}, "", false},
		"Wednesdays":                {[]parse.MapField{always, text("timeOfDay", "05:00"), days(0, 0, 0, 1, 0, 0, 0)}, "2026-03-04T05:00:00.000Z", false},
		"Sundays":                   {[]parse.MapField{always, text("timeOfDay", "05:00"), days(1, 0, 0, 0, 0, 0, 0)}, "2026-03-01T05:00:00.000Z", false},
		"no day":                    {[]parse.MapField{always, text("timeOfDay", "05:00"), days(0, 0, 0, 0, 0, 0, 0)}, "", false},
		"every 30 minutes":          {[]parse.MapField{always, text("timeOfDay", "04:10"), num("repeatMinutes", 30)}, "2026-03-04T04:40:00.000Z", false},
		"the last of yesterday":     {[]parse.MapField{always, text("timeOfDay", "06:00"), num("repeatMinutes", 60)}, "2026-03-03T23:00:00.000Z", false},
		"cron":                      {[]parse.MapField{always, text("cron", "*/5 * * * *")}, "2026-03-04T05:05:00.000Z", false},
		"cron, done":                {[]parse.MapField{always, text("cron", "*/5 * * * *"), num("lastRun", ms("2026-03-04T05:05:00.000Z"))}, "", false},
		"cron, never yet":           {[]parse.MapField{always, text("cron", "0 0 1 1 * 2050")}, "", false},
		"cron that is none":         {[]parse.MapField{always, text("cron", "every day")}, "", true},
		"a time that is none":       {[]parse.MapField{always, text("timeOfDay", "noon")}, "", true},
		"a startAfter that is none": {[]parse.MapField{text("startAfter", "soon")}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			o := &parse.Object{CreatedAt: parse.NewDate(start), Fields: *parse.NewMap(tt.fields...)}
			at, due, err := jobs.Due(o, start)
			got := ""
			if due {
				got = parse.NewDate(at).String()
			}
			if got != tt.at || (err != nil) != tt.bad {
				t.Errorf("got %q, %v, want %q", got, err, tt.at)
			}
		})
	}
}
