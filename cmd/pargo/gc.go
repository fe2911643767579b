package main

import (
	"runtime"
	"runtime/debug"
)

const (
	// minHeap is the heap at which the collector first starts. A server at work
	// has a few megabytes of live data and much that lives as long as a request;
	// collecting at twice the live heap then costs a tenth of the CPU.
	minHeap = 32 << 20
	// usualPercent is Go's own default, which applies once the live heap is large.
	usualPercent = 100
)

// tuneGC keeps the collector from running before the heap has minHeap bytes.
// It re-arms a finalizer, which runs once for each collection.
func tuneGC() {
	type sentinel struct{ _ [16]byte }
	var arm func(*sentinel)
	arm = func(s *sentinel) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		live := max(m.HeapAlloc, 1<<20)
		debug.SetGCPercent(max(usualPercent, int(min(minHeap*100/live, 1600))))
		runtime.SetFinalizer(s, arm)
	}
	debug.SetGCPercent(1600)
	runtime.SetFinalizer(&sentinel{}, arm)
}
