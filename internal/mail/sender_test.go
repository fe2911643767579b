package mail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pargo-baas/pargo/internal/mail"
)

// post is an adapter that answers as it is told and writes down what it got.
type post struct {
	mu   sync.Mutex
	errs []error  // of the next attempts; guarded by mu
	sent []string // guarded by mu
	// at has the time of each attempt; guarded by mu
	at   []time.Time
	hold chan struct{} // if set, attempts wait for it
}

func (p *post) Send(ctx context.Context, m *mail.Message) error {
	if p.hold != nil {
		select {
		case <-p.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = append(p.at, time.Now())
	if len(p.errs) > 0 {
		err := p.errs[0]
		p.errs = p.errs[1:]
		if err != nil {
			return err
		}
	}
	p.sent = append(p.sent, m.To)
	return nil
}

func to(address string) mail.Make {
	return func(context.Context) (*mail.Message, error) {
		return &mail.Message{To: address, Subject: "s", Text: "t"}, nil
	}
}

func logger() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

func closed(t *testing.T, s *mail.Sender) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		p := &post{errs: []error{down, down, nil}}
		log, text := logger()
		s := mail.NewSender(t.Context(), p, mail.SenderOptions{Backoff: time.Minute, Log: log})
		began := time.Now()
		s.Send("verification", to("a@x.y"))
		time.Sleep(time.Hour)
		closed(t, s)
		if len(p.sent) != 1 || len(p.at) != 3 {
			t.Fatalf("sent %v in %d attempts", p.sent, len(p.at))
		}
		for i, want := range []time.Duration{0, time.Minute, 6 * time.Minute} {
			if got := p.at[i].Sub(began); got != want {
				t.Errorf("attempt %d after %v, want %v", i+1, got, want)
			}
		}
		if n := strings.Count(text.String(), "will be tried again"); n != 2 || strings.Contains(text.String(), "given up") {
			t.Errorf("log: %s", text)
		}
	})
}

func TestGivenUp(t *testing.T) {
	for name, tc := range map[string]struct {
		errs     []error
		make     mail.Make
		attempts int
		text     string
	}{
		"after all attempts": {[]error{errors.New("a"), errors.New("b"), errors.New("c")}, to("a@x.y"), 3, "to=a@x.y"},
		"permanent":          {[]error{fmt.Errorf("send: %w", mail.Permanent(errors.New("no such box")))}, to("a@x.y"), 1, "no such box"},
		"a panic":            {nil, func(context.Context) (*mail.Message, error) { panic("oops") }, 0, "panic: oops"},
		"not made":           {nil, func(context.Context) (*mail.Message, error) { return nil, errors.New("no database") }, 0, "no database"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &post{errs: tc.errs}
				log, text := logger()
				s := mail.NewSender(t.Context(), p, mail.SenderOptions{Attempts: 3, Log: log})
				s.Send("reset", tc.make)
				time.Sleep(time.Hour)
				closed(t, s)
				if len(p.sent) != 0 || len(p.at) != tc.attempts {
					t.Errorf("sent %v in %d attempts", p.sent, len(p.at))
				}
				if got := text.String(); strings.Count(got, "given up") != 1 || !strings.Contains(got, tc.text) {
					t.Errorf("log: %s", got)
				}
			})
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &post{hold: make(chan struct{})}
		log, text := logger()
		s := mail.NewSender(t.Context(), p, mail.SenderOptions{Workers: 1, Queue: 2, Log: log})
		s.Send("first", to("1@x.y"))
		synctest.Wait() // the worker has it
		for i := range 3 {
			s.Send("more", to(fmt.Sprint(i)+"@x.y"))
		}
		if n := strings.Count(text.String(), "too many wait"); n != 1 {
			t.Errorf("log: %s", text)
		}
		close(p.hold)
		closed(t, s)
		if len(p.sent) != 3 {
			t.Errorf("sent %v", p.sent)
		}
		s.Send("late", to("late@x.y"))
		if !strings.Contains(text.String(), "the server is stopping") {
			t.Errorf("log: %s", text)
		}
	})
}

func TestCloseTriesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &post{errs: []error{errors.New("down")}}
		s := mail.NewSender(t.Context(), p, mail.SenderOptions{Backoff: time.Hour})
		s.Send("reset", to("a@x.y"))
		synctest.Wait()
		closed(t, s)
		if len(p.sent) != 1 {
			t.Errorf("sent %v", p.sent)
		}
	})
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &post{hold: make(chan struct{})}
		log, text := logger()
		s := mail.NewSender(t.Context(), p, mail.SenderOptions{Workers: 1, Timeout: time.Hour, Log: log})
		s.Send("one", to("1@x.y"))
		s.Send("two", to("2@x.y"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := strings.Count(text.String(), "given up"); n != 2 {
			t.Errorf("log: %s", text)
		}
	})
}

func TestNothingToSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &post{}
		s := mail.NewSender(t.Context(), p, mail.SenderOptions{})
		s.Send("nothing", func(context.Context) (*mail.Message, error) { return nil, nil })
		closed(t, s)
		if len(p.at) != 0 {
			t.Error("something was sent")
		}
	})
}
