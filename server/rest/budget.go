package rest

import (
	"bytes"
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
	// largeBody is from which size on a body is counted: there are not enough
	// connections to do harm by smaller ones.
	largeBody = 16 << 10
	// valueBytes is about what a decoded value takes at most, and what is made of it.
	valueBytes = 512
	// decodeWait is how long a body waits for others to be done.
	decodeWait = 10 * time.Second
)

// budget bounds the memory of large bodies: while they are read, and then,
// separately, as the values that they are decoded into.
type budget struct {
	limit int64
	read  atomic.Int64
	// decoded is first come, first served, so that a large body is not
	// passed by smaller ones for ever.
	decoded *semaphore.Weighted
}

func newBudget(limit int64) *budget {
	if limit <= 0 {
		limit = DefaultBodyMemory
	}
	return &budget{limit: limit, decoded: semaphore.NewWeighted(limit)}
}

// share is what one request has of the budget.
type share struct{ read, decoded int64 }

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

// decode takes room for the values of a body. A comma stands before each but the first.
func (b *budget) decode(ctx context.Context, s *share, body []byte) error {
	if len(body) <= largeBody {
		return nil
	}
	need := min(int64(len(body))+valueBytes*int64(bytes.Count(body, []byte{','})), b.limit)
	ctx, cancel := context.WithTimeout(ctx, decodeWait)
	defer cancel()
	if b.decoded.Acquire(ctx, need) != nil {
		return errBusy()
	}
	s.decoded = need
	return nil
}

// free gives a share back.
func (b *budget) free(s *share) {
	if s.read > 0 {
		b.read.Add(-s.read)
	}
	if s.decoded > 0 {
		b.decoded.Release(s.decoded)
	}
	*s = share{}
}
