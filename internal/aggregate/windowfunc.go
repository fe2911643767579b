package aggregate

import (
	"math"

	"github.com/pargo-baas/pargo/parse"
)

// windowFunction compiles a window function that is no accumulator into w.whole.
type windowFunction func(c *compiler, w *windowed, arg parse.Value, keys []sortKey) error

// windowFunctions is a constant table.
var windowFunctions = map[string]windowFunction{
	"$rank": ranking, "$denseRank": ranking, "$documentNumber": ranking,
	"$shift": shifting, "$expMovingAvg": movingAverage, "$linearFill": filling, "$locf": filling,
	"$derivative": slope, "$integral": slope, "$covariancePop": covariance, "$covarianceSamp": covariance,
}

func ranking(_ *compiler, w *windowed, arg parse.Value, keys []sortKey) error {
	if m, ok := arg.(*parse.Map); !ok || m.Len() > 0 {
		return errorf("%s takes no arguments", w.op)
	}
	if len(keys) != 1 && w.op != "$documentNumber" {
		return errorf("%s must be specified with a top level sortBy expression with exactly one element", w.op)
	}
	w.whole = func(_ *run, p *partition) ([]parse.Value, error) {
		out := make([]parse.Value, len(p.docs))
		rank, dense := 0, 0
		for i := range p.docs {
			if i == 0 || compareKeys(keys, p.values[i], p.values[i-1]) != 0 {
				rank, dense = i+1, dense+1
			}
			switch w.op {
			case "$rank":
				out[i] = float64(rank)
			case "$denseRank":
				out[i] = float64(dense)
			default:
				out[i] = float64(i + 1)
			}
		}
		return out, nil
	}
	return nil
}

// inputs evaluates an expression for all documents of a partition.
func inputs(r *run, p *partition, x expr) ([]parse.Value, error) {
	out := make([]parse.Value, len(p.docs))
	for i, d := range p.docs {
		if err := r.step(); err != nil {
			return nil, err
		}
		v, err := x(r.env(d))
		if err != nil {
			return nil, err
		}
		out[i] = orNull(v)
	}
	return out, nil
}

// over is a window function that makes its values of those of x, of all the
// documents of a partition at once.
func over(x expr, f func(r *run, p *partition, in []parse.Value) ([]parse.Value, error)) func(*run, *partition) ([]parse.Value, error) {
	return func(r *run, p *partition) ([]parse.Value, error) {
		in, err := inputs(r, p, x)
		if err != nil {
			return nil, err
		}
		return f(r, p, in)
	}
}

func shifting(c *compiler, w *windowed, arg parse.Value, _ []sortKey) error {
	m, _ := arg.(*parse.Map)
	if err := checkArguments("$shift", m, []string{"output", "by"}, []string{"default"}); err != nil {
		return err
	}
	v, _ := m.Get("by")
	by, ok := whole(v)
	if !ok {
		return errorf("'$shift:by' field must be an integer, but found %s", parse.AppendJSON(nil, v))
	}
	otherwise, _ := m.Get("default")
	if s, isText := otherwise.(string); isText && len(s) > 0 && s[0] == '$' {
		return errorf("'$shift:default' expression must yield a constant value.")
	}
	v, _ = m.Get("output")
	x, err := c.expr(v)
	if err != nil {
		return err
	}
	w.whole = over(x, func(_ *run, _ *partition, in []parse.Value) ([]parse.Value, error) {
		out := make([]parse.Value, len(in))
		for i := range out {
			if out[i] = otherwise; i+by >= 0 && i+by < len(in) {
				out[i] = in[i+by]
			}
		}
		return out, nil
	})
	return nil
}

func movingAverage(c *compiler, w *windowed, arg parse.Value, _ []sortKey) error {
	m, _ := arg.(*parse.Map)
	if err := checkArguments("$expMovingAvg", m, []string{"input"}, []string{"N", "alpha"}); err != nil {
		return err
	}
	v, hasAlpha := m.Get("alpha")
	alpha, ok := number(v)
	if n, hasN := m.Get("N"); hasN {
		count, isWhole := whole(n)
		ok = isWhole && count > 0 && !hasAlpha
		alpha = 2 / (float64(count) + 1)
	} else {
		ok = ok && alpha > 0 && alpha < 1
	}
	if !ok {
		return errorf("$expMovingAvg needs either 'N', a positive integer, or 'alpha', between 0 and 1")
	}
	v, _ = m.Get("input")
	x, err := c.expr(v)
	if err != nil {
		return err
	}
	w.whole = over(x, func(_ *run, _ *partition, in []parse.Value) ([]parse.Value, error) {
		out := make([]parse.Value, len(in))
		var last parse.Value
		for i, v := range in {
			if n, ok := number(v); ok {
				if before, any := number(last); any {
					n = n*alpha + before*(1-alpha)
				}
				last = n
			}
			out[i] = last
		}
		return out, nil
	})
	return nil
}

