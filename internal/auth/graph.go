package auth

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

const (
	// These bound the graph in memory, to some 100 MB. With
	// more, roles are looked up in the database, level by level.
	defaultMaxRoles = 200_000
	defaultMaxLinks = 1_000_000
	// manyChanged is from how many changed roles on the graph is read as a whole.
	manyChanged = 500
	// skew is by how much the clocks of servers may differ: a role is looked
	// at again if it was written that much before the last look.
	skew = 2 * time.Minute
	// wholeAge is after how long the graph is read as a whole where others
	// write to the database: a change that left no trace is seen then.
	wholeAge = 10 * time.Minute
)

var (
	usersJoin = storage.Join{Class: roleClass, Key: "users"}
	rolesJoin = storage.Join{Class: roleClass, Key: "roles"}
)

// graph is the roles and which of them hold which others, kept in memory: the
// roles of a user follow from those that list him without a query. Changes are
// marked before they are acknowledged, and read before the graph is next used.
type graph struct {
	store func() storage.Store
	class func() *schema.Class
	now   func() time.Time
	// believed reports whether what was read at a time may still be used.
	believed func(time.Time) bool
	log      *slog.Logger
	// maxRoles and maxLinks bound what is kept.
	maxRoles, maxLinks int

	// marked counts changes, seen is the count that the graph reflects; it is
	// also the version of the graph.
	marked, seen atomic.Uint64
	readAt       atomic.Pointer[time.Time] // nil: never
	// turn lets one goroutine at a time read.
	turn sync.Mutex

	mu      sync.RWMutex
	names   map[string]string   // role → name; guarded by mu
	members map[string][]string // role → roles that it lists; guarded by mu
	holders map[string][]string // role → roles that list it; guarded by mu
	links   int                 // guarded by mu
	huge    bool                // over the bounds; guarded by mu
	whole   time.Time           // when all was read; guarded by mu

	dirtyMu sync.Mutex
	dirty   map[string]bool // changed roles; guarded by dirtyMu
	all     bool            // everything may have changed; guarded by dirtyMu
}

// mark notes that roles changed; nil: any may have.
func (g *graph) mark(ids []string) {
	g.dirtyMu.Lock()
	defer g.dirtyMu.Unlock()
	if ids == nil {
		g.all = true
	}
	if g.dirty == nil {
		g.dirty = map[string]bool{}
	}
	for _, id := range ids {
		g.dirty[id] = true
	}
	g.marked.Add(1)
}

// take hands over the marks, and what was counted with them.
func (g *graph) take() (ids []string, all bool, marked uint64) {
	g.dirtyMu.Lock()
	defer g.dirtyMu.Unlock()
	ids, all = slices.Collect(maps.Keys(g.dirty)), g.all || len(g.dirty) > manyChanged
	g.dirty, g.all = nil, false
	return ids, all, g.marked.Load()
}

// current makes sure that the graph is that of now and returns its version.
func (g *graph) current(ctx context.Context) (uint64, error) {
	want := g.marked.Load()
	for read := false; ; read = true {
		at, seen := g.readAt.Load(), g.seen.Load()
		if at != nil && seen >= want && (read || g.believed(*at)) {
			return seen, nil
		}
		if err := g.read(ctx); err != nil {
			return 0, fmt.Errorf("read roles: %w", err)
		}
	}
}

// read brings the graph up to date.
func (g *graph) read(ctx context.Context) error {
	g.turn.Lock()
	defer g.turn.Unlock()
	last := g.readAt.Load()
	fresh := last != nil && g.believed(*last)
	if fresh && g.seen.Load() == g.marked.Load() {
		return nil // another goroutine has done it
	}
	began := g.now()
	ids, all, marked := g.take()
	err := g.update(ctx, ids, all, fresh, last)
	if err != nil {
		if all {
			ids = nil
		}
		if all || len(ids) > 0 {
			g.mark(ids) // it is still to be read
		}
		return err
	}
	g.readAt.Store(&began)
	g.seen.Store(marked)
	return nil
}

func (g *graph) update(ctx context.Context, ids []string, all, fresh bool, last *time.Time) error {
	g.mu.RLock()
	huge, whole := g.huge, g.whole
	g.mu.RUnlock()
	old := g.now().Sub(whole) > wholeAge
	switch {
	case last == nil, huge && old, !huge && (all || !fresh && old):
		return g.readAll(ctx)
	case huge:
		return nil // nothing is kept that could be out of date
	}
	if !fresh {
		more, complete, err := g.touched(ctx, *last)
		if err != nil {
			return err
		}
		if !complete {
			return g.readAll(ctx)
		}
		ids = append(ids, more...)
	}
	return g.readSome(ctx, ids)
}

