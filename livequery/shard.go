package livequery

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/pargo-baas/pargo/parse"
)

// shard serves the classes that hash to it. One goroutine at a time works off
// its queue, which keeps the order of the changes of a class and so of every
// object.
type shard struct {
	hub *Hub

	mu      sync.RWMutex // guards classes and the indexes in it
	classes map[string]*classIndex
	rings   map[string]*ring // of classes that somebody may come back to
	// active holds the keys of classes and rings for publish, which must not wait for mu
	// while thousands of clients are told of something.
	active sync.Map

	qmu     sync.Mutex // guards all below
	queue   []pending
	bytes   int64           // size of the changes in queue and of those taken from it that are not told yet
	lost    map[string]bool // classes with dropped changes
	running bool            // a dispatcher runs
	closed  bool

	// Owned by the dispatcher.
	seq  uint64
	late []*subscription
	slow []*distinct // queries to be ended
	// costly are those that are to be considered last.
	costly []*distinct
}

// pending is a change that waits to be matched.
type pending struct {
	change parse.Change
	bytes  int64
}

// room takes room for a change in the queue; qmu is held.
func (s *shard) room(bytes int64) bool {
	all := &s.hub.pending
	limit := s.hub.opts.PendingBytes
	switch {
	case len(s.queue) >= s.hub.opts.MaxPending:
		return false
	case s.bytes+bytes > limit/2:
		if !all.CompareAndSwap(0, bytes) { // not the only one
			return false
		}
	case all.Add(bytes) > limit:
		all.Add(-bytes)
		return false
	}
	s.bytes += bytes
	return true
}

// done gives back the room of a change.
func (s *shard) done(bytes int64) {
	s.qmu.Lock()
	s.bytes -= bytes
	s.qmu.Unlock()
	s.hub.pending.Add(-bytes)
}

// publish queues changes that subscribers may care for. It never waits for
// them to be matched. On overflow changes are dropped, and whoever subscribes
// to their class is told to start anew.
func (s *shard) publish(ctx context.Context, changes []parse.Change) {
	s.qmu.Lock()
	defer s.qmu.Unlock()
	if s.closed {
		return
	}
	for i := range changes {
		ch := &changes[i]
		if s.lost[ch.Class] {
			s.hub.dropped.Add(1)
			continue
		}
		bytes := int64(ch.Size())
		switch {
		case !s.room(bytes):
			if s.lost == nil {
				s.lost = map[string]bool{}
			}
			s.lost[ch.Class] = true
			s.hub.dropped.Add(1)
		default:
			s.queue = append(s.queue, pending{*ch, bytes})
		}
	}
	s.start(ctx)
}

// miss has a class resynced, once what is queued has been told.
func (s *shard) miss(ctx context.Context, class string) {
	s.qmu.Lock()
	defer s.qmu.Unlock()
	if s.closed || !s.subscribed(class) {
		return
	}
	if s.lost == nil {
		s.lost = map[string]bool{}
	}
	s.lost[class] = true
	s.start(ctx)
}

// start lets a dispatcher run if there is work for it; qmu is held.
func (s *shard) start(ctx context.Context) {
	if !s.running && len(s.queue)+len(s.lost) > 0 {
		s.running = true
		s.hub.wg.Add(1)
		go s.run(context.WithoutCancel(ctx))
	}
}

// subscribed reports whether anybody subscribes to the class now.
func (s *shard) subscribed(class string) bool {
	_, ok := s.active.Load(class)
	return ok
}

// run works off the queue and ends when it is empty.
func (s *shard) run(ctx context.Context) {
	defer s.hub.wg.Done()
	var batch []pending
	for {
		s.qmu.Lock()
		if s.closed || len(s.queue) == 0 && len(s.lost) == 0 {
			s.running = false
			for i := range s.queue { // of a hub that is closed
				s.bytes -= s.queue[i].bytes
				s.hub.pending.Add(-s.queue[i].bytes)
			}
			s.queue, s.lost = nil, nil
			s.qmu.Unlock()
			return
		}
		lost := s.lost
		s.lost = nil
		batch, s.queue = s.queue, batch[:0]
		s.qmu.Unlock()
		for i := range batch {
			s.dispatch(ctx, &batch[i].change)
			bytes := batch[i].bytes
			batch[i] = pending{}
			s.done(bytes)
		}
		for class := range lost {
			s.resync(class)
		}
	}
}

// resync closes the clients that subscribe to a class of which changes were lost.
func (s *shard) resync(class string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub.log.Warn("live query changes dropped", "class", class)
	if old := s.rings[class]; old != nil { // it has a gap
		s.hub.kept.Add(-old.bytes)
		r := newRing(old.size, s.hub.clock())
		r.idle = old.idle
		s.rings[class] = r
	}
	ci := s.classes[class]
	if ci == nil {
		return
	}
	placed, _ := ci.all()
	for _, sub := range placed {
		sub.client.close(CloseResync, "changes were lost: subscribe again")
	}
}

