package aggregate

import (
	"math"
	"slices"

	"github.com/pargo-baas/pargo/parse"
)

// frame is the window of an output: documents from..to around the one at hand,
// by their number or by the value that they are sorted by.
type frame struct {
	byValue  bool
	from, to float64 // -Inf and +Inf: unbounded
	unit     string  // of from and to, if the values are dates
}

var wholePartition = frame{from: math.Inf(-1), to: math.Inf(1)}

// partition is documents in order, while a stage works on them.
type partition struct {
	docs   []*parse.Map
	values [][]parse.Value // those by which they are sorted
}

// windowed computes one output of $setWindowFields for all documents of a partition.
type windowed struct {
	path []string
	op   string
	f    frame
	// One of these is set: what gathers the documents of the frame, or what
	// knows the partition as a whole.
	gather *gathering
	whole  func(r *run, p *partition) ([]parse.Value, error)
}

// windowStage is a $setWindowFields on its way.
type windowStage struct {
	by      expr
	keys    []sortKey
	outputs []windowed
}

func (c *compiler) windows(arg parse.Value) (stage, error) {
	const op = "$setWindowFields"
	m, _ := arg.(*parse.Map)
	if err := checkArguments(op, m, []string{"output"}, []string{"partitionBy", "sortBy"}); err != nil {
		return nil, err
	}
	w := &windowStage{by: constant(nil)}
	var err error
	if v, given := m.Get("partitionBy"); given {
		if w.by, err = c.expr(v); err != nil {
			return nil, err
		}
	}
	if v, given := m.Get("sortBy"); given {
		by, _ := v.(*parse.Map)
		if w.keys, err = c.sortKeys(op, by); err != nil {
			return nil, err
		}
	}
	v, _ := m.Get("output")
	output, ok := v.(*parse.Map)
	if !ok {
		return nil, errorf("%s requires 'output' to be an object", op)
	}
	for name, v := range output.All() {
		spec, _ := v.(*parse.Map)
		out, err := c.windowOutput(spec, w.keys)
		if err != nil {
			return nil, err
		}
		if out.path, err = fieldPath(op, name); err != nil {
			return nil, err
		}
		w.outputs = append(w.outputs, *out)
	}
	return w.stage, nil
}