func filling(c *compiler, w *windowed, arg parse.Value, keys []sortKey) error {
	x, err := c.expr(arg)
	if err != nil {
		return err
	}
	if w.op == "$linearFill" && len(keys) != 1 {
		return errorf("$linearFill must be specified with a top level sortBy expression with exactly one element")
	}
	w.whole = over(x, func(_ *run, p *partition, in []parse.Value) ([]parse.Value, error) {
		if w.op == "$locf" {
			return carried(in), nil
		}
		return interpolated(in, p)
	})
	return nil
}

// carried puts the last value in the place of nulls.
func carried(in []parse.Value) []parse.Value {
	var last parse.Value
	for i, v := range in {
		if v == nil {
			in[i] = last
		}
		last = in[i]
	}
	return in
}

// place is where a document is on the axis by which a partition is sorted.
func axis(p *partition, i int) (float64, error) {
	v := p.values[i][0]
	if d, ok := v.(parse.Date); ok {
		return float64(d), nil
	}
	n, ok := number(v)
	if !ok {
		return 0, errorf("a value to sort by must be a number or a date here, found %s", typeName(v))
	}
	return n, nil
}

// interpolated puts values on the line between their neighbours in the place of
// nulls that have a neighbour on both sides.
func interpolated(in []parse.Value, p *partition) ([]parse.Value, error) {
	last := -1
	for i, v := range in {
		if v == nil {
			continue
		}
		y, ok := number(v)
		if !ok {
			return nil, errorf("Value to be filled must be numeric or nullish, but found %s", typeName(v))
		}
		if last >= 0 && last < i-1 {
			before, _ := number(in[last])
			x0, err := axis(p, last)
			if err != nil {
				return nil, err
			}
			x1, err := axis(p, i)
			if err != nil {
				return nil, err
			}
			for k := last + 1; k < i; k++ {
				x, err := axis(p, k)
				if err != nil {
					return nil, err
				}
				if x1 == x0 {
					return nil, errorf("There can be no repeated values in the sort field of a linear fill")
				}
				in[k] = before + (x-x0)/(x1-x0)*(y-before)
			}
		}
		last = i
	}
	return in, nil
}

