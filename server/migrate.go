package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Migrations is code that runs around the change of the schema at the start of
// a server, for data that has to move with it. Either function may be nil. The
// client has full rights; no hooks of the cloud code run on what it does, which
// begins after that. An error ends the start.
//
// Of several servers that start on one database, one at a time is between
// Before and After. Both run at every start and have to bear that.
type Migrations struct {
	// Before sees the schema as it was, complete with the system classes.
	Before func(ctx context.Context, c cloudcode.Client) error
	// After sees the schema as the schema file has it.
	After func(ctx context.Context, c cloudcode.Client) error
}

// WithMigrations adds code that runs before and after the change of the schema
// at start. Given several times, all of it runs, in order.
func WithMigrations(m Migrations) Option {
	return func(s *settings) { s.migrations = append(s.migrations, m) }
}

// retryAfter are the times after which a migration that failed is tried again:
// those of Parse Server.
var retryAfter = []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}

// applySchema loads the stored classes and brings them up to the schema file.
// What the database fails to do is tried again; a mistake in the file, or an
// error of a hook, is not.
func (s *Server) applySchema(ctx context.Context, file *schema.Document, hooks []Migrations, p parts) error {
	m := schema.Migration{Plan: func(*schema.Snapshot) ([]schema.Step, error) { return nil, nil }}
	if file != nil {
		m.Plan = s.planOf(ctx, file)
	}
	if len(hooks) > 0 {
		p.app = cloudcode.New() // the hooks of the cloud code begin later
		objs, users, err := s.services(p)
		if err != nil {
			return err
		}
		defer users.Close()
		client := objs.Client(access.MasterKey())
		m.Before = runAll(client, hooks, func(h Migrations) migrationHook { return h.Before })
		m.After = runAll(client, hooks, func(h Migrations) migrationHook { return h.After })
	}
	err := retry(ctx, retryAfter, func() error { return s.registry.Migrate(ctx, m) }, func(err error) {
		s.log.WarnContext(ctx, "the schema could not be applied: trying again", "error", err)
	})
	if err != nil {
		return fmt.Errorf("apply schema: %w", readable(err))
	}
	return nil
}

// readable tells of a unique index that objects are in the way of.
func readable(err error) error {
	var dup *storage.DuplicateError
	if errors.As(err, &dup) {
		return fmt.Errorf("index %s of class %s cannot be unique, as objects have the same value: %w", dup.Index, dup.Class, err)
	}
	return err
}

// planOf plans the steps of the file and logs, once, what is to be known of them.
func (s *Server) planOf(ctx context.Context, file *schema.Document) func(*schema.Snapshot) ([]schema.Step, error) {
	told := map[string]bool{}
	tell := func(text string, args ...any) {
		if key := fmt.Sprint(text, args); !told[key] {
			told[key] = true
			s.log.WarnContext(ctx, text, args...)
		}
	}
	return func(have *schema.Snapshot) ([]schema.Step, error) {
		steps, warnings, err := file.Plan(have)
		for _, w := range warnings {
			tell(w)
		}
		for i := range steps {
			if steps[i].Destroys() {
				tell("data goes, as the schema file asks", "step", schema.Describe(have, steps[i:i+1])[0])
			}
		}
		return steps, err
	}
}

type migrationHook func(ctx context.Context, c cloudcode.Client) error

// hookError is an error of code around a migration.
type hookError struct{ error }

// Unwrap returns the error itself.
func (e hookError) Unwrap() error { return e.error }

func runAll(client cloudcode.Client, hooks []Migrations, of func(Migrations) migrationHook) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, h := range hooks {
			if f := of(h); f != nil {
				if err := f(ctx, client); err != nil {
					return hookError{err}
				}
			}
		}
		return nil
	}
}

// retry calls f until it succeeds, fails for good or has failed once more than
// there are pauses. again is told of each failure that is followed by another try.
func retry(ctx context.Context, pauses []time.Duration, f func() error, again func(error)) error {
	for i := 0; ; i++ {
		err := f()
		if err == nil || i == len(pauses) || lasting(err) || ctx.Err() != nil {
			return err
		}
		again(err)
		pause := time.NewTimer(pauses[i])
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// Times between looks for changes of the schema by other servers.
const (
	lookAnnounced = 500 * time.Millisecond // by pargo's, which announce them
	lookAny       = 5 * time.Second        // by others'; schemaCacheTtl may ask for less
)

// pace says how often to look for changes of the schema by other servers.
func (s *Server) pace() schema.Pace {
	p := schema.Pace{Announced: lookAnnounced, Any: lookAny}
	use, err := s.cfg.DatabaseUse()
	switch {
	case err != nil: // refused at start
	case use.SchemaHooks:
		p.Any = lookAnnounced
	case use.SchemaCacheTTL > 0:
		p.Any = min(max(use.SchemaCacheTTL, lookAnnounced), lookAny)
	}
	return p
}

// lasting reports whether an error would come again: it is no failure of the
// database.
func lasting(err error) bool {
	var mistake *parse.Error
	var dup *storage.DuplicateError
	var hook hookError
	return errors.As(err, &mistake) || errors.As(err, &dup) || errors.As(err, &hook)
}