func (w *windowStage) stage(r *run, docs []*parse.Map) ([]*parse.Map, error) {
	parts, err := partitions(r, docs, w.by, w.keys)
	if err != nil {
		return nil, err
	}
	b := budget{lim: r.lim}
	out := make([]*parse.Map, 0, len(docs))
	for _, p := range parts {
		columns := make([][]parse.Value, len(w.outputs))
		for i := range w.outputs {
			if columns[i], err = w.outputs[i].compute(r, p, w.keys); err != nil {
				return nil, err
			}
		}
		for i, d := range p.docs {
			for j := range w.outputs {
				d = set(d, w.outputs[j].path, columns[j][i])
			}
			if err := b.kept(r, d); err != nil {
				return nil, err
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// partitions splits documents by the value of an expression, in the order of
// these values, and sorts each part.
func partitions(r *run, docs []*parse.Map, by expr, keys []sortKey) ([]*partition, error) {
	type part struct {
		value parse.Value
		*partition
	}
	found := map[string]*part{}
	var list []*part
	for _, d := range docs {
		if err := r.step(); err != nil {
			return nil, err
		}
		v, err := by(r.env(d))
		if err != nil {
			return nil, err
		}
		v = orNull(v)
		if _, isArray := v.(parse.Array); isArray {
			return nil, errorf("An expression used to partition cannot evaluate to value of type array")
		}
		key := string(appendKey(nil, v))
		p := found[key]
		if p == nil {
			p = &part{v, &partition{}}
			found[key] = p
			list = append(list, p)
		}
		p.docs = append(p.docs, d)
	}
	slices.SortStableFunc(list, func(a, b *part) int { return compare(a.value, b.value) })
	out := make([]*partition, len(list))
	for i, p := range list {
		var err error
		if p.docs, err = sorted(r, keys, p.docs); err != nil {
			return nil, err
		}
		for _, d := range p.docs {
			p.values = append(p.values, keysOf(keys, d))
		}
		out[i] = p.partition
	}
	return out, nil
}

func (c *compiler) windowOutput(spec *parse.Map, keys []sortKey) (*windowed, error) {
	w := &windowed{f: wholePartition}
	var arg parse.Value
	windowGiven := false
	for k, v := range spec.All() {
		switch {
		case k == "window":
			var err error
			if w.f, err = readFrame(v, keys); err != nil {
				return nil, err
			}
			windowGiven = true
		case w.op != "":
			return nil, errorf("$setWindowFields: an output has one window function, found %s and %s", w.op, k)
		default:
			w.op, arg = k, v
		}
	}
	compile, ok := windowFunctions[w.op]
	if !ok {
		g, err := c.accumulator(w.op, arg)
		if err != nil {
			return nil, errorf("Unrecognized window function, %s", w.op)
		}
		w.gather = &g
		return w, nil
	}
	framed := w.op == "$derivative" || w.op == "$integral" || w.op == "$covariancePop" || w.op == "$covarianceSamp"
	switch {
	case windowGiven && !framed:
		return nil, errorf("%s does not accept a 'window' field", w.op)
	case len(keys) == 0 && w.op != "$covariancePop" && w.op != "$covarianceSamp" && w.op != "$locf":
		return nil, errorf("%s must be specified with a top level sortBy expression", w.op)
	}
	return w, compile(c, w, arg, keys)
}

// readFrame reads a window.
func readFrame(v parse.Value, keys []sortKey) (frame, error) {
	m, _ := v.(*parse.Map)
	f := wholePartition
	if m.Len() == 0 {
		return f, nil
	}
	if err := checkArguments("'window'", m, nil, []string{"documents", "range", "unit"}); err != nil {
		return f, err
	}
	name := "documents"
	if m.Has("range") {
		name, f.byValue = "range", true
	}
	bounds, _ := m.Get(name)
	list, _ := bounds.(parse.Array)
	if len(list) != 2 || m.Has("documents") && f.byValue || m.Has("unit") && !f.byValue {
		return f, errorf("'window' needs either 'documents' or 'range' (with an optional 'unit'), an array of two bounds")
	}
	if v, given := m.Get("unit"); given {
		var err error
		if f.unit, _, _, err = unitArg("'window'", v); err != nil {
			return f, err
		}
	}
	for i, to := range [...]*float64{&f.from, &f.to} {
		switch list[i] {
		case "unbounded":
			continue
		case "current":
			*to = 0
			continue
		}
		n, ok := number(list[i])
		if !ok || math.IsInf(n, 0) || (!f.byValue || f.unit != "") && (n != math.Trunc(n) || math.Abs(n) > 1e8) {
			return f, errorf("a bound of a window is \"unbounded\", \"current\" or a number, found %s", parse.AppendJSON(nil, list[i]))
		}
		*to = n
	}
	switch {
	case f.from > f.to:
		return f, errorf("Lower bound must not exceed upper bound of a window")
	case f.byValue && (len(keys) != 1 || keys[0].desc):
		return f, errorf("Range-based window require sortBy a single ascending field")
	case len(keys) == 0 && (!math.IsInf(f.from, -1) || !math.IsInf(f.to, 1)):
		return f, errorf("Document-based bounds require a sortBy")
	}
	return f, nil
}

// indexes returns the documents of a frame: from first up to but without last.
func (f *frame) indexes(p *partition, i int) (first, last int, err error) {
	n := len(p.docs)
	if !f.byValue {
		clip := func(x float64) int { return int(max(0, min(x, float64(n)))) }
		return clip(float64(i) + f.from), clip(float64(i) + f.to + 1), nil
	}
	low, high, err := f.around(p.values[i][0])
	if err != nil {
		return 0, 0, err
	}
	kind := rank(p.values[i][0])
	place := func(bound parse.Value, after bool) int {
		k, _ := slices.BinarySearchFunc(p.values, bound, func(v []parse.Value, bound parse.Value) int {
			if c := compare(v[0], bound); c != 0 || !after {
				return c
			}
			return -1
		})
		return k
	}
	if low != nil {
		first = place(low, false)
	} else {
		for first < n && rank(p.values[first][0]) < kind {
			first++
		}
	}
	last = n
	if high != nil {
		last = place(high, true)
	}
	for last > first && rank(p.values[last-1][0]) > kind {
		last--
	}
	return first, max(first, last), nil
}

// around returns the bounds of the values of a frame; nil: none.
func (f *frame) around(v parse.Value) (low, high parse.Value, err error) {
	shift := func(by float64) (parse.Value, error) {
		if f.unit != "" {
			d, ok := v.(parse.Date)
			if !ok {
				return nil, errorf("a window with a unit needs dates to sort by, found %s", typeName(v))
			}
			return dateOf(float64(addUnits(d.Time(), f.unit, units[f.unit], int64(by)).UnixMilli()))
		}
		n, ok := number(v)
		if !ok {
			return nil, errorf("a range-based window needs numbers to sort by, found %s", typeName(v))
		}
		return n + by, nil
	}
	if !math.IsInf(f.from, -1) {
		if low, err = shift(f.from); err != nil {
			return nil, nil, err
		}
	}
	if !math.IsInf(f.to, 1) {
		high, err = shift(f.to)
	}
	return low, high, err
}

func (w *windowed) compute(r *run, p *partition, keys []sortKey) ([]parse.Value, error) {
	if w.whole != nil {
		return w.whole(r, p)
	}
	inputs := make([]parse.Value, len(p.docs))
	for i, d := range p.docs {
		var err error
		if inputs[i], err = w.gather.x(r.env(d)); err != nil {
			return nil, err
		}
	}
	out := make([]parse.Value, len(p.docs))
	b := &budget{lim: r.lim}
	acc, first, last := w.gather.make(), 0, 0
	for i := range p.docs {
		from, to, err := w.f.indexes(p, i)
		if err != nil {
			return nil, err
		}
		// Only what a frame gains is added; a frame that loses is begun anew.
		if from != first || to < last {
			acc, first, last = w.gather.make(), from, from
			b = &budget{lim: r.lim}
		}
		for ; last < to; last++ {
			if err := r.step(); err != nil {
				return nil, err
			}
			if err := acc.add(b, inputs[last]); err != nil {
				return nil, err
			}
		}
		out[i] = acc.result()
	}
	return out, nil
}
