package rest

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// batchWorkers is how many items of one batch run at a time. Enough that the
// writes of a usual batch meet in one group commit; bounded, so that one
// request cannot take the server.
const batchWorkers = 50

// maxBatch bounds the items of one batch.
const maxBatch = 5000

// batchPrefixes are the paths that an item's path may begin with: the mount
// path, and the paths of serverURL and publicServerURL (reference 01 §7.1).
func batchPrefixes(o Options) []string {
	prefixes := []string{o.MountPath}
	for _, u := range []string{o.ServerURL, o.PublicURL} {
		parsed, err := url.Parse(u)
		if err != nil || u == "" {
			continue
		}
		if p := strings.TrimRight(parsed.Path, "/"); !slices.Contains(prefixes, p) {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

// item is one sub-request with its outcome.
type item struct {
	route route
	call  call
	reply reply
	err   error
}

// batch is POST /batch (reference 01 §7).
func batch(ctx context.Context, c *call) (reply, error) {
	if c.nested {
		return reply{}, parse.Errorf(parse.InvalidJSON, "nested batch requests are not allowed")
	}
	v, _ := c.body.Get("requests")
	requests, ok := v.(parse.Array)
	if !ok {
		return reply{}, parse.Errorf(parse.InvalidJSON, "requests must be an array")
	}
	if len(requests) > maxBatch {
		return reply{}, tooManyItems(len(requests), maxBatch)
	}
	if err := c.checkBatch(len(requests)); err != nil {
		return reply{}, err
	}
	items := make([]item, len(requests))
	whole := &sharedAnswer{answer: c.ownMeter()}
	whole.answer.turned = true // its items do not wait
	t, _ := c.body.Get("transaction")
	transaction := t == true
	for i, req := range requests {
		if err := c.prepare(&items[i], req, whole); err != nil {
			return reply{}, err
		}
		if r := &items[i].route; transaction && !r.object {
			// Such a route writes by itself: it would wait for the transaction
			// that waits for it, and could not be undone.
			return reply{}, parse.Errorf(parse.InvalidJSON, "%s %s cannot be part of a transaction", r.method, r.pattern)
		}
	}
	if transaction {
		if err := c.runInTx(ctx, items); err != nil {
			return reply{}, err
		}
	} else {
		runAll(ctx, items)
	}
	large := false
	for i := range items {
		it := &items[i]
		if it.err != nil {
			it.reply = reply{}
			_, it.reply.json = c.h.errorBody(ctx, c.req, it.err, nil)
		}
		large = large || it.reply.pieces != nil
	}
	if large {
		return reply{pieces: batchPieces(items)}, nil
	}
	out := append(c.bufs.out[:0], '[')
	for i := range items {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, items[i].outcome()...)
		out = append(append(out, items[i].reply.json...), '}')
	}
	c.bufs.out = append(out, ']')
	return reply{json: c.bufs.out}, nil
}

// outcome begins what the answer has of an item.
func (it *item) outcome() string {
	if it.err != nil {
		return `{"error":`
	}
	return `{"success":`
}

// batchPieces is the answer of a batch that has large ones in it.
func batchPieces(items []item) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		out := make([]byte, 0, 2*chunkBytes)
		for i := range items {
			it, sep := &items[i], byte(',')
			if i == 0 {
				sep = '['
			}
			out = append(append(out, sep), it.outcome()...)
			out = append(out, it.reply.json...)
			if it.reply.pieces != nil {
				if !yield(out) {
					return
				}
				out = out[:0]
				for p := range it.reply.pieces {
					if !yield(p) {
						return
					}
				}
			}
			if out = append(out, '}'); len(out) >= chunkBytes {
				if !yield(out) {
					return
				}
				out = out[:0]
			}
		}
		yield(append(out, ']'))
	}
}

