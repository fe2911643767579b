package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/pargo-baas/pargo/parse"
)

// Applier is the side of a database that keeps the schema. A step that is
// already done is no error.
type Applier interface {
	LoadSchema(ctx context.Context) ([]*Class, error)
	ApplySchema(ctx context.Context, steps []Step) error
}

// Shared is an Applier whose database other servers use as well.
type Shared interface {
	Applier
	// SchemaVersion is a number that grows with each announced change. It is
	// cheap enough to be asked for all the time.
	SchemaVersion(ctx context.Context) (uint64, error)
	// AnnounceSchema tells other servers that the schema has changed, and
	// returns the new version.
	AnnounceSchema(ctx context.Context) (uint64, error)
	// SchemaPrint is a number that differs, as good as always, for different
	// schemas. It reads all of the schema, and so sees what servers changed that
	// announce nothing.
	SchemaPrint(ctx context.Context) (uint64, error)
	// LockSchema waits until no other server holds the lock. The context that
	// comes back ends if the lock is lost; unlock must be called. A server that
	// dies loses the lock after some seconds.
	LockSchema(ctx context.Context) (locked context.Context, unlock func(), err error)
}

// Word is what a [Notifier] tells.
type Word int

const (
	// Changed says that the schema may have changed, and that from now on changes are told.
	Changed Word = iota + 1
	// Deaf says that changes may go unheard, until the next Changed.
	Deaf
)

// Notifier is a Shared that can be told of changes, by whoever, as they happen.
type Notifier interface {
	// SchemaChanges tells of changes until ctx ends, by [Tell]; nil if it never will.
	SchemaChanges(ctx context.Context) <-chan Word
}

// Tell leaves a word in a channel that holds one, and takes back the one before
// it if nobody has heard that: only the last one counts. One goroutine may do so.
func Tell(told chan Word, w Word) {
	select {
	case <-told:
	default:
	}
	told <- w
}

// Registry keeps the snapshot in force. Reading it costs one atomic load;
// changes are made one after the other.
type Registry struct {
	store  Applier
	shared Shared // nil: nobody else uses the database

	changes chan struct{} // holds a token while a change is under way
	current atomic.Pointer[Snapshot]

	// What of a shared database the snapshot is of; guarded by changes.
	version, print uint64
}

var _ Source = (*Registry)(nil)

// NewRegistry returns an empty registry; call [Registry.Load] before use.
func NewRegistry(a Applier) *Registry {
	r := &Registry{store: a, changes: make(chan struct{}, 1)}
	r.shared, _ = a.(Shared)
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

func (r *Registry) unlock() { <-r.changes }

// Load reads all classes from the store and creates the system classes,
// default columns and indexes that it lacks. It may be called again to see
// what another server changed.
func (r *Registry) Load(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	return r.load(ctx)
}

func (r *Registry) load(ctx context.Context) error {
	have, steps, err := r.readNoted(ctx)
	if err != nil {
		return err
	}
	_, err = r.commit(ctx, r.keep(have), steps, nil)
	return err
}

// readNoted is read, and remembers the version of a shared schema. That is
// asked for first: what changes after that is seen the next time.
func (r *Registry) readNoted(ctx context.Context) (have *Snapshot, steps []Step, err error) {
	if r.shared != nil {
		if r.version, err = r.shared.SchemaVersion(ctx); err != nil {
			return nil, nil, fmt.Errorf("read version of the schema: %w", err)
		}
	}
	return r.read(ctx)
}

// keep returns a snapshot with the definitions of the one in force where they
// say the same: much is cached by definition.
func (r *Registry) keep(next *Snapshot) *Snapshot {
	now := r.Current()
	same := len(next.classes) == len(now.classes)
	for name, c := range next.classes {
		if old := now.classes[name]; old != nil && sameClass(old, c) {
			next.classes[name] = old
		} else {
			same = false
		}
	}
	if same {
		return now
	}
	return next
}

func sameClass(a, b *Class) bool { return sameCLP(a.CLP, b.CLP) && parse.Equal(a.Map(), b.Map()) }

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

// Plan returns what is stored and the steps that [Registry.Migrate] with plan
// would take. It takes none.
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
// snapshot is returned. If plan or the store fails, nothing changes. What other
// servers have announced is read first.
func (r *Registry) Apply(ctx context.Context, plan func(*Snapshot) ([]Step, error)) (*Snapshot, error) {
	if err := r.lock(ctx); err != nil {
		return nil, err
	}
	defer r.unlock()
	return r.apply(ctx, plan, nil)
}

// eachStep is told of every step and calls do to carry it out.
type eachStep func(st Step, do func() error) error

func (r *Registry) apply(ctx context.Context, plan func(*Snapshot) ([]Step, error), each eachStep) (*Snapshot, error) {
	if _, err := r.refresh(ctx, false); err != nil {
		return nil, err
	}
	have := r.Current()
	steps, err := plan(have)
	if err != nil {
		return nil, err
	}
	return r.commit(ctx, have, steps, each)
}

// commit carries out steps: all at once or, with each, one by one.
func (r *Registry) commit(ctx context.Context, have *Snapshot, steps []Step, each eachStep) (*Snapshot, error) {
	next := have
	if len(steps) > 0 {
		var err error
		if next, err = Apply(have, steps); err != nil {
			return nil, err
		}
		if err := r.carryOut(ctx, steps, each); err != nil {
			return nil, fmt.Errorf("store schema: %w", err)
		}
	}
	r.current.Store(next)
	return next, nil
}

func (r *Registry) carryOut(ctx context.Context, steps []Step, each eachStep) (err error) {
	if each == nil {
		err = r.store.ApplySchema(ctx, steps)
	}
	for i := 0; each != nil && i < len(steps) && err == nil; i++ {
		err = each(steps[i], func() error { return r.store.ApplySchema(ctx, steps[i:i+1]) })
	}
	if r.shared == nil {
		return err
	}
	// Told even after a failure: some of the steps may have been done.
	tell, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceTimeout)
	defer cancel()
	version, terr := r.shared.AnnounceSchema(tell)
	if terr == nil && err == nil && version == r.version+1 {
		r.version = version // nobody else has changed anything since
	}
	return errors.Join(err, terr)
}
