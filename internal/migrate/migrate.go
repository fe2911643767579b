package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/schema"
)

// Options of a copy.
type Options struct {
	// Source names the source, so that a copy that was broken off goes on from
	// the same one only.
	Source string
	// Classes are those to copy; nil: all.
	Classes []string
	// DryRun looks, and changes nothing.
	DryRun bool
	// Merge allows a target that has objects. Those with an id of the source stay
	// as they are.
	Merge bool
	// Progress, if not nil, is told how far the copy is, by one goroutine at a time.
	Progress func(Progress)
}

// Stage is a part of the work.
type Stage string

// Stages, in their order.
const (
	StageCopy    Stage = "copy"
	StageIndexes Stage = "indexes"
	StageVerify  Stage = "verify"
)

// Progress is how far a copy is.
type Progress struct {
	Stage Stage
	Class string
	// Done of Total objects of all classes are through this stage.
	Done, Total int64
}

// Report is what was copied.
type Report struct {
	Classes []ClassReport
	// Resumed: another run had begun.
	Resumed bool
	// DryRun: nothing was changed.
	DryRun bool
}

// ClassReport is what was copied of a class.
type ClassReport struct {
	Name string
	// Objects and Links are how many the source has; links are members of relations.
	Objects, Links int64
	// Copied are those that this run wrote, Present those that it found.
	Copied, Present int64
	// Kept are objects that the target of a merge had with other contents.
	Kept int64
	// Hash is that of objects and links on both sides; "" if nothing was compared.
	Hash string
}

// NotEmptyError is returned for a target that has objects already.
type NotEmptyError struct {
	// Classes are some of the classes that have objects.
	Classes []string
}

// Error implements error.
func (e *NotEmptyError) Error() string {
	return "the target has objects already, in " + strings.Join(e.Classes, ", ")
}

// ErrOtherSource is returned for a target that holds the beginning of a copy of
// another source.
var ErrOtherSource = errors.New("the target has an unfinished copy of another source: empty it first")

// ErrNoClasses is returned for a source that has none, as one has whose name is
// misspelled: databases come into being when they are asked for.
var ErrNoClasses = errors.New("the source has no classes: is that the name of the database?")

// DifferenceError is returned if a class differs between source and target
// after the copy.
type DifferenceError struct {
	Class          string
	Source, Target Tally
	// IDs are some of the objects that are missing, too many, or different.
	IDs []string
}

// Error implements error.
func (e *DifferenceError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "class %s differs: the source has %d objects and %d members of relations, the target %d and %d",
		e.Class, e.Source.Objects, e.Source.Links, e.Target.Objects, e.Target.Links)
	if len(e.IDs) > 0 {
		fmt.Fprintf(&b, "; look at %s", strings.Join(e.IDs, ", "))
	}
	return b.String()
}

// run is one copy.
type run struct {
	from, to storage.Store
	o        Options
	jobs     []*job
	marks    *marks
	total    int64
	done     int64
	report   *Report
}

// job is a class on its way.
type job struct {
	def    *schema.Class // at the source
	target *schema.Class // at the target, as far as it has been made
	joins  []storage.Join
	report *ClassReport
}

// Run copies one database to another one and compares them. Neither may be in
// use meanwhile. What was done stays done if it fails or ctx ends; another Run
// goes on from there.
func Run(ctx context.Context, from, to storage.Store, o Options) (*Report, error) {
	r := &run{from: from, to: to, o: o, report: &Report{DryRun: o.DryRun}}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	if o.DryRun {
		return r.report, nil
	}
	if err := r.makeClasses(ctx); err != nil {
		return nil, err
	}
	for _, j := range r.jobs {
		if err := r.copy(ctx, j); err != nil {
			return nil, err
		}
	}
	if err := r.makeIndexes(ctx); err != nil {
		return nil, err
	}
	r.done = 0
	for _, j := range r.jobs {
		if err := r.verify(ctx, j); err != nil {
			return nil, err
		}
	}
	return r.report, r.marks.drop(ctx)
}

func (r *run) tell(stage Stage, class string, more int) {
	r.done += int64(more)
	if r.o.Progress != nil {
		r.o.Progress(Progress{Stage: stage, Class: class, Done: r.done, Total: r.total})
	}
}

