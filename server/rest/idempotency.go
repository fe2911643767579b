package rest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Idempotency lets each request id through once (reference 01 §14). Ids are
// rows of _Idempotency, whose unique index decides between two that come at
// once, on all servers of a database.
type Idempotency struct {
	// Paths match the routes that are looked at, from their beginning.
	Paths []*regexp.Regexp
	// TTL is how long an id is remembered.
	TTL time.Duration
	// Replay answers a repeat as the first request was answered.
	Replay bool

	swept atomic.Int64 // when the next sweep is due, in Unix milliseconds
}

// Fields of _Idempotency. All but the first two are for replays.
const (
	idempotencyClass = "_Idempotency"
	fieldRequestID   = "reqId"
	fieldExpire      = "expire"
	fieldSender      = "sender"
	fieldStatus      = "status"
	fieldLocation    = "location"
	fieldAnswer      = "answer"
)

const (
	// maxRequestID is the longest request id that is stored as it is.
	maxRequestID = 128
	// maxAnswer bounds a stored answer. The repeat of a request with a longer
	// one is told that it is a duplicate.
	maxAnswer = 256 << 10
	// onceTimeout bounds a request that goes on after its client has gone.
	onceTimeout = 5 * time.Minute
	// sweepEvery is the time between two sweeps, sweepRows what one removes at
	// most: it is done within a request.
	sweepEvery = time.Minute
	sweepRows  = 500
)

// idempotent reports whether the reference has request ids on a route.
func idempotent(method, pattern string) bool {
	if method != http.MethodPost && method != http.MethodPut {
		return false
	}
	first, _, _ := strings.Cut(pattern[1:], "/")
	switch first {
	case "classes", "users", "installations":
		return true
	case "functions", "jobs":
		return method == http.MethodPost
	}
	return false
}

// requestID returns the id that makes the request one of its kind, or "".
func (c *call) requestID() string {
	o := c.h.o.Idempotency
	if o == nil {
		return ""
	}
	id := first(c.req.Header, "X-Parse-Request-Id")
	if id == "" {
		return ""
	}
	path := strings.TrimPrefix(c.route(), "/")
	for _, re := range o.Paths {
		if re.MatchString(path) {
			if len(id) > maxRequestID {
				sum := sha256.Sum256([]byte(id))
				id = hex.EncodeToString(sum[:])
			}
			return id
		}
	}
	return ""
}

// once serves a request unless its id was seen before.
func (c *call) once(ctx context.Context, id string, do handlerFunc) {
	o := c.h.o.Idempotency
	sender := ""
	if o.Replay {
		sender = c.sender()
	}
	seen, err := c.claim(ctx, id, sender)
	switch {
	case err != nil:
		c.fail(err)
		return
	case seen != nil:
		c.repeat(seen, sender)
		return
	}
	c.sweep(ctx)
	if !o.Replay {
		c.finish(do(ctx, c))
		return
	}
	// The answer is for the repeat, too, which comes most of all when the
	// first client has not waited for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), onceTimeout)
	defer cancel()
	r, err := do(ctx, c)
	if err != nil {
		r = reply{}
		r.status, r.json = c.h.errorBody(ctx, c.req, err, c.bufs.out[:0])
	}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	c.remember(ctx, id, r)
	c.writeJSON(r.status, r.location, r.json)
}

