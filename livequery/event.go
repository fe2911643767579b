package livequery

import (
	"slices"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// side names one of the two states of a change.
type side uint8

const (
	none side = iota
	before
	after
)

// event is what a group of callers is told of a change.
type event struct {
	name     string // "" for nothing
	object   side
	original side
}

// Names of events, as on the wire.
const (
	evCreate = "create"
	evEnter  = "enter"
	evUpdate = "update"
	evLeave  = "leave"
	evDelete = "delete"
)

// decide is the table of reference 05 §4: which event follows from which
// states match the query and may be read. A state that may not be read is
// never part of the event.
func decide(a parse.Action, matchBefore, matchAfter, readBefore, readAfter bool) event {
	was, is := matchBefore && readBefore, matchAfter && readAfter
	if a == parse.Deleted {
		if was {
			return event{name: evDelete, object: before}
		}
		return event{}
	}
	switch {
	case was && is:
		return event{name: evUpdate, object: after, original: before}
	case was:
		ev := event{name: evLeave, object: after, original: before}
		if !readAfter { // it left because access to it is lost
			ev.object = before
		}
		return ev
	case is && a == parse.Created:
		return event{name: evCreate, object: after}
	case is:
		ev := event{name: evEnter, object: after}
		if readBefore {
			ev.original = before
		}
		return ev
	}
	return event{}
}

// round is the work on one change: what was encoded so far, to be shared by
// all whom the change concerns.
type round struct {
	hub    *Hub
	change *parse.Change
	// hooked: the class has hooks that see each event.
	hooked bool
	// epoch and seq are the place of the change in its ring; epoch is "" if it
	// is kept in none. sealed is that for clients, once one asks.
	epoch   string
	seq     uint64
	sealed  string
	objects map[objectKey][]byte
	tails   map[tailKey]*payload
	// inclusions are the reads for includes, made when their events are written.
	inclusions map[inclusionKey]*inclusion
	// load is what the states take that stories keep, nil until there is one.
	load *load
	// spent is what slow patterns have taken.
	spent time.Duration
}

func newRound(h *Hub, ch *parse.Change) *round {
	return &round{hub: h, change: ch, hooked: h.opts.App.HasAfterEvent(ch.Class), objects: map[objectKey][]byte{}, tails: map[tailKey]*payload{}}
}

// objectKey identifies an encoded object: hidden lists the fields that the
// plan removed, so plans of different callers share the bytes if they see
// the same.
type objectKey struct {
	side   side
	hidden string
	fields string // view.fields
}

type tailKey struct {
	event            string
	object, original objectKey
	positions        bool
}

// position is where a client stands that has had the change; "" if it is not kept.
func (r *round) position() string {
	if r.sealed == "" && r.epoch != "" {
		r.sealed = r.hub.seal(r.epoch, r.seq)
	}
	return r.sealed
}

func (r *round) state(s side) *parse.Object {
	switch s {
	case before:
		return r.change.Before
	case after:
		return r.change.After
	case none:
	}
	return nil
}

// stripped is one state of the change as a group may see it.
type stripped struct {
	object *parse.Object
	hidden string
}

func (r *round) strip(s side, g *group) stripped {
	full := r.state(s)
	if full == nil {
		return stripped{}
	}
	o := g.plan.Strip(full)
	if o == full {
		return stripped{object: o}
	}
	return stripped{object: o, hidden: hiddenFields(full, o)}
}

// hiddenFields lists the fields of full that o lacks.
func hiddenFields(full, o *parse.Object) string {
	var b strings.Builder
	for name := range full.Fields.All() {
		if !o.Fields.Has(name) {
			b.WriteString(name)
			b.WriteByte(0)
		}
	}
	return b.String()
}

// tailRoom is for what is in a tail beside objects and position.
const tailRoom = 48

// tail returns the part of a frame that all subscribers of a view share.
func (r *round) tail(ev event, obj, orig stripped, v *view) *payload {
	k := tailKey{event: ev.name, object: objectKey{ev.object, obj.hidden, v.fields}, positions: v.positions && r.epoch != ""}
	if ev.original != none {
		k.original = objectKey{ev.original, orig.hidden, v.fields}
	}
	if t, ok := r.tails[k]; ok {
		return t
	}
	o, was := r.encode(k.object, obj.object, v), []byte(nil)
	if ev.original != none {
		was = r.encode(k.original, orig.object, v)
	}
	t := make([]byte, 0, len(o)+len(was)+tailRoom) // it may wait for long
	t = append(append(t, `,"object":`...), o...)
	if ev.original != none {
		t = append(append(t, `,"original":`...), was...)
	}
	if k.positions {
		t = parse.AppendJSON(append(t, `,"position":`...), r.position())
	}
	t = append(t, '}')
	p := newPayload(ev.name, t)
	r.tails[k] = p
	return p
}

func (r *round) encode(k objectKey, o *parse.Object, v *view) []byte {
	if b, ok := r.objects[k]; ok {
		return b
	}
	b := appendObject(nil, r.change.Class, selectKeys(r.change.Class, o, v.keys))
	r.objects[k] = b
	return b
}

// appendObject appends o with its className, which events carry and REST
// answers do not.
func appendObject(dst []byte, class string, o *parse.Object) []byte {
	dst = parse.AppendJSON(append(dst, `{"className":`...), class)
	n := len(dst)
	dst = o.AppendJSON(dst)
	if dst[n+1] == '}' { // nothing follows
		return append(dst[:n], '}')
	}
	dst[n] = ',' // in the place of the brace
	return dst
}

// selectKeys reduces o to the named fields beside its system fields; nil
// names are all. Of a user it never shows what logs in.
func selectKeys(class string, o *parse.Object, keys []string) *parse.Object {
	if class == classUser && (o.Fields.Has("password") || o.Fields.Has("sessionToken") || o.Fields.Has("authData")) {
		o = o.Clone()
		o.Fields.Delete("password")
		o.Fields.Delete("sessionToken")
		o.Fields.Delete("authData")
	}
	if keys == nil {
		return o
	}
	out := *o
	out.Fields = parse.Map{}
	for k, v := range o.Fields.All() {
		if slices.Contains(keys, k) {
			out.Fields.Set(k, v)
		}
	}
	return &out
}

// watched reports whether one of the fields differs between the two states.
func watched(fields []string, b, a *parse.Object) bool {
	for _, f := range fields {
		var was, is parse.Value
		var had, has bool
		if b != nil {
			was, had = parse.Lookup(b, f)
		}
		if a != nil {
			is, has = parse.Lookup(a, f)
		}
		if had != has || !parse.Equal(was, is) {
			return true
		}
	}
	return false
}
