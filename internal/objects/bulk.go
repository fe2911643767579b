package objects

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// hooksAtOnce is how many writes of a bulk are with their hooks at a time.
const hooksAtOnce = 32

// Outcome is what became of one of many writes.
type Outcome struct {
	Saved *Saved // nil if it failed, and for deletes
	Err   error
}

// CreateAll stores new objects of one class, each for itself as Create does,
// with few statements and one commit. In a transaction the first failure ends
// all, and no hook sees the objects before its own.
func (s *Service) CreateAll(ctx context.Context, p *access.Principal, writes []*Write) []Outcome {
	b := s.bulk(writes[0].Class, len(writes), s.app.HasBeforeSave)
	b.each(func(i int) error {
		wr, err := s.prepareCreate(ctx, p, writes[i])
		return b.prepared(ctx, p, i, writes[i], wr, err)
	})
	together, objects, ids := b.together(), make([]*parse.Object, 0, len(writes)), make([]string, 0, len(writes))
	for _, i := range together {
		objects, ids = append(objects, b.ready[i].object), append(ids, b.ready[i].ID)
	}
	if len(objects) > 0 {
		writing, turn := s.turn(ctx, b.name, ids...)
		defer turn.end()
		var errs []error
		if s.tx == nil {
			errs = storage.InsertEach(writing, s.store, b.class(), objects)
		} else if err := s.store.Insert(ctx, b.class(), objects); err != nil {
			return b.refuse(b.ready[together[0]].duplicate(err))
		}
		changes := make([]parse.Change, 0, len(objects))
		for k, i := range together {
			if errs != nil && errs[k] != nil {
				b.fail(i, b.ready[i].duplicate(errs[k]))
				continue
			}
			saved, change := b.ready[i].created()
			b.out[i].Saved, changes = saved, append(changes, change)
		}
		turn.committed(ctx, changes...)
		turn.end()
	}
	b.apart(func(wr *writing) (*Saved, error) { return wr.doInsert(ctx) })
	return b.finish(ctx)
}

// UpdateAll changes objects of one class, each for itself as Update does, with
// one commit where the database can.
func (s *Service) UpdateAll(ctx context.Context, p *access.Principal, writes []*Write) []Outcome {
	b := s.bulk(writes[0].Class, len(writes), s.app.HasBeforeSave)
	known, err := s.readAll(ctx, p, writes)
	if err != nil {
		return b.refuse(err)
	}
	b.each(func(i int) error {
		wr, err := s.prepareUpdate(ctx, p, writes[i], known)
		return b.prepared(ctx, p, i, writes[i], wr, err)
	})
	together, updates, ids := b.together(), make([]*storage.Update, 0, len(writes)), make([]string, 0, len(writes))
	for _, i := range together {
		u := b.ready[i].command()
		u.Class = b.class()
		updates, ids = append(updates, u), append(ids, b.ready[i].ID)
	}
	if len(updates) > 0 {
		writing, turn := s.turn(ctx, b.name, ids...)
		defer turn.end()
		changes := make([]parse.Change, 0, len(updates))
		for k, r := range storage.UpdateEach(writing, s.store, updates) {
			i := together[k]
			if r.Err != nil {
				b.fail(i, b.ready[i].notUpdated(r.Err))
				continue
			}
			saved, change := b.ready[i].updated(r.Before, r.After)
			b.out[i].Saved, changes = saved, append(changes, change)
		}
		turn.committed(ctx, changes...)
		turn.end()
	}
	b.apart(func(wr *writing) (*Saved, error) { return wr.doUpdate(ctx) })
	out := b.finish(ctx)
	for i := range out { // decided on a state that is gone: anew, one by one
		if moved(out[i].Err) {
			out[i].Saved, out[i].Err = s.Update(ctx, p, writes[i])
		}
	}
	return out
}

// readAll reads with one query the objects whose updates have to see them
// before, as far as the caller may write them.
func (s *Service) readAll(ctx context.Context, p *access.Principal, writes []*Write) (map[string]*parse.Object, error) {
	name := writes[0].Class
	if !s.readsFirst(name) {
		return nil, nil
	}
	wr, err := s.begin(ctx, p, writes[0], schema.Update)
	if err != nil {
		return nil, err
	}
	ids := make([]parse.Value, len(writes))
	for i, w := range writes {
		ids[i] = w.ID
	}
	where := query.AllOf(&query.Member{Path: parse.KeyObjectID, Op: query.In, Values: ids}, wr.plan.Constraint(true))
	list, err := s.store.Find(ctx, &storage.Find{
		Class: wr.Class, Where: wr.rule.Constrain(p, where), Limit: query.NoLimit, AnyOrder: true,
	})
	if err != nil {
		return nil, err
	}
	known := make(map[string]*parse.Object, len(list))
	for _, o := range list {
		known[o.ID] = o
	}
	return known, nil
}

