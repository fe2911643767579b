package livequery_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// masked is a class whose field p is for the role Staff alone.
func masked() *schema.Class {
	return &schema.Class{Name: "Item", CLP: &schema.CLP{
		Ops:       map[schema.Operation]*schema.Permission{schema.Find: {Public: true}, schema.Get: {Public: true}},
		Protected: map[string][]string{"*": {"p"}, "role:Staff": {}, "userField:owner": {}},
	}}
}

// A hook sees each event for each subscription, with all fields. What it
// leaves is sent, but for what the caller may not see.
func TestAfterEvent(t *testing.T) {
	ann := parse.Pointer{ClassName: "_User", ObjectID: "ann"}
	before := func() *parse.Object {
		return obj("x", nil, "n", 1.0, "p", "old", "m", parse.NewMap(parse.MapField{Key: "k", Value: 1.0}))
	}
	after := func() *parse.Object {
		return obj("x", nil, "n", 2.0, "p", "new", "m", parse.NewMap(parse.MapField{Key: "k", Value: 1.0}))
	}
	const times = `,"createdAt":"2001-09-09T01:46:40.000Z","updatedAt":"2001-09-09T01:46:40.000Z"`
	const old, now = `{"className":"Item","objectId":"x","n":1,"m":{"k":1}` + times + `}`, `{"className":"Item","objectId":"x","n":2,"m":{"k":1}` + times + `}`
	update := func(object, original string) string {
		return `{"op":"update","clientId":"ID","requestId":1,"object":` + object + `,"original":` + original + `}`
	}
	for name, tt := range map[string]struct {
		hook   func(r *cloudcode.EventRequest) error
		delete bool
		keys   string
		ann    string // what ann is sent, who is not of the staff
		bob    string // what bob is sent; "": the same as without a hook
	}{
		"nothing":                {hook: func(*cloudcode.EventRequest) error { return nil }, ann: update(now, old)},
		"kept back":              {hook: func(r *cloudcode.EventRequest) error { r.SendEvent = false; return nil }},
		"no object":              {hook: func(r *cloudcode.EventRequest) error { r.Object = nil; return nil }},
		"no original":            {hook: func(r *cloudcode.EventRequest) error { r.Original = nil; return nil }, ann: `{"op":"update","clientId":"ID","requestId":1,"object":` + now + `}`},
		"another event":          {hook: func(r *cloudcode.EventRequest) error { r.Event = "enter"; return nil }, ann: strings.Replace(update(now, old), "update", "enter", 1)},
		"an unknown event":       {hook: func(r *cloudcode.EventRequest) error { r.Event = "explode"; return nil }},
		"error":                  {hook: func(*cloudcode.EventRequest) error { return cloudcode.Err(142, "no %s", "way") }, ann: `{"op":"error","error":"no way","code":142,"reconnect":false,"requestId":1}`},
		"error without a code":   {hook: func(*cloudcode.EventRequest) error { return errors.New("broken") }, ann: `{"op":"error","error":"broken","code":141,"reconnect":false,"requestId":1}`},
		"a changed object":       {hook: func(r *cloudcode.EventRequest) error { r.Object.Set("n", 7.0); return nil }, ann: update(strings.Replace(now, `"n":2`, `"n":7`, 1), old)},
		"keys hold for a change": {keys: `,"keys":["n"]`, hook: func(r *cloudcode.EventRequest) error { r.Object.Set("q", 7.0); return nil }, ann: update(strings.Replace(now, `,"m":{"k":1}`, "", 1), strings.Replace(old, `,"m":{"k":1}`, "", 1))},
		"a change inside": {
			hook: func(r *cloudcode.EventRequest) error {
				v, _ := r.Object.Get("m")
				v.(*parse.Map).Set("k", 8.0)
				return nil
			},
			ann: update(strings.Replace(now, `"k":1`, `"k":8`, 1), old),
		},
		"hidden stays hidden": {hook: func(r *cloudcode.EventRequest) error { r.Object.Set("p", "shown"); return nil }, ann: update(now, old)},
		"hidden stays hidden from a new owner": {
			hook: func(r *cloudcode.EventRequest) error { r.Object.Set("owner", ann); return nil },
			ann:  update(strings.Replace(now, `},`, `},"owner":{"__type":"Pointer","className":"_User","objectId":"ann"},`, 1), old),
		},
		"hidden stays hidden in another object": {
			hook: func(r *cloudcode.EventRequest) error { r.Object = obj("y", nil, "p", "shown"); return nil },
			ann:  update(`{"className":"Item","objectId":"y"`+times+`}`, old),
		},
		"another class": {
			hook: func(r *cloudcode.EventRequest) error {
				r.Object, r.Original = &parse.Object{ClassName: "Other", ID: "o"}, nil
				r.Object.Set("s", "secret")
				r.Object.Set("t", "text")
				return nil
			},
			ann: `{"op":"update","clientId":"ID","requestId":1,"object":{"className":"Other","objectId":"o","t":"text"}}`,
		},
		"another class that is closed": {hook: func(r *cloudcode.EventRequest) error {
			r.Object = &parse.Object{ClassName: "Closed", ID: "o"}
			return nil
		}},
		"another object that is closed": {hook: func(r *cloudcode.EventRequest) error {
			r.Object = &parse.Object{ClassName: "Other", ID: "o", ACL: readable("bob")}
			return nil
		}},
		"a delete remains one": {
			delete: true, hook: func(r *cloudcode.EventRequest) error {
				if r.Original != nil {
					return errors.New("a delete has no original")
				}
				r.Event = "create"
				return nil
			},
			ann: `{"op":"delete","clientId":"ID","requestId":1,"object":` + old + `}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := cloudcode.New()
			app.AfterEvent("Item", func(_ context.Context, r *cloudcode.EventRequest) error {
				if r.Object.ID == fenceID || r.Caller.UserID() == "bob" {
					return nil
				}
				if r.Object.String("p") == "" || !r.SendEvent || r.SessionToken != "r:ann" || r.Clients != 2 || r.Subscriptions != 4 {
					t.Errorf("the hook was told %+v", r)
				}
				return tt.hook(r)
			})
			r := newRig(t, livequery.Options{App: app, Request: callerOf})
			public := map[schema.Operation]*schema.Permission{schema.Get: {Public: true}}
			r.schema.set(masked(), &schema.Class{Name: "Other", CLP: &schema.CLP{Ops: public, Protected: map[string][]string{"*": {"s"}}}},
				&schema.Class{Name: "Closed", CLP: &schema.CLP{}})
			sockets := []*socket{r.connect(t, `,"sessionToken":"r:ann"`), r.connect(t, `,"sessionToken":"r:bob"`)}
			for _, s := range sockets {
				s.subscribe(1, `{"className":"Item","where":{"objectId":{"$ne":"zzFence"}}`+tt.keys+`}`, "")
				s.fenceOn("Item")
			}
			waitFor(t, "four subscriptions", func() bool { return r.hub.Stats().Subscriptions == 4 })
			b, a := before(), after()
			ch, event := updated(b, a), "update"
			if tt.delete {
				ch, event = deleted(b), "delete"
			}
			r.publish(t, ch)
			var want []string
			if tt.ann != "" {
				want = []string{tt.ann}
			}
			if diff := cmp.Diff(want, sockets[0].frames(r, "Item"), cmp.Transformer("", func(s []string) []string { return append([]string{""}, s...) })); diff != "" {
				t.Errorf("ann (-want +got):\n%s", diff)
			}
			got := sockets[1].frames(r, "Item")
			if len(got) != 1 || !strings.Contains(got[0], event) || tt.keys == "" && (!strings.Contains(got[0], `"p":"old","m":{"k":1}`) || strings.Contains(got[0], "shown")) {
				t.Errorf("bob: %v", got)
			}
			if diff := cmp.Diff([]*parse.Object{before(), after()}, []*parse.Object{b, a}, cmp.Comparer(func(x, y *parse.Object) bool {
				return string(x.AppendJSON(nil)) == string(y.AppendJSON(nil))
			})); diff != "" {
				t.Errorf("the change itself was changed:\n%s", diff)
			}
		})
	}
}

// callerOf tells hooks of the user by his id.
func callerOf(_ context.Context, p *access.Principal) cloudcode.Request {
	c := cloudcode.Caller{Master: p.Kind == access.Master, Roles: p.Roles}
	if p.UserID != "" {
		c.User = &parse.Object{ClassName: "_User", ID: p.UserID}
	}
	return cloudcode.Request{Caller: c}
}

// A validator of the hook refuses as the hook itself would.
func TestAfterEventValidator(t *testing.T) {
	app := cloudcode.New()
	app.AfterEvent("Item", func(context.Context, *cloudcode.EventRequest) error { return nil }, cloudcode.Validator{RequireUser: true})
	r := newRig(t, livequery.Options{App: app, Request: callerOf})
	s := r.connect(t, "")
	s.subscribe(1, `{"className":"Item","where":{}}`, "")
	r.publish(t, created(obj("x", nil)))
	if f := s.next(); f != `{"op":"error","error":"Validation failed. Please login to continue.","code":142,"reconnect":false,"requestId":1}` {
		t.Error(f)
	}
}

// A hook that takes its time holds up its client alone, not even by pings, and
// events keep their order.
func TestAfterEventSlow(t *testing.T) {
	app := cloudcode.New()
	release := make(chan struct{})
	var running atomic.Int32
	app.AfterEvent("Item", func(ctx context.Context, r *cloudcode.EventRequest) error {
		if r.Caller.UserID() == "ann" && r.Object.ID == "slow" {
			running.Add(1)
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return nil
	})
	r := newRig(t, livequery.Options{App: app, Request: callerOf, PingInterval: 200 * time.Millisecond})
	ann, bob := r.connect(t, `,"sessionToken":"r:ann"`), r.connect(t, `,"sessionToken":"r:bob"`)
	for _, s := range []*socket{ann, bob} {
		s.subscribe(1, `{"className":"Item","where":{}}`, "")
	}
	toAnn, toBob := ann.stream(), bob.stream()
	want := func(frames <-chan string, ids ...string) {
		t.Helper()
		for _, id := range ids {
			if f := <-frames; !strings.Contains(f, id) {
				t.Errorf("wants %s: %q", id, f)
			}
		}
	}
	r.publish(t, created(obj("first", nil)), created(obj("slow", nil)), created(obj("last", nil)))
	want(toBob, "first", "slow", "last")
	// A client that does not answer a ping is gone when the next one is due.
	pings := r.pings(t)
	waitFor(t, "five pings", func() bool { return pings() >= 5 })
	r.publish(t, created(obj("more", nil)))
	want(toBob, "more")
	if n := running.Load(); n != 1 {
		t.Errorf("%d hooks run", n)
	}
	close(release)
	want(toAnn, "first", "slow", "last", "more")
}

// When the client goes or the hub closes, hooks under way are told to end.
func TestAfterEventEnds(t *testing.T) {
	app := cloudcode.New()
	began, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	app.AfterEvent("Item", func(ctx context.Context, _ *cloudcode.EventRequest) error {
		began <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	}, cloudcode.Timeout(0))
	r := newRig(t, livequery.Options{App: app})
	gone, stays := r.connect(t, ""), r.connect(t, "")
	gone.subscribe(1, `{"className":"Item","where":{"n":1}}`, "")
	stays.subscribe(1, `{"className":"Item","where":{"n":2}}`, "")
	r.publish(t, created(obj("x", nil, "n", 1.0)))
	<-began
	_ = gone.ws.CloseNow()
	<-ended
	r.publish(t, created(obj("x", nil, "n", 2.0)))
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { _ = r.hub.Close(ctx) }()
	if code := stays.closeCode(); code != websocket.StatusGoingAway {
		t.Errorf("closed with %d", code)
	}
	<-ended
}

// includes is an Includer over a table of objects, each readable by one user
// or by all.
type includes struct {
	mu      sync.Mutex
	reads   map[string]int // by user
	refuse  string         // a user who may not include
	fail    error
	objects map[string]*parse.Object
}

func (in *includes) CheckInclude(_ context.Context, p *access.Principal, class string, q *query.Query) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if p.UserID == in.refuse && in.refuse != "" {
		return parse.Denyf(parse.OperationForbidden, "not %s of %s", strings.Join(q.Include, ","), class)
	}
	return nil
}

func (in *includes) Include(_ context.Context, p *access.Principal, _ string, list []*parse.Object, q *query.Query) ([]*parse.Object, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	who := p.UserID
	if p.Bypass() {
		who = "master"
	}
	in.reads[who]++
	if in.fail != nil {
		return nil, in.fail
	}
	out := make([]*parse.Object, len(list))
	for i, o := range list {
		o = o.Clone()
		out[i] = o
		for _, name := range q.Include {
			ptr, ok := o.Pointer(name)
			if !ok {
				continue
			}
			if to := in.objects[ptr.ObjectID]; to != nil && (p.Bypass() || to.ACL.Allows(p.Subjects(), false)) {
				o.Set(name, to)
			} else {
				o.Fields.Delete(name)
			}
		}
	}
	return out, nil
}

func newIncludes() *includes {
	to := func(id string, acl *parse.ACL) *parse.Object {
		o := &parse.Object{ClassName: "To", ID: id, ACL: acl}
		o.Set("name", "of "+id)
		return o
	}
	return &includes{reads: map[string]int{}, objects: map[string]*parse.Object{"open": to("open", nil), "anns": to("anns", readable("ann"))}}
}

// Events carry included objects, read once for all who may see the same.
func TestInclude(t *testing.T) {
	in := newIncludes()
	r := newRig(t, livequery.Options{Includes: in, MasterKey: "mk"})
	r.schema.set(masked())
	members := []string{"", "", `,"sessionToken":"r:ann"`, `,"sessionToken":"r:ann"`, `,"sessionToken":"r:bob"`, `,"masterKey":"mk"`, `,"masterKey":"mk"`}
	sockets := make([]*socket, len(members))
	for i, m := range members {
		s := r.connect(t, m)
		s.subscribe(1, `{"className":"Item","where":{"n":{"$gt":0}},"include":["to","p"]}`, "")
		s.subscribe(2, `{"className":"Item","where":{"n":{"$gt":0}}}`, "")
		s.fenceOn("Item")
		sockets[i] = s
	}
	pointer := func(id string) parse.Pointer { return parse.Pointer{ClassName: "To", ObjectID: id} }
	r.publish(t,
		updated(obj("x", nil, "n", 1.0, "to", pointer("open"), "p", pointer("open")), obj("x", nil, "n", 2.0, "to", pointer("anns"), "p", pointer("open"))),
		deleted(obj("x", nil, "n", 2.0, "to", pointer("gone"))),
	)
	const open = `{"__type":"Object","className":"To","objectId":"open","name":"of open"}`
	for i, s := range sockets {
		frames := s.frames(r, "Item")
		if len(frames) != 4 {
			t.Fatalf("client %d got %d frames: %v", i, len(frames), frames)
		}
		var with, bare []string
		for _, f := range frames {
			if strings.Contains(f, `"requestId":1`) {
				with = append(with, f)
			} else {
				bare = append(bare, f)
			}
		}
		seesTo, seesP := i == 2 || i == 3 || i >= 5, i >= 4
		if !strings.Contains(with[0], `"original":{"className":"Item"`) || !strings.Contains(with[0], `"n":1,"to":`+open) {
			t.Errorf("client %d: the original has nothing included: %s", i, with[0])
		}
		if strings.Contains(with[0], "of anns") != seesTo || strings.Contains(with[0], `"objectId":"anns"`) != seesTo {
			t.Errorf("client %d: included %s", i, with[0])
		}
		if strings.Contains(with[0], `"p":`+open) != seesP || strings.Contains(with[0], `"p":`) != seesP {
			t.Errorf("client %d: hidden field in %s", i, with[0])
		}
		if strings.Contains(with[1], `"to"`) {
			t.Errorf("client %d: a pointer to nothing in %s", i, with[1])
		}
		if !strings.Contains(bare[0], `"to":{"__type":"Pointer","className":"To","objectId":"anns"}`) {
			t.Errorf("client %d: without include %s", i, bare[0])
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if diff := cmp.Diff(map[string]int{"": 2, "ann": 2, "bob": 2, "master": 2}, in.reads); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
	if n := r.hub.Stats().IncludeReads; n != 8 {
		t.Errorf("%d reads counted", n)
	}
}

// Keys reach into included objects as in a find, hooks see what is included,
// and an event whose include cannot be read goes with its pointers.
func TestIncludeMore(t *testing.T) {
	in := newIncludes()
	app := cloudcode.New()
	app.AfterEvent("Hooked", func(_ context.Context, r *cloudcode.EventRequest) error {
		to, _ := r.Object.Get("to")
		r.Object.Set("seen", to.(*parse.Object).String("name"))
		to.(*parse.Object).Set("name", "changed")
		return nil
	})
	app.BeforeSubscribe("Asked", func(_ context.Context, r *cloudcode.SubscribeRequest) error {
		r.Include = append(r.Include, "to")
		return nil
	})
	r := newRig(t, livequery.Options{Includes: in, App: app})
	s := r.connect(t, "")
	s.subscribe(1, `{"className":"Hooked","where":{},"include":["to"]}`, "")
	s.subscribe(2, `{"className":"Item","where":{},"include":["to"],"keys":["to.name"]}`, "")
	s.subscribe(3, `{"className":"Asked","where":{}}`, "")
	at := func(class string) parse.Change {
		o := obj("x", nil, "to", parse.Pointer{ClassName: "To", ObjectID: "open"}, "n", 1.0)
		o.ClassName = class
		return created(o)
	}
	r.publish(t, at("Hooked"))
	if f := s.next(); !strings.Contains(f, `"name":"changed"},"n":1,"seen":"of open",`) {
		t.Error(f)
	}
	if name := in.objects["open"].String("name"); name != "of open" {
		t.Errorf("the hook changed what others see: %s", name)
	}
	r.publish(t, at("Item"))
	if f := s.next(); !strings.Contains(f, `"to":{"__type":"Object"`) || strings.Contains(f, `"n":1`) {
		t.Error(f)
	}
	r.publish(t, at("Asked"))
	if f := s.next(); !strings.Contains(f, `"to":{"__type":"Object"`) {
		t.Error(f)
	}
	in.mu.Lock()
	in.fail = errors.New("the database is away")
	in.mu.Unlock()
	r.publish(t, at("Asked"))
	if f := s.next(); !strings.Contains(f, `"to":{"__type":"Pointer"`) {
		t.Error(f)
	}
}

// What a find may not include, a subscription may not, either: not when it is
// made, and not later.
func TestIncludeRefused(t *testing.T) {
	many := `"a0"`
	for i := range 50 {
		many += `,"a` + string(rune('A'+i%26)) + string(rune('a'+i/26)) + `"`
	}
	in := newIncludes()
	in.refuse = "ann"
	r := newRig(t, livequery.Options{Includes: in})
	s := r.connect(t, `,"sessionToken":"r:ann"`)
	for include, want := range map[string]string{
		`["to"]`:                                `"error":"Permission denied","code":119,"reconnect":false,"requestId":1}`,
		`[]`:                                    `"error":"Array is too short (0), minimum 1","code":1,`,
		`["a","a"]`:                             `"error":"Array items are not unique (indices 0 and 1)","code":1,`,
		`"to"`:                                  `"error":"Invalid type: string (expected array)","code":1,`,
		`[` + many + `]`:                        `"error":"Number of include fields (51) exceeds maximum allowed (50)","code":102,`,
		`["` + strings.Repeat("a.", 60) + `a"]`: `"error":"Include depth of 61 exceeds maximum allowed depth of 50","code":102,`,
	} {
		s.send(`{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{},"include":` + include + `}}`)
		if f := s.next(); !strings.Contains(f, want) {
			t.Errorf("include %s: %s", include, f)
		}
	}
	b := r.connect(t, `,"sessionToken":"r:bob"`)
	b.subscribe(1, `{"className":"Item","where":{},"include":["to"]}`, "")
	in.mu.Lock()
	in.refuse = "bob"
	in.mu.Unlock()
	r.users.set("r:bob", "bob", "Other") // another principal: the subscription is planned anew
	r.hub.Revoke([]string{"bob"}, false)
	if f := b.next(); f != `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}` {
		t.Error(f)
	}
	none := newRig(t, livequery.Options{})
	c := none.connect(t, "")
	c.send(`{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{},"include":["to"]}}`)
	if f := c.next(); f != `{"op":"error","error":"include is not served here","code":102,"reconnect":false,"requestId":1}` {
		t.Error(f)
	}
}

// anyHooks are hooks of every kind that leave everything as it is.
func anyHooks() *cloudcode.App {
	app := cloudcode.New()
	app.BeforeConnect(func(context.Context, *cloudcode.ConnectRequest) error { return nil })
	app.OnLiveQueryEvent(func(context.Context, *cloudcode.LiveQueryEvent) {})
	for _, class := range []string{"Item", "Other", "_User"} {
		app.BeforeSubscribe(class, func(context.Context, *cloudcode.SubscribeRequest) error { return nil })
		app.AfterEvent(class, func(context.Context, *cloudcode.EventRequest) error { return nil })
	}
	return app
}
