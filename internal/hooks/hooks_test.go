package hooks_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/cloudcode/webhook"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/hooks"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// receiver is a webhook that notes what it gets.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int                 // guarded by mu; 0: 200
	got    map[string][]string // ids of messages by object id, guarded by mu
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: map[string][]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var m struct {
			TriggerName string `json:"triggerName"`
			Object      struct {
				ID string `json:"objectId"`
			} `json:"object"`
		}
		if err := json.NewDecoder(req.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.status != 0 {
			w.WriteHeader(r.status)
			return
		}
		r.got[m.Object.ID] = append(r.got[m.Object.ID], m.TriggerName+" "+req.Header.Get("webhook-id"))
		_, _ = io.WriteString(w, `{"error":"it says so, and nobody minds"}`)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

type server struct {
	*hooks.Service
	objs *objects.Service
	app  *cloudcode.App
}

// open opens a server on a database.
func open(tb testing.TB, ctx context.Context, path string, now func() time.Time) (s *server, closeDB func()) {
	tb.Helper()
	db, err := sqlite.Open(ctx, sqlite.Options{Path: path, Durability: "full"})
	if err != nil {
		tb.Fatal(err)
	}
	reg := schema.NewRegistry(db)
	if err := reg.Load(ctx); err != nil {
		tb.Fatal(err)
	}
	client, err := webhook.NewClient(webhook.Options{Now: now, Secret: "s"})
	if err != nil {
		tb.Fatal(err)
	}
	app := cloudcode.New()
	objs := objects.New(db, reg, app, objects.Options{Now: now})
	s = &server{hooks.New(objs, hooks.Options{Client: client, Now: now}), objs, app}
	if err := s.Load(ctx); err != nil {
		tb.Fatal(err)
	}
	return s, func() {
		client.Close()
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	}
}

func (s *server) create(tb testing.TB, ctx context.Context) string {
	tb.Helper()
	saved, err := s.objs.Create(ctx, access.MasterKey(), &objects.Write{Class: "Thing", Body: parse.NewMap(parse.MapField{Key: "n", Value: 1.0})})
	if err != nil {
		tb.Fatal(err)
	}
	return saved.Object.ID
}

func (s *server) waiting(t *testing.T) []any {
	t.Helper()
	found, err := s.objs.Find(t.Context(), access.MasterKey(), "_WebhookOutbox", &query.Query{Limit: query.NoLimit})
	if err != nil {
		t.Fatal(err)
	}
	var out []any
	for _, o := range found.Objects {
		tries, _ := o.Number("attempts")
		failed, _ := o.Get("failed")
		out = append(out, tries, failed)
	}
	return out
}

func after(trigger, url string) webhook.Hook {
	return webhook.Hook{Class: "Thing", Trigger: cloudcode.Trigger(trigger), URL: url}
}

// What follows a write is sent until it has arrived, and stays in the
// transaction of the write.
func TestOutbox(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	s, closeDB := open(t, t.Context(), filepath.Join(t.TempDir(), "hooks.db"), clock)
	defer closeDB()
	r := newReceiver(t)
	for _, trigger := range []string{"afterSave", "afterDelete"} {
		if err := s.Create(t.Context(), access.MasterKey(), after(trigger, r.URL)); err != nil {
			t.Fatal(err)
		}
	}
	deliver := func(want ...any) {
		t.Helper()
		if err := s.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, s.waiting(t)); diff != "" {
			t.Error(diff)
		}
	}
	r.answer(http.StatusServiceUnavailable)
	id := s.create(t, t.Context())
	deliver(1.0, nil)
	deliver(1.0, nil) // it is not due yet
	now = now.Add(time.Second)
	deliver(2.0, nil)
	r.answer(0)
	now = now.Add(2 * time.Second)
	deliver()
	if err := s.objs.Delete(t.Context(), access.MasterKey(), "Thing", id); err != nil {
		t.Fatal(err)
	}
	deliver()
	if got := r.got[id]; len(got) != 2 || !strings.HasPrefix(got[0], "afterSave msg_") || !strings.HasPrefix(got[1], "afterDelete msg_") {
		t.Error(got)
	}
	// A write that is undone is not told.
	err := s.objs.InTx(t.Context(), func(ctx context.Context, tx *objects.Service) error {
		if _, err := tx.Create(ctx, access.MasterKey(), &objects.Write{Class: "Thing", Body: &parse.Map{}}); err != nil {
			return err
		}
		return context.Canceled
	})
	if err == nil {
		t.Fatal("the transaction was not undone")
	}
	deliver()
	// One that never arrives stays, marked.
	r.answer(http.StatusBadGateway)
	s.create(t, t.Context())
	for range 25 {
		if err := s.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(24 * time.Hour)
	}
	deliver(20.0, true)
}

