// Package aggregate runs aggregation pipelines in Go, with the meaning that
// MongoDB gives them, over documents in the stored form of Parse Server: _id,
// _created_at, _updated_at, and pointers as "Class$id" under _p_<field>. So a
// pipeline answers the same on every database.
//
// [Stages] reads the forms in which clients send a pipeline, [Compile] checks
// and compiles it, [Pipeline.Source] tells what may be left to the database,
// and [Pipeline.Run] does the rest in bounded memory. What a client did wrong
// is a *parse.Error 102 at all times.
package aggregate

import (
	"context"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Limits bound one run. A zero field means its default.
type Limits struct {
	Documents int // that any stage holds; default 1,000,000
	Bytes     int // estimated size of what a stage holds; default 256 MiB
	Value     int // estimated size of one document or value; default 16 MiB
	Stages    int // of all pipelines together; default 200
	Steps     int // of all loops together, about one for each document and stage; default 500 million
}

func (l Limits) withDefaults() Limits {
	set := func(p *int, def int) {
		if *p == 0 {
			*p = def
		}
	}
	set(&l.Documents, 1_000_000)
	set(&l.Bytes, 256<<20)
	set(&l.Value, 16<<20)
	set(&l.Stages, 200)
	set(&l.Steps, 500_000_000)
	return l
}

// Options say what a pipeline is compiled for.
type Options struct {
	// Class is the class whose documents come in; its fields guide the
	// translation of names and values.
	Class *schema.Class
	// Hidden are fields of the class that the caller is not to know of.
	Hidden []string
	// RawNames turns the translation of field names off, RawValues that of values.
	RawNames, RawValues bool
	// Fetch returns documents of another class; nil: there are none.
	Fetch func(ctx context.Context, class string, src Source) ([]*parse.Map, error)
	// Resolve returns the definition of another class for which the caller has
	// permission, nil if there is no such class; nil: there are none.
	Resolve func(class string) (*schema.Class, error)
	// Now is the time of $$NOW.
	Now    parse.Date
	Limits Limits
}

func errorf(format string, args ...any) error {
	return parse.Errorf(parse.InvalidQuery, format, args...)
}