// dispatch tells all whom a change concerns. Should it panic, which only a
// fault of the server can cause, the change is lost and treated as such.
func (s *shard) dispatch(ctx context.Context, ch *parse.Change) {
	defer func() {
		if p := recover(); p != nil {
			s.hub.log.ErrorContext(ctx, "live query change panicked", "class", ch.Class, "panic", p, "stack", string(debug.Stack()))
			s.hub.dropped.Add(1)
			s.late, s.slow, s.costly = nil, nil, nil
			s.resync(ch.Class)
		}
	}()
	began := s.hub.clock()
	s.renew(ch.Class)
	r := newRound(s.hub, ch)
	told := s.record(r)
	s.consult(r)
	// Those whose rights are in question: ask, then decide by the answer. This
	// happens here, and not later, to keep the order of changes.
	for i, sub := range s.late {
		for _, id := range sub.identities() {
			s.hub.refresh(ctx, id, false)
		}
		s.deliverLate(r, sub)
		s.late[i] = nil
	}
	s.late = s.late[:0]
	for i, d := range s.slow {
		s.expel(ch.Class, d)
		s.slow[i] = nil
	}
	s.slow = s.slow[:0]
	ended := s.hub.clock()
	if told != nil {
		told.Store(ended)
	}
	s.hub.changes.Add(1)
	s.hub.matchNanos.Add(ended - began)
}

// consult finds the queries that a change can concern, in either state.
func (s *shard) consult(r *round) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ci := s.classes[r.change.Class]
	if ci == nil {
		return
	}
	s.seq++
	visit := func(d *distinct) {
		if d.seen == s.seq {
			return
		}
		d.seen = s.seq
		if d.costly {
			s.costly = append(s.costly, d)
			return
		}
		s.consider(r, d)
	}
	for _, p := range ci.paths {
		p.find(r.change.Before, visit)
		p.find(r.change.After, visit)
	}
	for _, d := range ci.scan {
		visit(d)
	}
	if len(s.costly) > 0 {
		s.considerLast(r)
	}
}

// consider matches one query against both states of a change and tells its
// subscribers.
func (s *shard) consider(r *round, d *distinct) {
	mb, ma := s.match(r, d)
	if !mb && !ma {
		return
	}
	for _, g := range d.groups {
		ev, obj, orig := r.decide(g, mb, ma)
		for _, v := range g.views {
			if ev.name == "" || v.ignores(ev, r.change) {
				s.postpone(v)
				continue
			}
			s.deliver(r.frame(ev, obj, orig, v), v)
		}
	}
}

// match reports whether the query holds before and after the change.
func (s *shard) match(r *round, d *distinct) (before, after bool) {
	if !d.patterned {
		return r.match(d)
	}
	d.before, d.after = false, false
	if s.exhausted(r, d) {
		return false, false
	}
	before, after = r.match(d)
	if s.charge(r, d) {
		d.before, d.after = before, after
	}
	return d.before, d.after
}

func (r *round) match(d *distinct) (before, after bool) {
	ch := r.change
	d.scan.Reset()
	return ch.Before != nil && d.scan.Match(ch.Before), ch.After != nil && d.scan.Match(ch.After)
}

// decide returns what a group is told, with the states as it may see them.
func (r *round) decide(g *group, mb, ma bool) (ev event, obj, orig stripped) {
	ch := r.change
	rb := ch.Before != nil && g.plan.CanRead(ch.Before)
	ra := ch.After != nil && g.plan.CanRead(ch.After)
	ev = decide(ch.Action, mb, ma, rb, ra)
	if ev.name != "" {
		obj, orig = r.strip(ev.object, g), r.strip(ev.original, g)
	}
	return ev, obj, orig
}

// frame returns the event frame of a view, but for the subscription.
func (r *round) frame(ev event, obj, orig stripped, v *view) frame {
	p := r.tail(ev, obj, orig, v)
	if s := r.story(ev, v); s != nil {
		if r.load == nil {
			r.load = &load{bytes: int64(r.change.Size())}
		}
		// What is made of it in the end is about as much.
		p = &payload{event: ev.name, text: p.text, story: s, load: load{bytes: storyBytes + payloadBytes + 2*int64(cap(p.text)), under: r.load}}
	}
	return frame{payload: p}
}

// ignores reports whether the watch list keeps an event from the view.
func (v *view) ignores(ev event, ch *parse.Change) bool {
	return v.watch != nil && (ev.name == evUpdate || ev.name == evCreate) && !watched(v.watch, ch.Before, ch.After)
}

func (s *shard) deliver(f frame, v *view) {
	// Held here until all have it, what they share is counted once, not anew
	// for each writer that is quick.
	f.hold(&s.hub.waiting)
	defer f.release(&s.hub.waiting)
	sent := int64(0)
	for _, sub := range v.subs {
		if sub.stale() {
			s.late = append(s.late, sub)
			continue
		}
		f.sub = sub
		if sub.client.enqueue(f) {
			sent++
		}
	}
	s.hub.events.Add(sent)
}

