// Package pargotest runs a whole pargo server within a test: in memory, on a
// port of its own, with a clock that the test sets and with everything that
// would leave the server kept for the test to look at.
//
//	func TestReviews(t *testing.T) {
//		s := pargotest.Start(t, pargotest.Cloud(register))
//		ann := s.SignUp("ann")
//		ann.Post("/classes/Review", `{"movie":"Metropolis","stars":9}`).WantError(142, "stars must be between 1 and 5")
//	}
//
// Servers do not share anything, so tests may run side by side.
package pargotest

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// Keys of every server of this package.
const (
	AppID     = "test-app"
	MasterKey = "test-master"
)

// Option changes how a server is started.
type Option func(*settings)

type settings struct {
	change []func(*config.Config)
	opts   []server.Option
	now    time.Time
}

// Cloud adds cloud code.
func Cloud(register func(*cloudcode.App)) Option {
	return func(s *settings) { s.opts = append(s.opts, server.WithCloud(register)) }
}

// Config changes the options of the server.
func Config(change func(*config.Config)) Option {
	return func(s *settings) { s.change = append(s.change, change) }
}

// Schema serves a schema file.
func Schema(path string) Option {
	return Config(func(c *config.Config) { c.Schema = parse.AppendJSON(nil, path) })
}

// With adds an option of the server.
func With(o server.Option) Option { return func(s *settings) { s.opts = append(s.opts, o) } }

// At sets the clock at the start. Without it the clock is that of the machine
// until the test moves it.
func At(t time.Time) Option { return func(s *settings) { s.now = t } }

// Server is a server under test.
type Server struct {
	// URL is that of the API, with the mount path.
	URL string

	tb  testing.TB
	srv *server.Server
	app *cloudcode.App

	mu     sync.Mutex // guards all below
	fixed  time.Time  // zero: the clock of the machine, moved by ahead
	ahead  time.Duration
	mails  []server.Mail
	events []Event
}

// Event is an event that a client reported to /events.
type Event struct {
	Name       string
	Dimensions *parse.Map
}

// Start starts a server, and stops it at the end of the test.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	var set settings
	for _, o := range opts {
		o(&set)
	}
	cfg := config.Default()
	cfg.AppID, cfg.MasterKey = AppID, MasterKey
	cfg.Host, cfg.Port = "127.0.0.1", 0
	cfg.DatabaseURI = "sqlite::memory:"
	cfg.DataDir = tb.TempDir()
	cfg.PasswordCost = 4 // nobody attacks it
	cfg.AllowClientClassCreation = true
	for _, change := range set.change {
		change(&cfg)
	}
	s := &Server{tb: tb, fixed: set.now}
	log := slog.New(slog.NewTextHandler(lines{tb}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	all := append([]server.Option{
		server.WithLogger(log), server.WithClock(s.Now), server.WithMailAdapter(s), server.WithCloud(s.watch),
	}, set.opts...)
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	srv, err := server.New(ctx, cfg, all...)
	if err != nil {
		cancel()
		tb.Fatalf("start server: %v", err)
	}
	s.srv, s.URL = srv, srv.URL()
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("stop server: %v", err)
		}
	})
	return s
}

// watch keeps what cloud code sees.
func (s *Server) watch(app *cloudcode.App) {
	s.app = app
	app.OnAnalytics(func(_ context.Context, r *cloudcode.AnalyticsEvent) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, Event{r.Name, r.Dimensions})
		return nil
	})
}

// lines sends the log of the server to that of the test.
type lines struct{ tb testing.TB }

func (w lines) Write(p []byte) (int, error) {
	w.tb.Logf("server: %s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// Now is the clock of the server.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fixed.IsZero() {
		return time.Now().Add(s.ahead)
	}
	return s.fixed
}

// Advance moves the clock, and runs the jobs whose time has come.
func (s *Server) Advance(d time.Duration) {
	s.tb.Helper()
	s.mu.Lock()
	if s.fixed.IsZero() {
		s.ahead += d
	} else {
		s.fixed = s.fixed.Add(d)
	}
	s.mu.Unlock()
	if err := s.srv.RunDue(s.tb.Context()); err != nil {
		s.tb.Errorf("run what is due: %v", err)
	}
}

// Send implements server.MailAdapter: mails are kept.
func (s *Server) Send(_ context.Context, m *server.Mail) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, *m)
	return nil
}

// Mails returns the mails that were sent so far. Mails are sent in the
// background: wait for them with [Server.WaitMail].
func (s *Server) Mails() []server.Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// waitFor is how long a test waits for what happens in the background.
const waitFor = 10 * time.Second

// WaitMail waits for the n-th mail, counted from 1.
func (s *Server) WaitMail(n int) server.Mail {
	s.tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(waitFor)
	for {
		if mails := s.Mails(); len(mails) >= n {
			return mails[n-1]
		}
		select {
		case <-tick.C:
		case <-end:
			s.tb.Fatalf("only %d of %d mails were sent", len(s.Mails()), n)
		}
	}
}

// Events returns the events that clients have reported.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Client reads and writes objects with full rights.
func (s *Server) Client() cloudcode.Client { return s.srv.Client() }

// RunJob runs a job of cloud code and returns its message.
func (s *Server) RunJob(name string, params *parse.Map) (string, error) {
	if params == nil {
		params = &parse.Map{}
	}
	return s.app.RunJob(s.tb.Context(), &cloudcode.JobRequest{
		Request: cloudcode.Request{Client: s.Client()}, Name: name, ID: parse.NewObjectID(10), Params: params,
		Message: func(context.Context, string) error { return nil },
	})
}

// Calls returns how often the hooks of a trigger and a class, or a function or
// a job, have run.
func (s *Server) Calls(t cloudcode.Trigger, name string) int {
	for _, st := range s.app.Stats() {
		if st.Trigger == t && st.Name == name {
			return int(st.Calls)
		}
	}
	return 0
}
