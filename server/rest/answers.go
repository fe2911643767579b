package rest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
)

const (
	// DefaultAnswerMemory is what all large answers together may take.
	DefaultAnswerMemory = 128 << 20
	// countedAnswer is from which size on an answer is counted, and largeAnswer
	// from which size on it leaves an eighth of the memory to others.
	countedAnswer, largeAnswer = 64 << 10, 1 << 20
	// answerWait is how long an answer waits for room, in all.
	answerWait = 10 * time.Second
	// waitingAnswers bounds those who wait.
	waitingAnswers = 1024
	// An answer that others wait for may take readGrace, and a second for each
	// readRate bytes that were read; look is how often those who wait look for one
	// that takes longer.
	readGrace, readRate, look = 2 * time.Second, 512 << 10, 250 * time.Millisecond
)

// Answers bounds the memory of large answers, from the first object that is
// read to the last byte that the client has taken.
//
// An answer takes room as its objects come out of the database, where it must
// not wait: it would hold a connection and what it has. If there is none it gives
// back all, waits for several times as much, and is read anew. Of those who wait,
// one whose network holds least is next; and one that is read too slowly, of the
// network that holds most, is cut.
type Answers struct {
	limit, large int64 // of all; of those beyond largeAnswer
	// lane is where large ones are read one after the other; nil: they are not.
	lane *fair.Lane

	mu        sync.Mutex // guards all below, and of an answer what it says
	used      int64
	usedLarge int64
	networks  map[string]int64 // what each holds
	waiting   []*waiting       // as they came
	writing   map[*answer]struct{}
}

// NewAnswers returns a budget; 0 is the default. Large answers are read in lane,
// which may be nil.
func NewAnswers(limit int64, lane *fair.Lane) *Answers {
	if limit <= 0 {
		limit = DefaultAnswerMemory
	}
	return &Answers{
		limit: limit, large: limit - limit/8, lane: lane,
		networks: map[string]int64{}, writing: map[*answer]struct{}{},
	}
}

// answer is what one request has of the budget: a [storage.Meter].
type answer struct {
	of     *Answers
	ip     string
	weight int64 // of what is kept
	// turned: it is its turn in the lane, or it needs none.
	turned bool
	// All below is guarded by of.mu; took is changed by the request alone.
	took    int64 // room
	network string
	need    int64     // the room to wait for
	until   time.Time // for how long to wait; zero: it has not waited yet
	began   time.Time // to be written
	w       http.ResponseWriter
	// sent is how much was written; cut, that the rest is not to be.
	sent atomic.Int64
	cut  atomic.Bool
}

// waiting is an answer that waits.
type waiting struct {
	*answer
	ready chan struct{}
}

var (
	_ storage.Meter = (*answer)(nil)
	_ storage.Meter = (*part)(nil)
)

// errNoRoom ends a find that has outgrown the room there is.
var errNoRoom = errBusy()

// Weigh implements [storage.Meter].
func (a *answer) Weigh(n int) error {
	a.weight += int64(n)
	if n < 0 || a.weight <= max(a.took, countedAnswer) {
		return nil
	}
	return a.of.grow(a)
}

// sharedAnswer is the answer of a batch, whose items are read at a time.
type sharedAnswer struct {
	mu     sync.Mutex // guards answer's use
	answer *answer
}

// part is what an item of a batch has of the batch's answer.
type part struct {
	whole  *sharedAnswer
	weight int
}

// Weigh implements [storage.Meter].
func (p *part) Weigh(n int) error {
	p.weight += n
	p.whole.mu.Lock()
	defer p.whole.mu.Unlock()
	return p.whole.answer.Weigh(n)
}