// slope is $derivative or $integral.
func slope(c *compiler, w *windowed, arg parse.Value, keys []sortKey) error {
	m, _ := arg.(*parse.Map)
	if err := checkArguments(w.op, m, []string{"input"}, []string{"unit"}); err != nil {
		return err
	}
	if len(keys) != 1 {
		return errorf("%s requires a sortBy with exactly one element", w.op)
	}
	scale := 1.0
	if v, given := m.Get("unit"); given {
		name, u, _, err := unitArg(w.op, v)
		if err != nil {
			return err
		}
		if u.length == 0 {
			return errorf("unit of %s must be a week or smaller, found %s", w.op, name)
		}
		scale = float64(u.length.Milliseconds())
	}
	v, _ := m.Get("input")
	x, err := c.expr(v)
	if err != nil {
		return err
	}
	w.whole = over(x, func(r *run, p *partition, in []parse.Value) ([]parse.Value, error) {
		out := make([]parse.Value, len(in))
		for i := range in {
			first, last, err := w.f.indexes(p, i)
			if err != nil {
				return nil, err
			}
			if w.op == "$derivative" {
				out[i], err = derivative(p, in, first, last-1, scale)
			} else {
				out[i], err = integral(r, p, in[first:last], first, scale)
			}
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	})
	return nil
}

func derivative(p *partition, in []parse.Value, first, last int, scale float64) (parse.Value, error) {
	if last <= first {
		return nil, nil
	}
	y0, ok := number(in[first])
	y1, ok2 := number(in[last])
	if !ok || !ok2 {
		return nil, nil
	}
	x0, err := axis(p, first)
	if err != nil {
		return nil, err
	}
	x1, err := axis(p, last)
	if err != nil || x0 == x1 {
		return nil, err
	}
	return (y1 - y0) / ((x1 - x0) / scale), nil
}

func integral(r *run, p *partition, in []parse.Value, first int, scale float64) (parse.Value, error) {
	sum := 0.0
	for i := 1; i < len(in); i++ {
		if err := r.step(); err != nil {
			return nil, err
		}
		y0, ok := number(in[i-1])
		y1, ok2 := number(in[i])
		if !ok || !ok2 {
			continue
		}
		x0, err := axis(p, first+i-1)
		if err != nil {
			return nil, err
		}
		x1, err := axis(p, first+i)
		if err != nil {
			return nil, err
		}
		sum += (y0 + y1) / 2 * (x1 - x0) / scale
	}
	return sum, nil
}

func covariance(c *compiler, w *windowed, arg parse.Value, _ []sortKey) error {
	pair, _ := arg.(parse.Array)
	if len(pair) != 2 {
		return errorf("%s needs an array of two expressions", w.op)
	}
	xs, err := c.exprs(pair)
	if err != nil {
		return err
	}
	less := 0.0
	if w.op == "$covarianceSamp" {
		less = 1
	}
	w.whole = func(r *run, p *partition) ([]parse.Value, error) {
		a, err := inputs(r, p, xs[0])
		if err != nil {
			return nil, err
		}
		b, err := inputs(r, p, xs[1])
		if err != nil {
			return nil, err
		}
		out := make([]parse.Value, len(a))
		for i := range a {
			first, last, err := w.f.indexes(p, i)
			if err != nil {
				return nil, err
			}
			n, meanX, meanY, c := 0.0, 0.0, 0.0, 0.0
			for k := first; k < last; k++ {
				if err := r.step(); err != nil {
					return nil, err
				}
				x, ok := number(a[k])
				y, ok2 := number(b[k])
				if !ok || !ok2 {
					continue
				}
				n++
				dx := x - meanX
				meanX += dx / n
				meanY += (y - meanY) / n
				c += dx * (y - meanY)
			}
			if n-less > 0 {
				out[i] = c / (n - less)
			}
		}
		return out, nil
	}
	return nil
}

// fill compiles $fill, which is $setWindowFields and $addFields in one.
func (c *compiler) fill(arg parse.Value) (stage, error) {
	const op = "$fill"
	m, _ := arg.(*parse.Map)
	if err := checkArguments(op, m, []string{"output"}, []string{"partitionBy", "partitionByFields", "sortBy"}); err != nil {
		return nil, err
	}
	w := &windowStage{by: constant(nil)}
	var err error
	if v, given := m.Get("partitionBy"); given {
		if w.by, err = c.expr(v); err != nil {
			return nil, err
		}
	}
	if v, given := m.Get("partitionByFields"); given {
		if w.by, err = c.byFields(op, v); err != nil {
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
	output, _ := v.(*parse.Map)
	if output.Len() == 0 {
		return nil, errorf("$fill requires 'output' to be an object with at least one field")
	}
	for name, v := range output.All() {
		out, err := c.fillOutput(name, v, w.keys)
		if err != nil {
			return nil, err
		}
		w.outputs = append(w.outputs, *out)
	}
	return w.stage, nil
}

// byFields compiles a list of fields to an object of them.
func (c *compiler) byFields(op string, v parse.Value) (expr, error) {
	list, ok := v.(parse.Array)
	by := &parse.Map{}
	for _, e := range list {
		name, isText := e.(string)
		ok = ok && isText
		if _, err := fieldPath(op, name); err != nil {
			return nil, err
		}
		by.Set(name, "$"+name)
	}
	if !ok {
		return nil, errorf("'partitionByFields' of %s must be an array of names of fields", op)
	}
	return c.expr(by)
}

func (c *compiler) fillOutput(name string, v parse.Value, keys []sortKey) (*windowed, error) {
	path, err := fieldPath("$fill", name)
	if err != nil {
		return nil, err
	}
	spec, _ := v.(*parse.Map)
	if spec.Len() != 1 {
		return nil, errorf("$fill: an output needs either 'value' or 'method'")
	}
	w := &windowed{path: path}
	switch f := spec.At(0); {
	case f.Key == "value":
		x, err := c.expr(parse.NewMap(parse.MapField{Key: "$ifNull", Value: parse.Array{"$" + name, f.Value}}))
		if err != nil {
			return nil, err
		}
		w.whole = func(r *run, p *partition) ([]parse.Value, error) { return inputs(r, p, x) }
		return w, nil
	case f.Key == "method" && f.Value == "locf":
		w.op = "$locf"
	case f.Key == "method" && f.Value == "linear":
		w.op = "$linearFill"
	default:
		return nil, errorf("$fill: an output needs either 'value', or 'method' linear or locf")
	}
	if len(keys) == 0 {
		return nil, errorf("$fill: method %s needs a 'sortBy'", w.op)
	}
	return w, filling(c, w, "$"+name, keys)
}

// steps are a range of $densify: numbers, or dates if there is a unit.
type steps struct {
	size float64
	unit string
}

// add returns a value n steps further.
func (s steps) add(v parse.Value, n int) (parse.Value, error) {
	if s.unit == "" {
		x, _ := number(v)
		return x + float64(n)*s.size, nil
	}
	d, _ := v.(parse.Date)
	most := int64(mostUnits)
	if u := units[s.unit]; u.months > 0 || u.length.Hours() >= 24 {
		most = 1e8
	}
	by := int64(s.size) * int64(n)
	if by > most || by < -most || math.Abs(s.size) > float64(most) {
		return nil, errorf("$densify: step is out of range")
	}
	return dateOf(float64(addUnits(d.Time(), s.unit, units[s.unit], by).UnixMilli()))
}

// fits reports whether the values are of the kind that the steps are of.
func (s steps) fits(v parse.Value) bool {
	if _, isDate := v.(parse.Date); isDate {
		return s.unit != ""
	}
	_, isNumber := number(v)
	return isNumber && s.unit == ""
}
