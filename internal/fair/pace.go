package fair

import (
	"sync/atomic"
	"time"
)

// Pace tells who does more than so much in a time. The zero Pace is ready.
type Pace struct {
	due atomic.Int64 // until when what was done would have taken, in Unix nanoseconds
}

// Exceeds counts one more thing, of which one may be done every so often and
// as many at once as burst has room for, and reports whether it is too many.
// What is too many is not counted.
func (p *Pace) Exceeds(now time.Time, every, burst time.Duration) bool {
	at := now.UnixNano()
	for {
		due := p.due.Load()
		next := max(due, at) + int64(every)
		if next-at > int64(burst) {
			return true
		}
		if p.due.CompareAndSwap(due, next) {
			return false
		}
	}
}
