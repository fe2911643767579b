package auth

import (
	"context"
	"slices"
	"sync"
)

// turns gives slots to those who wait for one, in turn by where they come
// from: whoever sends many tries stands in his own way.
type turns struct {
	queue int // bounds those who wait

	mu      sync.Mutex // guards all below
	free    int        // slots
	waiting int
	lines   map[string][]*waiter // by where they come from, none empty
	order   []string             // the keys of lines: the first is next
}

// waiter waits for a slot. It is told true with a slot, or false if it is doubted.
type waiter struct{ ready chan bool }

// acquire waits for a slot: 155 if too many do, the context's error if it ends
// first. Who is doubted while he waits gets none. To those who come from
// nowhere in particular, from is "".
func (t *turns) acquire(ctx context.Context, from string) (doubted bool, err error) {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return false, nil
	}
	if t.waiting >= t.queue {
		t.mu.Unlock()
		return false, errTooManyPasswords()
	}
	w := &waiter{ready: make(chan bool, 1)}
	if len(t.lines[from]) == 0 {
		t.order = append(t.order, from)
	}
	t.lines[from] = append(t.lines[from], w)
	t.waiting++
	t.mu.Unlock()
	select {
	case slot := <-w.ready:
		return !slot, nil
	case <-ctx.Done():
	}
	if !t.leave(from, w) && <-w.ready { // it came at the same time
		t.release()
	}
	return false, ctx.Err()
}

// leave takes somebody out of his line, if he still stands there.
func (t *turns) leave(from string, w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := t.lines[from]
	i := slices.Index(line, w)
	if i < 0 {
		return false
	}
	t.waiting--
	if len(line) == 1 {
		t.close(from)
	} else {
		t.lines[from] = slices.Delete(line, i, i+1)
	}
	return true
}

// close forgets a line; mu is held.
func (t *turns) close(from string) {
	delete(t.lines, from)
	i := slices.Index(t.order, from)
	t.order = slices.Delete(t.order, i, i+1)
}

// release gives a slot to the next, or back.
func (t *turns) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 {
		t.free++
		return
	}
	from := t.order[0]
	line := t.lines[from]
	w := line[0]
	if len(line) == 1 {
		t.close(from)
	} else {
		t.lines[from] = slices.Delete(line, 0, 1)
		t.order = append(slices.Delete(t.order, 0, 1), from)
	}
	t.waiting--
	w.ready <- true
}

// doubt sends away all who wait and come from somewhere.
func (t *turns) doubt(from string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := t.lines[from]
	if len(line) == 0 {
		return
	}
	t.waiting -= len(line)
	t.close(from)
	for _, w := range line {
		w.ready <- false
	}
}

// idle reports whether nobody waits.
func (t *turns) idle() bool { return t.waits() == 0 }

func (t *turns) waits() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}