// postpone collects those of a view that get nothing by what is known of
// them, but whose rights may have grown since.
func (s *shard) postpone(v *view) {
	for _, sub := range v.subs {
		if sub.stale() {
			s.late = append(s.late, sub)
		}
	}
}

// deliverLate tells one subscription of the change under its renewed plan.
func (s *shard) deliverLate(r *round, sub *subscription) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if sub.view == nil {
		return
	}
	d := sub.view.group.query
	mb, ma := d.before, d.after // a pattern is asked once
	if !d.patterned || d.seen != s.seq {
		d.seen = s.seq
		mb, ma = s.match(r, d)
	}
	if f, ok := r.forOne(sub, mb, ma); ok && sub.client.enqueue(f) {
		s.hub.events.Add(1)
	}
}

// forOne returns the frame for one subscription, if it gets any.
func (r *round) forOne(sub *subscription, mb, ma bool) (frame, bool) {
	v := sub.view
	ev, obj, orig := r.decide(v.group, mb, ma)
	if ev.name == "" || v.ignores(ev, r.change) {
		return frame{}, false
	}
	f := r.frame(ev, obj, orig, v)
	f.sub = sub
	return f, true
}

// add plans a subscription, enters it in the place of old (which may be nil or
// of another class) and confirms it to the client. The error is its refusal;
// whereErr is what is wrong with its where, which counts only for those who
// may query the class at all. from says what it may have missed.
func (s *shard) add(sub *subscription, whereErr error, old *subscription, from resume) error {
	source := s.hub.opts.Schema.Current().Class(sub.class)
	s.mu.Lock()
	defer s.mu.Unlock()
	ci := s.classes[sub.class]
	if ci == nil {
		ci = newClassIndex(sub.class, source, s.hub.queryTime())
		s.classes[sub.class] = ci
		s.active.Store(sub.class, nil)
	}
	defer s.tidy(ci)
	pl, err := s.hub.plan(sub, ci.def)
	if err == nil {
		err = whereErr
	}
	if err == nil {
		err = s.admit(ci, pl)
	}
	if err == nil {
		err = s.place(ci, sub, pl)
	}
	if err != nil {
		return err
	}
	if old != nil && old.class == sub.class {
		s.leave(ci, old)
	}
	s.confirm(sub, from)
	return nil
}

// place enters a planned subscription; mu is held.
func (s *shard) place(ci *classIndex, sub *subscription, pl *planned) error {
	n := len(ci.queries)
	err := ci.place(sub, pl)
	s.hub.distinct.Add(int64(len(ci.queries) - n))
	return err
}

// remove takes a subscription out.
func (s *shard) remove(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ci := s.classes[sub.class]; ci != nil {
		s.leave(ci, sub)
		s.tidy(ci)
	}
}

// leave is remove with mu held.
func (s *shard) leave(ci *classIndex, sub *subscription) {
	n := len(ci.queries)
	ci.remove(sub)
	s.hub.distinct.Add(int64(len(ci.queries) - n))
}

// tidy forgets an empty index.
func (s *shard) tidy(ci *classIndex) {
	if !ci.empty() {
		return
	}
	delete(s.classes, ci.name)
	if r := s.rings[ci.name]; r != nil { // its changes are still kept, for a while
		r.idle = s.hub.clock()
		return
	}
	s.active.Delete(ci.name)
}

// replan gives a subscription the place that its caller's present rights give it.
func (s *shard) replan(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ci := s.classes[sub.class]; ci != nil && sub.placed {
		refused := sub.view == nil
		s.leave(ci, sub)
		s.reenter(ci, sub, refused)
	}
}

// renew plans all subscriptions of a class anew if its definition changed.
func (s *shard) renew(class string) {
	source := s.hub.opts.Schema.Current().Class(class)
	s.mu.RLock()
	ci := s.classes[class]
	same := ci == nil || ci.source == source
	s.mu.RUnlock()
	if same {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ci = s.classes[class]; ci == nil {
		return
	}
	placed, refused := ci.all()
	// All must be out before the first goes in again: groups hold plans that
	// were made under the old definition.
	for _, sub := range placed {
		s.leave(ci, sub)
	}
	ci.define(source)
	for _, sub := range placed {
		s.reenter(ci, sub, false)
	}
	for _, sub := range refused {
		s.leave(ci, sub)
		s.reenter(ci, sub, true)
	}
}

// reenter enters a subscription again. One that is now refused is told so
// once, and stays silent until its rights come back.
func (s *shard) reenter(ci *classIndex, sub *subscription, refused bool) {
	pl, err := s.hub.plan(sub, ci.def)
	if err == nil {
		err = s.place(ci, sub, pl)
	}
	if err == nil {
		return
	}
	ci.refuse(sub)
	if !refused {
		code, text := s.hub.refusal(err)
		sub.client.send(errorFrame(code, text, false, sub.requestID))
	}
}
