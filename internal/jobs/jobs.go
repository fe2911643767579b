// Package jobs runs the background jobs of cloud code: those that are started
// by a request, and those of _JobSchedule when their time has come.
//
// Every run is an object of _JobStatus. While it runs, its server holds a
// lease on it (leaseUntil) and renews it. If the server dies, the lease runs
// out and another server, or the same one anew, takes the run over; so a job
// runs at least once. A schedule is claimed by writing its lastRun under the
// condition that nobody else has, so of several servers one runs it.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Names of classes and fields.
const (
	statusClass   = "_JobStatus"
	scheduleClass = "_JobSchedule"

	fieldJob      = "jobName"
	fieldStatus   = "status"
	fieldMessage  = "message"
	fieldParams   = "params"
	fieldFinished = "finishedAt"
	fieldLease    = "leaseUntil"
	fieldAttempts = "attempts"
	fieldLastRun  = "lastRun"

	running   = "running"
	succeeded = "succeeded"
	failed    = "failed"
)

// Options configure a Service; the zero value works.
type Options struct {
	Now func() time.Time // nil: time.Now
	// Lease is how long a run is left alone whose server does not speak; 0: a minute.
	Lease time.Duration
	// Interval is how often schedules are looked at; 0: 5 seconds.
	Interval time.Duration
	// Attempts is how often a run is taken up that its server did not end; 0: 3.
	Attempts int
	Log      *slog.Logger // nil: discarded
}

// Service runs jobs.
type Service struct {
	o    Options
	objs *objects.Service

	wg   sync.WaitGroup // the runs of this server; it grows under mu while quit is open
	mu   sync.Mutex
	quit chan struct{} // closed by Close: the runs end

	tick sync.Mutex // held by Tick, guards swept
	// swept is when runs without a server were looked for last.
	swept time.Time
}

// New returns a Service over the objects and their cloud code.
func New(objs *objects.Service, o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	if o.Interval == 0 {
		o.Interval = 5 * time.Second
	}
	if o.Attempts == 0 {
		o.Attempts = 3
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{o: o, objs: objs, quit: make(chan struct{})}
}

var master = access.MasterKey()

// Start starts a job and returns the id of the run; it does not wait for it.
// An unknown job gives 141.
func (s *Service) Start(ctx context.Context, name string, params *parse.Map) (id string, err error) {
	return s.start(ctx, name, "api", params)
}

func (s *Service) start(ctx context.Context, name, source string, params *parse.Map) (id string, err error) {
	if !s.objs.App().HasJob(name) {
		return "", parse.Errorf(parse.ScriptFailed, "Invalid job.")
	}
	if params == nil {
		params = &parse.Map{}
	}
	saved, err := s.objs.Create(ctx, master, &objects.Write{Class: statusClass, Body: parse.NewMap(
		parse.MapField{Key: fieldJob, Value: name},
		parse.MapField{Key: "source", Value: source},
		parse.MapField{Key: fieldStatus, Value: running},
		parse.MapField{Key: fieldParams, Value: params},
		parse.MapField{Key: fieldLease, Value: s.lease()},
		parse.MapField{Key: fieldAttempts, Value: 1.0},
		parse.MapField{Key: parse.KeyACL, Value: parse.NewACL()},
	)})
	if err != nil {
		return "", fmt.Errorf("note the run of job %s: %w", name, err)
	}
	id = saved.Object.ID
	s.run(ctx, id, name, params)
	return id, nil
}

func (s *Service) lease() parse.Date { return parse.NewDate(s.o.Now().Add(s.o.Lease)) }

// run runs a job that this server has the lease of, in the background.
func (s *Service) run(ctx context.Context, id, name string, params *parse.Map) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping() {
		return // the lease runs out, and another server takes it
	}
	// A run outlives the request that starts it, and ends with Close.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.wg.Go(func() {
		defer cancel()
		s.execute(ctx, cancel, id, name, params)
	})
}

func (s *Service) execute(ctx context.Context, cancel context.CancelFunc, id, name string, params *parse.Map) {
	done := make(chan struct{})
	var renewing sync.WaitGroup
	renewing.Go(func() { s.renew(ctx, cancel, id, done) })
	r := &cloudcode.JobRequest{
		Request: s.objs.Request(ctx, master), Name: name, ID: id, Params: params,
		Message: func(ctx context.Context, text string) error {
			return s.update(ctx, id, parse.NewMap(parse.MapField{Key: fieldMessage, Value: text}))
		},
	}
	message, err := s.objs.App().RunJob(ctx, r)
	close(done)
	renewing.Wait()
	if err != nil && s.stopping() && errors.Is(err, context.Canceled) {
		// The server stops: whoever comes next takes the run up at once.
		s.note(ctx, id, parse.NewMap(parse.MapField{Key: fieldLease, Value: parse.NewDate(s.o.Now())}))
		return
	}
	end := parse.NewMap(
		parse.MapField{Key: fieldStatus, Value: succeeded},
		parse.MapField{Key: fieldFinished, Value: parse.NewDate(s.o.Now())},
		parse.MapField{Key: fieldLease, Value: parse.Delete{}},
	)
	if err != nil {
		end.Set(fieldStatus, failed)
		message = text(err)
		s.o.Log.ErrorContext(ctx, "job failed", "job", name, "id", id, "error", err)
	}
	if message != "" {
		end.Set(fieldMessage, message)
	}
	s.note(ctx, id, end)
}

