package livequery

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

const (
	// storyTurns bounds the hooks and the reads for includes that run at once.
	storyTurns = 32
	// includeTimeout bounds one read for includes.
	includeTimeout = 10 * time.Second
	// maxIncludes bounds the include of a subscription: each is work for every event.
	maxIncludes = 50
)

// Includer reads the objects that events carry in the place of pointers.
type Includer interface {
	// CheckInclude refuses an include that a find of the caller would be refused.
	CheckInclude(ctx context.Context, p *access.Principal, class string, q *query.Query) error
	// Include returns copies of objects of a class, whose hidden fields are
	// gone, with what q includes in them as the caller may see it now.
	Include(ctx context.Context, p *access.Principal, class string, list []*parse.Object, q *query.Query) ([]*parse.Object, error)
}

// story is an event for the subscribers of a view that takes more than bytes
// which are there already: objects to be read, hooks to be run. That is done by
// the writers of the clients, when its turn in their queues has come: so it
// holds up neither the dispatcher nor other clients, and the order stays.
type story struct {
	hub              *Hub
	class            string
	hooked           bool
	event            string
	object, original *parse.Object // as stored; original is nil if the event has none
	plan             *access.Plan
	view             *view
	position         string // "" if the view is not told
	inclusion        *inclusion

	mu   sync.Mutex // guards tail
	tail []byte     // what all subscribers share, once made
}

// inclusionKey is what a read for includes depends on, within a round.
type inclusionKey struct {
	object, original side
	who, what        string
}

// inclusion is one read for the includes of an event, for all who may see the
// same and ask for the same.
type inclusion struct {
	mu   sync.Mutex    // guards done until it is made
	done chan struct{} // closed once objects are there
	// objects are the states with what is included; nil if it could not be read.
	objects []*parse.Object
}

// story returns what is still to be done for an event; nil if it is nothing.
func (r *round) story(ev event, v *view) *story {
	if !r.hooked && v.include == nil {
		return nil
	}
	s := &story{
		hub: r.hub, class: r.change.Class, hooked: r.hooked, event: ev.name,
		object: loaded(r.state(ev.object)), original: loaded(r.state(ev.original)), plan: v.group.plan, view: v,
	}
	if v.positions {
		s.position = r.position()
	}
	if v.include != nil {
		k := inclusionKey{object: ev.object, original: ev.original, who: permissions(s.plan.Principal()), what: v.includeText + v.fields}
		if s.inclusion = r.inclusions[k]; s.inclusion == nil {
			if r.inclusions == nil {
				r.inclusions = map[inclusionKey]*inclusion{}
			}
			s.inclusion = &inclusion{}
			r.inclusions[k] = s.inclusion
		}
	}
	return s
}

// loaded returns o ready to be read by several goroutines.
func loaded(o *parse.Object) *parse.Object {
	if o != nil {
		o.Fields.Load()
	}
	return o
}

// permissions is the same for callers who may read the same.
func permissions(p *access.Principal) string {
	if p.Bypass() {
		return "\x00"
	}
	return strings.Join(p.Subjects(), "\x00")
}

