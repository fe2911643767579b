package redact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
)

// Handler returns a handler that takes the secrets out of all attributes
// before next gets them.
func Handler(next slog.Handler) slog.Handler { return &handler{next} }

type handler struct{ next slog.Handler }

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.next.WithAttrs(all(attrs))}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler { return &handler{h.next.WithGroup(name)} }

func all(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = attr(a)
	}
	return out
}

func attr(a slog.Attr) slog.Attr {
	if holds(a.Key) {
		return slog.String(a.Key, Mask)
	}
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() { //nolint:exhaustive // the others hold nothing else
	case slog.KindGroup:
		a.Value = slog.GroupValue(all(a.Value.Group())...)
	case slog.KindAny:
		a.Value = value(a.Value.Any())
	}
	return a
}

func value(v any) slog.Value {
	switch v := Value(v).(type) {
	case string:
		return slog.StringValue(v)
	case map[string]any, []any:
		text, err := json.Marshal(v)
		if err != nil { // a number that JSON does not have
			return slog.StringValue(fmt.Sprintf("%T", v))
		}
		return slog.AnyValue(document(text))
	default:
		return slog.AnyValue(v)
	}
}

// document is JSON: text for handlers of text, a structure for those of JSON.
type document string

// MarshalJSON implements json.Marshaler.
func (d document) MarshalJSON() ([]byte, error) { return []byte(d), nil }

// String implements fmt.Stringer.
func (d document) String() string { return string(d) }