// text is what an error says to whoever reads _JobStatus.
func text(err error) string {
	var pe *parse.Error
	if errors.As(err, &pe) {
		return pe.Message
	}
	return err.Error()
}

// noteTimeout bounds what is written about a run that has ended.
const noteTimeout = 10 * time.Second

// note updates a run whatever became of its context.
func (s *Service) note(ctx context.Context, id string, fields *parse.Map) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if err := s.update(ctx, id, fields); err != nil {
		s.o.Log.ErrorContext(ctx, "the state of a job could not be stored", "id", id, "error", err)
	}
}

// update changes a run that still runs: one that was taken from this server
// is not found.
func (s *Service) update(ctx context.Context, id string, fields *parse.Map) error {
	_, err := s.objs.Update(ctx, master, &objects.Write{
		Class: statusClass, ID: id, Body: fields, If: query.Equal(fieldStatus, running),
	})
	return err
}

func (s *Service) stopping() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// renew keeps the lease of a run until it is done, and ends the run with the server.
func (s *Service) renew(ctx context.Context, cancel context.CancelFunc, id string, done <-chan struct{}) {
	t := time.NewTicker(s.o.Lease / 3)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-s.quit:
			cancel()
			return
		case <-t.C:
		}
		err := s.update(ctx, id, parse.NewMap(parse.MapField{Key: fieldLease, Value: s.lease()}))
		switch {
		case err == nil:
		case parse.CodeOf(err) == parse.ObjectNotFound:
			cancel() // deleted, or ended by somebody
			return
		default:
			s.o.Log.WarnContext(ctx, "the lease of a job could not be renewed", "id", id, "error", err)
		}
	}
}

// Run looks at the schedules until ctx ends, then ends the runs of this server
// and waits for them.
func (s *Service) Run(ctx context.Context) {
	t := time.NewTicker(s.o.Interval)
	defer t.Stop()
	for {
		if len(s.objs.App().Jobs()) > 0 {
			if err := s.Tick(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.ErrorContext(ctx, "schedules of jobs could not be looked at", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			s.Close()
			return
		case <-t.C:
		}
	}
}

// Close ends the runs of this server and waits for them.
func (s *Service) Close() {
	s.mu.Lock()
	if !s.stopping() {
		close(s.quit)
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Wait waits until no run of this server is under way.
func (s *Service) Wait() { s.wg.Wait() }

// Tick starts what is due now: schedules, and runs whose server has died.
func (s *Service) Tick(ctx context.Context) error {
	s.tick.Lock()
	defer s.tick.Unlock()
	now := s.o.Now()
	var errs []error
	if s.swept.IsZero() || now.Sub(s.swept) >= s.o.Lease/2 {
		errs = append(errs, s.sweep(ctx, now))
		s.swept = now
	}
	return errors.Join(append(errs, s.schedules(ctx, now))...)
}

// sweep takes over the runs whose lease has run out.
func (s *Service) sweep(ctx context.Context, now time.Time) error {
	where := query.AllOf(query.Equal(fieldStatus, running), &query.Compare{Path: fieldLease, Op: query.Lte, Value: parse.NewDate(now)})
	found, err := s.objs.Find(ctx, master, statusClass, &query.Query{Where: where, Limit: query.NoLimit})
	if err != nil {
		return fmt.Errorf("look for jobs without a server: %w", err)
	}
	var errs []error
	for _, o := range found.Objects {
		if err := s.takeOver(ctx, o); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Service) takeOver(ctx context.Context, o *parse.Object) error {
	name := o.String(fieldJob)
	n, _ := o.Number(fieldAttempts)
	known := s.objs.App().HasJob(name)
	if !known && int(n) < s.o.Attempts {
		return nil // a server that knows it may come
	}
	was, _ := o.Get(fieldLease)
	body := parse.NewMap(
		parse.MapField{Key: fieldLease, Value: s.lease()},
		parse.MapField{Key: fieldAttempts, Value: n + 1},
	)
	over := int(n) >= s.o.Attempts
	if over {
		body = parse.NewMap(
			parse.MapField{Key: fieldStatus, Value: failed},
			parse.MapField{Key: fieldMessage, Value: fmt.Sprintf("The server stopped while the job ran, %d times.", int(n))},
			parse.MapField{Key: fieldFinished, Value: parse.NewDate(s.o.Now())},
			parse.MapField{Key: fieldLease, Value: parse.Delete{}},
		)
	}
	_, err := s.objs.Update(ctx, master, &objects.Write{
		Class: statusClass, ID: o.ID, Body: body,
		If: query.AllOf(query.Equal(fieldStatus, running), query.Equal(fieldLease, was)),
	})
	if parse.CodeOf(err) == parse.ObjectNotFound {
		return nil // another server was faster
	}
	if err != nil {
		return fmt.Errorf("take over job %s: %w", o.ID, err)
	}
	if over {
		s.o.Log.ErrorContext(ctx, "job given up: its server stopped again and again", "job", name, "id", o.ID)
		return nil
	}
	s.o.Log.WarnContext(ctx, "job taken up again: its server did not end it", "job", name, "id", o.ID)
	v, _ := o.Get(fieldParams)
	params, _ := v.(*parse.Map)
	if params == nil {
		params = &parse.Map{}
	}
	s.run(ctx, o.ID, name, params)
	return nil
}
