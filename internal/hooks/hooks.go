// Package hooks keeps the webhooks of an application in the class _Hooks, and
// sends what follows writes until it has arrived (reference 06 §11).
//
// What is to be sent is stored in the class _WebhookOutbox, in the transaction
// of the write. A server claims an entry for the time of a call, and takes it
// away once the hook has answered; if the server dies in between, the entry is
// claimed again. So each arrives at least once, and carries an id by which a
// second arrival is known.
package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/cloudcode/webhook"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

const (
	class  = "_Hooks"
	outbox = "_WebhookOutbox"

	codeHook parse.Code = 143
)

// Options configure a Service.
type Options struct {
	Client *webhook.Client
	Now    func() time.Time // nil: time.Now
	// Interval is how often the hooks and what waits are looked at, besides
	// when something happens here; 0: 5 seconds.
	Interval time.Duration
	// Claim is for how long an entry of the outbox is a server's own; 0: a minute.
	Claim time.Duration
	Log   *slog.Logger // nil: discarded
}

// Service keeps and calls webhooks.
type Service struct {
	o    Options
	objs *objects.Service
	wake chan struct{}

	mu   sync.Mutex // serialises changes of the hooks, and guards them
	list []entry
	// later holds the URLs of after-hooks, for writes to ask.
	later atomic.Pointer[map[key]string]
}

type entry struct {
	id string
	webhook.Hook
}

type key struct {
	trigger cloudcode.Trigger
	class   string
}

// New returns a Service over the objects. Load must follow.
func New(objs *objects.Service, o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Interval == 0 {
		o.Interval = 5 * time.Second
	}
	if o.Claim == 0 {
		o.Claim = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o, objs: objs, wake: make(chan struct{}, 1)}
	s.later.Store(&map[key]string{})
	objs.SetOutbox(s)
	return s
}

var _ objects.Outbox = (*Service)(nil)

var master = access.MasterKey()

// Load reads the hooks and puts them in force, if they have changed.
func (s *Service) Load(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load(ctx)
}

func (s *Service) load(ctx context.Context) error {
	found, err := s.objs.Find(ctx, master, class, &query.Query{Limit: query.NoLimit})
	if err != nil {
		return fmt.Errorf("read webhooks: %w", err)
	}
	var list []entry
	for _, o := range found.Objects {
		h := webhook.Hook{
			Function: o.String("functionName"), Class: o.String("className"),
			Trigger: cloudcode.Trigger(o.String("triggerName")), URL: o.String("url"),
		}
		if err := h.Check(); err != nil {
			s.o.Log.WarnContext(ctx, "a stored webhook is not in force", "id", o.ID, "error", err)
			continue
		}
		list = append(list, entry{o.ID, h})
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Trigger, b.Trigger), cmp.Compare(a.id, b.id))
	})
	if slices.Equal(list, s.list) {
		return nil
	}
	extra := s.objs.App().NewExtra()
	later := map[key]string{}
	var now []webhook.Hook
	for _, e := range list {
		if e.Later() {
			later[key{e.Trigger, e.Class}] = e.URL
			continue
		}
		now = append(now, e.Hook)
	}
	webhook.Register(extra, now, s.o.Client)
	if err := extra.Err(); err != nil {
		return fmt.Errorf("put webhooks in force: %w", err)
	}
	s.objs.App().SetExtra(extra)
	s.later.Store(&later)
	s.list = list
	return nil
}

// List returns the hooks, those of functions or those of triggers.
func (s *Service) List(functions bool) []webhook.Hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []webhook.Hook
	for _, e := range s.list {
		if (e.Function != "") == functions {
			out = append(out, e.Hook)
		}
	}
	return out
}

// find returns the stored hook of a declaration; mu is held.
func (s *Service) find(h *webhook.Hook) *entry {
	for i := range s.list {
		if e := &s.list[i]; e.Function == h.Function && e.Class == h.Class && e.Trigger == h.Trigger {
			return e
		}
	}
	return nil
}

// Unknown is the error for a hook that is not there.
func Unknown(h *webhook.Hook) error {
	if h.Function != "" {
		return parse.Errorf(codeHook, "no function named: %s is defined", h.Function)
	}
	return parse.Errorf(codeHook, "class %s does not exist", h.Class)
}

func forbid(p *access.Principal, what string) error {
	if p.Kind == access.ReadOnlyMaster {
		return parse.Denyf(parse.OperationForbidden, "read-only masterKey isn't allowed to %s a hook.", what)
	}
	return nil
}

// Create adds a hook.
func (s *Service) Create(ctx context.Context, p *access.Principal, h webhook.Hook) error {
	if err := forbid(p, "create"); err != nil {
		return err
	}
	if err := h.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(ctx); err != nil { // another server may have been faster
		return err
	}
	if s.find(&h) != nil {
		if h.Function != "" {
			return parse.Errorf(codeHook, "function name: %s already exists", h.Function)
		}
		return parse.Errorf(codeHook, "class %s already has trigger %s", h.Class, h.Trigger)
	}
	body := parse.NewMap(parse.MapField{Key: "url", Value: h.URL})
	if h.Function != "" {
		body.Set("functionName", h.Function)
	} else {
		body.Set("className", h.Class)
		body.Set("triggerName", string(h.Trigger))
	}
	if _, err := s.objs.Create(ctx, master, &objects.Write{Class: class, Body: body}); err != nil {
		return err
	}
	return s.load(ctx)
}

// Update gives a hook another URL.
func (s *Service) Update(ctx context.Context, p *access.Principal, h webhook.Hook) error {
	if err := forbid(p, "modify"); err != nil {
		return err
	}
	if err := h.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(&h)
	if e == nil {
		return Unknown(&h)
	}
	_, err := s.objs.Update(ctx, master, &objects.Write{Class: class, ID: e.id, Body: parse.NewMap(parse.MapField{Key: "url", Value: h.URL})})
	if err != nil {
		return err
	}
	return s.load(ctx)
}

// Delete removes a hook.
func (s *Service) Delete(ctx context.Context, p *access.Principal, h webhook.Hook) error {
	if err := forbid(p, "modify"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(&h)
	if e == nil {
		return parse.ErrNotFound()
	}
	if err := s.objs.Delete(ctx, master, class, e.id); err != nil {
		return err
	}
	return s.load(ctx)
}

// Run looks after the hooks and what waits until ctx ends.
func (s *Service) Run(ctx context.Context) {
	t := time.NewTicker(s.o.Interval)
	defer t.Stop()
	for {
		if err := errors.Join(s.Load(ctx), s.Deliver(ctx)); err != nil && ctx.Err() == nil {
			s.o.Log.ErrorContext(ctx, "webhooks could not be looked after", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.wake:
		}
	}
}
