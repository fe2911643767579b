package schema

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
)

// Applier is the side of a database that keeps the schema. A step that is
// already done is no error.
type Applier interface {
	LoadSchema(ctx context.Context) ([]*Class, error)
	ApplySchema(ctx context.Context, steps []Step) error
}

// Registry keeps the snapshot in force. Reading it costs one atomic load;
// changes are made one after the other.
type Registry struct {
	store   Applier
	changes chan struct{} // holds a token while a change is under way
	current atomic.Pointer[Snapshot]
}

var _ Source = (*Registry)(nil)

// NewRegistry returns an empty registry; call [Registry.Load] before use.
func NewRegistry(a Applier) *Registry {
	r := &Registry{store: a, changes: make(chan struct{}, 1)}
	r.current.Store(NewSnapshot(0))
	return r
}

// Current returns the snapshot in force.
func (r *Registry) Current() *Snapshot { return r.current.Load() }

// lock waits for its turn to change the schema.
func (r *Registry) lock(ctx context.Context) error {
	select {
	case r.changes <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to change the schema: %w", ctx.Err())
	}
}

// Load reads all classes from the store and creates the system classes,
// default columns and indexes that it lacks. It may be called again to see
// what another server changed.
func (r *Registry) Load(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer func() { <-r.changes }()
	have, steps, err := r.read(ctx)
	if err != nil {
		return err
	}
	_, err = r.commit(ctx, have, steps)
	return err
}

// read returns what is stored, and the steps that complete it.
func (r *Registry) read(ctx context.Context) (have *Snapshot, steps []Step, err error) {
	stored, err := r.store.LoadSchema(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read stored schema: %w", err)
	}
	have = NewSnapshot(r.Current().Version + 1)
	for _, c := range stored {
		missing, err := missingParts(c)
		if err != nil {
			return nil, nil, err
		}
		steps = append(steps, missing...)
		if have.classes[c.Name], err = compiled(c); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range storedSystem {
		if have.Class(name) == nil {
			steps = append(steps, Step{Kind: CreateClass, Class: name, Def: SystemClass(name)})
		}
	}
	return have, steps, nil
}

// Plan returns what is stored and the steps that [Registry.Load], and then
// [Registry.Apply] with plan, would take. It takes none.
func (r *Registry) Plan(ctx context.Context, plan func(*Snapshot) ([]Step, error)) (have *Snapshot, steps []Step, err error) {
	have, steps, err = r.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	complete, err := Apply(have, steps)
	if err != nil {
		return nil, nil, err
	}
	more, err := plan(complete)
	if err != nil {
		return nil, nil, err
	}
	return have, append(steps, more...), nil
}

// missingParts returns the steps that give a stored class the default columns
// and indexes of its kind. Fields of every class are no steps: no database
// keeps them as columns of its own.
func missingParts(c *Class) ([]Step, error) {
	def := Complete(&Class{Name: c.Name})
	var steps []Step
	fields, conflicts := diffFields(c, &Class{Name: c.Name, Fields: lacking(c, def)})
	if len(conflicts) > 0 {
		return nil, fmt.Errorf("stored class %s: %s", c.Name, conflicts[0])
	}
	steps = append(steps, fields...)
	for i := range def.Indexes {
		ix := def.Indexes[i]
		if !slices.ContainsFunc(c.Indexes, func(have Index) bool { return have.Name == ix.Name }) {
			steps = append(steps, Step{Kind: AddIndex, Class: c.Name, Index: &ix})
		}
	}
	return steps, nil
}

func lacking(c, def *Class) map[string]*Field {
	out := map[string]*Field{}
	for name, f := range def.Fields {
		have := c.Fields[name]
		if !isSystemField(name) && (have == nil || have.Type != f.Type || have.TargetClass != f.TargetClass) {
			out[name] = f
		}
	}
	return out
}

// compiled returns a stored class as it is worked with: with the fields of
// every class and with validators.
func compiled(c *Class) (*Class, error) {
	out := *c
	out.Fields = make(map[string]*Field, len(c.Fields)+4)
	for name, f := range c.Fields {
		if f.Validate == nil && len(f.ValidateJSON) > 0 {
			v, err := CompileValidator(name, f.ValidateJSON)
			if err != nil {
				return nil, fmt.Errorf("stored class %s: field %s: %w", c.Name, name, err)
			}
			g := *f
			g.Validate = v
			f = &g
		}
		out.Fields[name] = f
	}
	for name, f := range defaultFields("") {
		out.Fields[name] = f
	}
	return &out, nil
}

// Apply changes the schema: plan gets the newest snapshot and returns the
// steps, the store carries them out, and the snapshot that follows is in force
// from then on and returned. Without steps nothing is written and the newest
// snapshot is returned. If plan or the store fails, nothing changes.
func (r *Registry) Apply(ctx context.Context, plan func(*Snapshot) ([]Step, error)) (*Snapshot, error) {
	if err := r.lock(ctx); err != nil {
		return nil, err
	}
	defer func() { <-r.changes }()
	have := r.Current()
	steps, err := plan(have)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		return have, nil
	}
	return r.commit(ctx, have, steps)
}

func (r *Registry) commit(ctx context.Context, have *Snapshot, steps []Step) (*Snapshot, error) {
	next := have
	if len(steps) > 0 {
		var err error
		if next, err = Apply(have, steps); err != nil {
			return nil, err
		}
		if err := r.store.ApplySchema(ctx, steps); err != nil {
			return nil, fmt.Errorf("store schema: %w", err)
		}
	}
	r.current.Store(next)
	return next, nil
}
