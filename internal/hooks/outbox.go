package hooks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/cloudcode/webhook"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Fields of the outbox.
const (
	fieldClass   = "hookClass"
	fieldTrigger = "triggerName"
	fieldPayload = "payload"
	fieldNext    = "nextAttempt"
	fieldTries   = "attempts"
	fieldFailed  = "failed"
)

const (
	atOnce = 8   // calls of one delivery side by side
	page   = 100 // entries of one delivery
	// maxTries is how often an entry is sent, over about two days; then it
	// stays, marked as failed, for whoever looks.
	maxTries = 20
	maxPause = 6 * time.Hour
)

// Wants implements objects.Outbox.
func (s *Service) Wants(t cloudcode.Trigger, class string) bool {
	_, ok := (*s.later.Load())[key{t, class}]
	return ok
}

// KeepSave implements objects.Outbox.
func (s *Service) KeepSave(ctx context.Context, tx *objects.Service, r *cloudcode.SaveRequest) error {
	return s.keep(ctx, tx, key{cloudcode.TriggerAfterSave, r.Class}, webhook.AfterSave(r))
}

// KeepDelete implements objects.Outbox.
func (s *Service) KeepDelete(ctx context.Context, tx *objects.Service, r *cloudcode.DeleteRequest) error {
	return s.keep(ctx, tx, key{cloudcode.TriggerAfterDelete, r.Class}, webhook.AfterDelete(r))
}

func (s *Service) keep(ctx context.Context, tx *objects.Service, k key, payload []byte) error {
	_, err := tx.Create(ctx, master, &objects.Write{Class: outbox, Body: parse.NewMap(
		parse.MapField{Key: fieldClass, Value: k.class},
		parse.MapField{Key: fieldTrigger, Value: string(k.trigger)},
		parse.MapField{Key: fieldPayload, Value: string(payload)},
		parse.MapField{Key: fieldNext, Value: parse.NewDate(s.o.Now())},
		parse.MapField{Key: fieldTries, Value: 0.0},
	)})
	return err
}

// Committed implements objects.Outbox.
func (s *Service) Committed() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Deliver sends what is due, until nothing is.
func (s *Service) Deliver(ctx context.Context) error {
	for ctx.Err() == nil {
		where := query.AllOf(
			&query.Compare{Path: fieldNext, Op: query.Lte, Value: parse.NewDate(s.o.Now())},
			&query.Compare{Path: fieldFailed, Op: query.Ne, Value: true})
		found, err := s.objs.Find(ctx, master, outbox, &query.Query{Where: where, Order: []query.Sort{{Path: parse.KeyCreatedAt}}, Limit: page})
		if err != nil {
			return fmt.Errorf("read the outbox of webhooks: %w", err)
		}
		errs := make([]error, len(found.Objects))
		var wg sync.WaitGroup
		for w := range min(atOnce, len(found.Objects)) {
			wg.Go(func() {
				for i := w; i < len(found.Objects); i += atOnce {
					errs[i] = s.deliver(ctx, found.Objects[i])
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil || len(found.Objects) < page {
			return err
		}
	}
	return ctx.Err()
}

// deliver sends one entry, if it is still there for this server.
func (s *Service) deliver(ctx context.Context, o *parse.Object) error {
	k := key{cloudcode.Trigger(o.String(fieldTrigger)), o.String(fieldClass)}
	target, ok := (*s.later.Load())[k]
	if !ok { // the hook has been removed: nobody wants it
		return gone(s.objs.Delete(ctx, master, outbox, o.ID))
	}
	was, _ := o.Get(fieldNext)
	tries, _ := o.Number(fieldTries)
	tries++
	claim := parse.NewMap(
		parse.MapField{Key: fieldNext, Value: parse.NewDate(s.o.Now().Add(s.o.Claim))},
		parse.MapField{Key: fieldTries, Value: tries},
	)
	_, err := s.objs.Update(ctx, master, &objects.Write{Class: outbox, ID: o.ID, Body: claim, If: query.Equal(fieldNext, was)})
	if parse.CodeOf(err) == parse.ObjectNotFound {
		return nil // another server has it
	}
	if err != nil {
		return fmt.Errorf("claim an entry of the outbox: %w", err)
	}
	answer, err := s.o.Client.Send(ctx, target, "msg_"+o.ID, []byte(o.String(fieldPayload)))
	if err == nil {
		if _, said := webhook.Answer(answer); said != nil {
			// It has arrived; what it says about it changes nothing.
			s.o.Log.WarnContext(ctx, "a webhook reports an error after a write", "trigger", k.trigger, "class", k.class, "error", said)
		}
		return gone(s.objs.Delete(ctx, master, outbox, o.ID))
	}
	if ctx.Err() != nil {
		return ctx.Err() // the claim runs out
	}
	next := parse.NewMap(parse.MapField{Key: fieldNext, Value: parse.NewDate(s.o.Now().Add(pause(int(tries))))})
	if tries >= maxTries {
		next.Set(fieldFailed, true)
		s.o.Log.ErrorContext(ctx, "a webhook was given up", "trigger", k.trigger, "class", k.class, "entry", o.ID, "error", err)
	}
	_, err = s.objs.Update(ctx, master, &objects.Write{Class: outbox, ID: o.ID, Body: next})
	return gone(err)
}

// gone lets pass that an entry is not there any more.
func gone(err error) error {
	if parse.CodeOf(err) == parse.ObjectNotFound {
		return nil
	}
	return err
}

// pause is the time before the next try: it doubles from one second on.
func pause(tries int) time.Duration {
	if tries >= 15 {
		return maxPause
	}
	return min(maxPause, time.Second<<(tries-1))
}