// The items of a batch are told like any other write.
func TestOutboxOfBulk(t *testing.T) {
	s, closeDB := open(t, t.Context(), filepath.Join(t.TempDir(), "hooks.db"), time.Now)
	defer closeDB()
	r := newReceiver(t)
	for _, trigger := range []string{"afterSave", "afterDelete"} {
		if err := s.Create(t.Context(), access.MasterKey(), after(trigger, r.URL)); err != nil {
			t.Fatal(err)
		}
	}
	writes := make([]*objects.Write, 5)
	for i := range writes {
		writes[i] = &objects.Write{Class: "Thing", Body: parse.NewMap(parse.MapField{Key: "n", Value: float64(i)})}
	}
	var ids []string
	for _, out := range s.objs.CreateAll(t.Context(), access.MasterKey(), writes) {
		if out.Err != nil {
			t.Fatal(out.Err)
		}
		ids = append(ids, out.Saved.Object.ID)
	}
	for i, w := range writes {
		w.ID = ids[i]
	}
	for _, out := range s.objs.UpdateAll(t.Context(), access.MasterKey(), writes) {
		if out.Err != nil {
			t.Fatal(out.Err)
		}
	}
	for _, out := range s.objs.DeleteAll(t.Context(), access.MasterKey(), "Thing", ids) {
		if out.Err != nil {
			t.Fatal(out.Err)
		}
	}
	if err := s.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if n := len(r.got[id]); n != 3 {
			t.Errorf("%s was told %d times: %v", id, n, r.got[id])
		}
	}
}

const crashVar = "PARGO_TEST_OUTBOX"

// TestMain lets the test run itself as a server that is about to be killed.
func TestMain(m *testing.M) {
	if where := os.Getenv(crashVar); where != "" {
		crashing(where)
		return
	}
	os.Exit(m.Run())
}

type fatal struct{ testing.TB }

func (fatal) Helper()           {}
func (fatal) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// crashing creates objects until it is killed, and tells their ids once they
// are committed. It delivers at the same time.
func crashing(path string) {
	ctx := context.Background()
	s, _ := open(fatal{}, ctx, path, time.Now)
	go s.Run(ctx)
	for {
		fmt.Println(s.create(fatal{}, ctx))
	}
}

// A server that is killed loses nothing of what follows its writes: each
// arrives at least once.
func TestOutboxSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.db")
	r := newReceiver(t)
	s, closeDB := open(t, t.Context(), path, time.Now)
	if err := s.Create(t.Context(), access.MasterKey(), after("afterSave", r.URL)); err != nil {
		t.Fatal(err)
	}
	closeDB()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	committed := map[string]bool{}
	for round := range 3 {
		if round == 1 {
			r.answer(http.StatusInternalServerError)
		} else {
			r.answer(0)
		}
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), crashVar+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20 && lines.Scan(); n++ {
			committed[lines.Text()] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what was committed before the kill reached it
			committed[lines.Text()] = true
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process was not killed")
		}
	}
	r.answer(0)
	later := func() time.Time { return time.Now().Add(time.Hour) } // claims have run out
	s, closeDB = open(t, t.Context(), path, later)
	defer closeDB()
	if err := s.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := s.waiting(t); len(w) != 0 {
		t.Errorf("%d still wait", len(w)/2)
	}
	found, err := s.objs.Find(t.Context(), access.MasterKey(), "Thing", &query.Query{Limit: query.NoLimit})
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]bool{}
	for _, o := range found.Objects {
		stored[o.ID] = true
		if len(r.got[o.ID]) == 0 {
			t.Errorf("the save of %s was never told", o.ID)
		}
	}
	for id := range committed {
		if !stored[id] {
			t.Errorf("%s was committed and is not stored", id)
		}
	}
	if len(committed) < 60 {
		t.Errorf("only %d saves", len(committed))
	}
}
