package aggregate

import (
	"context"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// run is the state of one execution.
type run struct {
	ctx   context.Context // nil for a constant
	p     *Pipeline
	lim   Limits
	steps *int      // of all pipelines of the request
	vars  *variable // that $lookup hands to its pipeline
	// regexes are the patterns of expressions so far.
	regexes map[string]compiled
	finding *time.Duration // see findAll
}

// env is what expressions about a document are evaluated in.
func (r *run) env(d *parse.Map) *env { return &env{r: r, root: d, doc: d, vars: r.vars} }

// with is r for a pipeline that sees further variables.
func (r *run) with(vars *variable) *run {
	inner := *r
	inner.vars = vars
	return &inner
}

// step is called in every loop: it ends those whose request has ended or that
// have gone on for too long.
func (r *run) step() error {
	if err := r.take(1); err != nil {
		return err
	}
	if *r.steps&1023 == 0 {
		return r.ended()
	}
	return nil
}

// ended returns the error of a request that has ended.
func (r *run) ended() error {
	if r.ctx == nil {
		return nil
	}
	return r.ctx.Err()
}

// take counts n steps.
func (r *run) take(n int) error {
	if *r.steps += n; *r.steps > r.lim.Steps {
		return errorf("Aggregation exceeded the limit of %d steps; narrow it with an earlier $match.", r.lim.Steps)
	}
	return nil
}

// fits refuses values that are too large.
func (r *run) fits(v parse.Value) error {
	if size(v, r.lim.Value) > r.lim.Value {
		return errorf("Aggregation exceeded the maximum size of a document, %d bytes.", r.lim.Value)
	}
	return nil
}

// budget counts what one stage holds.
type budget struct {
	lim         Limits
	docs, bytes int
}

func (b *budget) add(v parse.Value) error {
	b.docs++
	if b.docs > b.lim.Documents {
		return errorf("Aggregation exceeded the limit of %d documents; narrow it with an earlier $match.", b.lim.Documents)
	}
	return b.grow(v)
}

func (b *budget) grow(v parse.Value) error {
	b.bytes += size(v, b.lim.Bytes-b.bytes)
	if b.bytes > b.lim.Bytes {
		return errorf("Aggregation exceeded the memory limit of %d bytes; narrow it with an earlier $match.", b.lim.Bytes)
	}
	return nil
}

// kept counts documents that are results of a stage.
func (b *budget) kept(r *run, d *parse.Map) error {
	if err := r.fits(d); err != nil {
		return err
	}
	return b.add(d)
}

// Meter counts documents while they are read for a pipeline.
type Meter struct{ b budget }

// NewMeter returns a meter with the limits.
func NewMeter(l Limits) *Meter { return &Meter{budget{lim: l.withDefaults()}} }

// Add counts one document and tells its size; beyond the limits it gives a
// *parse.Error 102.
func (m *Meter) Add(doc *parse.Map) (size int, err error) {
	was := m.b.bytes
	err = m.b.add(doc)
	return m.b.bytes - was, err
}

// env is what an expression is evaluated in.
type env struct {
	r    *run
	root parse.Value // $$ROOT
	doc  parse.Value // $$CURRENT
	vars *variable
}

// variable is one variable of $let, $lookup, $map, $filter or $reduce and those
// around it.
type variable struct {
	name  string
	value parse.Value
	outer *variable
}

func (e *env) lookup(name string) parse.Value {
	for v := e.vars; v != nil; v = v.outer {
		if v.name == name {
			return v.value
		}
	}
	return missing{}
}

func (e *env) with(name string, v parse.Value) *env {
	return &env{r: e.r, root: e.root, doc: e.doc, vars: &variable{name, v, e.vars}}
}
