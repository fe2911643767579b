package sqlgen

import (
	"sync"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Tables caches what an adapter computes of a class, by its name; a new
// definition replaces the old. It is for many goroutines.
type Tables[T any] struct {
	// New describes the table of a class.
	New func(*schema.Class) T

	mu sync.RWMutex
	m  map[string]described[T] // guarded by mu
}

type described[T any] struct {
	class *schema.Class
	table T
}

// Of returns the table of a class.
func (ts *Tables[T]) Of(c *schema.Class) T {
	ts.mu.RLock()
	d := ts.m[c.Name]
	ts.mu.RUnlock()
	if d.class == c {
		return d.table
	}
	t := ts.New(c)
	ts.Put(c, t)
	return t
}

// Put enters the table of a class in place of what New says of it.
func (ts *Tables[T]) Put(c *schema.Class, t T) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.m == nil {
		ts.m = make(map[string]described[T])
	}
	ts.m[c.Name] = described[T]{class: c, table: t}
}

// IsSystemField reports whether every class has a field of that name.
func IsSystemField(name string) bool {
	switch name {
	case parse.KeyObjectID, parse.KeyCreatedAt, parse.KeyUpdatedAt, parse.KeyACL:
		return true
	}
	return false
}
