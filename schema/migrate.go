package schema

import (
	"context"
	"fmt"
)

// Migration is a change of the schema that a server makes at its start, or the
// command line makes for it.
type Migration struct {
	// Plan returns the steps from the stored schema, which is complete with the
	// system classes. It may be called several times.
	Plan func(*Snapshot) ([]Step, error)
	// Before and After run before and after the steps, while no other server
	// migrates; nil: nothing runs.
	Before, After func(ctx context.Context) error
	// Each, if set, is called for every step and has to call do: the steps are
	// then carried out one by one, and those that were done stay done if a later
	// one fails.
	Each func(st Step, do func() error) error
}

// Migrate carries out a migration. Of several servers that start on one
// database one migrates at a time; those that come after it find its work done.
// Where there is nothing to do, nothing is locked. A migration that was broken
// off is completed by the next.
func (r *Registry) Migrate(ctx context.Context, m Migration) error {
	idle, err := r.settled(ctx, &m)
	if err != nil || idle {
		return err
	}
	if r.shared != nil {
		locked, unlock, err := r.shared.LockSchema(ctx)
		if err != nil {
			return fmt.Errorf("lock the schema: %w", err)
		}
		defer unlock()
		ctx = locked
	}
	if err := r.migrate(ctx, &m); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("%w: %w", cause, err)
		}
		return err
	}
	return nil
}

// settled reports whether a migration has nothing to do. The stored schema is
// in force then.
func (r *Registry) settled(ctx context.Context, m *Migration) (bool, error) {
	if err := r.lock(ctx); err != nil {
		return false, err
	}
	defer r.unlock()
	have, missing, err := r.readNoted(ctx)
	if err != nil {
		return false, err
	}
	if len(missing) > 0 || m.Before != nil || m.After != nil {
		return false, nil
	}
	steps, err := m.Plan(have)
	if err != nil || len(steps) > 0 {
		return false, err
	}
	r.current.Store(r.keep(have))
	return true, nil
}

func (r *Registry) migrate(ctx context.Context, m *Migration) error {
	if err := r.complete(ctx, m); err != nil {
		return err
	}
	if m.Before != nil {
		if err := m.Before(ctx); err != nil {
			return fmt.Errorf("before the migration: %w", err)
		}
	}
	if err := r.lock(ctx); err != nil {
		return err
	}
	_, err := r.apply(ctx, m.Plan, m.Each)
	r.unlock()
	if err != nil {
		return err
	}
	if m.After != nil {
		if err := m.After(ctx); err != nil {
			return fmt.Errorf("after the migration: %w", err)
		}
	}
	return nil
}

// complete reads the stored schema and makes what the system classes lack.
func (r *Registry) complete(ctx context.Context, m *Migration) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	have, missing, err := r.readNoted(ctx)
	if err != nil {
		return err
	}
	_, err = r.commit(ctx, r.keep(have), missing, m.Each)
	return err
}
