package objects

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
)

// stripes is how many locks keep the order of changes where the store does not.
const stripes = 1024

// order publishes the changes of each object in the order of their commits.
// Where the store tells of its commits, it is theirs. Elsewhere the writes of
// an object that somebody listens to take turns, each with its publication.
type order struct {
	ordered bool
	seed    maphash.Seed
	locks   [stripes]sync.Mutex
}

func newOrder(store storage.Store) *order {
	return &order{ordered: storage.IsOrdered(store), seed: maphash.MakeSeed()}
}

// turn is one write whose changes are to be published.
type turn struct {
	s     *Service
	told  bool  // the store has told of the commit
	locks []int // held, in ascending order
}

// turn begins a write of objects; its context is for the store's call alone,
// and end must follow. Publish what was changed by [turn.committed] before.
func (s *Service) turn(ctx context.Context, class string, ids ...string) (context.Context, *turn) {
	t := &turn{s: s}
	if s.tx != nil || !s.o.Publisher.Wants(class) {
		return ctx, t
	}
	if s.order.ordered {
		return storage.TellOnCommit(ctx, func(changes []parse.Change) {
			if len(changes) > 0 {
				t.told = true
				s.o.Publisher.Publish(ctx, changes)
			}
		}), t
	}
	for _, id := range ids {
		t.locks = append(t.locks, int(maphash.String(s.order.seed, id)%stripes))
	}
	slices.Sort(t.locks) // one order for all, so that none wait for each other
	t.locks = slices.Compact(t.locks)
	for _, i := range t.locks {
		s.order.locks[i].Lock()
	}
	return ctx, t
}

func (t *turn) committed(ctx context.Context, changes ...parse.Change) {
	if !t.told {
		t.s.committed(ctx, changes...)
	}
}

func (t *turn) end() {
	for _, i := range t.locks {
		t.s.order.locks[i].Unlock()
	}
	t.locks = nil
}
