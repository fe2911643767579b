package storage_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// patient is a database that can be away, and holds counts until it is told to go on.
type patient struct {
	storage.Store
	err    atomic.Pointer[storage.UnavailableError]
	asked  atomic.Int64
	pinged chan struct{}
	hold   chan struct{}
	held   chan struct{}
}

func (p *patient) failure() error {
	if err := p.err.Load(); err != nil {
		return err
	}
	return nil
}

func (p *patient) Find(context.Context, *storage.Find) ([]*parse.Object, error) {
	p.asked.Add(1)
	return nil, p.failure()
}

func (p *patient) Count(context.Context, *schema.Class, query.Node, *query.Advice) (int64, error) {
	p.held <- struct{}{}
	<-p.hold
	return 1, nil
}

func (p *patient) UpdateEach(context.Context, []*storage.Update) []storage.Updated {
	return []storage.Updated{{}, {Err: p.failure()}}
}

func (p *patient) InsertEach(context.Context, *schema.Class, []*parse.Object) []error { return nil }

func (p *patient) Ping(context.Context) error {
	err := p.failure() // before anybody hears of the ping, who may change it then
	p.pinged <- struct{}{}
	return err
}

func (p *patient) Close() error { return nil }

func busy(t *testing.T, err error, text string) {
	t.Helper()
	var pe *parse.Error
	if !errors.As(err, &pe) || pe.Code != parse.InternalServerError || pe.Status != http.StatusServiceUnavailable || pe.Message != text {
		t.Errorf("error %v, want %q", err, text)
	}
}

const awayText = "The database cannot be reached at the moment."

func TestGuardAway(t *testing.T) {
	p := &patient{pinged: make(chan struct{})}
	s, g := storage.Guarded(t.Context(), p, storage.GuardOptions{})
	defer func() { _ = s.Close() }()
	find := func() error { _, err := s.Find(t.Context(), &storage.Find{}); return err }
	if err := find(); err != nil {
		t.Fatal(err)
	}
	gone := &storage.UnavailableError{Err: errors.New("gone")}
	p.err.Store(gone)
	busy(t, find(), awayText)
	for range 10 { // refused without being asked
		busy(t, find(), awayText)
	}
	busy(t, storage.UpdateEach(t.Context(), s, []*storage.Update{{}, {}})[0].Err, awayText)
	if n := p.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if st := g.Stats(); !st.Away || st.InFlight != 0 || st.Refused != 11 {
		t.Errorf("%+v", st)
	}
	<-p.pinged
	<-p.pinged // still away: it is asked again
	p.err.Store(nil)
	<-p.pinged
	for g.Stats().Away { // the answer of the ping is under way
		select {
		case <-p.pinged:
		default:
		}
	}
	if err := find(); err != nil {
		t.Error(err)
	}
}

func TestGuardKinds(t *testing.T) {
	p := &patient{pinged: make(chan struct{})}
	s, g := storage.Guarded(t.Context(), p, storage.GuardOptions{})
	full := &storage.UnavailableError{Writes: true, Err: errors.New("disk full")}
	p.err.Store(full)
	out := storage.UpdateEach(t.Context(), s, []*storage.Update{{}, {}})
	if out[0].Err != nil {
		t.Error(out[0].Err)
	}
	busy(t, out[1].Err, "The database cannot store anything at the moment.")
	if g.Stats().Away {
		t.Error("a full disk can still be read")
	}
	p.err.Store(&storage.UnavailableError{Unknown: true, Err: errors.New("reset")})
	out = storage.UpdateEach(t.Context(), s, []*storage.Update{{}, {}})
	busy(t, out[1].Err, "The connection to the database was lost: the write may or may not have been carried out.")
	if err := s.Close(); err != nil { // while it looks for the database
		t.Error(err)
	}
}

func TestGuardInFlight(t *testing.T) {
	p := &patient{hold: make(chan struct{}), held: make(chan struct{})}
	s, g := storage.Guarded(t.Context(), p, storage.GuardOptions{InFlight: 3})
	defer func() { _ = s.Close() }()
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() {
			if n, err := s.Count(t.Context(), nil, nil, nil); n != 1 || err != nil {
				t.Error(n, err)
			}
		})
		<-p.held
	}
	_, err := s.Find(t.Context(), &storage.Find{})
	busy(t, err, "The server has too much to do at the moment.")
	if st := g.Stats(); st.InFlight != 3 || st.Away {
		t.Errorf("%+v", st)
	}
	close(p.hold)
	calls.Wait()
	if _, err := s.Find(t.Context(), &storage.Find{}); err != nil {
		t.Error(err)
	}
	if storage.AsTransactor(s) != nil || storage.AsAggregator(s) == nil {
		t.Error("transactions are those of the database, aggregates are guarded")
	}
}

// interrupted is a database whose connections can be closed.
type interrupted struct{ *patient }

func (p *interrupted) Interrupt() { close(p.hold) }

// A database that answers nothing, not even a ping, is given up, and so are the
// connections that wait for it.
func TestGuardStall(t *testing.T) {
	p := &interrupted{&patient{hold: make(chan struct{}), held: make(chan struct{}), pinged: make(chan struct{}, 100)}}
	p.err.Store(&storage.UnavailableError{Err: errors.New("no answer")})
	s, g := storage.Guarded(t.Context(), p, storage.GuardOptions{Stall: time.Millisecond})
	var call sync.WaitGroup
	call.Go(func() {
		if _, err := s.Count(t.Context(), nil, nil, nil); err != nil {
			t.Error(err)
		}
	})
	<-p.held
	call.Wait()
	if !g.Stats().Away {
		t.Error("not away")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
