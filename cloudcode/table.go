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

// layers maps names to what is registered under them: by the program, and over
// that by App.SetExtra. Readers load one pointer and look into a map that never
// changes; a writer replaces the map.
type layers[V any] struct {
	mu         sync.Mutex   // guards own and extra
	own, extra map[string]V // registered, and those of App.SetExtra
	m          atomic.Pointer[map[string]V]
}

// join makes one of what both layers have under a name.
type join[V any] func(own, extra V) V

// change replaces what is registered under a name.
func (l *layers[V]) change(name string, f func(V) V, j join[V]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == nil {
		l.own = map[string]V{}
	}
	l.own[name] = f(l.own[name])
	l.publish(j)
}

// follow puts what is registered in other over the own.
func (l *layers[V]) follow(other *layers[V], j join[V]) {
	other.mu.Lock()
	extra := maps.Clone(other.own)
	other.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extra = extra
	l.publish(j)
}

// publish makes the map that readers see; mu is held.
func (l *layers[V]) publish(j join[V]) {
	next := make(map[string]V, len(l.own)+len(l.extra))
	maps.Copy(next, l.own)
	for name, v := range l.extra {
		if own, both := next[name]; both {
			v = j(own, v)
		}
		next[name] = v
	}
	l.m.Store(&next)
}

func (l *layers[V]) get(name string) (v V, ok bool) {
	if m := l.m.Load(); m != nil {
		v, ok = (*m)[name]
	}
	return v, ok
}

// names returns all names, sorted.
func (l *layers[V]) names() []string {
	if m := l.m.Load(); m != nil {
		return slices.Sorted(maps.Keys(*m))
	}
	return nil
}

// table maps a class to its hooks, of which all count: first the own.
type table[R any] struct{ layers layers[[]*hook[R]] }

func (t *table[R]) add(class string, h *hook[R]) {
	t.layers.change(class, func(list []*hook[R]) []*hook[R] { return append(slices.Clip(list), h) }, chained)
}

func (t *table[R]) follow(other *table[R]) { t.layers.follow(&other.layers, chained) }

func chained[R any](own, extra []*hook[R]) []*hook[R] { return slices.Concat(own, extra) }

func (t *table[R]) get(class string) []*hook[R] {
	list, _ := t.layers.get(class)
	return list
}

func (t *table[R]) empty() bool {
	m := t.layers.m.Load()
	return m == nil || len(*m) == 0
}

// named maps a name to one thing: the last registered, and rather one of
// App.SetExtra.
type named[T any] struct{ layers layers[T] }

func (n *named[T]) set(name string, v T) {
	n.layers.change(name, func(T) T { return v }, last)
}

func (n *named[T]) follow(other *named[T]) { n.layers.follow(&other.layers, last) }

func last[T any](_, extra T) T { return extra }

func (n *named[T]) get(name string) (T, bool) { return n.layers.get(name) }

func (n *named[T]) names() []string { return n.layers.names() }
