package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// SenderOptions are the bounds of a Sender; the zero value has those that are usual.
type SenderOptions struct {
	// Workers is how many mails are sent at a time (0: 4), Queue how many may wait (0: 1000).
	Workers, Queue int
	// Attempts is how often one mail is tried (0: 5), Backoff the pause before
	// the second attempt (0: 2 s); each further pause is five times as long.
	Attempts int
	Backoff  time.Duration
	// Timeout bounds one attempt (0: 30 s).
	Timeout time.Duration
	Log     *slog.Logger // nil: discarded
}

// Sender sends mails in the background. A mail that cannot be sent is tried
// again, and one that is given up is logged: none is lost silently. What waits
// is in memory; Close makes a last attempt for it.
type Sender struct {
	adapter Adapter
	o       SenderOptions
	stop    context.CancelFunc // ends attempts under way
	workers sync.WaitGroup
	// wake holds a token whenever a worker should look at the queue.
	wake chan struct{}
	gone chan struct{} // closed by Close

	mu     sync.Mutex
	queue  []*job // guarded by mu
	closed bool   // guarded by mu
}

// Make makes a message when it is about to be sent; nil: there is nothing to send.
type Make func(ctx context.Context) (*Message, error)

type job struct {
	what     string
	make     Make
	message  *Message
	attempts int
	due      time.Time
}

// NewSender starts the workers; Close ends them. ctx gives the workers their values, not their end.
func NewSender(ctx context.Context, a Adapter, o SenderOptions) *Sender {
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.Queue == 0 {
		o.Queue = 1000
	}
	if o.Attempts == 0 {
		o.Attempts = 5
	}
	if o.Backoff == 0 {
		o.Backoff = 2 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Sender{adapter: a, o: o, stop: stop, wake: make(chan struct{}, o.Workers), gone: make(chan struct{})}
	for range o.Workers {
		s.workers.Go(func() { s.work(ctx) })
	}
	return s
}

// Send queues a mail and returns at once. what names it in the log. A mail
// that finds the queue full, or the sender closed, is not sent, which is logged.
func (s *Sender) Send(what string, f Make) {
	s.mu.Lock()
	closed, full := s.closed, len(s.queue) >= s.o.Queue
	if !closed && !full {
		s.queue = append(s.queue, &job{what: what, make: f, due: time.Now()})
	}
	s.mu.Unlock()
	switch {
	case closed:
		s.o.Log.Error("mail not sent: the server is stopping", "mail", what)
	case full:
		s.o.Log.Error("mail not sent: too many wait", "mail", what, "waiting", s.o.Queue)
	default:
		s.signal()
	}
}

// signal wakes a worker, if one sleeps.
func (s *Sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // enough are on their way
	}
}

// Close sends what waits, each mail at most once more, and returns when all is
// done or ctx has ended. What then has not been sent is logged, and an error.
func (s *Sender) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.gone)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.workers.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("mails were not sent: %w", ctx.Err())
		s.stop()
		<-done
	}
	s.stop()
	return err
}

// next takes the first mail that is due; wait is how long it is until one is.
// last: there will be none any more.
func (s *Sender) next() (j *job, wait time.Duration, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = -1
	now := time.Now()
	for i, c := range s.queue {
		until := c.due.Sub(now)
		if s.closed || until <= 0 {
			s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
			if len(s.queue) > 0 {
				s.signal()
			}
			return c, 0, false
		}
		if wait < 0 || until < wait {
			wait = until
		}
	}
	return nil, wait, s.closed
}

func (s *Sender) work(ctx context.Context) {
	for {
		j, wait, last := s.next()
		if last {
			return
		}
		if j != nil {
			s.attempt(ctx, j)
			continue
		}
		if wait < 0 {
			select {
			case <-s.wake:
			case <-s.gone:
			}
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-s.wake:
		case <-s.gone:
		case <-t.C:
		}
		t.Stop()
	}
}

// attempt tries one mail and, if it fails, queues it again or gives it up.
func (s *Sender) attempt(ctx context.Context, j *job) {
	err := s.once(ctx, j)
	if err == nil {
		return
	}
	j.attempts++
	log := s.o.Log.With("mail", j.what, "attempt", j.attempts, "error", err)
	if j.message != nil {
		log = log.With("to", j.message.To)
	}
	if IsPermanent(err) || j.attempts >= s.o.Attempts {
		log.ErrorContext(ctx, "mail given up")
		return
	}
	pause := s.o.Backoff
	for range j.attempts - 1 {
		pause *= 5
	}
	j.due = time.Now().Add(pause)
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.queue = append(s.queue, j) // over the bound by the workers at most
	}
	s.mu.Unlock()
	if closed {
		log.ErrorContext(ctx, "mail given up: the server is stopping")
		return
	}
	log.WarnContext(ctx, "mail not sent, will be tried again", "in", pause)
	s.signal()
}

func (s *Sender) once(ctx context.Context, j *job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = Permanent(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
		}
	}()
	if err := ctx.Err(); err != nil {
		return errors.Join(errors.New("no time was left"), err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	if j.message == nil {
		if j.message, err = j.make(ctx); err != nil || j.message == nil {
			return err
		}
	}
	return s.adapter.Send(ctx, j.message)
}