// DeleteAll removes objects of one class, each for itself as Delete does, with
// one statement if no hook has to see them before.
func (s *Service) DeleteAll(ctx context.Context, p *access.Principal, class string, ids []string) []Outcome {
	b := s.bulk(class, len(ids), s.app.HasBeforeDelete)
	b.hooked = b.hooked || s.tells(cloudcode.TriggerAfterDelete, class)
	if b.hooked {
		b.each(func(i int) error { return s.Delete(ctx, p, class, ids[i]) })
		return b.out
	}
	d, err := s.deletion(ctx, p, class)
	if err != nil {
		return b.refuse(err)
	}
	values := make([]parse.Value, len(ids))
	at := make(map[string]int, len(ids))
	for i, id := range ids {
		values[i] = id
		if _, twice := at[id]; !twice {
			at[id] = i
		}
		b.out[i].Err = parse.ErrNotFound()
	}
	writing, turn := s.turn(ctx, class, ids...)
	defer turn.end()
	gone, err := s.store.Delete(writing, d.class, d.where(&query.Member{Path: parse.KeyObjectID, Op: query.In, Values: values}))
	if err != nil {
		return b.refuse(err)
	}
	changes := make([]parse.Change, len(gone))
	for i, o := range gone {
		changes[i] = parse.Change{Class: class, Action: parse.Deleted, Before: o}
	}
	turn.committed(ctx, changes...)
	turn.end()
	for _, o := range gone {
		b.out[at[o.ID]].Err = d.finish(ctx, o)
	}
	return b.out
}

// bulk is many writes of one class on their way.
type bulk struct {
	s      *Service
	name   string
	hooked bool
	ready  []*writing
	out    []Outcome
}

func (s *Service) bulk(class string, n int, hooked func(class string) bool) *bulk {
	return &bulk{s: s, name: class, hooked: hooked(class), ready: make([]*writing, n), out: make([]Outcome, n)}
}

// each runs f for each write, side by side if hooks may make it wait. In a
// transaction it goes in order and ends with the first failure.
func (b *bulk) each(f func(i int) error) {
	if b.s.tx != nil || !b.hooked || len(b.out) == 1 {
		for i := range b.out {
			b.fail(i, f(i))
			if b.out[i].Err != nil && b.s.tx != nil {
				return
			}
		}
		return
	}
	var wg sync.WaitGroup
	workers := min(hooksAtOnce, len(b.out))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(b.out); i += workers {
				b.fail(i, guarded(func() error { return f(i) }))
			}
		})
	}
	wg.Wait()
}

// guarded turns a panic into an error, for it would be in a goroutine that
// nobody else guards.
func guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

func (b *bulk) fail(i int, err error) {
	if err != nil {
		b.out[i], b.ready[i] = Outcome{Err: err}, nil
	}
}

func (b *bulk) refuse(err error) []Outcome {
	for i := range b.out {
		b.out[i].Err = err
	}
	return b.out
}

// together lists the writes that the store can do at once: all that are ready
// and change no relation.
func (b *bulk) together() []int {
	list := make([]int, 0, len(b.ready))
	for i, wr := range b.ready {
		if wr != nil && !wr.alone() {
			list = append(list, i)
		}
	}
	return list
}

// apart does the writes that are a transaction of their own, as they also
// change relations.
func (b *bulk) apart(do func(wr *writing) (*Saved, error)) {
	for i, wr := range b.ready {
		if wr == nil || !wr.alone() {
			continue
		}
		saved, err := do(wr)
		b.out[i].Saved = saved
		b.fail(i, err)
	}
}

// prepared keeps a write for the store, or does at once one that a rule has
// led to another object.
func (b *bulk) prepared(ctx context.Context, p *access.Principal, i int, w *Write, wr *writing, err error) error {
	if err != nil {
		b.out[i].Saved, err = b.s.follow(ctx, p, w, err)
		return err
	}
	b.ready[i] = wr
	return nil
}

// class is the definition in force: it has the fields that any of the writes
// brought into being.
func (b *bulk) class() *schema.Class {
	if c := b.s.reg.Current().Class(b.name); c != nil {
		return c
	}
	for _, wr := range b.ready {
		if wr != nil {
			return wr.Class
		}
	}
	return schema.Complete(&schema.Class{Name: b.name})
}

// finish runs what comes after the commit.
func (b *bulk) finish(ctx context.Context) []Outcome {
	_, ruled := b.s.rules[b.name]
	if ruled || b.s.app.HasAfterSave(b.name) {
		b.hooked = true
		b.each(func(i int) error {
			if b.ready[i] == nil { // failed, or already finished
				return b.out[i].Err
			}
			return b.ready[i].finish(ctx, b.out[i].Saved)
		})
	}
	return b.out
}
