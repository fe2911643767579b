package cloudcode

import (
	"context"
	"net/http"

	"github.com/pargo-baas/pargo/parse"
)

// MaxDepth is how deeply hooks may call one another through their clients.
const MaxDepth = 16

// Origin is where a chain of hooks began: the request of a client, or a job.
type Origin struct {
	// Headers are those of the HTTP request; nil without one. They must not be changed.
	Headers http.Header
	// RequestID names the request in the log; "" if it has no name yet.
	RequestID string
	// Context is the cloud context that the client sent. Each operation gives
	// its hooks a copy of it.
	Context *parse.Map
	// Depth counts the operations of cloud code that led here.
	Depth int
}

type originKey struct{}

// WithOrigin returns a context whose hooks know where they come from.
func WithOrigin(ctx context.Context, o *Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf returns the origin of a context; never nil. It must not be changed.
func OriginOf(ctx context.Context) *Origin {
	if o, ok := ctx.Value(originKey{}).(*Origin); ok {
		return o
	}
	return noOrigin
}

var noOrigin = &Origin{}

// WithContext returns a context in which operations of a Client give their
// hooks m as cloud context, in place of that of the request.
func WithContext(ctx context.Context, m *parse.Map) context.Context {
	o := *OriginOf(ctx)
	o.Context = m
	return WithOrigin(ctx, &o)
}

// Deeper returns the origin of an operation that cloud code begins, or an
// error if hooks call one another without end. what names the operation.
func (o *Origin) Deeper(what, class string) (*Origin, error) {
	if o.Depth >= MaxDepth {
		return nil, Err(parse.ScriptFailed, "Cloud code calls itself without end: %s of class %s would be operation %d in a row that a hook of another one begins; the limit is %d.", what, class, o.Depth+1, MaxDepth)
	}
	deeper := *o
	deeper.Depth++
	return &deeper, nil
}
