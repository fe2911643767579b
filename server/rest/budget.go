package rest

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/parse"
)

const (
	// DefaultBodyMemory is what all large bodies together may take.
	DefaultBodyMemory = 128 << 20
	// largeBody is from which size on a body is counted, and largeValue from
	// which size on the values that it is decoded into: there are not enough
	// connections to do harm by smaller ones.
	largeBody, largeValue = 16 << 10, 64 << 10
	// longDecode is from which size on values take long to be decoded into: some milliseconds.
	longDecode = 2 << 20
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
	// decoded goes to networks in turn, and a large body is not passed by
	// smaller ones for ever.
	decoded *fair.Queue
	lane    *fair.Lane // of what takes long to be decoded
	after   func(time.Duration, func()) *time.Timer
}

func newBudget(limit int64, lane *fair.Lane) *budget {
	if limit <= 0 {
		limit = DefaultBodyMemory
	}
	return &budget{limit: limit, decoded: fair.NewQueue(limit, 0), lane: lane, after: time.AfterFunc}
}

// share is what one request has of the budget.
type share struct {
	read, decoded int64
	from          string    // the network that has decoded
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

// decode takes room for the values of a body that came from an address, and
// waits for the turn of what takes long, which the caller leaves when it has
// decoded the body.
func (b *budget) decode(ctx context.Context, s *share, body []byte, ip func() string) (fair.Turn, error) {
	size := parse.DecodedSize(body)
	if size <= largeValue {
		return fair.Turn{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, decodeWait)
	defer cancel()
	need, from := min(copies*int64(size), b.limit), access.ClientNetwork(ip())
	if err := b.decoded.Acquire(ctx, from, need); err != nil {
		return fair.Turn{}, errBusy()
	}
	s.decoded, s.from, s.began = need, from, time.Now()
	if size < longDecode {
		return fair.Turn{}, nil
	}
	turn, err := b.lane.Enter(ctx, from)
	if err != nil {
		return fair.Turn{}, errBusy()
	}
	return turn, nil
}

// free gives a share back.
func (b *budget) free(s *share) {
	if s.read > 0 {
		b.read.Add(-s.read)
	}
	if n, from := s.decoded, s.from; n > 0 {
		took := time.Since(s.began)
		give := func() { b.decoded.Release(from, n, took.Milliseconds()) }
		if n >= b.limit/restFrom && b.decoded.Waiting() > 0 {
			b.after(min(took, longestRest), give)
		} else {
			give()
		}
	}
	*s = share{}
}