// sender stands for who sent what: only the very same request may read the
// answer, which can have a session token in it.
func (c *call) sender() string {
	h := sha256.New()
	p := c.principal
	for _, s := range [...]string{
		strconv.Itoa(int(p.Kind)), p.UserID, c.req.Method, c.req.URL.Path, c.req.URL.RawQuery, string(parse.AppendJSON(nil, c.body)),
	} {
		sum := sha256.Sum256([]byte(s)) // of fixed length, so that parts cannot be shifted
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// claim takes the id, or returns the row of the request that has it.
func (c *call) claim(ctx context.Context, id, sender string) (*parse.Object, error) {
	const tries = 3 // an id that expires is taken anew
	for range tries {
		now := time.Now()
		body := parse.NewMap(
			parse.MapField{Key: fieldRequestID, Value: id},
			parse.MapField{Key: fieldExpire, Value: parse.NewDate(now.Add(c.h.o.Idempotency.TTL))})
		if sender != "" {
			body.Set(fieldSender, sender)
			// The answer follows, in fields that the class then has.
			body.Set(fieldStatus, 0.0)
			body.Set(fieldAnswer, "")
			body.Set(fieldLocation, "")
		}
		_, err := c.objs.Create(ctx, access.MasterKey(), &objects.Write{Class: idempotencyClass, Body: body})
		if parse.CodeOf(err) != parse.DuplicateValue {
			return nil, err
		}
		found, err := c.objs.Find(ctx, access.MasterKey(), idempotencyClass, &query.Query{Where: query.Equal(fieldRequestID, id), Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(found.Objects) == 0 {
			continue
		}
		row := found.Objects[0]
		if v, _ := row.Get(fieldExpire); !expired(v, now) {
			return row, nil
		}
		if err := c.forget(ctx, []parse.Value{row.ID}); err != nil {
			return nil, err
		}
	}
	return nil, errDuplicateRequest()
}

func expired(v parse.Value, now time.Time) bool {
	d, ok := v.(parse.Date)
	return ok && d <= parse.NewDate(now)
}

func errDuplicateRequest() error { return parse.Errorf(parse.DuplicateRequest, "Duplicate request") }

// repeat answers a request whose id was seen before.
func (c *call) repeat(row *parse.Object, sender string) {
	by, _ := row.Get(fieldSender)
	status, _ := row.Get(fieldStatus)
	answer, _ := row.Get(fieldAnswer)
	code, answered := status.(float64)
	text, ok := answer.(string)
	if sender == "" || by != sender || !answered || code == 0 || !ok {
		c.fail(errDuplicateRequest())
		return
	}
	location, _ := row.Get(fieldLocation)
	to, _ := location.(string)
	c.Header()["Idempotent-Replayed"] = []string{"true"}
	c.writeJSON(int(code), to, []byte(text))
}

// remember stores the answer. If that fails the repeat is told that it is a
// duplicate, as it is without replays.
func (c *call) remember(ctx context.Context, id string, r reply) {
	if len(r.json) > maxAnswer {
		return
	}
	body := parse.NewMap(
		parse.MapField{Key: fieldStatus, Value: float64(r.status)},
		parse.MapField{Key: fieldAnswer, Value: string(r.json)},
		parse.MapField{Key: fieldLocation, Value: r.location})
	_, _, err := c.objs.Store().Update(ctx, &storage.Update{
		Class: c.objs.Registry().Current().Class(idempotencyClass), Where: query.Equal(fieldRequestID, id),
		Ops: body, UpdatedAt: parse.NewDate(time.Now()),
	})
	if err != nil {
		c.h.o.Log.WarnContext(ctx, "the answer for a repeated request could not be stored", "error", err)
	}
}

// sweep removes ids that have expired, if it is time for it. Databases that
// remove them by themselves lose nothing by it.
func (c *call) sweep(ctx context.Context) {
	o := c.h.o.Idempotency
	now := time.Now()
	due := o.swept.Load()
	if now.UnixMilli() < due || !o.swept.CompareAndSwap(due, now.Add(sweepEvery).UnixMilli()) {
		return
	}
	found, err := c.objs.Find(ctx, access.MasterKey(), idempotencyClass, &query.Query{
		Where: &query.Compare{Path: fieldExpire, Op: query.Lte, Value: parse.NewDate(now)}, Limit: sweepRows, Keys: []string{},
	})
	if err == nil && len(found.Objects) > 0 {
		ids := make([]parse.Value, len(found.Objects))
		for i, row := range found.Objects {
			ids[i] = row.ID
		}
		if err = c.forget(ctx, ids); err == nil && len(ids) == sweepRows {
			o.swept.Store(0) // there are more
		}
	}
	if err != nil {
		c.h.o.Log.WarnContext(ctx, "expired request ids could not be removed", "error", err)
	}
}

// forget removes rows, if they have expired still.
func (c *call) forget(ctx context.Context, ids []parse.Value) error {
	class := c.objs.Registry().Current().Class(idempotencyClass)
	_, err := c.objs.Store().Delete(ctx, class, query.AllOf(
		&query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids},
		&query.Compare{Path: fieldExpire, Op: query.Lte, Value: parse.NewDate(time.Now())}))
	return err
}
