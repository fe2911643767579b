package logstore_test

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/logstore"
)

func TestStore(t *testing.T) {
	s := &logstore.Store{}
	var out strings.Builder
	log := slog.New(s.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	log.Debug("not kept")
	log.Info("first", "a", 1)
	log.With("b", "x").WithGroup("g").With("c", 2).Error("second", "error", errors.New("cause"))
	log.Info("long", "text", strings.Repeat("x", 10<<10), "chan", make(chan int))
	all := logstore.Query{Until: time.Now().Add(time.Hour), Limit: 10, Oldest: true}
	lines := s.Lines(all)
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, want := range []string{`"a":1,"level":"info","message":"first"`, `"b":"x","g.c":2,"g.error":"cause","level":"error","message":"second"`, `{"level":"info","message":"long"`} {
		if !strings.Contains(string(lines[i].JSON), want) {
			t.Errorf("%s has no %s", lines[i].JSON, want)
		}
	}
	all.Errors = true
	if lines := s.Lines(all); len(lines) != 1 {
		t.Errorf("%d errors", len(lines))
	}
	if got := out.String(); strings.Contains(got, "first") || !strings.Contains(got, "second") {
		t.Error(got)
	}
	for range 5000 {
		log.Info("more")
	}
	all = logstore.Query{Until: time.Now().Add(time.Hour), Limit: 10000}
	if n := len(s.Lines(all)); n != 2000 {
		t.Errorf("%d lines are kept", n)
	}
	all.Errors = true // they are kept apart
	if lines := s.Lines(all); len(lines) != 1 {
		t.Errorf("%d errors", len(lines))
	}
	if lines := s.Lines(logstore.Query{From: time.Now().Add(time.Hour), Until: time.Now().Add(2 * time.Hour), Limit: 10}); len(lines) != 0 {
		t.Errorf("%d lines of the future", len(lines))
	}
}

func BenchmarkHandler(b *testing.B) {
	s := &logstore.Store{}
	log := slog.New(s.Handler(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError})))
	b.ReportAllocs()
	for b.Loop() {
		log.Info("a line", "a", 1, "b", "x")
	}
}