// prepare checks one item and finds its route. Every item is checked before
// the first one runs, so that a malformed batch changes nothing.
func (c *call) prepare(it *item, v parse.Value, whole *sharedAnswer) error {
	req, ok := v.(*parse.Map)
	if !ok {
		return parse.Errorf(parse.InvalidJSON, "batch request path must be a string")
	}
	pv, _ := req.Get("path")
	path, ok := pv.(string)
	if !ok {
		return parse.Errorf(parse.InvalidJSON, "batch request path must be a string")
	}
	method := req.String("method")
	local, ok := c.h.localPath(path)
	if !ok {
		return parse.Errorf(parse.InvalidJSON, "cannot route batch path %s", path)
	}
	r, params, ok := c.h.lookup(method, local)
	if !ok {
		return parse.Errorf(parse.InvalidJSON, "cannot route %s %s", method, local)
	}
	if r.pattern == "/batch" {
		return parse.Errorf(parse.InvalidJSON, "nested batch requests are not allowed")
	}
	if strings.Contains(local, "%") {
		for i, p := range params {
			plain, err := url.PathUnescape(p)
			if err != nil {
				return &statusError{http.StatusBadRequest, "Failed to decode param '" + p + "'"}
			}
			params[i] = plain
		}
		// What follows regards the path as it regards that of a request: a letter
		// in another spelling is no other route.
		plain, err := url.PathUnescape(local)
		if err != nil {
			return parse.Errorf(parse.InvalidJSON, "cannot route %s %s", method, local)
		}
		local = plain
	}
	if err := c.h.routeAllowed(c.principal, method, local); err != nil {
		return err
	}
	if err := c.limitItem(method, local); err != nil {
		return err
	}
	body := &parse.Map{}
	if b, ok := req.Get("body"); ok {
		if m, ok := b.(*parse.Map); ok {
			body = m
		}
	}
	it.route = r
	it.call = call{
		h: c.h, req: c.req, objs: c.objs, principal: c.principal, token: c.token,
		body: body, params: params, nested: true, bufs: &buffers{}, // an item's answer is small; thousands of pooled buffers are not
	}
	it.call.part.whole = whole
	return nil
}

// localPath strips the prefix off an item's path and collapses double slashes.
func (h *Handler) localPath(path string) (string, bool) {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	for _, p := range h.prefixes {
		if rest, ok := strings.CutPrefix(path, p); ok && strings.HasPrefix(rest, "/") {
			return rest, true
		}
	}
	return "", false
}

// runAll runs the items concurrently, as the protocol says; their order is
// that of the answer only.
func runAll(ctx context.Context, items []item) {
	tasks := grouped(items)
	if len(tasks) == 1 {
		tasks[0].run(ctx)
		return
	}
	var wg sync.WaitGroup
	workers := min(batchWorkers, len(tasks))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(tasks); i += workers {
				tasks[i].run(ctx)
			}
		})
	}
	wg.Wait()
}

// errRollback carries an item's error out of the transaction.
type errRollback struct{ err error }

func (e *errRollback) Error() string { return e.err.Error() }
func (e *errRollback) Unwrap() error { return e.err }

// runInTx runs the items one after another in one transaction: all or none.
// The first failure is the answer of the whole batch.
func (c *call) runInTx(ctx context.Context, items []item) error {
	err := c.objs.InTx(ctx, func(ctx context.Context, tx *objects.Service) error {
		for i := range items {
			items[i].call.objs, items[i].call.inTx = tx, true
		}
		for _, t := range consecutive(items) {
			t.run(ctx)
			for _, it := range t.items {
				if it.err != nil {
					return &errRollback{it.err}
				}
			}
		}
		return nil
	})
	var rb *errRollback
	if errors.As(err, &rb) {
		return rb.err
	}
	if err != nil {
		return err
	}
	for i := range items { // what came after the commit has completed the answers
		if saved := items[i].call.late; saved != nil {
			items[i].reply.json = parse.AppendJSON(nil, saved.Response)
		}
	}
	return nil
}
