// Package logstore keeps the last lines of the log in memory, for who looks
// at them over the API.
package logstore

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"
)

// Bounds of a Store. A line that is longer is kept without its attributes.
const (
	keep    = 2000
	maxLine = 8 << 10
)

// Line is one line of the log.
type Line struct {
	At    time.Time
	Error bool
	// JSON is the line as an object: level, message, timestamp and attributes.
	JSON []byte
}

// Store keeps the last lines, errors apart from the rest so that a busy log
// does not push them out.
type Store struct {
	mu          sync.Mutex // guards both below
	all, errors ring
}

// ring is a list that forgets its oldest entry when it is full.
type ring struct {
	lines []Line
	next  int
}

func (r *ring) add(l Line) {
	if len(r.lines) < keep {
		r.lines = append(r.lines, l)
		return
	}
	r.lines[r.next] = l
	r.next = (r.next + 1) % keep
}

// Query asks for lines.
type Query struct {
	Errors      bool // errors alone
	From, Until time.Time
	Oldest      bool // oldest first
	Limit       int
}

// Lines returns the lines that match, newest first unless Oldest.
func (s *Store) Lines(q Query) []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.all
	if q.Errors {
		r = &s.errors
	}
	var out []Line
	n := len(r.lines)
	for i := range n {
		k := (r.next + i) % n
		if !q.Oldest {
			k = (r.next + n - 1 - i) % n
		}
		l := r.lines[k]
		if len(out) < q.Limit && !l.At.Before(q.From) && !l.At.After(q.Until) {
			out = append(out, l)
		}
	}
	return out
}

// Handler returns a handler that keeps what it gets, from level Info on, and
// hands it on.
func (s *Store) Handler(next slog.Handler) slog.Handler { return &handler{store: s, next: next} }

type handler struct {
	store  *Store
	next   slog.Handler
	attrs  []slog.Attr
	groups string
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || h.next.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		h.store.add(h, &r)
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.next = h.next.WithAttrs(attrs)
	c.attrs = append(append([]slog.Attr(nil), h.attrs...), prefixed(h.groups, attrs)...)
	return &c
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	c.next = h.next.WithGroup(name)
	c.groups += name + "."
	return &c
}

func prefixed(groups string, attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = slog.Attr{Key: groups + a.Key, Value: a.Value}
	}
	return out
}

func (s *Store) add(h *handler, r *slog.Record) {
	m := map[string]any{}
	put := func(a slog.Attr) bool {
		if v := a.Value.Resolve().Any(); v != nil {
			if err, ok := v.(error); ok {
				v = err.Error()
			}
			m[a.Key] = v
		}
		return true
	}
	for _, a := range h.attrs {
		put(a)
	}
	r.Attrs(func(a slog.Attr) bool { return put(slog.Attr{Key: h.groups + a.Key, Value: a.Value}) })
	l := Line{At: r.Time, Error: r.Level >= slog.LevelError}
	m["level"], m["message"], m["timestamp"] = level(r.Level), r.Message, r.Time.UTC().Format("2006-01-02T15:04:05.000Z")
	var err error
	if l.JSON, err = json.Marshal(m); err != nil || len(l.JSON) > maxLine {
		message := r.Message
		if len(message) > maxLine/2 {
			message = message[:maxLine/2]
		}
		// Strings always encode.
		l.JSON, _ = json.Marshal(map[string]any{"level": m["level"], "message": message, "timestamp": m["timestamp"]})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.add(l)
	if l.Error {
		s.errors.add(l)
	}
}

// level is the name that Parse Server has for a level.
func level(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	}
	return "info"
}
