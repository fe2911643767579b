package aggregate

import (
	"slices"

	"github.com/pargo-baas/pargo/parse"
)

// densification is a $densify.
type densification struct {
	field     []string
	by        expr
	byPaths   [][]string
	s         steps
	full      bool        // the bounds are those of all documents
	low, high parse.Value // nil: the bounds are those of documents
}

func (c *compiler) densify(arg parse.Value) (stage, error) {
	const op = "$densify"
	m, _ := arg.(*parse.Map)
	if err := checkArguments(op, m, []string{"field", "range"}, []string{"partitionByFields"}); err != nil {
		return nil, err
	}
	d := &densification{by: constant(nil)}
	var err error
	if d.field, err = fieldPath(op, m.String("field")); err != nil {
		return nil, err
	}
	c.seen.see(d.field[0])
	if v, given := m.Get("partitionByFields"); given {
		if d.by, err = c.byFields(op, v); err != nil {
			return nil, err
		}
		list, _ := v.(parse.Array)
		for _, e := range list {
			name, _ := e.(string)
			path, err := fieldPath(op, name)
			if err != nil {
				return nil, err
			}
			d.byPaths = append(d.byPaths, path)
		}
	}
	v, _ := m.Get("range")
	r, _ := v.(*parse.Map)
	return d.stage, d.readRange(r)
}

func (d *densification) readRange(r *parse.Map) error {
	if err := checkArguments("the range of $densify", r, []string{"step", "bounds"}, []string{"unit"}); err != nil {
		return err
	}
	v, _ := r.Get("step")
	var ok bool
	if d.s.size, ok = number(v); !ok || d.s.size <= 0 {
		return errorf("the step parameter in a range statement must be a strictly positive numeric value")
	}
	if v, given := r.Get("unit"); given {
		var err error
		if d.s.unit, _, _, err = unitArg("$densify", v); err != nil {
			return err
		}
		if _, ok := integer(d.s.size); !ok {
			return errorf("the step of $densify must be an integer if there is a unit")
		}
	}
	v, _ = r.Get("bounds")
	switch v := v.(type) {
	case string:
		if d.full = v == "full"; !d.full && v != "partition" {
			return errorf("Bounds string must either be 'full' or 'partition'")
		}
		return nil
	case parse.Array:
		if len(v) == 2 && d.s.fits(asBound(v[0], d.s)) && d.s.fits(asBound(v[1], d.s)) {
			if d.low, d.high = asBound(v[0], d.s), asBound(v[1], d.s); compare(d.low, d.high) <= 0 {
				return nil
			}
		}
	}
	return errorf("the bounds of $densify must be 'full', 'partition' or two values in ascending order, numbers or, with a unit, dates")
}

// asBound reads the text of a date, which JSON has no other form for.
func asBound(v parse.Value, s steps) parse.Value {
	if text, ok := v.(string); ok && s.unit != "" {
		if d, ok := parseDate(text); ok {
			return d
		}
	}
	return v
}

func (d *densification) stage(r *run, docs []*parse.Map) ([]*parse.Map, error) {
	parts, err := partitions(r, docs, d.by, []sortKey{{path: d.field}})
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 && d.low != nil && d.byPaths == nil {
		parts = []*partition{{}}
	}
	low, high := d.low, d.high
	if d.full {
		for _, v := range docs {
			v := at(v, d.field)
			if absent(v) {
				continue
			}
			if low == nil || compare(v, low) < 0 {
				low = v
			}
			if high == nil || compare(v, high) > 0 {
				high = v
			}
		}
	}
	b := budget{lim: r.lim}
	var out []*parse.Map
	for _, p := range parts {
		if out, err = d.dense(r, &b, p, low, high, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// dense appends the documents of a partition, and between them those that are
// missing on the way from low to high.
func (d *densification) dense(r *run, b *budget, p *partition, low, high parse.Value, out []*parse.Map) ([]*parse.Map, error) {
	emit := func(doc *parse.Map) error {
		out = append(out, doc)
		if err := r.step(); err != nil {
			return err
		}
		return b.kept(r, doc)
	}
	i := 0
	for ; i < len(p.docs) && absent(p.values[i][0]); i++ {
		if err := emit(p.docs[i]); err != nil {
			return nil, err
		}
	}
	for k := i; k < len(p.docs); k++ {
		if !d.s.fits(p.values[k][0]) {
			return nil, errorf("$densify field type must be numeric or, with a unit, date; found %s", typeName(p.values[k][0]))
		}
	}
	if low == nil && i < len(p.docs) {
		low, high = p.values[i][0], p.values[len(p.docs)-1][0]
	}
	if low == nil {
		return out, nil
	}
	for n := 0; ; n++ {
		next, err := d.s.add(low, n)
		if err != nil {
			return nil, err
		}
		if n > 0 && compare(next, low) <= 0 {
			return nil, errorf("$densify: the step is too small")
		}
		for ; i < len(p.docs) && compare(p.values[i][0], next) < 0; i++ {
			if err := emit(p.docs[i]); err != nil {
				return nil, err
			}
		}
		// Bounds that were given are those of a half-open range.
		if c := compare(next, high); c > 0 || c == 0 && d.high != nil {
			break
		}
		if i < len(p.docs) && compare(p.values[i][0], next) == 0 {
			continue
		}
		if err := emit(d.made(p, next)); err != nil {
			return nil, err
		}
	}
	for _, doc := range slices.Clone(p.docs[i:]) {
		if err := emit(doc); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// made is a new document of a partition.
func (d *densification) made(p *partition, v parse.Value) *parse.Map {
	out := &parse.Map{}
	for _, path := range d.byPaths {
		if old := at(p.docs[0], path); !isMissing(old) {
			out = set(out, path, old)
		}
	}
	return set(out, d.field, v)
}
