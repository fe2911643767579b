package fair

import (
	"context"
	"time"
)

// Lane is the way for work that takes long: only so much of it is done at a
// time, so that all that is short finds a free core.
//
// While others wait, what took more than [restFrom] is followed by a rest of
// twice the length: long work then takes a third of what the lane has.
type Lane struct{ queue *Queue }

const (
	restFrom = 20 * time.Millisecond
	// rests is how many times as long as the work a rest is, longestRest bounds it.
	rests       = 2
	longestRest = 2 * time.Second
)

// Cores is how many of so many cores are a lane's.
func Cores(n int) int { return max(1, n/2) }

// NewLane returns a lane for n at a time.
func NewLane(n int) *Lane { return &Lane{NewQueue(int64(n), 0)} }

// Turn is somebody's turn in a lane; the zero Turn is that of who needs none.
type Turn struct {
	lane  *Lane
	from  string
	began time.Time
}

// Enter waits for a turn, which must be left. A nil lane lets everybody pass.
func (l *Lane) Enter(ctx context.Context, from string) (Turn, error) {
	if l == nil {
		return Turn{}, nil
	}
	if err := l.queue.Acquire(ctx, from, 1); err != nil {
		return Turn{}, err
	}
	return Turn{l, from, time.Now()}, nil
}

// Leave ends a turn.
func (t Turn) Leave() {
	if t.lane == nil {
		return
	}
	q, took := t.lane.queue, time.Since(t.began)
	if took <= restFrom || q.Waiting() == 0 {
		q.Release(t.from, 1, int64(took))
		return
	}
	time.AfterFunc(min(rests*took, longestRest), func() { q.Release(t.from, 1, int64(took)) })
}

// Waiting is how many wait for a turn.
func (l *Lane) Waiting() int { return l.queue.Waiting() }