// prepare reads what there is on both sides and refuses what must not be.
func (r *run) prepare(ctx context.Context) error {
	classes, err := r.from.LoadSchema(ctx)
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	for _, name := range r.o.Classes {
		if !slices.ContainsFunc(classes, func(c *schema.Class) bool { return c.Name == name }) {
			return fmt.Errorf("the source has no class %s", name)
		}
	}
	slices.SortFunc(classes, func(a, b *schema.Class) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range classes {
		if c.Name == CheckpointClass || r.o.Classes != nil && !slices.Contains(r.o.Classes, c.Name) {
			continue
		}
		n, err := r.from.Count(ctx, c, nil, nil)
		if err != nil {
			return fmt.Errorf("count class %s: %w", c.Name, err)
		}
		r.total += n
		r.jobs = append(r.jobs, &job{def: c, joins: relations(c)})
		r.report.Classes = append(r.report.Classes, ClassReport{Name: c.Name, Objects: n})
	}
	if len(r.jobs) == 0 {
		return ErrNoClasses
	}
	for i := range r.jobs {
		r.jobs[i].report = &r.report.Classes[i]
	}
	have, err := r.to.LoadSchema(ctx)
	if err != nil {
		return fmt.Errorf("read the target: %w", err)
	}
	if r.marks, err = loadMarks(ctx, r.to, have); err != nil {
		return err
	}
	r.report.Resumed = r.marks.begun()
	if r.report.Resumed {
		if r.marks.source != r.o.Source {
			return ErrOtherSource
		}
		return nil
	}
	if r.o.Merge {
		return nil
	}
	return r.empty(ctx, have)
}

// empty makes sure that the target has no objects.
func (r *run) empty(ctx context.Context, have []*schema.Class) error {
	const some = 5
	var e NotEmptyError
	for _, c := range have {
		n, err := r.to.Count(ctx, c, nil, nil)
		if err != nil {
			return fmt.Errorf("count class %s of the target: %w", c.Name, err)
		}
		if n > 0 && len(e.Classes) < some {
			e.Classes = append(e.Classes, c.Name)
		}
	}
	if len(e.Classes) > 0 {
		return &e
	}
	return nil
}

// makeClasses makes the classes, without their indexes.
func (r *run) makeClasses(ctx context.Context) error {
	if err := r.marks.create(ctx, r.o.Source); err != nil {
		return fmt.Errorf("prepare the target: %w", err)
	}
	have, err := r.classesAtTarget(ctx)
	if err != nil {
		return err
	}
	for _, j := range r.jobs {
		if err := r.to.ApplySchema(ctx, steps(j.def, have[j.def.Name])); err != nil {
			return fmt.Errorf("make class %s: %w", j.def.Name, err)
		}
	}
	// Objects are written with the indexes that there are, not those to come.
	if have, err = r.classesAtTarget(ctx); err != nil {
		return err
	}
	for _, j := range r.jobs {
		if j.target = have[j.def.Name]; j.target == nil {
			j.target = bare(j.def)
		}
	}
	return nil
}

func (r *run) classesAtTarget(ctx context.Context) (map[string]*schema.Class, error) {
	list, err := r.to.LoadSchema(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the target: %w", err)
	}
	have := make(map[string]*schema.Class, len(list))
	for _, c := range list {
		have[c.Name] = c
	}
	return have, nil
}

// bare is the definition of a class without its indexes.
func bare(c *schema.Class) *schema.Class {
	b := *c
	b.Indexes = nil
	return &b
}

// steps make a class what it is at the source, but for indexes.
func steps(def, have *schema.Class) []schema.Step {
	if have == nil {
		return []schema.Step{{Kind: schema.CreateClass, Class: def.Name, Def: bare(def)}}
	}
	var out []schema.Step
	for _, name := range slices.Sorted(maps.Keys(def.Fields)) {
		if f := def.Fields[name]; !schema.IsVolatile(def.Name) || have.Fields[name] == nil {
			out = append(out, schema.Step{Kind: schema.AddFieldStep, Class: def.Name, Field: f})
		}
	}
	if schema.IsVolatile(def.Name) {
		return out
	}
	return append(out,
		schema.Step{Kind: schema.SetCLP, Class: def.Name, CLP: def.CLP},
		schema.Step{Kind: schema.SetMeta, Class: def.Name, Def: def})
}

// makeIndexes makes the indexes, which is faster when the objects are there.
func (r *run) makeIndexes(ctx context.Context) error {
	have, err := r.classesAtTarget(ctx)
	if err != nil {
		return err
	}
	for _, j := range r.jobs {
		r.tell(StageIndexes, j.def.Name, 0)
		for i := range j.def.Indexes {
			ix := &j.def.Indexes[i]
			if c := have[j.def.Name]; c != nil && slices.ContainsFunc(c.Indexes, func(h schema.Index) bool { return h.Name == ix.Name }) {
				continue
			}
			err := r.to.ApplySchema(ctx, []schema.Step{{Kind: schema.AddIndex, Class: j.def.Name, Index: ix}})
			if err != nil {
				return fmt.Errorf("make index %s of class %s: %w", ix.Name, j.def.Name, err)
			}
		}
	}
	return nil
}
