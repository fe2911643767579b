package schema

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// announceTimeout bounds telling other servers of a change, which is done even
// if the request that made it has ended.
const announceTimeout = 5 * time.Second

// refresh reads the schema anew if another server has changed it: if it has
// announced that or, thorough, if the stored schema is another one.
func (r *Registry) refresh(ctx context.Context, thorough bool) (changed bool, err error) {
	if r.shared == nil {
		return false, nil
	}
	version, err := r.shared.SchemaVersion(ctx)
	if err != nil {
		return false, fmt.Errorf("read version of the schema: %w", err)
	}
	print := r.print
	if thorough {
		if print, err = r.shared.SchemaPrint(ctx); err != nil {
			return false, fmt.Errorf("read schema: %w", err)
		}
	}
	if version == r.version && print == r.print {
		return false, nil
	}
	was := r.Current()
	if err := r.load(ctx); err != nil {
		return false, err
	}
	r.print = print
	return r.Current() != was, nil
}

// Pace says how often [Registry.Follow] looks.
type Pace struct {
	// Announced is the time between looks for what pargo's servers announce. While
	// a [Notifier] tells of changes it looks when it is told, but no more often.
	Announced time.Duration
	// Any is the time between looks for changes by whoever.
	Any time.Duration
}

// Follow keeps the snapshot in step with what other servers do to the schema,
// until ctx ends. On a database that nobody else uses it returns at once.
func (r *Registry) Follow(ctx context.Context, p Pace, log *slog.Logger) {
	if r.shared == nil {
		return
	}
	announced, anyone := time.NewTicker(p.Announced), time.NewTicker(p.Any)
	defer announced.Stop()
	defer anyone.Stop()
	var told <-chan Word
	if n, ok := r.shared.(Notifier); ok {
		told = n.SchemaChanges(ctx)
	}
	hearing, due, failing := false, false, false // due: told of a change, and has not looked since
	var rest <-chan time.Time                    // not nil: looked because it was told, a moment ago
	for {
		look, thorough := false, false
		select {
		case <-ctx.Done():
			return
		case <-announced.C:
			look = !hearing
		case <-anyone.C:
			look, thorough = true, true
		case w := <-told:
			hearing = w == Changed
			due = due || hearing
		case <-rest:
			rest = nil
		}
		if due && rest == nil {
			look, thorough, due = true, true, false
			rest = time.After(p.Announced)
		}
		if !look {
			continue
		}
		changed, err := r.look(ctx, thorough)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			log.WarnContext(ctx, "the schema cannot be read: changes by other servers are not seen", "error", err)
		case changed:
			log.InfoContext(ctx, "another server has changed the schema")
		}
		failing = err != nil
	}
}

// Refresh sees to it that the snapshot has what other servers have announced.
func (r *Registry) Refresh(ctx context.Context) error {
	_, err := r.look(ctx, false)
	return err
}

func (r *Registry) look(ctx context.Context, thorough bool) (bool, error) {
	if err := r.lock(ctx); err != nil {
		return false, err
	}
	defer r.unlock()
	return r.refresh(ctx, thorough)
}