// ready reports whether the story can be told without waiting for anything.
func (s *story) ready() bool {
	if s.hooked {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tail != nil
}

// tell returns the frame of the story for one subscription; ok is false if
// there is none. It waits for reads and hooks, until ctx ends.
func (s *story) tell(ctx context.Context, sub *subscription) (f frame, ok bool) {
	if !s.hooked {
		tail := s.shared(ctx)
		return frame{sub, newPayload(s.event, tail)}, tail != nil
	}
	object, original := s.included(ctx)
	r := &cloudcode.EventRequest{
		Class: s.class, Event: s.event, Object: ownCopy(object), Original: ownCopy(original), SendEvent: true,
		RequestID: sub.requestID,
	}
	if sub.base != nil {
		r.SessionToken = sub.base.token
	}
	if !s.hub.turn(ctx) {
		return f, false
	}
	err := s.hook(ctx, r, sub)
	s.hub.turnOver()
	switch {
	case ctx.Err() != nil:
		return f, false
	case err != nil:
		code, text := s.hub.refusal(err)
		return whole(errorFrame(code, text, false, sub.requestID)), true
	case !r.SendEvent || r.Object == nil:
		return f, false
	case s.event == evDelete: // remains one
		r.Event = evDelete
	case r.Event == evCreate || r.Event == evEnter || r.Event == evUpdate || r.Event == evLeave || r.Event == evDelete:
	default:
		return f, false
	}
	tail, ok := s.encode(r.Object, r.Original)
	if !ok {
		s.hub.log.Debug("live query hook gave an object that the client may not see", "class", s.class)
	}
	return frame{sub, newPayload(r.Event, tail)}, ok
}

// hook asks the hooks of the class about the event.
func (s *story) hook(ctx context.Context, r *cloudcode.EventRequest, sub *subscription) error {
	r.Request = s.hub.opts.Request(ctx, sub.principal(s.hub.stranger))
	r.Clients, r.Subscriptions = s.hub.counts()
	return s.hub.opts.App.RunAfterEvent(ctx, r)
}

// shared returns the tail that all subscribers of the view get; nil if ctx ended.
func (s *story) shared(ctx context.Context) []byte {
	s.mu.Lock()
	tail := s.tail
	s.mu.Unlock()
	if tail != nil {
		return tail
	}
	object, original := s.included(ctx)
	if ctx.Err() != nil {
		return nil
	}
	tail, _ = s.encode(object, original)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = tail
	return tail
}

// included returns the states with included objects, as far as they could be
// read. Fields that are to be hidden are still there, without includes.
func (s *story) included(ctx context.Context) (object, original *parse.Object) {
	if s.inclusion == nil {
		return s.object, s.original
	}
	bare := []*parse.Object{s.plan.Strip(s.object)}
	if s.original != nil {
		bare = append(bare, s.plan.Strip(s.original))
	}
	got := s.inclusion.read(ctx, s, bare)
	if got == nil {
		return s.object, s.original
	}
	object = withIncluded(s.object, bare[0], got[0])
	if s.original != nil {
		original = withIncluded(s.original, bare[1], got[1])
	}
	return object, original
}

// read returns the objects with their includes; nil if that failed or ctx ended.
func (in *inclusion) read(ctx context.Context, s *story, list []*parse.Object) []*parse.Object {
	in.mu.Lock()
	first := in.done == nil
	if first {
		in.done = make(chan struct{})
	}
	in.mu.Unlock()
	if first {
		// For all who wait for it: whether one of them goes away does not matter.
		in.objects = s.hub.readIncludes(context.WithoutCancel(ctx), s, list)
		close(in.done)
	}
	select {
	case <-in.done:
		return in.objects
	case <-ctx.Done():
		return nil
	}
}

// readIncludes asks the Includer. If it fails, pointers remain what they are:
// the event must not be lost for it.
func (h *Hub) readIncludes(ctx context.Context, s *story, list []*parse.Object) (objects []*parse.Object) {
	ctx, cancel := context.WithTimeout(ctx, includeTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			h.log.ErrorContext(ctx, "live query include panicked", "class", s.class, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if !h.turn(ctx) {
		return nil
	}
	defer h.turnOver()
	h.includeReads.Add(1)
	objects, err := h.opts.Includes.Include(ctx, s.plan.Principal(), s.class, list, s.view.include)
	if err == nil {
		return objects
	}
	if asParseError(err) == nil { // else the class refuses the caller, as it may
		h.log.WarnContext(ctx, "live query could not read included objects", "class", s.class, "error", err)
	}
	return nil
}

// withIncluded returns full with the fields in which got differs from bare.
func withIncluded(full, bare, got *parse.Object) *parse.Object {
	if full == bare {
		return got
	}
	out := full.Clone()
	for name := range bare.Fields.All() {
		if v, ok := got.Fields.Get(name); ok {
			out.Set(name, v)
		} else {
			out.Fields.Delete(name)
		}
	}
	return out
}

// encode returns the tail of the frame with what the caller may see of the
// states. ok is false if he may not see the object, which can only be one that
// a hook took from another class.
func (s *story) encode(object, original *parse.Object) (tail []byte, ok bool) {
	tail = append(make([]byte, 0, 512), `,"object":`...)
	if tail, ok = s.appendVisible(tail, object, s.object); !ok {
		return nil, false
	}
	if original != nil {
		n := len(tail)
		stored := s.original
		if stored == nil {
			stored = s.object
		}
		tail = append(tail, `,"original":`...)
		if tail, ok = s.appendVisible(tail, original, stored); !ok {
			tail = tail[:n]
		}
	}
	if s.position != "" {
		tail = parse.AppendJSON(append(tail, `,"position":`...), s.position)
	}
	return append(tail, '}'), true
}

// appendVisible appends what the caller may see of o. What is hidden of the
// state that the event is about is hidden of whatever took its place, so that a
// hook that changes who an object points to does not open it.
func (s *story) appendVisible(dst []byte, o, stored *parse.Object) ([]byte, bool) {
	class, plan := o.ClassName, s.plan
	if class == "" {
		class = s.class
	}
	if class != s.class {
		var err error
		if plan, err = s.hub.planOf(s.plan.Principal(), class); err != nil || !plan.CanRead(o) {
			return dst, false
		}
	}
	if class == s.class && o != stored {
		o = without(o, func(field string) bool { return plan.Hides(stored, field) })
	}
	o = plan.Strip(o)
	return appendObject(dst, class, selectKeys(class, o, s.view.keys)), true
}

// without returns o without some of its fields; o itself if it has none of them.
func without(o *parse.Object, hidden func(field string) bool) *parse.Object {
	var out *parse.Object
	for name := range o.Fields.All() {
		if hidden(name) {
			if out == nil {
				out = o.Clone()
			}
			out.Fields.Delete(name)
		}
	}
	if out == nil {
		return o
	}
	return out
}

// planOf says what a caller sees of the objects of a class.
func (h *Hub) planOf(p *access.Principal, class string) (*access.Plan, error) {
	def := definition(class, h.opts.Schema.Current().Class(class))
	if err := h.admit(p, def, class); err != nil {
		return nil, err
	}
	return h.opts.Gate.Authorize(p, def, schema.Get)
}

// turn waits for one of the turns of hooks and reads; turnOver must follow if
// it is true. It is false if ctx ended first.
func (h *Hub) turn(ctx context.Context) bool {
	select {
	case h.turns <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (h *Hub) turnOver() { <-h.turns }

// ownCopy copies an object with all that is in it, for a hook that changes it
// in place: the states of a change belong to everybody.
func ownCopy(o *parse.Object) *parse.Object {
	if o == nil {
		return nil
	}
	c := o.Clone()
	for name, v := range o.Fields.All() {
		if w, inside := copyValue(v); inside {
			c.Set(name, w)
		}
	}
	c.ACL = o.ACL.Clone()
	return c
}

// copyValue copies a value that has others inside.
func copyValue(v parse.Value) (parse.Value, bool) {
	switch v := v.(type) {
	case parse.Array:
		out := make(parse.Array, len(v))
		for i, e := range v {
			out[i], _ = copyValue(e)
		}
		return out, true
	case *parse.Map:
		out := v.Clone()
		for name, e := range v.All() {
			if w, inside := copyValue(e); inside {
				out.Set(name, w)
			}
		}
		return out, true
	case *parse.Object:
		return ownCopy(v), true
	}
	return v, false
}

// complete adds the frame of a story to b. A panic, which only a fault of the
// server can cause, ends the client alone.
func (c *client) complete(b *batch, f *frame) {
	defer func() {
		if p := recover(); p != nil {
			c.hub.log.Error("live query event panicked", "panic", p, "stack", string(debug.Stack()))
			c.close(websocket.StatusInternalError, "internal error")
		}
	}()
	if made, ok := c.tellStory(c.ctx, f); ok {
		made.hold(&c.hub.waiting)
		b.add(&made, &c.hub.waiting)
	}
}

// tellStory makes the frame of a story. It ends when the client goes.
func (c *client) tellStory(ctx context.Context, f *frame) (made frame, ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !c.begin(cancel) {
		return made, false
	}
	defer c.done()
	return f.story.tell(ctx, f.sub)
}

// begin notes that a story is being told, and how to end that. It is false if
// the client is gone.
func (c *client) begin(cancel context.CancelFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = cancel
	return !c.gone
}

func (c *client) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop, c.told = nil, true
}

// telling reports whether what the client waits for is the server's own work,
// so that an answer to a ping cannot be expected. mu is held.
func (c *client) telling() bool {
	busy := c.stop != nil || c.told
	c.told = false
	return busy
}
