package rest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
)

const mib = 1 << 20

// from is an answer to a client of a network.
func (b *Answers) from(ip string) *answer { return &answer{of: b, ip: ip} }

// empty fails a test if anything is left in the budget.
func (b *Answers) empty(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used != 0 || b.usedLarge != 0 || len(b.networks) != 0 || len(b.waiting) != 0 || len(b.writing) != 0 {
		t.Errorf("left: %d bytes, %d of large ones, %v, %d waiting, %d writing", b.used, b.usedLarge, b.networks, len(b.waiting), len(b.writing))
	}
}

func TestAnswers(t *testing.T) {
	b := NewAnswers(16*mib, nil) // 14 for large ones
	weigh := func(a *answer, n int, want error) {
		t.Helper()
		if err := a.Weigh(n); !errors.Is(err, want) {
			t.Fatalf("%d bytes: %v, want %v", n, err, want)
		}
	}
	small, one, two, three := b.from("1.1.1.1"), b.from("1.1.1.1"), b.from("2.2.2.2"), b.from("3.3.3.3")
	if weigh(small, countedAnswer, nil); small.took != 0 || b.used != 0 {
		t.Error("a small answer is counted")
	}
	for range 10 {
		weigh(one, mib, nil)
	}
	b.writes(one, httptest.NewRecorder())
	if b.used != 10*mib {
		t.Errorf("%d bytes are taken for 10 MiB", b.used)
	}
	weigh(two, 4*mib, nil)
	weigh(two, 1, errNoRoom) // of what is for large ones
	weigh(three, mib, nil)
	if three.took != mib {
		t.Errorf("%d bytes are taken where others have left little", three.took)
	}
	if err := one.Weigh(5 * mib); parse.CodeOf(err) != parse.InvalidQuery {
		t.Errorf("more than there is room for at all: %v", err)
	}
	for _, a := range []*answer{small, one, two, three} {
		b.free(a)
	}
	b.empty(t)
}

// TestAnswersWait: who gets no room gives back what he has, and then has room
// for several times as much, or is told to come again.
func TestAnswersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewAnswers(16*mib, nil)
		one, two := b.from("1.1.1.1"), b.from("2.2.2.2")
		if err := one.Weigh(13 * mib); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := two.Weigh(mib + 1); !errors.Is(err, errNoRoom) {
				t.Fatalf("no room: %v", err)
			}
			began := time.Now()
			err := b.wait(t.Context(), two)
			if took := time.Since(began); parse.CodeOf(err) != parse.RequestLimitExceeded || took > answerWait {
				t.Fatalf("after %v: %v", took, err)
			}
		}
		two.until = time.Time{}
		done := make(chan error)
		if err := two.Weigh(mib + 1); !errors.Is(err, errNoRoom) {
			t.Fatal(err)
		}
		go func() { done <- b.wait(t.Context(), two) }()
		synctest.Wait()
		b.free(one)
		if err := <-done; err != nil || two.took != 4*(mib+1) || two.weight != 0 {
			t.Errorf("%v, room for %d, weight %d", err, two.took, two.weight)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the client has gone
		one.need = 14 * mib
		if err := b.wait(ctx, one); err == nil {
			t.Error("somebody who has gone gets room")
		}
		b.free(two)
		b.empty(t)
	})
}

// TestAnswersTurns: of those who wait, one is next whose network holds least,
// and a large one is not passed by other large ones for ever.
func TestAnswersTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewAnswers(16*mib, nil)
		var mu sync.Mutex // guards order
		var order []string
		held, other := b.from("1.1.1.1"), b.from("9.9.9.9")
		for _, a := range []*answer{held, other} {
			if err := a.Weigh(7 * mib); err != nil {
				t.Fatal(err)
			}
			b.writes(a, httptest.NewRecorder())
		}
		for _, ip := range []string{"1.1.1.1", "2001:db8::1", "2001:db8::2", "1.1.1.3"} {
			a := b.from(ip)
			if err := a.Weigh(6 * mib); !errors.Is(err, errNoRoom) {
				t.Fatal(err)
			}
			a.need = 6 * mib
			go func() {
				if err := b.wait(t.Context(), a); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, ip)
				mu.Unlock()
				time.Sleep(time.Millisecond)
				b.free(a)
			}()
			synctest.Wait()
		}
		small := b.from("4.4.4.4")
		if err := small.Weigh(mib); err != nil {
			t.Errorf("a small one: %v", err)
		}
		b.free(other)
		if err := b.from("4.4.4.4").Weigh(2 * mib); !errors.Is(err, errNoRoom) {
			t.Errorf("a large one that came later: %v", err)
		}
		time.Sleep(time.Second)
		b.free(small)
		b.free(held)
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"2001:db8::1", "2001:db8::2", "1.1.1.3", "1.1.1.1"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
		b.empty(t)
	})
}

// timed is a connection that notes when its time was ended.
type timed struct {
	*httptest.ResponseRecorder
	ended time.Time
}

func (w *timed) SetWriteDeadline(at time.Time) error {
	w.ended = at
	return nil
}

