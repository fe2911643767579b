package objects

import (
	"context"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Outbox keeps what somebody outside has to be told of a write. It is stored
// in the transaction of the write, so that one is there if and only if the
// other is; on a database without transactions both are written one after the
// other.
type Outbox interface {
	// Wants reports whether writes of a class are told.
	Wants(t cloudcode.Trigger, class string) bool
	// KeepSave and KeepDelete store with the Service of the transaction what is to be told.
	KeepSave(ctx context.Context, tx *Service, r *cloudcode.SaveRequest) error
	KeepDelete(ctx context.Context, tx *Service, r *cloudcode.DeleteRequest) error
	// Committed is called after the commit. It must not wait.
	Committed()
}

// SetOutbox sets the outbox. It is for wiring, before the first request.
func (s *Service) SetOutbox(o Outbox) { s.outbox = o }

func (s *Service) tells(t cloudcode.Trigger, class string) bool {
	return s.outbox != nil && s.outbox.Wants(t, class)
}

// alone reports whether a write is a transaction of its own: it changes
// relations as well, or is told to somebody outside.
func (wr *writing) alone() bool {
	return len(wr.relations) > 0 || wr.s.tells(cloudcode.TriggerAfterSave, wr.Class.Name)
}

// tell keeps in the transaction what is to be told of a save.
func (wr *writing) tell(ctx context.Context, tx *Service, o *parse.Object) error {
	if !tx.tells(cloudcode.TriggerAfterSave, wr.Class.Name) {
		return nil
	}
	r := wr.call(ctx, tx, wr.rule.Present(wr.Principal, o.Clone()))
	tx.tx.after = append(tx.tx.after, func(context.Context) { tx.outbox.Committed() })
	return tx.outbox.KeepSave(ctx, tx, &r.SaveRequest)
}

// tell is that of a delete.
func (d *deletion) tell(ctx context.Context, tx *Service, o *parse.Object) error {
	r := d.request(ctx, tx, d.rule.Present(d.p, o.Clone()))
	tx.tx.after = append(tx.tx.after, func(context.Context) { tx.outbox.Committed() })
	return tx.outbox.KeepDelete(ctx, tx, r)
}

// erase deletes what matches, and keeps what is to be told of it.
func (d *deletion) erase(ctx context.Context, where query.Node) (gone []*parse.Object, err error) {
	if !d.s.tells(cloudcode.TriggerAfterDelete, d.class.Name) {
		return d.s.store.Delete(ctx, d.class, where)
	}
	err = d.s.InTx(ctx, func(ctx context.Context, tx *Service) error {
		if gone, err = tx.store.Delete(ctx, d.class, where); err != nil {
			return err
		}
		for _, o := range gone {
			if err := d.tell(ctx, tx, o); err != nil {
				return err
			}
		}
		return nil
	})
	return gone, err
}
