package cloudcode

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// hook is one registered function with its settings.
type hook[R any] struct {
	// Exactly one is set. around gets the rest of the chain as next.
	plain  func(ctx context.Context, r *R) error
	around func(ctx context.Context, r *R, next func(context.Context) error) error
	settings
	stat *Stat
}

// table maps a class to its hooks. Readers load one pointer and look into a
// map that never changes; a writer replaces the map.
type table[R any] struct {
	mu sync.Mutex // guards own and extra
	// own are the registered hooks, extra those of App.SetExtra.
	own, extra map[string][]*hook[R]
	m          atomic.Pointer[map[string][]*hook[R]]
}

func (t *table[R]) add(class string, h *hook[R]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.own == nil {
		t.own = map[string][]*hook[R]{}
	}
	t.own[class] = append(slices.Clip(t.own[class]), h)
	t.publish()
}

// follow puts the hooks of another table after the own ones.
func (t *table[R]) follow(other *table[R]) {
	other.mu.Lock()
	extra := maps.Clone(other.own)
	other.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.extra = extra
	t.publish()
}

// publish makes the map that readers see; mu is held.
func (t *table[R]) publish() {
	next := maps.Clone(t.own)
	if next == nil {
		next = map[string][]*hook[R]{}
	}
	for class, list := range t.extra {
		next[class] = append(slices.Clip(next[class]), list...)
	}
	t.m.Store(&next)
}

func (t *table[R]) get(class string) []*hook[R] {
	if m := t.m.Load(); m != nil {
		return (*m)[class]
	}
	return nil
}

func (t *table[R]) empty() bool {
	m := t.m.Load()
	return m == nil || len(*m) == 0
}

// named maps a name to one thing, of which the last registered counts.
type named[T any] struct {
	mu         sync.Mutex // guards own and extra
	own, extra map[string]T
	m          atomic.Pointer[map[string]T]
}

func (n *named[T]) set(name string, v T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.own == nil {
		n.own = map[string]T{}
	}
	n.own[name] = v
	n.publish()
}

// follow lets the things of another table win over the own ones.
func (n *named[T]) follow(other *named[T]) {
	other.mu.Lock()
	extra := maps.Clone(other.own)
	other.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.extra = extra
	n.publish()
}

func (n *named[T]) publish() {
	next := make(map[string]T, len(n.own)+len(n.extra))
	maps.Copy(next, n.own)
	maps.Copy(next, n.extra)
	n.m.Store(&next)
}

func (n *named[T]) get(name string) (v T, ok bool) {
	if m := n.m.Load(); m != nil {
		v, ok = (*m)[name]
	}
	return v, ok
}

func (n *named[T]) names() []string {
	if m := n.m.Load(); m != nil {
		return slices.Sorted(maps.Keys(*m))
	}
	return nil
}