// TestAnswersCut: an answer that is not read fast enough is cut if others wait
// for room, the one of the network that holds most.
func TestAnswersCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewAnswers(16*mib, nil)
		began := time.Now()
		write := func(ip string, n int) (*answer, *timed) {
			a, w := b.from(ip), &timed{ResponseRecorder: httptest.NewRecorder()}
			if err := a.Weigh(n); err != nil {
				t.Fatal(err)
			}
			b.writes(a, w)
			return a, w
		}
		one, w1 := write("1.1.1.1", 5*mib) // is read fast enough
		two, w2 := write("2.2.2.2", 2*mib)
		three, w3 := write("2.2.2.2", 2*mib)
		one.sent.Add(40 * readRate)
		time.Sleep(30 * time.Second) // nobody waits
		if !w1.ended.IsZero() || !w2.ended.IsZero() || !w3.ended.IsZero() {
			t.Fatal("cut although nobody waits")
		}
		fresh, w4 := write("3.3.3.3", 3*mib)
		late := b.from("4.4.4.4")
		late.network, late.need = late.ip, 4*mib
		done := make(chan error)
		go func() { done <- b.wait(t.Context(), late) }()
		time.Sleep(look)
		synctest.Wait()
		if (w2.ended.IsZero() && w3.ended.IsZero()) || !w1.ended.IsZero() || two.cut.Load() == three.cut.Load() {
			t.Errorf("cut after %v, %v, %v", w1.ended.Sub(began), w2.ended.Sub(began), w3.ended.Sub(began))
		}
		b.free(two)
		b.free(three)
		if err := <-done; err != nil || one.cut.Load() || fresh.cut.Load() || !w4.ended.IsZero() {
			t.Errorf("%v; one just begun is cut at %v", err, w4.ended)
		}
		for _, a := range []*answer{one, fresh, late} {
			b.free(a)
		}
		b.empty(t)
	})
}

// TestAnswersGivenBack: whatever is done in whatever order, no more is taken
// than there is, and all of it is given back.
func TestAnswersGivenBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := NewAnswers(16*mib, nil)
		answers := make([]*answer, 6)
		for i := range answers {
			answers[i] = b.from([]string{"1.1.1.1", "1.1.1.1", "2.2.2.2", "3.3.3.3", "x", ""}[i])
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			a := rapid.SampledFrom(answers).Draw(rt, "answer")
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0, 1:
				n := rapid.SampledFrom([]int{1, 70 << 10, mib, 5 * mib, 15 * mib, -mib}).Draw(rt, "n")
				if err := a.Weigh(n); errors.Is(err, errNoRoom) {
					_ = b.wait(gone, a) // 155, or room that came at the same time
				}
			case 2:
				b.writes(a, httptest.NewRecorder())
			case 3:
				b.free(a)
				*a = answer{of: b, ip: a.ip}
			case 4:
				b.mu.Lock()
				b.cutOne()
				b.mu.Unlock()
			}
			used, large := int64(0), int64(0)
			networks := map[string]int64{}
			for _, a := range answers {
				used, large = used+a.took, large+beyond(a.took)
				if a.took > 0 {
					networks[a.network] += a.took
				}
			}
			if used != b.used || large != b.usedLarge || used > b.limit || large > b.large || len(networks) != len(b.networks) {
				rt.Fatalf("%d of %d bytes, %d of large ones, %v; counted are %d, %d, %v", used, b.limit, large, networks, b.used, b.usedLarge, b.networks)
			}
		}
		for _, a := range answers {
			b.free(a)
		}
		b.empty(t)
	})
}

// TestAnswersAtOnce is for the race detector.
func TestAnswersAtOnce(t *testing.T) {
	b := NewAnswers(16*mib, nil)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 50 {
				a := b.from(string(rune('a' + i%4)))
				for n := rand.IntN(8) * mib; n > 0; n -= mib / 2 {
					if err := a.Weigh(mib / 2); err == nil {
						continue
					} else if !errors.Is(err, errNoRoom) {
						t.Error(err)
					}
					if err := b.wait(t.Context(), a); err != nil {
						t.Error(err)
					}
				}
				b.writes(a, httptest.NewRecorder())
				b.free(a)
			}
		})
	}
	wg.Wait()
	b.empty(t)
}

// TestLargeAnswersInTurn: what outgrows 1 MiB is read anew when it is its turn in
// the lane; what does not, and what an item of a batch reads, at once.
func TestLargeAnswersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := fair.NewLane(1)
		b := NewAnswers(16*mib, lane)
		turn, err := lane.Enter(t.Context(), "another")
		if err != nil {
			t.Fatal(err)
		}
		read := func(size int, batch bool) (times int, err error) {
			c := &call{h: &Handler{o: Options{Answers: b}}, principal: access.Anonymous()}
			defer func() { b.free(&c.answer) }()
			if batch {
				whole := &sharedAnswer{answer: c.ownMeter()}
				whole.answer.turned = true
				c.nested, c.part.whole = true, whole
			}
			err = c.withRoom(t.Context(), func(m storage.Meter) error {
				times++
				return m.Weigh(size)
			})
			return times, err
		}
		for _, tt := range []struct {
			size  int
			batch bool
			times int
			code  parse.Code
		}{
			{size: mib, times: 1},
			{size: 2 * mib, batch: true, times: 1},
			{size: 2 * mib, times: 1, code: parse.RequestLimitExceeded}, // after ten seconds
		} {
			if times, err := read(tt.size, tt.batch); times != tt.times || parse.CodeOf(err) != tt.code {
				t.Errorf("%d bytes while another is at work: read %d times, %v", tt.size, times, err)
			}
		}
		turn.Leave()
		if times, err := read(2*mib, false); times != 2 || err != nil {
			t.Errorf("in its turn: read %d times, %v", times, err)
		}
		if turn, err = lane.Enter(t.Context(), "another"); err != nil {
			t.Error(err)
		}
		turn.Leave()
		b.empty(t)
	})
}
