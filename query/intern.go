package query

import (
	"runtime"
	"strings"
	"sync"
	"time"
	"weak"
)

// patternKey is what a compiled pattern depends on.
type patternKey struct {
	text, options string
	limit         time.Duration
}

// patternTable has the patterns in use, each once, however many queries and
// subscriptions ask by it: a program takes some KiB and tens of microseconds.
// It keeps none alive.
type patternTable struct {
	mu sync.Mutex // guards m
	m  map[patternKey]weak.Pointer[pattern]
}

// compiled are the patterns of the process. They are immutable, and which of
// them are there shows in nothing but time and memory.
var compiled = patternTable{m: map[patternKey]weak.Pointer[pattern]{}}

// find returns a pattern that is in use, or nil.
func (t *patternTable) find(k patternKey) *pattern {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[k].Value()
}

// share returns the pattern for all to use: p, or one that came before it.
func (t *patternTable) share(k patternKey, p *pattern) *pattern {
	// The texts may be parts of a request that must not stay for them.
	k.text, k.options = strings.Clone(k.text), strings.Clone(k.options)
	p.key = k
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.m[k].Value(); other != nil {
		return other
	}
	t.m[k] = weak.Make(p)
	runtime.AddCleanup(p, t.forget, k)
	return p
}

// forget removes a pattern that nobody uses any more.
func (t *patternTable) forget(k patternKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m[k].Value() == nil { // else the same text came anew
		delete(t.m, k)
	}
}