// grow takes more room, a quarter more than is needed if that is there.
func (b *Answers) grow(a *answer) error {
	if a.weight > b.large {
		return parse.Errorf(parse.InvalidQuery, "The answer is larger than %d MiB. Ask for fewer objects or fields at a time.", b.large>>20)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.network == "" {
		a.network = access.ClientNetwork(a.ip)
	}
	if a.weight > largeAnswer && !a.turned && b.lane != nil {
		a.need = min(4*a.weight, b.large)
		return errNoRoom // it waits for its turn, too
	}
	for _, room := range [...]int64{min(a.weight+max(a.weight/4, countedAnswer), b.large), a.weight} {
		if b.fits(a, room) {
			b.set(a, room)
			return nil
		}
	}
	a.need = min(max(4*a.weight, 4*countedAnswer), b.large)
	return errNoRoom
}

// beyond is what of a room counts as that of a large answer.
func beyond(room int64) int64 {
	if room > largeAnswer {
		return room
	}
	return 0
}

// fits reports whether an answer may have that much room; mu is held. A large
// one leaves what the large one needs that is to be next.
func (b *Answers) fits(a *answer, room int64) bool {
	if b.used-a.took+room > b.limit {
		return false
	}
	if room <= largeAnswer {
		return true
	}
	others := int64(0)
	if w := b.next(true); w != nil && w.answer != a {
		others = w.need
	}
	return b.usedLarge-beyond(a.took)+room+others <= b.large
}

// next is who is to have room next, of those who need much or little; mu is held.
func (b *Answers) next(large bool) *waiting {
	var first *waiting
	for _, w := range b.waiting {
		if (w.need > largeAnswer) == large && (first == nil || b.networks[w.network] < b.networks[first.network]) {
			first = w
		}
	}
	return first
}

// set gives an answer that much room; mu is held.
func (b *Answers) set(a *answer, room int64) {
	more := room - a.took
	b.used += more
	b.usedLarge += beyond(room) - beyond(a.took)
	a.took = room
	if b.networks[a.network] += more; b.networks[a.network] == 0 {
		delete(b.networks, a.network)
	}
}

// grant gives room to those who wait; mu is held.
func (b *Answers) grant() {
	for _, large := range [...]bool{false, true} {
		for w := b.next(large); w != nil && b.fits(w.answer, w.need); w = b.next(large) {
			b.leave(w)
			b.set(w.answer, w.need)
			close(w.ready)
		}
	}
}

func (b *Answers) leave(w *waiting) bool {
	i := slices.Index(b.waiting, w)
	if i < 0 {
		return false
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	return true
}

// wait gives back what an answer has and waits for the room that it needs.
func (b *Answers) wait(ctx context.Context, a *answer) error {
	w := &waiting{a, make(chan struct{})}
	b.mu.Lock()
	a.weight = 0
	b.set(a, 0)
	full := len(b.waiting) >= waitingAnswers
	if !full {
		if a.until.IsZero() {
			a.until = time.Now().Add(answerWait)
		}
		b.waiting = append(b.waiting, w)
	}
	b.grant()
	b.mu.Unlock()
	if full {
		return errBusy()
	}
	ctx, cancel := context.WithDeadline(ctx, a.until)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-w.ready:
			return nil
		case <-tick.C:
			b.mu.Lock()
			b.cutOne()
			b.mu.Unlock()
		case <-ctx.Done():
			b.mu.Lock()
			defer b.mu.Unlock()
			if !b.leave(w) { // the room came at the same time
				b.set(a, 0)
			}
			b.grant() // to whoever stood behind
			return errBusy()
		}
	}
}

// cutOne ends one answer that takes too long to be read, if there is one, that of
// the network that holds most; mu is held.
func (b *Answers) cutOne() {
	now := time.Now()
	var worst *answer
	for a := range b.writing {
		allowed := readGrace + time.Duration(a.sent.Load())*time.Second/readRate
		if !a.cut.Load() && now.Sub(a.began) > allowed && (worst == nil || b.networks[a.network] > b.networks[worst.network]) {
			worst = a
		}
	}
	if worst != nil {
		worst.cut.Store(true)
		_ = http.NewResponseController(worst.w).SetWriteDeadline(now) // ends a write that is under way
	}
}

// writes tells that an answer is complete and on its way to w.
func (b *Answers) writes(a *answer, w http.ResponseWriter) {
	if a.took == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(a, min(a.took, max(a.weight, 0)))
	a.began, a.w = time.Now(), w
	b.writing[a] = struct{}{}
	b.grant()
}

// free gives all back.
func (b *Answers) free(a *answer) {
	if a.took == 0 && a.w == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.writing, a)
	a.w = nil
	b.set(a, 0)
	b.grant()
}

// Bounded is a [storage.Meter] of an answer that may not be large: Max is what is
// left for it.
type Bounded struct{ Max int }

// Weigh implements [storage.Meter].
func (m *Bounded) Weigh(n int) error {
	if m.Max -= n; m.Max < 0 {
		return parse.Errorf(parse.InvalidQuery, "The answer is too large. Ask for fewer objects or fields at a time.")
	}
	return nil
}

// meter is what a call's finds are weighed by.
func (c *call) meter() storage.Meter {
	if c.nested {
		return &c.part
	}
	return c.ownMeter()
}

func (c *call) ownMeter() *answer {
	c.answer.of, c.answer.ip = c.h.o.Answers, c.principal.IP
	return &c.answer
}

// large reports whether what a call, or its batch, has read is too much to be
// encoded in one piece.
func (c *call) large() bool {
	if !c.nested {
		return c.answer.weight >= largeAnswer
	}
	c.part.whole.mu.Lock()
	defer c.part.whole.mu.Unlock()
	return c.part.whole.answer.weight >= largeAnswer
}

// withRoom reads something that is to be answered, anew if there was no room for
// it or if it was not its turn. Items of a batch do not wait: others of it hold
// what they have read.
func (c *call) withRoom(ctx context.Context, read func(storage.Meter) error) error {
	for {
		err := c.inTurn(ctx, read)
		if err != nil && c.nested {
			_ = c.part.Weigh(-c.part.weight) // the others go on
		}
		if err == nil || c.nested || !errors.Is(err, errNoRoom) {
			return err
		}
		if err := c.h.o.Answers.wait(ctx, &c.answer); err != nil {
			return err
		}
	}
}

// inTurn reads something, which takes a turn if it has room for much.
func (c *call) inTurn(ctx context.Context, read func(storage.Meter) error) error {
	m := c.meter()
	if c.nested || c.answer.took <= largeAnswer {
		return read(m)
	}
	waits, cancel := context.WithDeadline(ctx, c.answer.until)
	defer cancel()
	turn, err := c.h.o.Answers.lane.Enter(waits, c.answer.network)
	if err != nil {
		return errBusy()
	}
	defer turn.Leave()
	c.answer.turned = true
	err = read(m)
	c.answer.turned = false
	return err
}
