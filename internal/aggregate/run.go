package aggregate

import (
	"context"

	"github.com/pargo-baas/pargo/parse"
)

// run is the state of one execution.
type run struct {
	ctx   context.Context
	p     *Pipeline
	lim   Limits
	steps int
}

// step is called in every loop: it ends those whose request has ended.
func (r *run) step() error {
	if r.steps++; r.steps&1023 == 0 {
		return r.ctx.Err()
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

// Meter counts documents while they are read for a pipeline.
type Meter struct{ b budget }

// NewMeter returns a meter with the limits.
func NewMeter(l Limits) *Meter { return &Meter{budget{lim: l.withDefaults()}} }

// Add counts one document; beyond the limits it gives a *parse.Error 102.
func (m *Meter) Add(doc *parse.Map) error { return m.b.add(doc) }

// env is what an expression is evaluated in.
type env struct {
	r    *run
	doc  parse.Value // $$CURRENT
	vars *variable
}

// variable is one variable of $map, $filter or $reduce and those around it.
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
	return &env{r: e.r, doc: e.doc, vars: &variable{name, v, e.vars}}
}
