package livequery

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
)

// TestFrameQueue: a queue is a queue, and what it takes is given back.
func TestFrameQueue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var q frameQueue
	var total atomic.Int64
	var model []string
	shared := newPayload(evCreate, make([]byte, 1000))
	holders, most := 0, int64(0)
	for i := range 20_000 {
		if grow := i/1000%2 == 0; rnd.IntN(3) == 0 != grow {
			f := whole([]byte(strconv.Itoa(i)))
			if i%5 == 0 {
				f = frame{payload: shared}
				holders++
			}
			model = append(model, string(f.text))
			q.push(f, &total)
		} else if len(model) > 0 {
			f := *q.peek()
			if string(f.text) != model[0] {
				t.Fatalf("step %d: %.9s comes, want %.9s", i, f.text, model[0])
			}
			if f.payload == shared {
				holders--
			}
			q.pop(&total)
			f.release(&total)
			model = model[1:]
		}
		if (q.peek() == nil) != (len(model) == 0) {
			t.Fatalf("step %d: %d frames, the first is %v", i, len(model), q.peek())
		}
		most = max(most, total.Load())
		if len(model) == 0 && total.Load() != 0 {
			t.Fatalf("step %d: an empty queue takes %d bytes", i, total.Load())
		}
		// A text of 5 bytes at most, and a seventh of a chunk; the shared one once.
		if got, top := total.Load(), int64(len(model))*(payloadBytes+24+20)+1000+payloadBytes+2*chunkBytes; got > top {
			t.Fatalf("step %d: %d frames take %d bytes, want %d at most", i, len(model), got, top)
		}
	}
	if most < 10_000 || holders == 0 {
		t.Fatalf("%d bytes at most, %d times shared", most, holders)
	}
	q.clear(&total)
	if q.peek() != nil || total.Load() != 0 || shared.holders.Load() != 0 {
		t.Errorf("after the end: %d bytes, %d holders", total.Load(), shared.holders.Load())
	}
}
