package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server/config"
)

// ErrDestroys is returned by [SchemaTool.Apply] for changes that would remove
// data without leave to do so.
var ErrDestroys = errors.New("the change would destroy data")

// SchemaTool works on the schema of a database without serving it.
type SchemaTool struct {
	store    storage.Store
	registry *schema.Registry
}

// SchemaPlan is what serving a schema file would do to a database.
type SchemaPlan struct {
	Steps []PlannedStep
	// Warnings are what a server would log at its start.
	Warnings []string
}

// PlannedStep is one change, in words.
type PlannedStep struct {
	Text string
	// Destroys: the step removes data that objects may have.
	Destroys bool
}

// Destroys reports whether any step removes data.
func (p *SchemaPlan) Destroys() bool {
	for _, st := range p.Steps {
		if st.Destroys {
			return true
		}
	}
	return false
}

// OpenSchema opens the database that the options name; close it after use. The
// embedded database must not be in use by a server.
func OpenSchema(ctx context.Context, cfg config.Config, log *slog.Logger) (*SchemaTool, error) {
	store, err := openStore(ctx, cfg, nil, log)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &SchemaTool{store: store, registry: schema.NewRegistry(store)}, nil
}

// Close releases the database.
func (t *SchemaTool) Close() error { return t.store.Close() }

// Plan returns what serving the file would change, and changes nothing.
func (t *SchemaTool) Plan(ctx context.Context, file *schema.Document) (*SchemaPlan, error) {
	var p SchemaPlan
	have, steps, err := t.registry.Plan(ctx, func(have *schema.Snapshot) (steps []schema.Step, err error) {
		steps, p.Warnings, err = file.Plan(have)
		return steps, err
	})
	if err != nil {
		return nil, err
	}
	for i, text := range schema.Describe(have, steps) {
		p.Steps = append(p.Steps, PlannedStep{Text: text, Destroys: steps[i].Destroys()})
	}
	return &p, nil
}

// Apply changes the database as serving the file would, step by step: what was
// done stays done if it is broken off, and the next call goes on from there.
// each gets every step in words and has to call do; nil: nobody is told. Unless
// loss allows it to remove data, Apply fails with ErrDestroys where it would
// have to. It waits for other servers that change the schema.
func (t *SchemaTool) Apply(ctx context.Context, file *schema.Document, loss bool, each func(text string, do func() error) error) error {
	// Words need the schema as it is before the step.
	stored, err := t.store.LoadSchema(ctx)
	if err != nil {
		return fmt.Errorf("load schema: %w", err)
	}
	have := schema.NewSnapshot(0, stored...)
	m := schema.Migration{
		Plan: func(have *schema.Snapshot) ([]schema.Step, error) {
			steps, _, err := file.Plan(have)
			for i := range steps {
				if steps[i].Destroys() && !loss {
					return nil, ErrDestroys
				}
			}
			return steps, err
		},
		Each: func(st schema.Step, do func() error) error {
			text := schema.Describe(have, []schema.Step{st})[0]
			if next, err := schema.Apply(have, []schema.Step{st}); err == nil {
				have = next
			}
			if each == nil {
				return do()
			}
			return each(text, do)
		},
	}
	if err := t.registry.Migrate(ctx, m); err != nil {
		return fmt.Errorf("apply schema: %w", readable(err))
	}
	return nil
}

// File returns the stored classes as a schema file; see [schema.FileOf].
func (t *SchemaTool) File(ctx context.Context, form schema.Form) ([]byte, error) {
	classes, err := t.store.LoadSchema(ctx)
	if err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	return schema.FileOf(form, classes)
}