// readAll reads every role.
func (g *graph) readAll(ctx context.Context) error {
	began := g.now()
	list, err := g.store().Find(ctx, &storage.Find{Class: g.class(), Limit: g.maxRoles + 1, Keys: []string{"name"}})
	if err != nil {
		return err
	}
	var links []storage.Link
	if len(list) <= g.maxRoles {
		if links, err = g.store().Links(ctx, rolesJoin, nil); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if was := g.huge; len(list) > g.maxRoles || len(links) > g.maxLinks {
		g.huge, g.whole = true, began
		g.names, g.members, g.holders, g.links = nil, nil, nil, 0
		if !was {
			g.log.WarnContext(ctx, "too many roles to keep in memory: they are looked up in the database", "roles", len(list), "links", len(links))
		}
		return nil
	}
	g.huge, g.whole = false, began
	g.names = make(map[string]string, len(list))
	g.members, g.holders, g.links = map[string][]string{}, map[string][]string{}, 0
	for _, r := range list {
		g.names[r.ID] = r.String("name")
	}
	g.link(links)
	return nil
}

// readSome reads the roles of these ids again.
func (g *graph) readSome(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	in := make([]parse.Value, len(ids))
	for i, id := range ids {
		in[i] = id
	}
	list, err := g.store().Find(ctx, &storage.Find{
		Class: g.class(), Where: &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: in},
		Limit: query.NoLimit, Keys: []string{"name"}, AnyOrder: true,
	})
	if err != nil {
		return err
	}
	links, err := g.store().Links(ctx, rolesJoin, ids)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		delete(g.names, id)
		for _, m := range g.members[id] {
			g.links--
			if left := slices.DeleteFunc(slices.Clone(g.holders[m]), func(h string) bool { return h == id }); len(left) > 0 {
				g.holders[m] = left
			} else {
				delete(g.holders, m)
			}
		}
		delete(g.members, id)
	}
	for _, r := range list {
		g.names[r.ID] = r.String("name")
	}
	g.link(links)
	if len(g.names) > g.maxRoles || g.links > g.maxLinks {
		g.huge = true
		g.names, g.members, g.holders, g.links = nil, nil, nil, 0
		g.log.WarnContext(ctx, "too many roles to keep in memory: they are looked up in the database")
	}
	return nil
}

// link adds links. g.mu is held.
func (g *graph) link(links []storage.Link) {
	for _, l := range links {
		g.members[l.Owner] = append(g.members[l.Owner], l.Member)
		g.holders[l.Member] = append(g.holders[l.Member], l.Owner)
	}
	g.links += len(links)
}

// touched lists the roles that others may have written since a look. complete
// is false if roles are gone: which ones, the database does not say.
func (g *graph) touched(ctx context.Context, last time.Time) (ids []string, complete bool, err error) {
	since := parse.NewDate(last.Add(-skew))
	list, err := g.store().Find(ctx, &storage.Find{
		Class: g.class(), Where: &query.Compare{Path: parse.KeyUpdatedAt, Op: query.Gte, Value: since},
		Limit: manyChanged + 1, Keys: []string{},
	})
	if err != nil {
		return nil, false, err
	}
	if len(list) > manyChanged {
		return nil, false, nil
	}
	n, err := g.store().Count(ctx, g.class(), nil, nil)
	if err != nil {
		return nil, false, err
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	known := int64(len(g.names))
	for _, r := range list {
		if _, ok := g.names[r.ID]; !ok {
			known++
		}
		ids = append(ids, r.ID)
	}
	return ids, known == n, nil
}

// closure returns the names of the roles that list a user and of all that
// list one of these as a member, and so on, sorted. Cycles end because a role
// is visited once. A deleted role gives nothing and passes nothing on, although
// its members remain listed. ok is false if the graph is not kept in memory.
func (g *graph) closure(direct []string) (names []string, ok bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.huge {
		return nil, false
	}
	if len(direct) == 0 {
		return nil, true
	}
	seen := make(map[string]bool, len(direct))
	queue := slices.Clone(direct)
	for len(queue) > 0 {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		name, exists := g.names[id]
		if !exists || seen[id] {
			continue
		}
		seen[id] = true
		if name != "" {
			names = append(names, name)
		}
		queue = append(queue, g.holders[id]...)
	}
	slices.Sort(names)
	return slices.Compact(names), true
}
