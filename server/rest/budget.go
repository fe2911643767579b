package rest

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/pargo-baas/pargo/parse"
)

const (
	// DefaultBodyMemory is what all large bodies together may take.
	DefaultBodyMemory = 128 << 20
	// largeBody is from which size on a body is counted, and largeValue from
	// which size on the values that it is decoded into: there are not enough
	// connections to do harm by smaller ones.
	largeBody, largeValue = 16 << 10, 64 << 10
	// copies is how often the values of a body are there: as they came, and as
	// what is made of them.
	copies = 3
	// decodeWait is how long a body waits for others to be done.
	decodeWait = 10 * time.Second
	// A request that takes a quarter of the memory and more is followed by a
	// rest as long as it took, within longestRest, while others wait for the
	// memory: one after the other, they take half a core.
	restFrom, longestRest = 4, time.Second
)

// budget bounds the memory of large bodies: while they are read, and then,
// separately, as the values that they are decoded into.
type budget struct {
	limit int64
	read  atomic.Int64
	// decoded is first come, first served, so that a large body is not
	// passed by smaller ones for ever.
	decoded *semaphore.Weighted
	waiting atomic.Int64 // for decoded
	after   func(time.Duration, func()) *time.Timer
}

func newBudget(limit int64) *budget {
	if limit <= 0 {
		limit = DefaultBodyMemory
	}
	return &budget{limit: limit, decoded: semaphore.NewWeighted(limit), after: time.AfterFunc}
}

// share is what one request has of the budget.
type share struct {
	read, decoded int64
	began         time.Time // of the use of decoded
}

func errBusy() error {
	return &parse.Error{
		Code: parse.RequestLimitExceeded, Status: http.StatusServiceUnavailable, RetryAfter: decodeWait,
		Message: "Too many large requests are being served at the moment. Try again soon.",
	}
}

// grow takes room for a buffer of n bytes.
func (b *budget) grow(s *share, n int) error {
	more := int64(n) - s.read
	if n <= largeBody || more <= 0 {
		return nil
	}
	if b.read.Add(more) > b.limit {
		b.read.Add(-more)
		return errBusy()
	}
	s.read += more
	return nil
}

// decode takes room for the values of a body.
func (b *budget) decode(ctx context.Context, s *share, body []byte) error {
	size := parse.DecodedSize(body)
	if size <= largeValue {
		return nil
	}
	need := min(copies*int64(size), b.limit)
	if !b.decoded.TryAcquire(need) {
		ctx, cancel := context.WithTimeout(ctx, decodeWait)
		defer cancel()
		b.waiting.Add(1)
		err := b.decoded.Acquire(ctx, need)
		b.waiting.Add(-1)
		if err != nil {
			return errBusy()
		}
	}
	s.decoded, s.began = need, time.Now()
	return nil
}

// free gives a share back.
func (b *budget) free(s *share) {
	if s.read > 0 {
		b.read.Add(-s.read)
	}
	switch n := s.decoded; {
	case n == 0:
	case n >= b.limit/restFrom && b.waiting.Load() > 0:
		b.after(min(time.Since(s.began), longestRest), func() { b.decoded.Release(n) })
	default:
		b.decoded.Release(n)
	}
	*s = share{}
}
